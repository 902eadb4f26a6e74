"""Changes of the classes, each of which can be taken back: the list itself, and pixels that become another class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal, Slot

from unet_gui.app.chores import Chores
from unet_gui.app.histories import Kept
from unet_gui.app.jobs import Job, JobRunner
from unet_gui.app.messages import Message, Offer
from unet_gui.app.model_jobs import CountJob, RelabelJob
from unet_gui.app.session import Session
from unet_gui.core.errors import UserError
from unet_gui.core.images import ImageRef
from unet_gui.core.palette import ClassInfo
from unet_gui.core.relabel import CAP, Relabelling, Touched, forget, note, settle, unfinished

STORE = "class-undo"
"""Folder, among those of the program, for what undo needs."""
DONE = "class change"
"""Topic of the message that offers to take the last change back."""


@dataclass(frozen=True)
class Change:
    """One change of the classes.

    Attributes
    ----------
    text : str
        What the person reads beside *Undo*.
    before, after : tuple of ClassInfo
    pixels : Relabelling or None
        One class becomes another; None when no pixel changes.
    keep : Path or None
        Where undo of the pixels is kept.
    balance : int
        `Session.balance` when it was made: whether anything was done since.
    histories : dict
        Undo of the images, good again when the change has been taken back.
    """

    text: str
    before: tuple[ClassInfo, ...]
    after: tuple[ClassInfo, ...]
    pixels: Relabelling | None = None
    keep: Path | None = None
    balance: int = 0
    histories: Kept | None = None


class ClassChanges(QObject):
    """Makes changes, takes them back and makes them again. Pixels are counted and changed beside the window.

    Parameters
    ----------
    images : callable
        Returns all images, pages one by one.

    Signals
    -------
    said(Message)
    changed()
        Something else can be taken back or made again now.
    """

    said = Signal(object)
    changed = Signal()

    def __init__(
        self,
        session: Session,
        runner: JobRunner,
        images: Callable[[], list[ImageRef]],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._runner = runner
        self._images = images
        self._done: list[Change] = []
        self._undone: list[Change] = []
        self._number = 0
        self._job: Job | None = None
        self._change: Change | None = None  # whose pixels are being changed
        self._counted: Callable[[Touched], object] | None = None
        self._counted_at = 0  # changes of labels when counting began: what is painted meanwhile is not counted
        self._waiting = False  # for labels to be saved
        self._broom = Chores(1, self)
        session.folder_changed.connect(self.forget)
        session.history_changed.connect(self.changed)
        runner.finished.connect(self._on_finished)
        for over in (runner.failed, runner.cancelled):
            over.connect(self._on_not_finished)

    def close(self) -> None:
        """End the thread."""
        self._broom.close(finish=True)

    # --- what can be taken back ------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether pixels are being counted or changed."""
        return self._job is not None or self._waiting

    @property
    def undo_text(self) -> str:
        """The change that *Undo* takes back next; empty when something else was done since."""
        last = self._done[-1] if self._done and not self.busy else None
        return last.text if last is not None and self._session.balance <= last.balance else ""

    @property
    def redo_text(self) -> str:
        """The change that *Redo* makes next, empty when there is none."""
        last = self._undone[-1] if self._undone and not self.busy else None
        return last.text if last is not None and self._session.balance == last.balance else ""

    def undo(self) -> None:
        """Take the last change back, in all labels."""
        if not self._done or self.busy:
            return
        change = self._done[-1]
        if change.pixels is not None:
            self._when_saved(lambda: self._run(replace(change, pixels=_turned(change.pixels, undoing=True))))
            return
        new = {info.id for info in change.after} - {info.id for info in change.before}
        if new:
            self.count(new, lambda touched: self._undo_list(change, touched))
        else:
            self._undo_list(change, Touched())

    def redo(self) -> None:
        """Make the change again that was taken back last."""
        if not self._undone or self.busy:
            return
        change = self._undone[-1]
        if change.pixels is None:
            self._undone.pop()
            self._session.set_classes(list(change.after))
            self._push(change)
        else:
            self._when_saved(lambda: self._run(replace(change, pixels=_turned(change.pixels, undoing=False))))

    def _undo_list(self, change: Change, touched: Touched) -> None:
        """Give the list back as it was, unless a class that would go is in use."""
        if not self._done or self._done[-1] is not change:
            return
        if touched.images:
            text = f"{pixels(touched)} have a class that would go. Remove or merge it instead."
            self.said.emit(Message("info", text, topic="classes", passing=True))
            return
        self._done.pop()
        self._session.settled.emit(DONE)
        since = {info.id for info in change.after}
        newer = [info for info in self._session.classes if info.id not in since]
        self._session.set_classes([*change.before, *newer])
        self._undone.append(replace(change, balance=self._session.balance))
        self.changed.emit()

    # --- making changes --------------------------------------------------------------------------------------------

    def set_list(self, text: str, classes: Sequence[ClassInfo], say: bool = False) -> bool:
        """Change the list; no pixel changes. ``say`` offers to take it back. Return whether it was possible."""
        before = tuple(self._session.classes)
        if self.busy or tuple(classes) == before:
            return False
        self._session.set_classes(list(classes))
        if tuple(self._session.classes) != tuple(classes):
            return False  # why has been said
        self._undone.clear()
        self._push(Change(text, before, tuple(classes)), say)
        return True

    def count(self, classes: set[int], counted: Callable[[Touched], object]) -> None:
        """Count the pixels of some classes in all labels and hand the result over."""
        self._when_saved(lambda: self._count(frozenset(classes), counted))

    def relabel(self, text: str, info: ClassInfo, into: int, touched: Touched) -> None:
        """Make a class another one, or unlabelled, in every label; then it goes from the list."""
        if self.busy:
            return
        self._number += 1
        folder = self._session.folder
        keep = folder.dataset.state_dir / STORE / f"{self._number}" if folder else None
        if touched.nbytes > CAP:
            keep = None
        before = tuple(self._session.classes)
        after = tuple(each for each in before if each.id != info.id)
        self._undone.clear()
        if touched == Touched() and self._session.changes == self._counted_at:
            self._session.set_classes(list(after))
            self._push(Change(text, before, after), say=True)
            return
        change = Change(text, before, after, Relabelling(info.id, into, info), keep)
        self._when_saved(lambda: self._run(change))

    def _push(self, change: Change, say: bool = False) -> None:
        done = replace(change, balance=self._session.balance)
        self._done.append(done)
        self.changed.emit()
        self._session.settled.emit(DONE)  # the offer of an older change would take this one back
        if say:
            undo = (Offer("Undo", lambda: self._undo_if_last(done)),)
            text = f"Done: {change.text}."
            self.said.emit(Message("good", text, topic=DONE, offers=undo, passing=True))

    def _undo_if_last(self, change: Change) -> None:
        if self._done and self._done[-1] is change:
            self.undo()

    def _when_saved(self, then: Callable[[], object], refused: Callable[[], object] = lambda: None) -> None:
        """Act when every label is on disk; else say why not, and call ``refused``."""
        folder = self._session.folder
        if folder is None or self.busy:
            return
        if folder.read_only:
            self._session.say_read_only()
            return
        if self._session.must_recover():
            refused()
            return
        if any(job.kind not in ("train", "predict") for job in self._runner.pending()):
            text = "Something is still running. Change classes when it has come to an end."
            self.said.emit(Message("info", text, topic="classes", offers=(Offer("Stop", self._runner.cancel),)))
            refused()
            return

        def saved() -> None:
            self._waiting = False
            then()

        def not_saved() -> None:
            self._waiting = False
            refused()
            self.changed.emit()

        self._waiting = True
        self._session.when_saved(saved, not_saved, alone=True)

    def _count(self, classes: frozenset[int], counted: Callable[[Touched], object]) -> None:
        dataset = self._session.dataset
        if dataset is not None:
            self._counted, self._counted_at = counted, self._session.changes
            self._submit("count", "Counting pixels", CountJob(dataset, tuple(self._images()), classes))

    def _run(self, change: Change) -> None:
        """Change the pixels, or take that back: then the class has to be there first."""
        session, what = self._session, change.pixels
        if session.dataset is None or what is None:
            return
        if change.keep is not None and not change.keep.is_relative_to(session.dataset.state_dir):
            return  # offered while another folder was open
        try:
            if change.keep is not None:
                note(change.keep, what)
        except UserError as error:
            self.said.emit(Message.of(error, topic="classes"))
            return
        if what.undoing and all(info.id != what.old for info in session.classes):
            order = {info.id: at for at, info in enumerate(change.before)}
            classes = sorted([*session.classes, what.info], key=lambda info: order.get(info.id, len(order)))
            session.set_classes(classes)
        session.settled.emit(DONE)
        session.held = "The labels are being changed; try again in a moment."
        self._change = replace(change, histories=change.histories if what.undoing else self._histories())
        work = RelabelJob(session.dataset, tuple(self._images()), what.old, what.new, change.keep, what.undoing)
        self._submit("relabel", "Changing labels", work)

    def _histories(self) -> Kept:
        document = self._session.document
        now = {document.key: (document.history, document.disk)} if document else {}
        return {**self._session.histories.all(), **now}

    def _submit(self, kind: str, title: str, work: Any) -> None:
        # also while a training is under way, which has read its labels long ago
        urgent = all(job.kind in ("train", "predict") for job in self._runner.pending())
        self._job = Job(kind, title, work, urgent=urgent)
        self._runner.submit(self._job)
        self.changed.emit()

    # --- ends ------------------------------------------------------------------------------------------------------

    @Slot(object, object)
    def _on_finished(self, job: Job, result: Any) -> None:
        if job is not self._job:
            return
        self._job = None
        if job.kind == "count":
            counted, self._counted = self._counted, None
            if result is not None and counted is not None:
                counted(result)  # a label that cannot be read has been named; nothing is changed then
            self.changed.emit()
            return
        change, self._change = self._change, None
        if change is None or change.pixels is None:
            return
        if result:
            self._offer(change, "Some labels could not be changed, so the class stays.")
        elif change.pixels.undoing:
            self._taken_back(change)
            return
        else:
            self._session.set_classes([info for info in self._session.classes if info.id != change.pixels.old])
            if change.keep is None:
                self._done.clear()
            else:
                settle(change.keep)
                self._push(change, say=True)
        self._look_again()

    @Slot(object)
    def _on_not_finished(self, job: Job) -> None:
        if job is not self._job:
            return
        self._job = self._counted = None
        change, self._change = self._change, None
        if change is not None:
            self._offer(change, "Stopped. Some labels are changed, others are not; the class stays.")
            self._look_again()
        self.changed.emit()

    def _taken_back(self, change: Change) -> None:
        if self._done and self._done[-1].keep == change.keep:
            self._done.pop()
        self._undone.append(replace(change, balance=self._session.balance))
        if change.keep is not None:
            self._broom.give(None, partial(forget, change.keep))
        self._look_again(change.histories)

    def _look_again(self, histories: Kept | None = None) -> None:
        """Read again what the worker has written."""
        session = self._session
        session.held = ""
        session.reopen()
        session.histories.restore(histories or {})  # only now: the open image has put its own away
        if session.folder is not None:
            session.folder.book.scan(self._images())
        self.changed.emit()

    def _offer(self, change: Change, text: str) -> None:
        """Let the person choose how a change that was interrupted ends."""
        what = change.pixels
        if what is None:
            return
        on = replace(change, pixels=_turned(what, undoing=False))
        back = replace(change, pixels=_turned(what, undoing=True))

        def later() -> None:
            self._offer(change, text)

        offers = [Offer("Go on", lambda: self._when_saved(lambda: self._run(on), later))]
        if change.keep is not None:
            offers.append(Offer("Take it back", lambda: self._when_saved(lambda: self._run(back), later)))
        self.said.emit(Message("warning", text, topic="half changed", offers=tuple(offers)))

    # --- folder ----------------------------------------------------------------------------------------------------

    @Slot()
    def forget(self) -> None:
        """Forget what could be taken back: it belongs to another folder, or to labels that are no more."""
        self._done, self._undone, self._waiting = [], [], False
        for topic in ("classes", DONE, "half changed"):
            self._session.settled.emit(topic)

    def recover(self) -> None:
        """Offer what a run that died has left half done in the folder that was opened; sweep what nobody needs."""
        folder = self._session.folder
        if folder is None or folder.read_only:
            return
        store = folder.dataset.state_dir / STORE
        places = sorted(store.iterdir()) if store.is_dir() else []
        self._number = max((int(place.name) for place in places if place.name.isdigit()), default=0)
        for place in places:
            what = unfinished(place)
            if what is None:
                self._broom.give(None, partial(forget, place))
                continue
            classes = tuple(folder.dataset.classes)
            before = classes if any(info.id == what.old for info in classes) else (*classes, what.info)
            after = tuple(info for info in before if info.id != what.old)
            change = Change(f"remove “{what.info.name}”", before, after, what, place)
            text = f"The program ended while the class “{what.info.name}” was being changed in all labels."
            self._offer(change, text)


def _turned(what: Relabelling | None, undoing: bool) -> Relabelling | None:
    return None if what is None else replace(what, undoing=undoing)


def pixels(touched: Touched) -> str:
    """Return how many pixels in how many images, for people."""
    count = f"{touched.pixels:,}".replace(",", "\u202f")
    one, several = touched.pixels == 1, touched.images != 1
    return f"{count} pixel{'' if one else 's'} in {touched.images} image{'s' if several else ''}"
