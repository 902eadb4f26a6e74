"""What a training tells while it runs: few events, so that nobody waits for a graphics card because of them."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from unet_gui.engine.events import TICK, EpochDone, Event, StepDone, TrainStarted
from unet_gui.engine.unet import count_parameters

if TYPE_CHECKING:
    from unet_gui.engine.train import Run

TELL_EVERY = 0.1


class Teller:
    """Turns steps into events, few enough for whoever listens."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.told, self.first = time.perf_counter(), run.clock.step
        self.losses: list[Tensor] = []
        self.epoch_losses: list[float] = []

    def start(self) -> TrainStarted:
        """Tell what was decided."""
        run = self.run
        words = (*run.words, run.device.note)
        if run.trainer.reduced:
            words = (*words, "Convolutions are computed in 16 bits, which is faster here; weights stay in 32.")
        if run.together.count > 1:
            words = (*words, f"{run.together.count} processes train together.")
        run.log.texts({"plan": "\n\n".join(words), "settings": run.config.to_json()})
        return TrainStarted(
            device=run.device.name,
            plan=words,
            train_images=run.data.train_keys,
            val_images=run.data.val_keys,
            parameters=count_parameters(run.trainer.net),
            total_steps=run.clock.total,
            first_step=run.clock.step,
            classes=tuple(c.name for c in run.dataset.classes),
            run_dir=run.log.path,
            strokes=run.data.strokes,
        )

    def is_due(self) -> bool:
        """Whether it is time for a `StepDone`."""
        return time.perf_counter() - self.told > TELL_EVERY

    def forget(self) -> None:
        """Drop losses that were not numbers."""
        self.losses.clear()

    def step(self, loss: Tensor) -> Generator[Event, None, None]:
        """Tell about one step; about passes that ended meanwhile, too, when the losses are looked at."""
        self.losses.append(loss)
        if not (self.is_due() or self.run.clock.done):
            yield TICK
            return
        values = torch.stack(self.losses).float().tolist()  # waits for the device
        self.losses.clear()
        yield self._step_done(sum(values) / len(values))
        self.told, self.first = time.perf_counter(), self.run.clock.step
        yield from self._passes(values)

    def _passes(self, values: list[float]) -> Iterator[Event]:
        """Tell which passes over the images have ended with the last steps, given their losses."""
        clock, per_epoch = self.run.clock, self.run.maker.steps_per_epoch
        epochs = None if clock.total is None else -(-clock.total // per_epoch)
        for step, value in enumerate(values, clock.step - len(values) + 1):
            self.epoch_losses.append(value)
            if step % per_epoch == 0:
                mean = sum(self.epoch_losses) / len(self.epoch_losses)
                self.epoch_losses.clear()
                yield EpochDone(step // per_epoch, epochs, step, mean, self.run.elapsed)

    def _step_done(self, loss: float) -> Event:
        run, clock = self.run, self.run.clock
        rate = run.trainer.rate(clock.progress)
        seconds = time.perf_counter() - self.told
        speed = (clock.step - self.first) * run.maker.per_step / max(seconds, 1e-9)
        left = clock.steps_left * clock.pace if clock.total is not None else max(0.0, clock.seconds - run.elapsed)
        run.log.scalars(clock.step, {"train/loss": loss, "train/rate": rate, "train/images_per_second": speed})
        total = clock.total if clock.total is not None else clock.step + clock.steps_left
        return StepDone(clock.step, total, loss, rate, speed, run.elapsed, 0.0 if math.isnan(left) else left)
