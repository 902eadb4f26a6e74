"""The contrast of the image on the canvas: what the person chooses for it holds for the next images, too."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QObject, Slot

from unet_gui.app.canvas.display import Display, is_large, lit_display
from unet_gui.app.canvas.view import CanvasView
from unet_gui.app.contrast import Contrast
from unet_gui.app.document import Document
from unet_gui.app.panels.layers import LayersSection
from unet_gui.app.session import Session
from unet_gui.core.images import ImageSource


class ContrastDesk(QObject):
    """Keeps the canvas and the panel in step with how the images of a folder are shown.

    Attributes
    ----------
    now : Contrast
        What holds for the images of this folder.
    """

    def __init__(
        self, session: Session, canvas: CanvasView, layers: LayersSection, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._session, self._canvas, self._layers = session, canvas, layers
        self.now = Contrast()
        self._range = (0.0, 255.0)
        self._unlit = False  # the image is shown before anybody knows whether it is dark
        canvas.display_changed.connect(self._on_display)
        canvas.seen.connect(self._on_seen)
        layers.display_changed.connect(self._on_display_wanted)
        layers.auto_wanted.connect(self._on_auto)
        layers.reset_wanted.connect(self._on_reset)

    def display_of(self, document: Document) -> Display:
        """Return how an image is to be shown that comes to the canvas now."""
        shown = self._shown(document)
        self._range = _value_range(document.source, document.display, shown)
        return shown

    def on_shown(self, document: Document) -> None:
        """Hear that it is on the canvas."""
        self._unlit = document.source.info.dtype == "uint8" and is_large(document.source)
        if self.now.auto and document.own is None:  # it was read before that was wanted
            self._canvas.auto_contrast()
            document.own = self._canvas.display
        self._show_auto()

    @Slot(object)
    def _on_display(self, display: Display) -> None:
        self._layers.set_display(display, self._range)

    def keep(self, contrast: Contrast) -> None:
        """Show the next images this way."""
        self.now = contrast
        self._session.auto_contrast = contrast.auto
        self._show_auto()

    def _show_auto(self) -> None:
        """Tell in the panel whether this image, and so the next ones, have a contrast window of their own."""
        document, kept = self._session.document, self.now
        own = False
        if document is not None:
            dtype = document.source.info.dtype
            by_hand = kept.windowed and kept.dtype == dtype
            own = not by_hand and (dtype != "uint8" or not document.display.is_plain)
        self._layers.set_auto(kept.auto or own)

    def _shown(self, document: Document) -> Display:
        """Return how an image is to be shown."""
        first = (document.own if self.now.auto else None) or document.display
        return self.now.of(document.source.info.dtype, first)

    @Slot()
    def _on_seen(self) -> None:
        """Find out whether a large image is dark, now that all of it has been read."""
        document = self._session.document
        if document is None or not self._unlit:
            return
        self._unlit = False
        document.display = lit_display(document.source, document.display)
        self._canvas.display = self._shown(document)
        self._show_auto()

    @Slot(object)
    def _on_display_wanted(self, display: Display) -> None:
        source = self._session.source
        if source is not None:  # the next images of this kind are shown the same way
            self.keep(self.now.chosen(source.info.dtype, self._canvas.display, display))
        self._canvas.display = display

    @Slot()
    def _on_auto(self) -> None:
        self.keep(Contrast(auto=True))
        self._canvas.auto_contrast()
        source = self._session.source
        if source is not None:  # which channels show, and in which colours, stays
            self.keep(Contrast(True, source.info.dtype, self._canvas.display, windowed=False))
        if self._session.document is not None:
            self._session.document.own = self._canvas.display

    @Slot()
    def _on_reset(self) -> None:
        """Show this image and the next ones as at first; which channels show, and in which colours, stays."""
        document = self._session.document
        if document is None:
            self.keep(Contrast())
            return
        self.keep(Contrast(False, document.source.info.dtype, self._canvas.display, windowed=False))
        self._canvas.display = self._shown(document)


def _value_range(source: ImageSource, display: Display, shown: Display) -> tuple[float, float]:
    """Return the values that the contrast sliders go through: all of 8 bit, else what is there and some room.

    ``display`` is how the image shows by itself, ``shown`` how it does: with a window kept from another image, perhaps.
    """
    if source.dtype == np.uint8:
        return 0.0, 255.0
    first = display.channels[0]
    spread = max(first.high - first.low, 1e-6)
    low = min(first.low - spread, *(channel.low for channel in shown.channels))
    high = max(first.high + 2 * spread, *(channel.high for channel in shown.channels))
    if source.dtype.kind in "ui":
        bounds = np.iinfo(source.dtype)
        return max(float(bounds.min), low), min(float(bounds.max), high)
    return low, high
