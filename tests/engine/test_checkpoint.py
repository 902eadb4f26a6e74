"""A training that is killed leaves a state to go on from and a model, whole, whenever it happens."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from unet_gui.core.project import Dataset
from unet_gui.engine.checkpoint import checkpoint_path, load_checkpoint
from unet_gui.engine.events import TrainFinished
from unet_gui.engine.model import Model
from unet_gui.engine.recipe import TrainConfig
from unet_gui.engine.train import train

SCRIPT = """
import sys
from pathlib import Path
from unet_gui.core.project import Dataset
from unet_gui.engine.recipe import TrainConfig
from unet_gui.engine.train import train

folder, out, resume = sys.argv[1:]
config = TrainConfig(steps=100_000, width=4, depth=2, crop=48, batch=2, device="cpu", precision="fp32", logs=False,
                     resume=resume == "yes", checkpoint_seconds=0.0)
for event in train(Dataset.open(folder), Path(out), config):
    if event.kind == "checkpoint_saved":
        print(event.step, flush=True)
"""
ROOT = Path(__file__).resolve().parents[2]


def test_killed_while_writing(make_folder: Callable[..., Dataset], tmp_path: Path) -> None:
    """A state is written after every step, so nearly every kill meets a file half written."""
    folder, out = make_folder(), tmp_path / "m.safetensors"
    (tmp_path / "job.py").write_text(SCRIPT)
    chance, last = random.Random(0), 0
    for life in range(6):
        words = [sys.executable, str(tmp_path / "job.py"), str(folder.root), str(out), "yes" if life else "no"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment()) as child:
            assert child.stdout is not None
            for _ in range(chance.randint(3, 12)):
                said = int(child.stdout.readline())
            child.kill()
        step = load_checkpoint(checkpoint_path(out))["clock"]["step"]
        assert step >= said > last, "it goes on where it was, and what was said to be saved is"
        last = step
        if out.exists():  # whole, as soon as there is one
            Model.load(out, "cpu")
    events = list(train(folder, out, TrainConfig(steps=last + 5, device="cpu", logs=False, resume=True)))
    assert isinstance(events[-1], TrainFinished)
    assert events[-1].steps == last + 5


def environment() -> dict[str, str]:
    """Return the environment of a child that can import the package."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
