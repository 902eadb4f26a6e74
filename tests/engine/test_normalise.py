"""Grey values to numbers: per image, the same from memory and from disk, colours and types."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from unet_gui.core.errors import UserError
from unet_gui.core.images import open_image
from unet_gui.engine.normalise import Normalisation, Stats, finite, measure, sample, to_channels


def test_large_images_are_measured_on_blocks_alike_from_disk_and_memory(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    image = (rng.normal(1000, 50, (2300, 2100)) + np.linspace(0, 500, 2100)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "big.tif", image, tile=(256, 256))
    with open_image(tmp_path / "big.tif") as source:
        assert measure(sample(source)) == measure(sample(image))
        assert sample(source).size < image.size / 1.1
    stats = measure(sample(image))
    assert stats.mean[0] == pytest.approx(image.mean(), rel=0.02)
    assert stats.std[0] == pytest.approx(image.std(), rel=0.1)


def test_values_after_normalisation() -> None:
    image = np.random.default_rng(0).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    stats = measure(image)
    x = Normalisation("image").apply(image, stats)
    assert x.dtype == np.float32
    np.testing.assert_allclose(x.mean((0, 1)), 0, atol=1e-4)
    np.testing.assert_allclose(x.std((0, 1)), 1, atol=1e-4)
    assert np.array_equal(Normalisation("none").apply(image, stats), image.astype(np.float32))
    fixed = Normalisation("dataset", (1.0, 2.0, 3.0), (2.0, 2.0, 2.0))
    np.testing.assert_allclose(fixed.apply(image, stats)[..., 2], (image[..., 2] - 3.0) / 2)
    assert Normalisation.from_json(fixed.to_json()) == fixed


def test_an_empty_image_stays_quiet() -> None:
    flat = np.full((20, 20), 7, np.uint8)
    flat[0, 0] = 8
    x = Normalisation("image", floor=5.0).apply(flat, measure(flat))
    assert np.abs(x).max() < 1
    assert Stats((7.0,), (0.0,)) == measure(np.full((4, 4), 7, np.uint8))
    assert np.isfinite(Normalisation("image").apply(np.full((4, 4), 7, np.uint8), Stats((7.0,), (0.0,)))).all()


def test_hot_pixels_do_not_count() -> None:
    image = np.random.default_rng(0).normal(100, 10, (200, 200)).astype(np.float32)
    quiet = measure(image)
    image[3, 3] = 1e9
    image[5, 5] = np.nan
    hot = measure(image)
    assert hot.std[0] == pytest.approx(quiet.std[0], rel=0.05)
    assert np.isfinite(finite(image)).all()


def test_channels() -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    rgba = np.dstack([grey, grey, grey, np.full_like(grey, 255)])
    assert np.array_equal(to_channels(rgba, 1), grey)
    assert np.array_equal(to_channels(grey[..., None], 1), grey)
    assert to_channels(grey, 3).shape == (3, 4, 3)
    assert np.array_equal(to_channels(rgba, 3), rgba[..., :3])
    assert np.array_equal(to_channels(rgba, 4), rgba)
    colour = np.zeros((2, 2, 3), np.uint8)
    colour[..., 1] = 100
    assert (to_channels(colour, 1) == 59).all()  # green weighs 0.587
    assert to_channels(grey.astype(np.float64), 1).dtype == np.float32
    assert (to_channels(grey > 3, 1) == 255).any()
    with pytest.raises(UserError, match="2 channels"):
        to_channels(rgba[..., :2], 4)
