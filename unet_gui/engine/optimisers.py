"""What moves which weights of a network."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from unet_gui.engine.device import DeviceChoice
from unet_gui.engine.muon import Muon
from unet_gui.engine.plan import Plan
from unet_gui.engine.unet import UNet

KEPT_ANSWER = "__dynamo_disable"
"""Where torch's ``_disable_dynamo`` keeps what it found out about a function."""


def make_optimisers(
    net: UNet, parameters: Sequence[nn.Parameter], plan: Plan, device: DeviceChoice
) -> list[torch.optim.Optimizer]:
    """Return the optimisers of a plan.

    Parameters
    ----------
    net : UNet
    parameters : sequence of nn.Parameter
        Those of the network and of what else learns along.
    plan : Plan
    device : DeviceChoice
    """
    _leave_out_compiler()
    if plan.optimiser == "rmsprop":
        return [RMSprop(parameters, lr=plan.learning_rate, weight_decay=plan.weight_decay, momentum=plan.momentum)]
    on_card = device.type == "cuda"
    rate = torch.tensor(plan.learning_rate, device=device.torch) if on_card else plan.learning_rate
    turned = _convolutions(net) if plan.optimiser == "muon" else []
    taken = {id(p) for p in turned}
    matrices = [p for p in parameters if p.ndim > 1 and id(p) not in taken]
    vectors = [p for p in parameters if p.ndim <= 1]  # decay would pull scales and shifts to nothing
    groups = [{"params": matrices, "weight_decay": plan.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    found: list[torch.optim.Optimizer] = [
        AdamW(groups, lr=rate, fused=on_card or device.type == "cpu", capturable=on_card)
    ]
    if turned:
        found.append(Muon(turned, rate, weight_decay=plan.weight_decay))
    return found


def _convolutions(net: UNet) -> list[Tensor]:
    """Return the weights of all convolutions that look at more than one pixel: all but the one to the answer."""
    kinds = (nn.Conv2d, nn.ConvTranspose2d)
    return [m.weight for m in net.modules() if isinstance(m, kinds) and m.kernel_size != (1, 1)]


# --- without torch's compiler
#
# Torch's optimisers import it when they are first used, only to tell it what not to compile. That takes two or three
# seconds of a training's time, in which a window stutters. Nothing is compiled here, so they are kept from it.


def _leave_out_compiler() -> None:
    """Answer for some methods of all optimisers what they would ask the compiler: they are to be called as they are."""
    optimiser = torch.optim.Optimizer
    for method in (optimiser.add_param_group, optimiser.zero_grad, optimiser.state_dict, optimiser.load_state_dict):
        plain = getattr(method, "__wrapped__", None)
        if plain is not None and not hasattr(plain, KEPT_ANSWER):
            setattr(plain, KEPT_ANSWER, plain)


def _plain(step: Callable[..., Any]) -> Callable[..., Any]:
    """Return an optimiser's step without what is wrapped around it for the compiler."""
    return torch.no_grad()(inspect.unwrap(step))


class AdamW(torch.optim.AdamW):
    """Torch's, without its compiler."""

    step = _plain(torch.optim.AdamW.step)


class RMSprop(torch.optim.RMSprop):
    """Torch's, without its compiler."""

    step = _plain(torch.optim.RMSprop.step)
