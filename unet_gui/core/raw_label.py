"""A label file's pixels as stored, before they mean anything."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from unet_gui.core import label_stack, png
from unet_gui.core.encoding import INDEX, Encoding
from unet_gui.core.errors import ImageError, LabelError
from unet_gui.core.headers import read_bytes
from unet_gui.core.images import decode

MARK = "unet-gui-encoding"
"""Keyword of the text entry in a label that holds class ids as they are, whatever the others in its folder do."""


@dataclass(frozen=True)
class RawLabel:
    """A label file's pixels as stored.

    Attributes
    ----------
    pixels : numpy.ndarray
        (h, w), or (h, w, 3 or 4) for colours; of a palette picture the indices.
    palette : tuple of (r, g, b)
        Of a palette picture.
    marked : bool
        The file says itself that its values are class ids.
    """

    pixels: np.ndarray
    palette: png.Palette = ()
    marked: bool = False


def read_raw(path: str | os.PathLike[str], page: int = 0) -> RawLabel:
    """Return a label file's pixels as stored.

    Raises
    ------
    LabelError
        The file is missing, not readable, cut off or no picture.
    """
    try:
        data = read_bytes(path, "label") if not label_stack.is_tiff(path) else b""
        if not data:
            pixels, palette, marked = label_stack.read_page(path, page)
            return RawLabel(pixels, palette, marked)
        if data[:8] != png.SIGNATURE:
            return RawLabel(decode(data, path))
        png.verify(data)
        marked = png.text_of(data, MARK) == "index"
        palette = png.palette_of(data)
        return RawLabel(png.decode_indices(data) if palette else decode(data, path), palette, marked)
    except png.Damaged as error:
        raise LabelError("is damaged or cut off.", path, "Restore it from a copy.", str(error)) from error
    except ImageError as error:
        raise LabelError(error.message, path, error.hint, error.details) from error


def meaning_of(label: RawLabel, encoding: Encoding) -> tuple[Encoding, np.ndarray]:
    """Return the encoding a file really has and the pixels to decode with it.

    Parameters
    ----------
    label : RawLabel
    encoding : Encoding
        The folder's.

    Returns
    -------
    encoding : Encoding
    pixels : numpy.ndarray
        (h, w), or (h, w, 3 or 4) for colours.
    """
    if label.marked:
        return INDEX, label.pixels
    if label.palette and encoding.color:  # a palette picture in a folder of colours: what counts is the colour
        colors = np.zeros((256, 3), np.uint8)
        colors[: len(label.palette)] = label.palette
        return encoding, colors[label.pixels]
    if label.palette and encoding.kind == "binary" and label.pixels.max(initial=0) <= 1:
        shown = np.array([sum(color) // 3 for color in label.palette[:2]], np.uint8)  # one bit a pixel
        return encoding, shown[label.pixels]
    return encoding, label.pixels
