"""Any pixels as 8 bit for the screen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.files import pattern
from unet_gui.core.images import auto_window, first_window, to_display


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "uint32", "float32", "float64"])
def test_low_is_black_high_is_white_and_the_middle_grey(dtype: str) -> None:
    array = np.array([[10, 20, 60, 100, 120]], dtype)
    assert to_display(array, 20, 100).tolist() == [[0, 0, 128, 255, 255]]


def test_a_large_16_bit_picture_takes_the_same_values() -> None:
    array = pattern((400, 400), "uint16")
    np.testing.assert_array_equal(to_display(array, 900, 50000)[:100], to_display(array[:100], 900, 50000))


def test_gamma_lifts_the_middle_only() -> None:
    array = np.array([[0, 64, 255]], np.uint8)
    lifted = to_display(array, 0, 255, gamma=2.0)
    assert lifted.tolist() == [[0, 128, 255]]


def test_eight_bit_at_full_range_is_unchanged() -> None:
    array = pattern((30, 40, 3))
    shown = to_display(array, 0, 255)
    np.testing.assert_array_equal(shown, array)
    assert shown.flags.c_contiguous


@pytest.mark.parametrize(
    ("channels", "shape"), [(1, (9, 9)), (2, (9, 9, 3)), (3, (9, 9, 3)), (4, (9, 9, 3)), (7, (9, 9, 3))]
)
def test_any_number_of_channels_becomes_grey_or_three(channels: int, shape: tuple[int, ...]) -> None:
    array = pattern((9, 9, channels))
    shown = to_display(array, 0, 255)
    assert shown.shape == shape
    assert shown.dtype == np.uint8
    assert shown.flags.c_contiguous
    if channels == 2:
        np.testing.assert_array_equal(shown[..., :2], array)
        assert not shown[..., 2].any()


def test_each_channel_may_have_bounds_of_its_own() -> None:
    array = np.dstack([np.full((2, 2), value, np.uint16) for value in (100, 1000, 10000)])
    shown = to_display(array, [0, 0, 10000], [200, 1000, 20000])
    assert shown[0, 0].tolist() == [128, 255, 0]


def test_equal_bounds_cut() -> None:
    assert to_display(np.array([[1.0, 2.0, 3.0]]), 2, 2).tolist() == [[0, 0, 255]]


def test_what_is_no_number_is_black() -> None:
    array = np.array([[np.nan, np.inf, -np.inf, 0.5]], np.float32)
    assert to_display(array, 0, 1).tolist() == [[0, 255, 0, 128]]


def test_the_window_leaves_outliers_outside() -> None:
    array = np.full((100, 100), 500, np.uint16)
    array[:50] = 300
    array[0, 0], array[0, 1] = 0, 65535
    assert auto_window(array) == (300, 500)
    array[1, :] = 65535  # one in a hundred is no outlier
    assert auto_window(array)[1] > 30000


@given(st.floats(-1e6, 1e6), st.sampled_from(["uint8", "uint16", "float32"]))
def test_the_window_of_a_flat_picture_is_not_empty(value: float, dtype: str) -> None:
    array = np.full((9, 9), abs(value) % 200 if dtype != "float32" else value, dtype)
    low, high = auto_window(array)
    assert low < high
    assert low <= float(array[0, 0]) <= high


def test_the_window_ignores_what_is_no_number() -> None:
    array = np.linspace(0, 1, 10000, dtype=np.float32).reshape(100, 100)
    array[0, :] = np.nan
    array[1, :] = np.inf
    low, high = auto_window(array)
    assert 0 < low < 0.1
    assert 0.9 < high < 1.0
    assert auto_window(np.full((3, 3), np.nan)) == (0.0, 1.0)


# ---------------------------------------------------------------------- before anybody has chosen


def test_a_dark_picture_of_8_bit_is_brightened() -> None:
    cells = np.random.default_rng(0).integers(2, 14, (300, 300)).astype(np.uint8)
    assert first_window(cells) == (2, 13)
    assert first_window(np.dstack([cells] * 3)) == (2, 13)
    cells[:10, :10] = 30  # what is looked for is small and bright
    assert first_window(cells) == (2, 30)


def test_a_night_with_lights_stays_as_it_is() -> None:
    night = np.random.default_rng(0).integers(0, 20, (300, 300)).astype(np.uint8)
    night[100:106, 100:106] = 250
    assert first_window(night) == (0, 255)


def test_an_ordinary_picture_stays_as_it_is() -> None:
    assert first_window(np.full((20, 20), 100, np.uint8)) == (0, 255)
    assert first_window(np.random.default_rng(0).integers(100, 120, (20, 20)).astype(np.uint8)) == (0, 255)


def test_the_noise_of_an_empty_picture_is_not_all_that_is_seen() -> None:
    low, high = first_window(np.random.default_rng(0).integers(0, 3, (300, 300)).astype(np.uint8))
    assert high - low == 8
    assert to_display(np.zeros((4, 4), np.uint8), *first_window(np.zeros((4, 4), np.uint8))).max() == 0


def test_16_bit_gets_a_window_of_its_own() -> None:
    deep = np.random.default_rng(0).integers(1000, 2000, (300, 300)).astype(np.uint16)
    assert first_window(deep) == auto_window(deep)


@pytest.mark.parametrize("mark", [-3.4e38, 9.97e36, 1e20, np.nan, -np.inf])
def test_what_programs_write_for_missing_pixels_is_not_in_the_window(mark: float) -> None:
    picture = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)
    picture[:16] = mark
    low, high = auto_window(picture)
    assert 0.2 < low < 0.3
    assert 0.9 < high <= 1
