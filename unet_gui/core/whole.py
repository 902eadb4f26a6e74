"""Corrections of a whole label, tile by tile, so that its size does not matter: specks, holes, grow and shrink.

Each generator looks at a label that does not change meanwhile, unless it says so, and yields what to write where.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unet_gui.core.blobs import specks
from unet_gui.core.cv import cv2
from unet_gui.core.geometry import Rect
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.planes import Probabilities

Ids = NDArray[np.uint8]
SIDE = 2048
"""Side of a tile."""


class Patch(NamedTuple):
    """What to write.

    Attributes
    ----------
    rect : Rect
    ids : ndarray of uint8, shape (rect.h, rect.w)
    mask : ndarray of bool, shape (rect.h, rect.w), or None
        Which of them; None for all.
    """

    rect: Rect
    ids: Ids
    mask: NDArray[np.bool_] | None


def without_specks(ids: Ids, smaller_than: int) -> Iterator[Patch]:
    """Let blobs of fewer than so many pixels become what surrounds them."""
    for tile, area in _tiles(ids, smaller_than):
        found = specks(ids[area.slices], smaller_than, tile.shift(-area.x, -area.y))
        yield Patch(area, found.ids, found.mask)


def without_holes(ids: Ids, class_id: int, smaller_than: int) -> Iterator[Patch]:
    """Fill the holes of a class that have fewer than so many pixels: what it encloses, whatever that is."""
    whole = Rect(0, 0, ids.shape[1], ids.shape[0])
    for _, area in _tiles(ids, smaller_than):
        other = ids[area.slices] != class_id
        _, numbers, stats, _ = cv2.connectedComponentsWithStats(other.view(np.uint8), connectivity=4)
        x, y, w, h = (stats[:, i] for i in (cv2.CC_STAT_LEFT, cv2.CC_STAT_TOP, cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT))
        hole = stats[:, cv2.CC_STAT_AREA] < smaller_than
        hole[0] = False
        # what reaches the edge of the image is not enclosed; what reaches the edge of the area is too large, or another
        # tile's, except at the edge of the image, where it is no hole either
        hole &= (x > 0) & (y > 0) & (x + w < area.w) & (y + h < area.h)
        yield Patch(area.intersect(whole), np.full(other.shape, class_id, np.uint8), hole[numbers])


def grown(ids: Ids, class_id: int, distance: float = 1.0) -> Iterator[Patch]:
    """Let a class take the pixels that are at most so far away from it."""
    for tile, area in _tiles(ids, math.ceil(distance) + 1):
        other = (ids[area.slices] != class_id).view(np.uint8)
        if other.all():
            continue
        near = cv2.distanceTransform(other, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) <= distance + 1e-4
        inside = tile.shift(-area.x, -area.y).slices
        mask = near[inside] & (other[inside] != 0)
        yield Patch(tile, np.full(mask.shape, class_id, np.uint8), mask)


def shrunk(ids: Ids, class_id: int, distance: float = 1.0) -> Iterator[Patch]:
    """Let a class lose the pixels that are at most so far from others; each becomes what is nearest to it."""
    for tile, area in _tiles(ids, math.ceil(distance) + 1):
        part = ids[area.slices]
        own = (part == class_id).view(np.uint8)
        if own.all() or not own.any():
            continue
        away, nearest = cv2.distanceTransformWithLabels(
            own, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
        )
        table = np.full(int(nearest.max()) + 1, UNLABELLED, np.uint8)
        outside = own == 0
        table[nearest[outside]] = part[outside]
        inside = tile.shift(-area.x, -area.y).slices
        mask = (own[inside] != 0) & (away[inside] <= distance + 1e-4)
        yield Patch(tile, table[nearest[inside]], mask)


def sure_of(
    ids: Ids, prediction: Ids, probabilities: Probabilities, sure: float, area: Rect | None = None
) -> Iterator[Patch]:
    """Let unlabelled pixels take the prediction wherever the model is at least so sure of it, 0 … 1.

    What has been yielded may be written meanwhile.
    """
    whole = Rect(0, 0, ids.shape[1], ids.shape[0])
    for tile in tiles(whole if area is None else area.intersect(whole)):
        part = tile.slices
        certain = probabilities.planes[(slice(None), *part)].max(axis=0) >= sure * 255
        said = prediction[part]
        yield Patch(tile, said, certain & (ids[part] == UNLABELLED) & (said != UNLABELLED))


def tiles(rect: Rect) -> Iterator[Rect]:
    """Yield a rectangle in tiles."""
    for tx, ty in rect.tiles(SIDE):
        yield Rect(tx * SIDE, ty * SIDE, SIDE, SIDE).intersect(rect)


def _tiles(ids: Ids, margin: int) -> Iterator[tuple[Rect, Rect]]:
    """Yield tiles, each with the area around it that decides about its pixels."""
    whole = Rect(0, 0, ids.shape[1], ids.shape[0])
    for tile in tiles(whole):
        yield tile, tile.grow(margin).intersect(whole)
