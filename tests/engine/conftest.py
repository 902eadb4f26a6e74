"""Small folders of pictures with labels, made on the spot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.sparse import scribbled
from unet_gui.core.cv import cv2
from unet_gui.core.project import Dataset
from unet_gui.core.store import INDEX
from unet_gui.engine.checkpoint import checkpoint_path, load_checkpoint
from unet_gui.engine.events import Event, TrainStarted
from unet_gui.engine.model import Model
from unet_gui.engine.recipe import TrainConfig
from unet_gui.engine.train import train


def blobs(seed: int, size: tuple[int, int] = (96, 96)) -> tuple[np.ndarray, np.ndarray]:
    """Return a noisy grey picture of bright discs, and where they are (0 or 1)."""
    rng = np.random.default_rng(seed)
    label = np.zeros(size, np.uint8)
    for _ in range(6):
        x, y, r = int(rng.integers(size[1])), int(rng.integers(size[0])), int(rng.integers(6, 14))
        cv2.circle(label, (x, y), r, 1, -1)
    image = 70 + 90 * label.astype(np.float32) + rng.normal(0, 12, size)
    return np.clip(image, 0, 255).astype(np.uint8), label


def scribble(dataset: Dataset, share: float = 0.04) -> None:
    """Leave only some strokes of the labels."""
    labels = {ref: dataset.load_label(ref) for ref in dataset.images}
    dataset.set_encoding(INDEX)
    rng = np.random.default_rng(0)
    for ref, label in labels.items():
        assert label is not None
        dataset.save_label(ref, scribbled(label, share, rng), overwrite=True)


SMALL = {"width": 4, "depth": 2, "crop": 48, "batch": 2, "device": "cpu", "precision": "fp32", "logs": False}


def small(**wishes: object) -> TrainConfig:
    return TrainConfig(**{**SMALL, **wishes})  # type: ignore[arg-type]


def weights(out: Path) -> dict[str, torch.Tensor]:
    """The weights that a training of this model goes on with."""
    return load_checkpoint(checkpoint_path(out))["trainer"]["net"]


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[k], b[k]) for k in a) and set(a) == set(b)


def started(events: list[Event]) -> TrainStarted:
    return next(e for e in events if isinstance(e, TrainStarted))


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Dataset]:
    """Return a function that writes a folder of discs and opens it."""

    def make(count: int = 6, size: tuple[int, int] = (96, 96), labelled: int | None = None) -> Dataset:
        root = tmp_path / "folder"
        (root / "image").mkdir(parents=True)
        (root / "label").mkdir()
        for i in range(count):
            image, label = blobs(i, size)
            cv2.imwrite(str(root / "image" / f"{i}.png"), image)
            if labelled is None or i < labelled:
                cv2.imwrite(str(root / "label" / f"{i}.png"), label * 255)
        return Dataset.open(root)

    return make


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network that has learned discs."""
    root = tmp_path_factory.mktemp("tiny")
    (root / "image").mkdir()
    (root / "label").mkdir()
    for i in range(5):
        image, label = blobs(i)
        cv2.imwrite(str(root / "image" / f"{i}.png"), image)
        cv2.imwrite(str(root / "label" / f"{i}.png"), label * 255)
    out = root / "tiny.safetensors"
    config = TrainConfig(steps=150, width=4, depth=2, crop=64, batch=2, logs=False, device="cpu", precision="fp32")
    list(train(Dataset.open(root), out, config))
    return out


@pytest.fixture
def tiny(tiny_model: Path) -> Model:
    """The same, loaded."""
    return Model.load(tiny_model, "cpu")


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Tiny networks in one thread: several would mostly wait for each other on a busy machine."""
    torch.set_num_threads(1)
