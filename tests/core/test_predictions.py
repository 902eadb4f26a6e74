"""What a prediction means after classes of the folder were merged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.core.files import images
from unet_gui.core.palette import default_classes
from unet_gui.core.predictions import GONE, heirs
from unet_gui.core.project import Dataset


def test_what_was_merged_twice_is_read_as_the_last() -> None:
    gone = [[4, "d", 3], [3, "c", 1], [5, "e", 255], [6, "f", 7], [7, "g", 6]]
    assert heirs(gone, {0, 1}) == {3: 1, 4: 1}
    assert heirs(gone, {1, 3}) == {4: 3}, "one that is back means itself"


def test_a_setting_that_is_damaged_says_nothing() -> None:
    for gone in (None, {"3": 1}, "3", [3, [3], [3, "c"], ["3", "c", 1], [-3, "c", 1], [300, "c", 1]]):
        assert heirs(gone, {0, 1}) == {}


def test_probabilities_are_still_read_when_a_third_class_came_and_went(tmp_path: Path) -> None:
    dataset = Dataset.open(images(tmp_path / "x", "a.png"))
    dataset.set_classes(default_classes(2))
    (ref,) = dataset.images
    planes = np.stack([np.full((2, 3), 55, np.uint8), np.full((2, 3), 200, np.uint8)])
    dataset.save_prediction(ref, np.ones((2, 3), np.uint8), planes)
    dataset.settings[GONE] = [[2, "class 2", 255]]
    for value in (200, 55):
        found = dataset.load_prediction(ref)
        assert found is not None
        assert found[1] is not None
        assert found[1].classes == (0, 1)
        assert found[1].planes[1, 0, 0] == value
        dataset.save_prediction(ref, np.ones((2, 3), np.uint8), planes[::-1])


@pytest.mark.parametrize("letter", ["x", "長"])
def test_the_longest_names_have_predictions_of_their_own(tmp_path: Path, letter: str) -> None:
    stem = letter * (250 // len(letter.encode()))
    try:
        dataset = Dataset.open(images(tmp_path / "x", f"{stem[:-1]}a.png", f"{stem[:-1]}b.png"))
    except OSError:
        pytest.skip("here names may not be so long")
    for number, ref in enumerate(dataset.images):
        assert dataset.load_prediction(ref) is None
        planes = np.full((3, 2, 3), 20 + number, np.uint8)
        dataset.set_classes(default_classes(3))
        dataset.save_prediction(ref, np.full((2, 3), number, np.uint8), planes)
    for number, ref in enumerate(dataset.images):
        found = dataset.load_prediction(ref)
        assert found is not None
        assert found[1] is not None
        assert (found[0] == number).all()
        assert (found[1].planes == 20 + number).all()
