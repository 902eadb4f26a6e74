"""Dividing images: what a person named, blocks, parts of one image."""

from __future__ import annotations

import numpy as np
import pytest

from unet_gui.core.errors import UserError
from unet_gui.core.images import ImageRef
from unet_gui.engine.split import choose, hold_back_part, select

STACK = [ImageRef(f"{i}.png") for i in range(24)]


@pytest.mark.parametrize(
    ("wish", "wanted"),
    [
        ("16-19", [16, 17, 18, 19]),
        ("3, 7,16-17", [3, 7, 16, 17]),
        ("0", [0]),
        (["5.png", "6"], [5, 6]),
        ("1?.png", list(range(10, 20))),
    ],
)
def test_names_numbers_ranges(wish: str | list[str], wanted: list[int]) -> None:
    split = choose(STACK, wish)
    assert list(split.val) == wanted
    assert sorted(split.train + split.val) == list(range(24))


def test_numbers_are_those_in_the_names() -> None:
    refs = [ImageRef(f"img_{n:03d}.tif") for n in (5, 7, 9)]
    assert select(refs, "7") == [1]
    assert select(refs, "5-8") == [0, 1]
    unnumbered = [ImageRef("a.png"), ImageRef("b.png"), ImageRef("sub/c.png")]
    assert select(unnumbered, "1-2") == [1, 2]
    assert select(unnumbered, "sub/*") == [2]


PAGES = [ImageRef(name, page) for name in ("a/s.tif", "t 2.TIF") for page in range(4)]


@pytest.mark.parametrize(
    ("wish", "wanted"),
    [
        ("page 2", [1, 5]),
        ("s.tif, page 2", [1]),
        ("a/s.tif, page 2, pages 3 - 4", [1, 2, 3]),
        ("page 1,t 2.TIF, page 2-3,s page 4", [0, 3, 4, 5, 6]),
        (["s.tif, page 2", "Page 4"], [1, 3]),
        ("t* page1-2", [4, 5]),
        ("a/s.tif#1", [1]),
        ("t 2.TIF", [4, 5, 6, 7]),
    ],
)
def test_pages_count_from_one_as_they_are_told(wish: str | list[str], wanted: list[int]) -> None:
    assert select(PAGES, wish) == wanted


@pytest.mark.parametrize(("wish", "wanted"), [("2", [2]), ("2-5", [2, 3, 4, 5]), ("s.tif, page 1, 3", [0, 3])])
def test_a_number_alone_is_a_position_as_it_always_was(wish: str, wanted: list[int]) -> None:
    assert select(PAGES, wish) == wanted
    assert select([ImageRef("page 2.png"), ImageRef("page 3.png")], "page 3.png, 2") == [0, 1]


def test_pages_that_are_not_there_are_said() -> None:
    for wish in ("page 0", "page 5-9", "s.tif, page 5", "u.tif, page 1"):
        with pytest.raises(UserError, match=r"No labelled image is called .* pages count from 1"):
            select(PAGES, wish)


def test_unknown_names_are_said() -> None:
    with pytest.raises(UserError, match="“99”"):
        choose(STACK, "16-19,99")
    with pytest.raises(UserError, match="held back"):
        choose(STACK, "0-23")
    with pytest.raises(UserError, match="fraction"):
        choose(STACK, 1.5)


@pytest.mark.parametrize("count", [5, 8, 24, 66, 500])
def test_automatic_blocks(count: int) -> None:
    refs = [ImageRef(f"{i}.png") for i in range(count)]
    split = choose(refs, None)
    assert len(split.val) == max(1, round(0.2 * count))
    assert not set(split.val) & set(split.train)
    assert len(split.val) + len(split.train) == count
    breaks = sum(b - a > 1 for a, b in zip(split.val, split.val[1:], strict=False))
    assert breaks <= 3, "blocks, not every fifth image"
    assert split.why


def test_fractions_and_none() -> None:
    assert len(choose(STACK, "0.5").val) == 12
    assert len(choose(STACK, 0.25).val) == 6
    assert choose(STACK, "none").val == ()
    assert choose(STACK, 0.0).train == tuple(range(24))


def test_part_of_one_image_shows_all_classes_on_both_sides() -> None:
    label = np.full((60, 100), 255, np.uint8)
    label[10:20, 5:90] = 0
    label[40:50, 10:30] = 1  # class 1 on the left only
    part = hold_back_part(label)
    inside = set(np.unique(label[part.slices])) - {255}
    rest = label.copy()
    rest[part.slices] = 255
    assert inside == {0, 1}
    assert set(np.unique(rest)) - {255} == {0, 1}


def test_no_class_is_held_back_as_a_whole() -> None:
    """The block moves as little as needed; where every image has a class of its own, parts are held back."""
    refs = STACK[:10]
    counts = [[100, 100, 0] for _ in refs]
    usual = choose(refs, None).val
    counts[usual[0]][2] = 5
    moved = choose(refs, None, counts).val
    assert len(moved) == len(usual)
    assert usual[0] not in moved
    assert abs(moved[0] - usual[0]) == 1
    assert choose(refs, [refs[usual[0]].rel], counts).val == usual[:1], "as asked"
    each = choose(refs[:5], None, np.diag([50] * 5).tolist())
    assert each.train == (0, 1, 2, 3, 4)
    assert each.val == (0, 1)
    assert "a part of 0.png and of 1.png" in each.why


@pytest.mark.parametrize("count", [2, 3, 4])
def test_of_few_images_none_is_held_back_as_a_whole(count: int) -> None:
    """What was just corrected is learned, also where it is the second image, and of another kind."""
    split = choose(STACK[:count], None, [[50, 50]] * count)
    assert split.train == split.val == tuple(range(count))
    assert "a part of each" in split.why
    assert len(choose(STACK[:count], 0.5).val) == round(count / 2), "as asked"


def test_what_is_held_back_shows_two_classes() -> None:
    """On one class alone, a model that says it everywhere has a perfect score."""
    refs = STACK[:10]
    objects_alone = [[0, 100] for _ in refs]
    for both in (3, 7):
        objects_alone[both] = [50, 50]
    assert set(choose(refs, None, objects_alone).val) & {3, 7}
    halves = [[10, 0]] * 3 + [[0, 10]] * 3
    assert choose(refs[:6], None, halves).val == (2, 3), "two images in the place of one"
    assert choose(refs[:5], None, [[0]] * 4 + [[5]]).val == (4,), "and none that shows nothing"
    first = [[50, 50]] + [[0, 100]] * 5
    split = choose(refs[:6], None, first)
    assert (split.train, split.val) == (tuple(range(6)), (0,))
    assert refs[0].key in split.why


def test_a_part_without_a_class_that_is_nowhere_else() -> None:
    label = np.zeros((80, 80), np.uint8)
    label[:, 78:] = 1
    label[:10, 70:76] = 2  # at the right edge alone
    label[70:, :40] = 1
    part = hold_back_part(label)
    rest = np.full_like(label, 255)
    rest[label < 255] = label[label < 255]
    rest[part.slices] = 255
    assert set(np.unique(rest)) - {255} == {0, 1, 2}
