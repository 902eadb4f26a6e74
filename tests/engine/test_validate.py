"""The operating point is chosen so that it holds on other images too."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import pytest

from unet_gui.engine import validate
from unet_gui.engine.events import TICK, Event
from unet_gui.engine.predict import run
from unet_gui.engine.validate import Answer, Judge, connected, mean_known, rand_f


class Curve(Judge):
    """Rand F as a given function of the threshold."""

    def __init__(self, points: dict[float, float]) -> None:
        super().__init__("rand", 2, 0)
        self.points = points

    def _rand_at(self, found: object, offset: float) -> Generator[Event, None, float]:
        yield TICK
        return float(np.interp(offset, list(self.points), list(self.points.values())))


NOTHING = [Answer(np.zeros((2, 4, 4), np.float32), np.zeros((4, 4), np.uint8))]


@pytest.mark.parametrize(
    ("points", "low", "high"),
    [
        ({-3: 0.3, 0: 0.97, 3: 0.97, 5: 0.5}, 2.0, 2.0),  # as good over a wide range: where cells rarely merge
        ({-3: 0.3, -1.5: 0.97, 0: 0.97, 1: 0.5, 5: 0.4}, -0.5, 0.0),  # where membranes must be thin: the nearest to it
        ({-3: 0.3, 1: 0.8, 2.5: 0.96, 4: 0.8, 5: 0.5}, 2.3, 2.7),  # a peak
        ({-3: 0.9, 0: 0.5, 5: 0.5}, -3.0, -2.4),  # at the end of what is tried
    ],
)
def test_the_safest_of_what_is_good(points: dict[float, float], low: float, high: float) -> None:
    judge = Curve(points)
    outcome = run(judge.judge(NOTHING))
    assert low <= outcome.offsets[0] <= high
    assert outcome.score == pytest.approx(run(judge._rand_at(NOTHING, outcome.offsets[0])))


def test_near_the_last_one_only_its_neighbourhood_is_tried() -> None:
    judge = Curve({-3: 0.3, 0: 0.97, 3: 0.97, 5: 0.5})
    assert abs(run(judge.judge(NOTHING, near=(3.0, 0.0))).offsets[0] - 3.0) <= 1


def test_it_can_be_stopped_after_each_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thresholds are tried on images of some megapixels, which takes half a minute."""
    looked = [0]

    def watched(*regions: np.ndarray) -> float:
        looked[0] += 1
        return rand_f(*regions)

    monkeypatch.setattr(validate, "rand_f", watched)
    rng = np.random.default_rng(0)
    found = [Answer(rng.normal(0, 1, (2, 20, 30)).astype(np.float32), np.eye(20, 30, dtype=np.uint8)) for _ in range(3)]
    steps, before = Judge("rand", 2, 1).judge(found), 0
    for _ in steps:
        assert looked[0] <= before + 1
        before = looked[0]
    assert before == 3 * (len(validate.SCAN) + 1)


def test_rand_f_of_many_regions_needs_no_table_of_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    truth, said = (connected(rng.random((150, 160)) < 0.6) for _ in range(2))
    table = rand_f(truth, said)
    assert int(truth.max()) * int(said.max()) > 100_000
    monkeypatch.setattr(validate, "PAIRS", 10)
    assert rand_f(truth, said) == table
    assert 0 < table < 1


def test_offsets_of_many_classes_as_tried_one_by_one() -> None:
    rng = np.random.default_rng(1)
    label = rng.integers(0, 5, (60, 70)).astype(np.uint8)
    label[:9] = 255
    logits = rng.normal(0, 1, (5, 60, 70)).astype(np.float32)
    for c in range(5):
        logits[c][label == c] += 1.2 - 0.5 * c
    judge = Judge("dice", 5, 0)

    def score(offsets: np.ndarray) -> float:
        return mean_known(run(judge._dice_at([Answer(logits, label)], offsets.tolist())))

    wanted = np.zeros(5)
    best = score(wanted)
    for _ in range(2):
        for c in range(5):
            for step in (-1.0, -0.5, 0.5, 1.0):
                trial = wanted.copy()
                trial[c] += step
                if score(trial) > best + 1e-3:
                    best, wanted = score(trial), trial
    outcome = run(judge.judge([Answer(logits, label)]))
    assert outcome.offsets == tuple(wanted.tolist())
    assert any(outcome.offsets)
    assert outcome.score == pytest.approx(best)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("shown", [0, 1])
def test_a_single_class_chooses_no_operating_point(classes: int, shown: int) -> None:
    """Somebody holds back an image of background alone: nothing speaks against calling all background."""
    logits = np.random.default_rng(0).normal(0, 1, (classes, 40, 50)).astype(np.float32)
    for label in (np.full((40, 50), shown, np.uint8), np.where(logits[0] > 1, shown, 255).astype(np.uint8)):
        judge, found = Judge("dice", classes), [Answer(logits, label)]
        for outcome in (run(judge.judge(found)), run(judge.settle(found))):
            assert outcome.offsets == (0.0,) * classes
            assert 0 < outcome.dice[shown] < 1
