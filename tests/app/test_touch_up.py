"""The meter, the model desk without jobs, and deeds on labels that are not covered through the window."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QThread
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from tests.app.conftest import Open
from tests.app.kit import SHAPE, go_to, open_session, paint, saved, truth, write_folder
from unet_gui.app import meter as meter_module
from unet_gui.app.chores import Chores
from unet_gui.app.jobs import JobRunner
from unet_gui.app.messages import Message
from unet_gui.app.meter import Meter
from unet_gui.app.model_desk import ModelDesk
from unet_gui.app.model_jobs import RelabelJob
from unet_gui.app.panels.model import ProgressSection
from unet_gui.app.session import Session
from unet_gui.app.touch_up import TouchUp
from unet_gui.core.geometry import Rect
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.project import Dataset


def predict(qtbot: QtBot, session: Session, index: int, ids: np.ndarray) -> None:
    """Let a model have said this about an image."""
    dataset = session.dataset
    assert dataset is not None
    ref = dataset.images[index]
    dataset.save_prediction(ref, ids.astype(np.uint8))
    session.on_predicted(ref.key, fresh=True)
    if session.key == ref.key:
        qtbot.waitUntil(lambda: session.prediction is not None and np.array_equal(session.prediction, ids))


@contextmanager
def metered(qtbot: QtBot, folder: Path) -> Iterator[tuple[Session, ProgressSection, Meter, TouchUp]]:
    """Open a folder whose finished labels are compared with what the model had said."""
    section = ProgressSection()
    qtbot.addWidget(section)
    with open_session(qtbot, folder) as (session, _):
        meter = Meter(session, section)
        touch_up = TouchUp(session, lambda: None, lambda: [])
        touch_up.finished.connect(meter.on_finished)
        yield session, section, meter, touch_up
        meter.close()
        touch_up.close()


def test_the_meter_compares_what_the_model_said_before_with_the_finished_label(qtbot: QtBot, tmp_path: Path) -> None:
    with metered(qtbot, write_folder(tmp_path / "x")) as (session, section, _meter, touch_up):
        predicted = np.zeros(SHAPE, np.uint8)
        predicted[:, 40:] = 1
        predict(qtbot, session, 0, predicted)
        paint(session, Rect(40, 0, 20, 60), 0)  # the person corrects a quarter
        touch_up.done()
        qtbot.waitUntil(lambda: not section.isHidden())
        shown = {name.text(): value.text() for name, value in section._rows}
        assert shown["Pixels you changed"] == "25.0\xa0%"
        assert shown["Dice object"] == f"{2 * 20 / (20 + 40):.2f}"
        kept = session.dataset.settings["meter"] if session.dataset else {}
        assert [row["key"] for row in kept["rows"]] == ["0.png"]


@pytest.mark.parametrize("looked", [True, False])
def test_what_is_accepted_unseen_is_no_agreement(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looked: bool
) -> None:
    monkeypatch.setattr("unet_gui.app.meter.LOOK", 0.0 if looked else math.inf)
    with metered(qtbot, write_folder(tmp_path / "x")) as (session, section, meter, touch_up):
        predict(qtbot, session, 0, truth(0))
        touch_up.done()
        meter._chores.close(finish=True)
        qtbot.waitUntil(lambda: bool(session.dataset and session.dataset.settings.get("meter")))
        assert section.isHidden() != looked
        assert "accept as it is counts as agreement" in section._text.text() or not looked


def test_a_prediction_made_after_labelling_does_not_count(qtbot: QtBot, tmp_path: Path) -> None:
    with metered(qtbot, write_folder(tmp_path / "x")) as (session, section, meter, touch_up):
        paint(session, Rect(0, 0, 20, 20), 1)
        saved(qtbot, session)
        predict(qtbot, session, 0, np.ones(SHAPE, np.uint8))
        touch_up.done()
        meter._chores.close(finish=True)
        assert section.isHidden(), "the model may have learned from this image"


def test_clear_is_one_step(qtbot: QtBot, tmp_path: Path) -> None:
    with open_session(qtbot, write_folder(tmp_path / "x", labels=1)) as (session, _):
        touch_up = TouchUp(session, lambda: None, lambda: [])
        touch_up.clear()
        assert session.labels is not None
        assert (session.labels.ids == UNLABELLED).all()
        session.undo()
        np.testing.assert_array_equal(session.labels.ids, truth(0))
        touch_up.close()


def test_done_with_everything_labelled_just_goes_on(qtbot: QtBot, tmp_path: Path) -> None:
    with open_session(qtbot, write_folder(tmp_path / "x", labels=1)) as (session, ear):
        assert session.dataset is not None
        target = session.dataset.images[2]
        touch_up = TouchUp(session, lambda: target, lambda: [])
        touch_up.done()
        qtbot.waitUntil(lambda: session.key == "2.png" and session.document is not None)
        assert not ear.messages
        touch_up.close()


def test_done_asks_where_the_prediction_says_nothing(qtbot: QtBot, tmp_path: Path) -> None:
    with open_session(qtbot, write_folder(tmp_path / "x")) as (session, ear):
        touch_up = TouchUp(session, lambda: None, lambda: [])
        finished: list[str] = []
        touch_up.finished.connect(finished.append)
        ids = np.ones(SHAPE, np.uint8)
        ids[:6] = UNLABELLED  # pixels of a class that was removed
        predict(qtbot, session, 0, ids)
        touch_up.done()
        assert session.labels is not None
        assert (session.labels.ids[6:] == 1).all()
        assert ear.heard("the prediction says nothing there")
        assert not finished
        offer = next(o for message in ear.messages for o in message.offers if o.text.startswith("Fill with"))
        document = session.document
        go_to(qtbot, session, 1)
        offer.act()
        assert session.labels is not None
        assert (session.labels.ids == UNLABELLED).all(), "it was asked about another image"
        assert ear.heard("asked about “0.png”")
        saved(qtbot, session)  # else the label is still the one in memory
        go_to(qtbot, session, 0)
        predict(qtbot, session, 0, ids)
        touch_up.done()
        offer = [o for message in ear.messages for o in message.offers if o.text.startswith("Fill with")][-1]
        assert session.document is not document
        assert session.labels is not None
        offer.act()
        assert (session.labels.ids[:6] == 0).all()
        assert finished == ["0.png"]
        touch_up.close()


def test_no_predictions_no_doubtful_places(qtbot: QtBot, tmp_path: Path) -> None:
    with open_session(qtbot, write_folder(tmp_path / "x")) as (session, ear):
        touch_up = TouchUp(session, lambda: None, lambda: [])
        touch_up.next_doubtful()
        assert ear.heard("there are none yet")
        touch_up.close()


@pytest.fixture
def desk_of(qtbot: QtBot) -> object:
    runners: list[JobRunner] = []

    def make(session: Session) -> ModelDesk:
        runners.append(JobRunner())
        return ModelDesk(session, runners[-1])

    yield make
    for runner in runners:
        runner.shutdown()


def test_names_of_models_do_not_collide(qtbot: QtBot, tmp_path: Path, desk_of) -> None:
    folder = write_folder(tmp_path / "membranes" / "train")
    (folder / ".unet-gui" / "models").mkdir(parents=True)
    (folder / ".unet-gui" / "models" / "membranes-1.safetensors").write_bytes(b"")
    with open_session(qtbot, folder) as (session, _):
        desk = desk_of(session)
        desk.shelf._on_folder()
        assert desk.shelf.new_name() == "membranes-2"
        assert desk.shelf.models[0].problem, "an empty file is listed with its problem"


def test_training_is_offered_only_where_something_is_labelled(qtbot: QtBot, tmp_path: Path, desk_of) -> None:
    folder = write_folder(tmp_path / "x", images=1)
    with open_session(qtbot, folder) as (session, _):
        desk = desk_of(session)
        said: list[Message] = []
        desk.said.connect(said.append)
        desk.predict(session.dataset.images[0])
        assert "Paint a little of every class" in said[0].text
        assert not said[0].offers, "it could only fail"
        paint(session, Rect(0, 0, 9, 9), 1)
        qtbot.waitUntil(lambda: session.folder.book.labelled)
        desk.predict(session.dataset.images[0])
        assert [offer.text for offer in said[1].offers] == ["Train now"]


def test_training_is_refused_when_a_label_cannot_be_saved(qtbot: QtBot, tmp_path: Path, desk_of) -> None:
    folder = write_folder(tmp_path / "x")
    with open_session(qtbot, folder) as (session, _):
        desk = desk_of(session)
        said: list[str] = []
        desk.said.connect(lambda message: said.append(message.text))
        (folder / "labels").write_bytes(b"in the way")
        paint(session, Rect(0, 0, 9, 9), 1)
        desk.train()
        qtbot.waitUntil(lambda: bool(said))
        assert "has not been started" in said[0]
        assert not desk.training
        (folder / "labels").unlink()


def test_relabelling_touches_only_labels_with_that_class(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x", images=3, labels=2)
    dataset = Dataset.open(folder)
    dataset.save_label(dataset.images[1], np.zeros(SHAPE, np.uint8))
    before = (folder / "labels" / "1.png").read_bytes()
    list(RelabelJob(dataset, tuple(dataset.images), 1, UNLABELLED, None)())
    label = dataset.load_label(dataset.images[0])
    assert label is not None
    np.testing.assert_array_equal(label == UNLABELLED, truth(0) == 1)
    assert (folder / "labels" / "1.png").read_bytes() == before
    assert not (folder / "labels" / "2.png").exists()


def test_chores_answer_on_the_asker_s_thread_and_errors_too(qtbot: QtBot) -> None:
    chores = Chores(2)
    done: list[tuple[object, object]] = []
    failed: list[tuple[object, str]] = []
    threads: list[QThread] = []

    def collect(tag: object, result: object) -> None:
        threads.append(QThread.currentThread())
        done.append((tag, result))

    chores.done.connect(collect)
    chores.failed.connect(lambda tag, error: failed.append((tag, str(error))))
    for n in range(5):
        chores.give(n, lambda n=n: 10 // (n - 2))
    qtbot.waitUntil(lambda: chores.waiting == 0)
    assert sorted(done) == [(0, -5), (1, -10), (3, 10), (4, 5)]
    assert failed == [(2, "integer division or modulo by zero")]
    assert set(threads) == {chores.thread()}
    chores.close()


def test_go_to_keeps_one_image_open(qtbot: QtBot, tmp_path: Path) -> None:
    with open_session(qtbot, write_folder(tmp_path / "x", images=6)) as (session, _):
        for index in (3, 1, 5, 0):
            go_to(qtbot, session, index)
            assert session.document is not None
            assert session.document.source.read(Rect(0, 0, 2, 2)).shape == (2, 2)


@pytest.mark.parametrize("gone", [False, True])
def test_what_is_offered_holds_when_the_label_was_read_again(qtbot: QtBot, tmp_path: Path, gone: bool) -> None:
    """As after an import, a change of classes or what another program has written; the class may be gone then."""
    with open_session(qtbot, write_folder(tmp_path / "x")) as (session, ear):
        touch_up = TouchUp(session, lambda: None, lambda: [])
        touch_up.done()
        offer = next(o for message in ear.messages for o in message.offers if o.text == "Fill with background")
        before = session.document
        if gone:
            session.set_classes(session.classes[1:])
        session.reopen()
        qtbot.waitUntil(lambda: session.document is not None and not session.reads_prediction)
        assert session.document is not before
        ear.messages.clear()
        offer.act()
        assert not ear.heard("asked about")
        assert session.labels is not None
        assert set(np.unique(session.labels.ids)) == ({UNLABELLED} if gone else {0})
        assert gone == any(o.text == "Fill with object" for message in ear.messages for o in message.offers)
        touch_up.close()


def test_the_meter_counts_no_image_of_the_folder_before(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, on, compare = threading.Event(), threading.Event(), meter_module._compare

    def slow(*arrays: np.ndarray) -> tuple[list[float], float]:
        begun.set()
        assert on.wait(60)
        return compare(*arrays)

    monkeypatch.setattr(meter_module, "_compare", slow)
    monkeypatch.setattr(meter_module, "LOOK", 0.0)
    with metered(qtbot, write_folder(tmp_path / "x")) as (session, section, meter, touch_up):
        predict(qtbot, session, 0, truth(0))
        touch_up.done()
        assert begun.wait(60)
        other = write_folder(tmp_path / "other")
        session.open_folder(other)
        qtbot.waitUntil(lambda: session.document is not None and session.dataset.root == other)  # type: ignore[union-attr]
        on.set()
        qtbot.waitUntil(lambda: not meter._chores.waiting)
        assert section.isHidden()
        assert session.dataset is not None
        assert "meter" not in session.dataset.settings


def test_shares_are_written_in_one_way(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    paint(window.session, Rect(0, 0, 80, 15), 1)
    window.touch_up.done()
    said = [message.text for message in window.stage.messages.messages]
    assert said[0].startswith("75\xa0% of this image is unlabelled")
    window.stage.canvas.zoom_to(2.0)
    assert window.status.zoom.text() == "200\xa0%"
    window.stage.canvas.set_tool("sure")
    assert window.stage.chips.option_chip.text() == "At least 90\xa0% sure"
    assert window.actions_by_id["actual"].text() == "100\xa0%"
    shown = {label.text() for label in window.layers.findChildren(QLabel)}
    assert {text for text in shown if "%" in text} <= {f"{n}\xa0%" for n in range(101)}


def test_the_last_image_that_is_left_partial_is_not_said_to_be_done(
    qtbot: QtBot, open_window: Open, tmp_path: Path
) -> None:
    window = open_window(write_folder(tmp_path / "x", images=1))
    window.actions_by_id["done"].trigger()
    (asked,) = window.stage.messages.messages
    next(offer for offer in asked.offers if offer.text == "Leave it partial, go on").act()
    assert window.stage.messages.messages[-1].text == "Every other image is done."
    asked.offers[1].act()  # fill it
    assert window.stage.messages.messages[-1].text == "Every image is done."


@pytest.mark.parametrize(
    "strange",
    ["x", {"rows": None, "seen": None}, {"rows": [3, {"dice": 0.5}, {"dice": {"a": None}, "wrong": 0.1}], "seen": 4}],
)
def test_agreement_noted_by_another_version_is_left_out(
    qtbot: QtBot, open_window: Open, tmp_path: Path, strange: object
) -> None:
    dataset = Dataset.open(write_folder(tmp_path / "x"))
    dataset.settings["meter"] = strange
    dataset.save()
    window = open_window(dataset.root)
    assert window.progress_section.isHidden()
    assert not window.stage.messages.messages
