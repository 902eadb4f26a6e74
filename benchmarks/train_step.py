"""One training step: the tutorial's own loop against ours, alternating in one process.

    python benchmarks/train_step.py --rounds 5

``reference``  the tutorial's network (64 channels) and loop as written there: batch 1, 32 bits, default memory layout
``tutorial``   our recipe of the same network
``fast``       our default recipe, per step and per pixel
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from unet_gui.core.project import Dataset
from unet_gui.engine.batches import BatchMaker
from unet_gui.engine.device import bf16_pays, keep_freed_memory, pick_device
from unet_gui.engine.prepare import Prepared, prepare
from unet_gui.engine.recipe import TrainConfig
from unet_gui.engine.trainer import Trainer
from unet_gui.engine.unet import Arch, UNet

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "isbi2012" / "train"


def prepared(config: TrainConfig, device: str) -> Prepared:
    """Run the preparation to its end."""
    found: list[Prepared] = []

    def follow() -> object:
        found.append((yield from prepare(Dataset.open(DATA), config, pick_device(device))))

    list(follow())
    return found[0]


def reference(device: str) -> tuple[Callable[[int], None], int]:
    """Return the tutorial's step and its pixels."""
    net = UNet(Arch.tutorial()).to(device)
    optimiser = torch.optim.RMSprop(net.parameters(), lr=1e-5, weight_decay=1e-8, momentum=0.9)
    criterion = torch.nn.BCEWithLogitsLoss()
    data = prepared(TrainConfig(recipe="tutorial"), device)
    maker = BatchMaker(data.pictures, data.train, data.plan, 0)
    best = [float("inf")]

    def step(number: int) -> None:
        net.train()
        batch = maker.make(number)
        optimiser.zero_grad()
        image, label = batch.x.contiguous().to(device), batch.y[:, None].float().to(device)
        loss = criterion(net(image), label)
        if loss.item() < best[0]:
            best[0] = loss.item()
        loss.backward()
        optimiser.step()

    return step, 512 * 512


def ours(recipe: str, device: str) -> tuple[Callable[[int], None], int]:
    """Return the step of one of our recipes and its pixels."""
    choice = pick_device(device)
    data = prepared(TrainConfig(recipe=recipe, val="none"), device)
    trainer = Trainer(data.plan, choice, 0)
    maker = BatchMaker(data.pictures, data.train, data.plan, 0, data.repeats)
    side = data.plan.crop or 512
    if recipe == "fast":
        sample = torch.zeros(data.plan.batch, 1, side, side, device=choice.torch)
        trainer.reduced = bf16_pays(trainer.net.train(), sample, choice)

    def step(number: int) -> None:
        float(trainer.step(maker.make(number), 0.5))

    return step, data.plan.batch * side * side


def main() -> None:
    """Alternate and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    device = pick_device(arguments.device).name
    if device == "cpu":
        keep_freed_memory()
    steps = {"reference": reference(device), "tutorial": ours("tutorial", device), "fast": ours("fast", device)}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(arguments.rounds + 1):
        for name, (step, _) in steps.items():
            for repeat in range(10 if name == "fast" else 1):
                begin = time.perf_counter()
                step(number * 10 + repeat)
                if device.startswith("cuda"):
                    torch.cuda.synchronize()
                if number:  # the first round warms up
                    times[name].append(time.perf_counter() - begin)
    base = statistics.median(times["reference"])
    for name, (_, pixels) in steps.items():
        median = statistics.median(times[name])
        line = {
            "what": "training step",
            "name": name,
            "device": device,
            "threads": torch.get_num_threads(),
            "median_s": round(median, 4),
            "megapixels_per_s": round(pixels / median / 1e6, 3),
            "times_reference": round(median / base, 4),
        }
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
