"""The program as it is started: what is imported, faults, the sample, recovery, two windows on one folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from tests.app.kit import write_folder
from unet_gui.app import application, theme
from unet_gui.app.folder_desk import sample_folder
from unet_gui.app.main_window import MainWindow
from unet_gui.app.settings import Settings

_START = """
import sys
from PySide6.QtCore import QTimer
from unet_gui.app import application
{before}
class Watched(application.MainWindow):
    def __init__(self, settings):
        super().__init__(settings)
        self.watch = QTimer(self)
        self.watch.timeout.connect(self.look)
        self.watch.start(5)
    def look(self):
        if {condition}:
            self.watch.stop()
            {then}
            self.close()
application.MainWindow = Watched
code = application.run({arguments})
print("exit", code, sys.getswitchinterval() <= 0.0011)
"""


def start(arguments: str, condition: str, then: str, home: Path, before: str = "") -> subprocess.CompletedProcess[str]:
    """Run the real program until a condition holds, do something, close it."""
    code = _START.format(arguments=arguments, condition=condition, then=then, before=before)
    environment = {
        **os.environ,
        "QT_QPA_PLATFORM": "offscreen",
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_DATA_HOME": str(home / "data"),
        "HOME": str(home),
    }
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=600, check=False
    )


_OPEN = "self.session.document is not None and self.stage.canvas.is_complete"


def test_closed_while_a_folder_is_being_opened_it_ends(tmp_path: Path) -> None:
    """It must not open the folder then: nobody would give it back."""
    folder = write_folder(tmp_path / "x")
    before = """
import threading
from unet_gui.app import reader
begun, going = threading.Event(), threading.Event()
real = reader.open_folder
def slow(*arguments, **named):
    begun.set()
    assert going.wait(60)
    return real(*arguments, **named)
reader.open_folder = slow
"""
    done = start(repr(str(folder)), "begun.is_set()", "going.set()", tmp_path / "home", before)
    assert done.returncode == 0, done.stderr
    assert "exit 0" in done.stdout
    assert not (folder / ".unet-gui" / "lock").exists()


def test_the_window_shows_before_torch_is_imported(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x")
    heavy = ["torch", "pyqtgraph", "skimage", "tifffile", "safetensors", "matplotlib", "scipy"]
    then = f"print([name for name in {heavy!r} if name in sys.modules])"
    done = start(repr(str(folder)), _OPEN, then, tmp_path)
    assert done.stdout.splitlines() == ["[]", "exit 0 True"], done.stderr


def test_opencv_imported_first_does_not_keep_qt_from_starting(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x")
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "HOME": str(tmp_path)}
    code = (
        "from unet_gui.core.cv import cv2; import os; print(os.environ.get('QT_QPA_PLATFORM_PLUGIN_PATH'));"
        f"from unet_gui.core.images import open_image; open_image({str(folder / '0.png')!r}).read();"
        "from PySide6.QtWidgets import QApplication; app = QApplication([]); print(app.platformName())"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["None", "offscreen"], done.stderr


def test_demo_makes_the_sample_among_the_person_s_data_and_shows_the_guide(tmp_path: Path) -> None:
    then = "print(self.guides.guide is not None and self.guides.guide.isVisible(), len(self.session.dataset.images))"
    done = start("None, demo=True", f"{_OPEN} and self.guides.guide is not None", then, tmp_path)
    assert done.stdout.splitlines() == ["True 24", "exit 0 True"], done.stderr
    sample = tmp_path / "data" / "unet-gui" / "sample"
    assert (sample / "image" / "00.png").is_file()
    before = {path: path.stat().st_mtime_ns for path in sample.rglob("*.png")}
    done = start("None, demo=True", _OPEN, "pass", tmp_path)
    assert done.returncode == 0
    assert {path: path.stat().st_mtime_ns for path in sample.rglob("*.png")} == before, "work on it stays"


def test_the_sample_is_not_written_over_something_else(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "thesis.txt").write_text("years of work")
    then = "print(self.start.messages.messages[0].text)"
    done = start(f"{str(taken)!r}, demo=True", "self.start.messages.messages", then, tmp_path)
    assert "not empty" in done.stdout, done.stderr
    assert [path.name for path in taken.iterdir()] == ["thesis.txt"]


def test_a_fault_in_a_slot_is_a_message_and_the_window_lives(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x")
    before = "import builtins; builtins.step = 0"
    condition = f"{_OPEN} and self.fault()"
    extra = """
def fault(self):
    if builtins.step == 0:
        builtins.step = 1
        QTimer.singleShot(0, lambda: 1 / 0)
    return bool(self.stage.messages.messages)
application.MainWindow.fault = fault
"""
    then = "m = self.stage.messages.messages[0]; print(m.kind, 'ZeroDivisionError' in m.details, self.isVisible())"
    done = start(repr(str(folder)), condition, then, tmp_path, before + extra)
    assert done.stdout.splitlines()[0] == "error True True", done.stderr


def test_a_folder_that_is_gone_leaves_the_start_page(tmp_path: Path) -> None:
    then = "print(self.start.isVisible(), 'not there' in self.start.messages.messages[0].text)"
    done = start(repr(str(tmp_path / "gone")), "self.start.messages.messages", then, tmp_path)
    assert done.stdout.splitlines()[0] == "True True", done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_an_interrupt_closes_the_window_when_what_runs_at_the_moment_is_over(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x")
    before = "from unet_gui.app.jobs import Job; from unet_gui.engine.events import TICK; import os, signal"
    then = (
        "self.runner.submit(Job('train', 'Training', lambda: (TICK for _ in iter(int, 1))))\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "            print('went on', self.isVisible())\n"
        "            return"
    )
    done = start(repr(str(folder)), _OPEN, then, tmp_path, before)
    assert done.stdout.splitlines() == ["went on True", "exit 0 True"], done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is POSIX")
def test_strokes_of_a_killed_window_are_offered_at_the_next_start(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x")
    die = (
        "self.session.autosave = False\n"
        "            e = self.session.begin_edit('brush'); e.paint(__import__('unet_gui.core.geometry').core.geometry."
        "Rect(0, 0, 9, 9), None, 1); self.session.end_edit(e)\n"
        "            self.session.folder.journal.flush(); import os; os.kill(os.getpid(), 9)"
    )
    killed = start(repr(str(folder)), _OPEN, die, tmp_path)
    assert killed.returncode == -9, killed.stderr
    then = (
        "m = [m for m in self.stage.messages.messages if m.topic == 'recovery'][0]\n"
        "            print(m.text); [o for o in m.offers if o.text == 'Bring them back'][0].act()"
    )
    done = start(repr(str(folder)), _OPEN, then, tmp_path)
    assert "0.png" in done.stdout, done.stderr
    assert (folder / "labels" / "0.png").is_file(), "brought back before the window closed"


def test_the_second_window_on_a_folder_looks_only(qtbot: QtBot, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x")
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    theme.apply(app, theme.DARK)
    window = MainWindow(Settings())
    window.show()
    window.open_path(folder)
    qtbot.waitUntil(lambda: window.session.document is not None, timeout=20_000)
    then = (
        "print([m.text for m in self.stage.messages.messages][0]); print([o.text for m in self.stage.messages.messages"
        " for o in m.offers]); print(self.session.begin_edit('brush'))"
    )
    done = start(repr(str(folder)), _OPEN, then, tmp_path)
    window.close()
    lines = done.stdout.splitlines()
    assert "Opened to look only" in lines[0], done.stderr
    assert "another window" in lines[0]
    assert "Keep labels elsewhere…" in lines[1]
    assert lines[2] == "None"


def test_the_sample_s_place_is_the_person_s_data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if sys.platform.startswith("linux"):
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
        assert sample_folder() == tmp_path / "unet-gui" / "sample"
    assert sample_folder().name == "sample"


def test_the_application_is_made_once(qtbot: QtBot) -> None:
    assert application.make_application() is QApplication.instance()
