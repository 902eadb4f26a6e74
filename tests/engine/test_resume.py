"""Going on with a training in a folder that has changed meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.engine.conftest import blobs, small, started
from unet_gui.core.cv import cv2
from unet_gui.core.describe import describe
from unet_gui.core.errors import UserError
from unet_gui.core.images import ImageRef
from unet_gui.core.project import Dataset
from unet_gui.engine.checkpoint import checkpoint_path, load_checkpoint, save_checkpoint
from unet_gui.engine.events import CheckpointSaved, Event, StepDone, TrainFinished, Validated, Warned
from unet_gui.engine.model import Model
from unet_gui.engine.train import train


def held_back(path: Path) -> list[str]:
    return list(Model.load(path, "cpu").info.trained["chosen_on"])


def add(folder: Dataset, number: int, colour: bool = False) -> Dataset:
    """One more labelled image."""
    pixels, label = blobs(number)
    image = folder.image_root / f"{number}.png"
    cv2.imwrite(str(image), np.dstack([pixels, 255 - pixels, pixels // 2]) if colour else pixels)
    dataset = Dataset.open(folder.root)
    dataset.save_label(ImageRef(image.name), label)
    return Dataset.open(folder.root)


def test_what_was_learned_from_is_not_held_back_later(make_folder: Callable[..., Dataset], tmp_path: Path) -> None:
    folder, out = make_folder(10), tmp_path / "m.safetensors"
    list(train(folder, out, small(steps=24)))
    before = held_back(out)
    for number in range(10, 16):
        folder = add(folder, number)
    list(train(folder, tmp_path / "other.safetensors", small(steps=24)))
    assert held_back(tmp_path / "other.safetensors") != before, "begun anew it would be other images"
    events = list(train(folder, out, small(steps=48, resume=True)))
    assert held_back(out) == before
    info = Model.load(out, "cpu").info.trained
    assert len(info["learned_from"]) == 16 - len(before)
    assert "same images as before" in " ".join(started(events).plan)


@pytest.mark.parametrize(
    ("where", "wrong"),
    [
        (("plan",), None),
        (("config",), None),
        (("held_back",), 5.0),
        (("classes", 1), []),
        (("trainer", "net"), {}),
        (("trainer", "steps"), []),
        (("clock",), {"elsewhere": 1}),
        (("keeper", "outcome"), True),
    ],
)
def test_a_state_that_makes_no_sense_is_told_in_words(
    where: tuple[str | int, ...], wrong: object, make_folder: Callable[..., Dataset], tmp_path: Path
) -> None:
    folder, out = make_folder(4), tmp_path / "m.safetensors"
    list(train(folder, out, small(steps=2)))
    state = inner = load_checkpoint(checkpoint_path(out))
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = wrong
    save_checkpoint(checkpoint_path(out), state)
    with pytest.raises(UserError, match="cannot be gone on from") as error:
        list(train(folder, out, small(steps=4, resume=True)))
    assert error.value.path == str(checkpoint_path(out))


def test_a_model_says_whether_its_training_came_to_its_end(make_folder: Callable[..., Dataset]) -> None:
    folder = make_folder(6)
    out = folder.state_dir / "models" / "m.safetensors"
    out.parent.mkdir(parents=True)

    def said() -> list[object]:
        models = describe(folder.root)["models"]
        assert isinstance(models, list)
        return [describe(out).get("state", ""), *models]

    job = train(folder, out, small(steps=24, checkpoint_seconds=0.0))
    next(event for event in job if isinstance(event, Validated) and event.is_best)
    checkpoint_path(out).unlink(missing_ok=True)
    assert said() == ["unfinished", "m: unfinished"], "if it is killed now"
    next(event for event in job if isinstance(event, CheckpointSaved))
    cut = "unfinished – can be resumed"
    assert said() == [cut, f"m: {cut}"]
    job.close()
    stopped = "stopped before its end – can be resumed"
    assert said() == [stopped, f"m: {stopped}"]
    list(train(folder, out, small(steps=24, resume=True)))
    assert said() == ["", "m"]


def test_where_all_was_learned_from_nothing_is_held_back_later(
    make_folder: Callable[..., Dataset], tmp_path: Path
) -> None:
    folder, out = make_folder(6), tmp_path / "m.safetensors"
    list(train(folder, out, small(steps=10, val="none")))
    events = list(train(add(folder, 6), out, small(steps=20, resume=True)))
    assert held_back(out) == []
    assert len(started(events).train_images) == 7
    assert "As before no image is held back" in " ".join(started(events).plan)
    list(train(folder, out, small(steps=30, resume=True, val="0")))  # who asks for it knows
    assert held_back(out) == ["0.png"]


def test_other_images_held_back_are_not_compared_with_those_before(
    make_folder: Callable[..., Dataset], tmp_path: Path
) -> None:
    folder, out = make_folder(8), tmp_path / "m.safetensors"
    list(train(folder, out, small(steps=40, val="0,1")))
    events = list(train(folder, out, small(steps=80, resume=True, val="2,3")))
    first = next(e for e in events if isinstance(e, Validated))
    assert first.is_best
    assert held_back(out) == ["2.png", "3.png"]


def test_a_colour_image_that_came_later(make_folder: Callable[..., Dataset], tmp_path: Path) -> None:
    folder, out = make_folder(6), tmp_path / "m.safetensors"
    list(train(folder, out, small(steps=10)))
    events = list(train(add(folder, 6, colour=True), out, small(steps=20, resume=True)))
    assert isinstance(events[-1], TrainFinished)
    assert Model.load(out, "cpu").arch.in_channels == 1
    assert checkpoint_path(out).exists()


def test_wishes_that_come_too_late_are_named(make_folder: Callable[..., Dataset], tmp_path: Path) -> None:
    folder, out = make_folder(6), tmp_path / "m.safetensors"
    list(train(folder, out, small(steps=10)))
    events = list(train(folder, out, small(steps=20, resume=True)))
    assert not [e for e in events if isinstance(e, Warned)]
    events = list(train(folder, out, small(steps=30, resume=True, width=8, learning_rate=0.1)))
    assert [e.text for e in events if isinstance(e, Warned)] == [
        "The training goes on as it was begun: what was said about width, learning rate is not heard."
    ]


@pytest.mark.parametrize("steps", [12, 30])
def test_a_single_image_stays_divided(make_folder: Callable[..., Dataset], tmp_path: Path, steps: int) -> None:
    folder, out = make_folder(1), tmp_path / "m.safetensors"
    list(train(folder, out, small(steps=10)))
    list(train(add(folder, 1), out, small(steps=steps, resume=True)))
    info = Model.load(out, "cpu").info.trained
    assert info["chosen_on"] == ["0.png"]
    assert info["learned_from"] == ["0.png", "1.png"]


def test_the_seed_is_that_of_the_beginning(make_folder: Callable[..., Dataset], tmp_path: Path) -> None:
    """Going on without naming it again ends at the same weights to the last bit."""
    dataset = make_folder()
    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    list(train(dataset, whole, small(steps=8, seed=7)))
    for event in train(dataset, parts, small(steps=8, seed=7)):
        if isinstance(event, StepDone) and event.step == 4:
            break
    list(train(dataset, parts, small(steps=8, resume=True)))
    one, other = Model.load(whole, "cpu"), Model.load(parts, "cpu")
    assert other.info.trained["seed"] == 7
    assert all(torch.equal(v, other.net.state_dict()[k]) for k, v in one.net.state_dict().items())


def test_the_crop_is_that_of_the_beginning(make_folder: Callable[..., Dataset], tmp_path: Path) -> None:
    """Larger images come more often, by their areas in crops, so the samples depend on it."""
    dataset = make_folder(5)
    pixels, label = blobs(9, (40, 40))
    cv2.imwrite(str(dataset.image_root / "9.png"), pixels)
    dataset = Dataset.open(dataset.root)
    dataset.save_label(ImageRef("9.png"), label)
    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    list(train(dataset, whole, small(steps=8, val="none")))
    for event in train(dataset, parts, small(steps=8, val="none")):
        if isinstance(event, StepDone) and event.step == 4:
            break
    list(train(dataset, parts, small(steps=8, crop=None, resume=True)))
    one, other = (Model.load(path, "cpu").net.state_dict() for path in (whole, parts))
    assert all(torch.equal(v, other[k]) for k, v in one.items())


def test_nothing_to_go_on_with_and_nothing_left_are_said(make_folder: Callable[..., Dataset], tmp_path: Path) -> None:
    dataset, out = make_folder(), tmp_path / "m.safetensors"
    told = [warnings_of(train(dataset, out, small(steps=3, resume=True))) for _ in range(2)]
    assert ["a new one begins" in " ".join(texts) for texts in told] == [True, False]
    assert ["Nothing was left to do" in " ".join(texts) for texts in told] == [False, True]
    assert not warnings_of(train(dataset, out, small(steps=4, resume=True)))


def warnings_of(events: Iterable[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Warned)]
