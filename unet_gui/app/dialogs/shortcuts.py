"""All keys, with a search field. A double click on a row gives its action other keys."""

from __future__ import annotations

from PySide6.QtCore import QSortFilterProxyModel, Qt, Signal, Slot
from PySide6.QtGui import QKeySequence, QStandardItem, QStandardItemModel
from PySide6.QtWidgets import (
    QDialog,
    QHeaderView,
    QKeySequenceEdit,
    QTreeView,
    QVBoxLayout,
    QWidget,
)

from unet_gui.app.actions import GESTURES, ActionTable
from unet_gui.app.widgets import button, label, row, search_field

_ID = int(Qt.ItemDataRole.UserRole)
_SEARCH = _ID + 1


def shown(keys: list[str]) -> str:
    """Return keys as the person's system writes them."""
    native = QKeySequence.SequenceFormat.NativeText
    return ", ".join(QKeySequence(key).toString(native) for key in keys)


class ShortcutsDialog(QDialog):
    """The list of shortcuts.

    Signals
    -------
    keys_wanted(action, keys)
        The person gives an action these keys; None for the default ones.
    """

    keys_wanted = Signal(str, object)

    def __init__(self, actions: ActionTable, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keyboard shortcuts")
        self.setModal(False)
        self.resize(620, min(640, round(0.9 * self.screen().availableGeometry().height())))
        self._actions = actions
        self.field = search_field("Search shortcuts", "Search: what it does, or a key")
        self._model = QStandardItemModel(0, 3, self)
        self._model.setHorizontalHeaderLabels(["What", "Keys", "Where"])
        self._sieve = QSortFilterProxyModel(self)
        self._sieve.setSourceModel(self._model)
        self._sieve.setFilterRole(_SEARCH)
        self._sieve.setFilterCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.table = self._make_table()
        self._edit = QKeySequenceEdit()
        self._edit.setMaximumSequenceLength(1)
        self._edit.setAccessibleName("New key")
        self._edit.setEnabled(False)
        self._say = label("Choose a row, then press its new key in the field.", "muted", wrap=True)
        self._use = button("Use this key", "primary")
        self._default = button("Default")
        self._all = button("All defaults")
        close = button("Close")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(14, 14, 14, 14)
        layout.setSpacing(10)
        layout.addWidget(self.field)
        layout.addWidget(self.table, 1)
        layout.addWidget(self._say)
        layout.addLayout(row(self._edit, self._use, self._default, self._all, 1, close))
        self.field.textChanged.connect(self._sieve.setFilterFixedString)
        self.table.selectionModel().currentChanged.connect(self._on_row)
        self._edit.keySequenceChanged.connect(self._on_key)
        self._use.clicked.connect(self._on_use)
        self._default.clicked.connect(self._on_default)
        self._all.clicked.connect(self._on_all)
        close.clicked.connect(self.close)
        actions.keys_changed.connect(self.fill)
        self.fill()
        self.field.setFocus()

    def _make_table(self) -> QTreeView:
        table = QTreeView()
        table.setModel(self._sieve)
        table.setRootIsDecorated(False)
        table.setUniformRowHeights(True)
        table.setEditTriggers(QTreeView.EditTrigger.NoEditTriggers)
        table.setAccessibleName("Shortcuts")
        header = table.header()
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(2, QHeaderView.ResizeMode.ResizeToContents)
        header.setStretchLastSection(False)
        return table

    @Slot()
    def fill(self) -> None:
        """Show what the keys are now."""
        chosen = self._chosen()
        self._model.removeRows(0, self._model.rowCount())
        rows = [
            (spec.group, spec.text.rstrip("…"), spec.tip, self._keys(name), name)
            for name, spec in self._actions.specs.items()
        ]
        rows += [(gesture.group, gesture.text, "", gesture.keys, "") for gesture in GESTURES]
        for group, text, tip, keys, name in sorted(rows, key=lambda each: (each[0], not each[4])):
            items = [QStandardItem(part) for part in (text, keys, group)]
            for item in items:
                item.setData(name, _ID)
                item.setData(f"{text} {tip} {keys} {group}", _SEARCH)
                item.setToolTip(tip)
            self._model.appendRow(items)
            if name and name == chosen:
                self.table.setCurrentIndex(self._sieve.mapFromSource(items[0].index()))
        self._on_row()

    def _keys(self, name: str) -> str:
        """Return the keys of an action, and who has one of them too."""
        keys = self._actions.keys(name)
        others = {self._actions.specs[other].text for key in keys if (other := self._actions.conflict(name, key))}
        also = f"  ⚠ also {', '.join(sorted(others))}" if others else ""
        return shown(keys) + also

    def _chosen(self) -> str:
        index = self.table.currentIndex()
        return str(index.data(_ID) or "") if index.isValid() else ""

    @Slot()
    def _on_row(self) -> None:
        name = self._chosen()
        self._edit.clear()
        self._edit.setEnabled(bool(name))
        self._default.setEnabled(bool(name))
        self._use.setEnabled(False)
        self._say.setText(
            self._actions.specs[name].tip if name else "Choose a row, then press its new key in the field below."
        )

    @Slot(QKeySequence)
    def _on_key(self, sequence: QKeySequence) -> None:
        name = self._chosen()
        key = sequence.toString(QKeySequence.SequenceFormat.PortableText)
        self._use.setEnabled(bool(name and key))
        taken = self._actions.conflict(name, key) if key else ""
        if taken:
            self._say.setText(f"{shown([key])} belongs to “{self._actions.specs[taken].text}”, which would lose it.")
        elif name:
            self._say.setText(self._actions.specs[name].tip)

    def _take_from_others(self, name: str, key: str) -> None:
        """Take a key from the action that has it."""
        taken = self._actions.conflict(name, key)
        if taken:
            wanted = QKeySequence(key)
            left = [other for other in self._actions.keys(taken) if QKeySequence(other) != wanted]
            self.keys_wanted.emit(taken, left)

    @Slot()
    def _on_use(self) -> None:
        name = self._chosen()
        key = self._edit.keySequence().toString(QKeySequence.SequenceFormat.PortableText)
        self._take_from_others(name, key)
        self.keys_wanted.emit(name, [key])

    @Slot()
    def _on_default(self) -> None:
        name = self._chosen()
        for key in self._actions.specs[name].keys:
            self._take_from_others(name, key)
        self.keys_wanted.emit(name, None)

    @Slot()
    def _on_all(self) -> None:
        for name, spec in self._actions.specs.items():  # only those: every one has all keys set and the list filled
            keys = [QKeySequence(key) for key in self._actions.keys(name)]
            if keys != [QKeySequence(key) for key in spec.keys]:
                self.keys_wanted.emit(name, None)
