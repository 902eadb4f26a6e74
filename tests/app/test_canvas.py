"""The canvas with real mouse events: label pixels and screen pixels."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from tests.app.canvas_driver import Driver, picture
from unet_gui.core.labels import UNLABELLED

LEFT, RIGHT, MIDDLE = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton, Qt.MouseButton.MiddleButton


@pytest.fixture
def driver(qtbot: QtBot, tmp_path) -> Iterator[Driver]:
    made = Driver(qtbot, picture(tmp_path / "grey.png", 200, 300), size=(600, 400))
    yield made
    made.close()


def test_a_stroke_shows_in_the_label_and_on_the_screen(driver: Driver) -> None:
    before = driver.screen()
    driver.drag([(50, 50), (150, 60)])
    assert driver.ids[50, 50] == driver.ids[60, 150] == 1
    assert driver.ids[55, 100] == 1
    assert driver.ids[150, 50] == UNLABELLED
    driver.leave()
    after = driver.screen()
    changed = (before != after).any(axis=2)
    assert changed[driver.at(100, 55)]
    assert not changed[driver.at(50, 150)]
    driver.doc.undo()
    np.testing.assert_array_equal(driver.screen(), before)
    driver.doc.redo()
    np.testing.assert_array_equal(driver.screen(), after)


def test_right_button_and_alt_erase(driver: Driver) -> None:
    driver.drag([(50, 50), (150, 50)])
    driver.drag([(60, 50), (60, 50)], button=RIGHT)
    driver.drag([(120, 50), (120, 50)], modifiers=Qt.KeyboardModifier.AltModifier)
    assert driver.ids[50, 60] == driver.ids[50, 120] == UNLABELLED
    assert driver.ids[50, 90] == 1
    assert driver.doc.history.undo_text == "Erase"


def test_middle_drag_and_space_pan(driver: Driver) -> None:
    driver.view.zoom_to(4)
    left, top = driver.view.view.left, driver.view.view.top
    QTest.mousePress(driver.view, MIDDLE, pos=QPoint(200, 200))
    QTest.mouseMove(driver.view, QPoint(230, 190))
    QTest.mouseRelease(driver.view, MIDDLE, pos=QPoint(230, 190))
    assert (driver.view.view.left, driver.view.view.top) == (left - 30, top + 10)
    QTest.keyPress(driver.view, Qt.Key.Key_Space)
    driver.drag_screen([(200, 200), (150, 200)])
    QTest.keyRelease(driver.view, Qt.Key.Key_Space)
    assert driver.view.view.left == left + 20
    assert (driver.ids == UNLABELLED).all()


def test_a_flood_of_calls_that_return_nothing_does_not_use_up_none(driver: Driver) -> None:
    # PySide6 6.12.0 loses a reference to None with every such call: without the counter-measure this aborts
    before = sys.getrefcount(None)
    for _ in range(100_000):
        driver.view.update()
    assert sys.getrefcount(None) > max(1000, before - 110_000)
