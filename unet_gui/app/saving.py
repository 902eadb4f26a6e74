"""When labels are saved, and what stays in memory until they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer

from unet_gui.app import words
from unet_gui.app.document import Document
from unet_gui.app.folder import Folder
from unet_gui.app.session_part import SessionPart
from unet_gui.core.errors import LabelChanged
from unet_gui.core.images import ImageSource
from unet_gui.core.project import Status

if TYPE_CHECKING:
    from unet_gui.app.session import Session

AUTOSAVE_MS = 1500
"""The quiet moment after which a label is saved."""


class Saving(SessionPart):
    """Has the labels of a session saved, and keeps those that are not on disk after their image has left the canvas."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._kept: dict[str, Document] = {}  # changed and not on disk yet
        self._leaving: list[ImageSource] = []  # the canvas may show them until it has another one
        self._quiet = QTimer(session)
        self._quiet.setSingleShot(True)
        self._quiet.setInterval(AUTOSAVE_MS)
        self._quiet.timeout.connect(session.save)

    def follow(self, folder: Folder) -> None:
        """Hear how the labels of this folder are saved."""
        folder.saver.saved.connect(self._on_saved)
        folder.saver.failed.connect(self._on_failed)
        folder.saver.replaced.connect(self._on_replaced)

    def documents(self) -> list[Document]:
        """Return the image on the canvas and those that are not on disk yet."""
        shown = self._session.document
        return [*self._kept.values()] + ([shown] if shown else [])

    def save(self) -> None:
        """Begin to save every changed label."""
        self._quiet.stop()
        folder = self._session.folder
        if folder is None or folder.read_only:
            return
        for document in self.documents():
            if document.dirty:
                folder.saver.save(document)

    def in_a_moment(self) -> None:
        """Save after a quiet moment, where labels are saved by themselves."""
        if self._session.autosave:
            self._quiet.start()

    def put_off(self) -> None:
        """Do not save now: something is being painted."""
        self._quiet.stop()

    # --- images that have left the canvas --------------------------------------------------------------------------

    def put_away(self, document: Document) -> None:
        """Take an image that leaves the canvas; a label that is not on disk stays in memory."""
        if document.dirty:
            document.prediction = document.probabilities = None
            self._kept[document.key] = document
            self._keep_steps(document)
        else:
            self._let_go(document)

    def kept(self, key: str) -> Document | None:
        """Return an image whose label is in memory because it is not on disk yet."""
        return self._kept.get(key)

    def close_sources(self) -> None:
        """Close the images that were on the canvas until now."""
        while self._leaving:
            self._leaving.pop().close()

    def forget(self) -> None:
        """Hear that the folder is being closed: what is not on disk is lost."""
        for document in self._kept.values():
            document.source.close()
        self._kept.clear()

    def _let_go(self, document: Document) -> None:
        self._keep_steps(document)
        self._leaving.append(document.source)

    def _keep_steps(self, document: Document) -> None:
        self._session.histories.put(document)
        if self._session.folder is not None:
            self._session.folder.keep_undo(document)

    # --- how it went -----------------------------------------------------------------------------------------------

    def _on_saved(self, document: Document, status: Status) -> None:
        session = self._session
        if session.folder is not None:
            session.folder.book.set(document.key, status)
        if not document.dirty and self._kept.pop(document.key, None) is not None and document is not session.document:
            self._let_go(document)
            if session.document is not None:
                self.close_sources()
            # else the canvas shows it until the next image is there
        if session.folder is not None and not session.folder.saver.refused:
            session.settled.emit("save")
        session.settled.emit(words.changed_topic(document.key))
        session.history_changed.emit()

    def _on_replaced(self, document: Document, copy: Path | None) -> None:
        self._session.said.emit(words.label_replaced(document.key, copy))

    def _on_failed(self, document: Document, error: Exception) -> None:
        session = self._session
        if isinstance(error, LabelChanged):
            session.changed_elsewhere.emit(document)
        else:
            session.said.emit(words.label_not_saved(document.key, error, session.save))
        session.history_changed.emit()
