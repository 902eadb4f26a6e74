"""Predictions on disk: class ids as PNG, probabilities as 8-bit PNG (two classes) or pages of a TIFF (more)."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np

from unet_gui.core import label_stack, png
from unet_gui.core.atomic import atomic_path, atomic_write, write_error
from unet_gui.core.encoding import INDEX
from unet_gui.core.errors import ImageError, LabelError
from unet_gui.core.headers import read_bytes
from unet_gui.core.images import decode
from unet_gui.core.store import read_label, write_label


def write_prediction(path: Path, prob_path: Path, ids: np.ndarray, prob: np.ndarray | None) -> None:
    """Write class ids and, if given, probabilities; old probabilities that would contradict the ids are removed.

    Raises
    ------
    UserError
        A file cannot be written.
    """
    if prob is not None:
        _write_prob(prob_path, prob)
    else:
        try:
            with contextlib.suppress(FileNotFoundError):
                prob_path.unlink()
        except OSError as error:
            raise write_error(prob_path, error) from error
    write_label(path, ids, INDEX)


def read_prediction(path: Path, prob_path: Path) -> tuple[np.ndarray, np.ndarray | None] | None:
    """Return (ids, probabilities or None), or None when there is no prediction.

    Raises
    ------
    LabelError
        A file cannot be read.
    """
    if not path.exists():
        return None
    ids = read_label(path, INDEX)
    return ids, _read_prob(prob_path, ids.shape) if prob_path.exists() else None


def _write_prob(path: Path, prob: np.ndarray) -> None:
    if path.suffix == ".png":
        atomic_write(path, png.encode(prob if prob.ndim == 2 else prob[1], compression=1))
        return
    import tifffile

    with atomic_path(path) as temporary:
        tifffile.imwrite(temporary, prob, photometric="minisblack", compression="zlib", compressionargs={"level": 1})


def _read_prob(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    try:
        if label_stack.is_tiff(path):
            pages = label_stack.page_count(path)
            prob = np.stack([label_stack.read_page(path, page)[0] for page in range(pages)])
        else:
            one = decode(read_bytes(path), path)
            prob = np.stack([255 - one, one])
    except (ImageError, ValueError) as error:
        raise LabelError("holds probabilities that cannot be read.", path, "Predict again.", str(error)) from error
    if prob.shape[1:] != shape or prob.dtype != np.uint8:
        raise LabelError("holds probabilities of another size than the prediction.", path, "Predict again.")
    return prob
