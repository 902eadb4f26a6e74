"""What the hand has done is not lost by a key pressed early, a release somebody else got, or a pen's other button."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from tests.app.canvas_driver import Driver, picture
from tests.app.kit import drag, go_to, paint, write_folder
from unet_gui.app.canvas.tool import Clip
from unet_gui.app.main_window import MainWindow
from unet_gui.core.geometry import Rect
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.palette import default_classes
from unet_gui.core.strokes import ellipse, rectangle

PRESS, MOVE, RELEASE = QEvent.Type.MouseButtonPress, QEvent.Type.MouseMove, QEvent.Type.MouseButtonRelease
TIP, TIP_MOVE, TIP_UP = QEvent.Type.TabletPress, QEvent.Type.TabletMove, QEvent.Type.TabletRelease
SHIFT = Qt.KeyboardModifier.ShiftModifier
Open = Callable[[Path | None], MainWindow]


@pytest.fixture
def driver(qtbot: QtBot, tmp_path: Path) -> Iterator[Driver]:
    made = Driver(qtbot, picture(tmp_path / "grey.png", 200, 300), size=(600, 400))
    yield made
    made.close()


@pytest.mark.parametrize("tool", ["brush", "eraser", "lasso", "polygon"])
def test_another_tool_ends_the_stroke_and_keeps_it(driver: Driver, tool: str) -> None:
    driver.mouse(PRESS, 100, 100)
    driver.mouse(MOVE, 130, 100)
    driver.view.set_tool(tool)
    assert driver.labelled()[100, 100:130].all()
    driver.mouse(MOVE, 160, 150)
    driver.mouse(RELEASE, 160, 150)
    assert not driver.labelled()[150, 160]
    assert len(driver.doc.history.undo_stack) == 1


def test_the_tool_in_hand_taken_again_keeps_its_shape(driver: Driver) -> None:
    driver.view.set_tool("polygon")
    for x, y in ((100, 50), (160, 50), (160, 110)):
        driver.click(x, y)
    driver.view.set_tool("polygon")
    driver.key(Qt.Key.Key_Return)
    assert driver.labelled()[60, 150]


def test_escape_still_takes_the_stroke_back(driver: Driver) -> None:
    driver.mouse(PRESS, 100, 100)
    driver.mouse(MOVE, 130, 100)
    driver.key(Qt.Key.Key_Escape)
    driver.mouse(RELEASE, 130, 100)
    assert not driver.labelled().any()


def test_a_release_that_somebody_else_got_ends_the_stroke(driver: Driver) -> None:
    driver.mouse(PRESS, 100, 100)
    driver.mouse(MOVE, 130, 100)
    driver.mouse(MOVE, 160, 150, Qt.MouseButton.NoButton)  # the menu of another program had the release
    driver.mouse(MOVE, 250, 150, Qt.MouseButton.NoButton)
    assert driver.labelled()[100, 120]
    assert not driver.labelled()[140:].any(), "nor a line to where the pointer came back"
    assert len(driver.doc.history.undo_stack) == 1


def test_a_pen_in_the_air_paints_nothing(driver: Driver) -> None:
    barrel = Qt.MouseButton.RightButton
    driver.pen(TIP, 100, 100, 0.0, button=barrel)
    driver.pen(TIP_MOVE, 150, 100, 0.0, button=barrel)
    driver.pen(TIP_UP, 150, 100, 0.0, button=barrel)
    assert not driver.labelled().any()
    driver.pen(TIP, 100, 100, 1.0)
    driver.pen(TIP_MOVE, 150, 100, 1.0)
    driver.pen(TIP, 150, 100, 1.0, button=barrel)
    driver.pen(TIP_MOVE, 200, 100, 1.0)
    driver.pen(TIP_UP, 200, 100, 0.0)
    assert driver.labelled()[100, 100:200].all()
    assert len(driver.doc.history.undo_stack) == 1


def test_a_pen_that_tells_no_pressure_paints(driver: Driver) -> None:
    driver.pen(TIP, 100, 100, 0.0)
    driver.pen(TIP_MOVE, 150, 100, 0.5)
    driver.pen(TIP_UP, 150, 100, 0.0)
    assert driver.labelled().any()


def test_many_small_turns_of_a_touchpad_are_one_notch(driver: Driver) -> None:
    driver.view.set_brush_size(20)
    for _ in range(20):
        driver.wheel(100, 100, 0.1, SHIFT)
    assert driver.view.brush.size == 24, "as two notches"


def test_classes_of_another_folder_are_not_pasted(driver: Driver) -> None:
    driver.view.set_classes(default_classes(2))
    ids = np.zeros((20, 20), np.uint8)
    ids[:, :10], ids[:, 10:] = 1, 4
    driver.view._bench.clip = Clip.of(ids, np.ones((20, 20), bool))
    driver.hover(100, 100)
    driver.view.paste()
    driver.click(100, 100)
    assert set(np.unique(driver.ids)) == {1, UNLABELLED}
    assert (driver.ids == 1).sum() == 200


def test_boxes_far_beyond_the_picture_cost_no_memory() -> None:
    limit = Rect(0, 0, 300, 200)
    rect, mask = rectangle((-1e6, -1e6), (1e6, 1e6), limit)
    assert rect == limit
    assert mask.all()
    rect, mask = ellipse((-1e6, -1e6), (1e6, 1e6), limit)
    assert rect == limit
    assert mask.all()
    whole_rect, whole = ellipse((-40, -30), (200, 100))
    rect, mask = ellipse((-40, -30), (200, 100), limit)
    assert rect == whole_rect.intersect(limit)
    np.testing.assert_array_equal(mask, whole[rect.shift(-whole_rect.x, -whole_rect.y).slices])
    assert rectangle((400, 0), (500, 9), limit)[0].empty
    assert ellipse((400, 0), (500, 9), limit)[0].empty


def test_the_next_image_does_not_cost_the_stroke(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    canvas = window.stage.canvas
    a, b = (canvas.to_widget(x, 20).toPoint() for x in (20, 40))
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, a)
    QTest.mouseMove(canvas, b)
    QTest.keyClick(window, Qt.Key.Key_D)
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, b)
    qtbot.waitUntil(lambda: window.session.key == "1.png" and window.session.document is not None)
    go_to(qtbot, window.session, 0)
    assert window.session.labels is not None
    assert (window.session.labels.ids[20, 20:40] != UNLABELLED).all()


def test_undo_of_a_correction_is_not_offered_for_another_change(
    qtbot: QtBot, open_window: Open, tmp_path: Path
) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    session = window.session
    paint(session, Rect(20, 20, 20, 20), 1)
    session.active_class = 1
    window.actions_by_id["grow_class"].trigger()
    qtbot.waitUntil(lambda: not window.whole.busy, timeout=20_000)
    (offer,) = [o for m in window.stage.messages.messages if m.topic == "whole image" for o in m.offers]
    drag(window, (50, 50), (55, 50))
    assert session.labels is not None
    now = session.labels.ids.copy()
    offer.act()
    np.testing.assert_array_equal(session.labels.ids, now)
    session.undo()
    offer.act()
    assert (session.labels.ids == 1).sum() == 400


def test_the_wheel_scrolls_the_panel_and_changes_nothing_in_it(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    combo = window.model_section.combo
    combo.addItems(["a", "b", "c"])
    combo.setCurrentIndex(1)
    chosen: list[int] = []
    combo.activated.connect(chosen.append)

    def turn(widget: QWidget) -> None:
        at = QPointF(widget.rect().center())
        pixels, notch = QPoint(), QPoint(0, -120)
        none, keys = Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier
        event = QWheelEvent(
            at, QPointF(widget.mapToGlobal(at)), pixels, notch, none, keys, Qt.ScrollPhase.NoScrollPhase, False
        )
        QApplication.sendEvent(widget, event)

    window.stage.canvas.setFocus()
    turn(combo)
    assert combo.currentIndex() == 1
    assert not chosen
