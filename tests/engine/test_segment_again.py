"""What is up to date is not segmented again, and what another model has said is."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import torch

from tests.engine.conftest import blobs
from unet_gui.core.images import image_info
from unet_gui.core.palette import default_classes
from unet_gui.core.store import BINARY, maker_of, write_label
from unet_gui.engine import segment as segment_module
from unet_gui.engine.events import SegmentFinished
from unet_gui.engine.model import Model, ModelInfo
from unet_gui.engine.normalise import Normalisation
from unet_gui.engine.recipe import SegmentConfig, SegmentItem
from unet_gui.engine.segment import segment
from unet_gui.engine.unet import Arch, UNet


@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize("suffix", [".png", ".tif", "stack.tif"])
def test_another_model_or_more_views_make_it_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, rows: bool
) -> None:
    if rows:
        monkeypatch.setattr(segment_module, "READ_WHOLE", 1)
    models = []
    for seed in range(2):
        torch.manual_seed(seed)
        arch = Arch.plain(1, 2, 4, 2)
        info = ModelInfo(arch.to_json(), default_classes(2), 1, Normalisation("image").to_json(), [0.0, 0.0])
        models.append(tmp_path / f"{seed}.safetensors")
        Model(UNet(arch), info).save(models[-1])
        os.utime(models[-1], (1e9, 1e9))  # long ago
    items = []
    stack = tmp_path / "s.tif"
    tifffile.imwrite(stack, np.stack([blobs(n, (64, 72))[0] for n in range(3)]), photometric="minisblack")
    os.utime(stack, (1e9, 1e9))
    for n in range(3):
        if suffix == "stack.tif":
            items.append(SegmentItem(stack, n, tmp_path / "out/s.tif", pages=3))
            continue
        image = tmp_path / f"{n}.png"
        cv2.imwrite(str(image), blobs(n, (64, 72))[0])
        os.utime(image, (1e9, 1e9))
        items.append(SegmentItem(image, 0, tmp_path / f"out/{n}{suffix}"))

    def skipped(model: Path, **wishes: object) -> int:
        config = SegmentConfig(model, device="cpu", **wishes)  # type: ignore[arg-type]
        (end,) = [e for e in segment(items, config) if isinstance(e, SegmentFinished)]
        assert end.done + end.skipped == 3
        return end.skipped

    assert skipped(models[0]) == 0
    assert skipped(models[0]) == 3
    assert all(maker_of(item.out, item.page) for item in items)
    assert skipped(models[1]) == 0
    assert skipped(models[1], tta=True) == 0
    assert skipped(models[1], tta=True) == 3
    assert skipped(models[1], tta=True, encoding="binary") == 0
    assert skipped(models[1], tta=True, encoding="binary") == 3
    if suffix == "stack.tif":
        write_label(items[1].out, blobs(0, (64, 72))[1] % 2, BINARY, page=1, pages=3)  # as older versions wrote them
        assert maker_of(items[1].out, 1) == ""
        assert skipped(models[0]) == 1
        return
    cv2.imwrite(str(items[0].out), cv2.imread(str(items[0].out), cv2.IMREAD_UNCHANGED))  # as older versions wrote them
    assert maker_of(items[0].out) == ""
    assert skipped(models[0]) == 1


def test_maps_of_another_type_are_made_anew(tmp_path: Path, tiny_model: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), blobs(1, (64, 72))[0])
    item = SegmentItem(tmp_path / "a.png", 0, tmp_path / "m.png", tmp_path / "p.tif", tmp_path / "u.tif")

    def skipped(floats: bool) -> int:
        config = SegmentConfig(tiny_model, device="cpu", float_maps=floats)
        (end,) = [e for e in segment([item], config) if isinstance(e, SegmentFinished)]
        return end.skipped

    assert [skipped(floats) for floats in (False, False, True, True, False)] == [0, 1, 0, 1, 0]
    assert image_info(tmp_path / "u.tif").dtype == "uint8"
