"""The classes of the open folder, and how its label files are read: whoever wants to change them asks here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from unet_gui.app.class_list import note_gone, put_classes, still_active, still_over
from unet_gui.app.folder import lost_classes
from unet_gui.app.messages import Message
from unet_gui.app.session_part import SessionPart
from unet_gui.core.encoding import Encoding
from unet_gui.core.errors import UserError
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.palette import ClassInfo

if TYPE_CHECKING:
    from unet_gui.app.session import Session


class ClassKeeper(SessionPart):
    """Changes them, and lets go of what belongs to classes that are no more."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._redo_of_gone = False  # redo may hold pixels of a class that undo or redo has taken off the list

    def forget(self) -> None:
        """Hear that the folder is closed."""
        self._redo_of_gone = False

    def put(self, classes: list[ClassInfo], into: int = UNLABELLED, again: bool = False) -> None:
        """Give the folder these classes, in this order, and keep them; what others predict becomes ``into``.

        ``again`` when undo or redo of the classes does it: what was undone in the images stays, to be made again.
        """
        session = self._session
        if session.folder is None:
            return
        if session.folder.read_only:
            session.say_read_only()
            return
        self._replace(session.classes, classes, into, again)

    def _replace(
        self, before: list[ClassInfo], classes: list[ClassInfo], into: int = UNLABELLED, again: bool = False
    ) -> None:
        """Put classes in the place of others, and let go of what belongs to those that are no more."""
        session = self._session
        assert session.folder is not None
        try:
            put_classes(session.folder.dataset, classes)
        except UserError as error:
            session.said.emit(Message.of(error, topic="classes"))
            return
        left = {info.id for info in classes}
        gone = [info for info in before if info.id not in left]
        if gone:
            note_gone(session.folder.dataset, gone, into)
            session.folder.forget_undo()
            self._redo_of_gone = True
        session.settings_to_disk()
        self.replaced(again)
        if left != {info.id for info in before}:
            session.reload_prediction(session.key)  # where a class is no more, or is back

    def replaced(self, again: bool = False) -> None:
        """Hear that the folder has other classes now, perhaps through an import; ``again`` as in `put`."""
        session = self._session
        if self._redo_of_gone and not again:
            self._drop_redo()
        session.active_class = still_active(session.classes, session.active_class)
        session.over = still_over(session.over, [info.id for info in session.classes])
        session.classes_changed.emit()

    def _drop_redo(self) -> None:
        """Let redo bring back no pixels of classes that are no more: their numbers may soon be those of others."""
        self._redo_of_gone = False
        for document in self._session.saving.documents():
            document.history.drop_redo()
        for history, _ in self._session.histories.all().values():
            history.drop_redo()

    def set_encoding(
        self,
        encoding: Encoding,
        done: Callable[[], object] = lambda: None,
        refused: Callable[[], object] = lambda: None,
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        """Read and write labels in another way, once what is painted is on disk in the old one, if still wanted."""

        def act() -> None:
            if not wanted():
                refused()
                return
            self._set_encoding(encoding)
            done()

        if self._session.must_recover():
            refused()
        else:
            self._session.when_saved(act, refused, alone=True, patient=True)

    def _set_encoding(self, encoding: Encoding) -> None:
        session = self._session
        if session.folder is None:
            return
        dataset = session.folder.dataset
        before, gone = session.classes, lost_classes(dataset.encoding, encoding)
        dataset.set_encoding(encoding)  # which takes a class off the list already
        self._replace(before, [info for info in before if info.id not in gone] or before)
        session.encoding_changed.emit()
        session.folder.book.scan(session.folder.images())
        session.reopen()  # the same file means something else now
