"""What happens between a question and its answer, a key and its release, a tile and the next."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from tests.app.kit import SHAPE, drag, go_to, paint, truth, write_folder
from tests.app.test_waiting import Long
from unet_gui.app import folder_desk
from unet_gui.app import reader as reader_module
from unet_gui.app.canvas.layers import ClassLayer
from unet_gui.app.canvas.viewport import Viewport
from unet_gui.app.contrast import Contrast
from unet_gui.app.document import load
from unet_gui.app.main_window import MainWindow
from unet_gui.app.widgets import action_button
from unet_gui.core import png
from unet_gui.core.geometry import Rect
from unet_gui.core.labels import UNLABELLED

Open = Callable[[Path | None], MainWindow]
LONG = 20_000


def opened(qtbot: QtBot, window: MainWindow, folder: Path) -> None:
    window.session.open_folder(folder)
    qtbot.waitUntil(
        lambda: (
            window.session.folder is not None
            and window.session.folder.dataset.root == folder
            and window.session.document is not None
        ),
        timeout=LONG,
    )


# --- dialogs


def test_a_question_about_a_folder_goes_with_it(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    other = write_folder(tmp_path / "other", labels=3)
    before = {path.name: path.read_bytes() for path in (other / "labels").iterdir()}
    window = open_window(write_folder(tmp_path / "x", labels=3))
    window.classes.remove_wanted.emit(1)
    qtbot.waitUntil(lambda: "question" in window.dialogs._open, timeout=LONG)
    window.dialogs.encoding()
    assert {"question", "encoding"} <= set(window.dialogs._open)
    opened(qtbot, window, other)
    qtbot.waitUntil(lambda: not window.dialogs._open, timeout=LONG)
    assert {path.name: path.read_bytes() for path in (other / "labels").iterdir()} == before


def test_a_colour_is_for_the_class_it_was_asked_for_last(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x", labels=1))
    before = {info.id: info.color for info in window.session.classes}
    window.classes.recolour_wanted.emit(1)
    window.classes.recolour_wanted.emit(0)
    dialog = window.dialogs._open["colour"]
    dialog.colorSelected.emit("#123456")  # type: ignore[attr-defined]
    after = {info.id: info.color for info in window.session.classes}
    assert after == {**before, 0: "#123456"}
    dialog.close()
    qtbot.waitUntil(lambda: "colour" not in window.dialogs._open, timeout=LONG)


def test_settings_do_not_bring_an_old_model_back(open_window: Open, tmp_path: Path) -> None:
    from dataclasses import replace

    window = open_window(write_folder(tmp_path / "x"))
    asked = window.desk.shelf.wishes
    window.desk.shelf.set_wishes(replace(asked, model="models/new.safetensors"))  # a training has ended meanwhile
    window.dialogs._on_wishes(replace(asked, minutes=3.0))
    assert (window.desk.shelf.wishes.model, window.desk.shelf.wishes.minutes) == ("models/new.safetensors", 3.0)


# --- keys


@pytest.mark.parametrize(
    ("key", "held"),
    [
        (Qt.Key.Key_Backspace, Qt.KeyboardModifier.ControlModifier),
        (Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier),
        (Qt.Key.Key_Space, Qt.KeyboardModifier.ControlModifier),
    ],
)
def test_keys_of_a_text_do_nothing_to_the_label(
    qtbot: QtBot, open_window: Open, tmp_path: Path, key: Qt.Key, held: Qt.KeyboardModifier
) -> None:
    window = open_window(write_folder(tmp_path / "x", labels=1))
    before = window.session.labels.ids.copy()  # type: ignore[union-attr]
    window.actions_by_id["filter"].trigger()
    field = QApplication.focusWidget()
    QTest.keyClicks(field, "png 0")
    QTest.keyClick(field, key, held)
    assert window.session.key == "0.png"
    np.testing.assert_array_equal(window.session.labels.ids, before)  # type: ignore[union-attr]
    assert field.text() == ("png " if key == Qt.Key.Key_Backspace else "png 0")  # type: ignore[union-attr]


def test_return_in_a_text_closes_no_polygon(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    window.stage.canvas.set_tool("polygon")
    for at in ((10, 10), (40, 10), (40, 40)):
        drag(window, at, at)
    window.classes.search.show()  # as it does for many classes
    window.classes.search.setFocus()
    QTest.keyClick(window.classes.search, Qt.Key.Key_Return)
    assert (window.session.labels.ids == UNLABELLED).all()  # type: ignore[union-attr]
    window.stage.canvas.setFocus()
    QTest.keyClick(window.stage.canvas, Qt.Key.Key_Return)
    assert (window.session.labels.ids != UNLABELLED).any()  # type: ignore[union-attr]


def test_h_is_not_held_when_another_window_has_come(open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    canvas = window.stage.canvas
    window.images.setFocus()
    QApplication.sendEvent(canvas, QKeyEvent(QEvent.Type.KeyPress, Qt.Key.Key_H, Qt.KeyboardModifier.NoModifier))
    QApplication.sendEvent(canvas, QKeyEvent(QEvent.Type.KeyPress, Qt.Key.Key_Space, Qt.KeyboardModifier.NoModifier))
    assert canvas._navigation.space
    canvas.let_go()
    assert not canvas._navigation.space


def test_images_passed_by_are_not_read(
    qtbot: QtBot, open_window: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = open_window(write_folder(tmp_path / "x", images=12))
    read: list[str] = []
    monkeypatch.setattr(reader_module, "load", lambda data, ref, auto: read.append(ref.key) or load(data, ref, auto))
    on = threading.Event()
    window.session.reader._chores.give((-1, "image", None), on.wait)  # an image that takes long
    for _ in range(9):
        QTest.keyClick(window.stage.canvas, Qt.Key.Key_D)
    on.set()
    qtbot.waitUntil(lambda: window.session.document is not None and window.session.key == "9.png", timeout=LONG)
    assert read == ["9.png"]


# --- the canvas


def test_rough_tiles_are_rough_alone() -> None:
    """Those that were ready are painted as they are: nobody paints them again."""
    ids = np.full((4096, 4096), UNLABELLED, np.uint8)
    ids[::7] = 1
    layer = ClassLayer()
    layer.set_ids(ids)
    view = Viewport()
    view.set_image_shape(ids.shape)
    view.resize(256, 256)
    view.zoom = 0.25
    view.center_on(512, 512)
    while layer.is_missing(view):
        layer.prepare(view)
    exact = layer.sample(view, Rect(0, 0, 256, 256))
    assert len(np.unique(exact)) > 1
    view.pan(-160, 0)
    assert layer.is_missing(view)
    moved = layer.sample(view, Rect(0, 0, 256, 256))
    np.testing.assert_array_equal(moved[:, :96], exact[:, 160:])
    assert len(np.unique(moved[:, 200:])) > 1, "rough is better than nothing"


def test_a_hidden_class_that_is_gone_hides_no_new_one(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    window.actions_by_id["add_class"].trigger()
    QApplication.focusWidget().clearFocus()
    window.classes._hidden = {2}
    window.classes.hidden_changed.emit(frozenset({2}))
    assert window.stage.canvas.layers.hidden == {2}
    window.session.set_classes(window.session.classes[:2])
    assert not window.stage.canvas.layers.hidden


def test_a_polygon_is_not_closed_under_a_corner_in_hand(open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    canvas = window.stage.canvas
    canvas.set_tool("polygon")
    for at in ((10, 10), (40, 10)):
        drag(window, at, at)
    place = canvas.to_widget(40, 40).toPoint()
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=place)
    QTest.keyClick(canvas, Qt.Key.Key_Return)
    QTest.mouseMove(canvas, place + QPointF(5, 5).toPoint())
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=place)
    assert not [m for m in window.stage.messages.messages if m.kind == "error"]
    QTest.keyClick(canvas, Qt.Key.Key_Return)
    assert (window.session.labels.ids != UNLABELLED).any()  # type: ignore[union-attr]


def test_the_lasso_has_the_class_it_began_with(open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    canvas = window.stage.canvas
    canvas.set_tool("lasso")
    places = [canvas.to_widget(x, y).toPoint() for x, y in ((10, 10), (50, 10), (50, 50), (10, 50))]
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=places[0])
    for place in places[1:]:
        QTest.mouseMove(canvas, place)
    window.session.active_class = 0
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=places[-1])
    assert window.session.labels.ids[30, 30] in (1, UNLABELLED)  # type: ignore[union-attr]


def test_the_chip_follows_what_the_tool_remembers(open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    canvas = window.stage.canvas
    canvas.set_tool("wand")
    drag(window, (20, 20), (60, 40))
    shown = window.stage.chips.option_chip.text()
    assert str(canvas.options.wand_tolerance) in shown


def test_a_button_that_is_gone_follows_nothing(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    widget = action_button(window.actions_by_id, "train")
    widget.show()
    widget.deleteLater()
    QApplication.sendPostedEvents(widget, QEvent.Type.DeferredDelete)
    action = window.actions_by_id["train"]
    action.setEnabled(not action.isEnabled())
    action.setEnabled(not action.isEnabled())


def test_contrast_of_a_folder_is_its_own(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    display = window.stage.canvas.display
    window.layers.display_changed.emit(display)
    assert window.link.contrast_desk.now.windowed
    opened(qtbot, window, write_folder(tmp_path / "y"))
    assert window.link.contrast_desk.now == Contrast()
    go_to(qtbot, window.session, 1)
    paint(window.session, Rect(1, 1, 2, 2), int(truth(0).max()))
    assert window.session.labels.shape == SHAPE  # type: ignore[union-attr]


def test_the_colour_of_a_channel_is_not_for_an_image_without_it(
    qtbot: QtBot, open_window: Open, tmp_path: Path
) -> None:
    folder = write_folder(tmp_path / "x", images=1)
    (folder / "1.png").write_bytes(png.encode(np.arange(60 * 80 * 3).reshape(60, 80, 3).astype(np.uint8)))
    window = open_window(folder)
    go_to(qtbot, window.session, 1)
    window.layers.channel_color_wanted.emit(2)
    dialog = window.dialogs._open["colour"]
    go_to(qtbot, window.session, 0)
    before = window.stage.canvas.display
    dialog.colorSelected.emit("#123456")  # type: ignore[attr-defined]
    assert window.stage.canvas.display == before
    dialog.close()
    qtbot.waitUntil(lambda: "colour" not in window.dialogs._open, timeout=LONG)


# --- what belongs to a folder, what to an image


def test_a_hidden_class_is_none_of_another_folder(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x", labels=1))
    window.classes._toggle(1)
    assert window.stage.canvas.layers.hidden == {1}
    opened(qtbot, window, write_folder(tmp_path / "other", labels=1))
    assert not window.classes.is_hidden(1)
    assert not window.stage.canvas.layers.hidden


def test_the_view_stays_when_only_the_label_is_read_again(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    """As after a merge of classes, an import, or what another program has written."""
    window = open_window(write_folder(tmp_path / "x", labels=2))
    canvas, session = window.stage.canvas, window.session

    def read_again() -> None:
        before = session.document
        session.reopen()
        qtbot.waitUntil(lambda: session.document not in (None, before), timeout=LONG)

    whole = canvas.visible_rect()
    read_again()
    assert canvas.visible_rect() == whole
    canvas.zoom_to(20)
    canvas.center_on(50, 40)
    seen = canvas.zoom, canvas.visible_rect()
    read_again()
    assert (canvas.zoom, canvas.visible_rect()) == seen
    go_to(qtbot, session, 1)
    assert canvas.visible_rect() == whole
    go_to(qtbot, session, 0)
    assert canvas.visible_rect() == whole


def test_saving_by_itself_begins_when_it_is_switched_on(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    window.settings.set("autosave", False)
    paint(window.session, Rect(0, 0, 9, 9), 1)
    go_to(qtbot, window.session, 1)
    assert window.session.unsaved() == ["0.png"]
    window.settings.set("autosave", True)
    qtbot.waitUntil(lambda: not window.session.unsaved(), timeout=LONG)


class SlowFolders:
    """Making the sample, and looking at a folder, take as long as somebody wants."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.on = threading.Event()
        for name in ("make_sample", "open_dataset"):
            monkeypatch.setattr(folder_desk, name, partial(self._wait, getattr(folder_desk, name)))

    def _wait(self, work: Callable[..., Any], *args: Any) -> Any:
        assert self.on.wait(30)
        return work(*args)


def test_the_sample_does_not_take_the_place_of_a_folder_wanted_since(
    qtbot: QtBot, open_window: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_folder(tmp_path / "x")
    window = open_window(None)
    slow = SlowFolders(monkeypatch)
    window.open_sample(tmp_path / "sample")
    window.start.folder_chosen.emit(folder)
    qtbot.waitUntil(lambda: window.session.document is not None, timeout=LONG)
    slow.on.set()
    qtbot.waitUntil(lambda: not window.folders._chores.waiting, timeout=LONG)
    assert not window.folders._looks.waiting, "the sample is not looked at"
    assert window.session.dataset is not None
    assert window.session.dataset.root == folder


def test_a_folder_that_is_not_opened_after_all_is_not_said_to_be_for_ever(
    qtbot: QtBot, open_window: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    slow = SlowFolders(monkeypatch)
    window.folders.open(write_folder(tmp_path / "slow"))
    assert window.status.text.text().startswith("Opening")
    job = Long()
    job.begin(window)
    window.folders.open(write_folder(tmp_path / "third"))
    slow.on.set()
    qtbot.waitUntil(lambda: not window.folders._looks.waiting, timeout=LONG)
    job.on.set()
    qtbot.waitUntil(lambda: not window.runner.busy, timeout=LONG)
    assert not window.status.text.text().startswith("Opening")
