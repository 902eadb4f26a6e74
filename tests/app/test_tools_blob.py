"""Blobs: look, reclass, delete, copy, paste; holes, specks, grow and shrink."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QEvent, Qt
from pytestqt.qtbot import QtBot

from tests.app.canvas_driver import Driver, picture
from unet_gui.app.canvas import blob_tools
from unet_gui.app.canvas.blob_tools import area_text
from unet_gui.core.geometry import Rect
from unet_gui.core.labels import UNLABELLED, LabelImage
from unet_gui.core.strokes import ellipse

PRESS, MOVE, RELEASE = QEvent.Type.MouseButtonPress, QEvent.Type.MouseMove, QEvent.Type.MouseButtonRelease
RIGHT = Qt.MouseButton.RightButton
SHIFT = Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def driver(qtbot: QtBot, tmp_path: Path) -> Iterator[Driver]:
    made = Driver(qtbot, picture(tmp_path / "grey.png", 200, 300), size=(600, 400))
    with made.doc.labels.edit("start") as edit:
        edit.paint(*ellipse((40, 40), (100, 120)), 1)
        edit.paint(*ellipse((60, 60), (80, 80)), UNLABELLED)  # a hole
        edit.paint(Rect(150, 50, 40, 30), None, 2)
        edit.paint(Rect(200, 150, 3, 3), None, 1)  # specks
        edit.paint(Rect(160, 60, 2, 2), None, 3)
    made.view.refresh(Rect(0, 0, 300, 200))
    made.tool("blob")
    yield made
    made.close()


def is_class(driver: Driver, class_id: int) -> int:
    return int((driver.ids == class_id).sum())


def test_hover_shows_class_and_area(driver: Driver) -> None:
    driver.leave()
    before = driver.screen()
    driver.hover(185, 75)
    overlay = driver.view._bench.overlay
    assert overlay is not None
    assert overlay.text == "class 2 · 1\u202f196 px"
    assert (driver.screen()[driver.at(152, 52)] != before[driver.at(152, 52)]).any()
    driver.hover(250, 20)
    assert driver.view._bench.overlay is None
    driver.leave()
    np.testing.assert_array_equal(driver.screen(), before)


def test_areas_for_people() -> None:
    assert area_text(12, None) == "12 px"
    assert area_text(1234567, 0.5) == "1\u202f234\u202f567 px · 3.086e+05 µm²"


def test_click_changes_the_class_of_the_blob(driver: Driver) -> None:
    driver.doc.active_class = 3
    driver.click(180, 75)
    assert is_class(driver, 2) == 0
    assert is_class(driver, 3) == 1200
    assert driver.doc.history.undo_text == "Change class of blob"


@pytest.mark.parametrize("way", ["right", "delete key", "backspace"])
def test_a_blob_is_deleted(driver: Driver, way: str) -> None:
    if way == "right":
        driver.click(180, 75, button=RIGHT)
    else:
        driver.hover(180, 75)
        driver.key(Qt.Key.Key_Delete if way == "delete key" else Qt.Key.Key_Backspace)
    assert is_class(driver, 2) == 0
    assert driver.ids[75, 180] == UNLABELLED
    assert is_class(driver, 3) == 4
    assert driver.doc.history.undo_text == "Delete blob"


def test_a_blob_is_copied_and_pasted(driver: Driver) -> None:
    driver.hover(180, 75)
    driver.view.copy()
    driver.view.paste()
    driver.hover(250, 120)
    driver.click(250, 120)
    assert is_class(driver, 2) == 2 * 1196
    assert driver.doc.history.undo_text == "Paste"
    driver.click(100, 180)  # it goes on hanging at the pointer
    assert is_class(driver, 2) == 3 * 1196
    driver.key(Qt.Key.Key_Escape)
    driver.doc.active_class = 3
    driver.click(100, 180)
    assert is_class(driver, 2) == 2 * 1196


def test_a_box_is_copied_into_another_image_with_any_tool_in_hand(driver: Driver) -> None:
    driver.drag([(140, 40), (199, 89)])
    driver.view.copy()
    want = driver.ids[50:80, 150:190].copy()
    driver.doc.labels = LabelImage.unlabelled((200, 300))
    driver.view.set_image(driver.source)
    driver.view.set_label(driver.doc.labels)
    driver.tool("brush")
    driver.view.paste()
    assert driver.view.tool == "blob"
    driver.click(100, 100)
    assert is_class(driver, 2) == 1196
    assert is_class(driver, 3) == 4
    y, x = (int(v.min()) for v in np.nonzero(driver.labelled()))
    np.testing.assert_array_equal(driver.ids[y : y + 30, x : x + 40], want)


def test_a_paste_over_the_border_is_cut(driver: Driver) -> None:
    driver.hover(180, 75)
    driver.view.copy()
    driver.view.paste()
    driver.click(299, 199)
    assert is_class(driver, 2) == 1196 + 20 * 16 - 4


def test_pasting_nothing_says_so_and_changes_no_tool(driver: Driver) -> None:
    said: list[str] = []
    driver.view.message.connect(said.append)
    driver.tool("polygon")
    driver.click(20, 20)
    driver.view.paste()
    assert said[-1] == "Nothing was copied yet"
    assert driver.view.tool == "polygon"
    assert driver.view.undo_text, "the shape in progress is there"


def test_copying_nothing_says_so(driver: Driver) -> None:
    said = []
    driver.view.message.connect(said.append)
    driver.hover(280, 20)
    driver.view.copy()
    driver.view.paste()
    assert said == ["Nothing labelled to copy: point at a blob or drag a box", "Nothing was copied yet"]
    driver.click(280, 20)
    assert not driver.doc.history.can_undo


def test_what_was_copied_stays_when_there_is_nothing_else_to_copy(driver: Driver) -> None:
    driver.hover(180, 75)
    driver.view.copy()
    driver.hover(280, 20)
    driver.view.copy()
    driver.view.paste()
    driver.click(250, 120)
    assert is_class(driver, 2) == 2 * 1196


def test_a_box_is_deleted(driver: Driver) -> None:
    driver.drag([(140, 40), (199, 89)])
    driver.key(Qt.Key.Key_Delete)
    assert not driver.labelled()[40:90, 140:200].any()
    assert is_class(driver, 1) > 0


def test_holes_are_shown_and_filled(driver: Driver) -> None:
    driver.view.set_tool("holes")
    driver.leave()
    before = driver.screen()
    driver.hover(50, 80)
    assert (driver.screen()[driver.at(70, 70)] != before[driver.at(70, 70)]).any()
    driver.click(50, 80)
    assert driver.ids[70, 70] == 1
    assert driver.doc.history.undo_text == "Fill holes"
    driver.click(180, 75)  # the speck inside counts as a hole of the class around it
    assert is_class(driver, 3) == 0
    driver.click(280, 20)
    assert len(driver.doc.history) == 2


def test_specks_in_view_become_what_surrounds_them(driver: Driver) -> None:
    driver.view.set_tool("specks")
    driver.view.options.speck_size = 5
    driver.hover(280, 20)
    overlay = driver.view._bench.overlay
    assert overlay is not None
    assert overlay.text == "1 of fewer than 5 px"
    for _ in range(4):
        driver.wheel(280, 20, 1, SHIFT)
    assert driver.view.options.speck_size == 10
    driver.click(280, 20)
    assert is_class(driver, 3) == 0
    assert driver.ids[60, 160] == 2
    assert driver.ids[151, 201] == UNLABELLED
    assert is_class(driver, 1) > 2000
    assert driver.doc.history.undo_text == "Remove specks"
    driver.click(280, 20)
    assert len(driver.doc.history) == 1


def test_specks_out_of_view_stay(driver: Driver) -> None:
    driver.view.set_tool("specks")
    driver.view.zoom_to(8)
    driver.view.center_on(160, 60)
    driver.settle()
    driver.click(165, 70)
    assert is_class(driver, 3) == 0
    assert driver.ids[151, 201] == 1


def test_a_blob_grows_and_shrinks_with_a_preview(driver: Driver) -> None:
    driver.view.set_tool("grow")
    driver.leave()
    before = driver.screen()
    driver.mouse(PRESS, 152, 75)
    driver.mouse(MOVE, 170, 75)  # 36 screen pixels, 6 for each pixel
    assert (driver.screen()[driver.at(148, 65)] != before[driver.at(148, 65)]).any()
    driver.mouse(RELEASE, 170, 75)
    assert driver.ids[65, 144] == driver.ids[65, 195] == 2
    assert driver.ids[65, 143] == driver.ids[65, 196] == UNLABELLED
    assert driver.ids[44, 144] == UNLABELLED  # corners are round
    assert driver.doc.history.undo_text == "Grow"
    driver.drag([(170, 75), (134, 75)])  # 12 pixels less
    assert driver.doc.history.undo_text == "Shrink"
    assert driver.ids[65, 184] == UNLABELLED
    assert driver.ids[65, 183] == 2
    driver.click(180, 75)
    assert len(driver.doc.history) == 2


def test_shrinking_leaves_what_surrounds_the_blob(driver: Driver) -> None:
    with driver.doc.labels.edit("ground") as edit:
        edit.paint(Rect(130, 30, 90, 70), driver.ids[30:100, 130:220] == UNLABELLED, 0)
    driver.view.set_tool("grow")
    driver.drag([(180, 75), (162, 75)])
    assert driver.ids[75, 151] == 0


def test_a_blob_larger_than_what_hovering_looks_at(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hovering says that there is more of it, a click takes all of it, dragging refuses to tear it at the window."""
    monkeypatch.setattr(blob_tools, "NEAR", 40)
    monkeypatch.setattr(blob_tools.GrowTool, "_WINDOW", 40)
    with driver.doc.labels.edit("wide") as edit:
        edit.paint(Rect(10, 180, 280, 10), None, 2)
    driver.leave()
    driver.hover(150, 185)
    overlay = driver.view._bench.overlay
    assert overlay is not None
    assert overlay.text == "class 2 · more than 400 px"
    driver.tool("grow")
    before = driver.ids.copy()
    driver.drag([(150, 185), (170, 185)])
    np.testing.assert_array_equal(driver.ids, before)
    driver.tool("blob")
    driver.doc.active_class = 1
    driver.click(150, 185)
    assert (driver.ids[180:190, 10:290] == 1).all()
