"""What the window looks like: panels and where they sit, and the keys and drops that reach it. No behaviour here."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QKeyEvent, QResizeEvent
from PySide6.QtWidgets import (
    QApplication,
    QDockWidget,
    QMainWindow,
    QScrollArea,
    QSizePolicy,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from unet_gui.app.actions import ActionTable
from unet_gui.app.dock_widths import DockWidths
from unet_gui.app.menus import add_tool_actions, build_menus, build_tool_bar
from unet_gui.app.messages import Message
from unet_gui.app.panels.classes import ClassesSection
from unet_gui.app.panels.images import ImagesPanel
from unet_gui.app.panels.layers import LayersSection
from unet_gui.app.panels.messages import MessageStack
from unet_gui.app.panels.model import ModelSection, ProgressSection
from unet_gui.app.panels.stage import Stage
from unet_gui.app.panels.start_page import StartPage
from unet_gui.app.panels.status_bar import StatusLine
from unet_gui.app.settings import Settings
from unet_gui.app.widgets import TYPING, TypingGuard, heading, label, row

_CANVAS_KEYS = (
    Qt.Key.Key_Space,
    Qt.Key.Key_H,
    Qt.Key.Key_Return,
    Qt.Key.Key_Enter,
    Qt.Key.Key_Escape,
    Qt.Key.Key_Backspace,
)


class _Sections(QScrollArea):
    """The sections of a panel, one below the other. In a low window the list of classes is the first to give way."""

    def __init__(self, classes: ClassesSection, *others: QWidget) -> None:
        super().__init__()
        self._classes = classes
        inside = QWidget()
        self._stack = QVBoxLayout(inside)
        self._stack.setContentsMargins(0, 0, 0, 0)
        self._stack.setSpacing(0)
        for section in (classes, *others):
            self._stack.addWidget(section)
        self._stack.addStretch(1)
        self.setProperty("role", "panel")
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(inside)
        bar = self.verticalScrollBar().sizeHint().width()
        self.setMinimumWidth(inside.minimumSizeHint().width() + bar)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)

    def _share(self) -> None:
        wanted = self._stack.heightForWidth(self.viewport().width())
        self._classes.set_room(self.viewport().height() - wanted + self._classes.list.height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._share()
        super().resizeEvent(event)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        seen = super().eventFilter(watched, event)  # Qt watches the widget inside itself
        if watched is self.widget() and event.type() == QEvent.Type.LayoutRequest:
            self._share()
        return seen


class WindowFrame(QMainWindow):
    """The empty house: every panel in its place.

    Attributes
    ----------
    settings : Settings
    actions_by_id : ActionTable
    tools : QActionGroup
    stage : Stage
        The canvas and what floats over it.
    start : StartPage
    images : ImagesPanel
    classes : ClassesSection
    layers : LayersSection
    model_section : ModelSection
    progress_section : ProgressSection
    status : StatusLine
    images_dock, panel_dock : QDockWidget

    Signals
    -------
    dropped(Path)
        A file or folder was dropped on the window.
    """

    dropped = Signal(object)

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self.actions_by_id = ActionTable(self)
        self.tools = add_tool_actions(self.actions_by_id)
        self._forwarding = False
        self.installEventFilter(TypingGuard(self))
        self.setAcceptDrops(True)
        self.setDockNestingEnabled(True)
        self._build_middle()
        self._build_docks()
        actions = self.actions_by_id
        self.status = StatusLine(actions["stop"])
        self.setStatusBar(self.status)
        docks = [self.images_dock.toggleViewAction(), self.panel_dock.toggleViewAction()]
        self.recent_menu = build_menus(self, actions, docks)
        screen = self.screen().availableGeometry()
        self.resize(min(1440, round(screen.width() * 0.94)), min(900, round(screen.height() * 0.92)))
        widths = {self.images_dock: 230, self.panel_dock: 280}
        self.resizeDocks(list(widths), list(widths.values()), Qt.Orientation.Horizontal)
        self._widths = DockWidths(self, widths)
        self._first_layout = self.saveState()
        layout = settings.layout()
        if layout is not None:
            self.restoreGeometry(layout[0])

    def _build_middle(self) -> None:
        self.stage = Stage(self.actions_by_id)
        self.start = StartPage(self.actions_by_id)
        self.pages = QStackedWidget()
        self.pages.addWidget(self.start)
        self.pages.addWidget(self.stage)
        self.setCentralWidget(self.pages)
        self.tool_bar = build_tool_bar(self, self.actions_by_id)

    def _build_docks(self) -> None:
        actions = self.actions_by_id
        self.images = ImagesPanel()
        title = self._title("Images", self.images.count)
        self.images_dock = self._dock("Images", self.images, title, Qt.DockWidgetArea.LeftDockWidgetArea)
        self.classes = ClassesSection()
        for name in ("show_label", "show_prediction", "minimap", "scale_bar"):
            actions[name].setChecked(True)
        self.layers = LayersSection(actions)
        self.model_section = ModelSection(actions)
        self.progress_section = ProgressSection()
        grip = self._title("", label("⋮⋮", "faint"))
        self.panel_dock = self._dock("Panels", self._column(), grip, Qt.DockWidgetArea.RightDockWidgetArea)

    def _dock(self, name: str, widget: QWidget, title: QWidget, area: Qt.DockWidgetArea) -> QDockWidget:
        dock = QDockWidget(name, self)
        dock.setObjectName(name)
        dock.setWidget(widget)
        dock.setTitleBarWidget(title)
        dock.setAllowedAreas(Qt.DockWidgetArea.LeftDockWidgetArea | Qt.DockWidgetArea.RightDockWidgetArea)
        self.addDockWidget(area, dock)
        return dock

    def _title(self, text: str, *extra: QWidget) -> QWidget:
        title = QWidget()
        title.setProperty("role", "dock-title")
        title.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        layout = row(heading(text), 1, *extra) if text else row(1, *extra, 1)
        layout.setContentsMargins(12, 9 if text else 0, 12, 7 if text else 0)
        title.setLayout(layout)
        title.setToolTip("Drag to move this panel")
        if not text:
            title.setFixedHeight(9)
        return title

    def _column(self) -> QWidget:
        """Return the sections, which scroll in a low window, and below them the buttons, which do not."""
        area = _Sections(self.classes, self.layers, self.model_section, self.progress_section)
        column = QWidget()
        layout = QVBoxLayout(column)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(area, 1)
        layout.addWidget(self.model_section.button_bar)
        return column

    def show_stage(self, shown: bool) -> None:
        """Show the stage with its panels, or the start page alone. The places of the panels are kept."""
        was_shown = self.is_stage_shown
        if was_shown and not shown:
            self.remember_layout()
        if shown != was_shown:
            self.stage.messages.clear()
        policy = QSizePolicy.Policy.Ignored if shown else QSizePolicy.Policy.Preferred
        self.start.setSizePolicy(policy, policy)  # a page that does not show must not keep the window wide
        self.pages.setCurrentWidget(self.stage if shown else self.start)
        for widget in (self.tool_bar, self.images_dock, self.panel_dock):
            widget.setVisible(shown)
        if shown and not was_shown:
            layout = self.settings.layout()
            self.restoreState(layout[1] if layout else self._first_layout)
            self._widths.take_over()

    @property
    def is_stage_shown(self) -> bool:
        """Whether a folder is shown instead of the start page."""
        return self.pages.currentWidget() is self.stage

    def remember_layout(self) -> None:
        """Keep the places of the panels for the next start."""
        if self.is_stage_shown:
            self.settings.set_layout(self.saveGeometry(), self.saveState())

    @property
    def _messages(self) -> MessageStack:
        """The messages where the person looks."""
        return (self.stage if self.is_stage_shown else self.start).messages

    def show_message(self, message: Message) -> None:
        """Show a message where the person looks."""
        self._messages.show_message(message)

    # --- Qt --------------------------------------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
        if paths:
            event.acceptProposedAction()
            self.dropped.emit(paths[0])

    def keyPressEvent(self, event: QKeyEvent) -> None:
        self._forward(event)
        unused = event.key() == Qt.Key.Key_Escape and not event.isAccepted()
        if unused and not self._forwarding and self._messages.close_newest():
            event.accept()

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        self._forward(event)

    def _forward(self, event: QKeyEvent) -> None:
        """Give keys that no panel wanted to the canvas, so that they work wherever the focus is."""
        typing = isinstance(QApplication.focusWidget(), TYPING)
        if event.key() not in _CANVAS_KEYS or self._forwarding or typing or not self.is_stage_shown:
            event.ignore()
            return
        self._forwarding = True  # the canvas hands back what it has no use for
        try:
            QApplication.sendEvent(self.stage.canvas, event)
        finally:
            self._forwarding = False
