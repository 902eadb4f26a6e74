"""The three jobs in the real program on a real X server, with the real micrographs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.e2e.scenarios import pixels
from unet_gui.cli import main

pytestmark = pytest.mark.slow
Play = Callable[..., object]


@pytest.fixture
def isbi(data: Path, tmp_path: Path) -> Path:
    """A copy of the real micrographs that a test may change."""
    return Path(shutil.copytree(data / "isbi2012" / "train", tmp_path / "isbi"))


@pytest.fixture(scope="module")
def model(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has seen the micrographs for a few seconds."""
    folder = tmp_path_factory.mktemp("model")
    shutil.copytree(data / "isbi2012" / "train", folder / "isbi")
    out = folder / "m.safetensors"
    assert main(["train", str(folder / "isbi"), "--out", str(out), "--minutes", "0.15"]) == 0
    return out


def test_paint_undo_redo_save(isbi: Path, play: Play) -> None:
    images = {p: p.read_bytes() for p in (isbi / "image").iterdir()}
    labels = {p: p.read_bytes() for p in (isbi / "label").iterdir() if p.name != "0.png"}
    play("paint_undo_redo_save", isbi)
    assert {p: p.read_bytes() for p in (isbi / "image").iterdir()} == images
    assert {p: p.read_bytes() for p in labels} == labels


def test_train_while_painting(isbi: Path, play: Play) -> None:
    for folder in ("image", "label"):
        for n in range(6, 24):
            (isbi / folder / f"{n}.png").unlink()
    play("train_while_painting", isbi)


def test_segment_cancel_go_on_and_the_command_line_gives_the_same(
    isbi: Path, model: Path, play: Play, tmp_path: Path
) -> None:
    play("segment_cancel_go_on", isbi, model)
    out = tmp_path / "masks"
    assert main(["segment", str(isbi), "--model", str(model), "--out", str(out), "--encoding", "index"]) == 0
    for mask in sorted(out.iterdir()):
        window = isbi / ".unet-gui" / "predictions" / f"{mask.name}.ids.png"
        assert np.array_equal(pixels(mask), pixels(window)), mask.name


def test_correct_done_restart_label_as_left(isbi: Path, model: Path, play: Play, tmp_path: Path) -> None:
    first, second = "0.png", "7.png"
    for name in (first, second):  # two images nobody has labelled
        (isbi / "label" / name).unlink()
    predictions = isbi / ".unet-gui" / "predictions"
    assert main(["segment", str(isbi / "image" / first), "--model", str(model), "--out", str(predictions),
                 "--encoding", "index"]) == 0  # fmt: skip
    (predictions / first).rename(predictions / f"{first}.ids.png")
    kept = tmp_path / "corrected.npy"
    play("correct_and_done", isbi, first, kept, second)
    play("label_as_left", isbi, first, kept)


def test_merge_classes_and_take_it_back(isbi: Path, play: Play) -> None:
    images = {p: p.read_bytes() for p in (isbi / "image").iterdir()}
    play("merge_classes_and_take_it_back", isbi)
    assert {p: p.read_bytes() for p in (isbi / "image").iterdir()} == images


def test_paint_without_a_mouse(isbi: Path, play: Play) -> None:
    play("paint_without_a_mouse", isbi)
