"""How much is lost when only a few strokes are painted: 2 % of the pixels as scribbles beside full labels.

    python -m benchmarks.sparse --data isbi nuclei camvid --seconds 60

For each data set of `benchmarks/accuracy.py` the same network is trained twice for the same time: on the full labels,
and on labels of which all but some strokes were taken away. Both are scored on the same held-out pictures, with full
labels. Goal: at least 95 % of the Dice.

Strokes are painted as a person would: a class is chosen, all with equal chances, then a place of that class; the hand
draws a bent line three pixels wide and lifts where the class ends. So thin and rare classes get their strokes, and some
strokes end at borders.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy import TASKS, segmented_pairs
from unet_gui.core.project import Dataset
from unet_gui.core.store import INDEX, UNLABELLED
from unet_gui.engine.events import TrainFinished
from unet_gui.engine.recipe import TrainConfig
from unet_gui.engine.train import train

SHARE = 0.02
LONGEST = 60


def scribbled(label: NDArray[np.uint8], share: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a label with strokes over about this share of the pixels, the rest unlabelled."""
    h, w = label.shape
    out = np.full_like(label, UNLABELLED)
    classes = [int(c) for c in np.unique(label) if c != UNLABELLED]
    places = {c: np.flatnonzero(label == c) for c in classes}
    painted = 0
    while painted < share * label.size:
        c = classes[int(rng.integers(len(classes)))]
        y, x = divmod(int(rng.choice(places[c])), w)
        angle, bend = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.15)
        at_x, at_y = float(x), float(y)
        for _ in range(LONGEST):
            column, row = round(at_x), round(at_y)
            if not (0 <= row < h and 0 <= column < w) or label[row, column] != c:
                break
            box = np.s_[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
            new = (label[box] == c) & (out[box] == UNLABELLED)
            out[box][new] = c
            painted += int(new.sum())
            angle += bend
            at_x, at_y = at_x + np.cos(angle), at_y + np.sin(angle)
    return out


def scribble_folder(dataset: Dataset, root: Path, seed: int) -> Dataset:
    """Return a copy of the folder with scribbles for labels."""
    rng = np.random.default_rng(seed)
    for name in ("image", "label"):
        (root / name).mkdir(parents=True)
    copies = {}
    for ref in dataset.images:
        label = dataset.load_label(ref)
        if label is not None:
            (root / "image" / ref.rel).write_bytes(dataset.image_path(ref).read_bytes())
            copies[ref] = scribbled(label, SHARE, rng)
    copy = Dataset.open(root)
    copy.set_encoding(INDEX)
    copy.set_classes(dataset.classes)
    for ref, label in copies.items():
        copy.save_label(ref, label)
    copy.refresh()
    return copy


def main() -> None:
    """Train on both and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=sorted(TASKS), default=["isbi", "nuclei", "camvid"])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    for name in arguments.data:
        for seed in arguments.seeds:
            print(json.dumps(one(name, arguments.seconds, seed, arguments.device)), flush=True)


def one(name: str, seconds: float, seed: int, device: str) -> dict[str, Any]:
    """Train on both and score."""
    make, score = TASKS[name]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        dataset, wishes, pairs = make(work, "test")
        config = TrainConfig(minutes=seconds / 60, seed=seed, device=device, logs=False, score="dice")
        config = dataclasses.replace(config, **wishes)
        found: dict[str, dict[str, float]] = {}
        begin = time.perf_counter()
        for kind in ("full", "scribbles"):
            used = dataset if kind == "full" else scribble_folder(dataset, work / "scribbles", seed)
            model = work / f"{kind}.safetensors"
            (last,) = [e for e in train(used, model, config) if isinstance(e, TrainFinished)]
            masks = segmented_pairs(pairs, model, work / kind, device)
            found[kind] = {**score(pairs, masks), "steps": last.steps}
    line: dict[str, Any] = {"data": name, "seconds_each": seconds, "seed": seed, "share_labelled": SHARE}
    for key in ("dice", "dice_per_image"):
        if key in found["full"]:
            full, few = found["full"][key], found["scribbles"][key]
            line |= {
                f"{key}_full": round(full, 4),
                f"{key}_scribbles": round(few, 4),
                f"{key}_ratio": round(few / full, 4),
            }
    line["steps"] = [found["full"]["steps"], found["scribbles"]["steps"]]
    line["seconds"] = round(time.perf_counter() - begin)
    return line


if __name__ == "__main__":
    main()
