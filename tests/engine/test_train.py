"""Training: it learns, resumes to the last bit, stops cleanly, says what is wrong."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.engine.conftest import same, scribble, small, started, weights
from unet_gui.core.cv import cv2
from unet_gui.core.errors import UserError
from unet_gui.core.palette import default_classes
from unet_gui.core.project import Dataset
from unet_gui.core.store import INDEX
from unet_gui.engine import teller
from unet_gui.engine import train as train_module
from unet_gui.engine.batches import BatchMaker
from unet_gui.engine.checkpoint import checkpoint_path, load_checkpoint
from unet_gui.engine.events import (
    CheckpointSaved,
    EpochDone,
    Event,
    StepDone,
    TrainFinished,
    TrainStarted,
    Validated,
    Warned,
)
from unet_gui.engine.keeper import Keeper
from unet_gui.engine.model import Model
from unet_gui.engine.predict import Predictor, run
from unet_gui.engine.recipe import TrainConfig
from unet_gui.engine.train import train
from unet_gui.engine.trainer import Trainer


def test_learns_and_tells(make_folder: Callable[..., Dataset], tmp_path: Path) -> None:
    dataset = make_folder()
    out = tmp_path / "models" / "m.safetensors"
    events = list(train(dataset, out, small(steps=120, logs=True)))
    start, last = started(events), events[-1]
    assert isinstance(last, TrainFinished)
    assert len(start.val_images) == 1
    assert len(start.train_images) == 5
    assert start.plan
    assert start.total_steps == 120
    assert last.steps == 120
    assert last.score > 0.9
    assert last.score_name == "dice"
    steps = [e for e in events if isinstance(e, StepDone)]
    assert steps[-1].step == 120
    assert steps[-1].left_seconds == 0
    assert steps[-1].loss < steps[0].loss
    assert [e.epoch for e in events if isinstance(e, EpochDone)] == list(range(1, 41))
    assert len([e for e in events if isinstance(e, Validated)]) == 12
    assert any(isinstance(e, CheckpointSaved) and e.final and e.path == out for e in events)
    model = Model.load(out, "cpu")
    assert model.info.recipe == "fast"
    assert model.info.score["name"] == "dice"
    assert model.info.trained["chosen_on"] == list(start.val_images)
    truth = dataset.load_label(dataset.images[2])
    with dataset.open_image(dataset.images[2]) as source:
        ids = run(Predictor(model).predict(source)).ids
    assert truth is not None
    assert 2 * ((ids == 1) & (truth == 1)).sum() / ((ids == 1).sum() + (truth == 1).sum()) > 0.75
    assert start.run_dir is not None
    assert list(start.run_dir.glob("events.out.tfevents.*"))


def test_a_yield_after_every_step(make_folder: Callable[..., Dataset], tmp_path: Path) -> None:
    """So that it can be stopped, and a listener is not flooded."""
    events = list(train(make_folder(), tmp_path / "m.safetensors", small(steps=50, val="none")))
    told = [e for e in events if isinstance(e, StepDone)]
    assert len(events) > 50
    assert len(told) <= 1 + 10 * events[-1].seconds + 1  # type: ignore[union-attr]


def test_losses_are_seldom_looked_at_though_every_step_is_a_pass(
    make_folder: Callable[..., Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking waits for a graphics card; and of few images each step shows all."""
    looked = []

    def stack(losses: list[torch.Tensor]) -> torch.Tensor:
        looked.append(len(losses))
        return torch.stack(losses)

    monkeypatch.setattr(teller, "torch", SimpleNamespace(stack=stack))
    events = list(train(make_folder(count=1), tmp_path / "m.safetensors", small(steps=60, crop=16, val="none")))
    assert sum(looked) == 60
    assert len(looked) == sum(isinstance(e, StepDone) for e in events)
    passes = [e for e in events if isinstance(e, EpochDone)]
    assert [(e.epoch, e.step) for e in passes] == [(n, n) for n in range(1, 61)]
    assert all(math.isfinite(e.loss) for e in passes)


@pytest.mark.parametrize(
    ("stop_after", "strokes"), [(1, False), (17, False), ("validation", False), (31, True), ("validation", True)]
)
def test_resume_is_exact(
    make_folder: Callable[..., Dataset],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop_after: int | str,
    strokes: bool,
) -> None:
    """Stopped after any step, or in the middle of a validation."""
    dataset = make_folder()
    if strokes:
        scribble(dataset)
    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    at_once = list(train(dataset, whole, small(steps=48)))
    job = train(dataset, parts, small(steps=48))
    before: list[Event] = []
    seen, begun, inside, validate = 0, False, [], Keeper.validate

    def watched(*arguments: object) -> object:
        inside.append(1)
        return validate(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Keeper, "validate", watched)
    for event in job:
        before.append(event)
        begun = begun or isinstance(event, TrainStarted)
        seen += begun and type(event).__name__ in ("Tick", "StepDone")
        if len(inside) == 9 if stop_after == "validation" else seen > int(stop_after):
            break
    job.close()
    assert parts.exists(), "a usable model after every stop"
    assert 0 < load_checkpoint(checkpoint_path(parts))["clock"]["step"] < 48
    events = list(train(dataset, parts, small(steps=48, resume=True)))
    assert isinstance(events[-1], TrainFinished)
    validated = [[e.step for e in run if isinstance(e, Validated)] for run in (at_once, before + events)]
    assert validated[0] == validated[1]
    assert same(weights(whole), weights(parts))
    assert same(Model.load(whole, "cpu").net.state_dict(), Model.load(parts, "cpu").net.state_dict())
    assert Model.load(whole, "cpu").offsets == Model.load(parts, "cpu").offsets


def test_same_seed_same_weights_with_and_without_a_thread(make_folder: Callable[..., Dataset], tmp_path: Path) -> None:
    dataset = make_folder()
    for name, wishes in {"a": {}, "b": {"workers": 0}, "c": {"seed": 1}}.items():
        list(train(dataset, tmp_path / f"{name}.safetensors", small(steps=12, **wishes)))
    a, b, c = (weights(tmp_path / f"{n}.safetensors") for n in "abc")
    assert same(a, b)
    assert not same(a, c)


def test_crops_varied_as_on_a_card(
    make_folder: Callable[..., Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way of a graphics card, tried on the processor: the same seed gives the same, and it learns."""
    monkeypatch.setattr(train_module, "BatchMaker", lambda *a, **k: BatchMaker(*a, **{**k, "on_card": True}))
    folder = make_folder()
    for name in ("a", "b"):
        events = list(train(folder, tmp_path / f"{name}.safetensors", small(steps=150)))
    finished = [e for e in events if isinstance(e, TrainFinished)]
    assert finished[0].score > 0.9
    a, b = (Model.load(tmp_path / f"{n}.safetensors", "cpu").net.state_dict() for n in ("a", "b"))
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_part_of_a_single_image_is_held_back(make_folder: Callable[..., Dataset], tmp_path: Path) -> None:
    dataset = make_folder(count=3, labelled=1, size=(160, 200))
    events = list(train(dataset, tmp_path / "m.safetensors", small(steps=60, width=16)))
    start, last = started(events), events[-1]
    assert start.train_images == start.val_images == ("0.png",)
    assert any("part of it is held back" in line for line in start.plan)
    assert isinstance(last, TrainFinished)
    assert last.score > 0.8


def test_scribbles(make_folder: Callable[..., Dataset], tmp_path: Path) -> None:
    """Two per cent of the pixels are enough for easy pictures."""
    dataset = make_folder()
    labels = [dataset.load_label(ref) for ref in dataset.images]
    dataset.set_encoding(INDEX)
    rng = np.random.default_rng(0)
    for ref, full in zip(dataset.images, labels, strict=True):
        assert full is not None
        sparse = np.full_like(full, 255)
        keep = cv2.dilate((rng.random(full.shape) < 0.001).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        sparse[keep] = full[keep]
        dataset.save_label(ref, sparse, overwrite=True)
    events = list(train(dataset, tmp_path / "m.safetensors", small(steps=150, val="none")))
    plan = started(events).plan
    assert "2\N{NO-BREAK SPACE}%" in plan[0] or "3\N{NO-BREAK SPACE}%" in plan[0]
    model = Model.load(tmp_path / "m.safetensors", "cpu")
    from tests.engine.conftest import blobs

    image, truth = blobs(77)
    ids = run(Predictor(model).predict(image)).ids
    assert 2 * ((ids == 1) & (truth == 1)).sum() / ((ids == 1).sum() + (truth == 1).sum()) > 0.85


def test_of_strokes_the_score_is_that_of_whole_images(make_folder: Callable[..., Dataset], tmp_path: Path) -> None:
    dataset, out = make_folder(), tmp_path / "m.safetensors"
    labels = {ref.key: dataset.load_label(ref) for ref in dataset.images}
    scribble(dataset)
    events = list(train(dataset, out, small(steps=60)))
    assert any("Only strokes" in line for line in started(events).plan)
    last = events[-1]
    assert isinstance(last, TrainFinished)
    predictor, told = Predictor(Model.load(out, "cpu")), started(events).val_images
    hits = sums = 0
    for ref in dataset.images:
        truth = labels[ref.key]
        if ref.key in told and truth is not None:
            with dataset.open_image(ref) as source:
                ids = run(predictor.predict(source.read())).ids
            hits, sums = hits + 2 * int(((ids == 1) & (truth == 1)).sum()), sums + int(ids.sum()) + int(truth.sum())
    assert last.dice[1] == pytest.approx(hits / sums, abs=0.05)


# --- trouble


def test_divergence_is_rolled_back(
    make_folder: Callable[..., Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Trainer.step
    calls = []

    def poisoned(self: Trainer, batch: object, progress: float) -> torch.Tensor:
        calls.append(progress)
        if len(calls) == 20:
            with torch.no_grad():
                next(iter(self.net.parameters())).fill_(float("nan"))
        return plain(self, batch, progress)  # type: ignore[arg-type]

    monkeypatch.setattr(train_module.Trainer, "step", poisoned)
    events = list(train(make_folder(), tmp_path / "m.safetensors", small(steps=60)))
    warned = [e.text for e in events if isinstance(e, Warned)]
    assert len(warned) == 1
    assert "exploded" in warned[0]
    assert isinstance(events[-1], TrainFinished)
    assert events[-1].steps == 60
    state = Model.load(tmp_path / "m.safetensors", "cpu").net.state_dict()
    assert all(torch.isfinite(v).all() for v in state.values())
    assert load_checkpoint(checkpoint_path(tmp_path / "m.safetensors"))["trainer"]["rate_scale"] == 0.5


def test_the_state_to_go_back_to_is_kept_though_the_loss_is_seldom_looked_at(
    make_folder: Callable[..., Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A graphics card is asked for the loss at every tenth step only."""
    remembered, plain = [], Trainer.remember

    def watched(self: Trainer) -> None:
        remembered.append(self.steps)
        plain(self)

    monkeypatch.setattr(train_module.Trainer, "remember", watched)
    monkeypatch.setattr(train_module.Run, "_time_to_look", lambda self, _: self.clock.step % 10 == 0)
    list(train(make_folder(), tmp_path / "m.safetensors", small(steps=150)))
    assert remembered == [0, 51, 101]


def test_hopeless_divergence_ends(make_folder: Callable[..., Dataset], tmp_path: Path) -> None:
    def poisoned(self: Trainer, batch: object, progress: float) -> torch.Tensor:
        return torch.tensor(float("nan"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_module.Trainer, "step", poisoned)
        with pytest.raises(UserError, match="diverging"):
            list(train(make_folder(), tmp_path / "m.safetensors", small(steps=60)))


def test_nothing_to_learn_from(make_folder: Callable[..., Dataset], tmp_path: Path) -> None:
    out = tmp_path / "m.safetensors"
    dataset = make_folder(labelled=0)
    with pytest.raises(UserError, match="No image has a label"):
        list(train(dataset, out, small()))
    dataset.set_encoding(INDEX)
    dataset.save_label(dataset.images[0], np.full((96, 96), 255, np.uint8))
    with pytest.raises(UserError, match="empty"):
        list(train(dataset, out, small()))
    dataset.save_label(dataset.images[0], np.zeros((96, 96), np.uint8))
    with pytest.raises(UserError, match="Only one class"):
        list(train(dataset, out, small()))
    assert not out.exists()


def test_what_cannot_be_used_is_left_out(make_folder: Callable[..., Dataset], tmp_path: Path) -> None:
    dataset = make_folder(count=6)
    dataset.set_encoding(INDEX)
    for ref in dataset.images:
        label = cv2.imread(str(dataset.label_path(ref)), cv2.IMREAD_UNCHANGED)
        label = (label > 0).astype(np.uint8)
        if ref.rel == "0.png":
            label[0, 0] = 9  # no such class
        if ref.rel == "1.png":
            label = label[:50]  # another size
        cv2.imwrite(str(dataset.label_path(ref)), label)
    image = dataset.image_path(dataset.images[2])
    image.write_bytes(image.read_bytes()[:500])
    events = list(train(dataset, tmp_path / "m.safetensors", small(steps=4)))
    warned = [e.text for e in events if isinstance(e, Warned)]
    assert len(warned) == 3
    assert "0.png" in warned[0]
    assert "9" in warned[0]
    assert "1.png" in warned[1]
    assert "2.png" in warned[2]
    start = started(events)
    assert set(start.train_images + start.val_images) == {"3.png", "4.png", "5.png"}


def test_empty_and_contradicting_labels_are_said(make_folder: Callable[..., Dataset], tmp_path: Path) -> None:
    dataset = make_folder(count=4)
    dataset.set_encoding(INDEX)
    dataset.set_classes(default_classes(3))
    for ref in dataset.images:
        label = cv2.imread(str(dataset.label_path(ref)), cv2.IMREAD_UNCHANGED) > 0
        cv2.imwrite(str(dataset.label_path(ref)), label.astype(np.uint8))
    twin = dataset.image_path(dataset.images[3])
    twin.write_bytes(dataset.image_path(dataset.images[0]).read_bytes())
    events = list(train(dataset, tmp_path / "m.safetensors", small(steps=2, val="1")))
    warned = [e.text for e in events if isinstance(e, Warned)]
    assert any("0.png and 3.png" in text and "contradict" in text for text in warned)
    assert any("class 2" in text and "Nothing is labelled" in text for text in warned)


@pytest.mark.parametrize(
    ("wishes", "text"),
    [
        ({"recipe": "slow"}, "recipe"),
        ({"score": "beauty"}, "score"),
        ({"val": "77"}, "77"),
        ({"minutes": -1.0}, "minutes"),
        ({"width": 0}, "width"),
        ({"device": "cuda"}, "cuda"),
    ],
)
def test_wishes_that_cannot_be_met(
    make_folder: Callable[..., Dataset], tmp_path: Path, wishes: dict[str, object], text: str
) -> None:
    if wishes.get("device") == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    with pytest.raises(UserError, match=text):
        list(train(make_folder(), tmp_path / "m.safetensors", small(**wishes)))


def test_resume_from_a_broken_state(make_folder: Callable[..., Dataset], tmp_path: Path) -> None:
    out = tmp_path / "m.safetensors"
    checkpoint_path(out).write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(UserError):
        list(train(make_folder(), out, small(steps=2, resume=True)))


def test_start_from_another_model(make_folder: Callable[..., Dataset], tmp_path: Path, tiny_model: Path) -> None:
    """With other classes what fits is kept; with the same the first loss is already low."""
    dataset = make_folder()
    fresh = [e for e in train(dataset, tmp_path / "a.safetensors", small(steps=1)) if isinstance(e, StepDone)]
    config = TrainConfig(steps=1, init=tiny_model, device="cpu", logs=False, precision="fp32")
    events = list(train(dataset, tmp_path / "b.safetensors", config))
    warm = [e for e in events if isinstance(e, StepDone)]
    assert warm[0].loss < 0.5 * fresh[0].loss
    assert not any(isinstance(e, Warned) for e in events), "it was asked for"
    assert any("It begins with all weights of" in line for line in started(events).plan)
    dataset.set_classes(default_classes(4))
    events = list(train(dataset, tmp_path / "c.safetensors", config))
    told = [e.text for e in events if isinstance(e, Warned) and "Starting from" in e.text]
    assert "the layer of the answer begins anew" in told[0]
    other = dataclasses.replace(config, width=6)
    told = [e.text for e in train(dataset, tmp_path / "d.safetensors", other) if isinstance(e, Warned)]
    assert any("\N{NO-BREAK SPACE}% of the weights fit" in text for text in told)
    assert Model.load(tmp_path / "c.safetensors", "cpu").arch.outputs == 4


def test_events_of_a_run_can_be_sent(make_folder: Callable[..., Dataset], tmp_path: Path) -> None:
    import json
    import pickle

    events: list[Event] = list(train(make_folder(), tmp_path / "m.safetensors", small(steps=12)))
    assert pickle.loads(pickle.dumps(events)) is not None
    for event in events:
        json.dumps(event.to_json(), allow_nan=False)
