"""One predicted 512 × 512 image: the tutorial's own way against ours, alternating in one process.

    python benchmarks/predict_image.py --rounds 5

``reference``  the tutorial's network and predictor as written there: evaluation mode, 32 bits, default memory layout
``tutorial``   our predictor with the same weights
``fast``       our predictor with the default network
``product``    multiply-adds a second of a large matrix product, as the measure of what the machine can do
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import unet_gui  # noqa: F401  before torch: it says how torch's threads wait  # isort: skip

import numpy as np
import torch

from unet_gui.core.images import open_image
from unet_gui.core.model_info import ModelInfo
from unet_gui.core.palette import default_classes
from unet_gui.engine.device import pick_device
from unet_gui.engine.model import Model, tutorial_info
from unet_gui.engine.normalise import Normalisation
from unet_gui.engine.predict import Predictor, run
from unet_gui.engine.recipe import PredictConfig
from unet_gui.engine.unet import Arch, UNet

IMAGE = Path(__file__).resolve().parents[2] / "shared" / "data" / "isbi2012" / "test" / "0.png"
FAST = Arch.plain(1, 2, 16, 3, stem=2)


def multiply_adds(arch: Arch, side: int) -> int:
    """Count the multiply-adds of the convolutions for one picture."""
    total = 0

    def count(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal total
        if isinstance(module, torch.nn.Conv2d):
            total += output.numel() * module.in_channels * module.kernel_size[0] * module.kernel_size[1]
        elif isinstance(module, torch.nn.ConvTranspose2d):
            total += inputs[0].numel() * module.out_channels * module.kernel_size[0] * module.kernel_size[1]

    net = UNet(arch).eval()
    for module in net.modules():
        module.register_forward_hook(count)
    with torch.inference_mode():
        net(torch.zeros(1, arch.in_channels, side, side))
    return total


def product(device: str) -> float:
    """Return multiply-adds a second of a large matrix product: in 32 bits, on a graphics card in 16."""
    on_card = device.startswith("cuda")
    side, kind = (8192, torch.float16) if on_card else (2048, torch.float32)
    a, b = (torch.randn(side, side, device=device, dtype=kind) for _ in range(2))
    best = float("inf")
    for _ in range(8):
        begin = time.perf_counter()
        float((a @ b)[0, 0])
        best = min(best, time.perf_counter() - begin)
    return side**3 / best


def copied(device: str) -> float:
    """Return bytes a second, read and written, of a large copy on the device."""
    a = torch.zeros((1 << 30) if device.startswith("cuda") else (1 << 27), dtype=torch.float32, device=device)
    b, best = torch.empty_like(a), float("inf")
    for _ in range(8):
        begin = time.perf_counter()
        float(b.copy_(a)[-1])
        best = min(best, time.perf_counter() - begin)
    return 2 * a.nbytes / best


def big_image(side: int, device: str, rounds: int) -> None:
    """Segment one large image and as many pixels of 512² ones; print rates and the peak of memory."""
    import resource
    import tempfile

    import tifffile

    from unet_gui.engine.events import ImageDone
    from unet_gui.engine.recipe import SegmentConfig, SegmentItem
    from unet_gui.engine.segment import segment

    info = ModelInfo(FAST.to_json(), default_classes(2), 1, Normalisation("image").to_json(), [0.0, 0.0])
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        Model(UNet(FAST).eval(), info).save(root / "m.safetensors")
        rng = np.random.default_rng(0)
        block = rng.integers(0, 256, (512, 512), dtype=np.uint8)
        with tifffile.TiffWriter(root / "big.tif") as writer:
            rows = (np.roll(block, i, 1)[:256, :256] for i in range((side // 256) ** 2))
            writer.write(rows, shape=(side, side), dtype=np.uint8, tile=(256, 256))
        small = [root / f"{i}.tif" for i in range(48)]
        for i, path in enumerate(small):
            tifffile.imwrite(path, np.roll(block, i, 0))
        config = SegmentConfig(root / "m.safetensors", device=device, overwrite=True)

        def pixel_rate(paths: list[Path], pixels: int, suffix: str) -> float:
            begin = time.perf_counter()
            items = [SegmentItem(p, 0, root / "out" / f"{p.stem}{suffix}") for p in paths]
            done = [e for e in segment(items, config) if isinstance(e, ImageDone)]
            assert len(done) == len(paths)
            return pixels / (time.perf_counter() - begin)

        pixel_rate(small[:4], 1, ".png")
        rates: dict[str, list[float]] = {"small": [], "big": []}
        for _ in range(rounds):
            rates["small"].append(pixel_rate(small, 48 * 512 * 512, ".png"))
            rates["big"].append(pixel_rate([root / "big.tif"], side * side, ".png"))
        rates["small"].append(pixel_rate(small, 48 * 512 * 512, ".png"))
        before, after = rates["small"][:-1], rates["small"][1:]
        ratios = [2 * b / (s + t) for s, b, t in zip(before, rates["big"], after, strict=True)]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        line = {
            "what": f"segmented {side}² image",
            "device": device,
            "megapixels_per_s": round(max(rates["big"]) / 1e6, 2),
            "megapixels_per_s_of_512": round(max(rates["small"]) / 1e6, 2),
            "ratio": round(max(rates["big"]) / max(rates["small"]), 3),
            "median_ratio_to_neighbours": round(statistics.median(ratios), 3),
            "peak_memory_mib": round(peak),
        }
        print(json.dumps(line), flush=True)


def main() -> None:
    """Alternate and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--side", type=int, default=512, help="of the image, 512 by default")
    parser.add_argument("--big", type=int, metavar="SIDE", help="instead: one image of this size, memory and rate")
    arguments = parser.parse_args()
    choice = pick_device(arguments.device)
    if arguments.big:
        big_image(arguments.big, choice.name, arguments.rounds)
        return
    if IMAGE.exists():
        with open_image(IMAGE) as source:
            image = source.read()
    else:
        image = np.random.default_rng(0).integers(0, 256, (512, 512), dtype=np.uint8)
    side, times_over = arguments.side, -(-arguments.side // 512)
    image = np.ascontiguousarray(np.tile(image, (times_over, times_over))[:side, :side])
    torch.manual_seed(0)
    net = UNet(Arch.tutorial()).to(choice.torch).eval()
    same = Predictor(Model(net, tutorial_info(net.arch)), PredictConfig(precision="fp32"), choice)
    info = ModelInfo(FAST.to_json(), default_classes(2), 1, Normalisation("image").to_json(), [0.0, 0.0])
    fast = Predictor(Model(UNet(FAST).eval(), info), PredictConfig(), choice)

    def reference() -> None:
        tensor = torch.from_numpy(image.reshape(1, 1, *image.shape)).to(choice.torch, torch.float32)
        with torch.no_grad():
            pred = np.array(net(tensor).cpu()[0])[0]
        pred[pred >= 0.5] = 255
        pred[pred < 0.5] = 0

    ways: dict[str, tuple[Callable[[], object], Arch]] = {
        "reference": (reference, net.arch),
        "tutorial": (lambda: run(same.predict(image)), net.arch),
        "fast": (lambda: run(fast.predict(image)), FAST),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(arguments.rounds + 1):
        for name, (call, _) in ways.items():
            begin = time.perf_counter()
            call()
            if number:
                times[name].append(time.perf_counter() - begin)
    base, peak = statistics.median(times["reference"]), product(choice.name)
    rates = {"product_giga_multiply_adds_per_s": round(peak / 1e9), "copy_gb_per_s": round(copied(choice.name) / 1e9)}
    print(json.dumps({"what": "what the machine can do", "device": choice.note, **rates}), flush=True)
    for name, (_, arch) in ways.items():
        median = statistics.median(times[name])
        speed = multiply_adds(arch, side) / median
        line = {
            "what": f"predicted {side}² image",
            "name": name,
            "device": choice.name,
            "threads": torch.get_num_threads(),
            "median_s": round(median, 4),
            "megapixels_per_s": round(image.size / median / 1e6, 3),
            "times_reference": round(median / base, 4),
            "giga_multiply_adds_per_s": round(speed / 1e9, 1),
            "share_of_matrix_product": round(speed / peak, 3),
        }
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
