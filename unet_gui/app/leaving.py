"""What the window asks before it closes: what runs, and what is not finished."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from PySide6.QtCore import QObject, Qt, Slot
from PySide6.QtGui import QGuiApplication

from unet_gui.app.canvas.view import CanvasView
from unet_gui.app.dialogs.desk import DialogDesk
from unet_gui.app.jobs import Job, JobRunner
from unet_gui.app.model_jobs import is_round
from unet_gui.app.session import Session
from unet_gui.core.text import in_words

_STOPPED = {
    "train": "The best model so far is kept; another training can begin with it.",
    "segment": "What is segmented stays, and Segment all goes on from there.",
    "masks": "Masks that are written stay.",
    "exchange": "What is written by then stays.",
    "relabel": "Some labels are changed then, others are not; the next start asks how to go on.",
}
"""What becomes of a job that is stopped. Jobs of another kind are over in a moment."""
_NAMED = 3


class Question(NamedTuple):
    """A question: what it says, what more there is to know, and what the button says that closes the window."""

    text: str
    information: str
    yes: str


def before_closing(
    running: Sequence[Job], waiting: Sequence[Job], shapes: Sequence[tuple[str, str]]
) -> Question | None:
    """Return what to ask, None when nothing is stopped and nothing is lost.

    Parameters
    ----------
    running, waiting : sequence of Job
    shapes : sequence of (path, name)
        Shapes in progress, and the images that they are on.
    """
    stopped = [job for job in running if job.kind in _STOPPED and not is_round(job)]  # of live learning nothing is lost
    dropped = [job for job in waiting if job.kind in _STOPPED and not is_round(job)]
    text = [f"“{job.title}” is still running." for job in stopped]
    text += [f"“{job.title}” waits for its turn." for job in dropped]
    text += [f"The {name} on “{in_words(Path(image).name)}” is not finished." for image, name in shapes[:_NAMED]]
    information = [_STOPPED[job.kind] for job in stopped]
    if dropped:
        information.append("What waits is not begun.")
    if len(shapes) > _NAMED:
        more = len(shapes) - _NAMED
        text.append(f"{more} more shapes are not finished." if more > 1 else "One more shape is not finished.")
    if shapes:
        information.append("Shapes that are not finished are lost.")
    if not text:
        return None
    yes = "Stop and quit" if stopped or dropped else "Lose them" if len(shapes) > 1 else "Lose it"
    return Question(" ".join(text), " ".join(information), yes)


class Leaving(QObject):
    """Asks before the window closes, unless nobody is there to answer."""

    def __init__(
        self, session: Session, runner: JobRunner, canvas: CanvasView, dialogs: DialogDesk, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._session, self._runner, self._canvas, self._dialogs = session, runner, canvas, dialogs
        self._alone = False  # the system's session ends
        for over in (runner.finished, runner.failed, runner.cancelled):
            over.connect(self._on_job_over)
        app = QGuiApplication.instance()
        assert isinstance(app, QGuiApplication)
        app.commitDataRequest.connect(self.expect_end)
        app.applicationStateChanged.connect(self._on_state)

    def asks(self, leave: Callable[[], object]) -> bool:
        """Ask what there is to ask, and return whether there is; ``leave`` is called when the person agrees."""
        question = None if self._alone else self._question()
        if question is not None:
            text, more, yes = question
            self._dialogs.ask(text, yes, leave, more, no="Keep working", name="closing")
        return question is not None

    def _question(self) -> Question | None:
        running = self._runner.running
        waiting = [job for job in self._runner.pending() if job not in running]
        return before_closing(running, waiting, self._canvas.unfinished)

    @Slot()
    def _on_job_over(self) -> None:
        if self._question() is None:
            self._dialogs.withdraw("closing")

    @Slot()
    def expect_end(self) -> None:
        """Hear that the system's session is about to end: what is painted is saved, and nobody is asked."""
        self._alone = True
        self._session.save()

    @Slot(Qt.ApplicationState)
    def _on_state(self, state: Qt.ApplicationState) -> None:
        if state == Qt.ApplicationState.ApplicationActive:
            self._alone = False  # the session goes on
