"""A folder of many small images: the whole of `segment` against the network alone on the same pixels.

    python benchmarks/many_small.py --images 10000

The images are made by the program, read as PNG files, segmented and written as PNG files. In between, every
``--chunk`` images, the network alone gets the same pixels, already normalised and in memory, in the same batches
(``ratio``) and one after the other (``ratio_one_by_one``), so that both sides see the same machine. A model that was
trained on turned and mirrored images (``--symmetries turns``, the usual case) is asked for two views of each, as models
of `fast` are (``--views``). The network has learned for some seconds what is bright, as the masks of one that has not
are noise, which no writer of PNG files is made for.

Making a file takes 0.03 ms of a processor on an ordinary ext4 disk, but 0.6 ms on one without a journal where many were
deleted in the last minute: the environment variable ``TMPDIR`` says on which disk the folder is made.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import unet_gui  # noqa: F401  before torch: it says how torch's threads wait  # isort: skip

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.predict_image import FAST
from unet_gui.core.cv import cv2
from unet_gui.core.model_info import ModelInfo
from unet_gui.core.palette import default_classes
from unet_gui.engine.device import pick_device
from unet_gui.engine.events import ImageDone
from unet_gui.engine.model import Model
from unet_gui.engine.normalise import Normalisation
from unet_gui.engine.predict import Predictor
from unet_gui.engine.recipe import SegmentConfig, SegmentItem
from unet_gui.engine.segment import segment
from unet_gui.engine.unet import Box, UNet


def pictures(count: int, side: int) -> list[NDArray[np.uint8]]:
    """Return smooth pictures with a little noise, no two alike: they take as long to decode as real ones."""
    rng = np.random.default_rng(0)
    large = cv2.GaussianBlur(rng.standard_normal((4 * side, 4 * side)).astype(np.float32), (0, 0), 4)
    large = 128 + 50 * large / large.std() + 4 * rng.standard_normal(large.shape)
    found = []
    for _ in range(count):
        y, x = rng.integers(0, 3 * side, 2)
        found.append(np.clip(large[y : y + side, x : x + side], 0, 255).astype(np.uint8))
    return found


def taught(net: UNet, arrays: list[NDArray[np.uint8]], steps: int = 60) -> UNet:
    """Return the network after it learned to find what is bright."""
    optimiser = torch.optim.Adam(net.parameters(), 3e-3)
    for step in range(steps):
        x = torch.from_numpy(np.stack(arrays[8 * step % len(arrays) :][:8]).astype(np.float32))[:, None]
        logits = net((x - 128) / 50)
        loss = torch.nn.functional.cross_entropy(logits, (x[:, 0] > 150).long())
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
    return net.eval()


def network_alone(predictor: Predictor, arrays: list[NDArray[np.uint8]], batch: int) -> float:
    """Return the seconds the network takes for pictures that are ready for it."""
    inputs = np.stack([predictor.normalisation.apply(a, predictor.measure(a)) for a in arrays])[:, None]
    groups = [torch.from_numpy(inputs[i : i + batch]) for i in range(0, len(inputs), batch)]
    whole = Box(0, inputs.shape[-2], 0, inputs.shape[-1])
    begin = time.perf_counter()
    for group in groups:
        seen = predictor.logits(group, whole, predictor.views)
    float(seen[0, 0, 0, 0])
    return time.perf_counter() - begin


def main() -> None:
    """Alternate and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--chunk", type=int, default=1000)
    parser.add_argument("--symmetries", choices=["none", "mirror", "turns"], default="turns")
    parser.add_argument("--views", type=int, default=2)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    choice = pick_device(arguments.device)
    symmetries = "" if arguments.symmetries == "none" else arguments.symmetries
    trained = {"symmetries": symmetries, "views": arguments.views if symmetries else 1}
    grey = Normalisation("image").to_json()
    info = ModelInfo(FAST.to_json(), default_classes(2), 1, grey, [0.0, 0.0], trained=trained)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        arrays = pictures(arguments.images, arguments.side)
        Model(taught(UNet(FAST), arrays), info).save(root / "m.safetensors")
        predictor = Predictor(Model.load(root / "m.safetensors", choice), SegmentConfig(root / "m.safetensors"), choice)
        config = SegmentConfig(root / "m.safetensors", device=choice.name)
        batch = predictor.together((arguments.side, arguments.side))
        (root / "images").mkdir()
        items = []
        for i, array in enumerate(arrays):
            path = root / "images" / f"{i:05d}.png"
            cv2.imwrite(str(path), array)
            items.append(SegmentItem(path, 0, root / "out" / path.name))
        network_alone(predictor, arrays[:100], batch)
        rounds = []
        for start in range(0, arguments.images, arguments.chunk):
            part = slice(start, start + arguments.chunk)
            alone = network_alone(predictor, arrays[part], batch)
            single = network_alone(predictor, arrays[part], 1)
            begin, busy = time.perf_counter(), time.process_time()
            done = sum(isinstance(e, ImageDone) for e in segment(items[part], config))
            rounds.append((time.perf_counter() - begin, time.process_time() - busy, alone, single))
            assert done == len(items[part])
        whole, used, alone, single = (sum(column) for column in zip(*rounds, strict=True))
        line = {
            "what": f"segmented {arguments.images} images of {arguments.side}²",
            "device": choice.name,
            "batch": batch,
            "views": len(predictor.views),
            "images_per_s": round(arguments.images / whole, 1),
            "ms_an_image": round(1000 * whole / arguments.images, 3),
            "cpu_ms_an_image": round(1000 * used / arguments.images, 3),
            "network_ms_an_image": round(1000 * alone / arguments.images, 3),
            "ratio": round(whole / alone, 3),
            "median_ratio": round(statistics.median(r[0] / r[2] for r in rounds), 3),
            "ratio_one_by_one": round(whole / single, 3),
            "peak_memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        }
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
