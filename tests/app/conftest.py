"""No test leaves a thread or a timer running, and none touches the person's settings."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QObject, QSettings, QThread, QThreadPool, QTimer


@pytest.fixture(autouse=True)
def _qsettings_in_tmp(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = str(tmp_path_factory.mktemp("settings"))
    for form in (QSettings.Format.IniFormat, QSettings.Format.NativeFormat):
        QSettings.setPath(form, QSettings.Scope.UserScope, folder)


def _where() -> str:
    """The line outside this file and outside pytest that called."""
    here = str(Path(__file__))
    frames = [f for f in traceback.extract_stack() if f.filename != here and "site-packages" not in f.filename]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "?"


class _Started:
    """Everything that was started, and where."""

    def __init__(self) -> None:
        self.threads: list[tuple[QThread, str]] = []
        self.pools: list[tuple[QThreadPool, str]] = []
        self.timers: list[tuple[QTimer, str]] = []


def _alive(item: QObject, check: str) -> bool:
    try:
        return bool(getattr(item, check)())
    except RuntimeError:  # its C++ part is gone, so it does not run
        return False


def _finished(pool: QThreadPool) -> bool:
    try:
        return pool.waitForDone(5000)
    except RuntimeError:
        return True


@pytest.fixture(autouse=True)
def _no_qt_leak(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail the test that leaves a QThread, a QThreadPool's job or a QTimer running, naming where it was started."""
    started = _Started()
    start_thread, start_job, start_timer = QThread.start, QThreadPool.start, QTimer.start

    def thread(self: QThread, *args: object) -> None:
        started.threads.append((self, _where()))
        start_thread(self, *args)

    def job(self: QThreadPool, *args: object) -> None:
        started.pools.append((self, _where()))
        start_job(self, *args)

    def timer(self: QTimer, *args: object) -> None:
        started.timers.append((self, _where()))
        start_timer(self, *args)

    monkeypatch.setattr(QThread, "start", thread)
    monkeypatch.setattr(QThreadPool, "start", job)
    monkeypatch.setattr(QTimer, "start", timer)
    yield
    left = [f"QThread started at {where}" for item, where in started.threads if _alive(item, "isRunning")]
    left += [f"QTimer started at {where}" for item, where in started.timers if _alive(item, "isActive")]
    left += [f"a job of a QThreadPool started at {where}" for item, where in started.pools if not _finished(item)]
    assert not left, f"left running: {left}"
