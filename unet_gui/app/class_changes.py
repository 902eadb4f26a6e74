"""Changes of the classes, each of which can be taken back: the list itself, and pixels that become another class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from PySide6.QtCore import QObject, Signal, Slot

from unet_gui.app import words
from unet_gui.app.chores import Chores
from unet_gui.app.class_list import is_gone
from unet_gui.app.class_work import Change, LabelWorker, Work
from unet_gui.app.histories import Kept
from unet_gui.app.jobs import JobRunner
from unet_gui.app.messages import Message, Offer
from unet_gui.app.model_jobs import CountJob, RelabelJob
from unet_gui.app.session import Session
from unet_gui.core.encoding import present
from unet_gui.core.errors import UserError
from unet_gui.core.images import ImageRef
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.palette import ClassInfo, folded, names_twice
from unet_gui.core.project import Dataset
from unet_gui.core.relabel import CAP, Relabelling, Touched, forget, note, set_aside, settle, unfinished

STORE = "class-undo"
"""Folder, among those of the program, for what undo needs."""
_PAST = {"merge": "Merged", "remove": "Removed", "import": "Imported", "colours": "Changed the colours"}
"""What has been done, by the first word of what `Change` calls it."""
DONE = "class change"
"""Topic of the message that offers to take the last change back."""


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
        self._worker = LabelWorker(session, runner, self)
        self._images = images
        self._done: list[Change] = []
        self._undone: list[Change] = []
        self._number = 0
        self._half: set[str] = set()  # topics of changes that were interrupted
        self._moving = False  # a change is being taken back or made again, or waits for that
        self._made = 0  # new changes of labels until now
        # an added class that only other images show, so that it cannot go, and the image in which that was told: there
        # *Undo* takes back what is older
        self._elsewhere: tuple[Change | None, str] = None, ""
        self._counted_at = 0  # changes of labels when counting began: what is painted meanwhile is not counted
        self._broom = Chores(1, self)
        session.folder_changed.connect(self.forget)
        session.encoding_changed.connect(self.forget)
        session.history_changed.connect(self._on_history)
        self._worker.changed.connect(self.changed)

    def close(self) -> None:
        """End the thread."""
        self._broom.close(finish=True)

    # --- what can be taken back ------------------------------------------------------------------------------------

    @property
    def undo_text(self) -> str:
        """The change that *Undo* takes back next; empty when something else was done since."""
        last = self._done[-1] if self._done and not self._moving else None
        if last is None or (last is self._elsewhere[0] and self._session.key == self._elsewhere[1]):
            return ""
        return last.text if self._session.edits.balance <= last.balance else ""

    @property
    def redo_text(self) -> str:
        """The change that *Redo* makes next, empty when there is none."""
        last = self._undone[-1] if self._undone and not self._moving else None
        return last.text if last is not None and self._session.edits.balance == last.balance else ""

    def undo(self) -> None:
        """Take the last change back, in all labels."""
        if not self._done or self._moving or self._is_held():
            return
        change = self._done[-1]
        new = change.added
        if change.pixels is not None:
            self._move(change, self._done, undoing=True)
        elif new:
            self.count(new, lambda touched: self._undo_list(change, touched))
        else:
            self._undo_list(change, Touched())

    def redo(self) -> None:
        """Make the change again that was taken back last."""
        if not self._undone or self._moving or self._is_held():
            return
        change = self._undone[-1]
        if change.pixels is not None:
            self._move(change, self._undone, undoing=False)
            return
        self._undone.pop()
        classes = self._with_newer(change.after, change.before)
        if classes is None:
            self._say_overtaken(f"Redo {change.text}")
            self.changed.emit()
        else:
            self._push(self._put(change, classes, again=True))

    def _move(self, change: Change, of: list[Change], undoing: bool) -> None:
        """Take a change of pixels back, or make it again, if it still is the last one when its turn has come."""

        def over() -> None:
            self._moving = False
            self.changed.emit()

        turned = change.turned(undoing)
        self._moving = True
        verb = "Undo" if undoing else "Redo"

        def still() -> Change | None:
            if of and of[-1] is change:
                if not self._is_taken(change):
                    return turned
                of.pop()  # it can never be done
            self._say_overtaken(f"{verb} {change.text}")
            return None

        self._run(f"{verb} {change.text}", still, over, over)

    def _is_taken(self, change: Change) -> bool:
        """Whether the number of the class that a change is about means another class now: a model's, perhaps."""
        what = change.pixels
        return what is not None and any(
            info.id == what.old and info.name != what.info.name for info in self._session.classes
        )

    def _with_newer(self, classes: Sequence[ClassInfo], since: Sequence[ClassInfo]) -> list[ClassInfo] | None:
        """Return a list of classes with those that a model has added since; None when they do not go together.

        ``since`` is the list that there was before the model added any.
        """
        now = {info.id: info for info in self._session.classes}
        if any(now.pop(info.id, None) != info for info in since):
            return None  # a number of the list means another class now
        return None if now.keys() & {info.id for info in classes} else [*classes, *now.values()]

    def _say_overtaken(self, what: str) -> None:
        text = f"“{what}” was not done: labels or classes were changed in another way meanwhile."
        self.said.emit(Message("warning", text, topic="classes"))

    def _undo_list(self, change: Change, touched: Touched) -> None:
        """Give the list back as it was, unless a class that would go is in use."""
        if not self._done or self._done[-1] is not change:
            return
        self._session.let_go()
        new = change.added
        if new and self._session.edits.changes != self._counted_at:  # something was painted since: count again
            self.count(new, lambda again: self._undo_list(change, again))
            return
        if touched.images:
            have = "has" if touched.pixels == 1 else "have"
            text = f"{words.pixels(touched)} {have} a class that would go. Remove or merge it instead."
            self.said.emit(Message("info", text, topic="classes", passing=True))
            labels = self._session.labels
            if labels is None or not new & set(present(labels.ids).tolist()):
                self._elsewhere = change, self._session.key
                self.changed.emit()
            return
        self._done.pop()
        self._session.settled.emit(DONE)
        classes = self._with_newer(change.before, change.after)
        if classes is None:
            self._say_overtaken(f"Undo {change.text}")
            self.changed.emit()
            return
        self._session.set_classes(classes, again=True)
        self._paint_again(change)
        self._undone.append(replace(change, balance=self._session.edits.balance))
        self.changed.emit()

    # --- making changes --------------------------------------------------------------------------------------------

    def set_list(self, text: str, classes: Sequence[ClassInfo], say: bool = False, into: int = UNLABELLED) -> bool:
        """Change the list; no pixel changes. Return whether it was possible.

        ``say`` offers to take it back; who painted a class that goes paints ``into`` then.
        """
        before = tuple(self._session.classes)
        if tuple(classes) == before or self._is_held():
            return False
        twice = names_twice(classes) - names_twice(before)
        if twice:
            name = next(info.name for info in classes if folded(info.name) in twice)
            refused = f"Two classes cannot both be called “{name}”. Choose another name."
            self.said.emit(Message("warning", refused, topic="classes", passing=True))
            return False
        change = self._put(Change(text, before, tuple(classes), into=into), classes)
        if tuple(self._session.classes) != tuple(classes):
            return False  # why has been said
        self._undone.clear()
        self._push(change, say)
        return True

    def _put(self, change: Change, classes: Sequence[ClassInfo], again: bool = False) -> Change:
        """Give the folder the classes that a change leaves; return the change with the class that was painted."""
        active = self._session.active_class
        if all(info.id != active for info in classes) and change.into != UNLABELLED:
            self._session.active_class = change.into
        self._session.set_classes(list(classes), change.into, again)
        return replace(change, active=active)

    def _paint_again(self, change: Change) -> None:
        """Paint the class again that had gone while it was painted, now that it is back."""
        if change.active in {info.id for info in change.before} - {info.id for info in change.after}:
            self._session.active_class = change.active

    def count(self, classes: set[int], counted: Callable[[Touched], object]) -> None:
        """Count the pixels of some classes in all labels and hand the result over."""
        dataset = self._session.dataset
        if dataset is None:
            return

        def make() -> CountJob | None:
            self._counted_at = self._session.edits.changes
            return CountJob(dataset, tuple(self._images()), frozenset(classes))

        def ended(touched: Touched | None) -> None:
            if touched is not None:
                counted(touched)  # a label that cannot be read has been named; nothing is changed then

        names = "” and “".join(info.name for info in self._session.classes if info.id in classes)
        self._worker.submit("count", f"Counting pixels of “{names}”", Work(dataset, make, ended))

    def relabel(self, text: str, info: ClassInfo, into: int, touched: Touched) -> None:
        """Make a class another one, or unlabelled, in every label; then it goes from the list."""
        self._session.let_go()  # what is being painted counts, too
        if touched == Touched() and self._session.edits.changes == self._counted_at:
            before = tuple(self._session.classes)
            self.set_list(text, [each for each in before if each.id != info.id], say=True, into=into)
            return
        dataset = self._session.dataset
        if dataset is None:
            return
        other = next((each for each in self._session.classes if each.id == into), info)

        def make() -> Change | None:
            before = tuple(self._session.classes)
            known = {(each.id, each.name) for each in before}
            gone = next((each for each in (info, other) if (each.id, each.name) not in known), None)
            if gone is not None:
                lost = f"“{gone.name}” is no more among the classes, so this was not done: {text}."
                self.said.emit(Message("warning", lost, topic="classes"))
                return None
            self._number += 1
            keep = dataset.state_dir / STORE / f"{self._number}" if touched.nbytes <= CAP else None
            after = tuple(each for each in before if each.id != info.id)
            self._undone.clear()
            now = next(each for each in before if each.id == info.id)
            return Change(text, before, after, Relabelling(info.id, into, now), keep, into=into)

        self._run(text[0].upper() + text[1:], make)

    def _push(self, change: Change, say: bool = False) -> None:
        done = replace(change, balance=self._session.edits.balance)
        self._done.append(done)
        self.changed.emit()
        self._session.settled.emit(DONE)  # the offer of an older change would take this one back
        if say:
            undo = (Offer("Undo", lambda: self._undo_if_last(done)),)
            verb, space, what = change.text.partition(" ")
            text = f"{_PAST.get(verb, verb.capitalize())}{space}{what}."
            self.said.emit(Message("good", text, topic=DONE, offers=undo, passing=True))

    def _undo_if_last(self, change: Change) -> None:
        if self._done and self._done[-1] is change:
            self.undo()

    def _is_held(self) -> bool:
        """Whether labels and classes cannot be changed for a moment; then it is said."""
        if self._session.held:
            self.said.emit(Message("info", self._session.held, topic="held", passing=True))
        return bool(self._session.held)

    def _run(
        self,
        title: str,
        change_of: Callable[[], Change | None],
        given_up: Callable[[], object] = lambda: None,
        over: Callable[[], object] = lambda: None,
    ) -> None:
        """Change the pixels, or take that back: then the class has to be there first.

        Parameters
        ----------
        title : str
            What the person reads meanwhile.
        change_of : callable
            Returns the change when its turn has come, None when it is not to be made any more.
        given_up, over : callable
            Called when it has not begun, and when it has ended in any other way.
        """
        dataset = self._session.dataset
        if dataset is None:
            return
        begun: list[Change] = []

        def make() -> RelabelJob | None:
            change = change_of()
            if change is None or not self._note(change):
                return None
            now = self._histories()
            undoing = change.pixels is not None and change.pixels.undoing
            begun.append(replace(change, later=now) if undoing else replace(change, histories=now))
            return self._begin(change, dataset)

        def ended(failed: int) -> None:
            over()
            self._on_changed(begun[0], failed)

        def stopped() -> None:
            over()
            self._offer(begun[0], "Stopped. Some labels are changed, others are not; the class stays.")
            self._look_again()

        self._worker.submit("relabel", title, Work(dataset, make, ended, given_up, stopped))

    def _note(self, change: Change) -> bool:
        """Write down what is about to be done; False when that is impossible, which has been said."""
        try:
            if change.keep is not None and change.pixels is not None:
                note(change.keep, change.pixels)
        except UserError as error:
            self.said.emit(Message.of(error, topic="classes"))
            return False
        return True

    def _begin(self, change: Change, dataset: Dataset) -> RelabelJob | None:
        session, what = self._session, change.pixels
        if what is None:
            return None
        if what.undoing and all(info.id != what.old for info in session.classes):
            order = {info.id: at for at, info in enumerate(change.before)}
            classes = sorted([*session.classes, what.info], key=lambda info: order.get(info.id, len(order)))
            session.set_classes(classes, again=True)
        session.settled.emit(DONE)
        session.held = "The labels are being changed; try again in a moment."
        return RelabelJob(dataset, tuple(self._images()), what.old, what.new, change.keep, what.undoing)

    def _histories(self) -> Kept:
        document = self._session.document
        now = {document.key: (document.history, document.disk)} if document else {}
        return {**self._session.histories.all(), **now}

    # --- ends ------------------------------------------------------------------------------------------------------

    def _on_changed(self, change: Change, failed: int) -> None:
        assert change.pixels is not None
        if failed:
            self._offer(change, "Some labels could not be changed, so the class stays.")
        elif change.pixels.undoing:
            self._taken_back(change)
            return
        else:
            old = change.pixels.old
            again = bool(self._undone) and self._undone[-1].keep == change.keep
            if again:
                self._undone.pop()
            change = self._put(change, [info for info in self._session.classes if info.id != old], again)
            if change.keep is None:
                self._done.clear()
            else:
                settle(change.keep)
                self._push(change, say=True)
        self._look_again(change.later)

    def _taken_back(self, change: Change) -> None:
        if self._done and self._done[-1].keep == change.keep:
            self._done.pop()
        self._undone.append(replace(change, balance=self._session.edits.balance))
        self._paint_again(change)
        if change.keep is not None:
            self._broom.give(None, partial(forget, set_aside(change.keep)))
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
        on = change.turned(undoing=False)
        back = change.turned(undoing=True)

        def is_another() -> bool:
            """Whether the number has been given to a new class since, whose pixels these are."""
            dataset = self._session.dataset
            return self._is_taken(change) and dataset is not None and is_gone(dataset, what.info)

        def still(title: str, turned: Change) -> Change | None:
            if is_another():
                self._say_overtaken(title)
            return None if is_another() else turned

        def later() -> None:
            if not is_another():
                self._offer(change, text)

        def offer(name: str, title: str, turned: Change) -> Offer:
            return Offer(name, lambda: self._run(title, partial(still, title, turned), later))

        offers = [offer("Go on", f"Go on: {on.text}", on)]
        if change.keep is not None:
            offers.append(offer("Take it back", f"Undo {on.text}", back))
        self._half.add(topic := f"half changed {change.keep or what.old}")
        text = f"{change.text[:1].upper()}{change.text[1:]}: {text[:1].lower()}{text[1:]}"
        self.said.emit(Message("warning", text, topic=topic, offers=tuple(offers)))

    @Slot()
    def _on_history(self) -> None:
        """Make nothing again after something new: what was undone last before *Redo* would be something else."""
        if self._made != self._session.edits.made:
            self._made = self._session.edits.made
            self._undone.clear()
        self.changed.emit()

    # --- folder ----------------------------------------------------------------------------------------------------

    @Slot()
    def forget(self) -> None:
        """Forget what could be taken back: it belongs to another folder, or to labels that are no more."""
        self._done.clear()
        self._undone.clear()
        for topic in ("classes", DONE, *self._half):
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
            change = Change(f"remove “{what.info.name}”", before, after, what, place, into=what.new)
            text = f"The program ended while the class “{what.info.name}” was being changed in all labels."
            self._offer(change, text)
