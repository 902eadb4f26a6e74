"""Changes of the open label, one by one, and undo and redo of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from unet_gui.app.document import Document
from unet_gui.app.messages import Message
from unet_gui.app.session_part import SessionPart
from unet_gui.core.encoding import present
from unet_gui.core.geometry import Rect
from unet_gui.core.history import Delta
from unet_gui.core.labels import UNLABELLED, Edit

if TYPE_CHECKING:
    from unet_gui.app.session import Session


class Edits(SessionPart):
    """What changes the label of a session: each change is an undo step, and is noted in the journal.

    Attributes
    ----------
    balance : int
        Grows with every change of a label and with redo, shrinks with undo: tells whether anything was done since.
    changes : int
        Grows with each of them.
    made : int
        Grows with every new change of a label, not with undo and redo: there is nothing to be made again then.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.balance = self.changes = self.made = 0

    def begin(self, name: str) -> Edit | None:
        """Open an edit of the label. None when that is impossible; the person has been told why."""
        document = self._changeable()
        if document is None:
            return None
        self._session.saving.put_off()
        return document.labels.edit(name, self._session.over)

    def _changeable(self) -> Document | None:
        """Return what is open if its label can be changed now; else say why not."""
        session, document = self._session, self._session.document
        if session.held:
            session.said.emit(Message("info", session.held, topic="held", passing=True))
            return None
        if document is None or session.folder is None or document.labels.editing:
            return None
        if session.folder.read_only:
            session.say_read_only()
            return None
        return None if session.must_recover(session.key) else document

    def end(self, edit: Edit) -> None:
        """Commit the edit; it becomes one undo step and is written to the journal."""
        document = self._session.document
        if document is None:
            edit.rollback()
            return
        document.moving = True
        delta = edit.commit()
        if delta is not None:
            self._record(document, delta)
            document.history.push(delta)
        document.moving = False
        if delta is not None:
            self.balance += 1
            self.made += 1
            self._after_change()
        elif document.dirty:
            self._session.saving.in_a_moment()

    def take_in(self, document: Document, rect: Rect, ids: NDArray[np.uint8]) -> None:
        """Put what another program has written in the place of what is painted; undo brings that back."""
        document.moving = True
        with document.labels.edit("take the label of another program") as edit:
            edit.write(rect, ids)
        if edit.delta is not None:
            self._record(document, edit.delta)
            document.history.push(edit.delta)
            self.balance += 1
            self.made += 1
        document.moving = False
        if document is self._session.document:
            self._session.changed(edit.rect)
        self._session.history_changed.emit()
        self._session.save()

    def undo(self) -> None:
        """Take the last change of the open image back."""
        self._move(forward=False)

    def redo(self) -> None:
        """Make it again."""
        self._move(forward=True)

    def _move(self, forward: bool) -> None:
        document = self._changeable()
        if document is None:
            return
        history = document.history
        delta = history.next_redo if forward else history.next_undo
        if delta is None:
            return
        document.moving = True
        rect = history.redo(document.labels) if forward else history.undo(document.labels)
        self._record(document, delta)
        if self._brings_back_a_class(document, rect):
            if forward:
                document.history.undo(document.labels)  # redo of the classes may bring the class back
                self.balance -= 1
            else:
                delta.apply(document.labels)
                document.history.clear()
                self.balance += 1
            self._record(document, delta)
        document.moving = False
        self.balance += 1 if forward else -1
        self._session.changed(rect)
        self._after_change()

    def _brings_back_a_class(self, document: Document, rect: Rect) -> bool:
        """Whether pixels are of a class that was removed meanwhile; then it is said."""
        session = self._session
        if session.folder is None or session.folder.keeps_undo:
            return False
        found = set(present(document.labels.ids[rect.slices]).tolist()) - {UNLABELLED}
        if found <= {info.id for info in session.classes}:
            return False
        text = "That was painted with a class that is no more, so it cannot come back."
        session.said.emit(Message("info", text, topic="held", passing=True))
        return True

    def _record(self, document: Document, delta: Delta) -> None:
        document.seq += 1
        self.changes += 1
        folder = self._session.folder
        if folder is not None and folder.journal is not None:
            folder.journal.edit(document.key, document.seq, delta)

    def _after_change(self) -> None:
        self._session.history_changed.emit()
        self._session.saving.in_a_moment()
