"""Dialogs say what a choice means before it is made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PySide6.QtWidgets import QDialogButtonBox, QFileDialog, QLabel, QMessageBox, QToolButton
from pytestqt.qtbot import QtBot

from tests.app.kit import write_folder
from unet_gui.app import theme
from unet_gui.app.dialogs.exchange import ExportDialog, ImportDialog
from unet_gui.app.dialogs.forms import EncodingDialog
from unet_gui.app.main_window import MainWindow
from unet_gui.core import png
from unet_gui.core.palette import ClassInfo
from unet_gui.core.project import Dataset

Open = Callable[[Path | None], MainWindow]
NAMES = ("ground", "disc", "band", "vein", "root", "cell", "hole")


def dialog_of(qtbot: QtBot, folder: Path, classes: int) -> EncodingDialog:
    dataset = Dataset.open(write_folder(folder))
    dataset.set_classes([ClassInfo(i, name, f"#00000{i}") for i, name in enumerate(NAMES[:classes])])
    dialog = EncodingDialog(dataset)
    qtbot.addWidget(dialog)
    return dialog


def choose(dialog: EncodingDialog, kind: str) -> str:
    dialog._kind.setCurrentIndex(dialog._kind.findData(kind))
    assert dialog.fields.isRowVisible(dialog.loss) == bool(dialog.loss.text())
    return dialog.loss.text()


def test_what_two_pixel_values_cannot_hold_is_said(qtbot: QtBot, tmp_path: Path) -> None:
    dialog = dialog_of(qtbot, tmp_path / "five", 5)
    assert choose(dialog, "index") == ""
    assert choose(dialog, "binary") == (
        "0 is “ground”, 255 is “disc”. A label with “band”, “vein” or “root” or with unlabelled pixels does not fit: "
        "it is written as class numbers, and marked as such."
    )
    two = dialog_of(qtbot, tmp_path / "two", 2)
    assert choose(two, "binary") == (
        "0 is “ground”, 255 is “disc”. A label with unlabelled pixels does not fit: "
        "it is written as class numbers, and marked as such."
    )
    many = dialog_of(qtbot, tmp_path / "many", 7)
    assert "with “band”, “vein”, “root” or 2 other classes or" in choose(many, "binary")


def test_the_dialog_is_high_enough_for_what_it_says(qtbot: QtBot, tmp_path: Path) -> None:
    dialog = dialog_of(qtbot, tmp_path / "x", 5)
    dialog.show()
    qtbot.waitExposed(dialog)
    before = dialog.height()
    choose(dialog, "binary")
    qtbot.waitUntil(lambda: dialog.height() > before)
    for label in dialog.findChildren(QLabel):
        assert label.isHidden() or label.height() >= label.heightForWidth(label.width()), label.text()
    choose(dialog, "index")
    qtbot.waitUntil(lambda: dialog.height() == before)


def test_the_dialog_shrinks_when_a_format_has_fewer_fields(qtbot: QtBot) -> None:
    dialog = ImportDialog(["coco", "masks", "instances"])
    qtbot.addWidget(dialog)
    dialog.show()
    qtbot.waitExposed(dialog)
    before = dialog.height()
    for kind in ("instances", "masks"):
        dialog.format.setCurrentIndex(dialog.format.findData(kind))
        qtbot.waitUntil(lambda: dialog.height() > before)
    dialog.format.setCurrentIndex(dialog.format.findData("coco"))
    qtbot.waitUntil(lambda: dialog.height() == before)
    lowest = max(text.geometry().bottom() for text in dialog.findChildren(QLabel) if text.isVisible())
    assert dialog.buttons.geometry().top() - lowest < 20


def test_a_class_that_would_be_none_any_more_is_named(qtbot: QtBot, tmp_path: Path) -> None:
    dialog = dialog_of(qtbot, tmp_path / "x", 3)
    dialog._unlabelled.setValue(2)
    assert dialog.loss.text() == "“band” means unlabelled then and leaves the list of classes."
    dialog._unlabelled.setValue(-1)
    assert not dialog.fields.isRowVisible(dialog.loss)


def test_what_is_impossible_cannot_be_chosen(qtbot: QtBot, tmp_path: Path) -> None:
    dataset = Dataset.open(write_folder(tmp_path / "x"))
    dataset.set_encoding(dataset.encoding.with_unlabelled(11))
    dialog = EncodingDialog(dataset)
    qtbot.addWidget(dialog)
    ok = dialog.buttons.button(QDialogButtonBox.StandardButton.Ok)
    assert ok.isEnabled()
    dialog._unlabelled.setValue(12)
    assert "could not tell them apart" in dialog.say.text()
    assert dialog.fields.isRowVisible(dialog.say)
    assert not ok.isEnabled()
    dialog._unlabelled.setValue(11)
    assert ok.isEnabled()
    assert not dialog.fields.isRowVisible(dialog.say)


def chooser(window: MainWindow, name: str) -> QFileDialog:
    dialog = window.dialogs._open[name]
    assert isinstance(dialog, QFileDialog)
    return dialog


def test_choosers_begin_in_the_open_folder_or_where_the_last_choice_was(
    qtbot: QtBot, open_window: Open, tmp_path: Path
) -> None:
    folder = write_folder(tmp_path / "cells" / "images", labels=1)
    window = open_window(folder)
    root = window.session.dataset.root  # type: ignore[union-attr]
    for action, name, place in (
        ("import_classes", "class list", root),
        ("export_classes", "class list", root),
        ("load_model", "model", root),
        ("save_masks", "masks", root.parent),
        ("labels_elsewhere", "labels", window.session.dataset.label_root),  # type: ignore[union-attr]
    ):
        window.actions_by_id[action].trigger()
        assert Path(chooser(window, name).directory().absolutePath()) == place, action
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "names.txt").write_text("a\nb\n", "utf-8")
    window.actions_by_id["import_classes"].trigger()
    chooser(window, "class list").fileSelected.emit(str(tmp_path / "lists" / "names.txt"))
    window.actions_by_id["export_classes"].trigger()
    assert Path(chooser(window, "class list").directory().absolutePath()) == tmp_path / "lists"
    window.actions_by_id["load_model"].trigger()
    assert Path(chooser(window, "model").directory().absolutePath()) == root, "each purpose has a place of its own"


def test_choosing_a_place_for_an_export_begins_in_the_open_folder(
    qtbot: QtBot, open_window: Open, tmp_path: Path
) -> None:
    window = open_window(write_folder(tmp_path / "x", labels=1))

    def begins() -> Path:
        window.dialogs.export()
        dialog = window.dialogs._open["export"]
        assert isinstance(dialog, ExportDialog)
        dialog._choose()
        found = dialog.findChildren(QFileDialog)[-1]
        place = Path(found.directory().absolutePath())
        found.close()
        dialog.path.setText(str(tmp_path / "elsewhere" / "out"))
        dialog.buttons.button(QDialogButtonBox.StandardButton.Ok).click()
        qtbot.waitUntil(lambda: "export" not in window.dialogs._open and not window.runner.busy, timeout=20_000)
        return place

    assert begins() == tmp_path / "x"
    assert begins() == tmp_path / "elsewhere"


def test_the_dialog_of_colours_says_of_what_and_has_room(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x", labels=1))
    window.classes.recolour_wanted.emit(1)
    dialog = window.dialogs._open["colour"]
    assert dialog.windowTitle() == "Colour of “class 1”"
    qtbot.waitUntil(lambda: dialog.childrenRect().left() >= 14 and dialog.childrenRect().top() >= 14)


def test_what_the_touching_border_is_for_is_said_where_it_is_met(
    qtbot: QtBot, open_window: Open, tmp_path: Path
) -> None:
    dialog = ImportDialog(["coco", "instances"])
    qtbot.addWidget(dialog)

    def shown() -> bool:
        rows = [each for each in dialog.findChildren(QLabel) if "keeps neighbours apart" in each.text()]
        return dialog.fields.isRowVisible(rows[0])

    assert not shown()
    dialog.format.setCurrentIndex(dialog.format.findData("instances"))
    assert shown()
    (tmp_path / "objects").mkdir()
    numbers = np.zeros((60, 80), np.uint8)
    numbers[5:20, 5:20], numbers[5:20, 20:40] = 1, 2
    (tmp_path / "objects" / "0.png").write_bytes(png.encode(numbers))
    window = open_window(write_folder(tmp_path / "x"))
    window.exchange.import_labels("instances", tmp_path / "objects", {})
    text = "“touching border” keeps objects apart that touch"
    qtbot.waitUntil(lambda: any(text in m.text for m in window.stage.messages.messages), timeout=20_000)


def test_the_arrows_of_the_file_dialog_can_be_seen(open_window: Open) -> None:
    window = open_window(None)
    window.dialogs.open_folder()
    dialog = window.dialogs._open["open"]
    for name in ("backButton", "forwardButton", "toParentButton"):
        button = dialog.findChild(QToolButton, name)
        assert button is not None
        image = button.icon().pixmap(16, 16).toImage()
        drawn = {
            image.pixelColor(x, y).name() for x in range(16) for y in range(16) if image.pixelColor(x, y).alpha() > 250
        }
        assert theme.current().text in drawn, name
    dialog.close()


def test_masks_are_not_saved_among_the_images(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    root = write_folder(tmp_path / "x", labels=2)
    write_folder(root / "a", images=2)
    before = {path: path.read_bytes() for path in (root / "a").iterdir()}
    window = open_window(root)
    window.dialogs._save_masks(root / "a")
    assert {"warning"} == set(window.dialogs._open), "neither begun nor asked"
    assert not window.runner.busy
    assert {path: path.read_bytes() for path in (root / "a").iterdir()} == before


def test_why_there_is_no_answer_yet_is_said(qtbot: QtBot) -> None:
    for dialog, what in (ExportDialog(["coco"]), "folder"), (ImportDialog(["coco"]), "file or folder"):
        qtbot.addWidget(dialog)
        dialog.show()
        ok = dialog.buttons.button(QDialogButtonBox.StandardButton.Ok)
        assert not ok.isEnabled()
        assert dialog.missing.isVisible()
        assert dialog.missing.text() == f"Choose a {what} first."
        height = dialog.height()
        dialog.path.setText("/somewhere")
        assert ok.isEnabled()
        assert dialog.missing.text() == ""
        assert dialog.height() == height, "nothing jumps under the pointer"
        dialog.path.setText("  ")
        assert dialog.missing.text() == f"Choose a {what} first."


def test_the_logo_stands_beside_what_the_program_is(open_window: Open) -> None:
    window = open_window(None)
    window.dialogs.about()
    box = window.dialogs._open["about"]
    assert isinstance(box, QMessageBox)
    logo = box.iconPixmap()
    assert logo.deviceIndependentSize().toTuple() == (48, 48)
    box.close()
