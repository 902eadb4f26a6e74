"""The middle of the window: the canvas, and what floats over it — chips, action bar, messages, guide."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, QPoint, QSize, Qt, Signal
from PySide6.QtGui import QAction, QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QMenu, QPushButton, QWidget

from unet_gui.app.actions import ActionTable
from unet_gui.app.canvas.tool import Options
from unet_gui.app.canvas.view import CanvasView
from unet_gui.app.panels.messages import MessageStack
from unet_gui.app.widgets import button, explain, keyless, swatch
from unet_gui.core.labels import UNLABELLED, Over
from unet_gui.core.palette import ClassInfo
from unet_gui.core.text import percent

_EDGE = 12
_LEAST = 60
"""Room for a text that is cut off."""
GUIDE = 330
"""Width of the guide if there is room."""
WIDE = 560
"""Width from which the buttons have long texts."""


OPTIONS: dict[str, tuple[str, Callable[[float], str], tuple[float, ...]]] = {
    "wand": ("wand_tolerance", "Tolerance {}".format, (5, 10, 20, 30, 50, 80)),
    "specks": ("speck_size", "Specks under {} px".format, (5, 10, 30, 100, 300, 1000)),
    "sure": ("sure", lambda part: f"At least {percent(part)} sure", (0.6, 0.7, 0.8, 0.9, 0.95, 0.99)),
    "threshold": ("threshold", "Threshold {:.2f}".format, (0.1, 0.25, 0.5, 0.75, 0.9)),
}
"""What a tool remembers, by tool: field of `Options`, text, choices."""


class Chips(QWidget):
    """What painting does at the moment: class, brush size, paint-over rule. Each opens its choice.

    Signals
    -------
    over_chosen(Over)
    option_chosen(field, value)
        Something that the tool in hand remembers.
    class_menu_wanted(QPoint)
    size_menu_wanted(QPoint)
    """

    over_chosen = Signal(object)
    option_chosen = Signal(str, object)
    class_menu_wanted = Signal(QPoint)
    size_menu_wanted = Signal(QPoint)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._classes: list[ClassInfo] = []
        self._room = 2000
        self._class_text = self._size_text = self._over_text = ""
        self.class_chip = button("", "chip", "The class that tools paint (number keys)")
        self.size_chip = button("", "chip", "Diameter of the brush ([ and ], Shift+wheel)")
        self.option_chip = button("", "chip", "Setting of this tool")
        self.over_chip = button("", "chip", "What painting may change")
        self.option_chip.setAccessibleName("Tool setting")
        self._option = ""
        self.class_chip.setIconSize(QSize(11, 11))
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        for chip in (self.class_chip, self.size_chip, self.option_chip, self.over_chip):
            layout.addWidget(chip)
        self.class_chip.clicked.connect(lambda: self.class_menu_wanted.emit(self._below(self.class_chip)))
        self.size_chip.clicked.connect(lambda: self.size_menu_wanted.emit(self._below(self.size_chip)))
        self.option_chip.clicked.connect(self._choose_option)
        self.option_chip.hide()
        self.over_chip.clicked.connect(self._choose_over)
        self.set_over(Over.ALL)

    def set_classes(self, classes: list[ClassInfo]) -> None:
        """Know the classes' names for the paint-over rule."""
        self._classes = list(classes)

    def set_class(self, class_id: int, name: str, color: str) -> None:
        """Show the class that is painted; 255 while erasing."""
        self._class_text = name
        self.class_chip.setAccessibleName(f"Class: {name}")
        self.class_chip.setIcon(swatch(class_id, color, 11))
        self._fit()

    def set_size(self, size: float, on_screen: bool, shown: bool) -> None:
        """Show the size of the brush, or nothing for tools without one."""
        self._size_text = f"{size:g} px{' on screen' if on_screen else ''}"
        self.size_chip.setVisible(shown)
        self._fit()

    def set_option(self, tool: str, options: Options) -> None:
        """Show what the tool in hand remembers, if it remembers anything."""
        self._option = tool if tool in OPTIONS else ""
        if self._option:
            field, text, _ = OPTIONS[tool]
            self.option_chip.setText(text(getattr(options, field)))
            self.option_chip.setAccessibleName(self.option_chip.text())
        if self.option_chip.isHidden() == bool(self._option):
            self.option_chip.setVisible(bool(self._option))
        self._fit()

    def _choose_option(self) -> None:
        field, text, choices = OPTIONS[self._option]
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for value in choices:
            action = menu.addAction(text(value))
            action.triggered.connect(lambda _=False, value=value: self.option_chosen.emit(field, value))
        menu.popup(self._below(self.option_chip))

    def set_over(self, over: Over) -> None:
        """Show the paint-over rule."""
        self._over = over
        if over.mode == "all":
            text = "everything"
        elif over.mode == "unlabelled":
            text = "unlabelled only"
        else:
            names = [info.name for info in self._classes if info.id in over.classes]
            names += ["unlabelled"] * (UNLABELLED in over.classes)
            text = ", ".join(names) if len(names) <= 2 else f"{len(names)} classes"
        self._over_text = text
        self._fit()

    def set_room(self, room: int) -> None:
        """Use short texts where the long ones do not fit into so many pixels."""
        if room != self._room:  # trying texts asks for a layout, which asks for this: without end in a narrow window
            self._room = room
            self._fit()

    def _fit(self) -> None:
        for long, over, size in ((True, "Paint over: ", "Brush "), (False, "Over: ", "")):
            self.size_chip.setText(size + self._size_text)
            self._set_name(self._class_text)
            over_text = over + self._over_text
            if not long:
                self._set_name(self._elided(self._class_text, self._left(self.class_chip) - _LEAST - 68))
                over_text = self._elided(over_text, self._left(self.over_chip) - 24)
            self.over_chip.setText(keyless(over_text))
            self.adjustSize()
            if self.sizeHint().width() <= self._room:
                break
        self.over_chip.setAccessibleName(f"Paint over: {self._over_text}")
        self.size_chip.setAccessibleName(f"Brush {self._size_text}")

    def _set_name(self, name: str) -> None:
        self.class_chip.setText(keyless(f" {name}"))

    def _left(self, chip: QPushButton) -> int:
        """Return how much room the others leave to a chip; those that can be short count little."""
        others = (c for c in self._chips() if c not in (chip, self.over_chip))
        return self._room - sum(c.sizeHint().width() + 6 for c in others)

    def _elided(self, text: str, room: int) -> str:
        return self.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, max(_LEAST, room))

    def _chips(self) -> list[QPushButton]:
        return [c for c in (self.class_chip, self.size_chip, self.option_chip, self.over_chip) if not c.isHidden()]

    def _below(self, chip: QPushButton) -> QPoint:
        return chip.mapToGlobal(QPoint(0, chip.height() + 4))

    def _choose_over(self) -> None:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._rule(menu, "Everything", Over.ALL)
        self._rule(menu, "Unlabelled pixels only", Over.UNLABELLED)
        menu.addSeparator()
        chosen = self._over.classes if self._over.mode == "classes" else frozenset()
        rows = [(info.id, info.name) for info in self._classes]
        if chosen:  # alone it is the rule above
            rows.append((UNLABELLED, "unlabelled"))
        for class_id, name in rows:
            action = menu.addAction(keyless(f"Only {name}" if not chosen else name))
            action.setCheckable(True)
            action.setChecked(class_id in chosen)
            rule = frozenset(chosen ^ {class_id})
            action.triggered.connect(lambda _=False, rule=rule: self._choose_classes(rule))
        menu.popup(self._below(self.over_chip))

    def _rule(self, menu: QMenu, text: str, over: Over) -> QAction:
        action = menu.addAction(text)
        action.setCheckable(True)
        action.setChecked(self._over == over)
        action.triggered.connect(lambda: self.over_chosen.emit(over))
        return action

    def _choose_classes(self, chosen: frozenset[int]) -> None:
        self.over_chosen.emit(Over("classes", chosen) if chosen else Over.ALL)


class ActionBar(QFrame):
    """The three things done all day, in reach of the eye."""

    def __init__(self, actions: ActionTable, parent: QWidget) -> None:
        super().__init__(parent)
        self._actions = actions
        self.setProperty("role", "overlay")
        self.setAccessibleName("Quick actions")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.setSpacing(6)
        self._buttons: dict[str, tuple[QPushButton, str, str]] = {}
        for name, text, short in (
            ("take_over", "Take over prediction", "Take over"),
            ("next_doubtful", "Next doubtful", "Doubtful"),
            ("done", "Done and next", "Done"),
        ):
            widget = button("", "primary" if name == "done" else "")
            widget.setAccessibleName(text)
            widget.clicked.connect(actions[name].trigger)
            actions[name].changed.connect(self._follow)
            self._buttons[name] = (widget, text, short)
            layout.addWidget(widget)
        self._room = 2000
        actions.keys_changed.connect(self._follow)
        self._follow()

    def set_room(self, room: int) -> None:
        """Use short texts, and leave keys out, where they do not fit into so many pixels."""
        if room != self._room:
            self._room = room
            self._follow()

    def _follow(self) -> None:
        for name, (widget, _, _) in self._buttons.items():
            widget.setEnabled(self._actions[name].isEnabled())
            explain(widget, self._actions[name])
        for long, with_keys in ((self._room >= WIDE, True), (False, True), (False, False)):
            for name, (widget, text, short) in self._buttons.items():
                keys = self._actions.shown_keys(name).replace("Return", "⏎") if with_keys else ""
                widget.setText(f"{text if long else short}   {keys}".strip())
            self.adjustSize()
            if self.sizeHint().width() <= self._room:
                break


class Stage(QWidget):
    """The canvas with everything that floats over it.

    Attributes
    ----------
    canvas : CanvasView
    chips : Chips
    bar : ActionBar
    messages : MessageStack
    """

    def __init__(self, actions: ActionTable, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.canvas = CanvasView(self)
        self.chips = Chips(self)
        self.bar = ActionBar(actions, self)
        self.messages = MessageStack(self)
        self.guide: QWidget | None = None
        self.setMinimumSize(252, 200)
        for floating in (self.chips, self.bar, self.messages):
            floating.installEventFilter(self)

    def set_guide(self, guide: QWidget | None) -> None:
        """Let this float at the lower left, or nothing."""
        if self.guide is not None:
            self.guide.removeEventFilter(self)
        self.guide = guide
        if guide is not None:
            guide.setParent(self)
            guide.installEventFilter(self)
            guide.show()
            guide.raise_()
        self._arrange()

    def _arrange(self) -> None:
        width, height = self.width(), self.height()
        self.canvas.setGeometry(0, 0, width, height)
        self.chips.set_room(width - 2 * _EDGE)
        self.chips.move(_EDGE, _EDGE)
        self.bar.set_room(width)
        self.bar.adjustSize()
        self.bar.move(max(0, (width - self.bar.width()) // 2), height - self.bar.height() - 14)
        room = max(200, min(620, width - 2 * _EDGE))
        self.messages.setFixedSize(room, self.messages.height_for(room))
        self.messages.move((width - room) // 2, self.chips.geometry().bottom() + 10)
        if self.guide is not None:
            wide = min(GUIDE, width - 2 * _EDGE)
            self.guide.setFixedSize(wide, self.guide.heightForWidth(wide))
            self.guide.move(_EDGE, max(0, self.bar.y() - self.guide.height() - 12))
        floating = (self.chips, self.bar, self.guide)
        self.canvas.keep_clear([part.geometry() for part in floating if part is not None and not part.isHidden()])

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._arrange()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() in (QEvent.Type.LayoutRequest, QEvent.Type.Show, QEvent.Type.Hide):
            self._arrange()
        return super().eventFilter(watched, event)
