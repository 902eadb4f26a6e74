"""The contact sheet: images and masks side by side, right below their caption, whatever their shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unet_gui.core import png
from unet_gui.core.contact_sheet import write_contact_sheet
from unet_gui.core.images import open_image


@pytest.mark.parametrize("shape", [(40, 40), (20, 40), (40, 20)])
def test_image_and_mask_stand_together_at_the_top(shape: tuple[int, int], tmp_path: Path) -> None:
    ids = np.zeros(shape, np.uint8)
    ids[:, shape[1] // 2 :] = 1
    (tmp_path / "image.png").write_bytes(png.encode(np.where(ids, 250, 100).astype(np.uint8)))
    (tmp_path / "mask.png").write_bytes(png.encode(ids))
    write_contact_sheet(tmp_path / "sheet.png", [(tmp_path / "image.png", tmp_path / "mask.png", "")] * 4, side=80)
    with open_image(tmp_path / "sheet.png") as sheet:
        pixels = sheet.read()[..., 0]
    ys, xs = np.nonzero(pixels[:110, :170] == 255)  # the first pair: half of the mask is white, class ids or not
    height, width = shape[0] * 80 // 40, shape[1] * 80 // 40
    assert (ys.min(), ys.max()) == (8 + 22, 8 + 22 + height - 1)
    assert xs.max() == 8 + 2 * width + 2 - 1
    assert pixels.shape[1] == 3 * (2 * 80 + 2 + 8) + 8
    assert pixels.shape[0] == 2 * (80 + 22 + 8) + 8
