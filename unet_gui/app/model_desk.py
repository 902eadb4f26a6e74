"""The model's desk: training, predicting and segmenting, and what the worker says of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal, Slot

from unet_gui.app import cut_training, words
from unet_gui.app.job_progress import ProgressBook
from unet_gui.app.jobs import Job, JobError, JobRunner, Turn
from unet_gui.app.messages import Message, Offer, said_of
from unet_gui.app.model_facts import SCORE_NAMES, caution_of, count_of
from unet_gui.app.model_jobs import MasksJob, SegmentJob, TrainJob
from unet_gui.app.model_shelf import ModelShelf
from unet_gui.app.session import Session
from unet_gui.core.errors import NothingToLearn
from unet_gui.core.images import ImageRef
from unet_gui.core.text import in_words
from unet_gui.engine import events as ev
from unet_gui.engine.recipe import SegmentConfig, TrainConfig


class ModelDesk(QObject):
    """Trains and predicts with the worker, and tells the person how it goes.

    Attributes
    ----------
    shelf : ModelShelf
        The models of the folder.
    live : bool
        Trainings are rounds of live learning now: see `live.LiveLearning`.

    Signals
    -------
    progressed(Progress or None)
        None when nothing runs.
    training_changed(bool)
    loss_known(seconds, loss), score_known(seconds, score, name), plan_known(str)
    device_known(name, note)
    said(Message)
    trained(Path)
        A training has ended and left this model.
    stopping()
        The person wants no more training.
    """

    progressed = Signal(object)
    training_changed = Signal(bool)
    loss_known = Signal(float, float)
    score_known = Signal(float, float, str)
    plan_known = Signal(str)
    device_known = Signal(str, str)
    said = Signal(object)
    trained = Signal(object)
    stopping = Signal()

    def __init__(self, session: Session, runner: JobRunner, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._runner = runner
        self.shelf = ModelShelf(session, self)
        self.shelf.said.connect(self.said)
        self._refs: dict[int, Sequence[ImageRef]] = {}  # images of a job, by its id
        self._failures: dict[int, list[str]] = {}
        self._totals: dict[int, int] = {}  # of a job with failures: how many images it has
        self._skipped: dict[int, int] = {}
        self._progress = ProgressBook()
        self._waiting_to_train = False
        self.live = False
        self._seconds = self._earlier = 0.0  # of the round that runs, and of those before it
        self._rough = False  # the scores of the training that runs say little
        self._warned: dict[str, set[str]] = {}  # topics of what the last job of a kind warned of
        self.training_changed.connect(lambda _on: session.settled.emit("no model"))
        runner.started.connect(self._on_started)
        runner.progressed.connect(self._on_event)
        runner.finished.connect(self._on_finished)
        runner.failed.connect(self._on_failed)
        runner.cancelled.connect(self._on_cancelled)

    # --- jobs ------------------------------------------------------------------------------------------------------

    @property
    def training(self) -> bool:
        """Whether a training runs or waits."""
        return bool(self._runner.pending("train")) or self._waiting_to_train or self.live

    @property
    def waits_for_labels(self) -> bool:
        """Whether a training begins as soon as the labels are on disk."""
        return self._waiting_to_train

    def may_train(self) -> bool:
        """Return whether models can be kept in the folder; if not, that is said."""
        folder = self._session.folder
        if folder is not None and folder.read_only:
            self._session.say_read_only()
        return folder is not None and not folder.read_only

    def train(self) -> None:
        """Save the labels, then train on what is on disk."""
        if not self.training and self.may_train():
            self._train_when_saved(self._submit_training)

    def set_live(self, on: bool) -> None:
        """Take trainings for rounds of live learning from now on, or no longer."""
        self.live, self._seconds, self._earlier = on, 0.0, 0.0
        if on or not self.training:  # the last round is told of when it ends
            self.training_changed.emit(on)

    def learn(self, out: Path, seconds: float, init: Path | None) -> None:
        """Save the labels, then train a round of live learning."""
        wishes = self.shelf.wishes
        config = TrainConfig(minutes=seconds / 60, device=wishes.device, score=wishes.score, init=init, logs=False)
        self._train_when_saved(lambda: self._begin_training(out, config), patient=True)

    def _train_when_saved(self, submit: Callable[[], object], patient: bool = False) -> None:
        """Begin a training when every label is on disk, unless it is stopped before that."""

        def saved() -> None:
            if self._waiting_to_train:
                self._waiting_to_train = False
                submit()

        self._waiting_to_train = True
        self._session.settled.emit(words.CUT)
        self._session.when_saved(saved, self._on_labels_refused, patient=patient)

    def _on_labels_refused(self) -> None:
        self._waiting_to_train = False
        if self._session.folder is not None and self._session.folder.saver.refused:
            text = "Training learns from the labels on disk, and some could not be saved. It has not been started."
            self.said.emit(Message("error", text, topic="train"))
        self.training_changed.emit(False)
        self.offer_cut_training()  # it has not been gone on with

    def _submit_training(self) -> None:
        folder, wishes, model = self.shelf.folder, self.shelf.wishes, self.shelf.model
        if folder is None:
            return
        init = model if wishes.start_from and model and model.suffix == ".safetensors" else None
        out = folder / f"{self.shelf.new_name()}.safetensors"
        minutes = wishes.minutes if wishes.recipe != "tutorial" else None  # whose budget is passes over the images
        config = TrainConfig(recipe=wishes.recipe, minutes=minutes, device=wishes.device, score=wishes.score, init=init)
        self._begin_training(out, config)

    def offer_cut_training(self) -> None:
        """Tell of a training that was cut when the program ended the last time, and offer to go on with it."""
        folder = self._session.folder
        cut = cut_training.found(folder.dataset) if folder is not None and not folder.read_only else None
        if cut is None:
            return

        def go_on() -> None:
            if not self.training:
                self._train_when_saved(lambda: self._begin_training(cut.out, cut.config, cut.minutes or 0.0))

        self.said.emit(words.training_cut(cut, go_on, self._forget_cut_training))

    def _forget_cut_training(self) -> None:
        dataset = self._session.dataset
        if dataset is not None and dataset.settings.pop(cut_training.TRAINING, None) is not None:
            self._session.settings_to_disk()

    def _begin_training(self, out: Path, config: TrainConfig, minutes: float = 0.0) -> None:
        opened = self._session.folder.opened if self._session.folder else None
        if opened is None or self._session.dataset is None:
            return
        start = TrainJob(opened.folder, opened.labels, opened.state, out, config, self.live)
        job = Job("train", "Learning" if self.live else "Training", start, reading=True)
        self._refs[job.id] = ()
        if self.live:
            self._runner.submit(job)
            return
        cut_training.note(self._session.dataset, out, config, minutes)
        self._session.settings_to_disk()
        for topic in ("segment", "segment images", "predict", "predict images"):  # of a model that gets better now
            self._session.settled.emit(topic)
        self.plan_known.emit("")
        self.training_changed.emit(True)
        self._runner.submit(job)

    def predict(self, ref: ImageRef) -> None:
        """Predict one image, also between two steps of a training."""
        self._segment((ref,), "predict", f"Predicting {in_words(Path(ref.key).name)}", overwrite=True, urgent=True)

    def segment(self, refs: tuple[ImageRef, ...]) -> None:
        """Predict all images; what is up to date is skipped."""
        if not self._runner.pending("segment"):
            self._session.settled.emit("predict images")
            self._segment(refs, "segment", "Segmenting", overwrite=False, urgent=False)

    def _segment(self, refs: tuple[ImageRef, ...], kind: str, title: str, overwrite: bool, urgent: bool) -> None:
        dataset, folder = self._session.dataset, self._session.folder
        if dataset is None or folder is None or not refs:
            return
        if folder.read_only:
            self._session.say_read_only()
            return
        self.shelf.forget_lost()
        model, wishes = self.shelf.model, self.shelf.wishes
        before = [job.start.out for job in self._runner.pending("train") if isinstance(job.start, TrainJob)]
        after = before[-1] if before and not urgent else None
        used = model or after
        if used is None:
            self._say_no_model()
            return
        if model is not None and not self.shelf.teach_folder(model):
            return
        config = SegmentConfig(model=used, device=wishes.device, tta=wishes.tta, overwrite=overwrite)
        only = refs[0].key if len(refs) == 1 else ""
        revision = self._session.labels.revision if only == self._session.key and self._session.labels else -1
        start = SegmentJob(dataset, list(refs), config, after)
        job = Job(kind, title, start, image=only, revision=revision, urgent=urgent)
        self._refs[job.id] = start.refs
        self._runner.submit(job)

    def _say_no_model(self) -> None:
        offers: tuple[Offer, ...]
        text, offers = "There is no model yet. Paint a little of every class, then train (Ctrl+T).", ()
        if self._session.folder is not None and self._session.folder.book.labelled:
            text, offers = "There is no model yet: train one first (Ctrl+T).", (Offer("Train now", self.train),)
        if self.training:
            text, offers = "There is no model yet: it is being trained. Stop keeps the best one so far.", ()
        self.said.emit(Message("info", text, topic="no model", offers=offers))

    def save_masks(self, refs: tuple[ImageRef, ...], out: Path) -> None:
        """Write the mask of every image to a folder."""
        dataset = self._session.dataset
        if dataset is None:
            return

        def prepare(turn: Turn) -> None:
            def refused() -> None:
                self._on_masks_refused()
                turn.give_up()

            self._session.when_saved(turn.go, refused, patient=True)

        job = Job("masks", "Saving masks", MasksJob(dataset, refs, out), prepare=prepare)
        self._refs[job.id] = refs
        self._runner.submit(job)

    def _on_masks_refused(self) -> None:
        if self._session.folder is not None and self._session.folder.saver.refused:
            text = "Saving masks has not been started, as labels could not be saved."
            self.said.emit(Message("error", text, topic="masks"))

    def stop(self) -> None:
        """Stop what runs and what waits."""
        self.stopping.emit()
        self._waiting_to_train = False
        self._runner.cancel()

    @Slot()
    def stop_training(self) -> None:
        """Stop the training, or take it out of the queue; what else runs and waits goes on."""
        self.stopping.emit()
        self._waiting_to_train = False
        for job in self._runner.pending("train"):
            self._runner.cancel(job)

    # --- what the worker says --------------------------------------------------------------------------------------

    @Slot(object)
    def _on_started(self, job: Job) -> None:
        again = self.live and self._earlier > 0  # what the first round has warned of stays
        warned = () if again else self._warned.pop(job.kind, ())
        for topic in (job.kind, f"{job.kind} images", *warned):  # how it went the last time
            self._session.settled.emit(topic)
        self._progress.begin(job)
        self._show(job)

    @Slot(object, object)
    def _on_event(self, job: Job, event: Any) -> None:
        if isinstance(event, (ev.TrainStarted, ev.SegmentStarted)):
            self.device_known.emit(event.device, getattr(event, "note", ""))
        if isinstance(event, ev.TrainStarted):
            self.plan_known.emit("\n".join(event.plan))
            self._rough = bool(caution_of(event.val_images, event.train_images, event.strokes))
            self._progress.say(job, f"learning from {count_of(len(event.train_images))}")
        elif isinstance(event, ev.StepDone):
            self._seconds = event.seconds
            self.loss_known.emit(self._earlier + event.seconds, event.loss)
            self._progress.step(job, event)
        elif isinstance(event, ev.Validated):
            name = "rough " * self._rough + SCORE_NAMES.get(event.score_name, event.score_name)
            self.score_known.emit(self._earlier + event.seconds, event.score, name)
            self._progress.say(job, f"{name} {event.score:.3f}")
        elif isinstance(event, ev.Warned):
            self._warn(job.kind, event.text)
        elif isinstance(event, ev.TileDone):
            self._progress.tile(job, event, self._refs.get(job.id, ()))
        elif isinstance(event, ev.ImageDone):
            refs = self._refs.get(job.id, ())
            if job.kind in ("segment", "predict") and event.item < len(refs):
                self._session.on_predicted(refs[event.item].key, fresh=not event.skipped)
            self._progress.image(job, event)
        elif isinstance(event, ev.SegmentFinished):
            self._skipped[job.id] = event.skipped
        elif isinstance(event, ev.ImageFailed):
            self._note_failure(job, event)
        elif isinstance(event, ev.CheckpointSaved) and event.final:
            self.shelf.refresh()
        self._show(job)

    def _warn(self, kind: str, text: str) -> None:
        topic = f"{kind} {text[:40]}"
        if not (self.live and topic in self._warned.get(kind, ())):  # not again in each round
            self._warned.setdefault(kind, set()).add(topic)
            self.said.emit(Message("warning", text, topic=topic))

    def _note_failure(self, job: Job, event: ev.ImageFailed) -> None:
        refs = self._refs.get(job.id, ()) if job.kind in ("segment", "predict") else ()
        key = refs[event.item].key if event.item < len(refs) else ""
        reason = in_words(said_of(key or self._name_of(event.path), event.message, event.hint))
        if key and event.unreadable and self._session.folder is not None:
            self._session.folder.book.set_damaged(key, reason)  # nobody has had it in sight, perhaps
        self._failures.setdefault(job.id, []).append(reason)
        self._totals[job.id] = event.total

    def _name_of(self, path: Path) -> str:
        """Return what the list calls an image: another folder may have one of the same name."""
        root = self._session.dataset.image_root if self._session.dataset else path.parent
        return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name

    # --- ends ------------------------------------------------------------------------------------------------------

    @Slot(object, object)
    def _on_finished(self, job: Job, result: Any) -> None:
        failed = len(self._failures.get(job.id, ()))
        all_failed = bool(failed) and failed >= self._totals[job.id]
        self._say_failures(job, others=not all_failed)
        if job.kind == "train":
            self._on_trained(job, stopped=False)
        elif all_failed:
            pass  # there is nothing more to tell
        elif job.kind == "segment":
            same = self._skipped.get(job.id, 0)
            done = len(self._refs.get(job.id, ())) - failed - same
            kept = f", {same} {'were' if same > 1 else 'was'} up to date" if same and done else ""
            text = f"{count_of(done)} segmented{kept}. Look at the doubtful places with N."
            if not done:
                text = f"{count_of(same)} {'were' if same > 1 else 'was'} up to date."
            if same == len(self._refs.get(job.id, ())):
                text = "Nothing to do: every prediction is of this model and newer than its image."
            self.said.emit(Message("good", text, topic="segment", passing=True))
        elif job.kind == "masks" and isinstance(job.start, MasksJob):
            self._say_masks(job.start, result)
        self._end(job)

    def _say_masks(self, work: MasksJob, unfilled: str) -> None:
        """Tell where masks are, and which of them are nearly empty."""
        text = f"The masks are in “{work.out}”."
        if not unfilled:
            self.said.emit(Message("good", text, topic="masks", passing=True))
            return
        offers = (Offer("Segment all", lambda: self.segment(work.refs)),) if self.shelf.model is not None else ()
        self.said.emit(Message("warning", f"{text} {unfilled}", topic="masks", offers=offers))

    @Slot(object, object)
    def _on_failed(self, job: Job, error: JobError) -> None:
        self._say_failures(job)
        if not (self.live and error.type == NothingToLearn.__name__):  # it waits for that to be painted
            self.said.emit(Message.of(error, topic=job.kind, image=job.image if job.kind == "predict" else ""))
        if job.kind == "train":
            self._on_trained(job, stopped=True, topic="kept model")  # beside why, not in its place
        self._end(job)

    @Slot(object)
    def _on_cancelled(self, job: Job) -> None:
        self._say_failures(job)
        if isinstance(job.start, TrainJob) and not (job.start.out.exists() and self._progress.has_begun(job)):
            self._on_training_over("Training was stopped before it began to learn; nothing has changed.", "info")
        elif job.kind == "train":
            self._on_trained(job, stopped=True)
        elif job.kind == "segment":
            text = "Stopped. Segment all goes on where it stopped."
            if not self._progress.has_begun(job):
                text = "Segmenting was stopped before it began; nothing has changed."
            self.said.emit(Message("info", text, topic="segment", passing=True))
        elif isinstance(job.start, MasksJob) and job.stop.is_set():  # else it was refused, which has been said
            self.said.emit(words.stopped(job.title, job.start.so_far, "masks"))
        self._end(job)

    def _on_trained(self, job: Job, stopped: bool, topic: str = "train") -> None:
        """Use the model that a training has left, also one that was stopped."""
        out = job.start.out if isinstance(job.start, TrainJob) else None
        if out is None or self._session.folder is None or not out.exists():
            self._on_training_over()
            return
        facts = self.shelf.facts_of(out)
        stays = self.shelf.model
        if stopped and not facts.score and stays is not None and stays != out:
            self.shelf.use(stays)  # which is noted: the next start would take the newest
            text = (
                f"Training stopped before it could be judged: the model in use stays. What it learned is {facts.name}."
            )
            self._on_training_over(text, "info", topic)
            return
        self.shelf.use(out)
        score = f" {facts.validation}: {facts.score}." if facts.score else ""
        score += f" {facts.caution}" if facts.caution else ""
        text = f"Training stopped; the best model so far is kept as {facts.name}." if stopped else "Training is done."
        self._on_training_over(text + score, "good", topic)
        self.trained.emit(out)

    def _on_training_over(self, text: str = "", kind: str = "", topic: str = "train") -> None:
        """Tell that a training has ended; of a round of live learning, which others follow, nothing is told."""
        self._earlier += self._seconds
        self._seconds = 0.0
        if self.live:
            return
        self._earlier = 0.0
        self.training_changed.emit(False)
        if text:
            self.said.emit(Message(kind, text, topic=topic, passing=True))

    def _say_failures(self, job: Job, others: bool = False) -> None:
        reasons = self._failures.get(job.id)
        if reasons:
            self.said.emit(words.images_failed(job.kind, reasons, job.image, others, job.title))

    def _end(self, job: Job) -> None:
        if isinstance(job.start, TrainJob):
            if job.start.config.resume and not self._progress.has_begun(job):
                self.offer_cut_training()  # it was taken out of the queue, and can be gone on with as before
            else:
                self._forget_cut_training()
        if job.kind in ("segment", "predict") and self._session.folder is not None:
            # what was skipped was not told one by one, and what was written last not at all if it was stopped then
            self._session.folder.book.scan(self._refs.get(job.id, ()))
        for book in (self._refs, self._failures, self._totals, self._skipped):
            book.pop(job.id, None)
        self._progress.forget(job)
        outer = self._runner.current
        self.progressed.emit(self._progress.of(outer) if outer else None)

    def _show(self, job: Job) -> None:
        if job is self._runner.current:
            self.progressed.emit(self._progress.of(job))
