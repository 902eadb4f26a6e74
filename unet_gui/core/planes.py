"""Probability and uncertainty maps as files."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unet_gui.core import label_stack, png
from unet_gui.core.atomic import atomic_path, atomic_write
from unet_gui.core.errors import ImageError, LabelError, UserError
from unet_gui.core.headers import read_bytes
from unet_gui.core.images import decode
from unet_gui.core.tiff import TiffPages

TILE = 256
CLASSES = "unet-gui-classes"
"""Keyword of a PNG's text, and beginning of a TIFF's first description: class ids, in the order of the planes."""
_BIG = 3 << 30


class Probabilities(NamedTuple):
    """What a model gave every class.

    Attributes
    ----------
    planes : ndarray of uint8, shape (c, h, w)
        Probabilities times 255.
    classes : tuple of int
        Ids of the c classes, in the order of the planes.
    """

    planes: NDArray[np.uint8]
    classes: tuple[int, ...]


def class_text(classes: Sequence[int]) -> str:
    """Return how class ids are written into a file."""
    return ",".join(str(each) for each in classes)


def read_probabilities(path: Path, classes: Sequence[int]) -> Probabilities | None:
    """Read the probabilities of all classes of one image.

    Parameters
    ----------
    path : Path
        A file of `write_planes`, 8 bits. Of two classes it may hold the second one's plane alone.
    classes : sequence of int
        Class ids of a file that does not name its own, in the order of the planes.

    Returns
    -------
    Probabilities or None
        None where nobody knows which class a plane is of.

    Raises
    ------
    LabelError
        The file cannot be read.
    """
    try:
        if label_stack.is_tiff(path):
            pages = TiffPages(path)
            try:
                planes = np.stack([label_stack.read_open(pages, page)[0] for page in range(pages.count)])
                text = pages.page(0).description.strip()
            finally:
                pages.close()
            named = text[len(CLASSES) + 1 :] if text.startswith(f"{CLASSES}=") else None
        else:
            data = read_bytes(path)
            planes, named = decode(data, path)[None], png.text_of(data, CLASSES)
        ids = tuple(classes) if named is None else tuple(int(each) for each in named.split(","))
    except (ImageError, ValueError) as error:
        raise LabelError("holds probabilities that cannot be read.", path, "Predict again.", str(error)) from error
    if planes.dtype != np.uint8 or planes.ndim != 3:
        raise LabelError("holds other probabilities than those of this program.", path, "Predict again.")
    if len(planes) == 1 and len(ids) == 2:
        planes = np.concatenate([255 - planes, planes])
    return Probabilities(planes, ids) if len(planes) == len(ids) else None


def write_planes(path: Path, planes: NDArray[Any], classes: Sequence[int] = ()) -> None:
    """Write maps of 8 bits or of floats; the old file stays whole until the new one is.

    Parameters
    ----------
    path : Path
        ``.png`` for one map, ``.tif`` or ``.tiff`` for any number (one page each, tiled, deflated).
    planes : ndarray
        ``(c, h, w)`` uint8 or float32; floats only into a TIFF.
    classes : sequence of int
        Ids of the classes that probabilities are of, in the order of the planes (both, where there is one plane of
        two classes); they are written into the file.

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
        data = png.encode(np.ascontiguousarray(planes[0]))
        atomic_write(path, png.with_text(data, CLASSES, class_text(classes)) if classes else data)
        return
    if suffix not in (".tif", ".tiff"):
        raise UserError("Maps are written as .png or .tif.", path)
    import tifffile

    text = f"{CLASSES}={class_text(classes)}" if classes else None
    with atomic_path(path) as temporary, tifffile.TiffWriter(temporary, bigtiff=planes.nbytes > _BIG) as writer:
        for number, plane in enumerate(planes):
            writer.write(
                plane,
                tile=(TILE, TILE),
                compression="zlib",
                photometric="minisblack",
                description=None if number else text,
                metadata=None,
            )


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
    classes : sequence of int
        As for `write_planes`.

    Raises
    ------
    OSError
        The disk is full.
    """

    def __init__(
        self, path: Path, shape: tuple[int, int, int], dtype: np.dtype[Any], classes: Sequence[int] = ()
    ) -> None:
        self.path, self.shape, self.dtype, self.classes, self.rows = path, shape, dtype, classes, 0
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
            write_planes(self.path, np.memmap(self._file, self.dtype, "r", shape=self.shape), self.classes)
        finally:
            self.abort()

    def abort(self) -> None:
        """Leave nothing behind."""
        self._file.close()
