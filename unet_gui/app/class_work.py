"""A change of the classes, and the work on all labels that it may take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal, Slot

from unet_gui.app import words
from unet_gui.app.histories import Kept
from unet_gui.app.jobs import Job, JobRunner, Turn
from unet_gui.app.model_jobs import CountJob, Events, RelabelJob
from unet_gui.app.session import Session
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.palette import ClassInfo
from unet_gui.core.project import Dataset
from unet_gui.core.relabel import Relabelling


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
        `Edits.balance` when it was made: whether anything was done since.
    histories : dict
        Undo of the images, good again when the change has been taken back.
    later : dict
        That when it was taken back, good when it has been made again.
    into : int
        What pixels of a class that goes become, and who painted it paints then.
    active : int
        The class that was painted before it.
    """

    text: str
    before: tuple[ClassInfo, ...]
    after: tuple[ClassInfo, ...]
    pixels: Relabelling | None = None
    keep: Path | None = None
    balance: int = 0
    histories: Kept | None = None
    later: Kept | None = None
    into: int = UNLABELLED
    active: int = UNLABELLED

    @property
    def added(self) -> set[int]:
        """Classes that are on the list only since."""
        return {info.id for info in self.after} - {info.id for info in self.before}

    def turned(self, undoing: bool) -> Change:
        """Return the same change as it is made, or as it is taken back."""
        return self if self.pixels is None else replace(self, pixels=replace(self.pixels, undoing=undoing))


@dataclass(eq=False)
class Work:
    """Something to do to the labels of a folder, made from what they are when its turn in the queue has come.

    Attributes
    ----------
    dataset : Dataset
    make : callable
        Returns what is to be done, None when there is nothing to do any more.
    ended : callable
        Called with the result.
    given_up : callable
        Called instead when it has not begun, and does not.
    stopped : callable
        Called instead when it was stopped in the middle.
    """

    dataset: Dataset
    make: Callable[[], CountJob | RelabelJob | None]
    ended: Callable[[Any], object]
    given_up: Callable[[], object] = lambda: None
    stopped: Callable[[], object] = lambda: None
    made: CountJob | RelabelJob | None = None

    def __call__(self) -> Events:
        assert self.made is not None
        return self.made()


class LabelWorker(QObject):
    """Has work done on the labels of a folder, one after the other, in the worker's queue.

    Signals
    -------
    changed()
        Some work waits now, or is over.
    """

    changed = Signal()

    def __init__(self, session: Session, runner: JobRunner, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session, self._runner = session, runner
        runner.finished.connect(self._on_finished)
        for over in (runner.failed, runner.cancelled):
            over.connect(self._on_not_finished)

    def submit(self, kind: str, title: str, work: Work) -> None:
        """Have it done when its turn has come, and every label is on disk then."""
        folder = self._session.folder
        if folder is None or folder.read_only:
            self._session.say_read_only()
            work.given_up()
            return
        if self._session.must_recover():
            work.given_up()
            return

        def prepare(turn: Turn) -> None:
            def saved() -> None:
                wanted = not turn.stop.is_set() and self._session.dataset is work.dataset
                work.made = work.make() if wanted else None
                (turn.go if work.made else turn.give_up)()

            def not_saved() -> None:
                if self._session.folder is not None and self._session.folder.saver.refused:
                    self._session.said.emit(words.left_as_before("Classes and labels are", kind))
                turn.give_up()

            self._session.when_saved(saved, not_saved, alone=True, patient=True)

        # also while a training is under way, once it has read its labels
        urgent = self._runner.has_only("train", "predict")
        self._runner.submit(Job(kind, title, work, urgent=urgent, prepare=prepare))
        self.changed.emit()

    @Slot(object, object)
    def _on_finished(self, job: Job, result: Any) -> None:
        if isinstance(job.start, Work):
            job.start.ended(result)
            self.changed.emit()

    @Slot(object)
    def _on_not_finished(self, job: Job) -> None:
        if isinstance(job.start, Work):
            (job.start.stopped if job.start.made else job.start.given_up)()
            self.changed.emit()
