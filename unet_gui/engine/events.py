"""What the engine's jobs say while they run: small frozen dataclasses that can be pickled. No torch here.

Every job is a generator of these. The command line prints them, the worker thread emits them, a test calls ``list()``.
Closing the generator stops the job; a job yields after every step and every tile, so that this takes a moment only.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Event:
    """Anything a job says."""

    @property
    def kind(self) -> str:
        """Name of the event for JSON lines, e.g. ``"step_done"``."""
        name = type(self).__name__
        return "".join("_" + c.lower() if c.isupper() else c for c in name).lstrip("_")

    def to_json(self) -> dict[str, Any]:
        """Return the event as JSON types: paths as text, NaN and infinities as None, ``kind`` first."""
        values = {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}
        return {"kind": self.kind, **values}


def _plain(value: Any) -> Any:
    """Turn a field into JSON types."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Event):
        return value.to_json()
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return value


@dataclass(frozen=True)
class Tick(Event):
    """Nothing to tell: the job only gives its listener a chance to stop it."""


TICK = Tick()


@dataclass(frozen=True)
class Warned(Event):
    """Something the person should know; the job goes on."""

    text: str


# --- training -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TrainStarted(Event):
    """The data is read and the plan is made; steps follow.

    Attributes
    ----------
    device : str
        Where it trains, e.g. ``"cpu"`` or ``"cuda:0"``.
    plan : tuple of str
        What was chosen and why, one plain sentence each.
    train_images, val_images : tuple of str
        Keys of the images learned from and chosen on (the same key in both when one image is divided).
    parameters : int
        Number of weights.
    total_steps : int or None
        Steps this run will make at most; None while a time budget is still being measured.
    first_step : int
        0, or the step a resumed run goes on from.
    classes : tuple of str
        Class names in the order of the scores in `Validated.dice`.
    run_dir : Path or None
        Folder of the TensorBoard log.
    strokes : bool
        Only strokes are painted in the images chosen on, so the score is a rough guide.
    """

    device: str
    plan: tuple[str, ...]
    train_images: tuple[str, ...]
    val_images: tuple[str, ...]
    parameters: int
    total_steps: int | None
    first_step: int = 0
    classes: tuple[str, ...] = ()
    run_dir: Path | None = None
    strokes: bool = False


@dataclass(frozen=True)
class StepDone(Event):
    """One or more steps are done; sent at most ten times a second, `Tick` in between.

    Attributes
    ----------
    step, total : int, int or None
        Steps made so far, and in all (None: not known yet).
    loss : float
        Mean training loss since the last `StepDone`.
    learning_rate : float
    images_per_second : float
        Crops (or whole images) learned a second.
    seconds : float
        Time spent training, pauses of earlier runs not counted.
    left_seconds : float or None
        Estimated time to the end.
    """

    step: int
    total: int | None
    loss: float
    learning_rate: float
    images_per_second: float
    seconds: float
    left_seconds: float | None


@dataclass(frozen=True)
class EpochDone(Event):
    """Every image has been seen once more (on average, when crops are drawn)."""

    epoch: int
    epochs: int | None
    step: int
    loss: float
    seconds: float


@dataclass(frozen=True)
class Validated(Event):
    """The model was tried on the validation images.

    Attributes
    ----------
    score_name : str
        ``"dice"`` (mean over classes) or ``"rand"`` (Rand F of the regions).
    score : float
        At the operating point chosen on the validation images; 1 is perfect.
    smoothed : float
        The score smoothed over the last validations, by which the best model is chosen.
    dice : tuple of float
        Dice per class, at the same operating point; NaN for a class without pixels in both.
    offsets : tuple of float
        The operating point: ``argmax_c(log p_c + offset_c)``.
    is_best : bool
        Whether this is as good as the best so far, and therefore the model kept.
    """

    step: int
    seconds: float
    score_name: str
    score: float
    smoothed: float
    best: float
    is_best: bool
    loss: float
    dice: tuple[float, ...]
    offsets: tuple[float, ...]


@dataclass(frozen=True)
class CheckpointSaved(Event):
    """The state to resume from, or the model itself, is on disk."""

    path: Path
    step: int
    final: bool = False


@dataclass(frozen=True)
class TrainFinished(Event):
    """The best model is on disk.

    Attributes
    ----------
    path : Path
        The model file.
    score_name, score, dice, offsets
        As in `Validated`, of the model that was kept. ``score`` is NaN when there was nothing to validate on.
    seconds : float
    steps : int
    reason : str
        Why it ended, in plain words.
    """

    path: Path
    score_name: str
    score: float
    dice: tuple[float, ...]
    offsets: tuple[float, ...]
    seconds: float
    steps: int
    reason: str


# --- segmentation ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SegmentStarted(Event):
    """The model is loaded; ``total`` images follow."""

    total: int
    device: str
    note: str = ""


@dataclass(frozen=True)
class TileDone(Event):
    """Part of one image is predicted. ``item`` counts from 0."""

    item: int
    done: int
    total: int


@dataclass(frozen=True)
class ImageDone(Event):
    """One image is segmented and written, or was up to date already (``skipped``).

    ``uncertainty`` and ``disagreement`` are means over the image, 0…1; NaN when not asked for. ``pages`` is how many
    the file has.
    """

    item: int
    path: Path
    page: int
    out: Path
    seconds: float
    skipped: bool
    done: int
    total: int
    uncertainty: float = math.nan
    disagreement: float = math.nan
    pages: int = 1


@dataclass(frozen=True)
class ImageFailed(Event):
    """One image could not be segmented; the others go on. ``unreadable`` says that it is the image's own fault."""

    item: int
    path: Path
    page: int
    message: str
    hint: str
    details: str
    done: int
    total: int
    pages: int = 1
    unreadable: bool = False


@dataclass(frozen=True)
class SegmentFinished(Event):
    """All images were tried. ``done`` counts the written ones, without the skipped ones."""

    done: int
    skipped: int
    failed: int
    seconds: float
