"""What only a graphics card can show. Skipped where there is none."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.engine.conftest import blobs
from tests.engine.test_keeper import ended
from unet_gui.core.project import Dataset
from unet_gui.engine import trainer
from unet_gui.engine.batches import BatchMaker
from unet_gui.engine.device import pick_device
from unet_gui.engine.events import Event, TrainFinished, Warned
from unet_gui.engine.model import Model
from unet_gui.engine.predict import Predictor, run
from unet_gui.engine.prediction import Prediction
from unet_gui.engine.prepare import prepare
from unet_gui.engine.recipe import PredictConfig, TrainConfig
from unet_gui.engine.train import train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

CONFIG = TrainConfig(steps=60, width=8, depth=2, crop=64, batch=8, device="cuda", logs=False, val="4-5")


def finished(folder: Dataset, out: Path, config: TrainConfig) -> TrainFinished:
    (last,) = [e for e in train(folder, out, config) if isinstance(e, TrainFinished)]
    return last


def test_training_records_its_steps_and_learns(
    make_folder: Callable[..., Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded: list[object] = []
    plain = trainer.RecordedStep

    class Watched(plain):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments)
            recorded.append(self)

    monkeypatch.setattr(trainer, "RecordedStep", Watched)
    found = finished(make_folder(), tmp_path / "m.safetensors", dataclasses.replace(CONFIG, steps=150))
    assert recorded
    assert found.score > 0.95


def test_varying_crops_waits_for_nothing(make_folder: Callable[..., Dataset]) -> None:
    data = ended(prepare(make_folder(), CONFIG, pick_device("cuda")))
    how = dataclasses.replace(data.plan.augmentation, bend=1.0, blur=1.0, coarse=1.0, noise=1.0)
    plan = dataclasses.replace(data.plan, augmentation=how)
    made = BatchMaker(data.pictures, data.train, plan, 0, on_card=True).make(0)
    made.vary(torch.device("cuda"))
    torch.cuda.set_sync_debug_mode("error")
    try:
        made.vary(torch.device("cuda"))
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_same_seed_same_weights(make_folder: Callable[..., Dataset], tmp_path: Path) -> None:
    folder = make_folder()
    for name in ("a", "b"):
        finished(folder, tmp_path / f"{name}.safetensors", CONFIG)
    a, b = (Model.load(tmp_path / f"{n}.safetensors", "cpu").net.state_dict() for n in ("a", "b"))
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_recorded_steps_are_the_plain_ones(
    make_folder: Callable[..., Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_folder()
    config = dataclasses.replace(CONFIG, precision="fp32", steps=20)
    finished(folder, tmp_path / "recorded.safetensors", config)
    monkeypatch.setattr(trainer, "FIRST_STEPS", 10**9)
    finished(folder, tmp_path / "plain.safetensors", config)
    a, b = (Model.load(tmp_path / f"{n}.safetensors", "cpu").net.state_dict() for n in ("recorded", "plain"))
    for key in a:
        torch.testing.assert_close(a[key], b[key], rtol=1e-3, atol=1e-4)


def test_resumed_training_goes_on(make_folder: Callable[..., Dataset], tmp_path: Path) -> None:
    folder, out = make_folder(), tmp_path / "m.safetensors"
    steps = train(folder, out, dataclasses.replace(CONFIG, checkpoint_seconds=0.0))
    for number, _ in enumerate(steps):
        if number > 40:
            break
    steps.close()
    found = finished(folder, out, dataclasses.replace(CONFIG, resume=True))
    assert found.steps == 60


@pytest.mark.parametrize(("precision", "most"), [("fp32", 1e-3), ("auto", 3e-2)])
def test_a_card_says_what_the_processor_says(
    make_folder: Callable[..., Dataset], tmp_path: Path, precision: str, most: float
) -> None:
    out = tmp_path / "m.safetensors"
    finished(make_folder(), out, CONFIG)
    model = Model.load(out, "cpu")
    image, _ = blobs(9, (300, 333))
    wish = PredictConfig(probabilities=True, float_maps=True, precision=precision, tile=128)
    card = run(Predictor(model, wish, pick_device("cuda")).predict(image))
    plain = run(Predictor(model, dataclasses.replace(wish, precision="fp32"), pick_device("cpu")).predict(image))
    assert card.prob is not None
    assert plain.prob is not None
    assert np.abs(card.prob - plain.prob).max() <= most


def test_images_together_are_the_same_as_one_by_one(make_folder: Callable[..., Dataset], tmp_path: Path) -> None:
    out = tmp_path / "m.safetensors"
    finished(make_folder(), out, CONFIG)
    predictor = Predictor(Model.load(out, "cpu"), PredictConfig(probabilities=True), pick_device("cuda"))
    images = [blobs(i, (128, 160))[0] for i in range(12)]
    stats = [predictor.measure(image) for image in images]
    steps = predictor.predict_alike(images, range(12), stats)
    found: list[Prediction] = []

    def follow() -> Iterator[Event]:
        found.extend((yield from steps))

    list(follow())
    for image, together in zip(images, found, strict=True):
        alone = run(predictor.predict(image))
        assert together.prob is not None
        assert alone.prob is not None
        assert np.abs(together.prob.astype(int) - alone.prob.astype(int)).max() <= 8  # of 255, in 16 bits


def test_little_memory_gives_the_same(make_folder: Callable[..., Dataset], tmp_path: Path) -> None:
    out = tmp_path / "m.safetensors"
    finished(make_folder(), out, CONFIG)
    model, device = Model.load(out, "cpu"), pick_device("cuda")
    image, _ = blobs(9, (2048, 2048))
    config = PredictConfig(precision="fp32", tile=2048, batch=1)
    wanted = run(Predictor(model, config, device).predict(image))
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + (160 << 20)) / total)
    try:
        said: list[str] = []
        predictor = Predictor(model, config, device)
        steps = predictor.predict(image)
        while True:
            try:
                event = next(steps)
            except StopIteration as stop:
                found = stop.value
                break
            if isinstance(event, Warned):
                said.append(event.text)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert len(said) == 1
    assert predictor.tile < 2048
    assert np.array_equal(found.ids, wanted.ids)
