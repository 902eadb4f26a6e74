"""Export to and import from the formats of other programs: which one, where, and how."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QCheckBox, QDialogButtonBox, QFileDialog, QLineEdit, QWidget

from unet_gui.app.dialogs.forms import Form
from unet_gui.app.widgets import button, label, row

FORMATS: dict[str, str] = {
    "masks": "masks as this folder's labels are stored",
    "index": "PNG of class numbers",
    "binary": "PNG of 0 and 255",
    "palette": "PNG with a palette",
    "color": "PNG of colours, with a table",
    "tiff": "TIFF, 8 bit",
    "tiff16": "TIFF, 16 bit",
    "instances": "objects numbered, TIFF or PNG",
    "coco": "COCO (JSON)",
    "labelme": "labelme (JSON)",
    "yolo": "YOLO segmentation (text)",
    "imagej": "ImageJ ROIs (zip)",
    "csv": "measurements of objects (CSV)",
}
"""Formats in the words of the list; those that core does not know (yet) do not show."""


class _ExchangeDialog(Form):
    """A format, a place, and whether to replace what is there."""

    def __init__(self, title: str, formats: list[str], place: str, replace: str, parent: QWidget | None) -> None:
        super().__init__(title, parent)
        self.setMinimumWidth(480)
        self._format = self.combo("Format", [(name, FORMATS.get(name, name)) for name in formats], formats[0])
        self.path = QLineEdit()
        self.path.setAccessibleName(place)
        choose = button("Choose…", tip=f"Choose the {place.lower()}")
        choose.clicked.connect(self._choose)
        line = row(self.path, choose)
        line.setStretch(0, 1)
        self.fields.addRow(place, line)
        self.overwrite: QCheckBox = self.check(replace, False)
        self.note = label("", "muted", wrap=True)
        box = QDialogButtonBox.StandardButton
        self.buttons.setStandardButtons(box.Ok | box.Cancel)
        self.buttons.accepted.connect(self._on_ok)
        self.path.textChanged.connect(self._on_path)
        self._on_path()

    def _choose(self) -> None:
        raise NotImplementedError

    @Slot()
    def _on_path(self) -> None:
        self.buttons.button(QDialogButtonBox.StandardButton.Ok).setEnabled(bool(self.path.text().strip()))

    @Slot()
    def _on_ok(self) -> None:
        raise NotImplementedError


class ExportDialog(_ExchangeDialog):
    """What to export.

    Signals
    -------
    chosen(format, folder, only labels, overwrite)
    """

    chosen = Signal(str, object, bool, bool)

    def __init__(self, formats: list[str], parent: QWidget | None = None) -> None:
        super().__init__("Export", formats, "Folder", "Replace files that are there", parent)
        self.only_labels = self.check("Labels only, no predictions", False, "Images without a label are left out then")
        self.fields.addRow(
            label("Each image's mask: your label, and the prediction where you have said nothing.", "muted", wrap=True)
        )

    def _choose(self) -> None:
        dialog = QFileDialog(self, "Folder for the export", self.path.text())
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.fileSelected.connect(self.path.setText)
        dialog.open()

    @Slot()
    def _on_ok(self) -> None:
        place = Path(self.path.text().strip()).expanduser()
        self.chosen.emit(self._format.currentData(), place, self.only_labels.isChecked(), self.overwrite.isChecked())
        self.accept()


class ImportDialog(_ExchangeDialog):
    """What to import.

    Signals
    -------
    chosen(format, source, overwrite)
    """

    chosen = Signal(str, object, bool)

    def __init__(self, formats: list[str], parent: QWidget | None = None) -> None:
        super().__init__("Import labels", formats, "File or folder", "Replace labels that are there", parent)
        self.fields.addRow(
            label("Files are matched with images by name, classes by name; new classes are added.", "muted", wrap=True)
        )

    def _choose(self) -> None:
        files = self._format.currentData() in ("coco", "imagej")
        dialog = QFileDialog(self, "What to import", self.path.text())
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile if files else QFileDialog.FileMode.Directory)
        dialog.fileSelected.connect(self.path.setText)
        dialog.open()

    @Slot()
    def _on_ok(self) -> None:
        place = Path(self.path.text().strip()).expanduser()
        self.chosen.emit(self._format.currentData(), place, self.overwrite.isChecked())
        self.accept()
