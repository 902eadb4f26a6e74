"""The network in training: one step forward, its running average, going back after a divergence, its whole state."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unet_gui.core.labels import UNLABELLED
from unet_gui.core.text import percent
from unet_gui.engine.augment_gpu import Windows
from unet_gui.engine.batches import Batch
from unet_gui.engine.device import DeviceChoice, layout_of
from unet_gui.engine.first_weights import drawn_weights, fitting
from unet_gui.engine.inpaint import draw_hidden, guess_loss, hide, make_head
from unet_gui.engine.losses import cross_entropy_dice, masked_bce
from unet_gui.engine.model import Model
from unet_gui.engine.optimisers import make_optimisers
from unet_gui.engine.plan import Plan
from unet_gui.engine.schedule import rate_factor
from unet_gui.engine.together import Together
from unet_gui.engine.unet import UNet, count_parameters, pad_to

FIRST_STEPS = 5
"""Steps on a graphics card before one is recorded: kernels are chosen and memory is taken in them."""
EXPLODED = 20.0
"""A loss this many times the usual one counts as diverged."""


class Trainer:
    """Network, optimisers and running average.

    Parameters
    ----------
    plan : Plan
    device : DeviceChoice
    seed : int
        For the first weights.
    reduced : bool
        Compute in 16 bits where it is safe; weights stay in 32.
    together : Together, optional
        The processes that train along.

    Attributes
    ----------
    net : UNet
        The weights that learn.
    average : UNet
        The running average of the weights, which is what is validated and kept; ``net`` itself where there is none.
    guesser : nn.Conv2d or None
        The head of the second task, see `inpaint`; learns along, but is not part of the model.
    rate_scale : float
        1, halved after each divergence.
    remembered : int
        Steps made when the state to go back to was kept.
    """

    def __init__(
        self,
        plan: Plan,
        device: DeviceChoice,
        seed: int,
        reduced: bool = False,
        together: Together | None = None,
    ) -> None:
        self.plan, self.device, self.seed, self.reduced = plan, device, seed, reduced
        self.together = together or Together()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            net = UNet(plan.arch)
            self.guesser = make_head(plan.arch).to(device.torch) if plan.inpaint else None
        # on a processor the tutorial's network is trained half as fast with channels last, ours a little faster
        plain = device.type == "cpu" and plan.recipe == "tutorial"
        self._layout = torch.contiguous_format if plain else layout_of(device.type)
        self.net: UNet = net.to(device.torch, memory_format=self._layout)  # type: ignore[call-overload]
        self.average: UNet = copy.deepcopy(self.net).requires_grad_(False) if plan.ema else self.net
        learners: list[nn.Module] = [self.net] if self.guesser is None else [self.net, self.guesser]
        self.parameters = [p for module in learners for p in module.parameters()]
        self.optimisers = make_optimisers(self.net, self.parameters, plan, device)
        self.rate_scale = 1.0
        self.usual_loss = math.nan
        self.steps = 0
        self.remembered = 0
        self._safe: dict[str, Any] = {}
        self._rate = torch.zeros((), device=device.torch)  # in memory that a recorded step reads
        self._recorded: RecordedStep | None = None
        self._may_record = device.type == "cuda" and plan.crop > 0 and self.together.count == 1
        weights = plan.class_weights or (1.0,) * plan.arch.classes
        self._class_weights = torch.tensor(weights, device=device.torch)

    def start_from_drawn(self) -> bool:
        """Begin with what was learned from drawn pictures. False when the network is of another shape."""
        taken = drawn_weights(self.net)
        self._take(taken)
        return bool(taken)

    def start_from(self, model: Model, name: str) -> tuple[bool, str]:
        """Take over what fits of another model; return whether all of it did, and what did in words."""
        taken = fitting(self.net, model.net.state_dict(), model.arch.in_channels, answer=True)
        self._take(taken)
        left = [key for key, _ in self.net.named_parameters() if key not in taken]
        if not left:
            return True, f"It begins with all weights of {name}."
        if all(key.startswith("outc.") for key in left):
            return False, f"Starting from {name}; the layer of the answer begins anew, as the classes are others."
        fit = sum(p.numel() for key, p in self.net.named_parameters() if key in taken)
        share = percent(fit / count_parameters(self.net))
        return False, f"Starting from {name}: of this network {share} of the weights fit."

    def _take(self, weights: Mapping[str, Tensor]) -> None:
        self.net.load_state_dict(weights, strict=False)
        if self.average is not self.net:
            self.average.load_state_dict(self.net.state_dict())

    def step(self, batch: Batch | Windows, progress: float) -> Tensor:
        """Learn from one batch; return its loss, still on the device."""
        self.net.train()
        rate = self.rate(progress)
        for group in self._groups():
            group["lr"] = self._rate.fill_(rate) if group.get("capturable") else rate
        x, y = batch.vary(self.device.torch)
        if x.shape[0] == 1 and max(x.shape[-2:]) <= self.plan.arch.align:  # one value has no spread to normalise by
            side = 2 * self.plan.arch.align
            y = F.pad(y, (0, side - y.shape[-1], 0, side - y.shape[-2]), value=UNLABELLED)
            x = pad_to(x, side)
        x = x.clone(memory_format=self._layout)  # `contiguous` would leave a grey picture in either layout as it is
        inputs = [x, y]
        if self.guesser is not None:
            number = self.steps * self.together.count + self.together.rank
            inputs.append(draw_hidden(x, self.steps, (self.seed * 1_000_003 + number) % 2**63))
        if self._may_record and self._recorded is None and self.steps >= FIRST_STEPS:
            self._record(inputs)
        loss = self._learn(*inputs) if self._recorded is None else self._recorded.replay(inputs)
        self.steps += 1
        self._follow()
        return loss

    def _learn(self, x: Tensor, y: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Forward, backward, one step of the optimiser; nothing here waits for a graphics card."""
        with self._autocast():
            if self.guesser is None or hidden is None:
                logits = self.net(x)
            else:
                features = self.net.features(hide(x, hidden))
                logits, guesses = self.net.answer(features), self.guesser(features)
        loss = total = self._loss(logits, y)
        if hidden is not None:
            total = loss + self.plan.inpaint * guess_loss(guesses, x, hidden)
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(total)
        loss = loss.detach()
        if self.together.count > 1:
            statistics = [b for b in self.net.buffers() if b.is_floating_point()]
            gradients = [p.grad for p in self.parameters if p.grad is not None]
            self.together.average([loss, *gradients, *statistics])
        if self.plan.clip > 0:
            nn.utils.clip_grad_norm_(self.parameters, self.plan.clip)
        for optimiser in self.optimisers:
            optimiser.step()
        return loss

    def _record(self, inputs: list[Tensor]) -> None:
        """Record a step, so that a graphics card does its thousand small kernels without being told each."""
        try:
            self._recorded = RecordedStep(self._learn, inputs)
        except RuntimeError:  # an operation that cannot be recorded: step by step then
            self._may_record, self._recorded = False, None

    def rate(self, progress: float) -> float:
        """Return the learning rate at this point of the run."""
        return self.plan.learning_rate * self.rate_scale * rate_factor(progress, self.plan.warmup, self.plan.schedule)

    def _loss(self, logits: Tensor, y: Tensor) -> Tensor:
        if self.plan.loss == "bce":
            return masked_bce(logits, y)
        return cross_entropy_dice(logits, y, class_weights=self._class_weights, dice_share=self.plan.dice_share)

    def _autocast(self) -> AbstractContextManager[Any]:
        if not self.reduced:
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the average a little towards the weights; at the beginning, when they change fast, a lot."""
        if self.average is self.net:
            return
        share = 1 - min(self.plan.ema, (self.steps + 1) / (self.steps + 10))
        ours, theirs = _numbers(self.average), _numbers(self.net)
        torch._foreach_lerp_(ours, theirs, share)

    def _groups(self) -> Iterator[dict[str, Any]]:
        """Return what the optimisers know about groups of weights, the rate among it."""
        return chain.from_iterable(optimiser.param_groups for optimiser in self.optimisers)

    # --- divergence

    def healthy(self, loss: float) -> bool:
        """Whether a loss is a number and not many times the usual one; learns what is usual."""
        if not math.isfinite(loss):
            return False
        if math.isfinite(self.usual_loss) and loss > EXPLODED * max(self.usual_loss, 0.05):
            return self.plan.schedule == "constant"  # raw grey values make the tutorial's loss jump; that is its way
        self.usual_loss = loss if not math.isfinite(self.usual_loss) else 0.95 * self.usual_loss + 0.05 * loss
        return True

    def remember(self) -> None:
        """Keep the present state in memory, to go back to."""
        self._safe, self.remembered = copy.deepcopy(self.state()), self.steps

    def go_back(self) -> None:
        """Return to the remembered state with half the rate."""
        scale = self.rate_scale / 2
        if self._safe:
            self.load_state(copy.deepcopy(self._safe))
        self.rate_scale = scale
        self.usual_loss = math.nan

    # --- state

    def state(self) -> dict[str, Any]:
        """Return everything that the next step depends on."""
        return {
            "net": self.net.state_dict(),
            "guesser": self.guesser.state_dict() if self.guesser is not None else {},
            "average": self.average.state_dict() if self.average is not self.net else {},
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "rate_scale": self.rate_scale,
            "usual_loss": self.usual_loss,
            "steps": self.steps,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.net.load_state_dict(state["net"])
        if self.guesser is not None:
            self.guesser.load_state_dict(state["guesser"])
        if self.average is not self.net:
            self.average.load_state_dict(state["average"])
        kept = state["optimisers"] if "optimisers" in state else [state["optimiser"]]  # one, before there was Muon
        for optimiser, values in zip(self.optimisers, kept, strict=True):
            for ours, theirs in zip(optimiser.param_groups, values["param_groups"], strict=True):
                # the state may come from another kind of device
                theirs |= {k: ours[k] for k in ("capturable", "fused") if k in ours}
            optimiser.load_state_dict(values)
        self._recorded = None  # it knows the old state only
        self.rate_scale = float(state["rate_scale"])
        self.usual_loss = float(state["usual_loss"])
        self.steps = int(state["steps"])


class RecordedStep:
    """A training step as a CUDA graph."""

    def __init__(self, learn: Callable[..., Tensor], inputs: Sequence[Tensor]) -> None:
        self.inputs = [value.clone() for value in inputs]
        self.graph = torch.cuda.CUDAGraph()
        card = self.inputs[0].device  # the stream it takes by itself may be another card's
        stream = torch.cuda.Stream(card)  # type: ignore[no-untyped-call]
        with torch.cuda.device(card), torch.cuda.graph(self.graph, stream=stream, capture_error_mode="thread_local"):
            self.loss = learn(*self.inputs)

    def replay(self, inputs: Sequence[Tensor]) -> Tensor:
        """Do the step for another batch of the same size."""
        for mine, value in zip(self.inputs, inputs, strict=True):
            mine.copy_(value)
        self.graph.replay()
        return self.loss.clone()


def _numbers(net: nn.Module) -> list[Tensor]:
    """Return all weights and running statistics of a network."""
    return [*net.parameters(), *(b for b in net.buffers() if b.is_floating_point())]
