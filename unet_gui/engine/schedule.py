"""How far a training has come, and how large its steps are there."""

from __future__ import annotations

import math
from dataclasses import dataclass

PACE_MEMORY = 0.9
FIRST_STEPS = 8
"""Steps after which the pace is known; the first ones also pay for memory, threads and kernels."""
MOST_RESERVE = 0.3
"""Share of the time that is kept for validation at most: the first one is slow, the next ones are not."""


@dataclass
class Clock:
    """Where a run is between its beginning (0) and its end (1), by steps or by time.

    By time, the share that each step stands for follows the machine's pace, so that the schedule reaches its end just
    when the time is over, however busy the machine is meanwhile.

    Attributes
    ----------
    total : int or None
        Steps of the whole run; None: it ends by time.
    seconds : float
        Time of the whole run, when it ends by time.
    step : int
        Steps made.
    progress : float
        0…1.
    pace : float
        Seconds a step takes, smoothed.
    """

    total: int | None
    seconds: float = 0.0
    step: int = 0
    progress: float = 0.0
    pace: float = 0.0

    def advance(self, took: float, elapsed: float, reserve: float) -> None:
        """Count one step.

        Parameters
        ----------
        took : float
            Seconds of this step.
        elapsed : float
            Seconds since the beginning.
        reserve : float
            Seconds that validations still to come will take.
        """
        self.step += 1
        if self.step <= FIRST_STEPS:
            self.pace = took if self.pace == 0 else min(self.pace, took)
        else:
            self.pace = PACE_MEMORY * self.pace + (1 - PACE_MEMORY) * took
        if self.total is not None:
            self.progress = min(1.0, self.step / self.total)
            return
        time_left = self.seconds - elapsed
        # one slow first step or validation must not eat the schedule: it would end long before the time is over
        pace = min(self.pace, time_left / 10) if self.step <= FIRST_STEPS else self.pace
        left = (time_left - min(reserve, MOST_RESERVE * self.seconds)) / max(pace, 1e-6)
        self.progress = 1.0 if left < 1 else min(1.0, self.progress + (1 - self.progress) / left)

    def hurry(self, progress: float) -> None:
        """Jump ahead: nothing more is to be had at this rate, so begin the end."""
        if progress <= self.progress:
            return
        if self.total is not None:
            remaining = max(1, round(self.step * (1 - progress) / progress))
            self.total = min(self.total, self.step + remaining)
        self.progress = progress

    @property
    def done(self) -> bool:
        """Whether the end is reached."""
        return self.progress >= 1.0 - 1e-9

    @property
    def steps_left(self) -> int:
        """Steps to the end, estimated when it ends by time."""
        if self.total is not None:
            return max(0, self.total - self.step)
        return 0 if self.progress <= 0 else round(self.step * (1 - self.progress) / self.progress)


def rate_factor(progress: float, warmup: float, kind: str) -> float:
    """Return the learning rate at this point as a share of the peak.

    Examples
    --------
    >>> [round(rate_factor(p, 0.0, "cosine"), 2) for p in (0.0, 0.5, 1.0)]
    [1.0, 0.5, 0.0]
    >>> rate_factor(0.9, 0.0, "constant")
    1.0
    """
    rise = 1.0 if warmup <= 0 else min(1.0, (progress + 1e-3) / warmup)
    if kind == "constant":
        return rise
    return rise * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
