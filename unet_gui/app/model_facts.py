"""What is known of models: what the person wants of them, and what their files say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from unet_gui.app.messages import Message
from unet_gui.app.panels.model import ModelFacts
from unet_gui.core.errors import UserError
from unet_gui.core.model_info import RUNNING, looks_like_torch_file, read_model_info, unfinished, weight_count

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
        info, weights = read_model_info(path), weight_count(path)
    except UserError as error:
        return ModelFacts(path, name, problem=Message.of(error).text)
    state = unfinished(path, info) if info.trained.get("state") == RUNNING else ""  # who stopped one knows
    kind = info.recipe or "model"
    if weights:
        kind += f" · {weights / 1e6:.2f} M"
    score, images = info.score.get("value"), info.trained.get("chosen_on", ())
    caution = ""
    if "chosen_on" in info.trained:
        caution = caution_of(images, info.trained.get("learned_from", ()), bool(info.trained.get("strokes")))
    plan = tuple(str(line) for line in info.trained.get("plan", ()))
    if not isinstance(score, (int, float)) or not 0 <= score <= 1:
        return ModelFacts(path, name, kind, plan=plan, caution="" if images else caution, state=state)
    score_name = str(info.score.get("name", "score"))
    validation = f"Validation ({count_of(len(images))})" if images else "Validation"
    said = f"{SCORE_NAMES.get(score_name, score_name)} {score:.3f}"
    return ModelFacts(path, name, kind, validation, said, plan=plan, caution=caution, state=state)


def caution_of(chosen_on: Sequence[str], learned_from: Sequence[str], strokes: bool) -> str:
    """Return why a score says little; empty when it is a measure of the model.

    Parameters
    ----------
    chosen_on, learned_from : sequence of str
        Keys of the images; the same key is in both when an image was divided.
    strokes : bool
        Only strokes are painted where the model was tried.
    """
    if not chosen_on:
        return "No image was held back: how good it is on others cannot be told."
    where = "one image" if len(chosen_on) == 1 else count_of(len(chosen_on))
    if set(chosen_on) & set(learned_from):
        where = f"a part of {where}"
    if strokes:
        return f"From strokes of {where}: a rough guide."
    return f"From {where}: a rough guide." if len(chosen_on) == 1 else ""


def count_of(count: int) -> str:
    """Return how many images, for people."""
    return f"{count} image{'s' * (count != 1)}"


def modified(path: Path) -> int:
    """Return when a file was written last, 0 when it is not there."""
    try:
        return path.stat().st_mtime_ns
    except (OSError, ValueError):  # there is none, or it is no name of a file
        return 0
