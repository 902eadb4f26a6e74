"""Image, prediction and label on one widget, painted by the CPU, only where something changed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QRegion, QResizeEvent
from PySide6.QtWidgets import QWidget

from unet_gui.app.canvas.display import Display, auto_display, default_display
from unet_gui.app.canvas.furniture import Furniture
from unet_gui.app.canvas.layers import LayerSettings
from unet_gui.app.canvas.overlay import CanvasStyle
from unet_gui.app.canvas.scene import Scene
from unet_gui.app.canvas.viewport import Viewport
from unet_gui.core.errors import UserError
from unet_gui.core.geometry import Rect
from unet_gui.core.images import ImageSource
from unet_gui.core.labels import LabelImage
from unet_gui.core.palette import ClassInfo


class CanvasSurface(QWidget):
    """Shows the open image. Knows nothing of tools; `CanvasView` is the surface with a hand on it.

    Attributes
    ----------
    view : Viewport
        Zoom and pan.

    Signals
    -------
    view_changed()
        Zoom, pan or size changed.
    display_changed(Display)
        The contrast windows changed.
    seen()
        All of the image has been read once, so that its coarsest level is at hand.
    failed(Exception)
        The image cannot be read.
    """

    view_changed = Signal()
    display_changed = Signal(object)
    seen = Signal()
    failed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMinimumSize(120, 90)
        self.setAccessibleName("Canvas")
        self.view = Viewport()
        self._scene = Scene(self.view, self)
        self._scene.stale.connect(self._update_screen)
        self._scene.tiles.seen.connect(self.seen)
        self._scene.failed.connect(self.failed)
        self._furniture = Furniture(self.view)
        self._fitted = True  # the whole image is shown, and goes on to be when the widget's size changes

    # what is shown

    @property
    def zoom(self) -> float:
        """Screen pixels per image pixel."""
        return self.view.zoom

    @property
    def layers(self) -> LayerSettings:
        """What is shown and how strongly; set another `LayerSettings` to change it."""
        return self._scene.settings

    @layers.setter
    def layers(self, settings: LayerSettings) -> None:
        self._furniture.minimap, self._furniture.scale_bar = settings.minimap, settings.scale_bar
        self._furniture.split = settings.split
        self._scene.set_settings(settings)

    @property
    def display(self) -> Display:
        """Contrast windows and colours of the image's channels."""
        return self._scene.display

    @display.setter
    def display(self, display: Display) -> None:
        if display != self._scene.display:
            self._scene.set_display(display)
            self.display_changed.emit(display)

    @property
    def is_complete(self) -> bool:
        """Whether all that is in view has been read and painted at its full quality."""
        return self._scene.is_complete

    def set_style(self, style: CanvasStyle) -> None:
        """Take other colours."""
        self._scene.style = style
        self._scene.mark_all()

    def set_image(self, source: ImageSource | None, display: Display | None = None) -> None:
        """Show another image, whole, with neither label nor prediction.

        The former source may be closed as soon as this returns.
        """
        self._scene.set_source(source, display or self._first_display(source))
        self._furniture.mark = None
        self._furniture.shape = None if source is None else source.shape
        self._furniture.pixel_size = None if source is None else source.info.pixel_size
        self.fit()
        self.display_changed.emit(self.display)

    def set_label(self, labels: LabelImage | None) -> None:
        """Show this label."""
        self._scene.label.set_ids(None if labels is None else labels.ids)
        self._scene.mark_all()

    def set_prediction(self, ids: NDArray[np.uint8] | None) -> None:
        """Show what the model said, shape (h, w)."""
        self._scene.prediction.set_ids(ids)
        self._scene.mark_all()

    def set_classes(self, classes: Sequence[ClassInfo]) -> None:
        """Take the classes' colours."""
        self._scene.set_classes(classes)

    def refresh(self, rect: Rect) -> None:
        """Paint the label again where it changed (image pixels)."""
        self._scene.refresh(rect)

    def is_of_prediction(self, rect: Rect) -> bool:
        """Whether all that is in view of these image pixels lies on the prediction's side of the divider."""
        split, shown = self.layers.split, self.view.screen_rect(rect)
        return split is not None and not shown.empty and shown.x1 <= round(split * self.view.width)

    def keep_clear(self, covered: Sequence[QRect]) -> None:
        """Keep minimap and scale bar clear of these parts of the canvas: something lies over them."""
        rects = [QRectF(rect) for rect in covered]
        if rects != self._furniture.covered:
            self._furniture.covered = rects
            self.update()

    def mark(self, rect: Rect | None) -> None:
        """Frame a place to look at, or none (image pixels)."""
        if rect != self._furniture.mark:
            self._furniture.mark = rect
            self.update()

    def auto_contrast(self, percent: float = 0.35) -> None:
        """Choose the contrast windows by percentiles of the whole image."""
        if self._scene.source is not None:
            self.display = auto_display(self._scene.source, self.display, percent)

    def _first_display(self, source: ImageSource | None) -> Display:
        if source is None:
            return Display()
        try:
            return default_display(source)
        except (UserError, OSError) as error:
            self.failed.emit(error)
            return default_display(source, auto=False)

    # zoom and pan

    @property
    def place(self) -> tuple[float, tuple[float, float]] | None:
        """Zoom and middle of the view; None while the whole image is shown, and goes on to be."""
        return None if self._fitted else (self.view.zoom, self.view.center)

    def fit(self) -> None:
        """Show the whole image."""
        self.view.fit()
        self._view_moved(fitted=True)

    def zoom_to(self, scale: float, at: QPointF | None = None) -> None:
        """Zoom to so many screen pixels per image pixel; the point ``at`` of the widget stays in place."""
        dpr = self.devicePixelRatioF()
        self.view.zoom_to(scale, None if at is None else (at.x() * dpr, at.y() * dpr))
        self._view_moved()

    def center_on(self, x: float, y: float) -> None:
        """Bring an image point to the middle."""
        self.view.center_on(x, y)
        self._view_moved()

    def go_to(self, rect: Rect) -> None:
        """Show a place to look at and frame it (image pixels): a small one large, but nobody is taken farther away."""
        room = 0.45 * min(self.view.width, self.view.height)
        wanted = min(8.0 * self.devicePixelRatioF(), room / max(rect.w, rect.h, 1))
        self.zoom_to(max(wanted, self.zoom, 1.0))
        self.center_on(rect.x + rect.w / 2, rect.y + rect.h / 2)
        self.mark(rect)

    def visible_rect(self) -> Rect:
        """Return the image pixels in view."""
        return self._scene.visible_rect()

    def to_widget(self, x: float, y: float) -> QPointF:
        """Return where an image point lies on the widget."""
        return QPointF(*self.view.to_screen(x, y)) / self.devicePixelRatioF()

    def _view_moved(self, *, fitted: bool = False) -> None:
        self._fitted = fitted
        self._scene.view_moved()
        self.view_changed.emit()

    # painting

    def _take_size(self) -> None:
        dpr = self._scene.scale = self._furniture.scale = self.devicePixelRatioF()
        width, height = math.ceil(self.width() * dpr), math.ceil(self.height() * dpr)
        if self._scene.needs_size(width, height):
            self._scene.resize(width, height)
            if self._fitted:
                self.fit()
            else:
                self.view_changed.emit()

    def _update_screen(self, rect: Rect) -> None:
        dpr = self.devicePixelRatioF()
        more = int(dpr != round(dpr))  # the canvas may begin within a pixel of the screen
        x, y = math.floor(rect.x / dpr) - more, math.floor(rect.y / dpr) - more
        self.update(QRect(x, y, math.ceil(rect.x1 / dpr) - x + more, math.ceil(rect.y1 / dpr) - y + more))

    def _paint_above(self, painter: QPainter, exposed: QRegion) -> None:
        """Paint what lies on the picture; the painter's unit is the screen pixel, that of ``exposed`` the widget's."""

    # Qt's own names

    def sizeHint(self) -> QSize:
        return QSize(800, 600)

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._take_size()

    def paintEvent(self, event: QPaintEvent) -> None:
        self._take_size()  # the window may have moved to a screen of another scale
        frame = self._scene.frame()
        scale = self.devicePixelRatioF()
        painter = QPainter(self)
        painter.scale(1 / scale, 1 / scale)
        painter.drawImage(0, 0, frame)
        self._paint_above(painter, event.region())
        painter.scale(scale, scale)
        exposed = QRectF(event.rect())
        self._furniture.paint(painter, self._scene.style, self.font(), exposed, self._scene.overview())
        painter.end()
