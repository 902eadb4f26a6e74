"""Image tiles: the right pixels, in the background, within their memory, and nothing stale."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from tests.app.canvas_driver import picture
from unet_gui.app.canvas import tiles as tiles_module
from unet_gui.app.canvas.display import ChannelDisplay, Display, auto_display, default_display, to_rgb32
from unet_gui.app.canvas.tiles import ImageTiles, TileKey
from unet_gui.app.canvas.viewport import Viewport
from unet_gui.core.cv import cv2
from unet_gui.core.errors import ImageError
from unet_gui.core.geometry import Rect
from unet_gui.core.images import ImageSource, open_image

WAITING = 0xFF123456


@pytest.fixture
def source(tmp_path: Path) -> Iterator[ImageSource]:
    with open_image(picture(tmp_path / "p.png", 1100, 1500, 3)) as opened:
        yield opened


def view(source: ImageSource, zoom: float, size=(400, 300), at=None) -> Viewport:
    made = Viewport()
    made.set_image_shape(source.shape)
    made.resize(*size)
    made.zoom = zoom
    made.center_on(*(at or (source.shape[1] / 2, source.shape[0] / 2)))
    return made


def settle(qtbot: QtBot, tiles: ImageTiles, v: Viewport) -> None:
    tiles.request(v)
    qtbot.waitUntil(lambda: tiles.is_complete(v), timeout=20_000)


def paint(tiles: ImageTiles, v: Viewport) -> np.ndarray:
    frame = np.zeros((v.height, v.width), np.uint32)
    tiles.paint(frame, v, Rect(0, 0, v.width, v.height), WAITING)
    return frame


def rgb(frame: np.ndarray) -> np.ndarray:
    return np.stack([frame >> 16 & 255, frame >> 8 & 255, frame & 255], axis=-1).astype(int)


@pytest.fixture
def tiles(source: ImageSource) -> Iterator[ImageTiles]:
    made = ImageTiles()
    made.set_source(source, default_display(source))
    yield made
    made.stop()


@pytest.mark.parametrize("zoom", [1.0, 1.7, 3.0, 8.0])
def test_zoomed_in_every_screen_pixel_is_the_pixel_under_its_middle(qtbot, source, tiles, zoom):
    v = view(source, zoom, at=(512, 512))  # four tiles meet here
    settle(qtbot, tiles, v)
    frame = rgb(paint(tiles, v))
    pixels = source.read()
    ys = ((np.arange(300) + v.top + 0.5) / zoom).astype(int)
    xs = ((np.arange(400) + v.left + 0.5) / zoom).astype(int)
    np.testing.assert_array_equal(frame, pixels[ys[:, None], xs])


@pytest.mark.parametrize("zoom", [0.97, 0.7, 0.55, 0.5, 0.33, 0.21])
def test_zoomed_out_it_is_smooth_without_seams(qtbot, source, tiles, zoom):
    v = view(source, zoom, at=(700, 512))
    settle(qtbot, tiles, v)
    frame = rgb(paint(tiles, v))
    level = v.level(source.levels, tiles_module.STRETCH)
    pixels = source.read(level=level)
    scale = zoom * 2**level
    matrix = np.array([[1 / scale, 0, (v.left + 0.5) / scale - 0.5], [0, 1 / scale, (v.top + 0.5) / scale - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    whole = cv2.warpAffine(pixels, matrix, (400, 300), flags=flags, borderMode=cv2.BORDER_REPLICATE).astype(int)
    area = v.pixels_of(Rect(0, 0, 1500, 1100))
    difference = np.abs(frame - whole)[area.slices]
    assert difference.max() <= 2  # tile by tile or all at once


def test_a_part_is_painted_as_the_whole(qtbot, source, tiles):
    for zoom in (0.37, 1.0, 2.3):
        v = view(source, zoom, at=(500, 500))
        settle(qtbot, tiles, v)
        whole = paint(tiles, v)
        part = np.zeros_like(whole)
        tiles.paint(part, v, Rect(37, 41, 113, 97), WAITING)
        difference = np.abs(rgb(part) - rgb(whole))[41:138, 37:150]
        assert difference.max() <= (0 if zoom >= 1 else 1)
        part[41:138, 37:150] = 0
        assert not part.any()


def test_a_coarser_tile_shows_until_the_finer_one_comes(qtbot, source, tiles):
    v = view(source, 0.2)
    settle(qtbot, tiles, v)
    close = view(source, 4.0)
    frame = rgb(paint(tiles, close))
    want = source.read()[550, 750].astype(int)
    assert np.abs(frame[150, 200] - want).max() < 60
    assert (paint(tiles, close) != WAITING).all()


def test_before_anything_has_come_the_place_is_marked(source, tiles):
    frame = paint(tiles, view(source, 1.0))
    assert (frame == WAITING).all()


def test_memory_stays_within_its_cap_and_the_overview_is_kept(qtbot, source):
    tiles = ImageTiles(cap_bytes=3 * 2**20)
    tiles.set_source(source, default_display(source))
    for x in (100, 600, 1100, 1400, 100):
        settle(qtbot, tiles, view(source, 2.0, at=(x, 300)))
        assert tiles.nbytes <= 3 * 2**20
        assert tiles.nbytes == sum(t.pixels.nbytes for t in tiles._tiles.values())
    assert tiles.overview() is not None
    tiles.stop()


def test_another_display_keeps_the_old_tiles_until_the_new_come(qtbot, source, tiles):
    v = view(source, 1.0)
    settle(qtbot, tiles, v)
    before = paint(tiles, v)
    tiles.set_display(default_display(source).windowed(100, 101))
    np.testing.assert_array_equal(paint(tiles, v), before)
    settle(qtbot, tiles, v)
    assert set(np.unique(rgb(paint(tiles, v)))) <= {0, 255}


class Slow:
    """A source whose reads wait for a permission."""

    def __init__(self, source: ImageSource) -> None:
        self._source = source
        self.shape, self.levels, self.level_shape = source.shape, source.levels, source.level_shape
        self.go = threading.Semaphore(0)
        self.read_keys: list[tuple[int, Rect]] = []

    def close(self):
        self._source = None

    def read(self, rect, level=0):
        assert self.go.acquire(timeout=20)
        self.read_keys.append((level, rect))
        return self._source.read(rect, level)


def test_requests_for_a_view_that_was_left_are_dropped(qtbot, source):
    slow = Slow(source)
    tiles = ImageTiles(threads=1)
    tiles.set_source(slow, default_display(source))
    tiles.request(view(source, 4.0, at=(100, 100)))
    for x in range(200, 1400, 100):
        last = view(source, 4.0, at=(x, 900))
        tiles.request(last)
    for _ in range(40):
        slow.go.release()
    qtbot.waitUntil(lambda: tiles.is_complete(last), timeout=20_000)
    tiles.stop()
    assert len(slow.read_keys) <= 2 + len(tiles._keys(last, last.image_rect()))


def test_another_image_does_not_wait_for_the_former_one_and_never_shows_it(qtbot, source, tmp_path):
    slow = Slow(source)
    tiles = ImageTiles(threads=2)
    tiles.set_source(slow, default_display(source))
    v = view(source, 1.0)
    tiles.request(v)
    slow.go.release()  # one tile is made, its message waits in the queue; others are being read
    with open_image(picture(tmp_path / "other.png", 1100, 1500)) as other:
        tiles.set_source(other, default_display(other))
        tiles.request(v)
        assert not tiles._tiles
        slow.close()
        for _ in range(20):
            slow.go.release()
        settle(qtbot, tiles, v)
        frame = rgb(paint(tiles, v))
        assert (frame[..., 0] == frame[..., 1]).all()  # grey, as the other image
        tiles.set_source(None, Display())
        tiles.stop()


def test_wandering_about_always_ends_with_a_complete_view(qtbot, source, tiles):
    rng = np.random.default_rng(0)
    for _ in range(60):
        last = view(source, float(rng.choice([0.2, 0.5, 1.0, 4.0])), at=tuple(rng.integers(0, 1100, 2).tolist()))
        tiles.request(last)
        if rng.random() < 0.3:
            qtbot.wait(1)
    qtbot.waitUntil(lambda: tiles.is_complete(last), timeout=20_000)
    assert (paint(tiles, last) != WAITING).all()


def test_an_unreadable_image_is_said_once_and_not_tried_for_ever(qtbot, source):
    class Broken(Slow):
        def read(self, rect, level=0):
            raise ImageError("is damaged or cut off.", "x.png")

    tiles = ImageTiles()
    errors = []
    tiles.failed.connect(errors.append)
    tiles.set_source(Broken(source), default_display(source))
    v = view(source, 1.0)
    with qtbot.waitSignal(tiles.failed, timeout=20_000):
        tiles.request(v)
    tiles.request(v)
    tiles.stop()
    qtbot.wait(1)
    assert len(errors) == 1
    assert "damaged" in str(errors[0])
    assert tiles.is_complete(v)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
def test_contrast_window_and_gamma(dtype):
    values = np.array([[0, 100, 150, 200, 250]], dtype)
    for gamma in (1.0, 2.0):
        display = Display((ChannelDisplay(100, 200, gamma),))
        shown = rgb(to_rgb32(values, display))[0, :, 0]
        want = np.rint(255 * (np.clip((values[0].astype(float) - 100) / 100, 0, 1)) ** (1 / gamma))
        assert np.abs(shown - want).max() <= 1


def test_channels_have_colours_and_can_be_hidden():
    pixels = np.zeros((1, 2, 4), np.uint8)
    pixels[0, 0] = (200, 100, 50, 7)
    rgb_display = Display(tuple(ChannelDisplay(color=c) for c in ("#ff0000", "#00ff00", "#0000ff")))
    assert rgb(to_rgb32(pixels, rgb_display))[0, 0].tolist() == [200, 100, 50]
    no_green = Display(
        (rgb_display.channels[0], ChannelDisplay(visible=False, color="#00ff00"), rgb_display.channels[2])
    )
    assert rgb(to_rgb32(pixels, no_green))[0, 0].tolist() == [200, 0, 50]
    false = Display((ChannelDisplay(color="#00ff00"), ChannelDisplay(color="#ff00ff")))
    assert rgb(to_rgb32(pixels, false))[0, 0].tolist() == [100, 200, 100]
    grey = Display((ChannelDisplay(color="#ff8000"),))
    assert rgb(to_rgb32(pixels[..., 0], grey))[0, 0].tolist() == [200, 100, 0]
    hidden = Display((ChannelDisplay(visible=False),))
    assert rgb(to_rgb32(pixels[..., 0], hidden))[0, 0].tolist() in ([0, 0, 0], [255, 255, 255])


def test_nan_is_black():
    assert rgb(to_rgb32(np.array([[np.nan, np.inf, -np.inf]], np.float32), Display()))[0, :, 0].tolist() == [0, 255, 0]


def test_16_bit_gets_a_window_of_its_own_and_8_bit_does_not(tmp_path, source):
    path = tmp_path / "deep.png"
    deep = (np.random.default_rng(0).random((80, 80)) * 500 + 1000).astype(np.uint16)
    path.write_bytes(cv2.imencode(".png", deep)[1].tobytes())
    with open_image(path) as opened:
        (channel,) = default_display(opened).channels
        assert 1000 <= channel.low < 1050
        assert 1450 < channel.high <= 1500
    assert all((c.low, c.high) == (0, 255) for c in default_display(source).channels)
    windows = {(c.low, c.high) for c in auto_display(source, default_display(source)).channels}
    assert len(windows) == 1  # one for red, green and blue: the colours keep their balance


def test_tiles_cover_the_image_and_overlap_by_one_pixel(source):
    key = TileKey(0, 1, 1)
    pixels = tiles_module.read_tile(source, key, default_display(source))
    assert pixels.shape == (514, 514)
    last = tiles_module.read_tile(source, TileKey(0, 2, 2), default_display(source))
    assert last.shape == (1100 - 1024 + 1, 1500 - 1024 + 1)


def test_a_huge_picture_shows_its_parts_as_they_are_read(qtbot, source, monkeypatch):
    monkeypatch.setattr(tiles_module, "HUGE", 1)
    monkeypatch.setattr("unet_gui.core.levels.KEPT_PIXELS", 40_000)
    gate = threading.Event()

    def read(rect: Rect) -> np.ndarray:
        assert rect.y1 <= 600 or gate.wait(60)
        return source.read(rect)

    slow = ImageSource(source.path, 0, source.info, read, in_rows=True)
    v = view(source, 0.06, size=(90, 66))
    tiles = ImageTiles()
    tiles.set_source(slow, default_display(source))
    tiles.request(v)
    qtbot.waitUntil(lambda: (paint(tiles, v)[10:25, 5:85] != WAITING).all(), timeout=20_000)
    assert (paint(tiles, v)[45:60, 5:85] == WAITING).all()
    assert not tiles.is_complete(v)
    gate.set()
    qtbot.waitUntil(lambda: tiles.is_complete(v), timeout=20_000)
    plain = ImageTiles()
    with open_image(source.path) as again:
        plain.set_source(again, default_display(again))
        settle(qtbot, plain, v)
        np.testing.assert_array_equal(paint(tiles, v), paint(plain, v))
    assert tiles._glimpse is None
    tiles.stop()
    plain.stop()
