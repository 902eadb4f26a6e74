"""Figures against arrays made by hand and against scikit-image."""

from __future__ import annotations

import math
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.measure import label as skimage_label
from skimage.metrics import adapted_rand_error, variation_of_information

from unet_gui.core import metrics, regions
from unet_gui.core.cv import cv2
from unet_gui.core.metrics import (
    confusion,
    dice,
    grow,
    iou,
    match_objects,
    mean_of,
    objects_of,
    partition_scores,
    pixel_error,
    rand_f,
    region_scores,
    regions_of,
    thin_net_class,
)
from unet_gui.core.regions import nets_of, voted
from unet_gui.core.store import BINARY, INDEX, read_label, read_raw

U = 255
shapes = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12)
pairs = shapes.flatmap(
    lambda shape: st.tuples(
        hnp.arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 2, U])),
        hnp.arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 2, U])),
    )
)


def grid(text: str) -> np.ndarray:
    """Return an array from a drawing: digits are class ids, a dot is unlabelled."""
    return np.array([[U if c == "." else int(c) for c in line] for line in text.split()], np.uint8)


# ---------------------------------------------------------------------- pixels


def test_confusion_by_hand() -> None:
    truth = grid("0011 22.. 0000")
    predicted = grid("0111 2.12 0022")
    assert confusion(truth, predicted, 3).tolist() == [[3, 1, 2, 0], [0, 2, 0, 0], [0, 0, 1, 1]]


def test_scores_by_hand() -> None:
    table = confusion(grid("0000 1111"), grid("0001 1111"), 3)
    assert dice(table)[:2].tolist() == [6 / 7, 8 / 9]
    assert iou(table)[:2].tolist() == [3 / 4, 4 / 5]
    assert math.isnan(dice(table)[2])
    assert mean_of(dice(table)) == pytest.approx((6 / 7 + 8 / 9) / 2)
    assert pixel_error(table) == pytest.approx(1 / 8)


def test_nothing_labelled_is_no_score() -> None:
    table = confusion(grid("..."), grid("012"), 3)
    assert not table.any()
    assert math.isnan(pixel_error(table))
    assert math.isnan(mean_of(dice(table)))


@given(pairs)
def test_scores_are_those_of_the_definition(both: tuple[np.ndarray, np.ndarray]) -> None:
    truth, predicted = both
    table = confusion(truth, predicted, 3)
    known = truth != U
    assert table.sum() == known.sum()
    for i in range(3):
        true, said = (truth == i) & known, (predicted == i) & known
        common, either = (true & said).sum(), (true | said).sum()
        if either == 0:
            assert math.isnan(dice(table)[i])
            assert math.isnan(iou(table)[i])
        else:
            assert dice(table)[i] == pytest.approx(2 * common / (true.sum() + said.sum()))
            assert iou(table)[i] == pytest.approx(common / either)
    if known.any():
        assert pixel_error(table) == pytest.approx((truth != predicted)[known].mean())


@given(pairs)
def test_unlabelled_truth_never_counts(both: tuple[np.ndarray, np.ndarray]) -> None:
    truth, predicted = both
    other = np.where(truth == U, 1, predicted).astype(np.uint8)
    np.testing.assert_array_equal(confusion(truth, predicted, 3), confusion(truth, other, 3))


def test_tables_add_up_and_large_images_come_in_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    truth, predicted = (rng.integers(0, 4, (90, 70)).astype(np.uint8) for _ in range(2))
    whole = confusion(truth, predicted, 4)
    np.testing.assert_array_equal(
        whole, confusion(truth[:40], predicted[:40], 4) + confusion(truth[40:], predicted[40:], 4)
    )
    monkeypatch.setattr("unet_gui.core.overlap._PIXELS", 500)
    np.testing.assert_array_equal(whole, confusion(truth, predicted, 4))


def test_sizes_and_classes_must_fit() -> None:
    for function in (lambda a, b: confusion(a, b, 2), region_scores, match_objects):
        with pytest.raises(ValueError, match="prediction is"):
            function(np.zeros((3, 4), np.uint8), np.zeros((4, 3), np.uint8))
    with pytest.raises(ValueError, match="class 5"):
        confusion(np.full((2, 2), 5, np.uint8), np.zeros((2, 2), np.uint8), 2)


# ---------------------------------------------------------------------- regions


def test_regions_touch_over_edges_not_corners() -> None:
    regions = regions_of(grid("110 001 1.1"), 0)
    assert len(np.unique(regions[regions > 0])) == 3
    assert regions[0, 0] == regions[0, 1] != regions[1, 2]
    assert regions[1, 2] == regions[2, 2]
    assert regions[2, 1] == 0


@given(hnp.arrays(np.uint8, shapes, elements=st.sampled_from([0, 1, 2])))
def test_regions_are_those_of_scikit_image(ids: np.ndarray) -> None:
    ours, theirs = regions_of(ids, 0), skimage_label(ids != 0, connectivity=1)
    found = {(int(a), int(b)) for a, b in zip(ours.ravel(), theirs.ravel(), strict=True)}
    assert len(found) == len({a for a, _ in found}) == len({b for _, b in found})


@given(hnp.arrays(np.uint8, shapes, elements=st.sampled_from([0, 1])))
def test_grown_regions_keep_their_pixels_and_fill_everything(ids: np.ndarray) -> None:
    regions = regions_of(ids, 0)
    grown = grow(regions)
    inside = regions > 0
    np.testing.assert_array_equal(grown[inside], regions[inside])
    assert (grown > 0).all() or not inside.any()


def test_a_membrane_is_shared_in_the_middle() -> None:
    assert grow(np.array([[1, 0, 0, 0, 0, 2]], np.int32)).tolist() == [[1, 1, 1, 2, 2, 2]]


def two_cells(membrane: slice, gap: bool = False) -> np.ndarray:
    """Return two cells of 40 × 40 and a membrane between them, with a hole in it if wished."""
    ids = np.ones((40, 84), np.uint8)
    ids[:, membrane] = 0
    if gap:
        ids[20, :] = 1
    return ids


TRUTH = two_cells(slice(40, 44))


def test_a_perfect_prediction() -> None:
    scores = region_scores(TRUTH, TRUTH)
    assert scores.rand_f == pytest.approx(1)
    assert scores.vi == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("membrane", [slice(40, 44), slice(41, 43), slice(42, 43), slice(40, 41)])
def test_thickness_and_place_within_the_true_membrane_cost_nothing(membrane: slice) -> None:
    scores = region_scores(TRUTH, two_cells(membrane))
    assert scores.rand_f == pytest.approx(1)
    assert scores.vi == pytest.approx(0, abs=1e-9)


def test_a_thick_membrane_costs_nothing_either_when_its_middle_is_right() -> None:
    assert region_scores(TRUTH, two_cells(slice(32, 52))).rand_f == pytest.approx(1)


def test_a_hole_of_one_pixel_merges_two_cells() -> None:
    scores = region_scores(TRUTH, two_cells(slice(40, 44), gap=True))
    n = 40 * 40  # pixels of a cell: all pairs are joined, half of them rightly
    right, joined = 2 * n * (n - 1), 2 * n * (2 * n - 1)
    assert scores.precision == pytest.approx(right / joined)
    assert scores.recall == pytest.approx(1)
    assert scores.rand_f == pytest.approx(2 * right / (joined + right))
    assert (scores.split, scores.merge) == pytest.approx((0, 1))  # one bit: which of two equal cells


def test_a_membrane_too_many_splits_a_cell() -> None:
    one = np.ones((40, 84), np.uint8)
    cut = two_cells(slice(42, 42))
    cut[:, 42] = 0
    scores = region_scores(one, cut)
    left, right = 43 * 40, 41 * 40  # the line itself goes to the left
    total = left + right
    pairs_kept = (left * (left - 1) + right * (right - 1)) / (total * (total - 1))
    assert scores.recall == pytest.approx(pairs_kept)
    assert scores.precision == pytest.approx(1)
    share = left / total
    entropy = -share * math.log2(share) - (1 - share) * math.log2(1 - share)
    assert (scores.split, scores.merge) == pytest.approx((entropy, 0))


def test_only_pixels_of_true_regions_count() -> None:
    wild = TRUTH.copy()
    wild[:, 40:44] = np.random.default_rng(0).integers(0, 2, (40, 4))
    wild[:, 40] = 0
    assert region_scores(TRUTH, wild).rand_f > 0.99
    truth = TRUTH.copy()
    truth[:, 60:] = U
    broken = TRUTH.copy()
    broken[::2, 62:] = 0
    assert region_scores(truth, broken).rand_f == pytest.approx(1)


def test_no_true_region_is_no_score_and_no_predicted_one_is_all_merged() -> None:
    nothing = np.zeros_like(TRUTH)
    assert all(math.isnan(value) for value in region_scores(nothing, TRUTH))
    assert region_scores(TRUTH, nothing).merge == pytest.approx(1)


def test_the_class_that_separates_can_be_any() -> None:
    assert rand_f(1 - TRUTH, 1 - two_cells(slice(40, 44), gap=True), 1) == pytest.approx(
        rand_f(TRUTH, two_cells(slice(40, 44), gap=True), 0)
    )
    three = TRUTH.copy()
    three[5:9, 5:9] = 2  # something inside a cell is part of it
    assert rand_f(three, TRUTH, 0) == pytest.approx(1)


@given(
    hnp.arrays(np.int64, (9, 11), elements=st.integers(0, 4)), hnp.arrays(np.int64, (9, 11), elements=st.integers(1, 4))
)
def test_partitions_are_scored_as_by_scikit_image(truth: np.ndarray, predicted: np.ndarray) -> None:
    scores = partition_scores(truth, predicted)
    if np.count_nonzero(truth) < 2:
        return
    with np.errstate(invalid="ignore"):
        error, _, _ = adapted_rand_error(truth, predicted, ignore_labels=(0,))
    split, merge = variation_of_information(truth, predicted, ignore_labels=(0,))
    np.testing.assert_allclose(scores.rand_f, 1 - error)
    np.testing.assert_allclose((scores.split, scores.merge), (split, merge), atol=1e-12)


def test_real_membranes(data: Path) -> None:
    truth = read_label(data / "isbi2012/train/label/0.png", BINARY)
    assert rand_f(truth, truth) == pytest.approx(1)
    thin = cv2.dilate(truth, np.ones((2, 2), np.uint8))  # cells grow: some membranes open
    thick = cv2.erode(truth, np.ones((3, 3), np.uint8))
    assert rand_f(truth, thin) < rand_f(truth, thick) < 1
    assert rand_f(truth, thick) > 0.99
    split, merge = metrics.variation_of_information(truth, thin)
    assert merge > split


# ---------------------------------------------------------------------- which class is a net


def honeycomb(width: int) -> np.ndarray:
    """Return square cells (1) with walls (0)."""
    ids = np.ones((200, 200), np.uint8)
    for i in range(0, 200, 40):
        ids[i : i + width] = 0
        ids[:, i : i + width] = 0
    return ids


def discs(radius: int) -> np.ndarray:
    """Return discs (1) on background (0)."""
    ids = np.zeros((200, 200), np.uint8)
    for y in range(30, 200, 45):
        for x in range(30, 200, 45):
            cv2.circle(ids, (x, y), radius, 1, -1)
    return ids


@pytest.mark.parametrize("width", [1, 3, 6])
def test_walls_are_a_net_whatever_their_id(width: int) -> None:
    assert thin_net_class([honeycomb(width)]) == 0
    assert thin_net_class([1 - honeycomb(width)]) == 1
    assert thin_net_class([honeycomb(width) + 4]) == 4


def test_of_a_large_label_the_middle_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regions, "_SEEN", 200)
    ids = np.pad(honeycomb(3), 300)
    assert thin_net_class([ids]) == 0
    assert nets_of(ids) == {0: True, 1: False}
    assert voted([nets_of(ids), nets_of(np.ones_like(ids))]) == 0


def test_walls_between_cells_with_something_inside() -> None:
    ids = honeycomb(4)
    ids[10:20, 10:20] = 2
    assert thin_net_class([ids]) == 0


@pytest.mark.parametrize("radius", [3, 8, 12])
def test_discs_and_their_background_are_no_net(radius: int) -> None:
    assert thin_net_class([discs(radius)]) is None


def test_thin_lines_that_separate_nothing_are_no_net() -> None:
    ids = np.zeros((200, 200), np.uint8)
    for i in range(20, 200, 30):
        cv2.line(ids, (i, 10), (i, 190), 1, 3)
    assert thin_net_class([ids]) is None


@pytest.mark.parametrize("seed", range(5))
def test_vessels_that_cross_and_end_are_no_net(seed: int) -> None:
    """They enclose regions by the way, and those mean nothing."""
    rng = np.random.default_rng(seed)
    ids = np.zeros((400, 400), np.uint8)
    for x, y, turn in zip(rng.uniform(0, 400, 40), rng.uniform(0, 400, 40), rng.uniform(0, 2 * np.pi, 40), strict=True):
        end = (int(x + 200 * np.cos(turn)), int(y + 200 * np.sin(turn)))
        cv2.line(ids, (int(x), int(y)), end, 1, int(rng.integers(2, 6)))
    assert thin_net_class([ids]) is None


def test_a_net_with_a_few_gaps_is_one() -> None:
    ids = honeycomb(3)
    ids[97:104, 20:26] = ids[30:36, 97:104] = 1
    assert thin_net_class([ids]) == 0


def test_broad_streets_are_no_net() -> None:
    assert thin_net_class([honeycomb(24)]) is None


def test_a_few_strokes_separate_nothing() -> None:
    ids = np.full((200, 200), U, np.uint8)
    ids[50:53, 20:180] = 0
    ids[80:90, 20:60] = ids[80:90, 100:150] = ids[120:130, 20:60] = ids[150:160, 20:60] = 1
    assert thin_net_class([ids]) is None
    assert thin_net_class([np.full((9, 9), U, np.uint8)]) is None
    assert thin_net_class([]) is None


def test_the_real_data_are_told_apart(data: Path) -> None:
    slices = [read_label(path, BINARY) for path in sorted((data / "isbi2012/train/label").glob("*.png"))[:6]]
    assert thin_net_class(slices) == 0
    streets = [read_label(path, INDEX) for path in sorted((data / "camvid/train/label").glob("*.png"))[:6]]
    assert thin_net_class(streets) is None
    nuclei = [(read_raw(path).pixels > 0).astype(np.uint8) for path in (data / "nuclei/instances").glob("*.png")]
    assert not any(thin_net_class([ids]) is not None for ids in nuclei)


# ---------------------------------------------------------------------- objects


def test_objects_by_hand() -> None:
    truth = grid("11022 11022 00000 33300")
    predicted = grid("11077 11000 00000 88899") + np.uint8(0)
    scores = match_objects(truth, predicted)
    assert scores == (2, 2, 1)  # 2 and 7 share a half, which is not enough; 9 is invented
    assert scores.average_precision == 2 / 5


def test_the_objects_of_a_class() -> None:
    objects = objects_of(grid("1102 0011 .211"), 1)
    assert len(np.unique(objects)) == 3
    assert not objects[grid("1102 0011 .211") != 1].any()


def test_objects_that_are_all_there_or_not_at_all() -> None:
    nothing, some = np.zeros((4, 4), np.uint16), np.diag([1, 2, 700, 9]).astype(np.uint16)
    assert match_objects(some, some) == (4, 0, 0)
    assert match_objects(some, nothing) == (0, 0, 4)
    assert match_objects(nothing, some) == (0, 4, 0)
    assert match_objects(nothing, nothing).average_precision == 1
    with pytest.raises(ValueError, match="partners"):
        match_objects(some, some, 0.3)


def test_thousands_of_objects_need_no_table_of_all_pairs() -> None:
    numbers = np.arange(1, 64 * 64 + 1, dtype=np.int32).reshape(64, 64)
    tracemalloc.start()
    try:
        assert match_objects(numbers, numbers[::-1]) == (4096, 0, 0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * 2**20


@given(
    hnp.arrays(np.uint8, (8, 8), elements=st.integers(0, 3)), hnp.arrays(np.uint8, (8, 8), elements=st.integers(0, 3))
)
def test_objects_are_paired_as_by_trying_all(truth: np.ndarray, predicted: np.ndarray) -> None:
    found = 0
    true_ids, pred_ids = set(truth.ravel().tolist()) - {0}, set(predicted.ravel().tolist()) - {0}
    for a in true_ids:
        for b in pred_ids:
            mine, other = truth == a, predicted == b
            found += (mine & other).sum() > 0.5 * (mine | other).sum()
    assert match_objects(truth, predicted) == (found, len(pred_ids) - found, len(true_ids) - found)


def test_real_nuclei_match_themselves(data: Path) -> None:
    truth = read_raw(data / "nuclei/instances/027.png").pixels
    assert match_objects(truth, truth).average_precision == 1
    assert match_objects(truth, np.roll(truth, 3, axis=1)).average_precision < 1
