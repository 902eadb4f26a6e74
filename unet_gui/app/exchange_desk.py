"""Export and import as jobs of the worker."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal, Slot

from unet_gui.app.jobs import Job, JobRunner
from unet_gui.app.messages import Message
from unet_gui.app.session import Session
from unet_gui.core.images import ImageRef
from unet_gui.core.project import Dataset
from unet_gui.engine.events import Event, ImageDone, ImageFailed

if TYPE_CHECKING:
    from unet_gui.core.exchange import ExchangeResult


@dataclass(frozen=True)
class ExchangeJob:
    """One export or import; its result is an `ExchangeResult`.

    ``options`` are fields of `ExportOptions` or `ImportOptions`.
    """

    dataset: Dataset
    total: int
    kind: str
    place: Path
    importing: bool
    options: dict[str, Any]

    def __call__(self) -> Generator[Event, None, Any]:
        from unet_gui.core import exchange

        result = exchange.ExchangeResult()
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
                yield ImageFailed(number, path, page, outcome.reason, "", "", number + 1, self.total)
            else:
                yield ImageDone(number, path, page, self.place, 0.0, False, number + 1, self.total)
        return result


class ExchangeDesk(QObject):
    """Starts exports and imports and tells how they went.

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
        runner.finished.connect(self._on_finished)
        for over in (runner.failed, runner.cancelled):
            over.connect(self._on_over)

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
        elif self._runner.busy:
            text = "Something is still running. Import when it has come to an end."
            self.said.emit(Message("info", text, topic="exchange"))
        elif not self._session.must_recover():
            self._start("Importing", kind, place, options, importing=True)

    def _start(self, title: str, kind: str, place: Path, options: dict[str, Any], importing: bool) -> None:
        folder = self._session.folder
        if folder is None:
            return
        work = ExchangeJob(folder.dataset, len(self._images()), kind, place, importing, dict(options))
        self._session.when_saved(lambda: self._submit(title, work), lambda: self._not_saved(title), alone=importing)

    def _submit(self, title: str, work: ExchangeJob) -> None:
        if work.importing:
            self._session.held = "Labels are being imported; try again in a moment."
        self._runner.submit(Job("exchange", title, work))

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
        skipped = f" {result.skipped} had nothing to take." if result.skipped else ""
        text = " ".join([done + skipped, *result.notes])
        self.said.emit(Message("good" if result.done else "warning", text, topic="exchange"))
        self._on_over(job)

    @Slot(object)
    def _on_over(self, job: Job) -> None:
        """Look again at labels and classes that an import has changed."""
        if isinstance(job.start, ExchangeJob) and job.start.importing and self._session.folder is not None:
            self._session.held = ""
            self.imported.emit()
            self._session.classes_replaced()
            self._session.reopen()
            self._session.folder.book.scan(self._images())
