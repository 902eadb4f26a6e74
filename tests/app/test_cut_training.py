"""A training that was killed: the next start says so, once, and goes on with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from tests.app.kit import write_folder
from tests.app.test_waiting import Long
from unet_gui.app import cut_training, words
from unet_gui.app.main_window import MainWindow
from unet_gui.app.messages import Message
from unet_gui.app.words import CUT
from unet_gui.core.project import Dataset
from unet_gui.engine.recipe import TrainConfig

Open = Callable[[Path | None], MainWindow]
SECONDS = 300_000
LIFE = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from PySide6.QtWidgets import QApplication
from unet_gui.app.main_window import MainWindow
from unet_gui.app.settings import Settings

app = QApplication([])
window = MainWindow(Settings())

def train():
    window.desk.shelf.set_wishes(replace(window.desk.shelf.wishes, minutes=60.0, device="cpu"))
    window.desk.train()

window.session.image_changed.connect(train)
window.desk.loss_known.connect(lambda *_: os.kill(os.getpid(), signal.SIGKILL))
window.open_path(Path(sys.argv[1]))
app.exec()
"""


def told(window: MainWindow) -> list[Message]:
    return [message for message in window.stage.messages.messages if message.topic == CUT]


def take(window: MainWindow, offer: str) -> None:
    (message,) = told(window)
    next(each for each in message.offers if each.text == offer).act()


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_killed_window_tells_at_the_next_start(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x", labels=4)
    killed = subprocess.run([sys.executable, "-c", LIFE, str(folder)], check=False)
    assert killed.returncode == -signal.SIGKILL
    window = open_window(folder)
    (message,) = told(window)
    assert message.text == "The training of x-1 was interrupted before anything of it was kept."
    window.session.close_folder()
    window.open_path(folder)
    qtbot.waitUntil(lambda: window.session.document is not None, timeout=SECONDS)
    take(window, "Leave it")
    window.session.close_folder()
    window.stage.messages.clear()
    window.open_path(folder)
    qtbot.waitUntil(lambda: window.session.document is not None, timeout=SECONDS)
    assert not told(window)


def test_it_goes_on_where_it_was(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    from unet_gui.engine.checkpoint import load_checkpoint
    from unet_gui.engine.train import train

    folder = write_folder(tmp_path / "x", labels=4)
    dataset = Dataset.open(folder)
    out = dataset.state_dir / "models" / "x-1.safetensors"
    config = TrainConfig(steps=12, device="cpu", logs=False)
    cut_training.note(dataset, out, config)
    dataset.save()
    events = train(dataset, out, config)
    list(takewhile(lambda event: getattr(event, "step", 0) < 6, events))
    events.close()
    stopped_at = load_checkpoint(out.with_name(out.name + ".checkpoint"))["clock"]["step"]
    assert 0 < stopped_at < 12
    window = open_window(folder)
    (message,) = told(window)
    assert message.text.startswith("The training of x-1 was interrupted ")  # how soon depends on the machine
    assert message.text.endswith("can be used.")
    steps: list[int] = []
    window.runner.progressed.connect(lambda _job, event: steps.append(getattr(event, "step", stopped_at)))
    take(window, "Go on")
    qtbot.waitUntil(lambda: window.desk.training, timeout=SECONDS)
    qtbot.waitUntil(lambda: not window.runner.busy, timeout=SECONDS)
    assert min(steps) >= stopped_at, "it did not begin anew"
    assert load_checkpoint(out.with_name(out.name + ".checkpoint"))["clock"]["step"] == 12
    assert window.desk.shelf.model == out
    assert not told(window)
    assert cut_training.found(Dataset.open(folder)) is None


def test_one_that_was_stopped_says_nothing(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x", labels=4)
    window = open_window(folder)
    window.desk.train()
    qtbot.waitUntil(lambda: bool(window.model_section.curves.loss), timeout=SECONDS)
    assert cut_training.found(Dataset.open(folder)) is not None
    window.desk.stop()
    qtbot.waitUntil(lambda: not window.runner.busy, timeout=SECONDS)
    assert cut_training.found(Dataset.open(folder)) is None


def test_what_was_cut_twice_ran_as_long_as_both_times(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x", labels=4)
    dataset = Dataset.open(folder)
    out = dataset.state_dir / "models" / "x-1.safetensors"
    cut_training.note(dataset, out, TrainConfig(minutes=60, device="cpu"))
    dataset.settings[cut_training.TRAINING]["begun"] -= 3600
    dataset.save()
    kept = out.with_name(out.name + ".checkpoint")
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"")
    at = dataset.settings[cut_training.TRAINING]["begun"] + 8 * 60
    os.utime(kept, (at, at))
    window = open_window(folder)
    assert [message.text for message in told(window)] == ["The training of x-1 was interrupted after 8 minutes."]
    noted: list[object] = []
    window.runner.queued.connect(lambda _job: noted.append(cut_training.found(Dataset.open(folder))))
    take(window, "Go on")
    qtbot.waitUntil(lambda: bool(noted), timeout=SECONDS)
    qtbot.waitUntil(lambda: not window.runner.busy, timeout=SECONDS)  # there is nothing in what was kept
    (again,) = noted
    assert isinstance(again, cut_training.CutTraining)
    assert again.minutes == pytest.approx(8, abs=0.01), "killed again at once: that is not its first minute"


def cut_one(folder: Path) -> Path:
    """A training of some minutes that was cut, and has left a model."""
    dataset = Dataset.open(write_folder(folder, labels=4))
    out = dataset.state_dir / "models" / "x-1.safetensors"
    cut_training.note(dataset, out, TrainConfig(minutes=60, device="cpu"), 8.0)
    dataset.save()
    out.parent.mkdir(parents=True)
    for path in (out, out.with_name(out.name + ".checkpoint")):
        path.write_bytes(b"")
    return folder


def test_one_that_is_taken_out_of_the_queue_can_be_gone_on_with_later(
    qtbot: QtBot, open_window: Open, tmp_path: Path
) -> None:
    folder = cut_one(tmp_path / "x")
    window = open_window(folder)
    long = Long()
    long.begin(window)
    take(window, "Go on")
    (job,) = window.runner.pending("train")
    assert not told(window)
    window.runner.cancel(job)
    assert [each.text for each in told(window)[0].offers] == ["Go on", "Leave it"]
    assert any("stopped before it began to learn" in each.text for each in window.stage.messages.messages)
    assert cut_training.found(Dataset.open(folder)) is not None, "the next start offers it, too"
    long.on.set()
    qtbot.waitUntil(lambda: not window.runner.busy, timeout=SECONDS)


def test_one_that_cannot_go_on_at_the_moment_is_offered_again(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(cut_one(tmp_path / "x"))
    window.session.held = "Labels are being imported; try again in a moment."
    take(window, "Go on")
    assert not window.desk.training
    assert [each.text for each in told(window)[0].offers] == ["Go on", "Leave it"]
    window.session.held = ""


@pytest.mark.parametrize(
    ("minutes", "when"), [(0.2, "in its first minute"), (1.2, "after 1 minute"), (3.0, "after 3 minutes")]
)
def test_when_it_was_cut_is_said(tmp_path: Path, minutes: float, when: str) -> None:
    cut = cut_training.CutTraining(tmp_path / "x-1.safetensors", TrainConfig(), minutes)
    said = words.training_cut(cut, lambda: None, lambda: None)
    assert said.text == f"The training of x-1 was interrupted {when}."
