"""Convolutions with fewer multiplications say what the plain ones say."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from unet_gui.engine import winograd
from unet_gui.engine.predict import folded
from unet_gui.engine.unet import Arch, UNet
from unet_gui.engine.winograd import WinogradRelu, speed_up


@pytest.fixture(autouse=True)
def small_ones_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, "FEWEST_PRODUCTS", 0)


@pytest.mark.parametrize(
    ("count", "inputs", "outputs", "h", "w"),
    [
        (1, 64, 64, 32, 32),
        (2, 3, 5, 37, 50),
        (1, 7, 2, 1, 1),
        (1, 2, 7, 3, 700),  # wider than a block
        (3, 4, 4, 130, 4),
        (1, 96, 48, 33, 519),
    ],
)
@pytest.mark.parametrize("channels_last", [True, False])
def test_as_the_plain_convolution(count: int, inputs: int, outputs: int, h: int, w: int, channels_last: bool) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(inputs, outputs, 3, padding=1).requires_grad_(False)
    x = torch.randn(count, inputs, h, w).relu()
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    before = x.clone()
    exact = F.relu(F.conv2d(x.double(), conv.weight.double(), conv.bias.double(), padding=1))  # type: ignore[union-attr]
    with torch.inference_mode():
        found = WinogradRelu(conv)(x)
    assert found.shape == exact.shape
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert float((found - exact).abs().max()) <= 2e-5 * float(exact.max())
    assert torch.equal(x, before), "what goes in stays as it is"


def test_without_bias_nothing_is_added() -> None:
    conv = nn.Conv2d(4, 4, 3, padding=1, bias=False).requires_grad_(False)
    assert not WinogradRelu(conv)(torch.zeros(1, 4, 20, 20)).any()


@pytest.mark.parametrize("arch", [Arch.tutorial(), Arch.plain(3, 4, 64, 2), Arch.plain(1, 2, 32, 3, stem=2)])
def test_whole_networks(arch: Arch) -> None:
    torch.manual_seed(0)
    net = UNet(arch)
    net.train()
    net(torch.randn(2, arch.in_channels, 64, 64))
    net.eval()
    x = torch.randn(1, arch.in_channels, 144, 100)
    with torch.inference_mode():
        plain, fast = folded(net), speed_up(folded(net))
        assert sum(isinstance(m, WinogradRelu) for m in fast.modules()) >= 5
        apart = (plain(x).softmax(1) - fast(x).softmax(1)).abs().max()
    assert float(apart) <= 1e-5


def test_small_maps_and_narrow_ones_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = speed_up(folded(UNet(Arch.plain(1, 2, 8, 2)).eval()))
    assert not [m for m in narrow.modules() if isinstance(m, WinogradRelu)]
    monkeypatch.undo()
    conv = nn.Conv2d(64, 64, 3, padding=1).requires_grad_(False)
    x = torch.randn(1, 64, 40, 40)
    with torch.inference_mode():
        assert torch.equal(WinogradRelu(conv)(x), F.relu(conv(x)))
