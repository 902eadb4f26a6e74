"""The variations of `augment` for a whole batch at once, on a graphics card: it would wait for the processor otherwise.

The processor only copies a square around each crop out of its image, and draws what is varied; so a batch depends on
the seed and the step alone here too. The numbers are not to the last bit those of OpenCV.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from unet_gui.core.labels import UNLABELLED
from unet_gui.engine.augment import Colours, Geometry
from unet_gui.engine.normalise import LIMIT

BLUR_REACH = 4
"""Pixels that the widest blur reaches."""


@dataclass(frozen=True)
class Windows:
    """Squares around the crops of one step, and what is to be varied.

    Attributes
    ----------
    pixels : Tensor
        ``(n, c, side, side)``, uint8 or float32, in the images' own units.
    labels : Tensor
        ``(n, side, side)`` uint8.
    size : int
        Side of the crops, which lie in the middle.
    numbers : Tensor
        ``(2, n, c)``: what is subtracted from the pixels of each image, and what they are multiplied with then.
    geometry : sequence of Geometry
    colours : sequence of Colours
    """

    pixels: Tensor
    labels: Tensor
    size: int
    numbers: Tensor
    geometry: Sequence[Geometry]
    colours: Sequence[Colours]

    def pinned(self) -> Windows:
        """Return the same in memory that a graphics card can fetch by itself."""
        return Windows(
            self.pixels.pin_memory(),
            self.labels.pin_memory(),
            self.size,
            self.numbers.pin_memory(),
            self.geometry,
            self.colours,
        )

    @torch.no_grad()
    def vary(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return input ``(n, c, size, size)`` float32 and truth ``(n, size, size)`` uint8, on the device."""
        shift, scale = self.numbers.to(device, non_blocking=True)[..., None, None]
        x = ((self.pixels.to(device, non_blocking=True).float() - shift) * scale).clamp_(-LIMIT, LIMIT)
        y = self.labels.to(device, non_blocking=True)
        grid = _grid(self.geometry, self.size, self.pixels.shape[-1], device)
        x = F.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=True)
        # what is outside becomes 0 there, so unlabelled must be 0 meanwhile
        ids = F.grid_sample(y[:, None].float() - UNLABELLED, grid, "nearest", "zeros", align_corners=True)
        return recolour(x, self.colours), (ids[:, 0] + UNLABELLED).round().to(torch.uint8)


def _sent(values: NDArray[np.float32], device: torch.device) -> Tensor:
    """Return numbers on the device; a graphics card fetches them by itself, and nobody waits for what it does now."""
    found = torch.from_numpy(values)
    return found.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else found.to(device)


def _grid(geometry: Sequence[Geometry], size: int, side: int, device: torch.device) -> Tensor:
    """Return where each pixel of the crops comes from, ``(n, size, size, 2)``, -1…1 over the window."""
    axis = torch.arange(size, dtype=torch.float32, device=device) - (size - 1) / 2
    places = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1)
    matrices = _sent(np.stack([g.matrix for g in geometry]).astype(np.float32), device)
    found = torch.einsum("hwj,nij->nhwi", places, matrices)
    bent = [g.nodes for g in geometry if g.nodes is not None]
    if bent:
        still = np.zeros_like(bent[0])
        nodes = np.stack([still if g.nodes is None else g.nodes for g in geometry])
        moves = F.interpolate(_sent(nodes, device), (size, size), mode="bicubic", align_corners=False)
        found = found + moves.permute(0, 2, 3, 1)
    return found * (2 / (side - 1))


def recolour(x: Tensor, colours: Sequence[Colours]) -> Tensor:
    """Vary brightness, contrast, gamma, noise and sharpness, each picture of the batch in its own way.

    Parameters
    ----------
    x : Tensor
        ``(n, c, h, w)`` float32, normalised.
    colours : sequence of Colours
        ``n`` of them.
    """
    if any(c.blur for c in colours):
        x = _blurred(x, [c.blur for c in colours])
    coarse = [i for i, c in enumerate(colours) if c.coarse < 1]
    if coarse:
        x = x.clone()
    for i in coarse:  # few
        h, w = x.shape[-2:]
        small = (max(1, int(h * colours[i].coarse)), max(1, int(w * colours[i].coarse)))
        x[i : i + 1] = F.interpolate(F.interpolate(x[i : i + 1], small, mode="area"), (h, w), mode="bilinear")
    signs = [(-1.0 if c.invert else 1.0, -1.0 if c.from_white else 1.0) for c in colours]
    values = [[*s, c.exponent, c.gain, c.shift, c.noise] for s, c in zip(signs, colours, strict=True)]
    drawn = _sent(np.array(values, np.float32), x.device)
    sign, side, exponent, gain, shift, noise = drawn.T[..., None, None, None]
    x = x * sign
    if any(c.exponent != 1 for c in colours):
        x = torch.where(exponent == 1, x, _gamma(x * side, exponent) * side)
    x = x * gain + shift
    if any(c.noise for c in colours):
        random = torch.Generator(x.device).manual_seed(colours[0].seed)
        x = x + noise * torch.randn(x.shape, generator=random, device=x.device)
    return x


def _gamma(x: Tensor, exponent: Tensor) -> Tensor:
    """Bend the grey values of each picture; its mean and spread stay."""
    low, high = x.amin((1, 2, 3), keepdim=True), x.amax((1, 2, 3), keepdim=True)
    std, mean = torch.std_mean(x, dim=(1, 2, 3), keepdim=True)
    bent = ((x - low) / (high - low).clamp_min(1e-6)).clamp_min(0) ** exponent
    spread, middle = torch.std_mean(bent, dim=(1, 2, 3), keepdim=True)
    return (bent - middle) * (std / spread.clamp_min(1e-6)) + mean


def _blurred(x: Tensor, sigmas: Sequence[float]) -> Tensor:
    """Blur each picture with its own Gaussian; 0 = not at all."""
    n, c, h, w = x.shape
    reach = min(BLUR_REACH, h - 1, w - 1)
    offsets = np.arange(-reach, reach + 1)
    kernels = np.stack([np.exp(-0.5 * (offsets / max(s, 1e-3)) ** 2) for s in sigmas])
    kernels /= kernels.sum(1, keepdims=True)
    weight = _sent(np.repeat(kernels, c, axis=0).astype(np.float32), x.device)
    wide = F.pad(x, (reach,) * 4, mode="reflect").reshape(1, n * c, h + 2 * reach, w + 2 * reach)
    wide = F.conv2d(wide, weight[:, None, :, None], groups=n * c)
    return F.conv2d(wide, weight[:, None, None, :], groups=n * c).reshape(n, c, h, w)
