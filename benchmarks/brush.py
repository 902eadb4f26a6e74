"""From a move of the mouse to its pixels on the screen.

    python -m benchmarks.brush [--sizes 2048 16384] [--events 400] [--reference 12]

Budget: at 16 384² and a brush of 20 px ≤ 1 ms median and ≤ 4 ms p99, a brush of 1 000 px ≤ 16 ms p99. Beside it, in
the same run, a canvas that keeps its label as one pixmap (`benchmarks.whole_layer`), and napari where it is installed.
"""

from __future__ import annotations

import gc
import importlib.util

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
    times,
)
from benchmarks.whole_layer import WholeLayerCanvas

BRUSHES = (20, 1000)


def measure(side: int, brush: int, zoom: float | None, events: int) -> dict[str, object]:
    """Return the times of our canvas at one zoom (None fits the whole picture into the window)."""
    with canvas(side) as (view, document):
        if zoom is not None:
            view.zoom_to(zoom)
        view.set_brush_size(brush)
        settle(view)
        paint_stroke(view, stroke(30))
        document.undo()
        settle(view)
        return {"zoom": round(view.zoom, 3), **times(paint_stroke(view, stroke(events)))}


def reference(side: int, brush: int, events: int) -> dict[str, object]:
    """Return the times of the canvas with one pixmap for the layer."""
    view = WholeLayerCanvas(micrograph(side), brush)
    view.resize(*WINDOW)
    view.show()
    QApplication.processEvents()
    found = times(paint_stroke(view.viewport(), stroke(events)))
    view.close()
    view.deleteLater()
    QApplication.processEvents()
    gc.collect()
    return found


def napari_times(side: int, brush: int, events: int) -> dict[str, object]:
    """Return the times of napari's paint mode on the same picture."""
    import napari
    import numpy as np

    viewer = napari.Viewer(show=True)
    viewer.window.resize(*WINDOW)
    viewer.add_image(micrograph(side))
    layer = viewer.add_labels(np.zeros((side, side), np.uint8))
    layer.mode, layer.brush_size, layer.selected_label = "paint", brush, 1
    viewer.camera.zoom = 1
    QApplication.processEvents()
    canvas_widget = viewer.window._qt_viewer.canvas.native
    found = times(paint_stroke(canvas_widget, stroke(events)))
    viewer.close()
    return found


def main() -> None:
    """Print one JSON line for every size, brush and zoom."""
    wanted = arguments(__doc__ or "", events=400, reference=12)
    app = QApplication.instance() or QApplication([])
    say_machine()
    for side in wanted.sizes:
        for brush in BRUSHES:
            base = reference(side, brush, wanted.reference)
            say(benchmark="brush", canvas="one pixmap", side=side, brush=brush, zoom=1.0, **base)
            for zoom in (1.0, None):
                ours = measure(side, brush, zoom, wanted.events)
                ratio = round(float(base["median_ms"]) / float(ours["median_ms"]), 1)  # type: ignore[arg-type]
                say(benchmark="brush", canvas="unet-gui", side=side, brush=brush, **ours, times_faster=ratio)
            if importlib.util.find_spec("napari"):
                found = napari_times(side, brush, wanted.events)
                say(benchmark="brush", canvas="napari", side=side, brush=brush, **found)
    del app


if __name__ == "__main__":
    main()
