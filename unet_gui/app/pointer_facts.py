"""What is told about the pixel under the pointer: where it is, its value, and its classes."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QObject, Slot

from unet_gui.app.canvas.view import CanvasView
from unet_gui.app.chores import Chores
from unet_gui.app.panels.status_bar import StatusLine
from unet_gui.app.session import Session
from unet_gui.core.geometry import Rect
from unet_gui.core.images import ImageSource
from unet_gui.core.palette import name_of


class PointerFacts(QObject):
    """Shows them in the status line, also when something changes under a pointer that rests."""

    def __init__(self, session: Session, canvas: CanvasView, status: StatusLine, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._status = status
        self._at: tuple[int, int] | None = None  # column and row
        self._probe = Chores(1, self)  # a value may have to be read from disk
        self._probe.done.connect(self._on_value)
        canvas.cursor_moved.connect(self._on_moved)
        canvas.cursor_left.connect(self.forget)
        session.image_changed.connect(self.forget)
        session.prediction_changed.connect(self._show_classes)
        session.label_changed.connect(self._show_classes)

    def close(self) -> None:
        """End what runs in the background."""
        self._probe.close()

    @Slot()
    def forget(self) -> None:
        """Show nothing: the pointer is not on the image."""
        self._at = None
        for widget in (self._status.place, self._status.value):
            widget.setText("")
        self._status.set_class_name("")

    @Slot(float, float)
    def _on_moved(self, x: float, y: float) -> None:
        document = self._session.document
        if document is None:
            return
        column, row = int(np.floor(x)), int(np.floor(y))
        h, w = document.labels.shape
        if not (0 <= column < w and 0 <= row < h):
            self.forget()
            return
        self._at = (column, row)
        self._status.place.setText(f"x {column}  y {row}")
        self._show_classes()
        if not self._probe.waiting:
            self._ask_value(document.source, column, row)

    @Slot()
    def _show_classes(self) -> None:
        document = self._session.document
        if document is None or self._at is None:
            return
        column, row = self._at
        classes = self._session.classes
        said = name_of(classes, int(document.labels.ids[row, column]))
        if document.prediction is not None:
            said += f" / {name_of(classes, int(document.prediction[row, column]))}"
        self._status.set_class_name(said)

    def _ask_value(self, source: ImageSource, column: int, row: int) -> None:
        self._probe.give((source, column, row), lambda: source.read(Rect(column, row, 1, 1)))

    @Slot(object, object)
    def _on_value(self, tag: tuple[ImageSource, int, int], pixel: np.ndarray) -> None:
        source, column, row = tag
        if source is not self._session.source or self._at is None:
            return
        if self._at != (column, row):
            self._ask_value(source, *self._at)
        self._status.value.setText(", ".join(f"{value:g}" for value in np.ravel(pixel)))
