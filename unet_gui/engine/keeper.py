"""The best model so far: trying the network on images held back, remembering, writing."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

from unet_gui import __version__
from unet_gui.core.model_info import ModelInfo
from unet_gui.core.palette import ClassInfo
from unet_gui.engine.data import Picture
from unet_gui.engine.device import DeviceChoice
from unet_gui.engine.events import TICK, Event
from unet_gui.engine.lanes import Lanes
from unet_gui.engine.model import TUTORIAL_LOGIT, Model
from unet_gui.engine.plan import Plan
from unet_gui.engine.predict import Predictor
from unet_gui.engine.recipe import PredictConfig
from unet_gui.engine.unet import UNet
from unet_gui.engine.validate import AS_GOOD, Answer, Judge, Outcome, answer

BEST_MODEL = "best_model.pth"
NOTHING = Outcome(math.nan, (), math.nan, ())


class Keeper:
    """Keeps the latest weights whose smoothed score is as good as the best, or those with the lowest training loss.

    On a handful of images the best of thirty scores is luck, and early networks have more of it: of scores that chance
    may have told apart, the last one counts, when the learning rate has fallen.

    Parameters
    ----------
    plan : Plan
    classes : list of ClassInfo
    pictures : list of Picture
        Held back.
    out : Path
    device : DeviceChoice

    Attributes
    ----------
    best : float
        Best smoothed score; -inf at first.
    outcome : Outcome
        The one of the weights that are kept.
    state : dict
        The weights that are kept; empty at first.
    smoothed : float
    stale : int
        Validations since the best.
    cost : float
        Seconds a validation takes, smoothed.
    lowest_loss : float
    bare : Path
        Where the tutorial's recipe writes the bare weights, too.
    """

    def __init__(
        self, plan: Plan, classes: list[ClassInfo], pictures: list[Picture], out: Path, device: DeviceChoice
    ) -> None:
        self.plan, self.classes, self.pictures, self.out, self.device = plan, classes, pictures, out, device
        self.judge = Judge(plan.score, plan.arch.classes, plan.net)
        self.best, self.outcome = -math.inf, NOTHING
        self.state: dict[str, Any] = {}
        self.smoothed, self.stale, self.cost = math.nan, 0, 0.0
        self.lowest_loss = math.inf
        self.bare = out.with_name(BEST_MODEL)
        own = out.with_suffix(".pth")
        if self.bare.exists() and (own.exists() or not out.exists()):  # it is of another training
            self.bare = own

    def validate(self, net: UNet, final: bool) -> Generator[Event, None, tuple[Outcome, bool, list[Answer]]]:
        """Try a network; return how good it is, whether it is kept, and its answers."""
        begin = time.perf_counter()
        found = yield from self._answers(net)
        near = self.outcome.offsets if self.outcome.offsets and not final else None
        outcome = yield from self._judge(found, near)
        previous = outcome.score if math.isnan(self.smoothed) else self.smoothed
        self.smoothed = 0.5 * previous + 0.5 * outcome.score
        self.stale = 0 if self.smoothed > self.best else self.stale + 1
        self.best = max(self.best, self.smoothed)  # the first stays where the second is no number
        is_best = self.smoothed >= self.best - (AS_GOOD if self.plan.score == "rand" else 0.0)
        if is_best:
            self.outcome = outcome
            if self.plan.keep == "best-score":
                self.state = {k: v.detach().clone() for k, v in net.state_dict().items()}
        took = time.perf_counter() - begin
        self.cost = took if not self.cost else 0.5 * self.cost + 0.5 * took
        return outcome, is_best, found

    def settle(self) -> Generator[Event, None, None]:
        """Search the operating point of the weights that are kept over the whole range, as they will predict."""
        if not self.state:  # no validation had a score
            return
        net = UNet(self.plan.arch)
        net.load_state_dict(self.state)
        found = yield from self._answers(net, {"symmetries": self.plan.symmetries, "views": self.plan.views})
        self.outcome = yield from self._judge(found, None, settle=True)

    def keep_lowest(self, loss: float, before: dict[str, Any]) -> None:
        """Remember the weights that a training loss is of, if it is the lowest."""
        if before and loss < self.lowest_loss:
            self.lowest_loss, self.state = loss, before

    def _answers(self, net: UNet, trained: dict[str, Any] | None = None) -> Generator[Event, None, list[Answer]]:
        model = Model(net, self.info(trained or {}))
        predictor = Predictor(model, PredictConfig(precision="fp32"), self.device)
        found: list[Answer] = []
        count = min((predictor.lanes(picture.label.shape) for picture in self.pictures), default=1)
        if count == 1 or len(self.pictures) < count:
            for picture in self.pictures:
                found.append(answer(predictor, picture))
                yield TICK
            return found
        lanes = Lanes(count)  # each core computes an image of its own: up to twice as fast
        try:
            for coming in [lanes.submit(answer, predictor, picture) for picture in self.pictures]:
                found.append(coming.result())
                yield TICK
        finally:
            lanes.close()
        return found

    def _judge(
        self, found: list[Answer], near: tuple[float, ...] | None, settle: bool = False
    ) -> Generator[Event, None, Outcome]:
        if self.plan.loss == "bce":
            return self.judge.at(found, (TUTORIAL_LOGIT, 0.0))
        return self.judge.settle(found) if settle else self.judge.judge(found, near)

    # --- files

    @property
    def offsets(self) -> tuple[float, ...]:
        """The operating point of the model that is kept."""
        if self.outcome.offsets:
            return self.outcome.offsets
        return (TUTORIAL_LOGIT, 0.0) if self.plan.arch.outputs == 1 else (0.0,) * self.plan.arch.classes

    def info(self, trained: dict[str, Any]) -> ModelInfo:
        """Return the description of the model that is kept."""
        score: dict[str, Any] = {}
        if not math.isnan(self.outcome.score):
            pairs = zip(self.classes, self.outcome.dice, strict=True)
            dice = {c.name: None if math.isnan(v) else round(v, 4) for c, v in pairs}
            score = {"name": self.plan.score, "value": round(self.outcome.score, 4), "dice": dice}
        return ModelInfo(
            arch=self.plan.arch.to_json(),
            classes=list(self.classes),
            channels=self.plan.arch.in_channels,
            normalisation=self.plan.normalisation.to_json(),
            offsets=list(self.offsets),
            recipe=self.plan.recipe,
            trained=trained,
            score=score,
            version=__version__,
        )

    def save(self, latest: UNet, trained: dict[str, Any]) -> None:
        """Write the weights that are kept, or the latest where none are kept yet."""
        net = latest
        if self.state:
            net = UNet(self.plan.arch)
            net.load_state_dict(self.state)
        model = Model(net, self.info(trained))
        if self.out.suffix.lower() == ".pth":
            model.save_state_dict(self.out)
            return
        model.save(self.out)
        if self.plan.recipe == "tutorial":
            model.save_state_dict(self.bare)

    # --- state

    def to_state(self) -> dict[str, Any]:
        """Return everything for the checkpoint."""
        return {
            "best": self.best,
            "outcome": dataclasses.asdict(self.outcome),
            "state": self.state,
            "smoothed": self.smoothed,
            "stale": self.stale,
            "cost": self.cost,
            "lowest_loss": self.lowest_loss,
        }

    def forget(self) -> None:
        """Begin to compare anew: the scores so far are of other images."""
        self.best, self.smoothed, self.stale = -math.inf, math.nan, 0

    def from_state(self, state: dict[str, Any]) -> None:
        """Invert `to_state`."""
        kept = state["outcome"]
        self.outcome = Outcome(kept["score"], tuple(kept["dice"]), kept["loss"], tuple(kept["offsets"]))
        self.best, self.state, self.smoothed = float(state["best"]), dict(state["state"]), float(state["smoothed"])
        self.stale, self.cost = int(state["stale"]), float(state["cost"])
        self.lowest_loss = float(state["lowest_loss"])
