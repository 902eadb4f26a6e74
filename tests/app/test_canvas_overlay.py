"""Shapes in progress are painted again only where they change, and look as if all had been painted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QObject
from PySide6.QtGui import QImage, QPaintEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from tests.app.canvas_driver import Driver, picture
from unet_gui.core import strokes

PRESS, MOVE, RELEASE = QEvent.Type.MouseButtonPress, QEvent.Type.MouseMove, QEvent.Type.MouseButtonRelease


@pytest.fixture
def driver(qtbot: QtBot, tmp_path: Path) -> Iterator[Driver]:
    made = Driver(qtbot, picture(tmp_path / "grey.png", 200, 300), size=(600, 400))
    yield made
    made.close()


def window_pixels(driver: Driver) -> np.ndarray:
    """Return what is in the window: only painted again where that was asked for."""
    QApplication.processEvents()
    image = driver.view.screen().grabWindow(driver.view.winId()).toImage()
    image = image.convertToFormat(QImage.Format.Format_RGB32)
    return np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.width(), 4)[..., :3].copy()


def assert_as_painted_whole(driver: Driver) -> None:
    partly = window_pixels(driver)
    driver.view.update()
    np.testing.assert_array_equal(partly, window_pixels(driver))


class _Watcher(QObject):
    """Adds up what is painted."""

    def __init__(self) -> None:
        super().__init__()
        self.pixels = 0

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(event, QPaintEvent):
            self.pixels += sum(rect.width() * rect.height() for rect in event.region())  # type: ignore[attr-defined]
        return False


def wander(count: int, seed: int = 0) -> list[tuple[float, float]]:
    """Return a line that goes all over the picture and beyond."""
    rng = np.random.default_rng(seed)
    points = np.array([150, 100]) + np.cumsum(rng.normal(0, 12, (count, 2)), axis=0)
    return [tuple(point) for point in points.tolist()]


@pytest.mark.parametrize("zoom", [2.0, 0.7, 5.0])
@pytest.mark.parametrize("tool", ["lasso", "polygon", "scissors"])
def test_a_growing_line_looks_as_if_all_had_been_painted(driver: Driver, tool: str, zoom: float) -> None:
    driver.view.set_tool(tool)
    driver.view.zoom_to(zoom)
    driver.settle()
    places = wander(40)
    if tool == "lasso":
        driver.mouse(PRESS, *places[0])
    for n, place in enumerate(places):
        if tool == "lasso":
            driver.mouse(MOVE, *place)
        elif n % 3:
            driver.hover(*place)
        else:
            driver.click(*place)
        if n % 4 == 0:
            assert_as_painted_whole(driver)
    assert driver.view._bench.overlay is not None
    if tool == "polygon":
        driver.drag([places[0], (150, 100), (20, 30)])
        assert_as_painted_whole(driver)
        driver.view.undo()
        assert_as_painted_whole(driver)
    driver.view.cancel()
    assert_as_painted_whole(driver)


def test_a_long_lasso_costs_what_is_added_to_it(driver: Driver) -> None:
    driver.view.set_tool("lasso")
    angle = np.linspace(0, 6, 600)
    places = np.stack([150 + 90 * np.cos(angle), 100 + 90 * np.sin(angle)], axis=1).tolist()
    driver.mouse(PRESS, *places[0])
    watcher = _Watcher()
    driver.view.installEventFilter(watcher)
    painted = []
    for place in places:
        watcher.pixels = 0
        driver.mouse(MOVE, *place)
        QApplication.processEvents()
        painted.append(watcher.pixels)
    driver.view.removeEventFilter(watcher)
    assert max(painted[-20:]) < 0.1 * 600 * 400
    assert min(painted[-20:]) > 0


def test_the_lasso_is_exact_however_long_it_is(driver: Driver) -> None:
    driver.tool("lasso")
    places = [(round(x), round(y)) for x, y in wander(300, seed=1)]
    driver.drag([(min(max(x, 1), 298), min(max(y, 1), 198)) for x, y in places])
    kept = [(min(max(x, 1), 298) + 0.5, min(max(y, 1), 198) + 0.5) for x, y in places]
    rect, mask = strokes.polygon(kept)
    want = np.zeros((200, 300), bool)
    want[rect.slices] = mask
    np.testing.assert_array_equal(driver.labelled(), want)
