"""The connected pixels of one class around a pixel, found tile by tile: the cost follows them and not the image.

Pixels that touch at a side belong together, corners do not count.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from unet_gui.core.cv import cv2
from unet_gui.core.geometry import EMPTY, Rect
from unet_gui.core.labels import mask_bounds
from unet_gui.core.strokes import NOTHING, Mask, Shape

Ids = NDArray[np.uint8]
Numbers = NDArray[np.int32]
_Key = tuple[int, int]  # column and row of a tile
Part = tuple[Rect, Mask | None]
"""A rectangle and which of its pixels; None for all of them."""

SIDE = 512
"""Of a tile."""

_ALL = slice(None)
_SIDES = ((-1, 0, (_ALL, 0)), (0, -1, (0, _ALL)), (1, 0, (_ALL, -1)), (0, 1, (-1, _ALL)))
"""Step to a neighbour and the pixels at that side; two further on is the opposite side."""


def flood_parts(ids: Ids, x: int, y: int, limit: Rect | None = None, side: int = SIDE) -> Iterator[Part]:
    """Yield the connected pixels that have the same class as pixel (x, y), none of them twice.

    Parameters
    ----------
    ids : ndarray of uint8, shape (h, w)
        Only what has been yielded may change meanwhile.
    x, y : int
        The seed; outside the array (or `limit`) nothing is yielded.
    limit : Rect, optional
        What lies outside counts as another class.
    side : int
        Of a tile.
    """
    area = Rect(0, 0, ids.shape[1], ids.shape[0])
    area = area if limit is None else limit.intersect(area)
    if Rect(x, y, 1, 1).intersect(area).empty:
        return
    class_id = ids[y, x]
    first = x // side, y // side
    queue = deque([first])
    reached: dict[_Key, list[tuple[int, Mask]]] = {first: []}  # those in the queue: which pixels of which side
    done: dict[_Key, list[Mask]] = {}  # which pixels of their sides have been yielded
    while queue:
        tx, ty = key = queue.popleft()
        rect = Rect(tx * side, ty * side, side, side).intersect(area)
        sides = done.get(key) or [np.zeros(rect.w if n % 2 else rect.h, bool) for n in range(4)]
        entries = [(n, touched & ~sides[n]) for n, touched in reached.pop(key)]
        if done and not any(touched.any() for _, touched in entries):
            continue
        numbers = _blobs(ids[rect.slices] == class_id)
        borders = [numbers[pixels] for _, _, pixels in _SIDES]
        wanted = {int(numbers[y - rect.y, x - rect.x])} if not done else _entered(borders, entries)
        done[key] = sides
        if not wanted:
            continue
        yield rect, _mask(numbers, wanted)
        for n, (dx, dy, _) in enumerate(_SIDES):
            touched = np.isin(borders[n], list(wanted))
            sides[n] |= touched
            neighbour = tx + dx, ty + dy
            if touched.any() and not Rect(neighbour[0] * side, neighbour[1] * side, side, side).intersect(area).empty:
                if neighbour not in reached:
                    reached[neighbour] = []
                    queue.append(neighbour)
                reached[neighbour].append(((n + 2) % 4, touched))


def flood(ids: Ids, x: int, y: int, limit: Rect | None = None, side: int = SIDE) -> Shape:
    """Return all of it as one shape; see `flood_parts`."""
    return joined(flood_parts(ids, x, y, limit, side))


def pieces(rect: Rect, mask: Mask | None = None) -> Iterator[Part]:
    """Yield a rectangle, or a shape in it, in parts."""
    for tx, ty in rect.tiles(SIDE):
        tile = Rect(tx * SIDE, ty * SIDE, SIDE, SIDE).intersect(rect)
        yield tile, None if mask is None else mask[tile.shift(-rect.x, -rect.y).slices]


def joined(parts: Iterable[Part]) -> Shape:
    """Return one shape from parts that do not overlap."""
    found = [(rect, mask, rect if mask is None else _bounds(rect, mask)) for rect, mask in parts]
    whole = EMPTY
    for _, _, bounds in found:
        whole = whole.union(bounds)
    if whole.empty:
        return NOTHING
    result = np.zeros((whole.h, whole.w), bool)
    for rect, mask, bounds in found:
        place = result[bounds.shift(-whole.x, -whole.y).slices]
        if mask is None:
            place[...] = True
        else:
            place |= mask[bounds.shift(-rect.x, -rect.y).slices]
    return whole, result


def _bounds(rect: Rect, mask: Mask) -> Rect:
    return mask_bounds(mask).shift(rect.x, rect.y)


def _blobs(inside: Mask) -> Numbers:
    """Return the number of the blob that every pixel belongs to, 0 outside."""
    if inside.all():
        return np.broadcast_to(np.int32(1), inside.shape)
    numbers: Numbers = cv2.connectedComponents(inside.view(np.uint8), connectivity=4)[1]
    return numbers


def _entered(borders: list[Numbers], entries: list[tuple[int, Mask]]) -> set[int]:
    """Return the numbers of the blobs that are reached from neighbours."""
    found: set[int] = set()
    for n, touched in entries:
        found.update(np.unique(borders[n][touched]).tolist())
    return found - {0}


def _mask(numbers: Numbers, wanted: set[int]) -> Mask | None:
    """Return which pixels have one of these numbers, None for all of them."""
    if 0 in numbers.strides:
        return None
    if len(wanted) == 1:
        return np.equal(numbers, next(iter(wanted)))
    table = np.zeros(int(numbers.max()) + 1, bool)
    table[list(wanted)] = True
    return table[numbers]
