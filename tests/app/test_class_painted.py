"""Which class is painted after one has gone, and when it is back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from tests.app.test_classes_window import LONG, agree, idle, ids_of, question, rows, three_classes
from unet_gui.app.main_window import MainWindow
from unet_gui.app.panels.classes import ID
from unet_gui.core.palette import ClassInfo

Open = Callable[[Path | None], MainWindow]


def painted(window: MainWindow) -> int:
    """The class that is painted; the list shows no other one."""
    assert window.classes.list.currentItem().data(ID) == window.session.active_class
    assert window.session.active_class in rows(window)
    return window.session.active_class


@pytest.mark.parametrize("used", [True, False], ids=["with pixels", "without"])
def test_who_painted_a_class_paints_that_into_which_it_was_merged(
    qtbot: QtBot, open_window: Open, tmp_path: Path, used: bool
) -> None:
    window = open_window(three_classes(tmp_path / "x"))
    merged = 2 if used else 3
    window.session.set_classes([*window.session.classes, ClassInfo(3, "new", "#123456")])
    before = ids_of(window)

    window.session.active_class = merged
    window.classes.merge_wanted.emit(merged, 0)
    if used:
        question(qtbot, window)
        agree(window, "Merge")
    qtbot.waitUntil(lambda: merged not in ids_of(window), timeout=LONG)
    idle(qtbot, window)
    assert painted(window) == 0
    window.class_desk.changes.undo()
    qtbot.waitUntil(lambda: ids_of(window) == before, timeout=LONG)
    idle(qtbot, window)
    assert painted(window) == merged
    window.class_desk.changes.redo()
    qtbot.waitUntil(lambda: merged not in ids_of(window), timeout=LONG)
    idle(qtbot, window)
    assert painted(window) == 0


def test_another_class_that_is_painted_stays_so(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(three_classes(tmp_path / "x"))
    window.session.active_class = 1
    window.classes.merge_wanted.emit(2, 0)
    question(qtbot, window)
    agree(window, "Merge")
    qtbot.waitUntil(lambda: ids_of(window) == [0, 1], timeout=LONG)
    idle(qtbot, window)
    assert painted(window) == 1
    window.class_desk.changes.undo()
    qtbot.waitUntil(lambda: ids_of(window) == [0, 1, 2], timeout=LONG)
    idle(qtbot, window)
    assert painted(window) == 1


def test_a_class_that_was_removed_is_painted_again_when_it_is_back(
    qtbot: QtBot, open_window: Open, tmp_path: Path
) -> None:
    window = open_window(three_classes(tmp_path / "x"))
    window.session.active_class = 2
    window.classes.remove_wanted.emit(2)
    question(qtbot, window)
    agree(window, "Remove")
    qtbot.waitUntil(lambda: ids_of(window) == [0, 1], timeout=LONG)
    idle(qtbot, window)
    assert painted(window) == 1
    window.class_desk.changes.undo()
    qtbot.waitUntil(lambda: ids_of(window) == [0, 1, 2], timeout=LONG)
    idle(qtbot, window)
    assert painted(window) == 2
