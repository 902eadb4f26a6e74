"""Tools that know what the model said."""

from __future__ import annotations

import math
from functools import partial
from typing import ClassVar

import numpy as np

from unet_gui.app.canvas.paint_tools import BrushTool
from unet_gui.app.canvas.tool import Gesture, Key, Overlay, Pointer, Tool, ToolCanvas, ToolInfo, let_eraser_work
from unet_gui.core.blobs import surrounding
from unet_gui.core.flood import flood, flood_parts, pieces
from unet_gui.core.geometry import EMPTY, Rect
from unet_gui.core.labels import UNLABELLED, Edit
from unet_gui.core.planes import Probabilities
from unet_gui.core.strokes import Shape, capsule
from unet_gui.core.whole import sure_of

NEAR = 1024  # a blob under the pointer is looked for in a window of this size, to stay live

NO_PREDICTION = "The model has not looked at this image yet (R)"
NO_PROBABILITIES = "The model's probabilities were not kept; let it look at this image again (R)"


def window_around(x: int, y: int, size: int) -> Rect:
    """Return a square with this pixel in its middle."""
    return Rect(x - size // 2, y - size // 2, size, size)


class ModelBrushTool(BrushTool):
    """A brush whose paint does not run over the edges that the model sees."""

    info: ClassVar = ToolInfo(
        "model-brush",
        "Edge brush",
        "Shift+B",
        "Paint the active class, but only inside the predicted area where the stroke began: the paint stops at the "
        "edges the model sees. Right button or Alt erases in the same way.",
        "model-brush",
    )

    def gesture(self, press: Pointer) -> Gesture:
        prediction = self.target.prediction
        x, y = press.pixel
        if prediction is None:
            self.canvas.say(NO_PREDICTION)
            return
        if not (0 <= y < prediction.shape[0] and 0 <= x < prediction.shape[1]):
            return
        self._kind = int(prediction[y, x])
        self._window = window_around(x, y, 2 * NEAR).clip(prediction.shape)
        self._area = flood(prediction, x, y, limit=self._window)
        yield from super().gesture(press)

    def _paint(self, edit: Edit, shape: Shape, class_id: int) -> Rect:
        prediction, (rect, mask) = self.target.prediction, shape
        if prediction is None:
            return EMPTY
        area = rect.clip(prediction.shape)
        inside = mask[area.shift(-rect.x, -rect.y).slices] & (prediction[area.slices] == self._kind)
        known = area.intersect(self._window)  # farther away, the class alone decides
        if not known.empty:
            inside[known.shift(-area.x, -area.y).slices] &= self._in_area(known)
        return edit.paint(area, inside, class_id)

    def _in_area(self, rect: Rect) -> np.ndarray:
        """Return which pixels belong to the area where the stroke began."""
        found, mask = self._area
        inside = np.zeros((rect.h, rect.w), bool)
        common = rect.intersect(found)
        if not common.empty:
            part = mask[common.shift(-found.x, -found.y).slices]
            inside[common.shift(-rect.x, -rect.y).slices] = part
        return inside


class TakeOverTool(Tool):
    """Makes what the model said the label: a blob by clicking it, anything by painting over it."""

    info: ClassVar = ToolInfo(
        "take-over",
        "Take over",
        "K",
        "Click a predicted area to make it label, or paint with the button held to take over what is under the "
        "brush. Right-click or Alt+click says that the area is wrong: it gets the class around it; painting so erases.",
        "take-over",
    )
    ring: ClassVar = True

    def __init__(self, canvas: ToolCanvas) -> None:
        super().__init__(canvas)
        self._shown: Shape | None = None

    def gesture(self, press: Pointer) -> Gesture:
        if self.target.prediction is None:
            self.canvas.say(NO_PREDICTION)
            return
        self.cancel()
        event = press
        while event.kind != "release":
            event = yield
            if math.dist(event.at, press.at) > self.canvas.reach / 2:
                yield from self._paint(press, event)
                return
        self._take_blob(press)

    def hover(self, pointer: Pointer) -> None:
        prediction = self.target.prediction
        if prediction is None:
            return
        x, y = pointer.pixel
        if self._shown is None or not _holds(self._shown, x, y):
            limit = self.canvas.visible_rect().intersect(window_around(x, y, NEAR))
            self._shown = flood(prediction, x, y, limit=limit)
            class_id = UNLABELLED if self._shown[0].empty else int(prediction[y, x])
            self.canvas.show_overlay(
                Overlay(shape=self._shown, class_id=class_id, text=self.canvas.class_name(class_id))
            )

    def leave(self) -> None:
        self.cancel()

    def cancel(self) -> None:
        self._shown = None
        super().cancel()

    def _take_blob(self, press: Pointer) -> None:
        prediction = self.target.prediction
        x, y = press.pixel
        if prediction is None:
            return
        if Rect(x, y, 1, 1).clip(prediction.shape).empty:
            return
        if press.erase:
            self._flip(prediction, x, y)
        elif prediction[y, x] != UNLABELLED:
            self.fill("Take over blob", partial(flood_parts, prediction, x, y), int(prediction[y, x]))

    def _flip(self, prediction: np.ndarray, x: int, y: int) -> None:
        name = "Flip predicted blob"

        def find(blob: Shape) -> tuple[Shape, int]:
            return blob, surrounding(prediction, *blob)

        def write(found: tuple[Shape, int]) -> None:
            blob, around = found
            self.fill(name, partial(pieces, *blob), around)

        self.find(name, partial(flood_parts, prediction, x, y), find, write)

    def _paint(self, press: Pointer, event: Pointer) -> Gesture:
        prediction = self.target.prediction
        if prediction is None:
            return
        with self.editing("Take over by painting") as edit:
            if edit is None:
                return
            if press.erase:
                let_eraser_work(edit)
            here = press.at
            while True:
                radius = self.canvas.brush.diameter(self.canvas.zoom) / 2
                rect, mask = capsule(here, event.at, radius)
                area = rect.clip(prediction.shape)
                if not area.empty:
                    inside = mask[area.shift(-rect.x, -rect.y).slices]
                    ids = np.full(inside.shape, UNLABELLED, np.uint8) if press.erase else prediction[area.slices]
                    said = (
                        inside if press.erase else inside & (ids != UNLABELLED)
                    )  # of a class that is no more: nothing
                    self.target.changed(edit.write(area, ids, said))
                here = event.at
                if event.kind == "release":
                    return
                event = yield


class SureTool(Tool):
    """Takes over what the model is sure of, in view."""

    info: ClassVar = ToolInfo(
        "sure",
        "Take over what is sure",
        "Shift+K",
        "Press and drag: what the model is at least so sure of is shown, to the right only what is surer. Let go to "
        "take it over, in the part of the image that is in view and not labelled yet.",
        "sure",
    )
    _PREVIEW: ClassVar[int] = 2**20  # pixels of the preview, at most

    def gesture(self, press: Pointer) -> Gesture:
        probabilities, prediction, labels = self.target.probabilities, self.target.prediction, self.target.labels
        if probabilities is None or prediction is None or labels is None:
            self.canvas.say(NO_PROBABILITIES)
            return
        area = self.canvas.visible_rect()
        step = max(1, math.ceil(math.sqrt(area.area / self._PREVIEW)))
        part = (slice(area.y, area.y1, step), slice(area.x, area.x1, step))
        certainty = probabilities.planes[(slice(None), *part)].max(axis=0)
        free = labels.ids[part] == UNLABELLED
        start = sure = self.canvas.options.sure
        event = press
        while event.kind != "release":
            mask = free & (certainty >= sure * 255)
            rect = Rect(area.x // step, area.y // step, mask.shape[1], mask.shape[0])
            self.canvas.show_overlay(
                Overlay(shape=(rect, mask), step=step, class_id=self.target.active_class, text=f"p ≥ {sure:.2f}")
            )
            event = yield
            sure = min(max(start + (event.x - press.x) * self.canvas.zoom / 400, 0.0), 1.0)
        self.canvas.options.sure = sure
        self.canvas.show_overlay(None)
        self.write("Take over what is sure", partial(sure_of, labels.ids, prediction, probabilities, sure, area))


class ThresholdTool(Tool):
    """Moves the model's threshold inside the ring only."""

    info: ClassVar = ToolInfo(
        "threshold",
        "Threshold in the ring",
        "Shift+T",
        "Press and drag, or hold Ctrl and turn the wheel: inside the ring, the active class is where the model "
        "gives it at least this probability. Let go of the button or of Ctrl to accept, Esc gives up.",
        "threshold",
    )
    ring: ClassVar = True

    def __init__(self, canvas: ToolCanvas) -> None:
        super().__init__(canvas)
        self._ring: Shape | None = None  # where the wheel is setting the threshold

    def gesture(self, press: Pointer) -> Gesture:
        if self.target.probabilities is None:
            self.canvas.say(NO_PROBABILITIES)
            return
        self._ring = self._ring_at(press)
        start = self.canvas.options.threshold
        event = press
        while event.kind != "release":
            self._show()
            event = yield
            dragged = (event.x - press.x - (event.y - press.y)) * self.canvas.zoom
            self.canvas.options.threshold = min(max(start - dragged / 400, 0.01), 1.0)
        self._accept()

    def hover(self, pointer: Pointer) -> None:
        if not pointer.ctrl and self._ring is not None:  # Ctrl was let go while another widget had the keyboard
            self._accept()

    def wheel(self, steps: float, pointer: Pointer) -> bool:
        if not pointer.ctrl or self.target.probabilities is None:
            return False
        if self._ring is None:
            self._ring = self._ring_at(pointer)
        self.canvas.options.threshold = min(max(self.canvas.options.threshold - steps * 0.02, 0.01), 1.0)
        self._show()
        return True

    def ctrl_released(self) -> None:
        if self._ring is not None:
            self._accept()

    def key(self, key: Key) -> bool:
        if self._ring is None or key != "escape":
            return False
        self.cancel()
        return True

    def cancel(self) -> None:
        self._ring = None
        super().cancel()

    def _ring_at(self, pointer: Pointer) -> Shape:
        brush = self.canvas.brush
        diameter = brush.diameter(self.canvas.zoom)
        at = brush.snap(pointer.at, diameter)
        rect, mask = capsule(at, at, diameter / 2)
        area = rect.intersect(self.canvas.whole_rect())
        return area, mask[area.shift(-rect.x, -rect.y).slices]

    def _wanted(self) -> np.ndarray:
        """Return the class of every pixel of the ring's rectangle at the present threshold."""
        assert self._ring is not None
        probabilities = self.target.probabilities
        assert probabilities is not None
        planes = probabilities.planes[(slice(None), *self._ring[0].slices)]
        active, threshold = self.target.active_class, self.canvas.options.threshold
        return class_at_threshold(Probabilities(planes, probabilities.classes), active, threshold)

    def _show(self) -> None:
        assert self._ring is not None
        rect, ring = self._ring
        active = self.target.active_class
        mask = ring & (self._wanted() == active)
        text = f"p ≥ {self.canvas.options.threshold:.2f}"
        self.canvas.show_overlay(Overlay(shape=(rect, mask), class_id=active, text=text))

    def _accept(self) -> None:
        assert self._ring is not None
        (rect, ring), wanted = self._ring, self._wanted()
        self.cancel()
        with self.editing("Threshold in the ring") as edit:
            if edit is not None:
                self.target.changed(edit.write(rect, wanted, ring & (wanted != UNLABELLED)))


def class_at_threshold(probabilities: Probabilities, active: int, threshold: float) -> np.ndarray:
    """Return the active class where it is at least so probable, else the likeliest of the others.

    Parameters
    ----------
    probabilities : Probabilities
        Of c classes in (h, w) pixels.
    active : int
        Id of a class; one that the model does not know is nowhere probable.
    threshold : float
        0 … 1.

    Returns
    -------
    ndarray of uint8, shape (h, w)
        Class ids.
    """
    planes, ids = probabilities.planes, np.array(probabilities.classes, np.uint8)
    if active not in probabilities.classes:
        likeliest: np.ndarray = ids[planes.argmax(axis=0)]
        return likeliest
    own = probabilities.classes.index(active)
    if len(ids) == 1:
        return np.full(planes.shape[1:], active, np.uint8)
    best = np.delete(ids, own)[np.delete(planes, own, axis=0).argmax(axis=0)]
    return np.where(planes[own] >= threshold * 255, np.uint8(active), best)


def _holds(shape: Shape, x: int, y: int) -> bool:
    rect, mask = shape
    return not Rect(x, y, 1, 1).intersect(rect).empty and bool(mask[y - rect.y, x - rect.x])
