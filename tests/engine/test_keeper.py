"""Choosing the best weights on images held back."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from unet_gui.core.project import Dataset
from unet_gui.engine import keeper as keeper_module
from unet_gui.engine.device import pick_device
from unet_gui.engine.events import TICK, Event
from unet_gui.engine.keeper import Keeper
from unet_gui.engine.lanes import Lanes
from unet_gui.engine.prepare import Prepared, prepare
from unet_gui.engine.recipe import TrainConfig
from unet_gui.engine.trainer import Trainer
from unet_gui.engine.validate import Answer, Outcome


def prepared(folder: Dataset) -> Prepared:
    return ended(prepare(folder, TrainConfig(width=4, depth=2, crop=48, val="3-5"), pick_device("cpu")))


def ended(steps: Generator[Event, None, Any]) -> Any:
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


def test_each_core_tries_images_of_its_own(
    make_folder: Callable[..., Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, device = make_folder(), pick_device("cpu")
    data = prepared(folder)
    pictures = [data.pictures.load(entry) for entry in data.val]
    assert len(pictures) == 3
    net = Trainer(data.plan, device, 0).average
    opened: list[int] = []

    class Watched(Lanes):
        def __init__(self, count: int) -> None:
            super().__init__(count)
            opened.append(count)

    monkeypatch.setattr(keeper_module, "Lanes", Watched)
    found: list[list[Answer]] = []
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 8):  # 8: more cores than images share each image
            torch.set_num_threads(count)
            found.append(
                tried(Keeper(data.plan, list(folder.classes), pictures, tmp_path / "m.safetensors", device), net)
            )
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(threads)
    assert opened == [2]
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_allclose(a.logits, b.logits, atol=1e-4)
            assert np.array_equal(a.label, b.label)


def tried(keeper: Keeper, net: torch.nn.Module) -> list[Answer]:
    steps = keeper.validate(net, final=False)  # type: ignore[arg-type]
    told: list[Event] = []
    while True:
        try:
            told.append(next(steps))
        except StopIteration as stop:
            assert len(told) > 2 * len(keeper.pictures), "signs of life for each image, so that it can be stopped"
            return stop.value[2]


@pytest.mark.parametrize(("score", "kept"), [("rand", 3), ("dice", 1)])
def test_of_scores_that_chance_may_have_told_apart_the_last_one_is_kept(
    make_folder: Callable[..., Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, score: str, kept: int
) -> None:
    """The best Rand F of a few images falls to an early network by luck; what is clearly worse is never kept."""
    folder, device = make_folder(), pick_device("cpu")
    data = prepared(folder)
    net = Trainer(data.plan, device, 0).average
    keeper = Keeper(dataclasses.replace(data.plan, score=score), list(folder.classes), [], tmp_path / "m", device)
    scores = iter([0.90, 0.99, 0.93, 0.95, 0.90, 0.80])  # smoothed: 0.90, 0.945, 0.9375, 0.944, 0.922, 0.861

    def judged(*_: object) -> Generator[Event, None, Outcome]:
        yield TICK
        return Outcome(next(scores), (0.9, 0.9), 0.0, (0.0, 0.0))

    monkeypatch.setattr(keeper, "_judge", judged)
    weight = next(iter(net.parameters()))
    flags = []
    for number in range(6):
        weight.data.fill_(number)
        flags.append(ended(keeper.validate(net, final=False))[1])
    assert keeper.best == pytest.approx(0.945)
    assert keeper.stale == 4
    assert float(next(iter(keeper.state.values())).flatten()[0]) == kept
    assert flags == ([True, True, True, True, False, False] if score == "rand" else [True, True] + 4 * [False])
