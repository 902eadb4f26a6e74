"""The session: reading, painting, saving, undo, and that nothing is ever lost."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import threading
import weakref
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from tests.app.kit import go_to, on_disk, on_disk_of, open_session, paint, saved, truth, write_folder
from unet_gui.app.class_list import new_class
from unet_gui.app.folder import open_folder
from unet_gui.app.reader import Opener
from unet_gui.app.session import Session
from unet_gui.core import png
from unet_gui.core.geometry import Rect
from unet_gui.core.images import ImageRef
from unet_gui.core.labels import UNLABELLED, Over
from unet_gui.core.project import Dataset, Status


def test_opening_shows_the_first_image_with_nothing_said(qtbot: QtBot, tmp_path: Path) -> None:
    with open_session(qtbot, write_folder(tmp_path / "ü 细胞")) as (session, ear):
        assert session.key == "0.png"
        assert session.labels is not None
        assert (session.labels.ids == UNLABELLED).all()
        assert not ear.messages
        assert not (tmp_path / "ü 细胞" / "labels").exists(), "opening writes nothing beside the images"


def test_an_image_opens_its_folder_there(qtbot: QtBot, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x")
    with open_session(qtbot, folder / "2.png") as (session, _):
        assert session.key == "2.png"


def test_a_label_on_disk_is_shown(qtbot: QtBot, tmp_path: Path) -> None:
    with open_session(qtbot, write_folder(tmp_path / "x", labels=1)) as (session, _):
        assert session.labels is not None
        np.testing.assert_array_equal(session.labels.ids, truth(0))


def test_a_folder_that_is_not_there_is_said(qtbot: QtBot, tmp_path: Path) -> None:
    with open_session(qtbot, tmp_path / "gone") as (session, ear):
        assert session.folder is None
        assert ear.heard("not there")
        assert ear.messages[0].details


def test_a_folder_without_images_says_what_to_do(qtbot: QtBot, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with open_session(qtbot, tmp_path / "x") as (session, ear):
        assert session.folder is None
        assert ear.heard("Choose the folder they are in")


def test_only_the_last_of_many_requests_is_answered(qtbot: QtBot, tmp_path: Path) -> None:
    with open_session(qtbot, write_folder(tmp_path / "x", images=8)) as (session, _):
        shown: list[str] = []
        session.image_changed.connect(lambda: shown.append(session.key))
        assert session.dataset is not None
        for ref in session.dataset.images[1:]:
            session.open_image(ref)
            assert session.labels is None, "nothing can be painted on the image that is leaving"
        qtbot.waitUntil(lambda: session.document is not None)
        assert shown == ["7.png"]


def test_a_bad_image_is_said_and_the_next_one_opens(qtbot: QtBot, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x")
    (folder / "1.png").write_bytes(b"")
    (folder / "2.png").write_text("this is text")
    with open_session(qtbot, folder) as (session, ear):
        for index in (1, 2):
            ear.messages.clear()
            assert session.dataset is not None
            session.open_image(session.dataset.images[index])
            qtbot.waitUntil(lambda: bool(ear.messages))
            assert session.document is None
            assert ear.heard(f"“{index}.png”")
        go_to(qtbot, session, 3)


def test_a_label_of_another_size_is_refused(qtbot: QtBot, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x", labels=1)
    (folder / "labels" / "1.png").write_bytes(png.encode(np.zeros((7, 9), np.uint8)))
    before = (folder / "labels" / "1.png").read_bytes()
    with open_session(qtbot, folder) as (session, ear):
        assert session.dataset is not None
        session.open_image(session.dataset.images[1])
        qtbot.waitUntil(lambda: bool(ear.messages))
        assert session.document is None
        assert "size" in ear.messages[0].text
    assert (folder / "labels" / "1.png").read_bytes() == before


def test_painting_undo_redo(qtbot: QtBot, tmp_path: Path) -> None:
    with open_session(qtbot, write_folder(tmp_path / "x")) as (session, _):
        session.autosave = False
        changed: list[Rect] = []
        session.label_changed.connect(changed.append)
        labels, document = session.labels, session.document
        assert labels is not None
        assert document is not None
        paint(session, Rect(2, 3, 10, 5), 1)
        paint(session, Rect(5, 3, 10, 5), 0, "fill")
        assert changed == [Rect(2, 3, 10, 5), Rect(5, 3, 10, 5)]
        assert document.history.undo_text == "fill"
        session.undo()
        assert (labels.ids[3:8, 2:12] == 1).all()
        session.undo()
        assert (labels.ids == UNLABELLED).all()
        session.redo()
        session.redo()
        assert (labels.ids[3:8, 5:15] == 0).all()
        session.redo()


def test_a_gesture_that_changes_nothing_leaves_no_step(qtbot: QtBot, tmp_path: Path) -> None:
    with open_session(qtbot, write_folder(tmp_path / "x")) as (session, _):
        paint(session, Rect(0, 0, 5, 5), UNLABELLED)
        assert session.document is not None
        assert not session.document.history.can_undo
        assert session.unsaved() == []


def test_the_over_paint_rule_counts(qtbot: QtBot, tmp_path: Path) -> None:
    with open_session(qtbot, write_folder(tmp_path / "x")) as (session, _):
        paint(session, Rect(0, 0, 10, 10), 0)
        session.over = Over.UNLABELLED
        paint(session, Rect(0, 0, 20, 10), 1)
        assert session.labels is not None
        assert (session.labels.ids[:10, :10] == 0).all()
        assert (session.labels.ids[:10, 10:20] == 1).all()


def test_autosave_after_a_quiet_moment(qtbot: QtBot, tmp_path: Path) -> None:
    with open_session(qtbot, write_folder(tmp_path / "x")) as (session, _):
        paint(session, Rect(2, 3, 10, 5), 1)
        assert session.unsaved() == ["0.png"]
        qtbot.waitUntil(lambda: not session.unsaved(), timeout=20_000)
        label = on_disk(session, 0)
        assert label is not None
        assert (label == 1).sum() == 50
        assert session.folder is not None
        assert session.folder.book.status("0.png") == Status.PARTIAL


def test_without_autosave_nothing_is_written_until_asked(qtbot: QtBot, tmp_path: Path) -> None:
    with open_session(qtbot, write_folder(tmp_path / "x")) as (session, _):
        session.autosave = False
        paint(session, Rect(2, 3, 10, 5), 1)
        go_to(qtbot, session, 1)
        assert on_disk(session, 0) is None
        assert session.unsaved() == ["0.png"]
        go_to(qtbot, session, 0)
        assert session.labels is not None
        assert (session.labels.ids == 1).sum() == 50, "what was painted is still there"
        saved(qtbot, session)
        assert on_disk(session, 0) is not None


def test_changing_the_image_saves_and_undo_goes_on_when_coming_back(qtbot: QtBot, tmp_path: Path) -> None:
    with open_session(qtbot, write_folder(tmp_path / "x")) as (session, _):
        paint(session, Rect(2, 3, 10, 5), 1)
        paint(session, Rect(30, 3, 10, 5), 1)
        go_to(qtbot, session, 1)
        qtbot.waitUntil(lambda: not session.unsaved())
        go_to(qtbot, session, 0)
        session.undo()
        assert session.labels is not None
        assert (session.labels.ids == 1).sum() == 50
        saved(qtbot, session)
        label = on_disk(session, 0)
        assert label is not None
        assert (label == 1).sum() == 50


def test_undo_goes_on_after_a_restart(qtbot: QtBot, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x")
    with open_session(qtbot, folder) as (session, _):
        paint(session, Rect(2, 3, 10, 5), 1, "brush")
        paint(session, Rect(30, 3, 10, 5), 1, "lasso")
        go_to(qtbot, session, 1)
        paint(session, Rect(0, 0, 9, 9), 0, "fill")
        session.close_folder()
    with open_session(qtbot, folder) as (session, _):
        assert session.document is not None
        assert session.document.history.undo_text == "lasso"
        assert session.unsaved() == []
        session.undo()
        session.undo()
        assert (session.document.labels.ids == UNLABELLED).all()
        go_to(qtbot, session, 1)
        assert session.document.history.undo_text == "fill"
    assert on_disk_of(folder, 0) is None or (on_disk_of(folder, 0) == UNLABELLED).all()


def test_undo_is_dropped_when_somebody_else_wrote_the_label(qtbot: QtBot, tmp_path: Path) -> None:
    with open_session(qtbot, write_folder(tmp_path / "x")) as (session, _):
        paint(session, Rect(2, 3, 10, 5), 1)
        go_to(qtbot, session, 1)
        qtbot.waitUntil(lambda: not session.unsaved())
        (tmp_path / "x" / "labels" / "0.png").write_bytes(png.encode(truth(0)))
        go_to(qtbot, session, 0)
        assert session.document is not None
        assert not session.document.history.can_undo
        np.testing.assert_array_equal(session.document.labels.ids, truth(0))


def test_painting_while_a_label_is_being_saved_is_saved_too(qtbot: QtBot, tmp_path: Path) -> None:
    with open_session(qtbot, write_folder(tmp_path / "x")) as (session, _):
        for n in range(12):
            paint(session, Rect(5 * n, 0, 5, 5), 1)
            session.save()
        saved(qtbot, session)
        label = on_disk(session, 0)
        assert label is not None
        assert (label == 1).sum() == 12 * 25


def test_a_save_that_fails_keeps_the_label_says_so_and_is_tried_again(qtbot: QtBot, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x")
    with open_session(qtbot, folder) as (session, ear):
        settled: list[str] = []
        session.settled.connect(settled.append)
        (folder / "labels").write_bytes(b"a file where the folder should be")
        paint(session, Rect(2, 3, 10, 5), 1)
        session.save()
        qtbot.waitUntil(lambda: "save" in ear.topics())
        message = next(m for m in ear.messages if m.topic == "save")
        assert "kept in memory" in message.text
        assert message.details
        assert session.unsaved() == ["0.png"]
        go_to(qtbot, session, 1)
        assert session.unsaved() == ["0.png"], "still in memory while another image is shown"
        (folder / "labels").unlink()
        qtbot.waitUntil(lambda: not session.unsaved(), timeout=30_000)  # by itself
        assert "save" in settled
        label = on_disk(session, 0)
        assert label is not None
        assert (label == 1).sum() == 50


def test_closing_is_refused_while_something_cannot_be_saved(qtbot: QtBot, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x")
    with open_session(qtbot, folder) as (session, _):
        (folder / "labels").write_bytes(b"in the way")
        paint(session, Rect(2, 3, 10, 5), 1)
        assert not session.close_folder()
        assert session.document is not None
        (folder / "labels").unlink()
        qtbot.waitUntil(lambda: not session.unsaved(), timeout=30_000)  # it goes on trying by itself
        assert session.close_folder()
        assert session.folder is None
    assert (folder / "labels" / "0.png").is_file()


def test_a_folder_deleted_while_open_loses_nothing(qtbot: QtBot, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x")
    with open_session(qtbot, folder) as (session, ear):
        shutil.rmtree(folder)
        paint(session, Rect(2, 3, 10, 5), 1)
        session.save()
        qtbot.waitUntil(lambda: "save" in ear.topics())
        assert session.unsaved() == ["0.png"]
        write_folder(tmp_path / "x")  # the drive is plugged in again
        qtbot.waitUntil(lambda: not session.unsaved(), timeout=30_000)
    assert (folder / "labels" / "0.png").is_file()


def test_two_sessions_the_second_looks_only(qtbot: QtBot, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x")
    program = "from unet_gui.core.project import Dataset; import sys; d = Dataset.open(sys.argv[1]); "
    program += "print(repr(d.acquire_lock()), flush=True); sys.stdin.read()"
    other = subprocess.Popen(
        [sys.executable, "-c", program, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdout.readline().strip() == "''"
    with open_session(qtbot, folder) as (session, ear):
        assert session.folder is not None
        assert "another window" in session.folder.read_only
        assert session.begin_edit("brush") is None
        assert ear.heard("another window")
    other.communicate()
    with open_session(qtbot, folder) as (session, _):
        assert session.folder is not None
        assert session.folder.read_only == ""


def test_a_folder_whose_lock_cannot_be_written_is_looked_at(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_folder(tmp_path / "x")

    def full(path: Path, text: str) -> bool:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("unet_gui.core.lock._create", full)
    with open_session(qtbot, folder) as (session, ear):
        assert session.folder is not None
        assert session.document is not None
        assert "Nothing can be kept about it" in session.folder.read_only
        assert session.begin_edit("brush") is None
        assert ear.heard("Nothing can be changed here")


def test_labels_in_another_folder(qtbot: QtBot, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x")
    with open_session(qtbot, folder, labels=tmp_path / "mine") as (session, _):
        paint(session, Rect(2, 3, 10, 5), 1)
        saved(qtbot, session)
    assert (tmp_path / "mine" / "0.png").is_file()
    assert not (folder / "labels").exists()


def test_a_value_can_be_made_to_mean_unlabelled(qtbot: QtBot, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x")
    label = np.full((60, 80), 11, np.uint8)
    label[:30] = np.arange(80) % 11
    (folder / "labels").mkdir()
    (folder / "labels" / "0.png").write_bytes(png.encode(label))
    before = (folder / "labels" / "0.png").read_bytes()
    with open_session(qtbot, folder) as (session, ear):
        assert session.folder is not None
        assert [info.id for info in session.classes] == list(range(12))
        session.class_keeper.set_encoding(session.folder.dataset.encoding.with_unlabelled(11))
        qtbot.waitUntil(lambda: len(session.classes) < 12)
        assert [info.id for info in session.classes] == list(range(11))
        qtbot.waitUntil(lambda: session.labels is not None)
        assert session.labels is not None
        assert (session.labels.ids[30:] == UNLABELLED).all()
        assert (folder / "labels" / "0.png").read_bytes() == before, "no file is converted"
        paint(session, Rect(0, 40, 5, 5), 3)
        saved(qtbot, session)
        assert not ear.messages
    with open_session(qtbot, folder) as (session, _):
        assert session.labels is not None
        assert (session.labels.ids[40:45, :5] == 3).all()
        assert (session.labels.ids[50:] == UNLABELLED).all()


def test_classes_are_kept(qtbot: QtBot, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x")
    with open_session(qtbot, folder) as (session, _):
        info = new_class(session.classes)
        assert info is not None
        session.set_classes([*session.classes, info])
        new = info.id
        assert new == 2
        session.active_class = 2
        session.active_class = 77
        assert session.active_class == 2, "a class that does not exist cannot be painted"
        paint(session, Rect(0, 0, 4, 4), 2)
        saved(qtbot, session)
    with open_session(qtbot, folder) as (session, _):
        assert [info.id for info in session.classes] == [0, 1, 2]
        assert session.labels is not None
        assert (session.labels.ids == 2).sum() == 16


def test_a_gesture_under_way_when_the_image_changes_is_taken_back(qtbot: QtBot, tmp_path: Path) -> None:
    with open_session(qtbot, write_folder(tmp_path / "x")) as (session, _):
        edit = session.begin_edit("brush")
        assert edit is not None
        edit.paint(Rect(0, 0, 9, 9), None, 1)

        def cancel(_key: str) -> None:  # as the canvas does
            if edit.is_open:
                session.changed(edit.rollback())
                session.end_edit(edit)

        session.image_opening.connect(cancel)
        go_to(qtbot, session, 1)
        assert session.unsaved() == []
        go_to(qtbot, session, 0)
        assert session.labels is not None
        assert (session.labels.ids == UNLABELLED).all()


def test_pages_of_a_stack_are_images(qtbot: QtBot, tmp_path: Path) -> None:
    import tifffile

    folder = write_folder(tmp_path / "x", images=1)
    stack = np.random.default_rng(0).integers(0, 65535, (3, 40, 50), dtype=np.uint16)
    tifffile.imwrite(folder / "stack.tif", stack, photometric="minisblack")
    with open_session(qtbot, folder) as (session, _):
        assert session.folder is not None
        folder_now = session.folder
        qtbot.waitUntil(lambda: "stack.tif" in folder_now.pages)
        assert [ref.key for ref in folder_now.images()] == ["0.png", "stack.tif#0", "stack.tif#1", "stack.tif#2"]
        session.open_image(ImageRef("stack.tif", 1))
        qtbot.waitUntil(lambda: session.document is not None)
        paint(session, Rect(0, 0, 5, 5), 1)
        saved(qtbot, session)
        session.open_image(ImageRef("stack.tif"))
        qtbot.waitUntil(lambda: session.document is not None)
        assert session.key == "stack.tif#0", "a whole stack opens at its first page"
        assert folder_now.dataset.status(ImageRef("stack.tif", 1)) == Status.PARTIAL
        assert folder_now.dataset.status(ImageRef("stack.tif", 0)) == Status.UNTOUCHED


def test_a_whole_stack_is_its_first_page_with_what_is_painted(qtbot: QtBot, tmp_path: Path) -> None:
    """Its pages are not known at first: the way back to it asks for the file."""
    import tifffile

    folder = write_folder(tmp_path / "x", images=1)
    tifffile.imwrite(folder / "s.tif", np.zeros((2, 30, 40), np.uint8), photometric="minisblack")
    stack = ImageRef("s.tif")
    with open_session(qtbot, folder) as (session, _):
        session.autosave = False
        session.open_image(stack)
        qtbot.waitUntil(lambda: session.document is not None)
        painted = session.document
        paint(session, Rect(0, 0, 10, 10), 1)
        session.open_image(stack)
        assert session.document is painted, "it is there"
        go_to(qtbot, session, 0)
        session.open_image(stack)
        qtbot.waitUntil(lambda: session.document is not None)
        assert session.document is painted
        assert session.saving.documents().count(painted) == len(session.saving.documents())
        paint(session, Rect(20, 0, 10, 10), 0)
        saved(qtbot, session)
        label = Dataset.open(folder).load_label(ImageRef("s.tif", 0))
        assert label is not None
        assert set(np.unique(label)) == {0, 1, UNLABELLED}


def test_closing_twice_is_harmless(qtbot: QtBot, tmp_path: Path) -> None:
    session = Session()
    session.open_folder(write_folder(tmp_path / "x"))
    session.close()
    session.close()


def test_a_session_goes_when_nobody_has_it_any_more() -> None:
    """Not when the next thread happens to collect what hangs in a ring: timers would be ended in that thread."""
    session = Session()
    session.close()
    there = weakref.ref(session)
    del session
    assert there() is None


def test_a_folder_opened_twice_is_open_for_writing(qtbot: QtBot, tmp_path: Path) -> None:
    """A double click on a recent folder: the first opening is there already, and nobody has heard of it yet."""
    session = Session()
    try:
        for _ in range(3):
            session.open_folder(write_folder(tmp_path / "x"))
            session.reader._chores._pool.waitForDone()
        qtbot.waitUntil(lambda: session.document is not None, timeout=20_000)
        assert session.folder is not None
        assert not session.folder.read_only
        assert session.folder.dataset.has_lock
        session.open_folder(tmp_path / "x")
        session.reader._chores._pool.waitForDone()
    finally:
        session.close()
    assert not list((tmp_path / "x" / ".unet-gui").glob("lock*")), "nor does one that is not wanted keep it"


def test_a_folder_is_opened_again_when_its_lock_is_free(tmp_path: Path) -> None:
    """The window is just giving the lock of an opening back that is not wanted, when the next one begins."""
    opener, path = Opener(), write_folder(tmp_path / "x")
    first = opener.open(1, partial(open_folder, path))
    begun, on, release = threading.Event(), threading.Event(), first.dataset.release_lock

    def slow() -> None:
        begun.set()
        assert on.wait(30)
        release()

    first.dataset.release_lock = slow  # type: ignore[method-assign]
    window = threading.Thread(target=opener.give_back, args=(1,))
    window.start()
    assert begun.wait(30)
    threading.Timer(0.1, on.set).start()
    second = opener.open(2, partial(open_folder, path))
    window.join()
    assert second.read_only == ""
    opener.give_back(2)
    assert not second.dataset.has_lock
