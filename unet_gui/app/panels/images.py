"""The panel at the left: filter, list of images with their statuses, counts."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QModelIndex, QPersistentModelIndex, QPointF, QRect, QRectF, QSize, Qt, Signal, Slot
from PySide6.QtGui import (
    QColor,
    QFocusEvent,
    QFont,
    QFontMetrics,
    QKeyEvent,
    QPainter,
    QPainterPath,
    QPen,
    QResizeEvent,
)
from PySide6.QtWidgets import (
    QAbstractItemDelegate,
    QAbstractItemView,
    QHeaderView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from unet_gui.app import theme
from unet_gui.app.image_list import IS_GROUP, IS_OPEN, REF, STATE, STATUS, THUMBNAIL, ImageListModel
from unet_gui.app.status_book import StatusBook
from unet_gui.app.widgets import KeysToWindow, button, label, search_field
from unet_gui.core.images import ImageRef
from unet_gui.core.project import Dataset, Status

Index = QModelIndex | QPersistentModelIndex
_MARGIN = 12
_DOT = 9
_RIGHT = 30
"""Room for the dot."""
READABLE = "image_0001.png"
"""A name that has room in the narrowest panel, where there is none for pictures."""


def shortened(name: str, metrics: QFontMetrics, room: int) -> str:
    """Return as much of a name as there is room for: how it begins, and most of its end, where it is told apart."""
    if metrics.horizontalAdvance(name) <= room:
        return name
    begin = name[:3]
    return begin + metrics.elidedText(
        name[3:], Qt.TextElideMode.ElideLeft, max(0, room - metrics.horizontalAdvance(begin))
    )


def paint_status(painter: QPainter, center: QPointF, state: str, status: Status) -> None:
    """Draw a status: a full, half or empty circle, a triangle for a problem. Shape says it as well as colour.

    While it is unknown, that is an empty state, there is nothing to draw.
    """
    if not state:
        return
    colors = theme.current()
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    radius = _DOT / 2
    circle = QRectF(center.x() - radius, center.y() - radius, _DOT, _DOT)
    if state == "problem":
        path = QPainterPath(QPointF(center.x(), circle.top() - 1))
        path.lineTo(circle.right() + 1, circle.bottom())
        path.lineTo(circle.left() - 1, circle.bottom())
        path.closeSubpath()
        painter.fillPath(path, QColor(colors.bad))
    elif status == Status.DONE:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colors.good))
        painter.drawEllipse(circle)
    elif status == Status.PARTIAL:
        painter.setPen(QPen(QColor(colors.attention), 1.3))
        painter.drawEllipse(circle.adjusted(0.7, 0.7, -0.7, -0.7))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colors.attention))
        painter.drawPie(circle.adjusted(0.4, 0.4, -0.4, -0.4), 90 * 16, 180 * 16)
    else:
        painter.setPen(QPen(QColor(colors.muted if "predicted" in state else colors.faint), 1.3))
        painter.drawEllipse(circle.adjusted(0.7, 0.7, -0.7, -0.7))
        if "predicted" in state:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(colors.muted))
            painter.drawEllipse(center, 1.7, 1.7)
    painter.restore()


class ImageRow(QStyledItemDelegate):
    """Draws a row: picture, name, state, dot."""

    def _small(self, font: QFont) -> QFont:
        small = QFont(font)
        small.setPointSizeF(max(6.0, font.pointSizeF() * 0.88))
        return small

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        lines = option.fontMetrics.height() + QFontMetrics(self._small(option.font)).height()
        return QSize(120, max(50, lines + 14))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        colors = theme.current()
        rect: QRect = option.rect
        if option.state & QStyle.StateFlag.State_Selected:
            painter.fillRect(rect, QColor(colors.selected))
            painter.fillRect(QRect(rect.left(), rect.top(), 2, rect.height()), QColor(colors.accent))
        elif option.state & QStyle.StateFlag.State_MouseOver:
            painter.fillRect(rect, QColor(colors.hover))
        if option.state & QStyle.StateFlag.State_HasFocus:
            painter.setPen(QColor(colors.accent))
            painter.drawRect(rect.adjusted(0, 0, -1, -1))
        left = rect.left() + _MARGIN
        if index.data(IS_GROUP):
            icon = theme.icon("chevron-down" if index.data(IS_OPEN) else "chevron-right", "muted")
            icon.paint(painter, QRect(left, rect.center().y() - 8, 16, 16))
            left += 16 + 10
        else:
            ref: ImageRef = index.data(REF)
            left += 0 if ref.page is None else 14
            side = rect.height() - 10
            if rect.right() - _RIGHT - left - side - 10 >= option.fontMetrics.horizontalAdvance(READABLE):
                self._paint_thumbnail(painter, QRect(left, rect.top() + 5, side, side), index)
                left += side + 10
            center = QPointF(rect.right() - _MARGIN - _DOT / 2, rect.center().y() + 0.5)
            paint_status(painter, center, index.data(STATE), index.data(STATUS))
        self._paint_text(painter, option, index, QRect(left, rect.top(), rect.right() - _RIGHT - left, rect.height()))

    def _paint_thumbnail(self, painter: QPainter, place: QRect, index: Index) -> None:
        painter.save()
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        path = QPainterPath()
        path.addRoundedRect(QRectF(place), 4, 4)
        picture = index.data(THUMBNAIL)
        if picture is None or picture.isNull():
            painter.fillPath(path, QColor(theme.current().raised))
        else:
            painter.setClipPath(path)
            painter.drawPixmap(place, picture)
        painter.restore()

    def _paint_text(self, painter: QPainter, option: QStyleOptionViewItem, index: Index, place: QRect) -> None:
        colors = theme.current()
        small = self._small(option.font)
        top_line, lower = option.fontMetrics, QFontMetrics(small)
        top = place.top() + (place.height() - top_line.height() - lower.height()) // 2
        painter.setFont(option.font)
        painter.setPen(QColor(colors.text))
        painter.drawText(place.left(), top + top_line.ascent(), shortened(index.data(), top_line, place.width()))
        painter.setFont(small)
        state = index.data(STATE)
        painter.setPen(QColor(colors.bad if state == "problem" else colors.muted))
        state = lower.elidedText(state, Qt.TextElideMode.ElideRight, place.width())
        painter.drawText(place.left(), top + top_line.height() + lower.ascent(), state)


class ImageView(KeysToWindow, QTableView):
    """The list itself: a table of one column, for a list view lays out every row one by one before it shows any."""

    def __init__(self) -> None:
        super().__init__()
        self.setShowGrid(False)
        self.setTabKeyNavigation(False)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.horizontalHeader().hide()
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.horizontalHeader().setMinimumSectionSize(40)
        self.verticalHeader().hide()
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)

    def show_row(self, index: QModelIndex) -> None:
        """Scroll so that a row is in sight, also just after all rows were made anew."""
        self.executeDelayedItemsLayout()  # or the bar would not know yet how many rows there are
        self.scrollTo(index)

    def focusInEvent(self, event: QFocusEvent) -> None:
        if self.currentIndex().isValid():
            super().focusInEvent(event)
        else:  # Qt would go to the first row, and so open an image that nobody has chosen
            QWidget.focusInEvent(self, event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        row = self.visualRect(self.currentIndex())
        was_in_sight = row.isValid() and row.top() >= 0 and row.bottom() < event.oldSize().height()
        super().resizeEvent(event)
        if was_in_sight:
            self.scrollTo(self.currentIndex())

    def setItemDelegate(self, delegate: QAbstractItemDelegate) -> None:
        super().setItemDelegate(delegate)
        option = QStyleOptionViewItem()
        option.initFrom(self)
        self.verticalHeader().setDefaultSectionSize(delegate.sizeHint(option, QModelIndex()).height())


class ImagesPanel(QWidget):
    """Filter, list and counts.

    Attributes
    ----------
    model : ImageListModel
    count : QLabel
        How many images the list shows; it belongs into the panel's title.

    Signals
    -------
    chosen(ImageRef)
        The person wants to see this image.
    """

    chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "panel")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._book: StatusBook | None = None
        self._open: ImageRef | None = None
        self._quiet = False  # the selection follows the session instead of leading it
        self.model = ImageListModel(self)
        tip = "Part of a name, or: done, partial, untouched, predicted, problem (Ctrl+L)"
        self.field = search_field("Filter images", "Filter by name or status", tip)
        self.list = self._make_list()
        self.none_fits = label("", "muted", wrap=True)
        self.clear_filter = button("Show all images", "link", "Clear the filter")
        self.footer = label("", "footer", wrap=True)
        self.footer.setIndent(0)  # else its border would move the text away from what stands above
        self.count = label("", "muted")
        top = QVBoxLayout()
        top.setContentsMargins(_MARGIN, 2, _MARGIN, 8)
        top.addWidget(self.field)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        self._nothing = QWidget()  # stands above the list, which keeps the focus
        none = QVBoxLayout(self._nothing)
        none.setContentsMargins(_MARGIN - 4, 4, _MARGIN, 0)
        self.none_fits.setContentsMargins(4, 0, 0, 0)  # as far in as the text of the button
        none.addWidget(self.none_fits)
        none.addWidget(self.clear_filter, 0, Qt.AlignmentFlag.AlignLeft)
        self._nothing.hide()
        layout.addLayout(top)
        layout.addWidget(self._nothing)
        layout.addWidget(self.list, 1)
        layout.addWidget(self.footer)
        names = self.fontMetrics().horizontalAdvance(READABLE)
        self.setMinimumWidth(2 * _MARGIN + names + _RIGHT)
        self.field.textChanged.connect(self._on_filter)
        self.clear_filter.clicked.connect(self.field.clear)
        self.field.installEventFilter(self)
        self.list.installEventFilter(self)
        self.list.selectionModel().currentChanged.connect(self._on_current)
        self.list.clicked.connect(self._on_clicked)

    def _make_list(self) -> ImageView:
        view = ImageView()
        view.setModel(self.model)
        view.setItemDelegate(ImageRow(view))
        view.setMouseTracking(True)
        view.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        view.setAccessibleName("Images")
        return view

    def set_folder(self, dataset: Dataset | None, book: StatusBook | None) -> None:
        """Show the images of another folder, or none."""
        self._open = None
        self.field.clear()
        self._book = book
        self.model.thumbnails.set_dataset(dataset)
        self.model.set_images(dataset.images if dataset else [], book)
        if book is not None:
            book.changed.connect(self._on_counts)
            book.scanned.connect(self._on_counts)
        self._on_counts()

    def set_pages(self, stacks: dict[str, list[ImageRef]], current: ImageRef | None) -> None:
        """Show these files as stacks of pages."""
        self.model.set_pages(stacks)
        self._on_counts()
        if current is not None:
            self.select(current)

    def select(self, ref: ImageRef) -> None:
        """Mark the image that is open."""
        self._open = ref
        index = self.model.index_of(ref)
        self._quiet = True
        try:
            self.list.setCurrentIndex(index)
        finally:
            self._quiet = False
        if index.isValid():
            self.list.show_row(index)

    @Slot()
    def _on_counts(self) -> None:
        total = self.model.total
        shown = self.model.rowCount() if self.model.filter.strip() else total
        self._nothing.setVisible(bool(total) and not shown)
        wanted = self.model.filter.strip()  # a long word cannot be broken, and would widen the panel
        wanted = self.fontMetrics().elidedText(wanted, Qt.TextElideMode.ElideRight, self.minimumWidth() - 4 * _MARGIN)
        self.none_fits.setText(f"No image fits “{wanted}”.")
        part = f"{shown:,} of {total:,}" if shown != total else f"{total:,}"
        self.count.setText(part.replace(",", " ") if total else "")
        what = f"{part} images fit the filter" if shown != total else f"{part} image{'s' * (total != 1)} in this folder"
        self.count.setToolTip(what.replace(",", " "))
        self.count.setAccessibleName(self.count.toolTip())
        if self._book is None or not total:
            self.footer.setText("")
            return
        counts = {word: count for word, count in self._book.counts(total).items() if count}
        if counts.get("problem", 0) > 1:
            counts["problems"] = counts.pop("problem")
        parts = [f"{count:,} {word}".replace(",", " ").replace(" ", "\xa0") for word, count in counts.items()]
        parts += [] if self._book.looked else ["…"]
        self.footer.setText("\xa0· ".join(parts))  # a line breaks between them, and none begins with a dot
        self.footer.setToolTip(f"Of all images in this folder; {self._book.predictions} have a prediction")

    @Slot(str)
    def _on_filter(self, text: str) -> None:
        self.model.set_filter(text)
        self._on_counts()
        self._mark_open()

    def _mark_open(self) -> None:
        """Mark the image that is open again after all rows were made anew."""
        if self._open is not None:
            self.select(self._open)

    @Slot(QModelIndex, QModelIndex)
    def _on_current(self, index: QModelIndex, _before: QModelIndex) -> None:
        if index.isValid() and not self._quiet and not index.data(IS_GROUP):
            self.chosen.emit(self.model.ref(index))

    @Slot(QModelIndex)
    def _on_clicked(self, index: QModelIndex) -> None:
        if index.data(IS_GROUP):
            self.model.fold(self.model.ref(index).rel)
            self._mark_open()
        elif index.isValid() and self.model.ref(index) == self._open:
            self.chosen.emit(self._open)  # one that could not be read is tried again

    def _fold_by_key(self, key: int) -> bool:
        """Fold the stack whose heading is marked, or show its pages again; return whether one is marked."""
        index = self.list.currentIndex()
        if key not in (Qt.Key.Key_Left, Qt.Key.Key_Right) or not index.data(IS_GROUP):
            return False
        if index.data(IS_OPEN) == (key == Qt.Key.Key_Left):
            ref = self.model.ref(index)
            self.model.fold(ref.rel)
            self.list.setCurrentIndex(self.model.index_of(ref))
        return True

    def eventFilter(self, watched: object, event: QEvent) -> bool:
        # Esc in the filter gives the keys back to the canvas; Enter and the arrows go into the list
        if watched is self.field and isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            if event.key() in (Qt.Key.Key_Down, Qt.Key.Key_Return, Qt.Key.Key_Enter):
                self.list.setFocus()
                if not self.list.currentIndex().isValid() and self.model.rowCount():
                    self.list.setCurrentIndex(self.model.index(0))
                return True
            if event.key() == Qt.Key.Key_Escape:
                self.field.clear()
                self.list.setFocus()
                return True
        if watched is self.list and isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            return self._fold_by_key(event.key())
        return super().eventFilter(watched, event)  # type: ignore[arg-type]
