"""The reference: a canvas as many annotation programs make it, with one pixmap for the whole layer.

A `QGraphicsView` with the image and the label as pixmap items; every move draws on a copy of the label's pixmap and
sets it, undo keeps copies of the whole pixmap. This is how RootPainter's and Cellpose's canvases work.
"""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor, QImage, QMouseEvent, QPainter, QPen, QPixmap
from PySide6.QtWidgets import QGraphicsPixmapItem, QGraphicsScene, QGraphicsView

MOST = 32_000
"""Qt's painter cannot draw pixmaps with longer sides."""


class WholeLayerCanvas(QGraphicsView):
    """Paints on one pixmap as large as the image."""

    def __init__(self, image: np.ndarray, brush: int) -> None:
        super().__init__()
        h, w = image.shape
        grey = QImage(image.data, w, h, w, QImage.Format.Format_Grayscale8)
        scene = QGraphicsScene(self)
        self._image = QGraphicsPixmapItem(QPixmap.fromImage(grey))
        label = QPixmap(w, h)
        label.fill(Qt.GlobalColor.transparent)
        self._label = QGraphicsPixmapItem(label)
        scene.addItem(self._image)
        scene.addItem(self._label)
        self.setScene(scene)
        self._pen = QPen(QColor(230, 159, 0, 180), brush, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap)
        self._last: QPointF | None = None
        self._undo: list[QPixmap] = []

    def undo(self) -> None:
        """Put the last whole pixmap back."""
        self._label.setPixmap(self._undo.pop())

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._undo.append(self._label.pixmap().copy())
        self._last = self.mapToScene(event.position().toPoint())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        here = self.mapToScene(event.position().toPoint())
        pixmap = self._label.pixmap()
        painter = QPainter(pixmap)
        painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_Source)
        painter.setPen(self._pen)
        painter.drawLine(self._last, here)
        painter.end()
        self._label.setPixmap(pixmap)
        self._last = here

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._last = None
