"""Short work beside the window: reading an image, a thumbnail, a status. Results come back on the window's thread."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QCoreApplication, QObject, QRunnable, Qt, QThreadPool, Signal, Slot

log = logging.getLogger(__name__)


class _Chore(QRunnable):
    """One callable in a pool's thread."""

    def __init__(self, owner: Chores, tag: Any, work: Callable[[], Any]) -> None:
        super().__init__()
        self._owner = owner
        self._tag = tag
        self._work: Callable[[], Any] | None = work
        self.setAutoDelete(True)

    def run(self) -> None:
        try:
            assert self._work is not None
            result = self._work()
        except Exception as error:  # noqa: BLE001 - the pool's worker: whatever happens, its owner must hear of it
            self._owner._ended.emit(self._tag, None, error)
        else:
            self._owner._ended.emit(self._tag, result, None)
        self._work = self._tag = None  # the pool's side may outlive this, and would keep a whole folder


class Chores(QObject):
    """A small pool of threads for one purpose.

    Parameters
    ----------
    threads : int
        How many at once.

    Attributes
    ----------
    waiting : int
        Chores that have been given and not come back.

    Signals
    -------
    done(tag, result), failed(tag, exception)
        One of them for each chore, on the window's thread.
    """

    done = Signal(object, object)
    failed = Signal(object, object)
    _ended = Signal(object, object, object)

    def __init__(self, threads: int, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.waiting = 0
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(threads)
        self._pool.setExpiryTimeout(2000)
        self._ended.connect(self._on_ended, Qt.ConnectionType.QueuedConnection)

    def give(self, tag: Any, work: Callable[[], Any]) -> None:
        """Have ``work`` done in a thread. ``tag`` comes back with its result."""
        self.waiting += 1
        self._pool.start(_Chore(self, tag, work))

    def close(self, finish: bool = False) -> None:
        """Wait for what has begun and report it. What has not begun is dropped, or done as well with ``finish``."""
        if not finish:
            self._pool.clear()
        self._pool.waitForDone()
        QCoreApplication.sendPostedEvents(self)

    @Slot(object, object, object)
    def _on_ended(self, tag: Any, result: Any, error: Exception | None) -> None:
        self.waiting -= 1
        if error is None:
            self.done.emit(tag, result)
        else:
            log.info("chore %r failed: %r", tag, error)
            self.failed.emit(tag, error)
