"""What a prediction means after classes of the folder were merged."""

from __future__ import annotations

from unet_gui.core.predictions import heirs


def test_what_was_merged_twice_is_read_as_the_last() -> None:
    gone = [[4, "d", 3], [3, "c", 1], [5, "e", 255], [6, "f", 7], [7, "g", 6]]
    assert heirs(gone, {0, 1}) == {3: 1, 4: 1}
    assert heirs(gone, {1, 3}) == {4: 3}, "one that is back means itself"


def test_a_setting_that_is_damaged_says_nothing() -> None:
    for gone in (None, {"3": 1}, "3", [3, [3], [3, "c"], ["3", "c", 1], [-3, "c", 1], [300, "c", 1]]):
        assert heirs(gone, {0, 1}) == {}
