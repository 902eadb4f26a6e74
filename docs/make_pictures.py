"""Make the pictures of README and user guide from the real window on the built-in sample.

``python docs/make_pictures.py`` in a checkout; needs Xvfb and xdotool. The sample and everything else go to a temporary
folder, the pictures to ``docs/pictures``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.e2e.driver import Driver

ROOT = Path(__file__).resolve().parents[1]
FIRST, NEXT = "08.png", "09.png"  # the first images whose labels are withheld


def pictures(d: Driver) -> None:
    """Play the three jobs and keep a picture of each."""
    from tests.e2e.scenarios import idle, stroke, wait_for_image
    from unet_gui.core.images import ImageRef

    window = d.window
    wait_for_image(d, "00.png")
    d.ui(lambda: window.resize(1280, 800))
    d.until(lambda: window.stage.canvas.is_complete, "drawn")
    d.ui(lambda: window.actions_by_id["guide"].setChecked(False))
    d.ui(lambda: window.session.open_image(ImageRef(FIRST)))
    wait_for_image(d, FIRST)
    d.click(window.stage.canvas, 5, 5, button=2)
    d.key("ctrl+f")
    d.key("1")
    stroke(d, (60, 80), (90, 130), (120, 170))
    stroke(d, (240, 90), (290, 120))
    d.key("0")
    for _ in range(4):
        d.key("bracketleft")
    stroke(d, (150, 60), (168, 96), (160, 140))
    d.shot("paint")
    idle(d)

    d.ui(lambda: window.desk.shelf.set_wishes(replace(window.desk.shelf.wishes, minutes=1.0)))
    d.key("ctrl+t")
    d.until(lambda: window.desk.training, "training")
    seen: list[object] = []
    d.ui(lambda: window.desk.score_known.connect(lambda *score: seen.append(score)))
    d.until(lambda: len(seen) >= 12, "a curve to look at")
    d.shot("train")
    d.until(lambda: not window.desk.training, "trained")
    d.key("ctrl+b")
    d.until(lambda: window.runner.busy, "segmenting")
    d.until(lambda: not window.runner.busy, "all are segmented")
    d.ui(lambda: window.session.open_image(ImageRef(NEXT)))
    wait_for_image(d, NEXT)
    d.until(lambda: window.session.prediction is not None, "the prediction is there")
    d.key("ctrl+f")
    d.ui(window.stage.messages.clear)  # what was said of the training, over the picture
    d.shot("window")
    d.key("t")
    d.until(lambda: (window.session.labels.ids != 255).all(), "taken over")
    d.key("0")
    stroke(d, (150, 60), (180, 100), (175, 150))
    d.shot("correct")
    d.key("ctrl+z")
    d.key("ctrl+z")
    idle(d)
    d.until(lambda: not window.session.document.history.can_undo, "the label is empty again")
    tools(d)


class Scene:
    """One tool at work: real pointer, real keys, a picture of that part of the canvas while it is being used."""

    SIZE = 480, 270

    def __init__(self, d: Driver) -> None:
        self.d = d
        self.canvas = d.window.stage.canvas

    def look_at(self, x: float, y: float, zoom: float = 2.6) -> None:
        """Show this place of the image in the middle."""

        def look() -> None:
            self.canvas.zoom_to(zoom)
            self.canvas.center_on(x, y)

        self.d.ui(look)
        self.middle = x, y
        self.d.until(lambda: self.canvas.is_complete, "drawn")

    def at(self, x: float, y: float) -> tuple[int, int]:
        """Return the screen position of a place given from the middle, in image pixels."""
        from tests.e2e.scenarios import point

        return point(self.d, self.middle[0] + x, self.middle[1] + y)

    def move(self, *places: tuple[float, float], press: bool = False, release: bool = False) -> None:
        """Go along places, none left out: the canvas has seen each before the next one."""
        for number, place in enumerate(places):
            pressing = ["mousedown", 1] if press and number == 0 else []
            self.d.xdo("mousemove", *self.at(*place), *pressing)
            x, y = self.middle[0] + place[0], self.middle[1] + place[1]
            self.d.until(lambda x=x, y=y: self.has_pointer_at(x, y), "the pointer is there")
        if release:
            self.let_go()

    def has_pointer_at(self, x: float, y: float) -> bool:
        pointer = self.canvas._hand.pointer
        return pointer is not None and abs(pointer.x - x) < 1.5 and abs(pointer.y - y) < 1.5

    def drag(self, *places: tuple[float, float]) -> None:
        """Press at the first, go along the others, let go."""
        self.move(*places, press=True, release=True)

    def let_go(self) -> None:
        self.d.xdo("mouseup", 1)

    def shot(self, name: str) -> None:
        """Keep a picture of the part of the canvas around the middle."""
        from PySide6.QtCore import QRect

        self.d.until(lambda: self.canvas.is_complete, "drawn")
        w, h = self.SIZE
        folder = Path(os.environ["UNET_GUI_SHOTS"]) / "tools"
        folder.mkdir(exist_ok=True)

        def keep() -> None:
            at = self.canvas.to_widget(*self.middle).toPoint()
            self.canvas.grab(QRect(at.x() - w // 2, at.y() - h // 2, w, h)).save(str(folder / f"{name}.png"))

        self.d.ui(keep)

    def clear(self) -> None:
        """Give up what is in progress and undo everything."""
        session = self.d.window.session
        self.d.key("Escape")
        while self.d.ui(lambda: session.document.history.can_undo):
            depth = self.d.ui(lambda: session.labels.revision)
            self.d.key("ctrl+z")
            self.d.until(lambda before=depth: session.labels.revision != before, "undone")


def tools(d: Driver) -> None:
    """Use each tool on the image that is open, with its prediction, and keep a picture of each."""
    window, s = d.window, Scene(d)
    d.ui(window.stage.messages.clear)
    d.key("g")  # without the prediction first
    s.look_at(97, 113)
    d.key("b")
    d.key("1")
    s.move((-50, 10), (-30, -12), (0, 8), (34, -8), press=True)
    s.shot("brush")
    s.let_go()
    d.key("e")
    s.move((-4, -26), (2, 0), (8, 24), press=True)
    s.shot("eraser")
    s.let_go()
    s.clear()
    d.key("0")
    s.drag((-46, 6), (-30, -24), (10, -30), (40, -14), (44, 14), (4, 30), (-30, 24), (-46, 6))
    d.key("1")
    d.key("f")
    revision = d.ui(lambda: window.session.labels.revision)
    s.drag((0, 4))
    d.until(lambda: window.session.labels.revision != revision, "filled")
    s.shot("fill")
    s.clear()
    d.key("p")
    for place in ((-44, -18), (-6, -36), (36, -10), (24, 30)):
        s.drag(place)
    s.move((-26, 28))
    s.shot("polygon")
    s.clear()
    d.key("l")
    s.move((-40, 0), (-20, -30), (20, -28), (44, 4), (14, 30), (-18, 26), press=True)
    s.shot("lasso")
    s.let_go()
    s.clear()
    d.key("shift+r")
    s.move((-46, -28), (40, 26), press=True)
    s.shot("rectangle")
    s.let_go()
    s.clear()
    d.key("shift+e")
    s.move((-46, -28), (40, 26), press=True)
    s.shot("ellipse")
    s.let_go()
    s.clear()
    d.key("w")
    s.move((0, 10), (14, 10), (26, 10), press=True)
    s.shot("wand")
    s.let_go()
    s.clear()
    s.look_at(330, 155)
    d.key("s")
    for place in ((-24, 0), (0, -15), (25, 0)):
        s.drag(place)
    s.move((2, 16))
    s.shot("scissors")
    s.clear()
    d.key("shift+g")
    s.drag((-34, -24), (34, 24))
    d.until(lambda: s.canvas._bench.overlay is not None, "a proposal")
    s.shot("grabcut")
    s.clear()

    d.key("g")
    s.look_at(97, 113)
    d.key("k")
    s.move((0, 10))
    s.shot("take-over")
    d.key("shift+k")
    s.move((0, 0), (-6, 0), (-12, 0), press=True)
    s.shot("sure")
    d.key("Escape")
    s.let_go()
    s.clear()
    d.key("0")
    d.key("shift+t")
    for _ in range(6):
        d.key("bracketright")
    s.move((20, -30), (14, -30), (8, -30), press=True)
    s.shot("threshold")
    d.key("Escape")
    s.let_go()
    s.clear()
    d.key("1")
    d.key("shift+b")
    s.move((-30, 10), (0, 0), (50, -20), press=True)
    s.shot("model-brush")
    s.let_go()
    s.clear()

    d.key("t")
    d.until(lambda: (window.session.labels.ids != 255).all(), "taken over")
    d.key("q")
    s.move((0, 10))
    s.shot("blob")
    s.look_at(330, 155)
    d.key("shift+f")
    s.move((30, -30))
    s.shot("holes")
    d.key("shift+s")
    s.move((-30, 24))
    s.shot("specks")
    d.key("shift+w")
    s.move((0, 12), (14, 12), (30, 12), press=True)
    s.shot("grow")
    s.let_go()
    s.clear()
    d.key("b")


def main() -> int:
    """Start an X server and play the scenario in it."""
    from unet_gui.core.sample import write_sample

    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1440x900x24", "-nolisten", "tcp"], pass_fds=[write]
    )
    os.close(write)
    try:
        with os.fdopen(read) as pipe, tempfile.TemporaryDirectory() as folder:
            environment = dict(os.environ, DISPLAY=f":{pipe.readline().strip()}", QT_QPA_PLATFORM="xcb", HOME=folder)
            environment["UNET_GUI_SHOTS"] = str(ROOT / "docs" / "pictures")
            write_sample(Path(folder) / "sample")
            words = [sys.executable, "-m", "tests.e2e.driver", "docs.make_pictures:pictures", f"{folder}/sample"]
            return subprocess.run(words, cwd=ROOT, env=environment, check=False).returncode
    finally:
        server.terminate()
        server.wait(10)


if __name__ == "__main__":
    sys.exit(main())
