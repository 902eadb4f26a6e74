"""The one worker: long jobs run one after another in one thread, and each ends in exactly one way."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from PySide6.QtCore import QCoreApplication, QObject, Qt, QThread, Signal, Slot

from unet_gui.core.errors import MEMORY_HINT, UserError, is_out_of_memory
from unet_gui.engine.events import ImageDone, StepDone, Tick, TileDone

PROGRESS_INTERVAL = 0.05
"""Seconds between two progress events. More would be seen by nobody and would flood the window's event queue."""

NICE = 5
"""How much the worker's threads give way to the window's."""

_STACK = 16 << 20
_numbers = itertools.count(1)


def is_silent(event: Any) -> bool:
    """Whether an event only gives its listener a chance to stop the job."""
    return isinstance(event, Tick)


def is_progress(event: Any) -> bool:
    """Whether an event may be left out because the next one of its kind says more."""
    return isinstance(event, (StepDone, TileDone)) or (isinstance(event, ImageDone) and event.skipped)


@dataclass(frozen=True)
class JobError:
    """Why a job failed.

    Attributes
    ----------
    type : str
        Name of the exception's class.
    text : str
        One plain sentence for the person.
    hint : str
        What to do about it; empty when nobody knows.
    path : str or None
        The file it happened to.
    traceback : str
        The technical text, shown one click away.
    """

    type: str
    text: str
    hint: str = ""
    path: str | None = None
    traceback: str = ""

    @classmethod
    def of(cls, error: BaseException) -> JobError:
        """Describe an exception in words a person understands where there are any."""
        trace = "".join(traceback.format_exception(error))
        name = type(error).__name__
        if isinstance(error, UserError):
            details = f"{error.details}\n\n{trace}" if error.details else trace
            return cls(name, error.message, error.hint, error.path, details)
        if is_out_of_memory(error):
            return cls(name, "There is not enough memory for this job.", MEMORY_HINT, None, trace)
        if isinstance(error, OSError) and error.strerror:
            path = None if error.filename is None else str(error.filename)
            return cls(name, f"{error.strerror}.", "", path, trace)
        text = str(error).strip().splitlines()
        return cls(name, f"The job stopped: {text[0] if text else name}", "", None, trace)


@dataclass(frozen=True)
class Turn:
    """The turn of a job that something must be made ready for. One of both is called, now or later.

    Attributes
    ----------
    go : callable
        The job goes on.
    give_up : callable
        It does not.
    stop : threading.Event
        Set when nobody wants the job any more; looked at before anything is changed for it.
    """

    go: Callable[[], None]
    give_up: Callable[[], None]
    stop: threading.Event


@dataclass(frozen=True, eq=False)
class Job:
    """Something long to do.

    Attributes
    ----------
    kind : str
        ``"train"``, ``"predict"``, ``"segment"`` …
    title : str
        What the status bar says meanwhile.
    start : callable
        Called on the worker's thread; returns the generator of events whose return value is the job's result.
    image : str
        Key of the image the result belongs to; empty when it belongs to none.
    revision : int
        Revision of the label when the job was made, so that a late result never lands on something newer.
    urgent : bool
        Runs between two steps of the job that runs now instead of after it: one image is predicted in a moment
        also while a training of ten minutes is under way.
    reading : bool
        It reads labels until it tells that the training has begun; no urgent one, which might change them, comes in
        between before that.
    prepare : callable or None
        Called on the window's thread when the job's turn has come. It is given the `Turn`, so that it need not know
        the job: both would be a ring, collected in any thread with whatever it holds.
    id : int
        Given by the program.
    """

    kind: str
    title: str
    start: Callable[[], Generator[Any, None, Any]]
    image: str = ""
    revision: int = -1
    urgent: bool = False
    reading: bool = False
    prepare: Callable[[Turn], object] | None = None
    id: int = field(default_factory=lambda: next(_numbers))
    stop: threading.Event = field(default_factory=threading.Event, repr=False)


class _Worker(QObject):
    """Runs jobs in the thread it was moved to.

    Signals
    -------
    started(job), progressed(job, event)
    finished(job, result), failed(job, JobError), cancelled(job)
        Exactly one of these three for each job.
    """

    started = Signal(object)
    progressed = Signal(object, object)
    finished = Signal(object, object)
    failed = Signal(object, object)
    cancelled = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.urgent: deque[Job] = deque()
        """Filled from the window's thread, emptied in this one; a deque does both safely."""

    @Slot()
    def step_back(self) -> None:
        """Let the window go first where both want the processor: this thread, and those it will start, are nicer."""
        if sys.platform.startswith("linux"):  # elsewhere a thread has no niceness of its own
            with contextlib.suppress(OSError):
                me = threading.get_native_id()
                os.setpriority(os.PRIO_PROCESS, me, min(19, os.getpriority(os.PRIO_PROCESS, me) + NICE))

    @Slot(object)
    def run(self, job: Job) -> None:
        """Run one job to its end."""
        if job.urgent:
            self._run_urgent()
        else:
            self._run(job)

    def _run_urgent(self) -> None:
        while self.urgent:
            self._run(self.urgent.popleft())

    def _run(self, job: Job) -> None:
        if job.stop.is_set():
            self.cancelled.emit(job)
            return
        self.started.emit(job)
        try:
            done, result = self._drain(job)
        except BaseException as error:  # noqa: BLE001 - whatever a job raises, it must end for the window too
            self.failed.emit(job, JobError.of(error))
            return
        if done:
            self.finished.emit(job, result)
        else:
            self.cancelled.emit(job)

    def _drain(self, job: Job) -> tuple[bool, Any]:
        """Pass the job's events on; return whether it came to its end, and its result."""
        events = job.start()
        waiting: Any = None
        last, reading = 0.0, job.reading
        try:
            while not job.stop.is_set():
                try:
                    event = next(events)
                except StopIteration as end:
                    return True, end.value
                reading = reading and getattr(event, "kind", "") != "train_started"
                if not job.urgent and not reading:
                    self._run_urgent()
                if is_silent(event):
                    continue
                now = time.monotonic()
                if is_progress(event) and now - last < PROGRESS_INTERVAL:
                    waiting = event
                    continue
                if waiting is not None and not is_progress(event):
                    self.progressed.emit(job, waiting)
                waiting = None
                last = now if is_progress(event) else last
                self.progressed.emit(job, event)
            return False, None
        finally:
            if waiting is not None:
                self.progressed.emit(job, waiting)
            # closing runs the job's own `finally`, which restores and writes; what it raises ends as `failed`
            events.close()


class JobRunner(QObject):
    """Queue of long jobs, one at a time, in one thread that lives as long as the window.

    Attributes
    ----------
    current : Job or None
        The job that runs now; the urgent one where one has come in between.

    Signals
    -------
    queued(job)
        It waits or starts at once.
    started(job), progressed(job, event)
    finished(job, result), failed(job, JobError), cancelled(job)
        Exactly one of these three for each job that was submitted.
    """

    queued = Signal(object)
    started = Signal(object)
    progressed = Signal(object, object)
    finished = Signal(object, object)
    failed = Signal(object, object)
    cancelled = Signal(object)
    _handed_over = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._running: list[Job] = []
        self._open: dict[int, Job] = {}
        # those that wait; the worker has one of each kind at a time, so that a job is prepared when its turn has come
        self._queues: dict[bool, deque[Job]] = {False: deque(), True: deque()}
        self._turn: dict[bool, Job | None] = {False: None, True: None}
        self._preparing: set[int] = set()  # jobs whose turn has come, while the window makes ready for them
        self._closed = False
        self._thread = QThread(self)
        self._thread.setObjectName("engine jobs")
        self._thread.setStackSize(_STACK)  # macOS gives a second thread half a megabyte, too little for convolutions
        self._worker = _Worker()
        self._worker.moveToThread(self._thread)
        self._thread.started.connect(self._worker.step_back)
        queued = Qt.ConnectionType.QueuedConnection
        self._handed_over.connect(self._worker.run, queued)
        self._worker.started.connect(self._on_started, queued)
        self._worker.progressed.connect(self._on_progressed, queued)
        self._worker.finished.connect(self._on_finished, queued)
        self._worker.failed.connect(self._on_failed, queued)
        self._worker.cancelled.connect(self._on_cancelled, queued)

    @property
    def current(self) -> Job | None:
        """The job that runs now."""
        return self._running[-1] if self._running else None

    @property
    def busy(self) -> bool:
        """Whether a job runs or waits."""
        return bool(self._open)

    def pending(self, kind: str = "") -> list[Job]:
        """Return the jobs that run or wait, oldest first; of one kind when given."""
        return [job for job in self._open.values() if not kind or job.kind == kind]

    @property
    def running(self) -> list[Job]:
        """The jobs that have begun: the current one, and the one that an urgent one has come in between of."""
        return list(self._running)

    def has_only(self, *kinds: str) -> bool:
        """Whether nothing runs or waits but jobs of these kinds, and what is over in a moment."""
        return all(job.urgent or job.kind in kinds for job in self._open.values())

    def submit(self, job: Job) -> Job:
        """Put a job at the end of the queue, an urgent one before it. The thread starts with the first job."""
        if self._closed:
            raise RuntimeError("the worker is shut down")
        if not self._thread.isRunning():
            self._thread.start()
        self._open[job.id] = job
        self._queues[job.urgent].append(job)
        self.queued.emit(job)
        self._next(job.urgent)
        return job

    def cancel(self, job: Job | None = None) -> None:
        """Ask a job, or all of them, to stop. It ends at its next step or tile, at once if it waits."""
        for each in [job] if job is not None else list(self._open.values()):
            each.stop.set()
            if each in self._queues[each.urgent]:
                self._queues[each.urgent].remove(each)
                self._on_cancelled(each)
            elif each.id in self._preparing:  # what prepares it finds that it is stopped, and gives it up
                self._preparing.discard(each.id)
                self._on_cancelled(each)

    def _next(self, urgent: bool) -> None:
        """Give the worker the job whose turn has come."""
        if self._closed or self._turn[urgent] is not None or not self._queues[urgent]:
            return
        job = self._queues[urgent].popleft()
        self._turn[urgent] = job
        if job.prepare is None:
            self._hand_over(job)
            return
        self._preparing.add(job.id)
        try:
            job.prepare(Turn(partial(self._hand_over, job), partial(self._give_up, job), job.stop))
        except Exception as error:  # noqa: BLE001 - whatever it raises, the jobs behind it are not to wait for ever
            self._preparing.discard(job.id)
            self._on_failed(job, JobError.of(error))

    def _end_turn(self, job: Job) -> None:
        """Go on with the next job; everybody has heard of the end of this one, and nothing is held any more."""
        if self._turn[job.urgent] is job:
            self._turn[job.urgent] = None
            self._next(job.urgent)

    def _give_up(self, job: Job) -> None:
        if job.id in self._open:  # else its end has been told when it was stopped, or the thread was shut down
            self._preparing.discard(job.id)
            self._on_cancelled(job)

    def _hand_over(self, job: Job) -> None:
        if self._closed or job.id not in self._open:
            return
        self._preparing.discard(job.id)
        if job.urgent:
            self._worker.urgent.append(job)
        self._handed_over.emit(job)

    def shutdown(self) -> None:
        """Stop everything and wait for the thread. Every job has had its end when this returns."""
        self._closed = True
        self.cancel()
        self._thread.quit()
        self._thread.wait()
        QCoreApplication.sendPostedEvents(self)
        for job in list(self._open.values()):
            self._on_cancelled(job)

    @Slot(object)
    def _on_started(self, job: Job) -> None:
        self._running.append(job)
        self.started.emit(job)

    @Slot(object, object)
    def _on_progressed(self, job: Job, event: Any) -> None:
        self.progressed.emit(job, event)

    @Slot(object, object)
    def _on_finished(self, job: Job, result: Any) -> None:
        self._close(job)
        self.finished.emit(job, result)
        self._end_turn(job)

    @Slot(object, object)
    def _on_failed(self, job: Job, error: JobError) -> None:
        self._close(job)
        self.failed.emit(job, error)
        self._end_turn(job)

    @Slot(object)
    def _on_cancelled(self, job: Job) -> None:
        self._close(job)
        self.cancelled.emit(job)
        self._end_turn(job)

    def _close(self, job: Job) -> None:
        self._open.pop(job.id, None)
        if job in self._running:
            self._running.remove(job)
