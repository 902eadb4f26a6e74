"""The menu bar and the tool bar, made from the table of actions."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QPointF, QSize, Qt, Slot
from PySide6.QtGui import QAction, QActionGroup, QColor, QContextMenuEvent, QPainter, QPainterPath, QPaintEvent
from PySide6.QtWidgets import QMainWindow, QMenu, QToolBar, QToolButton, QWidget

from unet_gui.app import theme
from unet_gui.app.actions import TOOLS, ActionSpec, ActionTable
from unet_gui.app.canvas.tools import TOOLS as TOOL_CLASSES
from unet_gui.app.widgets import explain, keyless

_MENUS: dict[str, tuple[str, ...]] = {
    "&File": (
        "open", "open_sample", "@recent", "close_folder", "-", "save", "save_masks", "export", "import", "-",
        "encoding", "labels_elsewhere", "-", "quit",
    ),
    "&Edit": ("undo", "redo", "-", "copy", "paste", "delete", "-", "settings"),
    "&View": (
        "next", "previous", "next_unfinished", "filter", "-", "fit", "actual", "zoom_in", "zoom_out", "-",
        "show_label", "show_prediction", "outline", "split", "difference", "-", "minimap", "scale_bar", "-", "@docks",
    ),
    "&Label": (
        "@tools", "@whole", "-", "take_over", "take_over_all", "next_doubtful", "done", "-", "swap",
        "add_class", "class_up", "class_down", "import_classes", "export_classes", "-", "clear",
    ),
    "&Model": ("train", "live", "stop", "-", "predict", "segment", "-", "load_model", "model_settings"),
    "&Help": ("shortcuts", "guide", "-", "about"),
}  # fmt: skip


_WHOLE = ("specks_all", "holes_all", "grow_class", "shrink_class", "sure_all")


def add_tool_actions(actions: ActionTable) -> QActionGroup:
    """Add an action for each tool of the canvas; one of them is checked."""
    group = QActionGroup(actions)
    group.setExclusive(True)
    for tool in TOOL_CLASSES:
        info = tool.info
        keys = (info.shortcut,) if info.shortcut else ()
        spec = ActionSpec(f"tool_{info.id}", info.text, keys, TOOLS, info.tooltip, info.icon, checkable=True)
        action = actions.add(spec)
        action.setData(info.id)
        group.addAction(action)
    return group


def build_menus(window: QMainWindow, actions: ActionTable, docks: Iterable[QAction]) -> QMenu:
    """Fill the menu bar and return the menu of recent folders, which its owner fills."""
    recent = QMenu("Open recent", window)
    for title, names in _MENUS.items():
        menu = window.menuBar().addMenu(title)
        menu.setToolTipsVisible(True)
        for name in names:
            if name == "-":
                menu.addSeparator()
            elif name == "@recent":
                menu.addMenu(recent)
            elif name == "@docks":
                menu.addActions(list(docks))
            elif name == "@tools":
                tools = menu.addMenu("Tools")
                tools.addActions([actions[f"tool_{tool.info.id}"] for tool in TOOL_CLASSES])
            elif name == "@whole":
                menu.addMenu("Whole image").addActions([actions[each] for each in _WHOLE])
            else:
                menu.addAction(actions[name])
    return recent


def fill_recent(menu: QMenu, folders: list[Path], open_folder: object) -> None:
    """Show the last folders in their menu."""
    menu.clear()
    for folder in folders:
        action = menu.addAction(keyless(str(folder)))
        action.triggered.connect(lambda _=False, path=folder: open_folder(path))  # type: ignore[operator]
    menu.setEnabled(bool(folders))


_GROUPS: tuple[tuple[str, ...], ...] = (
    ("brush", "model-brush"),
    ("eraser",),
    ("polygon", "rectangle", "ellipse"),
    ("lasso",),
    ("fill", "holes", "specks", "grow"),
    ("wand", "grabcut"),
    ("scissors",),
    ("take-over", "sure", "threshold"),
    ("blob",),
    ("pick",),
    ("pan",),
)
"""Tools that share a button; the one used last is on top."""


class ToolButton(QToolButton):
    """A tool of the bar, or several related ones: a long press or the right button shows all of them."""

    def __init__(self, actions: list[QAction], parent: QWidget) -> None:
        super().__init__(parent)
        self._several = len(actions) > 1
        self.setIconSize(QSize(20, 20))
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAutoRaise(True)
        self._on_top(actions[0])
        if self._several:
            menu = QMenu(self)
            menu.setToolTipsVisible(True)
            menu.addActions(actions)
            self.setMenu(menu)
            self.setPopupMode(QToolButton.ToolButtonPopupMode.DelayedPopup)
            for action in actions:
                action.toggled.connect(partial(self._on_toggled, action))

    def _on_toggled(self, action: QAction, on: bool) -> None:
        if on:
            self._on_top(action)

    def _on_top(self, action: QAction) -> None:
        self.setDefaultAction(action)
        self.setAccessibleName(action.text())
        self.explain()

    @Slot()
    def explain(self) -> None:
        """Say what the tool on top does, and its key."""
        explain(self, self.defaultAction())

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if self._several:  # a small corner says that there is more
            painter = QPainter(self)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            colors = theme.current()
            path = QPainterPath(QPointF(self.width() - 4, self.height() - 4))
            path.lineTo(self.width() - 8, self.height() - 4)
            path.lineTo(self.width() - 4, self.height() - 8)
            painter.fillPath(path, QColor(colors.on_accent if self.isChecked() else colors.muted))
            painter.end()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        if self._several:
            self.showMenu()


def _add_button(bar: QToolBar, members: list[QAction], actions: ActionTable) -> None:
    button = ToolButton(members, bar)
    actions.keys_changed.connect(button.explain)
    bar.addWidget(button)


def build_tool_bar(window: QMainWindow, actions: ActionTable) -> QToolBar:
    """Return the slim bar at the left: the tools in their order, then what concerns the view."""
    bar = QToolBar("Tools", window)
    bar.setObjectName("tools")
    bar.setMovable(False)
    bar.setOrientation(Qt.Orientation.Vertical)
    bar.setIconSize(QSize(20, 20))
    bar.setContextMenuPolicy(Qt.ContextMenuPolicy.PreventContextMenu)
    known = [tool.info.id for tool in TOOL_CLASSES]
    grouped = [name for group in _GROUPS for name in group]
    for group in (*_GROUPS, *((name,) for name in known if name not in grouped)):
        members = [actions[f"tool_{name}"] for name in group if name in known]
        if members:
            _add_button(bar, members, actions)
    bar.addSeparator()
    for name in ("fit", "actual"):
        _add_button(bar, [actions[name]], actions)
    window.addToolBar(Qt.ToolBarArea.LeftToolBarArea, bar)
    more = bar.findChild(QToolButton, "qt_toolbar_ext_button")  # Qt's own shows black arrows on any ground
    if more is not None:
        more.setIcon(theme.icon("chevron-right"))
        more.setToolTip("More tools")
    return bar
