"""What a training begins with: what was learned from drawn pictures, where it fits."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from tests.engine.conftest import started
from unet_gui.core.project import Dataset
from unet_gui.engine.events import Event, TrainFinished, Validated, Warned
from unet_gui.engine.first_weights import ANSWER, INPUT, drawn_file, drawn_weights
from unet_gui.engine.recipe import TrainConfig
from unet_gui.engine.train import train
from unet_gui.engine.unet import Arch, UNet

WIDTHS = [16, 24, 32]
"""Of networks on a processor, on one that has time, and on a graphics card."""
BEGINS = "It begins with what it has learned from pictures that the program draws."


def network(channels: int = 1, classes: int = 2, width: int = 16, depth: int = 3, stem: int = 2) -> UNet:
    return UNet(Arch.plain(channels, classes, width, depth, stem=stem)).eval()


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "docs" / "make_first_weights.py"
    spec = importlib.util.spec_from_file_location("make_first_weights", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("classes", [2, 11])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("width", WIDTHS)
def test_they_fit_any_number_of_channels_and_classes(width: int, channels: int, classes: int) -> None:
    net = network(channels, classes, width)
    taken = drawn_weights(net)
    left = {name for name in net.state_dict() if name not in taken}
    assert left == {name for name in net.state_dict() if name.startswith(ANSWER)}
    assert all(torch.isfinite(value).all() for value in taken.values())
    assert {value.dtype for name, value in taken.items() if "num_batches" not in name} == {torch.float32}
    net.load_state_dict(taken, strict=False)


def test_a_grey_picture_looks_the_same_in_any_number_of_channels() -> None:
    grey = torch.randn(1, 1, 64, 64)
    answers = []
    for channels in (1, 2, 3, 4):
        net = network(channels)
        net.load_state_dict(drawn_weights(net), strict=False)
        with torch.inference_mode():
            answers.append(net.inc(torch.nn.functional.pixel_unshuffle(grey.expand(-1, channels, -1, -1), 2)))
    for answer in answers[1:]:
        torch.testing.assert_close(answer, answers[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("stem", [1, 4])
def test_where_pixels_are_looked_at_in_other_blocks_the_first_layer_is_left_out(stem: int) -> None:
    net = network(stem=stem)
    taken = drawn_weights(net)
    assert INPUT not in taken
    assert "down3.maxpool_conv.1.double_conv.3.weight" in taken


@pytest.mark.parametrize("shape", [{"width": 10}, {"depth": 2}, {"depth": 4}])
def test_other_shapes_begin_at_random(shape: dict[str, int]) -> None:
    assert drawn_weights(network(**shape)) == {}


def test_the_tutorial_begins_at_random() -> None:
    assert drawn_weights(UNet(Arch.tutorial())) == {}


def run(dataset: Dataset, out: Path, **wishes: object) -> list[Event]:
    usual = {"steps": 12, "crop": 64, "device": "cpu", "precision": "fp32", "stem": 2, "logs": False}
    return list(train(dataset, out, TrainConfig(**{**usual, **wishes})))  # type: ignore[arg-type]


def score(events: list[Event]) -> float:
    return max(event.score for event in events if isinstance(event, Validated))


def test_a_training_learns_sooner_with_them(make_folder: Callable[..., Dataset], tmp_path: Path) -> None:
    dataset = make_folder()
    drawn = run(dataset, tmp_path / "a.safetensors")
    random = run(dataset, tmp_path / "b.safetensors", first_weights="random")
    assert BEGINS in started(drawn).plan
    assert BEGINS not in started(random).plan
    assert score(drawn) > score(random) + 0.05
    assert any(isinstance(event, TrainFinished) for event in drawn)


def test_a_model_to_start_from_comes_first(make_folder: Callable[..., Dataset], tmp_path: Path) -> None:
    dataset = make_folder()
    run(dataset, tmp_path / "a.safetensors", steps=2)
    events = run(dataset, tmp_path / "b.safetensors", steps=2, init=tmp_path / "a.safetensors")
    assert BEGINS not in started(events).plan
    assert "It begins with all weights of a.safetensors." in started(events).plan


def test_who_asks_for_them_in_vain_is_told(make_folder: Callable[..., Dataset], tmp_path: Path) -> None:
    events = run(make_folder(), tmp_path / "a.safetensors", steps=1, width=4, first_weights="drawn")
    assert any(isinstance(event, Warned) and "begins at random" in event.text for event in events)
    assert BEGINS not in started(events).plan


def test_the_pictures_are_drawn_again_as_they_were(maker: ModuleType) -> None:
    image, ids = maker.draw(3, 96)
    again, ids_again = maker.draw(3, 96)
    np.testing.assert_array_equal(image, again)
    np.testing.assert_array_equal(ids, ids_again)
    assert image.shape == (96, 96, 3)
    seen = set()
    for number in range(40):
        image, ids = maker.draw(number, 96)
        assert int(image.max()) - int(image.min()) > 100
        seen |= set(np.unique(ids).tolist())
    assert seen == set(range(len(maker.CLASSES)))


def test_what_is_kept_is_small(maker: ModuleType, tmp_path: Path) -> None:
    """Half of 32 bits, without the layer of the answer, and of the numbers that the network had."""
    from unet_gui.core.model_info import ModelInfo
    from unet_gui.core.palette import default_classes
    from unet_gui.engine.model import Model

    net = network(3, 11)
    info = ModelInfo(net.arch.to_json(), default_classes(11), 3, {"kind": "image"}, [0.0] * 11)
    maker.keep(Model(net, info), tmp_path / "x.safetensors")
    assert (tmp_path / "x.safetensors").stat().st_size < 1.1e6
    assert sum(drawn_file(width).stat().st_size for width in WIDTHS) < 7.2e6
