"""The menu bar and the tool bar, made from the table of actions."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QMainWindow, QMenu, QToolBar

from unet_gui.app.actions import TOOLS, ActionSpec, ActionTable
from unet_gui.app.canvas.tools import TOOLS as TOOL_CLASSES

_MENUS: dict[str, tuple[str, ...]] = {
    "&File": (
        "open", "open_sample", "@recent", "close_folder", "-", "save", "save_masks", "-", "encoding",
        "labels_elsewhere", "-", "quit",
    ),
    "&Edit": ("undo", "redo", "-", "settings"),
    "&View": (
        "next", "previous", "next_unfinished", "filter", "-", "fit", "actual", "zoom_in", "zoom_out", "-",
        "show_label", "show_prediction", "outline", "-", "@docks",
    ),
    "&Label": (
        "@tools", "-", "take_over", "take_over_all", "next_doubtful", "done", "-", "swap", "add_class", "-", "clear",
    ),
    "&Model": ("train", "stop", "-", "predict", "segment", "-", "load_model", "model_settings"),
    "&Help": ("shortcuts", "guide", "-", "about"),
}  # fmt: skip


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
            else:
                menu.addAction(actions[name])
    return recent


def fill_recent(menu: QMenu, folders: list[Path], open_folder: object) -> None:
    """Show the last folders in their menu."""
    menu.clear()
    for folder in folders:
        action = menu.addAction(str(folder))
        action.triggered.connect(lambda _=False, path=folder: open_folder(path))  # type: ignore[operator]
    menu.setEnabled(bool(folders))


def build_tool_bar(window: QMainWindow, actions: ActionTable) -> QToolBar:
    """Return the slim bar at the left: the tools in their order, then what concerns the view."""
    bar = QToolBar("Tools", window)
    bar.setObjectName("tools")
    bar.setMovable(False)
    bar.setOrientation(Qt.Orientation.Vertical)
    bar.setIconSize(QSize(20, 20))
    bar.setContextMenuPolicy(Qt.ContextMenuPolicy.PreventContextMenu)
    for tool in TOOL_CLASSES:
        bar.addAction(actions[f"tool_{tool.info.id}"])
    bar.addSeparator()
    for name in ("fit", "actual"):
        bar.addAction(actions[name])
    for action in bar.actions():
        widget = bar.widgetForAction(action)
        if widget is not None:
            widget.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            widget.setAccessibleName(action.text())
    window.addToolBar(Qt.ToolBarArea.LeftToolBarArea, bar)
    return bar
