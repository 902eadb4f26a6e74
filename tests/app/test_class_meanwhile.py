"""Classes and encodings that change while somebody paints, or while something else is under way."""

from __future__ import annotations

import gc
import shutil
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from tests.app.kit import on_disk_of, paint, saved, write_folder
from unet_gui.app import model_jobs
from unet_gui.app.jobs import Job
from unet_gui.app.main_window import MainWindow
from unet_gui.app.panels.classes import ID
from unet_gui.core.geometry import Rect
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.palette import ClassInfo
from unet_gui.core.store import Encoding

Open = Callable[[Path | None], MainWindow]


class Gate:
    """Something that takes long, until it is let go."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()

    def before(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def slow(*arguments: Any, **named: Any) -> Any:
            self.begun.set()
            assert self.go.wait(60)
            return work(*arguments, **named)

        return slow


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.go.set()


def idle(qtbot: QtBot, window: MainWindow) -> None:
    qtbot.waitUntil(lambda: not window.runner.busy and not window.session.held, timeout=20_000)


def test_a_class_that_is_being_painted_while_it_is_removed(
    qtbot: QtBot, open_window: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gate: Gate
) -> None:
    """The stroke that is not over when its class is counted is changed with the others, and can be saved."""
    folder = write_folder(tmp_path / "x", labels=3)
    window = open_window(folder)
    canvas, session = window.stage.canvas, window.session
    window.class_desk.add()
    new = session.active_class
    monkeypatch.setattr(model_jobs, "count", gate.before(model_jobs.count))
    window.class_desk._on_remove(new)
    qtbot.waitUntil(gate.begun.is_set, timeout=20_000)
    canvas.set_tool("brush")
    session.active_class = new
    start, end = canvas.to_widget(30, 30).toPoint(), canvas.to_widget(50, 30).toPoint()
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, start)
    QTest.mouseMove(canvas, end)
    assert canvas.is_drawing
    gate.go.set()
    idle(qtbot, window)
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, end)
    qtbot.waitUntil(lambda: session.document is not None, timeout=20_000)
    saved(qtbot, session)
    known = {info.id for info in session.classes} | {255}
    assert new not in known
    assert set(on_disk_of(folder, 0).ravel().tolist()) <= known


def test_an_added_class_that_is_painted_while_it_is_taken_back(
    qtbot: QtBot, open_window: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gate: Gate
) -> None:
    folder = write_folder(tmp_path / "x", labels=3)
    window = open_window(folder)
    session = window.session
    window.class_desk.add()
    new = session.active_class
    monkeypatch.setattr(model_jobs, "count", gate.before(model_jobs.count))
    window.class_desk.changes.undo()
    qtbot.waitUntil(gate.begun.is_set, timeout=20_000)
    paint(session, Rect(10, 10, 20, 20), new)
    gate.go.set()
    idle(qtbot, window)
    saved(qtbot, session)
    assert new in {info.id for info in session.classes}, "it is in use now"
    assert (on_disk_of(folder, 0)[10:30, 10:30] == new).all()


def test_a_single_pixel_of_an_added_class_is_one(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x", labels=3))
    window.class_desk.add()
    paint(window.session, Rect(10, 10, 1, 1), window.session.active_class)
    window.class_desk.changes.undo()
    idle(qtbot, window)
    said = [message.text for message in window.stage.messages.messages]
    assert said[-1].startswith("1 pixel in 1 image has a class that would go.")


def test_redo_is_not_swept_away_with_what_undo_has_left(
    qtbot: QtBot, open_window: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gate: Gate
) -> None:
    folder = write_folder(tmp_path / "x")
    window = open_window(folder)
    session, changes = window.session, window.class_desk.changes
    window.class_desk.add()
    new = session.active_class
    paint(session, Rect(0, 0, 20, 20), new)
    saved(qtbot, session)
    info = next(each for each in session.classes if each.id == new)
    changes.count({new}, lambda touched: changes.relabel(f"remove “{info.name}”", info, 255, touched))
    idle(qtbot, window)
    assert (on_disk_of(folder, 0)[:20, :20] == 255).all()
    monkeypatch.setattr("unet_gui.core.relabel.shutil.rmtree", gate.before(shutil.rmtree))
    for move in (changes.undo, changes.redo):
        move()
        idle(qtbot, window)
    gate.go.set()
    qtbot.waitUntil(lambda: not changes._broom.waiting, timeout=20_000)
    changes.undo()
    idle(qtbot, window)
    assert (on_disk_of(folder, 0)[:20, :20] == new).all()


def test_a_change_of_encoding_that_waits_can_be_stopped(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x", labels=2))
    session = window.session
    assert session.dataset is not None
    before = session.dataset.encoding
    assert before.kind != "binary"
    paint(session, Rect(0, 0, 20, 20), 1)  # not saved yet: that is waited for
    window.exchange.set_encoding(Encoding("binary"))
    assert window.runner.pending("encoding")
    window.desk.stop()
    qtbot.waitUntil(lambda: not session.held and not session.folder.saver.busy, timeout=20_000)  # type: ignore[union-attr]
    assert session.dataset.encoding == before


@pytest.mark.parametrize("moved", [False, True])
def test_a_row_that_is_held_may_go(qtbot: QtBot, open_window: Open, tmp_path: Path, moved: bool) -> None:
    """Classes come or go while the button is down on one of them: its row is another one then."""
    window = open_window(write_folder(tmp_path / "x"))
    session, view = window.session, window.classes.list
    first, second = (view.visualItemRect(view.item(row)).center() for row in (0, 1))
    QTest.mousePress(view.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, second)
    if moved:
        QTest.mouseMove(view.viewport(), first)
    session.set_classes([*session.classes, ClassInfo(2, "of the model", "#123456")])  # as the model's are added
    QTest.mouseMove(view.viewport(), second)
    QTest.mouseMove(view.viewport(), first)
    QTest.mouseRelease(view.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, first)
    assert [info.id for info in session.classes] == [0, 1, 2]
    assert [view.item(row).data(ID) for row in range(view.count())] == [0, 1, 2, UNLABELLED]


def test_jobs_that_are_made_ready_for_go_when_they_are_over(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    """They hold the session, and its timers: in a ring they would wait for whatever thread collects next."""
    window = open_window(write_folder(tmp_path / "x", labels=3))
    jobs: list[weakref.ref[Job]] = []
    window.runner.queued.connect(lambda job: jobs.append(weakref.ref(job)))
    dataset = window.session.dataset
    assert dataset is not None
    window.class_desk._on_remove(1)
    qtbot.waitUntil(lambda: bool(jobs), timeout=20_000)
    idle(qtbot, window)
    window.exchange.set_encoding(dataset.encoding.with_unlabelled(254))
    idle(qtbot, window)
    window.exchange.export("masks", tmp_path / "out", {})
    idle(qtbot, window)
    window.desk.save_masks(dataset.images, tmp_path / "masks")
    idle(qtbot, window)
    assert len(jobs) == 4
    assert not gc.isenabled()
    qtbot.waitUntil(lambda: [job() for job in jobs] == [None] * 4)
