"""The models of a folder in the window: the one that is shown is the one that predicts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from tests.app.kit import texts, write_folder
from unet_gui.app.main_window import MainWindow

Open = Callable[[Path | None], MainWindow]


@pytest.fixture
def folder(tmp_path: Path, model: Path) -> Path:
    """A folder with two models, the newest last."""
    folder = write_folder(tmp_path / "x", labels=2)
    models = folder / ".unet-gui" / "models"
    models.mkdir(parents=True)
    for number in (1, 2):
        shutil.copy(model, models / f"x-{number}.safetensors")
        os.utime(models / f"x-{number}.safetensors", (10**9 + number, 10**9 + number))
    return folder


def shown(window: MainWindow) -> str:
    """The model that the panel shows."""
    return window.model_section.combo.currentText()


def test_a_damaged_model_is_not_shown_as_the_one_in_use(
    qtbot: QtBot, open_window: Open, tmp_path: Path, folder: Path
) -> None:
    (folder / ".unet-gui" / "models" / "damaged.safetensors").write_bytes(b"junk")  # the newest
    window = open_window(folder)
    assert window.desk.shelf.model is not None
    assert (window.desk.shelf.model.stem, shown(window)) == ("x-2", "x-2")
    combo = window.model_section.combo
    combo.setCurrentIndex(combo.findText("damaged"))
    combo.activated.emit(combo.currentIndex())
    assert (window.desk.shelf.model.stem, shown(window)) == ("x-2", "x-2")
    assert any(message.kind == "error" for message in window.stage.messages.messages)
    combo.setCurrentIndex(combo.findText("x-1"))
    combo.activated.emit(combo.currentIndex())
    assert (window.desk.shelf.model.stem, shown(window)) == ("x-1", "x-1")


def test_a_model_that_is_gone_gives_way_to_another(
    qtbot: QtBot, open_window: Open, tmp_path: Path, folder: Path
) -> None:
    window = open_window(folder)
    (folder / ".unet-gui" / "models" / "x-2.safetensors").unlink()
    window.actions_by_id["predict"].trigger()
    assert "The model x-2 is gone. x-1 is used from now on." in texts(window)
    assert shown(window) == "x-1"
    qtbot.waitUntil(lambda: not window.runner.busy, timeout=60_000)
    qtbot.waitUntil(lambda: window.session.prediction is not None, timeout=60_000)
    (folder / ".unet-gui" / "models" / "x-1.safetensors").unlink()
    window.actions_by_id["segment"].trigger()
    assert not window.runner.busy
    assert "There is no model yet: train one first (Ctrl+T)." in texts(window)
    assert window.model_section.combo.isHidden()


@pytest.mark.parametrize("job", ["segment", "masks"])
def test_nothing_good_is_told_where_every_image_failed(
    qtbot: QtBot, open_window: Open, tmp_path: Path, folder: Path, job: str
) -> None:
    window = open_window(folder)
    refs = tuple(window.images.model.everything())
    for ref in refs:
        place = folder / ref.rel if job == "segment" else folder / "labels" / ref.rel
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(b"junk")
    if job == "segment":
        window.actions_by_id["segment"].trigger()
    else:
        window.desk.save_masks(refs, tmp_path / "masks")
    qtbot.waitUntil(lambda: not window.runner.busy, timeout=60_000)
    (said,) = (message for message in window.stage.messages.messages if message.topic.startswith(job))
    what = "segmented" if job == "segment" else "saved"
    assert said.kind == "error"
    assert said.text.startswith(f"4 images could not be {what}. The first: “0.png”")


@pytest.mark.parametrize(
    ("labels", "says"),
    [(0, "no model yet. Paint a little of every class"), (1, "no model yet: train one first (Ctrl+T).")],
)
def test_without_a_model_the_person_is_told_what_to_do(
    qtbot: QtBot, open_window: Open, tmp_path: Path, labels: int, says: str
) -> None:
    window = open_window(write_folder(tmp_path / "x", labels=labels))
    qtbot.waitUntil(lambda: f"{labels}\xa0done" in window.images.footer.text() or not labels)
    QTest.keyClick(window, Qt.Key.Key_R)
    assert says in texts(window)
    assert not window.runner.busy
