"""What the benchmarks of the canvas share: a big picture, a canvas on it, a hand that paints, and how to tell times."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import tifffile
from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QApplication, QWidget

from unet_gui.app.canvas.document import LabelDocument
from unet_gui.app.canvas.view import CanvasView
from unet_gui.core.cv import cv2
from unet_gui.core.images import open_image
from unet_gui.core.labels import LabelImage
from unet_gui.core.palette import default_classes

WINDOW = (1500, 950)
NO_BUTTON, LEFT = Qt.MouseButton.NoButton, Qt.MouseButton.LeftButton


def arguments(description: str, **defaults: int) -> argparse.Namespace:
    """Read the command line: sizes of the picture, number of events, quick mode."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--sizes", type=int, nargs="+", default=[2048, 16384], help="side of the picture in pixels")
    for name, value in defaults.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    return parser.parse_args()


def say(**facts: object) -> None:
    """Print one JSON line."""
    print(json.dumps(facts), flush=True)


def say_machine() -> None:
    """Print what this runs on."""
    from PySide6 import __version__

    say(machine=platform.machine(), cpus=os.cpu_count(), python=platform.python_version(), pyside=__version__)


def times(values: Sequence[float]) -> dict[str, float]:
    """Return median and 99th percentile of seconds, in milliseconds."""
    ordered = sorted(values)
    return {
        "median_ms": round(1e3 * statistics.median(ordered), 3),
        "p99_ms": round(1e3 * ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))], 3),
        "events": len(ordered),
    }


def micrograph(side: int) -> np.ndarray:
    """Return a grey picture with structure of many sizes."""
    rng = np.random.default_rng(side)
    small = rng.integers(0, 255, (side // 16, side // 16), dtype=np.uint8)
    return cv2.resize(small, (side, side), interpolation=cv2.INTER_LINEAR)


def prediction(side: int) -> np.ndarray:
    """Return class ids 0 … 2 in blobs."""
    coarse = np.random.default_rng(1).integers(0, 3, (side // 64, side // 64), dtype=np.uint8)
    return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_NEAREST)


@contextmanager
def canvas(side: int, *, with_prediction: bool = False) -> Iterator[tuple[CanvasView, LabelDocument]]:
    """Yield a shown canvas with a picture of this size, a label and perhaps a prediction."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "big.tif"
        tifffile.imwrite(path, micrograph(side), tile=(512, 512))
        source = open_image(path)
        view = CanvasView()
        view.resize(*WINDOW)
        document = LabelDocument(LabelImage.unlabelled(source.shape), source)
        document.changed_rect.connect(view.refresh)
        view.set_target(document)
        view.set_image(source)
        view.set_label(document.labels)
        if with_prediction:
            document.prediction = prediction(side)
            view.set_prediction(document.prediction)
        view.set_classes(default_classes(3))
        view.show()
        settle(view)
        yield view, document
        view.close()
        source.close()


def settle(view: CanvasView) -> None:
    """Wait until everything in view has been read and painted."""
    QApplication.processEvents()
    while not view.is_complete:
        QApplication.processEvents()
    QApplication.processEvents()


def stroke(count: int) -> list[QPointF]:
    """Return the places of a lively stroke over the window."""
    a = np.arange(count) / 15
    x = WINDOW[0] * (0.5 + 0.4 * np.sin(0.7 * a))
    y = WINDOW[1] * (0.5 + 0.4 * np.sin(1.1 * a + 0.5))
    return [QPointF(round(px), round(py)) for px, py in zip(x.tolist(), y.tolist(), strict=True)]


def send(widget: QWidget, kind: QEvent.Type, at: QPointF) -> None:
    """Send a mouse event as the window system would, and let it be painted."""
    button = NO_BUTTON if kind == QEvent.Type.MouseMove else LEFT
    held = NO_BUTTON if kind == QEvent.Type.MouseButtonRelease else LEFT
    place = QPointF(widget.mapToGlobal(at))
    QApplication.sendEvent(widget, QMouseEvent(kind, at, place, button, held, Qt.KeyboardModifier.NoModifier))
    QApplication.processEvents()


def paint_stroke(widget: QWidget, places: Sequence[QPointF]) -> list[float]:
    """Draw a stroke and return the seconds from every move to its pixels."""
    send(widget, QEvent.Type.MouseButtonPress, places[0])
    seconds = [timed(lambda at=at: send(widget, QEvent.Type.MouseMove, at)) for at in places[1:]]
    send(widget, QEvent.Type.MouseButtonRelease, places[-1])
    return seconds


def timed(work: Callable[[], object]) -> float:
    """Return how many seconds some work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
