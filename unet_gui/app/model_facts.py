"""What is known of models: what the person wants of them, and what their files say."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from unet_gui.app.messages import Message
from unet_gui.app.panels.model import ModelFacts
from unet_gui.core.errors import UserError
from unet_gui.core.model_info import looks_like_torch_file, read_model_info

SCORE_NAMES = {"rand": "Rand F", "dice": "Dice"}


@dataclass(frozen=True)
class Wishes:
    """What the person has chosen about the model, kept with the folder.

    Attributes
    ----------
    recipe : str
    minutes : float
        Time for a training.
    device : str
    score : str
    tta : bool
        Predict several ways and average.
    start_from : bool
        Begin with the weights of the model in use.
    model : str
        Path of the model in use, inside the state folder relative to it; empty for none.
    """

    recipe: str = "fast"
    minutes: float = 10.0
    device: str = "auto"
    score: str = "auto"
    tta: bool = False
    start_from: bool = False
    model: str = ""

    @classmethod
    def from_json(cls, data: Any) -> Wishes:
        """Return what is kept in the project file; strange entries give the defaults."""
        if not isinstance(data, dict):
            return cls()
        plain = {f.name: data[f.name] for f in fields(cls) if isinstance(data.get(f.name), type(f.default))}
        return cls(**plain)

    def to_json(self) -> dict[str, Any]:
        """Return what the project file keeps."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


def facts_of(path: Path) -> ModelFacts:
    """Return what is shown of a model file, from its header alone."""
    name = path.stem
    if path.suffix == ".pth" or (path.suffix != ".safetensors" and looks_like_torch_file(path)):
        return ModelFacts(path, path.name, "tutorial")
    try:
        info = read_model_info(path)
    except UserError as error:
        return ModelFacts(path, name, problem=Message.of(error).text)
    kind = info.recipe or "model"
    weights = _weights(path)
    if weights:
        kind += f" · {weights / 1e6:.2f} M"
    score, images = info.score.get("value"), info.trained.get("chosen_on", ())
    plan = tuple(str(line) for line in info.trained.get("plan", ()))
    if not isinstance(score, (int, float)) or not math.isfinite(score):
        return ModelFacts(path, name, kind, plan=plan)
    score_name = str(info.score.get("name", "score"))
    validation = f"Validation ({count_of(len(images))})" if images else "Validation"
    return ModelFacts(path, name, kind, validation, f"{SCORE_NAMES.get(score_name, score_name)} {score:.3f}", plan=plan)


def _weights(path: Path) -> int:
    """Return the number of weights from the shapes in the file's header."""
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return sum(math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")


def count_of(count: int) -> str:
    """Return how many images, for people."""
    return f"{count} image{'s' * (count != 1)}"
