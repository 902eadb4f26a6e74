"""The weights a training begins with: those of another model, or what was learned beforehand from drawn pictures.

The program draws pictures of all kinds, regions, borders, lines, objects, textures, and a network has learned to tell
what they show. Edges, blobs and textures are what it would have to learn first in every other picture as well.
``docs/make_first_weights.py`` makes the file; ``docs/adr/0013-first-weights.md`` says what it is worth.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from unet_gui.engine.unet import UNet
from unet_gui.paths import resource

INPUT = "inc.double_conv.0.weight"
ANSWER = "outc."
DRAWN_CHANNELS = 3
"""Image channels of networks that have learned from drawn pictures, some of which were grey."""


def drawn_file(width: int) -> Path:
    """Return the file of what a network with so many channels has learned from drawn pictures; there may be none."""
    return resource("weights", f"drawn-{width}.safetensors")


def drawn_weights(net: UNet) -> dict[str, Tensor]:
    """Return what was learned from drawn pictures and fits a network; empty when it has another shape.

    The layer of the answer is never among it, nor the first layer where pixels are looked at in other blocks.

    Parameters
    ----------
    net : UNet
        Any number of image channels and classes.

    Returns
    -------
    dict of str to Tensor
        float32, on the processor, in the names of ``net.state_dict()``.
    """
    path = drawn_file(net.arch.widths[0])
    if not path.is_file():
        return {}
    state = safetensors.torch.load(path.read_bytes())
    taken = fitting(net, state, DRAWN_CHANNELS, answer=False)
    deep = {name for name, _ in net.named_parameters() if name != INPUT and not name.startswith(ANSWER)}
    return taken if deep <= set(taken) else {}


def fitting(net: UNet, state: Mapping[str, Tensor], channels: int, *, answer: bool) -> dict[str, Tensor]:
    """Return those weights of another network that a network can start from.

    Parameters
    ----------
    net : UNet
        The network that is to start; its first layer is adapted to.
    state : mapping of str to Tensor
        Weights of the other one.
    channels : int
        Image channels that the other one takes.
    answer : bool
        Take over the layer of the answer, too, where it has as many rows.
    """
    wanted = net.state_dict()
    taken: dict[str, Tensor] = {}
    for name, value in state.items():
        if name not in wanted or (name.startswith(ANSWER) and not answer):
            continue
        if name == INPUT:
            value = _adapt_input(value, channels, net.arch.in_channels)
        if value.shape == wanted[name].shape:
            taken[name] = value.to(wanted[name].dtype)
    return taken


def _adapt_input(weight: Tensor, have: int, want: int) -> Tensor:
    """Add up the weights of the first layer over the image's channels, and spread the sum over as many as there are."""
    if have == want:
        return weight
    out, inputs, *size = weight.shape
    block = inputs // have
    grey = weight.reshape(out, have, block, *size).to(torch.float32).sum(1, keepdim=True)
    return (grey.repeat(1, want, 1, 1, 1) / want).reshape(out, want * block, *size)
