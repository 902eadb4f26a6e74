"""What a path is, in words: an image, a label, a folder or a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from unet_gui.core.errors import UserError
from unet_gui.core.images import ImageRef, channels_beyond, image_info, open_image
from unet_gui.core.model_info import looks_like_torch_file, read_model_info
from unet_gui.core.project import Dataset, Status


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
        "classes": ", ".join(f"{c.id} {c.name}" for c in dataset.classes),
    }
    if dataset.read_only:
        facts["read-only"] = dataset.read_only
    # what is told as the encoding, or as read-only, is not told again
    rest = (note.removeprefix(dataset.stored).strip() for note in dataset.notes if note != dataset.read_only)
    if notes := " ".join(filter(None, (*rest, channels_beyond(most)))):
        facts["notes"] = notes
    if problems:
        facts["problems"] = problems
    return facts


def _checked(dataset: Dataset, ref: ImageRef) -> tuple[Status, int]:
    """Return an image's status and channels; raises UserError when it, or its label, cannot be used."""
    with dataset.open_image(ref) as image:
        label = dataset.load_label(ref, image.shape)
    return Status.UNTOUCHED if label is None else dataset.status(ref), image.channels


def _model(path: Path) -> dict[str, object]:
    if path.suffix == ".checkpoint":
        return {"kind": "state of a training", "of": path.stem, "use": "a training that was stopped goes on from it"}
    if looks_like_torch_file(path):
        return {"kind": "model", "format": "PyTorch state_dict (the tutorial's best_model.pth)"}
    info = read_model_info(path)
    return {
        "kind": "model",
        "architecture": info.arch,
        "classes": ", ".join(f"{c.id} {c.name}" for c in info.classes),
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
    with open_image(path) as source:
        pixels = source.read()
    facts |= _range(pixels)
    if pixels.ndim == 2 and pixels.dtype.kind in "ui" and pixels.max() <= 255:
        values, counts = np.unique(pixels, return_counts=True)
        if len(values) <= 32:  # few values: probably a label, so say which
            shares = (f"{v}: {100 * n / pixels.size:.1f} %" for v, n in zip(values, counts, strict=True))
            facts["values"] = ", ".join(shares)
    return facts


def _range(pixels: np.ndarray) -> dict[str, object]:
    """Return the lowest and the highest value, and how many pixels are no number."""
    if pixels.dtype.kind != "f":
        return {"lowest value": int(pixels.min()), "highest value": int(pixels.max())}
    finite = pixels[np.isfinite(pixels)]
    facts: dict[str, object] = {}
    if finite.size:
        facts |= {"lowest value": float(finite.min()), "highest value": float(finite.max())}
    if finite.size < pixels.size:
        facts["not a number"] = f"{100 - 100 * finite.size / pixels.size:.1f} % of the pixels (NaN or infinite)"
    return facts
