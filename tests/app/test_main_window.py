"""The window with real events: opening, painting, keys, saving, closing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMenu, QPushButton, QToolButton
from pytestqt.qtbot import QtBot

from tests.app.kit import SHAPE, drag, on_disk, paint, texts, write_folder
from unet_gui.app import theme
from unet_gui.app.main_window import MainWindow
from unet_gui.core.geometry import Rect
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.palette import ClassInfo

Open = Callable[[Path | None], MainWindow]


def test_without_a_folder_the_start_page_says_what_to_do(open_window: Open) -> None:
    window = open_window(None)
    assert window.start.isVisible()
    assert not window.images_dock.isVisible()
    assert not window.actions_by_id["train"].isEnabled()
    assert window.actions_by_id["open"].isEnabled()


def test_opening_shows_image_list_label_and_counts(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x", images=5, labels=2))
    assert window.stage.isVisible()
    assert window.images.model.rowCount() == 5
    qtbot.waitUntil(lambda: window.images.footer.text() == "2\xa0done\xa0· 3\xa0untouched")
    shown = window.images.footer.grab().toImage()
    middle = shown.height() // 2
    text = [x for x in range(shown.width()) for y in (middle - 3, middle) if shown.pixel(x, y) != shown.pixel(1, y)]
    assert 12 <= min(text) <= 14, "right below the list and the filter"
    assert "x" in window.windowTitle()
    assert window.status.image.text() == f"0.png · {SHAPE[1]}×{SHAPE[0]} · 8-bit"
    assert window.settings.recent() == [tmp_path / "x"]


def test_a_stroke_by_mouse_is_saved_as_a_label(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    window.stage.canvas.set_brush_size(5)
    drag(window, (20.5, 30.5), (40.5, 30.5))
    assert window.session.labels is not None
    assert (window.session.labels.ids[30, 20:41] == 1).all()
    assert window.isWindowModified()
    QTest.keyClick(window, Qt.Key.Key_S, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: not window.isWindowModified())
    label = on_disk(window.session, 0)
    np.testing.assert_array_equal(label, window.session.labels.ids)
    qtbot.waitUntil(lambda: "1\xa0partial" in window.images.footer.text())


def test_undo_and_redo_by_keys(open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    assert not window.actions_by_id["undo"].isEnabled()
    drag(window, (20, 30), (40, 30))
    labels = window.session.labels
    assert labels is not None
    painted = labels.ids.copy()
    assert window.actions_by_id["undo"].text() == "Undo Brush"
    ctrl, shift = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
    QTest.keyClick(window, Qt.Key.Key_Z, ctrl)
    assert (labels.ids == UNLABELLED).all()
    QTest.keyClick(window, Qt.Key.Key_Z, ctrl | shift)
    np.testing.assert_array_equal(labels.ids, painted)
    QTest.keyClick(window, Qt.Key.Key_Z, ctrl)
    QTest.keyClick(window, Qt.Key.Key_Y, ctrl)
    np.testing.assert_array_equal(labels.ids, painted)


@pytest.mark.parametrize("where", ["canvas", "list", "classes"])
def test_keys_work_whichever_panel_has_the_focus(qtbot: QtBot, open_window: Open, tmp_path: Path, where: str) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    widget = {"canvas": window.stage.canvas, "list": window.images.list, "classes": window.classes.list}[where]
    window.activateWindow()
    widget.setFocus()
    QTest.keyClick(widget, Qt.Key.Key_E)
    assert window.stage.canvas.tool == "eraser"
    QTest.keyClick(widget, Qt.Key.Key_0)
    assert (window.stage.canvas.tool, window.session.active_class) == ("brush", 0)
    QTest.keyClick(widget, Qt.Key.Key_X)
    assert window.session.active_class == 1
    QTest.keyClick(widget, Qt.Key.Key_V)
    assert not window.stage.canvas.layers.label
    QTest.keyClick(widget, Qt.Key.Key_D)
    qtbot.waitUntil(lambda: window.session.key == "1.png" and window.session.document is not None)
    QTest.keyClick(widget, Qt.Key.Key_A)
    qtbot.waitUntil(lambda: window.session.key == "0.png" and window.session.document is not None)
    before = window.stage.canvas.brush.size
    QTest.keyClick(widget, Qt.Key.Key_BracketRight)
    assert window.stage.canvas.brush.size > before


def test_letters_typed_in_a_field_are_letters(open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    window.activateWindow()
    window.actions_by_id["filter"].trigger()
    assert window.images.field.hasFocus()
    QTest.keyClicks(window.images.field, "e0d")
    assert window.images.field.text() == "e0d"
    assert window.stage.canvas.tool == "brush"
    assert window.session.key == "0.png"
    QTest.keyClick(window.images.field, Qt.Key.Key_Escape)
    assert window.images.field.text() == ""
    assert window.images.list.hasFocus()


@pytest.mark.parametrize("where", ["canvas", "list"])
def test_h_held_shows_the_image_alone(qtbot: QtBot, open_window: Open, tmp_path: Path, where: str) -> None:
    window = open_window(write_folder(tmp_path / "x", labels=1))
    canvas = window.stage.canvas
    widget = {"canvas": canvas, "list": window.images.list}[where]
    widget.setFocus()
    center = canvas.rect().center()
    colored = canvas.grab().toImage().pixelColor(center)
    QTest.keyPress(widget, Qt.Key.Key_H)
    bare = canvas.grab().toImage().pixelColor(center)
    assert bare.red() == bare.green() == bare.blue()
    QTest.keyRelease(widget, Qt.Key.Key_H)
    assert canvas.grab().toImage().pixelColor(center) == colored != bare


def test_filter_by_status_and_step_through_what_is_shown(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x", images=6, labels=3))
    qtbot.waitUntil(lambda: "3\xa0done" in window.images.footer.text())
    window.images.field.setText("untouched")
    assert [window.images.model.data(window.images.model.index(row)) for row in range(3)] == [
        "3.png",
        "4.png",
        "5.png",
    ]
    window.actions_by_id["next"].trigger()
    qtbot.waitUntil(lambda: window.session.key == "3.png")
    window.actions_by_id["next"].trigger()
    qtbot.waitUntil(lambda: window.session.key == "4.png")
    for text, said in {
        "4": "This is the last image that fits the filter.",
        "nothing": "No image fits the filter: empty it to see them all.",
        "": "This is the last image.",
    }.items():
        window.session.open_image(window.images.model.everything()[4 if text else 5])
        window.images.field.setText(text)
        window.actions_by_id["next"].trigger()
        assert window.status.text.text() == said


def test_next_unfinished_skips_what_is_done(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x", images=5, labels=3))
    qtbot.waitUntil(lambda: "3\xa0done" in window.images.footer.text())
    ctrl, shift = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
    QTest.keyClick(window, Qt.Key.Key_D, ctrl | shift)
    qtbot.waitUntil(lambda: window.session.key == "3.png")


def test_done_without_prediction_explains_and_offers(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    drag(window, (20, 30), (40, 30))
    QTest.keyClick(window, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    message = window.stage.messages.messages[-1]
    assert "unlabelled" in message.text
    assert window.session.key == "0.png"
    next(offer for offer in message.offers if "Fill" in offer.text).act()
    qtbot.waitUntil(lambda: window.session.key == "1.png" and not window.session.unsaved())
    label = on_disk(window.session, 0)
    assert label is not None
    assert not (label == UNLABELLED).any()


def test_done_takes_the_prediction_and_undo_brings_it_back(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    dataset = window.session.dataset
    assert dataset is not None
    predicted = np.ones(SHAPE, np.uint8)
    dataset.save_prediction(dataset.images[0], predicted)
    window.session.on_predicted("0.png", fresh=True)
    qtbot.waitUntil(lambda: window.session.prediction is not None)
    window.session.active_class = 0
    drag(window, (20, 30), (40, 30))
    assert window.session.labels is not None
    mine = window.session.labels.ids == 0
    assert mine.any()
    window.actions_by_id["done"].trigger()
    assert "took the prediction" in texts(window)
    qtbot.waitUntil(lambda: window.session.key == "1.png" and not window.session.unsaved())
    label = on_disk(window.session, 0)
    np.testing.assert_array_equal(label, np.where(mine, 0, 1))
    window.actions_by_id["previous"].trigger()
    qtbot.waitUntil(lambda: window.session.key == "0.png" and window.session.document is not None)
    window.actions_by_id["undo"].trigger()
    assert window.session.labels is not None
    np.testing.assert_array_equal(window.session.labels.ids == UNLABELLED, ~mine)


def test_take_over_keeps_what_the_person_said(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    QTest.keyClick(window, Qt.Key.Key_T)
    assert "no prediction" in texts(window)
    dataset = window.session.dataset
    assert dataset is not None
    dataset.save_prediction(dataset.images[0], np.zeros(SHAPE, np.uint8))
    window.session.on_predicted("0.png", fresh=True)
    qtbot.waitUntil(lambda: window.session.prediction is not None)
    drag(window, (20, 30), (40, 30))
    labels = window.session.labels
    assert labels is not None
    mine = labels.ids == 1
    QTest.keyClick(window, Qt.Key.Key_T)
    np.testing.assert_array_equal(labels.ids == 1, mine)
    assert (labels.ids[~mine] == 0).all()
    QTest.keyClick(window, Qt.Key.Key_T, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    assert (labels.ids == 0).all()
    QTest.keyClick(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    np.testing.assert_array_equal(labels.ids == 1, mine)


def test_next_doubtful_goes_there_then_to_the_next_image(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x", shape=(400, 500)))
    dataset = window.session.dataset
    assert dataset is not None
    for index, (x, y) in enumerate([(100, 300), (400, 80)]):
        one = np.full((400, 500), 250, np.uint8)
        one[y - 30 : y + 30, x - 30 : x + 30] = 128
        prob = np.stack([255 - one, one])
        dataset.save_prediction(dataset.images[index], (one > 127).astype(np.uint8), prob)
        window.session.on_predicted(f"{index}.png", fresh=True)
    qtbot.waitUntil(lambda: window.session.probabilities is not None)
    shown: list[Rect] = []
    window.touch_up.place_found.connect(lambda rect, _text: shown.append(rect))
    QTest.keyClick(window, Qt.Key.Key_N)
    qtbot.waitUntil(lambda: len(shown) == 1)
    assert shown[0].intersect(Rect(70, 270, 60, 60)).area > 0
    assert window.stage.canvas.visible_rect().intersect(shown[0]) == shown[0]
    assert window.stage.canvas._furniture.mark == shown[0], "it is framed"
    assert window.status.text.text().startswith("Doubtful place 1 of ")
    assert "0.png" in window.status.text.text()
    unmarked = window.stage.canvas.grab().toImage()
    paint(window.session, Rect(0, 0, 2, 2), 1)
    assert window.stage.canvas._furniture.mark is None, "somebody has done something"
    assert window.stage.canvas.grab().toImage() != unmarked
    window.session.undo()
    window.stage.canvas.mark(shown[0])
    QTest.keyClick(window.stage.canvas, Qt.Key.Key_Escape)
    assert window.stage.canvas._furniture.mark is None
    while window.session.key == "0.png":
        count = len(shown)
        QTest.keyClick(window, Qt.Key.Key_N)
        qtbot.waitUntil(lambda count=count: len(shown) > count, timeout=20_000)
    assert window.session.key == "1.png"
    assert shown[-1].intersect(Rect(370, 50, 60, 60)).area > 0


def test_a_failed_image_is_a_message_not_a_dialog(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x")
    (folder / "1.png").write_bytes(b"no picture")
    window = open_window(folder)
    window.actions_by_id["next"].trigger()
    qtbot.waitUntil(lambda: "“1.png”" in texts(window))
    assert QApplication.activeModalWidget() is None
    window.actions_by_id["next"].trigger()
    qtbot.waitUntil(lambda: window.session.document is not None)
    assert "“1.png”" not in texts(window), "it is over when another image is open"


def test_the_place_of_panels_is_remembered(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x")
    window = open_window(folder)
    window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, window.images_dock)
    window.panel_dock.hide()
    window.close()
    again = open_window(folder)
    assert again.dockWidgetArea(again.images_dock) == Qt.DockWidgetArea.RightDockWidgetArea
    assert not again.panel_dock.isVisible()


def test_facts_under_the_pointer(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    from unet_gui.core.images import open_image

    folder = write_folder(tmp_path / "x", labels=1)
    window = open_window(folder)
    with open_image(folder / "0.png") as source:
        value = int(source.read()[30, 20])
    at = window.stage.canvas.to_widget(20.5, 30.5).toPoint()
    QTest.mouseMove(window.stage.canvas, QPoint(1, 1))
    QTest.mouseMove(window.stage.canvas, at)
    qtbot.waitUntil(lambda: window.status.value.text() == str(value))
    assert window.status.place.text() == "x 20  y 30"
    assert window.status.class_name.text() in ("background", "object", "class 0", "class 1")


def test_no_key_belongs_to_two_actions(open_window: Open) -> None:
    window = open_window(None)
    owners: dict[str, list[str]] = {}
    for name in window.actions_by_id.specs:
        for key in window.actions_by_id.keys(name):
            owners.setdefault(key, []).append(name)
    assert {key: names for key, names in owners.items() if len(names) > 1} == {}


def test_every_tool_has_an_icon_and_a_place_in_the_bar(open_window: Open) -> None:
    from unet_gui.app.canvas.tools import TOOLS
    from unet_gui.paths import resource

    window = open_window(None)
    assert not [t.info.id for t in TOOLS if not resource("icons", f"{t.info.icon}.svg").is_file()]
    placed = {
        action.objectName()
        for button in window.tool_bar.findChildren(QToolButton)
        for action in (button.menu().actions() if button.menu() else [button.defaultAction()])
        if action is not None
    }
    assert placed >= {f"tool_{t.info.id}" for t in TOOLS}


def test_themes_and_small_windows(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    window.resize(900, 600)
    assert window.width() == 900, "it fits into 900 pixels"
    assert window.height() == 600
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    window.settings.set("theme", "light")
    assert theme.current() is theme.LIGHT
    pixel = window.images.grab().toImage().pixelColor(3, 3)
    assert pixel.lightness() > 200
    window.settings.set("theme", "dark")
    assert theme.current() is theme.DARK


@pytest.mark.parametrize("classes", [2, 12, 60])
def test_what_is_done_all_day_is_in_sight_in_a_small_window(
    qtbot: QtBot, open_window: Open, tmp_path: Path, classes: int
) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    window.session.set_classes([ClassInfo(n, f"class {n}", "#808080") for n in range(classes)])
    window.session.active_class = classes - 1
    window.resize(900, 600)
    buttons = [window.model_section.train_button, window.model_section.segment_button]
    for button in buttons:
        qtbot.waitUntil(lambda button=button: button.visibleRegion().boundingRect() == button.rect())
    rows = window.classes.list
    qtbot.waitUntil(lambda: rows.viewport().rect().contains(rows.visualItemRect(rows.currentItem())))
    row = rows.sizeHintForRow(0)
    qtbot.waitUntil(lambda: min(classes + 1, 4) * row <= rows.height() < 8 * row)
    window.resize(1200, 1000)
    qtbot.waitUntil(lambda: rows.height() >= min(classes + 1, 8) * row)


def test_the_quick_actions_stay_on_a_narrow_canvas(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    stage, bar = window.stage, window.stage.bar
    assert "Done and next   Ctrl+" in [button.text()[:21] for button in bar.findChildren(QPushButton)]
    wide = window.width()
    window.resizeDocks([window.images_dock], [2000], Qt.Orientation.Horizontal)
    qtbot.waitUntil(lambda: stage.width() < 300)
    assert stage.rect().contains(bar.geometry())
    assert [button.text() for button in bar.findChildren(QPushButton)] == ["Take over", "Doubtful", "Done"]
    window.resizeDocks([window.images_dock], [10], Qt.Orientation.Horizontal)
    qtbot.waitUntil(lambda: any("Ctrl+" in button.text() for button in bar.findChildren(QPushButton)))
    assert window.width() == wide


def test_the_panel_of_images_stays_wide_enough_for_names(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    window.resizeDocks([window.images_dock], [10], Qt.Orientation.Horizontal)
    images = window.images
    around = 12 + 30  # the dot; a picture only where there is room for both
    qtbot.waitUntil(lambda: images.width() < 230)
    assert images.list.viewport().width() - around >= images.fontMetrics().horizontalAdvance("image_0001.png")


def test_every_control_is_named_and_explained(open_window: Open, tmp_path: Path) -> None:
    from PySide6.QtWidgets import QAbstractButton, QAbstractSlider, QComboBox, QLineEdit, QScrollBar

    window = open_window(write_folder(tmp_path / "x"))
    window.actions_by_id["guide"].setChecked(True)
    missing = []
    for kind in (QAbstractButton, QAbstractSlider, QComboBox, QLineEdit):
        for widget in window.findChildren(kind):
            if isinstance(widget, QScrollBar) or widget.objectName().startswith("qt_"):
                continue  # parts that Qt adds by itself
            if isinstance(widget.parent(), QLineEdit):
                continue
            if not widget.isEnabledTo(window) or widget.testAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents):
                continue
            name = widget.accessibleName() or getattr(widget, "text", lambda: "")()
            if not (name and widget.toolTip()):
                missing.append((type(widget).__name__, name, widget.toolTip(), widget.objectName()))
    assert not missing


def test_split_view_differences_and_minimap_by_key_and_menu(open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x", labels=1))
    canvas = window.stage.canvas
    QTest.keyClick(window, Qt.Key.Key_Y)
    assert canvas.layers.split == 0.5
    QTest.keyClick(window, Qt.Key.Key_U)
    assert canvas.layers.difference
    window.actions_by_id["minimap"].trigger()
    assert not canvas.layers.minimap
    QTest.keyClick(window, Qt.Key.Key_Y)
    QTest.keyClick(window, Qt.Key.Key_U)
    assert (canvas.layers.split, canvas.layers.difference) == (None, False)
    assert canvas.layers.label_opacity == 0.4, "opacities stay"


def test_what_a_tool_remembers_is_a_chip(open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    chips = window.stage.chips
    assert chips.option_chip.isHidden()
    QTest.keyClick(window, Qt.Key.Key_W)
    assert chips.option_chip.text() == "Tolerance 20"
    assert chips.size_chip.isHidden()
    chips.option_chosen.emit("wand_tolerance", 50)
    assert window.stage.canvas.options.wand_tolerance == 50
    assert chips.option_chip.text() == "Tolerance 50"
    QTest.keyClick(window, Qt.Key.Key_B)
    assert chips.option_chip.isHidden()


def test_the_class_under_a_pointer_that_rests_is_told_anew(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    canvas = window.stage.canvas
    canvas.set_tool("fill")
    drag(window, (40, 30), (40, 30))
    name = window.session.classes[1].name
    assert window.status.class_name.text() == name
    window.session.undo()
    assert window.status.class_name.text() == "unlabelled"
    window.session.redo()
    assert window.status.class_name.text() == name


def test_a_hidden_class_that_is_painted_shows_again(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    window.classes._toggle(1)
    assert window.classes.is_hidden(1)
    window.stage.canvas.set_tool("eraser")
    drag(window, (10, 10), (20, 10))
    assert window.classes.is_hidden(1), "it was not painted"
    window.stage.canvas.set_tool("brush")
    drag(window, (10, 30), (20, 30))
    assert not window.classes.is_hidden(1)
    assert "shown again" in window.status.text.text()


def test_the_panels_stand_apart_in_the_menu_of_the_view(open_window: Open) -> None:
    window = open_window(None)
    first = window.images_dock.toggleViewAction()
    [menu] = [each for each in window.menuBar().findChildren(QMenu) if first in each.actions()]
    actions = menu.actions()
    assert actions[actions.index(first) - 1].isSeparator(), "“Images” is no part of what is drawn over the image"
