"""How accurate a model is after so many seconds: three data sets, recipes, seeds, on pictures it was not chosen on.

    python benchmarks/accuracy.py --data isbi --seconds 120 --seeds 0 1 2

Prints one JSON line for each run and a table of mean ± sd at the end.

isbi    membranes: learn from slices 0-15, choose on 16-19, report 20-23
nuclei  200 images to learn from and choose on, 66 held out by number (every fourth of the first 264)
nuclei3 the same with a class for the border between touching nuclei
camvid  44 street scenes to learn from and choose on, 12 held out
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from unet_gui.core.cv import cv2
from unet_gui.core.overlap import confusion, dice, iou, match_objects, mean_of, pixel_error
from unet_gui.core.palette import default_classes
from unet_gui.core.project import Dataset
from unet_gui.core.regions import region_scores
from unet_gui.core.store import INDEX, read_label, write_label
from unet_gui.engine.events import ImageFailed, TrainFinished, TrainStarted, Validated
from unet_gui.engine.recipe import SegmentConfig, SegmentItem, TrainConfig
from unet_gui.engine.segment import segment
from unet_gui.engine.train import train

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
NUCLEI_HELD_OUT = 66


def isbi(work: Path, report: str) -> tuple[Dataset, dict[str, Any], list[tuple[Path, Path]]]:
    """Return the folder, training wishes and held-out (image, label) pairs."""
    root = DATA / "isbi2012" / "train"
    chosen = range(20, 24) if report == "test" else range(16, 20)
    pairs = [(root / "image" / f"{i}.png", root / "label" / f"{i}.png") for i in chosen]
    dataset = Dataset.open(root, state=work / "state")
    return dataset, {"only": "0-19", "val": "16-19"}, pairs


def nuclei(work: Path, report: str, border: bool = False) -> tuple[Dataset, dict[str, Any], list[tuple[Path, Path]]]:
    """Write class labels made from the instances; see `isbi`."""
    del report
    names = sorted(p.name for p in (DATA / "nuclei" / "image").glob("*.png"))
    held = set(names[3:264:4])
    assert len(held) == NUCLEI_HELD_OUT
    root = work / ("nuclei3" if border else "nuclei")
    (root / "image").mkdir(parents=True, exist_ok=True)
    for name in names:
        if name in held:
            continue
        (root / "image" / name).write_bytes((DATA / "nuclei" / "image" / name).read_bytes())
        instances = cv2.imread(str(DATA / "nuclei" / "instances" / name), cv2.IMREAD_UNCHANGED)
        write_label(root / "label" / name, nuclei_classes(instances, border), INDEX)
    dataset = Dataset.open(root)
    dataset.set_encoding(INDEX)
    dataset.set_classes(default_classes(3 if border else 2))
    pairs = [(DATA / "nuclei" / "image" / n, DATA / "nuclei" / "instances" / n) for n in sorted(held)]
    return dataset, {}, pairs


def nuclei_classes(instances: np.ndarray, border: bool) -> np.ndarray:
    """Return 0 background, 1 nucleus, and 2 where two nuclei are closer than three pixels."""
    ids = (instances > 0).astype(np.uint8)
    if not border:
        return ids
    largest = cv2.dilate(instances, np.ones((3, 3), np.uint8))
    smallest = np.where(instances > 0, instances, np.iinfo(instances.dtype).max)
    smallest = cv2.erode(smallest, np.ones((3, 3), np.uint8))
    touching = (smallest != np.iinfo(instances.dtype).max) & (largest != smallest)
    ids[cv2.dilate(touching.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0] = 2
    return ids


def camvid(work: Path, report: str) -> tuple[Dataset, dict[str, Any], list[tuple[Path, Path]]]:
    """See `isbi`; the value 11 means unlabelled."""
    del report
    dataset = Dataset.open(DATA / "camvid" / "train", state=work / "camvid")
    dataset.set_encoding(dataset.encoding.with_unlabelled(11))
    dataset.set_classes([c for c in dataset.classes if c.id < 11])
    images = sorted((DATA / "camvid" / "val" / "image").glob("*.png"))
    return dataset, {}, [(p, DATA / "camvid" / "val" / "label" / p.name) for p in images]


def score_isbi(pairs: list[tuple[Path, Path]], masks: list[Path]) -> dict[str, float]:
    """Return Rand F, VI, pixel error and Dice of the membrane."""
    regions, table = [], np.zeros((2, 3), np.int64)
    for (_, label), mask in zip(pairs, masks, strict=True):
        truth = (cv2.imread(str(label), cv2.IMREAD_GRAYSCALE) > 127).astype(np.uint8)
        said = read_label(mask, INDEX)
        regions.append(region_scores(truth, said, 0))
        table += confusion(truth, said, 2)
    return {
        "rand_f": float(np.mean([r.rand_f for r in regions])),
        "vi": float(np.mean([r.vi for r in regions])),
        "pixel_error": pixel_error(table),
        "dice": float(dice(table)[0]),
        "worst_rand_f": float(min(r.rand_f for r in regions)),
    }


def score_nuclei(pairs: list[tuple[Path, Path]], masks: list[Path]) -> dict[str, float]:
    """Return Dice of the nuclei (all pixels together, and mean over the images) and average precision of objects."""
    table, each, precision = np.zeros((2, 3), np.int64), [], []
    for (_, label), mask in zip(pairs, masks, strict=True):
        instances = cv2.imread(str(label), cv2.IMREAD_UNCHANGED)
        said = read_label(mask, INDEX)
        if said.max() > 1:  # with a border class: cores, grown over the border, are the objects
            objects = grown(said)
            said = (objects > 0).astype(np.uint8)
        else:
            objects = cv2.connectedComponents(said, connectivity=4)[1]
        own = confusion((instances > 0).astype(np.uint8), said, 2)
        table += own
        each.append(dice(own)[1])
        precision.append(match_objects(instances, objects).average_precision)
    return {
        "dice": float(dice(table)[1]),
        "dice_per_image": float(np.nanmean(each)),
        "ap50": float(np.mean(precision)),
        "iou": float(iou(table)[1]),
    }


def grown(said: np.ndarray) -> np.ndarray:
    """Return objects: connected nuclei, grown over the border class."""
    cores = cv2.connectedComponents((said == 1).astype(np.uint8), connectivity=4)[1]
    for _ in range(3):
        wide = cv2.dilate(cores.astype(np.float32), np.ones((3, 3), np.uint8)).astype(cores.dtype)
        cores = np.where((cores == 0) & (said == 2), wide, cores)
    return cores


def score_camvid(pairs: list[tuple[Path, Path]], masks: list[Path]) -> dict[str, float]:
    """Return mean IoU over the 11 classes, pixel error and mean Dice."""
    table = np.zeros((11, 12), np.int64)
    for (_, label), mask in zip(pairs, masks, strict=True):
        truth = cv2.imread(str(label), cv2.IMREAD_UNCHANGED)
        truth[truth == 11] = 255
        table += confusion(truth, read_label(mask, INDEX), 11)
    return {"miou": mean_of(iou(table)), "pixel_error": pixel_error(table), "dice": mean_of(dice(table))}


TASKS = {
    "isbi": (isbi, score_isbi),
    "nuclei": (nuclei, score_nuclei),
    "nuclei3": (lambda w, r: nuclei(w, r, border=True), score_nuclei),
    "camvid": (camvid, score_camvid),
}


def one(name: str, config: TrainConfig, work: Path, report: str, tta: bool) -> dict[str, Any]:
    """Train once and score on the held-out pictures."""
    make, score = TASKS[name]
    dataset, wishes, pairs = make(work, report)
    model = work / f"{name}.safetensors"
    config = TrainConfig(**{**json.loads(config.to_json()), **wishes, "logs": False})
    start = time.perf_counter()
    finished, validated, parameters = None, [], 0
    for event in train(dataset, model, config):
        if isinstance(event, TrainStarted):
            parameters = event.parameters
        elif isinstance(event, Validated):
            validated.append((round(event.seconds), round(event.score, 4)))
        elif isinstance(event, TrainFinished):
            finished = event
    assert finished is not None
    seconds = time.perf_counter() - start
    begin = time.perf_counter()
    masks = segmented_pairs(pairs, model, work / "masks", config.device, tta)
    return {
        "data": name,
        "recipe": config.recipe,
        "budget": round((config.minutes or 0) * 60),
        "seed": config.seed,
        **{k: round(v, 4) for k, v in score(pairs, masks).items()},
        "validation": round(finished.score, 4),
        "offsets": [round(o, 2) for o in finished.offsets],
        "steps": finished.steps,
        "seconds": round(seconds, 1),
        "segment_seconds": round(time.perf_counter() - begin, 2),
        "parameters": parameters,
        "tta": tta,
        "course": validated[:: max(1, len(validated) // 10)],
    }


def segmented_pairs(
    pairs: list[tuple[Path, Path]], model: Path, out: Path, device: str = "auto", tta: bool = False
) -> list[Path]:
    """Segment the images of held-out pairs; return the masks."""
    masks = [out / f"{i}.png" for i in range(len(pairs))]
    items = [SegmentItem(image, 0, mask) for (image, _), mask in zip(pairs, masks, strict=True)]
    for event in segment(items, SegmentConfig(model=model, device=device, overwrite=True, tta=tta)):
        assert not isinstance(event, ImageFailed), event
    return masks


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Yield lines of mean ± sd over the seeds."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(
            (row["data"], row["recipe"], row["budget"], row["steps"] if not row["budget"] else 0), []
        ).append(row)
    for (data, recipe, budget, _), found in groups.items():
        keys = [
            k
            for k in ("rand_f", "vi", "pixel_error", "dice", "ap50", "miou", "validation", "steps", "seconds")
            if k in found[0]
        ]
        cells = [f"{k} {np.mean([f[k] for f in found]):.4g} ± {np.std([f[k] for f in found]):.2g}" for k in keys]
        yield f"{data:8} {recipe:9} {budget:5} s  n={len(found)}  " + "  ".join(cells)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=sorted(TASKS), default=["isbi"])
    parser.add_argument("--recipe", nargs="+", default=["fast"])
    parser.add_argument("--seconds", nargs="+", type=float, default=[120.0])
    parser.add_argument("--steps", type=int, help="a step budget in the place of seconds")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--report", choices=["test", "validation"], default="test", help="isbi: 20-23 or 16-19")
    parser.add_argument("--tta", action="store_true")
    parser.add_argument("--set", nargs="*", default=[], help="more wishes, e.g. width=24")
    parser.add_argument("--out", type=Path, help="append the JSON lines to this file")
    arguments = parser.parse_args()
    more = {k: json.loads(v) for k, v in (word.split("=", 1) for word in arguments.set)}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.data:
            for recipe in arguments.recipe:
                for seconds in arguments.seconds if arguments.steps is None else [None]:
                    for seed in arguments.seeds:
                        budget: dict[str, Any] = {"steps": arguments.steps}
                        if seconds is not None:
                            budget = {"minutes": seconds / 60}
                        config = TrainConfig(recipe=recipe, seed=seed, device=arguments.device, **budget, **more)
                        row = one(name, config, Path(folder), arguments.report, arguments.tta)
                        row["machine"] = f"{platform.machine()} {platform.system()}"
                        rows.append(row)
                        print(json.dumps(row), flush=True)
                        if arguments.out:
                            with arguments.out.open("a") as file:
                                file.write(json.dumps(row) + "\n")
    print("\n".join(table(rows)))


if __name__ == "__main__":
    main()
