"""Strokes of a run that died: they are offered, given back, and never lost by what happens in between."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from tests.app.kit import SHAPE, go_to, on_disk, open_session, paint, saved, write_folder
from unet_gui.app import reader as reader_module
from unet_gui.app.document import Document
from unet_gui.app.folder import _Restore
from unet_gui.app.session import Session
from unet_gui.core.geometry import Rect
from unet_gui.core.images import ImageRef
from unet_gui.core.journal import Unsaved, checksum, keep_only, read_journal, refuse
from unet_gui.core.labels import UNLABELLED, LabelImage
from unet_gui.core.project import Dataset
from unet_gui.core.store import INDEX, write_label

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is POSIX")

_DIES = """
import os, signal, sys
from pathlib import Path
from PySide6.QtCore import QCoreApplication, QTimer
from unet_gui.app.document import Document
from unet_gui.app.session import Session
from unet_gui.core.geometry import Rect
app = QCoreApplication([])
session = Session()
session.autosave = False
def paint():
    for n in range(3):
        edit = session.begin_edit("brush")
        edit.paint(Rect(10 * n, 0, 10, 10), None, n % 2)
        session.end_edit(edit)
    session.undo()
    session.folder.journal.flush()
    os.kill(os.getpid(), signal.SIGKILL)
session.image_changed.connect(lambda: session.document and QTimer.singleShot(0, paint))
session.open_folder(Path(sys.argv[1]))
app.exec()
"""


def die(folder: Path) -> None:
    """Paint the first image in another process, which is killed before it saves."""
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    died = subprocess.run([sys.executable, "-c", _DIES, str(folder)], env=environment, check=False)
    assert died.returncode == -signal.SIGKILL


def test_strokes_of_a_run_that_was_killed_come_back(qtbot: QtBot, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x")
    die(folder)
    assert not (folder / "labels").exists()
    with open_session(qtbot, folder) as (session, ear):
        assert session.folder is not None
        assert session.folder.read_only == "", "the dead run's lock does not count"
        assert session.folder.recovery.keys == ["0.png"]
        session.folder.recovery.restore()
        qtbot.waitUntil(lambda: ear.heard("are back"))
        qtbot.waitUntil(lambda: session.labels is not None and bool((session.labels.ids == 1).any()))
        assert session.labels is not None
        expected = np.full(session.labels.shape, UNLABELLED, np.uint8)
        expected[:10, :10], expected[:10, 10:20] = 0, 1
        np.testing.assert_array_equal(session.labels.ids, expected)
        np.testing.assert_array_equal(on_disk(session, 0), expected)
    with open_session(qtbot, folder) as (session, _):
        assert session.folder is not None
        assert session.folder.recovery.keys == []


def test_strokes_that_come_back_while_their_image_is_being_read_are_shown(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_folder(tmp_path / "x")
    die(folder)
    back = threading.Event()
    read = reader_module.load

    def slow(dataset: Dataset, ref: ImageRef, auto: bool) -> Document:
        document = read(dataset, ref, auto)  # the label without the strokes
        assert back.wait(30)
        return document

    monkeypatch.setattr(reader_module, "load", slow)
    session = Session()
    try:
        session.folder_changed.connect(lambda: session.folder and session.folder.recovery.restore())
        session.said.connect(lambda message: back.set() if "are back" in message.text else None)
        session.open_folder(folder)
        qtbot.waitUntil(lambda: session.document is not None)
        assert session.labels is not None
        assert (session.labels.ids[:10, :10] == 0).all()
        assert (session.labels.ids[:10, 10:20] == 1).all()
    finally:
        back.set()
        session.close()


def test_nobody_paints_over_strokes_that_wait(qtbot: QtBot, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x")
    die(folder)
    with open_session(qtbot, folder) as (session, ear):
        assert session.begin_edit("brush") is None
        (message,) = [each for each in ear.messages if "not saved last time" in each.text]
        assert [offer.text for offer in message.offers] == ["Bring them back", "Forget them"]
        go_to(qtbot, session, 1)
        paint(session, Rect(0, 0, 5, 5), 1)
        go_to(qtbot, session, 0)
        message.offers[0].act()
        message.offers[0].act()  # an impatient second time
        qtbot.waitUntil(lambda: ear.heard("are back"))
        qtbot.waitUntil(lambda: session.labels is not None and bool((session.labels.ids == 1).any()))
        paint(session, Rect(0, 30, 5, 5), 1)
        assert session.labels is not None
        expected = session.labels.ids.copy()
        saved(qtbot, session)
        np.testing.assert_array_equal(on_disk(session, 0), expected)
        assert (expected == 1).sum() == 125


def test_forgotten_strokes_are_not_offered_again(qtbot: QtBot, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x")
    die(folder)
    with open_session(qtbot, folder) as (session, _):
        assert session.folder is not None
        session.folder.recovery.discard()
    with open_session(qtbot, folder) as (session, _):
        assert session.folder is not None
        assert session.folder.recovery.keys == []


def test_a_disk_that_is_full_then_costs_nothing(qtbot: QtBot, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x")
    die(folder)
    with open_session(qtbot, folder) as (session, ear):
        assert session.folder is not None
        (folder / "labels").write_bytes(b"in the way")
        recovery = session.folder.recovery
        recovery.restore()
        qtbot.waitUntil(lambda: ear.heard("bring the strokes back"))
        qtbot.waitUntil(lambda: not recovery.busy)
        assert recovery.keys == ["0.png"], "offered again"
        assert ear.heard("Last time the program ended")
        assert session.begin_edit("brush") is None
        (folder / "labels").unlink()
        recovery.restore()
        qtbot.waitUntil(lambda: ear.heard("are back"))
        qtbot.waitUntil(lambda: session.labels is not None and bool((session.labels.ids == 1).any()))
        assert recovery.keys == []
    assert not list((folder / ".unet-gui" / "journal").glob("unsaved*"))


def test_the_next_start_offers_what_could_not_be_given_back(qtbot: QtBot, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x")
    die(folder)
    with open_session(qtbot, folder) as (session, ear):
        assert session.folder is not None
        (folder / "labels").write_bytes(b"in the way")
        session.folder.recovery.restore()
        qtbot.waitUntil(lambda: ear.heard("bring the strokes back"))
    (folder / "labels").unlink()
    with open_session(qtbot, folder) as (session, ear):
        assert session.folder is not None
        assert session.folder.recovery.keys == ["0.png"]
        session.folder.recovery.restore()
        qtbot.waitUntil(lambda: ear.heard("are back"))
        label = on_disk(session, 0)
        assert label is not None
        assert (label == 1).sum() == 100


def test_a_label_changed_since_is_left_alone_and_nothing_is_thrown_away(qtbot: QtBot, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x")
    for n in range(2):
        die(folder)
        dataset = Dataset.open(folder)
        other = np.full((60, 80), n, np.uint8)
        dataset.save_label(dataset.images[0], other)
        with open_session(qtbot, folder) as (session, ear):
            assert session.folder is not None
            session.folder.recovery.restore()
            qtbot.waitUntil(lambda ear=ear: ear.heard("changed by another program"))
            assert session.folder.recovery.keys == []
            np.testing.assert_array_equal(on_disk(session, 0), other)
    assert len(list((folder / ".unet-gui" / "journal").glob("*.refused"))) == 2


def test_classes_are_not_changed_while_strokes_wait(qtbot: QtBot, tmp_path: Path) -> None:
    from unet_gui.app.class_changes import ClassChanges
    from unet_gui.app.jobs import JobRunner

    folder = write_folder(tmp_path / "x", labels=2)
    die(folder)
    with open_session(qtbot, folder) as (session, ear):
        assert session.folder is not None
        runner = JobRunner()
        changes = ClassChanges(session, runner, session.folder.images)
        changes.said.connect(ear.hear)
        changes.count({1}, lambda touched: pytest.fail("counted"))
        assert ear.heard("were not saved last time")
        assert not runner.busy
        session.folder.recovery.discard()
        counted: list[object] = []
        changes.count({1}, counted.append)
        qtbot.waitUntil(lambda: bool(counted), timeout=20_000)
        changes.close()
        runner.shutdown()


def test_a_journal_is_cut_down_to_what_is_left(tmp_path: Path) -> None:
    path = tmp_path / "unsaved-0001.log"
    images = [Unsaved(key, (4, 5), 7, [], [(3, 9)]) for key in ("a.png", "b.png", "no text \udcff.png")]
    from unet_gui.core.labels import LabelImage

    labels = LabelImage.unlabelled((4, 5))
    with labels.edit("brush") as edit:
        edit.paint(Rect(0, 0, 2, 2), None, 1)
    assert edit.delta is not None
    for one in images:
        one.edits.append((1, edit.delta))
    keep_only(path, images)
    found = read_journal(path)
    assert list(found) == [one.key for one in images]
    keep_only(path, [found["b.png"], found["no text \udcff.png"]])
    again = read_journal(path)
    assert list(again) == ["b.png", "no text \udcff.png"]
    assert (again["b.png"].base, again["b.png"].saving, len(again["b.png"].edits)) == (7, [(3, 9)], 1)
    refuse(path)
    path.write_bytes(b"another")
    refuse(path)
    assert len(list(tmp_path.glob("*.refused"))) == 2
    assert not path.exists()


def test_a_journal_of_others_changes_no_picture_elsewhere(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x")
    picture = tmp_path / "pictures" / "a.png"
    write_label(picture, np.zeros(SHAPE, np.uint8), INDEX)
    before = picture.read_bytes()
    labels = LabelImage(np.zeros(SHAPE, np.uint8))
    crc = checksum(labels.ids)
    with labels.edit("brush") as edit:
        edit.paint(Rect(2, 3, 10, 10), None, 1)
    assert edit.delta is not None
    path = tmp_path / "unsaved.1"
    one = Unsaved("../../pictures/a.png", SHAPE, crc)
    one.edits.append((1, edit.delta))
    keep_only(path, [one])
    assert read_journal(path)
    result = _Restore(Dataset.open(folder), (path,))()
    assert not result.keys
    assert "is not among the images" in str(result.errors[0])
    assert picture.read_bytes() == before
    assert path.exists()


def test_strokes_on_images_whose_folder_has_become_the_images(qtbot: QtBot, tmp_path: Path) -> None:
    folder = tmp_path / "x"
    write_folder(folder / "image")

    die(folder)  # as image/0.png
    (folder / "labels").mkdir(exist_ok=True)
    with open_session(qtbot, folder) as (session, ear):
        assert session.folder is not None
        assert session.key == "0.png"
        assert session.folder.recovery.keys == ["0.png"]
        assert session.begin_edit("brush") is None, "not before they are back"
        session.folder.recovery.restore()
        qtbot.waitUntil(lambda: ear.heard("are back"))
        qtbot.waitUntil(lambda: session.labels is not None and bool((session.labels.ids == 1).any()))
