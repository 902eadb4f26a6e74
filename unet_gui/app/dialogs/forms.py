"""The settings: of the program, of the model, of how labels are stored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from PySide6.QtCore import QEvent, Qt, Signal, Slot
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QFormLayout,
    QLayout,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from unet_gui.app import theme
from unet_gui.app.folder import lost_classes
from unet_gui.app.model_facts import Wishes
from unet_gui.app.settings import Settings
from unet_gui.app.widgets import indent, label, row
from unet_gui.core.errors import UserError
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.project import Dataset
from unet_gui.core.store import BINARY, INDEX, Encoding


class Form(QDialog):
    """A small dialog of named fields. Never modal: the window stays usable behind it.

    Attributes
    ----------
    fields : QFormLayout
    missing : QLabel
        Beside the buttons: what has to be said before the answer can be given.
    """

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.setModal(False)
        self.setMinimumWidth(400)
        self.fields = QFormLayout()
        self.fields.setHorizontalSpacing(16)
        self.fields.setVerticalSpacing(10)
        self.fields.setLabelAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.buttons = QDialogButtonBox()
        self.missing = label("", "muted", wrap=True)
        bottom = row(self.missing, self.buttons)
        bottom.setStretch(0, 1)
        self._layout = layout = QVBoxLayout(self)
        layout.setContentsMargins(18, 18, 18, 14)
        layout.setSpacing(14)
        layout.setSizeConstraint(QLayout.SizeConstraint.SetNoConstraint)
        layout.addLayout(self.fields)
        layout.addLayout(bottom)
        self.buttons.rejected.connect(self.reject)

    def event(self, event: QEvent) -> bool:
        if event.type() in (QEvent.Type.LayoutRequest, QEvent.Type.Resize, QEvent.Type.Show):
            self._fit()
        return super().event(event)

    def _fit(self) -> None:
        """Be as high as the texts need at this width: a layout alone does not ask for more when one grows."""
        layout = self._layout
        self.setMinimumWidth(max(400, layout.totalMinimumSize().width()))
        wraps = layout.hasHeightForWidth()
        self.setFixedHeight(layout.totalHeightForWidth(self.width()) if wraps else layout.totalSizeHint().height())

    def add(self, name: str, field: QWidget | QLayout) -> None:
        """Add a field. Its name stands at the middle of it; a layout would put that of a high field too high."""
        text = label(name)
        text.setMinimumHeight(field.sizeHint().height())
        if isinstance(field, QWidget):
            text.setBuddy(field)
            self.fields.addRow(text, field)
        else:
            self.fields.addRow(text, field)

    def combo(self, name: str, choices: list[tuple[str, str]], current: str, tip: str = "") -> QComboBox:
        """Add a choice; each is (value, text)."""
        widget = QComboBox()
        for value, text in choices:
            widget.addItem(text, value)
        widget.setCurrentIndex(max(0, widget.findData(current)))
        widget.setAccessibleName(name)
        widget.setToolTip(tip)
        self.add(name, widget)
        return widget

    def check(self, text: str, on: bool, tip: str = "") -> QCheckBox:
        """Add a yes or no."""
        widget = QCheckBox(text)
        widget.setChecked(on)
        widget.setToolTip(tip)
        self.fields.addRow("", widget)
        return widget


class SettingsDialog(Form):
    """The program's settings; each counts at once."""

    def __init__(self, settings: Settings, parent: QWidget | None = None) -> None:
        super().__init__("Settings", parent)
        self._settings = settings
        names = {"system": "As the system", "dark": "Dark", "light": "Light"}
        self._theme = self.combo("Theme", [(value, names[value]) for value in theme.CHOICES], settings.get("theme"))
        self._autosave = self.check(
            "Save labels automatically",
            settings.get("autosave"),
            "After a quiet moment and when another image is opened. Off: only with Ctrl+S and when the window closes.",
        )
        self._screen = self.check(
            "Brush size counts screen pixels",
            settings.get("brush_in_screen_pixels"),
            "The brush keeps its size on the screen when you zoom, so it becomes finer on the image.",
        )
        self.buttons.addButton(QDialogButtonBox.StandardButton.Close)
        self._theme.currentIndexChanged.connect(self._on_change)
        self._autosave.toggled.connect(self._on_change)
        self._screen.toggled.connect(self._on_change)

    @Slot()
    def _on_change(self) -> None:
        self._settings.set("theme", self._theme.currentData())
        self._settings.set("autosave", self._autosave.isChecked())
        self._settings.set("brush_in_screen_pixels", self._screen.isChecked())


class ModelDialog(Form):
    """How models are trained and used in this folder.

    Signals
    -------
    chosen(Wishes)
    """

    chosen = Signal(object)

    def __init__(self, wishes: Wishes, devices: list[str], parent: QWidget | None = None) -> None:
        super().__init__("Model settings", parent)
        self._wishes = wishes
        recipes = [("fast", "fast — learns in minutes"), ("tutorial", "tutorial — exactly as the tutorial, hours")]
        self._recipe = self.combo("Recipe", recipes, wishes.recipe, "A named set of training choices")
        self._minutes = QDoubleSpinBox()
        indent(self._minutes)
        self._minutes.setRange(0.1, 24 * 60)
        self._minutes.setDecimals(1)
        self._minutes.setSuffix(" min")
        self._minutes.setValue(wishes.minutes)
        self._minutes.setAccessibleName("Training time")
        self._minutes.setToolTip("It may stop earlier, when nothing more comes of it")
        self.add("Training time", self._minutes)
        scores = [
            ("auto", "whichever fits the classes"),
            ("dice", "overlap (Dice)"),
            ("rand", "regions (Rand F)"),
        ]
        self._score = self.combo(
            "Judged by", scores, wishes.score, "The score by which the best model and its threshold are chosen"
        )
        names = {"auto": "best available", "cpu": "processor", "cuda": "NVIDIA card", "mps": "Apple GPU"}
        known = list(dict.fromkeys(["auto", *devices, "cpu", "cuda", "mps"]))
        self._device = self.combo("Device", [(name, names.get(name, name)) for name in known], wishes.device)
        self._start = self.check(
            "Begin with the model in use", wishes.start_from, "What fits of its weights is kept, the rest is new"
        )
        self._tta = self.check(
            "Predict several ways and average", wishes.tta, "Flipped and turned: slower, a little better"
        )
        box = QDialogButtonBox.StandardButton
        self.buttons.setStandardButtons(box.Ok | box.Cancel)
        self.buttons.accepted.connect(self._on_ok)
        self._recipe.currentIndexChanged.connect(self._on_recipe)
        self._on_recipe()

    @Slot()
    def _on_recipe(self) -> None:
        self._minutes.setEnabled(self._recipe.currentData() != "tutorial")

    @Slot()
    def _on_ok(self) -> None:
        self.chosen.emit(
            Wishes(
                recipe=self._recipe.currentData(),
                minutes=self._minutes.value(),
                device=self._device.currentData(),
                score=self._score.currentData(),
                tta=self._tta.isChecked(),
                start_from=self._start.isChecked(),
                model=self._wishes.model,
            )
        )
        self.accept()


class EncodingDialog(Form):
    """How labels are stored in this folder.

    Signals
    -------
    chosen(Encoding)
    """

    chosen = Signal(object)

    def __init__(self, dataset: Dataset, parent: QWidget | None = None) -> None:
        super().__init__("How labels are stored", parent)
        self._dataset = dataset
        self._now = dataset.encoding
        self._kinds = {"index": INDEX, "binary": BINARY}
        if self._now.kind == "map":
            self._kinds = {"map": self._now, **self._kinds}
        choices = [(kind, encoding.describe()) for kind, encoding in self._kinds.items()]
        self.fields.addRow(label(f"Labels are in {dataset.label_root}", "muted", wrap=True))
        self._kind = self.combo("Pixel values", choices, self._now.kind)
        self._unlabelled = QSpinBox()
        indent(self._unlabelled)
        self._unlabelled.setRange(-1, 65535)
        self._unlabelled.setSpecialValueText("as above")
        self._unlabelled.setValue(-1)
        self._unlabelled.setAccessibleName("Value that means unlabelled")
        self._unlabelled.setToolTip("A pixel value that stands for “nobody has said”, such as 11 in CamVid")
        self.add("Unlabelled is", self._unlabelled)
        self.say = label("", "error", wrap=True)
        self.fields.addRow(self.say)
        self.loss = label("", wrap=True)
        self.fields.addRow(self.loss)
        note = (
            "A choice counts for labels that are saved from now on and says how those on disk are read; "
            "no file is converted."
        )
        self.fields.addRow(label(note, "muted", wrap=True))
        told = f"Labels: {self._now.describe()}."  # which the choice says itself, also when it is another one
        for text in filter(None, (text.removeprefix(told).strip() for text in dataset.notes)):
            self.fields.addRow(label(text, "muted", wrap=True))
        box = QDialogButtonBox.StandardButton
        self.buttons.setStandardButtons(box.Ok | box.Cancel)
        self.buttons.accepted.connect(self._on_ok)
        self._kind.currentIndexChanged.connect(self._explain)
        self._unlabelled.valueChanged.connect(self._explain)
        self._explain()

    def _encoding(self) -> Encoding | None:
        """Return what is chosen; None when it is impossible, which is said."""
        try:
            encoding = self._wished(self._kind.currentData())
        except UserError as error:
            self.say.setText(f"{error.message} {error.hint}".strip())
            return None
        self.say.setText("")
        return encoding

    def _wished(self, kind: str) -> Encoding:
        """Return an encoding with the value for unlabelled that is chosen; raises UserError."""
        value = self._unlabelled.value()
        return self._kinds[kind].with_unlabelled(value) if value >= 0 else self._kinds[kind]

    @Slot()
    def _explain(self) -> None:
        """Say what pixel values mean, and what the chosen ones cannot hold."""
        for at, (kind, plain) in enumerate(self._kinds.items()):
            try:
                self._kind.setItemText(at, self._wished(kind).describe())
            except UserError:
                self._kind.setItemText(at, plain.describe())
        encoding = self._encoding()
        self.loss.setText(" ".join(_losses(self._dataset, encoding)) if encoding is not None else "")
        for widget in (self.say, self.loss):
            self.fields.setRowVisible(widget, bool(widget.text()))
        self.buttons.button(QDialogButtonBox.StandardButton.Ok).setEnabled(encoding is not None)

    @Slot()
    def _on_ok(self) -> None:
        encoding = self._encoding()
        if encoding is None:
            return
        if encoding != self._now:
            self.chosen.emit(encoding)
        self.accept()


def _losses(dataset: Dataset, encoding: Encoding) -> Iterator[str]:
    """Yield what becomes of classes that an encoding has no pixel value for."""
    gone = lost_classes(dataset.encoding, encoding)
    names = [info.name for info in dataset.classes if info.id in gone]
    if names:
        verbs = "mean unlabelled then and leave" if len(names) > 1 else "means unlabelled then and leaves"
        yield f"{_quoted(names, 'and')} {verbs} the list of classes."
    if encoding.kind == "index":
        return
    held = {class_id for _, class_id in encoding.pairs()}
    if encoding.kind == "binary":
        shown = {info.id: info.name for info in dataset.classes}
        yield f"0 is {_quoted([shown.get(0, 'class 0')], '')}, 255 is {_quoted([shown.get(1, 'class 1')], '')}."
    others = [info.name for info in dataset.classes if info.id not in held | gone]
    what = [_quoted(others, "or")] if others else []
    what += ["unlabelled pixels"] if UNLABELLED not in held else []
    if what:
        yield f"A label with {' or with '.join(what)} does not fit: it is written as class numbers, and marked as such."


def _quoted(names: Sequence[str], word: str) -> str:
    """Return names in a row, the first of many."""
    shown = [f"“{name}”" for name in names[:4]]
    if len(names) > 4:
        shown[3:] = [f"{len(names) - 3} other classes"]
    return ", ".join(shown[:-1]) + f" {word} " * (len(shown) > 1) + shown[-1]
