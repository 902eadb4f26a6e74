"""Corrections of the whole image from the real window: one undo step each, given up when another image is wanted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from tests.app.kit import SHAPE, drag, go_to, on_disk, on_disk_of, paint, saved, truth, write_folder
from unet_gui.app.main_window import MainWindow
from unet_gui.core.flood import Part, flood_parts
from unet_gui.core.geometry import Rect
from unet_gui.core.labels import UNLABELLED, Over
from unet_gui.core.project import Dataset
from unet_gui.core.whole import Patch

Open = Callable[[Path | None], MainWindow]
CTRL, ALT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.AltModifier


def do(qtbot: QtBot, window: MainWindow, name: str) -> np.ndarray:
    """Choose an action and wait for its end; return the label."""
    window.actions_by_id[name].trigger()
    qtbot.waitUntil(lambda: not window.whole.busy, timeout=20_000)
    assert window.session.labels is not None
    return window.session.labels.ids.copy()


def test_specks_holes_grow_and_shrink(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    session = window.session
    paint(session, Rect(0, 0, *SHAPE[::-1]), 0)
    paint(session, Rect(20, 20, 20, 20), 1)
    plain = session.labels.ids.copy()  # type: ignore[union-attr]
    paint(session, Rect(25, 25, 3, 3), 0)
    holed = session.labels.ids.copy()  # type: ignore[union-attr]
    paint(session, Rect(60, 50, 2, 2), 1)
    specked = session.labels.ids.copy()  # type: ignore[union-attr]
    np.testing.assert_array_equal(do(qtbot, window, "specks_all"), plain)  # the hole is a speck of background
    QTest.keyClick(window, Qt.Key.Key_Z, CTRL)
    np.testing.assert_array_equal(session.labels.ids, specked)  # type: ignore[union-attr]
    session.undo()
    session.active_class = 1
    np.testing.assert_array_equal(do(qtbot, window, "holes_all"), plain)
    session.undo()
    np.testing.assert_array_equal(session.labels.ids, holed)  # type: ignore[union-attr]
    session.redo()
    grown = do(qtbot, window, "grow_class")
    assert (grown == 1).sum() == 22 * 22 - 4
    shrunk = do(qtbot, window, "shrink_class")
    np.testing.assert_array_equal(shrunk, plain)
    assert window.actions_by_id["undo"].text() == "Undo Shrink class"
    saved(qtbot, session)
    np.testing.assert_array_equal(on_disk(session, 0), plain)


def test_what_the_model_is_sure_of(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x")
    dataset = Dataset.open(folder)
    certain = np.tile(np.linspace(128, 255, SHAPE[1]).astype(np.uint8), (SHAPE[0], 1))
    one = np.where(truth(0) == 1, certain, 255 - certain)
    dataset.save_prediction(dataset.images[0], truth(0), np.stack([255 - one, one]))
    window = open_window(folder)
    qtbot.waitUntil(lambda: window.session.probabilities is not None, timeout=20_000)
    paint(window.session, Rect(SHAPE[1] - 10, 0, 5, 5), 0)
    before = window.session.labels.ids.copy()  # type: ignore[union-attr]
    window.stage.canvas.options.sure = 0.8
    QTest.keyClick(window.stage.canvas, Qt.Key.Key_K, CTRL | ALT)
    qtbot.waitUntil(lambda: not window.whole.busy, timeout=20_000)
    expected = np.where((certain >= 0.8 * 255) & (before == UNLABELLED), truth(0), before)
    np.testing.assert_array_equal(window.session.labels.ids, expected)  # type: ignore[union-attr]


def test_without_probabilities_it_says_so(open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    window.actions_by_id["sure_all"].trigger()
    assert any("no probabilities" in message.text for message in window.stage.messages.messages)
    assert not window.whole.busy


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, threading.Event]]:
    """A correction that has written one patch and waits: (it has begun, it may go on)."""
    begun, on = threading.Event(), threading.Event()

    def patches(ids: np.ndarray, smaller_than: int) -> Iterator[Patch]:
        yield Patch(Rect(0, 0, 5, 5), np.full((5, 5), 1, np.uint8), np.ones((5, 5), bool))
        begun.set()
        on.wait(20)
        yield Patch(Rect(9, 9, 5, 5), np.full((5, 5), 1, np.uint8), np.ones((5, 5), bool))

    monkeypatch.setattr("unet_gui.core.whole.without_specks", patches)
    yield begun, on
    on.set()


def test_nobody_paints_meanwhile_and_it_is_saved_whole(
    qtbot: QtBot, open_window: Open, tmp_path: Path, slow: tuple[threading.Event, threading.Event]
) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    window.actions_by_id["specks_all"].trigger()
    assert slow[0].wait(20)
    assert window.session.begin_edit("brush") is None
    assert any("is under way" in message.text for message in window.stage.messages.messages)
    window.session.undo()
    window.session.save()
    slow[1].set()
    qtbot.waitUntil(lambda: not window.whole.busy, timeout=20_000)
    assert window.session.labels is not None
    assert (window.session.labels.ids == 1).sum() == 50
    saved(qtbot, window.session)
    np.testing.assert_array_equal(on_disk(window.session, 0), window.session.labels.ids)
    edit = window.session.begin_edit("brush")
    assert edit is not None
    edit.rollback()


def test_going_to_another_image_takes_it_back(
    qtbot: QtBot, open_window: Open, tmp_path: Path, slow: tuple[threading.Event, threading.Event]
) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    paint(window.session, Rect(30, 30, 5, 5), 1)
    window.actions_by_id["specks_all"].trigger()
    assert slow[0].wait(20)
    slow[1].set()
    go_to(qtbot, window.session, 1)
    assert not window.whole.busy
    assert not window.session.held
    shown = [message.text for message in window.stage.messages.messages]
    go_to(qtbot, window.session, 0)
    assert window.session.labels is not None
    assert (window.session.labels.ids == 1).sum() in (25, 75), "all of it or nothing"
    assert window.session.document is not None
    steps = len(window.session.document.history.undo_stack)
    assert steps == (1 if (window.session.labels.ids == 1).sum() == 25 else 2)
    assert any("was stopped" in text for text in shown) == (steps == 1)


@pytest.mark.parametrize("written", [False, True])
def test_the_folder_closes_meanwhile(
    open_window: Open, tmp_path: Path, slow: tuple[threading.Event, threading.Event], written: bool
) -> None:
    """Saving waits for the label to be still, and the window must not wait for both."""
    folder = write_folder(tmp_path / "x")
    window = open_window(folder)
    paint(window.session, Rect(30, 30, 5, 5), 1)
    window.actions_by_id["specks_all"].trigger()
    assert slow[0].wait(20)
    slow[1].set()
    if written:  # and the window has not heard of it yet
        window.whole._chores._pool.waitForDone()
        window.session.save()
    assert window.session.close_folder()
    label = on_disk_of(folder, 0)
    assert label is not None
    assert (label == 1).sum() in (25, 75), "all of it or nothing"


@pytest.mark.parametrize("deed", ["done", "clear", "take_over_all"])
def test_a_large_label_is_written_beside_the_window(
    qtbot: QtBot, open_window: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deed: str
) -> None:
    monkeypatch.setattr("unet_gui.app.touch_up.SMALL", 100)
    monkeypatch.setattr("unet_gui.app.touch_up.STRIP", 7 * SHAPE[1])
    folder = write_folder(tmp_path / "x")
    dataset = Dataset.open(folder)
    dataset.save_prediction(dataset.images[0], truth(0))
    window = open_window(folder)
    session = window.session
    qtbot.waitUntil(lambda: session.prediction is not None, timeout=20_000)
    paint(session, Rect(2, 3, 10, 10), 0)
    before = session.labels.ids.copy()  # type: ignore[union-attr]
    document = session.document
    assert document is not None
    window.actions_by_id[deed].trigger()
    assert window.whole.busy
    assert session.key == "0.png", "it is not done yet"
    qtbot.waitUntil(lambda: not window.whole.busy, timeout=20_000)
    wanted = {"done": np.where(before == UNLABELLED, truth(0), before), "take_over_all": truth(0)}
    np.testing.assert_array_equal(document.labels.ids, wanted.get(deed, np.full_like(before, UNLABELLED)))
    assert len(document.history.undo_stack) == 2
    if deed == "done":
        qtbot.waitUntil(lambda: session.document is not None and session.key == "1.png", timeout=20_000)
        saved(qtbot, session)
        np.testing.assert_array_equal(on_disk(session, 0), wanted["done"])
    else:
        session.undo()
        np.testing.assert_array_equal(document.labels.ids, before)


# --- what a tool changes, when it is much


def click(window: MainWindow, x: float, y: float) -> None:
    drag(window, (x, y), (x, y))


def hover(window: MainWindow, x: float, y: float) -> None:
    canvas, none = window.stage.canvas, Qt.MouseButton.NoButton
    at = canvas.to_widget(x, y)
    event = QMouseEvent(QEvent.Type.MouseMove, at, canvas.mapToGlobal(at), none, none, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(canvas, event)


@pytest.mark.parametrize("few", [True, False])
def test_a_large_region_is_changed_beside_the_window(
    qtbot: QtBot, open_window: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few: bool
) -> None:
    monkeypatch.setattr("unet_gui.app.canvas.tool.LARGE", 10_000 if few else 100)
    window = open_window(write_folder(tmp_path / "x"))
    session, canvas = window.session, window.stage.canvas
    assert session.document is not None
    labels, history = session.document.labels, session.document.history
    beside: list[str] = []
    session.large_edit_wanted.connect(lambda name, *_: beside.append(name))

    def done() -> np.ndarray:
        qtbot.waitUntil(lambda: not window.whole.busy, timeout=20_000)
        return labels.ids.copy()

    paint(session, Rect(30, 0, 4, SHAPE[0]), 0)
    wall = labels.ids.copy()
    session.active_class = 1
    canvas.set_tool("fill")
    click(window, 10, 20)
    filled = done()
    np.testing.assert_array_equal(filled[:, :30], 1)
    np.testing.assert_array_equal(filled[:, 30:], wall[:, 30:])
    canvas.set_tool("blob")
    session.active_class = 0
    click(window, 10, 20)
    assert set(np.unique(done()[:, :34])) == {0}
    hover(window, 10, 20)
    canvas.copy()
    done()
    canvas.paste()
    click(window, 60, 30)
    assert (done()[:, 43:77] == 0).all()
    session.undo()
    QTest.keyClick(canvas, Qt.Key.Key_Escape)  # enough pasted
    session.over = Over.UNLABELLED
    hover(window, 10, 20)
    canvas.delete()
    assert (done() == UNLABELLED).all(), "the eraser works under any rule"
    assert [delta.name for delta in history.undo_stack] == ["brush", "Fill", "Change class of blob", "Delete blob"]
    assert beside == ([] if few else ["Fill", "Change class of blob", "Paste", "Delete blob"])
    for _ in range(3):
        session.undo()
    np.testing.assert_array_equal(labels.ids, wall)
    for _ in range(3):
        session.redo()
    saved(qtbot, session)
    np.testing.assert_array_equal(on_disk(session, 0), labels.ids)


def test_a_stroke_during_a_large_fill_is_refused_aloud_and_nothing_is_lost(
    qtbot: QtBot, open_window: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unet_gui.app.canvas.tool.LARGE", 100)
    begun, on = threading.Event(), threading.Event()

    def waiting(ids: np.ndarray, x: int, y: int) -> Iterator[Part]:
        for part in flood_parts(ids, x, y, side=16):
            yield part
            if threading.current_thread() is not threading.main_thread():
                begun.set()
                on.wait(20)

    monkeypatch.setattr("unet_gui.app.canvas.paint_tools.flood_parts", waiting)
    window = open_window(write_folder(tmp_path / "x"))
    session = window.session
    assert session.labels is not None
    paint(session, Rect(0, 0, 5, 5), 0)
    window.stage.canvas.set_tool("fill")
    click(window, 40, 30)
    assert begun.wait(20)
    window.stage.canvas.set_tool("brush")
    drag(window, (20, 20), (40, 20))
    assert any("“Fill” is under way" in message.text for message in window.stage.messages.messages)
    window.stage.canvas.set_tool("fill")
    click(window, 40, 30)  # nor a second one
    on.set()
    qtbot.waitUntil(lambda: not window.whole.busy, timeout=20_000)
    assert set(np.unique(session.labels.ids)) == {0, 1}
    assert (session.labels.ids == 0).sum() == 25
    session.undo()
    assert (session.labels.ids != UNLABELLED).sum() == 25
