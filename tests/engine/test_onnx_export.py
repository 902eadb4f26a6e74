"""The ONNX file gives the same numbers in other programs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.engine.test_predict import random_model
from unet_gui.core.cv import cv2
from unet_gui.engine.onnx_export import export_onnx
from unet_gui.engine.unet import Arch

onnx = pytest.importorskip("onnx", reason="needs the extra unet-gui[onnx]")

ARCHES = [
    Arch.plain(1, 2, 8, 2),
    Arch.plain(3, 3, 4, 2, stem=2),
    Arch(1, 1, (4, 8, 8), (4, 4), (4, 4), up="bilinear-aligned", bias=True),
    Arch(1, 2, (4, 8, 8), (4, 4), (4, 4), up="bilinear"),
]


@pytest.mark.parametrize("arch", ARCHES)
def test_same_numbers_elsewhere(tmp_path: Path, arch: Arch) -> None:
    model = random_model(arch)
    path = tmp_path / "model.onnx"
    export_onnx(model, path)
    x = torch.randn(1, arch.in_channels, 48, 64)
    with torch.inference_mode():
        wanted = model.net(x).numpy()
    runtime = pytest.importorskip("onnxruntime", reason="needs the extra unet-gui[onnx]")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (got,) = session.run(None, {"image": x.numpy()})
    assert got.shape == wanted.shape
    assert np.abs(got - wanted).max() < 1e-3
    about = json.loads(session.get_modelmeta().custom_metadata_map["unet-gui"])
    assert about["align"] == arch.align
    net = cv2.dnn.readNetFromONNX(np.frombuffer(path.read_bytes(), np.uint8))
    net.setInput(x.numpy())
    assert np.abs(net.forward() - wanted).max() < 1e-3


def test_it_is_told_when_the_package_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from unet_gui.core.errors import UserError

    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UserError, match="not installed"):
        export_onnx(random_model(ARCHES[0]), tmp_path / "m.onnx")
