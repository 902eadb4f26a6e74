"""Small pictures for the list: made beside the window, only for rows that are looked at, and forgotten oldest first."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal, Slot
from PySide6.QtGui import QImage, QPixmap

from unet_gui.app.chores import Chores
from unet_gui.app.messages import Message
from unet_gui.core.images import ImageRef, thumbnail
from unet_gui.core.project import Dataset

SIZE = 96
"""Longest side in the screen's pixels: sharp at 200 %."""
KEPT = 600
"""Pictures kept, 36 KiB each at most."""
WANTED = 64
"""Requests kept; older ones have been scrolled away."""


class Thumbnails(QObject):
    """Small pictures by image.

    Signals
    -------
    ready(key)
        This one can be had now, or it has turned out that it never can.
    failed(key, why)
        It never can: the image cannot be read.
    """

    ready = Signal(str)
    failed = Signal(str, str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._dataset: Dataset | None = None
        self._pictures: OrderedDict[str, QPixmap | None] = OrderedDict()
        self._asked: dict[str, ImageRef] = {}  # while the list was painted the last time, from top to bottom
        self._wanted: OrderedDict[str, ImageRef] = OrderedDict()
        self._under_way: set[tuple[Dataset | None, str]] = set()
        self._chores = Chores(1, self)
        self._chores.done.connect(self._on_done)
        self._chores.failed.connect(self._on_failed)
        self._soon = QTimer(self)  # a fast scroll asks for hundreds and needs only the last
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self._next)

    def set_dataset(self, dataset: Dataset | None) -> None:
        """Forget everything and serve another folder."""
        self._dataset = dataset
        self._pictures.clear()
        self._asked.clear()
        self._wanted.clear()

    def get(self, ref: ImageRef) -> QPixmap | None:
        """Return the picture, None when it is not there yet (it is asked for) or never will be."""
        key = ref.key
        if key in self._pictures:
            self._pictures.move_to_end(key)
            return self._pictures[key]
        if (self._dataset, key) not in self._under_way:
            self._asked[key] = ref
            self._soon.start()
        return None

    def close(self) -> None:
        """Stop."""
        self._soon.stop()
        self._asked.clear()
        self._wanted.clear()
        self._chores.close()

    @Slot()
    def _next(self) -> None:
        dataset = self._dataset
        if dataset is None:
            return
        if self._asked:  # what is in sight now comes before what was in sight earlier
            earlier = {key: ref for key, ref in self._wanted.items() if key not in self._asked}
            self._wanted = OrderedDict(list({**self._asked, **earlier}.items())[:WANTED])
            self._asked = {}
        while self._wanted and self._chores.waiting < 2:
            key, ref = self._wanted.popitem(last=False)
            self._under_way.add((dataset, key))
            self._chores.give((dataset, key), _Make(dataset, ref))

    @Slot(object, object)
    def _on_done(self, tag: tuple[Dataset, str], picture: QImage) -> None:
        self._keep(tag, QPixmap.fromImage(picture))

    @Slot(object, object)
    def _on_failed(self, tag: tuple[Dataset, str], error: Exception) -> None:
        dataset, key = tag
        if dataset is self._dataset:
            self.failed.emit(key, Message.of(error).text)
        self._keep(tag, None)

    def _keep(self, tag: tuple[Dataset, str], picture: QPixmap | None) -> None:
        dataset, key = tag
        self._under_way.discard(tag)
        if dataset is self._dataset:
            self._pictures[key] = picture
            while len(self._pictures) > KEPT:
                self._pictures.popitem(last=False)
            self.ready.emit(key)
        self._next()


class _Make:
    """Making one picture: the work of a pool's thread."""

    def __init__(self, dataset: Dataset, ref: ImageRef) -> None:
        self._dataset = dataset
        self._ref = ref

    def __call__(self) -> QImage:
        array = thumbnail(self._dataset.image_path(self._ref), self._ref.page or 0, SIZE * 2)
        h, w = array.shape[:2]
        side = min(h, w)  # the middle, square: all rows look alike
        top, left = (h - side) // 2, (w - side) // 2
        square = np.ascontiguousarray(array[top : top + side, left : left + side])
        image = QImage(square.data, side, side, side * 3, QImage.Format.Format_RGB888)
        return image.scaled(SIZE, SIZE).copy() if side > SIZE else image.copy()
