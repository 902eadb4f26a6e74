"""What works on the labels on disk waits until they are there, and not for ever."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from tests.app.kit import on_disk, open_session, paint, saved, write_folder
from unet_gui.core.geometry import Rect
from unet_gui.core.images import ImageRef
from unet_gui.core.lock import FolderLock
from unet_gui.core.palette import ClassInfo
from unet_gui.core.project import Dataset


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Saving a label waits until this is set."""
    on = threading.Event()
    plain = Dataset.save_label

    def wait(self: Dataset, ref: ImageRef, ids: np.ndarray, *rest: object) -> None:
        assert on.wait(20)
        plain(self, ref, ids, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Dataset, "save_label", wait)
    yield on
    on.set()


def test_it_waits_for_what_is_painted_by_now_and_not_for_more(
    qtbot: QtBot, tmp_path: Path, slow: threading.Event
) -> None:
    with open_session(qtbot, write_folder(tmp_path / "x")) as (session, _):
        session.autosave = False
        paint(session, Rect(0, 0, 5, 5), 1)
        done: list[str] = []
        session.when_saved(lambda: done.append("act"), lambda: done.append("refused"))
        assert not done
        paint(session, Rect(20, 20, 5, 5), 1)
        slow.set()
        qtbot.waitUntil(lambda: bool(done))
        assert done == ["act"]
        assert session.unsaved() == ["0.png"], "the second stroke was not waited for"
        label = on_disk(session, 0)
        assert label is not None
        assert (label == 1).sum() == 25


def test_nobody_paints_before_something_that_changes_labels(
    qtbot: QtBot, tmp_path: Path, slow: threading.Event
) -> None:
    with open_session(qtbot, write_folder(tmp_path / "x")) as (session, ear):
        paint(session, Rect(0, 0, 5, 5), 1)
        let_go: list[int] = []
        session.letting_go.connect(lambda: let_go.append(1))
        done: list[str] = []
        session.when_saved(lambda: done.append("act"), lambda: done.append("refused"), alone=True)
        assert let_go
        assert session.begin_edit("brush") is None
        assert ear.heard("are being saved")
        session.when_saved(lambda: done.append("second"), lambda: done.append("second refused"))
        assert done == ["second refused"]
        slow.set()
        qtbot.waitUntil(lambda: "act" in done)
        edit = session.begin_edit("brush")
        assert edit is not None
        session.end_edit(edit)


def test_it_is_refused_where_a_label_cannot_be_saved(qtbot: QtBot, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x")
    with open_session(qtbot, folder) as (session, _):
        (folder / "labels").write_bytes(b"in the way")
        paint(session, Rect(0, 0, 5, 5), 1)
        done: list[str] = []
        session.when_saved(lambda: done.append("act"), lambda: done.append("refused"), alone=True)
        qtbot.waitUntil(lambda: bool(done))
        assert done == ["refused"]
        assert not session.held
        (folder / "labels").unlink()


def test_it_is_not_done_when_the_folder_is_closed(qtbot: QtBot, tmp_path: Path, slow: threading.Event) -> None:
    with open_session(qtbot, write_folder(tmp_path / "x")) as (session, _):
        paint(session, Rect(0, 0, 5, 5), 1)
        done: list[str] = []
        session.when_saved(lambda: done.append("act"), lambda: done.append("refused"))
        slow.set()
        assert session.close_folder()
        assert done == ["refused"]


def test_a_stroke_that_changes_nothing_leaves_the_label_to_be_saved(qtbot: QtBot, tmp_path: Path) -> None:
    with open_session(qtbot, write_folder(tmp_path / "x")) as (session, _):
        paint(session, Rect(0, 0, 5, 5), 1)
        paint(session, Rect(0, 0, 5, 5), 1)
        qtbot.waitUntil(lambda: not session.unsaved(), timeout=20_000)


def test_a_folder_that_is_looked_at_has_no_undo(qtbot: QtBot, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x")
    with open_session(qtbot, folder) as (session, _):
        paint(session, Rect(0, 0, 5, 5), 1)
        saved(qtbot, session)
    lock = FolderLock(folder / ".unet-gui" / "lock")
    assert lock.acquire() == ""
    with open_session(qtbot, folder) as (session, ear):
        assert session.document is not None
        assert session.document.history.undo_stack
        session.undo()
        assert ear.heard("Nothing can be changed here")
        assert not session.unsaved()
        done: list[str] = []
        session.when_saved(lambda: done.append("act"))
        assert done == ["act"]
    lock.release()


def test_a_window_whose_folder_was_taken_over_writes_no_more(qtbot: QtBot, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x")
    with open_session(qtbot, folder) as (session, ear):
        other = FolderLock(folder / ".unet-gui" / "lock")
        assert "this program" in other.acquire()
        assert other.acquire(anyway=True) == ""
        paint(session, Rect(0, 0, 5, 5), 1)
        session.save()
        qtbot.waitUntil(lambda: ear.heard("taken this folder over"))
        other.release()
        session.save()
        assert session.folder is not None
        session.folder.saver.wait()
        assert session.unsaved() == ["0.png"]
        assert not (folder / "labels").exists()


def test_a_prediction_of_another_size_is_not_shown(qtbot: QtBot, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x")
    dataset = Dataset.open(folder)
    dataset.save_prediction(dataset.images[0], np.zeros((30, 40), np.uint8))
    with open_session(qtbot, folder) as (session, ear):
        qtbot.waitUntil(lambda: ear.heard("has another size"))
        assert session.prediction is None


def test_undo_of_a_class_that_is_no_more_is_forgotten(qtbot: QtBot, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x")
    with open_session(qtbot, folder) as (session, _):
        session.set_classes([*session.classes, ClassInfo(2, "two", "#ff0000")])
        paint(session, Rect(0, 0, 5, 5), 2)
        session.undo()
        paint(session, Rect(0, 0, 5, 5), 1)
        saved(qtbot, session)
    with open_session(qtbot, folder) as (session, _):
        assert session.document is not None
        assert session.document.history.undo_stack, "undo outlives the program"
        session.set_classes(session.classes[:2])
    with open_session(qtbot, folder) as (session, _):
        assert session.document is not None
        assert not session.document.history.undo_stack


def test_undo_brings_no_class_back_that_is_no_more(qtbot: QtBot, tmp_path: Path) -> None:
    with open_session(qtbot, write_folder(tmp_path / "x")) as (session, ear):
        session.set_classes([*session.classes, ClassInfo(2, "two", "#ff0000")])
        paint(session, Rect(0, 0, 5, 5), 2)
        paint(session, Rect(0, 0, 5, 5), 1)
        session.set_classes(session.classes[:2])
        assert session.labels is not None
        before = session.labels.ids.copy()
        session.undo()
        assert ear.heard("class that is no more")
        np.testing.assert_array_equal(session.labels.ids, before)
        saved(qtbot, session)
        np.testing.assert_array_equal(on_disk(session, 0), before)
        paint(session, Rect(9, 9, 5, 5), 1)
        session.undo()
        np.testing.assert_array_equal(session.labels.ids, before)
