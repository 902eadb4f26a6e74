"""What the window shows without a folder: what to do."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from unet_gui.app.actions import ActionTable
from unet_gui.app.panels.messages import MessageStack
from unet_gui.app.widgets import Elided, Mark, action_button, button, clear, heading, label


class StartPage(QWidget):
    """Open a folder, the sample, or one of the last folders.

    Attributes
    ----------
    messages : MessageStack

    Signals
    -------
    folder_chosen(Path)
    """

    folder_chosen = Signal(object)

    def __init__(self, actions: ActionTable, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "start")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.messages = MessageStack(self)
        self._busy = Elided("", "muted", Qt.TextElideMode.ElideMiddle)  # a path may be long
        self._recent_title = heading("Recent folders")
        self._recent = QVBoxLayout()
        self._recent.setSpacing(1)
        column = QVBoxLayout()
        column.setSpacing(12)
        column.addLayout(self._title())
        column.addWidget(label("Paint a little, let it learn, correct, segment the folder.", "muted"))
        column.addSpacing(8)
        open_button = action_button(actions, "open", "Open a folder of images…", "primary")
        sample_button = action_button(actions, "open_sample", "Try the built-in sample")
        for widget in (open_button, sample_button):
            widget.setMinimumHeight(36)
            column.addWidget(widget)
        hint = label("Or drop a folder or an image on this window.", "muted")
        column.addWidget(hint)
        column.addSpacing(10)
        column.addWidget(self._recent_title)
        column.addLayout(self._recent)
        column.addWidget(self._busy)
        column.addWidget(self.messages)
        box = QFrame()
        box.setMaximumWidth(440)
        box.setLayout(column)
        middle = QHBoxLayout()
        middle.addStretch(1)
        middle.addWidget(box, 1000)
        middle.addStretch(1)
        inside = QWidget()
        around = QVBoxLayout(inside)
        around.addStretch(2)
        around.addLayout(middle)
        around.addStretch(3)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(_scrolling(inside))
        self.set_recent([])
        self.set_busy("")

    def _title(self) -> QHBoxLayout:
        name = label("unet-gui", "title")
        font = name.font()
        font.setPointSizeF(font.pointSizeF() * 2)
        font.setBold(True)
        name.setFont(font)
        line = QHBoxLayout()
        line.setSpacing(10)
        line.addWidget(Mark("logo", "accent", 34))
        line.addWidget(name)
        line.addStretch(1)
        return line

    def set_recent(self, folders: list[Path]) -> None:
        """Show the last folders."""
        clear(self._recent)
        for folder in folders:
            widget = button("", "row", str(folder))
            widget.setAccessibleName(f"Open {folder}")
            widget.setMinimumHeight(widget.fontMetrics().height() + 14)
            mark = Mark("folder", "muted", 16)
            where = Elided(str(folder.parent), "muted")
            inside = QHBoxLayout(widget)
            inside.setContentsMargins(8, 0, 8, 0)
            inside.setSpacing(8)
            for part, stretch in ((mark, 0), (label(folder.name or str(folder)), 0), (where, 1)):
                part.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
                inside.addWidget(part, stretch)
            widget.clicked.connect(lambda _=False, path=folder: self.folder_chosen.emit(path))
            self._recent.addWidget(widget)
        self._recent_title.setVisible(bool(folders))

    def set_busy(self, text: str) -> None:
        """Say what is being opened."""
        self._busy.set_text(text)
        self._busy.setVisible(bool(text))


def _scrolling(inside: QWidget) -> QScrollArea:
    """Return what shows a widget also on a low screen."""
    area = QScrollArea()
    area.setProperty("role", "start")
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setWidgetResizable(True)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    area.setWidget(inside)
    area.setMinimumWidth(inside.minimumSizeHint().width())
    return area
