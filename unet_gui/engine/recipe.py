"""What a person can choose about training and segmenting. Plain data, no torch, can be pickled."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

RECIPES = ("fast", "tutorial")
SCORES = ("auto", "dice", "rand")


@dataclass(frozen=True)
class TrainConfig:
    """How to train. Every field that is None is chosen from the data and told in `TrainStarted.plan`.

    Attributes
    ----------
    recipe : {"fast", "tutorial"}
    minutes : float, optional
        Time budget. ``fast`` without any budget takes ten minutes; ``minutes`` wins over ``epochs`` and ``steps``.
    epochs, steps : int, optional
        Budget in passes over the images, or in optimiser steps.
    val : str, float or sequence of str, optional
        Validation images: a fraction ``0.2``; numbers and ranges in the natural order of the labelled images by
        their names' numbers, ``"16-19"`` or ``"3,7,16-19"``; or names (keys, stems); pages of stacks as
        ``"page 17-20"`` or ``"s.tif, page 4"``, counted from 1. The number 0 or ``"none"``: none. None: a fifth, in a
        block.
    only : str or sequence of str, optional
        Use these labelled images alone (same grammar as ``val``), e.g. ``"0-19"``.
    score : {"auto", "dice", "rand"}
    seed : int
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
    resume : bool
        Go on from the checkpoint beside ``out`` if there is one; the budget is then the whole, not an addition.
    init : Path, optional
        Model to start from; what fits is kept.
    first_weights : {"drawn", "random"}, optional
        Begin with what was learned from pictures that the program draws, or with random numbers. None: ``fast`` begins
        with the former where the network is of such a shape and ``init`` is None.
    width, depth, stem, crop, batch, learning_rate, channels : optional
        Base channels, levels of pooling, side of the pixel blocks (1, 2 or 4), crop side in pixels, crops a step,
        peak rate, input channels (1 to 4).
    normalisation : {"image", "dataset"}, optional
        Grey values are measured for each image, or once for all.
    symmetries : {"none", "mirror", "flips", "turns"}, optional
        What may be done to pictures: nothing, mirror them left to right, either way, turn them too.
    inpaint : float, optional
        Weight of a second task, guessing hidden parts of the pictures, beside the loss; 0 = none. None: 0.3 where
        less than half of the pixels are painted and the pictures have no up and down, else 0.
    patience : int, optional
        Validations without improvement before it stops; 0 = never. None: 12, but not in the first ten minutes.
    checkpoint_seconds : float
        At least this long between two checkpoints.
    workers : int
        Threads that prepare batches; 0 prepares them in the training thread.
    precision : {"auto", "fp32", "bf16"}
    deterministic : bool
        Same seed, same device, same weights.
    logs : bool
        Write a TensorBoard log under ``.unet-gui/runs``.
    """

    recipe: str = "fast"
    minutes: float | None = None
    epochs: int | None = None
    steps: int | None = None
    val: str | float | Sequence[str] | None = None
    only: str | Sequence[str] | None = None
    score: str = "auto"
    seed: int = 0
    device: str = "auto"
    resume: bool = False
    init: Path | None = None
    first_weights: str | None = None
    width: int | None = None
    depth: int | None = None
    stem: int | None = None
    crop: int | None = None
    batch: int | None = None
    learning_rate: float | None = None
    channels: int | None = None
    normalisation: str | None = None
    symmetries: str | None = None
    inpaint: float | None = None
    patience: int | None = None
    checkpoint_seconds: float = 30.0
    workers: int = 1
    precision: str = "auto"
    deterministic: bool = True
    logs: bool = True

    def to_json(self) -> str:
        """Return all fields as a JSON object."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        values["init"] = None if self.init is None else str(self.init)
        return json.dumps(values, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> TrainConfig:
        """Invert `to_json`; unknown keys of a newer version are ignored."""
        known = {f.name for f in dataclasses.fields(cls)}
        values = {k: v for k, v in json.loads(text).items() if k in known}
        if values.get("init") is not None:
            values["init"] = Path(values["init"])
        return cls(**values)


@dataclass(frozen=True)
class SegmentItem:
    """One image to segment.

    Attributes
    ----------
    path : Path
        The image file.
    page : int
        Page of a multi-page TIFF, 0 otherwise.
    out : Path
        Where the class ids go, suffix and all: ``.png``, ``.tif`` or ``.tiff``.
    out_prob : Path, optional
        Where probabilities go, when they are asked for.
    out_uncertainty : Path, optional
        Where the uncertainty map (entropy) goes, when it is asked for.
    pages : int
        Number of pages the output stack will have (1: an ordinary file).
    out_disagreement : Path, optional
        Where the map of how far turned and mirrored views disagree goes, when it is asked for.
    """

    path: Path
    page: int
    out: Path
    out_prob: Path | None = None
    out_uncertainty: Path | None = None
    pages: int = 1
    out_disagreement: Path | None = None


@dataclass(frozen=True, kw_only=True)
class PredictConfig:
    """How to predict an image.

    Attributes
    ----------
    device : str
        As in `TrainConfig`.
    tile : int, optional
        Side of a tile without its margin; None = chosen by memory and device. The result does not depend on it.
    batch : int, optional
        Tiles at once; None = chosen by device.
    tta : bool
        Average over the flips and quarter turns the model was trained with: slower, a little better.
    offsets : tuple of float, optional
        Another operating point than the model's own.
    precision : {"auto", "fp32", "bf16"}
        ``auto`` is 32 bits on a processor and 16 bits on a graphics card.
    probabilities : bool
        Return the probabilities too.
    uncertainty : bool
        Return, for each pixel, how undecided the model is.
    disagreement : bool
        Return, for each pixel, how far the answers for turned and mirrored views lie apart. Takes as long as
        averaging over these views does; the answer itself stays the same.
    float_maps : bool
        Probabilities and the maps of doubt as 32-bit floats 0…1 instead of 0…255.
    """

    device: str = "auto"
    tile: int | None = None
    batch: int | None = None
    tta: bool = False
    offsets: tuple[float, ...] | None = None
    precision: str = "auto"
    probabilities: bool = False
    uncertainty: bool = False
    disagreement: bool = False
    float_maps: bool = False


@dataclass(frozen=True)
class SegmentConfig(PredictConfig):
    """How to segment many images.

    Attributes
    ----------
    model : Path
        A ``.safetensors`` of this program or a ``best_model.pth`` of the tutorial.
    encoding : {"index", "binary"}
        What is written: class ids, or 0 and 255 (two classes only).
    overwrite : bool
        Segment also what is newer than its image and the model.
    """

    model: Path
    encoding: str = "index"
    overwrite: bool = False
