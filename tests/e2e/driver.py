"""Runs the real ``main()`` and plays a scenario against it with real X events.

The scenario runs in a thread of its own and reads like what a person does: it moves the real pointer and types real
keys through ``xdotool``, and asks the window for positions and states on the window's own thread. It waits for
conditions, never for a length of time.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from PySide6.QtCore import QObject, QPoint, Qt, Signal, Slot
from PySide6.QtWidgets import QApplication, QMainWindow, QWidget

T = TypeVar("T")
PATIENCE = 120.0  # seconds until a condition that never comes fails the test


class Bridge(QObject):
    """Runs callables on the window's thread.

    Signals
    -------
    asked : a callable to run there
    """

    asked = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.asked.connect(self._on_asked, Qt.ConnectionType.QueuedConnection)

    @Slot(object)
    def _on_asked(self, call: Callable[[], None]) -> None:
        call()


class Driver:
    """The hands and eyes of a scenario.

    Attributes
    ----------
    window : the main window of the program
    arguments : what followed the scenario's name on the command line
    """

    def __init__(self, bridge: Bridge, arguments: list[str]) -> None:
        self._bridge = bridge
        self.arguments = arguments
        self.window: Any = None

    # eyes -------------------------------------------------------------------------------------------------------
    def ui(self, call: Callable[[], T]) -> T:
        """Run ``call`` on the window's thread and return what it returns."""
        done = threading.Event()
        box: dict[str, Any] = {}

        def run() -> None:
            try:
                box["value"] = call()
            except BaseException as error:  # noqa: BLE001 - carried over to the scenario's thread
                box["error"] = error
            done.set()

        self._bridge.asked.emit(run)
        if not done.wait(PATIENCE):
            raise TimeoutError("the window does not answer")
        if "error" in box:
            raise box["error"]
        return box["value"]

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait until ``condition`` (asked on the window's thread) is true, and return its value."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            value = self.ui(condition)
            if value:
                return value
            time.sleep(0.02)  # between two looks, not instead of one
        self.shot("timeout")
        raise AssertionError(f"never happened: {what}")

    def find_window(self) -> None:
        """Wait for the main window to be on the screen."""

        def look() -> bool:
            for widget in QApplication.topLevelWidgets():
                if isinstance(widget, QMainWindow) and widget.isVisible() and widget.windowHandle().isExposed():
                    self.window = widget
                    return True
            return False

        self.until(look, "the main window is visible")

    def shot(self, name: str) -> None:
        """Keep a picture of the window where ``UNET_GUI_SHOTS`` names a folder."""
        folder = os.environ.get("UNET_GUI_SHOTS")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.ui(lambda: self.window.grab().save(str(Path(folder) / f"{name}.png")))

    # hands ------------------------------------------------------------------------------------------------------
    def xdo(self, *words: str | int) -> None:
        """Send real X events."""
        subprocess.run(["xdotool", *map(str, words)], check=True, timeout=60)

    def place(self, widget: QWidget, x: float | None = None, y: float | None = None) -> tuple[int, int]:
        """Return the screen position of a point of a widget, by default its middle."""

        def where() -> tuple[int, int]:
            point = QPoint(
                round(widget.width() / 2 if x is None else x), round(widget.height() / 2 if y is None else y)
            )
            at = widget.mapToGlobal(point)
            return at.x(), at.y()

        return self.ui(where)

    def click(self, widget: QWidget, x: float | None = None, y: float | None = None, button: int = 1) -> None:
        """Click a widget with the real pointer."""
        sx, sy = self.place(widget, x, y)
        self.xdo("mousemove", sx, sy, "click", button)

    def key(self, keys: str) -> None:
        """Press and release a key or a chord, such as ``ctrl+z``."""
        self.xdo("key", "--clearmodifiers", keys)

    def drag(self, points: list[tuple[int, int]], button: int = 1) -> None:
        """Press at the first screen point, move through the others, release at the last."""
        words: list[str | int] = ["mousemove", *points[0], "mousedown", button]
        for point in points[1:]:
            words += ["mousemove", *point]
        self.xdo(*words, "mouseup", button)


def main() -> int:
    """Start the program with a scenario beside it; the exit code says how the scenario went."""
    from unet_gui.cli import main as program

    place, *arguments = sys.argv[1:]
    module, _, name = place.rpartition(":")
    scenarios = importlib.import_module(module or "tests.e2e.scenarios")
    outcome: list[int] = []

    def watch() -> None:
        while QApplication.instance() is None:  # before main() has made it there is nothing to wait on
            time.sleep(0.01)
        bridge = Bridge()
        bridge.moveToThread(QApplication.instance().thread())
        driver = Driver(bridge, arguments)
        try:
            driver.find_window()
            getattr(scenarios, name)(driver)
            outcome.append(0)
        except BaseException:  # noqa: BLE001 - the exit code and the text carry it to the test
            traceback.print_exc()
            outcome.append(1)
        bridge.asked.emit(QApplication.closeAllWindows)
        # a window that refuses to close must fail the test, not hang it
        if not closed.wait(30):
            print("the program did not end after its window was closed", file=sys.stderr)
            os._exit(3)

    closed = threading.Event()
    watcher = threading.Thread(target=watch, name="scenario")
    watcher.start()
    code = program(arguments[:1])  # what follows is for the scenario alone
    closed.set()
    watcher.join()
    return code or outcome[0]


if __name__ == "__main__":
    sys.exit(main())
