"""The canvas: the surface that shows the image, and the hand that works on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from PySide6.QtCore import QEvent, QPointF, Qt, Signal
from PySide6.QtGui import (
    QCloseEvent,
    QColor,
    QEnterEvent,
    QFocusEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QRegion,
    QTabletEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QApplication, QWidget

from unet_gui.app.canvas.bench import Bench
from unet_gui.app.canvas.blob_tools import BlobTool
from unet_gui.app.canvas.display import Display
from unet_gui.app.canvas.hand import Hand
from unet_gui.app.canvas.key_pen import KeyPen
from unet_gui.app.canvas.navigation import Navigation
from unet_gui.app.canvas.overlay import (
    paint_overlay,
    paint_ring,
    paint_text,
    ring_region,
    stale_rects,
    text_rect,
)
from unet_gui.app.canvas.pinch import pinch_of
from unet_gui.app.canvas.scene import region_rects
from unet_gui.app.canvas.surface import CanvasSurface
from unet_gui.app.canvas.target import EditTarget
from unet_gui.app.canvas.tool import Brush, Options, Overlay
from unet_gui.app.widgets import TYPING
from unet_gui.core.geometry import EMPTY, Rect
from unet_gui.core.images import ImageRef, ImageSource
from unet_gui.core.palette import ClassInfo

_CURSORS = {
    "cross": Qt.CursorShape.CrossCursor,
    "hand": Qt.CursorShape.OpenHandCursor,
    "arrow": Qt.CursorShape.ArrowCursor,
}
_ARROWS: dict[int, tuple[int, int]] = {
    Qt.Key.Key_Left: (-1, 0),
    Qt.Key.Key_Right: (1, 0),
    Qt.Key.Key_Up: (0, -1),
    Qt.Key.Key_Down: (0, 1),
}
_NO_KEYS, _KEYPAD = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.KeypadModifier
_ZOOM_STEP = 1.25  # for one notch of the wheel
_NOTCH = 120  # eighths of a degree
_SIZING = Qt.KeyboardModifier.ShiftModifier | Qt.KeyboardModifier.ControlModifier


class CanvasView(CanvasSurface):
    """Shows the open image and hands the mouse to the tool in hand.

    Attributes
    ----------
    pen : KeyPen
        Works the tool by keys.

    Signals
    -------
    cursor_moved(x, y)
        Image coordinates under the pointer (floats; the pixel is their floor).
    cursor_left()
        The pointer left the canvas.
    tool_changed(str)
        The id of the tool now in hand.
    brush_changed(float)
        The brush has this diameter now.
    layers_changed(LayerSettings)
        The person moved the divider of the split view.
    message(str)
        A short text for the status bar.
    steps_changed()
        `undo_text` or `redo_text` is another.
    shape_left(str)
        A shape in progress (the id of its tool) waits on the image of the moment.
    used()
        A tool has had the wheel or a release: what it remembers may be something else now.
    """

    cursor_moved = Signal(float, float)
    cursor_left = Signal()
    tool_changed = Signal(str)
    brush_changed = Signal(float)
    layers_changed = Signal(object)
    message = Signal(str)
    steps_changed = Signal()
    shape_left = Signal(str)
    used = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setMouseTracking(True)
        self.setTabletTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._bench = Bench(
            self._scene,
            on_overlay=self._on_overlay,
            on_steps=self._tell_steps,
            on_message=self.message.emit,
            on_view_moved=self._view_moved,
        )
        self._hand = Hand(self._bench, self.view)
        self._turned = 0
        self._navigation = Navigation(self.view, self._furniture, on_moved=self._view_moved, on_split=self._on_split)
        self.pen = KeyPen(self, self._hand, self._bench, self.to_widget)
        self.grabGesture(Qt.GestureType.PinchGesture)
        self._steps = ("", "")  # of a shape in progress, as told last
        self._text_area = EMPTY  # where the overlay's text was painted last
        self._ring = QRegion()  # where the ring was painted last
        self.view_changed.connect(self._follow_view)
        self._update_cursor()

    @property
    def brush(self) -> Brush:
        """Size of brush and eraser; `set_brush_size` and `step_brush_size` change it."""
        return self._bench.brush

    @property
    def options(self) -> Options:
        """What tools remember: tolerance of the wand, size of specks …"""
        return self._bench.options

    @property
    def tool(self) -> str:
        """Id of the tool in hand."""
        return self._hand.tool.info.id

    def set_target(self, target: EditTarget | None) -> None:
        """Let the tools work on this; a gesture under way is taken back."""
        self.cancel()
        self._bench.target = target

    def set_image(self, source: ImageSource | None, display: Display | None = None) -> None:
        """Show another image, whole, with neither label nor prediction; a gesture under way is taken back.

        A shape in progress waits until its image comes again. The former source may be closed as soon as this returns.
        """
        self._navigation.cancel()
        self._hand.drop_gesture()
        image = "" if source is None else ImageRef(str(source.path), source.page if source.info.pages > 1 else None).key
        if self._hand.tool.is_worth_keeping and image != self._hand.image:
            self.shape_left.emit(self.tool)
        super().set_image(source, display)
        self._hand.change_image(image)
        self._tell_steps()

    def set_classes(self, classes: Sequence[ClassInfo]) -> None:
        """Take names and colours of the classes."""
        self._bench.set_classes(classes)
        super().set_classes(classes)

    def pan_by(self, dx: float, dy: float) -> None:
        """Move the picture by image pixels."""
        self._bench.pan_by(dx, dy)

    def _follow_view(self) -> None:
        self._hand.view_moved()
        self._update_ring()

    # tools

    def set_tool(self, name: str) -> None:
        """Take another tool in hand; a shape in progress waits until its tool is taken again on this image."""
        before = self._hand.tool
        self._hand.take(name)
        self._update_cursor()
        self._update_ring()
        self._tell_steps()
        self.tool_changed.emit(name)
        if before in self._hand.waiting:
            self.shape_left.emit(before.info.id)

    def set_brush_size(self, size: float) -> None:
        """Set the diameter of brush and eraser."""
        self.brush.size = min(max(size, Brush.MIN), Brush.MAX)
        self._update_ring()
        self.brush_changed.emit(self.brush.size)

    def step_brush_size(self, steps: float) -> None:
        """Grow or shrink brush and eraser by about a tenth a step."""
        self.brush.step(steps)
        self._update_ring()
        self.brush_changed.emit(self.brush.size)

    @property
    def is_drawing(self) -> bool:
        """Whether a gesture is under way."""
        return self._hand.is_busy

    @property
    def waiting_shapes(self) -> list[str]:
        """The ids of the tools that wait with a shape in progress on this image."""
        return [tool.info.id for tool in self._hand.waiting]

    @property
    def unfinished(self) -> list[tuple[str, str]]:
        """All shapes in progress, on whatever image: the path of the image, as `ImageRef.key`, and the shape's name."""
        return [(image, tool.draft_name) for image, tool in self._hand.unfinished]

    @property
    def undo_text(self) -> str:
        """What `undo` takes back of a shape in progress, empty when there is none."""
        return self._hand.tool.undo_text

    @property
    def redo_text(self) -> str:
        """What `redo` makes again, empty when there is none."""
        return self._hand.tool.redo_text

    def undo(self) -> bool:
        """Take back the last step of a shape in progress; return whether nothing else is to be undone."""
        return self._hand.undo()

    def redo(self) -> bool:
        """Make it again; return whether nothing else is to be made again."""
        return self._hand.redo()

    def _tell_steps(self) -> None:
        steps = self.undo_text, self.redo_text
        if steps != self._steps:
            self._steps = steps
            self.steps_changed.emit()

    def finish(self) -> None:
        """End the gesture under way as if its button had been let go; a shape in progress stays."""
        self._navigation.cancel()
        self._hand.finish()

    def cancel(self) -> None:
        """Take back the gesture under way and give up a shape in progress."""
        self._navigation.cancel()
        self._hand.cancel()

    def copy(self) -> None:
        """Copy the blob under the pointer, or what is in the box of the blob tool."""
        if self._bench.has_label:
            self._blobs().copy()

    def delete(self) -> None:
        """Delete what the tool in hand is about to make, or the blob under the pointer."""
        if self._bench.has_label and not self._hand.is_busy and not self._hand.tool.key("delete"):
            self._blobs().key("delete")

    def _blobs(self) -> BlobTool:
        tool = self._hand.tool
        return tool if isinstance(tool, BlobTool) else BlobTool(self._bench).point_at(self._hand.pointer)

    def paste(self) -> None:
        """Let what was copied hang at the pointer until the next click."""
        if not self._bench.has_label:
            return
        if self._bench.clip is None:  # nobody is given another tool for nothing
            self._bench.say("Nothing was copied yet")
            return
        if not isinstance(self._hand.tool, BlobTool):
            self.set_tool(BlobTool.info.id)
        assert isinstance(self._hand.tool, BlobTool)
        self._hand.tool.paste()

    def shutdown(self) -> None:
        """Stop what goes on in the background; the source may be closed after that."""
        self.cancel()
        self._scene.stop()

    # painting

    def _on_overlay(self, before: Overlay | None, after: Overlay | None) -> None:
        scale = self.devicePixelRatioF()
        for rect in stale_rects(before, after, self.view, scale):
            self._update_screen(rect)
        self._update_screen(self._text_area)
        self._text_area = EMPTY
        if after is not None and after.text and self._hand.pointer is not None:
            at = self.view.to_screen(*self._hand.pointer.at)
            self._text_area = text_rect(self.font(), after.text, at, scale, (self.view.width, self.view.height))
            self._update_screen(self._text_area)

    def _ring_place(self) -> tuple[tuple[float, float], float] | None:
        """Return middle and radius of the ring in screen pixels, None when it does not show."""
        pointer = self._hand.pointer
        if pointer is None or not self._hand.tool.ring or self._scene.source is None or self._navigation.is_panning:
            return None
        diameter = self.brush.diameter(self.zoom)
        return self.view.to_screen(*self.brush.snap(pointer.at, diameter)), diameter / 2 * self.zoom

    def _update_ring(self) -> None:
        """Have the ring painted where it is now, and what was under it where it was."""
        place = self._ring_place()
        scale = self.devicePixelRatioF()
        now = QRegion() if place is None else ring_region(*place, scale)
        if scale == 1:
            self.update(self._ring + now)
        else:
            for rect in region_rects(self._ring + now, most=30):
                self._update_screen(rect)
        self._ring = now

    def _update_cursor(self) -> None:
        if self._navigation.is_panning:
            self.setCursor(Qt.CursorShape.ClosedHandCursor)
        else:
            self.setCursor(_CURSORS["hand" if self._navigation.space else self._hand.tool.cursor])

    def _tell_cursor(self, at: QPointF) -> None:
        scale = self.devicePixelRatioF()
        self.cursor_moved.emit(*self.view.to_image(at.x() * scale, at.y() * scale))

    def _on_split(self, place: float) -> None:
        self.layers = replace(self.layers, split=place)
        self.layers_changed.emit(self.layers)

    def _hold(self, key: int, down: bool) -> bool:
        """Handle the keys that work while they are held: Space pans, H shows the image alone."""
        if key == Qt.Key.Key_Space:
            self._navigation.space = down
            self._update_cursor()
        elif key == Qt.Key.Key_H:
            self._scene.set_peek(down)
        else:
            return False
        return True

    def _pan_with_key(self, event: QKeyEvent) -> bool:
        """Move the picture by a tenth of the view with the arrow keys."""
        step = _ARROWS.get(event.key())
        if step is None or event.modifiers() not in (_NO_KEYS, _KEYPAD) or self._scene.source is None:
            return False
        self.view.pan(-step[0] * self.view.width // 10, -step[1] * self.view.height // 10)
        self._view_moved()
        return True

    def _paint_above(self, painter: QPainter, exposed: QRegion) -> None:
        scale, style, overlay = self.devicePixelRatioF(), self._scene.style, self._bench.overlay
        if overlay is not None:
            color = QColor(self._bench.class_color(overlay.class_id))
            near = [_on_screen(rect, scale) for rect in region_rects(exposed, most=40)]
            paint_overlay(painter, style, overlay, self.view, color, scale, near)
            paint_text(painter, style, overlay.text, self._text_area, scale)
        ring = self._ring_place()
        if ring is not None:
            paint_ring(painter, style, *ring, scale)

    # Qt's own names

    def event(self, event: QEvent) -> bool:
        pinch = pinch_of(event, self)
        if pinch is None:
            return super().event(event)
        if pinch.first:
            self._navigation.cancel()
            self._hand.drop_gesture()  # the stroke that the first finger has begun
        dpr = self.devicePixelRatioF()
        self.view.pan(round(pinch.by.x() * dpr), round(pinch.by.y() * dpr))
        self.zoom_to(self.zoom * pinch.factor, pinch.at)
        event.accept()
        return True

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if self.pen.is_down and not self.pen.sending:
            self.pen.toggle()  # a hand has taken over
        by_keys = self.pen.sending  # the key pen draws also where the minimap lies
        if not by_keys and self._navigation.wants(event.button(), event.position(), self._hand.is_busy):
            self._navigation.press(event)
            self._update_cursor()
        else:
            self.mark(None)  # whoever takes a tool to it has seen it
            self._hand.mouse(event, self.devicePixelRatioF())
        self._update_ring()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self.mousePressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self.pen.is_down and not self.pen.sending:
            return  # somebody touched the mouse while a line is drawn with keys
        if self._navigation.is_busy:
            self._navigation.move(event)
        else:
            self._hand.mouse(event, self.devicePixelRatioF())
            self._update_ring()
        self._tell_cursor(event.position())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._navigation.release(event):
            self._update_cursor()
        else:
            self._hand.mouse(event, self.devicePixelRatioF())
            self.used.emit()
        self._update_ring()

    def tabletEvent(self, event: QTabletEvent) -> None:
        hand, navigation = self._hand, self._navigation
        if navigation.is_busy or navigation.wants(event.button(), event.position(), hand.is_busy):
            event.ignore()  # comes again as a mouse event
            return
        if event.type() == QEvent.Type.TabletPress:
            self.setFocus(Qt.FocusReason.MouseFocusReason)  # or the next key goes into a text field
        hand.tablet(event, self.devicePixelRatioF())
        self._update_ring()
        self._tell_cursor(event.position())
        event.accept()

    def wheelEvent(self, event: QWheelEvent) -> None:
        turned = event.angleDelta()
        angle = turned.y() or turned.x()  # Shift and Alt turn it sideways on some systems
        if not angle or self._scene.source is None:
            return
        event.accept()
        if not event.modifiers() & _SIZING:
            self.zoom_to(self.zoom * _ZOOM_STEP ** (angle / _NOTCH), event.position())
            return
        self._turned += angle  # a touchpad sends many small parts of a notch: sizes change by whole ones
        whole = int(self._turned / _NOTCH)
        self._turned -= whole * _NOTCH
        if whole and self._hand.wheel(whole, event.modifiers()):
            self.used.emit()
        elif whole:
            if Qt.KeyboardModifier.ShiftModifier in event.modifiers():
                self.step_brush_size(whole)
            else:
                self.zoom_to(self.zoom * _ZOOM_STEP**whole, event.position())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        self._hand.hold(event.key(), down=True)
        if event.key() == Qt.Key.Key_Escape:
            self.mark(None)
        held = not event.modifiers() and self._hold(event.key(), True)
        if not held and not self._hand.key(event) and not self._pan_with_key(event):
            super().keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        self._hand.hold(event.key(), down=False)
        if event.isAutoRepeat():
            return  # the key is still held
        if not self._hold(event.key(), False):
            super().keyReleaseEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self.let_go()
        super().focusOutEvent(event)

    def let_go(self) -> None:
        """Take held keys for let go: their release goes elsewhere."""
        for key in (Qt.Key.Key_Space, Qt.Key.Key_H):
            self._hold(key, False)

    def enterEvent(self, event: QEnterEvent) -> None:
        if not isinstance(QApplication.focusWidget(), TYPING):
            self.setFocus(Qt.FocusReason.MouseFocusReason)  # so that held keys and Enter reach the tool
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        self._hand.leave()
        self._update_ring()
        self.cursor_left.emit()
        super().leaveEvent(event)

    def closeEvent(self, event: QCloseEvent) -> None:
        self.shutdown()
        super().closeEvent(event)


def _on_screen(rect: Rect, scale: float) -> Rect:
    """Return the screen pixels that some pixels of the widget touch."""
    x, y = math.floor(rect.x * scale), math.floor(rect.y * scale)
    return Rect(x, y, math.ceil(rect.x1 * scale) - x, math.ceil(rect.y1 * scale) - y)
