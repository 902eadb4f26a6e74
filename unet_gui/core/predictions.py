"""Predictions on disk: class ids as PNG, probabilities as 8-bit PNG (two classes) or pages of a TIFF (more)."""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unet_gui.core.atomic import write_error
from unet_gui.core.encoding import INDEX
from unet_gui.core.errors import LabelError
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.planes import Probabilities, read_probabilities, write_planes
from unet_gui.core.store import read_label, write_label

GONE = "gone_classes"
"""Setting of the folder: id, name and what its pixels became (255: unlabelled), of each class that was taken off."""


_LONGEST = 246
"""Bytes of a file's name that leave room for an ending: systems allow 255."""


def with_room(name: str) -> str:
    """Return a relative path with room for an ending; one that is too long is cut, and a checksum tells it apart."""
    place, slash, last = name.rpartition("/")
    data = os.fsencode(last)
    if len(data) <= _LONGEST:
        return name
    return f"{place}{slash}{data[:200].decode('utf-8', 'ignore')}.{zlib.crc32(data):08x}"


def heirs(gone: Any, known: Collection[int]) -> dict[int, int]:
    """Return the class into which each class was merged that is not among the known ones.

    ``gone`` is the setting `GONE`, which may hold anything.
    """
    into: dict[int, int] = {}
    for entry in gone if isinstance(gone, list) else []:
        match entry:
            case [int(old), str(), int(new)]:
                into[old] = new
    found: dict[int, int] = {}
    for old in into.keys() - set(known):
        new, passed = into[old], {old}
        while new not in known and new in into and new not in passed:  # merged further, since
            passed.add(new)
            new = into[new]
        if 0 <= old < UNLABELLED and new in known:
            found[old] = new
    return found


def write_prediction(path: Path, prob_path: Path, ids: np.ndarray, prob: Probabilities | None) -> None:
    """Write class ids and, if given, probabilities; old probabilities that would contradict the ids are removed.

    Parameters
    ----------
    path, prob_path : Path
        Where they go; as ``.png`` only the last plane of probabilities is written, that of the second class.
    ids : numpy.ndarray
        uint8 (h, w).
    prob : Probabilities or None

    Raises
    ------
    UserError
        A file cannot be written.
    """
    if prob is not None:
        planes = prob.planes[1:] if prob_path.suffix == ".png" else prob.planes
        write_planes(prob_path, planes, prob.classes)
    else:
        try:
            with contextlib.suppress(FileNotFoundError):
                prob_path.unlink()
        except OSError as error:
            raise write_error(prob_path, error) from error
    write_label(path, ids, INDEX)


def read_prediction(
    path: Path, prob_path: Path, classes: Sequence[int]
) -> tuple[np.ndarray, Probabilities | None] | None:
    """Return what `write_prediction` has written, None when there is nothing.

    Parameters
    ----------
    path, prob_path : Path
    classes : sequence of int
        The ids of probabilities in a file that does not name its own.

    Returns
    -------
    (ids, prob) or None
        uint8 (h, w); probabilities, None when they were not kept.

    Raises
    ------
    LabelError
        A file cannot be read.
    """
    if not path.exists():
        return None
    if len(classes) == 2 and not prob_path.exists():
        prob_path = prob_path.with_suffix(".png")  # from before a third class came and went
    ids = read_label(path, INDEX)
    prob = read_probabilities(prob_path, classes) if prob_path.exists() else None
    if prob is not None and prob.planes.shape[1:] != ids.shape:
        raise LabelError("holds probabilities of another size than the prediction.", prob_path, "Predict again.")
    return ids, prob
