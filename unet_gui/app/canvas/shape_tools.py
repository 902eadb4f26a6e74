"""Polygon, lasso, rectangle, ellipse: draw an outline, its inside gets the class."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import partial
from typing import ClassVar, NamedTuple

import numpy as np

from unet_gui.app.canvas.draft_tool import DraftTool
from unet_gui.app.canvas.tool import Gesture, Key, Overlay, Pointer, Tool, ToolCanvas, ToolInfo
from unet_gui.core.geometry import Rect
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.strokes import Point, Shape, bands, box_between, ellipse, polygon_bands, rectangle


class LassoTool(Tool):
    """Fills what a freehand line goes around."""

    info: ClassVar = ToolInfo(
        "lasso",
        "Lasso",
        "L",
        "Draw around an area with the button held; it is filled with the active class when you let go. "
        "Right button or Alt makes it unlabelled.",
        "lasso",
    )

    def gesture(self, press: Pointer) -> Gesture:
        class_id = self.class_for(press)
        points, count = np.tile(press.at, (64, 1)), 1  # room for more, so that not all are copied for each
        event = press
        while event.kind != "release":
            event = yield
            if event.at != tuple(points[count - 1]):
                if count == len(points):
                    points = np.concatenate([points, points])
                points[count] = event.at
                count += 1
            self.canvas.show_overlay(Overlay(lines=[(points[:count], True)]))
        self.canvas.show_overlay(None)
        self.fill("Lasso", partial(polygon_bands, points[:count]), class_id)


class _BoxTool(Tool):
    """Something that fills the box between the press and the release."""

    def gesture(self, press: Pointer) -> Gesture:
        event, class_id = press, self.class_for(press)
        corners = (press.at, press.at)
        while event.kind != "release":
            event = yield
            corners = _box(press.at, event)
            (x0, y0), (x1, y1) = corners
            size = f"{abs(x1 - x0):.0f} × {abs(y1 - y0):.0f}"
            self.canvas.show_overlay(Overlay(lines=[(self.outline(*corners), True)], text=size))
        self.canvas.show_overlay(None)
        self.fill(self.info.text, partial(self._parts, *corners), class_id)

    def _parts(self, p0: Point, p1: Point) -> Iterator[Shape]:
        box = box_between(p0, p1).grow(1)  # an ellipse touches its sides
        for band in bands(box.intersect(self.canvas.whole_rect())):
            yield self.shape(p0, p1, band)

    def outline(self, p0: Point, p1: Point) -> np.ndarray:
        """Return the corners of the line that is shown."""
        raise NotImplementedError

    def shape(self, p0: Point, p1: Point, limit: Rect) -> Shape:
        """Return the pixels inside, of those in a rectangle."""
        raise NotImplementedError


def _box(start: Point, event: Pointer) -> tuple[Point, Point]:
    """Return two opposite corners: Shift makes the box square, Ctrl puts its middle where it began."""
    dx, dy = event.x - start[0], event.y - start[1]
    if event.shift:
        side = max(abs(dx), abs(dy))
        dx, dy = math.copysign(side, dx), math.copysign(side, dy)
    first = (start[0] - dx, start[1] - dy) if event.ctrl else start
    return first, (start[0] + dx, start[1] + dy)


class RectangleTool(_BoxTool):
    """Fills a rectangle."""

    info: ClassVar = ToolInfo(
        "rectangle",
        "Rectangle",
        "Shift+R",
        "Drag a box to fill it. Shift makes it square, Ctrl draws from the middle. Right button or Alt makes it "
        "unlabelled.",
        "rectangle",
    )

    def outline(self, p0: Point, p1: Point) -> np.ndarray:
        return box_corners(p0, p1)

    def shape(self, p0: Point, p1: Point, limit: Rect) -> Shape:
        return rectangle(p0, p1, limit)


class EllipseTool(_BoxTool):
    """Fills an ellipse."""

    info: ClassVar = ToolInfo(
        "ellipse",
        "Ellipse",
        "Shift+E",
        "Drag a box to fill the ellipse in it. Shift makes a circle, Ctrl draws from the middle. Right button or "
        "Alt makes it unlabelled.",
        "ellipse",
    )

    def outline(self, p0: Point, p1: Point) -> np.ndarray:
        angle = np.linspace(0, 2 * math.pi, 90, endpoint=False)
        a, b = abs(p1[0] - p0[0]) / 2, abs(p1[1] - p0[1]) / 2
        return np.stack([(p0[0] + p1[0]) / 2 + a * np.cos(angle), (p0[1] + p1[1]) / 2 + b * np.sin(angle)], axis=1)

    def shape(self, p0: Point, p1: Point, limit: Rect) -> Shape:
        return ellipse(p0, p1, limit)


def box_corners(p0: Point, p1: Point) -> np.ndarray:
    """Return the four corners of the box between two points."""
    return np.array([p0, (p1[0], p0[1]), p1, (p0[0], p1[1])])


class Corners(NamedTuple):
    """A polygon in progress.

    Attributes
    ----------
    points : tuple of (x, y)
    erases : bool
        Whether its inside becomes unlabelled.
    """

    points: tuple[Point, ...]
    erases: bool


class PolygonTool(DraftTool[Corners]):
    """Fills a polygon whose corners can be moved, added and taken away until it is closed."""

    info: ClassVar = ToolInfo(
        "polygon",
        "Polygon",
        "P",
        "Click corners; drag one to move it, press on a side to add one, right-click one to take it away. Enter, "
        "a double click or a click on the first corner closes, Backspace takes the last corner back, Esc gives up. "
        "Begun with the right button or Alt it makes the area unlabelled.",
        "polygon",
    )

    draft_name: ClassVar = "polygon"
    step_name: ClassVar = "Polygon corner"
    how_to_end: ClassVar = "Enter or a double click closes the polygon · Backspace takes a corner back · Esc gives up"

    def __init__(self, canvas: ToolCanvas) -> None:
        super().__init__(canvas, Corners((), False))

    def draw(self, press: Pointer) -> Gesture:
        points = self.draft.points
        corner = self._corner_at(press)
        if press.double and len(points) > 2:
            self._close()
            return
        if press.erase and corner is not None:
            self._take([*points[:corner], *points[corner + 1 :]])
            self.show()
            return
        closes = corner == 0 and len(points) > 2
        if corner is None:
            corner = self._insert(press)
        event = press
        while event.kind != "release":
            self.show(None, corner)
            event = yield
            if math.dist(event.at, press.at) > self.canvas.reach / 2:
                closes = False
            if not closes and event.at != press.at:
                points = self.draft.points
                self._take([*points[:corner], event.at, *points[corner + 1 :]])
        if closes:
            self._close()
        else:
            self.show(event, corner)

    def hover(self, pointer: Pointer) -> None:
        self.show(pointer, self._corner_at(pointer))

    def key(self, key: Key) -> bool:
        if not self.in_progress:
            return False
        if key == "enter":
            self._close()
        elif key == "escape" or len(self.draft.points) == 1:
            self.give_up()
        else:
            before = self.draft
            self._take(before.points[:-1])
            self.step_from(before)
            self.show()
        return True

    def _take(self, points: Iterable[Point], erases: bool | None = None) -> None:
        corners = Corners(tuple(points), self.draft.erases if erases is None else erases)
        self.draft = corners if corners.points else self.nothing

    def _corner_at(self, pointer: Pointer) -> int | None:
        distances = [math.dist(pointer.at, point) for point in self.draft.points]
        nearest = min(range(len(distances)), key=distances.__getitem__, default=-1)
        return nearest if distances and distances[nearest] <= self.canvas.reach else None

    def _insert(self, press: Pointer) -> int:
        """Add a corner: into the side under the pointer, or at the end."""
        points = list(self.draft.points)
        at = len(points)
        for i in range(1, len(points)):
            if _distance_to_side(press.at, points[i - 1], points[i]) <= self.canvas.reach / 2:
                at = i
                break
        points.insert(at, press.at)
        self._take(points, None if self.in_progress else press.erase)
        return at

    def _close(self) -> None:
        points, erases = self.draft
        if self.fill("Polygon", partial(polygon_bands, points), UNLABELLED if erases else self.target.active_class):
            self.cancel()

    def show(self, pointer: Pointer | None = None, active: int | None = None) -> None:
        points = self.draft.points
        if not points:
            self.canvas.show_overlay(None)
            return
        line = list(points)
        if pointer is not None and active is None:
            line.append(pointer.at)
        self.canvas.show_overlay(
            Overlay(
                lines=[(np.array(line), False)],
                handles=np.array(points),
                active_handle=-1 if active is None else active,
            )
        )


def _distance_to_side(at: Point, a: Point, b: Point) -> float:
    dx, dy = b[0] - a[0], b[1] - a[1]
    length2 = dx * dx + dy * dy
    t = 0.0 if length2 == 0 else min(1.0, max(0.0, ((at[0] - a[0]) * dx + (at[1] - a[1]) * dy) / length2))
    return math.hypot(at[0] - a[0] - t * dx, at[1] - a[1] - t * dy)


def joined(parts: Iterable[np.ndarray]) -> np.ndarray:
    """Return one line from several, shape (n, 2)."""
    every = [np.asarray(part, float).reshape(-1, 2) for part in parts]
    return np.concatenate(every) if every else np.zeros((0, 2))
