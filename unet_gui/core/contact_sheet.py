"""One picture of many results: each image beside its mask."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unet_gui.core.cv import cv2
from unet_gui.core.images import auto_window, open_image, to_display
from unet_gui.core.store import atomic_write

_GAP, _CAPTION = 8, 22


def write_contact_sheet(path: Path, pairs: Sequence[tuple[Path, Path, str]], columns: int = 3, side: int = 256) -> None:
    """Write a PNG that shows each image beside its mask, with a caption.

    Parameters
    ----------
    path : Path
        The PNG to write; replaced when it exists.
    pairs : sequence of (Path, Path, str)
        Image file, mask file (classes are spread over the grey range), caption.
    columns : int
        Pairs in a row.
    side : int
        Side of each picture in pixels; the longer side fits.
    """
    cells = [_cell(image, mask, text, side) for image, mask, text in pairs]
    height, width = cells[0].shape[:2] if cells else (side, side)
    rows = -(-len(cells) // columns)
    columns = min(columns, max(1, len(cells)))
    sheet = np.full((rows * (height + _GAP) + _GAP, columns * (width + _GAP) + _GAP, 3), 32, np.uint8)
    for n, cell in enumerate(cells):
        y = _GAP + n // columns * (height + _GAP)
        x = _GAP + n % columns * (width + _GAP)
        sheet[y : y + height, x : x + width] = cell
    done, data = cv2.imencode(".png", sheet[..., ::-1])
    assert done
    atomic_write(path, data.tobytes())


def _cell(image: Path, mask: Path, text: str, side: int) -> NDArray[np.uint8]:
    cell = np.full((side + _CAPTION, 2 * side + 2, 3), 32, np.uint8)
    x = 0
    for picture in (_fitted(_shown(image), side, cv2.INTER_AREA), _fitted(_spread(mask), side, cv2.INTER_NEAREST)):
        height, width = picture.shape[:2]
        cell[_CAPTION : _CAPTION + height, x : x + width] = picture
        x += width + 2
    cv2.putText(cell, text, (0, _CAPTION - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (220, 220, 220), 1, cv2.LINE_AA)
    return cell


def _shown(path: Path) -> NDArray[np.uint8]:
    with open_image(path) as source:
        pixels = source.read()
    low, high = auto_window(pixels)
    return to_display(pixels, low, high)


def _spread(path: Path) -> NDArray[np.uint8]:
    """Return a mask with its values spread over 0…255, so that class ids 0 and 1 can be told apart."""
    with open_image(path) as source:
        values, places = np.unique(source.read(), return_inverse=True)
        shape = source.shape
    grey = np.linspace(0, 255, len(values)).astype(np.uint8) if len(values) > 1 else values.astype(np.uint8)
    return grey[places.reshape(shape)]


def _fitted(pixels: NDArray[np.uint8], side: int, interpolation: int) -> NDArray[np.uint8]:
    """Scale the longer side to a length; return RGB."""
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    scale = side / max(pixels.shape[:2])
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    return cv2.resize(np.ascontiguousarray(pixels[..., :3]), size, interpolation=interpolation)
