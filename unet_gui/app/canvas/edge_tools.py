"""Tools that look at the picture: magic wand, scissors that snap to edges, and a proposal for what is in a box."""

from __future__ import annotations

import math
from functools import partial
from typing import ClassVar, NamedTuple

import numpy as np

from unet_gui.app.canvas.draft_tool import DraftTool
from unet_gui.app.canvas.shape_tools import box_corners, joined
from unet_gui.app.canvas.tool import Gesture, Key, Overlay, Pointer, Tool, ToolCanvas, ToolInfo
from unet_gui.core.blobs import trimmed
from unet_gui.core.cv import cv2
from unet_gui.core.geometry import EMPTY, Rect
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.strokes import NOTHING, Point, Shape, box_between, polygon_bands, similar


class WandTool(Tool):
    """Fills pixels that look like the one under the pointer."""

    info: ClassVar = ToolInfo(
        "wand",
        "Magic wand",
        "W",
        "Press on a pixel and drag: to the right takes more that looks like it, to the left less. With Ctrl also "
        "pixels that are not connected. It looks no further than the view.",
        "wand",
    )
    _WINDOW: ClassVar[int] = 2048  # looks at this many pixels in a row and a column at most, to stay live

    def gesture(self, press: Pointer) -> Gesture:
        x, y = press.pixel
        half = self._WINDOW // 2
        window = Rect(x - half, y - half, 2 * half, 2 * half).intersect(self.canvas.visible_rect())
        if Rect(x, y, 1, 1).intersect(window).empty:
            return
        image = self.canvas.picture(window)
        class_id = self.class_for(press)
        start = tolerance = self.canvas.options.wand_tolerance
        event = press
        shape = self._find(image, window, press, tolerance)
        while True:
            self.canvas.show_overlay(Overlay(shape=shape, class_id=class_id, text=f"± {tolerance}"))
            if event.kind == "release":
                break
            event = yield
            dragged = (event.x - press.x - (event.y - press.y)) * self.canvas.zoom
            wanted = int(min(max(start + dragged / 4, 0), 255))
            if wanted != tolerance:
                tolerance = wanted
                shape = self._find(image, window, press, tolerance)
        self.canvas.options.wand_tolerance = tolerance
        self.canvas.show_overlay(None)
        self.fill("Magic wand", lambda: [shape], class_id)

    def _find(self, image: np.ndarray, window: Rect, press: Pointer, tolerance: int) -> Shape:
        x, y = press.pixel
        rect, mask = similar(image, x - window.x, y - window.y, tolerance, contiguous=not press.ctrl)
        return rect.shift(window.x, window.y), mask


class Route(NamedTuple):
    """An outline in progress.

    Attributes
    ----------
    anchors : tuple of (x, y)
        The points that were clicked.
    paths : tuple of ndarray, shape (n, 2)
        From each of them to the next.
    erases : bool
        Whether the inside becomes unlabelled.
    """

    anchors: tuple[Point, ...]
    paths: tuple[np.ndarray, ...]
    erases: bool


class ScissorsTool(DraftTool[Route]):
    """Draws an outline that clings to edges between the points one clicks."""

    info: ClassVar = ToolInfo(
        "scissors",
        "Scissors",
        "S",
        "Click along an edge: the line between the clicks clings to it. Enter, a double click or a click on the "
        "first point closes, Backspace takes the last point back, Esc gives up. Right button or Alt at the start "
        "makes the area unlabelled.",
        "scissors",
    )
    _WINDOW: ClassVar[int] = 384  # pixels of the level on screen around the last point that are looked at

    draft_name: ClassVar = "outline"
    step_name: ClassVar = "Scissors point"
    how_to_end: ClassVar = "Enter or a double click closes the outline · Backspace takes a point back · Esc gives up"

    def __init__(self, canvas: ToolCanvas) -> None:
        super().__init__(canvas, Route((), (), False))
        self._window = EMPTY  # in pixels of the level
        self._level = 0
        self._map = cv2.segmentation.IntelligentScissorsMB()
        self._map.setEdgeFeatureCannyParameters(32, 100)
        self._map.setGradientMagnitudeMaxLimit(200)

    def draw(self, press: Pointer) -> Gesture:
        anchors = self.draft.anchors
        if not anchors:
            if Rect(*press.pixel, 1, 1).intersect(self.canvas.visible_rect()).empty:
                return
            self._look_around(press.at)
            self.draft = Route((press.at,), (), press.erase)
        elif press.double or (len(anchors) > 1 and math.dist(press.at, anchors[0]) <= self.canvas.reach):
            self._close()
            return
        else:
            self._fix(press.at)
        self.show(press)
        event = press
        while event.kind != "release":
            event = yield

    def hover(self, pointer: Pointer) -> None:
        if self.in_progress:
            if self._window.empty:  # it could not be read a moment ago
                self._look_around(self.draft.anchors[-1])
            elif not self._sees(pointer.at):
                before = self.draft
                self._fix(self._nearest_seen(pointer.at))  # long edges: go on from the end of what was looked at
                self.step_from(before)
            self.show(pointer)

    def key(self, key: Key) -> bool:
        if not self.in_progress:
            return False
        before = self.draft
        if key == "enter":
            self._close()
        elif key == "escape" or len(before.anchors) == 1:
            self.give_up()
        else:
            self.draft = Route(before.anchors[:-1], before.paths[:-1], before.erases)
            self.step_from(before)
            self.resume()
        return True

    def resume(self) -> None:
        try:
            if self.in_progress:
                self._look_around(self.draft.anchors[-1])
        finally:
            self.show()

    def _fix(self, at: Point) -> None:
        """Make the path to this point part of the outline and go on from there."""
        anchors, paths, erases = self.draft
        path = self._path_to(at)
        self._look_around(at)
        self.draft = Route((*anchors, at), (*paths, path), erases)

    def _look_around(self, at: Point) -> None:
        """Prepare the paths from this point to every other in its neighbourhood."""
        self._level = self.canvas.level
        x, y = self._on_level(at)
        half = self._WINDOW // 2
        window = Rect(x - half, y - half, 2 * half, 2 * half).intersect(self.canvas.whole_rect(self._level))
        self._window = EMPTY
        if min(window.w, window.h) < 3:
            return
        picture = self.canvas.picture(window, self._level)
        self._window = window
        self._map.applyImage(picture)
        self._map.buildMap(self._in_window(at))

    def _on_level(self, at: Point) -> tuple[int, int]:
        return int(at[0]) >> self._level, int(at[1]) >> self._level

    def _in_window(self, at: Point) -> tuple[int, int]:
        x, y = self._on_level(at)
        w = self._window
        return min(max(x - w.x, 0), w.w - 1), min(max(y - w.y, 0), w.h - 1)

    def _sees(self, at: Point) -> bool:
        return self._window.contains(Rect(*self._on_level(at), 1, 1))

    def _nearest_seen(self, at: Point) -> Point:
        if self._window.empty:
            return at
        x, y = self._in_window(at)
        size = 1 << self._level
        return (x + self._window.x + 0.5) * size, (y + self._window.y + 0.5) * size

    def _path_to(self, at: Point) -> np.ndarray:
        if self._window.empty:
            return np.array([self.draft.anchors[-1], at])
        contour = self._map.getContour(self._in_window(at)).reshape(-1, 2)
        path = (contour + np.array([self._window.x + 0.5, self._window.y + 0.5])) * (1 << self._level)
        return joined([path, np.array([at])]) if not self._sees(at) else path

    def _close(self) -> None:
        anchors, paths, erases = self.draft
        outline = joined([*paths, self._path_to(anchors[0])] if len(anchors) > 1 else paths)
        if self.fill("Scissors", partial(polygon_bands, outline), UNLABELLED if erases else self.target.active_class):
            self.cancel()

    def show(self, pointer: Pointer | None = None) -> None:
        anchors, paths, _ = self.draft
        if not anchors:
            self.canvas.show_overlay(None)
            return
        lines = [(joined(paths), False)] if paths else []
        if pointer is not None:
            lines.append((self._path_to(pointer.at), False))
        self.canvas.show_overlay(Overlay(lines=lines, handles=np.array(anchors)))


class Proposal(NamedTuple):
    """What may be the thing in a box.

    Attributes
    ----------
    shape : (Rect, mask)
    class_id : int
        What it becomes.
    """

    shape: Shape
    class_id: int


class GrabCutTool(DraftTool[Proposal]):
    """Proposes what the thing in a box is; the person accepts or refuses."""

    info: ClassVar = ToolInfo(
        "grabcut",
        "Box proposal",
        "Shift+G",
        "Drag a box around one thing: its outline is proposed. Enter or a click inside accepts, Esc or a click "
        "elsewhere refuses. Alt makes it unlabelled.",
        "grabcut",
    )
    _CORE: ClassVar[float] = (
        0.2  # semi-axes of the ellipse in the middle that is taken for granted, as shares of the box
    )
    _SIDE: ClassVar[int] = 256  # the picture in the box is looked at with this many pixels at most, to be quick

    draft_name: ClassVar = "box proposal"
    step_name: ClassVar = "Box proposal"

    def __init__(self, canvas: ToolCanvas) -> None:
        super().__init__(canvas, Proposal(NOTHING, 0))

    def draw(self, press: Pointer) -> Gesture:
        if self.in_progress:
            accepted = _holds(self.draft.shape, *press.pixel)
            if accepted:
                self.key("enter")
                return
            self.draft = self.nothing
        event = press
        while event.kind != "release":
            event = yield
            self.canvas.show_overlay(Overlay(lines=[(box_corners(press.at, event.at), True)]))
        self.canvas.show_overlay(None)
        area = box_between(press.at, event.at).intersect(self.canvas.visible_rect())
        if min(area.w, area.h) < 3:
            return
        shape = self._propose(area)
        if shape[0].empty:
            self.canvas.say("Nothing stands out in the box; try a box with a little more around it")
            return
        self.draft = Proposal(shape, self.class_for(press))
        self.show()

    def show(self, pointer: Pointer | None = None) -> None:
        shape, class_id = self.draft
        proposed = Overlay(shape=shape, class_id=class_id, text="Enter accepts · Esc refuses")
        self.canvas.show_overlay(proposed if self.in_progress else None)

    def key(self, key: Key) -> bool:
        if not self.in_progress:
            return False
        shape, class_id = self.draft
        if class_id not in self.canvas.class_ids:
            class_id = self.target.active_class  # the class was removed meanwhile
        if key != "enter" or self.fill("Box proposal", lambda: [shape], class_id):
            self.cancel()
        return True

    def _propose(self, box: Rect) -> Shape:
        margin = max(2, max(box.w, box.h) // 6)
        level = 0
        while max(box.w, box.h) + 2 * margin > self._SIDE << level:
            level += 1
        wide = _outward(box.grow(margin), level).intersect(self.canvas.whole_rect(level))
        inner = _outward(box, level).shift(-wide.x, -wide.y)
        kinds = np.full((wide.h, wide.w), cv2.GC_BGD, np.uint8)
        kinds[inner.slices] = cv2.GC_PR_FGD
        if wide.empty or not (kinds == cv2.GC_BGD).any():
            return NOTHING
        # the middle of the box is surely the thing: without it, neighbours that look like it make all of it background
        middle = inner.x + inner.w // 2, inner.y + inner.h // 2
        axes = max(1, round(inner.w * self._CORE)), max(1, round(inner.h * self._CORE))
        cv2.ellipse(kinds, middle, axes, 0, 0, 360, cv2.GC_FGD, cv2.FILLED)
        cv2.setRNGSeed(0)  # the same box proposes the same
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.grabCut(self.canvas.picture(wide, level), kinds, None, *models, 3, cv2.GC_INIT_WITH_MASK)
        found = np.where((kinds == cv2.GC_PR_FGD) | (kinds == cv2.GC_FGD), np.uint8(255), np.uint8(0))
        size = 1 << level
        full = cv2.resize(found, (wide.w * size, wide.h * size), interpolation=cv2.INTER_LINEAR) > 127
        inside = box.shift(-wide.x * size, -wide.y * size).clip(full.shape)
        return trimmed(box, full[inside.slices])


def _outward(rect: Rect, level: int) -> Rect:
    """Return the pixels of a level that show any part of these image pixels."""
    x, y = rect.x >> level, rect.y >> level
    return Rect(x, y, ((rect.x1 - 1) >> level) - x + 1, ((rect.y1 - 1) >> level) - y + 1)


def _holds(shape: Shape, x: int, y: int) -> bool:
    rect, mask = shape
    return not Rect(x, y, 1, 1).intersect(rect).empty and bool(mask[y - rect.y, x - rect.x])
