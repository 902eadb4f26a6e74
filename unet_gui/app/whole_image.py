"""Corrections of the whole open label, made beside the window. Each is one undo step."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal, Slot

from unet_gui.app.canvas.tool import Options, let_eraser_work
from unet_gui.app.chores import Chores
from unet_gui.app.document import Document
from unet_gui.app.messages import Message, Offer
from unet_gui.app.session import Session
from unet_gui.core import whole
from unet_gui.core.labels import Edit, Over
from unet_gui.core.text import percent

Ids = NDArray[np.uint8]
Patches = Callable[[Ids], Iterator[whole.Patch]]


@dataclass(frozen=True)
class _Work:
    """One correction: the work of a pool's thread."""

    document: Document
    edit: Edit
    patches: Patches
    stop: threading.Event
    looks: bool
    then: Callable[[], object] | None
    gesture: bool

    @property
    def name(self) -> str:
        return self.edit.name

    def __call__(self) -> bool:
        """Write everything; False when it was stopped and taken back."""
        try:
            before = self.document.labels.ids
            for rect, ids, mask in self.patches(before.copy() if self.looks else before):
                if self.stop.is_set():
                    break
                self.edit.write(rect, ids, mask)
        except BaseException:
            self.edit.rollback()
            raise
        if self.stop.is_set():
            self.edit.rollback()
            return False
        self.edit.commit()
        return True


@dataclass(frozen=True)
class _Search:
    """What a tool wants to know of the label, and what it does then."""

    name: str
    find: Callable[[], object]
    then: Callable[[object], object]

    def __call__(self) -> object:
        return self.find()


class WholeImage(QObject):
    """Starts corrections. One under way is given up when another image is wanted, but a tool's: a gesture is finished.

    Parameters
    ----------
    options : callable
        Returns what the tools remember: size of specks, how sure the model must be.

    Attributes
    ----------
    undo_text : str
        What `undo` takes back; empty when no correction is under way.
    redo_text : str
        Always empty.

    Signals
    -------
    changed()
        A correction is under way, or none any more.
    """

    changed = Signal()
    redo_text = ""

    def __init__(self, session: Session, options: Callable[[], Options], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._options = options
        self._work: _Work | _Search | None = None
        self._unwanted = False  # the one under way, by the person
        self._chores = Chores(1, self)
        self._chores.done.connect(self._on_done)
        self._chores.failed.connect(self._on_failed)
        session.letting_go.connect(self.cancel)
        session.large_edit_wanted.connect(self._on_large_edit)
        session.large_search_wanted.connect(self._on_large_search)

    @property
    def busy(self) -> bool:
        """Whether a correction is under way."""
        return self._work is not None

    @property
    def undo_text(self) -> str:
        return self._work.name if self._work is not None else ""

    def undo(self) -> None:
        """Take back the one under way as soon as its thread hears of it."""
        if self._work is not None:
            self._unwanted = True
            if isinstance(self._work, _Work):
                self._work.stop.set()

    def close(self) -> None:
        """End the thread."""
        self.cancel()
        self._chores.close()

    def deeds(self) -> dict[str, Callable[[], None]]:
        """Return what there is to do, by the name of its action."""
        return {
            "specks_all": self.remove_specks,
            "holes_all": self.fill_holes,
            "grow_class": self.grow,
            "shrink_class": self.shrink,
            "sure_all": self.take_over_sure,
        }

    def remove_specks(self) -> None:
        """Let blobs that are too small become what surrounds them."""
        size = self._options().speck_size
        self._start(f"Remove specks under {size} px", partial(whole.without_specks, smaller_than=size), erases=True)

    def fill_holes(self) -> None:
        """Fill small holes of the class that is painted."""
        size, class_id = self._options().speck_size, self._session.active_class
        work = partial(whole.without_holes, class_id=class_id, smaller_than=size)
        self._start(f"Fill holes under {size} px", work)

    def grow(self) -> None:
        """Let the class that is painted grow by a pixel."""
        self._start("Grow class", partial(whole.grown, class_id=self._session.active_class))

    def shrink(self) -> None:
        """Let the class that is painted shrink by a pixel."""
        self._start("Shrink class", partial(whole.shrunk, class_id=self._session.active_class), erases=True)

    def take_over_sure(self) -> None:
        """Take the prediction over where nothing is labelled and the model is sure enough."""
        session, sure = self._session, self._options().sure
        if session.document is None:
            return
        prediction, probabilities = session.prediction, session.probabilities
        if prediction is None or probabilities is None:
            text = "There are no probabilities for this image yet: let the model look at it (R)."
            session.said.emit(Message("info", text, topic="touch-up", passing=True))
            return

        work = partial(whole.sure_of, prediction=prediction, probabilities=probabilities, sure=sure)
        self._start(f"Take over what is at least {percent(sure)} sure", work, looks=False)

    def write(self, name: str, patches: Patches, over: Over, then: Callable[[], object]) -> bool:
        """Write patches that do not depend on the label; act when it is done. False when it cannot begin."""
        return self._start(name, patches, over=over, looks=False, then=then)

    @Slot(str, object, bool)
    def _on_large_edit(self, name: str, patches: Callable[[], Iterator[whole.Patch]], erases: bool) -> None:
        self._start(name, lambda _ids: patches(), erases=erases, looks=False, gesture=True)

    def _start(
        self,
        name: str,
        patches: Patches,
        erases: bool = False,
        over: Over | None = None,
        looks: bool = True,
        then: Callable[[], object] | None = None,
        gesture: bool = False,
    ) -> bool:
        session, document = self._session, self._session.document
        edit = session.begin_edit(name)  # none while another one is under way
        if document is None or edit is None:
            return False
        if erases:
            let_eraser_work(edit)
        if over is not None:
            edit.over = over
        document.moving = True  # until `end_edit`: pixels and the number of the state do not belong together
        self._give(_Work(document, edit, patches, threading.Event(), looks, then, gesture))
        return True

    @Slot(str, object, object)
    def _on_large_search(self, name: str, find: Callable[[], object], then: Callable[[object], object]) -> None:
        session, document = self._session, self._session.document
        if session.held:
            session.said.emit(Message("info", session.held, topic="held", passing=True))
        elif document is not None and not document.labels.editing:
            self._give(_Search(name, find, then))

    def _give(self, work: _Work | _Search) -> None:
        self._session.held = f"“{work.name}” is under way; try again in a moment."
        self._work = work
        self._chores.give(None, work)
        self.changed.emit()

    @Slot()
    def cancel(self) -> None:
        """Take back the correction under way, or finish a gesture; returns when that is done."""
        while self._work is not None:  # what was found may be written then
            if isinstance(self._work, _Work) and not self._work.gesture:
                self._work.stop.set()
            self._chores.close(finish=True)

    def _end(self) -> tuple[_Work | _Search | None, bool]:
        work, unwanted = self._work, self._unwanted
        self._work, self._unwanted = None, False
        self._session.held = ""
        self.changed.emit()
        return work, unwanted

    def _close(self, work: _Work) -> bool:
        """Have it saved and shown; False when its image is not the open one any more."""
        if work.document is not self._session.document:
            work.document.moving = False
            return False
        self._session.changed(work.edit.rect)
        self._session.end_edit(work.edit)  # also of one that was taken back: what was painted before it is to be saved
        return True

    @Slot(object, object)
    def _on_done(self, _tag: object, result: Any) -> None:
        work, unwanted = self._end()
        if isinstance(work, _Search):
            if not unwanted:
                work.then(result)
        elif work is not None:
            self._on_written(work, result, unwanted)

    def _on_written(self, work: _Work, finished: bool, unwanted: bool) -> None:
        if not self._close(work):
            return
        if unwanted and finished:  # it was done before its thread heard of it
            self._undo(work)
            return
        if not finished:
            text = f"“{work.edit.name}” was stopped and taken back."
            self._session.said.emit(Message("info", text, topic="stopped", passing=True))  # read on the next image, too
            return
        if work.then is not None:
            work.then()
            return
        count = f"{work.edit.pixels:,}".replace(",", "\u202f")
        said = f"{work.edit.name}: {count} px." if work.edit.delta else f"{work.edit.name}: nothing to change."
        undo = (Offer("Undo", partial(self._undo, work)),) if work.edit.delta else ()
        self._session.said.emit(
            Message("info", said, topic="whole image", offers=undo, passing=True, image=work.document.key)
        )

    def _undo(self, work: _Work) -> None:
        """Take the correction back, if it is still what was done last to the image on the canvas."""
        document = self._session.document
        if document is work.document and document.history.next_undo is work.edit.delta:
            self._session.undo()

    @Slot(object, object)
    def _on_failed(self, _tag: object, error: Exception) -> None:
        work, _ = self._end()
        if isinstance(work, _Work):
            self._close(work)
        self._session.said.emit(Message.of(error, topic="whole image", image=self._session.key))
