"""The network: sizes, names, reach."""

from __future__ import annotations

import pytest
import torch

from unet_gui.engine.unet import Arch, Box, UNet, count_parameters, pad_to, reflect_index

SMALL = Arch.plain(1, 3, 4, 3)


@pytest.mark.parametrize("size", [(1, 1), (1, 37), (16, 16), (17, 33), (50, 7)])
@pytest.mark.parametrize("arch", [SMALL, Arch.plain(3, 2, 4, 2, stem=2), Arch.plain(1, 2, 4, 0), Arch.tutorial()])
def test_output_has_the_size_of_the_input(arch: Arch, size: tuple[int, int]) -> None:
    if arch == Arch.tutorial():
        arch = Arch(1, 1, (4, 8, 8), (4, 4), (4, 4), up="bilinear-aligned", bias=True)
    net = UNet(arch).eval()
    out = net(torch.randn(2, arch.in_channels, *size))
    assert out.shape == (2, arch.outputs, *size)
    assert torch.isfinite(out).all()


def test_tutorial_names_and_sizes() -> None:
    net = UNet(Arch.tutorial())
    state = net.state_dict()
    sizes = {
        "inc.double_conv.0.weight": (64, 1, 3, 3),
        "inc.double_conv.0.bias": (64,),
        "inc.double_conv.1.running_mean": (64,),
        "down1.maxpool_conv.1.double_conv.0.weight": (128, 64, 3, 3),
        "down4.maxpool_conv.1.double_conv.3.weight": (512, 512, 3, 3),
        "up1.conv.double_conv.0.weight": (256, 1024, 3, 3),
        "up4.conv.double_conv.3.weight": (64, 64, 3, 3),
        "outc.conv.weight": (1, 64, 1, 1),
        "outc.conv.bias": (1,),
    }
    for name, size in sizes.items():
        assert tuple(state[name].shape) == size, name
    assert not any(".up.up." in name or name.endswith("up.weight") for name in state), "bilinear: nothing to learn"
    assert count_parameters(net) == 13_394_177  # worked out by hand from the layers


@pytest.mark.parametrize(
    "arch",
    [
        Arch.tutorial(1, 1),
        Arch.tutorial(3, 4),
        Arch.plain(1, 2, 8, 3),
        Arch(1, 2, (8, 16, 32, 32), (16, 8, 8), (32, 16, 8), up="bilinear-aligned"),
    ],
)
def test_shape_is_read_off_the_weights(arch: Arch) -> None:
    with torch.device("meta"):
        net = UNet(arch)
    assert Arch.from_state(net.state_dict()) == arch
    assert Arch.from_json(arch.to_json()) == arch


@pytest.mark.parametrize(
    "arch",
    [
        *[Arch.plain(1, 2, 2, depth, stem=stem) for depth in (0, 1, 2, 3, 4) for stem in (1, 2)],
        Arch(1, 2, (3, 4), (3,), (3,), up="bilinear"),
        Arch(1, 2, (3, 4, 4), (4, 3), (4, 3), up="bilinear"),
        Arch(1, 2, (2, 2, 2, 2), (2, 2, 2), (2, 2, 2), up="bilinear"),
    ],
)
def test_nothing_reaches_farther_than_the_halo(arch: Arch) -> None:
    """A pixel just outside the margin changes nothing, one within the reach does."""
    torch.manual_seed(1)
    net = UNet(arch).eval().double()
    with torch.no_grad():  # nothing cancels and nothing is clipped: what can reach a pixel does
        for name, weight in net.named_parameters():
            weight.fill_(0.0 if name.endswith("bias") else 1.0 / weight[0].numel())
    side = 2 * arch.halo + 4 * arch.align
    x = torch.rand(1, 1, side, 4 * arch.align, dtype=torch.float64)
    for turned in (False, True):  # what lies above the core, and what lies below
        middle = arch.halo + arch.align  # first row of the core
        changed = x.clone()
        changed[..., : arch.align, :] += 1e12  # all rows beyond the margin
        with torch.inference_mode():
            a, b = (net.aligned(v.flip(-2) if turned else v) for v in (x, changed))
        a, b = (v.flip(-2) if turned else v for v in (a, b))
        torch.testing.assert_close(a[..., middle:, :], b[..., middle:, :], rtol=1e-9, atol=0)
        assert float((a - b)[..., : arch.align, :].abs().max()) > 1e-6


@pytest.mark.parametrize("core", [Box(48, 96, 32, 100), Box(0, 5, 0, 160), Box(70, 71, 159, 160), Box(0, 128, 0, 160)])
@pytest.mark.parametrize(
    "arch",
    [Arch.plain(1, 2, 3, 3), Arch.plain(1, 2, 3, 2, stem=2), Arch(1, 2, (3, 4, 4), (4, 3), (4, 3), up="bilinear")],
)
def test_a_part_is_computed_as_in_the_whole(arch: Arch, core: Box) -> None:
    torch.manual_seed(2)
    net = UNet(arch).eval()
    x = torch.randn(2, 1, 128, 160)
    with torch.inference_mode():
        torch.testing.assert_close(net.aligned(x, core), core.cut(net.aligned(x)), rtol=0, atol=1e-6)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="one number fewer"):
        Arch(1, 2, (4, 8), (), ())
    with pytest.raises(ValueError, match="between 1 and 65536"):
        Arch(1, 2, (4, 10**9), (4,), (4,))


def test_reflection_repeats_as_numpy_does() -> None:
    import numpy as np

    for size in (1, 2, 3, 7):
        wanted = np.pad(np.arange(size), (5, 9), mode="reflect") if size > 1 else np.zeros(15)
        assert reflect_index(-5, size + 9, size).tolist() == wanted.tolist()
    padded = pad_to(torch.arange(6.0).reshape(1, 1, 2, 3), 4)
    assert padded[0, 0].tolist() == [[0, 1, 2, 1], [3, 4, 5, 4], [0, 1, 2, 1], [3, 4, 5, 4]]
