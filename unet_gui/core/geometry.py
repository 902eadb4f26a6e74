"""Integer rectangles in image pixels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Rect(NamedTuple):
    """A rectangle of pixels: columns ``x … x+w-1``, rows ``y … y+h-1``. Empty when ``w`` or ``h`` is not positive."""

    x: int
    y: int
    w: int
    h: int

    @property
    def x1(self) -> int:
        """First column to the right of the rectangle."""
        return self.x + self.w

    @property
    def y1(self) -> int:
        """First row below the rectangle."""
        return self.y + self.h

    @property
    def empty(self) -> bool:
        """Whether the rectangle holds no pixel."""
        return self.w <= 0 or self.h <= 0

    @property
    def area(self) -> int:
        """Number of pixels in the rectangle."""
        return 0 if self.empty else self.w * self.h

    @property
    def slices(self) -> tuple[slice, slice]:
        """Row and column slices for a numpy array. The rectangle must not have negative coordinates."""
        return slice(self.y, self.y1), slice(self.x, self.x1)

    def union(self, other: Rect) -> Rect:
        """Return the smallest rectangle around both; an empty one counts as nothing."""
        if self.empty:
            return other
        if other.empty:
            return self
        x, y = min(self.x, other.x), min(self.y, other.y)
        return Rect(x, y, max(self.x1, other.x1) - x, max(self.y1, other.y1) - y)

    def intersect(self, other: Rect) -> Rect:
        """Return the common rectangle, `EMPTY` when there is none."""
        x, y = max(self.x, other.x), max(self.y, other.y)
        w, h = min(self.x1, other.x1) - x, min(self.y1, other.y1) - y
        return Rect(x, y, w, h) if w > 0 and h > 0 else EMPTY

    def clip(self, shape: tuple[int, ...]) -> Rect:
        """Return the part inside an array of this shape (rows, columns, …)."""
        return self.intersect(Rect(0, 0, shape[1], shape[0]))

    def grow(self, n: int) -> Rect:
        """Return the rectangle widened by ``n`` pixels on every side."""
        return self if self.empty else Rect(self.x - n, self.y - n, self.w + 2 * n, self.h + 2 * n)

    def shift(self, dx: int, dy: int) -> Rect:
        """Return the rectangle moved by (dx, dy)."""
        return Rect(self.x + dx, self.y + dy, self.w, self.h)

    def contains(self, other: Rect) -> bool:
        """Whether every pixel of ``other`` lies in this rectangle."""
        return other.empty or self.intersect(other) == other

    def tiles(self, size: int) -> Iterator[tuple[int, int]]:
        """Yield (tile column, tile row) of every ``size``-pixel tile that the rectangle touches."""
        if self.empty:
            return
        for ty in range(self.y // size, (self.y1 - 1) // size + 1):
            for tx in range(self.x // size, (self.x1 - 1) // size + 1):
                yield tx, ty


EMPTY = Rect(0, 0, 0, 0)


def middle_of(shape: tuple[int, ...], side: int) -> Rect:
    """Return the middle of an array of this shape (rows, columns, …), a square; all of one that has no more pixels.

    Examples
    --------
    >>> middle_of((10, 8), 4)
    Rect(x=2, y=3, w=4, h=4)
    >>> middle_of((2, 8), 4)
    Rect(x=0, y=0, w=8, h=2)
    """
    h, w = shape[:2]
    if h * w <= side**2:
        return Rect(0, 0, w, h)
    return Rect((w - side) // 2, (h - side) // 2, side, side).clip(shape)
