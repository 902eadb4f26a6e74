"""Classes in the real window: what happens to their pixels is said first and can be taken back, also after a crash."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QPushButton
from pytestqt.qtbot import QtBot

from tests.app.kit import SHAPE, drag, go_to, on_disk, on_disk_of, paint, saved, truth, write_folder
from unet_gui.app.class_changes import DONE, STORE
from unet_gui.app.main_window import MainWindow
from unet_gui.app.panels.classes import ID
from unet_gui.app.widgets import button
from unet_gui.core.geometry import Rect
from unet_gui.core.images import ImageRef
from unet_gui.core.label_stack import StackWriter
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.palette import OKABE_ITO, TAB20, ClassInfo, color_of
from unet_gui.core.project import Dataset
from unet_gui.core.relabel import Relabelling, note, relabel

Open = Callable[[Path | None], MainWindow]
CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
LONG = 20_000


def three_classes(folder: Path) -> Path:
    """Two labelled images with classes 0, 1 and a band of 2; the third has no label."""
    write_folder(folder, images=3, labels=2)
    dataset = Dataset.open(folder)
    dataset.set_classes([ClassInfo(0, "ground", "#0072B2"), ClassInfo(1, "disc", "#E69F00"), BAND])
    for ref in dataset.images[:2]:
        ids = dataset.load_label(ref)
        assert ids is not None
        ids[10:14] = 2
        dataset.save_label(ref, ids)
    dataset.save()
    return folder


BAND = ClassInfo(2, "band", "#009E73")
BAND_PIXELS = 2 * 4 * SHAPE[1]


def question(qtbot: QtBot, window: MainWindow) -> str:
    """What is asked, when it is asked."""
    qtbot.waitUntil(lambda: "question" in window.dialogs._open, timeout=LONG)
    box = window.dialogs._open["question"]
    return f"{box.text()}\n{box.informativeText()}"  # type: ignore[attr-defined]


def agree(window: MainWindow, text: str) -> None:
    box = window.dialogs._open["question"]
    next(each for each in box.buttons() if each.text() == text).click()  # type: ignore[attr-defined]
    window.activateWindow()  # as a window manager does when a dialog closes


def idle(qtbot: QtBot, window: MainWindow) -> None:
    """Wait until changes are done and the image is there again."""
    qtbot.waitUntil(lambda: not window.runner.busy, timeout=LONG)
    qtbot.waitUntil(lambda: window.session.document is not None, timeout=LONG)


def offered(window: MainWindow) -> str:
    """The change that the message on screen offers to take back."""
    shown = [message for message in window.stage.messages.messages if message.topic == DONE]
    assert len(shown) <= 1
    assert not shown or shown[0].offers[0].text == "Undo"
    return shown[0].text if shown else ""


def ids_of(window: MainWindow) -> list[int]:
    return [info.id for info in window.session.classes]


def names_of(window: MainWindow) -> list[str]:
    return [info.name for info in window.session.classes]


def rows(window: MainWindow) -> list[int]:
    shown = window.classes.list
    return [shown.item(row).data(ID) for row in range(shown.count())]


@pytest.mark.parametrize("merge", [True, False], ids=["merge", "remove"])
def test_what_becomes_of_the_pixels_is_said_first_and_undone_in_every_label(
    qtbot: QtBot, open_window: Open, tmp_path: Path, merge: bool
) -> None:
    window = open_window(three_classes(tmp_path / "x"))
    before = [on_disk(window.session, n) for n in range(2)]
    window.session.active_class = 2
    if merge:
        window.classes.merge_wanted.emit(2, 0)
    else:
        window.classes.remove_wanted.emit(2)
    text = question(qtbot, window)
    assert f"{BAND_PIXELS} pixels in 2 images become {'“ground”' if merge else 'unlabelled'}." in text
    assert ids_of(window) == [0, 1, 2], "nothing is done before the person agrees"
    agree(window, "Merge" if merge else "Remove")
    qtbot.waitUntil(lambda: ids_of(window) == [0, 1], timeout=LONG)
    idle(qtbot, window)
    assert window.session.active_class == (0 if merge else 1), "the class that is painted is no more"
    expected = 0 if merge else UNLABELLED
    for n, was in enumerate(before):
        assert was is not None
        np.testing.assert_array_equal(on_disk(window.session, n), np.where(was == 2, expected, was))
    assert window.session.labels is not None
    assert not (window.session.labels.ids == 2).any()
    verb = "merge “band” into “ground”" if merge else "remove the class “band”"
    assert window.actions_by_id["undo"].text() == f"Undo {verb}"
    QTest.keyClick(window, Qt.Key.Key_Z, CTRL)
    qtbot.waitUntil(lambda: window.actions_by_id["redo"].text() == f"Redo {verb}", timeout=LONG)
    idle(qtbot, window)
    assert window.session.classes[2] == BAND
    for n, was in enumerate(before):
        np.testing.assert_array_equal(on_disk(window.session, n), was)
    assert on_disk(window.session, 2) is None
    np.testing.assert_array_equal(window.session.labels.ids, before[0])
    QTest.keyClick(window, Qt.Key.Key_Z, CTRL | SHIFT)
    qtbot.waitUntil(lambda: ids_of(window) == [0, 1], timeout=LONG)
    idle(qtbot, window)
    assert before[1] is not None
    np.testing.assert_array_equal(on_disk(window.session, 1), np.where(before[1] == 2, expected, before[1]))


def test_strokes_come_back_in_their_order(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    """A stroke, a merge, a stroke: Ctrl+Z takes them back one by one, the last first."""
    window = open_window(three_classes(tmp_path / "x"))
    labels = window.session.labels
    assert labels is not None
    states = [labels.ids.copy()]
    drag(window, (20, 30), (40, 30))
    states.append(labels.ids.copy())
    window.classes.merge_wanted.emit(2, 0)
    question(qtbot, window)
    agree(window, "Merge")
    qtbot.waitUntil(lambda: ids_of(window) == [0, 1], timeout=LONG)
    idle(qtbot, window)
    states.append(window.session.labels.ids.copy())
    drag(window, (20, 50), (40, 50))
    assert (window.session.labels.ids != states[2]).any()
    QTest.keyClick(window, Qt.Key.Key_Z, CTRL)
    np.testing.assert_array_equal(window.session.labels.ids, states[2])
    QTest.keyClick(window, Qt.Key.Key_Z, CTRL)
    qtbot.waitUntil(lambda: ids_of(window) == [0, 1, 2], timeout=LONG)
    idle(qtbot, window)
    np.testing.assert_array_equal(window.session.labels.ids, states[1])
    QTest.keyClick(window, Qt.Key.Key_Z, CTRL)
    np.testing.assert_array_equal(window.session.labels.ids, states[0])
    saved(qtbot, window.session)
    np.testing.assert_array_equal(on_disk(window.session, 0), states[0])


def test_a_class_without_pixels_goes_at_once_and_comes_back(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x", labels=2))
    window.actions_by_id["add_class"].trigger()
    assert ids_of(window) == [0, 1, 2]
    QApplication.focusWidget().clearFocus()
    window.classes.remove_wanted.emit(2)
    qtbot.waitUntil(lambda: ids_of(window) == [0, 1], timeout=LONG)
    assert "question" not in window.dialogs._open
    idle(qtbot, window)
    window.class_desk.changes.undo()
    idle(qtbot, window)
    assert ids_of(window) == [0, 1, 2]


def test_what_is_painted_while_pixels_are_counted_counts(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x", labels=2))
    window.actions_by_id["add_class"].trigger()
    QApplication.focusWidget().clearFocus()
    window.session.active_class = 2
    go_to(qtbot, window.session, 2)
    changes = window.class_desk.changes
    changes.count({2}, lambda touched: changes.relabel("remove", window.session.classes[2], UNLABELLED, touched))
    qtbot.waitUntil(lambda: bool(window.runner.pending("count")), timeout=LONG)
    paint(window.session, Rect(3, 4, 5, 6), 2)
    idle(qtbot, window)
    assert ids_of(window) == [0, 1]
    saved(qtbot, window.session)
    label = on_disk(window.session, 2)
    assert label is not None
    assert (label == UNLABELLED).all()


def test_undo_of_adding_a_class_never_leaves_pixels_without_one(
    qtbot: QtBot, open_window: Open, tmp_path: Path
) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    window.actions_by_id["add_class"].trigger()
    window.stage.canvas.setFocus()
    drag(window, (20, 30), (40, 30))
    window.class_desk.changes.undo()  # by the button of an older message: Ctrl+Z takes the stroke back first
    idle(qtbot, window)
    assert ids_of(window) == [0, 1, 2]
    window.session.undo()
    window.class_desk.changes.undo()
    idle(qtbot, window)
    assert ids_of(window) == [0, 1]


def test_nobody_paints_while_labels_are_changed(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(three_classes(tmp_path / "x"))
    window.classes.merge_wanted.emit(2, 0)
    question(qtbot, window)
    agree(window, "Merge")
    qtbot.waitUntil(lambda: bool(window.session.held) or ids_of(window) == [0, 1], timeout=LONG)
    if window.session.held:  # the window's thread: nothing can end before we look again
        assert window.session.begin_edit("brush") is None
        assert any("in a moment" in message.text for message in window.stage.messages.messages)
    idle(qtbot, window)
    edit = window.session.begin_edit("brush")
    assert edit is not None
    edit.rollback()


def test_a_label_that_cannot_be_read_stops_it_before_it_begins(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    folder = three_classes(tmp_path / "x")
    window = open_window(folder)
    (folder / "labels" / "1.png").write_bytes(b"no picture")
    window.classes.remove_wanted.emit(2)
    idle(qtbot, window)
    assert "question" not in window.dialogs._open
    assert ids_of(window) == [0, 1, 2]
    assert any("1.png" in message.text for message in window.stage.messages.messages)


@pytest.mark.parametrize("answer", ["Go on", "Take it back"])
@pytest.mark.parametrize("undoing", [False, True])
def test_after_a_crash_in_the_middle_the_person_chooses(
    qtbot: QtBot, open_window: Open, tmp_path: Path, answer: str, undoing: bool
) -> None:
    folder = three_classes(tmp_path / "x")
    dataset = Dataset.open(folder)
    before = [dataset.load_label(ref) for ref in dataset.images[:2]]
    keep = dataset.state_dir / STORE / "1"
    note(keep, Relabelling(2, 0, BAND, undoing))
    relabel(dataset, dataset.images[0], 2, 0, keep)  # and here the program dies
    window = open_window(folder)
    offered = next(m for m in window.stage.messages.messages if "“band” was being changed" in m.text)
    offer = next(offer for offer in offered.offers if offer.text == answer)
    offer.act()
    goal = [0, 1] if answer == "Go on" else [0, 1, 2]
    idle(qtbot, window)
    assert ids_of(window) == goal
    for n, was in enumerate(before):
        assert was is not None
        wanted = np.where(was == 2, 0, was) if answer == "Go on" else was
        np.testing.assert_array_equal(on_disk(window.session, n), wanted)
    window.session.close_folder()
    window.class_desk.close()
    window.open_path(folder)
    qtbot.waitUntil(lambda: window.session.document is not None, timeout=LONG)
    assert not any("was being changed" in m.text for m in window.stage.messages.messages), "offered once"
    window.class_desk.close()
    assert not any((dataset.state_dir / STORE).iterdir()), "undo of class changes ends with the folder"


@pytest.mark.parametrize("answer", ["Go on", "Take it back"])
def test_stopped_in_the_middle_the_person_chooses(
    qtbot: QtBot, open_window: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    window = open_window(three_classes(tmp_path / "x"))
    before = [on_disk(window.session, n) for n in range(2)]
    changed, on = threading.Event(), threading.Event()

    def slowly(dataset: Dataset, ref: ImageRef, old: int, new: int, keep: Path | None, stack: StackWriter) -> None:
        relabel(dataset, ref, old, new, keep, stack)
        changed.set()
        on.wait(20)

    monkeypatch.setattr("unet_gui.app.model_jobs.relabel", slowly)
    window.classes.remove_wanted.emit(2)
    question(qtbot, window)
    agree(window, "Remove")
    qtbot.waitUntil(changed.is_set, timeout=LONG)
    window.actions_by_id["stop"].trigger()
    on.set()
    idle(qtbot, window)
    assert ids_of(window) == [0, 1, 2]
    assert before[0] is not None
    assert before[1] is not None
    assert not (on_disk(window.session, 0) == 2).any()
    np.testing.assert_array_equal(on_disk(window.session, 1), before[1])
    message = next(m for m in window.stage.messages.messages if "stopped. Some labels" in m.text)
    next(offer for offer in message.offers if offer.text == answer).act()
    idle(qtbot, window)
    gone = answer == "Go on"
    assert ids_of(window) == ([0, 1] if gone else [0, 1, 2])
    for n, was in enumerate(before):
        assert was is not None
        np.testing.assert_array_equal(on_disk(window.session, n), np.where(was == 2, UNLABELLED, was) if gone else was)


def test_number_keys_follow_the_order_of_the_list(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    folder = three_classes(tmp_path / "x")
    window = open_window(folder)
    shown = window.classes.list
    start, goal = (shown.visualItemRect(shown.item(row)).center() for row in (2, 0))
    QTest.mousePress(shown.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, start)
    for step in range(1, 6):
        QTest.mouseMove(shown.viewport(), start + (goal - start) * step / 5)
    QTest.mouseRelease(shown.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, goal)
    assert rows(window) == [2, 0, 1, UNLABELLED]
    assert ids_of(window) == [2, 0, 1]
    for key, class_id in ((Qt.Key.Key_1, 0), (Qt.Key.Key_0, 2), (Qt.Key.Key_2, 1)):
        QTest.keyClick(window.stage.canvas, key)
        assert window.session.active_class == class_id
    QTest.keyClick(window.stage.canvas, Qt.Key.Key_Up, Qt.KeyboardModifier.AltModifier)
    assert ids_of(window) == [2, 1, 0]
    label = on_disk(window.session, 0)
    assert label is not None
    assert (label[10:14] == 2).all(), "pixels keep their numbers"
    assert [info.id for info in Dataset.open(folder).classes] == [0, 1, 2], "files and the engine know ids only"
    assert window.session.close_folder()
    window.open_path(folder)
    qtbot.waitUntil(lambda: window.session.document is not None, timeout=LONG)
    assert ids_of(window) == [2, 1, 0], "the order is kept"
    window.actions_by_id["undo"].trigger()
    assert ids_of(window) == [2, 1, 0]


def test_dragging_a_row_below_the_last_class_keeps_unlabelled_last(open_window: Open, tmp_path: Path) -> None:
    window = open_window(three_classes(tmp_path / "x"))
    shown = window.classes.list
    start = shown.visualItemRect(shown.item(0)).center()
    goal = shown.visualItemRect(shown.item(3)).center()
    QTest.mousePress(shown.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, start)
    for step in range(1, 9):
        QTest.mouseMove(shown.viewport(), start + (goal - start) * step / 8)
    QTest.mouseRelease(shown.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, goal)
    assert rows(window) == [1, 2, 0, UNLABELLED]
    QTest.keyClick(window, Qt.Key.Key_Z, CTRL)
    assert rows(window) == [0, 1, 2, UNLABELLED]


def test_rename_and_recolour_can_be_undone(open_window: Open, tmp_path: Path) -> None:
    window = open_window(three_classes(tmp_path / "x"))
    window.classes.renamed.emit(1, "nucleus")
    window.class_desk._change("colour", 1, color="#123456")
    assert window.session.classes[1] == ClassInfo(1, "nucleus", "#123456")
    QTest.keyClick(window, Qt.Key.Key_Z, CTRL)
    assert window.session.classes[1] == ClassInfo(1, "nucleus", "#E69F00")
    QTest.keyClick(window, Qt.Key.Key_Z, CTRL)
    assert names_of(window) == ["ground", "disc", "band"]
    QTest.keyClick(window, Qt.Key.Key_Z, CTRL | SHIFT)
    assert names_of(window) == ["ground", "nucleus", "band"]


def test_the_offer_to_undo_is_for_the_last_change_alone(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(three_classes(tmp_path / "x"))
    window.classes.merge_wanted.emit(2, 0)
    question(qtbot, window)
    agree(window, "Merge")
    qtbot.waitUntil(lambda: bool(offered(window)), timeout=LONG)
    idle(qtbot, window)
    assert offered(window) == "Merged “band” into “ground”."
    old = window.stage.messages.messages[-1].offers[0]
    window.classes.renamed.emit(1, "nucleus")
    assert not offered(window), "it would take the new name back"
    old.act()
    assert names_of(window) == ["ground", "nucleus"]
    window.classes.palette_wanted.emit("tab20")
    assert offered(window) == "Changed the colours of classes."
    QTest.keyClick(window, Qt.Key.Key_Z, CTRL)
    assert not offered(window), "it has been taken back by the key"
    window.stage.canvas.setFocus()
    window.classes.palette_wanted.emit("tab20")
    drag(window, (20, 30), (40, 30))
    colours = [info.color for info in window.session.classes]
    banner = window.stage.messages._banners[-1]
    QTest.mouseClick(
        next(each for each in banner.findChildren(QPushButton) if each.text() == "Undo"), Qt.MouseButton.LeftButton
    )
    assert [info.color for info in window.session.classes] != colours, "what was painted since stays"
    assert window.session.document is not None
    assert window.session.document.history.can_undo
    assert not offered(window)


def test_255_classes_and_a_search_field(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    assert not window.classes.search.isVisible()
    (tmp_path / "all.csv").write_text(
        "id,name,color\n" + "".join(f"{i},kind {i},{color_of(i)}\n" for i in range(255)), "utf-8"
    )
    window.class_desk._read_list(tmp_path / "all.csv")
    assert len(window.session.classes) == 255
    assert window.classes.search.isVisible()
    window.classes.search.setFocus()
    QTest.keyClicks(window.classes.search, "kind 254")
    assert rows(window) == [254, UNLABELLED]
    shown = window.classes.list
    at = shown.visualItemRect(shown.item(0)).center()
    QTest.mouseClick(shown.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, at)
    assert window.session.active_class == 254
    drag(window, (20, 30), (40, 30))
    saved(qtbot, window.session)
    label = on_disk_of(tmp_path / "x", 0)
    assert label is not None
    assert label[30, 30] == 254
    window.actions_by_id["add_class"].trigger()
    assert any("255 classes" in message.text for message in window.stage.messages.messages)


def test_a_list_from_a_file_and_its_undo(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x", labels=1))
    before = window.session.classes
    (tmp_path / "names.txt").write_text("wall\ncell\nvein\n", "utf-8")
    window.class_desk._read_list(tmp_path / "names.txt")
    assert names_of(window) == ["wall", "cell", "vein"]
    (tmp_path / "broken.json").write_text("[", "utf-8")
    window.class_desk._read_list(tmp_path / "broken.json")
    assert any("cannot be understood" in message.text for message in window.stage.messages.messages)
    assert names_of(window) == ["wall", "cell", "vein"]
    QTest.keyClick(window, Qt.Key.Key_Z, CTRL)
    idle(qtbot, window)
    assert window.session.classes == before
    window.class_desk._write_list(tmp_path / "out.csv")
    window.class_desk._read_list(tmp_path / "out.csv")
    assert window.session.classes == before


def test_palettes(open_window: Open, tmp_path: Path) -> None:
    window = open_window(three_classes(tmp_path / "x"))
    window.classes.palette_wanted.emit("tab20")
    assert [info.color for info in window.session.classes] == list(TAB20[:3])
    window.class_desk._change("colour", 0, color="#101010")
    window.classes.palette_kept.emit()
    window.classes.palette_wanted.emit("Okabe–Ito")
    assert [info.color for info in window.session.classes] == list(OKABE_ITO[:3])
    window.classes.palette_wanted.emit("")
    assert [info.color for info in window.session.classes] == ["#101010", *TAB20[1:3]]
    assert offered(window) == "Changed the colours of classes."


def test_the_menu_of_lists_and_colours(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(three_classes(tmp_path / "x"))
    QTest.mouseClick(window.classes.more, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, QPoint(5, 5))
    menu = QApplication.activePopupWidget()
    assert menu is not None
    texts = [action.text() for action in menu.actions() if action.text()]
    assert texts == [
        "Import classes…",
        "Save list of classes…",
        "Colours of Okabe–Ito",
        "Colours of tab20",
        "My colours",
        "Keep these colours as mine",
    ]
    menu.close()


def test_a_prediction_of_a_class_that_is_no_more_says_nothing(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    folder = three_classes(tmp_path / "x")
    dataset = Dataset.open(folder)
    predicted = truth(2).copy()
    predicted[:5] = 7
    dataset.save_prediction(dataset.images[2], predicted)
    window = open_window(folder)
    go_to(qtbot, window.session, 2)
    qtbot.waitUntil(lambda: window.session.prediction is not None, timeout=LONG)
    assert window.session.prediction is not None
    assert (window.session.prediction[:5] == UNLABELLED).all()
    QTest.keyClick(window, Qt.Key.Key_T)
    saved(qtbot, window.session)
    label = on_disk(window.session, 2)
    assert label is not None
    assert (label[:5] == UNLABELLED).all()
    np.testing.assert_array_equal(label[5:], truth(2)[5:])


def test_buttons_are_reached_by_keys(open_window: Open, tmp_path: Path) -> None:
    window = open_window(three_classes(tmp_path / "x"))
    assert window.classes.more.focusPolicy() == button("").focusPolicy() == Qt.FocusPolicy.TabFocus
