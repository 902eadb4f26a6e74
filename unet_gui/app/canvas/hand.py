"""The hand on the canvas: mouse, pen and keys become gestures of the tool in hand."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtGui import QKeyEvent, QMouseEvent, QPointingDevice, QTabletEvent

from unet_gui.app.canvas.bench import Bench
from unet_gui.app.canvas.tool import Gesture, Key, Pointer, Tool
from unet_gui.app.canvas.tools import TOOL_BY_ID
from unet_gui.app.canvas.viewport import Viewport
from unet_gui.core.errors import UserError

Kind = Literal["press", "move", "release", "hover"]

_KEYS: dict[int, Key] = {
    Qt.Key.Key_Return: "enter",
    Qt.Key.Key_Enter: "enter",
    Qt.Key.Key_Escape: "escape",
    Qt.Key.Key_Backspace: "backspace",
    Qt.Key.Key_Delete: "delete",
}
_KINDS: dict[QEvent.Type, Kind] = {
    QEvent.Type.MouseButtonPress: "press",
    QEvent.Type.MouseButtonDblClick: "press",
    QEvent.Type.MouseMove: "move",
    QEvent.Type.MouseButtonRelease: "release",
    QEvent.Type.TabletPress: "press",
    QEvent.Type.TabletMove: "move",
    QEvent.Type.TabletRelease: "release",
}


_TROUBLE = (UserError, OSError, MemoryError)
"""What may come of reading the picture or of too large a shape; the gesture has been taken back then."""


class Hand:
    """Runs at most one gesture at a time.

    Attributes
    ----------
    tool : Tool
        The tool in hand.
    pointer : Pointer or None
        Where the pointer is; None when it is not over the canvas.
    """

    def __init__(self, bench: Bench, view: Viewport) -> None:
        self._bench = bench
        self._view = view
        self._gesture: Gesture | None = None
        self._button = Qt.MouseButton.NoButton
        self.tool: Tool = TOOL_BY_ID["brush"](bench)
        self.pointer: Pointer | None = None
        self._last: Pointer | None = None  # where the gesture under way would end now
        self.image = ""  # name of the image on the canvas
        self._waiting: dict[tuple[str, str], Tool] = {}  # with shapes in progress, by image and tool
        self._screen = (0.0, 0.0)  # the pointer's place in screen pixels

    @property
    def is_busy(self) -> bool:
        """Whether a gesture is under way."""
        return self._gesture is not None

    @property
    def waiting(self) -> list[Tool]:
        """The tools that wait with a shape in progress on this image."""
        return [tool for (image, _), tool in self._waiting.items() if image == self.image]

    @property
    def unfinished(self) -> list[tuple[str, Tool]]:
        """The shapes in progress that are worth keeping: on which image, and the tool, also the one in hand."""
        waiting = [(image, tool) for (image, _), tool in self._waiting.items()]
        return waiting + [(self.image, self.tool)] * self.tool.is_worth_keeping

    def take(self, name: str) -> None:
        """Take another tool; a gesture under way ends, and a shape in progress waits with its tool."""
        if name == self.tool.info.id and self._gesture is None:
            return  # it is in hand, with a shape in progress perhaps
        self.finish()
        self._exchange(self.image, name)

    def change_image(self, image: str) -> None:
        """Go to another image; a shape in progress waits on the one before."""
        self._exchange(image, self.tool.info.id)

    def _exchange(self, image: str, name: str) -> None:
        tool = self.tool
        if tool.is_worth_keeping:
            self._waiting[self.image, tool.info.id] = tool
            self._bench.show_overlay(None)
        else:
            tool.cancel()
        self.image = image
        kept = self._waiting.pop((image, name), None)
        if kept is None and (tool.is_worth_keeping or name != tool.info.id):
            kept = TOOL_BY_ID[name](self._bench)
        self.tool = kept or tool
        self._go_on()

    def undo(self) -> bool:
        """Take back the last step of a shape in progress; return whether nothing else is to be undone."""
        return self.is_busy or (self._bench.has_label and self._told(self.tool.undo))

    def redo(self) -> bool:
        """Make it again; return whether nothing else is to be made again."""
        return self.is_busy or (self._bench.has_label and self._told(self.tool.redo))

    def finish(self) -> None:
        """End the gesture under way as if the button had been let go; a shape in progress stays.

        A key that is pressed a moment too early must not cost a stroke of ten seconds.
        """
        self._end()
        if not self.tool.in_progress:
            self.tool.cancel()

    def _end(self) -> None:
        gesture, self._gesture = self._gesture, None
        try:
            if gesture is not None and self._last is not None and _advance(gesture, self._last):
                gesture.close()
        except _TROUBLE as error:
            self._say(error)

    def drop_gesture(self) -> None:
        """Take back the gesture under way; a shape in progress is what it was before."""
        if self._gesture is not None:
            gesture, self._gesture = self._gesture, None
            gesture.close()
            self._go_on()

    def _go_on(self) -> None:
        """Let the tool show what is left after a gesture that was given up."""
        try:
            if self.tool.in_progress:
                self.tool.resume()
            else:
                self.tool.cancel()
        except _TROUBLE as error:
            self._say(error)

    def cancel(self) -> None:
        """Take back the gesture under way and give up a shape in progress."""
        if self._gesture is not None:
            gesture, self._gesture = self._gesture, None
            gesture.close()
        self.tool.cancel()

    def view_moved(self) -> None:
        """The picture moved under the pointer."""
        if self.pointer is not None:
            x, y = self._view.to_image(*self._screen)
            self.pointer = self.pointer._replace(x=x, y=y)

    def leave(self) -> None:
        """The pointer left the canvas."""
        self.pointer = None
        if self._gesture is None:
            self.tool.leave()

    def mouse(self, event: QMouseEvent, dpr: float) -> None:
        """Handle a press, move or release that is not for getting around."""
        kind = _KINDS[event.type()]
        if kind == "press" and event.button() not in (Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton):
            return
        if kind == "press" and self._gesture is not None:
            return  # a second button while the first is down
        if kind == "release" and event.button() != self._button:
            return
        if kind == "move" and self._gesture is not None and not event.buttons():
            self._end()  # somebody else has got the release, a menu perhaps: where it was is not known
        if kind == "press":
            self._button = event.button()
        erase = (self._button if self._gesture or kind == "press" else Qt.MouseButton.NoButton) == (
            Qt.MouseButton.RightButton
        )
        double = event.type() == QEvent.Type.MouseButtonDblClick
        self._feed(self._pointer(kind, event.position(), event.modifiers(), dpr, 1.0, erase, double))

    def tablet(self, event: QTabletEvent, dpr: float) -> None:
        """Handle the pen; its pressure comes with every event, and its other end erases."""
        kind = _KINDS[event.type()]
        barrel = event.button() != Qt.MouseButton.LeftButton and not event.pressure()
        if kind == "press" and (self._gesture is not None or barrel):
            return  # the button on the barrel, while the tip is down or in the air
        if kind == "release" and self._gesture is not None and event.pressure() and event.buttons():
            return  # that button again; the tip is still down
        if kind == "press":
            self._button = Qt.MouseButton.LeftButton
        erase = (
            event.pointerType() == QPointingDevice.PointerType.Eraser
            or Qt.MouseButton.RightButton in event.buttons() | event.button()
        )
        pressure = min(1.0, event.pressure())
        self._feed(self._pointer(kind, event.position(), event.modifiers(), dpr, pressure, erase, False))

    def key(self, event: QKeyEvent) -> bool:
        """Handle Enter, Esc, Backspace and Delete; return whether the key was of use."""
        key = _KEYS.get(event.key())
        if key is None:
            return False
        if key == "escape" and self._gesture is not None:
            self.drop_gesture()
            return True
        if self._gesture is not None:
            return True  # a corner in hand: the shape is not closed under it
        return self._bench.has_label and self._told(partial(self.tool.key, key))

    def wheel(self, steps: float, held: Qt.KeyboardModifier) -> bool:
        """Let the tool use the wheel; return whether it did."""
        if not self._bench.has_label or self.pointer is None:
            return False
        shift, ctrl = (key in held for key in (Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier))
        return self._told(partial(self.tool.wheel, steps, self.pointer._replace(shift=shift, ctrl=ctrl)))

    def hold(self, key: int, down: bool) -> None:
        """Handle Shift and Ctrl by themselves: what a tool shows may depend on them, with the pointer at rest."""
        if self.pointer is None or not self._bench.has_label or self._gesture is not None:
            return
        if key == Qt.Key.Key_Shift:
            self.pointer = self.pointer._replace(shift=down, kind="hover")
        elif key == Qt.Key.Key_Control:
            self.pointer = self.pointer._replace(ctrl=down, kind="hover")
        else:
            return
        try:
            if key == Qt.Key.Key_Control and not down:
                self.tool.ctrl_released()
            self.tool.hover(self.pointer)
        except _TROUBLE as error:
            self._say(error)

    def _pointer(
        self,
        kind: Kind,
        at: QPointF,
        held: Qt.KeyboardModifier,
        dpr: float,
        pressure: float,
        erase: bool,
        double: bool,
    ) -> Pointer:
        self._screen = at.x() * dpr, at.y() * dpr
        x, y = self._view.to_image(*self._screen)
        return Pointer(
            "hover" if kind == "move" and self._gesture is None else kind,
            x,
            y,
            pressure,
            erase or Qt.KeyboardModifier.AltModifier in held,
            Qt.KeyboardModifier.ShiftModifier in held,
            Qt.KeyboardModifier.ControlModifier in held,
            double,
        )

    def _feed(self, pointer: Pointer) -> None:
        self.pointer = pointer
        self._last = pointer._replace(kind="release")
        if not self._bench.has_label:
            return
        try:
            self._run(pointer)
        except _TROUBLE as error:
            self._gesture = None
            self._go_on()
            self._say(error)

    def _told(self, step: Callable[[], bool]) -> bool:
        """Return what a step of the tool returns; what comes in its way is told, and then it was of use."""
        try:
            return step()
        except _TROUBLE as error:
            self._say(error)
            return True

    def _say(self, error: Exception) -> None:
        self._bench.say(str(error) or "There is not enough memory for this")

    def _run(self, pointer: Pointer) -> None:
        if pointer.kind == "hover":
            self.tool.hover(pointer)
        elif pointer.kind == "press":
            gesture = self.tool.gesture(pointer)
            if _advance(gesture, None):
                self._gesture = gesture
        elif self._gesture is not None and not _advance(self._gesture, pointer):
            self._gesture = None


def _advance(gesture: Gesture, pointer: Pointer | None) -> bool:
    """Run a gesture to its next ``yield``; return whether it is still under way."""
    try:
        if pointer is None:
            next(gesture)
        else:
            gesture.send(pointer)
    except StopIteration:
        return False
    return True
