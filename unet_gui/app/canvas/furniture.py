"""What stands on the canvas and not in the picture: minimap, scale bar, divider of the split view."""

from __future__ import annotations

import math
from typing import Literal

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QImage, QPainter, QPen, QPolygonF

from unet_gui.app.canvas.overlay import CanvasStyle
from unet_gui.app.canvas.viewport import Viewport
from unet_gui.core.geometry import Rect

_MARGIN = 12.0
_MAP_SIDE = 168.0
_GRIP = 11.0
_GAP = 8.0  # to what lies over the canvas

Item = Literal["minimap", "divider"]


class Furniture:
    """All sizes here are widget pixels; places depend on nothing but the view, so there is nothing to keep.

    Attributes
    ----------
    minimap : bool
        A small picture of the whole image with a frame around what is in view; shows only when not all is in view.
    scale_bar : bool
        Shows where the file gives the size of a pixel.
    split : float or None
        Place of the divider between prediction (left) and label, as a fraction of the width.
    covered : list of QRectF
        Where other widgets lie over the canvas: minimap, scale bar and signs keep clear of them.
    mark : Rect or None
        A place in the image to look at, framed.
    """

    def __init__(self, view: Viewport) -> None:
        self._view = view
        self.scale = 1.0  # screen pixels per widget pixel
        self.shape: tuple[int, int] | None = None  # of the image
        self.pixel_size: float | None = None  # µm
        self.minimap = True
        self.scale_bar = True
        self.split: float | None = None
        self.covered: list[QRectF] = []
        self.mark: Rect | None = None

    @property
    def _width(self) -> float:
        return self._view.width / self.scale

    @property
    def _height(self) -> float:
        return self._view.height / self.scale

    def item_at(self, at: QPointF) -> Item | None:
        """Return what a press at this place takes hold of."""
        if self.split is not None:
            x = self.split * self._width
            if (at - QPointF(x, self._height / 2)).manhattanLength() <= 1.5 * _GRIP:
                return "divider"
        area = self.map_rect()
        return "minimap" if area is not None and area.contains(at) else None

    def map_rect(self) -> QRectF | None:
        """Return where the minimap is, None when it does not show."""
        if not self.minimap or self.shape is None:
            return None
        h, w = self.shape
        seen = self._view.image_rect()
        if seen.w >= w and seen.h >= h:
            return None
        zoom = _MAP_SIDE / max(h, w)
        mw, mh = max(8.0, w * zoom), max(8.0, h * zoom)
        if mw > self._width / 3 or mh > self._height / 2:
            return None
        return self._clear(QRectF(self._width - mw - _MARGIN, _MARGIN, mw, mh), up=False)

    def bar_rect(self, bar: float, text: float) -> QRectF:
        """Return where the scale bar's plate is, for a bar and a text of these widths: as low as possible."""
        plate = QRectF(_MARGIN, self._height - _MARGIN - 30, max(bar, text) + 16, 30)
        at_right = plate.translated(self._width - 2 * _MARGIN - plate.width(), 0)
        return max((self._clear(area, up=True) for area in (plate, at_right)), key=QRectF.top)

    def signs(self, metrics: QFontMetricsF) -> dict[str, QRectF]:
        """Return where the signs at the divider are, side by side and as high as possible."""
        assert self.split is not None
        x, height = self.split * self._width, metrics.height() + 4
        widths = [metrics.horizontalAdvance(text) + 12 for text in ("Prediction", "Label")]
        both = self._clear(QRectF(x - widths[0] - 10, 8, sum(widths) + 20, height), up=False)
        return {
            "Prediction": QRectF(both.x(), both.y(), widths[0], height),
            "Label": QRectF(x + 10, both.y(), widths[1], height),
        }

    def _clear(self, area: QRectF, up: bool) -> QRectF:
        """Move an area up or down until nothing lies over it."""
        for other in sorted(self.covered, key=QRectF.top, reverse=up):
            if area.intersects(other.adjusted(-_GAP, -_GAP, _GAP, _GAP)):
                if up:
                    area.moveBottom(other.top() - _GAP)
                else:
                    area.moveTop(other.bottom() + _GAP)
        return area

    def map_point(self, at: QPointF) -> tuple[float, float]:
        """Return the image point at a place on the minimap."""
        area = self.map_rect()
        assert area is not None
        assert self.shape is not None
        h, w = self.shape
        return (at.x() - area.x()) / area.width() * w, (at.y() - area.y()) / area.height() * h

    def split_at(self, at: QPointF) -> float:
        """Return the divider's fraction for a place."""
        return min(max(at.x() / self._width, 0.02), 0.98)

    def paint(
        self, painter: QPainter, style: CanvasStyle, font: QFont, exposed: QRectF, overview: QImage | None
    ) -> None:
        """Paint what stands in the exposed part; the painter's unit is the widget pixel.

        ``overview`` is the whole image in small, None while it is being read.
        """
        painter.setFont(font)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self.mark is not None:
            self._paint_mark(painter, style, self.mark)
        if self.split is not None:
            self._paint_divider(painter, style)
        area = self.map_rect()
        if area is not None and area.adjusted(-4, -4, 4, 4).intersects(exposed):
            self._paint_map(painter, style, area, overview)
        if self.scale_bar and self.pixel_size and self.shape is not None:
            self._paint_scale_bar(painter, style)

    def _paint_divider(self, painter: QPainter, style: CanvasStyle) -> None:
        assert self.split is not None
        x, middle = self.split * self._width, self._height / 2
        for pen in (QPen(style.dark, 3), QPen(style.light, 1)):
            painter.setPen(pen)
            painter.drawLine(QPointF(x, 0), QPointF(x, self._height))
        painter.setBrush(style.dark)
        painter.drawEllipse(QPointF(x, middle), _GRIP, _GRIP)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(style.light)
        for side in (-1, 1):
            tip = [(3, -4), (7, 0), (3, 4)]
            painter.drawPolygon(QPolygonF([QPointF(x + side * dx, middle + dy) for dx, dy in tip]))
        metrics = QFontMetricsF(painter.font())
        for text, plate in self.signs(metrics).items():
            _plate(painter, style, plate, text)

    def _paint_mark(self, painter: QPainter, style: CanvasStyle, mark: Rect) -> None:
        x, y = self._view.to_screen(mark.x, mark.y)
        side = self._view.zoom / self.scale
        frame = QRectF(x / self.scale, y / self.scale, mark.w * side, mark.h * side)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for pen in (QPen(style.dark, 4), QPen(style.accent, 2)):
            painter.setPen(pen)
            painter.drawRoundedRect(frame, 8, 8)

    def _paint_map(self, painter: QPainter, style: CanvasStyle, area: QRectF, overview: QImage | None) -> None:
        assert self.shape is not None
        painter.setPen(QPen(style.dark, 2))
        painter.setBrush(style.background)
        painter.drawRect(area.adjusted(-2, -2, 2, 2))
        if overview is not None:
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.drawImage(area, overview)
        h, w = self.shape
        seen = self._view.image_rect()
        frame = QRectF(
            area.x() + seen.x / w * area.width(),
            area.y() + seen.y / h * area.height(),
            max(3.0, seen.w / w * area.width()),
            max(3.0, seen.h / h * area.height()),
        )
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for pen in (QPen(style.dark, 3), QPen(style.accent, 1.5)):
            painter.setPen(pen)
            painter.drawRect(frame)

    def _paint_scale_bar(self, painter: QPainter, style: CanvasStyle) -> None:
        assert self.pixel_size is not None
        per_micron = self._view.zoom / self.scale / self.pixel_size  # widget pixels
        length = nice_length(min(140.0, self._width / 4) / per_micron)
        text = length_text(length)
        metrics = QFontMetricsF(painter.font())
        width = length * per_micron
        plate = self.bar_rect(width, metrics.horizontalAdvance(text))
        _plate(painter, style, plate, "")
        painter.setPen(style.light)
        painter.drawText(plate.adjusted(0, 2, 0, -8), Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop, text)
        bar = QRectF(plate.center().x() - width / 2, plate.bottom() - 8, width, 3)
        painter.fillRect(bar, style.light)


def _plate(painter: QPainter, style: CanvasStyle, area: QRectF, text: str) -> None:
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(style.dark))
    painter.drawRoundedRect(area, 4, 4)
    painter.setPen(style.light)
    if text:
        painter.drawText(area, Qt.AlignmentFlag.AlignCenter, text)


def nice_length(most: float) -> float:
    """Return the largest of 1, 2, 5, 10, 20 … (times any power of ten) that is not larger."""
    power = 10.0 ** math.floor(math.log10(most))
    return max(step * power for step in (1, 2, 5) if step * power <= most * (1 + 1e-9))


def length_text(microns: float) -> str:
    """Return a length in the unit people would use."""
    for unit, size in (("m", 1e6), ("cm", 1e4), ("mm", 1e3), ("µm", 1.0)):
        if microns >= size * (1 - 1e-9):
            return f"{microns / size:g} {unit}"
    return f"{microns * 1e3:g} nm"
