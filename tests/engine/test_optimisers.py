"""Torch's optimisers without its compiler: the same steps, and seconds less to the first one."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.engine.test_checkpoint import environment
from tests.engine.test_keeper import prepared
from unet_gui.core.project import Dataset
from unet_gui.engine.batches import Batch
from unet_gui.engine.device import pick_device
from unet_gui.engine.optimisers import AdamW, RMSprop
from unet_gui.engine.trainer import Trainer

SCRIPT = """
import dataclasses, sys
from pathlib import Path
from unet_gui.core.project import Dataset
from unet_gui.engine.recipe import TrainConfig
from unet_gui.engine.train import train

folder, out, recipe = sys.argv[1:]
shape = {"width": 4, "depth": 2, "crop": 48, "batch": 2} if recipe == "fast" else {}
config = TrainConfig(recipe=recipe, steps=1, device="cpu", **shape)
for config in (config, dataclasses.replace(config, steps=2, resume=True)):
    events = train(Dataset.open(folder), Path(out), config)
    (steps,) = [event.steps for event in events if event.kind == "train_finished"]
    print(steps)
print([name for name in sys.modules if name in ("torch._dynamo", "sympy")])
"""


@pytest.mark.parametrize("recipe", ["fast", "tutorial"])
def test_a_training_does_not_load_the_compiler(
    make_folder: Callable[..., Dataset], tmp_path: Path, recipe: str
) -> None:
    (tmp_path / "job.py").write_text(SCRIPT)
    words = [sys.executable, "job.py", str(make_folder().root), str(tmp_path / "m.safetensors"), recipe]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, env=environment(), check=False)
    assert done.stdout.split("\n")[:3] == ["1", "2", "[]"], done.stderr


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        (AdamW, torch.optim.AdamW, {"weight_decay": 0.1, "fused": True}),
        (RMSprop, torch.optim.RMSprop, {"weight_decay": 0.1, "momentum": 0.9}),
    ],
)
def test_steps_as_torch_does(
    ours: Callable[..., torch.optim.Optimizer], theirs: Callable[..., torch.optim.Optimizer], words: dict[str, object]
) -> None:
    found = []
    for kind in (ours, theirs):
        torch.manual_seed(0)
        weights = torch.nn.Parameter(torch.randn(5, 4))
        optimiser = kind([weights], lr=0.01, **words)
        for _ in range(3):
            optimiser.zero_grad()
            (weights**3).sum().backward()
            optimiser.step()
        assert not weights.isnan().any()
        found.append((weights.detach(), optimiser.state_dict()["state"][0]))
    (w, ours_state), (v, theirs_state) = found
    assert torch.equal(w, v)
    assert ours_state.keys() == theirs_state.keys()
    assert all(torch.equal(ours_state[k], theirs_state[k]) for k in ours_state)


def test_a_state_of_another_kind_of_device_steps_as_is_right_here(make_folder: Callable[..., Dataset]) -> None:
    """One kept on Apple's GPU knows no fused steps, which count on the device itself; a card would refuse to go on."""
    device = pick_device("cpu")
    trainer = Trainer(prepared(make_folder()).plan, device, 0)
    batch = Batch(torch.rand(2, 1, 48, 48), torch.ones(2, 48, 48, dtype=torch.uint8))
    trainer.step(batch, 0.1)
    wanted = [{k: group.get(k) for k in ("fused", "capturable")} for group in trainer._groups()]
    assert wanted[0]["fused"]
    state = copy.deepcopy(trainer.state())
    for optimiser in state["optimisers"]:
        for group in optimiser["param_groups"]:
            group.update({k: k == "capturable" for k in ("fused", "capturable") if k in group})
    trainer.load_state(state)
    assert [{k: group.get(k) for k in ("fused", "capturable")} for group in trainer._groups()] == wanted
    assert torch.isfinite(trainer.step(batch, 0.1))
