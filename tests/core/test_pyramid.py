"""Half-size levels: by definition, tile by tile, and right after every change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unet_gui.core import pyramid
from unet_gui.core.geometry import Rect
from unet_gui.core.pyramid import LabelPyramid, halve

U = 255


def slow_halve(ids: np.ndarray) -> np.ndarray:
    h, w = (ids.shape[0] + 1) // 2, (ids.shape[1] + 1) // 2
    result = np.full((h, w), U, np.uint8)
    for y in range(h):
        for x in range(w):
            labelled = [v for v in ids[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].ravel().tolist() if v != U]
            if labelled:
                result[y, x] = labelled[0]
    return result


def all_levels(ids: np.ndarray, count: int) -> list[np.ndarray]:
    levels = [ids]
    while len(levels) < count:
        levels.append(halve(levels[-1]))
    return levels


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.1, 0.6]))
def test_a_labelled_pixel_beats_an_unlabelled_one(h, w, seed, labelled):
    rng = np.random.default_rng(seed)
    ids = np.where(rng.random((h, w)) < labelled, rng.integers(0, 4, (h, w)), U).astype(np.uint8)
    before = ids.copy()
    ids.flags.writeable = False
    np.testing.assert_array_equal(halve(ids), slow_halve(ids))
    ids.flags.writeable = True
    np.testing.assert_array_equal(halve(ids), slow_halve(ids))
    np.testing.assert_array_equal(ids, before)


@pytest.fixture
def small_tiles(monkeypatch):
    monkeypatch.setattr(pyramid, "TILE", 4)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.data())
def test_levels_are_right_whatever_was_looked_at_and_changed_before(h, w, seed, data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pyramid, "TILE", 4)
        patch.setattr(pyramid, "MEND_AT_ONCE", data.draw(st.sampled_from([0, 50, 2000]), label="mend at once"))
        rng = np.random.default_rng(seed)
        ids = rng.choice(np.array([0, 1, U, U], np.uint8), (h, w))
        levels = LabelPyramid(ids)
        assert max(levels.shape(levels.levels - 1)) <= 4
        for _ in range(data.draw(st.integers(0, 6), label="steps")):
            level = data.draw(st.integers(0, levels.levels - 1), label="level")
            lh, lw = levels.shape(level)
            x, y = data.draw(st.integers(0, lw - 1)), data.draw(st.integers(0, lh - 1))
            rect = Rect(x, y, data.draw(st.integers(1, lw - x)), data.draw(st.integers(1, lh - y)))
            if data.draw(st.booleans(), label="change"):
                full = Rect(rect.x << level, rect.y << level, rect.w << level, rect.h << level).clip(ids.shape)
                ids[full.slices] = rng.choice(np.array([0, 1, U, U], np.uint8), (full.h, full.w))
                levels.refresh(full, data.draw(st.sampled_from([None, 0, level]), label="upto"))
            else:
                want = all_levels(ids, levels.levels)[level][rect.slices]
                np.testing.assert_array_equal(levels.read(rect, level), want)
                assert levels.missing(rect, level) == []
        for level, want in enumerate(all_levels(ids, levels.levels)):
            np.testing.assert_array_equal(levels.read(Rect(0, 0, *want.shape[::-1]), level), want)


@pytest.mark.usefixtures("small_tiles")
def test_building_in_portions_ends_and_says_what_is_finished():
    ids = np.random.default_rng(0).integers(0, 3, (64, 64), dtype=np.uint8)
    levels = LabelPyramid(ids)
    whole = Rect(0, 0, 8, 8)
    portions = 0
    while levels.missing(whole, 3):
        before = set(levels.missing(whole, 3))
        done = next(levels.build(whole, 3, pixels=1))
        finished = before - set(levels.missing(whole, 3))
        assert all(done.contains(Rect(4 * x, 4 * y, 4, 4)) for x, y in finished)
        portions += 1
    assert portions == 64 + 16 + 4  # every tile of the three levels, one a portion
    np.testing.assert_array_equal(levels.read(whole, 3), all_levels(ids, 4)[3])


def test_memory_is_at_most_a_third_more():
    ids = np.zeros((2048, 2048), np.uint8)
    levels = LabelPyramid(ids)
    assert levels.nbytes == 0
    levels.read(Rect(0, 0, *levels.shape(levels.levels - 1)), levels.levels - 1)
    assert 0 < levels.nbytes <= ids.nbytes / 3 + 3 * 256 * 256


def test_a_thin_stroke_stays_visible_at_every_level():
    ids = np.full((1024, 1024), U, np.uint8)
    ids[500, :] = 3
    levels = LabelPyramid(ids)
    for level in range(levels.levels):
        h, w = levels.shape(level)
        assert (levels.read(Rect(0, 0, w, h), level)[500 >> level] == 3).all()
