"""A shape that takes several gestures: undo goes to it first, and neither another tool nor another image costs it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QEvent, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from tests.app.canvas_driver import Driver, picture
from tests.app.kit import drag, go_to, write_folder
from unet_gui.app.canvas.view import CanvasView
from unet_gui.app.main_window import MainWindow
from unet_gui.core.geometry import Rect
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.palette import default_classes
from unet_gui.core.strokes import polygon

PRESS, MOVE, RELEASE = QEvent.Type.MouseButtonPress, QEvent.Type.MouseMove, QEvent.Type.MouseButtonRelease
SQUARE = [(50, 50), (150, 60), (140, 150), (40, 140)]
Open = Callable[[Path | None], MainWindow]


@pytest.fixture
def driver(qtbot: QtBot, tmp_path: Path) -> Iterator[Driver]:
    made = Driver(qtbot, picture(tmp_path / "grey.png", 200, 300), size=(600, 400))
    made.tool("polygon")
    yield made
    made.close()


def handles(view: CanvasView) -> list[tuple[float, float]]:
    overlay = view._bench.overlay
    return [] if overlay is None else [(x, y) for x, y in overlay.handles.tolist()]


def filled(*points: tuple[float, float]) -> np.ndarray:
    want = np.zeros((200, 300), bool)
    rect, mask = polygon([(x + 0.5, y + 0.5) for x, y in points])
    want[rect.slices] = mask
    return want


# --- undo and redo


def test_undo_takes_back_what_was_done_to_the_polygon_last(driver: Driver) -> None:
    for point in SQUARE:
        driver.click(*point)
    driver.drag([SQUARE[1], (180, 40)])  # moved
    driver.click(*SQUARE[3], button=Qt.MouseButton.RightButton)  # taken away
    assert len(handles(driver.view)) == 3
    assert driver.view.undo_text == "Polygon corner"
    assert driver.view.undo()
    assert len(handles(driver.view)) == 4
    assert driver.view.undo()
    assert driver.view.undo()
    assert driver.view.redo()
    assert driver.view.redo_text
    driver.key(Qt.Key.Key_Return)
    np.testing.assert_array_equal(driver.labelled(), filled(*SQUARE))
    assert not driver.view.undo_text + driver.view.redo_text
    assert not driver.view.undo()


def test_undo_of_all_corners_leaves_nothing_and_redo_brings_them_back(driver: Driver) -> None:
    for point in SQUARE:
        driver.click(*point)
    for _ in SQUARE:
        assert driver.view.undo()
    assert not driver.view.undo_text
    assert handles(driver.view) == []
    for _ in SQUARE:
        assert driver.view.redo()
    driver.key(Qt.Key.Key_Backspace)
    assert driver.view.undo()
    driver.key(Qt.Key.Key_Return)
    np.testing.assert_array_equal(driver.labelled(), filled(*SQUARE))


def test_a_corner_taken_back_does_not_return_before_a_stroke_undone_later(driver: Driver) -> None:
    driver.click(*SQUARE[0])
    assert driver.view.undo()
    assert driver.view.redo_text
    assert not driver.view.undo()  # the history's turn
    assert not driver.view.redo_text
    assert not driver.view.redo()


def test_undo_of_scissors_and_of_a_box_proposal(driver: Driver) -> None:
    driver.view.set_tool("scissors")
    for point in SQUARE:
        driver.click(*point)
    driver.hover(100, 100)
    assert driver.view.undo_text == "Scissors point"
    assert driver.view.undo()
    assert len(handles(driver.view)) == 3
    assert driver.view.redo()
    assert len(handles(driver.view)) == 4
    driver.key(Qt.Key.Key_Return)
    whole = driver.labelled().copy()
    assert whole.any()
    driver.doc.undo()
    for point in SQUARE:
        driver.click(*point)
    assert driver.view.undo()
    driver.hover(*SQUARE[3])
    assert driver.view.redo()
    driver.key(Qt.Key.Key_Return)
    np.testing.assert_array_equal(driver.labelled(), whole)
    driver.doc.undo()

    driver.view.set_tool("grabcut")
    driver.drag([(30, 30), (150, 150)])
    first = driver.view._bench.overlay
    assert first is not None
    driver.drag([(200, 40), (290, 190)])
    assert driver.view.undo()
    again = driver.view._bench.overlay
    assert again is not None
    assert again.shape is first.shape
    assert driver.view.undo()
    assert driver.view._bench.overlay is None
    assert not driver.view.undo()
    assert not driver.labelled().any()


def test_nothing_is_undone_under_a_gesture(driver: Driver) -> None:
    driver.view.set_tool("brush")
    driver.drag([(20, 20), (60, 20)])
    driver.view.set_tool("lasso")
    driver.mouse(PRESS, 50, 50)
    driver.mouse(MOVE, 150, 50)
    assert driver.view.undo()
    assert driver.view.redo()
    driver.mouse(MOVE, 150, 150)
    driver.mouse(RELEASE, 150, 150)
    assert driver.labelled()[60, 140]


# --- escape, fingers, faults


@pytest.mark.parametrize("tool", ["polygon", "scissors"])
def test_a_shape_that_was_given_up_comes_back_with_undo(driver: Driver, tool: str) -> None:
    driver.tool(tool)
    for point in SQUARE:
        driver.click(*point)
    before = handles(driver.view)
    assert len(before) == 4
    driver.key(Qt.Key.Key_Escape)
    assert not handles(driver.view)
    assert driver.view.undo_text.startswith("giving up the ")
    said: list[str] = []
    driver.view.message.connect(said.append)
    assert driver.view.undo()
    assert handles(driver.view) == before
    assert said[-1].endswith("Esc gives up"), "it is no longer given up"
    assert driver.view.redo()
    assert not handles(driver.view)
    assert driver.view.undo()
    driver.key(Qt.Key.Key_Return)
    assert driver.labelled().any()
    assert not driver.view.undo(), "it is made; the label is undone next"


def test_what_was_painted_since_a_shape_was_given_up_is_undone_first(driver: Driver) -> None:
    for point in SQUARE:
        driver.click(*point)
    driver.key(Qt.Key.Key_Escape)
    edit = driver.doc.begin_edit("take over")
    assert edit is not None
    edit.paint(Rect(0, 0, 9, 9), None, 1)
    driver.doc.end_edit(edit)
    assert not driver.view.undo_text
    assert not driver.view.undo()
    assert not handles(driver.view)


def test_escape_in_a_drag_gives_up_the_drag_alone(driver: Driver) -> None:
    for point in SQUARE:
        driver.click(*point)
    driver.mouse(PRESS, *SQUARE[1])
    driver.mouse(MOVE, 290, 20)
    driver.key(Qt.Key.Key_Escape)
    driver.mouse(RELEASE, 290, 20)
    driver.key(Qt.Key.Key_Return)
    np.testing.assert_array_equal(driver.labelled(), filled(*SQUARE))


def test_a_picture_that_cannot_be_read_for_a_moment_costs_no_outline(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver.view.set_tool("scissors")
    for point in SQUARE[:3]:
        driver.click(*point)

    def fail(*_: object) -> np.ndarray:
        raise OSError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(driver.source, "read", fail)
        driver.click(*SQUARE[3])
    driver.click(*SQUARE[3])
    assert len(handles(driver.view)) == 4
    driver.key(Qt.Key.Key_Return)
    assert driver.labelled()[100, 100]


@pytest.mark.parametrize(("tool", "what"), [("polygon", "polygon"), ("scissors", "outline")])
def test_how_a_shape_is_closed_is_said_while_it_is_drawn(driver: Driver, tool: str, what: str) -> None:
    said: list[str] = []
    driver.view.message.connect(said.append)
    driver.view.set_tool(tool)
    for point in SQUARE[:3]:
        driver.click(*point)
    assert len(said) == 3
    assert said[0].startswith(f"Enter or a double click closes the {what}")
    driver.key(Qt.Key.Key_Return)
    assert driver.labelled().any()
    assert said[3:] == [""], "it is closed"


def test_a_step_is_taken_back_where_the_picture_cannot_be_read(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    driver.view.set_tool("scissors")
    for point in SQUARE:
        driver.click(*point)
    said: list[str] = []
    driver.view.message.connect(said.append)

    def fail(*_: object, **__: object) -> np.ndarray:
        raise OSError("the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr(driver.source, "read", fail)
        assert driver.view.undo()
        assert len(handles(driver.view)) == 3
        assert driver.view.redo_text
        driver.key(Qt.Key.Key_Backspace)
        assert len(handles(driver.view)) == 2
        driver.hover(*SQUARE[2])
        assert driver.view.undo()
        assert len(handles(driver.view)) == 3
    assert set(said) == {"the disk is gone"}
    assert len(said) >= 4
    driver.hover(*SQUARE[2])
    assert len(handles(driver.view)) == 3, "a pointer that moves sets no point"
    driver.click(*SQUARE[3])
    driver.key(Qt.Key.Key_Return)
    assert driver.labelled()[100, 100]


# --- another tool


@pytest.mark.parametrize("tool", ["polygon", "scissors"])
def test_a_shape_waits_for_its_tool(driver: Driver, tool: str) -> None:
    left: list[str] = []
    driver.view.shape_left.connect(left.append)
    driver.view.set_tool(tool)
    for point in SQUARE:
        driver.click(*point)
    driver.view.set_tool("brush")
    assert left == [tool]
    assert driver.view.waiting_shapes == [tool]
    assert handles(driver.view) == []
    assert not driver.view.undo_text
    driver.drag([(250, 20), (280, 20)])
    driver.doc.undo()
    driver.view.set_tool(tool)
    assert driver.view.waiting_shapes == []
    assert len(handles(driver.view)) == 4
    assert driver.view.undo()
    driver.hover(*SQUARE[3])
    driver.click(*SQUARE[3])
    driver.key(Qt.Key.Key_Return)
    assert (driver.labelled() & filled(*SQUARE)).sum() > 0.8 * filled(*SQUARE).sum()
    assert left == [tool]


def test_a_single_click_does_not_wait(driver: Driver) -> None:
    left: list[str] = []
    driver.view.shape_left.connect(left.append)
    driver.click(*SQUARE[0])
    driver.view.set_tool("brush")
    driver.view.set_tool("polygon")
    assert handles(driver.view) == []
    assert left == []


def test_a_proposal_for_a_class_that_is_gone_becomes_the_active_one(driver: Driver) -> None:
    driver.view.set_tool("grabcut")
    driver.doc.active_class = 3
    driver.drag([(30, 30), (150, 150)])
    driver.view.set_classes(default_classes(2))
    driver.doc.active_class = 1
    driver.key(Qt.Key.Key_Return)
    assert set(np.unique(driver.ids)) == {1, UNLABELLED}


# --- another image, in the window


def draw(window: MainWindow, *points: tuple[float, float]) -> None:
    for point in points:
        drag(window, point, point)


CORNERS = ((10, 10), (40, 10), (40, 40), (10, 40))


def test_a_polygon_waits_on_its_image(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    canvas = window.stage.canvas
    canvas.set_tool("polygon")
    draw(window, *CORNERS)
    go_to(qtbot, window.session, 1)
    (message,) = [m for m in window.stage.messages.messages if m.topic == "shape"]
    assert message.text == "The polygon on “0.png” is not finished. It is kept there."
    assert handles(canvas) == []
    draw(window, *CORNERS[:3])
    QTest.keyClick(canvas, Qt.Key.Key_Return)
    assert window.session.labels is not None
    assert (window.session.labels.ids != UNLABELLED).sum() < 600
    canvas.set_tool("brush")
    message.offers[0].act()
    qtbot.waitUntil(lambda: window.session.key == "0.png" and window.session.document is not None)
    assert canvas.tool == "polygon"
    assert len(handles(canvas)) == 4
    QTest.keyClick(canvas, Qt.Key.Key_Return)
    assert (window.session.labels.ids[12:38, 12:38] != UNLABELLED).all()


def test_a_shape_that_waits_is_told_when_its_image_comes_back(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    canvas = window.stage.canvas
    canvas.set_tool("polygon")
    draw(window, *CORNERS)
    canvas.set_tool("brush")
    assert [m.topic for m in window.stage.messages.messages].count("shape") == 1
    window.stage.messages.settle("shape")
    go_to(qtbot, window.session, 1)
    assert "shape" not in [m.topic for m in window.stage.messages.messages]
    go_to(qtbot, window.session, 0)
    (message,) = [m for m in window.stage.messages.messages if m.topic == "shape"]
    message.offers[0].act()
    assert len(handles(canvas)) == 4
    assert "shape" not in [m.topic for m in window.stage.messages.messages]


def test_saving_for_a_deed_costs_no_polygon(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    window.stage.canvas.set_tool("polygon")
    draw(window, *CORNERS)
    with qtbot.waitCallback() as done:
        window.session.when_saved(done)
    assert len(handles(window.stage.canvas)) == 4


def test_ctrl_z_in_the_window_goes_to_the_shape_first(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    canvas, actions = window.stage.canvas, window.actions_by_id
    undo, redo = actions["undo"], actions["redo"]
    canvas.set_tool("polygon")
    assert not undo.isEnabled()
    draw(window, CORNERS[0])
    assert undo.isEnabled()
    assert undo.text() == "Undo Polygon corner"
    undo.trigger()
    assert not undo.isEnabled()
    assert redo.text() == "Redo Polygon corner"
    canvas.set_tool("brush")
    assert not redo.isEnabled()
    drag(window, (20, 50), (60, 50))
    canvas.set_tool("polygon")
    draw(window, *CORNERS)
    for _ in CORNERS:
        QTest.keyClick(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert undo.text() == "Undo Brush"
    assert window.session.labels is not None
    assert (window.session.labels.ids != UNLABELLED).any()
    QTest.keyClick(window, Qt.Key.Key_Y, Qt.KeyboardModifier.ControlModifier)
    assert len(handles(canvas)) == 1
    for _ in range(2):
        undo.trigger()
    assert (window.session.labels.ids == UNLABELLED).all()
    assert redo.text() == "Redo Brush"
    redo.trigger()
    assert (window.session.labels.ids != UNLABELLED).any()


@pytest.mark.parametrize("tool", ["polygon", "scissors", "grabcut"])
def test_a_shape_that_may_not_be_painted_just_now_stays(
    qtbot: QtBot, open_window: Open, tmp_path: Path, tool: str
) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    canvas, session = window.stage.canvas, window.session
    canvas.set_tool(tool)
    if tool == "grabcut":
        drag(window, (10, 10), (60, 50))
    else:
        draw(window, (10, 10), (40, 10), (40, 40))
    assert canvas.undo_text
    session.held = "“Fill” is under way; try again in a moment."
    QTest.keyClick(canvas, Qt.Key.Key_Return)
    session.held = ""
    assert canvas.undo_text, "there is something to try again with"
    QTest.keyClick(canvas, Qt.Key.Key_Return)
    assert session.labels is not None
    assert (session.labels.ids != UNLABELLED).any()
    assert not canvas.undo_text


def test_nothing_else_is_undone_while_the_picture_is_read(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    session = window.session
    window.classes.renamed.emit(1, "nucleus")
    window.stage.canvas.set_tool("polygon")
    draw(window, (10, 10), (40, 10), (40, 40))
    assert session.dataset is not None
    session.open_image(session.dataset.images[1])
    window.actions_by_id["undo"].trigger()
    assert [info.name for info in session.classes][1] == "nucleus"
    qtbot.waitUntil(lambda: session.document is not None)


def test_what_is_said_of_a_shape_is_true(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    window.stage.canvas.set_tool("polygon")
    draw(window, (10, 10), (40, 10), (40, 40))
    window.session.reopen()
    qtbot.waitUntil(lambda: window.session.document is not None)

    def told() -> list[str]:
        return [message.text for message in window.stage.messages.messages if message.topic == "shape"]

    assert not told(), "it is in hand as before"
    go_to(qtbot, window.session, 1)
    assert len(told()) == 1
    draw(window, (10, 10))
    assert len(told()) == 1, "this is another one"
    QTest.keyClick(window.stage.canvas, Qt.Key.Key_Escape)
    go_to(qtbot, window.session, 0)
    assert not told(), "it is in hand again"
