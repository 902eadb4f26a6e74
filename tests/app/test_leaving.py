"""Closing the window: nothing that runs stops, and no shape is lost, without a question."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from tests.app.kit import drag, go_to, paint, saved, write_folder
from tests.app.test_waiting import LONG, Long
from unet_gui.app.jobs import Job
from unet_gui.app.leaving import before_closing
from unet_gui.app.main_window import MainWindow
from unet_gui.core.geometry import Rect

Open = Callable[[Path | None], MainWindow]
CORNERS = ((10, 10), (40, 10), (40, 40))


@pytest.fixture
def long() -> Iterator[Long]:
    job = Long()
    yield job
    job.on.set()


def draw(window: MainWindow, tool: str = "polygon") -> None:
    window.stage.canvas.set_tool(tool)
    for point in CORNERS:
        drag(window, point, point)


def asked(window: MainWindow) -> str:
    """What is asked, empty when nothing is."""
    box = window.dialogs._open.get("closing")
    return f"{box.text()} {box.informativeText()}" if box else ""  # type: ignore[attr-defined]


def answer(window: MainWindow, text: str, question: str = "closing") -> None:
    box = window.dialogs._open[question]
    next(each for each in box.buttons() if each.text().replace("&", "") == text).click()  # type: ignore[attr-defined]


def test_a_shape_that_is_not_finished_is_not_lost_without_a_question(
    qtbot: QtBot, open_window: Open, tmp_path: Path
) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    draw(window)
    go_to(qtbot, window.session, 1)
    draw(window, "scissors")
    QTest.keyClick(window, Qt.Key.Key_Q, Qt.KeyboardModifier.ControlModifier)
    assert window.isVisible()
    assert QApplication.activeModalWidget() is None
    assert asked(window) == (
        "The polygon on “0.png” is not finished. The outline on “1.png” is not finished. "
        "Shapes that are not finished are lost."
    )
    QTest.keyClick(window.dialogs._open["closing"], Qt.Key.Key_Return)
    assert window.isVisible()
    qtbot.waitUntil(lambda: not asked(window))
    QTest.keyClick(window.stage.canvas, Qt.Key.Key_Return)
    assert not window.close()
    assert "outline" not in asked(window)
    answer(window, "Lose it")
    assert not window.isVisible()


def test_a_shape_outlives_its_folder(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x")
    window = open_window(folder)
    draw(window)
    window.open_path(write_folder(tmp_path / "y"))
    qtbot.waitUntil(lambda: window.session.document is not None and window.session.dataset.root.name == "y")
    assert not window.stage.canvas.undo_text
    assert not window.close()
    assert "The polygon on “0.png”" in asked(window)
    answer(window, "Keep working")
    window.open_path(folder)
    qtbot.waitUntil(lambda: window.session.document is not None and window.session.dataset.root.name == "x")
    assert window.stage.canvas.undo_text == "Polygon corner"
    QTest.keyClick(window.stage.canvas, Qt.Key.Key_Return)
    assert window.session.labels.ids[12, 30] == 1
    assert window.close()


@pytest.mark.parametrize(
    ("shapes", "says"),
    [(3, "2.png” is not finished."), (4, "One more shape is not finished."), (5, "2 more shapes are not finished.")],
)
def test_many_shapes_are_counted(shapes: int, says: str) -> None:
    question = before_closing([], [], [(f"{n}.png", "polygon") for n in range(shapes)])
    assert question is not None
    assert question.text.endswith(says)


def test_what_runs_is_named_and_may_go_on(qtbot: QtBot, open_window: Open, tmp_path: Path, long: Long) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    job = long.begin(window, "train", "Training")
    qtbot.waitUntil(lambda: window.runner.current is job, timeout=LONG)
    window.exchange.export("tiff", tmp_path / "out", {})
    QTest.keyClick(window, Qt.Key.Key_Q, Qt.KeyboardModifier.ControlModifier)
    assert asked(window).startswith(
        "“Training” is still running. “Exporting” waits for its turn. The best model so far"
    )
    assert QApplication.activeModalWidget() is None
    answer(window, "Keep working")
    assert not job.stop.is_set()
    assert not window.close()
    answer(window, "Stop and quit")
    qtbot.waitUntil(lambda: not window.isVisible(), timeout=LONG)
    assert job.stop.is_set()
    assert not (tmp_path / "out").exists()


def test_a_question_goes_with_what_it_is_about(qtbot: QtBot, open_window: Open, tmp_path: Path, long: Long) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    long.begin(window)
    qtbot.waitUntil(lambda: window.runner.current is not None, timeout=LONG)
    assert not window.close()
    assert "goes on from there" in asked(window)
    long.on.set()
    qtbot.waitUntil(lambda: not asked(window), timeout=LONG)
    assert window.isVisible()
    assert window.close()


def test_nothing_is_asked_for_what_is_over_in_a_moment(
    qtbot: QtBot, open_window: Open, tmp_path: Path, long: Long
) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    window.runner.submit(Job("predict", "Predicting", long.run, urgent=True))
    window.close()
    assert not asked(window)
    qtbot.waitUntil(lambda: not window.isVisible(), timeout=LONG)


def test_nobody_is_asked_when_the_session_ends(qtbot: QtBot, open_window: Open, tmp_path: Path, long: Long) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    draw(window)
    long.begin(window)
    window.leaving.expect_end()  # a session manager, which emits the signal, cannot be made
    window.close()
    assert not asked(window)
    qtbot.waitUntil(lambda: not window.isVisible(), timeout=LONG)


def test_somebody_is_asked_again_when_the_session_goes_on(open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    draw(window)
    window.leaving.expect_end()
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    app.applicationStateChanged.emit(Qt.ApplicationState.ApplicationActive)
    assert not window.close()
    assert "polygon" in asked(window)


def test_an_interrupt_from_the_terminal_asks_nothing(open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    draw(window)
    window.leave()
    assert not window.isVisible()


@pytest.mark.parametrize("to", ["nowhere", "another folder"])
def test_a_folder_is_not_left_while_something_runs_that_was_begun_meanwhile(
    qtbot: QtBot, open_window: Open, tmp_path: Path, long: Long, to: str
) -> None:
    """The question waits, and the window can be used behind it."""
    folder, other = write_folder(tmp_path / "x"), write_folder(tmp_path / "other")
    window = open_window(folder)
    (folder / "labels").write_bytes(b"in the way")
    paint(window.session, Rect(0, 0, 9, 9), 1)
    if to == "nowhere":
        window.folders.close_folder()
    else:
        window.folders.open(other)
    qtbot.waitUntil(lambda: "question" in window.dialogs._open, timeout=LONG)
    long.begin(window, "predict", "Predicting 0.png")
    qtbot.waitUntil(lambda: window.runner.current is not None, timeout=LONG)
    answer(window, "Lose them", "question")
    assert window.session.folder is not None
    assert window.session.unsaved() == ["0.png"]
    assert any("Something is still running" in message.text for message in window.stage.messages.messages)
    long.on.set()
    qtbot.waitUntil(lambda: not window.runner.busy, timeout=LONG)
    (folder / "labels").unlink()
    saved(qtbot, window.session)


def test_a_window_is_not_closed_while_something_runs_that_was_begun_meanwhile(
    qtbot: QtBot, open_window: Open, tmp_path: Path, long: Long
) -> None:
    folder = write_folder(tmp_path / "x")
    window = open_window(folder)
    (folder / "labels").write_bytes(b"in the way")
    paint(window.session, Rect(0, 0, 9, 9), 1)
    window.close()
    qtbot.waitUntil(lambda: "question" in window.dialogs._open, timeout=LONG)
    long.begin(window)
    qtbot.waitUntil(lambda: window.runner.current is not None, timeout=LONG)
    answer(window, "Lose them", "question")
    assert "“Segmenting” is still running." in asked(window)
    assert window.session.folder is not None, "the job works on it"
    qtbot.waitUntil(lambda: "question" not in window.dialogs._open, timeout=LONG)
    answer(window, "Stop and quit")
    qtbot.waitUntil(lambda: "question" in window.dialogs._open, timeout=LONG)
    assert not window.runner.busy
    answer(window, "Lose them", "question")
    qtbot.waitUntil(lambda: not window.isVisible(), timeout=LONG)
    (folder / "labels").unlink()
