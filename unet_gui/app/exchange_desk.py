"""Export and import as jobs of the worker."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal, Slot

from unet_gui.app import words
from unet_gui.app.jobs import Job, JobRunner, Turn
from unet_gui.app.messages import Message, sentence
from unet_gui.app.session import Session
from unet_gui.core.errors import UserError
from unet_gui.core.images import ImageRef
from unet_gui.core.palette import ClassInfo
from unet_gui.core.project import Dataset
from unet_gui.core.store import Encoding
from unet_gui.engine.events import Event, ImageDone, ImageFailed

if TYPE_CHECKING:
    from unet_gui.core.exchange import ExchangeResult, Outcome


@dataclass(frozen=True)
class ExchangeJob:
    """One export or import; its result is an `ExchangeResult`.

    ``options`` are fields of `ExportOptions` or `ImportOptions`; ``begun`` gets the result as soon as it has begun.
    """

    dataset: Dataset
    total: int
    kind: str
    place: Path
    importing: bool
    options: dict[str, Any]
    begun: list[ExchangeResult] = field(default_factory=list)

    def __call__(self) -> Generator[Event, None, Any]:
        from unet_gui.core import exchange

        result = exchange.ExchangeResult()
        self.begun.append(result)
        if self.importing:
            wishes = exchange.ImportOptions(**self.options)
            outcomes = exchange.importing(self.dataset, self.place, self.kind, wishes, result)
        else:
            how = exchange.ExportOptions(**self.options)
            outcomes = exchange.exporting(self.dataset, self.kind, self.place, how, result)
        for number, outcome in enumerate(outcomes):
            ref = ImageRef.parse(outcome.key)
            path, page = self.dataset.image_path(ref), ref.page or 0
            if outcome.state == "failed":
                called = path.with_name(Path(outcome.key).name)  # which tells pages apart
                yield ImageFailed(number, called, page, _why(outcome), "", "", number + 1, self.total)
            else:
                yield ImageDone(number, path, page, self.place, 0.0, False, number + 1, self.total)
        return result


def _why(outcome: Outcome) -> str:
    """Return why an image failed, without its name, which is said anyway; another file's name belongs to it."""
    error = outcome.error
    if not isinstance(error, UserError) or error.path is None:
        return outcome.reason
    named, ours = (Path(ImageRef.parse(name).rel) for name in (error.path, outcome.key))
    return sentence(error.message, named.name if named.stem != ours.stem else None, error.hint)


def _so_far(work: ExchangeJob) -> str:
    """Return what was done before it was stopped, empty when nothing was."""
    from unet_gui.core.exchange import EXPORTERS

    done = work.begun[0].done if work.begun else 0
    if not done or (not work.importing and EXPORTERS[work.kind].at_end):
        return ""
    if work.importing:
        return f"labels of {done} image{'s' * (done != 1)} are imported, the others are as before."
    again = f"Export again with {work.options['called']['overwrite']} to have all."
    return f"{done} of {max(done, work.total)} images are exported to “{work.place}”, the rest is not. {again}"


def _nothing() -> Generator[Event, None, None]:
    """Do nothing: what the job is for has been done on the window's thread, in its turn."""
    yield from ()


class ExchangeDesk(QObject):
    """Starts exports, imports and other ways of storing labels, one after another, and tells how they went.

    Parameters
    ----------
    images : callable
        Returns all images, pages one by one.

    Signals
    -------
    said(Message)
    imported()
        Labels were imported, which cannot be taken back, nor what came before it.
    """

    said = Signal(object)
    imported = Signal()

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
        self._changing: ExchangeJob | None = None  # an import that has begun
        runner.finished.connect(self._on_finished)
        runner.failed.connect(self._on_over)
        runner.cancelled.connect(self._on_cancelled)

    @Slot(str, object, object)
    def export(self, kind: str, place: Path, options: dict[str, Any]) -> None:
        """Write every image's mask in this format."""
        self._start("Exporting", kind, place, options, importing=False)

    @Slot(str, object, object)
    def import_labels(self, kind: str, place: Path, options: dict[str, Any]) -> None:
        """Read labels in this format."""
        folder = self._session.folder
        if folder is not None and folder.read_only:
            self._session.say_read_only()
        elif not self._session.must_recover():
            self._start("Importing", kind, place, options, importing=True)

    def _start(self, title: str, kind: str, place: Path, options: dict[str, Any], importing: bool) -> None:
        """Have it done when its turn has come, with the labels as they are then."""
        dataset = self._session.dataset
        if dataset is None:
            return
        from unet_gui.app.dialogs.exchange import EXPORT_NAMES, IMPORT_NAMES

        called = {name: f"“{text}”" for name, text in (IMPORT_NAMES if importing else EXPORT_NAMES).items()}
        work = ExchangeJob(dataset, len(self._images()), kind, place, importing, {**options, "called": called})
        wanted = options.get("background"), options.get("foreground")
        meant = [info for info in self._session.classes if str(info.id) in wanted]

        def prepare(turn: Turn) -> None:
            def saved() -> None:
                (turn.go if not turn.stop.is_set() and self._still_right(work, meant) else turn.give_up)()

            def not_saved() -> None:
                self._not_saved(title)
                turn.give_up()

            self._session.when_saved(saved, not_saved, alone=importing, patient=True)

        self._runner.submit(Job("exchange", title, work, prepare=prepare))

    def _still_right(self, work: ExchangeJob, meant: list[ClassInfo]) -> bool:
        """Whether the classes that were chosen are still there; else it is said."""
        if self._session.dataset is not work.dataset:
            return False
        known = {(info.id, info.name) for info in self._session.classes}
        for info in meant:
            if (info.id, info.name) not in known:
                what = "imported" if work.importing else "exported"
                text = f"“{info.name}” is no more among the classes, so nothing was {what}. Choose again."
                self.said.emit(Message("warning", text, topic="exchange"))
                return False
        if work.importing:
            self._changing = work
            self._session.held = "Labels are being imported; try again in a moment."
        return True

    @Slot(object)
    def set_encoding(self, encoding: Encoding) -> None:
        """Store labels in another way, when nothing that reads or writes them is under way any more."""

        def prepare(turn: Turn) -> None:
            def refused() -> None:
                if self._session.folder is not None and self._session.folder.saver.refused:
                    self.said.emit(words.left_as_before("Labels are stored", "encoding"))
                turn.give_up()

            if self._session.dataset is dataset:
                self._session.class_keeper.set_encoding(encoding, turn.go, refused, lambda: not turn.stop.is_set())
            else:
                turn.give_up()

        dataset = self._session.dataset
        if dataset is None or self._session.must_recover():
            return
        urgent = self._runner.has_only("train", "predict", "segment")  # which do not read labels now
        self._runner.submit(Job("encoding", "Changing how labels are stored", _nothing, urgent=urgent, prepare=prepare))

    def _not_saved(self, title: str) -> None:
        if self._session.folder is not None and self._session.folder.saver.refused:
            text = f"{title} has not been started, as labels could not be saved."
            self.said.emit(Message("error", text, topic="exchange"))

    @Slot(object, object)
    def _on_finished(self, job: Job, result: ExchangeResult) -> None:
        if not isinstance(job.start, ExchangeJob):
            return
        work = job.start
        count = f"{result.done} image{'s' * (result.done != 1)}"
        done = f"Labels of {count} imported." if work.importing else f"{count} exported to “{work.place}”."
        skipped = f" {result.skipped} had nothing to take." if result.skipped and work.importing else ""
        text = " ".join([done + skipped, *result.notes])
        self.said.emit(Message("good" if result.done else "warning", text, topic="exchange"))
        self._on_over(job)

    @Slot(object)
    def _on_cancelled(self, job: Job) -> None:
        """Say what was done by then, but of one that was refused, not stopped: that has been said."""
        work = job.start
        if isinstance(work, ExchangeJob) and job.stop.is_set():
            self.said.emit(words.stopped(job.title, _so_far(work), "exchange"))
        self._on_over(job)

    @Slot(object)
    def _on_over(self, job: Job) -> None:
        """Look again at labels and classes that an import has changed."""
        if self._changing is None or job.start is not self._changing:
            return
        self._changing = None
        if self._session.folder is not None:
            self._session.held = ""
            self.imported.emit()
            self._session.class_keeper.replaced()
            self._session.reopen()
            self._session.folder.book.scan(self._images())
