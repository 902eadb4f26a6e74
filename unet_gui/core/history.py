"""Undo and redo: what one edit changed, and the stack of them, limited in bytes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from unet_gui.core.geometry import EMPTY, Rect

if TYPE_CHECKING:
    from unet_gui.core.labels import LabelImage

TILE = 256

_MAGIC = b"UGD1"
_HEAD = struct.Struct("<4sIIIIIIII")  # magic, name bytes, h, w, rect x y w h, number of tiles
_TILE = struct.Struct("<III")  # tile column, tile row, bytes
_ENTRY_OVERHEAD = 200  # bytes of Python objects for one delta and for one of its tiles, about


def encode_tile(change: NDArray[np.uint8]) -> tuple[Rect, bytes]:
    """Pack the XOR of one tile.

    Returns
    -------
    bounds : Rect
        Smallest rectangle around the non-zero pixels, inside the tile.
    data : bytes
        Empty when nothing changed, one byte when all pixels have the same XOR (the inside of a big
        stroke: cheaper than deflating it), else the deflated pixels.
    """
    first = change[0, 0]
    if (change == first).all():
        h, w = change.shape
        return (Rect(0, 0, w, h), bytes([first])) if first else (EMPTY, b"")
    rows = np.flatnonzero(change.any(axis=1))
    columns = np.flatnonzero(change.any(axis=0))
    x, y = int(columns[0]), int(rows[0])
    bounds = Rect(x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1)
    return bounds, zlib.compress(change.tobytes(), 1)


class Delta:
    """What one edit changed: the XOR of every touched 256-pixel tile, deflated. It is its own inverse.

    Attributes
    ----------
    name : str
        What the person reads beside *Undo*.
    shape : tuple of int
        Rows and columns of the label it belongs to.
    rect : Rect
        Smallest rectangle around the changed pixels.
    nbytes : int
        Memory it takes, about.
    """

    def __init__(self, name: str, shape: tuple[int, int], rect: Rect, tiles: Mapping[tuple[int, int], bytes]) -> None:
        self.name = name
        self.shape = shape
        self.rect = rect
        self._tiles = dict(tiles)
        self.nbytes = sum(len(data) + _ENTRY_OVERHEAD for data in self._tiles.values()) + _ENTRY_OVERHEAD

    def __repr__(self) -> str:
        return f"Delta({self.name!r}, {self.rect}, {len(self._tiles)} tiles, {self.nbytes} bytes)"

    def apply(self, labels: LabelImage) -> Rect:
        """Undo or redo this change in ``labels`` and return the rectangle that changed."""
        return labels.apply(self)

    def decoded(self) -> Iterator[tuple[int, int, NDArray[np.uint8] | np.uint8]]:
        """Yield (tile column, tile row, XOR) for every touched tile; a scalar XOR stands for the whole tile."""
        for (tx, ty), data in self._tiles.items():
            if len(data) == 1:
                yield tx, ty, np.uint8(data[0])
                continue
            h, w = _tile_shape(self.shape, tx, ty)
            inflate = zlib.decompressobj()
            pixels = inflate.decompress(data, h * w + 1)  # never more, whatever a damaged file holds
            if len(pixels) != h * w or not inflate.eof:
                raise ValueError("not a recorded change: a tile of another size")
            yield tx, ty, np.frombuffer(pixels, np.uint8).reshape(h, w)

    def to_bytes(self) -> bytes:
        """Return the delta as bytes, for the journal."""
        name = self.name.encode()
        parts = [_HEAD.pack(_MAGIC, len(name), *self.shape, *self.rect, len(self._tiles)), name]
        for (tx, ty), data in self._tiles.items():
            parts += [_TILE.pack(tx, ty, len(data)), data]
        return b"".join(parts)

    @classmethod
    def from_bytes(cls, data: bytes) -> Delta:
        """Read what `to_bytes` wrote.

        Raises
        ------
        ValueError
            If the bytes are not a whole delta. Every tile is unpacked once to be sure.
        """
        try:
            delta = cls._parse(data)
            for _ in delta.decoded():
                pass
        except (struct.error, zlib.error, UnicodeDecodeError) as error:
            raise ValueError(f"not a recorded change: {error}") from error
        return delta

    @classmethod
    def _parse(cls, data: bytes) -> Delta:
        magic, name_length, h, w, x, y, rw, rh, count = _HEAD.unpack_from(data)
        if magic != _MAGIC:
            raise ValueError("not a recorded change: wrong first bytes")
        at = _HEAD.size + name_length
        name = data[_HEAD.size : at].decode()
        tiles: dict[tuple[int, int], bytes] = {}
        for _ in range(count):
            tx, ty, length = _TILE.unpack_from(data, at)
            at += _TILE.size
            tiles[tx, ty] = data[at : at + length]
            if len(tiles[tx, ty]) != length or length == 0:
                raise ValueError("not a recorded change: it ends too early")
            if tx * TILE >= w or ty * TILE >= h:
                raise ValueError("not a recorded change: a tile lies outside the label")
            at += length
        if at != len(data):
            raise ValueError("not a recorded change: bytes left over")
        return cls(name, (h, w), Rect(x, y, rw, rh), tiles)


def _tile_shape(shape: tuple[int, int], tx: int, ty: int) -> tuple[int, int]:
    return min(TILE, shape[0] - ty * TILE), min(TILE, shape[1] - tx * TILE)


class History:
    """The undo and redo stack of one label. Limited in bytes, never in entries: the oldest go first.

    Parameters
    ----------
    cap_bytes : int
        `nbytes` never exceeds it. A single change that is larger cannot be undone.
    """

    def __init__(self, cap_bytes: int = 256 * 2**20) -> None:
        self.cap_bytes = cap_bytes
        self._undo: list[Delta] = []
        self._redo: list[Delta] = []
        self._nbytes = 0

    @property
    def can_undo(self) -> bool:
        """Whether there is a change to take back."""
        return bool(self._undo)

    @property
    def can_redo(self) -> bool:
        """Whether there is a change to make again."""
        return bool(self._redo)

    @property
    def undo_stack(self) -> tuple[Delta, ...]:
        """All changes that can be taken back, oldest first."""
        return tuple(self._undo)

    @property
    def next_undo(self) -> Delta | None:
        """The change that `undo` would take back, None when there is none; the journal writes it down."""
        return self._undo[-1] if self._undo else None

    @property
    def next_redo(self) -> Delta | None:
        """The change that `redo` would make again, None when there is none."""
        return self._redo[-1] if self._redo else None

    @property
    def undo_text(self) -> str:
        """Name of the change that `undo` would take back, empty when there is none."""
        return self._undo[-1].name if self._undo else ""

    @property
    def redo_text(self) -> str:
        """Name of the change that `redo` would make again, empty when there is none."""
        return self._redo[-1].name if self._redo else ""

    @property
    def nbytes(self) -> int:
        """Memory of all entries, about."""
        return self._nbytes

    def __len__(self) -> int:
        return len(self._undo) + len(self._redo)

    def push(self, delta: Delta | None) -> None:
        """Add a change that has just been made; None (a no-op) is ignored. What was undone is forgotten."""
        if delta is None:
            return
        self.drop_redo()
        self._undo.append(delta)
        self._nbytes += delta.nbytes
        while self._nbytes > self.cap_bytes:
            self._nbytes -= self._undo.pop(0).nbytes

    def undo(self, labels: LabelImage) -> Rect:
        """Take the last change back and return the rectangle that changed, `EMPTY` when there is none."""
        if not self._undo:
            return EMPTY
        rect = self._undo[-1].apply(labels)
        self._redo.append(self._undo.pop())
        return rect

    def redo(self, labels: LabelImage) -> Rect:
        """Make the last undone change again and return the rectangle that changed, `EMPTY` when there is none."""
        if not self._redo:
            return EMPTY
        rect = self._redo[-1].apply(labels)
        self._undo.append(self._redo.pop())
        return rect

    def drop_redo(self) -> None:
        """Forget what was undone."""
        self._nbytes -= sum(old.nbytes for old in self._redo)
        self._redo.clear()

    def clear(self) -> None:
        """Forget all changes."""
        self._undo.clear()
        self._redo.clear()
        self._nbytes = 0
