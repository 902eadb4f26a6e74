"""What a path is, in words: an image, a label, a folder or a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from unet_gui.core.display import are_numbers
from unet_gui.core.errors import ImageError, UserError
from unet_gui.core.images import ImageRef, channels_beyond, image_info, open_image
from unet_gui.core.model_info import CHECKPOINT, looks_like_torch_file, read_model_info, unfinished
from unet_gui.core.palette import ClassInfo
from unet_gui.core.project import Dataset, Status

_PIXELS = 1 << 28
"""Pixels of a stack that are looked at for a few facts; nobody wants to wait for all of a long one."""

_MANY, _FEW = 64, 10


def describe(path: Path) -> dict[str, object]:
    """Return facts about a path, in the order to show them.

    Parameters
    ----------
    path : Path
        An image or label file, a folder of images, or a model.

    Returns
    -------
    dict
        Name of the fact → a string, number, list or dict that JSON can hold.

    Raises
    ------
    UserError
        Nothing is there, or it is none of these.
    """
    if path.is_dir():
        return _folder(path)
    if not path.exists():
        raise UserError("There is no such file or folder.", path)
    if path.suffix.lower() in (".safetensors", ".pth", ".pt") or looks_like_torch_file(path):
        return _model(path)
    return _image(path)


def _folder(path: Path) -> dict[str, object]:
    dataset = Dataset.open(path)
    count = dict.fromkeys(Status, 0)
    problems: list[str] = []
    images = most = 0
    for file in dataset.images:
        try:
            for ref in dataset.expand(file):
                images += 1
                status, channels = _checked(dataset, ref)
                count[status] += 1
                most = max(most, channels)
        except UserError as error:
            problems.append(str(error))
    facts: dict[str, object] = {
        "kind": "folder",
        "images": images,
        "image folder": str(dataset.image_root),
        "label folder": str(dataset.label_root),
        "done": count[Status.DONE],
        "partial": count[Status.PARTIAL],
        "untouched": count[Status.UNTOUCHED],
        "encoding": dataset.encoding.describe(),
        "classes": _classes(dataset.classes),
    }
    if models := [_model_name(model) for model in sorted((dataset.state_dir / "models").glob("*.safetensors"))]:
        facts["models"] = models
    if dataset.read_only:
        facts["read-only"] = dataset.read_only
    # what is told as the encoding, or as read-only, is not told again
    rest = (note.removeprefix(dataset.stored).strip() for note in dataset.notes if note != dataset.read_only)
    if notes := " ".join(filter(None, (*rest, channels_beyond(most)))):
        facts["notes"] = notes
    if problems:
        facts["problems"] = problems
    return facts


def _classes(classes: Sequence[ClassInfo]) -> str:
    """Return the classes in a line; hundreds are hardly ever meant."""
    shown = classes if len(classes) <= _MANY else classes[:_FEW]
    more = f" and {len(classes) - _FEW} more" if len(classes) > _MANY else ""
    return ", ".join(f"{info.id} {info.name}" for info in shown) + more


def _model_name(path: Path) -> str:
    """Return the name of a model of the folder, and what is wrong with it."""
    try:
        said = unfinished(path, read_model_info(path))
    except UserError as error:
        said = error.message
    return f"{path.stem}: {said}" if said else path.stem


def _checked(dataset: Dataset, ref: ImageRef) -> tuple[Status, int]:
    """Return an image's status and channels; raises UserError when it, or its label, cannot be used."""
    with dataset.open_image(ref) as image:
        label = dataset.load_label(ref, image.shape)
    return Status.UNTOUCHED if label is None else dataset.status(ref), image.channels


def _model(path: Path) -> dict[str, object]:
    if path.suffix == CHECKPOINT:
        return {"kind": "state of a training", "of": path.stem, "use": "a training that was stopped goes on from it"}
    if looks_like_torch_file(path):
        return {"kind": "model", "format": "PyTorch state_dict (the tutorial's best_model.pth)"}
    info = read_model_info(path)
    state = unfinished(path, info)
    return {
        "kind": "model",
        **({"state": state} if state else {}),
        "architecture": info.arch,
        "classes": _classes(info.classes),
        "channels": info.channels,
        "normalisation": info.normalisation,
        "operating point": info.offsets,
        "recipe": info.recipe,
        "trained": info.trained,
        "score": info.score,
        "program version": info.version,
    }


def _image(path: Path) -> dict[str, object]:
    info = image_info(path)
    facts: dict[str, object] = {
        "kind": "image",
        "size": f"{info.width} x {info.height}",
        "channels": info.channels,
        "type": info.dtype,
        "pages": info.pages,
    }
    if info.pixel_size:
        facts["pixel size (µm)"] = info.pixel_size
    if note := channels_beyond(info.channels):
        facts["notes"] = note
    some = _spread(info.pages, _PIXELS // (info.width * info.height))
    values, problems = _Values(), []
    for page in some:
        try:
            with open_image(path, page) as source:
                values.add(source.read())
        except ImageError as error:
            if info.pages == 1:
                raise
            problems.append(str(error))
    facts |= values.facts()
    if info.pages > 1:
        all_of_them = len(some) == info.pages
        facts["values seen in"] = "all pages" if all_of_them else f"{len(some)} of {info.pages} pages, evenly spread"
    if problems:
        facts["problems"] = problems
    return facts


def _spread(pages: int, most: int) -> list[int]:
    """Return pages to look at: all, or the first, the last and others evenly between them."""
    count = min(pages, max(2, most))
    return [round(n * (pages - 1) / max(1, count - 1)) for n in range(count)]


class _Values:
    """What values the pixels of some pages have: the range, how many are no number, and which, where they are few."""

    def __init__(self) -> None:
        self._ranges: list[tuple[int | float, int | float]] = []
        self._counts = np.zeros(256, np.int64)
        self._whole = True  # all have been whole numbers up to 255
        self._pixels = self._unreal = 0

    def add(self, pixels: np.ndarray) -> None:
        """Look at one page."""
        self._pixels += pixels.size
        finite = pixels[are_numbers(pixels)] if pixels.dtype.kind == "f" else pixels
        self._unreal += pixels.size - finite.size
        if finite.size:
            self._ranges.append((finite.min().item(), finite.max().item()))
        self._whole = self._whole and pixels.ndim == 2 and pixels.dtype.kind in "ui"
        self._whole = self._whole and int(pixels.min()) >= 0 and int(pixels.max()) <= 255
        if self._whole:
            for row in range(0, len(pixels), 64):  # counting takes eight bytes a pixel
                self._counts += np.bincount(pixels[row : row + 64].ravel(), minlength=256)

    def facts(self) -> dict[str, object]:
        """Return what there is to say."""
        facts: dict[str, object] = {}
        if self._ranges:
            lows, highs = zip(*self._ranges, strict=True)
            facts = {"lowest value": min(lows), "highest value": max(highs)}
        if self._unreal:
            facts["not a number"] = (
                f"{100 * self._unreal / self._pixels:.1f} % of the pixels (NaN, infinite, or beyond 1e18)"
            )
        found = np.flatnonzero(self._counts).tolist()
        if self._whole and 0 < len(found) <= 32:  # few values: probably a label, so say which
            shares = (f"{value}: {100 * self._counts[value] / self._pixels:.1f} %" for value in found)
            facts["values"] = ", ".join(shares)
        return facts
