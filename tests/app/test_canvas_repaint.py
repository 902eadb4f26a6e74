"""What of the canvas is painted again: only what has changed, and as good as all of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QObject, QRect, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from tests.app.canvas_driver import Driver, picture
from unet_gui.app.canvas.layers import LayerSettings
from unet_gui.core.cv import cv2
from unet_gui.core.geometry import Rect

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def driver(qtbot: QtBot, tmp_path: Path) -> Iterator[Driver]:
    made = Driver(qtbot, picture(tmp_path / "grey.png", 600, 800), size=(600, 400))
    yield made
    made.close()


def composed_by(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> list[Rect]:
    """Return a list of what is composed from now on."""
    composed: list[Rect] = []
    compose = driver.view._scene._compose

    def note(painter: QPainter, rect: Rect) -> None:
        composed.append(rect)
        compose(painter, rect)

    monkeypatch.setattr(driver.view._scene, "_compose", note)
    return composed


class _PaintWatcher(QObject):
    """Notes which parts of a widget are painted."""

    def __init__(self) -> None:
        super().__init__()
        self.rects: list[QRect] = []

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(event, QPaintEvent):
            self.rects.append(event.region().boundingRect())
        return False


@pytest.mark.parametrize("zoom", [None, 1.0, 3.0, 0.37])
@pytest.mark.parametrize("outline", [False, True])
def test_painting_again_where_it_changed_is_as_good_as_painting_all(driver: Driver, zoom, outline) -> None:
    driver.view.layers = LayerSettings(outline=outline)
    if zoom:
        driver.view.zoom_to(zoom)
    driver.settle()
    for rect in (Rect(300, 200, 120, 90), Rect(390, 270, 17, 23), Rect(310, 210, 5, 300)):
        driver.paint_label(rect, class_id=rect.w % 3)
    partly = driver.screen()
    driver.view._scene.mark_all()
    # zoomed out, blending may round differently by one
    assert np.abs(driver.screen().astype(int) - partly).max() <= (1 if driver.view.zoom < 1 else 0)


@pytest.mark.parametrize("zoom", [1.0, 3.0, 0.9])
@pytest.mark.parametrize("outline", [False, True])
def test_panning_moves_the_picture_and_composes_only_what_comes_into_view(
    driver: Driver, monkeypatch: pytest.MonkeyPatch, zoom: float, outline: bool
) -> None:
    driver.paint_label(Rect(200, 150, 300, 200))
    driver.view.layers = LayerSettings(outline=outline, prediction=False)
    driver.view.zoom_to(zoom)
    driver.view.center_on(400, 300)
    driver.screen()
    composed = composed_by(driver, monkeypatch)
    for dx, dy in ((7, 0), (-20, 11), (0, -30), (25, 25)):
        composed.clear()
        driver.view.pan_by(dx / zoom, dy / zoom)
        driver.paint_label(Rect(400 + dx, 300, 9, 9), class_id=2)  # a change while it moves
        moved = driver.screen()
        assert sum(rect.area for rect in composed) < 0.35 * 600 * 400
        driver.view._scene.mark_all()
        assert np.abs(driver.screen().astype(int) - moved).max() <= (1 if zoom < 1 else 0)


def test_a_stroke_repaints_its_own_place_only(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    driver.view.zoom_to(1)
    driver.settle()
    composed = composed_by(driver, monkeypatch)
    watcher = _PaintWatcher()
    driver.view.installEventFilter(watcher)
    driver.view.set_brush_size(20)
    driver.drag([(400, 300), (430, 300)])
    QApplication.processEvents()
    assert watcher.rects
    assert all(rect.width() < 120 and rect.height() < 80 for rect in watcher.rects)
    assert 0 < sum(rect.area for rect in composed) < 90 * 60


def test_moving_the_ring_composes_nothing(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    driver.hover(300, 200)
    driver.screen()
    monkeypatch.setattr(driver.view._scene, "_compose", lambda *_: pytest.fail("composed"))
    driver.hover(400, 300)
    QApplication.processEvents()


@pytest.mark.parametrize("ground", [0, 128, 255])
@pytest.mark.parametrize("size", [1, 20])
@pytest.mark.parametrize("zoom", [1.0, 8.0])
def test_the_ring_shows_on_any_ground_even_at_one_pixel(qtbot: QtBot, tmp_path: Path, ground, size, zoom) -> None:
    path = tmp_path / "flat.png"
    path.write_bytes(cv2.imencode(".png", np.full((200, 200), ground, np.uint8))[1].tobytes())
    driver = Driver(qtbot, path, size=(300, 300))
    driver.view.zoom_to(zoom)
    driver.view.set_brush_size(size)
    driver.leave()
    before = driver.screen()
    driver.hover(100, 100)
    contrast = np.abs(driver.screen().astype(int) - before).max(axis=2)
    ring = contrast > 60
    assert ring.sum() >= 20
    rows, columns = np.nonzero(ring)
    middle = driver.view.view.to_screen(100.5 if size % 2 else 100, 100.5 if size % 2 else 100)
    distance = np.hypot(columns + 0.5 - middle[0], rows + 0.5 - middle[1])
    radius = size / 2 * zoom
    if radius >= 4:
        assert distance.min() > radius - 2.5
        assert distance.max() < radius + 2.5
    driver.leave()
    np.testing.assert_array_equal(driver.screen(), before)
    driver.close()


def test_a_moved_ring_leaves_no_trace(driver: Driver) -> None:
    driver.leave()
    before = driver.screen()
    for size in (3, 60, 400, 1):
        driver.view.set_brush_size(size)
        for x in range(250, 500, 31):
            driver.hover(x, 200 + x // 7)
            QApplication.processEvents()
    driver.leave()
    np.testing.assert_array_equal(driver.screen(), before)


def test_the_ring_stays_under_the_pointer_when_the_picture_moves(driver: Driver) -> None:
    driver.view.zoom_to(2)
    driver.hover(400, 300)
    middle = driver.view.view.to_screen(400, 300)
    for move in (lambda: driver.key(Qt.Key.Key_Right), lambda: driver.view.zoom_to(5), driver.view.fit):
        move()
        place = driver.view._ring_place()
        assert place is not None
        assert place[0] == pytest.approx(middle, abs=driver.view.zoom + 1)
