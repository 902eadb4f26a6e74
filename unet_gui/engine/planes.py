"""Probability and uncertainty maps as files."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from unet_gui.core import png
from unet_gui.core.atomic import atomic_path, atomic_write
from unet_gui.core.errors import UserError

TILE = 256
_BIG = 3 << 30


def write_planes(path: Path, planes: NDArray[Any]) -> None:
    """Write maps of 8 bits or of floats; the old file stays whole until the new one is.

    Parameters
    ----------
    path : Path
        ``.png`` for one map, ``.tif`` or ``.tiff`` for any number (one page each, tiled, deflated).
    planes : ndarray
        ``(c, h, w)`` uint8 or float32; floats only into a TIFF.

    Raises
    ------
    UserError
        Another suffix, several maps or floats for a PNG, or the file cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix == ".png":
        if len(planes) != 1:
            raise UserError("A PNG holds one probability map only.", path, "Use a TIFF for more than two classes.")
        if planes.dtype != np.uint8:
            raise UserError("A PNG holds no floats.", path, "Use a TIFF, or 8 bits.")
        atomic_write(path, png.encode(np.ascontiguousarray(planes[0])))
        return
    if suffix not in (".tif", ".tiff"):
        raise UserError("Maps are written as .png or .tif.", path)
    with atomic_path(path) as temporary, tifffile.TiffWriter(temporary, bigtiff=planes.nbytes > _BIG) as writer:
        for plane in planes:
            writer.write(plane, tile=(TILE, TILE), compression="zlib", photometric="minisblack", metadata=None)


class WaitingPlanes:
    """Several maps of a very large image: rows come for all of them at once, a TIFF wants one after the other.

    They wait on the disk beside the file to be written, not in memory.

    Parameters
    ----------
    path : Path
        As for `write_planes`.
    shape : (int, int, int)
        Maps, height and width.
    dtype : numpy.dtype
        uint8 or float32.

    Raises
    ------
    OSError
        The disk is full.
    """

    def __init__(self, path: Path, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> None:
        self.path, self.shape, self.dtype, self.rows = path, shape, dtype, 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=path.parent, prefix=".unet-gui-")  # noqa: SIM115 - closed by `abort`

    def put(self, rows: NDArray[Any]) -> None:
        """Take the next rows, ``(c, rows, w)``."""
        _, h, w = self.shape
        for number, plane in enumerate(rows):
            self._file.seek((number * h + self.rows) * w * self.dtype.itemsize)
            self._file.write(np.ascontiguousarray(plane, self.dtype).data)
        self.rows += rows.shape[1]

    def close(self) -> None:
        """Write the file."""
        try:
            self._file.flush()
            write_planes(self.path, np.memmap(self._file, self.dtype, "r", shape=self.shape))
        finally:
            self.abort()

    def abort(self) -> None:
        """Leave nothing behind."""
        self._file.close()
