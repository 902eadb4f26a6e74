"""Brush, eraser, fill, pick class, pan."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import numpy as np

from unet_gui.app.canvas.tool import Gesture, Overlay, Pointer, Tool, ToolCanvas, ToolInfo, let_eraser_work
from unet_gui.core.flood import flood_parts
from unet_gui.core.geometry import Rect
from unet_gui.core.labels import UNLABELLED, Edit
from unet_gui.core.strokes import Shape, capsule_bands


class BrushTool(Tool):
    """Paints the active class under a round brush: one capsule per event, so no gaps at any speed."""

    info: ClassVar = ToolInfo(
        "brush",
        "Brush",
        "B",
        "Paint the active class. Right button or Alt erases, Shift+click draws a straight line from the last "
        "point, [ and ] or Shift+wheel change the size.",
        "brush",
    )
    ring: ClassVar = True
    _erases: ClassVar[bool] = False

    def __init__(self, canvas: ToolCanvas) -> None:
        super().__init__(canvas)
        self._anchor: tuple[float, float] | None = None  # end of the last stroke, where Shift+click begins

    def gesture(self, press: Pointer) -> Gesture:
        erase = self._erases or press.erase
        class_id = UNLABELLED if erase else self.target.active_class
        with self.editing("Erase" if erase else "Brush") as edit:
            if edit is None:
                return
            if erase:
                let_eraser_work(edit)
            here, radius = self._place(press)
            start = self._anchor if press.shift and self._anchor is not None else here
            self._stamp(edit, start, here, radius, radius, class_id)
            event = press
            while event.kind != "release":
                event = yield
                there, new_radius = self._place(event)
                if event.kind == "release":
                    new_radius = radius  # the pen's pressure is zero when it is lifted
                if there != here or new_radius != radius:
                    self._stamp(edit, here, there, radius, new_radius, class_id)
                here, radius = there, new_radius
            self._anchor = here
        self.canvas.show_overlay(None)

    def hover(self, pointer: Pointer) -> None:
        if pointer.shift and self._anchor is not None:
            here, _ = self._place(pointer)
            self.canvas.show_overlay(Overlay(lines=[(np.array([self._anchor, here]), False)]))
        else:
            self.canvas.show_overlay(None)

    def leave(self) -> None:
        self.canvas.show_overlay(None)

    def cancel(self) -> None:
        super().cancel()
        self._anchor = None

    def _place(self, event: Pointer) -> tuple[tuple[float, float], float]:
        brush = self.canvas.brush
        diameter = brush.diameter(self.canvas.zoom)
        if brush.pressure and event.pressure < 1:
            diameter = max(1.0, diameter * event.pressure)
        return brush.snap(event.at, diameter), diameter / 2

    def _stamp(
        self, edit: Edit, start: tuple[float, float], end: tuple[float, float], r0: float, r1: float, class_id: int
    ) -> None:
        for shape in capsule_bands(start, end, r0, r1):
            changed = self._paint(edit, shape, class_id)
            if not changed.empty:
                self.target.changed(changed)

    def _paint(self, edit: Edit, shape: Shape, class_id: int) -> Rect:
        """Paint a part of the stroke; return what changed."""
        return edit.paint(*shape, class_id)


class EraserTool(BrushTool):
    """Makes pixels unlabelled again: nobody has said."""

    info: ClassVar = ToolInfo(
        "eraser",
        "Eraser",
        "E",
        "Take labels away: the pixels become unlabelled, which is not the same as background. "
        "With any other tool that paints hold Alt or use the right button.",
        "eraser",
    )
    _erases: ClassVar[bool] = True


class FillTool(Tool):
    """Gives the connected pixels of one class another class."""

    info: ClassVar = ToolInfo(
        "fill",
        "Fill",
        "F",
        "Give the connected area of the label under the pointer the active class; the wand looks at the picture in its "
        "place. Right button or Alt makes it unlabelled.",
        "fill",
    )

    def gesture(self, press: Pointer) -> Gesture:
        labels = self.target.labels
        if labels is not None:
            self.fill("Fill", partial(flood_parts, labels.ids, *press.pixel), self.class_for(press))
        while (yield).kind != "release":
            pass


class PickTool(Tool):
    """Makes the class under the pointer the active one."""

    info: ClassVar = ToolInfo(
        "pick",
        "Pick class",
        "I",
        "Make the class under the pointer the active one; where nothing is labelled, the predicted class.",
        "pick",
    )

    def gesture(self, press: Pointer) -> Gesture:
        event = press
        while True:
            self._pick(*event.pixel)
            if event.kind == "release":
                return
            event = yield

    def _pick(self, x: int, y: int) -> None:
        labels = self.target.labels
        for ids in (None if labels is None else labels.ids, self.target.prediction):
            if ids is not None and 0 <= y < ids.shape[0] and 0 <= x < ids.shape[1] and ids[y, x] != UNLABELLED:
                self.canvas.pick_tool_class(int(ids[y, x]))
                return


class PanTool(Tool):
    """Moves the picture."""

    info: ClassVar = ToolInfo(
        "pan", "Move", "M", "Move the picture. With any other tool hold Space or drag with the middle button.", "pan"
    )
    cursor: ClassVar = "hand"

    def gesture(self, press: Pointer) -> Gesture:
        event = press
        while event.kind != "release":
            event = yield
            # the picture moves under the pointer, so the pressed point always comes back to it
            self.canvas.pan_by(event.x - press.x, event.y - press.y)
