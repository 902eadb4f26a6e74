"""Class layers: which id lies under which screen pixel, colours, outlines."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PySide6.QtGui import QImage, QPainter

from unet_gui.app.canvas.layers import ClassLayer, outlines
from unet_gui.app.canvas.viewport import Viewport
from unet_gui.core.geometry import EMPTY, Rect
from unet_gui.core.palette import default_classes
from unet_gui.core.pyramid import LabelPyramid

U = 255


def random_ids(h: int, w: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).choice(np.array([0, 1, 2, U], np.uint8), (h, w))


def view(shape, size=(160, 120), zoom=1.0, at=None) -> Viewport:
    made = Viewport()
    made.set_image_shape(shape)
    made.resize(*size)
    made.zoom = zoom
    made.center_on(*(at or (shape[1] / 2, shape[0] / 2)))
    return made


def build(layer: ClassLayer, v: Viewport) -> None:
    while layer.is_missing(v):
        assert layer.prepare(v) is not None


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([(90, 130), (700, 900), (1, 1)]),
    st.floats(0.06, 40),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(0, 100),
    st.integers(0, 80),
)
def test_every_screen_pixel_shows_the_id_under_its_middle(shape, zoom, fx, fy, x, y):
    ids = random_ids(*shape)
    layer = ClassLayer()
    layer.set_ids(ids)
    v = view(shape, zoom=zoom, at=(fx * shape[1], fy * shape[0]))
    build(layer, v)
    screen = Rect(x, y, 50, 30)
    found = layer.sample(v, screen)
    pyramid = LabelPyramid(ids)
    level = v.level(pyramid.levels)
    size = pyramid.shape(level)
    pixels = pyramid.read(Rect(0, 0, size[1], size[0]), level)
    for sy in range(0, 30, 5):
        for sx in range(0, 50, 5):
            ix = math.floor((x + sx + v.left + 0.5) / (v.zoom * 2**level))
            iy = math.floor((y + sy + v.top + 0.5) / (v.zoom * 2**level))
            inside = 0 <= iy < size[0] and 0 <= ix < size[1]
            assert found[sy, sx] == (pixels[iy, ix] if inside else U)


def test_while_a_level_is_missing_a_rough_picture_shows_and_then_the_right_one():
    ids = np.full((3000, 3000), U, np.uint8)
    ids[1000:2000, 1000:2000] = 1
    layer = ClassLayer()
    layer.set_ids(ids)
    v = view(ids.shape, zoom=0.04)
    rough = layer.sample(v, Rect(0, 0, 160, 120))
    assert layer.is_missing(v)
    repaint = EMPTY
    while layer.is_missing(v):
        repaint = repaint.union(layer.prepare(v))
    assert repaint.contains(Rect(0, 0, 3000, 3000))
    exact = layer.sample(v, Rect(0, 0, 160, 120))
    assert (rough == exact).mean() > 0.99
    assert set(np.unique(exact)) == {1, U}


def painted(layer: ClassLayer, v: Viewport, outline: int = 0, ground: int = 0xFF000000) -> np.ndarray:
    image = QImage(v.width, v.height, QImage.Format.Format_RGB32)
    image.fill(ground)
    painter = QPainter(image)
    layer.paint(painter, v, Rect(0, 0, v.width, v.height), outline)
    painter.end()
    return np.frombuffer(image.constBits(), np.uint32).reshape(v.height, v.width).copy()


def test_colours_opacity_hidden_classes_and_unlabelled():
    ids = np.array([[0, 1, 2, U]], np.uint8)
    layer = ClassLayer()
    layer.set_ids(ids)
    v = view((1, 4), size=(4, 1))
    classes = default_classes(3)
    layer.set_colors(classes, 1.0, frozenset({2}))
    want = [0xFF000000 | int(c.color[1:], 16) for c in classes[:2]] + [0xFF000000] * 2
    assert painted(layer, v)[0].tolist() == want
    layer.set_colors(classes, 0.5, frozenset())
    half = painted(layer, v)[0]
    for pixel, info in zip(half, classes, strict=False):
        for shift, part in zip((16, 8, 0), info.rgb, strict=True):
            assert int(pixel) >> shift & 255 == pytest.approx(part / 2, abs=1)
    layer.set_colors(classes, 0.0, frozenset())
    assert (painted(layer, v) == 0xFF000000).all()


@pytest.mark.parametrize("zoom", [0.3, 1.0, 7.0])
@pytest.mark.parametrize("width", [1, 2, 3])
def test_outlines_have_a_constant_width_on_the_screen(zoom, width):
    ids = np.full((800, 800), U, np.uint8)
    ids[:, 400:] = 1
    layer = ClassLayer()
    layer.set_ids(ids)
    layer.set_colors(default_classes(2), 0.5, frozenset())
    v = view((800, 800), zoom=zoom)
    build(layer, v)
    row = painted(layer, v, outline=width)[60] != 0xFF000000
    assert row.sum() == width
    assert row.argmax() == v.pixels_of(Rect(400, 0, 400, 800)).x


@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
@settings(max_examples=20, deadline=None)
def test_outlines_by_definition(seed, width):
    ids = random_ids(14, 15, seed)
    found = outlines(ids, width)
    for y in range(width, 14 - width):
        for x in range(width, 15 - width):
            cross = {int(ids[y + s, x]) for s in range(-width, width + 1)}
            cross |= {int(ids[y, x + s]) for s in range(-width, width + 1)}
            assert found[y - width, x - width] == (ids[y, x] if len(cross) > 1 else U)


def test_refresh_shows_a_change_at_every_zoom():
    ids = np.full((2000, 2000), U, np.uint8)
    layer = ClassLayer()
    layer.set_ids(ids)
    for zoom in (0.05, 1.0, 0.4, 0.1):
        v = view(ids.shape, zoom=zoom)
        build(layer, v)
        ids[900:1100, 900:1100] = (int(ids[1000, 1000]) + 1) % 3
        layer.refresh(Rect(900, 900, 200, 200), v)
        build(layer, v)
        assert layer.sample(v, Rect(80, 60, 1, 1))[0, 0] == ids[1000, 1000]
