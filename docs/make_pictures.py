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

    d.ui(lambda: window.desk.set_wishes(replace(window.desk.wishes, minutes=1.0)))
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
    d.shot("window")
    d.key("t")
    d.until(lambda: (window.session.labels.ids != 255).all(), "taken over")
    d.key("0")
    stroke(d, (150, 60), (180, 100), (175, 150))
    d.shot("correct")
    d.key("ctrl+z")
    d.key("ctrl+z")
    idle(d)


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
