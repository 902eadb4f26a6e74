"""Going on with a training: what it was begun with, and which wishes come too late."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from unet_gui.core.errors import UserError
from unet_gui.engine.checkpoint import checkpoint_path, load_checkpoint
from unet_gui.engine.events import Event, Warned
from unet_gui.engine.plan import Plan
from unet_gui.engine.prepare import Begun
from unet_gui.engine.recipe import TrainConfig

BEGUN_WITH = (
    "recipe",
    "score",
    "channels",
    "normalisation",
    "symmetries",
    "width",
    "depth",
    "stem",
    "crop",
    "batch",
    "learning_rate",
    "inpaint",
    "init",
    "first_weights",
    "seed",
)
"""Wishes that only the beginning of a training hears."""


def earlier(out: Path, config: TrainConfig) -> dict[str, Any] | None:
    """Return the state of the training to go on with, None where there is none."""
    path = checkpoint_path(out)
    return load_checkpoint(path) if config.resume and path.exists() else None


@contextlib.contextmanager
def understood(out: Path, state: dict[str, Any] | None) -> Iterator[None]:
    """Say in words that a state cannot be gone on from, whatever is missing or of the wrong kind in it.

    Raises
    ------
    UserError
        Instead of what was set off.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, RuntimeError) as error:
        of_device = isinstance(error, RuntimeError) and "state_dict" not in str(error)
        if state is None or of_device:
            raise
        text = "cannot be gone on from: it is damaged, or of another version of this program."
        raise UserError(text, checkpoint_path(out), "Train without --resume.", repr(error)) from error


def begun(state: dict[str, Any]) -> Begun:
    """Return what the training was begun with."""
    held_back = tuple(state.get("held_back", ()))
    part = bool(held_back) and set(held_back) <= set(state["learned_from"])
    return Begun(held_back, part, nothing="held_back" in state and not held_back)


def as_begun(config: TrainConfig, state: dict[str, Any], plan: Plan) -> TrainConfig:
    """Return the wishes with those that the training began with in the place of what comes too late."""
    seed, crop = TrainConfig.from_json(state["config"]).seed, plan.crop or None
    return dataclasses.replace(config, recipe=plan.recipe, channels=plan.arch.in_channels, seed=seed, crop=crop)


def say_unheard(config: TrainConfig, state: dict[str, Any]) -> Generator[Event, None, None]:
    """Tell which wishes come too late: the network stays as it was begun."""
    before, usual = TrainConfig.from_json(state["config"]), TrainConfig()
    wishes = {name: getattr(config, name) for name in BEGUN_WITH}
    late = [n for n, wish in wishes.items() if wish not in (getattr(usual, n), getattr(before, n))]
    if late:
        names = ", ".join(name.replace("_", " ") for name in late)
        yield Warned(f"The training goes on as it was begun: what was said about {names} is not heard.")
