"""How labels are stored, changed in the real window: the classes and all words follow at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QDialogButtonBox, QLabel
from pytestqt.qtbot import QtBot

from tests.app.kit import SHAPE, drag, saved, write_folder
from unet_gui.app.dialogs.forms import EncodingDialog
from unet_gui.app.main_window import MainWindow
from unet_gui.app.panels.classes import ID
from unet_gui.core import png
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.project import Status

Open = Callable[[Path | None], MainWindow]
LONG = 20_000


def camvid(folder: Path) -> Path:
    """Classes 0…10, and 11 where nobody has said."""
    write_folder(folder, images=2)
    label = np.full(SHAPE, 11, np.uint8)
    label[:30] = np.arange(SHAPE[1]) % 11
    (folder / "labels").mkdir()
    (folder / "labels" / "0.png").write_bytes(png.encode(label))
    return folder


def rows(window: MainWindow) -> list[int]:
    shown = window.classes.list
    return [shown.item(row).data(ID) for row in range(shown.count())]


def dialog_of(window: MainWindow) -> EncodingDialog:
    window.actions_by_id["encoding"].trigger()
    dialog = window.dialogs._open["encoding"]
    assert isinstance(dialog, EncodingDialog)
    return dialog


def eleven_is_unlabelled(qtbot: QtBot, window: MainWindow) -> None:
    dialog = dialog_of(window)
    dialog._unlabelled.setValue(11)
    dialog.buttons.button(QDialogButtonBox.StandardButton.Ok).click()
    qtbot.waitUntil(lambda: len(window.session.classes) == 11, timeout=LONG)
    qtbot.waitUntil(lambda: not window.runner.busy and window.session.document is not None, timeout=LONG)
    qtbot.waitUntil(lambda: "encoding" not in window.dialogs._open, timeout=LONG)


def test_the_list_shows_the_classes_that_are_left_at_once(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(camvid(tmp_path / "x"))
    window.session.active_class = 11
    eleven_is_unlabelled(qtbot, window)
    assert rows(window) == [*range(11), UNLABELLED]
    active = window.session.active_class
    assert window.classes.list.currentItem().data(ID) == active == 1
    drag(window, (20, 50), (40, 50))
    assert window.session.labels is not None
    assert set(np.unique(window.session.labels.ids[45:55])) == {active, UNLABELLED}


def test_labels_saved_before_open_after_it(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    """They are marked as class numbers, among them one that is none any more."""
    window = open_window(camvid(tmp_path / "x"))
    session = window.session
    drag(window, (20, 50), (40, 50))
    saved(qtbot, session)
    assert session.labels is not None
    before = session.labels.ids.copy()
    assert (before == 11).any()
    assert session.folder is not None
    book = session.folder.book
    qtbot.waitUntil(lambda: book.status("0.png") is Status.DONE, timeout=LONG)
    eleven_is_unlabelled(qtbot, window)
    qtbot.waitUntil(lambda: book.status("0.png") is Status.PARTIAL, timeout=LONG)
    np.testing.assert_array_equal(session.labels.ids, np.where(before == 11, UNLABELLED, before))
    window.classes.add_wanted.emit()
    assert 11 not in [info.id for info in session.classes], "or these pixels would become that class"
    assert len(session.classes) == 12


def test_a_row_that_is_not_painted_never_looks_so(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(camvid(tmp_path / "x"))
    shown = window.classes.list
    assert window.session.dataset is not None
    window.session.dataset.set_classes(window.session.classes[:11])  # nobody has been told yet
    shown.scrollToItem(shown.item(rows(window).index(11)))
    place = shown.visualItemRect(shown.item(rows(window).index(11)))
    QTest.mouseClick(shown.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, place.center())
    assert window.session.active_class == 1
    assert shown.currentItem().data(ID) == 1
    window.classes.search.setText("class 5")
    assert shown.currentItem() is None, "a search that hides the class that is painted marks no other"
    window.classes.search.clear()
    assert shown.currentItem().data(ID) == 1


def test_nothing_from_before_can_be_taken_back(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    """It would bring back a class that means unlabelled now."""
    window = open_window(camvid(tmp_path / "x"))
    window.classes.renamed.emit(3, "road")
    assert window.class_desk.changes.undo_text
    eleven_is_unlabelled(qtbot, window)
    assert window.class_desk.changes.undo_text == ""
    assert [info.name for info in window.session.classes if info.id == 3] == ["road"]


def test_the_words_follow(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(camvid(tmp_path / "x"))
    before = "class numbers, 255 = unlabelled"
    dialog = dialog_of(window)
    assert dialog._kind.currentText() == before
    assert f"Labels: {before}." in window.status.text._text
    dialog._unlabelled.setValue(11)
    assert dialog._kind.currentText() == "class numbers, 11 = unlabelled"
    assert not any("255 = unlabelled" in text.text() for text in dialog.findChildren(QLabel))
    dialog._unlabelled.setValue(-1)
    assert dialog._kind.currentText() == before
    eleven_is_unlabelled(qtbot, window)
    assert "Labels: class numbers, 11 = unlabelled." in window.status.text._text
    assert "255" not in window.status.text._text
    dialog = dialog_of(window)
    assert dialog._kind.currentText() == "class numbers, 11 = unlabelled"
    assert window.session.dataset is not None
    assert [note for note in window.session.dataset.notes if "255" in note] == []
