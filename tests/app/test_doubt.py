"""Doubtful places: the unsure ones are found, worst first, and never where the person has spoken."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from unet_gui.app.doubt import LEAST, doubtful_places
from unet_gui.core.geometry import Rect


def sure(shape: tuple[int, int], classes: int = 2) -> NDArray[np.uint8]:
    prob = np.zeros((classes, *shape), np.uint8)
    prob[0] = 255
    return prob


def make_unsure(prob: NDArray[np.uint8], rect: Rect, share: float = 0.5) -> None:
    prob[(0, *rect.slices)] = round(255 * (1 - share))
    prob[(1, *rect.slices)] = round(255 * share)


def test_the_worst_comes_first() -> None:
    prob = sure((400, 600))
    mild, worst = Rect(64, 64, 96, 96), Rect(400, 250, 96, 96)
    make_unsure(prob, mild, 0.1)
    make_unsure(prob, worst)
    places = doubtful_places(prob)
    assert len(places) >= 2
    assert places[0].rect.intersect(worst).area > 0
    assert places[0].doubt > places[-1].doubt
    assert any(place.rect.intersect(mild).area > 0 for place in places)


def test_a_sure_model_has_no_doubtful_places() -> None:
    assert doubtful_places(sure((300, 300))) == []
    assert doubtful_places(sure((1, 1))) == []


def test_what_is_labelled_is_not_doubtful() -> None:
    prob = sure((320, 320))
    make_unsure(prob, Rect(96, 96, 96, 96))
    label = np.full((320, 320), 255, np.uint8)
    assert doubtful_places(prob, label)
    label[80:220, 80:220] = 0
    assert doubtful_places(prob, label) == []


def test_many_classes_that_all_could_be_are_doubt_one() -> None:
    prob = np.full((5, 128, 128), 51, np.uint8)
    assert doubtful_places(prob)[0].doubt == pytest.approx(1.0, abs=0.02)


@settings(max_examples=40, deadline=None)
@given(h=st.integers(1, 200), w=st.integers(1, 200), classes=st.integers(2, 4), seed=st.integers(0, 99))
def test_places_lie_inside_do_not_overlap_much_and_are_sorted(h: int, w: int, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    raw = rng.random((classes, h, w))
    prob = (raw / raw.sum(axis=0) * 255).astype(np.uint8)
    places = doubtful_places(prob, most=5)
    assert len(places) <= 5
    whole = Rect(0, 0, w, h)
    for place in places:
        assert whole.contains(place.rect)
        assert not place.rect.empty
        assert LEAST <= place.doubt <= 1.01
    assert [p.doubt for p in places] == sorted((p.doubt for p in places), reverse=True)
    for i, a in enumerate(places):
        for b in places[i + 1 :]:
            assert a.rect.intersect(b.rect).area == 0
