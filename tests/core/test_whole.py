"""Corrections of whole labels: the same with small tiles as in one piece, and as plain reference code says."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from scipy import ndimage

from unet_gui.core import whole
from unet_gui.core.labels import LabelImage
from unet_gui.core.whole import Patch

SHAPES = [(97, 130), (40, 40), (1, 50)]


@pytest.fixture(params=[2048, 23], ids=["one tile", "many tiles"])
def side(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(whole, "SIDE", request.param)
    return int(request.param)


def blobs(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Blobs of three classes and unlabelled ones, of all sizes."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=shape), 1.5)
    return np.array([0, 1, 2, 255], np.uint8)[np.digitize(smooth, np.quantile(smooth, [0.3, 0.6, 0.9]))]


def written(ids: np.ndarray, patches: Iterable[Patch]) -> np.ndarray:
    labels = LabelImage(ids.copy())
    with labels.edit("x") as edit:
        for patch in patches:
            edit.write(*patch)
    return labels.ids


@pytest.mark.parametrize("shape", SHAPES)
def test_no_small_blob_is_left_that_was_there(side: int, shape: tuple[int, int]) -> None:
    ids = blobs(shape)
    out = written(ids, whole.without_specks(ids, 12))
    for class_id in (0, 1, 2):
        numbers, count = ndimage.label(ids == class_id)
        sizes = np.bincount(numbers.ravel(), minlength=count + 1)
        small = (sizes < 12)[numbers] & (numbers > 0)
        assert (out[small] != class_id).all() or min(shape) == 1
        large = (sizes >= 12)[numbers] & (numbers > 0)
        np.testing.assert_array_equal(out[large], class_id)
    assert (out[ids == 255] == 255).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_small_holes_are_filled_and_nothing_else(side: int, shape: tuple[int, int]) -> None:
    ids = blobs(shape, 3)
    out = written(ids, whole.without_holes(ids, 1, 15))
    numbers, count = ndimage.label(ids != 1)
    expected = ids.copy()
    for number in range(1, count + 1):
        ys, xs = np.nonzero(numbers == number)
        edge = ys.min() == 0 or xs.min() == 0 or ys.max() == shape[0] - 1 or xs.max() == shape[1] - 1
        if len(ys) < 15 and not edge:
            expected[ys, xs] = 1
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("distance", [1.0, 3.0])
def test_growing_takes_what_is_near(side: int, distance: float) -> None:
    ids = blobs((97, 130), 1)
    out = written(ids, whole.grown(ids, 2, distance))
    near = ndimage.distance_transform_edt(ids != 2) <= distance
    np.testing.assert_array_equal(out, np.where(near, 2, ids))


def test_shrinking_gives_to_what_is_nearest(side: int) -> None:
    ids = blobs((97, 130), 2)
    out = written(ids, whole.shrunk(ids, 2, 1.0))
    away = ndimage.distance_transform_edt(ids == 2)
    lost = (ids == 2) & (away <= 1)
    np.testing.assert_array_equal(out[~lost], ids[~lost])
    padded = np.pad(ids, 1, constant_values=2)
    for y, x in zip(*np.nonzero(lost), strict=True):
        around = {int(padded[y, x + 1]), int(padded[y + 2, x + 1]), int(padded[y + 1, x]), int(padded[y + 1, x + 2])}
        assert int(out[y, x]) in around - {2}


def test_shrink_then_grow_leaves_a_large_square(side: int) -> None:
    ids = np.zeros((80, 80), np.uint8)
    ids[20:60, 20:60] = 1
    smaller = written(ids, whole.shrunk(ids, 1))
    assert (smaller == 1).sum() == 38 * 38
    again = written(smaller, whole.grown(smaller, 1))
    assert (again == 1).sum() == 40 * 40 - 4  # the corners are farther away than one


def test_a_class_that_is_everywhere_or_nowhere_changes_nothing(side: int) -> None:
    ids = np.ones((50, 50), np.uint8)
    for patches in (whole.grown(ids, 1), whole.shrunk(ids, 1), whole.grown(ids, 2), whole.shrunk(ids, 2)):
        np.testing.assert_array_equal(written(ids, patches), ids)
