"""A model as an ONNX file, for programs without PyTorch. Needs the extra ``unet-gui[onnx]``.

The graph is written node by node: the network has five kinds of layers, and so the file does not depend on PyTorch's
exporters. Blocks of pixels (``stem``) become a convolution with that stride, which every reader of ONNX knows.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from unet_gui.core.atomic import atomic_write
from unet_gui.core.errors import UserError
from unet_gui.engine.model import Model
from unet_gui.engine.predict import folded

OPSET = 13


def export_onnx(model: Model, path: str | os.PathLike[str]) -> None:
    """Write the network as ONNX.

    Input ``image``: ``(n, channels, h, w)`` float32, normalised as the metadata entry ``unet-gui`` says, sides
    multiples of its ``align``. Output ``logits``: ``(n, outputs, h, w)``; add the metadata's ``offsets`` and take the
    largest.

    Raises
    ------
    UserError
        The extra is missing, or the file cannot be written.
    """
    try:
        import onnx
    except ImportError as error:
        raise UserError(
            "Writing ONNX needs the package onnx, which is not installed.",
            hint="Install it with: pip install “unet-gui[onnx]”.",
            details=str(error),
        ) from error
    from onnx import TensorProto, helper

    arch = model.arch
    graph = _Graph(helper, onnx.numpy_helper)
    out = _network(graph, model)
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", arch.in_channels, "h", "w"])
    logits = helper.make_tensor_value_info(out, TensorProto.FLOAT, ["n", arch.outputs, "h", "w"])
    made = helper.make_model(
        helper.make_graph(graph.nodes, "unet", [image], [logits], graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="unet-gui",
        ir_version=8,
    )
    about = json.loads(model.info.to_metadata()["unet-gui"]) | {"align": arch.align}
    made.metadata_props.add(key="unet-gui", value=json.dumps(about))
    onnx.checker.check_model(made)
    atomic_write(Path(path), made.SerializeToString())


class _Graph:
    """Nodes and constants in the making."""

    def __init__(self, helper: Any, numpy_helper: Any) -> None:
        self.helper, self.numpy_helper = helper, numpy_helper
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def node(self, kind: str, inputs: list[str], name: str, **attributes: Any) -> str:
        self.nodes.append(self.helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def constant(self, value: NDArray, name: str) -> str:
        self.constants.append(self.numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def convolve(self, x: str, weight: NDArray, bias: NDArray, name: str, stride: int, pad: int) -> str:
        size = weight.shape[2]
        inputs = [x, self.constant(weight, f"{name}.weight"), self.constant(bias, f"{name}.bias")]
        return self.node("Conv", inputs, name, kernel_shape=[size] * 2, strides=[stride] * 2, pads=[pad] * 4)

    def enlarge(self, x: str, weight: NDArray, bias: NDArray, name: str) -> str:
        size = weight.shape[2]
        inputs = [x, self.constant(weight, f"{name}.weight"), self.constant(bias, f"{name}.bias")]
        return self.node("ConvTranspose", inputs, name, kernel_shape=[size] * 2, strides=[size] * 2)

    def double(self, x: str, parts: nn.Sequential, name: str, stem: int = 1) -> str:
        for i in (0, 3):
            weight, bias = _numbers(parts[i])
            if i == 0 and stem > 1:
                weight = _over_blocks(weight, stem)
                x = self.convolve(x, weight, bias, f"{name}.{i}", stem, stem)
            else:
                x = self.convolve(x, weight, bias, f"{name}.{i}", 1, 1)
            x = self.node("Relu", [x], f"{name}.{i}.relu")
        return x


def _network(graph: _Graph, model: Model) -> str:
    """Add all layers; return the name of the output."""
    arch, net = model.arch, folded(model.net).cpu()
    part = net.get_submodule
    skips = [graph.double("image", _parts(part("inc.double_conv")), "inc", arch.stem)]
    for i in range(arch.depth):
        name = f"down{i + 1}"
        x = graph.node("MaxPool", [skips[-1]], f"{name}.pool", kernel_shape=[2, 2], strides=[2, 2])
        skips.append(graph.double(x, _parts(part(f"{name}.maxpool_conv.1.double_conv")), name))
    x = skips.pop()
    for i in range(arch.depth):
        name = f"up{i + 1}"
        if arch.up == "transposed":
            x = graph.enlarge(x, *_numbers(part(f"{name}.up")), f"{name}.up")
        else:
            how = "align_corners" if arch.up == "bilinear-aligned" else "half_pixel"
            factor = graph.constant(np.array([1, 1, 2, 2], np.float32), f"{name}.factor")
            inputs = [x, "", factor]
            x = graph.node("Resize", inputs, f"{name}.up", mode="linear", coordinate_transformation_mode=how)
        x = graph.node("Concat", [skips.pop(), x], f"{name}.join", axis=1)
        x = graph.double(x, _parts(part(f"{name}.conv.double_conv")), name)
    weight, bias = _numbers(part("outc.conv"))
    if arch.stem == 1:
        return graph.convolve(x, weight, bias, "logits", 1, 0)
    # a 1×1 convolution to stem² channels a class, laid out as blocks: a transposed convolution
    blocks = weight[:, :, 0, 0].reshape(arch.outputs, arch.stem, arch.stem, -1).transpose(3, 0, 1, 2)
    biases = bias.reshape(arch.outputs, arch.stem, arch.stem)
    plain = graph.enlarge(x, blocks, np.zeros(arch.outputs, np.float32), "blocks")
    # each pixel of a block has a bias of its own: spread it with a second, input-free product
    one = graph.node("ReduceMean", [x], "one.mean", axes=[1], keepdims=1)
    one = graph.node("Sub", [one, one], "one.zero")
    one = graph.node("Exp", [one], "one")
    spread = graph.enlarge(one, biases[None], np.zeros(arch.outputs, np.float32), "biases")
    return graph.node("Add", [plain, spread], "logits")


def _parts(module: nn.Module) -> nn.Sequential:
    assert isinstance(module, nn.Sequential)
    return module


def _numbers(module: nn.Module) -> tuple[NDArray, NDArray]:
    """Return weights and biases of a layer."""
    weight, bias = module.weight, module.bias
    assert isinstance(weight, Tensor)
    values = weight.detach().numpy()
    outputs = values.shape[1] if isinstance(module, nn.ConvTranspose2d) else values.shape[0]
    return values, bias.detach().numpy() if isinstance(bias, Tensor) else np.zeros(outputs, np.float32)


def _over_blocks(weight: NDArray, stem: int) -> NDArray:
    """Turn a 3×3 convolution over blocks of pixels into one over the pixels, ``3·stem`` wide with stride ``stem``."""
    out, inputs = weight.shape[:2]
    channels = inputs // stem**2
    split = weight.reshape(out, channels, stem, stem, 3, 3)  # row and column inside the block, then of the block
    return split.transpose(0, 1, 4, 2, 5, 3).reshape(out, channels, 3 * stem, 3 * stem)
