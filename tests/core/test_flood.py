"""Flood fill against its definition, on labels of any kind and tiles of any size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unet_gui.core.cv import cv2
from unet_gui.core.flood import flood, flood_parts, joined
from unet_gui.core.geometry import EMPTY, Rect


def blob_of(ids: np.ndarray, x: int, y: int) -> np.ndarray:
    """Return which pixels belong together with one."""
    numbers = cv2.connectedComponents((ids == ids[y, x]).astype(np.uint8), connectivity=4)[1]
    return numbers == numbers[y, x]


def on(shape: tuple[int, int], rect: Rect, mask: np.ndarray | None) -> np.ndarray:
    whole = np.zeros(shape, np.int64)
    whole[rect.slices] = 1 if mask is None else mask
    return whole


@settings(max_examples=150, deadline=None)
@given(
    st.tuples(st.integers(1, 25), st.integers(1, 25)),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.05, 0.3, 0.45]),
    st.sampled_from([1, 2, 3, 8, 64]),
    st.data(),
)
def test_flood_finds_the_connected_pixels_whatever_its_tiles(shape, seed, holes, side, data) -> None:
    ids = np.random.default_rng(seed).choice(np.array([0, 255], np.uint8), shape, p=[holes, 1 - holes])
    x, y = data.draw(st.integers(0, shape[1] - 1)), data.draw(st.integers(0, shape[0] - 1))
    want = blob_of(ids, x, y)
    rect, mask = flood(ids, x, y, side=side)
    np.testing.assert_array_equal(on(shape, rect, mask), want)
    assert mask.any(axis=0).all(), "the smallest rectangle"
    assert mask.any(axis=1).all()
    parts = sum(on(shape, *part) for part in flood_parts(ids, x, y, side=side))
    np.testing.assert_array_equal(parts, want)


@pytest.mark.parametrize("side", [3, 16, 512])
def test_flood_goes_through_a_spiral(side: int) -> None:
    ids = np.ones((65, 65), np.uint8)
    y, x, dy, dx = 32, 32, 0, 1
    for length in np.repeat(np.arange(2, 32, 2), 2).tolist():
        for _ in range(length):
            ids[y, x] = 0
            y, x = y + dy, x + dx
        dy, dx = dx, -dy
    rect, mask = flood(ids, 32, 32, side=side)
    np.testing.assert_array_equal(on(ids.shape, rect, mask), ids == 0)


def test_flood_outside_is_nothing_and_it_stays_within_its_limit() -> None:
    assert flood(np.zeros((4, 4), np.uint8), 4, 0)[0] == EMPTY
    ids = np.zeros((50, 60), np.uint8)
    limit = Rect(5, 6, 20, 30)
    assert flood(ids, 10, 10, limit, side=4)[0] == limit
    assert flood(ids, 4, 10, limit, side=4)[0] == EMPTY


def test_a_uniform_label_needs_no_masks() -> None:
    ids = np.full((100, 130), 255, np.uint8)
    parts = list(flood_parts(ids, 50, 50, side=32))
    assert all(mask is None for _, mask in parts)
    assert joined(parts)[0] == Rect(0, 0, 130, 100)
