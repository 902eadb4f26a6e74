"""Files that are written as their rows come: of a very large picture only a few rows are ever in memory."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet_gui.core import label_stack, png
from unet_gui.core.atomic import atomic_path
from unet_gui.core.encoding import Encoding, fitting
from unet_gui.core.listing import TIFF_SUFFIXES
from unet_gui.core.planes import CLASSES, class_text
from unet_gui.core.store import MAKER, MARK

TILE = 256
WAITING = 2
"""Parts that may wait to be written; more would fill the memory."""
_BIG = 2**31  # bytes; from there on BigTIFF

Rows = Iterator[NDArray[Any]]


class RowsFile:
    """A picture file that takes its rows from top to bottom; a thread of its own writes them.

    The old file stays whole until `close`; after `abort` it is as if nothing had been written.

    Parameters
    ----------
    path : Path
    write : callable
        Takes a path and an iterator of arrays, and writes the file.
    """

    def __init__(self, path: Path, write: Callable[[Path, Rows], None]) -> None:
        self.path, self._write = path, write
        self._queue: queue.Queue[NDArray[Any] | None] = queue.Queue(WAITING)
        self._aborted = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="write-rows", daemon=True)
        self._thread.start()

    def put(self, rows: NDArray[Any]) -> None:
        """Hand over the next rows, waiting while too many wait already.

        Raises
        ------
        UserError
            The file cannot be written.
        """
        self._send(rows)

    def close(self) -> None:
        """Wait until the file is on the disk. Raises as `put`."""
        self._send(None)
        self._thread.join()
        if self._error is not None:
            raise self._error

    def abort(self) -> None:
        """Give up: nothing is left of it."""
        self._aborted.set()
        self._thread.join()

    def _send(self, rows: NDArray[Any] | None) -> None:
        while self._thread.is_alive():
            try:
                self._queue.put(rows, timeout=0.1)
                return
            except queue.Full:
                continue
        raise self._error or RuntimeError("rows after the end")

    def _run(self) -> None:
        try:
            with atomic_path(self.path) as temporary:
                self._write(temporary, self._rows())
        except _AbortedError:
            pass
        except BaseException as error:  # noqa: BLE001 - handed to whoever gives the rows
            self._error = error

    def _rows(self) -> Rows:
        while not self._aborted.is_set():
            try:
                rows = self._queue.get(timeout=0.1)
            except queue.Empty:
                continue
            if rows is None:
                return
            yield rows
        raise _AbortedError


class _AbortedError(Exception):
    """The rows will not come any more."""


def label_rows(path: Path, shape: tuple[int, int], encoding: Encoding, maker: str = "") -> RowsFile:
    """Return a label file to be written row by row, as `write_label` writes it in one piece.

    Parameters
    ----------
    path : Path
        ``.png`` or ``.tif``.
    shape : (int, int)
    encoding : Encoding
        ``index`` or ``binary``; it must hold all ids that will come.
    maker : str
        As for `write_label`.
    """

    def write(temporary: Path, rows: Rows) -> None:
        coded = (encoding.encode(part) for part in rows)
        _, _, marked = fitting(np.zeros((1, 1), np.uint8), encoding)
        if path.suffix.lower() in TIFF_SUFFIXES:
            write_tiff(temporary, coded, shape, np.uint8, label_stack.describe(marked, maker))
        else:
            texts = ({MAKER: maker} if maker else {}) | ({MARK: "index"} if marked else {})
            write_png(temporary, coded, shape, texts)

    return RowsFile(path, write)


def map_rows(path: Path, shape: tuple[int, int], kind: np.dtype[Any], classes: Sequence[int] = ()) -> RowsFile:
    """Return a map (8 bits, or floats in a TIFF) to be written row by row; ``classes`` as for `write_planes`."""
    named = class_text(classes)
    if path.suffix.lower() == ".png":
        texts = {CLASSES: named} if named else {}
        return RowsFile(path, lambda temporary, rows: write_png(temporary, rows, shape, texts))
    text = f"{CLASSES}={named}" if named else None
    return RowsFile(path, lambda temporary, rows: write_tiff(temporary, rows, shape, kind, text))


def write_png(path: Path, rows: Iterable[NDArray[np.uint8]], shape: tuple[int, int], texts: dict[str, str]) -> None:
    """Write an 8-bit grey PNG from its rows."""
    with open(path, "xb") as file:
        file.writelines(png.ids_file(rows, shape, b"", texts))


def write_tiff(path: Path, rows: Rows, shape: tuple[int, int], kind: Any, description: str | None) -> None:
    """Write a tiled, deflated TIFF from its rows."""
    import tifffile

    size = shape[0] * shape[1] * np.dtype(kind).itemsize
    with tifffile.TiffWriter(path, bigtiff=size > _BIG, byteorder="<") as writer:
        writer.write(
            _tiles(rows, shape[1]),
            shape=shape,
            dtype=kind,
            tile=(TILE, TILE),
            photometric="minisblack",
            compression="adobe_deflate",
            description=description,
            metadata=None,
            software=False,
            maxworkers=1,
        )


def _tiles(rows: Rows, width: int) -> Iterator[NDArray[Any]]:
    """Yield the tiles of a picture from left to right and top to bottom, those at its ends filled up with zeros."""
    for band in _bands(rows, TILE):
        for x in range(0, width, TILE):
            part = band[:, x : x + TILE]
            tile = np.zeros((TILE, TILE), band.dtype)
            tile[: part.shape[0], : part.shape[1]] = part
            yield tile


def _bands(rows: Rows, height: int) -> Rows:
    """Cut rows that come in parts of any height into parts of ``height``, the last one lower."""
    rest: NDArray[Any] | None = None
    for part in rows:
        joined = part if rest is None or not len(rest) else np.concatenate([rest, part])
        whole = len(joined) // height * height
        for y in range(0, whole, height):
            yield joined[y : y + height]
        rest = joined[whole:]
    if rest is not None and len(rest):
        yield rest
