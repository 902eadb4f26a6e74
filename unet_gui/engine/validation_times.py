"""When a training tries its network on the images held back, and how long it bears that nothing improves."""

from __future__ import annotations

import math

from unet_gui.engine.keeper import Keeper
from unet_gui.engine.plan import DEFAULT_MINUTES, Plan
from unet_gui.engine.schedule import Clock

VALIDATIONS = 12
MOST_VALIDATIONS = 30
VALIDATION_SHARE = 0.08
FIRST_VALIDATION = 15.0
"""Seconds after which a run by time tries its images held back at the latest: stopped early, it has a score and an
operating point."""
PATIENCE = 12


class ValidationTimes:
    """Spreads validations over a run, so that they take a small share of its time.

    Parameters
    ----------
    plan : Plan
    clock : Clock
        How far the run has come.
    keeper : Keeper
        Has the images held back, and knows what a validation costs.
    steps_per_epoch : int
    patience : int or None
        `TrainConfig.patience`.

    Attributes
    ----------
    passed : int
        Validations whose time has come and gone.
    """

    def __init__(self, plan: Plan, clock: Clock, keeper: Keeper, steps_per_epoch: int, patience: int | None) -> None:
        self._plan, self._clock, self._keeper = plan, clock, keeper
        self._steps_per_epoch, self._wish = steps_per_epoch, patience
        self.passed = 0

    @property
    def planned(self) -> int:
        """How many validations the whole run has."""
        clock = self._clock
        if self._plan.recipe == "tutorial" and clock.total is not None:
            return max(1, clock.total // self._steps_per_epoch)
        if clock.total is not None or not self._keeper.cost:
            return VALIDATIONS
        return int(min(MOST_VALIDATIONS, max(2, VALIDATION_SHARE * clock.seconds / self._keeper.cost)))

    def is_due(self, elapsed: float) -> bool:
        """Whether it is time for one, `elapsed` seconds after the beginning."""
        clock = self._clock
        if not self._keeper.pictures or clock.done:
            return False
        if clock.total is None and not self._keeper.cost and elapsed >= FIRST_VALIDATION:
            return True
        return clock.progress * self.planned >= self.passed + 1 - 1e-9

    def validated(self) -> None:
        """Hear that there was one now."""
        self.passed = self._by_now()

    def go_on_from(self, passed: int) -> None:
        """Go on where a run stopped; of a longer run there are more, and fewer have passed."""
        self.passed = min(passed, self._by_now())

    def _by_now(self) -> int:
        return int(self._clock.progress * self.planned + 1e-6)

    def reserve(self) -> float:
        """Return the seconds to keep for validations to come and for writing the model."""
        if not self._keeper.pictures:
            return 0.3
        left = (1 - self._clock.progress) * self.planned
        last = 1 + self._plan.views  # the last one, and the choice of the operating point, which looks from all sides
        return (left + last) * self._keeper.cost + 0.3

    def patience(self, elapsed: float) -> float:
        """Return how many validations without improvement are borne, `elapsed` seconds after the beginning."""
        if self._wish is None:  # within the usual time, what is left of it is worth more than an early end
            patient = elapsed < DEFAULT_MINUTES * 60 or self._plan.recipe == "tutorial"
            return math.inf if patient else min(PATIENCE, max(2, self.planned // 3))
        return self._wish or math.inf
