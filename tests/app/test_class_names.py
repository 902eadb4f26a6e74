"""No two classes get one name, wherever it is typed or comes from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLineEdit
from pytestqt.qtbot import QtBot

from tests.app.kit import write_folder
from tests.app.test_classes_window import ids_of, names_of
from unet_gui.app.class_list import new_class
from unet_gui.app.main_window import MainWindow
from unet_gui.core.palette import ClassInfo, color_of

Open = Callable[[Path | None], MainWindow]


def said_by(window: MainWindow) -> str:
    return "\n".join(message.text for message in window.stage.messages.messages)


def type_name(qtbot: QtBot, window: MainWindow, name: str) -> None:
    """Add a class and type its name into the list."""
    window.actions_by_id["add_class"].trigger()
    field = window.classes.list.findChildren(QLineEdit)[-1]
    QTest.keyClick(field, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    QTest.keyClicks(field, name)
    with qtbot.waitSignal(window.classes.list.itemDelegate().closeEditor):
        QTest.keyClick(field, Qt.Key.Key_Return)


def test_a_name_that_is_taken_is_refused(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    type_name(qtbot, window, " Object")
    assert names_of(window) == ["background", "object", "class 2"]
    assert "Two classes cannot both be called “object”. Choose another name." in said_by(window)
    shown = window.classes.list
    assert [shown.item(row).text() for row in range(3)] == names_of(window), "the list shows what it is called"
    window.classes.renamed.emit(2, "cell")
    window.classes.renamed.emit(1, "CELL")
    assert names_of(window) == ["background", "object", "cell"]
    window.classes.renamed.emit(1, "Object")
    assert names_of(window)[1] == "Object", "another spelling of its own name"


def test_an_added_class_is_in_sight_while_another_one_is_searched_for(
    qtbot: QtBot, open_window: Open, tmp_path: Path
) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    window.session.set_classes([ClassInfo(n, f"kind {n}", color_of(n)) for n in range(12)])
    window.classes.search.setText("kind 3")
    type_name(qtbot, window, "vein")
    assert names_of(window)[-1] == "vein"
    current = window.classes.list.currentItem()
    assert current is not None
    assert current.text() == "vein", "it is the one that is painted"


def test_a_list_with_a_name_that_is_taken_is_refused(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    type_name(qtbot, window, "cell")
    (tmp_path / "names.txt").write_text("background\nCell\n", "utf-8")
    window.class_desk._read_list(tmp_path / "names.txt")
    assert names_of(window) == ["background", "object", "cell"]
    assert "Two classes cannot both be called “Cell”." in said_by(window)
    (tmp_path / "twice.txt").write_text("wall\nvein\nWall \n", "utf-8")
    window.class_desk._read_list(tmp_path / "twice.txt")
    assert "lists two classes called “wall”. Give each a name of its own." in said_by(window)
    assert names_of(window) == ["background", "object", "cell"]


def test_a_folder_that_has_two_of_one_name_can_be_worked_on(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    assert window.session.dataset is not None
    window.session.set_classes([ClassInfo(n, "cell", f"#00000{n}") for n in range(3)])
    window.class_desk._change("colour", 1, color="#123456")
    assert window.session.classes[1].color == "#123456"
    window.classes.renamed.emit(1, "wall")
    assert names_of(window) == ["cell", "wall", "cell"]


def test_a_new_class_has_a_name_of_its_own(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    info = new_class([ClassInfo(0, "class 1", "#000000"), ClassInfo(2, "Class 3", "#000001")])
    assert info is not None
    assert (info.id, info.name) == (1, "class 2")
    window = open_window(write_folder(tmp_path / "x"))
    window.classes.renamed.emit(1, "class 2")
    type_name(qtbot, window, "")
    assert names_of(window) == ["background", "class 2", "class 3"]
    assert ids_of(window) == [0, 1, 2]


def test_a_name_that_is_being_typed_outlives_a_change_of_the_list(
    qtbot: QtBot, open_window: Open, tmp_path: Path
) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    section, session = window.classes, window.session
    section.edit(1)
    (field,) = section.list.findChildren(QLineEdit)
    session.set_classes([*session.classes, ClassInfo(7, "vein", "#123456")])
    field = typed_in(window)
    assert field.selectedText() == "object", "the next key replaces it all, as before"
    QTest.keyClicks(field, "roed")
    QTest.keyClick(field, Qt.Key.Key_Left)
    QTest.keyClick(field, Qt.Key.Key_Backspace)
    session.set_classes([session.classes[2], *session.classes[:2]])
    field = typed_in(window)
    assert section.list.itemAt(field.geometry().center()) is section.list.item(2), "it is where its class is now"
    QTest.keyClicks(field, "a")
    with qtbot.waitSignal(section.list.itemDelegate().closeEditor):
        QTest.keyClick(field, Qt.Key.Key_Return)
    assert names_of(window) == ["vein", "background", "road"]
    section.edit(1)
    QTest.keyClicks(typed_in(window), "wall")
    session.set_classes([info for info in session.classes if info.id != 1])
    assert not open_fields(window), "there is nothing to rename any more"
    assert names_of(window) == ["vein", "background"]


def test_a_name_that_is_being_typed_is_taken_when_a_class_is_added(open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    window.classes.edit(1)
    QTest.keyClicks(typed_in(window), "road")
    QTest.mouseClick(window.classes._add, Qt.MouseButton.LeftButton)
    assert names_of(window) == ["background", "road", "class 2"]
    assert typed_in(window).text() == "class 2"


def test_a_name_that_is_being_typed_is_taken_when_another_class_is_chosen(open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    shown = window.classes.list
    window.classes.edit(1)
    QTest.keyClicks(typed_in(window), "road")
    where = shown.visualItemRect(shown.item(0)).center()
    QTest.mouseClick(shown.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, where)
    assert names_of(window) == ["background", "road"]
    assert window.session.active_class == 0
    window.classes.edit(0)
    QTest.keyClicks(typed_in(window), "sky")
    window.session.active_class = 1
    assert names_of(window) == ["sky", "road"]
    assert shown.currentRow() == 1
    assert not open_fields(window)


def test_a_name_that_is_being_typed_is_for_no_other_folder(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    window.classes.edit(1)
    QTest.keyClicks(typed_in(window), "road")
    window.open_path(write_folder(tmp_path / "y", images=1))
    qtbot.waitUntil(lambda: window.images.model.rowCount() == 1 and window.session.document is not None)
    assert not open_fields(window)
    assert names_of(window) == ["background", "object"]


def test_the_field_for_a_name_is_as_wide_as_its_row(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    shown = window.classes.list
    window.classes.edit(1)
    for height in (450, 800):  # a low window has a scroll bar beside the list
        width = shown.viewport().width()
        window.resize(1200, height)
        qtbot.waitUntil(lambda width=width: shown.viewport().width() != width)
        assert typed_in(window).geometry().right() < shown.viewport().width()
        assert typed_in(window).geometry().right() > shown.viewport().width() - 8


def open_fields(window: MainWindow) -> list[QLineEdit]:
    """Where names are being typed in the list of classes."""
    return [field for field in window.classes.list.findChildren(QLineEdit) if field.isVisible()]


def typed_in(window: MainWindow) -> QLineEdit:
    """The one field in which a name is being typed, and which has the focus."""
    (field,) = open_fields(window)
    assert field.hasFocus()
    return field
