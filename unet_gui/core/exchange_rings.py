"""Outlines of blobs along the borders of their pixels, and back, pixel for pixel.

Corners are on pixel borders: pixel (x, y) covers x … x+1, y … y+1, so a blob's outline is a closed ring of horizontal
and vertical lines between whole numbers. A pixel is inside a polygon when its middle is (even-odd rule), which gives
back exactly the pixels that were traced. (OpenCV's outlines run through the middles of border pixels, and its filling
takes every pixel that a line touches: such corners in another program are a blob that is half a pixel too small.)
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unet_gui.core.cv import cv2
from unet_gui.core.geometry import EMPTY, Rect

Ring = NDArray[np.float64]
"""Corners (n, 2) as x, y; closed without repeating the first."""


class Blob(NamedTuple):
    """Pixels of one class that touch at a side.

    Attributes
    ----------
    class_id : int
    rect : Rect
        The smallest rectangle around it.
    area : int
        Number of pixels.
    outer : ndarray of float64, (n, 2)
        Outline, clockwise on the screen.
    holes : tuple of ndarray
        Outlines of what it encloses, anticlockwise.
    """

    class_id: int
    rect: Rect
    area: int
    outer: Ring
    holes: tuple[Ring, ...]

    @property
    def rings(self) -> tuple[Ring, ...]:
        """The outline and those of the holes."""
        return (self.outer, *self.holes)

    @property
    def span(self) -> float:
        """Area inside the outer outline, holes included."""
        return abs(signed_area(self.outer))


def signed_area(ring: Ring) -> float:
    """Return the area inside a ring; positive when it runs clockwise on the screen."""
    after = _shifted(ring)
    return float((ring[:, 0] * after[:, 1] - after[:, 0] * ring[:, 1]).sum() / 2)


def _shifted(ring: Ring) -> Ring:
    """Return for each corner the next one; `np.roll` takes five times as long for short rings."""
    return np.concatenate((ring[1:], ring[:1]))


def blobs_of(ids: NDArray[np.uint8], classes: Iterable[int]) -> list[Blob]:
    """Return the blobs of these classes with their outlines, class by class, from top to bottom.

    Parameters
    ----------
    ids : ndarray of uint8, (h, w)
        Class ids.
    classes : iterable of int
        Those to trace; 255 gives the unlabelled areas.
    """
    found: list[Blob] = []
    for class_id in classes:
        mask = ids == class_id
        if mask.any():
            found += _trace(mask, class_id)
    return found


def _trace(mask: NDArray[np.bool_], class_id: int) -> list[Blob]:
    count, numbers, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=4)
    outer: list[Ring | None] = [None] * count
    holes: list[list[Ring]] = [[] for _ in range(count)]
    for ring in _rings(mask):
        x, y = ring[0].astype(int)  # the ring's first corner is its top left one
        number = int(numbers[y, x]) if y < mask.shape[0] and x < mask.shape[1] else 0
        if number:
            outer[number] = ring
        else:
            holes[int(numbers[y - 1, x])].append(ring[::-1])
    blobs = []
    for number in range(1, count):
        ring_of = outer[number]
        assert ring_of is not None
        x, y, w, h, area = (int(value) for value in stats[number])
        blobs.append(Blob(class_id, Rect(x, y, w, h), area, ring_of, tuple(holes[number])))
    return blobs


def _rings(mask: NDArray[np.bool_]) -> list[Ring]:
    """Return all outlines of a mask; each starts at its top left corner and goes right."""
    y, x, right, down = _corners(mask)
    if not len(y):
        return []
    across, along = _mates(y, x, right), _mates(x, y, down)
    points = np.stack([x, y], axis=1).astype(np.float64)
    seen = bytearray(len(y))
    rings = []
    mates = (across.tolist(), along.tolist())
    for start in np.lexsort((~down, ~right, x, y)).tolist():
        if seen[start]:
            continue
        ring, here, turn = [], start, 0
        while not seen[here]:
            seen[here] = 1
            ring.append(here)
            here = mates[turn][here]
            turn ^= 1
        rings.append(points[ring])
    return rings


def _corners(mask: NDArray[np.bool_]) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Return y, x of each corner, and whether its horizontal line goes right and its vertical one down.

    Where two blobs, or two ends of one, touch at a corner only, there are two corners at one place, one for each, so
    that outlines never cross there.
    """
    wide = np.pad(mask, 1).view(np.uint8)
    kind = wide[:-1, :-1] | wide[:-1, 1:] << 1 | wide[1:, :-1] << 2 | wide[1:, 1:] << 3
    y, x = np.nonzero(_IS_CORNER[kind])
    kinds = kind[y, x]
    second = _SECOND[kinds] > 0
    right = np.concatenate([_RIGHT[kinds], np.ones(int(second.sum()), bool)])
    down = np.concatenate([_DOWN[kinds], _SECOND[kinds[second]] == 1])
    return np.concatenate([y, y[second]]), np.concatenate([x, x[second]]), right, down


# pixels around a corner: 1 top left, 2 top right, 4 bottom left, 8 bottom right
_IS_CORNER = np.array([k not in (0, 15, 3, 12, 5, 10) for k in range(16)])
_RIGHT = np.array(
    [bool((k >> 1 & 1) ^ (k >> 3 & 1)) and k not in (6, 9) for k in range(16)]
)  # of 6 and 9, the left one
_DOWN = np.array(
    [bool((k >> 2 & 1) ^ (k >> 3 & 1)) and k != 9 for k in range(16)]
)  # of 6 the bottom left, 9 the top left
_SECOND = np.array(
    [{9: 1, 6: 2}.get(k, 0) for k in range(16)]
)  # the other corner, to the right: 1 goes down, 2 goes up


def _mates(line: NDArray, place: NDArray, forward: NDArray) -> NDArray[np.intp]:
    """Return for each corner the other end of its line: along each line, corners belong together two by two."""
    order = np.lexsort((forward, place, line)).reshape(-1, 2)
    mates = np.empty(len(line), np.intp)
    mates[order[:, 0]], mates[order[:, 1]] = order[:, 1], order[:, 0]
    return mates


def inset(ring: Ring, by: float = 0.01) -> Ring:
    """Return a traced ring with its right and lower lines drawn in by a hair.

    A program that cuts decimals off and fills up to and including the line (Pillow does, and labelme with it) then
    fills the same pixels; by the middles of pixels nothing changes.

    Parameters
    ----------
    ring : ndarray of float64, (n, 2)
        From `blobs_of`: outer rings clockwise, holes anticlockwise.
    by : float
        Less than half a pixel.
    """
    after = _shifted(ring) - ring
    before = np.concatenate((after[-1:], after[:-1]))
    dx, dy = (after + before).T  # one of the two lines is horizontal, the other vertical
    # clockwise, lines that go down have the blob to their left and lines that go left have it above
    return ring - by * np.stack([dy > 0, dx < 0], axis=1)


def fill(rings: Iterable[ArrayLike], shape: tuple[int, int]) -> tuple[Rect, NDArray[np.bool_]]:
    """Return the pixels whose middle is inside an odd number of rings.

    Parameters
    ----------
    rings : iterable of (n, 2) arrays
        Corners x, y, of any kind, also outside the image.
    shape : (int, int)
        Height and width of the image.

    Returns
    -------
    (Rect, ndarray of bool)
        The part of the image that holds them, and which of its pixels are inside.
    """
    starts, ends = _edges(rings)
    if not len(starts):
        return EMPTY, np.zeros((0, 0), bool)
    low, high = np.minimum(starts, ends).min(axis=0), np.maximum(starts, ends).max(axis=0)
    x0, y0 = (max(0, int(np.floor(v))) for v in low)
    x1, y1 = min(shape[1], int(np.ceil(high[0]))), min(shape[0], int(np.ceil(high[1])))
    rect = Rect(x0, y0, x1 - x0, y1 - y0)
    if rect.empty:
        return EMPTY, np.zeros((0, 0), bool)
    rows, columns = _crossings(starts - (x0, y0), ends - (x0, y0), rect)
    flips = np.zeros((rect.h, rect.w + 1), np.uint8)
    np.bitwise_xor.at(flips, (rows, columns), 1)
    return rect, np.bitwise_xor.accumulate(flips[:, :-1], axis=1).view(bool)


def _edges(rings: Iterable[ArrayLike]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    corners = [np.asarray(ring, np.float64).reshape(-1, 2) for ring in rings]
    if not corners:
        return np.zeros((0, 2)), np.zeros((0, 2))
    starts = np.concatenate(corners)
    ends = np.concatenate([_shifted(ring) for ring in corners])
    return starts, ends


def _crossings(starts: NDArray, ends: NDArray, rect: Rect) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return row and first column to the right of each place where an edge crosses the middle of a row of pixels."""
    upper = np.where((starts[:, 1] <= ends[:, 1])[:, None], starts, ends)
    lower = np.where((starts[:, 1] <= ends[:, 1])[:, None], ends, starts)
    first = np.clip(np.ceil(upper[:, 1] - 0.5), 0, rect.h).astype(np.intp)
    last = np.clip(np.ceil(lower[:, 1] - 0.5), 0, rect.h).astype(np.intp)  # the first row not crossed any more
    count = last - first
    edge = np.repeat(np.arange(len(count)), count)
    rows = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + first[edge]
    dy = (lower - upper)[edge, 1]
    x = upper[edge, 0] + (rows + 0.5 - upper[edge, 1]) / dy * (lower - upper)[edge, 0]
    return rows, np.clip(np.ceil(x - 0.5), 0, rect.w).astype(np.intp)


def joined(outer: Ring, holes: Sequence[Ring]) -> Ring:
    """Return one ring around a blob and its holes, for formats that know no holes.

    Each hole is tied to what is left of it by a line that is walked there and back; it has no width, and encloses
    nothing by any rule of filling.

    Parameters
    ----------
    outer : ndarray of float64, (n, 2)
        From `blobs_of`, as the holes.
    holes : sequence of ndarray
        Rings inside it, running the other way round.
    """
    if not holes:
        return outer
    rings = [outer, *(np.roll(hole, -int(hole[:, 0].argmin()), axis=0) for hole in holes)]  # first a leftmost corner
    firsts = np.cumsum([0, *map(len, rings)]).tolist()
    points = np.concatenate(rings)
    tied: dict[int, list[int]] = {}  # corner: holes that are tied to it
    for hole, at in enumerate(_to_the_left(points, firsts[1:-1]), 1):
        tied.setdefault(at, []).append(hole)
    corners = sorted(tied)
    walk: list[NDArray] = []
    ahead: list[int | tuple[int, int]] = [0]  # rings still to be walked, and stretches of corners
    while ahead:
        step = ahead.pop()
        if isinstance(step, tuple):
            walk.append(points[step[0] : step[1]])
            continue
        here, end = firsts[step], firsts[step + 1]
        stretches: list[int | tuple[int, int]] = []
        for at in corners[bisect_left(corners, here) : bisect_left(corners, end)]:
            stretches.append((here, at + 1))
            for hole in tied[at]:
                stretches += [hole, (at, at + 1)]
            here = at + 1
        stretches.append((here, end))
        if step:
            stretches.append((firsts[step], firsts[step] + 1))  # back to where the hole is tied
        ahead += reversed(stretches)
    return np.concatenate(walk)


def _to_the_left(points: Ring, starts: Sequence[int]) -> list[int]:
    """Return for each hole's leftmost corner one farther left: the next in the same line, or else the nearest of all.

    As everything is tied to something farther left, all holes hang on the outer ring in the end.
    """
    x, y = points.T.astype(np.int64)
    width = int(x.max()) + 1
    order = np.lexsort((x, y))
    before = np.searchsorted((y * width + x)[order], [y[start] * width + x[start] for start in starts]) - 1
    found = []
    for start, place in zip(starts, before.tolist(), strict=True):
        at = int(order[place])
        if place < 0 or y[at] != y[start]:
            left = np.flatnonzero(x < x[start])
            at = int(left[((points[left] - points[start]) ** 2).sum(axis=1).argmin()])
        found.append(at)
    return found
