"""Labels that another program writes while they are open: noticed, and nothing is lost on either side."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal, Slot

from unet_gui.app import words
from unet_gui.app.chores import Chores
from unet_gui.app.document import Document
from unet_gui.app.messages import Message
from unet_gui.app.session import Session
from unet_gui.core.geometry import Rect
from unet_gui.core.journal import checksum
from unet_gui.core.project import Dataset

Stamp = tuple[int, int, int] | None
Theirs = tuple[NDArray[np.uint8], int, Stamp]
"""The label that another program has written, its checksum and the stamp of its file."""


class OtherPrograms(QObject):
    """Looks whether the label on disk is still the one that was read here, and asks which one is to stay.

    Signals
    -------
    said(Message)
    """

    said = Signal(object)

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._chores = Chores(1, self)
        self._chores.done.connect(self._on_read)
        self._chores.failed.connect(self._on_not_read)
        session.changed_elsewhere.connect(self.ask)

    def close(self) -> None:
        """End the thread."""
        self._chores.close()

    def look(self) -> None:
        """Look at the label of the open image: take it in if nothing is painted here, else ask."""
        if self._session.document is not None:
            self._read(self._session.document, self._on_looked)

    @Slot(object)
    def ask(self, document: Document) -> None:
        """Ask whose label is to stay, when it could not be saved for what another program has written."""
        self.said.emit(words.label_changed(document.key, partial(self._keep, document), partial(self._take, document)))

    def _keep(self, document: Document) -> None:
        document.replaces = True
        self._session.save()

    def _take(self, document: Document) -> None:
        self._read(document, self._on_taken)

    def _read(self, document: Document, then: Callable[[Document, Theirs], object]) -> None:
        if self._session.dataset is not None:
            work = partial(_theirs, self._session.dataset, document)
            self._chores.give((document, document.stamp, then), work)

    def _is_free(self, document: Document, stamp: Stamp) -> bool:
        """Whether the label is still as it was when reading began, and nobody is about to change it."""
        session = self._session
        busy = session.folder is None or session.folder.saver.busy or session.held or document.labels.editing
        return not busy and document in session.saving.documents() and document.stamp == stamp

    @Slot(object, object)
    def _on_read(
        self, tag: tuple[Document, Stamp, Callable[[Document, Theirs], object]], theirs: Theirs | None
    ) -> None:
        document, stamp, then = tag
        if theirs is None:
            if then == self._on_taken:  # there is none any more: ours is saved again, and that is said
                self._session.save()
            return
        if self._is_free(document, stamp):
            then(document, theirs)
        elif then == self._on_taken and document in self._session.saving.documents():
            self.ask(document)

    def _on_looked(self, document: Document, theirs: Theirs) -> None:
        _, crc, stamp = theirs
        if crc == document.disk:
            document.stamp = stamp
        elif document.dirty:
            self.ask(document)
        else:
            self.said.emit(words.label_taken_in(document.key))
            self._session.reopen()
            if self._session.folder is not None:
                self._session.folder.book.scan([document.ref])

    def _on_taken(self, document: Document, theirs: Theirs) -> None:
        ids, crc, stamp = theirs
        document.disk, document.stamp = crc, stamp
        self._session.edits.take_in(document, Rect(0, 0, ids.shape[1], ids.shape[0]), ids)

    @Slot(object, object)
    def _on_not_read(self, tag: tuple[Document, Stamp, Callable[[Document, Theirs], object]], error: Exception) -> None:
        document, _, then = tag
        if then == self._on_taken and document in self._session.saving.documents():
            self.ask(document)
            self.said.emit(Message.of(error, topic="theirs", image=document.key))


def _theirs(dataset: Dataset, document: Document) -> Theirs | None:
    """Read the label on disk, unless it is the file that was read or written here last."""
    stamp = dataset.label_stamp(document.ref)
    if stamp is None or stamp == document.stamp:
        return None
    ids = dataset.load_label(document.ref, document.labels.shape)
    return None if ids is None else (ids, checksum(ids), stamp)
