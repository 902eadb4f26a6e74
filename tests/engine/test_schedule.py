"""The clock: a schedule by time ends with the time, whatever single steps take."""

from __future__ import annotations

import pytest

from unet_gui.engine.schedule import Clock


def run(clock: Clock, took: list[float], validation: float) -> float:
    """Let time pass step by step; return when the schedule ended."""
    elapsed = 0.0
    for n in range(100_000):
        step = took[n] if n < len(took) else took[-1]
        elapsed += step
        clock.advance(step, elapsed, validation * 3)
        if clock.done:
            return elapsed
    raise AssertionError("it never ended")


@pytest.mark.parametrize("first", [0.1, 1.0, 6.0])
@pytest.mark.parametrize("validation", [0.0, 0.1, 2.0])
def test_a_slow_start_does_not_end_the_schedule_early(first: float, validation: float) -> None:
    ended = run(Clock(None, seconds=20.0), [first, 0.1], validation)
    assert 10 <= ended <= 20.5


def test_a_machine_that_gets_slower_still_ends_in_time() -> None:
    assert run(Clock(None, seconds=20.0), [0.1] * 50 + [0.4], 0.1) <= 21


def test_by_steps_it_ends_after_those_steps() -> None:
    clock = Clock(7)
    run(clock, [1.0], 0.0)
    assert clock.step == 7
