"""No test leaves a thread or a timer running, and none touches the person's settings."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest
from PySide6.QtCore import QObject, QSettings, QThread, QThreadPool, QTimer
from PySide6.QtWidgets import QApplication, QMainWindow
from pytestqt.qtbot import QtBot

from tests.app.kit import write_folder
from unet_gui.app import theme
from unet_gui.app.actions import ActionTable
from unet_gui.app.main_window import MainWindow
from unet_gui.app.menus import add_tool_actions
from unet_gui.app.settings import Settings
from unet_gui.core.project import Dataset


@pytest.fixture(autouse=True)
def _qsettings_in_tmp(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = str(tmp_path_factory.mktemp("settings"))
    for form in (QSettings.Format.IniFormat, QSettings.Format.NativeFormat):
        QSettings.setPath(form, QSettings.Scope.UserScope, folder)


@pytest.fixture(scope="module", autouse=True)
def _garbage_of_this_thread() -> Iterator[None]:
    """As in the window, nothing is collected by whatever thread makes the next object: it may hold timers."""
    gc.disable()
    yield
    gc.enable()
    gc.collect()


@pytest.fixture(autouse=True)
def _rings_end_here() -> Iterator[None]:
    """What hangs in a ring is collected after each test: it is young, and to look through everything takes long."""
    yield
    gc.collect(1)


PATIENCE_MS = 5000
"""How long a job of a pool may go on after its test."""


def _where() -> str:
    """The innermost line outside this file and outside installed packages that is running."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if name != __file__ and "site-packages" not in name:
            return f"{name}:{frame.f_lineno}"
        frame = frame.f_back
    return "?"


class _Started:
    """Everything that was started, and where last."""

    def __init__(self) -> None:
        self.threads: dict[int, tuple[QThread, str]] = {}
        self.pools: dict[int, tuple[QThreadPool, str]] = {}
        self.timers: dict[int, tuple[QTimer, str]] = {}


def _alive(item: QObject, check: str) -> bool:
    try:
        return bool(getattr(item, check)())
    except RuntimeError:  # its C++ part is gone, so it does not run
        return False


def _finished(pool: QThreadPool) -> bool:
    try:
        return pool.waitForDone(PATIENCE_MS)
    except RuntimeError:
        return True


@pytest.fixture(autouse=True)
def _no_qt_leak(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail the test that leaves a QThread, a QThreadPool's job or a QTimer running, naming where it was started."""
    started = _Started()
    start_thread, start_job, start_timer = QThread.start, QThreadPool.start, QTimer.start

    def thread(self: QThread, *args: object) -> None:
        started.threads[id(self)] = self, _where()
        start_thread(self, *args)

    def job(self: QThreadPool, *args: object) -> None:
        started.pools[id(self)] = self, _where()
        start_job(self, *args)

    def timer(self: QTimer, *args: object) -> None:
        started.timers[id(self)] = self, _where()
        start_timer(self, *args)

    monkeypatch.setattr(QThread, "start", thread)
    monkeypatch.setattr(QThreadPool, "start", job)
    monkeypatch.setattr(QTimer, "start", timer)
    yield
    left = [f"QThread started at {where}" for item, where in started.threads.values() if _alive(item, "isRunning")]
    left += [f"QTimer started at {where}" for item, where in started.timers.values() if _alive(item, "isActive")]
    left += [
        f"a job of a QThreadPool started at {where}" for item, where in started.pools.values() if not _finished(item)
    ]
    assert not left, f"left running: {left}"


Open = Callable[[Path | None], MainWindow]


@pytest.fixture
def open_window(qtbot: QtBot) -> Iterator[Open]:
    """Make a window and wait until its first image is on screen."""
    windows: list[MainWindow] = []

    def make(folder: Path | None) -> MainWindow:
        app = QApplication.instance()
        assert isinstance(app, QApplication)
        theme.apply(app, theme.DARK)
        window = MainWindow(Settings())
        windows.append(window)
        window.resize(1200, 800)
        window.show()
        qtbot.waitExposed(window)
        if folder is not None:
            window.open_path(folder)
            qtbot.waitUntil(lambda: window.session.document is not None, timeout=20_000)
            qtbot.waitUntil(lambda: not window.session.reads_prediction, timeout=20_000)
            qtbot.waitUntil(lambda: window.stage.canvas.is_complete, timeout=20_000)
            qtbot.waitUntil(lambda: not window.session.reads_prediction, timeout=20_000)
        return window

    yield make
    for window in windows:
        window.end()
        window.close()
        window.deleteLater()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model trained for a few steps, without a window."""
    from unet_gui.engine.recipe import TrainConfig
    from unet_gui.engine.train import train

    folder = write_folder(tmp_path_factory.mktemp("model") / "x", images=4, labels=4)
    out = folder / "m.safetensors"
    list(train(Dataset.open(folder), out, TrainConfig(steps=8, device="cpu", logs=False)))
    return out


@pytest.fixture
def window(qtbot: QtBot) -> QMainWindow:
    """A window with nothing in it, to put a panel into."""
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    theme.apply(app, theme.DARK)
    window = QMainWindow()
    qtbot.addWidget(window)
    window.resize(700, 500)
    return window


@pytest.fixture
def actions(window: QMainWindow) -> ActionTable:
    table = ActionTable(window)
    add_tool_actions(table)
    return table
