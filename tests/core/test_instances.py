"""Numbered objects become classes and objects again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unet_gui.core.instances import classes_from_objects, objects_from_classes
from unet_gui.core.palette import ClassInfo
from unet_gui.core.raw_label import read_raw

CLASSES = [
    ClassInfo(0, "background", "#000000"),
    ClassInfo(1, "nucleus", "#111111"),
    ClassInfo(2, "touching border", "#222222"),
]


def touching_by_hand(numbers: np.ndarray, distance: int) -> np.ndarray:
    out = np.zeros(numbers.shape, bool)
    for y, x in np.argwhere(numbers):
        around = numbers[max(0, y - distance) : y + distance + 1, max(0, x - distance) : x + distance + 1]
        out[y, x] = ((around != 0) & (around != numbers[y, x])).any()
    return out


@pytest.mark.parametrize("distance", [0, 1, 2])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
def test_pixels_next_to_another_object_are_touching(distance: int, dtype: type) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        small = rng.integers(0, 4, (5, 6))
        numbers = np.kron(small, np.ones((4, 3), int)).astype(dtype) * (60 if dtype is np.uint8 else 9999)
        found = classes_from_objects(numbers, distance)
        assert (found.objects == (numbers > 0)).all()
        assert (found.touching == touching_by_hand(numbers, distance)).all() or distance == 0
        assert distance > 0 or not found.touching.any()


def test_objects_without_a_free_pixel_are_counted() -> None:
    numbers = np.zeros((9, 9), np.uint16)
    numbers[2:7, 2:7] = 1
    numbers[4, 4] = 2
    assert classes_from_objects(numbers, 1).vanished == 1
    assert classes_from_objects(numbers, 0).vanished == 0
    numbers[:] = 300  # one object everywhere, no background
    found = classes_from_objects(numbers, 1)
    assert found.objects.all()
    assert not found.touching.any()


def test_nuclei_are_apart_again_after_a_round_trip(data: Path) -> None:
    names = sorted((data / "nuclei/instances").iterdir())[::20]
    total = missed = 0
    for name in names:
        numbers = read_raw(name).pixels
        found = classes_from_objects(numbers, 1)
        ids = found.objects.astype(np.uint8)
        ids[found.touching] = 2
        back, classes = objects_from_classes(ids, CLASSES, 0)
        assert ((back > 0) == (numbers > 0)).all()
        assert back.max() == len(classes)
        count = len(np.unique(numbers)) - 1
        total += count
        missed += abs(len(classes) - count)
    print(f"{total} nuclei, {missed} more or fewer after the round trip")
    assert missed <= 0.02 * total
