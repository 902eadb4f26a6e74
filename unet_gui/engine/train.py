"""Train a network on a folder's labels: one loop, readable from top to bottom."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import torch

from unet_gui.core.atomic import must_be_folder
from unet_gui.core.errors import UserError
from unet_gui.core.model_info import COMPLETE, RUNNING, STOPPED
from unet_gui.core.project import Dataset
from unet_gui.engine.batches import BatchMaker, Prefetcher
from unet_gui.engine.checkpoint import checkpoint_path, save_checkpoint
from unet_gui.engine.data import Entry
from unet_gui.engine.device import DeviceChoice, bf16_pays, keep_freed_memory, layout_of
from unet_gui.engine.events import (
    TICK,
    CheckpointSaved,
    Event,
    TrainFinished,
    Validated,
    Warned,
)
from unet_gui.engine.keeper import Keeper
from unet_gui.engine.logs import RunLog
from unet_gui.engine.model import Model
from unet_gui.engine.plan import DEFAULT_MINUTES, TUTORIAL_EPOCHS, Plan, network_words
from unet_gui.engine.prepare import Prepared, prepare, suited
from unet_gui.engine.recipe import TrainConfig
from unet_gui.engine.resume import as_begun, begun, earlier, say_unheard, understood
from unet_gui.engine.schedule import Clock
from unet_gui.engine.teller import Teller
from unet_gui.engine.together import Together, join
from unet_gui.engine.trainer import Trainer
from unet_gui.engine.validate import Answer, Outcome, decided
from unet_gui.engine.validation_times import ValidationTimes

REMEMBER_EVERY = 50
MAX_ROLLBACKS = 6
COOL_DOWN = 0.85


def train(dataset: Dataset, out: Path, config: TrainConfig) -> Generator[Event, None, None]:
    """Train on the labels of a folder and write a model.

    Parameters
    ----------
    dataset : Dataset
        Labels are read as saved on disk.
    out : Path
        The model file, ``.safetensors``; with ``.pth`` the bare weights are written, as the tutorial does. The
        ``tutorial`` recipe writes ``best_model.pth`` beside a ``.safetensors``; where that name is another training's,
        the model's own name ends in ``.pth``.
    config : TrainConfig

    Yields
    ------
    TrainStarted, StepDone, Tick, EpochDone, Validated, CheckpointSaved, Warned, TrainFinished
        Closing the generator stops after the step in hand; the best model so far and a state to resume from are then
        on the disk. Started by ``torchrun``, only the first process tells anything but Ticks.

    Raises
    ------
    UserError
        There is nothing to learn from, wishes contradict each other, or a file cannot be written.
    """
    started = time.perf_counter()
    out = Path(out)
    if out.suffix.lower() not in (".safetensors", ".pth"):
        raise UserError("A model file must end in .safetensors or .pth.", out)
    if out.suffix.lower() == ".pth" and config.recipe != "tutorial":
        raise UserError(
            "A .pth file holds bare weights: what the recipe fast chose for these images would be lost.",
            out,
            "Let the model's name end in .safetensors, or use the recipe tutorial.",
        )
    if out.is_dir():
        raise UserError("is a folder, not a model file.", out, "Choose another name.")
    must_be_folder(out.parent)
    together, device = join(config.device)
    if device.type == "cpu":
        keep_freed_memory()
    free_order = torch.backends.cudnn.deterministic
    torch.backends.cudnn.deterministic = config.deterministic
    try:
        state = earlier(out, config)
        before = None
        if state is not None:
            with understood(out, state):
                late = list(say_unheard(config, state))
                config = as_begun(config, state, Plan.from_json(state["plan"]))
                before = begun(state)
            yield from _quiet((event for event in late), together)
        prepared = yield from _quiet(prepare(dataset, config, device, together.count == 1, before), together)
        with understood(out, state):
            run = Run(dataset, out, config, device, prepared, started, together, state)
        try:
            yield from _quiet(run.events(), together)
        finally:
            run.close()
    finally:
        torch.backends.cudnn.deterministic = free_order
        together.part()


def _quiet(events: Generator[Event, None, Any], together: Together) -> Generator[Event, None, Any]:
    """Let only the leading process speak."""
    if together.leads:
        return (yield from events)
    while True:
        try:
            next(events)
        except StopIteration as stop:
            return stop.value
        yield TICK


class Run:
    """One training run.

    Attributes
    ----------
    trainer : Trainer
        Network and optimiser.
    clock : Clock
        How far it has come.
    keeper : Keeper
        The best so far.
    times : ValidationTimes
        When it validates.
    """

    def __init__(
        self,
        dataset: Dataset,
        out: Path,
        config: TrainConfig,
        device: DeviceChoice,
        prepared: Prepared,
        started: float,
        together: Together,
        state: dict[str, Any] | None = None,
    ) -> None:
        self.dataset, self.out, self.config, self.device, self.data = dataset, out, config, device, prepared
        self.started, self.earlier, self.together = started, 0.0, together
        self.notes: list[str] = []
        self.checkpoint = checkpoint_path(out)
        self.plan = Plan.from_json(state["plan"]) if state else suited(prepared.plan, config, device, together)
        self.words = (*prepared.words, *network_words(self.plan))
        self.trainer = Trainer(self.plan, device, config.seed, bool(state and state["reduced"]), together)
        self.maker = BatchMaker(
            prepared.pictures,
            prepared.train,
            self.plan,
            config.seed,
            prepared.repeats,
            rank=together.rank,
            ranks=together.count,
            on_card=device.type == "cuda",
            seldom=prepared.seldom,
        )
        self.maker.fit_memory(prepared.nbytes)
        held_back = list(prepared.held_back) if together.leads else []
        self.keeper = Keeper(self.plan, list(dataset.classes), held_back, out, device)
        if self.plan.recipe == "tutorial" and self.keeper.bare.stem == out.stem != "best_model":
            self.notes.append(f"There is a best_model.pth already: the bare weights go to {self.keeper.bare.name}.")
        self.clock = self._clock()
        self.times = ValidationTimes(self.plan, self.clock, self.keeper, self.maker.steps_per_epoch, config.patience)
        self.rollbacks = 0
        self._said_lost: set[Entry] = set()
        self.finished = self.gave_up = False
        self._dirty = self._looping = False
        self._unsaved: set[str] = set()
        self._behind = False  # the best model is not on the disk
        self._state = RUNNING  # what the model says of its training
        if state:
            self._restore(state)
        else:
            self._begin()
        self.log = RunLog(self._log_folder(), out.stem)

    # --- beginning

    def _begin(self) -> None:
        """First weights, and whether 16 bits pay."""
        if self.config.resume:
            self.notes.append("There is no earlier training of this name to go on with: a new one begins.")
        if self.config.init is not None:
            whole, said = self.trainer.start_from(Model.load(self.config.init, "cpu"), self.config.init.name)
            if whole:
                self.words += (said,)  # as it was asked for: nothing to warn of
            else:
                self.notes.append(said)
        elif self._wants_drawn():
            if self.trainer.start_from_drawn():
                self.words += ("It begins with what it has learned from pictures that the program draws.",)
            elif self.config.first_weights:
                self.notes.append("No network of this shape has learned from drawn pictures: it begins at random.")
        (reduced,) = self.together.agree(float(self._use_reduced()))
        self.trainer.reduced = bool(reduced)
        self.trainer.remember()

    def _wants_drawn(self) -> bool:
        wish = self.config.first_weights
        return wish == "drawn" or (wish is None and self.plan.recipe != "tutorial")

    def _use_reduced(self) -> bool:
        if self.config.precision != "auto" or self.plan.recipe == "tutorial":
            return self.config.precision == "bf16"
        side = min(self.plan.crop, 256)
        sample = torch.zeros(self.plan.batch, self.plan.arch.in_channels, side, side, device=self.device.torch)
        self.trainer.net.train()
        return bf16_pays(self.trainer.net, sample.contiguous(memory_format=layout_of(self.device.type)), self.device)

    def _clock(self) -> Clock:
        config = self.config
        if config.minutes is not None:
            return Clock(None, config.minutes * 60)
        if config.steps is not None:
            return Clock(config.steps)
        if config.epochs is not None or self.plan.recipe == "tutorial":
            return Clock((config.epochs or TUTORIAL_EPOCHS) * self.maker.steps_per_epoch)
        return Clock(None, DEFAULT_MINUTES * 60)

    def _log_folder(self) -> Path | None:
        if not self.config.logs or self.dataset.read_only or not self.together.leads:
            return None
        return self.dataset.state_dir / "runs"

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning, pauses between runs not counted."""
        return self.earlier + time.perf_counter() - self.started

    # --- the loop

    def events(self) -> Generator[Event, None, None]:
        """Train to the end."""
        teller = Teller(self)
        yield teller.start()
        for note in self.notes:
            yield Warned(note)
        saved = time.perf_counter()
        self._looping = True
        if self.times.is_due(self.elapsed):  # it was stopped in the middle of a validation
            yield from self._validate(final=False)
        with Prefetcher(self.maker.make, self.clock.step, threaded=self.config.workers > 0) as feed:
            while not self._end_of_run():
                begin = time.perf_counter()
                before = self._state_before()
                batch = feed.get()
                yield from self._tell_lost()
                loss = self.trainer.step(batch, self.clock.progress)
                self._dirty = True
                if self._time_to_look(teller) and not self._look(float(loss), before):
                    yield self._roll_back()
                    teller.forget()
                    continue
                self.clock.advance(time.perf_counter() - begin, self.elapsed, self.times.reserve())
                yield from teller.step(loss)
                if self.times.is_due(self.elapsed):
                    yield from self._validate(final=False)
                if self.together.leads and time.perf_counter() - saved > self.config.checkpoint_seconds:
                    if self._behind:
                        yield from self._keep(self._save_model)
                    yield from self._keep(self._save_state)
                    saved = time.perf_counter()
            self._looping = False
            self.log.scalars(self.clock.step, {"train/waited_for_data": feed.waited})
        if self.together.leads:
            yield from self._finish()

    def _tell_lost(self) -> Iterator[Event]:
        """Say, once, which images cannot be read any more: those of a large folder are read all the time."""
        for entry, error in list(self.maker.lost.items()):
            if entry not in self._said_lost:
                self._said_lost.add(entry)
                reason = error.message if isinstance(error, UserError) else f"{error.strerror or error}."
                yield Warned(f"An image cannot be learned from any more, and is left out: {entry.key}: {reason}")

    def _end_of_run(self) -> bool:
        """Whether it is over; all processes hear of the leading one how far they are."""
        progress, stopped = self.together.agree(self.clock.progress, 0.0)
        self.clock.progress = progress
        return bool(stopped) or self.clock.done

    def _time_to_look(self, teller: Teller) -> bool:
        """Whether to look at the loss, which waits for a graphics card: not at every step."""
        if self.device.type == "cpu":
            return True
        every = self.clock.step % 10 == 0
        return every or (self.together.count == 1 and teller.is_due())

    def _look(self, loss: float, before: dict[str, Any]) -> bool:
        """Return False after a divergence; else remember what is worth remembering."""
        if not self.trainer.healthy(loss):
            return False
        self.keeper.keep_lowest(loss, before)
        if self.trainer.steps - self.trainer.remembered >= REMEMBER_EVERY:
            self.trainer.remember()
        return True

    def _state_before(self) -> dict[str, Any]:
        """Return the weights that the next loss is of, where the lowest loss decides (the tutorial saves them so)."""
        if self.plan.keep != "lowest-loss" or not self.together.leads:
            return {}
        return {k: v.detach().clone() for k, v in self.trainer.net.state_dict().items()}

    def _roll_back(self) -> Event:
        self.rollbacks += 1
        if self.rollbacks > MAX_ROLLBACKS:
            raise UserError(
                "The training keeps diverging: the loss is no number any more.",
                hint="Look for images with extreme values or wrong labels, or choose a smaller learning rate.",
            )
        self.trainer.go_back()
        return Warned("The loss exploded: going back a little, with half the learning rate.")

    # --- validation

    def _validate(self, final: bool) -> Generator[Event, None, None]:
        """Try the running average on the images held back; write it if it is the best."""
        keeper = self.keeper
        outcome, is_best, found = yield from keeper.validate(self.trainer.average, final)
        self.times.validated()
        if is_best and self.plan.keep == "best-score":
            yield from self._keep(self._save_model)
        self._log_validation(outcome, found)
        yield Validated(
            self.clock.step,
            self.elapsed,
            self.plan.score,
            outcome.score,
            keeper.smoothed,
            keeper.best,
            is_best,
            outcome.loss,
            outcome.dice,
            outcome.offsets,
        )
        if not final and keeper.stale >= self.times.patience(self.elapsed):
            yield from self._give_up()

    def _give_up(self) -> Generator[Event, None, None]:
        """Begin the end: the rate falls to nothing, which usually brings a last gain."""
        self.keeper.stale, self.gave_up = 0, True
        if self.plan.schedule == "cosine" and self.clock.progress < COOL_DOWN:
            if self.clock.total is None:
                self.clock.seconds = min(self.clock.seconds, self.elapsed / COOL_DOWN)
            self.clock.hurry(COOL_DOWN)
            yield Warned("The score no longer improves: finishing with a falling rate.")
        else:
            self.clock.hurry(1.0)

    # --- the end

    def _finish(self) -> Generator[Event, None, None]:
        keeper = self.keeper
        if keeper.pictures:
            yield from self._validate(final=True)
            yield from keeper.settle()
        self._state = COMPLETE
        self._save_model()
        self.finished = True
        try:
            self._save_state()
        except UserError as error:
            yield Warned(f"The model is saved, but nothing to go on with later: {error}")
        yield CheckpointSaved(self.out, self.clock.step, final=True)
        reason = "The time is over." if self.clock.total is None else "All steps are done."
        if self.gave_up:
            reason = "The score no longer improved."
        yield TrainFinished(
            self.out,
            self.plan.score,
            keeper.outcome.score,
            keeper.outcome.dice,
            keeper.offsets,
            self.elapsed,
            self.clock.step,
            reason,
        )

    def close(self) -> None:
        """Leave a usable state, however it ended."""
        try:
            if not self.finished and self.together.leads and (self._dirty or self.clock.step):
                self._save_rest()
        finally:
            if self._looping and self.together.leads:
                self._looping = False
                with contextlib.suppress(UserError):  # the others may be gone already
                    self.together.agree(self.clock.progress, 1.0)
            self.log.close()

    def _save_rest(self) -> None:
        """Write the model, which says now that the training was stopped, not cut; and the state, unless it is there."""
        self._state = STOPPED
        try:
            self._save_model()
        finally:
            if self._dirty:
                self._save_state()

    # --- files

    def _keep(self, save: Callable[[], Event | None]) -> Iterator[Event]:
        """Save something while the training goes on, which a full disk must not end; it is tried again later."""
        name = getattr(save, "__name__", "")
        try:
            told = save()
            self._unsaved.discard(name)
        except UserError as error:
            text = f"Nothing could be saved: {error} The training goes on, and saving is tried again."
            told = None if self._unsaved else Warned(text)
            self._unsaved.add(name)
        if told is not None:
            yield told

    def _save_model(self) -> None:
        self._behind = True
        self.keeper.save(self.trainer.average, self._trained())
        self._behind = False

    def _trained(self) -> dict[str, Any]:
        """Return what the model file says about its training."""
        return {
            "images": len(self.data.train_keys),
            "learned_from": list(self.data.train_keys[:200]),
            "chosen_on": list(self.data.val_keys[:200]),
            "strokes": self.data.strokes,
            "state": self._state,
            "steps": self.clock.step,
            "seconds": round(self.elapsed, 1),
            "seed": self.config.seed,
            "device": self.device.name,
            "symmetries": self.plan.symmetries,
            "views": self.plan.views,
            "encoding": self.dataset.encoding.kind,
            "plan": list(self.words),
        }

    def _save_state(self) -> Event:
        state = {
            "plan": self.plan.to_json(),
            "config": self.config.to_json(),
            "classes": [c.to_json() for c in self.dataset.classes],
            "trainer": self.trainer.state(),
            "reduced": self.trainer.reduced,
            "clock": dataclasses.asdict(self.clock),
            "samples": self.maker.first_of(self.clock.step),
            "window": self.maker.at_once,
            "elapsed": self.elapsed,
            "keeper": self.keeper.to_state(),
            "validations": self.times.passed,
            "held_back": list(self.data.val_keys),
            "learned_from": list(self.data.train_keys),
        }
        save_checkpoint(self.checkpoint, state)
        self._dirty = False
        return CheckpointSaved(self.checkpoint, self.clock.step)

    def _restore(self, state: dict[str, Any]) -> None:
        """Go on where a run stopped; a larger budget makes it longer."""
        if [c["id"] for c in state["classes"]] != [c.id for c in self.dataset.classes]:
            raise UserError(
                "The classes have changed since the training stopped.",
                self.checkpoint,
                "Train without --resume, or start from the model with --init.",
            )
        self.trainer.load_state(state["trainer"])
        self.trainer.remember()
        before = Clock(**state["clock"])
        self.clock.step, self.clock.pace = before.step, before.pace
        if self.clock.total is not None:
            self.clock.progress = min(1.0, before.step / self.clock.total)
        elif before.total is None:
            self.clock.progress = min(1.0, before.progress * before.seconds / self.clock.seconds)
        self.maker.continue_at(before.step, int(state["samples"]))
        self.maker.at_once = int(state.get("window", self.maker.at_once))
        self.earlier = float(state["elapsed"])
        self.started = time.perf_counter()
        self.keeper.from_state(state["keeper"])
        if set(state.get("held_back", self.data.val_keys)) != set(self.data.val_keys):
            self.keeper.forget()
        self.times.go_on_from(int(state["validations"]))
        if self.clock.done:
            self.notes.append("Nothing was left to do: the budget counts from the beginning. Give more to go on.")

    # --- telling

    def _log_validation(self, outcome: Outcome, found: list[Answer]) -> None:
        values = {f"validation/{self.plan.score}": outcome.score, "validation/loss": outcome.loss}
        for info, value in zip(self.dataset.classes, outcome.dice, strict=True):
            values[f"validation/dice {info.name}"] = value
        self.log.scalars(self.clock.step, values)
        said = decided(found[0].logits, outcome.offsets).astype("uint8")
        shown = self.keeper.pictures[0]
        self.log.picture(self.clock.step, shown.pixels, said, shown.label, list(self.dataset.classes))
