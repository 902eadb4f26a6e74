"""Train a network on a folder's labels: one loop, readable from top to bottom."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import torch

from unet_gui import __version__
from unet_gui.core.errors import UserError
from unet_gui.core.model_info import ModelInfo
from unet_gui.core.project import Dataset
from unet_gui.engine.batches import BatchMaker, Prefetcher
from unet_gui.engine.checkpoint import checkpoint_path, load_checkpoint, save_checkpoint
from unet_gui.engine.device import DeviceChoice, bf16_pays, keep_freed_memory, pick_device
from unet_gui.engine.events import (
    TICK,
    CheckpointSaved,
    EpochDone,
    Event,
    StepDone,
    TrainFinished,
    TrainStarted,
    Validated,
    Warned,
)
from unet_gui.engine.logs import RunLog
from unet_gui.engine.model import TUTORIAL_LOGIT, Model
from unet_gui.engine.plan import DEFAULT_MINUTES, TUTORIAL_EPOCHS, Plan
from unet_gui.engine.predict import Predictor
from unet_gui.engine.prepare import Prepared, prepare
from unet_gui.engine.recipe import PredictConfig, TrainConfig
from unet_gui.engine.schedule import Clock
from unet_gui.engine.trainer import Trainer
from unet_gui.engine.unet import UNet, count_parameters
from unet_gui.engine.validate import Answer, Judge, Outcome, answers, decided

TELL_EVERY = 0.1
VALIDATIONS = 12
VALIDATION_SHARE = 0.12
REMEMBER_EVERY = 50
MAX_ROLLBACKS = 6
COOL_DOWN = 0.85
BEST_MODEL = "best_model.pth"


def train(dataset: Dataset, out: Path, config: TrainConfig) -> Generator[Event, None, None]:
    """Train on the labels of a folder and write a model.

    Parameters
    ----------
    dataset : Dataset
        Labels are read as saved on disk.
    out : Path
        The model file, ``.safetensors``; with ``.pth`` the bare weights are written, as the tutorial does. The
        ``tutorial`` recipe writes ``best_model.pth`` beside a ``.safetensors``.
    config : TrainConfig

    Yields
    ------
    TrainStarted, StepDone, Tick, EpochDone, Validated, CheckpointSaved, Warned, TrainFinished
        Closing the generator stops after the step in hand; the best model so far and a state to resume from are then
        on the disk.

    Raises
    ------
    UserError
        There is nothing to learn from, wishes contradict each other, or a file cannot be written.
    """
    started = time.perf_counter()
    out = Path(out)
    if out.suffix.lower() not in (".safetensors", ".pth"):
        raise UserError("A model file must end in .safetensors or .pth.", out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError("The folder for the model cannot be made.", out.parent, details=str(error)) from error
    device = pick_device(config.device)
    if device.type == "cpu":
        keep_freed_memory()
    prepared = yield from prepare(dataset, config, device)
    run = Run(dataset, out, config, device, prepared, started)
    try:
        yield from run.events()
    finally:
        run.close()


class Run:
    """One training run.

    Attributes
    ----------
    trainer : Trainer
    clock : Clock
    best : float
        Best smoothed score so far; -inf at first.
    best_state : dict
        The weights it was reached with.
    """

    def __init__(
        self,
        dataset: Dataset,
        out: Path,
        config: TrainConfig,
        device: DeviceChoice,
        prepared: Prepared,
        started: float,
    ) -> None:
        self.dataset, self.out, self.config, self.device, self.data = dataset, out, config, device, prepared
        self.started, self.earlier = started, 0.0
        self.checkpoint = checkpoint_path(out)
        state = load_checkpoint(self.checkpoint) if config.resume and self.checkpoint.exists() else None
        self.plan = Plan.from_json(state["plan"]) if state else self._with_init(prepared.plan)
        reduced = bool(state["reduced"]) if state else False
        self.trainer = Trainer(self.plan, device, config.seed, reduced)
        self.maker = BatchMaker(prepared.pictures, prepared.train, self.plan, config.seed, prepared.repeats)
        self.val = [prepared.pictures.load(e) for e in prepared.val]
        self.judge = Judge(self.plan.score, self.plan.arch.classes, self.plan.net)
        self.clock = self._clock()
        self.best, self.best_outcome = -math.inf, Outcome(math.nan, (), math.nan, ())
        self.best_state: dict[str, Any] = {}
        self.smoothed, self.stale, self.validations = math.nan, 0, 0
        self.lowest_loss = math.inf
        self.val_cost = 0.0
        self.notes: list[str] = []
        self.finished = False
        self._dirty = False
        if state:
            self._restore(state)
        else:
            self._begin()
        self.log = RunLog(self._log_folder(), out.stem)

    # --- beginning

    def _with_init(self, plan: Plan) -> Plan:
        """Take over the shape of the network to start from, unless another was asked for."""
        if self.config.init is None:
            return plan
        arch = Model.load(self.config.init, "cpu").arch
        wish = self.config
        if wish.width or wish.depth is not None or wish.recipe == "tutorial" or arch.outputs == 1:
            return plan
        same = dataclasses.replace(arch, in_channels=plan.arch.in_channels, outputs=plan.arch.outputs)
        crop = plan.crop and -(-plan.crop // same.align) * same.align
        return dataclasses.replace(plan, arch=same, crop=crop)

    def _begin(self) -> None:
        """First weights, and whether 16 bits pay."""
        if self.config.init is not None:
            model = Model.load(self.config.init, "cpu")
            taken = self.trainer.start_from(model)
            share = taken / max(1, count_parameters(self.trainer.net))
            self.notes.append(f"Starting from {self.config.init.name}: {share:.0%} of its weights fit.")
        self.trainer.reduced = self._use_reduced()
        self.trainer.remember()

    def _use_reduced(self) -> bool:
        if self.config.precision != "auto" or self.plan.recipe == "tutorial":
            return self.config.precision == "bf16"
        side = min(self.plan.crop, 256)
        sample = torch.zeros(self.plan.batch, self.plan.arch.in_channels, side, side, device=self.device.torch)
        self.trainer.net.train()
        return bf16_pays(self.trainer.net, sample.contiguous(memory_format=torch.channels_last), self.device)

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
        if not self.config.logs or self.dataset.read_only:
            return None
        return self.dataset.state_dir / "runs"

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning, pauses between runs not counted."""
        return self.earlier + time.perf_counter() - self.started

    # --- the loop

    def events(self) -> Generator[Event, None, None]:
        """Train to the end."""
        yield self._tell_start()
        for note in self.notes:
            yield Warned(note)
        feed = Prefetcher(self.maker.make, self.clock.step, threaded=self.config.workers > 0)
        told, told_step, losses, epoch_losses = time.perf_counter(), self.clock.step, [], []
        saved, rollbacks = time.perf_counter(), 0
        try:
            while not self.clock.done:
                begin = time.perf_counter()
                batch = feed.get()
                before = self._state_before()
                loss = self.trainer.step(batch, self.clock.progress)
                losses.append(loss)
                self._dirty = True
                now = time.perf_counter()
                if self.device.type == "cpu" or now - told > TELL_EVERY or self.clock.step % REMEMBER_EVERY == 0:
                    value = float(loss)  # waits for the device
                    if not self.trainer.healthy(value):
                        rollbacks += 1
                        yield self._roll_back(rollbacks)
                        losses.clear()
                        continue
                    self._keep_lowest(value, before)
                    if self.trainer.steps % REMEMBER_EVERY == 0:
                        self.trainer.remember()
                self.clock.advance(time.perf_counter() - begin, self.elapsed, self._reserve())
                if now - told > TELL_EVERY or self.clock.done:
                    values = torch.stack(losses).float().cpu()
                    epoch_losses.extend(values.tolist())
                    yield self._tell_step(float(values.mean()), self.clock.step - told_step, now - told)
                    told, told_step, losses = now, self.clock.step, []
                else:
                    yield TICK
                if self.clock.step % self.maker.steps_per_epoch == 0:
                    yield self._tell_epoch(epoch_losses)
                    epoch_losses = []
                if self._due() and not self.clock.done:
                    yield from self._validate(final=False)
                if time.perf_counter() - saved > self.config.checkpoint_seconds:
                    yield self._save_state()
                    saved = time.perf_counter()
        finally:
            feed.close()
        yield from self._finish(feed.waited)

    def _state_before(self) -> dict[str, Any]:
        """Return the weights that the next loss is of, where the lowest loss decides (the tutorial saves them so)."""
        if self.plan.keep != "lowest-loss":
            return {}
        return {k: v.detach().clone() for k, v in self.trainer.net.state_dict().items()}

    def _keep_lowest(self, loss: float, before: dict[str, Any]) -> None:
        if before and loss < self.lowest_loss:
            self.lowest_loss, self.best_state = loss, before

    def _roll_back(self, times: int) -> Event:
        if times > MAX_ROLLBACKS:
            raise UserError(
                "The training keeps diverging: the loss is no number any more.",
                hint="Look for images with extreme values or wrong labels, or choose a smaller learning rate.",
            )
        self.trainer.go_back()
        return Warned("The loss exploded: going back a little, with half the learning rate.")

    # --- validation

    def _planned_validations(self) -> int:
        """Return how many validations the run has, so that they take a small share of its time."""
        if self.clock.total is not None or not self.val_cost:
            return VALIDATIONS
        return int(min(30, max(2, VALIDATION_SHARE * self.clock.seconds / self.val_cost)))

    def _due(self) -> bool:
        if not self.val:
            return False
        if self.plan.recipe == "tutorial" and self.config.minutes is None:
            return self.clock.step % self.maker.steps_per_epoch == 0
        return self.clock.progress >= (self.validations + 1) / self._planned_validations()

    def _reserve(self) -> float:
        """Return the seconds to keep for validations to come and for writing the model."""
        left = (1 - self.clock.progress) * self._planned_validations()
        return (left + 2) * self.val_cost + 0.3 if self.val else 0.3

    def _model(self, state: dict[str, Any] | None, outcome: Outcome) -> Model:
        """Return the average (or given) weights as a model."""
        net = self.trainer.average
        if state:
            net = UNet(self.plan.arch)
            net.load_state_dict(state)
        return Model(net, self._info(outcome))

    def _predictor(self, model: Model) -> Predictor:
        return Predictor(model, PredictConfig(precision="fp32"), self.device)

    def _answers(self, model: Model) -> Generator[Event, None, list[Answer]]:
        predictor = self._predictor(model)
        found: list[Answer] = []
        for picture in self.val:
            found.extend(answers(predictor, [picture]))
            yield TICK
        return found

    def _judge(self, found: list[Answer], near: tuple[float, ...] | None) -> Outcome:
        if self.plan.loss == "bce":
            return self.judge.at(found, (TUTORIAL_LOGIT, 0.0))
        return self.judge.judge(found, near)

    def _validate(self, final: bool) -> Generator[Event, None, None]:
        """Try the running average on the images held back; keep it if it is the best."""
        begin = time.perf_counter()
        found = yield from self._answers(self._model(None, Outcome(math.nan, (), math.nan, ())))
        near = self.best_outcome.offsets if self.best_outcome.offsets and not final else None
        outcome = self._judge(found, near)
        self.validations = int(self.clock.progress * self._planned_validations() + 1e-6)
        previous = outcome.score if math.isnan(self.smoothed) else self.smoothed
        self.smoothed = 0.5 * previous + 0.5 * outcome.score
        is_best = self.smoothed > self.best
        self.stale = 0 if is_best else self.stale + 1
        if is_best and self.plan.keep == "best-score":
            self.best, self.best_outcome = self.smoothed, outcome
            self.best_state = {k: v.detach().clone() for k, v in self.trainer.average.state_dict().items()}
            self._save_model()
        elif is_best:
            self.best, self.best_outcome = self.smoothed, outcome
        took = time.perf_counter() - begin
        self.val_cost = took if not self.val_cost else 0.5 * self.val_cost + 0.5 * took
        self._log_validation(outcome, found)
        yield Validated(
            self.clock.step,
            self.elapsed,
            self.plan.score,
            outcome.score,
            self.smoothed,
            self.best,
            is_best,
            outcome.loss,
            outcome.dice,
            outcome.offsets,
        )
        patience = self.config.patience if self.config.patience is not None else 0
        if patience and self.stale >= patience and not final:
            yield from self._give_up()

    def _give_up(self) -> Generator[Event, None, None]:
        """Begin the end: the rate falls to nothing, which usually brings a last gain."""
        self.stale = 0
        if self.plan.schedule == "cosine" and self.clock.progress < COOL_DOWN:
            if self.clock.total is None:
                self.clock.seconds = min(self.clock.seconds, self.elapsed / COOL_DOWN)
            self.clock.hurry(COOL_DOWN)
            yield Warned("The score no longer improves: finishing with a falling rate.")
        else:
            self.clock.hurry(1.0)

    # --- the end

    def _finish(self, waited: float) -> Generator[Event, None, None]:
        del waited
        if self.val:
            yield from self._validate(final=True)
            outcome = yield from self._settle_operating_point()
        else:
            outcome = self.best_outcome
            if self.plan.keep == "best-score":
                self.best_state = {}
        self.best_outcome = outcome
        self._save_model()
        self._save_state()
        self.finished = True
        yield CheckpointSaved(self.out, self.clock.step, final=True)
        by_time = self.clock.total is None
        yield TrainFinished(
            self.out,
            self.plan.score,
            outcome.score,
            outcome.dice,
            self._offsets(outcome),
            self.elapsed,
            self.clock.step,
            "The time is over." if by_time else "All steps are done.",
        )

    def _settle_operating_point(self) -> Generator[Event, None, Outcome]:
        """Search the operating point of the model that is kept over the whole range."""
        found = yield from self._answers(self._model(self.best_state or None, self.best_outcome))
        return self._judge(found, None)

    def close(self) -> None:
        """Leave a usable state, however it ended."""
        if not self.finished and self._dirty:
            if not self.best_state:
                self._save_model()
            self._save_state()
        self.log.close()

    # --- files

    def _offsets(self, outcome: Outcome) -> tuple[float, ...]:
        if outcome.offsets:
            return outcome.offsets
        if self.plan.arch.outputs == 1:
            return (TUTORIAL_LOGIT, 0.0)
        return (0.0,) * self.plan.arch.classes

    def _info(self, outcome: Outcome) -> ModelInfo:
        score: dict[str, Any] = {}
        if not math.isnan(outcome.score):
            dice = {
                c.name: None if v != v else round(v, 4)
                for c, v in zip(self.dataset.classes, outcome.dice, strict=False)
            }
            score = {"name": self.plan.score, "value": round(outcome.score, 4), "dice": dice}
        return ModelInfo(
            arch=self.plan.arch.to_json(),
            classes=list(self.dataset.classes),
            channels=self.plan.arch.in_channels,
            normalisation=self.plan.normalisation.to_json(),
            offsets=list(self._offsets(outcome)),
            recipe=self.plan.recipe,
            trained={
                "images": len(self.data.train_keys),
                "learned_from": list(self.data.train_keys[:200]),
                "chosen_on": list(self.data.val_keys[:200]),
                "steps": self.clock.step,
                "seconds": round(self.elapsed, 1),
                "seed": self.config.seed,
                "device": self.device.name,
                "symmetries": self.plan.symmetries,
                "encoding": self.dataset.encoding.kind,
                "plan": list(self.data.words),
            },
            score=score,
            version=__version__,
        )

    def _save_model(self) -> None:
        model = self._model(self.best_state or None, self.best_outcome)
        if self.out.suffix.lower() == ".pth":
            model.save_state_dict(self.out)
            return
        model.save(self.out)
        if self.plan.recipe == "tutorial":
            model.save_state_dict(self.out.with_name(BEST_MODEL))

    def _save_state(self) -> Event:
        state = {
            "plan": self.plan.to_json(),
            "config": self.config.to_json(),
            "classes": [c.to_json() for c in self.dataset.classes],
            "trainer": self.trainer.state(),
            "reduced": self.trainer.reduced,
            "clock": dataclasses.asdict(self.clock),
            "elapsed": self.elapsed,
            "best": self.best,
            "best_outcome": dataclasses.asdict(self.best_outcome),
            "best_state": self.best_state,
            "smoothed": self.smoothed,
            "stale": self.stale,
            "validations": self.validations,
            "val_cost": self.val_cost,
            "lowest_loss": self.lowest_loss,
        }
        save_checkpoint(self.checkpoint, state)
        self._dirty = False
        return CheckpointSaved(self.checkpoint, self.clock.step)

    def _restore(self, state: dict[str, Any]) -> None:
        """Go on where a run stopped; a larger budget makes it longer."""
        self.trainer.load_state(state["trainer"])
        self.trainer.remember()
        before = Clock(**state["clock"])
        self.clock.step, self.clock.pace = before.step, before.pace
        if self.clock.total is not None:
            self.clock.progress = min(1.0, before.step / self.clock.total)
        elif before.total is None:
            self.clock.progress = min(1.0, before.progress * before.seconds / self.clock.seconds)
        self.earlier = float(state["elapsed"])
        self.started = time.perf_counter()
        self.best, self.best_state = float(state["best"]), state["best_state"]
        kept = state["best_outcome"]
        self.best_outcome = Outcome(kept["score"], tuple(kept["dice"]), kept["loss"], tuple(kept["offsets"]))
        self.smoothed, self.stale = float(state["smoothed"]), int(state["stale"])
        self.validations, self.val_cost = int(state["validations"]), float(state["val_cost"])
        self.lowest_loss = float(state["lowest_loss"])

    # --- telling

    def _tell_start(self) -> Event:
        words = (*self.data.words, self.device.note)
        if self.trainer.reduced:
            words = (*words, "Convolutions are computed in 16 bits, which is faster here; weights stay in 32.")
        self.log.texts({"plan": "\n\n".join(words), "settings": self.config.to_json()})
        return TrainStarted(
            device=self.device.name,
            plan=words,
            train_images=self.data.train_keys,
            val_images=self.data.val_keys,
            parameters=count_parameters(self.trainer.net),
            total_steps=self.clock.total,
            first_step=self.clock.step,
            classes=tuple(c.name for c in self.dataset.classes),
            run_dir=self.log.path,
        )

    def _tell_step(self, loss: float, steps: int, seconds: float) -> Event:
        clock = self.clock
        rate = self.trainer.rate(clock.progress)
        speed = steps * self.maker.per_step / max(seconds, 1e-9)
        left = clock.steps_left * clock.pace if clock.total is not None else max(0.0, clock.seconds - self.elapsed)
        self.log.scalars(clock.step, {"train/loss": loss, "train/rate": rate, "train/images_per_second": speed})
        total = clock.total if clock.total is not None else clock.step + clock.steps_left
        return StepDone(clock.step, total, loss, rate, speed, self.elapsed, left)

    def _tell_epoch(self, losses: list[float]) -> Event:
        per = self.maker.steps_per_epoch
        epochs = None if self.clock.total is None else -(-self.clock.total // per)
        mean = sum(losses) / len(losses) if losses else math.nan
        return EpochDone(self.clock.step // per, epochs, self.clock.step, mean, self.elapsed)

    def _log_validation(self, outcome: Outcome, found: list[Answer]) -> None:
        values = {f"validation/{self.plan.score}": outcome.score, "validation/loss": outcome.loss}
        for info, value in zip(self.dataset.classes, outcome.dice, strict=True):
            values[f"validation/dice {info.name}"] = value
        self.log.scalars(self.clock.step, values)
        said = decided(found[0].logits, outcome.offsets).astype("uint8")
        self.log.picture(self.clock.step, self.val[0].pixels, said, found[0].label, list(self.dataset.classes))
