"""The clock of a training run."""

from __future__ import annotations

import doctest

import pytest

from unet_gui.engine import schedule
from unet_gui.engine.schedule import Clock, rate_factor


def test_by_steps() -> None:
    clock = Clock(4)
    for step in range(1, 5):
        assert not clock.done
        clock.advance(1.0, 99.0, 0.0)
        assert clock.progress == step / 4
    assert clock.done
    assert clock.steps_left == 0


@pytest.mark.parametrize("slower", [1.0, 3.0, 0.3])
def test_by_time_the_end_comes_with_the_end_of_the_time(slower: float) -> None:
    """Even if the machine becomes slower or faster half-way."""
    clock, now, took = Clock(None, 100.0), 0.0, 0.1
    while not clock.done:
        if now > 50:
            took = 0.1 * slower
        now += took
        before = clock.progress
        clock.advance(took, now, 5.0)
        assert clock.progress > before
    assert 94 <= now <= 95.5


@pytest.mark.parametrize("first", [0.1, 1.0, 6.0])
@pytest.mark.parametrize("validation", [0.0, 0.1, 2.0])
def test_a_slow_start_does_not_end_the_schedule_early(first: float, validation: float) -> None:
    clock, elapsed = Clock(None, seconds=20.0), 0.0
    while not clock.done:
        took = first if clock.step == 0 else 0.1
        elapsed += took
        clock.advance(took, elapsed, validation * 3)
    assert 10 <= elapsed <= 20.5


def test_hurry() -> None:
    clock = Clock(1000)
    for _ in range(100):
        clock.advance(1.0, 0.0, 0.0)
    clock.hurry(0.8)
    assert clock.progress == 0.8
    assert clock.total == 125
    clock.advance(1.0, 0.0, 0.0)
    assert clock.progress == 101 / 125
    clock.hurry(0.5)
    assert clock.progress == 101 / 125


def test_rates() -> None:
    assert doctest.testmod(schedule).failed == 0
    assert rate_factor(0.0, 0.1, "cosine") < 0.02
    assert rate_factor(0.05, 0.1, "cosine") == pytest.approx(0.5, abs=0.02)
    assert max(rate_factor(p / 100, 0.1, "cosine") for p in range(101)) > 0.95
