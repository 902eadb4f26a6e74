"""Training and segmenting from the window with the real engine, on small pictures."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from tests.app.kit import go_to, paint, picture, texts, write_folder
from unet_gui.app.jobs import Job
from unet_gui.app.main_window import MainWindow
from unet_gui.app.model_jobs import Events, TrainJob
from unet_gui.app.settings import Settings
from unet_gui.core.geometry import Rect
from unet_gui.core.images import ImageRef
from unet_gui.core.project import Dataset
from unet_gui.engine.events import TICK
from unet_gui.engine.recipe import SegmentConfig, SegmentItem

SECONDS = 300_000
Open = Callable[[Path], MainWindow]


@pytest.fixture
def open_window(qtbot: QtBot) -> Iterator[Open]:
    windows: list[MainWindow] = []

    def make(folder: Path) -> MainWindow:
        window = MainWindow(Settings())
        windows.append(window)
        window.resize(1200, 800)
        window.show()
        window.open_path(folder)
        qtbot.waitUntil(lambda: window.session.document is not None, timeout=SECONDS)
        window.desk.shelf.set_wishes(replace(window.desk.shelf.wishes, minutes=0.04, device="cpu"))
        return window

    yield make
    for window in windows:
        window.end()
        window.close()
        window.deleteLater()


def idle(qtbot: QtBot, window: MainWindow) -> None:
    qtbot.waitUntil(lambda: not window.runner.busy, timeout=SECONDS)


@pytest.mark.parametrize("labels", [3, 0], ids=["trained", "nothing to learn from"])
def test_segment_all_waits_for_the_first_model_of_the_folder(
    qtbot: QtBot, open_window: Open, tmp_path: Path, labels: int
) -> None:
    window = open_window(write_folder(tmp_path / "x", images=3, labels=labels))
    window.actions_by_id["train"].trigger()
    qtbot.waitUntil(lambda: bool(window.runner.pending("train")))
    window.actions_by_id["segment"].trigger()
    assert "Next: segmenting. It begins when “Training” is done." in texts(window)
    idle(qtbot, window)
    assert window.session.folder is not None
    assert window.session.folder.book.predictions == labels
    assert ("There is still no model" in texts(window)) == (not labels)


def test_train_then_predict_then_segment_all(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "discs", images=5, labels=4)
    window = open_window(folder)
    losses: list[float] = []
    window.desk.loss_known.connect(lambda _seconds, loss: losses.append(loss))
    QTest.keyClick(window, Qt.Key.Key_T, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: window.desk.training)
    assert not window.model_section.train_button.isVisible()
    assert window.actions_by_id["stop"].isEnabled()
    qtbot.waitUntil(lambda: not window.desk.training, timeout=SECONDS)
    assert losses
    assert window.model_section.curves.loss
    assert window.desk.shelf.model == folder / ".unet-gui" / "models" / "discs-1.safetensors"
    assert window.model_section.combo.currentText() == "discs-1"
    assert "Training is done" in texts(window)
    idle(qtbot, window)
    # the open image has been predicted at once, so that there is something to correct
    qtbot.waitUntil(lambda: window.session.prediction is not None, timeout=SECONDS)
    assert window.session.probabilities is not None
    assert window.status.device.text() == "cpu"

    QTest.keyClick(window, Qt.Key.Key_B, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: bool(window.runner.pending("segment")))
    idle(qtbot, window)
    assert window.session.folder is not None
    assert window.session.folder.book.predictions == 5
    assert "4 images segmented, 1 was up to date" in texts(window), "the open one was predicted after the training"
    assert QApplication.activeModalWidget() is None

    out = tmp_path / "masks"
    window.desk.save_masks(tuple(window.images.model.everything()), out)
    idle(qtbot, window)
    assert sorted(path.name for path in out.iterdir()) == [f"{n}.png" for n in range(5)]
    for n in range(4):  # where the person has said everything, the mask is the label
        assert (out / f"{n}.png").read_bytes() == (folder / "labels" / f"{n}.png").read_bytes() or np.array_equal(
            Dataset.open(folder, labels=out).load_label(window.images.model.everything()[n]),
            Dataset.open(folder).load_label(window.images.model.everything()[n]),
        )


def test_masks_hold_what_was_painted_a_moment_ago(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x", images=1))
    paint(window.session, Rect(10, 10, 20, 20), 1)
    window.desk.save_masks(tuple(window.images.model.everything()), tmp_path / "masks")
    qtbot.waitUntil(lambda: (tmp_path / "masks" / "0.png").exists(), timeout=20_000)
    idle(qtbot, window)
    mask = Dataset.open(tmp_path / "x", labels=tmp_path / "masks").load_label(window.images.model.everything()[0])
    assert mask is not None
    assert (mask == 1).sum() == 400


def test_images_that_have_no_mask_have_not_failed(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x", images=3))
    refs = tuple(window.images.model.everything())
    window.desk.save_masks(refs, tmp_path / "masks")
    idle(qtbot, window)
    assert "No image of this folder has a label or a prediction. Label some, or segment" in texts(window)
    paint(window.session, Rect(10, 10, 20, 20), 1)
    window.desk.save_masks(refs, tmp_path / "masks")
    idle(qtbot, window)
    assert "2 images have neither a label nor a prediction: left out. 1 of 1 image has no prediction" in texts(window)
    assert "could not be" not in texts(window)
    assert [path.name for path in (tmp_path / "masks").iterdir()] == ["0.png"]


def test_masks_that_are_nearly_empty_are_told(qtbot: QtBot, open_window: Open, tmp_path: Path, model: Path) -> None:
    window = open_window(write_folder(tmp_path / "x", images=3, labels=1))
    refs = tuple(window.images.model.everything())
    for n in (1, 2):
        go_to(qtbot, window.session, n)
        paint(window.session, Rect(10, 10, 20, 20), 1)
    window.desk.save_masks(refs, tmp_path / "masks")
    idle(qtbot, window)
    told = "2 of 3 images have no prediction; their masks hold only what is painted."
    said = next(message for message in window.stage.messages.messages if told in message.text)
    assert said.text.startswith("The masks are in")
    assert not said.offers, "there is no model"
    window.desk.shelf.use(model)
    window.desk.save_masks(refs, tmp_path / "masks")
    idle(qtbot, window)
    said = next(message for message in window.stage.messages.messages if told in message.text)
    assert [offer.text for offer in said.offers] == ["Segment all"]
    said.offers[0].act()
    qtbot.waitUntil(lambda: window.session.folder is not None and window.session.folder.book.predictions == 3)
    idle(qtbot, window)
    window.desk.save_masks(refs, tmp_path / "masks")
    idle(qtbot, window)
    assert "no prediction" not in texts(window)


def test_the_window_and_the_command_line_segment_alike(
    qtbot: QtBot, open_window: Open, tmp_path: Path, model: Path
) -> None:
    from unet_gui.core.store import INDEX, read_label
    from unet_gui.engine.segment import segment

    folder = write_folder(tmp_path / "x", images=3)
    window = open_window(folder)
    window.desk.shelf.use(model)
    window.actions_by_id["segment"].trigger()
    idle(qtbot, window)
    items = [SegmentItem(folder / f"{n}.png", 0, tmp_path / "out" / f"{n}.png") for n in range(3)]
    list(segment(items, SegmentConfig(model=model, device="cpu")))
    dataset = window.session.dataset
    assert dataset is not None
    for n, ref in enumerate(dataset.images):
        np.testing.assert_array_equal(
            read_label(dataset.prediction_path(ref), INDEX), read_label(tmp_path / "out" / f"{n}.png", INDEX)
        )


def test_segmenting_stops_and_goes_on_where_it_stopped(
    qtbot: QtBot, open_window: Open, tmp_path: Path, model: Path
) -> None:
    folder = write_folder(tmp_path / "x", images=40, shape=(200, 200))
    window = open_window(folder)
    window.desk.shelf.use(model)
    book = window.session.folder.book if window.session.folder else None
    assert book is not None
    window.actions_by_id["segment"].trigger()
    qtbot.waitUntil(lambda: book.predictions >= 2, timeout=SECONDS)
    window.actions_by_id["stop"].trigger()
    idle(qtbot, window)
    done = book.predictions
    assert 2 <= done < 40
    assert "goes on" in texts(window)
    dataset = window.session.dataset
    assert dataset is not None
    before = {ref: _mtime(dataset.prediction_path(ref)) for ref in dataset.images}
    window.actions_by_id["segment"].trigger()
    idle(qtbot, window)
    qtbot.waitUntil(lambda: book.predictions == 40)
    kept = [ref for ref, stamp in before.items() if stamp and _mtime(dataset.prediction_path(ref)) == stamp]
    assert len(kept) >= done


def _mtime(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


def test_a_bad_image_is_named_and_the_others_are_done(
    qtbot: QtBot, open_window: Open, tmp_path: Path, model: Path
) -> None:
    folder = write_folder(tmp_path / "x", images=4)
    (folder / "2.png").write_bytes(b"\x89PNG cut off")
    window = open_window(folder)
    window.desk.shelf.use(model)
    window.actions_by_id["segment"].trigger()
    idle(qtbot, window)
    assert window.session.folder is not None
    assert window.session.folder.book.predictions == 3
    message = next(m for m in window.stage.messages.messages if m.kind == "error")
    assert message.text.startswith("1 image could not be segmented; the others are. “2.png” is ")
    assert "2.png" in message.details
    book = window.session.folder.book
    ref = window.images.model.everything()[2]
    assert book.problem(ref.key).startswith("“2.png” is ")
    window.actions_by_id["segment"].trigger()
    idle(qtbot, window)
    assert "3 images were up to date." in texts(window)
    assert "0 images" not in texts(window)
    window.desk.predict(ref)
    idle(qtbot, window)
    assert "The image could not be predicted. “2.png” is " in texts(window)
    window.actions_by_id["train"].trigger()
    idle(qtbot, window)
    assert "could not be segmented" not in texts(window), "that was about another model"


def test_images_that_fail_are_told_apart_where_folders_have_the_same_names(
    qtbot: QtBot, open_window: Open, tmp_path: Path, model: Path
) -> None:
    for part in ("a", "b"):
        write_folder(tmp_path / "x" / part, images=2)
        (tmp_path / "x" / part / "1.png").write_bytes(b"\x89PNG cut off")
        (tmp_path / "x" / "labels" / part).mkdir(parents=True)
        (tmp_path / "x" / "labels" / part / "1.png").write_bytes(b"no picture")
    window = open_window(tmp_path / "x")
    window.desk.shelf.use(model)

    def told() -> list[str]:
        idle(qtbot, window)
        details = next(m for m in window.stage.messages.messages if m.kind == "error").details
        window.stage.messages.clear()
        return [line.partition("”")[0] for line in details.splitlines()]

    window.actions_by_id["segment"].trigger()
    assert told() == ["“a/1.png", "“b/1.png"]
    window.exchange.export("index", tmp_path / "out", {})
    assert told() == ["“a/1.png", "“b/1.png"]


def test_what_segmenting_cannot_read_is_a_problem_in_the_list(
    qtbot: QtBot, open_window: Open, tmp_path: Path, model: Path
) -> None:
    folder = write_folder(tmp_path / "x", images=40)
    whole = (folder / "39.png").read_bytes()
    (folder / "39.png").write_bytes(whole[:100])
    window = open_window(folder)
    window.desk.shelf.use(model)
    assert window.session.folder is not None
    book = window.session.folder.book
    assert not book.problem("39.png"), "nobody has had it in sight"
    window.actions_by_id["segment"].trigger()
    idle(qtbot, window)
    assert book.problem("39.png").startswith("“39.png” is damaged")
    (folder / "39.png").write_bytes(whole)
    window.actions_by_id["segment"].trigger()
    idle(qtbot, window)
    assert not book.problem("39.png")


def test_a_result_never_lands_on_another_image(qtbot: QtBot, open_window: Open, tmp_path: Path, model: Path) -> None:
    window = open_window(write_folder(tmp_path / "x", images=3))
    window.desk.shelf.use(model)
    QTest.keyClick(window, Qt.Key.Key_R)
    QTest.keyClick(window, Qt.Key.Key_D)  # at once, before the worker has answered
    idle(qtbot, window)
    qtbot.waitUntil(lambda: window.session.document is not None)
    assert window.session.key == "1.png"
    assert window.session.prediction is None
    assert window.session.folder is not None
    assert window.session.folder.book.predicted("0.png")
    assert not window.session.folder.book.predicted("1.png")


@pytest.mark.parametrize("earlier", [False, True], ids=["first training", "a model is in use"])
def test_a_training_that_fails_after_a_while_says_why_and_that_its_model_is_kept(
    qtbot: QtBot, open_window: Open, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, earlier: bool
) -> None:
    window = open_window(write_folder(tmp_path / "x", labels=2))
    if earlier:
        window.desk.shelf.use(model)

    def fail(job: TrainJob) -> Events:
        yield TICK
        job.out.parent.mkdir(parents=True)
        shutil.copy(model, job.out)
        raise RuntimeError("CUDA error: unspecified launch failure")

    monkeypatch.setattr(TrainJob, "__call__", fail)
    window.actions_by_id["train"].trigger()
    qtbot.waitUntil(lambda: "kept as x-1" in texts(window), timeout=SECONDS)
    idle(qtbot, window)
    assert "The job stopped: CUDA error: unspecified launch failure" in texts(window)
    assert window.desk.shelf.model is not None
    assert window.desk.shelf.model.stem == "x-1"


def test_pages_that_the_window_does_not_know_of_yet_are_segmented(
    qtbot: QtBot, open_window: Open, tmp_path: Path, model: Path
) -> None:
    """In a large folder it takes a while until they are listed."""
    folder = write_folder(tmp_path / "x", images=1)
    tifffile.imwrite(folder / "stack.tif", np.stack([picture(n) for n in range(3)]), photometric="minisblack")
    window = open_window(write_folder(tmp_path / "other", images=1))

    def at_once() -> None:
        if window.session.document is not None:
            window.session.image_changed.disconnect(at_once)
            window.desk.shelf.use(model)
            window.actions_by_id["segment"].trigger()

    window.session.close_folder()
    window.session.image_changed.connect(at_once)
    window.open_path(folder)
    qtbot.waitUntil(lambda: "images segmented" in texts(window), timeout=SECONDS)
    assert "4 images segmented" in texts(window)
    qtbot.waitUntil(lambda: window.images.footer.text() == "4\xa0predicted", timeout=SECONDS)
    assert window.session.folder is not None
    dataset = window.session.folder.dataset
    for page in range(3):
        assert dataset.load_prediction(ImageRef("stack.tif", page)) is not None


def test_training_without_labels_fails_in_plain_words(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    window.actions_by_id["train"].trigger()
    idle(qtbot, window)
    message = next(m for m in window.stage.messages.messages if m.kind == "error")
    assert "label" in message.text.lower()
    assert "Traceback" not in message.text
    assert "Traceback" in message.details
    assert window.actions_by_id["train"].isEnabled()


def test_strokes_are_saved_before_training_learns_them(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x", images=2)
    window = open_window(folder)
    window.session.autosave = False
    for class_id, x in ((0, 0), (1, 40)):
        edit = window.session.begin_edit("brush")
        assert edit is not None
        edit.paint(Rect(x, 0, 40, 60), None, class_id)
        window.session.end_edit(edit)
    window.actions_by_id["train"].trigger()
    assert window.desk.training
    qtbot.waitUntil(lambda: not window.desk.training, timeout=SECONDS)
    assert (folder / "labels" / "0.png").is_file()
    assert window.desk.shelf.model is not None, texts(window)
    idle(qtbot, window)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("pickle.safetensors", b"\x80\x04\x95cos\nsystem\n(S'touch hacked'\ntR.", "could run code"),
        ("cut.safetensors", b"\x10\x00\x00", "cut off"),
        ("text.safetensors", b"hello, this is only text", "not a model"),
    ],
)
def test_a_file_that_is_no_model_is_refused(
    open_window: Open, tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    (tmp_path / name).write_bytes(content)
    window.desk.shelf.use(tmp_path / name)
    assert window.desk.shelf.model is None
    assert says in texts(window)


def test_a_device_that_is_not_there_is_said(qtbot: QtBot, open_window: Open, tmp_path: Path, model: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    window = open_window(write_folder(tmp_path / "x"))
    window.desk.shelf.use(model)
    window.desk.shelf.set_wishes(replace(window.desk.shelf.wishes, device="cuda"))
    window.actions_by_id["predict"].trigger()
    idle(qtbot, window)
    message = next(m for m in window.stage.messages.messages if m.kind == "error")
    assert "cuda" in message.text
    assert "graphics card" in message.text


def test_closing_while_training_stops_it_and_keeps_the_model(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x", images=4, labels=4)
    window = open_window(folder)
    window.desk.shelf.set_wishes(replace(window.desk.shelf.wishes, minutes=60.0, device="cpu"))
    window.actions_by_id["train"].trigger()
    qtbot.waitUntil(lambda: bool(window.model_section.curves.loss), timeout=SECONDS)
    assert not window.close(), "it is asked first"
    window.leave()
    assert window.isVisible(), "the window waits for the step that is under way"
    qtbot.waitUntil(lambda: not window.isVisible(), timeout=SECONDS)
    assert not window.runner.busy


def begin_long_training(qtbot: QtBot, window: MainWindow, model: Path) -> None:
    """Train for an hour, with a model in use; return when it has begun to learn."""
    if window.desk.shelf.model != model:
        window.desk.shelf.use(model)
    window.desk.shelf.set_wishes(replace(window.desk.shelf.wishes, minutes=60.0, device="cpu"))
    window.actions_by_id["train"].trigger()
    qtbot.waitUntil(lambda: bool(window.model_section.curves.loss), timeout=SECONDS)


def test_predicting_one_image_does_not_wait_for_a_training(
    qtbot: QtBot, open_window: Open, tmp_path: Path, model: Path
) -> None:
    window = open_window(write_folder(tmp_path / "x", images=4, labels=4))
    begin_long_training(qtbot, window, model)
    QTest.keyClick(window, Qt.Key.Key_R)
    qtbot.waitUntil(lambda: window.session.prediction is not None, timeout=SECONDS)
    assert window.desk.training
    counted: list[object] = []
    QTest.keyClick(window, Qt.Key.Key_R)  # counting pixels need not wait for the training, nor changing them
    window.class_desk.changes.count({1}, counted.append)
    qtbot.waitUntil(lambda: bool(counted), timeout=SECONDS)
    assert window.desk.training
    window.actions_by_id["stop"].trigger()
    idle(qtbot, window)


def test_a_training_that_is_stopped_at_once_takes_no_good_model_away(
    qtbot: QtBot, open_window: Open, tmp_path: Path, model: Path
) -> None:
    folder = write_folder(tmp_path / "x", images=4, labels=4)
    old = folder / ".unet-gui" / "models" / "old.safetensors"
    old.parent.mkdir(parents=True)
    shutil.copy(model, old)
    window = open_window(folder)
    begin_long_training(qtbot, window, old)
    window.actions_by_id["stop"].trigger()
    idle(qtbot, window)
    assert window.desk.shelf.model == old
    assert any("before it could be judged" in message.text for message in window.stage.messages.messages)
    window.open_path(folder)
    qtbot.waitUntil(lambda: window.session.document is None)
    qtbot.waitUntil(lambda: window.session.document is not None)
    assert [facts.name for facts in window.desk.shelf.models] == ["x-1", "old"]
    assert window.desk.shelf.model == old, "nor when the folder is opened again"


def test_a_training_that_is_stopped_before_it_learns_says_so(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x", images=4, labels=4))
    stopped: list[object] = []

    def stop(job: Job) -> None:
        stopped.append(job)
        assert window.model_section.curves.isVisible()
        assert window.model_section.curves.loss_text.text() == "Starting…"
        QTest.keyClick(window, Qt.Key.Key_Period, Qt.KeyboardModifier.ControlModifier)

    window.runner.queued.connect(stop)
    QTest.keyClick(window, Qt.Key.Key_T, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: bool(stopped), timeout=SECONDS)
    idle(qtbot, window)
    assert "Training was stopped before it began to learn; nothing has changed." in texts(window)
    assert not window.model_section.curves.isVisible()
    assert window.model_section.train_button.isVisible()
    assert window.desk.shelf.model is None


def test_the_first_steps_know_what_was_done_in_the_folder(
    qtbot: QtBot, open_window: Open, tmp_path: Path, model: Path
) -> None:
    def ticked() -> list[bool]:
        guide = window.guides.guide
        assert guide is not None
        qtbot.waitUntil(guide.isVisible)
        return [guide.is_ticked(step) for step in ("paint", "train", "correct")]

    trained, fresh = write_folder(tmp_path / "trained", images=3), write_folder(tmp_path / "fresh")
    (trained / ".unet-gui" / "models").mkdir(parents=True)
    shutil.copy(model, trained / ".unet-gui" / "models" / "m.safetensors")
    dataset = Dataset.open(trained)
    for ref in dataset.images:
        dataset.save_prediction(ref, np.zeros((60, 80), np.uint8))
    window = open_window(trained)
    qtbot.waitUntil(lambda: window.session.folder is not None and window.session.folder.book.predictions == 3)
    window.actions_by_id["guide"].trigger()
    assert ticked() == [True, True, True]
    window.open_path(fresh)
    qtbot.waitUntil(lambda: window.session.dataset is not None and window.session.dataset.root == fresh)
    assert ticked() == [False, False, False]


def test_the_second_half_of_a_double_click_does_not_stop_what_the_first_began(
    qtbot: QtBot, open_window: Open, tmp_path: Path
) -> None:
    """Train and Stop share one place."""
    window = open_window(write_folder(tmp_path / "x", images=4, labels=4))
    section = window.model_section
    began: list[bool] = []
    window.desk.training_changed.connect(began.append)
    place = section.train_button.mapTo(window, section.train_button.rect().center())
    handle = window.windowHandle()

    def click() -> None:
        QTest.mouseClick(handle, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, place)

    click()
    qtbot.waitUntil(lambda: began == [True] and section.stop_button.geometry().contains(section.train_button.pos()))
    click()
    qtbot.wait(50)
    assert window.desk.training
    qtbot.waitUntil(lambda: window.childAt(place) is section.stop_button)
    click()
    qtbot.waitUntil(lambda: not window.desk.training, timeout=SECONDS)
    click()
    idle(qtbot, window)
    assert began.count(True) == 1, "nor does it begin again"
