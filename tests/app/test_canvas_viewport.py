"""Zoom and pan as plain geometry."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unet_gui.app.canvas.viewport import MAX_ZOOM, Viewport, sample_positions
from unet_gui.core.geometry import Rect

zooms = st.one_of(st.floats(1 / 40, 64), st.sampled_from([1 / 3, 0.5, 1.0, 1.5, 2.0, 3.0, 7.0, 64.0]))


def view(shape=(300, 400), size=(320, 240), zoom=1.0, at=(200.0, 150.0)) -> Viewport:
    made = Viewport()
    made.set_image_shape(shape)
    made.resize(*size)
    made.zoom_to(zoom)
    made.center_on(*at)
    return made


@given(zooms, st.floats(0, 400), st.floats(0, 300))
def test_to_image_and_to_screen_are_inverse(zoom, x, y):
    v = view(zoom=zoom)
    assert v.to_image(*v.to_screen(x, y)) == pytest.approx((x, y), abs=1e-6)


@given(zooms, zooms, st.integers(0, 319), st.integers(0, 239))
def test_the_point_under_the_pointer_stays_when_zooming(start, end, px, py):
    v = view(zoom=start)
    before = v.to_image(px, py)
    v.zoom_to(end, at=(px, py))
    if 0 <= before[0] <= 400 and 0 <= before[1] <= 300 and v.zoom > v.fit_zoom:
        sx, sy = v.to_screen(*before)
        inside = v.to_screen(400, 0)[0] >= 320 / 2 and v.to_screen(0, 0)[0] <= 320 / 2
        inside = inside and v.to_screen(0, 300)[1] >= 240 / 2 and v.to_screen(0, 0)[1] <= 240 / 2
        at_limit = not inside or abs(v.to_screen(0, 0)[0] - 160) <= 1 or abs(v.to_screen(400, 0)[0] - 160) <= 1
        at_limit = at_limit or abs(v.to_screen(0, 0)[1] - 120) <= 1 or abs(v.to_screen(0, 300)[1] - 120) <= 1
        if not at_limit:
            assert (sx, sy) == pytest.approx((px, py), abs=0.51)


@given(zooms, st.integers(-3000, 3000), st.integers(-3000, 3000))
def test_the_middle_of_the_view_never_leaves_the_image(zoom, dx, dy):
    v = view(zoom=zoom)
    v.pan(dx, dy)
    x, y = v.center
    assert -1 / v.zoom <= x <= 400 + 1 / v.zoom
    assert -1 / v.zoom <= y <= 300 + 1 / v.zoom


def test_zoom_has_bounds():
    v = view()
    v.zoom_to(1e9)
    assert v.zoom == MAX_ZOOM
    v.zoom_to(1e-9)
    assert v.zoom == v.fit_zoom / 4
    tiny = view(shape=(2, 2))
    tiny.fit()
    assert tiny.zoom == MAX_ZOOM
    tiny.zoom_to(0.01)
    assert tiny.zoom == 1


def test_fit_shows_everything_in_the_middle():
    v = view(zoom=9)
    v.fit()
    assert v.image_rect() == Rect(0, 0, 400, 300)
    assert v.zoom == pytest.approx(0.8)
    assert v.center == pytest.approx((200, 150), abs=1)


def test_resizing_keeps_the_middle():
    v = view(zoom=3, at=(100, 80))
    v.resize(500, 400)
    assert v.center == pytest.approx((100, 80), abs=0.5)


@given(zooms, st.integers(0, 399), st.integers(0, 299), st.integers(1, 60), st.integers(1, 60))
def test_screen_rect_covers_and_pixels_of_is_exact(zoom, x, y, w, h):
    v = view(zoom=zoom, at=(x, y))
    rect = Rect(x, y, w, h)
    inside = {
        (px, py)
        for px in range(320)
        for py in range(0, 240, 7)
        if x <= (px + v.left + 0.5) / v.zoom < x + w and y <= (py + v.top + 0.5) / v.zoom < y + h
    }
    exact, around = v.pixels_of(rect), v.screen_rect(rect)
    assert inside == {(px, py) for px in range(exact.x, exact.x1) for py in range(exact.y, exact.y1) if py % 7 == 0}
    assert around.contains(exact)


@given(zooms, st.integers(-500, 30_000), st.integers(0, 50), st.integers(0, 40), st.integers(1, 300))
def test_sample_positions_by_definition(zoom, offset, start, count, size):
    positions, inside = sample_positions(start, count, offset, zoom, 3, size)
    want = {}
    for i in range(count):
        at = (start + i + offset + 0.5) / zoom - 3
        if 0 <= at < size:
            want[i] = math.floor(at)
    assert dict(zip(range(inside.start, inside.stop), positions.tolist(), strict=True)) == want


def test_the_level_has_a_pixel_for_every_screen_pixel():
    for zoom, level in [(4, 0), (1, 0), (0.51, 0), (0.5, 1), (0.26, 1), (0.25, 2), (0.01, 6)]:
        v = view(shape=(30_000, 40_000), zoom=zoom)
        v.zoom = zoom
        assert v.level(9) == level
        assert v.level(2) == min(level, 1)


def test_image_rect_is_what_shows():
    v = view(zoom=10, at=(200, 150))
    assert v.image_rect() == Rect(184, 138, 32, 24)
    assert v.image_rect(Rect(0, 0, 10, 10)) == Rect(184, 138, 1, 1)
    assert np.prod(v.image_rect(Rect(0, 0, 11, 10))[2:]) == 2
