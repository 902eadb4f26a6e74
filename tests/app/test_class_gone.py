"""A class that was removed or merged does not come back through a model that was trained before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from tests.app.kit import paint, saved, write_folder
from tests.app.test_classes_window import LONG, agree, idle, ids_of, question, three_classes
from tests.app.test_window_jobs import texts
from unet_gui.app.main_window import MainWindow
from unet_gui.core.exchange import mask_of
from unet_gui.core.geometry import Rect
from unet_gui.core.images import ImageRef
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.model_info import read_model_info
from unet_gui.core.palette import ClassInfo
from unet_gui.core.project import Dataset

Open = Callable[[Path | None], MainWindow]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of three classes, which predicts the third one everywhere."""
    import torch
    from safetensors.torch import load_file, save_file

    from unet_gui.core.model_info import METADATA_KEY, read_model_info
    from unet_gui.engine.recipe import TrainConfig
    from unet_gui.engine.train import train

    folder = three_classes(tmp_path_factory.mktemp("model") / "x")
    out = folder / "m.safetensors"
    list(train(Dataset.open(folder), out, TrainConfig(steps=2, device="cpu", logs=False)))
    info = read_model_info(out)
    info.offsets = [0.0, 0.0, 1000.0]
    assert METADATA_KEY in info.to_metadata()
    save_file({name: torch.clone(value) for name, value in load_file(out).items()}, out, info.to_metadata())
    return out


def told(window: MainWindow) -> list[str]:
    return [message.text for message in window.stage.messages.messages if message.text.startswith("The model")]


@pytest.mark.parametrize("merge", [True, False], ids=["merged", "removed"])
def test_it_stays_away_when_the_model_is_used(
    qtbot: QtBot, open_window: Open, tmp_path: Path, model: Path, merge: bool
) -> None:
    window = open_window(three_classes(tmp_path / "x"))
    window.desk.shelf.set_wishes(replace(window.desk.shelf.wishes, device="cpu"))
    window.desk.shelf.use(model)
    if merge:
        window.classes.merge_wanted.emit(2, 1)
    else:
        window.classes.remove_wanted.emit(2)
    question(qtbot, window)
    agree(window, "Merge" if merge else "Remove")
    qtbot.waitUntil(lambda: ids_of(window) == [0, 1], timeout=LONG)
    idle(qtbot, window)
    for _ in range(2):
        QTest.keyClick(window, Qt.Key.Key_R)
        qtbot.waitUntil(lambda: window.session.prediction is not None, timeout=LONG)
        idle(qtbot, window)
    assert ids_of(window) == [0, 1]
    text = "The model still knows “band”. A class that was removed or merged here does not come back."
    assert told(window) == [text]
    expected = 1 if merge else UNLABELLED
    assert window.session.prediction is not None
    assert np.unique(window.session.prediction).tolist() == [expected]
    dataset = Dataset.open(tmp_path / "x")
    dataset.save_prediction(ImageRef("2.png"), np.full(window.session.prediction.shape, 2, np.uint8))
    assert (mask_of(dataset, ImageRef("2.png")) == expected).all(), "nor in masks"

    window.class_desk.changes.undo()
    qtbot.waitUntil(lambda: ids_of(window) == [0, 1, 2], timeout=LONG)
    idle(qtbot, window)
    qtbot.waitUntil(
        lambda: window.session.prediction is not None and bool((window.session.prediction == 2).all()), timeout=LONG
    )


def test_a_class_that_nobody_removed_is_added_as_ever(
    qtbot: QtBot, open_window: Open, tmp_path: Path, model: Path
) -> None:
    window = open_window(three_classes(tmp_path / "x"))
    window.session.set_classes(window.session.classes[:2])
    assert window.session.dataset is not None
    window.session.dataset.settings["gone_classes"] = [[2, "vein", 0], "damaged", [2], ["x", "band", 1]]
    window.desk.shelf.set_wishes(replace(window.desk.shelf.wishes, device="cpu"))
    window.desk.shelf.use(model)
    QTest.keyClick(window, Qt.Key.Key_R)
    assert ids_of(window) == [0, 1, 2]
    assert told(window) == ["The model knows classes that were added here: band."]
    idle(qtbot, window)


@pytest.mark.parametrize("painted", [False, True], ids=["fresh", "painted on"])
def test_a_folder_that_nobody_has_worked_on_takes_the_classes_of_the_model(
    qtbot: QtBot, open_window: Open, tmp_path: Path, model: Path, painted: bool
) -> None:
    window = open_window(write_folder(tmp_path / "x", images=1))
    window.session.active_class = 1
    if painted:
        paint(window.session, Rect(0, 0, 9, 9), 1)
    window.desk.shelf.set_wishes(replace(window.desk.shelf.wishes, device="cpu"))
    window.desk.shelf.use(model)
    QTest.keyClick(window, Qt.Key.Key_R)
    theirs = [info.name for info in read_model_info(model).classes]
    names = [info.name for info in window.session.classes]
    assert names == (["background", "object", "band"] if painted else theirs)
    if not painted:
        assert told(window) == []
        assert f"The folder has the model's classes now: {', '.join(theirs)}." in texts(window)
    idle(qtbot, window)


@pytest.mark.parametrize("answer", ["Go on", "Take it back"])
def test_what_was_half_done_to_a_class_is_not_done_to_another_with_its_number(
    qtbot: QtBot, open_window: Open, tmp_path: Path, answer: str
) -> None:
    folder = three_classes(tmp_path / "x")
    labels = folder / "labels"
    window = open_window(folder)
    window.classes.remove_wanted.emit(2)
    question(qtbot, window)
    good = (labels / "1.png").read_bytes()
    (labels / "1.png").write_bytes(b"junk")
    agree(window, "Remove")
    qtbot.waitUntil(
        lambda: any("so the class stays" in message.text for message in window.stage.messages.messages), timeout=LONG
    )
    idle(qtbot, window)
    (half,) = (message for message in window.stage.messages.messages if "so the class stays" in message.text)
    (labels / "1.png").write_bytes(good)
    window.classes.remove_wanted.emit(2)  # once more, in the place of an answer
    question(qtbot, window)
    agree(window, "Remove")
    qtbot.waitUntil(lambda: ids_of(window) == [0, 1], timeout=LONG)
    idle(qtbot, window)
    window.actions_by_id["add_class"].trigger()
    assert ids_of(window) == [0, 1, 2]
    paint(window.session, Rect(0, 0, 20, 20), 2)
    saved(qtbot, window.session)
    before = {path: path.read_bytes() for path in labels.iterdir()}
    next(offer for offer in half.offers if offer.text == answer).act()
    idle(qtbot, window)
    assert {path: path.read_bytes() for path in labels.iterdir()} == before
    assert ids_of(window) == [0, 1, 2]
    assert any("was not done" in message.text for message in window.stage.messages.messages)
    assert window.session.held == ""


def test_pixels_of_a_merged_class_do_not_go_to_another_with_its_number(
    qtbot: QtBot, open_window: Open, tmp_path: Path
) -> None:
    """The model calls it otherwise, as it was renamed after the training; so its class is added."""
    folder = three_classes(tmp_path / "x")
    window = open_window(folder)
    session = window.session
    window.class_desk._on_renamed(0, "soil")
    window.classes.merge_wanted.emit(2, 1)
    question(qtbot, window)
    agree(window, "Merge")
    qtbot.waitUntil(lambda: ids_of(window) == [0, 1], timeout=LONG)
    idle(qtbot, window)
    before = {path: path.read_bytes() for path in (folder / "labels").iterdir()}
    session.set_classes([*session.classes, ClassInfo(2, "of the model", "#123456")])
    QTest.keyClick(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    idle(qtbot, window)
    assert {path: path.read_bytes() for path in (folder / "labels").iterdir()} == before
    assert any("was not done" in message.text for message in window.stage.messages.messages)
    assert [info.name for info in session.classes] == ["soil", "disc", "of the model"]
    QTest.keyClick(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    idle(qtbot, window)
    assert window.session.held == ""
    assert not window.class_desk.changes.undo_text, "nothing is in the way of what is older"
