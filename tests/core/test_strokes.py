"""Shapes against their definition, pixel centre by pixel centre."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from unet_gui.core import strokes
from unet_gui.core.geometry import EMPTY, Rect
from unet_gui.core.labels import mask_bounds

SIZE = 64
places = st.one_of(st.floats(0, SIZE), st.integers(0, 2 * SIZE).map(lambda n: n / 2))
points = st.tuples(places, places)
radii = st.one_of(st.floats(0, 30), st.integers(0, 60).map(lambda n: n / 2))


def spread(rect: Rect, mask: np.ndarray, margin: int = 70) -> np.ndarray:
    """The shape in an array that starts at (-margin, -margin)."""
    full = np.zeros((SIZE + 2 * margin, SIZE + 2 * margin), bool)
    assert mask.shape == (rect.h, rect.w)
    assert mask.dtype == bool
    full[rect.shift(margin, margin).slices] = mask
    return full


def centres(margin: int = 70) -> tuple[np.ndarray, np.ndarray]:
    at = np.arange(-margin, SIZE + margin) + 0.5
    return at[None, :], at[:, None]


def cone_distance(p0, p1, r0, r1):
    """min over t of |c - p(t)| - r(t), found by ternary search: the function is convex in t."""
    x, y = centres()
    lo, hi = np.zeros((x.size, x.size)), np.ones((x.size, x.size))

    def at(t):
        return np.hypot(x - p0[0] - t * (p1[0] - p0[0]), y - p0[1] - t * (p1[1] - p0[1])) - r0 - t * (r1 - r0)

    for _ in range(80):
        a, b = lo + (hi - lo) / 3, hi - (hi - lo) / 3
        smaller = at(a) < at(b)
        lo, hi = np.where(smaller, lo, a), np.where(smaller, b, hi)
    return np.minimum(np.minimum(at(lo), at(0.0)), at(1.0))


@settings(max_examples=60, deadline=None)
@given(points, points, radii)
def test_capsule_is_the_pixels_within_the_radius_of_the_segment(p0, p1, r):
    rect, mask = strokes.capsule(p0, p1, r)
    x, y = centres()
    dx, dy = p1[0] - p0[0], p1[1] - p0[1]
    length2 = dx * dx + dy * dy
    t = np.clip(((x - p0[0]) * dx + (y - p0[1]) * dy) / length2, 0, 1) if length2 else 0.0
    distance = np.hypot(x - p0[0] - t * dx, y - p0[1] - t * dy)
    sure = np.abs(distance - r) > 1e-9
    np.testing.assert_array_equal(spread(rect, mask)[sure], (distance <= r)[sure])
    assert rect == EMPTY or mask_bounds(mask) == Rect(0, 0, rect.w, rect.h)


@settings(max_examples=30, deadline=None)
@given(points, points, radii, radii)
def test_capsule_with_changing_radius_is_the_union_of_all_discs_on_the_way(p0, p1, r0, r1):
    rect, mask = strokes.capsule(p0, p1, r0, r1)
    distance = cone_distance(p0, p1, r0, r1)
    sure = np.abs(distance) > 1e-6
    np.testing.assert_array_equal(spread(rect, mask)[sure], (distance <= 0)[sure])


@given(st.integers(1, 40), st.integers(0, 20), st.integers(0, 20))
def test_brush_on_the_pixel_grid_is_symmetric(diameter, x, y):
    at = 0.5 if diameter % 2 else 0.0
    rect, mask = strokes.capsule((x + at, y + at), (x + at, y + at), diameter / 2)
    for other in (mask[::-1], mask[:, ::-1], mask.T):
        np.testing.assert_array_equal(mask, other)
    assert diameter - rect.w in (0, 1)


@settings(max_examples=60, deadline=None)
@given(points, points, radii, radii, st.integers(1, 40))
def test_a_capsule_in_bands_is_the_same(p0, p1, r0, r1, rows):
    together = spread(*strokes.NOTHING)
    for band in strokes.capsule_bands(p0, p1, r0, r1, rows):
        assert not band[0].empty
        assert band[0].h <= rows
        assert not (together & spread(*band)).any()
        together |= spread(*band)
    np.testing.assert_array_equal(together, spread(*strokes.capsule(p0, p1, r0, r1)))


def test_a_long_line_across_needs_little_memory():
    assert sum(mask.size for _, mask in strokes.capsule_bands((0, 0), (16_000, 16_000), 10, 10)) < 16_000 * 1_200


def test_capsule_of_one_pixel():
    rect, mask = strokes.capsule((7.5, 3.5), (7.5, 3.5), 0.5)
    assert rect == Rect(7, 3, 1, 1)
    assert mask.all()


def winding(corners, x, y):
    """Winding number of a polygon around one point, by adding angles."""
    total = 0.0
    for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
        turn = math.atan2(by - y, bx - x) - math.atan2(ay - y, ax - x)
        total += (turn + math.pi) % (2 * math.pi) - math.pi
    return round(total / (2 * math.pi))


def edge_distance(corners, x, y):
    best = math.inf
    for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
        dx, dy = bx - ax, by - ay
        length2 = dx * dx + dy * dy
        t = min(1.0, max(0.0, ((x - ax) * dx + (y - ay) * dy) / length2)) if length2 else 0.0
        best = min(best, math.hypot(x - ax - t * dx, y - ay - t * dy))
    return best


small = st.one_of(st.floats(0, 12), st.integers(0, 24).map(lambda n: n / 2))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(small, small), min_size=3, max_size=7))
def test_polygon_is_where_the_outline_goes_around(corners):
    rect, mask = strokes.polygon(corners)
    full = spread(rect, mask, 2)
    for y in range(-1, 14):
        for x in range(-1, 14):
            if edge_distance(corners, x + 0.5, y + 0.5) > 1e-9:
                assert full[y + 2, x + 2] == (winding(corners, x + 0.5, y + 0.5) != 0), (x, y)


def test_polygons_that_share_an_edge_neither_overlap_nor_leave_a_gap():
    rng = np.random.default_rng(0)
    for _ in range(20):
        a, b, c, d = (tuple(v) for v in rng.integers(0, 40, (4, 2)) / 2)
        one, two = spread(*strokes.polygon([a, b, c]), 2), spread(*strokes.polygon([a, c, d]), 2)
        side = np.sign(np.cross(np.subtract(c, a) @ np.eye(2, 3), np.subtract([b, d], a) @ np.eye(2, 3))[:, 2])
        if side[0] * side[1] < 0:
            assert not (one & two).any()


@given(st.lists(points, max_size=2))
def test_too_few_corners_are_nothing(corners):
    assert strokes.polygon(corners)[0] == EMPTY


@settings(max_examples=40, deadline=None)
@given(points, points)
def test_rectangle_and_ellipse_by_definition(p0, p1):
    x, y = centres()
    (x0, x1), (y0, y1) = sorted((p0[0], p1[0])), sorted((p0[1], p1[1]))
    full = spread(*strokes.rectangle(p0, p1))
    np.testing.assert_array_equal(full, (x >= x0) & (x < x1) & (y >= y0) & (y < y1))
    full = spread(*strokes.ellipse(p0, p1))
    a, b = (x1 - x0) / 2, (y1 - y0) / 2
    assume(a > 0.01 and b > 0.01)
    value = ((x - (x0 + x1) / 2) / a) ** 2 + ((y - (y0 + y1) / 2) / b) ** 2
    sure = np.abs(value - 1) > 1e-9
    np.testing.assert_array_equal(full[sure], (value <= 1)[sure])


def slow_flood(ids, x, y):
    seen, todo = set(), [(x, y)]
    while todo:
        at = todo.pop()
        i, j = at
        if at in seen or not (0 <= j < ids.shape[0] and 0 <= i < ids.shape[1]) or ids[j, i] != ids[y, x]:
            continue
        seen.add(at)
        todo += [(i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)]
    return seen


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(small, small), min_size=3, max_size=7), st.integers(1, 60))
def test_bands_make_up_the_polygon(corners, pixels):
    whole = np.zeros((20, 20), int)
    for rect, mask in strokes.polygon_bands(corners, pixels):
        if not rect.empty:
            whole[rect.shift(2, 2).slices] += mask
    want = np.zeros((20, 20), int)
    rect, mask = strokes.polygon(corners)
    if not rect.empty:
        want[rect.shift(2, 2).slices] += mask
    for y, x in zip(*np.nonzero(whole != want), strict=True):
        assert edge_distance(corners, x - 1.5, y - 1.5) < 1e-9


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 255), st.booleans(), st.booleans())
def test_similar_pixels_by_definition(seed, tolerance, contiguous, color):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (12, 15, 3) if color else (12, 15), dtype=np.uint8)
    x, y = int(rng.integers(15)), int(rng.integers(12))
    rect, mask = strokes.similar(image, x, y, tolerance, contiguous)
    full = np.zeros((12, 15), bool)
    full[rect.slices] = mask
    near = np.abs(image.astype(int) - image[y, x].astype(int)) <= tolerance
    near = near.all(axis=2) if color else near
    if contiguous:
        same = slow_flood(np.where(near, 1, 0), x, y)
        near = np.array([[(i, j) in same for i in range(15)] for j in range(12)])
    np.testing.assert_array_equal(full, near)
