"""Undo and redo of a stroke, from the key to the pixels on the screen.

    python -m benchmarks.undo [--sizes 2048 16384] [--events 60] [--rounds 30]

Budget: ≤ 5 ms for a stroke with a brush of 20 px at 16 384². Beside it, in the same run, a canvas that keeps copies of
its whole layer (`benchmarks.whole_layer`).
"""

from __future__ import annotations

from PySide6.QtWidgets import QApplication

from benchmarks.canvas_bench import (
    WINDOW,
    arguments,
    canvas,
    micrograph,
    paint_stroke,
    say,
    say_machine,
    settle,
    stroke,
    timed,
    times,
)
from benchmarks.whole_layer import WholeLayerCanvas


def main() -> None:
    """Print one JSON line for every size and brush."""
    wanted = arguments(__doc__ or "", events=60, rounds=30)
    app = QApplication.instance() or QApplication([])
    say_machine()
    for side in wanted.sizes:
        for brush in (20, 1000):
            base = _reference(side, brush)
            say(benchmark="undo", canvas="copies of the layer", side=side, brush=brush, **base)
            with canvas(side) as (view, document):
                view.zoom_to(1.0)
                view.set_brush_size(brush)
                settle(view)
                paint_stroke(view, stroke(wanted.events))
                history = document.history
                nbytes = history.nbytes

                def step(work) -> None:
                    work()
                    QApplication.processEvents()

                undo, redo = [], []
                for _ in range(wanted.rounds):
                    undo.append(timed(lambda: step(document.undo)))
                    redo.append(timed(lambda: step(document.redo)))
            ours = times(undo)
            ratio = round(base["median_ms"] / ours["median_ms"], 1)
            facts = {"bytes": nbytes, "redo_median_ms": times(redo)["median_ms"], "times_faster": ratio}
            say(benchmark="undo", canvas="unet-gui", side=side, brush=brush, **ours, **facts)
    del app


def _reference(side: int, brush: int) -> dict[str, float]:
    view = WholeLayerCanvas(micrograph(side), brush)
    view.resize(*WINDOW)
    view.show()
    QApplication.processEvents()
    paint_stroke(view.viewport(), stroke(3))

    def undo() -> None:
        view.undo()
        QApplication.processEvents()

    found = times([timed(undo)])
    view.close()
    return found


if __name__ == "__main__":
    main()
