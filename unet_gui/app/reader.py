"""Reading beside the window: a folder, an image with its label, what a model said of it. The last request counts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal, Slot

from unet_gui.app.chores import Chores
from unet_gui.app.document import Document, first_page, load
from unet_gui.app.folder import Opened, open_folder
from unet_gui.core.images import ImageRef
from unet_gui.core.planes import Probabilities
from unet_gui.core.project import Dataset

Said = tuple[NDArray[np.uint8], Probabilities | None]
"""What a model said: class ids, and how sure it was of them."""


class Opener:
    """Opens one folder after another in a thread; which of them is wanted is known in the window's.

    A folder that was opened and is not wanted any more holds its lock. It is given back before the next one is opened:
    the same folder, opened twice by two clicks, would be taken for one that another window has open.
    """

    def __init__(self) -> None:
        self._untaken: dict[int, Opened] = {}
        self._giving = threading.RLock()  # the next one waits until a lock that is being given back is free

    def open(self, number: int, work: Callable[[], Opened]) -> Opened:
        """Open a folder, which gets this number: called in the thread, when none before it is wanted any more."""
        with self._giving:
            for earlier in list(self._untaken):
                self.give_back(earlier)
        opened = self._untaken[number] = work()
        return opened

    def take(self, number: int) -> None:
        """Hear that this folder is the one that is open now."""
        self._untaken.pop(number, None)

    def give_back(self, number: int) -> None:
        """Hear that this folder is not wanted."""
        with self._giving:
            opened = self._untaken.pop(number, None)
            if opened is not None and not opened.read_only:
                opened.dataset.release_lock()


class Reader(QObject):
    """Reads one thing after another in a thread. Each folder or image asked for makes all earlier requests void.

    What was read for a request that is void is closed here, and nobody hears of it.

    Attributes
    ----------
    reads_prediction : bool
        What a model said of the open image is being read.

    Signals
    -------
    folder_opened(Opened), folder_not_opened(path, exception)
    image_read(Document), image_not_read(ImageRef, exception)
    prediction_read(Said or None), prediction_not_read(ImageRef, exception)
        Of the image that was asked for last; None when there is no prediction.
    """

    folder_opened = Signal(object)
    folder_not_opened = Signal(object, object)
    image_read = Signal(object)
    image_not_read = Signal(object, object)
    prediction_read = Signal(object)
    prediction_not_read = Signal(object, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._asked = 0  # number of the last request for a folder or an image
        self._predictions_due = 0
        self._opener = Opener()
        self._chores = Chores(1, self)
        self._chores.done.connect(self._on_done)
        self._chores.failed.connect(self._on_failed)

    @property
    def reads_prediction(self) -> bool:
        return self._predictions_due > 0

    def forget(self) -> None:
        """Want nothing any more of what was asked for."""
        self._asked += 1
        self._predictions_due = 0

    def open_folder(
        self,
        path: Path,
        labels: Path | None,
        state: Path | None,
        *,
        anyway: bool,
        first: str,
        listed: Dataset | None,
    ) -> None:
        """Open a folder: see `folder.open_folder`."""
        self.forget()
        work = partial(open_folder, path, labels, state, anyway=anyway, first=first, listed=listed)
        self._chores.give((self._asked, "folder", path), partial(self._opener.open, self._asked, work))

    def read_image(self, dataset: Dataset, ref: ImageRef, auto_contrast: bool) -> None:
        """Read an image, or the first page of a stack: see `document.load`."""
        self.forget()
        asked = self._asked

        def read() -> Document | None:  # images passed by while a key is held are not read
            return load(dataset, first_page(dataset, ref), auto_contrast) if asked == self._asked else None

        self._chores.give((asked, "image", ref), read)

    def read_prediction(self, dataset: Dataset, ref: ImageRef) -> None:
        """Read what a model said of the open image."""
        self._predictions_due += 1
        self._chores.give((self._asked, "prediction", ref), partial(dataset.load_prediction, ref))

    def close(self) -> None:
        """Wait for what is being read; nobody hears of it."""
        self.forget()
        self._chores.close()

    @Slot(object, object)
    def _on_done(self, tag: tuple[int, str, Any], result: Any) -> None:
        asked, what, _ = tag
        if asked != self._asked:
            if isinstance(result, Document):
                result.source.close()
            elif isinstance(result, Opened):
                self._opener.give_back(asked)
        elif what == "folder":
            self._opener.take(asked)
            self.folder_opened.emit(result)
        elif what == "image":
            self.image_read.emit(result)
        else:
            self._predictions_due -= 1
            self.prediction_read.emit(result)

    @Slot(object, object)
    def _on_failed(self, tag: tuple[int, str, Any], error: Exception) -> None:
        asked, what, subject = tag
        if asked != self._asked:
            return
        if what == "folder":
            self.folder_not_opened.emit(subject, error)
        elif what == "image":
            self.image_not_read.emit(subject, error)
        else:
            self._predictions_due -= 1
            self.prediction_not_read.emit(subject, error)
