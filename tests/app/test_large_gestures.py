"""Gestures whose work is large are written beside the window: finished when something comes in between, or told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from tests.app.kit import drag, go_to, on_disk_of, paint, saved, write_folder
from unet_gui.app.main_window import MainWindow
from unet_gui.core.flood import Part, flood_parts
from unet_gui.core.geometry import Rect
from unet_gui.core.labels import UNLABELLED

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
    assert window.session._quiet.isActive()
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
