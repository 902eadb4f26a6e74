"""What has to wait for something else: it is seen, and done to what there is when its turn comes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QDialogButtonBox, QPushButton
from pytestqt.qtbot import QtBot

from tests.app.kit import drag, on_disk, paint, truth, write_folder
from tests.app.test_classes_window import BAND_PIXELS, agree, ids_of, names_of, question, three_classes
from unet_gui.app.jobs import Job
from unet_gui.app.main_window import MainWindow
from unet_gui.core import exchange, png
from unet_gui.core.geometry import Rect
from unet_gui.core.images import ImageRef
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.project import Dataset
from unet_gui.core.store import read_raw
from unet_gui.engine.events import TICK

Open = Callable[[Path | None], MainWindow]
LONG = 20_000


class Long:
    """A job that runs until it is let go."""

    def __init__(self) -> None:
        self.on = threading.Event()

    def run(self) -> Generator[Any, None, None]:
        while not self.on.is_set():
            yield TICK

    def begin(self, window: MainWindow, kind: str = "segment", title: str = "Segmenting") -> Job:
        return window.runner.submit(Job(kind, title, self.run))


@pytest.fixture
def long() -> Iterator[Long]:
    job = Long()
    yield job
    job.on.set()


def waits(window: MainWindow) -> list[str]:
    return [m.text for m in window.stage.messages.messages if m.topic.startswith("waits")]


def heard(window: MainWindow, text: str) -> bool:
    return any(text in message.text for message in window.stage.messages.messages)


def press(window: MainWindow, text: str) -> None:
    """Press a button of a message."""
    found = [each for each in window.stage.messages.findChildren(QPushButton) if each.text() == text]
    QTest.mouseClick(found[-1], Qt.MouseButton.LeftButton)


def idle(qtbot: QtBot, window: MainWindow) -> None:
    qtbot.waitUntil(lambda: not window.runner.busy and window.session.document is not None, timeout=LONG)


def test_a_class_is_removed_after_what_runs_with_what_was_painted_meanwhile(
    qtbot: QtBot, open_window: Open, tmp_path: Path, long: Long
) -> None:
    window = open_window(three_classes(tmp_path / "x"))
    long.begin(window)
    window.classes.remove_wanted.emit(2)
    assert waits(window) == ["Next: counting pixels of “band”. It begins when “Segmenting” is done."]
    press(window, "Cancel")
    assert not waits(window)
    assert [job.kind for job in window.runner.pending()] == ["segment"]
    window.classes.remove_wanted.emit(2)
    paint(window.session, Rect(50, 40, 5, 5), 2)
    window.classes.renamed.emit(1, "nucleus")
    assert "nucleus" in names_of(window), "the list can be changed meanwhile"
    long.on.set()
    assert f"{BAND_PIXELS + 25} pixels in 2 images" in question(qtbot, window)
    assert not waits(window)
    again = Long()
    again.begin(window, "masks", "Saving masks")
    agree(window, "Remove")
    assert waits(window) == ["Next: remove the class “band”. It begins when “Saving masks” is done."]
    drag(window, (20, 30), (40, 30))
    assert window.session.labels is not None
    painted = window.session.labels.ids.copy()
    assert ids_of(window) == [0, 1, 2]
    again.on.set()
    qtbot.waitUntil(lambda: ids_of(window) == [0, 1], timeout=LONG)
    idle(qtbot, window)
    assert not waits(window)
    np.testing.assert_array_equal(on_disk(window.session, 0), np.where(painted == 2, UNLABELLED, painted))


def test_undo_of_pixels_waits_as_well_and_is_asked_once(
    qtbot: QtBot, open_window: Open, tmp_path: Path, long: Long
) -> None:
    window = open_window(three_classes(tmp_path / "x"))
    before = on_disk(window.session, 0)
    window.classes.merge_wanted.emit(2, 0)
    question(qtbot, window)
    agree(window, "Merge")
    qtbot.waitUntil(lambda: ids_of(window) == [0, 1], timeout=LONG)
    idle(qtbot, window)
    long.begin(window)
    for _ in range(2):
        QTest.keyClick(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert waits(window) == ["Next: undo merge “band” into “ground”. It begins when “Segmenting” is done."]
    press(window, "Cancel")
    assert window.actions_by_id["undo"].text() == "Undo merge “band” into “ground”", "it can be asked for again"
    QTest.keyClick(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    long.on.set()
    qtbot.waitUntil(lambda: ids_of(window) == [0, 1, 2], timeout=LONG)
    idle(qtbot, window)
    np.testing.assert_array_equal(on_disk(window.session, 0), before)


@pytest.mark.parametrize("which", ["band", "ground"])
def test_a_change_that_would_be_wrong_by_then_is_not_made(
    qtbot: QtBot, open_window: Open, tmp_path: Path, long: Long, which: str
) -> None:
    window = open_window(three_classes(tmp_path / "x"))
    before = on_disk(window.session, 0)
    window.classes.merge_wanted.emit(2, 0)
    question(qtbot, window)
    long.begin(window)
    agree(window, "Merge")
    window.session.set_classes([info for info in window.session.classes if info.name != which])
    long.on.set()
    text = f"“{which}” is no more among the classes, so this was not done: merge “band” into “ground”."
    qtbot.waitUntil(lambda: heard(window, text), timeout=LONG)
    idle(qtbot, window)
    assert not window.session.held
    label = read_raw(tmp_path / "x" / "labels" / "0.png").pixels
    np.testing.assert_array_equal(label, before)


def test_a_class_is_removed_while_a_training_runs(qtbot: QtBot, open_window: Open, tmp_path: Path, long: Long) -> None:
    """It does not wait for ten minutes."""
    window = open_window(three_classes(tmp_path / "x"))
    long.begin(window, "train", "Training")
    for _ in range(2):  # the second one behind the first
        window.classes.remove_wanted.emit(2)
    question(qtbot, window)
    assert not waits(window)
    agree(window, "Remove")
    qtbot.waitUntil(lambda: ids_of(window) == [0, 1], timeout=LONG)
    assert [job.kind for job in window.runner.pending() if not job.urgent] == ["train"]


def test_an_export_has_what_was_painted_while_it_waited(
    qtbot: QtBot, open_window: Open, tmp_path: Path, long: Long
) -> None:
    window = open_window(write_folder(tmp_path / "x", images=2, labels=2))
    window.session.autosave = False
    long.begin(window)
    window.exchange.export("index", tmp_path / "out", {"only_labels": True})
    assert waits(window) == ["Next: exporting. It begins when “Segmenting” is done."]
    paint(window.session, Rect(0, 0, 5, 5), 1)
    long.on.set()
    qtbot.waitUntil(lambda: heard(window, "2 images exported"), timeout=LONG)
    assert not waits(window)
    assert window.session.labels is not None
    out = read_raw(tmp_path / "out" / "0.png").pixels
    np.testing.assert_array_equal(out, window.session.labels.ids)


def test_an_export_without_the_class_that_was_chosen(
    qtbot: QtBot, open_window: Open, tmp_path: Path, long: Long
) -> None:
    window = open_window(three_classes(tmp_path / "x"))
    long.begin(window)
    window.exchange.export("binary", tmp_path / "out", {"foreground": "2"})
    window.session.set_classes(window.session.classes[:2])
    long.on.set()
    text = "“band” is no more among the classes, so nothing was exported."
    qtbot.waitUntil(lambda: heard(window, text), timeout=LONG)
    assert not (tmp_path / "out").exists()


def test_an_import_waits_and_replaces_nothing_that_was_painted_meanwhile(
    qtbot: QtBot, open_window: Open, tmp_path: Path, long: Long
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for n in range(2):
        (source / f"{n}.png").write_bytes(png.encode(truth(n)))
    window = open_window(write_folder(tmp_path / "x", images=2))
    window.session.autosave = False
    long.begin(window)
    window.exchange.import_labels("index", source, {})
    window.exchange.import_labels("index", source, {})
    assert len(waits(window)) == 2
    press(window, "Cancel")
    assert waits(window) == ["Next: importing. It begins when “Segmenting” is done."]
    assert not window.session.held, "people paint until it begins"
    paint(window.session, Rect(0, 0, 5, 5), 1)
    long.on.set()
    qtbot.waitUntil(lambda: heard(window, "Labels of 1 image imported."), timeout=LONG)
    idle(qtbot, window)
    assert not window.session.held
    label, other = on_disk(window.session, 0), on_disk(window.session, 1)
    assert label is not None
    assert (label == 1).sum() == 25
    np.testing.assert_array_equal(other, truth(1))


def test_the_way_labels_are_stored_changes_when_an_export_has_ended(
    qtbot: QtBot, open_window: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_folder(tmp_path / "x", images=3)
    (folder / "labels").mkdir()
    for n in range(3):
        (folder / "labels" / f"{n}.png").write_bytes(png.encode(truth(n) * np.uint8(255)))
    window = open_window(folder)
    begun, on = threading.Event(), threading.Event()
    plain = exchange.mask_of

    def slowly(dataset: Dataset, ref: ImageRef) -> np.ndarray:
        label = plain(dataset, ref)
        begun.set()
        assert on.wait(20)
        return label

    monkeypatch.setattr(exchange, "mask_of", slowly)
    window.exchange.export("index", tmp_path / "out", {})
    qtbot.waitUntil(begun.is_set, timeout=LONG)
    assert window.session.dataset is not None
    assert window.session.dataset.encoding.kind == "binary"
    window.dialogs.encoding()
    dialog = window.dialogs._open["encoding"]
    dialog._kind.setCurrentIndex(dialog._kind.findData("index"))  # type: ignore[attr-defined]
    dialog.buttons.button(QDialogButtonBox.StandardButton.Ok).click()  # type: ignore[attr-defined]
    assert waits(window) == ["Next: changing how labels are stored. It begins when “Exporting” is done."]
    window.exchange.export("index", tmp_path / "again", {})
    assert window.session.dataset.encoding.kind == "binary"
    on.set()
    qtbot.waitUntil(lambda: heard(window, "again"), timeout=LONG)
    idle(qtbot, window)
    assert window.session.dataset.encoding.kind == "index"
    for n in range(3):
        out = read_raw(tmp_path / "out" / f"{n}.png").pixels
        np.testing.assert_array_equal(out, truth(n), "one encoding for all of it")
    assert (read_raw(tmp_path / "again" / "0.png").pixels == UNLABELLED).any(), "255 means that now"


def test_segmenting_that_was_stopped_while_it_waited_has_not_begun(
    qtbot: QtBot, open_window: Open, tmp_path: Path, long: Long
) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    long.begin(window, "train", "Training")
    window.runner.submit(Job("segment", "Segmenting", long.run))
    assert waits(window) == ["Next: segmenting. It begins when “Training” is done."]
    press(window, "Cancel")
    assert heard(window, "Segmenting was stopped before it began")
    assert not heard(window, "goes on where it stopped")


@pytest.mark.parametrize("behind", [True, False])
def test_stop_training_stops_nothing_else(
    qtbot: QtBot, open_window: Open, tmp_path: Path, long: Long, behind: bool
) -> None:
    window = open_window(write_folder(tmp_path / "x", labels=1))
    kinds = {"segment": "Segmenting", "train": "Training"}
    for kind in kinds if behind else reversed(kinds):
        long.begin(window, kind, kinds[kind])
    window.desk.training_changed.emit(True)
    qtbot.waitUntil(lambda: bool(window.runner.running), timeout=LONG)
    stop = window.model_section.stop_button
    assert (stop.text(), "alone" in stop.toolTip()) == ("Stop training", True)
    stop.click()
    qtbot.waitUntil(lambda: not window.desk.training, timeout=LONG)
    assert [job.kind for job in window.runner.pending()] == ["segment"]
    assert not window.runner.pending()[0].stop.is_set()


def test_all_that_is_waited_for_is_named(open_window: Open, tmp_path: Path, long: Long) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    for kind, title in {"train": "Training", "segment": "Segmenting", "masks": "Saving masks"}.items():
        long.begin(window, kind, title)
    assert waits(window)[1] == "Next: saving masks. It begins when “Training” and “Segmenting” are done."
