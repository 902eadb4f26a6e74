"""Where only strokes are painted, scores and the operating point are those of the whole images."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.sparse import scribbled
from unet_gui.core.cv import cv2
from unet_gui.engine.predict import run
from unet_gui.engine.scribbles import are_strokes, rings_of, stand_for
from unet_gui.engine.validate import Answer, Judge, weighed

SIDE = 384


def blobs(rng: np.random.Generator, classes: int = 2) -> NDArray[np.uint8]:
    """Return an image full of round things, class 0 around them."""
    label = np.zeros((SIDE, SIDE), np.uint8)
    for _ in range(40):
        x, y = (int(v) for v in rng.integers(SIDE, size=2))
        cv2.circle(label, (x, y), int(rng.integers(6, 16)), int(rng.integers(1, classes)), -1)
    return label


def answer(label: NDArray[np.uint8], classes: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return logits as of a network that sees things blurred, some of them too large."""
    each = []
    for c in range(classes):
        seen = (label == c).astype(np.float64)
        seen = cv2.dilate(seen, np.ones((3, 3))) if c else seen
        each.append(cv2.GaussianBlur(rng.normal(seen, 2), (0, 0), 2.5))
    return (6 * np.stack(each)).astype(np.float32)


def painted(classes: int) -> tuple[list[Answer], list[Answer]]:
    """Return answers for images of which strokes are known, and the same with everything known."""
    rng = np.random.default_rng(4)
    strokes, whole = [], []
    for _ in range(6):
        label = blobs(rng, classes)
        logits = answer(label, classes, rng)
        strokes.append(Answer(logits, scribbled(label, 0.03, rng)))
        whole.append(Answer(logits, label))
    return strokes, whole


def test_shares_are_those_of_the_whole_images() -> None:
    strokes, whole = painted(2)
    true = np.mean([a.label == 1 for a in whole])
    known = np.concatenate([a.label[a.label != 255] for a in strokes])
    assert (known == 1).mean() > 1.5 * true  # strokes show far too much of what is rare
    found = weighed(strokes, (0.0, 0.0))
    weights, labels = np.stack([a.weight for a in found if a.weight is not None]), np.stack([a.label for a in found])
    total, ones = float(weights.sum(dtype=float)), float(weights[labels == 1].sum(dtype=float))
    assert total == pytest.approx(6 * SIDE**2, rel=1e-3)
    assert ones / total == pytest.approx(true, rel=0.1)
    assert not weights[labels == 255].any()


@pytest.mark.parametrize("classes", [2, 4])
def test_score_and_operating_point_are_those_of_the_whole_images(classes: int) -> None:
    strokes, whole = painted(classes)
    judge = Judge("dice", classes)
    true, found = run(judge.settle(whole)), run(judge.settle(strokes))
    naive = run(judge.at(strokes, true.offsets)).score
    assert abs(naive - true.score) > 0.02  # strokes alone say something else
    assert found.score == pytest.approx(true.score, abs=0.015)
    assert run(judge.at(whole, found.offsets)).score == pytest.approx(true.score, abs=0.01)


def test_rings_lie_around_borders() -> None:
    said = np.zeros((9, 12), np.int64)
    said[:, 6:] = 1
    assert np.array_equal(rings_of(said), np.tile([2, 2, 2, 1, 1, 0, 0, 1, 1, 2, 2, 2], (9, 1)))
    assert (rings_of(np.ones((5, 5), np.int64)) == 2).all()


def test_whole_labels_are_left_alone() -> None:
    _, whole = painted(2)
    assert not are_strokes([a.label for a in whole])
    assert not are_strokes([np.full((4, 4), 255, np.uint8)])


def test_a_class_with_hardly_a_stroke_keeps_its_share() -> None:
    label = np.full((64, 64), 255, np.uint8)
    label[:20] = 0
    label[40, :5] = 1
    logits = np.zeros((2, 64, 64), np.float32)
    logits[1, 32:] = 3
    (weight,) = stand_for([logits], [label], [logits.argmax(0)])
    assert np.isfinite(weight).all()
    assert (weight[40, :5] > 0).all()
