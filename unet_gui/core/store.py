"""Label files: reading them as class ids, and writing them so that nothing is ever lost.

See ``docs/adr/0001-label-values-and-encodings.md``.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from unet_gui.core import label_stack, png
from unet_gui.core.atomic import atomic_write
from unet_gui.core.detect import Detected, detect_encoding
from unet_gui.core.encoding import BINARY, INDEX, Encoding, fitting
from unet_gui.core.errors import ImageError, LabelError, WrongSize
from unet_gui.core.headers import open_file
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.listing import TIFF_SUFFIXES
from unet_gui.core.raw_label import MARK, RawLabel, meaning_of, read_raw

__all__ = [
    "BINARY",
    "INDEX",
    "MAKER",
    "MARK",
    "UNLABELLED",
    "Detected",
    "Encoding",
    "RawLabel",
    "atomic_write",
    "detect_encoding",
    "is_marked",
    "maker_of",
    "read_label",
    "read_raw",
    "write_label",
]


MAKER = "unet-gui-maker"
"""Keyword of the text entry in a prediction that names the model, by checksum, and how it was asked."""
_START = 1024  # bytes in which it stands, if anywhere


def read_label(
    path: str | os.PathLike[str], encoding: Encoding, *, shape: tuple[int, int] | None = None, page: int = 0
) -> np.ndarray:
    """Return a label as class ids.

    Parameters
    ----------
    path : str or os.PathLike
        PNG, BMP or TIFF.
    encoding : Encoding
        That of the folder; a file that carries the mark of class ids is read as such.
    shape : (int, int), optional
        Height and width the label must have.
    page : int
        Page of a multi-page TIFF.

    Returns
    -------
    numpy.ndarray
        uint8 (h, w), class ids and 255.

    Raises
    ------
    LabelError
        The file cannot be read, has another size (it is never stretched), or holds values without a meaning.
    """
    label = read_raw(path, page)
    if shape is not None and label.pixels.shape[:2] != tuple(shape):
        h, w = label.pixels.shape[:2]
        if label_stack.is_tiff(path) and label_stack.is_blank(label.pixels, label.palette, label.marked, encoding):
            return np.full(shape, UNLABELLED, np.uint8)
        raise WrongSize(
            f"is {w} × {h} pixels, but its image is {shape[1]} × {shape[0]}.",
            path,
            "A label must have the size of its image. Is it that of another image?",
        ).between((h, w), shape)
    meaning, pixels = meaning_of(label, encoding)
    try:
        return meaning.decode(pixels)
    except LabelError as error:
        raise LabelError(error.message, path, error.hint, error.details) from error


def write_label(
    path: str | os.PathLike[str],
    ids: np.ndarray,
    encoding: Encoding,
    *,
    page: int | None = None,
    pages: int | None = None,
    maker: str = "",
    stack: label_stack.StackWriter | None = None,
) -> None:
    """Write a label; the old file stays whole until the new one is.

    What the encoding cannot hold (a partial label in a ``binary`` folder, a new class in a value map) is written as
    class ids with a mark that says so, and read back by it.

    Parameters
    ----------
    path : str or os.PathLike
        ``.png`` or ``.tif``; missing folders are made.
    ids : numpy.ndarray
        uint8 (h, w), class ids and 255.
    encoding : Encoding
        That of the folder.
    page, pages : int, optional
        Page to write and number of pages of a multi-page TIFF. Other pages stay; new ones are unlabelled.
    maker : str
        What has made a prediction, to be written into the file: see `maker_of`.
    stack : StackWriter, optional
        Writes the page of a stack later, together with others.

    Raises
    ------
    LabelError
        The ids are not uint8 (h, w).
    UserError
        The file cannot be written: disk full, no permission, folder gone.
    """
    path = Path(path)
    if ids.ndim != 2 or ids.dtype != np.uint8 or ids.size == 0:
        raise LabelError("A label must be whole numbers 0…255 in rows and columns.", path)
    if path.suffix.lower() in TIFF_SUFFIXES:
        (stack.put if stack else label_stack.write_page)(path, ids, encoding, page or 0, pages or 1, maker)
        return
    used, raw, marked = fitting(ids, encoding)
    texts = ({MAKER: maker} if maker else {}) | ({MARK: "index"} if marked else {})
    if raw.ndim == 2 and raw.dtype == np.uint8:
        data = png.encode_ids(raw, palette=used.palette, texts=texts)
    else:
        data = png.encode(raw)
        for keyword, text in texts.items():
            data = png.with_text(data, keyword, text)
    atomic_write(path, data)


def maker_of(path: str | os.PathLike[str], page: int = 0) -> str:
    """Return what made the prediction in a file, or in a page of it, "" where that is not said."""
    if not label_stack.is_tiff(path):
        return _said(path, MAKER)
    try:
        return label_stack.maker_of(path, page)
    except ImageError:
        return ""


def is_marked(path: str | os.PathLike[str]) -> bool:
    """Whether a PNG file says itself that it holds class ids, found out without decoding it."""
    return _said(path, MARK) == "index"


def _said(path: str | os.PathLike[str], keyword: str) -> str:
    try:
        with open_file(path) as file:
            return png.text_of(file.read(_START), keyword) or ""
    except (OSError, png.Damaged):  # the beginning is no whole file
        return ""
