"""Keys on the real window: every deed by its key, whatever panel has the focus, but never while typing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLineEdit, QWidget
from pytestqt.qtbot import QtBot

from tests.app.kit import drag, go_to, paint, write_folder
from unet_gui.app.actions import SPECS
from unet_gui.app.canvas_link import VIEW_ACTIONS
from unet_gui.app.main_window import MainWindow
from unet_gui.core.geometry import Rect
from unet_gui.core.labels import UNLABELLED

Open = Callable[[Path | None], MainWindow]
NONE, CTRL = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ControlModifier

PLACES: dict[str, Callable[[MainWindow], QWidget]] = {
    "canvas": lambda window: window.stage.canvas,
    "images": lambda window: window.images.list,
    "classes": lambda window: window.classes.list,
    "opacity": lambda window: window.layers._label[1],
    "gamma": lambda window: window.layers._gamma[0],
    "eye": lambda window: window.layers._label[0],
    "button": lambda window: window.stage.bar.findChildren(QWidget)[0],
    "toggle": lambda window: window.layers.toggles["split"],
}


def point_at(window: MainWindow, x: float, y: float) -> None:
    """Move the mouse to an image position."""
    canvas = window.stage.canvas
    QTest.mouseMove(canvas, canvas.to_widget(x - 1, y).toPoint())
    QTest.mouseMove(canvas, canvas.to_widget(x, y).toPoint())


def ids(window: MainWindow) -> np.ndarray:
    assert window.session.labels is not None
    return window.session.labels.ids


@pytest.mark.parametrize("tool", ["brush", "blob", "wand", "rectangle"])
@pytest.mark.parametrize("where", ["canvas", "classes"])
def test_delete_takes_the_blob_under_the_pointer(open_window: Open, tmp_path: Path, tool: str, where: str) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    paint(window.session, Rect(10, 10, 8, 8), 1)
    paint(window.session, Rect(40, 30, 8, 8), 1)
    window.stage.canvas.set_tool(tool)
    point_at(window, 14, 14)
    widget = PLACES[where](window)
    widget.setFocus()
    QTest.keyClick(widget, Qt.Key.Key_Delete)
    assert (ids(window)[10:18, 10:18] == UNLABELLED).all()
    assert (ids(window)[30:38, 40:48] == 1).all()
    assert window.stage.canvas.tool == tool
    QTest.keyClick(widget, Qt.Key.Key_Z, CTRL)
    assert (ids(window)[10:18, 10:18] == 1).all()


def test_delete_takes_a_corner_of_the_polygon_first(open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    paint(window.session, Rect(0, 0, 80, 60), 1)
    canvas = window.stage.canvas
    canvas.set_tool("polygon")
    for x, y in ((20, 20), (40, 20), (40, 40), (22, 42)):
        QTest.mouseClick(canvas, Qt.MouseButton.LeftButton, NONE, canvas.to_widget(x, y).toPoint())
    QTest.keyClick(canvas, Qt.Key.Key_Delete)
    assert (ids(window) == 1).all(), "the blob below is not meant while a shape is made"


@pytest.mark.parametrize("tool", ["brush", "blob"])
def test_copy_in_one_image_and_paste_in_another(qtbot: QtBot, open_window: Open, tmp_path: Path, tool: str) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    paint(window.session, Rect(10, 10, 8, 6), 1)
    canvas = window.stage.canvas
    canvas.set_tool(tool)
    point_at(window, 14, 13)
    QTest.keyClick(canvas, Qt.Key.Key_C, CTRL)
    assert canvas.tool == tool
    go_to(qtbot, window.session, 1)
    qtbot.waitUntil(lambda: canvas.is_complete)
    QTest.keyClick(window.images.list, Qt.Key.Key_V, CTRL)
    point_at(window, 50, 30)
    QTest.mouseClick(canvas, Qt.MouseButton.LeftButton, NONE, canvas.to_widget(50, 30).toPoint())
    assert (ids(window) == 1).sum() == 48
    ys, xs = np.nonzero(ids(window) == 1)
    assert (ys.min(), xs.min()) == (27, 46)
    QTest.keyClick(canvas, Qt.Key.Key_Z, CTRL)
    assert (ids(window) == UNLABELLED).all()


@pytest.mark.parametrize("name", ["split", "difference", "minimap", "scale_bar", "outline"])
def test_every_way_of_seeing_has_a_key_a_menu_entry_and_a_button(open_window: Open, tmp_path: Path, name: str) -> None:
    window = open_window(write_folder(tmp_path / "x", labels=1))
    action, field = window.actions_by_id[name], VIEW_ACTIONS[name]
    view = next(each.menu() for each in window.menuBar().actions() if each.text() == "&View")
    assert action in view.actions()  # type: ignore[attr-defined]

    def shown() -> bool:
        value = getattr(window.stage.canvas.layers, field)
        return value is not None and value is not False

    before = shown()
    QTest.mouseClick(window.layers.toggles[name], Qt.MouseButton.LeftButton)
    assert shown() != before
    key = action.shortcut()[0]
    QTest.keyClick(window.stage.canvas, key.key(), key.keyboardModifiers())
    assert shown() == before
    assert window.layers.toggles[name].isChecked() == before
    action.trigger()
    assert shown() != before


@pytest.mark.parametrize("where", PLACES)
def test_keys_work_whatever_has_the_focus(qtbot: QtBot, open_window: Open, tmp_path: Path, where: str) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    paint(window.session, Rect(10, 10, 8, 8), 1)
    window.activateWindow()
    widget = PLACES[where](window)
    widget.setFocus()
    assert widget.hasFocus()
    point_at(window, 14, 14)
    widget.setFocus()
    canvas = window.stage.canvas
    for key, tool in (
        (Qt.Key.Key_E, "eraser"),
        (Qt.Key.Key_P, "polygon"),
        (Qt.Key.Key_W, "wand"),
        (Qt.Key.Key_B, "brush"),
    ):
        QTest.keyClick(widget, key)
        assert canvas.tool == tool
    QTest.keyClick(widget, Qt.Key.Key_0)
    assert window.session.active_class == 0
    QTest.keyClick(widget, Qt.Key.Key_X)
    assert window.session.active_class == 1
    QTest.keyClick(widget, Qt.Key.Key_V)
    assert not canvas.layers.label
    QTest.keyClick(widget, Qt.Key.Key_V)
    size = canvas.brush.size
    QTest.keyClick(widget, Qt.Key.Key_BracketRight)
    assert canvas.brush.size > size
    QTest.keyClick(widget, Qt.Key.Key_Delete)
    assert (ids(window) == UNLABELLED).all()
    QTest.keyClick(widget, Qt.Key.Key_Z, CTRL)
    assert (ids(window) == 1).sum() == 64
    QTest.keyClick(widget, Qt.Key.Key_D)
    qtbot.waitUntil(lambda: window.session.key == "1.png" and window.session.document is not None)
    QTest.keyClick(widget, Qt.Key.Key_PageUp)
    qtbot.waitUntil(lambda: window.session.key == "0.png" and window.session.document is not None)


def test_nothing_happens_while_typing(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    """Every single key of the table, and those of editing, in both fields of the window and in a class's name."""
    window = open_window(write_folder(tmp_path / "x"))
    window.activateWindow()
    drag(window, (20, 30), (40, 30))
    painted = ids(window).copy()
    letters = "".join(key.lower() for spec in SPECS for key in spec.keys if len(key) == 1 and key.isalnum())
    window.classes.search.show()
    fields = [window.images.field, window.classes.search]
    for field in fields:
        field.setFocus()
        field.clear()
        QTest.keyClicks(field, letters + "0123 ")
        assert field.text() == letters + "0123 "
        QTest.keyClick(field, Qt.Key.Key_Delete)
        QTest.keyClick(field, Qt.Key.Key_Z, CTRL)
        QTest.keyClick(field, Qt.Key.Key_A, CTRL)
        QTest.keyClick(field, Qt.Key.Key_C, CTRL)
        QTest.keyClick(field, Qt.Key.Key_V, CTRL)
        field.clear()
    window.classes.edit(1)
    editor = window.classes.list.findChild(QLineEdit)
    assert editor is not None
    QTest.keyClicks(editor, "bed 0")
    QTest.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: window.session.classes[1].name == "bed 0")
    assert window.stage.canvas.tool == "brush"
    assert (window.session.key, window.session.active_class) == ("0.png", 1)
    np.testing.assert_array_equal(ids(window), painted)
