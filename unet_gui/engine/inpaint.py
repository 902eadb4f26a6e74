"""A second task where only strokes are painted: to guess what is in parts of the picture that are hidden.

Strokes tell a network something about 2 % of the pixels. What the rest looks like, it can learn from the pictures
themselves: squares of the input are blanked out, and a head beside the one for the classes has to say what was there.
That takes the same things to see, and it costs a 1×1 convolution. The head is not part of the model.

The idea is that of context encoders (Pathak et al. 2016, arXiv:1604.07379).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unet_gui.engine.device import layout_of
from unet_gui.engine.unet import Arch

SQUARE = 8
"""Side of a hidden square in pixels."""
HIDDEN = 0.15
"""Share of the squares that are hidden, in the end."""
GROWN = 1000
"""Steps until then: at first a network has enough to learn from the strokes."""


def make_head(arch: Arch) -> nn.Conv2d:
    """Return the layer that guesses grey values from the network's `features`."""
    channels = arch.up_widths[-1] if arch.depth else arch.widths[0]
    return nn.Conv2d(channels, arch.in_channels * arch.stem**2, 1)


def draw_hidden(x: Tensor, step: int, seed: int) -> Tensor:
    """Return which pixels of a batch ``(n, c, h, w)`` to hide, ``(n, 1, h, w)``: 1 or 0. The same for the same seed."""
    share = HIDDEN * min(1.0, step / GROWN)
    h, w = x.shape[-2:]
    generator = torch.Generator(x.device).manual_seed(seed)
    squares = torch.rand(x.shape[0], 1, -(-h // SQUARE), -(-w // SQUARE), generator=generator, device=x.device)
    hidden = (squares < share).to(x.dtype)
    return F.interpolate(hidden, scale_factor=float(SQUARE))[..., :h, :w]


def hide(x: Tensor, hidden: Tensor) -> Tensor:
    """Return the batch with the hidden pixels at its mean, which is 0."""
    return (x * (1 - hidden)).contiguous(memory_format=layout_of(x.device.type))


def guess_loss(guesses: Tensor, x: Tensor, hidden: Tensor) -> Tensor:
    """Return the squared error of the guesses for the hidden pixels, their mean when as many are hidden as in the end.

    Parameters
    ----------
    guesses : Tensor
        What the head makes of the `UNet.features` of the batch with its squares hidden, ``(n, c * stem², h / stem,
        w / stem)``.
    x : Tensor
        The batch as it was, ``(n, c, h, w)``.
    hidden : Tensor
        ``(n, 1, h, w)``.
    """
    stem = x.shape[-1] // guesses.shape[-1]
    wrong = (F.pixel_shuffle(guesses.float(), stem) - x) ** 2 * hidden
    return wrong.mean() / HIDDEN
