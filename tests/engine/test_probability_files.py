"""Probabilities on disk name the classes that they are of, however they are written."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tests.engine.conftest import blobs
from unet_gui.core.palette import ClassInfo
from unet_gui.core.planes import read_probabilities
from unet_gui.core.store import INDEX, read_label
from unet_gui.engine import segment as segment_module
from unet_gui.engine.model import Model, ModelInfo
from unet_gui.engine.normalise import Normalisation
from unet_gui.engine.recipe import SegmentConfig, SegmentItem
from unet_gui.engine.segment import segment
from unet_gui.engine.unet import Arch, UNet


@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize(("ids", "suffix"), [((0, 4, 2), ".tif"), ((0, 3), ".png"), ((0, 3), ".tif")])
def test_probabilities_name_their_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ids: tuple[int, ...], suffix: str, rows: bool
) -> None:
    if rows:
        monkeypatch.setattr(segment_module, "READ_WHOLE", 1)
    arch = Arch.plain(1, len(ids), 4, 2)
    classes = [ClassInfo(each, f"class {each}", f"#8080{each:02x}") for each in ids]
    info = ModelInfo(arch.to_json(), classes, 1, Normalisation("image").to_json(), [0.0] * len(ids))
    torch.manual_seed(0)
    Model(UNet(arch), info).save(tmp_path / "gaps.safetensors")
    cv2.imwrite(str(tmp_path / "image.png"), blobs(3, (150, 170))[0])
    item = SegmentItem(
        tmp_path / "image.png", 0, tmp_path / "ids.png", tmp_path / f"prob{suffix}", tmp_path / f"doubt{suffix}"
    )
    list(segment([item], SegmentConfig(tmp_path / "gaps.safetensors", device="cpu")))
    assert item.out_prob is not None
    found = read_probabilities(item.out_prob, ())
    assert found is not None
    assert found.classes == ids
    said = read_label(item.out, INDEX)
    likeliest = np.array(ids, np.uint8)[found.planes.argmax(axis=0)]
    clear = np.sort(found.planes, axis=0)[-1] > np.sort(found.planes, axis=0)[-2] + 1  # rounded to 8 bits
    assert clear.any()
    np.testing.assert_array_equal(said[clear], likeliest[clear])
    assert item.out_uncertainty is not None
    assert read_probabilities(item.out_uncertainty, ()) is None, "doubts are of no class"
