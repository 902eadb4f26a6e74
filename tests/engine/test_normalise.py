"""Grey values to numbers: per image, the same from memory and from disk, colours and types."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from unet_gui.core.errors import UserError
from unet_gui.core.images import open_image
from unet_gui.engine.normalise import LIMIT, Normalisation, Stats, finite, measure, sample, to_channels


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
    fixed = Normalisation("dataset", (1.0, 2.0, 3.0), (20.0, 20.0, 20.0))
    np.testing.assert_allclose(fixed.apply(image, stats)[..., 2], (image[..., 2] - 3.0) / 20, rtol=1e-5, atol=1e-6)
    assert Normalisation.from_json(fixed.to_json()) == fixed


def test_an_empty_image_stays_quiet() -> None:
    flat = np.full((20, 20), 7, np.uint8)
    flat[0, 0] = 8
    x = Normalisation("image", floor=5.0).apply(flat, measure(flat))
    assert np.abs(x).max() < 1
    assert Stats((7.0,), (0.0,), "uint8") == measure(np.full((4, 4), 7, np.uint8))
    assert np.isfinite(Normalisation("image").apply(np.full((4, 4), 7, np.uint8), Stats((7.0,), (0.0,)))).all()


def test_hot_pixels_do_not_count() -> None:
    image = np.random.default_rng(0).normal(100, 10, (200, 200)).astype(np.float32)
    quiet = measure(image)
    image[3, 3] = 1e9
    image[5, 5] = np.nan
    hot = measure(image)
    assert hot.std[0] == pytest.approx(quiet.std[0], rel=0.05)
    filled = finite(image, hot.mean)
    assert filled[5, 5] == pytest.approx(hot.mean[0])
    x = Normalisation("image").apply(filled, hot)
    assert np.isfinite(x).all()
    assert x.max() == LIMIT


@pytest.mark.parametrize("mark", [np.nan, np.inf, np.finfo(np.float32).min, 9.96921e36, 1e20])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_marks_of_missing_pixels_do_not_count(mark: float, dtype: type) -> None:
    """Maps of heights have a border of them, and all that is left would be one grey value."""
    image = np.random.default_rng(0).normal(100, 10, (200, 200)).astype(dtype)
    wanted = measure(image)
    framed = np.full((240, 240), mark, dtype)
    framed[20:-20, 20:-20] = image
    pixels = to_channels(framed, 1)
    stats = measure(pixels)
    assert stats == replace(wanted, dtype="float32")
    x = Normalisation("image").apply(finite(pixels, stats.mean), stats)
    assert np.abs(x[0]).max() < 1e-5
    np.testing.assert_allclose(x[20:-20, 20:-20].std(), 1, atol=0.02)


def test_a_margin_without_numbers_does_not_count() -> None:
    """Stitched pictures have one: as 0 it would be most of the spread."""
    image = np.random.default_rng(0).normal(30_000, 500, (200, 200, 2)).astype(np.float32)
    image[:, :20] = np.nan
    stats = measure(image)
    assert stats.std == pytest.approx((500, 500), rel=0.05)
    x = Normalisation("image").apply(finite(image, stats.mean), stats)
    np.testing.assert_allclose(x[:, :20], 0, atol=1e-2)
    assert x[:, 20:].std() == pytest.approx(1, rel=0.05)
    nothing = np.full((4, 4), np.nan, np.float32)
    assert np.isfinite(Normalisation("image").apply(finite(nothing, measure(nothing).mean), measure(nothing))).all()


@pytest.mark.parametrize("scale", [1 / 255, 257, 1e-9])
def test_the_floor_is_for_pictures_of_its_own_type(scale: float) -> None:
    """A model trained on 8 bits sees the contrast of the same picture in 16 bits or as fractions."""
    image = np.random.default_rng(0).integers(60, 160, (50, 50)).astype(np.uint8)
    trained = Normalisation("image", floor=0.1 * measure(image).std[0], dtype="uint8")
    other = (image.astype(np.float64) * scale).astype(np.uint16 if scale > 1 else np.float32)
    np.testing.assert_allclose(
        trained.apply(other, measure(other)), trained.apply(image, measure(image)), rtol=0.02, atol=0.02
    )
    assert Normalisation.from_json(trained.to_json()) == trained


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
    assert (to_channels(colour.astype(np.int16), 1).round() == 59).all()
    assert to_channels(grey.astype(np.float64), 1).dtype == np.float32
    assert (to_channels(grey > 3, 1) == 255).any()
    with pytest.raises(UserError, match="2 channels"):
        to_channels(rgba[..., :2], 4)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_hot_pixels_end_alike_in_every_type(dtype: type) -> None:
    """On a card the type is gone before they are cut: a model learned there sees the same elsewhere."""
    dark = np.zeros((40, 50), dtype)
    dark[::2] = 1
    dark[3, 4] = 255
    x = Normalisation("image", floor=0.5).apply(dark, Stats((0.5,), (0.5,)))
    assert x[3, 4] == LIMIT
