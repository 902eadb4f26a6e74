"""What lies on top of the picture: the brush ring, and shapes in progress."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QImage, QPainter, QPen, QPolygonF, QRegion

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
    painter: QPainter, style: CanvasStyle, overlay: Overlay, view: Viewport, color: QColor, scale: float
) -> None:
    """Draw a shape in progress."""
    if overlay.shape is not None and not overlay.shape[0].empty:
        _paint_shape(painter, overlay, view, color)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for pen in _double_pens(style, scale):
        painter.setPen(pen)
        for points, closed in overlay.lines:
            polygon = _screen_polygon(points, view)
            if closed:
                painter.drawPolygon(polygon)
            else:
                painter.drawPolyline(polygon)
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


def overlay_rect(overlay: Overlay | None, view: Viewport, scale: float) -> Rect:
    """Return the screen pixels that an overlay covers."""
    if overlay is None:
        return EMPTY
    return view.screen_rect(overlay.bounds).grow(int(HANDLE * 2 * scale) + 2)


def _screen_polygon(points: np.ndarray, view: Viewport) -> QPolygonF:
    at = np.asarray(points, float).reshape(-1, 2) * view.zoom - (view.left, view.top)
    return QPolygonF([QPointF(x, y) for x, y in at.tolist()])


def _paint_shape(painter: QPainter, overlay: Overlay, view: Viewport, color: QColor) -> None:
    assert overlay.shape is not None
    rect, mask = overlay.shape
    screen = view.screen_rect(Rect(*(overlay.step * v for v in rect)))
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
