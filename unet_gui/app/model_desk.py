"""The model's desk: which model is used, and training, predicting, segmenting with it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal, Slot

from unet_gui.app import cut_training, words
from unet_gui.app.class_list import is_gone
from unet_gui.app.jobs import Job, JobError, JobRunner, Turn
from unet_gui.app.messages import Message, Offer, sentence
from unet_gui.app.model_facts import SCORE_NAMES, Wishes, caution_of, count_of, facts_of, modified
from unet_gui.app.model_jobs import MasksJob, SegmentJob, TrainJob, segment_items
from unet_gui.app.panels.model import ModelFacts
from unet_gui.app.session import Session
from unet_gui.core.errors import UserError
from unet_gui.core.images import ImageRef
from unet_gui.core.model_info import read_model_info
from unet_gui.core.palette import ClassInfo, color_of, distinct
from unet_gui.core.text import in_words
from unet_gui.engine import events as ev
from unet_gui.engine.recipe import SegmentConfig, TrainConfig


@dataclass(frozen=True)
class Progress:
    """What the status bar shows of a job; `fraction` and `left` are None while unknown."""

    title: str
    text: str = ""
    fraction: float | None = None
    left: float | None = None


class ModelDesk(QObject):
    """Everything that needs the worker.

    Attributes
    ----------
    wishes : Wishes
    model : Path or None
        The model in use.
    models : list of ModelFacts
        Models of the folder, newest first.

    Signals
    -------
    models_changed()
    progressed(Progress or None)
        None when nothing runs.
    training_changed(bool)
    loss_known(seconds, loss), score_known(seconds, score, name), plan_known(str)
    device_known(name, note)
    said(Message)
    trained(Path)
        A training has ended and left this model.
    """

    models_changed = Signal()
    progressed = Signal(object)
    training_changed = Signal(bool)
    loss_known = Signal(float, float)
    score_known = Signal(float, float, str)
    plan_known = Signal(str)
    device_known = Signal(str, str)
    said = Signal(object)
    trained = Signal(object)

    def __init__(self, session: Session, runner: JobRunner, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._runner = runner
        self.wishes = Wishes()
        self.model: Path | None = None
        self.models: list[ModelFacts] = []
        self._refs: dict[int, tuple[ImageRef, ...]] = {}  # images of a job, by its id
        self._failures: dict[int, list[str]] = {}
        self._totals: dict[int, int] = {}  # of a job with failures: how many images it has
        self._skipped: dict[int, int] = {}
        self._starts: dict[int, tuple[float, int]] = {}  # when the first image began, images skipped before
        self._status: dict[int, Progress] = {}
        self._waiting_to_train = False
        self._rough = False  # the scores of the training that runs say little
        self._told_names: set[str] = set()
        self._warned: dict[str, set[str]] = {}  # topics of what the last job of a kind warned of
        self._facts: dict[Path, tuple[int, ModelFacts]] = {}
        self.training_changed.connect(lambda _on: session.settled.emit("no model"))
        session.folder_changed.connect(self._on_folder)
        runner.started.connect(self._on_started)
        runner.progressed.connect(self._on_event)
        runner.finished.connect(self._on_finished)
        runner.failed.connect(self._on_failed)
        runner.cancelled.connect(self._on_cancelled)

    # --- models ----------------------------------------------------------------------------------------------------

    @property
    def _models_dir(self) -> Path | None:
        dataset = self._session.dataset
        return None if dataset is None else dataset.state_dir / "models"

    @Slot()
    def _on_folder(self) -> None:
        dataset = self._session.dataset
        self.wishes = Wishes.from_json(dataset.settings.get("model") if dataset else None)
        self.model = None
        if dataset is not None and self.wishes.model:
            path = dataset.state_dir / self.wishes.model
            self.model = path if path.is_file() else None
        self.refresh_models()

    def refresh_models(self) -> None:
        """Look again at what models there are."""
        folder = self._models_dir
        paths = sorted(folder.glob("*.safetensors"), key=modified, reverse=True) if folder else []
        if self.model is not None and self.model not in paths:
            paths.append(self.model)
        self.models = [self._facts_of(path) for path in paths if path.exists()]
        if self.model is None:
            self.model = next((facts.path for facts in self.models if not facts.problem), None)
        if self.model is not None:
            self._session.settled.emit("no model")
        self.models_changed.emit()

    def _facts_of(self, path: Path) -> ModelFacts:
        stamp = modified(path)
        known = self._facts.get(path)
        if known is None or known[0] != stamp:
            known = stamp, facts_of(path)
            self._facts[path] = known
        return known[1]

    def use_model(self, path: Path) -> None:
        """Predict with this model from now on."""
        facts = self._facts_of(path)
        if facts.problem:
            self.said.emit(Message("error", facts.problem, topic="model"))
            self.models_changed.emit()  # the one in use is another than the person has just chosen
            return
        self.model = path
        dataset = self._session.dataset
        if dataset is not None:
            inside = path.is_relative_to(dataset.state_dir)
            self.set_wishes(
                replace(self.wishes, model=path.relative_to(dataset.state_dir).as_posix() if inside else str(path))
            )
        self.refresh_models()

    def set_wishes(self, wishes: Wishes) -> None:
        """Keep what the person has chosen."""
        self.wishes = wishes
        self._session.keep_setting("model", wishes.to_json())

    def _new_name(self) -> str:
        dataset, folder = self._session.dataset, self._models_dir
        assert dataset is not None
        assert folder is not None
        name = dataset.root.name
        if name.lower() in ("train", "images", "image", "data", "") and dataset.root.parent.name:
            name = dataset.root.parent.name
        number = 1
        while (folder / f"{name}-{number}.safetensors").exists():
            number += 1
        return f"{name}-{number}"

    # --- jobs ------------------------------------------------------------------------------------------------------

    @property
    def training(self) -> bool:
        """Whether a training runs or waits."""
        return bool(self._runner.pending("train")) or self._waiting_to_train

    def train(self) -> None:
        """Save the labels, then train on what is on disk."""
        folder = self._session.folder
        if folder is None or self.training:
            return
        if folder.read_only:
            self._session.say_read_only()
            return
        self._train_when_saved(self._submit_training)

    def _train_when_saved(self, submit: Callable[[], object]) -> None:
        """Begin a training when every label is on disk, unless it is stopped before that."""

        def saved() -> None:
            if self._waiting_to_train:
                self._waiting_to_train = False
                submit()

        self._waiting_to_train = True
        self._session.settled.emit(words.CUT)
        self._session.when_saved(saved, self._on_labels_refused)

    def _on_labels_refused(self) -> None:
        self._waiting_to_train = False
        if self._session.folder is not None and self._session.folder.saver.refused:
            text = "Training learns from the labels on disk, and some could not be saved. It has not been started."
            self.said.emit(Message("error", text, topic="train"))
        self.training_changed.emit(False)

    def _submit_training(self) -> None:
        dataset, folder = self._session.dataset, self._models_dir
        if dataset is None or folder is None:
            return
        wishes = self.wishes
        init = self.model if wishes.start_from and self.model and self.model.suffix == ".safetensors" else None
        out = folder / f"{self._new_name()}.safetensors"
        epochs = None if wishes.recipe != "tutorial" else 40
        minutes = wishes.minutes if wishes.recipe != "tutorial" else None
        config = TrainConfig(
            recipe=wishes.recipe,
            minutes=minutes,
            epochs=epochs,
            device=wishes.device,
            score=wishes.score,
            init=init,
        )
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
        start = TrainJob(opened.folder, opened.labels, opened.state, out, config)
        cut_training.note(self._session.dataset, out, config, minutes)
        self._session.settings_to_disk()
        job = Job("train", "Training", start, reading=True)
        self._refs[job.id] = ()
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
        self._forget_lost_model()
        if self.model is None:
            self._say_no_model()
            return
        if not self._fits(self.model):
            return
        config = SegmentConfig(model=self.model, device=self.wishes.device, tta=self.wishes.tta, overwrite=overwrite)
        only = refs[0].key if len(refs) == 1 else ""
        revision = self._session.labels.revision if only == self._session.key and self._session.labels else -1
        before = [job.start.out for job in self._runner.pending("train") if isinstance(job.start, TrainJob)]
        after = before[-1] if before and not urgent else None
        start = SegmentJob(segment_items(dataset, refs), config, after)
        job = Job(kind, title, start, image=only, revision=revision, urgent=urgent)
        self._refs[job.id] = refs
        self._runner.submit(job)

    def _forget_lost_model(self) -> None:
        """Use the newest one that is left when the file of the model in use is gone; then it is said."""
        lost = self.model
        if lost is not None and not lost.exists():
            self.model = None
            self.refresh_models()
            if self.model is not None:
                text = f"The model {lost.stem} is gone. {self.model.stem} is used from now on."
                self.said.emit(Message("warning", text, topic="model"))

    def _say_no_model(self) -> None:
        text = "There is no model yet. Paint a little of every class, then train (Ctrl+T)."
        if self._session.folder is not None and self._session.folder.book.labelled:
            text = "There is no model yet: train one first (Ctrl+T)."
        offers: tuple[Offer, ...] = (Offer("Train now", self.train),)
        if self.training:
            text, offers = "There is no model yet: it is being trained. Stop keeps the best one so far.", ()
        self.said.emit(Message("info", text, topic="no model", offers=offers))

    def _fits(self, model: Path) -> bool:
        """Make sure that the folder knows the model's classes."""
        dataset = self._session.dataset
        if dataset is None or model.suffix != ".safetensors":
            return True
        try:
            theirs = read_model_info(model).classes
        except UserError as error:
            self.said.emit(Message.of(error, topic="model"))
            return False
        ours = self._session.classes
        known = {info.id: info.name for info in ours}
        self._compare_names(theirs, known)
        new = [info for info in theirs if info.id not in known]
        gone = [info for info in new if is_gone(dataset, info)]
        if gone:
            names = " and ".join(f"“{info.name}”" for info in gone)
            self._say_once(
                f"The model still knows {names}. A class that was removed or merged here does not come back."
            )
        new = [info for info in new if info not in gone]
        if new:
            colors = {info.color for info in ours}
            added = distinct([i if i.color not in colors else replace(i, color=color_of(i.id)) for i in new], ours)
            names = ", ".join(info.name for info in added)
            self._session.set_classes([*ours, *added])
            self.said.emit(Message("info", f"The model knows classes that were added here: {names}.", topic="model"))
        return True

    def _compare_names(self, theirs: Sequence[ClassInfo], known: dict[int, str]) -> None:
        """Warn where a number means something else to the model: its pixels come under the folder's name."""
        plain = re.compile(r"class \d+")
        other = [
            f"“{info.name}” comes as “{known[info.id]}”"
            for info in theirs
            if known.get(info.id, info.name) != info.name
            and not plain.fullmatch(info.name)
            and not plain.fullmatch(known[info.id])
        ]
        if other:
            self._say_once(f"The model calls classes by other names: what it knows as {', '.join(other)}.", "warning")

    def _say_once(self, text: str, kind: str = "info") -> None:
        if text not in self._told_names:
            self._told_names.add(text)
            self.said.emit(Message(kind, text, topic="names"))

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
        self._waiting_to_train = False
        self._runner.cancel()

    # --- what the worker says --------------------------------------------------------------------------------------

    @Slot(object)
    def _on_started(self, job: Job) -> None:
        warned = self._warned.pop(job.kind, ())
        for topic in (job.kind, f"{job.kind} images", *warned):  # how it went the last time
            self._session.settled.emit(topic)
        self._show(job, Progress(job.title, "starting"))

    @Slot(object, object)
    def _on_event(self, job: Job, event: Any) -> None:
        if isinstance(event, (ev.TrainStarted, ev.SegmentStarted)):
            self.device_known.emit(event.device, getattr(event, "note", ""))
        if isinstance(event, ev.TrainStarted):
            self.plan_known.emit("\n".join(event.plan))
            self._rough = bool(caution_of(event.val_images, event.train_images, event.strokes))
            self._show(job, Progress(job.title, f"learning from {count_of(len(event.train_images))}"))
        elif isinstance(event, ev.StepDone):
            self._on_step(job, event)
        elif isinstance(event, ev.Validated):
            name = "rough " * self._rough + SCORE_NAMES.get(event.score_name, event.score_name)
            self.score_known.emit(event.seconds, event.score, name)
            shown = self._status.get(job.id, Progress(job.title))
            self._show(job, replace(shown, text=f"{name} {event.score:.3f}"))
        elif isinstance(event, ev.Warned):
            topic = f"{job.kind} {event.text[:40]}"
            self._warned.setdefault(job.kind, set()).add(topic)
            self.said.emit(Message("warning", event.text, topic=topic))
        elif isinstance(event, ev.TileDone):
            self._on_tile(job, event)
        elif isinstance(event, ev.ImageDone):
            self._on_image(job, event)
        elif isinstance(event, ev.SegmentFinished):
            self._skipped[job.id] = event.skipped
        elif isinstance(event, ev.ImageFailed):
            refs = self._refs.get(job.id, ()) if job.kind in ("segment", "predict") else ()
            name = Path(refs[event.item].key).name if event.item < len(refs) else event.path.name
            reason = in_words(sentence(event.message, name, event.hint))
            self._failures.setdefault(job.id, []).append(reason)
            self._totals[job.id] = event.total
        elif isinstance(event, ev.CheckpointSaved) and event.final:
            self.refresh_models()

    def _on_step(self, job: Job, event: ev.StepDone) -> None:
        self.loss_known.emit(event.seconds, event.loss)
        fraction = None
        if event.left_seconds is not None and event.seconds + event.left_seconds > 0:
            fraction = event.seconds / (event.seconds + event.left_seconds)
        elif event.total:
            fraction = event.step / event.total
        shown = self._status.get(job.id, Progress(job.title))
        text = shown.text if "." in shown.text else f"step {event.step}"
        self._show(job, Progress(job.title, text, fraction, event.left_seconds))

    def _on_tile(self, job: Job, event: ev.TileDone) -> None:
        total = max(1, len(self._refs.get(job.id, ())))
        shown = self._status.get(job.id, Progress(job.title))
        fraction = (event.item + event.done / max(1, event.total)) / total
        self._show(job, replace(shown, fraction=max(fraction, shown.fraction or 0.0)))

    def _on_image(self, job: Job, event: ev.ImageDone) -> None:
        refs = self._refs.get(job.id, ())
        if job.kind in ("segment", "predict") and event.item < len(refs):
            self._session.on_predicted(refs[event.item].key, fresh=not event.skipped)
        now = time.monotonic()
        left = None
        if not event.skipped:
            # the rate counts from the first image, without the time to load the model
            begin, skipped = self._starts.setdefault(job.id, (now - event.seconds, event.done - 1))
            worked = max(1, event.done - skipped)
            left = (now - begin) / worked * (event.total - event.done)
        if event.total > 1:
            text = f"{event.done} of {event.total} images"
            self._show(job, Progress(job.title, text, event.done / event.total, left))

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
        offers = (Offer("Segment all", lambda: self.segment(work.refs)),) if self.model is not None else ()
        self.said.emit(Message("warning", f"{text} {unfilled}", topic="masks", offers=offers))

    @Slot(object, object)
    def _on_failed(self, job: Job, error: JobError) -> None:
        self._say_failures(job)
        self.said.emit(Message.of(error, topic=job.kind, image=job.image if job.kind == "predict" else ""))
        if job.kind == "train":
            self._on_trained(job, stopped=True)
        self._end(job)

    @Slot(object)
    def _on_cancelled(self, job: Job) -> None:
        self._say_failures(job)
        if job.kind == "train" and isinstance(job.start, TrainJob) and not job.start.out.exists():
            self.training_changed.emit(False)
            text = "Training was stopped before it began to learn; nothing has changed."
            self.said.emit(Message("info", text, topic="train", passing=True))
        elif job.kind == "train":
            self._on_trained(job, stopped=True)
        elif job.kind == "segment":
            text = "Stopped. Segment all goes on where it stopped."
            if job.id not in self._status:
                text = "Segmenting was stopped before it began; nothing has changed."
            self.said.emit(Message("info", text, topic="segment", passing=True))
        self._end(job)

    def _on_trained(self, job: Job, stopped: bool) -> None:
        """Use the model that a training has left, also one that was stopped."""
        self.training_changed.emit(False)
        out = job.start.out if isinstance(job.start, TrainJob) else None
        if out is None or self._session.folder is None or not out.exists():
            return
        facts = self._facts_of(out)
        if stopped and not facts.score and self.model not in (None, out):
            self.refresh_models()
            text = (
                f"Training stopped before it could be judged: the model in use stays. What it learned is {facts.name}."
            )
            self.said.emit(Message("info", text, topic="train", passing=True))
            return
        self.use_model(out)
        score = f" {facts.validation}: {facts.score}." if facts.score else ""
        score += f" {facts.caution}" if facts.caution else ""
        text = f"Training stopped; the best model so far is kept as {facts.name}." if stopped else "Training is done."
        self.said.emit(Message("good", text + score, topic="train", passing=True))
        self.trained.emit(out)

    def _say_failures(self, job: Job, others: bool = False) -> None:
        reasons = self._failures.get(job.id)
        if reasons:
            self.said.emit(words.images_failed(job.kind, reasons, job.image, others, job.title))

    def _end(self, job: Job) -> None:
        if job.kind == "train":
            self._forget_cut_training()
        if job.kind in ("segment", "predict") and self._session.folder is not None:
            # what was skipped was not told one by one, and what was written last not at all if it was stopped then
            self._session.folder.book.scan(self._refs.get(job.id, ()))
        for book in (self._refs, self._failures, self._totals, self._skipped, self._starts, self._status):
            book.pop(job.id, None)
        outer = self._runner.current
        self.progressed.emit(self._status.get(outer.id, Progress(outer.title)) if outer else None)

    def _show(self, job: Job, progress: Progress) -> None:
        self._status[job.id] = progress
        if job is self._runner.current:
            self.progressed.emit(progress)
