"""Where everything is put together: the application, its settings, the window."""

from __future__ import annotations

import logging
import signal
import sys
import traceback
from pathlib import Path
from types import TracebackType

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication

from unet_gui.app import theme
from unet_gui.app.folder_desk import sample_folder
from unet_gui.app.main_window import MainWindow
from unet_gui.app.settings import Settings

log = logging.getLogger(__name__)

SWITCH_INTERVAL = 0.001
"""Seconds a thread keeps Python's lock. With the usual 5 ms the window would wait that long at each turn."""


def make_application() -> QApplication:
    """Return the application object, made with the settings that must be known before it."""
    app = QApplication.instance()
    if isinstance(app, QApplication):
        return app
    QGuiApplication.setHighDpiScaleFactorRoundingPolicy(Qt.HighDpiScaleFactorRoundingPolicy.PassThrough)
    app = QApplication(sys.argv[:1])
    app.setApplicationName("unet-gui")
    app.setApplicationDisplayName("unet-gui")
    app.setDesktopFileName("unet-gui")
    app.setStyle("Fusion")
    app.setWindowIcon(theme.icon("logo", "accent"))
    return app


def run(folder: str | None, demo: bool = False) -> int:
    """Show the window and return the exit code when it is closed.

    Parameters
    ----------
    folder : str or None
        Folder of images to open, or an image in it; where the sample goes with ``demo``.
    demo : bool
        Make the built-in sample if it is not there yet, open it and show the guide.
    """
    sys.setswitchinterval(SWITCH_INTERVAL)
    app = make_application()
    settings = Settings()
    theme.apply(app, theme.resolve(settings.get("theme"), app))
    window = MainWindow(settings)
    old_hook = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        log.error("unexpected: %s", "".join(traceback.format_exception(kind, error, trace)))
        window.show_fault(error)

    sys.excepthook = hook
    # not at once: whatever runs now, an event of a widget perhaps, must not lose the widget
    old_interrupt = signal.signal(signal.SIGINT, lambda *_: QTimer.singleShot(0, window, window.leave))
    window.show()
    if demo:
        where = Path(folder) if folder else sample_folder()
        QTimer.singleShot(0, window, lambda: window.open_sample(where))
    elif folder:
        QTimer.singleShot(0, window, lambda: window.open_path(Path(folder)))
    try:
        return app.exec()
    finally:
        sys.excepthook = old_hook
        signal.signal(signal.SIGINT, old_interrupt)
        window.end()
        settings.sync()
