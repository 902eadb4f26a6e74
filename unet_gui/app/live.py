"""Learning while somebody paints: short trainings one after another, each from where the last one ended.

A round is an ordinary training of a few seconds that begins with the weights of the round before. Its schedule comes to
an end, so that each round leaves a network that predicts well; a training that only went on would not, before its
end. What is painted meanwhile is learned in the next round. As long as nothing new is painted rounds become longer,
and in the end there are no more.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from unet_gui.app.jobs import Job, JobError, JobRunner
from unet_gui.app.model_desk import ModelDesk
from unet_gui.app.model_jobs import is_round
from unet_gui.app.session import Session
from unet_gui.core.errors import NothingToLearn, UserError
from unet_gui.core.model_info import read_model_info
from unet_gui.engine.events import TrainStarted

FIRST_SECONDS, LONGEST_SECONDS = 15.0, 120.0
"""Of a round after something new was painted, and of the last one before it rests."""
PREPARED = 3
"""A round is at least so many times as long as reading the labels takes."""
QUIET_MS = 1500
"""Nothing is painted for so long before a round is cut, so that the next one learns the whole of it."""
SOON_MS = 200
LARGEST = 4_000_000
"""Pixels of an image that is predicted by itself: larger ones would take from the learning."""


class LiveLearning(QObject):
    """Lets the model learn what is painted, and predict the open image, as long as it is switched on.

    Parameters
    ----------
    session : Session
    desk : ModelDesk
    runner : JobRunner
    drawing : callable
        Whether a stroke is under way.

    Attributes
    ----------
    on : bool

    Signals
    -------
    changed(bool)
        It is switched on or off.
    told(str)
        What it does now, in a few words; empty when it is off.
    """

    changed = Signal(bool)
    told = Signal(str)

    def __init__(
        self,
        session: Session,
        desk: ModelDesk,
        runner: JobRunner,
        drawing: Callable[[], bool],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._desk, self._runner, self._drawing = session, desk, runner, drawing
        self._out = Path()
        self._init: Path | None = None
        self._seconds, self._least, self._rounds = 0.0, 0.0, 0
        self._fresh = False  # something was painted that the present round does not know of
        self._cut = False  # the present round is being stopped for that
        self._begun = self._learning = 0.0  # when the round was asked for, and began to learn
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.timeout.connect(self._look)
        session.label_changed.connect(self._on_label)
        session.image_changed.connect(self._predict)
        session.folder_changed.connect(self.stop)
        desk.stopping.connect(self.stop)
        desk.training_changed.connect(self._on_training)
        runner.progressed.connect(self._on_progressed)
        runner.finished.connect(self._on_finished)
        runner.cancelled.connect(self._on_cancelled)
        runner.failed.connect(self._on_failed)

    @property
    def on(self) -> bool:
        """Whether it is switched on."""
        return self._desk.live

    @Slot(bool)
    def switch(self, on: bool) -> None:
        """Switch it on, or off; a round that runs is stopped then, and what it has learned is kept."""
        if on == self.on:
            return
        if self.on:
            self._desk.stop_training()
        elif self._session.folder is None or self._desk.training or not self._desk.may_train():
            self.changed.emit(False)
        else:
            self._begin()

    @Slot()
    def stop(self) -> None:
        """Switch it off; a round that runs is left to whoever calls."""
        self._later.stop()
        if self.on:
            self._desk.set_live(False)
            self.changed.emit(False)
            self.told.emit("")

    def _begin(self) -> None:
        shelf = self._desk.shelf
        assert shelf.folder is not None
        self._out = shelf.folder / f"{shelf.base_name()}-live.safetensors"
        self._init = shelf.model if shelf.model is not None and _is_fast(shelf.model) else None
        self._seconds = self._least = FIRST_SECONDS
        self._rounds = 0
        self._desk.set_live(True)
        self.changed.emit(True)
        self._learn()

    def _learn(self) -> None:
        """Begin the next round."""
        if self._drawing():  # saving the labels would end the stroke
            self._later.start(SOON_MS)
            return
        self._fresh = self._cut = False
        self._begun, self._learning = time.monotonic(), 0.0
        document = self._session.document
        large = self._rounds and document is not None and document.labels.ids.size > LARGEST
        self.told.emit("Learning what you painted…" + " R predicts this large image." * bool(large))
        self._desk.learn(self._out, self._seconds, self._init)

    @Slot()
    def _look(self) -> None:
        """See whether it is time for another round."""
        if not self.on:
            return
        running = [job for job in self._runner.pending("train") if is_round(job)]
        if not running:
            if not self._desk.waits_for_labels:
                self._learn()
        elif self._fresh and not self._cut:
            left = self._least - (time.monotonic() - self._learning) if self._learning else self._least
            if left > 0 or self._drawing():
                self._later.start(max(SOON_MS, int(left * 1000)))
            else:
                self._cut = True
                self._runner.cancel(running[0])

    @Slot()
    def _on_label(self) -> None:
        if self.on:
            self._fresh = True
            self._later.start(QUIET_MS)

    @Slot()
    def _predict(self) -> None:
        """Show what the model says of the open image."""
        document = self._session.document
        if not self.on or not self._rounds or document is None:
            return
        for job in self._runner.pending("predict"):  # of an image that was left
            if job.image != document.key:
                self._runner.cancel(job)
        if document.labels.ids.size <= LARGEST:
            self._desk.predict(document.ref)

    # --- rounds ----------------------------------------------------------------------------------------------------

    @Slot(object, object)
    def _on_progressed(self, job: Job, event: object) -> None:
        if is_round(job) and isinstance(event, TrainStarted):
            self._learning = time.monotonic()
            self._least = max(FIRST_SECONDS, PREPARED * (self._learning - self._begun))

    @Slot(object, object)
    def _on_finished(self, job: Job, _result: object) -> None:
        if self.on and is_round(job):
            self._go_on()

    @Slot(object)
    def _on_cancelled(self, job: Job) -> None:
        if not self.on or not is_round(job):
            return
        if self._cut:
            self._cut = False
            self._go_on()
        else:
            self.stop()  # somebody else has stopped it

    def _go_on(self) -> None:
        """Use what a round has learned, and begin another one while there is something to be learned."""
        if self._out.exists():
            self._init = self._out
            self._rounds += 1
            self._predict()
        longest = self._seconds >= LONGEST_SECONDS
        longer = max(self._least, min(2 * self._seconds, LONGEST_SECONDS))
        self._seconds = self._least if self._fresh else longer
        if longest and not self._fresh:
            self._rest("It has learned what you painted, and goes on when you paint.")
        else:
            self._later.start(0)

    @Slot(object, object)
    def _on_failed(self, job: Job, error: JobError) -> None:
        if not self.on or not is_round(job):
            return
        if error.type == NothingToLearn.__name__:
            self._rest(f"{error.text} {error.hint}")
        else:
            self.stop()

    def _rest(self, text: str) -> None:
        """Wait until something is painted."""
        self._seconds = self._least
        self.told.emit(text)
        if self._fresh:
            self._later.start(QUIET_MS)

    @Slot(bool)
    def _on_training(self, training: bool) -> None:
        if not training:  # while it is on this is told only when labels could not be saved
            self.stop()


def _is_fast(model: Path) -> bool:
    """Whether a round can begin with the model: the tutorial's network would not learn anything in so short a time."""
    try:
        return model.suffix == ".safetensors" and read_model_info(model).recipe == "fast"
    except UserError:
        return False
