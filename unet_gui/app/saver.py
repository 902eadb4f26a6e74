"""Writing labels to disk beside the window. What cannot be written is kept, said, and tried again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, QTimer, Signal, Slot

from unet_gui.app.chores import Chores
from unet_gui.app.document import SMALL, Document, status_of
from unet_gui.core.errors import LabelChanged, LabelError
from unet_gui.core.journal import Journal, checksum
from unet_gui.core.project import Dataset, Status
from unet_gui.core.replaced import keep_copy

RETRY_MS = (2000, 5000, 15000, 60000)
"""How long to wait before writing is tried again; the last one for ever."""


class Written(NamedTuple):
    """A label that was saved.

    Attributes
    ----------
    seq, crc : int
        The state that was saved, and its checksum.
    stamp : tuple of int or None
        The stamp of its file.
    status : Status
        What it gives its image.
    deleted : bool
        Another program had deleted the file since it was read here.
    copy : pathlib.Path or None
        Where that is kept which another program had written, and this has replaced.
    """

    seq: int
    crc: int
    stamp: tuple[int, int, int] | None
    status: Status
    deleted: bool = False
    copy: Path | None = None


class Saver(QObject):
    """Saves the labels of one folder, one after another, in a thread of its own.

    Signals
    -------
    saved(Document, Status)
        The label is on disk as it was when `save` was called, or newer.
    replaced(Document, Path or None)
        So it is, and another program had deleted the file, or changed it: then there is a copy of that.
    failed(Document, exception)
        It is not; `Document.dirty` stays true and the saver tries again by itself.
    """

    saved = Signal(object, object)
    replaced = Signal(object, object)
    failed = Signal(object, object)

    def __init__(self, dataset: Dataset, journal: Journal | None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._dataset = dataset
        self._journal = journal
        self._writing: set[str] = set()
        self._again: set[str] = set()
        self._failed: dict[str, Document] = {}
        self._failures = 0
        self._wanted: list[tuple[Callable[[], object], Callable[[], object]]] = []
        self._chores = Chores(1, self)
        self._chores.done.connect(self._on_done)
        self._chores.failed.connect(self._on_failed)
        self._retry = QTimer(self)
        self._retry.setSingleShot(True)
        self._retry.timeout.connect(self.retry)

    @property
    def busy(self) -> bool:
        """Whether something is being written."""
        return bool(self._writing)

    @property
    def refused(self) -> list[Document]:
        """Return the documents whose last save failed."""
        return list(self._failed.values())

    def save(self, document: Document) -> None:
        """Write a label as it is now. While it is being written already, it is written once more after that."""
        if document.key in self._writing:
            self._again.add(document.key)
            return
        self._writing.add(document.key)
        still = not (document.labels.editing or document.moving)  # else it must not be waited for here
        small = still and document.labels.ids.size <= SMALL
        snapshot = document.snapshot() if small else None
        self._chores.give(document, _Write(self._dataset, self._journal, document, snapshot))

    @Slot()
    def retry(self) -> None:
        """Try again now what failed before."""
        self._retry.stop()
        waiting, self._failed = self._failed, {}
        for document in waiting.values():
            self.save(document)

    def when_idle(self, act: Callable[[], object], dropped: Callable[[], object]) -> None:
        """Act as soon as nothing is being written; ``dropped`` is called instead if it is not wanted any more."""
        if self._writing:
            self._wanted.append((act, dropped))
        else:
            act()

    def drop(self) -> None:
        """Do nothing of what waits for the end of writing."""
        wanted, self._wanted = self._wanted, []
        for _, dropped in wanted:
            dropped()

    def wait(self) -> None:
        """Wait until nothing is being written. What was to be done after that is not wanted any more."""
        self.drop()
        while self._writing:
            self._chores.close(finish=True)

    def close(self) -> None:
        """Wait until what is being written is written; nothing is tried again by itself any more."""
        self.wait()
        self._retry.stop()

    @Slot(object, object)
    def _on_done(self, document: Document, result: Written) -> None:
        document.saved_seq, document.disk, document.stamp = result.seq, result.crc, result.stamp
        document.replaces = False
        self._failures = 0
        self._failed.pop(document.key, None)
        self.saved.emit(document, result.status)
        if result.deleted or result.copy is not None:
            self.replaced.emit(document, result.copy)
        self._next(document)
        if self._failed:  # the disk works again
            self.retry()

    @Slot(object, object)
    def _on_failed(self, document: Document, error: Exception) -> None:
        self._failed[document.key] = document
        self.failed.emit(document, error)
        self._again.discard(document.key)
        self._next(document)
        if isinstance(error, LabelChanged):
            return  # the person is asked
        self._retry.start(RETRY_MS[min(self._failures, len(RETRY_MS) - 1)])
        self._failures += 1

    def _next(self, document: Document) -> None:
        self._writing.discard(document.key)
        if document.key in self._again:
            self._again.discard(document.key)
            if document.dirty:
                self.save(document)
        if not self._writing:
            waiting, self._wanted = self._wanted, []
            while waiting:
                act, _ = waiting.pop(0)
                try:
                    act()
                except BaseException:
                    self._wanted += waiting  # the others must not wait for ever
                    raise


class _Write:
    """Writing one label: the work of the saver's thread."""

    def __init__(
        self,
        dataset: Dataset,
        journal: Journal | None,
        document: Document,
        snapshot: tuple[NDArray[np.uint8], int] | None,
    ) -> None:
        self._dataset = dataset
        self._journal = journal
        self._document = document
        self._snapshot = snapshot

    def __call__(self) -> Written:
        document = self._document
        ids, seq = self._snapshot or document.snapshot()
        crc = checksum(ids)
        self._must_be_known(crc)
        deleted, copy = self._look_at_theirs()
        if self._journal is not None:
            self._journal.saving(document.key, seq, crc)
        self._dataset.save_label(document.ref, ids)
        if self._journal is not None:
            self._journal.saved(document.key, seq)
        return Written(seq, crc, self._dataset.label_stamp(document.ref), status_of(ids), deleted, copy)

    def _look_at_theirs(self) -> tuple[bool, Path | None]:
        """Return whether another program has deleted the label, and a copy of what it has written in its place."""
        document, dataset = self._document, self._dataset
        stamp, path = dataset.label_stamp(document.ref), dataset.label_path(document.ref)
        if stamp == document.stamp or stamp is None or not document.replaces or not path.exists():
            return stamp is None and document.stamp is not None, None
        return False, keep_copy(path, dataset.label_root, dataset.state_dir)

    def _must_be_known(self, crc: int) -> None:
        """Refuse to write over what another program has written since the label was read."""
        document = self._document
        stamp = self._dataset.label_stamp(document.ref)
        if document.replaces or stamp is None or stamp == document.stamp:
            return
        path = self._dataset.label_path(document.ref)
        try:
            theirs = self._dataset.load_label(document.ref, document.labels.shape)
        except LabelError as error:
            raise LabelChanged("was changed by another program.", path, details=str(error)) from error
        if theirs is not None and checksum(theirs) not in (document.disk, crc):  # of a stack, another page was
            raise LabelChanged("was changed by another program.", path)
