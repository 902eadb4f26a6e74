"""Rect: set operations against the pixels themselves."""

from hypothesis import given
from hypothesis import strategies as st

from unet_gui.core.geometry import EMPTY, Rect, middle_of

rects = st.builds(Rect, st.integers(-9, 9), st.integers(-9, 9), st.integers(0, 9), st.integers(0, 9))


def pixels(rect: Rect) -> set[tuple[int, int]]:
    return {(x, y) for x in range(rect.x, rect.x1) for y in range(rect.y, rect.y1)}


@given(rects, rects)
def test_intersect_is_the_common_pixels(a: Rect, b: Rect) -> None:
    assert pixels(a.intersect(b)) == pixels(a) & pixels(b)


@given(rects, rects)
def test_union_is_the_smallest_rect_around_both(a: Rect, b: Rect) -> None:
    both = pixels(a) | pixels(b)
    union = a.union(b)
    assert pixels(union) >= both
    if both:
        assert (union.x, union.y) == (min(x for x, _ in both), min(y for _, y in both))
        assert (union.x1, union.y1) == (max(x for x, _ in both) + 1, max(y for _, y in both) + 1)


@given(rects, st.integers(1, 5))
def test_tiles_are_those_with_a_pixel_in_the_rect(rect: Rect, size: int) -> None:
    assert set(rect.tiles(size)) == {(x // size, y // size) for x, y in pixels(rect)}


def test_clip_and_slices() -> None:
    assert Rect(-2, 3, 10, 10).clip((8, 5)) == Rect(0, 3, 5, 5)
    assert Rect(9, 9, 2, 2).clip((5, 5)) == EMPTY
    assert Rect(1, 2, 3, 4).slices == (slice(2, 6), slice(1, 4))
    assert EMPTY.grow(3).empty


@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 9))
def test_the_middle_is_a_square_or_all(h: int, w: int, side: int) -> None:
    part, whole = middle_of((h, w, 3), side), Rect(0, 0, w, h)
    assert whole.contains(part)
    assert part == whole if h * w <= side**2 else (part.w, part.h) == (min(w, side), min(h, side))
    assert abs((part.x + part.x1) - w) <= 1
    assert abs((part.y + part.y1) - h) <= 1
