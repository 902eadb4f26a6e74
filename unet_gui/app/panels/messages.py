"""Messages over the canvas: calm, never modal, with the technical text one click away."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QRect, QSize, Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import (
    QApplication,
    QBoxLayout,
    QFrame,
    QHBoxLayout,
    QPlainTextEdit,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from unet_gui.app import theme
from unet_gui.app.messages import Message
from unet_gui.app.widgets import button, close_button, keyless, label
from unet_gui.core.text import in_words

PASSING_MS = 6000
OFFERING_MS = 15000
"""Time to decide about what a message offers."""
LETTER_MS = 40
"""Time to read a letter."""
SHIELD_MS = 300
"""Time in which nobody sees that a message has gone, and clicks at it nevertheless."""
MOST = 4
"""Messages shown at once; older ones make room, errors last."""
_ICONS = {"info": "info", "good": "check", "warning": "warning", "error": "warning"}
_NAMES = {"info": "Information", "good": "Done", "warning": "Warning", "error": "Error"}
_ROLES = {"info": "accent", "good": "good", "warning": "attention", "error": "bad"}
_ASKING = 3
_MARGIN, _INDENT = 7, 40
"""Pixels around a message, and before its buttons."""


def _weight(message: Message) -> int:
    """Return how much would be lost with a message: good news, a sentence, an error, a question, one about an error."""
    bad = message.kind == "error"
    if message.offers and message.kind in ("warning", "error"):
        return _ASKING + bad
    return 0 if message.passes else 1 + bad


def _mark(kind: str) -> QToolButton:
    """Return the picture that says what kind a message is of."""
    icon = QToolButton()
    icon.setIcon(theme.icon(_ICONS[kind], _ROLES[kind]))
    icon.setIconSize(QSize(18, 18))
    icon.setAccessibleName(_NAMES[kind])
    icon.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    icon.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
    return icon


class Banner(QFrame):
    """One message.

    Signals
    -------
    closed()
        The person has read it.
    """

    closed = Signal()

    def __init__(self, message: Message, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.message = message
        self.timer = QTimer(self)
        self.timer.setSingleShot(True)
        self.timer.timeout.connect(self._on_time)
        self.setProperty("role", "overlay")
        text = in_words(message.text)
        self.setAccessibleName(text)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self._text = label(text, wrap=True)
        self._text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._text.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        mark, close = (
            _mark(message.kind),
            close_button("Close this message", "Close this message (Esc closes the newest)"),
        )
        close.setFixedHeight(mark.sizeHint().height())  # as high in its corner as the other one, and the first line
        close.clicked.connect(self.closed)
        top = QHBoxLayout()
        top.setSpacing(6)
        top.addWidget(mark, 0, Qt.AlignmentFlag.AlignTop)
        top.addWidget(self._text, 1)
        top.addWidget(close, 0, Qt.AlignmentFlag.AlignTop)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(_MARGIN + 1, _MARGIN, _MARGIN, _MARGIN)
        layout.setSpacing(4)
        layout.addLayout(top)
        self._details = QPlainTextEdit(message.details)
        self._details.setReadOnly(True)
        self._details.setFixedHeight(130)
        self._details.setAccessibleName("Technical details")
        self._details.hide()
        self._bottom = QHBoxLayout()
        self._buttons: list[QPushButton] = []
        if message.offers or message.details:
            self._add_buttons()
            layout.addLayout(self._bottom)
        layout.addWidget(self._details)

    def _add_buttons(self) -> None:
        bottom = self._bottom
        bottom.setContentsMargins(_INDENT - _MARGIN - 1, 0, 0, 0)
        bottom.setSpacing(10)
        for offer in self.message.offers:
            widget = button(keyless(offer.text), "link")
            widget.clicked.connect(lambda _=False, act=offer.act: self._take(act))
            self._buttons.append(widget)
        if self.message.details:
            more = button("Details", "link", "Show the technical text")
            more.clicked.connect(lambda: self._details.setVisible(not self._details.isVisible()))
            self._buttons.append(more)
        for widget in self._buttons:
            bottom.addWidget(widget, 0, Qt.AlignmentFlag.AlignLeft)
        bottom.addStretch(1)

    def heightForWidth(self, width: int) -> int:
        """Return how high it is at this width; buttons that have no room beside each other go below each other."""
        beside = sum(each.sizeHint().width() + self._bottom.spacing() for each in self._buttons)
        fits = _INDENT + beside + _MARGIN <= width
        direction = QBoxLayout.Direction.LeftToRight if fits else QBoxLayout.Direction.TopToBottom
        if direction != self._bottom.direction():
            self._bottom.setDirection(direction)
        return super().heightForWidth(width)

    def pass_by(self) -> None:
        """Go after some seconds, if the message is of that kind."""
        if self.message.passes:
            self.timer.start((OFFERING_MS if self.message.offers else PASSING_MS) + LETTER_MS * len(self.message.text))

    @Slot()
    def _on_time(self) -> None:
        """Go, unless it is being read or used, or nobody has been there to read it."""
        focus = QApplication.focusWidget()
        if self.underMouse() or (focus is not None and self.isAncestorOf(focus)) or not self.isActiveWindow():
            self.timer.start(PASSING_MS)
        else:
            self.closed.emit()

    def _take(self, act: object) -> None:
        self.closed.emit()
        act()  # type: ignore[operator]


class _Shield(QWidget):
    """Takes the click that was meant for a message that has just gone; what lies below it would be painted on."""

    def __init__(self, banner: Banner, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_NoMousePropagation)
        self.setGeometry(QRect(banner.mapTo(parent, QPoint()), banner.size()))
        self.show()
        self.raise_()
        QTimer.singleShot(SHIELD_MS, self, self.deleteLater)


class MessageStack(QWidget):
    """The messages that have not been read yet, newest at the bottom."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(6)
        self._banners: list[Banner] = []
        self.hide()

    @property
    def messages(self) -> list[Message]:
        """Return what is shown."""
        return [banner.message for banner in self._banners]

    def height_for(self, width: int) -> int:
        """Return how high the messages are at this width."""
        between = self._layout.spacing() * max(0, len(self._banners) - 1)
        return sum(banner.heightForWidth(width) for banner in self._banners) + between

    @Slot(object)
    def show_message(self, message: Message) -> None:
        """Show a message; one of the same topic goes."""
        if message.topic:
            same = next((each for each in self._banners if each.message == message), None)
            if same is not None and not message.offers:  # offers look alike, and may be about something else
                same.pass_by()
                return
            self.settle(message.topic)
        while len(self._banners) >= MOST:
            self._drop(min(self._banners, key=lambda each: _weight(each.message)))
        banner = Banner(message, self)
        banner.closed.connect(self._on_closed)
        self._banners.append(banner)
        self._layout.addWidget(banner)
        banner.show()
        self.show()
        self.raise_()
        banner.pass_by()

    @Slot(str)
    def settle(self, topic: str) -> None:
        """Take away what is over."""
        for banner in [each for each in self._banners if each.message.topic == topic]:
            self._drop(banner)

    @Slot(str)
    def leave(self, key: str) -> None:
        """Take away what is about other images than this one."""
        for banner in [each for each in self._banners if each.message.image not in ("", key)]:
            self._drop(banner)

    def close_newest(self) -> bool:
        """Take the newest message away, but for one that has to be answered; return whether there was one."""
        newest = next((each for each in reversed(self._banners) if _weight(each.message) < _ASKING), None)
        if newest is not None:
            self._drop(newest)
        return newest is not None

    def clear(self) -> None:
        """Take everything away."""
        for banner in list(self._banners):
            self._drop(banner)

    @Slot()
    def _on_closed(self) -> None:
        banner = self.sender()
        if isinstance(banner, Banner):
            self._drop(banner)

    def _drop(self, banner: Banner) -> None:
        if banner in self._banners:
            self._banners.remove(banner)
            self._layout.removeWidget(banner)
            banner.timer.stop()
            if banner.isVisible() and (below := self.parentWidget()) is not None:
                _Shield(banner, below)
            banner.hide()
            banner.deleteLater()
            self.setVisible(bool(self._banners))
