"""Says of a job that waits in the queue what it waits for, and lets the person take it out again."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QObject, Slot

from unet_gui.app.jobs import Job, JobRunner
from unet_gui.app.messages import Message, Offer
from unet_gui.app.session import Session


class Waiting(QObject):
    """A message for each job that waits, until its turn has come."""

    def __init__(self, session: Session, runner: JobRunner, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._runner = runner
        runner.queued.connect(self._on_queued)
        for over in (runner.started, runner.finished, runner.failed, runner.cancelled):
            over.connect(self._on_over)

    @Slot(object)
    def _on_queued(self, job: Job) -> None:
        before = [each.title for each in self._runner.pending() if each is not job and not each.urgent]
        if before and not job.urgent:  # an urgent one begins in a moment
            first = f"“{'” and “'.join(before)}” {'is' if len(before) == 1 else 'are'} done"
            text = f"Next: {job.title[0].lower()}{job.title[1:]}. It begins when {first}."
            cancel = Offer("Cancel", partial(self._runner.cancel, job))
            self._session.said.emit(Message("info", text, topic=_topic(job), offers=(cancel,)))

    @Slot(object)
    def _on_over(self, job: Job) -> None:
        self._session.settled.emit(_topic(job))


def _topic(job: Job) -> str:
    return f"waits {job.id}"
