"""Another program writes a label while it is open here: it is noticed, and nothing is lost on either side."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PySide6.QtCore import QEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from tests.app.conftest import Open
from tests.app.kit import SHAPE, Ear, go_to, on_disk, open_session, paint, picture, saved, truth, write_folder
from unet_gui.app.other_programs import OtherPrograms
from unet_gui.app.session import Session
from unet_gui.core import png
from unet_gui.core.geometry import Rect
from unet_gui.core.images import ImageRef
from unet_gui.core.project import Dataset, Status
from unet_gui.core.replaced import keep_copy
from unet_gui.core.store import INDEX, read_label

MINE, LONG = Rect(3, 4, 5, 6), 20_000
CHANGED = "was changed by another program"


@contextmanager
def watched(qtbot: QtBot, folder: Path) -> Iterator[tuple[Session, Ear]]:
    with open_session(qtbot, folder) as (session, ear):
        others = OtherPrograms(session)
        others.said.connect(ear.hear)
        yield session, ear
        others.close()


def theirs_of(folder: Path, key: str = "0.png") -> np.ndarray:
    """Write a label as another program does, and return it."""
    dataset = Dataset.open(folder)
    ids = np.zeros(SHAPE, np.uint8)
    ids[30:40] = 1
    dataset.save_label(ImageRef.parse(key), ids)
    return ids


@pytest.mark.parametrize("mine", [True, False], ids=["keep mine", "take theirs"])
def test_who_painted_here_too_is_asked(qtbot: QtBot, tmp_path: Path, mine: bool) -> None:
    folder = write_folder(tmp_path / "x", labels=1)
    with watched(qtbot, folder) as (session, ear):
        assert session.labels is not None
        theirs = theirs_of(folder)
        paint(session, MINE, 1)
        painted = session.labels.ids.copy()
        session.save()
        qtbot.waitUntil(lambda: ear.heard(CHANGED), timeout=LONG)
        np.testing.assert_array_equal(on_disk(session, 0), theirs, "saved over it unasked")
        asked = next(each for each in ear.messages if CHANGED in each.text)
        offer = {each.text: each for each in asked.offers}["Keep mine" if mine else "Take theirs"]
        with qtbot.waitSignal(session.settled, check_params_cb=lambda topic: topic == asked.topic, timeout=LONG):
            offer.act()
        assert not session.unsaved()
        np.testing.assert_array_equal(on_disk(session, 0), painted if mine else theirs)
        np.testing.assert_array_equal(session.labels.ids, painted if mine else theirs)
        copies = list((folder / ".unet-gui" / "replaced").rglob("*.png"))
        assert len(copies) == mine, "nothing that anybody painted is lost"
        if mine:
            np.testing.assert_array_equal(read_label(copies[0], INDEX), theirs)
            qtbot.waitUntil(lambda: ear.heard(f"The one of the other program is kept as “{copies[0]}”"), timeout=LONG)
        else:
            session.undo()
            np.testing.assert_array_equal(session.labels.ids, painted, "one step of undo brings mine back")
            saved(qtbot, session)
            np.testing.assert_array_equal(on_disk(session, 0), painted)


def test_a_label_that_came_to_be_meanwhile_is_not_saved_over(qtbot: QtBot, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x")
    with watched(qtbot, folder) as (session, ear):
        theirs = theirs_of(folder)
        paint(session, MINE, 1)
        session.save()
        qtbot.waitUntil(lambda: ear.heard(CHANGED), timeout=LONG)
        np.testing.assert_array_equal(on_disk(session, 0), theirs)


def test_one_that_is_no_label_is_not_saved_over(qtbot: QtBot, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x", labels=1)
    with watched(qtbot, folder) as (session, ear):
        (folder / "labels" / "0.png").write_bytes(b"half a file")
        paint(session, MINE, 1)
        session.save()
        qtbot.waitUntil(lambda: ear.heard(CHANGED), timeout=LONG)
        assert (folder / "labels" / "0.png").read_bytes() == b"half a file"
        offers = {each.text: each for each in ear.messages[-1].offers}
        heard = len(ear.messages)
        offers["Take theirs"].act()
        qtbot.waitUntil(lambda: len(ear.messages) >= heard + 2, timeout=LONG)
        offers["Keep mine"].act()
        qtbot.waitUntil(lambda: not session.unsaved(), timeout=LONG)
        assert session.labels is not None
        np.testing.assert_array_equal(on_disk(session, 0), session.labels.ids)


def test_each_of_theirs_is_kept_also_of_folders_inside(tmp_path: Path) -> None:
    label = tmp_path / "labels" / "a" / "0.tif"
    label.parent.mkdir(parents=True)
    kept = []
    for content in (b"one", b"two"):
        label.write_bytes(content)
        kept.append(keep_copy(label, tmp_path / "labels", tmp_path / "state"))
    assert [path.relative_to(tmp_path / "state").as_posix() for path in kept] == [
        "replaced/a/0-1.tif",
        "replaced/a/0-2.tif",
    ]
    assert [path.read_bytes() for path in kept] == [b"one", b"two"]


def test_a_label_that_was_deleted_is_saved_again_and_that_is_said(qtbot: QtBot, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x", labels=1)
    with watched(qtbot, folder) as (session, ear):
        assert session.labels is not None
        (folder / "labels" / "0.png").unlink()
        paint(session, MINE, 1)
        saved(qtbot, session)
        np.testing.assert_array_equal(on_disk(session, 0), session.labels.ids)
        assert ear.heard("The label of “0.png” had been deleted by another program; it was saved again")
        heard = len(ear.messages)
        paint(session, Rect(20, 20, 5, 5), 1)
        saved(qtbot, session)
        assert len(ear.messages) == heard, "once"


def test_theirs_that_is_deleted_before_it_is_taken_leaves_mine(qtbot: QtBot, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x", labels=1)
    with watched(qtbot, folder) as (session, ear):
        assert session.labels is not None
        theirs_of(folder)
        paint(session, MINE, 1)
        session.save()
        qtbot.waitUntil(lambda: ear.heard(CHANGED), timeout=LONG)
        (folder / "labels" / "0.png").unlink()
        ear.messages[-1].offers[1].act()
        qtbot.waitUntil(lambda: ear.heard("had been deleted by another program; it was saved again"), timeout=LONG)
        np.testing.assert_array_equal(on_disk(session, 0), session.labels.ids)


def test_a_file_written_again_with_the_same_label_asks_nothing(qtbot: QtBot, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x", labels=1)
    with watched(qtbot, folder) as (session, ear):
        (folder / "labels" / "0.png").write_bytes(png.encode(truth(0)))
        paint(session, MINE, 1)
        saved(qtbot, session)
        assert not ear.heard(CHANGED)


def test_pages_of_a_stack(qtbot: QtBot, tmp_path: Path) -> None:
    """Another page is not this one; the page itself is asked about."""
    folder = tmp_path / "x"
    folder.mkdir()
    tifffile.imwrite(folder / "s.tif", np.stack([picture(n) for n in range(3)]), photometric="minisblack")
    with watched(qtbot, folder) as (session, ear):
        assert session.key == "s.tif#0"
        paint(session, MINE, 1)
        saved(qtbot, session)
        theirs_of(folder, "s.tif#1")
        paint(session, Rect(20, 20, 5, 5), 1)
        saved(qtbot, session)
        assert not ear.heard(CHANGED)
        theirs = theirs_of(folder, "s.tif#0")
        paint(session, Rect(30, 20, 5, 5), 1)
        session.save()
        qtbot.waitUntil(lambda: ear.heard(CHANGED), timeout=LONG)
        found = Dataset.open(folder).load_label(ImageRef.parse("s.tif#0"))
        np.testing.assert_array_equal(found, theirs)


def test_a_window_that_is_active_again_shows_what_is_there_now(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x", labels=2)
    window = open_window(folder)
    session = window.session
    theirs = theirs_of(folder)
    assert window.isActiveWindow()
    with qtbot.waitSignal(session.image_changed, timeout=LONG):
        QApplication.sendEvent(window, QEvent(QEvent.Type.ActivationChange))
    assert session.labels is not None
    np.testing.assert_array_equal(session.labels.ids, theirs)
    assert any(CHANGED in each.text for each in window.stage.messages.messages)
    paint(session, MINE, 1)
    saved(qtbot, session)
    assert session.folder is not None
    assert session.folder.book.status("0.png") == Status.DONE
    theirs_of(folder, "1.png")
    go_to(qtbot, session, 1)
    np.testing.assert_array_equal(session.labels.ids, theirs)
