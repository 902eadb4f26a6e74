"""Half-size levels of a label, so that a zoomed-out view reads few pixels and thin strokes stay visible."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from unet_gui.core.geometry import EMPTY, Rect
from unet_gui.core.labels import UNLABELLED

TILE = 256
MEND_AT_ONCE = 4 * 2**20
"""Pixels of a change above which the levels are not mended at once, so that no change holds up the next event."""

Ids = NDArray[np.uint8]


def halve(ids: Ids) -> Ids:
    """Return the label at half its size, rounded up: of 2×2 pixels the first one that is labelled.

    Parameters
    ----------
    ids : ndarray of uint8, shape (h, w)

    Returns
    -------
    ndarray of uint8, shape (ceil(h / 2), ceil(w / 2))
        Reading order decides between two classes, so a level is an unbiased sample of the classes.
    """
    half = np.array(ids[::2, ::2], order="C")  # always a copy: where the slice is contiguous, too
    for dy, dx in ((0, 1), (1, 0), (1, 1)):
        other = ids[dy::2, dx::2]
        part = half[: other.shape[0], : other.shape[1]]
        np.copyto(part, other, where=np.equal(part, UNLABELLED))
    return half


class LabelPyramid:
    """The levels of a label, made tile by tile when they are looked at.

    Parameters
    ----------
    ids : ndarray of uint8, shape (h, w)
        The label; the pyramid keeps a view and never writes to it. Whoever changes it calls `refresh`.

    Attributes
    ----------
    levels : int
        Number of levels, level 0 is the label itself; the last one is not larger than one tile.
    """

    def __init__(self, ids: Ids) -> None:
        self._levels: list[Ids] = [ids]
        h, w = ids.shape
        while max(h, w) > TILE:
            h, w = (h + 1) // 2, (w + 1) // 2
            self._levels.append(np.empty((h, w), np.uint8))  # the system gives memory as tiles are filled
        self.levels = len(self._levels)
        self._ready = [
            np.zeros(((a.shape[0] - 1) // TILE + 1, (a.shape[1] - 1) // TILE + 1), bool) for a in self._levels
        ]
        self._ready[0][:] = True

    def shape(self, level: int) -> tuple[int, int]:
        """Return rows and columns of a level."""
        return self._levels[level].shape[0], self._levels[level].shape[1]

    @property
    def nbytes(self) -> int:
        """Memory of the levels that were filled so far, without the label itself, about."""
        return sum(int(ready.sum()) * TILE * TILE for ready in self._ready[1:])

    def missing(self, rect: Rect, level: int) -> list[tuple[int, int]]:
        """Return the (tile column, tile row) of ``level`` that touch ``rect`` (in its pixels) and are not made yet."""
        ready = self._ready[level]
        return [(tx, ty) for tx, ty in rect.clip(self.shape(level)).tiles(TILE) if not ready[ty, tx]]

    def build(self, rect: Rect, level: int, pixels: int = 4 * 2**20) -> Iterator[Rect]:
        """Make the missing tiles that touch ``rect``, and what they need of the finer levels, in small portions.

        Parameters
        ----------
        rect : Rect
            In pixels of ``level``, inside it.
        level : int
        pixels : int
            Size of a portion, in pixels that are read.

        Yields
        ------
        Rect
            After every portion: the part of ``level`` that was finished in it, `EMPTY` when none was.
        """
        done, work = EMPTY, 0
        for tile, made in self._make_missing(rect, level):
            work += 4 * tile.area
            if made == level:
                done = done.union(tile)
            if work >= pixels:
                yield done
                done, work = EMPTY, 0
        if work:
            yield done

    def _make_missing(self, rect: Rect, level: int) -> Iterator[tuple[Rect, int]]:
        """Make every missing tile, finer ones first, and yield each with its level."""
        for tx, ty in self.missing(rect, level):
            tile = Rect(tx * TILE, ty * TILE, TILE, TILE).clip(self.shape(level))
            if level > 1:
                finer = Rect(2 * tile.x, 2 * tile.y, 2 * tile.w, 2 * tile.h).clip(self.shape(level - 1))
                yield from self._make_missing(finer, level - 1)
            self._fill(tile, level)
            self._ready[level][ty, tx] = True
            yield tile, level

    def view(self, level: int) -> Ids:
        """Return the pixels of a level; only tiles that were made hold anything."""
        return self._levels[level]

    def read(self, rect: Rect, level: int) -> Ids:
        """Return the pixels of ``rect`` at ``level``, made now where they are missing. No copy.

        Parameters
        ----------
        rect : Rect
            In pixels of the level, inside it.
        """
        for _ in self.build(rect, level):
            pass
        return self._levels[level][rect.slices]

    def refresh(self, rect: Rect, upto: int | None = None) -> None:
        """Bring the levels up to date after the label changed in ``rect``.

        What is on screen and small enough is mended now; the rest is marked and made again when somebody looks.

        Parameters
        ----------
        rect : Rect
            In pixels of the label.
        upto : int, optional
            The coarsest level that is on screen; None for all of them.
        """
        rect = rect.clip(self.shape(0))
        now = rect.area <= MEND_AT_ONCE
        for level in range(1, self.levels):
            if rect.empty:
                return
            x, y = rect.x // 2, rect.y // 2
            rect = Rect(x, y, (rect.x1 + 1) // 2 - x, (rect.y1 + 1) // 2 - y)
            rows, columns = slice(y // TILE, (rect.y1 - 1) // TILE + 1), slice(x // TILE, (rect.x1 - 1) // TILE + 1)
            ready = self._ready[level][rows, columns]
            if not now or (upto is not None and level > upto):
                ready[:] = False
            elif ready.all():
                self._fill(rect, level)
            elif ready.any():
                for tx, ty in rect.tiles(TILE):
                    if self._ready[level][ty, tx]:
                        self._fill(rect.intersect(Rect(tx * TILE, ty * TILE, TILE, TILE)), level)

    def _fill(self, rect: Rect, level: int) -> None:
        if rect == EMPTY:
            return
        finer = Rect(2 * rect.x, 2 * rect.y, 2 * rect.w, 2 * rect.h).clip(self.shape(level - 1))
        self._levels[level][rect.slices] = halve(self._levels[level - 1][finer.slices])
