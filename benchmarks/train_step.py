"""One training step: the tutorial's own loop against ours, alternating in one process.

    python benchmarks/train_step.py --rounds 5

``reference``  the tutorial's network (64 channels) and loop as written there: batch 1, 32 bits, default memory layout
``tutorial``   our recipe of the same network
``fast``       our default recipe, per step and per pixel

Ours get their batches from a thread, as in a training; ``waited_for_data`` is the share of the time that they wait.
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
from unet_gui.engine.batches import BatchMaker, Prefetcher
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
        image = batch.x.clone(memory_format=torch.contiguous_format).to(device)  # row by row, as the tutorial's
        label = batch.y[:, None].float().to(device)
        loss = criterion(net(image), label)
        if loss.item() < best[0]:
            best[0] = loss.item()
        loss.backward()
        optimiser.step()

    return step, 512 * 512


class Ours:
    """The step of one of our recipes.

    Attributes
    ----------
    pixels : int
        Of one step.
    feed : Prefetcher
    """

    def __init__(self, recipe: str, device: str) -> None:
        choice = pick_device(device)
        data = prepared(TrainConfig(recipe=recipe, val="none"), device)
        on_card = choice.type == "cuda"
        self.trainer = Trainer(data.plan, choice, 0)
        maker = BatchMaker(data.pictures, data.train, data.plan, 0, data.repeats, on_card=on_card)
        side = data.plan.crop or 512
        self.pixels = data.plan.batch * side * side
        if recipe == "fast":
            sample = torch.zeros(data.plan.batch, 1, side, side, device=choice.torch)
            self.trainer.reduced = bf16_pays(self.trainer.net.train(), sample, choice)
        self.feed = Prefetcher(maker.make, 0)

    def __call__(self, number: int) -> None:
        """Do one step; a card is not waited for, as in a training."""
        del number
        loss = self.trainer.step(self.feed.get(), 0.5)
        if not loss.is_cuda:
            float(loss)


def main() -> None:
    """Alternate and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    device = pick_device(arguments.device).name
    on_card = device.startswith("cuda")
    if device == "cpu":
        keep_freed_memory()
    plain, plain_pixels = reference(device)
    mine = {"tutorial": Ours("tutorial", device), "fast": Ours("fast", device)}
    ways: dict[str, tuple[Callable[[int], None], int]] = {
        "reference": (plain, 10 if on_card else 1),
        "tutorial": (mine["tutorial"], 10 if on_card else 1),
        "fast": (mine["fast"], 200 if on_card else 10),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    waited: dict[str, float] = {}
    for number in range(arguments.rounds + 1):
        for name, (step, repeats) in ways.items():
            before = mine[name].feed.waited if name in mine else 0.0
            begin = time.perf_counter()
            for repeat in range(repeats):
                step(number * repeats + repeat)
            if on_card:
                torch.cuda.synchronize()
            took = time.perf_counter() - begin
            if number:  # the first round warms up
                times[name].append(took / repeats)
                if name in mine:
                    waited[name] = (mine[name].feed.waited - before) / took
    base = statistics.median(times["reference"])
    for name in ways:
        median = statistics.median(times[name])
        pixels = mine[name].pixels if name in mine else plain_pixels
        line = {
            "what": "training step",
            "name": name,
            "device": torch.cuda.get_device_name() if on_card else device,
            "threads": torch.get_num_threads(),
            "median_s": round(median, 5),
            "megapixels_per_s": round(pixels / median / 1e6, 3),
            "times_reference": round(median / base, 4),
            "waited_for_data": round(waited.get(name, 0.0), 3),
        }
        print(json.dumps(line), flush=True)
    for way in mine.values():
        way.feed.close()


if __name__ == "__main__":
    main()
