"""Tools that know the model, on a made-up prediction whose answer is plain."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QEvent, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from tests.app.canvas_driver import Driver, picture
from unet_gui.app.canvas.model_tools import class_at_threshold
from unet_gui.core.geometry import Rect
from unet_gui.core.labels import UNLABELLED, Over
from unet_gui.core.planes import Probabilities

PRESS, MOVE, RELEASE = QEvent.Type.MouseButtonPress, QEvent.Type.MouseMove, QEvent.Type.MouseButtonRelease
RIGHT = Qt.MouseButton.RightButton
CTRL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def driver(qtbot: QtBot, tmp_path: Path) -> Iterator[Driver]:
    made = Driver(qtbot, picture(tmp_path / "grey.png", 200, 300), size=(600, 400))
    y, x = np.mgrid[:200, :300]
    one = np.clip(255 - np.hypot(x - 100, y - 100) * 2.0, 0, 255)  # a cone: class 1 around (100, 100)
    made.doc.probabilities = Probabilities(np.stack([255 - one, one]).round().astype(np.uint8), (0, 1))
    made.doc.prediction = (made.doc.probabilities.planes[1] >= 128).astype(np.uint8)
    made.doc.prediction[150:160, 200:230] = 1  # and a small wrong blob
    made.view.set_prediction(made.doc.prediction)
    made.tool("take-over")
    yield made
    made.close()


def blob(driver: Driver) -> np.ndarray:
    prediction = driver.doc.prediction == 1
    prediction[150:160, 200:230] = False
    return prediction


def test_click_takes_a_predicted_blob_over(driver: Driver) -> None:
    driver.click(100, 100)
    np.testing.assert_array_equal(driver.labelled(), blob(driver))
    assert set(driver.ids[driver.labelled()]) == {1}
    assert driver.doc.history.undo_text == "Take over blob"


def test_right_click_flips_a_wrong_blob_to_what_surrounds_it(driver: Driver) -> None:
    driver.click(210, 155, button=RIGHT)
    want = np.zeros((200, 300), bool)
    want[150:160, 200:230] = True
    np.testing.assert_array_equal(driver.labelled(), want)
    assert set(driver.ids[want]) == {0}


def test_painting_takes_over_what_is_under_the_brush(driver: Driver) -> None:
    driver.view.set_brush_size(11)
    driver.drag([(60, 100), (240, 100)])
    painted = driver.labelled()
    assert painted[95:106, 60:240].all()
    assert not painted[90].any()
    np.testing.assert_array_equal(driver.ids[painted], driver.doc.prediction[painted])
    assert len(driver.doc.history) == 1


def test_painting_with_the_right_button_erases(driver: Driver) -> None:
    driver.click(100, 100)
    driver.view.set_brush_size(11)
    driver.drag([(80, 100), (120, 100)], button=RIGHT)
    assert not driver.labelled()[96:105, 80:120].any()
    assert driver.labelled()[60, 100]


def test_hover_shows_the_blob_and_its_class(driver: Driver) -> None:
    driver.leave()
    before = driver.screen()
    driver.hover(215, 155)
    assert (driver.screen()[driver.at(203, 158)] != before[driver.at(203, 158)]).any()
    np.testing.assert_array_equal(driver.screen()[driver.at(100, 100)], before[driver.at(100, 100)])


@pytest.mark.parametrize("tool", ["take-over", "model-brush", "sure", "threshold"])
def test_without_a_prediction_the_tool_says_what_to_do(driver: Driver, tool: str) -> None:
    said = []
    driver.view.message.connect(said.append)
    driver.doc.prediction = driver.doc.probabilities = None
    driver.view.set_tool(tool)
    driver.hover(100, 100)
    driver.drag([(100, 100), (150, 120)])
    assert not driver.labelled().any()
    assert len(said) == 1
    assert "(R)" in said[0]


def test_edge_brush_stays_inside_the_predicted_area(driver: Driver) -> None:
    driver.view.set_tool("model-brush")
    driver.view.set_brush_size(60)
    driver.doc.active_class = 3
    driver.drag([(100, 100), (150, 100), (180, 140), (215, 155)])
    assert driver.labelled().any()
    assert not (driver.labelled() & ~blob(driver)).any()  # neither outside nor in the other blob
    assert driver.ids[100, 150] == 3
    assert driver.ids[155, 215] == UNLABELLED


def test_sure_takes_over_what_is_in_view_and_free(driver: Driver) -> None:
    with driver.doc.labels.edit("mine") as edit:
        edit.paint(Rect(90, 90, 10, 10), None, 3)
    driver.view.set_tool("sure")
    driver.view.options.sure = 0.9
    driver.click(150, 50)
    sure = driver.doc.probabilities.planes.max(axis=0) >= 0.9 * 255
    mine = np.zeros((200, 300), bool)
    mine[90:100, 90:100] = True
    np.testing.assert_array_equal(driver.labelled(), sure | mine)
    assert set(driver.ids[mine]) == {3}
    np.testing.assert_array_equal(driver.ids[sure & ~mine], driver.doc.prediction[sure & ~mine])


def test_dragging_changes_how_sure_with_a_preview(driver: Driver) -> None:
    driver.view.set_tool("sure")
    driver.leave()
    driver.view.options.sure = 0.5
    before = driver.screen()
    unsure = driver.at(154, 100)  # p = 0.58
    driver.mouse(PRESS, 50, 50)
    assert (driver.screen()[unsure] != before[unsure]).any()
    driver.mouse(MOVE, 130, 50)  # 160 screen pixels: 0.4 more
    np.testing.assert_array_equal(driver.screen()[unsure], before[unsure])
    assert not driver.labelled().any()
    driver.mouse(RELEASE, 130, 50)
    assert driver.view.options.sure == pytest.approx(0.9)
    assert driver.labelled().sum() == (driver.doc.probabilities.planes.max(axis=0) >= 0.9 * 255).sum()


def test_only_the_part_in_view_is_taken_over(driver: Driver) -> None:
    driver.view.zoom_to(6)
    driver.view.center_on(100, 100)
    driver.settle()
    seen = driver.view.visible_rect()
    driver.view.set_tool("sure")
    driver.view.options.sure = 0.5
    driver.click(100, 100)
    assert driver.labelled()[seen.slices].all()
    assert driver.labelled().sum() == seen.area


def in_ring(driver: Driver, x: int, y: int, size: int) -> np.ndarray:
    from unet_gui.core.strokes import capsule

    at = (float(x), float(y)) if size % 2 == 0 else (x + 0.5, y + 0.5)
    rect, mask = capsule(at, at, size / 2)
    ring = np.zeros((200, 300), bool)
    ring[rect.slices] = mask
    return ring


def test_threshold_moves_inside_the_ring_only(driver: Driver) -> None:
    driver.view.set_tool("threshold")
    driver.view.set_brush_size(61)
    driver.drag([(190, 100), (250, 100)])  # 120 screen pixels to the right: 0.3 less
    assert driver.view.options.threshold == pytest.approx(0.2)
    ring = in_ring(driver, 190, 100, 61)
    np.testing.assert_array_equal(driver.labelled(), ring)
    want = driver.doc.probabilities.planes[1] >= 0.2 * 255
    np.testing.assert_array_equal(driver.ids[ring] == 1, want[ring])
    assert set(driver.ids[ring]) == {0, 1}
    assert len(driver.doc.history) == 1


def test_ctrl_wheel_moves_the_threshold_until_ctrl_is_let_go(driver: Driver) -> None:
    driver.view.set_tool("threshold")
    driver.view.set_brush_size(61)
    zoom = driver.view.zoom
    driver.hover(160, 100)
    QTest.keyPress(driver.view, Qt.Key.Key_Control)
    driver.wheel(160, 100, 5, CTRL)
    driver.wheel(160, 100, 5, CTRL)
    assert driver.view.zoom == zoom
    assert not driver.labelled().any()
    QTest.keyRelease(driver.view, Qt.Key.Key_Control)
    ring = in_ring(driver, 160, 100, 61)
    np.testing.assert_array_equal(driver.labelled(), ring)
    np.testing.assert_array_equal(driver.ids[ring] == 1, (driver.doc.probabilities.planes[1] >= 0.3 * 255)[ring])
    driver.wheel(160, 100, 1)
    assert driver.view.zoom > zoom


def test_escape_gives_the_threshold_up(driver: Driver) -> None:
    driver.view.set_tool("threshold")
    driver.mouse(PRESS, 160, 100)
    driver.mouse(MOVE, 180, 100)
    driver.key(Qt.Key.Key_Escape)
    driver.mouse(RELEASE, 180, 100)
    driver.hover(160, 100)
    driver.wheel(160, 100, 5, CTRL)
    driver.key(Qt.Key.Key_Escape)
    QTest.keyRelease(driver.view, Qt.Key.Key_Control)
    assert not driver.labelled().any()


def test_threshold_with_three_classes_gives_the_rest_to_the_likeliest_other() -> None:
    planes = np.array([[[200, 90, 10]], [[50, 100, 5]], [[5, 65, 240]]], np.uint8)
    three = Probabilities(planes, (0, 1, 2))
    assert class_at_threshold(three, 1, 0.5).tolist() == [[0, 0, 2]]
    assert class_at_threshold(three, 1, 0.39).tolist() == [[0, 1, 2]]
    assert class_at_threshold(three, 0, 0.9).tolist() == [[1, 1, 2]]
    assert class_at_threshold(three, 7, 0.1).tolist() == [[0, 1, 2]]
    assert class_at_threshold(Probabilities(planes[:1], (0,)), 0, 0.9).tolist() == [[0, 0, 0]]


def test_threshold_knows_which_class_a_plane_is_of() -> None:
    planes = np.array([[[200, 90, 10]], [[50, 100, 5]], [[5, 65, 240]]], np.uint8)
    gaps = Probabilities(planes, (0, 4, 2))  # a class was deleted, and the model has an order of its own
    assert class_at_threshold(gaps, 4, 0.39).tolist() == [[0, 4, 2]]
    assert class_at_threshold(gaps, 2, 0.9).tolist() == [[0, 4, 2]]
    assert class_at_threshold(gaps, 2, 0.95).tolist() == [[0, 4, 0]]
    assert class_at_threshold(gaps, 1, 0.0).tolist() == [[0, 4, 2]], "a class added after the training"


def test_the_over_paint_rule_holds_for_taking_over(driver: Driver) -> None:
    with driver.doc.labels.edit("mine") as edit:
        edit.paint(Rect(90, 90, 10, 10), None, 3)
    driver.doc.over = Over.UNLABELLED
    driver.click(100, 110)
    assert set(driver.ids[90:100, 90:100].ravel()) == {3}
    assert driver.ids[110, 100] == 1
