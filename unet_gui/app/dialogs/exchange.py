"""Export to and import from the formats of other programs: which one, where, and how."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QCheckBox, QComboBox, QDialogButtonBox, QFileDialog, QLineEdit, QSpinBox, QWidget

from unet_gui.app.dialogs.forms import Form
from unet_gui.app.widgets import button, indent, label, row
from unet_gui.core.palette import ClassInfo

FORMATS: dict[str, str] = {
    "masks": "masks as this folder's labels are stored",
    "index": "PNG of class numbers",
    "binary": "PNG of 0 and 255",
    "palette": "PNG with a palette",
    "color": "PNG of colours, with a table",
    "tiff": "TIFF, 8 bit",
    "tiff16": "TIFF, 16 bit",
    "instances": "objects numbered (PNG)",
    "coco": "COCO (JSON)",
    "labelme": "labelme (JSON)",
    "yolo": "YOLO segmentation (text)",
    "imagej": "ImageJ ROIs (zip)",
    "csv": "measurements of objects (CSV)",
}
"""Formats in the words of the list; those that core does not know (yet) do not show."""


EXPORT_NAMES = {
    "overwrite": "Replace files that are there",
    "only_labels": "Labels only, no predictions",
    "background": "Background",
    "foreground": "Class that becomes 255",
    "segmentation": "Shapes",
    "copy_images": "Copy the images too",
}
"""What the fields of an export are called, in the dialog and in messages."""
IMPORT_NAMES = {
    "overwrite": "Replace labels that are there",
    "background": "Pixels in no object",
    "suffix": "Ending of names",
    "unlabelled": "Unlabelled value",
    "object_class": "Class of objects",
    "touching": "Touching border",
}
"""What the fields of an import are called."""
_PICTURES = ("masks", "index", "binary", "palette", "color", "tiff", "tiff16")
EXPORT_OPTIONS: dict[str, tuple[str, ...]] = {
    "background": ("instances", "coco", "labelme", "yolo", "imagej", "csv"),
    "foreground": ("binary",),
    "segmentation": ("coco",),
    "copy_images": ("yolo",),
}
"""Options of an export, and the formats that have them."""
IMPORT_OPTIONS: dict[str, tuple[str, ...]] = {
    "background": ("instances", "coco", "labelme", "yolo", "imagej"),
    "suffix": (*_PICTURES, "instances", "labelme", "yolo", "imagej"),
    "unlabelled": _PICTURES,
    "object_class": ("instances", "imagej"),
    "touching": ("instances",),
}
"""Options of an import, and the formats that have them."""


class _ExchangeDialog(Form):
    """A format, a place, whether to replace what is there, and what else the format needs to know.

    Signals
    -------
    chosen(format, place, options)
        The options are fields of `ExportOptions` or `ImportOptions`.
    """

    chosen = Signal(str, object, object)

    def __init__(
        self,
        title: str,
        formats: list[str],
        classes: Sequence[ClassInfo],
        words: tuple[str, str],
        fitting: dict[str, tuple[str, ...]],
        parent: QWidget | None,
    ) -> None:
        super().__init__(title, parent)
        self._classes = list(classes)
        self._fitting = fitting
        self._options: dict[str, QWidget] = {}
        self.start = Path.home()
        """Where choosing a place begins."""
        self.format = self.combo("Format", [(name, FORMATS.get(name, name)) for name in formats], formats[0])
        place, replace = words
        self._place = place
        self.path = QLineEdit()
        self.path.setAccessibleName(place)
        self.path.setMinimumWidth(360)
        choose = button("Choose…", tip=f"Choose the {place.lower()}")
        choose.clicked.connect(self._choose)
        line = row(self.path, choose)
        line.setStretch(0, 1)
        self.add(place, line)
        self.overwrite: QCheckBox = self.check(replace, False)
        box = QDialogButtonBox.StandardButton
        self.buttons.setStandardButtons(box.Ok | box.Cancel)
        self.buttons.button(box.Ok).setText(title.partition(" ")[0])
        self.buttons.accepted.connect(self._on_ok)
        self.path.textChanged.connect(self._on_path)
        self.format.currentIndexChanged.connect(self._on_format)
        self._on_path()

    def option(self, name: str, widget: QWidget) -> None:
        """Make a widget the field of an option."""
        self._options[name] = widget

    def class_combo(self, text: str, first: list[tuple[str, str]], tip: str) -> QComboBox:
        """Add a choice of a class."""
        return self.combo(text, [*first, *((str(info.id), info.name) for info in self._classes)], first[0][0], tip)

    def options(self) -> dict[str, Any]:
        """Return what was chosen, of the options that this format has."""
        chosen: dict[str, Any] = {"overwrite": self.overwrite.isChecked()}
        for name, widget in self._options.items():
            if self.format.currentData() in self._fitting.get(name, (self.format.currentData(),)):
                chosen[name] = _value(widget)
        return chosen

    def _choose(self) -> None:
        raise NotImplementedError

    @Slot()
    def _on_path(self) -> None:
        there = bool(self.path.text().strip())
        self.buttons.button(QDialogButtonBox.StandardButton.Ok).setEnabled(there)
        self.missing.setText("" if there else f"Choose a {self._place.lower()} first.")

    @Slot()
    def _on_format(self) -> None:
        """Show the options that this format has, and no others."""
        for name, widget in self._options.items():
            self.fields.setRowVisible(widget, self.format.currentData() in self._fitting.get(name, ()))

    @Slot()
    def _on_ok(self) -> None:
        place = Path(self.path.text().strip()).expanduser()
        self.chosen.emit(self.format.currentData(), place, self.options())
        self.accept()


class ExportDialog(_ExchangeDialog):
    """What to export."""

    def __init__(self, formats: list[str], classes: Sequence[ClassInfo] = (), parent: QWidget | None = None) -> None:
        words = "Folder", EXPORT_NAMES["overwrite"]
        super().__init__("Export", formats, classes, words, EXPORT_OPTIONS, parent)
        self.only_labels = self.check(EXPORT_NAMES["only_labels"], False, "Images without a label are left out then")
        auto = [("auto", "class 0 if it is called background"), ("none", "none: every class is objects")]
        self.option(
            "background", self.class_combo(EXPORT_NAMES["background"], auto, "This class is not written as objects")
        )
        only = [("", "the only one besides background")]
        self.option("foreground", self.class_combo(EXPORT_NAMES["foreground"], only, "All others become 0"))
        kinds = [("auto", "outlines, run lengths for holes"), ("polygon", "outlines"), ("rle", "run lengths: exact")]
        self.option(
            "segmentation", self.combo(EXPORT_NAMES["segmentation"], kinds, "auto", "How COCO stores an object")
        )
        self.option(
            "copy_images", self.check(EXPORT_NAMES["copy_images"], False, "So that YOLO can be trained on the folder")
        )
        text = "Each image's mask: your label, and the prediction where you have said nothing."
        self.fields.addRow(label(text, "muted", wrap=True))
        self._on_format()

    def options(self) -> dict[str, Any]:
        return {**super().options(), "only_labels": self.only_labels.isChecked()}

    def _choose(self) -> None:
        dialog = QFileDialog(self, "Folder for the export", self.path.text().strip() or str(self.start))
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.fileSelected.connect(self.path.setText)
        dialog.open()


class ImportDialog(_ExchangeDialog):
    """What to import."""

    def __init__(self, formats: list[str], classes: Sequence[ClassInfo] = (), parent: QWidget | None = None) -> None:
        words = "File or folder", IMPORT_NAMES["overwrite"]
        super().__init__("Import labels", formats, classes, words, IMPORT_OPTIONS, parent)
        auto = [("auto", "as the file says, else class 0 if it is called background"), ("none", "unlabelled")]
        tip = "What they become. Where the file does not say it: class 0 if it is called background, else unlabelled"
        self.option("background", self.class_combo(IMPORT_NAMES["background"], auto, tip))
        self.option(
            "suffix", self._line(IMPORT_NAMES["suffix"], "_mask", "What the files have behind the image's name")
        )
        self.option(
            "unlabelled", self._number(IMPORT_NAMES["unlabelled"], -1, 65535, -1, "This pixel value means unlabelled")
        )
        self.option(
            "object_class", self._line(IMPORT_NAMES["object_class"], "object", "For objects that come without a class")
        )
        touching = "Pixels so near to another object become the class “touching border”; 0: none"
        self.option("touching", self._number(IMPORT_NAMES["touching"], 0, 99, 1, touching))
        why = (
            "“Touching border” is a class for the pixels where objects touch. It keeps neighbours apart: "
            "a model learns classes, not objects."
        )
        self._why_touching = label(why, "muted", wrap=True)
        self.fields.addRow(self._why_touching)
        text = (
            "Files are matched with images by name, classes by name; new classes are added. An import cannot be undone."
        )
        self.fields.addRow(label(text, "muted", wrap=True))
        self._on_format()

    @Slot()
    def _on_format(self) -> None:
        super()._on_format()
        self.fields.setRowVisible(self._why_touching, self.fields.isRowVisible(self._options["touching"]))

    def _line(self, name: str, example: str, tip: str) -> QLineEdit:
        widget = QLineEdit()
        widget.setPlaceholderText(f"e.g. {example}")
        widget.setAccessibleName(name)
        widget.setToolTip(tip)
        self.add(name, widget)
        return widget

    def _number(self, name: str, least: int, most: int, now: int, tip: str) -> QSpinBox:
        widget = QSpinBox()
        indent(widget)
        widget.setRange(least, most)
        widget.setValue(now)
        widget.setAccessibleName(name)
        widget.setToolTip(tip)
        if least < 0:
            widget.setSpecialValueText("none")
        self.add(name, widget)
        return widget

    def _choose(self) -> None:
        files = self.format.currentData() in ("coco", "imagej")
        dialog = QFileDialog(self, "What to import", self.path.text().strip() or str(self.start))
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile if files else QFileDialog.FileMode.Directory)
        dialog.fileSelected.connect(self.path.setText)
        dialog.open()


def _value(widget: QWidget) -> Any:
    """Return what a field holds."""
    if isinstance(widget, QComboBox):
        return widget.currentData()
    if isinstance(widget, QCheckBox):
        return widget.isChecked()
    if isinstance(widget, QSpinBox):
        return None if widget.value() < 0 else widget.value()
    assert isinstance(widget, QLineEdit)
    return widget.text().strip()
