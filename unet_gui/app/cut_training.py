"""A training that was cut: noted in the folder while it runs, so that the next start can say so and go on with it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from unet_gui.app.model_facts import modified
from unet_gui.core.model_info import CHECKPOINT
from unet_gui.core.project import Dataset
from unet_gui.engine.recipe import TrainConfig

TRAINING = "training"
"""Setting of the folder: the training that runs; what the next start finds there was cut."""


@dataclass(frozen=True)
class CutTraining:
    """A training that neither ended nor was stopped.

    Attributes
    ----------
    out : Path
        Its model, which may not have been written yet.
    config : TrainConfig
        What goes on with it.
    minutes : float or None
        How long it ran until its state was kept last; None when nothing was kept to go on with.
    """

    out: Path
    config: TrainConfig
    minutes: float | None


def note(dataset: Dataset, out: Path, config: TrainConfig, minutes: float = 0.0) -> None:
    """Note that this training begins, or goes on after so many minutes; whoever calls writes the project file."""
    noted = {"model": out.name, "begun": time.time(), "minutes": minutes, "config": config.to_json()}
    dataset.settings[TRAINING] = noted


def found(dataset: Dataset) -> CutTraining | None:
    """Return the training that was cut, None when there is none."""
    match dataset.settings.get(TRAINING):
        case {"model": str(name), "begun": int() | float() as begun, "config": str(text), **more}:
            out = dataset.state_dir / "models" / Path(name).name
        case _:
            return None
    try:
        config = replace(TrainConfig.from_json(text), resume=True)
    except (ValueError, TypeError, AttributeError):
        return None
    earlier = more.get("minutes")
    before = float(earlier) if isinstance(earlier, (int, float)) else 0.0
    kept = modified(out.with_name(out.name + CHECKPOINT))
    return CutTraining(out, config, before + max(0.0, (kept / 1e9 - begun) / 60) if kept else None)
