"""Unlabelled pixels leave numerator and denominator."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from unet_gui.engine.losses import cross_entropy_dice, masked_bce

WEIGHTS = torch.tensor([1.0, 2.0, 0.5])


def _gradient(logits: Tensor, target: Tensor, kind: str) -> tuple[float, Tensor]:
    logits = logits.clone().requires_grad_(True)
    if kind == "bce":
        loss = masked_bce(logits[:, :1], target)
    else:
        loss = cross_entropy_dice(logits, target, class_weights=WEIGHTS, dice_share=0.5 if kind == "both" else 0.0)
    loss.backward()
    assert logits.grad is not None
    return float(loss.detach()), logits.grad


@pytest.fixture
def case() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    target = torch.randint(0, 2, (2, 12, 10))
    target[0, :4] = 255
    target[1, :, 7:] = 255
    return torch.randn(2, 3, 12, 10), target.to(torch.uint8)


@pytest.mark.parametrize("kind", ["both", "entropy", "bce"])
def test_what_is_said_under_unlabelled_does_not_matter(case: tuple[Tensor, Tensor], kind: str) -> None:
    logits, target = case
    other = torch.where((target == 255)[:, None], torch.randn_like(logits) * 30, logits)
    loss, grad = _gradient(logits, target, kind)
    loss2, grad2 = _gradient(other, target, kind)
    assert loss == loss2
    assert torch.equal(grad, grad2)
    assert not grad[(target == 255)[:, None].expand_as(grad)].any()
    assert grad[(target != 255)[:, None].expand_as(grad)].any()


@pytest.mark.parametrize("kind", ["both", "entropy", "bce"])
def test_more_unlabelled_area_does_not_matter(case: tuple[Tensor, Tensor], kind: str) -> None:
    logits, target = case
    wide = torch.cat([logits, torch.randn(2, 3, 12, 90)], dim=3)
    empty = torch.full((2, 12, 90), 255, dtype=torch.uint8)
    loss, grad = _gradient(logits, target, kind)
    loss2, grad2 = _gradient(wide, torch.cat([target, empty], dim=2), kind)
    assert loss2 == pytest.approx(loss, rel=1e-6)
    torch.testing.assert_close(grad2[..., :10], grad, rtol=1e-5, atol=1e-8)


def test_values_by_hand() -> None:
    logits = torch.zeros(1, 2, 1, 2)
    logits[0, 1, 0, 0] = 20.0  # sure of class 1 in the first pixel, undecided in the second
    target = torch.tensor([[[1, 0]]], dtype=torch.uint8)
    entropy = float(cross_entropy_dice(logits, target, dice_share=0.0))
    assert entropy == pytest.approx(0.6931 / 2, abs=1e-3)
    # soft Dice without smoothing: class 0: 2*0.5 / (0.5 + 1), class 1: 2*1 / (1.5 + 1)
    overlap = float(cross_entropy_dice(logits, target, dice_share=1.0, smooth=0.0))
    assert overlap == pytest.approx(1 - (1 / 1.5 + 2 / 2.5) / 2, abs=1e-4)
    weighted = float(cross_entropy_dice(logits, target, dice_share=0.0, class_weights=torch.tensor([3.0, 1.0])))
    assert weighted == pytest.approx(0.6931 * 3 / 4, abs=1e-3)


def test_nothing_labelled_gives_nothing() -> None:
    logits = torch.randn(1, 2, 4, 4, requires_grad=True)
    for loss in (
        cross_entropy_dice(logits, torch.full((1, 4, 4), 255, dtype=torch.uint8)),
        masked_bce(logits, torch.full((1, 4, 4), 255, dtype=torch.uint8)),
    ):
        loss.backward()
        assert float(loss.detach()) == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_bce_is_torchs_where_all_is_labelled() -> None:
    torch.manual_seed(0)
    logits, target = torch.randn(1, 1, 8, 8), torch.randint(0, 2, (1, 8, 8), dtype=torch.uint8)
    wanted = torch.nn.BCEWithLogitsLoss()(logits[:, 0], target.float())
    torch.testing.assert_close(masked_bce(logits, target), wanted)
