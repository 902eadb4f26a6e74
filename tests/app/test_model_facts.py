"""What the window says of a model's score, and when that is only a rough guide."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from tests.app.kit import SHAPE, truth, write_folder
from unet_gui.app.main_window import MainWindow
from unet_gui.app.model_facts import caution_of, facts_of
from unet_gui.core import png
from unet_gui.core.project import Dataset
from unet_gui.engine.events import CheckpointSaved, TrainStarted
from unet_gui.engine.recipe import TrainConfig

Open = Callable[[Path | None], MainWindow]


@pytest.mark.parametrize(
    ("labels", "strokes", "val", "said"),
    [
        (1, True, None, "From strokes of a part of one image: a rough guide."),
        (4, True, "2-3", "From strokes of 2 images: a rough guide."),
        (1, False, None, "From a part of one image: a rough guide."),
        (4, False, "3", "From one image: a rough guide."),
        (4, False, "2-3", ""),
        (4, False, "none", "No image was held back: how good it is on others cannot be told."),
    ],
)
def test_a_score_that_says_little_says_so(
    tmp_path: Path, labels: int, strokes: bool, val: str | None, said: str
) -> None:
    from unet_gui.engine.train import train

    folder = write_folder(tmp_path / "x", images=4, labels=labels)
    for n in range(labels if strokes else 0):
        painted = np.full(SHAPE, 255, np.uint8)
        painted[20:24], painted[:, 30:33] = truth(n)[20:24], truth(n)[:, 30:33]
        (folder / "labels" / f"{n}.png").write_bytes(png.encode(painted))
    out = tmp_path / "m.safetensors"
    config = TrainConfig(steps=4, device="cpu", logs=False, val=val, score="dice")
    (start,) = [event for event in train(Dataset.open(folder), out, config) if isinstance(event, TrainStarted)]
    assert start.strokes == strokes
    assert caution_of(start.val_images, start.train_images, start.strokes) == said
    facts = facts_of(out)
    assert facts.caution == said
    assert bool(facts.score) == (val != "none")


def test_a_training_that_was_cut_is_told_in_the_list(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    from unet_gui.engine.train import train

    folder = write_folder(tmp_path / "x", images=4, labels=4)
    dataset = Dataset.open(folder)
    out = dataset.state_dir / "models" / "x-1.safetensors"
    config = TrainConfig(steps=12, device="cpu", logs=False, checkpoint_seconds=0.0)
    job = train(dataset, out, config)
    next(event for event in job if isinstance(event, CheckpointSaved))
    killed = {path: path.read_bytes() for path in out.parent.iterdir()}
    job.close()
    assert facts_of(out).state == "", "who stopped it knows"
    for path, data in killed.items():
        path.write_bytes(data)
    window = open_window(folder)
    section = window.model_section
    assert section.combo.currentText() == "x-1: unfinished – can be resumed"
    assert section._hint.text().startswith("Its training was cut before its end.")
