"""Guessing hidden parts of the pictures, where only strokes are painted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.engine.conftest import scribble
from unet_gui.core.project import Dataset
from unet_gui.engine.device import DeviceChoice
from unet_gui.engine.events import TrainStarted
from unet_gui.engine.inpaint import GROWN, HIDDEN, draw_hidden, guess_loss, hide, make_head
from unet_gui.engine.model import Model
from unet_gui.engine.plan import Plan
from unet_gui.engine.recipe import TrainConfig
from unet_gui.engine.train import train
from unet_gui.engine.trainer import Trainer
from unet_gui.engine.unet import Arch, UNet


def test_squares_are_hidden_alike_for_a_seed() -> None:
    x = torch.randn(64, 3, 44, 60)
    hidden = draw_hidden(x, GROWN, 5)
    assert hidden.shape == (64, 1, 44, 60)
    assert torch.equal(hidden, draw_hidden(x, GROWN, 5))
    assert not torch.equal(hidden, draw_hidden(x, GROWN, 6))
    assert float(hidden.mean()) == pytest.approx(HIDDEN, abs=0.02)
    assert not draw_hidden(x, 0, 5).any(), "it begins with the strokes alone"
    assert float(draw_hidden(x, GROWN // 2, 5).mean()) == pytest.approx(HIDDEN / 2, abs=0.015)
    assert torch.equal(hidden[..., :8, 8:16].amax((2, 3)), hidden[..., :8, 8:16].amin((2, 3))), "whole squares"
    seen = hide(x, hidden)
    gone = hidden.expand_as(x) > 0
    assert not seen[gone].any()
    assert torch.equal(seen[~gone], x[~gone])


@pytest.mark.parametrize("stem", [1, 2])
def test_only_hidden_pixels_count(stem: int) -> None:
    torch.manual_seed(0)
    arch = Arch.plain(2, 3, 4, 1, stem=stem)
    net, head = UNet(arch).eval(), make_head(arch)
    x = torch.randn(2, 2, 32, 32)
    hidden = draw_hidden(x, GROWN, 1)
    with torch.no_grad():
        said = head(net.features(hide(x, hidden)))
        guesses = torch.nn.functional.pixel_shuffle(said, stem)
        right = torch.where(hidden > 0, guesses, 99.0)
        assert float(guess_loss(said, right, hidden)) == pytest.approx(0, abs=1e-9)
        off = torch.where(hidden > 0, guesses + 2, guesses)
        assert float(guess_loss(said, off, hidden)) == pytest.approx(4 * float(hidden.mean()) / HIDDEN, rel=1e-4)
        assert float(guess_loss(said, off, torch.zeros_like(hidden))) == 0
        assert torch.allclose(net.answer(net.features(x)), net(x))


def test_the_network_learns_from_what_nobody_painted(
    make_folder: Callable[..., Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of crops without any label it learns nothing but to guess, and that it does learn."""
    plans: list[Plan] = []
    keep = Trainer.__init__

    def spy(self: Trainer, plan: Plan, *more: object) -> None:
        plans.append(plan)
        keep(self, plan, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(Trainer, "__init__", spy)
    dataset = make_folder()
    config = TrainConfig(steps=2, width=8, depth=2, crop=64, batch=8, device="cpu", logs=False, precision="fp32")
    list(train(dataset, tmp_path / "full.safetensors", config))
    scribble(dataset)
    events = list(train(dataset, tmp_path / "strokes.safetensors", config))
    full, strokes = plans
    assert (full.inpaint, strokes.inpaint) == (0, 0.3)
    (started,) = [e for e in events if isinstance(e, TrainStarted)]
    assert any("guess hidden parts" in line for line in started.plan)
    saved = Model.load(tmp_path / "strokes.safetensors", "cpu").net.state_dict()
    assert saved.keys() == UNet(strokes.arch).state_dict().keys(), "the head that guesses is not part of the model"

    trainer = Trainer(strokes, DeviceChoice("cpu", ""), 0)
    assert trainer.guesser is not None
    x = torch.nn.functional.interpolate(torch.randn(8, 1, 8, 8), scale_factor=8.0, mode="bicubic")
    hidden = draw_hidden(x, GROWN, 7)

    def wrong() -> float:
        assert trainer.guesser is not None
        with torch.no_grad():
            return float(guess_loss(trainer.guesser(trainer.net.features(hide(x, hidden))), x, hidden))

    before = wrong()
    for step in range(60):
        trainer._learn(x, torch.full((8, 64, 64), 255, dtype=torch.uint8), draw_hidden(x, GROWN, 100 + step))
    assert wrong() < 0.5 * before
