"""How late a 10 ms timer of the window fires while the worker trains and a stroke is painted.

    python benchmarks/ui_lateness.py [--seconds 30] [--recipe fast]

The real window on the built-in sample, the real training in its worker, a synthetic mouse that paints all the time.
Three phases are told apart: nothing running (the reference), torch being imported and the training prepared, training.
Prints one JSON line for each: median, p99 and worst lateness in milliseconds.
Needs a display or ``QT_QPA_PLATFORM=offscreen``.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

PERIOD = 0.010


class Watch:
    """Plays the scenario and notes the lateness of a timer.

    Attributes
    ----------
    late : dict of str to list of float
        Seconds too late, by phase.
    """

    def __init__(self, window, seconds: float) -> None:
        from PySide6.QtCore import Qt, QTimer

        self.window = window
        self.seconds = seconds
        self.late: dict[str, list[float]] = {"idle": [], "starting": [], "training": []}
        self.phase = ""
        self.began = self.last = time.perf_counter()
        self.angle = 0.0
        self.timer = QTimer()
        self.timer.setTimerType(Qt.TimerType.PreciseTimer)
        self.timer.setInterval(round(PERIOD * 1000))
        self.timer.timeout.connect(self.tick)
        self.hand = QTimer()
        self.hand.setInterval(16)
        self.hand.timeout.connect(self.stroke)
        window.session.image_changed.connect(self.opened)
        window.desk.loss_known.connect(self.learning)

    def opened(self) -> None:
        if self.window.session.document is not None and not self.phase:
            self.enter("idle")
            self.timer.start()
            self.hand.start()

    def enter(self, phase: str) -> None:
        self.phase = phase
        self.began = self.last = time.perf_counter()

    def learning(self) -> None:
        if self.phase == "starting":
            self.enter("training")

    def tick(self) -> None:
        now = time.perf_counter()
        self.late[self.phase].append(max(0.0, now - self.last - PERIOD))
        self.last = now
        if self.phase == "idle" and now - self.began > 3:
            self.enter("starting")
            self.window.desk.train()
        elif self.phase == "training" and now - self.began > self.seconds:
            self.timer.stop()
            self.hand.stop()
            self.window.desk.stop()
            self.window.close()

    def stroke(self) -> None:
        """One event of a hand that draws circles, a new stroke with each round."""
        from PySide6.QtCore import QEvent, QPointF, Qt
        from PySide6.QtGui import QMouseEvent
        from PySide6.QtWidgets import QApplication

        canvas = self.window.stage.canvas
        middle = canvas.rect().center()
        radius = min(canvas.width(), canvas.height()) / 3
        self.angle += 0.12
        at = QPointF(middle.x() + radius * math.cos(self.angle), middle.y() + radius * math.sin(self.angle))
        first, last = self.angle % 6.0 < 0.12, self.angle % 6.0 > 5.88
        kind = QEvent.Type.MouseMove
        if first or last:
            kind = QEvent.Type.MouseButtonPress if first else QEvent.Type.MouseButtonRelease
        left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
        event = QMouseEvent(
            kind,
            at,
            canvas.mapToGlobal(at),
            left if first or last else none,
            none if last else left,
            Qt.KeyboardModifier.NoModifier,
        )
        QApplication.sendEvent(canvas, event)


def figures(values: list[float]) -> dict[str, float]:
    """Return median, p99 and worst in milliseconds."""
    ordered = sorted(values)
    pick = {"median": 0.5, "p99": 0.99, "p999": 0.999}
    found = {name: ordered[min(len(ordered) - 1, int(q * len(ordered)))] for name, q in pick.items()}
    return {f"{name}_ms": round(value * 1000, 2) for name, value in {**found, "worst": ordered[-1]}.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--recipe", default="fast")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        os.environ["XDG_CONFIG_HOME"] = name
        from unet_gui.app import application, theme
        from unet_gui.app.settings import Settings
        from unet_gui.core.sample import write_sample

        folder = Path(name) / "sample"
        write_sample(folder)
        sys.setswitchinterval(application.SWITCH_INTERVAL)
        app = application.make_application()
        theme.apply(app, theme.DARK)
        window = application.MainWindow(Settings())
        window.show()
        watch = Watch(window, options.seconds)
        window.open_path(folder)
        wait = application.QTimer()
        wait.setSingleShot(True)
        wait.timeout.connect(
            lambda: window.desk.set_wishes(replace(window.desk.wishes, minutes=60.0, recipe=options.recipe))
        )
        wait.start(1500)
        app.exec()
        window.end()
    for phase, values in watch.late.items():
        if values:
            print(json.dumps({"phase": phase, "ticks": len(values), **figures(values)}))


if __name__ == "__main__":
    main()
