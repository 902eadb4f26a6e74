"""Jobs that are stopped, or held up, between their turn and their beginning: no halves, no waiting for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from tests.app.kit import on_disk, paint, write_folder
from tests.app.test_classes_window import BAND_PIXELS, agree, ids_of, question, three_classes
from tests.app.test_waiting import LONG, Long, heard, idle, press
from unet_gui.app.jobs import Job, Turn
from unet_gui.app.main_window import MainWindow
from unet_gui.core import exchange
from unet_gui.core.errors import UserError
from unet_gui.core.geometry import Rect
from unet_gui.core.palette import ClassInfo
from unet_gui.core.project import Dataset
from unet_gui.core.relabel import relabel
from unet_gui.core.store import Encoding

Open = Callable[[Path | None], MainWindow]


@pytest.fixture
def long() -> Iterator[Long]:
    job = Long()
    yield job
    job.on.set()


class SlowDisk:
    """Labels are saved when somebody lets it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.on, self.began = threading.Event(), threading.Event()
        real = Dataset.save_label

        def save(*args: Any, **options: Any) -> None:
            self.began.set()
            assert self.on.wait(30)
            real(*args, **options)

        self.on.set()
        monkeypatch.setattr(Dataset, "save_label", save)

    def hold(self) -> None:
        self.on.clear()
        self.began.clear()


@pytest.fixture
def slow_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowDisk]:
    disk = SlowDisk(monkeypatch)
    yield disk
    disk.on.set()


def kept(folder: Path) -> list[str]:
    """What undo of classes has written: a change that was begun."""
    return [path.name for path in (folder / ".unet-gui" / "class-undo").glob("*/*")]


def band(window: MainWindow, class_id: int = 2) -> int:
    return sum(int((on_disk(window.session, n) == class_id).sum()) for n in range(2))


def test_a_removal_that_is_stopped_while_labels_are_saved_is_not_begun(
    qtbot: QtBot, open_window: Open, tmp_path: Path, slow_disk: SlowDisk
) -> None:
    window = open_window(three_classes(tmp_path / "x"))
    window.classes.remove_wanted.emit(2)
    question(qtbot, window)
    idle(qtbot, window)
    slow_disk.hold()
    paint(window.session, Rect(0, 0, 3, 3), 1)
    agree(window, "Remove")
    qtbot.waitUntil(slow_disk.began.is_set, timeout=LONG)
    window.actions_by_id["stop"].trigger()
    assert not window.runner.busy, "stopped at once"
    slow_disk.on.set()
    qtbot.waitUntil(lambda: not window.session.held, timeout=LONG)
    assert not heard(window, "Some labels")
    assert not kept(tmp_path / "x")
    assert 2 in ids_of(window)


def test_an_import_that_is_stopped_while_labels_are_saved_leaves_undo(
    qtbot: QtBot, open_window: Open, tmp_path: Path, slow_disk: SlowDisk
) -> None:
    window = open_window(three_classes(tmp_path / "x"))
    window.classes.remove_wanted.emit(2)
    question(qtbot, window)
    agree(window, "Remove")
    idle(qtbot, window)
    paint(window.session, Rect(0, 0, 3, 3), 1)
    window.session.undo()
    slow_disk.hold()
    paint(window.session, Rect(0, 0, 2, 2), 1)
    window.session.undo()
    (tmp_path / "in").mkdir()
    before = window.class_desk.changes.undo_text
    assert before
    window.exchange.import_labels("masks", tmp_path / "in", {})
    qtbot.waitUntil(slow_disk.began.is_set, timeout=LONG)
    window.actions_by_id["stop"].trigger()
    slow_disk.on.set()
    idle(qtbot, window)
    assert window.class_desk.changes.undo_text == before


@pytest.mark.parametrize("what", ["count", "relabel", "encoding"])
def test_what_is_not_changed_as_a_label_cannot_be_saved_is_told(
    qtbot: QtBot, open_window: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    window = open_window(three_classes(tmp_path / "x"))
    if what == "relabel":
        window.classes.remove_wanted.emit(2)
        question(qtbot, window)
        idle(qtbot, window)
    real = Dataset.save_label

    def full(*_args: Any, **_options: Any) -> None:
        raise UserError("There is no space left on the disk.")

    monkeypatch.setattr(Dataset, "save_label", full)
    paint(window.session, Rect(0, 0, 3, 3), 1)
    if what == "relabel":
        agree(window, "Remove")
    elif what == "count":
        window.classes.remove_wanted.emit(2)
    else:
        window.exchange.set_encoding(Encoding("binary"))
    said = "Labels are stored as before" if what == "encoding" else "Classes and labels are as before"
    qtbot.waitUntil(lambda: heard(window, said), timeout=LONG)
    assert heard(window, "no space left")
    assert 2 in ids_of(window)
    monkeypatch.setattr(Dataset, "save_label", real)
    window.classes.remove_wanted.emit(2)
    question(qtbot, window)
    idle(qtbot, window)
    agree(window, "Remove")
    qtbot.waitUntil(lambda: 2 not in ids_of(window), timeout=LONG)
    assert not heard(window, "Classes and labels are as before"), "it is over"


PART = {
    "index": "Stopped: 2 of 4 images are exported to “{out}”, the rest is not. Export again with “Replace files",
    "csv": "Exporting was stopped; nothing has been written.",
    "masks": "Stopped: 2 of 4 masks are in “{out}”, the rest is not.",
    "import": "Stopped: labels of 2 images are imported, the others are as before.",
}


@pytest.mark.parametrize("what", PART)
def test_what_there_is_of_something_that_was_stopped_is_told(
    qtbot: QtBot, open_window: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    folder, out = write_folder(tmp_path / "x", images=4, labels=4), tmp_path / "out"
    if what == "import":
        folder = write_folder(tmp_path / "y", images=4)
        out = tmp_path / "x" / "labels"
    window = open_window(folder)
    on, began, calls = threading.Event(), threading.Event(), iter(range(9))
    name = "_import_one" if what == "import" else "mask_of"
    real = getattr(exchange, name)

    def slowly(*args: Any) -> Any:
        if next(calls) == 1:
            began.set()
            assert on.wait(30)
        return real(*args)

    monkeypatch.setattr(exchange, name, slowly)
    if what == "import":
        window.exchange.import_labels("index", out, {})
    elif what == "masks":
        window.desk.save_masks(tuple(window.images.model.everything()), out)
    else:
        window.exchange.export(what, out, {})
    qtbot.waitUntil(began.is_set, timeout=LONG)
    window.actions_by_id["stop"].trigger()
    on.set()
    idle(qtbot, window)
    assert heard(window, PART[what].format(out=out))
    if what in ("index", "masks"):
        assert sorted(path.name for path in out.iterdir()) == ["0.png", "1.png"]


def test_closing_begins_nothing_that_waited(
    qtbot: QtBot, open_window: Open, tmp_path: Path, slow_disk: SlowDisk
) -> None:
    window = open_window(three_classes(tmp_path / "x"))
    window.classes.remove_wanted.emit(2)
    question(qtbot, window)
    idle(qtbot, window)
    slow_disk.hold()
    paint(window.session, Rect(0, 0, 3, 3), 1)
    window.exchange.export("tiff", tmp_path / "out", {})
    qtbot.waitUntil(slow_disk.began.is_set, timeout=LONG)
    agree(window, "Remove")
    threading.Timer(0.05, slow_disk.on.set).start()  # the window waits for the disk when it closes
    window.leave()
    qtbot.waitUntil(lambda: not window.isVisible(), timeout=LONG)
    assert not kept(tmp_path / "x"), "the next start would say that the program ended in the middle"


def test_what_cannot_be_prepared_fails_and_the_next_one_runs(
    qtbot: QtBot, open_window: Open, tmp_path: Path, long: Long
) -> None:
    window = open_window(three_classes(tmp_path / "x"))

    def prepare(turn: Turn) -> None:
        raise OSError("no such disk")

    failed = []
    window.runner.failed.connect(lambda job, error: failed.append(error.text))
    window.runner.submit(Job("masks", "Saving masks", lambda: iter(()), prepare=prepare))  # type: ignore[arg-type, return-value]
    assert failed == ["The job stopped: no such disk"]
    assert not window.runner.busy
    long.begin(window)
    qtbot.waitUntil(lambda: window.runner.current is not None, timeout=LONG)


def test_an_export_waits_for_a_correction_of_the_whole_image(
    qtbot: QtBot, open_window: Open, tmp_path: Path, long: Long
) -> None:
    window = open_window(three_classes(tmp_path / "x"))
    long.begin(window, "train", "Training")
    window.exchange.export("tiff", tmp_path / "out", {})
    go = threading.Event()

    def patches(_ids: np.ndarray) -> Iterator[tuple[Rect, np.ndarray, None]]:
        assert go.wait(30)
        yield Rect(0, 0, 5, 5), np.full((5, 5), 1, np.uint8), None

    assert window.whole._start("Fill", patches)
    long.on.set()
    qtbot.waitUntil(lambda: [job.kind for job in window.runner.pending()] == ["exchange"], timeout=LONG)
    go.set()
    idle(qtbot, window)
    assert len(list((tmp_path / "out").glob("*.tif"))) == 2
    assert not heard(window, "try again")


def test_two_interrupted_changes_are_gone_on_with_one_by_one(
    qtbot: QtBot, open_window: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = open_window(three_classes(tmp_path / "x"))
    window.session.set_classes([*window.session.classes, ClassInfo(3, "dot", "#123456")])
    paint(window.session, Rect(40, 40, 5, 5), 3)
    begun, on = threading.Event(), threading.Event()

    def slowly(*args: Any) -> None:
        relabel(*args)
        begun.set()
        assert on.wait(30)

    monkeypatch.setattr("unet_gui.app.model_jobs.relabel", slowly)
    for class_id in (2, 3):
        begun.clear()
        on.clear()
        window.classes.remove_wanted.emit(class_id)
        question(qtbot, window)
        agree(window, "Remove")
        qtbot.waitUntil(begun.is_set, timeout=LONG)
        window.actions_by_id["stop"].trigger()
        on.set()
        idle(qtbot, window)
    said = [message for message in window.stage.messages.messages if "Some labels" in message.text]
    assert ["band" in message.text for message in said] == [True, False]
    assert "dot" in said[1].text
    before = band(window, 2)
    assert 0 < before < BAND_PIXELS
    press(window, "Go on")  # the last one
    idle(qtbot, window)
    assert band(window, 3) == 0
    assert 3 not in ids_of(window)
    assert band(window, 2) == before, "that was another change"


def test_an_undo_that_waits_and_is_none_any_more_is_told(
    qtbot: QtBot, open_window: Open, tmp_path: Path, long: Long
) -> None:
    window = open_window(three_classes(tmp_path / "x"))
    window.classes.remove_wanted.emit(2)
    question(qtbot, window)
    agree(window, "Remove")
    idle(qtbot, window)
    long.begin(window)
    window.actions_by_id["undo"].trigger()
    window.classes.renamed.emit(1, "nucleus")
    long.on.set()
    idle(qtbot, window)
    assert heard(window, "was not done")
    assert ids_of(window) == [0, 1]
