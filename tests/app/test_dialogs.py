"""Dialogs say what a choice means before it is made."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import QDialogButtonBox, QLabel
from pytestqt.qtbot import QtBot

from tests.app.kit import write_folder
from unet_gui.app.dialogs.forms import EncodingDialog
from unet_gui.core.palette import ClassInfo
from unet_gui.core.project import Dataset

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
