"""The operating point is chosen so that it holds on other images too."""

from __future__ import annotations

import numpy as np
import pytest

from unet_gui.engine.validate import Answer, Judge


class Curve(Judge):
    """Rand F as a given function of the threshold."""

    def __init__(self, points: dict[float, float]) -> None:
        super().__init__("rand", 2, 0)
        self.points = points

    def _rand_at(self, found: object, offset: float) -> float:
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
    outcome = judge.judge(NOTHING)
    assert low <= outcome.offsets[0] <= high
    assert outcome.score == pytest.approx(judge._rand_at(NOTHING, outcome.offsets[0]))


def test_near_the_last_one_only_its_neighbourhood_is_tried() -> None:
    judge = Curve({-3: 0.3, 0: 0.97, 3: 0.97, 5: 0.5})
    assert abs(judge.judge(NOTHING, near=(3.0, 0.0)).offsets[0] - 3.0) <= 1
