"""Outlines give back the pixels they were traced from, by our filling and by that of other programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from unet_gui.core.exchange_rings import Blob, Ring, blobs_of, fill, inset, joined, signed_area
from unet_gui.core.geometry import Rect

labels = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=14), elements=st.integers(0, 2))


def painted(blobs: Sequence[Blob], shape: tuple[int, int], rings: Callable[[Blob], Sequence[Ring]]) -> np.ndarray:
    out = np.full(shape, 99, np.uint8)
    for blob in blobs:
        rect, inside = fill(rings(blob), shape)
        assert int(inside.sum()) == blob.area
        assert rect == blob.rect
        out[rect.slices][inside] = blob.class_id
    return out


@pytest.mark.parametrize(
    "rings",
    [
        lambda blob: blob.rings,
        lambda blob: [joined(blob.outer, blob.holes)],
        lambda blob: [inset(ring) for ring in blob.rings],
    ],
    ids=["with holes", "joined to one ring", "drawn in"],
)
@given(labels)
def test_outlines_give_back_their_pixels(rings: Callable[[Blob], Sequence[Ring]], ids: np.ndarray) -> None:
    assert (painted(blobs_of(ids, range(3)), ids.shape, rings) == ids).all()


@given(labels)
def test_pycocotools_fills_the_same_pixels(ids: np.ndarray) -> None:
    mask = pytest.importorskip("pycocotools.mask")
    for blob in blobs_of(ids, range(3)):
        rect, inside = fill(blob.rings, ids.shape)
        whole = np.zeros(ids.shape, bool)
        whole[rect.slices] = inside
        ring = joined(blob.outer, blob.holes).ravel().tolist()
        assert (mask.decode(mask.frPyObjects([ring], *ids.shape)[0]).astype(bool) == whole).all()


@given(labels)
def test_outlines_run_clockwise_holes_the_other_way(ids: np.ndarray) -> None:
    for blob in blobs_of(ids, range(3)):
        assert signed_area(blob.outer) + sum(map(signed_area, blob.holes)) == blob.area
        assert signed_area(blob.outer) == blob.span
        assert all(signed_area(hole) < 0 for hole in blob.holes)
        steps = np.abs(np.roll(blob.outer, -1, axis=0) - blob.outer)
        assert ((steps == 0).sum(axis=1) == 1).all()  # along pixel borders, without a corner too many


def test_blob_with_a_hole_and_pixels_touching_at_corners() -> None:
    ring = np.array([[1, 1, 1, 0], [1, 0, 1, 0], [1, 1, 1, 0], [0, 0, 0, 1]], np.uint8)
    blobs = blobs_of(ring, [1])
    assert [(b.rect, b.area, len(b.holes)) for b in blobs] == [(Rect(0, 0, 3, 3), 8, 1), (Rect(3, 3, 1, 1), 1, 0)]
    assert blobs[0].outer.tolist() == [[0, 0], [3, 0], [3, 3], [0, 3]]
    assert sorted(map(tuple, blobs[0].holes[0])) == [(1, 1), (1, 2), (2, 1), (2, 2)]


def test_a_pixel_is_inside_when_its_middle_is() -> None:
    rect, inside = fill([[(0.4, 0.4), (2.6, 0.4), (2.6, 1.6), (0.4, 1.6)]], (10, 10))
    assert rect.contains(Rect(0, 0, 3, 2))
    assert inside.sum() == 6
    assert fill([[(0.6, 0.6), (2.4, 0.6), (2.4, 1.4), (0.6, 1.4)]], (10, 10))[1].sum() == 0


def test_what_lies_outside_the_image_is_cut_off() -> None:
    rect, inside = fill([[(-5, -5), (3, -5), (3, 50), (-5, 50)]], (4, 6))
    assert (rect, inside.all()) == (Rect(0, 0, 3, 4), True)
    for ring in ([(20, 0), (30, 0), (30, 3)], [(0, -9), (3, -9), (3, -1)], []):
        rect, inside = fill([ring], (4, 6))
        assert rect.empty
        assert not inside.size
