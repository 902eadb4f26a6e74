"""The ONNX file gives the same numbers in other programs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.engine.test_predict import random_model
from unet_gui.core.cv import cv2
from unet_gui.engine.model import Model
from unet_gui.engine.onnx_export import export_onnx
from unet_gui.engine.predict import Predictor, run
from unet_gui.engine.recipe import PredictConfig
from unet_gui.engine.unet import Arch

onnx = pytest.importorskip("onnx", reason="needs the extra unet-gui[onnx]")

ARCHES = [
    Arch.plain(1, 2, 8, 2),
    Arch.plain(1, 2, 16, 3, stem=2),
    Arch.plain(3, 3, 4, 2, stem=2),
    Arch(1, 1, (4, 8, 8), (4, 4), (4, 4), up="bilinear-aligned", bias=True),
    Arch(1, 2, (4, 8, 8), (4, 4), (4, 4), up="bilinear"),
]


def decided_model(arch: Arch) -> Model:
    """A network whose answers are as far apart as those of one that has learned, so that errors show."""
    model = random_model(arch)
    with torch.no_grad():
        spread = float(model.net(torch.randn(1, arch.in_channels, 64, 64)).std())
        for weight in model.net.outc.parameters():
            weight.mul_(3 / spread)
    return model


@pytest.mark.parametrize("arch", ARCHES)
def test_same_numbers_elsewhere(tmp_path: Path, arch: Arch) -> None:
    model = decided_model(arch)
    path = tmp_path / "model.onnx"
    export_onnx(model, path)
    runtime = pytest.importorskip("onnxruntime", reason="needs the extra unet-gui[onnx]")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    about = json.loads(session.get_modelmeta().custom_metadata_map["unet-gui"])
    assert about["align"] == arch.align
    for shape in ((1, 48, 64), (2, 80, 32)):  # the file is not bound to one size
        x = torch.randn(shape[0], arch.in_channels, *shape[1:])
        with torch.inference_mode():
            wanted = model.net(x).numpy()
        assert wanted.std() > 1
        (got,) = session.run(None, {"image": x.numpy()})
        assert got.shape == wanted.shape
        assert np.abs(got - wanted).max() < 1e-3
        net = cv2.dnn.readNetFromONNX(np.frombuffer(path.read_bytes(), np.uint8))
        net.setInput(x.numpy())
        assert np.abs(net.forward() - wanted).max() < 1e-3


def test_the_file_is_enough_to_predict(tmp_path: Path) -> None:
    """What the metadata says about normalisation, sides and the operating point leads to the program's own answer."""
    model = decided_model(Arch.plain(1, 2, 8, 2))
    image = np.random.default_rng(0).integers(0, 256, (64, 48), dtype=np.uint8)
    x = ((image - image.mean()) / image.std()).astype(np.float32)[None, None]
    with torch.inference_mode():
        plain = model.net(torch.from_numpy(x))[0].numpy()
    model.info.offsets[:] = [0.0, float(np.median(plain[0] - plain[1]))]  # without it nearly all would be one class
    path = tmp_path / "model.onnx"
    export_onnx(model, path)
    runtime = pytest.importorskip("onnxruntime", reason="needs the extra unet-gui[onnx]")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    about = json.loads(session.get_modelmeta().custom_metadata_map["unet-gui"])
    assert about["normalisation"]["kind"] == "image"
    (logits,) = session.run(None, {"image": x})
    wanted = run(Predictor(model, PredictConfig(device="cpu")).predict(image))
    ids = (logits[0] + np.array(about["offsets"])[:, None, None]).argmax(0)
    assert 0.4 < wanted.ids.mean() < 0.6
    assert (ids != wanted.ids).mean() < 1e-3


def test_it_is_told_when_the_package_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from unet_gui.core.errors import UserError

    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UserError, match="not installed"):
        export_onnx(random_model(ARCHES[0]), tmp_path / "m.onnx")
