"""Training within a time, stopping early, going on longer, and disks that are full meanwhile."""

from __future__ import annotations

import math
import shutil
import threading
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from tests.engine.conftest import small
from unet_gui.core.errors import UserError
from unet_gui.core.images import ImageRef
from unet_gui.core.palette import ClassInfo
from unet_gui.core.project import Dataset
from unet_gui.engine import prepare as prepare_module
from unet_gui.engine import train as train_module
from unet_gui.engine import validation_times
from unet_gui.engine.checkpoint import checkpoint_path
from unet_gui.engine.events import (
    TICK,
    CheckpointSaved,
    Event,
    StepDone,
    TrainFinished,
    TrainStarted,
    Validated,
    Warned,
)
from unet_gui.engine.keeper import Keeper
from unet_gui.engine.model import Model
from unet_gui.engine.recipe import TrainConfig
from unet_gui.engine.train import train
from unet_gui.engine.validate import Outcome


def test_stopping_leaves_no_thread_and_a_usable_state(make_folder: Callable[..., Dataset], tmp_path: Path) -> None:
    out = tmp_path / "m.safetensors"
    job = train(make_folder(), out, small(steps=5000))
    for event in job:
        if isinstance(event, StepDone):
            break
    job.close()
    assert not [t for t in threading.enumerate() if t.name == "batches"]
    assert Model.load(out, "cpu").info.trained["steps"] >= 1
    assert checkpoint_path(out).exists()


def test_a_stopped_training_of_the_tutorials_recipe_leaves_a_model(
    make_folder: Callable[..., Dataset], tmp_path: Path
) -> None:
    """The weights with the lowest loss are kept in memory from the first step on; they have to reach the disk."""
    out = tmp_path / "m.safetensors"
    job = train(
        make_folder(count=2, size=(32, 32)), out, TrainConfig(recipe="tutorial", epochs=9, device="cpu", logs=False)
    )
    for event in job:
        if isinstance(event, StepDone) and event.step == 3:
            break
    job.close()
    assert Model.load(out, "cpu").info.recipe == "tutorial"
    assert (tmp_path / "best_model.pth").exists()


def test_a_longer_run_goes_on_trying(make_folder: Callable[..., Dataset], tmp_path: Path) -> None:
    """All twelve validations of a finished run count as little as the steps it made of the longer one."""
    folder, out = make_folder(), tmp_path / "m.safetensors"
    list(train(folder, out, small(steps=24)))
    events = list(train(folder, out, small(steps=120, resume=True)))
    tried = [e.step for e in events if isinstance(e, Validated)]
    assert tried == [30, 40, 50, 60, 70, 80, 90, 100, 110, 120]


def test_a_full_disk_does_not_end_a_training(
    make_folder: Callable[..., Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said once, tried again, and all is there in the end."""
    out, plain, full = tmp_path / "m.safetensors", train_module.save_checkpoint, [True]

    def save(path: Path, state: dict[str, object]) -> None:
        if full[0]:
            raise UserError("There is no room left.", path)
        plain(path, state)

    monkeypatch.setattr(train_module, "save_checkpoint", save)
    plain_model = Keeper.save

    def save_model(self: Keeper, *arguments: object) -> None:
        if full[0]:
            raise UserError("There is no room left.", out)
        plain_model(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Keeper, "save", save_model)
    events = []
    for event in train(make_folder(), out, small(steps=60, checkpoint_seconds=0.0, logs=True)):
        events.append(event)
        full[0] = not (isinstance(event, StepDone) and event.step >= 40) and full[0]
    warned = [e.text for e in events if isinstance(e, Warned)]
    assert len(warned) == 1
    assert "no room left" in warned[0]
    assert isinstance(events[-1], TrainFinished)
    assert Model.load(out, "cpu").info.trained["steps"] > 0
    assert checkpoint_path(out).exists()


def test_a_disk_with_room_for_the_model_alone(
    make_folder: Callable[..., Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state is several times as large. That it is missing is said once, and at the end, where there is a model."""

    def save(path: Path, state: dict[str, object]) -> None:
        raise UserError("There is no room left.", path)

    monkeypatch.setattr(train_module, "save_checkpoint", save)
    out = tmp_path / "m.safetensors"
    events = list(train(make_folder(), out, small(steps=60, checkpoint_seconds=0.0)))
    assert len([e for e in events if isinstance(e, Validated) and e.is_best]) > 1, "models are written in between"
    first, last = [e.text for e in events if isinstance(e, Warned)]
    assert "tried again" in first
    assert "The model is saved" in last
    assert isinstance(events[-1], TrainFinished)
    assert Model.load(out, "cpu").info.trained["steps"] == 60


@pytest.mark.parametrize("again", [True, False])
def test_a_model_that_found_no_room_is_written_later(
    make_folder: Callable[..., Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    """With the next state, or when the training is stopped, though the state has been saved since."""
    out, plain, tries = tmp_path / "m.safetensors", Keeper.save, [0]

    def save(self: Keeper, *arguments: object) -> None:
        tries[0] += 1
        if tries[0] <= (1 if again else 2):
            raise UserError("There is no room left.", out)
        plain(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Keeper, "save", save)
    job = train(make_folder(), out, small(steps=600, checkpoint_seconds=0.0))
    assert next(e for e in job if isinstance(e, Warned) and "no room" in e.text)
    assert next(e for e in job if isinstance(e, CheckpointSaved))
    assert out.exists() == again
    job.close()
    assert Model.load(out, "cpu").info.trained["steps"] > 0


def test_stopped_early_a_long_training_has_a_score(
    make_folder: Callable[..., Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its images held back are tried soon, not only after a twelfth of an hour."""
    monkeypatch.setattr(validation_times, "FIRST_VALIDATION", 0.5)
    out = tmp_path / "m.safetensors"
    job = train(make_folder(), out, small(minutes=60.0))
    first = next(e for e in job if isinstance(e, Validated))
    job.close()
    assert first.seconds < 60
    info = Model.load(out, "cpu").info
    assert info.score["name"] == "dice"
    assert tuple(info.offsets) == first.offsets


def test_time_for_many_steps_makes_the_network_wider(
    make_folder: Callable[..., Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = make_folder(), tmp_path / "m.safetensors"

    def channels(pace: float, **wishes: object) -> int:
        monkeypatch.setattr(prepare_module, "step_seconds", lambda *_: (pace, math.inf))
        job = train(folder, out, TrainConfig(device="cpu", crop=48, batch=2, logs=False, **wishes))  # type: ignore[arg-type]
        start = next(e for e in job if isinstance(e, TrainStarted))
        assert isinstance(next(e for e in job if isinstance(e, StepDone)), StepDone)
        job.close()
        model = Model.load(out, "cpu")
        found = model.arch.widths[0]
        assert model.views == (2 if found > 16 else 4)
        assert any(f"with {found} to {8 * found} channels" in line for line in start.plan)
        return found

    assert channels(0.1, minutes=10.0) == 24
    assert channels(0.1) == 24, "ten minutes are the default"
    assert channels(0.05, minutes=2.0) == 24
    assert channels(0.4, minutes=10.0) == 16
    assert channels(0.001, minutes=0.9) == 16
    assert channels(0.001, steps=5) == 16
    assert channels(0.001, minutes=10.0, width=12) == 12
    assert channels(0.001, minutes=10.0, init=out) == 12, "that of the model to start from"


def test_time_budget(make_folder: Callable[..., Dataset], tmp_path: Path) -> None:
    """The schedule reaches its end when the time does."""
    events = list(train(make_folder(), tmp_path / "m.safetensors", small(minutes=0.07)))
    steps = [e for e in events if isinstance(e, StepDone)]
    assert steps[-1].learning_rate < 0.02 * max(e.learning_rate for e in steps)
    assert isinstance(events[-1], TrainFinished)
    assert events[-1].reason == "The time is over."


def test_stops_when_nothing_more_comes(
    make_folder: Callable[..., Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the usual time, by itself; the rate falls first, which takes a few steps more."""
    monkeypatch.setattr(validation_times, "DEFAULT_MINUTES", 0)
    monkeypatch.setattr(validation_times, "PATIENCE", 2)
    folder = make_folder()
    events = list(train(folder, tmp_path / "m.safetensors", small(steps=300, learning_rate=1e-9)))
    (last,) = [e for e in events if isinstance(e, TrainFinished)]
    assert last.steps < 300
    assert last.reason == "The score no longer improved."
    assert any("no longer improves" in e.text for e in events if isinstance(e, Warned))
    monkeypatch.setattr(validation_times, "PATIENCE", 12)  # twelve validations are planned: it could never run out

    def judged(*_: object, **__: object) -> Generator[Event, None, Outcome]:
        yield TICK
        return Outcome(0.5, (0.5, 0.5), 1.0, (0.0, 0.0))

    monkeypatch.setattr(Keeper, "_judge", judged)
    events = list(train(folder, tmp_path / "o.safetensors", small(steps=120)))
    assert isinstance(events[-1], TrainFinished)
    assert events[-1].steps < 120
    events = list(train(folder, tmp_path / "n.safetensors", small(steps=300, learning_rate=1e-9, patience=0)))
    (last,) = [e for e in events if isinstance(e, TrainFinished)]
    assert last.steps == 300


def test_images_that_become_unreadable_end_nothing(
    make_folder: Callable[..., Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unet_gui.engine.data.physical_memory", lambda: 4)  # every image is read again and again
    dataset = make_folder(count=6)
    job = train(dataset, tmp_path / "m.safetensors", small(steps=200, val=("5.png",), workers=0))
    warnings: list[str] = []
    harmed = False
    for event in job:
        if isinstance(event, Warned):
            warnings.append(event.text)
        if isinstance(event, StepDone) and not harmed:
            harmed = True
            (dataset.image_root / "1.png").unlink()
            window = Dataset.open(dataset.root)
            window.set_classes([*window.classes, ClassInfo(7, "new", "#4363d8")])
            label = window.load_label(ImageRef("2.png"))
            assert label is not None
            label[:9] = 7
            window.save_label(ImageRef("2.png"), label)
    assert isinstance(event, TrainFinished)
    assert event.steps == 200
    told = sorted(text for text in warnings if "is left out" in text)
    assert len(told) == 2, warnings
    assert "1.png" in told[0]
    assert "2.png" in told[1]


def test_a_folder_that_is_gone_is_said_and_leaves_a_model(
    make_folder: Callable[..., Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unet_gui.engine.data.physical_memory", lambda: 4)
    dataset = make_folder(count=6)
    out = tmp_path / "m.safetensors"
    job = train(dataset, out, small(steps=5000, val=("5.png",), workers=0))
    next(event for event in job if isinstance(event, StepDone))
    shutil.rmtree(dataset.image_root)
    with pytest.raises(UserError, match="of 5 images cannot be read"):
        list(job)
    assert Model.load(out, "cpu").info.trained["steps"] >= 1
