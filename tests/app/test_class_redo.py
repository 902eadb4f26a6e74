"""Redo across the list of classes and the pixels: everything comes back, and nothing in a class that is another now."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from tests.app.kit import drag, go_to, on_disk, saved, truth, write_folder
from tests.app.test_classes_window import agree, idle, ids_of, question, three_classes
from unet_gui.app.main_window import MainWindow
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.palette import ClassInfo
from unet_gui.core.project import Dataset

Open = Callable[[Path | None], MainWindow]
CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
LONG = 20_000


def undo(qtbot: QtBot, window: MainWindow) -> None:
    QTest.keyClick(window, Qt.Key.Key_Z, CTRL)
    idle(qtbot, window)


def redo(qtbot: QtBot, window: MainWindow) -> None:
    QTest.keyClick(window, Qt.Key.Key_Z, CTRL | SHIFT)
    idle(qtbot, window)


def add(window: MainWindow, name: str) -> None:
    window.actions_by_id["add_class"].trigger()
    window.classes.renamed.emit(window.session.active_class, name)
    window.stage.canvas.setFocus()


def test_a_stroke_of_an_added_class_comes_back(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    """A stroke, a new class with a name, a stroke of it: four times back and forth."""
    window = open_window(write_folder(tmp_path / "x"))
    session = window.session
    drag(window, (20, 20), (40, 20))
    add(window, "neu")
    QTest.keyClick(window, Qt.Key.Key_2)
    drag(window, (20, 40), (40, 40))
    assert session.labels is not None
    painted = session.labels.ids.copy()
    assert set(np.unique(painted)) == {1, 2, UNLABELLED}
    for _ in range(4):
        undo(qtbot, window)
    assert ids_of(window) == [0, 1]
    assert (session.labels.ids == UNLABELLED).all()
    for _ in range(4):
        redo(qtbot, window)
    assert [info.name for info in session.classes][2:] == ["neu"]
    np.testing.assert_array_equal(session.labels.ids, painted)
    saved(qtbot, session)
    np.testing.assert_array_equal(on_disk(session, 0), painted)


def test_a_stroke_in_another_image_comes_back_after_its_class(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    session = window.session
    drag(window, (20, 20), (40, 20))
    add(window, "neu")
    go_to(qtbot, session, 1)
    drag(window, (20, 40), (40, 40))
    undo(qtbot, window)
    saved(qtbot, session)
    go_to(qtbot, session, 0)
    undo(qtbot, window)
    undo(qtbot, window)
    assert ids_of(window) == [0, 1]
    go_to(qtbot, session, 1)
    session.redo()  # the list of classes cannot be the next: it was changed after the stroke in the other image
    assert session.labels is not None
    assert (session.labels.ids == UNLABELLED).all(), "pixels of a class that is no more"
    window.class_desk.changes.redo()
    idle(qtbot, window)
    window.class_desk.changes.redo()
    session.redo()
    assert ids_of(window) == [0, 1, 2]
    assert (session.labels.ids == 2).any()


def test_another_class_with_the_number_gets_no_strokes(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    add(window, "neu")
    drag(window, (20, 40), (40, 40))
    for _ in range(3):
        undo(qtbot, window)
    assert ids_of(window) == [0, 1]
    add(window, "other")
    redo(qtbot, window)
    assert window.session.labels is not None
    assert (window.session.labels.ids == UNLABELLED).all()


def test_a_merge_and_the_stroke_after_it_come_back(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(three_classes(tmp_path / "x"))
    session = window.session
    drag(window, (20, 30), (40, 30))
    window.classes.merge_wanted.emit(2, 0)
    question(qtbot, window)
    agree(window, "Merge")
    qtbot.waitUntil(lambda: ids_of(window) == [0, 1], timeout=LONG)
    idle(qtbot, window)
    drag(window, (20, 50), (40, 50))
    assert session.labels is not None
    painted = session.labels.ids.copy()
    for _ in range(3):
        undo(qtbot, window)
    assert ids_of(window) == [0, 1, 2]
    for _ in range(3):
        redo(qtbot, window)
    assert ids_of(window) == [0, 1]
    assert session.labels is not None
    np.testing.assert_array_equal(session.labels.ids, painted)
    assert not window.actions_by_id["redo"].isEnabled()


def test_the_prediction_of_a_class_that_is_back_is_whole(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x")
    window = open_window(folder)
    session = window.session
    add(window, "neu")
    predicted = truth(0).copy()
    predicted[:5] = 2
    Dataset.open(folder).save_prediction(Dataset.open(folder).images[0], predicted)
    session.reload_prediction(session.key)
    qtbot.waitUntil(lambda: session.prediction is not None, timeout=LONG)
    with qtbot.waitSignal(session.prediction_changed, timeout=LONG):
        undo(qtbot, window)
        undo(qtbot, window)
    assert session.prediction is not None
    assert (session.prediction[:5] == UNLABELLED).all()
    with qtbot.waitSignal(session.prediction_changed, timeout=LONG):
        redo(qtbot, window)
    assert session.prediction is not None
    np.testing.assert_array_equal(session.prediction, predicted)


def of_the_model(window: MainWindow, number: int) -> None:
    """A prediction adds a class that the model knows: that is no change of the person's."""
    window.session.set_classes([*window.session.classes, ClassInfo(number, "of the model", "#123456")])


def overtaken(window: MainWindow, what: str) -> bool:
    return any(f"“{what}” was not done" in each.text for each in window.stage.messages.messages)


def test_redo_keeps_a_class_that_the_model_has_added(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    window.actions_by_id["add_class"].trigger()
    of_the_model(window, 7)
    for _ in range(2):
        undo(qtbot, window)
        assert ids_of(window) == [0, 1, 7]
        redo(qtbot, window)
        assert ids_of(window) == [0, 1, 2, 7]


def test_redo_gives_no_number_that_the_model_has_taken(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    add(window, "mine")
    undo(qtbot, window)  # its name
    undo(qtbot, window)
    of_the_model(window, 2)
    for what in ("Redo add a class", "Redo rename class to “mine”"):
        redo(qtbot, window)
        assert [info.name for info in window.session.classes] == ["background", "object", "of the model"]
        assert overtaken(window, what)
    assert not window.actions_by_id["redo"].isEnabled()


def test_undo_gives_no_number_that_the_model_has_taken(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    window.class_desk._on_renamed(0, "ground")
    add(window, "mine")
    window.classes.remove_wanted.emit(2)
    qtbot.waitUntil(lambda: ids_of(window) == [0, 1], timeout=LONG)
    of_the_model(window, 2)
    for what in ("Undo remove the class “mine”", "Undo rename class to “mine”", "Undo add a class"):
        undo(qtbot, window)
        assert [info.name for info in window.session.classes] == ["ground", "object", "of the model"]
        assert overtaken(window, what)
    undo(qtbot, window)
    assert [info.name for info in window.session.classes] == ["background", "object", "of the model"]


@pytest.mark.parametrize("older", [False, True])
def test_redo_makes_the_stroke_again_that_came_after_a_change_taken_back(
    qtbot: QtBot, open_window: Open, tmp_path: Path, older: bool
) -> None:
    """Not the merge, which the person has given up before: it would change every label of the folder."""
    window = open_window(three_classes(tmp_path / "x"))
    session = window.session
    if older:
        drag(window, (20, 50), (40, 50))
    window.classes.merge_wanted.emit(2, 1)
    question(qtbot, window)
    agree(window, "Merge")
    qtbot.waitUntil(lambda: ids_of(window) == [0, 1], timeout=LONG)
    idle(qtbot, window)
    undo(qtbot, window)
    assert ids_of(window) == [0, 1, 2]
    if older:
        undo(qtbot, window)  # then the new stroke stands in the place of that one
    drag(window, (20, 30), (40, 30))
    assert session.labels is not None
    painted = session.labels.ids.copy()
    undo(qtbot, window)
    assert not np.array_equal(session.labels.ids, painted)
    redo(qtbot, window)
    assert ids_of(window) == [0, 1, 2]
    np.testing.assert_array_equal(session.labels.ids, painted)
    assert not window.actions_by_id["redo"].isEnabled()


def test_an_undo_that_cannot_be_leaves_the_redo_of_the_classes(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    add(window, "gone")
    drag(window, (20, 20), (40, 20))
    window.touch_up.clear()
    window.classes.remove_wanted.emit(2)
    qtbot.waitUntil(lambda: ids_of(window) == [0, 1], timeout=LONG)
    window.class_desk.changes.forget()  # as an import does
    window.class_desk._on_renamed(0, "ground")
    undo(qtbot, window)
    undo(qtbot, window)  # would bring the stroke back
    assert any("a class that is no more" in message.text for message in window.stage.messages.messages)
    redo(qtbot, window)
    assert [info.name for info in window.session.classes] == ["ground", "object"]


def test_a_class_that_is_used_elsewhere_does_not_stand_before_older_strokes(
    qtbot: QtBot, open_window: Open, tmp_path: Path
) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    session = window.session
    for y in (20, 40):
        drag(window, (20, y), (40, y))
    go_to(qtbot, session, 1)
    add(window, "mine")
    QTest.keyClick(window, Qt.Key.Key_2)
    drag(window, (20, 20), (40, 20))
    go_to(qtbot, session, 0)
    for _ in range(5):
        undo(qtbot, window)
    assert session.labels is not None
    assert (session.labels.ids == UNLABELLED).all(), "both strokes of this image are taken back"
    assert ids_of(window) == [0, 1, 2], "the other image needs it"
