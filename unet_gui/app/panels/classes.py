"""The classes: which one is painted, names, colours, keys."""

from __future__ import annotations

from typing import NamedTuple

from PySide6.QtCore import (
    QAbstractItemModel,
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    QRect,
    QRectF,
    QSignalBlocker,
    QSize,
    Qt,
    Signal,
    Slot,
)
from PySide6.QtGui import QColor, QFont, QIcon, QMouseEvent, QPainter, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QToolButton,
    QWidget,
)

from unet_gui.app import theme
from unet_gui.app.widgets import KeysToWindow, Section, button, keyless, search_field, swatch
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.palette import PALETTES, ClassInfo

ID, KEY, HIDDEN = (int(Qt.ItemDataRole.UserRole) + n for n in range(3))
Index = QModelIndex | QPersistentModelIndex
SEARCH_FROM = 11
"""Number of classes from which a search field is of use."""
ROWS = 14
"""Rows shown before the list scrolls, where there is room for them."""
LEAST_ROWS = 4
"""Rows shown in a low window."""


class _Row(QStyledItemDelegate):
    """Draws a class: colour, name, key.

    Attributes
    ----------
    field : QLineEdit or None
        Where a name is being typed that has not been taken yet.
    typed_for : int
        The class that gets it.
    """

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.field: QLineEdit | None = None
        self.typed_for = UNLABELLED

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(100, max(27, option.fontMetrics.height() + 11))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        colors = theme.current()
        rect: QRect = option.rect
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        if option.state & QStyle.StateFlag.State_Selected:
            if option.state & QStyle.StateFlag.State_HasFocus:
                painter.setPen(QColor(colors.accent))
            painter.setBrush(QColor(colors.selected))
            painter.drawRoundedRect(QRectF(rect).adjusted(0.5, 0.5, -0.5, -0.5), 5, 5)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(colors.accent))
            painter.drawRoundedRect(QRect(rect.left(), rect.top() + 5, 2, rect.height() - 10), 1, 1)
        elif option.state & QStyle.StateFlag.State_MouseOver:
            painter.setBrush(QColor(colors.hover))
            painter.drawRoundedRect(rect, 5, 5)
        icon: QIcon = index.data(Qt.ItemDataRole.DecorationRole)
        icon.paint(painter, QRect(rect.left() + 8, rect.center().y() - 6, 14, 14))
        key = index.data(KEY)
        right = rect.right() - 8
        if key:
            width = max(16, option.fontMetrics.horizontalAdvance(key) + 9)
            badge = QRect(right - width, rect.center().y() - 8, width, 17)
            painter.setPen(QColor(colors.strong_line))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(badge, 3, 3)
            painter.setPen(QColor(colors.muted))
            small = QFont(option.font)
            small.setPointSizeF(small.pointSizeF() * 0.85)
            painter.setFont(small)
            painter.drawText(badge, Qt.AlignmentFlag.AlignCenter, key)
            right = badge.left()
        dim = index.data(HIDDEN) or index.data(ID) == UNLABELLED
        painter.setFont(option.font)
        painter.setPen(QColor(colors.muted if dim else colors.text))
        place = QRect(rect.left() + 31, rect.top(), right - rect.left() - 36, rect.height())
        name = index.data() + (" (hidden)" if index.data(HIDDEN) else "")
        name = option.fontMetrics.elidedText(name, Qt.TextElideMode.ElideRight, place.width())
        painter.drawText(place, int(Qt.AlignmentFlag.AlignVCenter), name)
        painter.restore()

    def createEditor(self, parent: QWidget, option: QStyleOptionViewItem, index: Index) -> QWidget:
        editor = super().createEditor(parent, option, index)
        if isinstance(editor, QLineEdit):
            self.field, self.typed_for = editor, index.data(ID)
        return editor

    def setModelData(self, editor: QWidget, model: QAbstractItemModel, index: Index) -> None:
        self.field = None  # it is taken: whoever fills the list because of that needs it no more
        super().setModelData(editor, model, index)

    def destroyEditor(self, editor: QWidget, index: Index) -> None:
        if editor is self.field:
            self.field = None
        super().destroyEditor(editor, index)

    def updateEditorGeometry(self, editor: QWidget, option: QStyleOptionViewItem, index: Index) -> None:
        editor.setGeometry(option.rect.adjusted(26, 0, -2, 0))


class _Typed(NamedTuple):
    """A name that is being typed, for which class, and where in it the person is; no text while none was typed."""

    class_id: int
    text: str | None
    at: int
    selected: tuple[int, int] | None

    @classmethod
    def in_(cls, field: QLineEdit, class_id: int) -> _Typed:
        selected = (field.selectionStart(), field.selectionLength()) if field.hasSelectedText() else None
        return cls(class_id, field.text() if field.isModified() else None, field.cursorPosition(), selected)


class _List(KeysToWindow, QListWidget):
    """The list itself. A row that is dragged changes places with its neighbours at once.

    Signals
    -------
    ordered()
        The person has let go of a row at another place.
    """

    ordered = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.movable = True
        self._held: QListWidgetItem | None = None
        self._moved = False

    def fill_anew(self) -> None:
        """Take all rows away, also one that is held at the moment: Qt deletes them."""
        self._held = None
        self.clear()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if self.state() == QAbstractItemView.State.EditingState:
            self.doItemsLayout()  # Qt leaves rows, and the field in one of them, as wide as they were
        self.scrollTo(self.currentIndex())

    def mousePressEvent(self, event: QMouseEvent) -> None:
        super().mousePressEvent(event)
        item = self.itemAt(event.position().toPoint())
        if event.button() == Qt.MouseButton.LeftButton and self.movable and item and item.data(ID) != UNLABELLED:
            self._held, self._moved = item, False

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._held is None:
            super().mouseMoveEvent(event)
            return
        at = self.row(self._held)
        over = self.itemAt(4, round(event.position().y()))
        if over is None or over is self._held or over.data(ID) == UNLABELLED:
            return
        with QSignalBlocker(self):
            to = self.row(over)
            self.insertItem(to, self.takeItem(at))
            self.setCurrentItem(self._held)
        self._moved = True

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        held, self._held = self._held, None
        super().mouseReleaseEvent(event)
        if held is not None and self._moved:
            self.ordered.emit()


class ClassesSection(Section):
    """The classes of the folder, and the row for unlabelled.

    Signals
    -------
    chosen(int)
        Paint with this class; 255 for unlabelled.
    renamed(int, str), recolour_wanted(int), remove_wanted(int)
    merge_wanted(int, int)
        Make the first class part of the second.
    visible_changed(frozenset)
        These classes are hidden now.
    add_wanted()
    order_wanted(list of int)
        The classes in this order.
    import_wanted(), export_wanted()
        A list of classes from a file, or into one.
    palette_wanted(str)
        Give the classes the colours of this palette; empty for the person's own.
    palette_kept()
        These colours become the person's own palette.
    """

    chosen = Signal(int)
    renamed = Signal(int, str)
    recolour_wanted = Signal(int)
    remove_wanted = Signal(int)
    merge_wanted = Signal(int, int)
    hidden_changed = Signal(object)
    add_wanted = Signal()
    order_wanted = Signal(object)
    import_wanted = Signal()
    export_wanted = Signal()
    palette_wanted = Signal(str)
    palette_kept = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        self._add = button("Add", "link", "Add a class")
        self.more = QToolButton()
        super().__init__("Classes", self._add, self.more, parent=parent)
        self.more.setIcon(theme.icon("more", "muted"))
        self.more.setToolTip("Lists and colours of classes")
        self.more.setAccessibleName("Lists and colours of classes")
        self.more.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.more.clicked.connect(self._on_more)
        self.has_own_palette = False
        self._classes: list[ClassInfo] = []
        self._hidden: frozenset[int] = frozenset()
        self._quiet = False
        self._current = 1
        self._rows = ROWS
        self.search = search_field("Find a class", "Find a class", "Part of a class's name, or its number")
        self.search.hide()
        self.list = _List()
        self.list.setAccessibleName("Classes")
        self._delegate = _Row(self.list)
        self.list.setItemDelegate(self._delegate)
        self.list.setMouseTracking(True)
        self.list.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setEditTriggers(
            QAbstractItemView.EditTrigger.DoubleClicked | QAbstractItemView.EditTrigger.EditKeyPressed
        )
        self.list.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.body.addWidget(self.search)
        self.body.addWidget(self.list)
        self._add.clicked.connect(self.add_wanted)
        self.search.textChanged.connect(self._fill)
        self.list.currentItemChanged.connect(self._on_current)
        self.list.itemChanged.connect(self._on_item)
        self.list.ordered.connect(self._on_ordered)
        self.list.customContextMenuRequested.connect(self._on_menu)

    def set_classes(self, classes: list[ClassInfo]) -> None:
        """Show these classes."""
        self._classes = list(classes)
        hidden = self._hidden & {info.id for info in classes}
        if hidden != self._hidden:  # a number may be given to another class
            self._hidden = hidden
            self.hidden_changed.emit(frozenset(hidden))
        self.search.setVisible(len(classes) >= SEARCH_FROM)
        self._fill()

    def set_current(self, class_id: int) -> None:
        """Mark the class that is painted."""
        now = self.list.currentItem()
        if now is not None and now.data(ID) == self._delegate.typed_for != class_id:
            self._take_typed()  # Qt would while the mark moves, when nothing may happen to the list
        self._current = class_id
        self._quiet = True
        shown = [self.list.item(row).data(ID) for row in range(self.list.count())]
        self.list.setCurrentRow(shown.index(class_id) if class_id in shown else -1)  # a search may have hidden it
        self._quiet = False

    def edit(self, class_id: int) -> None:
        """Let the person type the name of a class."""
        for row in range(self.list.count()):
            if self.list.item(row).data(ID) == class_id:
                self.list.setFocus()
                self.list.editItem(self.list.item(row))

    @Slot()
    def _fill(self) -> None:
        wanted = self.search.text().lower() if self.search.isVisibleTo(self) else ""
        field = self._delegate.field
        typed = None if field is None else _Typed.in_(field, self._delegate.typed_for)
        self._quiet = True
        self.list.fill_anew()
        self.list.movable = not wanted
        for place, info in enumerate(self._classes):
            if wanted in info.name.lower() or wanted == str(info.id):
                key = str(place) if place < 10 else ""
                self._row(info.id, info.name, swatch(info.id, info.color), key, editable=True)
        self._row(UNLABELLED, "unlabelled", swatch(UNLABELLED, ""), "E", editable=False)
        self._fit()
        self._quiet = False
        self.set_current(self._current)
        if typed is not None:
            self._type_on(typed)

    def _take_typed(self) -> None:
        """Take the name that is being typed as it is."""
        field = self._delegate.field
        if field is not None:
            self._delegate.commitData.emit(field)
            self._delegate.closeEditor.emit(field)

    def _type_on(self, typed: _Typed) -> None:
        """Let the person go on with the name that was being typed when the list was filled anew."""
        self.edit(typed.class_id)
        field = self._delegate.field
        if field is not None and typed.text is not None:  # there still is that class
            field.setText(typed.text)
            field.setModified(True)
            field.setCursorPosition(typed.at)
            if typed.selected:
                field.setSelection(*typed.selected)

    def set_room(self, height: int) -> None:
        """Let the list take so much height at most, though never less than some rows."""
        rows = min(ROWS, max(LEAST_ROWS, (height - 2) // self.list.sizeHintForRow(0)))
        if rows != self._rows:
            self._rows = rows
            self._fit()

    def _fit(self) -> None:
        self.list.setFixedHeight(min(self.list.count(), self._rows) * self.list.sizeHintForRow(0) + 2)

    def _row(self, class_id: int, name: str, icon: QIcon, key: str, editable: bool) -> None:
        item = QListWidgetItem(icon, name)
        item.setData(ID, class_id)
        item.setData(KEY, key)
        item.setData(HIDDEN, class_id in self._hidden)
        tip = "Paint with this class" if editable else "Say nothing about these pixels (eraser)"
        item.setToolTip(f"{tip} ({key})" if key else tip)
        item.setData(Qt.ItemDataRole.AccessibleTextRole, f"{name}, key {key}" if key else name)
        if editable:
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable)
        self.list.addItem(item)

    @Slot(QListWidgetItem, QListWidgetItem)
    def _on_current(self, item: QListWidgetItem | None, _before: QListWidgetItem | None) -> None:
        if item is not None and not self._quiet:
            self._current = item.data(ID)
            self.chosen.emit(self._current)

    @Slot(QListWidgetItem)
    def _on_item(self, item: QListWidgetItem) -> None:
        if self._quiet:
            return
        class_id, name = item.data(ID), item.text().strip()
        old = next((info.name for info in self._classes if info.id == class_id), "")
        if name and name != old:
            self.renamed.emit(class_id, name)
        elif name != old:
            self._fill()

    @Slot(QPoint)
    def _on_menu(self, at: QPoint) -> None:
        item = self.list.itemAt(at)
        if item is None or item.data(ID) == UNLABELLED:
            return
        class_id = item.data(ID)
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        rename = menu.addAction("Rename")
        color = menu.addAction("Colour…")
        hide = menu.addAction("Show" if class_id in self._hidden else "Hide on the image")
        menu.addSeparator()
        merge = menu.addMenu("Merge into")
        merge.setEnabled(len(self._classes) > 1)
        for other in self._classes:
            if other.id != class_id:
                action = merge.addAction(swatch(other.id, other.color), keyless(other.name))
                action.triggered.connect(lambda _=False, into=other.id: self.merge_wanted.emit(class_id, into))
        remove = menu.addAction("Remove…")
        remove.setEnabled(len(self._classes) > 1)
        menu.addSeparator()
        place = next(at for at, info in enumerate(self._classes) if info.id == class_id)
        up, down = menu.addAction("Move up"), menu.addAction("Move down")
        up.setEnabled(place > 0)
        down.setEnabled(place < len(self._classes) - 1)
        up.triggered.connect(lambda: self.move_class(class_id, -1))
        down.triggered.connect(lambda: self.move_class(class_id, 1))
        rename.triggered.connect(lambda: self.edit(class_id))
        color.triggered.connect(lambda: self.recolour_wanted.emit(class_id))
        hide.triggered.connect(lambda: self._toggle(class_id))
        remove.triggered.connect(lambda: self.remove_wanted.emit(class_id))
        menu.popup(self.list.viewport().mapToGlobal(at))

    def move_class(self, class_id: int, by: int) -> None:
        """Ask for another place of a class in the list."""
        ids = [info.id for info in self._classes]
        at = ids.index(class_id) if class_id in ids else -1
        if at >= 0 and 0 <= at + by < len(ids):
            ids.insert(at + by, ids.pop(at))
            self.order_wanted.emit(ids)

    @Slot()
    def _on_ordered(self) -> None:
        shown = [self.list.item(row).data(ID) for row in range(self.list.count())]
        self.order_wanted.emit([class_id for class_id in shown if class_id != UNLABELLED])

    @Slot()
    def _on_more(self) -> None:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction("Import classes…").triggered.connect(lambda: self.import_wanted.emit())
        menu.addAction("Save list of classes…").triggered.connect(lambda: self.export_wanted.emit())
        menu.addSeparator()
        for name in PALETTES:
            action = menu.addAction(f"Colours of {name}")
            action.triggered.connect(lambda _=False, name=name: self.palette_wanted.emit(name))
        own = menu.addAction("My colours")
        own.setEnabled(self.has_own_palette)
        own.triggered.connect(lambda: self.palette_wanted.emit(""))
        menu.addAction("Keep these colours as mine").triggered.connect(lambda: self.palette_kept.emit())
        menu.popup(self.more.mapToGlobal(QPoint(0, self.more.height() + 2)))

    def is_hidden(self, class_id: int) -> bool:
        """Whether the class does not show on the image."""
        return class_id in self._hidden

    def show_all(self) -> None:
        """Let every class show again: those of another folder are others, though their numbers are the same."""
        self._delegate.field = None
        if self._hidden:
            self._hidden = frozenset()
            self._fill()
            self.hidden_changed.emit(self._hidden)

    def show_class(self, class_id: int) -> None:
        """Let a hidden class show again."""
        if self.is_hidden(class_id):
            self._toggle(class_id)

    def _toggle(self, class_id: int) -> None:
        self._hidden ^= {class_id}
        self._fill()
        self.hidden_changed.emit(self._hidden)
