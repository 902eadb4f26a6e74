"""Classes that evening out or turning the pictures would make alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from unet_gui.core.cv import cv2
from unet_gui.core.errors import UserError
from unet_gui.core.overlap import confusion, dice
from unet_gui.core.palette import default_classes
from unet_gui.core.project import Dataset
from unet_gui.core.store import INDEX
from unet_gui.engine.data import make_picture
from unet_gui.engine.device import pick_device
from unet_gui.engine.fingerprint import Fingerprint, fingerprint, traits_of
from unet_gui.engine.model import Model
from unet_gui.engine.plan import make_plan
from unet_gui.engine.predict import Predictor
from unet_gui.engine.recipe import SegmentConfig, TrainConfig
from unet_gui.engine.train import train

Pair = tuple[np.ndarray, np.ndarray]
SIDE = 128


def halves(number: int, left: np.ndarray, right: np.ndarray) -> Pair:
    """Return one picture on the left or right of another one, with noise, and which is where."""
    rng = np.random.default_rng(number)
    edge = int(rng.integers(30, 90))
    label = np.zeros((SIDE, SIDE), np.uint8)
    label[:, edge:] = 1
    label = label if number % 2 else 1 - label
    pixels = np.where(label == 1, right, left) + rng.normal(0, 4, label.shape)
    return np.clip(pixels, 0, 255).astype(np.uint8), label


def waves(angle: float, phase: float, ramp: bool = False) -> np.ndarray:
    """Return stripes; with ``ramp`` such that rise slowly and fall at once."""
    y, x = np.mgrid[:SIDE, :SIDE]
    along = (np.cos(angle) * x + np.sin(angle) * y) / 12 + phase
    return 60 + 130 * (along % 1 if ramp else 0.5 + 0.5 * np.sin(2 * np.pi * along))


def density(number: int) -> Pair:
    """Return a picture in which 60 is one class and 150 the other, of which it may show almost nothing else."""
    image, label = halves(number, np.full((SIDE, SIDE), 60.0), np.full((SIDE, SIDE), 150.0))
    image[:100] = np.clip(np.random.default_rng(number).normal(20 if number % 3 else 220, 4, (100, SIDE)), 0, 255)
    label[:100] = 2
    return image, label


def exposed(number: int) -> Pair:
    """Return the same two classes in pictures of any exposure."""
    image, label = halves(number, np.full((SIDE, SIDE), 60.0), np.full((SIDE, SIDE), 120.0))
    factor = np.random.default_rng(number).uniform(0.2, 2)
    return np.clip(image * factor, 0, 255).astype(np.uint8), label


def prints_of(make: Callable[[int], Pair], count: int = 8, classes: int = 2) -> Fingerprint:
    pairs = [make(number) for number in range(count)]
    return fingerprint([traits_of(make_picture(str(i), *pair, classes)) for i, pair in enumerate(pairs)], 1)


def test_grey_values_that_mean_something_are_kept() -> None:
    prints = prints_of(density, classes=3)
    assert prints.absolute
    plan, words = make_plan(TrainConfig(), prints, "dice", 0, "cpu")
    assert plan.normalisation.kind == "dataset"
    assert plan.augmentation.brightness < 0.1
    assert any("grey values as they are" in line for line in words)
    asked, _ = make_plan(TrainConfig(normalisation="image"), prints, "dice", 0, "cpu")
    assert asked.normalisation.kind == "image"
    assert asked.augmentation.brightness > 0.1


def test_exposure_is_evened_out() -> None:
    prints = prints_of(exposed)
    assert not prints.absolute
    assert make_plan(TrainConfig(), prints, "dice", 0, "cpu")[0].normalisation.kind == "image"


def test_three_images_may_differ_by_chance() -> None:
    assert not prints_of(density, 3, 3).absolute
    assert prints_of(lambda n: halves(n, waves(0, n / 7), waves(np.pi / 2, n / 7)), 3).symmetries == "turns"


@pytest.mark.parametrize(
    ("left", "right", "ramp", "kept"),
    [
        (0, np.pi / 2, False, "flips"),
        (np.pi / 4, 3 * np.pi / 4, False, ""),
        (0, np.pi, True, ""),
        (np.pi / 2, -np.pi / 2, True, "mirror"),
    ],
)
def test_directions_are_kept(left: float, right: float, ramp: bool, kept: str) -> None:
    prints = prints_of(lambda n: halves(n, waves(left, n / 7, ramp), waves(right, n / 5, ramp)))
    assert prints.symmetries == kept
    plan, words = make_plan(TrainConfig(), prints, "dice", 0, "cpu")
    how = plan.augmentation
    assert (how.flip_x, how.flip_y, how.turn) == (kept in ("flips", "mirror"), kept == "flips", False)
    assert how.rotate <= 15
    assert any("told apart by their direction" in line for line in words)


def test_what_has_no_direction_is_turned() -> None:
    def grains(number: int) -> Pair:
        noise = np.random.default_rng((number, 1)).normal(0, 1, (2, SIDE, SIDE))
        coarse = cv2.GaussianBlur(noise[0], (0, 0), 4)
        return halves(number, 120 + 200 * coarse, 120 + 40 * noise[1])

    assert prints_of(grains).symmetries == "turns"


def test_symmetries_as_asked() -> None:
    prints = prints_of(lambda n: halves(n, waves(0, n / 7), waves(np.pi / 2, n / 7)))
    for wish, kept in (("none", ""), ("mirror", "mirror"), ("flips", "flips"), ("turns", "turns")):
        plan, words = make_plan(TrainConfig(symmetries=wish), prints, "dice", 0, "cpu")
        assert (plan.symmetries, plan.augmentation.turn) == (kept, wish == "turns")
        assert any(line.endswith("as asked.") for line in words)
    with pytest.raises(UserError, match="sideways"):
        make_plan(TrainConfig(symmetries="sideways"), prints, "dice", 0, "cpu")


def test_large_areas_are_seen_with_their_edges() -> None:
    prints = dataclasses.replace(prints_of(exposed), thickness=(300.0, 200.0), median_side=1024)
    plan, words = make_plan(TrainConfig(), prints, "dice", 0, "cpu")
    usual, _ = make_plan(TrainConfig(), dataclasses.replace(prints, thickness=(300.0, 20.0)), "dice", 0, "cpu")
    assert (plan.arch.stem, plan.crop, usual.arch.stem, usual.crop) == (4, 384, 2, 128)
    assert plan.batch * (plan.crop / 4) ** 2 == pytest.approx(usual.batch * (usual.crop / 2) ** 2, rel=0.2)
    assert any("4 × 4" in line for line in words)


def test_stripes_are_told_apart_by_their_direction(tmp_path: Path) -> None:
    """A real training; with turned pictures it says the same of both."""
    stripes = [halves(n, waves(0, n / 7), waves(np.pi / 2, n / 7)) for n in range(9)]
    (tmp_path / "image").mkdir()
    for number, (image, _) in enumerate(stripes[:8]):
        cv2.imwrite(str(tmp_path / "image" / f"{number}.png"), image)
    dataset = Dataset.open(tmp_path)
    dataset.set_encoding(INDEX)
    dataset.set_classes(default_classes(2))
    for ref, (_, label) in zip(dataset.images, stripes, strict=False):
        dataset.save_label(ref, label)
    out = tmp_path / "m.safetensors"
    list(train(dataset, out, TrainConfig(steps=60, width=8, depth=2, crop=64, batch=4, logs=False, precision="fp32")))
    device = pick_device("cpu")
    predictor = Predictor(Model.load(out, device), SegmentConfig(out), device)
    events = predictor.predict(stripes[8][0], 0)
    try:
        while True:
            next(events)
    except StopIteration as stop:
        found = stop.value.ids
    assert dice(confusion(found, stripes[8][1], 2)).min() > 0.9
