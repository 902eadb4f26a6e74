"""Choosing the best weights on images held back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from unet_gui.core.project import Dataset
from unet_gui.engine import keeper as keeper_module
from unet_gui.engine.device import pick_device
from unet_gui.engine.events import Event
from unet_gui.engine.keeper import Keeper
from unet_gui.engine.lanes import Lanes
from unet_gui.engine.prepare import Prepared, prepare
from unet_gui.engine.recipe import TrainConfig
from unet_gui.engine.trainer import Trainer
from unet_gui.engine.validate import Answer


def prepared(folder: Dataset) -> Prepared:
    steps = prepare(folder, TrainConfig(width=4, depth=2, crop=48, val="3-5"), pick_device("cpu"))
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
            assert len(told) == len(keeper.pictures), "one sign of life for each image, so that it can be stopped"
            return stop.value[2]
