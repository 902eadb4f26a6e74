"""Small widgets that several panels share."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QSize, Qt, QTimer, Slot
from PySide6.QtGui import QAction, QColor, QIcon, QKeyEvent, QPainter, QPaintEvent, QPixmap
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLayout,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QSizePolicy,
    QTextEdit,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from unet_gui.app import theme
from unet_gui.app.actions import ActionTable
from unet_gui.core.labels import UNLABELLED


def label(text: str = "", role: str = "", wrap: bool = False) -> QLabel:
    """Return a text in a role of the style sheet. Never interpreted as rich text: file names may hold anything."""
    widget = QLabel(text)
    widget.setTextFormat(Qt.TextFormat.PlainText)
    widget.setWordWrap(wrap)
    if role:
        widget.setProperty("role", role)
    return widget


def keyless(text: str) -> str:
    """Return a text for a button or a menu in which no letter becomes a key: names may hold an ampersand."""
    return text.replace("&", "&&")


def heading(text: str) -> QLabel:
    """Return the heading of a section: small capitals by size and spacing, whatever the font."""
    widget = label(text.upper(), "heading")
    font = widget.font()
    font.setPointSizeF(font.pointSizeF() * 0.85)
    font.setLetterSpacing(font.SpacingType.PercentageSpacing, 106)
    font.setBold(True)
    widget.setFont(font)
    widget.setAccessibleName(text)
    return widget


def button(text: str, role: str = "", tip: str = "") -> QPushButton:
    """Return a button that takes the focus by Tab only, so that clicking it leaves the keys where they were."""
    widget = QPushButton(text)
    widget.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    widget.setAutoDefault(False)
    if role:
        widget.setProperty("role", role)
        if role == "link":
            widget.setCursor(Qt.CursorShape.PointingHandCursor)
    if tip:
        widget.setToolTip(tip)
    return widget


TYPING = (QLineEdit, QAbstractSpinBox, QTextEdit, QPlainTextEdit)
"""Where the keys belong to a text."""
_TEXT_KEYS = frozenset(
    {
        Qt.Key.Key_Backspace,
        Qt.Key.Key_Delete,
        Qt.Key.Key_Space,
        Qt.Key.Key_Return,
        Qt.Key.Key_Enter,
        Qt.Key.Key_Up,
        Qt.Key.Key_Down,
        Qt.Key.Key_Left,
        Qt.Key.Key_Right,
    }
)


class WheelGuard(QObject):
    """Lets the wheel scroll the panel, not change what happens to lie under the pointer."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Wheel and isinstance(watched, QWidget) and not watched.hasFocus():
            event.ignore()
            return True
        return False


def unwheeled(widget: QWidget) -> None:
    """Let a widget use the wheel only while it has the focus."""
    widget.installEventFilter(WheelGuard(widget))


class TypingGuard(QObject):
    """Lets keys that move and delete in a text do that, not what they do elsewhere. For a window: it is asked last."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() != QEvent.Type.ShortcutOverride or not isinstance(event, QKeyEvent):
            return False
        if event.key() not in _TEXT_KEYS or not isinstance(QApplication.focusWidget(), TYPING):
            return False
        event.accept()
        return True


def indent(field: QAbstractSpinBox) -> None:
    """Let the text of a field for numbers begin where that of others does: style sheets do not reach it."""
    field.lineEdit().setTextMargins(6, 0, 0, 0)


def search_field(name: str, hint: str, tip: str = "") -> QLineEdit:
    """Return a field to filter something with, and a button in it that empties it."""
    widget = QLineEdit()
    widget.setPlaceholderText(hint)
    widget.setAccessibleName(name)
    widget.setToolTip(tip)
    widget.setClearButtonEnabled(True)
    for inner in widget.findChildren(QToolButton):
        inner.setAccessibleName("Clear")
    return widget


def explain(widget: QWidget, action: QAction) -> None:
    """Give a widget the tooltip of an action, and the same as plain text for screen readers."""
    widget.setToolTip(action.toolTip())
    widget.setAccessibleDescription(action.whatsThis())


class _Follower(QObject):
    """Keeps a button as its action is, as long as there is a button."""

    def __init__(self, widget: QWidget, action: QAction) -> None:
        super().__init__(widget)
        self._widget, self._action = widget, action

    @Slot()
    def follow(self) -> None:
        self._widget.setEnabled(self._action.isEnabled())
        explain(self._widget, self._action)


def deaf_for_a_moment(widget: QWidget) -> None:
    """Let a button that has just taken the place of another not hear the second half of a double click."""
    unheard = Qt.WidgetAttribute.WA_TransparentForMouseEvents
    widget.setAttribute(unheard)
    QTimer.singleShot(QApplication.doubleClickInterval(), widget, lambda: widget.setAttribute(unheard, False))


def follow(widget: QWidget, action: QAction) -> None:
    """Let a widget be enabled and explained as its action is."""
    follower = _Follower(widget, action)
    follower.follow()
    action.changed.connect(follower.follow)


def action_button(actions: ActionTable, name: str, text: str = "", role: str = "") -> QPushButton:
    """Return a button for an action: its tooltip, its enabled state and its deed."""
    action = actions[name]
    widget = button(text or action.text(), role)
    widget.setAccessibleName(action.text())
    follow(widget, action)
    widget.clicked.connect(action.trigger)
    return widget


def tool_button(action: QAction, icon_size: int = 18) -> QToolButton:
    """Return a small button with the action's icon."""
    widget = QToolButton()
    widget.setDefaultAction(action)
    widget.setIconSize(QSize(icon_size, icon_size))
    widget.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    widget.setAccessibleName(action.text())
    follow(widget, action)
    return widget


def close_button(name: str, tip: str) -> QToolButton:
    """Return the cross that closes something."""
    widget = QToolButton()
    widget.setIcon(theme.icon("close", "muted"))
    widget.setIconSize(QSize(14, 14))
    widget.setToolTip(tip)
    widget.setAccessibleName(name)
    widget.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    return widget


def row(*widgets: QWidget | int, spacing: int = 8) -> QHBoxLayout:
    """Return widgets side by side; an int is a stretch."""
    layout = QHBoxLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(spacing)
    for widget in widgets:
        if isinstance(widget, int):
            layout.addStretch(widget)
        else:
            layout.addWidget(widget)
    return layout


def clear(layout: QLayout) -> None:
    """Take everything out of a layout."""
    while (item := layout.takeAt(0)) is not None:
        widget = item.widget()
        if widget is not None:
            widget.hide()
            widget.deleteLater()
            continue
        inner = item.layout()
        if inner is not None:
            clear(inner)


class KeysToWindow:
    """Mixed into a list: keys that do not move in it are left to the window, where they are shortcuts."""

    _OWN = frozenset(
        {
            Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_Home, Qt.Key.Key_End, Qt.Key.Key_Tab, Qt.Key.Key_Backtab,
            Qt.Key.Key_F2, Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_PageUp, Qt.Key.Key_PageDown,
        }
    )  # fmt: skip

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in self._OWN:
            super().keyPressEvent(event)  # type: ignore[misc]
        else:
            event.ignore()


class Section(QFrame):
    """A part of a panel: a heading, something at its right, and the content below.

    Attributes
    ----------
    body : QVBoxLayout
        Where the content goes.
    """

    def __init__(self, title: str, *extra: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "section")
        self.setAccessibleName(title)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 10, 12, 12)
        layout.setSpacing(8)
        layout.addLayout(row(heading(title), 1, *extra))
        self.body = QVBoxLayout()
        self.body.setSpacing(6)
        layout.addLayout(self.body)


class Mark(QWidget):
    """An icon that is only looked at: sharp on every screen, in the colours of the theme of the moment."""

    def __init__(self, name: str, role: str, size: int) -> None:
        super().__init__()
        self._icon = theme.icon(name, role)
        self.setFixedSize(size, size)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        self._icon.paint(painter, self.rect())
        painter.end()


class Elided(QLabel):
    """A one-line text that ends, or begins, with … where there is no room, and is whole in its tooltip.

    Of a longer text at least so many letters are shown.
    """

    def __init__(
        self,
        text: str = "",
        role: str = "",
        mode: Qt.TextElideMode = Qt.TextElideMode.ElideRight,
        least: int = 4,
    ) -> None:
        super().__init__()
        self._text = ""
        self._mode, self._least = mode, least
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        if role:
            self.setProperty("role", role)
        self.set_text(text)

    def set_text(self, text: str) -> None:
        """Show another text."""
        if text != self._text:
            self._text = text
            self.setToolTip(text)
            self.setText(text)

    @property
    def shown(self) -> str:
        """As much of the text as there is room for."""
        return self.fontMetrics().elidedText(self._text, self._mode, self.contentsRect().width())

    def sizeHint(self) -> QSize:
        hint = super().sizeHint()
        around = self.width() - self.contentsRect().width()  # what the style sheet puts around the text
        return QSize(self.fontMetrics().horizontalAdvance(self._text) + around + 2, hint.height())

    def minimumSizeHint(self) -> QSize:
        least = min(self.fontMetrics().averageCharWidth() * self._least, self.sizeHint().width())
        return QSize(least, super().minimumSizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setPen(self.palette().color(self.foregroundRole()))
        painter.drawText(self.contentsRect(), int(self.alignment() | Qt.AlignmentFlag.AlignVCenter), self.shown)
        painter.end()


def swatch(class_id: int, color: str, size: int = 14, ratio: float = 2.0) -> QIcon:
    """Return the colour of a class as an icon; hatched for unlabelled, which is no colour."""
    pixmap = QPixmap(round(size * ratio), round(size * ratio))
    pixmap.setDevicePixelRatio(ratio)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    if class_id == UNLABELLED:
        painter.setBrush(QColor(theme.current().strong_line))
        painter.drawRoundedRect(0, 0, size, size, 3, 3)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QColor(theme.current().muted))
        for offset in range(-size, size, 5):
            painter.drawLine(offset, size, offset + size, 0)
    else:
        painter.setBrush(QColor(color))
        painter.drawRoundedRect(0, 0, size, size, 3, 3)
    painter.end()
    return QIcon(pixmap)
