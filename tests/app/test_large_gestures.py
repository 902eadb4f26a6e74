"""Gestures whose work is large are written beside the window: finished when something comes in between, or told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from tests.app.kit import drag, go_to, on_disk_of, paint, saved, truth, write_folder
from unet_gui.app.main_window import MainWindow
from unet_gui.core.flood import Part, flood_parts, joined
from unet_gui.core.geometry import Rect
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.project import Dataset
from unet_gui.core.strokes import Shape

Open = Callable[[Path | None], MainWindow]


class SlowFill:
    """Fill begins beside the window and goes on when somebody lets it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.on = threading.Event(), threading.Event()
        self.error: BaseException | None = None
        monkeypatch.setattr("unet_gui.app.canvas.tool.LARGE", 100)
        monkeypatch.setattr("unet_gui.app.canvas.paint_tools.flood_parts", self.parts)

    def parts(self, ids: np.ndarray, x: int, y: int) -> Iterator[Part]:
        for part in flood_parts(ids, x, y, side=16):
            yield part
            if threading.current_thread() is not threading.main_thread() and not self.begun.is_set():
                self.begun.set()
                assert self.on.wait(30)
                if self.error is not None:
                    raise self.error


@pytest.fixture
def slow_fill(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowFill]:
    fill = SlowFill(monkeypatch)
    yield fill
    fill.on.set()


def fill(window: MainWindow, slow_fill: SlowFill) -> None:
    window.stage.canvas.set_tool("fill")
    drag(window, (40, 30), (40, 30))
    assert slow_fill.begun.wait(20)


def test_going_to_another_image_finishes_it(
    qtbot: QtBot, open_window: Open, tmp_path: Path, slow_fill: SlowFill
) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    fill(window, slow_fill)
    threading.Timer(0.05, slow_fill.on.set).start()  # the window waits for it
    QTest.keyClick(window.stage.canvas, Qt.Key.Key_D)
    qtbot.waitUntil(lambda: window.session.key == "1.png" and window.session.document is not None, timeout=20_000)
    go_to(qtbot, window.session, 0)
    assert window.session.labels is not None
    assert (window.session.labels.ids == 1).all()
    assert not any("taken back" in message.text for message in window.stage.messages.messages)


def test_closing_the_window_saves_it(qtbot: QtBot, open_window: Open, tmp_path: Path, slow_fill: SlowFill) -> None:
    folder = write_folder(tmp_path / "x")
    window = open_window(folder)
    fill(window, slow_fill)
    threading.Timer(0.05, slow_fill.on.set).start()
    window.close()
    label = on_disk_of(folder, 0)
    assert label is not None
    assert (label == 1).all()


def test_what_was_painted_before_one_that_fails_is_saved(
    qtbot: QtBot, open_window: Open, tmp_path: Path, slow_fill: SlowFill
) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    paint(window.session, Rect(0, 0, 5, 5), 0)
    slow_fill.error = MemoryError()
    told: list[Rect] = []
    window.session.label_changed.connect(told.append)
    fill(window, slow_fill)
    slow_fill.on.set()
    qtbot.waitUntil(lambda: not window.whole.busy, timeout=20_000)
    assert any(message.kind == "error" for message in window.stage.messages.messages)
    assert told, "what was taken back is painted again"
    assert window.session.saving._quiet.isActive()
    saved(qtbot, window.session)


def test_pixels_and_the_number_of_the_state_are_saved_together(
    qtbot: QtBot, open_window: Open, tmp_path: Path, slow_fill: SlowFill
) -> None:
    """A copy for the disk made between them would be taken, after a crash, for the state before the fill."""
    window = open_window(write_folder(tmp_path / "x"))
    document = window.session.document
    assert document is not None
    moving: list[bool] = []
    window.session.label_changed.connect(lambda _rect: moving.append(document.moving))
    fill(window, slow_fill)
    slow_fill.on.set()
    qtbot.waitUntil(lambda: not window.whole.busy, timeout=20_000)
    assert moving == [True]
    assert not document.moving


class Beside:
    """Hears which gestures were done beside the window."""

    def __init__(self, window: MainWindow, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("unet_gui.app.canvas.tool.LARGE", 1000)
        self.names: list[str] = []
        window.session.large_edit_wanted.connect(self.hear)

    def hear(self, name: str, *_: object) -> None:
        self.names.append(name)


def corners(window: MainWindow, *points: tuple[float, float]) -> None:
    for point in points:
        drag(window, point, point)
    QTest.keyClick(window.stage.canvas, Qt.Key.Key_Return)


@pytest.mark.parametrize(
    ("tool", "draw"),
    [
        ("rectangle", lambda window: drag(window, (2, 2), (78, 58))),
        ("ellipse", lambda window: drag(window, (2, 2), (78, 58))),
        ("lasso", lambda window: drag(window, (2, 2), (78, 2), (78, 58), (2, 58))),
        ("polygon", lambda window: corners(window, (2, 2), (78, 2), (78, 58))),
    ],
)
def test_large_shapes_are_written_beside_the_window(
    qtbot: QtBot,
    open_window: Open,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tool: str,
    draw: Callable[[MainWindow], None],
) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    assert window.session.labels is not None
    found = []
    for large in (False, True):
        if large:
            beside = Beside(window, monkeypatch)
        window.stage.canvas.set_tool(tool)
        draw(window)
        qtbot.waitUntil(lambda: not window.whole.busy, timeout=20_000)
        found.append(window.session.labels.ids.copy())
        assert window.session.document is not None
        assert not window.stage.canvas._hand.tool.in_progress
        window.session.undo()
    assert beside.names == [window.session.document.history.redo_text]
    assert (found[0] != UNLABELLED).sum() > 1000
    np.testing.assert_array_equal(found[0], found[1])


def test_a_large_shape_stays_when_nobody_may_paint(
    qtbot: QtBot, open_window: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    Beside(window, monkeypatch)
    window.stage.canvas.set_tool("polygon")
    window.session.held = "Wait."
    corners(window, (2, 2), (78, 2), (78, 58))
    assert window.stage.canvas._hand.tool.in_progress
    window.session.held = ""
    QTest.keyClick(window.stage.canvas, Qt.Key.Key_Return)
    assert not window.stage.canvas._hand.tool.in_progress
    qtbot.waitUntil(lambda: not window.whole.busy, timeout=20_000)
    assert window.session.labels is not None
    assert (window.session.labels.ids == 1).any()


def test_what_the_model_is_sure_of_is_taken_over_beside_the_window(
    qtbot: QtBot, open_window: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_folder(tmp_path / "x")
    dataset = Dataset.open(folder)
    said = truth(0)
    dataset.save_prediction(dataset.images[0], said, np.stack([(said == 0) * 255, (said == 1) * 255]).astype(np.uint8))
    window = open_window(folder)
    qtbot.waitUntil(lambda: window.session.probabilities is not None, timeout=20_000)
    beside = Beside(window, monkeypatch)
    window.stage.canvas.set_tool("sure")
    drag(window, (20, 20), (20, 20))
    qtbot.waitUntil(lambda: not window.whole.busy, timeout=20_000)
    assert beside.names == ["Take over what is sure"]
    assert window.session.labels is not None
    np.testing.assert_array_equal(window.session.labels.ids, said)


def two_boxes(window: MainWindow) -> np.ndarray:
    """A frame of class 1 with a hole, and a prediction of two halves; return the label."""
    paint(window.session, Rect(5, 5, 60, 40), 1)
    paint(window.session, Rect(20, 15, 20, 10), UNLABELLED)
    assert window.session.labels is not None
    return window.session.labels.ids.copy()


class SlowSearch:
    """A large search beside the window begins and goes on when somebody lets it."""

    def __init__(self, window: MainWindow, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("unet_gui.app.canvas.tool.LARGE", 1000)
        monkeypatch.setattr("unet_gui.app.canvas.tool.joined", self.joined)
        self.begun, self.on = threading.Event(), threading.Event()
        self.error: BaseException | None = None

    def joined(self, parts: Iterable[Part]) -> Shape:
        assert threading.current_thread() is not threading.main_thread(), "the window is free"
        self.begun.set()
        assert self.on.wait(30)
        if self.error is not None:
            raise self.error
        return joined(parts)


@pytest.fixture
def slow_search(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[MainWindow], SlowSearch]]:
    made: list[SlowSearch] = []

    def make(window: MainWindow) -> SlowSearch:
        made.append(SlowSearch(window, monkeypatch))
        return made[-1]

    yield make
    for search in made:
        search.on.set()


Slow = Callable[[MainWindow], SlowSearch]


def hover(window: MainWindow, x: float, y: float) -> None:
    canvas = window.stage.canvas
    QTest.mouseMove(canvas, canvas.to_widget(x, y).toPoint() + QPoint(1, 0))  # where it is already is no move
    QTest.mouseMove(canvas, canvas.to_widget(x, y).toPoint())


def test_a_large_blob_is_copied_beside_the_window_and_pasted_into_the_next_image(
    qtbot: QtBot, open_window: Open, tmp_path: Path, slow_search: Slow
) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    canvas, before = window.stage.canvas, two_boxes(window)
    canvas.set_tool("blob")
    search = slow_search(window)
    hover(window, 10, 10)
    QTest.keyClick(canvas, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert search.begun.wait(20)
    assert window.session.begin_edit("brush") is None, "what is copied does not change meanwhile"
    assert canvas._bench.clip is None
    threading.Timer(0.05, search.on.set).start()  # the window waits for it
    go_to(qtbot, window.session, 1)
    assert canvas._bench.clip is not None
    canvas.paste()
    drag(window, (35, 25), (35, 25))
    qtbot.waitUntil(lambda: not window.whole.busy, timeout=20_000)
    assert window.session.labels is not None
    np.testing.assert_array_equal(window.session.labels.ids, before)


def test_a_large_box_is_copied_beside_the_window(
    qtbot: QtBot, open_window: Open, tmp_path: Path, slow_search: Slow
) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    canvas, before = window.stage.canvas, two_boxes(window)
    canvas.set_tool("blob")
    drag(window, (1, 1), (79, 59))
    search = slow_search(window)
    said: list[str] = []
    canvas.message.connect(said.append)
    canvas.copy()
    assert search.begun.wait(20)
    assert said == []
    search.on.set()
    qtbot.waitUntil(lambda: not window.whole.busy, timeout=20_000)
    assert said == [f"Copied {(before == 1).sum()} px; Ctrl+V pastes, also into another image"]
    assert window.session.held == ""


def test_holes_of_a_large_blob_are_filled_beside_the_window(
    qtbot: QtBot, open_window: Open, tmp_path: Path, slow_search: Slow
) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    before = two_boxes(window)
    search = slow_search(window)
    window.stage.canvas.set_tool("holes")
    drag(window, (10, 10), (10, 10))
    assert search.begun.wait(20)
    search.on.set()
    qtbot.waitUntil(lambda: not window.whole.busy, timeout=20_000)
    before[5:45, 5:65] = 1
    assert window.session.labels is not None
    np.testing.assert_array_equal(window.session.labels.ids, before)
    assert window.session.document is not None
    assert window.session.document.history.undo_text == "Fill holes"


def test_a_large_predicted_blob_is_flipped_beside_the_window(
    qtbot: QtBot, open_window: Open, tmp_path: Path, slow_search: Slow
) -> None:
    folder = write_folder(tmp_path / "x")
    dataset = Dataset.open(folder)
    said = np.zeros((60, 80), np.uint8)
    said[5:45, 5:65] = 1
    dataset.save_prediction(dataset.images[0], said, None)
    window = open_window(folder)
    qtbot.waitUntil(lambda: window.session.prediction is not None, timeout=20_000)
    search = slow_search(window)
    canvas = window.stage.canvas
    canvas.set_tool("take-over")
    at = canvas.to_widget(10, 10).toPoint()
    QTest.mouseClick(canvas, Qt.MouseButton.RightButton, Qt.KeyboardModifier.NoModifier, at)
    assert search.begun.wait(20)
    threading.Timer(0.05, search.on.set).start()
    window.close()  # which finishes it: what is found is written, too
    label = on_disk_of(folder, 0)
    assert label is not None
    np.testing.assert_array_equal(label, np.where(said == 1, 0, UNLABELLED))


def test_a_search_that_fails_is_told_and_holds_nothing(
    qtbot: QtBot, open_window: Open, tmp_path: Path, slow_search: Slow
) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    before = two_boxes(window)
    search = slow_search(window)
    search.error = MemoryError()
    window.stage.canvas.set_tool("holes")
    drag(window, (10, 10), (10, 10))
    search.on.set()
    qtbot.waitUntil(lambda: not window.whole.busy, timeout=20_000)
    assert any(message.kind == "error" for message in window.stage.messages.messages)
    assert window.session.held == ""
    assert window.session.labels is not None
    np.testing.assert_array_equal(window.session.labels.ids, before)


def test_a_large_copy_waits_for_what_is_under_way(
    qtbot: QtBot, open_window: Open, tmp_path: Path, slow_search: Slow
) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    canvas = window.stage.canvas
    two_boxes(window)
    canvas.set_tool("blob")
    hover(window, 10, 10)
    canvas.copy()
    clip = canvas._bench.clip
    assert clip is not None
    slow_search(window)
    window.session.held = "Wait."
    canvas.copy()
    assert canvas._bench.clip is clip
    assert any(message.text == "Wait." for message in window.stage.messages.messages)
    window.session.held = ""


def test_it_is_said_how_many_pixels_a_large_paste_has_changed(
    qtbot: QtBot, open_window: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not those outside the image, nor those that were so before."""
    window = open_window(write_folder(tmp_path / "x"))
    canvas, session = window.stage.canvas, window.session
    assert session.labels is not None
    paint(session, Rect(0, 0, 80, 30), 1)
    canvas.set_tool("blob")
    hover(window, 40, 15)
    canvas.copy()
    monkeypatch.setattr("unet_gui.app.canvas.tool.LARGE", 1000)
    canvas.paste()
    hover(window, 60, 35)
    before = session.labels.ids.copy()
    drag(window, (60, 35), (60, 35))
    qtbot.waitUntil(lambda: not window.whole.busy, timeout=20_000)
    changed = int((session.labels.ids != before).sum())
    assert 0 < changed < 80 * 30
    count = f"{changed:,}".replace(",", "\u202f")
    assert any(message.text == f"Paste: {count} px." for message in window.stage.messages.messages)


def test_ctrl_z_takes_it_back_while_it_is_under_way(
    qtbot: QtBot, open_window: Open, tmp_path: Path, slow_fill: SlowFill
) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    paint(window.session, Rect(0, 0, 5, 5), 0)
    fill(window, slow_fill)
    assert window.actions_by_id["undo"].text() == "Undo Fill"
    QTest.keyClick(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    slow_fill.on.set()
    qtbot.waitUntil(lambda: not window.whole.busy, timeout=20_000)
    assert window.session.labels is not None
    assert (window.session.labels.ids == 0).sum() == 25
    assert (window.session.labels.ids == UNLABELLED).sum() == window.session.labels.ids.size - 25
    assert any("“Fill” was stopped and taken back" in message.text for message in window.stage.messages.messages)
    assert window.actions_by_id["undo"].text() == "Undo brush"
    assert not window.session.held
    QTest.keyClick(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert (window.session.labels.ids == UNLABELLED).all()


def test_ctrl_z_takes_it_back_that_was_done_a_moment_before(
    qtbot: QtBot, open_window: Open, tmp_path: Path, slow_fill: SlowFill
) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    fill(window, slow_fill)
    slow_fill.on.set()
    window.whole._chores._pool.waitForDone()  # it is done, and the window has not heard of it
    assert window.whole.busy
    QTest.keyClick(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: not window.whole.busy, timeout=20_000)
    assert window.session.labels is not None
    assert (window.session.labels.ids == UNLABELLED).all()
    assert window.actions_by_id["redo"].text() == "Redo Fill"


def test_undo_and_redo_say_why_they_do_nothing_just_now(open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    paint(window.session, Rect(0, 0, 5, 5), 0)
    window.session.held = "Labels are being imported; try again in a moment."
    for name in ("undo", "redo"):
        window.stage.messages.clear()
        getattr(window.session, name)()
        assert [message.topic for message in window.stage.messages.messages] == ["held"]
    window.session.held = ""


def blob_pressed(qtbot: QtBot, window: MainWindow, monkeypatch: pytest.MonkeyPatch, is_saved: bool) -> None:
    """A label of class 0, of which a click that is not over yet makes class 1, beside the window."""
    monkeypatch.setattr("unet_gui.app.canvas.tool.LARGE", 100)
    canvas, session = window.stage.canvas, window.session
    assert session.labels is not None
    paint(session, Rect(0, 0, *session.labels.shape[::-1]), 0)
    if is_saved:
        saved(qtbot, session)
    session.active_class = 1
    canvas.set_tool("blob")
    place = canvas.to_widget(40, 30).toPoint()
    QTest.mouseMove(canvas, place)
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, place)
    assert canvas.is_drawing


def test_a_large_gesture_that_the_next_image_ends_is_kept(
    qtbot: QtBot, open_window: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_folder(tmp_path / "x")
    window = open_window(folder)
    blob_pressed(qtbot, window, monkeypatch, is_saved=True)
    QTest.keyClick(window.stage.canvas, Qt.Key.Key_D)
    qtbot.waitUntil(lambda: window.session.key == "1.png" and window.session.document is not None, timeout=20_000)
    saved(qtbot, window.session)
    assert (on_disk_of(folder, 0) == 1).all()
    go_to(qtbot, window.session, 0)
    assert window.session.labels is not None
    assert (window.session.labels.ids == 1).all()


def test_a_large_gesture_that_the_end_of_the_folder_ends_is_kept(
    qtbot: QtBot, open_window: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_folder(tmp_path / "x")
    window = open_window(folder)
    blob_pressed(qtbot, window, monkeypatch, is_saved=False)
    assert window.session.close_folder()
    assert (on_disk_of(folder, 0) == 1).all()


def test_a_gesture_is_ended_before_its_image_is_read_again(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x")
    window = open_window(folder)
    canvas, session = window.stage.canvas, window.session
    canvas.set_tool("rectangle")
    start, end = canvas.to_widget(10, 10).toPoint(), canvas.to_widget(50, 40).toPoint()
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, start)
    QTest.mouseMove(canvas, end)
    session.reopen()
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, end)
    qtbot.waitUntil(lambda: session.document is not None, timeout=20_000)
    assert session.labels is not None
    assert (session.labels.ids == 1).any()
