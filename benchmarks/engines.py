"""One 512 × 512 image through the network in different engines on the processor, alternating in one process.

    python benchmarks/engines.py --rounds 9

``eager``      the network as a plain module: 32 bits, default memory layout, batch normalisation on its own
``ours``       what the program uses: folded, channels-last, inference mode
``ours bf16``  the same in bfloat16
``compile``    ours through ``torch.compile``, where there is a C++ compiler
``onnx``       ONNX Runtime on the file that ``export`` writes (extra ``onnx``)
``openvino``   OpenVINO on the same file, in 32 bits and in bfloat16, where it is installed

The weights are random, but the logits have the spread of a trained network's, so that the largest difference in
probability, ``dp``, means something; ``--model`` takes a trained one in place of the default network. Where other
programs use the machine, ``--threads 1`` and the processor's own seconds, ``cpu_s``, say more than the clock.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import unet_gui  # noqa: F401  before torch: it says how torch's threads wait  # isort: skip

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.predict_image import FAST, IMAGE, multiply_adds, product
from unet_gui.core.images import open_image
from unet_gui.core.model_info import ModelInfo
from unet_gui.core.palette import default_classes
from unet_gui.engine.device import keep_freed_memory
from unet_gui.engine.losses import two_logits
from unet_gui.engine.model import Model, tutorial_info
from unet_gui.engine.normalise import Normalisation
from unet_gui.engine.onnx_export import export_onnx
from unet_gui.engine.predict import folded
from unet_gui.engine.unet import Arch, UNet

Engine = Callable[[], Any]
"""Computes the logits of the image once."""


def as_trained(arch: Arch, x: Tensor) -> UNet:
    """Return a network with random weights whose batch normalisation and logits are as if it had learned."""
    torch.manual_seed(0)
    net = UNet(arch)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        net.train()(x)
        net.eval()
        logits = two_logits(net(x))
        spread = float((logits[:, 1] - logits[:, 0]).std())
        net.outc.conv.weight.mul_(4 / spread)
        if net.outc.conv.bias is not None:
            net.outc.conv.bias.mul_(4 / spread)
    return net


def probability(logits: Tensor | NDArray) -> Tensor:
    """Return the probability of class 1."""
    return (
        two_logits(torch.as_tensor(np.asarray(logits)) if not isinstance(logits, Tensor) else logits)
        .float()
        .softmax(1)[:, 1]
    )


def torch_engines(net: UNet, x: Tensor) -> Iterator[tuple[str, Engine]]:
    """Yield PyTorch in its ways."""

    def plain() -> Tensor:
        with torch.no_grad():
            return net(x)

    yield "eager", plain
    ours = folded(net).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    reduced = folded(net).to(torch.bfloat16).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    fast = x.contiguous(memory_format=torch.channels_last)

    def run(module: Any, dtype: torch.dtype = torch.float32) -> Tensor:
        with torch.inference_mode():
            return module(fast.to(dtype)).float()

    yield "ours", lambda: run(ours.aligned)
    yield "ours bf16", lambda: run(reduced.aligned, torch.bfloat16)
    if shutil.which("g++") or shutil.which("clang++") or shutil.which("cl"):
        import torch._inductor.config as inductor

        inductor.freezing = True
        compiled = torch.compile(ours.aligned)
        yield "compile", lambda: run(compiled)
    else:
        print(json.dumps({"engine": "compile", "note": "no C++ compiler"}), flush=True)


def other_engines(net: UNet, x: Tensor, folder: Path) -> Iterator[tuple[str, Engine]]:
    """Yield what else is installed."""
    array = x.numpy()
    path = folder / "model.onnx"
    if importlib.util.find_spec("onnx") is None:
        print(json.dumps({"engine": "onnx, openvino", "note": "the package onnx is not installed"}), flush=True)
        return
    if net.arch.outputs == 1:
        info = tutorial_info(net.arch)
    else:
        info = ModelInfo(
            net.arch.to_json(),
            default_classes(net.arch.outputs),
            net.arch.in_channels,
            Normalisation("image").to_json(),
            [0.0] * net.arch.classes,
        )
    export_onnx(Model(net, info), path)
    threads = torch.get_num_threads()
    if importlib.util.find_spec("onnxruntime") is not None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        yield "onnx", lambda: session.run(None, {"image": array})[0]
    else:
        print(json.dumps({"engine": "onnx", "note": "onnxruntime is not installed"}), flush=True)
    if importlib.util.find_spec("openvino") is not None:
        import openvino

        core = openvino.Core()
        graph = core.read_model(path)
        for name, kind in (("openvino", "f32"), ("openvino bf16", "bf16")):
            settings = {
                "INFERENCE_PRECISION_HINT": kind,
                "INFERENCE_NUM_THREADS": threads,
                "PERFORMANCE_HINT": "LATENCY",
            }
            request = core.compile_model(graph, "CPU", settings).create_infer_request()

            def infer(request: Any = request) -> Any:
                request.infer({"image": array}, share_inputs=True)
                return request.get_output_tensor(0).data

            yield name, infer
    else:
        print(json.dumps({"engine": "openvino", "note": "not installed"}), flush=True)


def compare(name: str, net: UNet, x: Tensor, rounds: int) -> None:
    """Alternate the engines over one network; print a line for each."""
    with tempfile.TemporaryDirectory() as folder:
        engines = dict(torch_engines(net, x)) | dict(other_engines(net, x, Path(folder)))
        wanted = probability(engines["eager"]())
        times: dict[str, list[float]] = {engine: [] for engine in engines}
        used: dict[str, list[float]] = {engine: [] for engine in engines}
        peaks = []
        for number in range(rounds + 1):
            if number:
                peaks.append(product("cpu"))
            for engine, call in engines.items():
                call()  # what the others left in the caches is not this one's fault
                begin, busy = time.perf_counter(), time.process_time()
                call()
                if number:
                    times[engine].append(time.perf_counter() - begin)
                    used[engine].append(time.process_time() - busy)
        work = multiply_adds(net.arch, x.shape[-1])
        for engine, call in engines.items():
            median = statistics.median(times[engine])
            line = {
                "network": name,
                "engine": engine,
                "threads": torch.get_num_threads(),
                "median_s": round(median, 4),
                "best_s": round(min(times[engine]), 4),
                "cpu_s": round(statistics.median(used[engine]), 4),
                "times_as_fast_as_ours": round(
                    statistics.median(a / b for a, b in zip(times["ours"], times[engine], strict=True)), 2
                ),
                "max_dp": float(f"{float((probability(call()) - wanted).abs().max()):.1e}"),
                "giga_multiply_adds_per_s": round(work / min(times[engine]) / 1e9, 1),
                "share_of_matrix_product": round(work / min(times[engine]) / max(peaks), 3),
            }
            print(json.dumps(line), flush=True)


def main() -> None:
    """Compare on the default network and on the tutorial's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, help="default: as many as PyTorch chooses")
    parser.add_argument("--model", type=Path, help="a trained model in place of the default network")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    if IMAGE.exists():
        with open_image(IMAGE) as source:
            image = source.read()
    else:
        image = np.random.default_rng(0).integers(0, 256, (512, 512), dtype=np.uint8)
    x = torch.from_numpy((image - image.mean(dtype=np.float32)) / image.std(dtype=np.float32))[None, None].float()
    if arguments.model:
        compare(arguments.model.stem, Model.load(arguments.model, "cpu").net.eval(), x, arguments.rounds)
    else:
        compare("default", as_trained(FAST, x), x, arguments.rounds)
    compare("tutorial", as_trained(Arch.tutorial(), x), x, arguments.rounds)


if __name__ == "__main__":
    main()
