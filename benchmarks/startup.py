"""Time from the start of the process to the first image on screen, beside a bare PySide6 window.

    python benchmarks/startup.py [--runs 7] [--many 100000]

Each run is a process of its own; programs alternate, so that whatever else the machine does meets both. Prints one JSON
line for each program: median and worst seconds, and the ratio to the bare window. Peak memory is that of the process.
Needs a display or ``QT_QPA_PLATFORM=offscreen``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

_BARE = """
import os, sys, time
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication, QLabel, QMainWindow
app = QApplication([])
window = QMainWindow()
window.setCentralWidget(QLabel("bare"))
window.resize(1400, 860)
window.show()
def look():
    if window.windowHandle().isExposed():
        print(time.time() - float(os.environ["STARTED"]), 0, flush=True)
        os._exit(0)
timer = QTimer()
timer.timeout.connect(look)
timer.start(2)
app.exec()
"""

_OURS = """
import os, sys, time
began = float(os.environ["STARTED"])
from unet_gui.app import application
from PySide6.QtCore import QTimer

class Watched(application.MainWindow):
    def __init__(self, settings):
        super().__init__(settings)
        self.watch = QTimer(self)
        self.watch.timeout.connect(self.look)
        self.watch.start(2)
        self.exposed = 0.0
    def look(self):
        if not self.exposed and self.windowHandle() and self.windowHandle().isExposed():
            self.exposed = time.time() - began
        if self.session.document is None or not self.stage.canvas.is_complete:
            return
        self.watch.stop()
        QTimer.singleShot(0, self.tell)
    def tell(self):
        import resource
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        assert "torch" not in sys.modules and "pyqtgraph" not in sys.modules
        print(time.time() - began, self.exposed, memory, flush=True)
        os._exit(0)
application.MainWindow = Watched
sys.exit(application.run(sys.argv[1]))
"""


def run(program: str, *arguments: str) -> list[float]:
    """Start a program and return what it printed."""
    environment = {**os.environ, "STARTED": repr(time.time()), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    try:
        return [float(word) for word in done.stdout.split()]
    except ValueError:
        sys.exit(done.stdout + done.stderr)


def write_images(folder: Path, count: int) -> None:
    """Write some real images and link them until there are enough."""
    sys.path.insert(0, str(ROOT))
    from unet_gui.core.sample import write_sample

    write_sample(folder / "made", n=30)
    made = sorted((folder / "made" / "image").iterdir())
    images = folder / f"{count}"
    images.mkdir()
    for n in range(count):
        os.link(made[n % len(made)], images / f"{n:06d}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--many", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["XDG_CONFIG_HOME"] = str(folder)
        write_images(folder, 30)
        programs: dict[str, tuple[str, ...]] = {"bare window": (_BARE,), "30 images": (_OURS, str(folder / "30"))}
        if options.many:
            images = folder / f"{options.many}"
            images.mkdir()
            for n in range(options.many):
                os.link(folder / "30" / f"{n % 30:06d}.png", images / f"{n:06d}.png")
            programs[f"{options.many} images"] = (_OURS, str(images))
        times: dict[str, list[list[float]]] = {name: [] for name in programs}
        for n in range(options.runs + 1):
            for name, words in programs.items():
                row = run(*words)
                if n:  # the first round only fills the disk cache
                    times[name].append(row)
    bare = statistics.median(row[0] for row in times["bare window"])
    for name, rows in times.items():
        seconds = [row[0] for row in rows]
        line = {
            "program": name,
            "median_s": round(statistics.median(seconds), 3),
            "worst_s": round(max(seconds), 3),
            "ratio": round(statistics.median(seconds) / bare, 2),
        }
        if len(rows[0]) > 2:
            line["window_s"] = round(statistics.median(row[1] for row in rows), 3)
            line["peak_MiB"] = round(max(row[2] for row in rows) / 2**20)
        print(json.dumps(line))


if __name__ == "__main__":
    main()
