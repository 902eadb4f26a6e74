"""Steps that move a layer in all directions alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from unet_gui.core.project import Dataset
from unet_gui.engine import prepare
from unet_gui.engine.checkpoint import checkpoint_path, load_checkpoint, save_checkpoint
from unet_gui.engine.events import StepDone, TrainFinished
from unet_gui.engine.muon import COEFFICIENTS, STRENGTH, TURNS, Muon, orthogonal
from unet_gui.engine.plan import Plan, make_plan
from unet_gui.engine.recipe import TrainConfig
from unet_gui.engine.train import train

CONFIG = TrainConfig(steps=12, width=4, depth=2, crop=48, batch=2, device="cpu", precision="fp32", logs=False)


@pytest.mark.parametrize("shape", [(8, 72), (72, 8), (16, 16), (1, 9)])
def test_near_the_orthogonal_matrix_of_the_polar_decomposition(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    u, sizes, v = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    matrix = u @ torch.linspace(1, 0.3, len(sizes)).diag() @ v
    found = orthogonal(matrix)
    assert found.shape == matrix.shape
    inside = torch.linalg.svdvals(u.T @ found @ v.T)
    assert inside.min() > 0.6
    assert inside.max() < 1.25
    nearest = u @ v
    assert float((found * nearest).sum() / found.norm() / nearest.norm()) > 0.98


@pytest.mark.parametrize("shape", [(16, 36), (64, 1152), (1152, 64), (128, 128)])
def test_the_same_as_turning_the_whole_matrix(shape: tuple[int, int]) -> None:
    """With directions of which the weakest are a millionth of the strongest."""
    torch.manual_seed(0)
    u, sizes, v = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    matrix = u @ torch.logspace(0, -6, len(sizes)).diag() @ v
    a, b, c = COEFFICIENTS
    x = matrix / matrix.norm()
    for _ in range(TURNS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    assert torch.allclose(orthogonal(matrix), x, atol=1e-5)


def test_nothing_stays_nothing() -> None:
    assert not orthogonal(torch.zeros(3, 5)).any()


def test_weak_directions_are_learned_as_fast_as_strong_ones() -> None:
    """A badly scaled square: gradients along one axis are ten times those along the other."""
    weights = torch.nn.Parameter(torch.ones(2, 2, 1, 1))
    scale = torch.tensor([[10.0, 0.0], [0.0, 1.0]])
    muon = Muon([weights], lr=0.1)
    for _ in range(5):
        muon.zero_grad()
        (weights[:, :, 0, 0] * scale).sum().backward()
        muon.step()
    moved = (1 - weights.detach())[:, :, 0, 0].diagonal()
    assert moved.min() > 0.5 * moved.max()
    assert 0.6 < float(moved.max()) / (5 * 0.1 * STRENGTH) < 1.25


def test_decay_pulls_to_nothing() -> None:
    weights = torch.nn.Parameter(torch.ones(4, 4))
    weights.grad = torch.zeros(4, 4)
    Muon([weights], lr=0.5, weight_decay=0.1).step()
    assert torch.allclose(weights, torch.full((4, 4), 0.95))


def test_same_steps_from_a_rate_kept_in_memory() -> None:
    """On a graphics card the rate is a tensor, which a recorded step reads."""
    found = []
    for rate in (0.02, torch.tensor(0.02)):
        torch.manual_seed(1)
        weights = torch.nn.Parameter(torch.randn(4, 3, 3, 3).contiguous(memory_format=torch.channels_last))
        muon = Muon([weights], lr=rate, weight_decay=0.01)
        for _ in range(3):
            weights.grad = torch.randn(4, 3, 3, 3)
            muon.step()
        found.append(weights.detach())
    assert torch.allclose(*found, atol=1e-6)


def test_a_training_begun_before_there_was_muon_goes_on(
    make_folder: Callable[..., Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its checkpoint names the optimiser it began with and holds the state of that one alone."""
    folder, whole, parts = make_folder(), tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"

    def before(*arguments: Any) -> tuple[Plan, tuple[str, ...]]:
        plan, words = make_plan(*arguments)
        return dataclasses.replace(plan, optimiser="adamw"), words

    with monkeypatch.context() as then:
        then.setattr(prepare, "make_plan", before)
        list(train(folder, whole, CONFIG))
        job = train(folder, parts, CONFIG)
        for event in job:
            if isinstance(event, StepDone) and event.step >= 6:
                job.close()
    state = load_checkpoint(checkpoint_path(parts))
    assert 6 <= state["trainer"]["steps"] < 12
    (state["trainer"]["optimiser"],) = state["trainer"].pop("optimisers")
    save_checkpoint(checkpoint_path(parts), state)
    list(train(folder, parts, dataclasses.replace(CONFIG, resume=True)))
    a, b = (load_checkpoint(checkpoint_path(p))["trainer"]["net"] for p in (whole, parts))
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_a_network_of_one_layer_trains(make_folder: Callable[..., Dataset], tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, depth=0)
    assert any(isinstance(e, TrainFinished) for e in train(make_folder(), tmp_path / "m.safetensors", config))
