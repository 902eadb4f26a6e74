"""The tutorial's recipe: its loop, its weights, its files."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.engine.conftest import same, small, weights
from unet_gui.core.cv import cv2
from unet_gui.core.errors import UserError
from unet_gui.core.palette import default_classes
from unet_gui.core.project import Dataset
from unet_gui.engine.batches import BatchMaker
from unet_gui.engine.events import (
    TrainFinished,
)
from unet_gui.engine.model import Model
from unet_gui.engine.recipe import TrainConfig
from unet_gui.engine.train import train


def _all(state: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat([v.flatten().double() for k, v in state.items() if v.is_floating_point() and "running" not in k])


def test_tutorial_is_the_tutorials_loop(make_folder: Callable[..., Dataset], tmp_path: Path) -> None:
    """Against its loop written out plainly, on the same images in the same order, flipped alike."""
    from unet_gui.engine.data import ClassTable, Entry, Pictures
    from unet_gui.engine.fingerprint import fingerprint, traits_of
    from unet_gui.engine.plan import make_plan
    from unet_gui.engine.unet import Arch, UNet

    dataset = make_folder(count=3, size=(32, 48))
    config = TrainConfig(recipe="tutorial", epochs=2, device="cpu", logs=False, learning_rate=1e-5)
    pictures = Pictures(dataset, ClassTable([0, 1]), 1)
    entries = [Entry(r) for r in dataset.images]
    prints = fingerprint([traits_of(pictures.load(e)) for e in entries], 1)
    plan, _ = make_plan(config, prints, "dice", 0, "cpu")
    maker = BatchMaker(pictures, entries, plan, 0)
    batches = [maker.make(i) for i in range(6)]

    torch.manual_seed(0)
    net = UNet(Arch.tutorial())
    optimiser = torch.optim.RMSprop(net.parameters(), lr=1e-5, weight_decay=1e-8, momentum=0.9)
    best_loss, best = math.inf, {}
    for batch in batches:
        net.train()
        optimiser.zero_grad()
        picture = batch.x.clone(memory_format=torch.contiguous_format)  # row by row, as the tutorial's are
        loss = torch.nn.BCEWithLogitsLoss()(net(picture)[:, 0], batch.y.float())
        if float(loss.detach()) < best_loss:
            best_loss = float(loss.detach())
            best = {k: v.clone() for k, v in net.state_dict().items()}
        loss.backward()
        optimiser.step()

    out = tmp_path / "t.safetensors"
    events = list(train(dataset, out, config))
    assert isinstance(events[-1], TrainFinished)
    assert events[-1].steps == 6
    torch.manual_seed(0)
    first = UNet(Arch.tutorial()).state_dict()
    moved = _all(net.state_dict()) - _all(first)
    apart = _all(weights(out)) - _all(net.state_dict())
    # RMSprop's first steps are as large for a tiny gradient as for a large one, whose sign may hang on rounding
    assert float(apart.norm() / moved.norm()) < 0.05
    kept = torch.load(tmp_path / "best_model.pth", weights_only=True)
    assert set(kept) == set(best)
    assert float((_all(kept) - _all(best)).norm() / moved.norm()) < 0.05
    assert same(Model.load(tmp_path / "best_model.pth", "cpu").net.state_dict(), kept)


def test_somebody_else_s_best_model_stays(make_folder: Callable[..., Dataset], tmp_path: Path) -> None:
    (tmp_path / "best_model.pth").write_bytes(b"of a week of training")
    config = TrainConfig(recipe="tutorial", epochs=1, device="cpu", logs=False)
    dataset = make_folder(count=2, size=(32, 48))
    for _ in range(2):
        events = list(train(dataset, tmp_path / "t.safetensors", config))
    assert (tmp_path / "best_model.pth").read_bytes() == b"of a week of training"
    bare, model = (Model.load(tmp_path / name, "cpu").net.state_dict() for name in ("t.pth", "t.safetensors"))
    assert same(bare, model)
    assert isinstance(events[-1], TrainFinished)


@pytest.mark.parametrize(
    "config",
    [
        TrainConfig(recipe="tutorial", epochs=1, device="cpu", logs=False),
        TrainConfig(steps=3, batch=1, crop=16, width=4, depth=3, device="cpu", logs=False),
    ],
)
def test_a_coarsest_map_of_one_value(tmp_path: Path, config: TrainConfig) -> None:
    """Batch normalisation knows no spread of one value."""
    for i in range(3):
        for folder, values in (("image", [20 * i, 200]), ("label", [0, 255])):
            (tmp_path / folder).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / folder / f"{i}.png"), np.repeat(np.uint8([values]), 5, 1).repeat(12, 0))
    events = list(train(Dataset.open(tmp_path), tmp_path / "m.safetensors", config))
    assert isinstance(events[-1], TrainFinished)


def test_tutorial_sees_raw_values_and_flips_both_axes(make_folder: Callable[..., Dataset]) -> None:
    from unet_gui.engine.data import ClassTable, Entry, Pictures
    from unet_gui.engine.fingerprint import fingerprint, traits_of
    from unet_gui.engine.plan import make_plan

    dataset = make_folder(count=1, size=(20, 30))
    pictures = Pictures(dataset, ClassTable([0, 1]), 1)
    entry = Entry(dataset.images[0])
    picture = pictures.load(entry)
    plan, _ = make_plan(TrainConfig(recipe="tutorial"), fingerprint([traits_of(picture)], 1), "dice", 0, "cpu")
    maker = BatchMaker(pictures, [entry], plan, 0)
    image, label = picture.pixels.astype(np.float32), picture.label
    seen = set()
    for step in range(40):
        batch = maker.make(step)
        ways = {
            name: (image[::v, ::h], label[::v, ::h])
            for name, v, h in (("none", 1, 1), ("v", -1, 1), ("h", 1, -1), ("both", -1, -1))
        }
        match = [n for n, (i, _) in ways.items() if np.array_equal(batch.x[0, 0].numpy(), i)]
        assert len(match) == 1
        assert np.array_equal(batch.y[0].numpy(), ways[match[0]][1])
        seen.add(match[0])
    assert seen == {"none", "v", "h", "both"}


def test_pth_as_output(make_folder: Callable[..., Dataset], tmp_path: Path) -> None:
    dataset = make_folder(count=2, size=(32, 32))
    out = tmp_path / "mine.pth"
    list(train(dataset, out, TrainConfig(recipe="tutorial", epochs=1, device="cpu", logs=False)))
    assert Model.load(out, "cpu").info.recipe == "tutorial"
    assert not (tmp_path / "best_model.pth").exists()


def test_tutorial_knows_two_classes(make_folder: Callable[..., Dataset], tmp_path: Path) -> None:
    dataset = make_folder()
    dataset.set_classes(default_classes(3))
    with pytest.raises(UserError, match="two classes"):
        list(train(dataset, tmp_path / "m.safetensors", TrainConfig(recipe="tutorial", device="cpu")))
    with pytest.raises(UserError, match="bare weights"):
        list(train(dataset, tmp_path / "m.pth", small(steps=1)))
    with pytest.raises(UserError, match=r"\.safetensors or \.pth"):
        list(train(dataset, tmp_path / "m.onnx", small()))
