"""The layers of the canvas, composed into a picture that is kept: only what changed is composed again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, QRect, QTimer, Signal
from PySide6.QtGui import QImage, QPainter, QRegion

from unet_gui.app.canvas.display import Display
from unet_gui.app.canvas.layers import ClassLayer, LayerSettings, outlines, unless
from unet_gui.app.canvas.overlay import CanvasStyle
from unet_gui.app.canvas.tiles import ImageTiles
from unet_gui.app.canvas.viewport import Viewport
from unet_gui.core.geometry import EMPTY, Rect
from unet_gui.core.images import ImageSource
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.palette import ClassInfo


def to_qrect(rect: Rect) -> QRect:
    """Return the same rectangle for Qt."""
    return QRect(rect.x, rect.y, rect.w, rect.h)


def _new_frame(width: int, height: int) -> tuple[NDArray[np.uint32], QImage]:
    """Return pixels and an image that shows them."""
    pixels = np.zeros((height, width), np.uint32)
    return pixels, QImage(pixels.data, width, height, 4 * width, QImage.Format.Format_RGB32)


def region_rects(region: QRegion, most: int) -> list[Rect]:
    """Return the rectangles of a region, or the one around them where there are too many."""
    if region.rectCount() > most:
        region = QRegion(region.boundingRect())
    return [Rect(r.x(), r.y(), r.width(), r.height()) for r in region]  # type: ignore[attr-defined]


class Scene(QObject):
    """Image, prediction and label as one picture in screen pixels.

    Signals
    -------
    stale(Rect)
        These screen pixels have to be painted again.
    failed(Exception)
        The image cannot be read.

    Attributes
    ----------
    view : Viewport
        Shared with the widget; after changing it call `view_moved`.
    label, prediction : ClassLayer
    tiles : ImageTiles
    peek : bool
        The image alone is shown.
    scale : float
        Screen pixels per widget pixel.
    """

    stale = Signal(object)
    failed = Signal(object)

    def __init__(self, view: Viewport, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.view = view
        self.style = CanvasStyle()
        self.settings = LayerSettings()
        self.display = Display()
        self.label = ClassLayer()
        self.prediction = ClassLayer()
        self.peek = False
        self.scale = 1.0
        self.tiles = ImageTiles(self)
        self.tiles.ready.connect(self.mark)
        self.tiles.failed.connect(self.failed)
        self._classes: list[ClassInfo] = []
        self._pixels, self._frame = _new_frame(1, 1)
        self._spare = _new_frame(1, 1)
        self._placed = (0.0, 0, 0)  # zoom, left and top of the view for which the frame was composed
        self._stale = QRegion()
        self._idle = QTimer(self)
        self._idle.setSingleShot(True)
        self._idle.setInterval(0)
        self._idle.timeout.connect(self._prepare_levels)

    @property
    def source(self) -> ImageSource | None:
        """The image."""
        return self.tiles.source

    @property
    def line_width(self) -> int:
        """Width of outlines in screen pixels, 0 when areas are shown."""
        return max(1, round(1.5 * self.scale)) if self.settings.outline else 0

    @property
    def is_complete(self) -> bool:
        """Whether all that is in view has been read and painted at its full quality."""
        return self.tiles.is_complete(self.view) and not self._idle.isActive() and self._stale.isEmpty()

    def visible_rect(self) -> Rect:
        """Return the image pixels in view."""
        return EMPTY if self.source is None else self.view.image_rect()

    def set_source(self, source: ImageSource | None, display: Display) -> None:
        """Show another image, with neither label nor prediction."""
        self.display = display
        self.tiles.set_source(source, display)
        self.label.set_ids(None)
        self.prediction.set_ids(None)
        if source is not None:
            self.view.set_image_shape(source.shape)
        self.mark_all()

    def set_display(self, display: Display) -> None:
        """Use other contrast windows or channel colours."""
        self.display = display
        self.tiles.set_display(display)
        self.tiles.request(self.view)

    def set_settings(self, settings: LayerSettings) -> None:
        """Show other layers, or the same more or less strongly."""
        self.settings = settings
        self._recolor()

    def set_classes(self, classes: Sequence[ClassInfo]) -> None:
        """Take the classes' colours."""
        self._classes = list(classes)
        self._recolor()

    def set_peek(self, peek: bool) -> None:
        """Show the image alone, or everything again."""
        if peek != self.peek:
            self.peek = peek
            self.mark_all()

    def resize(self, width: int, height: int) -> None:
        """Take the size of the view in screen pixels."""
        self.view.resize(width, height)
        self._pixels, self._frame = _new_frame(width, height)
        self._spare = _new_frame(width, height)
        self._placed = (0.0, 0, 0)
        self.view_moved()

    def needs_size(self, width: int, height: int) -> bool:
        """Whether the picture has another size than this view."""
        return self._frame.width() != width or self._frame.height() != height

    def view_moved(self) -> None:
        """Take note that `view` changed: what stays in view after a pan is moved, not composed again."""
        self.tiles.request(self.view)
        zoom, left, top = self._placed
        dx, dy = left - self.view.left, top - self.view.top
        whole = Rect(0, 0, self.view.width, self.view.height)
        stays = whole.intersect(whole.shift(dx, dy))
        self._placed = (self.view.zoom, self.view.left, self.view.top)
        if zoom != self.view.zoom or stays.empty or self.settings.split is not None:
            self.mark_all()
            return
        if (dx, dy) != (0, 0):
            self._move_frame(stays, dx, dy)
            self.stale.emit(whole)

    def _move_frame(self, stays: Rect, dx: int, dy: int) -> None:
        """Move the picture; ``stays`` is where its part that remains in view comes to lie."""
        spare_pixels, spare_frame = self._spare
        spare_pixels[stays.slices] = self._pixels[stays.shift(-dx, -dy).slices]
        self._spare = self._pixels, self._frame
        self._pixels, self._frame = spare_pixels, spare_frame
        self._stale.translate(dx, dy)
        self._stale = self._stale.united(QRegion(self._frame.rect()).subtracted(QRegion(to_qrect(stays))))
        self._stale = self._stale.intersected(self._frame.rect())

    def refresh(self, rect: Rect) -> None:
        """Take note that ids of the label changed (image pixels)."""
        self.label.refresh(rect, self.view)
        self.mark(rect)

    def mark(self, rect: Rect) -> None:
        """Have a part of the picture composed again (image pixels)."""
        self._mark_screen(self.view.screen_rect(rect, 2 + self.line_width))

    def mark_all(self) -> None:
        """Have everything composed again."""
        self._mark_screen(Rect(0, 0, self.view.width, self.view.height))

    def frame(self) -> QImage:
        """Return the picture, up to date."""
        if not self._stale.isEmpty():
            stale, self._stale = self._stale, QRegion()
            painter = QPainter(self._frame)
            try:
                for rect in region_rects(stale, most=12):
                    self._compose(painter, rect)
            finally:
                painter.end()
            if self._levels_missing():
                self._idle.start()
        return self._frame

    def overview(self) -> QImage | None:
        """Return the whole image in small, None while it has not come; it lives as long as the scene keeps it."""
        pixels = self.tiles.overview()
        if pixels is None:
            return None
        h, w = pixels.shape
        return QImage(pixels.data, w, h, pixels.strides[0], QImage.Format.Format_RGB32)

    def stop(self) -> None:
        """Stop what goes on in the background."""
        self._idle.stop()
        self.tiles.stop()

    def _mark_screen(self, rect: Rect) -> None:
        rect = rect.intersect(Rect(0, 0, self.view.width, self.view.height))
        if not rect.empty:
            self._stale += to_qrect(rect)
            self.stale.emit(rect)

    def _recolor(self) -> None:
        settings = self.settings
        self.label.set_colors(self._classes, settings.label_opacity, settings.hidden)
        self.prediction.set_colors(self._classes, settings.prediction_opacity, settings.hidden)
        self.mark_all()

    def _shown_layers(self) -> list[ClassLayer]:
        """Return the layers to paint, the lowest first."""
        if self.peek:
            return []
        settings = self.settings
        both = settings.difference or settings.split is not None
        chosen = ((self.prediction, settings.prediction or both), (self.label, settings.label or both))
        return [layer for layer, shown in chosen if shown and layer.ids is not None]

    def _compose(self, painter: QPainter, screen: Rect) -> None:
        image = EMPTY
        if self.source is not None:
            image = self.view.pixels_of(Rect(0, 0, self.source.shape[1], self.source.shape[0])).intersect(screen)
        if image != screen:
            self._pixels[screen.slices] = self.style.background.rgb()
        if image.empty:
            return
        if self.settings.image or self.peek:
            self.tiles.paint(self._pixels, self.view, image, self.style.waiting.rgb())
        else:
            self._pixels[image.slices] = self.style.waiting.rgb()
        layers = self._shown_layers()
        if self.settings.difference and len(layers) == 2:
            self.label.paint_ids(painter, image, self._disagreement(image), line=True)
            return
        if len(layers) == 2 and self.settings.split is None and self.label.opacity > 0:
            self._paint_mask(painter, image)
            return
        for layer in layers:
            side = self._side_of(layer, image)
            if not side.empty:
                layer.paint(painter, self.view, side, self.line_width)

    def _paint_mask(self, painter: QPainter, screen: Rect) -> None:
        """Paint the label, and the prediction where nothing is labelled: one would not tell them apart there."""
        width = self.line_width
        wide = screen.grow(width)
        label, predicted = (layer.sample(self.view, wide) for layer in (self.label, self.prediction))
        said = label[screen.shift(-wide.x, -wide.y).slices]
        if width:
            label, predicted = outlines(label, width), outlines(predicted, width)
        self.prediction.paint_ids(painter, screen, unless(said, predicted), line=width > 0)
        self.label.paint_ids(painter, screen, label, line=width > 0)

    def _side_of(self, layer: ClassLayer, screen: Rect) -> Rect:
        """Return the part of the view that a layer may paint: all, or its side of the divider."""
        if self.settings.split is None:
            return screen
        divider = round(self.settings.split * self.view.width)
        left = layer is self.prediction
        x, x1 = (0, divider) if left else (divider, self.view.width)
        return screen.intersect(Rect(x, 0, x1 - x, self.view.height))

    def _disagreement(self, screen: Rect) -> NDArray[np.uint8]:
        label, prediction = (layer.sample(self.view, screen) for layer in (self.label, self.prediction))
        differ = (label != prediction) & (label != UNLABELLED) & (prediction != UNLABELLED)
        return np.where(differ, label, np.uint8(UNLABELLED))

    def _levels_missing(self) -> bool:
        return any(layer.is_missing(self.view) for layer in self._shown_layers())

    def _prepare_levels(self) -> None:
        for layer in self._shown_layers():
            if layer.is_missing(self.view):
                self.mark(layer.prepare(self.view))
                break
        if self._levels_missing():
            self._idle.start()
