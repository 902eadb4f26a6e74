"""Brush, eraser, fill, pick, pan: with mouse, pen and keys."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from PySide6.QtCore import QEvent, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from tests.app.canvas_driver import Driver, picture
from unet_gui.core.geometry import Rect
from unet_gui.core.labels import UNLABELLED, Over
from unet_gui.core.strokes import capsule

SHIFT, ALT = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.AltModifier
RIGHT = Qt.MouseButton.RightButton


@pytest.fixture
def driver(qtbot: QtBot, tmp_path) -> Iterator[Driver]:
    made = Driver(qtbot, picture(tmp_path / "grey.png", 200, 300), size=(600, 400))
    made.tool("brush")
    yield made
    made.close()


def painted(*strokes) -> np.ndarray:
    want = np.zeros((200, 300), bool)
    for stroke in strokes:
        rect, mask = capsule(*stroke)
        inside = rect.clip(want.shape)
        want[inside.slices] |= mask[inside.shift(-rect.x, -rect.y).slices]
    return want


def test_a_fast_stroke_is_one_capsule_and_one_undo_step(driver: Driver) -> None:
    driver.view.set_brush_size(9)
    driver.drag([(20, 30), (280, 170)])
    np.testing.assert_array_equal(driver.labelled(), painted(((20.5, 30.5), (280.5, 170.5), 4.5)))
    assert (driver.doc.history.undo_text, len(driver.doc.history)) == ("Brush", 1)
    driver.doc.undo()
    assert not driver.labelled().any()


def test_a_stroke_over_the_border_paints_what_is_inside(driver: Driver) -> None:
    driver.view.center_on(0, 0)
    driver.settle()
    driver.drag([(-10, 5), (8, 5), (-10, 9)])
    assert driver.ids[5, 0] == 1


def test_one_pixel_brush_paints_exactly_the_pixel_under_the_pointer(driver: Driver) -> None:
    driver.view.zoom_to(8)
    driver.settle()
    driver.view.set_brush_size(1)
    at = driver.place(150, 100)
    for dx in (-3, 0, 3):  # anywhere on the pixel
        QTest.mouseClick(driver.view, Qt.MouseButton.LeftButton, pos=at + type(at)(dx, dx))
        assert driver.labelled().sum() == 1
        assert driver.ids[100, 150] == 1


def test_brush_size_in_screen_pixels_shrinks_on_the_image(driver: Driver) -> None:
    driver.view.brush.on_screen = True
    driver.view.set_brush_size(20)
    driver.click(150, 100)
    at_two = driver.labelled().sum()
    driver.doc.undo()
    driver.view.zoom_to(4)
    driver.settle()
    driver.click(150, 100)
    assert at_two == pytest.approx(np.pi * 25, abs=5)
    assert driver.labelled().sum() == pytest.approx(np.pi * 6.25, abs=4)


def test_shift_click_draws_a_straight_line_from_the_last_point(driver: Driver) -> None:
    driver.view.set_brush_size(3)
    driver.click(40, 40)
    driver.click(200, 120, modifiers=SHIFT)
    driver.click(40, 120, modifiers=SHIFT)
    want = painted(((40.5, 40.5), (200.5, 120.5), 1.5), ((200.5, 120.5), (40.5, 120.5), 1.5))
    np.testing.assert_array_equal(driver.labelled(), want)
    assert len(driver.doc.history) == 3


def test_shift_shows_the_line_before_it_is_drawn(driver: Driver) -> None:
    driver.click(100, 60)
    driver.doc.undo()
    driver.hover(200, 60)
    before = driver.screen()
    where = driver.at(150, 60)
    QTest.keyPress(driver.view, Qt.Key.Key_Shift)
    with_key = driver.screen()
    driver.hover(201, 60, SHIFT)
    with_move = driver.screen()
    QTest.keyRelease(driver.view, Qt.Key.Key_Shift)
    assert (with_key[where] != before[where]).any()
    assert (with_move[where] != before[where]).any()
    driver.hover(200, 60)
    np.testing.assert_array_equal(driver.screen(), before)


def test_pressure_scales_the_size(driver: Driver) -> None:
    driver.view.set_brush_size(40)
    driver.pen(QEvent.Type.TabletPress, 60, 60, 0.25)
    driver.pen(QEvent.Type.TabletMove, 160, 60, 1.0)
    driver.pen(QEvent.Type.TabletRelease, 160, 60, 0.0)
    widths = driver.labelled().sum(axis=0)
    assert widths[60] == pytest.approx(10, abs=4)
    assert widths[110] == pytest.approx(25, abs=3)
    assert widths[160] == pytest.approx(40, abs=2)
    assert len(driver.doc.history) == 1


def test_the_other_end_of_the_pen_erases(driver: Driver) -> None:
    driver.drag([(60, 60), (160, 60)])
    driver.pen(QEvent.Type.TabletPress, 100, 60, 1.0, eraser=True)
    driver.pen(QEvent.Type.TabletRelease, 100, 60, 0.0, eraser=True)
    assert driver.ids[60, 100] == UNLABELLED
    assert driver.ids[60, 70] == 1


@pytest.mark.parametrize(
    ("over", "painted_over"),
    [(Over.ALL, {0, 1, 2, 255}), (Over.UNLABELLED, {255}), (Over("classes", frozenset({0, 255})), {0, 255})],
)
def test_the_over_paint_rule_holds(driver: Driver, over: Over, painted_over: set[int]) -> None:
    with driver.doc.labels.edit("stripes") as edit:
        for i, class_id in enumerate((0, 1, 2)):
            edit.paint(Rect(50 * i, 0, 50, 200), None, class_id)
    driver.doc.over = over
    driver.doc.active_class = 3
    driver.drag([(10, 100), (240, 100)])
    for class_id, x in ((0, 25), (1, 75), (2, 125), (255, 175)):
        assert driver.ids[100, x] == (3 if class_id in painted_over else class_id)


def test_the_eraser_works_under_the_rule_only_unlabelled_but_spares_protected_classes(driver: Driver) -> None:
    driver.drag([(50, 50), (150, 50)])
    driver.doc.over = Over.UNLABELLED
    driver.view.set_tool("eraser")
    driver.click(60, 50)
    assert driver.ids[50, 60] == UNLABELLED
    driver.doc.over = Over("classes", frozenset({2}))
    driver.click(120, 50)
    assert driver.ids[50, 120] == 1


def test_escape_takes_a_stroke_back_while_it_is_drawn(driver: Driver) -> None:
    QTest.mousePress(driver.view, Qt.MouseButton.LeftButton, pos=driver.place(50, 50))
    QTest.mouseMove(driver.view, driver.place(150, 50))
    assert driver.labelled().any()
    driver.key(Qt.Key.Key_Escape)
    assert not driver.labelled().any()
    QTest.mouseMove(driver.view, driver.place(180, 90))
    QTest.mouseRelease(driver.view, Qt.MouseButton.LeftButton, pos=driver.place(180, 90))
    assert not driver.labelled().any()
    assert not driver.doc.history.can_undo
    assert not driver.doc.labels.editing


def test_another_button_during_a_stroke_changes_nothing(driver: Driver) -> None:
    QTest.mousePress(driver.view, Qt.MouseButton.LeftButton, pos=driver.place(50, 50))
    QTest.mousePress(driver.view, RIGHT, pos=driver.place(60, 50))
    QTest.mouseRelease(driver.view, RIGHT, pos=driver.place(60, 50))
    QTest.mouseMove(driver.view, driver.place(150, 50))
    QTest.mouseRelease(driver.view, Qt.MouseButton.LeftButton, pos=driver.place(150, 50))
    assert driver.ids[50, 100] == 1
    assert len(driver.doc.history) == 1


def test_read_only_paints_nothing(driver: Driver) -> None:
    driver.doc.read_only = True
    for tool in ("brush", "eraser", "fill", "lasso", "rectangle", "grow"):
        driver.view.set_tool(tool)
        driver.drag([(50, 50), (150, 50), (100, 100)])
    assert not driver.labelled().any()


def test_fill_and_unfill(driver: Driver) -> None:
    driver.view.set_brush_size(3)
    driver.drag([(50, 50), (150, 50), (150, 150), (50, 150), (50, 50)])
    driver.view.set_tool("fill")
    driver.doc.active_class = 2
    driver.click(100, 100)
    assert driver.ids[100, 100] == 2
    assert driver.ids[50, 100] == 1
    assert driver.ids[20, 20] == UNLABELLED
    driver.click(100, 100, button=RIGHT)
    assert driver.ids[100, 100] == UNLABELLED
    assert driver.doc.history.undo_text == "Fill"


def test_fill_on_what_already_has_the_class_leaves_no_undo_step(driver: Driver) -> None:
    driver.drag([(50, 50), (150, 50)])
    driver.view.set_tool("fill")
    driver.click(100, 50)
    assert len(driver.doc.history) == 1


def test_pick_takes_the_label_then_the_prediction(driver: Driver) -> None:
    prediction = np.full((200, 300), 3, np.uint8)
    driver.doc.prediction = prediction
    driver.doc.active_class = 2
    driver.drag([(50, 50), (150, 50)])
    driver.view.set_tool("pick")
    driver.click(20, 20)
    assert driver.doc.active_class == 3
    driver.click(100, 50)
    assert driver.doc.active_class == 2
    driver.doc.prediction = None
    driver.click(20, 20)
    assert driver.doc.active_class == 2


def test_the_pan_tool_keeps_the_pressed_point_under_the_pointer(driver: Driver) -> None:
    driver.view.set_tool("pan")
    driver.view.zoom_to(4)
    start = driver.place(150, 100)
    QTest.mousePress(driver.view, Qt.MouseButton.LeftButton, pos=start)
    for i in range(1, 6):
        QTest.mouseMove(driver.view, start + type(start)(10 * i, 5 * i))
    QTest.mouseRelease(driver.view, Qt.MouseButton.LeftButton, pos=start + type(start)(50, 25))
    assert driver.place(150, 100) == start + type(start)(50, 25)


def test_shift_wheel_and_steps_change_the_size_within_bounds(driver: Driver) -> None:
    sizes = []
    driver.view.brush_changed.connect(sizes.append)
    driver.view.set_brush_size(20)
    driver.hover(100, 100)
    driver.wheel(100, 100, 1, SHIFT)
    driver.wheel(100, 100, -1, SHIFT)
    assert sizes == [20, 22, 20]
    driver.view.set_brush_size(1)
    driver.view.step_brush_size(-1)
    assert driver.view.brush.size == 1
    driver.view.step_brush_size(1)
    assert driver.view.brush.size == 2
    driver.view.set_brush_size(1e9)
    assert driver.view.brush.size == 2000
