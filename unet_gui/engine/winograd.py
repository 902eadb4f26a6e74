"""3×3 convolutions of a processor's predictions with a quarter of the multiplications.

Winograd's F(4×4, 3×3) (Lavin and Gray 2015, "Fast algorithms for convolutional neural networks"): a tile of 6×6 inputs
and the 3×3 weights are each turned into 36 numbers, ``V = Bᵀ x B`` and ``U = G w Gᵀ``; their products, summed over
the channels, turn back into the 4×4 outputs, ``y = Aᵀ (U ⊙ V) A``. That is 36 multiplications for 16 outputs in place
of 144, and the sums over the channels are products of matrices. What comes out differs by rounding only.

It pays where there are many channels: the turning costs as much for few as it saves. A block of tiles at a time is
taken through all of it, so that what lies between stays in the processor's cache.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unet_gui.engine.unet import DoubleConv, UNet

FEWEST_CHANNELS = 64
"""Of input and output; with fewer the plain convolution is as fast."""
FEWEST_PRODUCTS = 300e6
"""Of weights and pixels, in a map of one image; for less it is not worth while to begin."""
BLOCK = 128
"""Tiles taken through at once."""

G = torch.tensor(
    [[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]], dtype=torch.float64
) / torch.tensor([24.0], dtype=torch.float64)
B_T = torch.tensor(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    dtype=torch.float32,
)
A_T = torch.tensor(
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], dtype=torch.float32
)


def speed_up(net: UNet) -> UNet:
    """Replace the convolutions of a folded network, in place, where that makes it faster on a processor."""
    for module in net.modules():
        if isinstance(module, DoubleConv):
            parts = module.double_conv
            for i in (0, 3):
                conv = parts[i]
                if isinstance(conv, nn.Conv2d) and min(conv.in_channels, conv.out_channels) >= FEWEST_CHANNELS:
                    parts[i], parts[i + 2] = WinogradRelu(conv), nn.Identity()
    return net


class WinogradRelu(nn.Module):
    """A padded 3×3 convolution and ReLU, for prediction in 32 bits.

    Parameters
    ----------
    conv : Conv2d
        3×3, stride 1, padded by 1, in one group.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        weights = conv.weight.detach().double()
        turned = torch.einsum("ai,kcij,bj->abck", G, weights, G)
        self.turned = turned.flatten(0, 1).float().contiguous()
        self.bias = conv.bias.detach() if conv.bias is not None else torch.zeros(conv.out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(n, outputs, h, w)`` for ``(n, inputs, h, w)``; the channels of a pixel lie side by side."""
        count, _, h, w = x.shape
        if self.conv.weight.numel() * h * w < FEWEST_PRODUCTS:
            return F.relu_(self.conv(x))
        x = x.permute(0, 2, 3, 1).contiguous()
        out = torch.empty(count, h, w, self.conv.out_channels)
        columns = _even(-(-w // 4), BLOCK)
        rows = _even(-(-h // 4), BLOCK // columns)
        block = _Block((rows, columns), x.shape[3], out.shape[3])
        for i, top, left in itertools.product(range(count), range(0, h, 4 * rows), range(0, w, 4 * columns)):
            block.load(x[i], top, left)
            block.compute(self.turned, self.bias)
            block.store(out[i, top : top + block.height, left : left + block.width])
        return out.permute(0, 3, 1, 2)


def _even(count: int, most: int) -> int:
    """Return the size of parts of at most this size, such that they are alike."""
    return -(-count // -(-count // most))


class _Block:
    """Memory for a block of ``rows × columns`` tiles, and what is done there."""

    def __init__(self, shape: tuple[int, int], inputs: int, outputs: int) -> None:
        rows, columns = shape
        self.height, self.width = 4 * rows, 4 * columns
        wide = self.width + 4  # two more are needed; a multiple of four can be seen as columns of tiles
        self._half = torch.empty(rows, 6, wide, inputs)
        by_tile = self._half.view(rows, 6, columns + 1, 4, inputs)
        self._six = [by_tile[:, :, :columns, j] for j in range(4)] + [by_tile[:, :, 1:, j] for j in range(2)]
        turned = torch.empty(6, 6, rows, columns, inputs)
        self._turned = turned.view(36, rows * columns, inputs)
        self._turned_six = [turned[:, j].transpose(0, 1) for j in range(6)]
        self._room_in = [torch.empty(rows, 6, columns, inputs) for _ in range(2)]
        self._products = torch.empty(36, rows * columns, outputs)
        back = torch.empty(4, 6, rows, columns, outputs)
        self._back = back.view(4, -1)
        self._back_six = [back[:, j] for j in range(6)]
        self._room_out = [torch.empty(4, rows, columns, outputs) for _ in range(2)]
        answer = torch.empty(rows, 4, columns, 4, outputs)
        self._answer = answer.view(self.height, self.width, outputs)
        self._answer_four = [answer[:, :, :, j].transpose(0, 1) for j in range(4)]

    def load(self, x: Tensor, top: int, left: int) -> None:
        """Take the block's pixels and those around it from ``(h, w, channels)``, zeros where the map ends.

        They are read as products with `B_T`, which turns them from above to below.
        """
        h, w = x.shape[:2]
        begin, end = max(left - 1, 0), min(left + self.width + 1, w)
        half = self._half[:, :, begin - left + 1 : end - left + 1].flatten(2)
        self._half[:, :, : begin - left + 1].zero_()
        self._half[:, :, end - left + 1 :].zero_()
        for y, six in enumerate(half):
            y = top + 4 * y - 1
            first, last = max(y, 0), min(y + 6, h)
            if first < last:
                torch.mm(B_T[:, first - y : last - y], x[first:last, begin:end].flatten(1), out=six)
            else:  # below the map
                six.zero_()

    def compute(self, weights: Tensor, bias: Tensor) -> None:
        """Turn from left to right, multiply, turn back."""
        _turn(self._six, self._turned_six, self._room_in)
        torch.bmm(self._turned, weights, out=self._products)
        self._products[7].add_(bias)  # this product alone goes into every output, with the factor 1
        torch.mm(A_T, self._products.view(6, -1), out=self._back)
        _turn_back(self._back_six, self._answer_four, self._room_out)

    def store(self, out: Tensor) -> None:
        """Put the outputs into ``(height, width, channels)`` or, at the end of the map, a part of it."""
        torch.clamp_min(self._answer[: out.shape[0], : out.shape[1]], 0, out=out)


def _turn(x: list[Tensor], out: list[Tensor], room: list[Tensor]) -> None:
    """Multiply six columns by `B_T`: 13 additions in place of 18 multiply-adds."""
    a, b = room
    torch.sub(x[4], x[2], alpha=4, out=a)
    torch.sub(x[3], x[1], alpha=4, out=b)
    torch.add(a, b, out=out[1])
    torch.sub(a, b, out=out[2])
    torch.sub(x[4], x[2], out=a)
    torch.sub(x[3], x[1], out=b)
    torch.add(a, b, alpha=2, out=out[3])
    torch.sub(a, b, alpha=2, out=out[4])
    torch.sub(x[0], x[2], out=b)
    torch.add(a, b, alpha=4, out=out[0])
    torch.sub(x[5], x[3], out=a)
    torch.sub(x[1], x[3], out=b)
    torch.add(a, b, alpha=4, out=out[5])


def _turn_back(x: list[Tensor], out: list[Tensor], room: list[Tensor]) -> None:
    """Multiply six columns by `A_T`."""
    a, b = room
    torch.add(x[1], x[2], out=a)
    torch.add(x[3], x[4], out=b)
    torch.add(x[0], a, out=out[0])
    out[0].add_(b)
    torch.add(a, b, alpha=4, out=out[2])
    torch.sub(x[1], x[2], out=a)
    torch.sub(x[3], x[4], out=b)
    torch.add(a, b, alpha=2, out=out[1])
    torch.add(x[5], a, out=out[3])
    out[3].add_(b, alpha=8)
