"""The U-Net (Ronneberger, Fischer, Brox 2015), with width, depth, channels and classes as parameters.

A contracting path halves the picture and widens the channels, an expanding path doubles it again, and at every scale
the two are joined, so that the answer knows both *what* (from far away) and *where* (from close by).

Changes to the paper: the convolutions are padded, so that the output has the size of the input, and followed by batch
normalisation, which costs nothing at prediction (it is folded into the convolution).

The names of the parts (``inc``, ``down1`` …, ``up1`` …, ``outc``) are those of a widely used tutorial, so that a
``best_model.pth`` made with it can be loaded: see `Arch.from_state`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

UP_MODES = ("transposed", "bilinear", "bilinear-aligned")


@dataclass(frozen=True)
class Arch:
    """Everything needed to build a `UNet`.

    Attributes
    ----------
    in_channels : int
        1 for grey, 3 for colour.
    outputs : int
        Number of classes; or 1, a single logit for class 1 against class 0, as in the tutorial.
    widths : tuple of int
        Channels at each scale, finest first; ``len(widths) - 1`` is the depth.
    up_widths : tuple of int
        Channels after each step up, coarsest first, ``depth`` numbers.
    up_mids : tuple of int
        Channels between the two convolutions of each step up.
    up : {"transposed", "bilinear", "bilinear-aligned"}
        How the picture is doubled. The first two are shift-consistent: a part of the picture with enough margin gives
        the same numbers as the whole. ``bilinear-aligned`` (the tutorial's) is not.
    bias : bool
        Whether convolutions before a batch normalisation have a (useless) bias, as the tutorial's have.
    stem : {1, 2, 4}
        The network works on ``stem × stem`` pixel blocks as channels and answers for each pixel of the block.
        2 makes it four times as fast, for objects that are not only a pixel or two wide.
    """

    in_channels: int
    outputs: int
    widths: tuple[int, ...]
    up_widths: tuple[int, ...]
    up_mids: tuple[int, ...]
    up: str = "transposed"
    bias: bool = False
    stem: int = 1

    def __post_init__(self) -> None:
        depth = len(self.widths) - 1
        if depth < 0 or len(self.up_widths) != depth or len(self.up_mids) != depth:
            raise ValueError("up_widths and up_mids must have one number fewer than widths")
        if self.up not in UP_MODES:
            raise ValueError(f"up must be one of {UP_MODES}")
        sizes = (self.in_channels, self.outputs, self.stem, *self.widths, *self.up_widths, *self.up_mids)
        if not all(type(size) is int and 1 <= size <= 65536 for size in sizes) or depth > 12:
            raise ValueError("sizes must be whole numbers between 1 and 65536, depth at most 12")

    @classmethod
    def plain(cls, in_channels: int, outputs: int, width: int, depth: int, *, stem: int = 1, widest: int = 512) -> Arch:
        """Return the paper's shape: channels double with each halving of the picture, up to ``widest``."""
        widths = tuple(min(width * 2**i, max(widest, width)) for i in range(depth + 1))
        ups = widths[-2::-1]
        return cls(in_channels, outputs, widths, ups, ups, stem=stem)

    @classmethod
    def tutorial(cls, in_channels: int = 1, outputs: int = 1) -> Arch:
        """Return the tutorial's shape: 64-128-256-512-512, bilinear with aligned corners."""
        ups = (256, 128, 64, 64)
        return cls(in_channels, outputs, (64, 128, 256, 512, 512), ups, ups, up="bilinear-aligned", bias=True)

    @property
    def depth(self) -> int:
        """How often the picture is halved."""
        return len(self.widths) - 1

    @property
    def classes(self) -> int:
        """Number of classes the answer is about."""
        return max(self.outputs, 2)

    @property
    def align(self) -> int:
        """Sizes and tile corners must be multiples of this for the pooling grids to match."""
        return self.stem * 2**self.depth

    @property
    def shift_consistent(self) -> bool:
        """Whether a tile with `halo` gives the same numbers as the whole picture."""
        return self.up != "bilinear-aligned"

    @property
    def halo(self) -> int:
        """Margin in pixels, a multiple of `align`, beyond which nothing can reach into a tile's answer."""
        x = 0  # the first pixel that is wanted, at the present scale; convolutions reach two pixels a scale
        for _ in range(self.depth):
            x = (x - 2) // 2 - (self.up != "transposed")  # bilinear doubling looks at one coarse neighbour
        x -= 2
        for _ in range(self.depth):
            x = 2 * x - 2
        return -(x * self.stem // self.align) * self.align

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Arch:
        """Invert `to_json`. Raises ValueError, TypeError or KeyError on anything else."""
        known = {f.name for f in dataclasses.fields(cls)}
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in known}
        return cls(**fields)

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> Arch:
        """Read the shape off the weights of a network in the tutorial's names.

        Raises
        ------
        KeyError, ValueError
            When the names or sizes are not those of such a network.
        """
        first = state["inc.double_conv.0.weight"]
        widths = [int(state["inc.double_conv.3.weight"].shape[0])]
        depth = 0
        while f"down{depth + 1}.maxpool_conv.1.double_conv.3.weight" in state:
            depth += 1
            widths.append(int(state[f"down{depth}.maxpool_conv.1.double_conv.3.weight"].shape[0]))
        mids = tuple(int(state[f"up{i}.conv.double_conv.0.weight"].shape[0]) for i in range(1, depth + 1))
        ups = tuple(int(state[f"up{i}.conv.double_conv.3.weight"].shape[0]) for i in range(1, depth + 1))
        up = "transposed" if "up1.up.weight" in state else "bilinear-aligned"
        return cls(
            int(first.shape[1]),
            int(state["outc.conv.weight"].shape[0]),
            tuple(widths),
            ups,
            mids,
            up=up,
            bias="inc.double_conv.0.bias" in state,
        )


class Box(NamedTuple):
    """Rows and columns of a feature map, ends excluded."""

    top: int
    bottom: int
    left: int
    right: int

    def cut(self, x: Tensor, inside: Box | None = None) -> Tensor:
        """Return this part of a map that itself is the part ``inside`` of a larger one."""
        y, x0 = (inside.top, inside.left) if inside is not None else (0, 0)
        return x[..., self.top - y : self.bottom - y, self.left - x0 : self.right - x0]

    def over(self, step: int) -> Box:
        """Return the part of a map ``step`` times as coarse that covers this one."""
        return Box(self.top // step, -(-self.bottom // step), self.left // step, -(-self.right // step))

    def grow(self, by: int, shape: Sequence[int]) -> Box:
        """Return the part widened by ``by``, as far as the map reaches."""
        return Box(
            max(self.top - by, 0),
            min(self.bottom + by, shape[0]),
            max(self.left - by, 0),
            min(self.right + by, shape[1]),
        )


def _needed(wanted: Box, shapes: Sequence[Sequence[int]], smooth: bool) -> list[tuple[Box, Box]]:
    """Return, finest scale first, the part of the coarser map and the part of this scale that are needed.

    The two convolutions of a scale reach two pixels; what they make of the zeros outside a part that does not end at
    the picture's edge is wrong for two pixels, which are not used. Bilinear doubling looks one coarse pixel further.
    """
    boxes = []
    for shape in shapes:
        fine = wanted.grow(2, shape)
        coarse = fine.over(2).grow(1 if smooth else 0, (shape[0] // 2, shape[1] // 2))
        boxes.append((coarse, fine))
        wanted = coarse
    return boxes


class DoubleConv(nn.Module):
    """Twice: 3×3 convolution, batch normalisation, ReLU."""

    def __init__(self, inputs: int, mid: int, outputs: int, bias: bool) -> None:
        super().__init__()
        self.double_conv = nn.Sequential(
            nn.Conv2d(inputs, mid, 3, padding=1, bias=bias),
            nn.BatchNorm2d(mid),
            nn.ReLU(inplace=True),
            nn.Conv2d(mid, outputs, 3, padding=1, bias=bias),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.double_conv(x)


class Down(nn.Module):
    """Halve the picture (maximum of 2×2), then `DoubleConv`."""

    def __init__(self, inputs: int, outputs: int, bias: bool) -> None:
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), DoubleConv(inputs, outputs, outputs, bias))

    def forward(self, x: Tensor) -> Tensor:
        return self.maxpool_conv(x)


class Up(nn.Module):
    """Double the picture, join the same scale of the contracting path, then `DoubleConv`."""

    def __init__(self, below: int, skip: int, mid: int, outputs: int, mode: str, bias: bool) -> None:
        super().__init__()
        self.up: nn.Module
        if mode == "transposed":
            self.up = nn.ConvTranspose2d(below, skip, 2, stride=2)
            below = skip
        else:
            self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=mode == "bilinear-aligned")
        self.conv = DoubleConv(below + skip, mid, outputs, bias)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = self.up(x)
        return self.conv(torch.cat([skip, x], dim=1))

    def grow(self, x: Tensor, skip: Tensor, coarse: Box, fine: Box) -> Tensor:
        """Do the same for the part ``coarse`` of the coarser map and the part ``fine`` of this scale."""
        x = fine.cut(self.up(x), Box(2 * coarse.top, 2 * coarse.bottom, 2 * coarse.left, 2 * coarse.right))
        return self.conv(torch.cat([fine.cut(skip), x], dim=1))


class OutConv(nn.Module):
    """A 1×1 convolution to the answer."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class UNet(nn.Module):
    """The network: ``(n, in_channels, h, w)`` float in, ``(n, outputs, h, w)`` logits out, for any ``h, w ≥ 1``."""

    def __init__(self, arch: Arch) -> None:
        super().__init__()
        self.arch = arch
        w, block = arch.widths, arch.stem**2
        self.inc = DoubleConv(arch.in_channels * block, w[0], w[0], arch.bias)
        below = w[-1]
        for i in range(arch.depth):
            self.add_module(f"down{i + 1}", Down(w[i], w[i + 1], arch.bias))
        for i in range(arch.depth):
            skip, mid, out = w[-2 - i], arch.up_mids[i], arch.up_widths[i]
            self.add_module(f"up{i + 1}", Up(below, skip, mid, out, arch.up, arch.bias))
            below = out
        self.outc = OutConv(below, arch.outputs * block)

    def forward(self, x: Tensor) -> Tensor:
        h, w = x.shape[-2:]
        x = pad_to(x, self.arch.align)
        return self.aligned(x)[..., :h, :w]

    def aligned(self, x: Tensor, core: Box | None = None) -> Tensor:
        """Answer for a picture whose sides are multiples of ``arch.align``.

        Parameters
        ----------
        x : Tensor
        core : Box, optional
            The rows and columns that are wanted. The margin around them is then computed only as far as each scale
            needs it, which for the finest is a few pixels: the same numbers in less time and memory.
        """
        stem = self.arch.stem
        if core is None:
            return self.answer(self.features(x))
        skips = self._contract(x)
        x = skips.pop()
        wanted = core.over(stem)
        boxes = _needed(wanted, [s.shape[-2:] for s in skips], self.arch.up != "transposed")
        have = Box(0, x.shape[-2], 0, x.shape[-1])
        for i in range(self.arch.depth):
            coarse, fine = boxes.pop()
            up = self.get_submodule(f"up{i + 1}")
            assert isinstance(up, Up)
            x = up.grow(coarse.cut(x, have), skips.pop(), coarse, fine)
            have = fine
        x = self.answer(wanted.cut(x, have))
        return core.cut(x, Box(wanted.top * stem, wanted.bottom * stem, wanted.left * stem, wanted.right * stem))

    def features(self, x: Tensor) -> Tensor:
        """Return what the answer is made from, ``(n, channels, h / stem, w / stem)``, for an aligned picture."""
        skips = self._contract(x)
        x = skips.pop()
        for i in range(self.arch.depth):
            x = self.get_submodule(f"up{i + 1}")(x, skips.pop())
        return x

    def answer(self, features: Tensor) -> Tensor:
        """Return the logits that these features stand for."""
        x = self.outc(features)
        return F.pixel_shuffle(x, self.arch.stem) if self.arch.stem > 1 else x

    def _contract(self, x: Tensor) -> list[Tensor]:
        """Return the maps of the contracting path, finest first."""
        if self.arch.stem > 1:
            x = F.pixel_unshuffle(x, self.arch.stem)
        maps = [self.inc(x)]
        for i in range(self.arch.depth):
            maps.append(self.get_submodule(f"down{i + 1}")(maps[-1]))
        return maps


def pad_to(x: Tensor, multiple: int) -> Tensor:
    """Extend the right and lower edge by reflection until both sides are multiples of ``multiple``."""
    h, w = x.shape[-2:]
    rows, columns = -h % multiple, -w % multiple
    if rows:
        x = x.index_select(-2, reflect_index(0, h + rows, h).to(x.device))
    if columns:
        x = x.index_select(-1, reflect_index(0, w + columns, w).to(x.device))
    return x


def reflect_index(start: int, stop: int, size: int) -> Tensor:
    """Return indices ``start … stop-1`` into an axis of ``size``, mirrored at both ends without repeating the edge.

    Examples
    --------
    >>> reflect_index(-2, 5, 3).tolist()
    [2, 1, 0, 1, 2, 1, 0]
    >>> reflect_index(0, 3, 1).tolist()
    [0, 0, 0]
    """
    if size == 1:
        return torch.zeros(stop - start, dtype=torch.long)
    period = 2 * (size - 1)
    i = torch.arange(start, stop).remainder(period)
    return torch.minimum(i, period - i)


def count_parameters(net: nn.Module) -> int:
    """Return the number of trained weights."""
    return sum(p.numel() for p in net.parameters())
