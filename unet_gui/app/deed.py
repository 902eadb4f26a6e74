"""Something that works on the labels on disk, and so has to wait until they are there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer

from unet_gui.app.messages import Message
from unet_gui.app.session_part import SessionPart

if TYPE_CHECKING:
    from unet_gui.app.document import Document
    from unet_gui.app.session import Session


class Deed:
    """Saves what is painted by now, and acts when that is on disk.

    Parameters
    ----------
    session : Session
    act : callable
        Called once, now or later.
    refused : callable
        Called in its place when a label cannot be saved, labels are held by something else, or it is not wanted any
        more because the folder is being closed. All but the last has been said.
    alone : bool
        It changes labels itself: a gesture under way ends, and nobody paints until then.
    patient : bool
        Waits while something else holds labels, in the place of being refused.
    """

    def __init__(
        self,
        session: Session,
        act: Callable[[], object],
        refused: Callable[[], object],
        alone: bool,
        patient: bool = False,
    ) -> None:
        self._session, self._do, self._refused, self._alone, self._patient = session, act, refused, alone, patient
        self._folder = session.folder
        self._wanted: list[tuple[Document, int]] = []

    def begin(self) -> None:
        """Begin to save, and wait."""
        session = self._session
        here = session.folder is not None and session.folder is self._folder
        if here and session.held and self._patient:
            session.deeds.wait(self)
            return
        if session.folder is None or not here or session.held:
            if here and session.held:
                session.said.emit(Message("info", session.held, topic="held", passing=True))
            self._refused()
            return
        if self._alone:
            session.let_go()
            session.held = "The labels are being saved; try again in a moment."
        self._wanted = [(document, document.seq) for document in session.saving.documents()]
        session.save()
        session.folder.saver.when_idle(self._act, self._give_up)

    def _act(self) -> None:
        saver = self._session.folder.saver if self._session.folder else None
        late = any(document.saved_seq < seq for document, seq in self._wanted)
        if saver is None or saver.refused or (late and not saver.busy):
            self._give_up()
        elif late:
            saver.when_idle(self._act, self._give_up)
        else:
            if self._alone:
                self._session.held = ""
            self._do()

    def drop(self) -> None:
        """Do not act any more, before it has begun."""
        self._refused()

    def _give_up(self) -> None:
        if self._alone:
            self._session.held = ""
        self._refused()


class Deeds(SessionPart):
    """Those that wait until nothing holds labels any more."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._waiting: list[Deed] = []

    def wait(self, deed: Deed) -> None:
        """Begin it when nothing holds labels any more."""
        self._waiting.append(deed)

    def go_on(self) -> None:
        """Begin those that wait, once whoever lets go of the labels has returned."""
        if self._waiting:
            QTimer.singleShot(0, self._session, self._begin)

    def _begin(self) -> None:
        waiting, self._waiting = self._waiting, []
        for deed in waiting:
            deed.begin()  # which waits again if labels are held by then

    def drop(self) -> None:
        """Do nothing of what waits for labels to be saved, or to be free."""
        waiting, self._waiting = self._waiting, []
        for deed in waiting:
            deed.drop()
        if self._session.folder is not None:
            self._session.folder.saver.drop()
