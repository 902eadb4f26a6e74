"""Working without a mouse, and with two fingers, on the real window."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QNativeGestureEvent, QPointingDevice
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from tests.app.kit import SHAPE, drag, paint, write_folder
from unet_gui.app.main_window import MainWindow
from unet_gui.core.geometry import Rect
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.strokes import capsule

Open = Callable[[Path | None], MainWindow]
CTRL, SHIFT, NONE = (
    Qt.KeyboardModifier.ControlModifier,
    Qt.KeyboardModifier.ShiftModifier,
    Qt.KeyboardModifier.NoModifier,
)
Key = Qt.Key


def ids(window: MainWindow) -> np.ndarray:
    assert window.session.labels is not None
    return window.session.labels.ids


def press(window: MainWindow, *keys: tuple[Qt.Key, Qt.KeyboardModifier]) -> None:
    for key, held in keys:
        QTest.keyClick(window.images.list, key, held)


@pytest.fixture
def window(open_window: Open, tmp_path: Path) -> MainWindow:
    window = open_window(write_folder(tmp_path / "x"))
    window.stage.canvas.set_brush_size(5)
    window.activateWindow()
    return window


def test_a_dot_in_the_middle(window: MainWindow) -> None:
    press(window, (Key.Key_Space, CTRL))
    rect, mask = capsule((40.5, 30.5), (40.5, 30.5), 2.5)
    expected = np.full(SHAPE, UNLABELLED, np.uint8)
    expected[rect.slices][mask] = 1
    np.testing.assert_array_equal(ids(window), expected)
    press(window, (Key.Key_Z, CTRL))
    assert (ids(window) == UNLABELLED).all()


def test_a_line_is_one_step_and_goes_where_the_keys_say(window: MainWindow) -> None:
    right, down = (Key.Key_Right, SHIFT), (Key.Key_Down, CTRL)
    press(window, (Key.Key_Space, SHIFT), right, right, right, down, (Key.Key_Space, SHIFT))
    ys, xs = np.nonzero(ids(window) == 1)
    assert (xs.min(), xs.max()) == (38, 48), "three steps of half a brush from the middle"
    assert (ys.min(), ys.max()) == (28, 33), "and one pixel down"
    assert window.session.document is not None
    assert len(window.session.document.history.undo_stack) == 1
    press(window, (Key.Key_Left, SHIFT))
    assert len(window.session.document.history.undo_stack) == 1, "the pen is up: nothing is drawn"


def test_esc_takes_back_the_line_under_way(window: MainWindow) -> None:
    press(window, (Key.Key_Space, SHIFT), (Key.Key_Right, SHIFT))
    assert (ids(window) == 1).any()
    QTest.keyClick(window.stage.canvas, Key.Key_Escape)
    assert (ids(window) == UNLABELLED).all()
    press(window, (Key.Key_Right, SHIFT))
    assert (ids(window) == UNLABELLED).all()
    press(window, (Key.Key_Space, CTRL))
    assert (ids(window) == 1).any()


def test_a_polygon_and_a_blob_without_a_mouse(window: MainWindow) -> None:
    canvas = window.stage.canvas
    press(window, (Key.Key_P, NONE), (Key.Key_Space, CTRL))
    for way in (Key.Key_Right, Key.Key_Down, Key.Key_Left):
        press(window, *[(way, CTRL)] * 12, (Key.Key_Space, CTRL))
    QTest.keyClick(canvas, Key.Key_Return)
    area = int((ids(window) == 1).sum())
    assert 130 <= area <= 170
    press(window, (Key.Key_Up, CTRL), (Key.Key_Right, CTRL), (Key.Key_Delete, NONE))
    assert (ids(window) == UNLABELLED).all()


def test_a_rectangle_dragged_with_keys(window: MainWindow) -> None:
    window.stage.canvas.set_tool("rectangle")
    press(window, (Key.Key_Space, SHIFT), *[(Key.Key_Right, CTRL)] * 10, *[(Key.Key_Down, CTRL)] * 5)
    press(window, (Key.Key_Space, SHIFT))
    QTest.keyClick(window.stage.canvas, Key.Key_Return)
    assert (ids(window) == 1).sum() == pytest.approx(11 * 6, abs=20)


def test_the_picture_follows_the_pen_and_the_pen_stays_inside(window: MainWindow) -> None:
    canvas = window.stage.canvas
    canvas.zoom_to(40)
    canvas.center_on(40, 30)
    for _ in range(60):
        press(window, (Key.Key_Right, SHIFT), (Key.Key_Down, SHIFT))
    press(window, (Key.Key_Space, CTRL))
    assert ids(window)[-1, -1] == 1
    assert canvas.visible_rect().x1 == SHAPE[1]
    for _ in range(200):
        press(window, (Key.Key_Left, CTRL), (Key.Key_Up, CTRL))
    press(window, (Key.Key_Space, CTRL))
    assert ids(window)[0, 0] == 1
    assert canvas.visible_rect().x == 0


def test_a_bumped_mouse_does_not_draw_and_a_click_takes_over(window: MainWindow) -> None:
    canvas = window.stage.canvas
    press(window, (Key.Key_Space, SHIFT), (Key.Key_Right, SHIFT))
    drawn = ids(window).copy()
    QTest.mouseMove(canvas, canvas.to_widget(5, 5).toPoint())
    QTest.mouseMove(canvas, canvas.to_widget(6, 6).toPoint())
    np.testing.assert_array_equal(ids(window), drawn)
    drag(window, (10, 50), (20, 50))
    assert window.session.document is not None
    assert len(window.session.document.history.undo_stack) == 2
    window.session.undo()
    np.testing.assert_array_equal(ids(window), drawn)


def test_every_key_of_the_pen_is_in_the_list_and_can_be_changed(window: MainWindow) -> None:
    names = [name for name in window.actions_by_id.specs if name.startswith("pen_")]
    assert len(names) == 10
    window.settings.set_shortcut("pen_click", ["Ctrl+J"])
    press(window, (Key.Key_J, CTRL))
    assert (ids(window) == 1).any()
    before = ids(window).copy()
    press(window, (Key.Key_Up, SHIFT), (Key.Key_Space, CTRL))
    np.testing.assert_array_equal(ids(window), before)


def native(window: MainWindow, kind: Qt.NativeGestureType, value: float, delta: QPointF | None = None) -> None:
    canvas = window.stage.canvas
    at = QPointF(canvas.width() * 0.75, canvas.height() * 0.25)
    everywhere = QPointF(canvas.mapToGlobal(at))
    device = QPointingDevice.primaryPointingDevice()
    event = QNativeGestureEvent(kind, device, 2, at, at, everywhere, value, delta or QPointF())
    QApplication.sendEvent(canvas, event)
    assert event.isAccepted()


def test_pinching_on_a_touchpad_zooms_at_the_fingers(window: MainWindow) -> None:
    canvas = window.stage.canvas
    zoom = canvas.zoom
    dpr = canvas.devicePixelRatioF()
    at = canvas.width() * 0.75 * dpr, canvas.height() * 0.25 * dpr
    before = canvas.view.to_image(*at)
    for _ in range(5):
        native(window, Qt.NativeGestureType.ZoomNativeGesture, 0.1)
    assert canvas.zoom == pytest.approx(zoom * 1.1**5)
    assert canvas.view.to_image(*at) == pytest.approx(before, abs=0.2)
    left = canvas.view.left
    native(window, Qt.NativeGestureType.PanNativeGesture, 0, QPointF(30, 0))
    assert canvas.view.left == pytest.approx(left - 30 * dpr)
    native(window, Qt.NativeGestureType.ZoomNativeGesture, -5.0)
    assert canvas.zoom > 0


def test_pinching_on_a_touch_screen_zooms_and_takes_the_first_finger_s_stroke_back(
    qtbot: QtBot, window: MainWindow
) -> None:
    canvas = window.stage.canvas
    zoom = canvas.zoom
    device = QTest.createTouchDevice()
    middle = canvas.rect().center()

    def apart(by: int) -> tuple[QPoint, QPoint]:
        return middle - QPoint(by, 0), middle + QPoint(by, 0)

    one, two = apart(40)
    QTest.touchEvent(canvas, device).press(0, one, canvas).press(1, two, canvas).commit()
    for by in range(45, 125, 5):
        one, two = apart(by)
        QTest.touchEvent(canvas, device).move(0, one, canvas).move(1, two, canvas).commit()
    QTest.touchEvent(canvas, device).release(0, one, canvas).release(1, two, canvas).commit()
    assert canvas.zoom > 2 * zoom
    assert (ids(window) == UNLABELLED).all()
    paint(window.session, Rect(0, 0, 2, 2), 1)
