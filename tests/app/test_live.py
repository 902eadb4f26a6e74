"""Learning while somebody paints, with the real engine, on small pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from tests.app.kit import drag, go_to, paint, texts, truth, write_folder
from unet_gui.app import live
from unet_gui.app.main_window import MainWindow
from unet_gui.app.model_jobs import TrainJob
from unet_gui.core.geometry import Rect

SECONDS = 300_000
Open = Callable[[Path | None], MainWindow]


@pytest.fixture(autouse=True)
def short_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "FIRST_SECONDS", 1.0)
    monkeypatch.setattr(live, "LONGEST_SECONDS", 3.0)


def rounds_of(window: MainWindow) -> list[TrainJob]:
    """Keep what is trained from now on."""
    found: list[TrainJob] = []
    window.runner.started.connect(lambda job: isinstance(job.start, TrainJob) and found.append(job.start))
    return found


def said(window: MainWindow) -> str:
    return window.model_section._live_state.text()


def on_cpu(window: MainWindow) -> MainWindow:
    window.desk.shelf.set_wishes(replace(window.desk.shelf.wishes, device="cpu"))
    return window


def click(window: MainWindow) -> None:
    QTest.mouseClick(window.model_section.live_box, Qt.MouseButton.LeftButton)


def test_what_is_painted_is_learned_and_shown_until_it_is_switched_off(
    qtbot: QtBot, open_window: Open, tmp_path: Path
) -> None:
    window = on_cpu(open_window(write_folder(tmp_path / "discs", images=2)))
    rounds, progress = rounds_of(window), []
    window.desk.progressed.connect(lambda now: now is not None and progress.append(now.title))
    click(window)
    assert window.live.on
    assert window.actions_by_id["live"].isChecked()
    qtbot.waitUntil(lambda: "No image has a label yet. Paint a little of every class" in said(window), timeout=SECONDS)
    assert texts(window) == "", "it waits without complaining"
    paint(window.session, Rect(0, 0, 30, 10), 1)
    qtbot.waitUntil(lambda: "Only one class is labelled" in said(window), timeout=SECONDS)
    labels = window.session.labels
    assert labels is not None
    for class_id in (0, 1):  # strokes on both, as they are
        edit = window.session.begin_edit("brush")
        assert edit is not None
        where = truth(0)[:40] == class_id
        window.session.changed(edit.paint(Rect(0, 0, where.shape[1], 40), where, class_id))
        window.session.end_edit(edit)
    qtbot.waitUntil(lambda: window.session.prediction is not None, timeout=SECONDS)
    model = tmp_path / "discs" / ".unet-gui" / "models" / "discs-live.safetensors"
    assert window.desk.shelf.model == model
    assert window.live.on
    before = len(rounds)
    drag(window, (60, 50), (70, 50))
    qtbot.waitUntil(lambda: len(rounds) > before and not window.session.unsaved(), timeout=SECONDS)
    assert rounds[-1].config.init == model, "a round goes on from the one before, and knows what was painted"
    go_to(qtbot, window.session, 1)
    qtbot.waitUntil(lambda: window.session.prediction is not None, timeout=SECONDS)
    assert window.model_section.stop_button.isVisible()
    assert window.model_section.stop_button.text() == "Stop learning"
    assert not window.model_section.train_button.isVisible()
    QTest.mouseClick(window.model_section.stop_button, Qt.MouseButton.LeftButton)
    assert not window.live.on
    qtbot.waitUntil(lambda: not window.runner.busy, timeout=SECONDS)
    assert not window.model_section.live_box.isChecked()
    assert window.model_section.train_button.isVisible()
    assert said(window) == ""
    assert len(window.model_section.curves.loss) > 1, "the curve of all rounds stays"
    assert set(progress) <= {"Learning", "Predicting 0.png", "Predicting 1.png"}
    assert "training" not in (window.session.dataset.settings if window.session.dataset else {})


def test_it_rests_when_it_has_learned_and_goes_on_with_the_next_stroke(
    qtbot: QtBot, open_window: Open, tmp_path: Path
) -> None:
    window = on_cpu(open_window(write_folder(tmp_path / "discs", images=2, labels=1)))
    rounds = rounds_of(window)
    window.actions_by_id["live"].trigger()
    qtbot.waitUntil(lambda: "It has learned what you painted" in said(window), timeout=SECONDS)
    qtbot.waitUntil(lambda: not window.runner.busy, timeout=SECONDS)
    minutes = [round(each.config.minutes * 60, 3) for each in rounds if each.config.minutes]
    assert minutes[-1] == live.LONGEST_SECONDS
    assert minutes == sorted(minutes)
    assert window.desk.training, "it is still switched on"
    before = len(rounds)
    paint(window.session, Rect(0, 0, 5, 5), 1)
    qtbot.waitUntil(lambda: len(rounds) > before, timeout=SECONDS)
    window.actions_by_id["live"].trigger()
    assert not window.live.on
    qtbot.waitUntil(lambda: not window.runner.busy, timeout=SECONDS)
    assert not window.desk.training


def test_a_large_image_is_predicted_when_that_is_asked_for(
    qtbot: QtBot, open_window: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "LARGEST", 100)
    window = on_cpu(open_window(write_folder(tmp_path / "discs", images=2, labels=1)))
    predicted: list[str] = []
    window.runner.started.connect(lambda job: job.kind == "predict" and predicted.append(job.image))
    window.actions_by_id["live"].trigger()
    qtbot.waitUntil(lambda: "R predicts this large image" in said(window), timeout=SECONDS)
    assert not predicted
    window.actions_by_id["predict"].trigger()
    qtbot.waitUntil(lambda: window.session.prediction is not None, timeout=SECONDS)
    window.actions_by_id["live"].trigger()
    qtbot.waitUntil(lambda: not window.runner.busy, timeout=SECONDS)


def test_a_long_round_is_cut_for_a_new_stroke(
    qtbot: QtBot, open_window: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "LONGEST_SECONDS", 100.0)
    monkeypatch.setattr(live, "QUIET_MS", 10)
    window = on_cpu(open_window(write_folder(tmp_path / "discs", images=2, labels=1)))
    rounds = rounds_of(window)
    window.actions_by_id["live"].trigger()
    qtbot.waitUntil(lambda: bool(rounds), timeout=SECONDS)
    window.live._seconds = 50.0  # the next one is longer still
    qtbot.waitUntil(lambda: len(rounds) > 1 and bool(window.live._learning), timeout=SECONDS)
    assert rounds[-1].config.minutes == pytest.approx(100 / 60)
    with qtbot.waitSignal(window.runner.cancelled, timeout=SECONDS):
        paint(window.session, Rect(0, 0, 5, 5), 1)
    assert window.live.on
    qtbot.waitUntil(lambda: len(rounds) > 2, timeout=SECONDS)
    assert rounds[-1].config.minutes is not None
    assert rounds[-1].config.minutes < 0.5
    assert "stopped" not in texts(window)


def test_rounds_are_not_short_beside_the_reading_of_the_labels(
    qtbot: QtBot, open_window: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "PREPARED", 100)
    window = on_cpu(open_window(write_folder(tmp_path / "discs", images=2, labels=1)))
    rounds = rounds_of(window)
    window.actions_by_id["live"].trigger()
    qtbot.waitUntil(lambda: len(rounds) == 1 and bool(window.live._learning), timeout=SECONDS)
    least = window.live._least
    paint(window.session, Rect(0, 0, 5, 5), 1)
    qtbot.waitUntil(lambda: len(rounds) == 2, timeout=SECONDS)
    assert least > live.FIRST_SECONDS
    assert rounds[1].config.minutes == pytest.approx(least / 60)
    window.actions_by_id["live"].trigger()
    qtbot.waitUntil(lambda: not window.runner.busy, timeout=SECONDS)


def test_it_begins_with_the_model_in_use(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = on_cpu(open_window(write_folder(tmp_path / "discs", images=3, labels=2)))
    window.desk.shelf.set_wishes(replace(window.desk.shelf.wishes, minutes=0.03))
    window.actions_by_id["train"].trigger()
    assert not window.actions_by_id["live"].isEnabled(), "one training at a time"
    qtbot.waitUntil(lambda: not window.desk.training and not window.runner.busy, timeout=SECONDS)
    trained, rounds = window.desk.shelf.model, rounds_of(window)
    window.actions_by_id["live"].trigger()
    qtbot.waitUntil(lambda: bool(rounds), timeout=SECONDS)
    assert rounds[0].config.init == trained
    assert rounds[0].out != trained, "which stays"
    window.actions_by_id["stop"].trigger()
    assert not window.live.on
    qtbot.waitUntil(lambda: not window.runner.busy, timeout=SECONDS)


def test_closing_the_window_ends_it_without_a_question(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = on_cpu(open_window(write_folder(tmp_path / "discs", images=2, labels=1)))
    rounds = rounds_of(window)
    window.actions_by_id["live"].trigger()
    qtbot.waitUntil(lambda: bool(rounds), timeout=SECONDS)
    window.close()
    qtbot.waitUntil(lambda: not window.isVisible(), timeout=SECONDS)
    assert len(rounds) == 1


def test_labels_that_cannot_be_saved_end_it(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "discs", images=2)
    window = on_cpu(open_window(folder))
    (folder / "labels").write_bytes(b"in the way")
    paint(window.session, Rect(0, 0, 5, 5), 1)
    window.actions_by_id["live"].trigger()
    qtbot.waitUntil(lambda: not window.live.on, timeout=SECONDS)
    assert "could not be saved" in texts(window)
    assert not window.model_section.live_box.isChecked()
    assert not window.actions_by_id["live"].isChecked()
    (folder / "labels").unlink()


def test_a_stroke_under_way_is_not_ended_by_the_next_round(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = on_cpu(open_window(write_folder(tmp_path / "discs", images=2, labels=1)))
    rounds, canvas = rounds_of(window), window.stage.canvas
    place = canvas.to_widget(20, 20).toPoint()
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, place)
    window.actions_by_id["live"].trigger()
    qtbot.wait(3 * live.SOON_MS)
    assert canvas.is_drawing
    assert not rounds
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, place)
    qtbot.waitUntil(lambda: bool(rounds), timeout=SECONDS)
    window.actions_by_id["live"].trigger()
    qtbot.waitUntil(lambda: not window.runner.busy, timeout=SECONDS)
