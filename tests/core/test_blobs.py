"""Blobs against slow and obvious code."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unet_gui.core import blobs
from unet_gui.core.geometry import EMPTY, Rect

U = 255
seeds = st.integers(0, 2**32 - 1)


def random_mask(seed: int, h: int = 14, w: int = 17, density: float = 0.55) -> np.ndarray:
    return np.random.default_rng(seed).random((h, w)) < density


def spread(shape: tuple[Rect, np.ndarray], size: int = 60, margin: int = 20) -> np.ndarray:
    full = np.zeros((size, size), bool)
    rect, mask = shape
    if not rect.empty:
        full[rect.shift(margin, margin).slices] = mask
    return full


def slow_components(mask: np.ndarray) -> list[set[tuple[int, int]]]:
    todo = set(zip(*(v.tolist() for v in np.nonzero(mask)), strict=True))
    found = []
    while todo:
        blob, edge = set(), [todo.pop()]
        while edge:
            y, x = edge.pop()
            blob.add((y, x))
            near = {(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)} & todo
            todo -= near
            edge += near
        found.append(blob)
    return found


@given(seeds)
@settings(max_examples=40, deadline=None)
def test_holes_are_the_components_that_do_not_reach_the_outside(seed):
    mask = random_mask(seed)
    full = spread(blobs.holes(Rect(3, 4, 17, 14), mask))
    padded = np.zeros((60, 60), bool)
    padded[24:38, 23:40] = mask
    want = np.zeros((60, 60), bool)
    for blob in slow_components(~padded):
        if (0, 0) not in blob:
            for y, x in blob:
                want[y, x] = True
    np.testing.assert_array_equal(full, want)


@given(seeds, st.floats(-6, 9).map(lambda v: round(v, 1)))
@settings(max_examples=15, deadline=None)
def test_grown_by_definition(seed, distance):
    mask = random_mask(seed, 9, 10, density=0.1 if distance > 0 else 0.95)
    rect = Rect(1, 2, 10, 9)
    full = spread(blobs.grown(rect, mask, distance), 36, 12)
    before = spread((rect, mask), 36, 12)
    y, x = np.mgrid[:36, :36]

    def nearest(points):
        distances = [np.hypot(y - j, x - i) for j, i in zip(*np.nonzero(points), strict=True)]
        return np.min(distances, axis=0) if distances else np.full((36, 36), np.inf)

    shrunk = before & (nearest(~before) > -distance + 1e-4)
    want = nearest(before) <= distance + 1e-4 if distance >= 0 else shrunk
    np.testing.assert_array_equal(full, want)


def test_growing_nothing_is_nothing():
    assert blobs.grown(Rect(0, 0, 4, 4), np.zeros((4, 4), bool), 3)[0] == EMPTY
    assert blobs.grown(Rect(0, 0, 4, 4), np.ones((4, 4), bool), -4)[0] == EMPTY


@given(seeds, st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_specks_are_the_small_blobs_and_become_what_surrounds_them(seed, smaller_than):
    rng = np.random.default_rng(seed)
    ids = rng.choice(np.array([0, 0, 0, 1, 2, U], np.uint8), (13, 16))
    found = blobs.specks(ids, smaller_than)
    want, count, new = np.zeros(ids.shape, bool), 0, ids.copy()
    for class_id in (0, 1, 2):
        for blob in slow_components(ids == class_id):
            if len(blob) < smaller_than:
                count += 1
                touching = [
                    int(ids[y + dy, x + dx])
                    for y, x in blob
                    for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0))
                    if 0 <= y + dy < 13 and 0 <= x + dx < 16 and (y + dy, x + dx) not in blob
                ]
                best = max(range(256), key=lambda i: (touching.count(i), -i)) if touching else U
                for y, x in blob:
                    want[y, x] = True
                    new[y, x] = best
    assert found.number == count
    np.testing.assert_array_equal(found.mask, want)
    np.testing.assert_array_equal(found.ids, new)


def test_specks_only_where_they_touch():
    ids = np.zeros((40, 40), np.uint8)
    ids[5, 5] = ids[20, 20] = 1
    found = blobs.specks(ids, 3, Rect(10, 10, 20, 20))
    assert (found.number, found.mask.sum(), found.ids[20, 20], found.ids[5, 5]) == (1, 1, 0, 1)


@given(seeds)
@settings(max_examples=40, deadline=None)
def test_surrounding_is_the_most_common_neighbour(seed):
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 3, (9, 9), dtype=np.uint8)
    x, y = int(rng.integers(0, 6)), int(rng.integers(0, 6))
    mask = rng.random((3, 4)) < 0.7
    mask = mask[: 9 - y, : 9 - x]
    rect = Rect(x, y, mask.shape[1], mask.shape[0])
    inside = {(int(j) + y, int(i) + x) for j, i in zip(*np.nonzero(mask), strict=True)}
    near = {(j + dy, i + dx) for j, i in inside for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0))} - inside
    touching = [int(ids[j, i]) for j, i in near if 0 <= j < 9 and 0 <= i < 9]
    want = max(range(256), key=lambda c: (touching.count(c), -c)) if touching else U
    assert blobs.surrounding(ids, rect, mask) == want


@pytest.mark.parametrize("value", [True, False])
def test_trimmed(value):
    mask = np.zeros((5, 6), bool)
    mask[2, 3] = value
    assert blobs.trimmed(Rect(10, 20, 6, 5), mask)[0] == (Rect(13, 22, 1, 1) if value else EMPTY)
