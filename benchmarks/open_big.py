"""Opening a huge picture: how long until there is something to see, until all of it is there, and how much memory.

    python -m benchmarks.open_big [--sizes 16384]

A PNG, a TIFF of LZW strips and one of LZW tiles are opened by the real canvas, as the window does. Printed are the
seconds until the first part of the picture is on the screen, until all of it is (coarse: as many pixels as the window
has), and the peak memory. Beside it, in the same run, a viewer that reads the whole file with `cv2.imread` or
`tifffile.imread` and makes one pixmap of it; and what cannot be avoided: inflating the PNG's data alone.

Every case runs in a process of its own, behind one that touches as much memory and gives it back: in a virtual machine
memory that was never used costs a second for each 300 MB. Budget: ≤ 1.5 s to the first picture.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
from PySide6.QtCore import QEventLoop, QTimer
from PySide6.QtGui import QImage, QPixmap
from PySide6.QtWidgets import QApplication, QLabel

from benchmarks.canvas_bench import WINDOW, arguments, micrograph, say, say_machine, timed
from unet_gui.app.canvas.view import CanvasView
from unet_gui.core import png
from unet_gui.core.cv import cv2
from unet_gui.core.images import open_image

FILES = ("png", "strips.tif", "strip_rows.tif", "tiles.tif")
CASES = ("canvas", "one pixmap", "inflate")


def write(folder: Path, side: int) -> None:
    """Write the same picture, with a little noise, in all formats."""
    picture = micrograph(side)
    rng = np.random.default_rng(0)
    for rows in np.split(picture, 16):
        rows += rng.integers(0, 4, rows.shape, dtype=np.uint8) - (rows > 250) * np.uint8(4)
    cv2.imwrite(str(folder / "picture.png"), picture)
    tifffile.imwrite(folder / "picture.strips.tif", picture, compression="lzw", predictor=True, rowsperstrip=64)
    tifffile.imwrite(folder / "picture.strip_rows.tif", picture, compression="lzw", rowsperstrip=1)
    tifffile.imwrite(folder / "picture.tiles.tif", picture, compression="lzw", predictor=True, tile=(512, 512))


def open_in_canvas(path: Path) -> dict[str, object]:
    """Return the seconds from opening the file to its picture in a canvas that is already shown."""
    view = CanvasView()
    view.resize(*WINDOW)
    view.show()
    QApplication.processEvents()
    start, first = time.perf_counter(), 0.0
    source = open_image(path)
    view.set_image(source)

    def look() -> bool:
        nonlocal first
        if not first and _shows_something(view):
            first = time.perf_counter() - start
        return view.is_complete

    _wait(look)
    whole = time.perf_counter() - start
    view.zoom_to(1)
    _wait(lambda: view.is_complete)
    full = time.perf_counter() - start
    view.close()
    source.close()
    return {"first_part_s": round(first, 2), "whole_picture_s": round(whole, 2), "then_zoomed_to_1_s": round(full, 2)}


def _wait(ready: Callable[[], bool]) -> None:
    """Let the window live until something is ready, looked at every 20 ms; it must not keep a core busy."""
    loop, clock = QEventLoop(), QTimer()
    clock.timeout.connect(lambda: loop.quit() if ready() else None)
    clock.start(20)
    loop.exec()
    QApplication.processEvents()


def _shows_something(view: CanvasView) -> bool:
    """Whether a part of the picture is on the screen: it is not of one colour."""
    frame = view._scene.frame()
    colors = {frame.pixel(x, y) for x in range(300, 1200, 90) for y in range(20, 930, 30)}
    return len(colors) > 10


def open_as_pixmap(path: Path) -> dict[str, object]:
    """Return the seconds that it takes to read the whole file and show it as one pixmap."""
    label = QLabel()
    label.resize(*WINDOW)
    label.show()
    QApplication.processEvents()
    start = time.perf_counter()
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) if path.suffix == ".png" else tifffile.imread(path)
    read = time.perf_counter() - start
    h, w = pixels.shape
    label.setPixmap(QPixmap.fromImage(QImage(pixels.data, w, h, w, QImage.Format.Format_Grayscale8)))
    QApplication.processEvents()
    return {"read_s": round(read, 2), "whole_picture_s": round(time.perf_counter() - start, 2)}


def inflate(path: Path) -> dict[str, object]:
    """Return the seconds that zlib alone takes for the picture data, in pieces that stay in the processor's cache."""
    data = b"".join(bytes(part) for kind, part in png.chunks(path.read_bytes()) if kind == b"IDAT")
    worker = zlib.decompressobj()

    def in_pieces() -> None:
        for at in range(0, len(data), 2**20):
            rest = data[at : at + 2**20]
            while rest:
                worker.decompress(rest, 2**20)
                rest = worker.unconsumed_tail

    return {"inflate_s": round(timed(in_pieces), 2)}


def one_case(case: str, path: Path) -> None:
    """Run one case in this process and print what came out."""
    work = {"canvas": open_in_canvas, "one pixmap": open_as_pixmap, "inflate": inflate}[case]
    app = QApplication.instance() or QApplication([])
    before = _peak_mib()
    facts = work(path)
    print(json.dumps({**facts, "peak_mib": _peak_mib(), "empty_window_mib": before}))
    del app


def _peak_mib() -> int:
    status = Path("/proc/self/status")
    if status.exists():  # the other counter also has what the process was before it became this one
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) // 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    """Print one JSON line for every file and case."""
    if len(sys.argv) == 4 and sys.argv[1] == "--case":
        one_case(sys.argv[2], Path(sys.argv[3]))
        return
    side = max(arguments(__doc__ or "").sizes)
    say_machine()
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), side)
        for file in FILES:
            path = Path(folder) / f"picture.{file}"
            path.read_bytes()  # from the disk once, so that every case reads memory
            for case in CASES if file == "png" else CASES[:2]:
                _touch(8 * side * side)
                words = [sys.executable, "-m", "benchmarks.open_big", "--case", case, str(path)]
                found = subprocess.run(words, check=True, capture_output=True, text=True).stdout
                mib = path.stat().st_size // 2**20
                say(benchmark="open_big", side=side, file=file, file_mib=mib, case=case, **json.loads(found))


def _touch(size: int) -> None:
    """Use so many bytes of memory in another process, and give them back."""
    code = f"b = bytearray({size})\nfor i in range(0, {size}, 4096): b[i] = 1"
    subprocess.run([sys.executable, "-c", code], check=True)


if __name__ == "__main__":
    main()
