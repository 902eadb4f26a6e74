"""What lies on top of the picture: the brush ring, and shapes in progress."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise, zip_longest

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QImage, QPainter, QPainterPath, QPen, QPolygonF, QRegion

from unet_gui.app.canvas.tool import Overlay
from unet_gui.app.canvas.viewport import Viewport, sample_positions
from unet_gui.core.geometry import EMPTY, Rect


@dataclass(frozen=True)
class CanvasStyle:
    """Colours of the canvas itself; the classes have their own.

    Attributes
    ----------
    background : QColor
        Around the image.
    waiting : QColor
        Parts of the image that are still being read.
    dark, light : QColor
        Every line is drawn in both, one around the other, so that it shows on any picture.
    accent : QColor
        The handle under the pointer.
    """

    background: QColor = field(default_factory=lambda: QColor(0x17, 0x18, 0x1B))
    waiting: QColor = field(default_factory=lambda: QColor(0x24, 0x26, 0x2B))
    dark: QColor = field(default_factory=lambda: QColor(0, 0, 0, 200))
    light: QColor = field(default_factory=lambda: QColor(255, 255, 255, 235))
    accent: QColor = field(default_factory=lambda: QColor(0x4C, 0x9A, 0xFF))


HANDLE = 4.0  # half the size of a corner's handle, in screen pixels at scale 1
_PIECE = 96
"""A long line is painted again in pieces of so many screen pixels: the box around it would be most of the view."""


def _double_pens(style: CanvasStyle, scale: float) -> tuple[QPen, QPen]:
    dark, light = QPen(style.dark, 3 * scale), QPen(style.light, 1 * scale)
    for pen in (dark, light):
        pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
    return dark, light


def paint_ring(painter: QPainter, style: CanvasStyle, center: tuple[float, float], radius: float, scale: float) -> None:
    """Draw the brush's outline; tiny ones get four ticks around them, so that one pixel can be found."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    middle = QPointF(*center)
    if radius > 32 * scale:
        _paint_big_ring(painter, style, middle, radius, max(1, round(scale)))
        return
    for pen in _double_pens(style, scale):
        painter.setPen(pen)
        painter.drawEllipse(middle, radius, radius)
        if radius < 4 * scale:
            near, far = radius + 3 * scale, radius + 8 * scale
            for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                painter.drawLine(middle + QPointF(dx * near, dy * near), middle + QPointF(dx * far, dy * far))


def _paint_big_ring(painter: QPainter, style: CanvasStyle, middle: QPointF, radius: float, width: int) -> None:
    """Draw the ring from circles one pixel wide: for a big one Qt draws these ten times faster than a wide line."""
    for step in range(3 * width):
        light = width <= step < 2 * width
        painter.setPen(QPen(style.light if light else style.dark, 1))
        at = radius + step - 1.5 * width + 0.5
        painter.drawEllipse(middle, at, at)


def ring_region(center: tuple[float, float], radius: float, scale: float) -> QRegion:
    """Return the screen pixels of the ring; for a big one without the inside, which need not be painted again."""
    margin = (10 if radius < 4 * scale else 3) * scale
    outer = QRectF(
        center[0] - radius - margin, center[1] - radius - margin, 2 * (radius + margin), 2 * (radius + margin)
    )
    region = QRegion(outer.toAlignedRect())
    if radius < 40 * scale:
        return region
    # keep what lies between the circle and the largest upright cross of boxes that fits into it
    inner = radius - margin - 1
    for part in (0.38, 0.71, 0.92):
        half_w, half_h = inner * part, inner * (1 - part * part) ** 0.5
        box = QRectF(center[0] - half_w, center[1] - half_h, 2 * half_w, 2 * half_h).toRect().adjusted(1, 1, -1, -1)
        region -= QRegion(box)
    return region


def paint_overlay(
    painter: QPainter,
    style: CanvasStyle,
    overlay: Overlay,
    view: Viewport,
    color: QColor,
    scale: float,
    exposed: Sequence[Rect],
) -> None:
    """Draw a shape in progress, of its lines only what is near these screen pixels: the painter shows no others."""
    if overlay.shape is not None and not overlay.shape[0].empty:
        _paint_shape(painter, overlay, view, color)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    path = QPainterPath(QPointF(-99, -99))
    path.lineTo(-99, -98)  # out of sight: a straight line all by itself Qt would draw in another way
    for line in _lines(overlay, view):
        _add_near(path, line, exposed, _margin(scale))
    for pen in _double_pens(style, scale):
        pen.setWidthF(1.01 * pen.widthF())  # at 1, what comes after a line would change all of it, in Qt's quicker way
        painter.setPen(pen)
        painter.drawPath(path)
    dark = QPen(style.dark, scale)
    for i in range(len(overlay.handles)):
        point = QPointF(*view.to_screen(*overlay.handles[i]))
        size = HANDLE * scale * (1.5 if i == overlay.active_handle else 1)
        painter.setPen(dark)
        painter.setBrush(style.accent if i == overlay.active_handle else style.light)
        painter.drawRect(QRectF(point.x() - size, point.y() - size, 2 * size, 2 * size))


def text_rect(font: QFont, text: str, at: tuple[float, float], scale: float, view: tuple[int, int]) -> Rect:
    """Return the screen pixels for a text beside the pointer, moved inside the view."""
    metrics = QFontMetricsF(font)
    w = math.ceil((metrics.horizontalAdvance(text) + 14) * scale)
    h = math.ceil((metrics.height() + 6) * scale)
    x, y = round(at[0] + 16 * scale), round(at[1] + 16 * scale)
    return Rect(max(0, min(x, view[0] - w)), max(0, min(y, view[1] - h)), w, h)


def paint_text(painter: QPainter, style: CanvasStyle, text: str, area: Rect, scale: float) -> None:
    """Write a text on a dark plate."""
    if not text or area.empty:
        return
    painter.save()
    painter.translate(area.x, area.y)
    painter.scale(scale, scale)
    plate = QRectF(0, 0, area.w / scale, area.h / scale)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(style.dark)
    painter.drawRoundedRect(plate, 4, 4)
    painter.setPen(style.light)
    painter.drawText(plate, Qt.AlignmentFlag.AlignCenter, text)
    painter.restore()


def stale_rects(before: Overlay | None, after: Overlay | None, view: Viewport, scale: float) -> list[Rect]:
    """Return the screen pixels to paint again when one overlay takes the place of another.

    A lasso of thousands of points grows by one at a time: only where it changes is painted again.
    """
    old, new = before or Overlay(), after or Overlay()
    rects = []
    if old.shape is not new.shape or (old.step, old.class_id) != (new.step, new.class_id):
        rects += [_shape_rect(overlay, view).grow(1) for overlay in (old, new)]
    for first, second in zip_longest(_lines(old, view), _lines(new, view), fillvalue=_NO_LINE):
        same = _common(first, second)
        if same < max(len(first), len(second)):
            for line in (first, second):
                rects += _boxes(line[max(0, same - 1) :], _margin(scale))
    rects += _handle_rects(old, new, view, HANDLE * 2 * scale + 2)
    seen = Rect(0, 0, view.width, view.height)
    return [rect for rect in (rect.intersect(seen) for rect in rects) if not rect.empty]


_NO_LINE = np.zeros((0, 2))


def _margin(scale: float) -> float:
    """Return how far a line reaches beside its points, in screen pixels."""
    return 4 * scale


def _on_screen(points: np.ndarray, view: Viewport) -> np.ndarray:
    return np.asarray(points, float).reshape(-1, 2) * view.zoom - (view.left, view.top)


def _lines(overlay: Overlay, view: Viewport) -> list[np.ndarray]:
    """Return the lines on the screen. What closes one is a line of its own: the rest changes only at its end."""
    lines = []
    for points, closed in overlay.lines:
        line = _on_screen(points, view)
        lines += [line, line[[-1, 0]]] if closed else [line]
    return lines


def _common(first: np.ndarray, second: np.ndarray) -> int:
    """Return how many points at the beginning are the same."""
    length = min(len(first), len(second))
    differ = (first[:length] != second[:length]).any(axis=1)
    return int(differ.argmax()) if differ.any() else length


def _boxes(points: np.ndarray, margin: float) -> list[Rect]:
    """Return rectangles around a line, several around a long one."""
    if len(points) > 32 or len(points) == 1:
        return [_box(points.min(axis=0) - margin, points.max(axis=0) + margin)]
    boxes = []
    for start, end in pairwise(points):
        pieces = min(64, 1 + int(np.abs(end - start).max() / _PIECE))
        cuts = start + np.linspace(0, 1, pieces + 1)[:, None] * (end - start)
        boxes += [_box(np.minimum(a, b) - margin, np.maximum(a, b) + margin) for a, b in pairwise(cuts)]
    return boxes


def _box(low: np.ndarray, high: np.ndarray) -> Rect:
    (x, y), (x1, y1) = np.floor(low).astype(int).tolist(), np.ceil(high).astype(int).tolist()
    return Rect(x, y, x1 - x, y1 - y)


def _handle_rects(old: Overlay, new: Overlay, view: Viewport, margin: float) -> list[Rect]:
    first, second = (_on_screen(overlay.handles, view) for overlay in (old, new))
    same = _common(first, second)
    active = [overlay.active_handle for overlay in (old, new)]
    marked = active if active[0] != active[1] else []
    rects = []
    for handles in (first, second):
        at = [*range(same, len(handles)), *(i for i in marked if 0 <= i < min(same, len(handles)))]
        rects += [_box(handles[i] - margin, handles[i] + margin) for i in at]
    return rects


def _add_near(path: QPainterPath, points: np.ndarray, exposed: Sequence[Rect], margin: float) -> None:
    """Add the parts of a line that come near some rectangles."""
    low, high = np.minimum(points[:-1], points[1:]) - margin, np.maximum(points[:-1], points[1:]) + margin
    near = np.zeros(len(low), bool)
    for rect in exposed:
        near |= ((low < (rect.x1, rect.y1)) & (high > (rect.x, rect.y))).all(axis=1)
    ends = np.flatnonzero(np.diff(near, prepend=False, append=False)).tolist()
    for start, end in zip(ends[::2], ends[1::2], strict=True):
        path.addPolygon(QPolygonF([QPointF(x, y) for x, y in points[start : end + 1].tolist()]))


def _shape_rect(overlay: Overlay, view: Viewport) -> Rect:
    return EMPTY if overlay.shape is None else view.screen_rect(Rect(*(overlay.step * v for v in overlay.shape[0])))


def _paint_shape(painter: QPainter, overlay: Overlay, view: Viewport, color: QColor) -> None:
    assert overlay.shape is not None
    rect, mask = overlay.shape
    screen = _shape_rect(overlay, view)
    if screen.empty:
        return
    rows, row_ok = sample_positions(screen.y, screen.h, view.top, view.zoom * overlay.step, rect.y, rect.h)
    columns, column_ok = sample_positions(screen.x, screen.w, view.left, view.zoom * overlay.step, rect.x, rect.w)
    shown = np.zeros((screen.h, screen.w), np.uint8)
    shown[row_ok, column_ok] = mask[rows[:, None], columns]
    image = QImage(shown.data, screen.w, screen.h, screen.w, QImage.Format.Format_Indexed8)
    tint = QColor(color)
    tint.setAlphaF(0.6)
    image.setColorTable([0, tint.rgba()])
    painter.drawImage(screen.x, screen.y, image.convertToFormat(QImage.Format.Format_ARGB32_Premultiplied))
