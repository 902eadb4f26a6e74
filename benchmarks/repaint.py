"""Painting the whole window, as after a step of zooming, and a step of panning.

    python -m benchmarks.repaint [--sizes 16384] [--rounds 25]

Budget for the whole window: ≤ 12 ms median at 1500 × 950 with image, label and prediction on, for every zoom from the
whole picture to 32×.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PySide6.QtWidgets import QApplication

from benchmarks.canvas_bench import arguments, canvas, prediction, say, say_machine, settle, timed, times
from unet_gui.app.canvas.layers import LayerSettings
from unet_gui.app.canvas.view import CanvasView
from unet_gui.core.geometry import Rect

ZOOMS = (None, 0.08, 0.12, 0.18, 0.26, 0.35, 0.49, 0.51, 0.7, 0.99, 1.0, 1.5, 2.0, 3.0, 4.0, 8.0, 16.0, 32.0)


def main() -> None:
    """Print one JSON line for every zoom, with areas and with outlines, and how long the first picture took."""
    wanted = arguments(__doc__ or "", rounds=25)
    app = QApplication.instance() or QApplication([])
    say_machine()
    for side in [max(wanted.sizes)]:
        with canvas(side, with_prediction=True) as (view, document):
            assert document.labels is not None
            with document.labels.edit("half") as edit:
                ids = prediction(side)[:, ::-1].copy()
                changed = edit.write(Rect(0, 0, side, side), ids, ids > 0)
            document.changed(changed)
            for outline in (False, True):
                view.layers = LayerSettings(outline=outline)
                for zoom in ZOOMS:
                    if zoom is None:
                        view.fit()
                    else:
                        view.zoom_to(zoom)
                        view.center_on(side * 0.41, side * 0.43)
                    settle(view)
                    whole = [timed(lambda: _repaint(view)) for _ in range(wanted.rounds)]
                    rng = np.random.default_rng(0)
                    pan = []
                    for _ in range(wanted.rounds):
                        dx, dy = rng.integers(-15, 16, 2).tolist()
                        pan.append(timed(lambda dx=dx, dy=dy: _pan(view, dx, dy)))
                        settle(view)
                    facts = {"side": side, "zoom": round(view.zoom, 3), "outline": outline}
                    say(benchmark="repaint", **facts, **times(whole), pan_median_ms=times(pan)["median_ms"])
    del app


def _repaint(view: CanvasView) -> None:
    view.layers = replace(view.layers)
    QApplication.processEvents()


def _pan(view: CanvasView, dx: int, dy: int) -> None:
    view.pan_by(dx / view.zoom, dy / view.zoom)
    QApplication.processEvents()


if __name__ == "__main__":
    main()
