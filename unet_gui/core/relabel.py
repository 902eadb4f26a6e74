"""A class becomes another one in every label of a folder, said before and undoable.

What is kept for undo is which pixels it was, one small file an image. Taking it back gives those pixels their class
again that are still what the change made of them: what the person has painted since stays.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import struct
import uuid
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unet_gui.core.atomic import atomic_write
from unet_gui.core.cv import cv2
from unet_gui.core.encoding import INDEX
from unet_gui.core.errors import LabelError, UserError
from unet_gui.core.images import ImageRef
from unet_gui.core.label_stack import StackWriter
from unet_gui.core.palette import ClassInfo
from unet_gui.core.project import Dataset
from unet_gui.core.store import maker_of, read_label, write_label
from unet_gui.core.undo_file import undo_path

CAP = 512 * 2**20
"""Bytes kept to undo one change; a change that needs more is said to be final beforehand."""

_HEAD = struct.Struct("<4sIII")  # magic, rows, columns, checksum of the rest
_MAGIC = b"UGP1"
_CHANGE = "change.json"


@dataclass(frozen=True)
class Touched:
    """What a change does, or would do, to the labels.

    Attributes
    ----------
    pixels : int
        Pixels of labels.
    images : int
        Images with such pixels in their label.
    nbytes : int
        What has to be kept to undo it.
    """

    pixels: int = 0
    images: int = 0
    nbytes: int = 0

    def __add__(self, other: Touched) -> Touched:
        return Touched(self.pixels + other.pixels, self.images + other.images, self.nbytes + other.nbytes)


@dataclass(frozen=True)
class Relabelling:
    """One class becomes another.

    Attributes
    ----------
    old, new : int
        Class ids; ``new`` may be 255, unlabelled.
    info : ClassInfo
        The class that goes, to bring it back.
    undoing : bool
        It is being taken back.
    """

    old: int
    new: int
    info: ClassInfo
    undoing: bool = False


def count(dataset: Dataset, ref: ImageRef, classes: Collection[int]) -> Touched:
    """Return what making these classes another one would touch in one image.

    Raises
    ------
    UserError
        The label or the prediction cannot be read.
    """
    wanted = np.zeros(256, np.uint8)
    wanted[list(classes)] = 1
    label, prediction = _label(dataset, ref), _prediction(dataset, ref)
    pixels, nbytes = 0, 0
    if label is not None:
        mask = cv2.LUT(label, wanted).view(bool)
        pixels = int(np.count_nonzero(mask))
        nbytes = len(_pack(mask)) if pixels else 0
    if prediction is not None:
        mask = cv2.LUT(prediction, wanted).view(bool)
        nbytes += len(_pack(mask)) if mask.any() else 0
    return Touched(pixels, int(pixels > 0), nbytes)


def relabel(
    dataset: Dataset, ref: ImageRef, old: int, new: int, keep: Path | None, stack: StackWriter | None = None
) -> None:
    """Make a class another one in the label and in the prediction of one image.

    Parameters
    ----------
    dataset : Dataset
    ref : ImageRef
    old, new : int
        Class ids.
    keep : Path or None
        Folder for what undo needs, written before the label is; None keeps nothing.
    stack : StackWriter, optional
        Writes the label of a page later, together with others. If that does not happen any more, both taking back and
        doing it again find the page as it was: pixels that are not what the change made of them are left alone.

    Raises
    ------
    UserError
        A file cannot be read or written. The label is whole in any case.
    """
    label = _label(dataset, ref)
    if label is not None and (mask := label == old).any():
        _keep(keep, ref.key, mask)
        label[mask] = new
        dataset.save_label(ref, label, stack=stack)
    prediction = _prediction(dataset, ref)
    if prediction is not None and (mask := prediction == old).any():
        _keep(keep, _prediction_key(ref), mask)
        prediction[mask] = new
        _write_prediction(dataset, ref, prediction)


def take_back(
    dataset: Dataset, ref: ImageRef, old: int, new: int, keep: Path, stack: StackWriter | None = None
) -> None:
    """Give the pixels of one image back to the class they were of. The class must be known to the dataset again.

    See `relabel` for the parameters.

    Raises
    ------
    UserError
        A file cannot be read or written.
    """
    mask = _kept(keep, ref.key)
    if mask is not None:
        label = _label(dataset, ref)
        if label is not None and label.shape == mask.shape and (mask := mask & (label == new)).any():
            label[mask] = old
            dataset.save_label(ref, label, stack=stack)
    mask = _kept(keep, _prediction_key(ref))
    if mask is not None:
        prediction = _prediction(dataset, ref)
        if prediction is not None and prediction.shape == mask.shape and (mask := mask & (prediction == new)).any():
            prediction[mask] = old
            _write_prediction(dataset, ref, prediction)


def note(keep: Path, change: Relabelling) -> None:
    """Write down what is being done, so that it can be finished or taken back after a crash.

    Raises
    ------
    UserError
        It cannot be written.
    """
    data = {"old": change.old, "new": change.new, "class": change.info.to_json(), "undoing": change.undoing}
    atomic_write(keep / _CHANGE, json.dumps(data, ensure_ascii=False).encode("utf-8"))


def settle(keep: Path) -> None:
    """Note that the change under way has come to its end; what undo needs stays."""
    with contextlib.suppress(OSError):
        (keep / _CHANGE).unlink()


def unfinished(keep: Path) -> Relabelling | None:
    """Return the change that was under way when the program died, None when there was none."""
    try:
        data = json.loads((keep / _CHANGE).read_text("utf-8"))
        info = ClassInfo.from_json(data["class"])
        return Relabelling(int(data["old"]), int(data["new"]), info, bool(data["undoing"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def set_aside(keep: Path) -> Path:
    """Give what was kept another name, so that it can be removed while the change is made again; return where it is."""
    aside = keep.with_name(f"{keep.name}.{uuid.uuid4().hex[:8]}")
    try:
        return keep.rename(aside)
    except OSError:  # it is not there, or may not be renamed now
        return keep


def forget(keep: Path) -> None:
    """Remove what was kept; no label needs it."""
    shutil.rmtree(keep, ignore_errors=True)


def _label(dataset: Dataset, ref: ImageRef) -> NDArray[np.uint8] | None:
    return dataset.load_label(ref) if dataset.has_label(ref) else None


def _prediction(dataset: Dataset, ref: ImageRef) -> NDArray[np.uint8] | None:
    path = dataset.prediction_path(ref)
    return read_label(path, INDEX) if path.exists() else None


def _write_prediction(dataset: Dataset, ref: ImageRef, ids: NDArray[np.uint8]) -> None:
    path = dataset.prediction_path(ref)
    write_label(path, ids, INDEX, maker=maker_of(path))


def _prediction_key(ref: ImageRef) -> str:
    return f"{ref.key}\0prediction"


def _pack(mask: NDArray[np.bool_]) -> bytes:
    body = zlib.compress(np.packbits(mask).tobytes(), 1)
    return _HEAD.pack(_MAGIC, *mask.shape, zlib.crc32(body)) + body


def _keep(keep: Path | None, key: str, mask: NDArray[np.bool_]) -> None:
    if keep is None:
        return
    path = undo_path(keep, key)
    before = _kept(keep, key)
    if before is not None and before.shape == mask.shape:
        mask = mask | before  # a change that was stopped and is gone on with now
    atomic_write(path, _pack(mask))


def _kept(keep: Path, key: str) -> NDArray[np.bool_] | None:
    path = undo_path(keep, key)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError("cannot be read.", path, details=str(error)) from error
    if len(data) >= _HEAD.size:
        magic, rows, columns, crc = _HEAD.unpack_from(data)
        body = data[_HEAD.size :]
        if magic == _MAGIC and zlib.crc32(body) == crc:
            bits = np.frombuffer(zlib.decompress(body), np.uint8)
            return np.unpackbits(bits, count=rows * columns).reshape(rows, columns).astype(bool)
    raise LabelError("is damaged, so this image cannot be taken back.", path)
