"""Blobs of a label: their holes, neighbours and size, growing and shrinking, and cleaning up specks.

A blob is a set of pixels of one class that touch at a side. Shapes are (rectangle, mask) as in `core.strokes`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unet_gui.core.cv import cv2
from unet_gui.core.geometry import Rect
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.strokes import NOTHING, Mask, Shape

Ids = NDArray[np.uint8]


def trimmed(rect: Rect, mask: Mask) -> Shape:
    """Return the same shape in the smallest rectangle."""
    rows = np.flatnonzero(np.logical_or.reduce(mask, axis=1))
    columns = np.flatnonzero(np.logical_or.reduce(mask, axis=0))
    if not len(rows):
        return NOTHING
    inner = Rect(int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1)
    return inner.shift(rect.x, rect.y), mask[inner.slices]


def holes(rect: Rect, mask: Mask) -> Shape:
    """Return the pixels that a shape encloses: those from which no way leads out without crossing it.

    Ways go from side to side; where the shape touches only at corners, it leaks no more than it holds together.
    """
    outside = np.pad(~mask, 1, constant_values=True).astype(np.uint8)
    around = np.zeros((outside.shape[0] + 2, outside.shape[1] + 2), np.uint8)
    cv2.floodFill(outside, around, (0, 0), 2, flags=4)
    return trimmed(rect, outside[1:-1, 1:-1] == 1)


def grown(rect: Rect, mask: Mask, distance: float) -> Shape:
    """Return a shape grown by a distance in all directions, or shrunk by a negative one.

    Parameters
    ----------
    rect, mask
        The shape.
    distance : float
        A pixel belongs to the grown shape when the middle of one of its pixels is at most so far away; it stays in
        the shrunk shape when all pixels outside are farther away than that.
    """
    reach = math.ceil(abs(distance))
    if distance == 0:
        return rect, mask
    if distance > 0:
        wide = np.pad(mask, reach)
        near = cv2.distanceTransform((~wide).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) <= distance + 1e-4
        return trimmed(rect.grow(reach), near)
    wide = np.pad(mask, 1)
    deep = cv2.distanceTransform(wide.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) > -distance + 1e-4
    return trimmed(rect.grow(1), deep)


def surrounding(ids: Ids, rect: Rect, mask: Mask) -> int:
    """Return the id that most pixels have which touch a shape from outside at a side, 255 when there is none.

    Parameters
    ----------
    ids : ndarray of uint8, shape (h, w)
    rect : Rect
        Inside the array.
    mask : ndarray of bool, shape (rect.h, rect.w)
    """
    area = rect.grow(1).clip(ids.shape)
    inside = np.zeros((area.h, area.w), bool)
    inside[rect.shift(-area.x, -area.y).slices] = mask
    touching = np.zeros_like(inside)
    touching[1:] |= inside[:-1]
    touching[:-1] |= inside[1:]
    touching[:, 1:] |= inside[:, :-1]
    touching[:, :-1] |= inside[:, 1:]
    touching &= ~inside
    counts = np.bincount(ids[area.slices][touching], minlength=256)
    return int(counts.argmax()) if counts.any() else UNLABELLED


class Specks(NamedTuple):
    """Blobs that are too small.

    Attributes
    ----------
    number : int
        How many.
    mask : ndarray of bool, shape (h, w)
        Their pixels.
    ids : ndarray of uint8, shape (h, w)
        What should be there instead: the id that most of their neighbours have.
    """

    number: int
    mask: Mask
    ids: Ids


def specks(ids: Ids, smaller_than: int, inside: Rect | None = None) -> Specks:
    """Find the blobs of fewer than so many pixels.

    Parameters
    ----------
    ids : ndarray of uint8, shape (h, w)
        Part of a label. Unlabelled pixels are nothing: they form no blob, but a blob in them becomes unlabelled.
    smaller_than : int
        Number of pixels that is large enough.
    inside : Rect, optional
        Only blobs that touch this part. When it is `smaller_than` pixels away from those sides of ``ids`` where the
        label goes on, no blob is taken for smaller than it is.
    """
    ids = np.ascontiguousarray(ids)
    blobs = np.zeros(ids.shape, np.int32)  # number of the speck, 0 for everything else
    count = 0
    for class_id in np.flatnonzero(np.bincount(ids.ravel(), minlength=256)[:UNLABELLED]).tolist():
        _, numbers, stats, _ = cv2.connectedComponentsWithStats((ids == class_id).view(np.uint8), connectivity=4)
        small = stats[:, cv2.CC_STAT_AREA] < smaller_than
        small[0] = False
        if inside is not None:
            small &= _touches(stats, inside)
        found = int(small.sum())
        if found:
            new_numbers = np.zeros(len(small), np.int32)
            new_numbers[small] = np.arange(count + 1, count + found + 1)
            blobs += new_numbers[numbers]
            count += found
    mask: Mask = blobs > 0
    return Specks(count, mask, _filled_from_around(ids, blobs, count))


def _touches(stats: NDArray[np.int32], rect: Rect) -> Mask:
    x, y, w, h = (stats[:, i] for i in (cv2.CC_STAT_LEFT, cv2.CC_STAT_TOP, cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT))
    touches: Mask = (x < rect.x1) & (x + w > rect.x) & (y < rect.y1) & (y + h > rect.y)
    return touches


def _filled_from_around(ids: Ids, blobs: NDArray[np.int32], count: int) -> Ids:
    votes = np.zeros((count + 1, 256), np.int64)
    for axis in (0, 1):
        first, second = (slice(None),) * axis + (slice(None, -1),), (slice(None),) * axis + (slice(1, None),)
        for here, there in ((first, second), (second, first)):
            border = (blobs[here] > 0) & (blobs[here] != blobs[there])
            np.add.at(votes, (blobs[here][border], ids[there][border]), 1)
    winner = votes.argmax(axis=1).astype(np.uint8)
    winner[~votes.any(axis=1)] = UNLABELLED
    return np.where(blobs > 0, winner[blobs], ids)
