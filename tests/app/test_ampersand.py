"""Names with an ampersand are shown as they are: in a button or a menu it would make a letter a key, and vanish."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QPoint
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu, QPushButton
from pytestqt.qtbot import QtBot

from tests.app.kit import write_folder
from unet_gui.app.main_window import MainWindow
from unet_gui.core.palette import ClassInfo

Open = Callable[[Path | None], MainWindow]
NAME = "R&D & more"


def shown(texts: list[str]) -> set[str]:
    """Texts as Qt paints them."""
    return {text.replace("&&", "\0").replace("&", "").replace("\0", "&") for text in texts}


def menu_of(window: MainWindow) -> list[str]:
    """Return the texts of the menu that is open, and of those in it; close it."""
    menus = [menu for menu in window.findChildren(QMenu) if menu.isVisible()]
    found = [action.text() for menu in menus for each in (menu, *menu.findChildren(QMenu)) for action in each.actions()]
    for menu in menus:
        menu.close()
    return found


def test_names_of_classes(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    ground, disc = window.session.classes
    window.session.set_classes([ClassInfo(ground.id, NAME, ground.color), disc])
    window.session.active_class = ground.id
    chips = window.stage.chips
    assert NAME in shown([chips.class_chip.text().strip()])
    window.class_desk.choose(QPoint())
    assert NAME in shown(menu_of(window))
    chips._choose_over()
    rules = shown(menu_of(window))
    assert f"Only {NAME}" in rules
    assert sum("nlabelled" in rule for rule in rules) == 1, "no rule is there twice"
    chips._choose_classes(frozenset({ground.id}))
    assert f"Paint over: {NAME}" in shown([chips.over_chip.text()])
    window.classes._on_menu(window.classes.list.visualItemRect(window.classes.list.item(1)).center())
    assert NAME in shown(menu_of(window))


def test_what_is_offered_and_what_is_undone(open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    window.class_desk._on_renamed(0, NAME)
    undo: QAction = window.actions_by_id["undo"]
    assert f"Undo rename class to “{NAME}”" in shown([undo.text()])
    window.touch_up.done()
    assert f"Fill with {NAME}" in shown([each.text() for each in window.stage.messages.findChildren(QPushButton)])


def test_folders(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / NAME)
    window = open_window(folder)
    assert str(folder) in shown([action.text() for action in window.recent_menu.actions()])
