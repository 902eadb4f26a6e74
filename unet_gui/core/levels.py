"""Zoom levels of an image: level n is 1/2**n of the size, made by area average when a region of it is asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import numpy as np

from unet_gui.core.cv import cv2
from unet_gui.core.geometry import Rect

LAST_SIZE = 256
"""The last level fits in a square of this side."""
KEPT_PIXELS = 2**22
"""From the first level with at most this many pixels on, what was averaged is kept."""
_BLOCK = 256
_MISSING, _AT_WORK, _READY = 0, 1, 2
_BAND_PIXELS = 2**24  # of level 0, averaged at a time

_NATIVE = ("uint8", "uint16", "int16", "float32", "float64")  # types OpenCV averages


def level_shape(shape: tuple[int, int], level: int) -> tuple[int, int]:
    """Return height and width at a level, rounded up."""
    return -(-shape[0] >> level), -(-shape[1] >> level)


def level_count(shape: tuple[int, int]) -> int:
    """Return the number of levels of an image of this size."""
    level = 0
    while max(level_shape(shape, level)) > LAST_SIZE:
        level += 1
    return level + 1


def reduce(array: np.ndarray, factor: int) -> np.ndarray:
    """Return the area average of blocks of ``factor`` × ``factor`` pixels.

    At the right and lower edge the last column and row are repeated to fill the blocks.

    Parameters
    ----------
    array : numpy.ndarray
        (h, w) or (h, w, c) of any integer or float type.
    factor : int
        Side of a block.

    Returns
    -------
    numpy.ndarray
        Same type, sizes divided by `factor` and rounded up; integers are rounded.
    """
    if factor == 1:
        return array
    dtype = array.dtype
    if dtype.name not in _NATIVE:
        array = array.astype(np.int16 if dtype == np.int8 else np.float32 if dtype == np.float16 else np.float64)
    h, w = array.shape[:2]
    rows, cols = -(-h // factor), -(-w // factor)
    bottom, right = rows * factor - h, cols * factor - w
    if bottom or right:
        array = np.pad(array, ((0, bottom), (0, right)) + ((0, 0),) * (array.ndim - 2), mode="edge")
    if array.ndim == 2 or array.shape[2] <= 4:
        small = cv2.resize(array, (cols, rows), interpolation=cv2.INTER_AREA)
    else:
        parts = [cv2.resize(array[..., c], (cols, rows), interpolation=cv2.INTER_AREA) for c in range(array.shape[2])]
        small = np.dstack(parts)
    if small.dtype == dtype:
        return small
    return (np.rint(small) if dtype.kind in "iu" else small).astype(dtype)


class LevelCache:
    """Regions of the levels of an image.

    Level n up to the kept one is averaged from level 0, each time it is asked for. From the first level with at
    most `KEPT_PIXELS` pixels on, blocks are averaged once and kept, so that a whole view of a very large image reads
    it once. What comes out does not depend on the regions asked for. Threads that need the same blocks share the work.

    Parameters
    ----------
    shape : (int, int)
        Height and width at level 0.
    read : callable
        Returns a region of level 0 as a new array.
    in_rows : bool
        The file holds whole rows one after the other, so reading half a row costs as much as all of it.
    """

    def __init__(self, shape: tuple[int, int], read: Callable[[Rect], np.ndarray], *, in_rows: bool = False) -> None:
        self._shape, self._read = shape, read
        self._kept = 1
        while level_shape(shape, self._kept)[0] * level_shape(shape, self._kept)[1] > KEPT_PIXELS:
            self._kept += 1
        self._array: np.ndarray | None = None
        rows, cols = level_shape(shape, self._kept)
        self._block = (_BLOCK // 4, cols) if in_rows else (_BLOCK, _BLOCK)
        self._state = np.zeros((-(-rows // self._block[0]), -(-cols // self._block[1])), np.uint8)
        self._change = threading.Condition()

    def read(self, rect: Rect, level: int) -> np.ndarray:
        """Return a region (inside the level) at a level."""
        if level == 0:
            return self._read(rect)
        if level < self._kept:
            return self._average(rect, level)
        for _ in self.prepare(rect, level):
            pass
        assert self._array is not None
        kept, factor = self._kept_rect(rect, level)
        return (
            np.ascontiguousarray(reduce(self._array[kept.slices], factor))
            if factor > 1
            else (self._array[kept.slices].copy())
        )

    def prepare(self, rect: Rect, level: int) -> Iterator[tuple[Rect, int]]:
        """Average what is missing of the kept level for a region of a level, and yield each block with its level."""
        if level < self._kept or rect.empty:
            return
        kept, _ = self._kept_rect(rect, level)
        h, w = self._block
        places = [
            (row, col)
            for row in range(kept.y // h, (kept.y1 - 1) // h + 1)
            for col in range(kept.x // w, (kept.x1 - 1) // w + 1)
        ]
        while True:
            for place in places:
                if self._claim(place):
                    yield self._make(place), self._kept
            with self._change:  # the rest is being made by other threads; where one fails, it is up to this one
                if all(self._state[place] == _READY for place in places):
                    return
                if not any(self._state[place] == _MISSING for place in places):
                    self._change.wait()

    def _kept_rect(self, rect: Rect, level: int) -> tuple[Rect, int]:
        """Return a region in pixels of the kept level, and by what they are averaged to get the level."""
        step = level - self._kept
        kept = Rect(rect.x << step, rect.y << step, rect.w << step, rect.h << step)
        return kept.clip(level_shape(self._shape, self._kept)), 1 << step

    def _claim(self, place: tuple[int, int]) -> bool:
        with self._change:
            if self._state[place] != _MISSING:
                return False
            self._state[place] = _AT_WORK
            return True

    def _make(self, place: tuple[int, int]) -> Rect:
        """Average a block that was claimed and keep it."""
        h, w = self._block
        shape = level_shape(self._shape, self._kept)
        block = Rect(place[1] * w, place[0] * h, w, h).clip(shape)
        done = _MISSING
        try:
            pixels = self._average(block, self._kept)
            with self._change:
                if self._array is None:
                    self._array = np.zeros((*shape, *pixels.shape[2:]), pixels.dtype)
            self._array[block.slices] = pixels
            done = _READY
        finally:
            with self._change:
                self._state[place] = done
                self._change.notify_all()
        return block

    def _average(self, rect: Rect, level: int) -> np.ndarray:
        """Average a region of level 0 in bands, so that memory stays bounded."""
        step = max(1, _BAND_PIXELS // max(1, (rect.w << level) << level))
        bands = []
        for y in range(rect.y, rect.y1, step):
            h = min(step, rect.y1 - y)
            base = Rect(rect.x << level, y << level, rect.w << level, h << level).clip(self._shape)
            bands.append(reduce(self._read(base), 1 << level))
        return bands[0] if len(bands) == 1 else np.concatenate(bands)
