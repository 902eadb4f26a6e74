"""Shapes as pixels: every function returns the rectangle a shape lies in and which of its pixels belong to it.

Points are in image coordinates: pixel (x, y) covers the square from (x, y) to (x + 1, y + 1), so its centre is at
(x + 0.5, y + 0.5). A pixel belongs to a shape when its centre does. Nothing here knows how large the image is; `Edit`
cuts what lies outside.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unet_gui.core.cv import cv2
from unet_gui.core.geometry import EMPTY, Rect

Mask = NDArray[np.bool_]
Floats = NDArray[np.floating]
Point = tuple[float, float]
Shape = tuple[Rect, Mask]

NOTHING: Shape = (EMPTY, np.zeros((0, 0), bool))


def capsule(p0: Point, p1: Point, r0: float, r1: float | None = None) -> Shape:
    """Return the pixels a round brush covers while it moves in a straight line.

    Parameters
    ----------
    p0, p1 : (x, y)
        Where the brush was and where it is now.
    r0, r1 : float
        Its radius there, in pixels. The radius changes evenly on the way; ``r1=None`` means ``r0``.

    Returns
    -------
    rect : Rect
        Smallest rectangle around the shape, `EMPTY` when no pixel centre is covered.
    mask : ndarray of bool, shape (rect.h, rect.w)

    Notes
    -----
    The shape is the convex hull of the two discs, so every row of it is one run of pixels. Working on the runs keeps
    the floating point work at one number a row, whatever the size of the brush.
    """
    return _from_runs(*_capsule_runs(p0, p1, r0, r0 if r1 is None else r1))


def capsule_bands(p0: Point, p1: Point, r0: float, r1: float, rows: int = 1024) -> Iterator[Shape]:
    """Yield a capsule in bands of so many rows: a long line across needs no mask of all that lies beside it."""
    top, left, right = _capsule_runs(p0, p1, r0, r1)
    for start in range(0, len(left), rows):
        band = slice(start, start + rows)
        shape = _from_runs(top + start, left[band], right[band])
        if not shape[0].empty:
            yield shape


def _capsule_runs(p0: Point, p1: Point, r0: float, r1: float) -> tuple[int, Floats, Floats]:
    """Return the first row and where each row begins and ends."""
    (x0, y0), (x1, y1) = p0, p1
    top = math.ceil(min(y0 - r0, y1 - r1) - 0.5)
    bottom = math.floor(max(y0 + r0, y1 + r1) - 0.5)
    rows = np.arange(top, bottom + 1) + 0.5
    left, right = _disc_runs(rows, x0, y0, r0)
    if (p0, r0) != (p1, r1):
        for lo, hi in (_disc_runs(rows, x1, y1, r1), _tangent_runs(rows, p0, p1, r0, r1)):
            np.minimum(left, lo, out=left)
            np.maximum(right, hi, out=right)
    return top, left, right


def _disc_runs(rows: Floats, x: float, y: float, r: float) -> tuple[Floats, Floats]:
    half = r * r - (rows - y) ** 2
    inside = half >= 0
    half = np.sqrt(np.where(inside, half, 0))
    return np.where(inside, x - half, np.inf), np.where(inside, x + half, -np.inf)


def _tangent_runs(rows: Floats, p0: Point, p1: Point, r0: float, r1: float) -> tuple[Floats, Floats]:
    """Return the runs of the quadrilateral between the points where the outer tangents touch the two discs."""
    (x0, y0), (x1, y1) = p0, p1
    length = math.hypot(x1 - x0, y1 - y0)
    if length <= abs(r0 - r1):  # one disc lies inside the other
        return np.full(len(rows), np.inf), np.full(len(rows), -np.inf)
    ux, uy = (x1 - x0) / length, (y1 - y0) / length
    along = (r0 - r1) / length
    across = math.sqrt(1 - along * along)
    normals = [(along * ux - side * across * uy, along * uy + side * across * ux) for side in (1, -1)]
    a, b = normals
    corners = [
        (x0 + r0 * a[0], y0 + r0 * a[1]),
        (x1 + r1 * a[0], y1 + r1 * a[1]),
        (x1 + r1 * b[0], y1 + r1 * b[1]),
        (x0 + r0 * b[0], y0 + r0 * b[1]),
    ]
    left, right = np.full(len(rows), np.inf), np.full(len(rows), -np.inf)
    for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
        if ay == by:
            continue
        crosses = (rows >= min(ay, by)) & (rows <= max(ay, by))
        x = ax + (rows - ay) * ((bx - ax) / (by - ay))
        np.minimum(left, x, out=left, where=crosses)
        np.maximum(right, x, out=right, where=crosses)
    return left, right


def _from_runs(top: int, left: Floats, right: Floats) -> Shape:
    """Return the shape whose row ``top + i`` holds the pixel centres from ``left[i]`` to ``right[i]``."""
    filled = np.flatnonzero(np.floor(right - 0.5) >= np.ceil(left - 0.5))
    if not len(filled):
        return NOTHING
    rows = slice(int(filled[0]), int(filled[-1]) + 1)
    first, last = np.ceil(left[rows] - 0.5), np.floor(right[rows] - 0.5)
    empty = last < first
    x = int(first[~empty].min())
    w = int(last[~empty].max()) - x + 1
    kind: type[np.signedinteger] = np.int16 if w < 30_000 else np.int32
    first = np.where(empty, w, first - x).astype(kind)[:, None]
    last = np.where(empty, -1, last - x).astype(kind)[:, None]
    columns = np.arange(w).astype(kind)
    mask = columns >= first
    mask &= columns <= last
    return Rect(x, top + rows.start, w, rows.stop - rows.start), mask


def bands(rect: Rect, pixels: int = 2**22) -> Iterator[Rect]:
    """Yield a rectangle in horizontal bands of at most so many pixels, or one row: a huge shape needs little memory."""
    height = max(1, pixels // max(1, rect.w))
    for top in range(rect.y, rect.y1, height):
        yield Rect(rect.x, top, rect.w, min(height, rect.y1 - top))


def box_between(p0: Point, p1: Point) -> Rect:
    """Return the rectangle of the pixels whose centres lie between two corners, `EMPTY` when there are none."""
    x, x1 = (math.ceil(v - 0.5) for v in sorted((p0[0], p1[0])))
    y, y1 = (math.ceil(v - 0.5) for v in sorted((p0[1], p1[1])))
    return EMPTY if x1 <= x or y1 <= y else Rect(x, y, x1 - x, y1 - y)


def rectangle(p0: Point, p1: Point, limit: Rect | None = None) -> Shape:
    """Return the pixels whose centres lie in the rectangle between two corners, those outside ``limit`` left out."""
    rect = box_between(p0, p1)
    rect = rect if limit is None else rect.intersect(limit)
    return NOTHING if rect.empty else (rect, np.ones((rect.h, rect.w), bool))


def ellipse(p0: Point, p1: Point, limit: Rect | None = None) -> Shape:
    """Return the pixels whose centres lie in the ellipse that fills the rectangle between two corners.

    Those outside ``limit`` are left out: a box may reach far beyond the picture.
    """
    cx, cy = (p0[0] + p1[0]) / 2, (p0[1] + p1[1]) / 2
    a, b = abs(p1[0] - p0[0]) / 2, abs(p1[1] - p0[1]) / 2
    top, bottom = math.ceil(cy - b - 0.5), math.floor(cy + b - 0.5)
    if limit is not None:
        top, bottom = max(top, limit.y), min(bottom, limit.y1 - 1)
    if a <= 0 or b <= 0 or bottom < top:
        return NOTHING
    rows = np.arange(top, bottom + 1) + 0.5
    half = a * np.sqrt(np.maximum(0, 1 - ((rows - cy) / b) ** 2))
    left, right = cx - half, cx + half
    if limit is not None:
        left, right = np.maximum(left, limit.x), np.minimum(right, limit.x1)
    return _from_runs(top, left, right)


def polygon(points: Sequence[Point] | ArrayLike) -> Shape:
    """Return the pixels whose centres lie in a polygon, closed by itself.

    Parameters
    ----------
    points : sequence of (x, y)
        At least three corners. Where the outline crosses itself every part that it goes around is filled
        (non-zero winding), so a lasso drawn twice around leaves no hole.

    Returns
    -------
    rect : Rect
    mask : ndarray of bool, shape (rect.h, rect.w)
    """
    corners = np.asarray(points, np.float64).reshape(-1, 2)
    if len(corners) < 3:
        return NOTHING
    x0, y0 = corners.T
    x1, y1 = np.roll(corners, -1, axis=0).T
    # row r is crossed when its centre r + 0.5 lies in [y_low, y_high): each corner counts for one of its two edges
    first = np.ceil(np.minimum(y0, y1) - 0.5).astype(np.int64)
    count = np.ceil(np.maximum(y0, y1) - 0.5).astype(np.int64) - first
    total = int(count.sum())
    if total == 0:
        return NOTHING
    edge = np.repeat(np.arange(len(corners)), count)
    row = np.arange(total) - np.repeat(np.cumsum(count) - count, count) + first[edge]
    slope = np.divide(x1 - x0, y1 - y0, out=np.zeros_like(x0), where=count > 0)
    column = np.ceil(x0[edge] + (row + 0.5 - y0[edge]) * slope[edge] - 0.5).astype(np.int64)
    turn = np.where(y1 > y0, 1, -1)[edge]
    x, y = int(column.min()), int(row.min())
    w, h = int(column.max()) - x, int(row.max()) - y + 1
    if w == 0:
        return NOTHING
    winding = np.zeros((h, w + 1), np.int16)
    np.add.at(winding, (row - y, column - x), turn)
    np.cumsum(winding, axis=1, out=winding)
    return Rect(x, y, w, h), winding[:, :w] != 0


def polygon_bands(points: Sequence[Point] | ArrayLike, pixels: int = 2**22) -> Iterator[Shape]:
    """Yield a polygon in bands, see `bands`."""
    corners = np.asarray(points, np.float64).reshape(-1, 2)
    if len(corners) < 3:
        return
    x, y = (math.floor(v) for v in corners.min(axis=0))
    x1, y1 = (math.ceil(v) for v in corners.max(axis=0))
    area = Rect(x, y, x1 - x, y1 - y)
    for band in bands(area, pixels):
        yield polygon(corners if band == area else _between_rows(corners, band.y, band.y1))


def _between_rows(corners: Floats, top: float, bottom: float) -> Floats:
    """Return the part of a polygon between two horizontal lines (Sutherland and Hodgman's clipping)."""
    for limit, sign in ((top, 1.0), (bottom, -1.0)):
        if not len(corners):
            break
        inside = sign * (corners[:, 1] - limit) >= 0
        following = np.roll(corners, -1, axis=0)
        crosses = inside != np.roll(inside, -1)
        rise = following[:, 1] - corners[:, 1]
        t = np.divide(limit - corners[:, 1], rise, out=np.zeros_like(rise), where=crosses)
        x = corners[:, 0] + t * (following[:, 0] - corners[:, 0])
        crossing = np.stack([x, np.full_like(x, limit)], axis=1)
        both = np.stack([corners, crossing], axis=1).reshape(-1, 2)
        corners = both[np.stack([inside, crosses], axis=1).ravel()]
    return corners


def similar(image: NDArray[np.uint8], x: int, y: int, tolerance: int, contiguous: bool = True) -> Shape:
    """Return the pixels that look like pixel (x, y): the magic wand.

    Parameters
    ----------
    image : ndarray of uint8, shape (h, w) or (h, w, 3)
    x, y : int
        The seed, inside the image.
    tolerance : int
        By how much every channel may differ from the seed, 0 … 255.
    contiguous : bool
        Only pixels connected to the seed by a side.

    Returns
    -------
    rect : Rect
    mask : ndarray of bool, shape (rect.h, rect.w)
    """
    image = np.ascontiguousarray(image)
    if contiguous:
        return _flood_fill(image, x, y, tolerance)
    seed = np.atleast_1d(image[y, x]).astype(np.int16)
    low, high = (np.clip(seed + side * tolerance, 0, 255).tolist() for side in (-1, 1))
    inside: Mask = cv2.inRange(image, tuple(low), tuple(high)) > 0
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    x0, y0 = int(columns[0]), int(rows[0])
    rect = Rect(x0, y0, int(columns[-1]) + 1 - x0, int(rows[-1]) + 1 - y0)
    return rect, inside[rect.slices]


def _flood_fill(block: NDArray[np.uint8], x: int, y: int, tolerance: int) -> Shape:
    mask = np.zeros((block.shape[0] + 2, block.shape[1] + 2), np.uint8)
    flags = 4 | (1 << 8) | cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE
    step = (tolerance,) * 4
    _, _, _, (bx, by, bw, bh) = cv2.floodFill(block, mask, (x, y), 0, step, step, flags)
    return Rect(bx, by, bw, bh), mask[1 + by : 1 + by + bh, 1 + bx : 1 + bx + bw].astype(bool)
