"""Two real processes train one network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from tests.engine.test_prepare import _maker
from unet_gui.core.project import Dataset
from unet_gui.engine.checkpoint import checkpoint_path, load_checkpoint
from unet_gui.engine.events import TrainFinished
from unet_gui.engine.model import Model
from unet_gui.engine.recipe import TrainConfig
from unet_gui.engine.train import train

SCRIPT = """
import json, os, sys
from pathlib import Path
from unet_gui.core.errors import UserError
from unet_gui.core.project import Dataset
from unet_gui.engine.recipe import TrainConfig
from unet_gui.engine.train import train

folder, out, steps, resume, leaves = sys.argv[1:]
config = TrainConfig(steps=int(steps), width=4, depth=2, crop=48, batch=2, device="cpu", precision="fp32", logs=False,
                     resume=resume == "yes")
rank, kinds = os.environ["RANK"], []
events = train(Dataset.open(folder), Path(out), config)
try:
    for event in events:
        kinds.append(event.kind)
        if rank == leaves and len(kinds) > 40:
            break
except UserError as error:
    kinds.append(str(error))
events.close()
Path(out).with_name(f"rank{rank}.json").write_text(json.dumps(kinds))
"""


def _torchrun(
    tmp_path: Path, dataset: Dataset, out: Path, steps: int, resume: bool = False, leaves: str = ""
) -> list[list[str]]:
    script = tmp_path / "two.py"
    script.write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone", str(script)]
    command += [str(dataset.root), str(out), str(steps), "yes" if resume else "no", leaves]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(out.with_name(f"rank{r}.json").read_text()) for r in (0, 1)]


def test_two_processes_one_model(make_folder: Callable[..., Dataset], tmp_path: Path) -> None:
    dataset, out = make_folder(), tmp_path / "two.safetensors"
    leading, other = _torchrun(tmp_path, dataset, out, 80)
    assert leading[-1] == "train_finished"
    assert set(other) == {"tick"}, "one process tells, validates and writes"
    assert Model.load(out, "cpu").info.score["value"] > 0.85
    state = load_checkpoint(checkpoint_path(out))
    assert state["samples"] == 80 * 2 * 2
    # and it goes on with another number of processes
    config = TrainConfig(steps=100, device="cpu", precision="fp32", logs=False, resume=True)
    events = list(train(dataset, out, config))
    assert isinstance(events[-1], TrainFinished)
    assert load_checkpoint(checkpoint_path(out))["samples"] == 80 * 2 * 2 + 20 * 2


def test_a_process_that_leaves_is_said_and_leaves_a_model(make_folder: Callable[..., Dataset], tmp_path: Path) -> None:
    """As when it is the first one to hear of Ctrl-C, or has a disk that fails."""
    out = tmp_path / "two.safetensors"
    leading, other = _torchrun(tmp_path, make_folder(), out, 100_000, leaves="1")
    assert set(other) == {"tick"}
    assert leading[-1].startswith("Another process of this training has ended")
    assert Model.load(out, "cpu").info.trained["steps"] > 0
    assert checkpoint_path(out).exists()


def test_no_sample_is_drawn_twice() -> None:
    label = np.random.default_rng(1).integers(0, 2, (90, 90), dtype=np.uint8)
    alone, halves = _maker(label, batch=4), [_maker(label, batch=2) for _ in range(2)]
    for rank, half in enumerate(halves):
        half.rank, half.ranks = rank, 2
    for step in range(3):
        parts = torch.cat([half.make(step).x for half in halves])
        assert torch.equal(parts, alone.make(step).x)
    halves[0].continue_at(3, 100)
    assert halves[0].first_of(3) == 100
