"""Polygon, lasso, rectangle, ellipse with real events."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from tests.app.canvas_driver import Driver, picture
from unet_gui.core import strokes
from unet_gui.core.geometry import Rect
from unet_gui.core.labels import UNLABELLED

LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton
SHIFT, CTRL, ALT = (
    Qt.KeyboardModifier.ShiftModifier,
    Qt.KeyboardModifier.ControlModifier,
    Qt.KeyboardModifier.AltModifier,
)


@pytest.fixture
def driver(qtbot: QtBot, tmp_path) -> Iterator[Driver]:
    made = Driver(qtbot, picture(tmp_path / "grey.png", 200, 300), size=(600, 400))
    made.tool("polygon")
    yield made
    made.close()


def filled(shape) -> np.ndarray:
    want = np.zeros((200, 300), bool)
    rect, mask = shape
    inside = rect.clip(want.shape)
    want[inside.slices] = mask[inside.shift(-rect.x, -rect.y).slices]
    return want


def corners(*points) -> list[tuple[float, float]]:
    return [(x + 0.5, y + 0.5) for x, y in points]  # the mouse hits the middle of the pixel


def label_all(driver: Driver, class_id: int = 1) -> None:
    with driver.doc.labels.edit("all") as edit:
        edit.paint(Rect(0, 0, 300, 200), None, class_id)


SQUARE = [(50, 50), (150, 60), (140, 150), (40, 140)]


@pytest.mark.parametrize("close", ["enter", "first corner", "double click"])
def test_polygon_closes_in_three_ways(driver: Driver, close: str) -> None:
    for point in SQUARE:
        driver.click(*point)
    assert not driver.labelled().any()
    if close == "enter":
        driver.key(Qt.Key.Key_Return)
    elif close == "first corner":
        driver.click(*SQUARE[0])
    else:
        driver.mouse(QEvent.Type.MouseButtonDblClick, *SQUARE[-1])
        driver.mouse(QEvent.Type.MouseButtonRelease, *SQUARE[-1])
    np.testing.assert_array_equal(driver.labelled(), filled(strokes.polygon(corners(*SQUARE))))
    assert driver.doc.history.undo_text == "Polygon"
    assert len(driver.doc.history) == 1
    driver.key(Qt.Key.Key_Return)  # nothing is left of it
    assert len(driver.doc.history) == 1


def test_polygon_corners_are_moved_added_and_taken_away(driver: Driver) -> None:
    for point in [*SQUARE, (250, 180)]:
        driver.click(*point)
    driver.click(250, 180, button=RIGHT)  # taken away
    driver.drag([(150, 60), (180, 40)])  # moved
    driver.drag([(90, 145), (90, 190)])  # added on a side
    driver.key(Qt.Key.Key_Return)
    want = [(50, 50), (180, 40), (140, 150), (90, 190), (40, 140)]
    np.testing.assert_array_equal(driver.labelled(), filled(strokes.polygon(corners(*want))))


def test_polygon_backspace_and_escape(driver: Driver) -> None:
    for point in [*SQUARE, (250, 180)]:
        driver.click(*point)
    driver.key(Qt.Key.Key_Backspace)
    driver.key(Qt.Key.Key_Enter)
    np.testing.assert_array_equal(driver.labelled(), filled(strokes.polygon(corners(*SQUARE))))
    driver.doc.undo()
    for point in SQUARE:
        driver.click(*point)
    driver.key(Qt.Key.Key_Escape)
    driver.key(Qt.Key.Key_Return)
    assert not driver.labelled().any()


def test_polygon_shows_its_lines_and_corners_while_it_is_drawn(driver: Driver) -> None:
    driver.leave()
    before = driver.screen()
    driver.click(50, 50)
    driver.click(150, 50)
    driver.hover(150, 150)
    during = driver.screen()
    for x, y in ((50, 50), (100, 50), (150, 100)):
        assert (during[driver.at(x, y)] != before[driver.at(x, y)]).any(), (x, y)
    driver.key(Qt.Key.Key_Escape)
    driver.leave()
    np.testing.assert_array_equal(driver.screen(), before)


def test_a_polygon_begun_with_the_right_button_erases(driver: Driver) -> None:
    label_all(driver)
    for point in SQUARE:
        driver.click(*point, button=RIGHT if point == SQUARE[0] else LEFT)
    driver.key(Qt.Key.Key_Return)
    np.testing.assert_array_equal(driver.ids == UNLABELLED, filled(strokes.polygon(corners(*SQUARE))))


def test_lasso_fills_what_it_goes_around(driver: Driver) -> None:
    driver.view.set_tool("lasso")
    driver.drag(SQUARE)
    np.testing.assert_array_equal(driver.labelled(), filled(strokes.polygon(corners(*SQUARE))))
    driver.drag(SQUARE, button=RIGHT)
    assert not driver.labelled().any()
    assert len(driver.doc.history) == 2


def test_escape_gives_the_lasso_up(driver: Driver) -> None:
    driver.view.set_tool("lasso")
    driver.mouse(QEvent.Type.MouseButtonPress, 50, 50)
    driver.mouse(QEvent.Type.MouseMove, 150, 50)
    driver.mouse(QEvent.Type.MouseMove, 150, 150)
    driver.key(Qt.Key.Key_Escape)
    driver.mouse(QEvent.Type.MouseButtonRelease, 150, 150)
    assert not driver.labelled().any()


@pytest.mark.parametrize("tool", ["rectangle", "ellipse"])
def test_box_shapes(driver: Driver, tool: str) -> None:
    driver.view.set_tool(tool)
    shape = strokes.rectangle if tool == "rectangle" else strokes.ellipse
    driver.drag([(50, 40), (130, 100)])
    np.testing.assert_array_equal(driver.labelled(), filled(shape((50.5, 40.5), (130.5, 100.5))))
    driver.doc.undo()

    def drag(modifiers: Qt.KeyboardModifier) -> None:
        driver.mouse(QEvent.Type.MouseButtonPress, 100, 100)
        driver.mouse(QEvent.Type.MouseMove, 160, 120, modifiers=modifiers)
        driver.mouse(QEvent.Type.MouseButtonRelease, 160, 120, modifiers=modifiers)

    drag(SHIFT)
    np.testing.assert_array_equal(driver.labelled(), filled(shape((100.5, 100.5), (160.5, 160.5))))
    driver.doc.undo()
    drag(CTRL)
    np.testing.assert_array_equal(driver.labelled(), filled(shape((40.5, 80.5), (160.5, 120.5))))
    driver.drag([(0, 0), (299, 199)], modifiers=ALT)
    assert not driver.labelled()[80:120, 60:140].any()


def test_a_huge_polygon_is_filled_in_bands(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strokes.polygon_bands, "__defaults__", (1000,))
    for point in SQUARE:
        driver.click(*point)
    driver.key(Qt.Key.Key_Return)
    np.testing.assert_array_equal(driver.labelled(), filled(strokes.polygon(corners(*SQUARE))))
    assert len(driver.doc.history) == 1


def test_keys_without_a_shape_are_left_to_the_window(driver: Driver) -> None:
    for key in (Qt.Key.Key_Return, Qt.Key.Key_Escape, Qt.Key.Key_Backspace):
        event = QKeyEvent(QEvent.Type.KeyPress, key, Qt.KeyboardModifier.NoModifier)
        QApplication.sendEvent(driver.view, event)
        assert not event.isAccepted()
