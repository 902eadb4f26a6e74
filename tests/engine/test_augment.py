"""Crops: image and label move together, nothing is invented, the same seed gives the same."""

from __future__ import annotations

import dataclasses
from itertools import product

import numpy as np
import pytest
import torch

from unet_gui.core.cv import cv2
from unet_gui.engine import augment
from unet_gui.engine.augment import Augmentation, cut, recolour
from unet_gui.engine.augment_gpu import Windows
from unet_gui.engine.augment_gpu import recolour as recolour_batch

STILL = Augmentation(flip_x=False, flip_y=False, turn=False, warp=0, bend=0)


def picture(size: tuple[int, int] = (37, 41)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, size, dtype=np.uint8), rng.integers(0, 3, size, dtype=np.uint8)


@pytest.mark.parametrize("size", [8, 9, 60])
def test_whole_pixel_crops_equal_resampled_ones(size: int) -> None:
    image, label = picture()
    half = 0.0 if size % 2 else 0.5
    center = (20 + half, 18 + half)
    axis = np.arange(size, dtype=np.float32) - (size - 1) / 2
    quarter = np.array([[0.0, -1.0], [1.0, 0.0]])
    for flip_x, flip_y, turns in product((1, -1), (1, -1), range(4)):
        m = np.diag([flip_x * 1.0, flip_y]) @ np.linalg.matrix_power(quarter, turns)
        map_x = ((m[0, 0] * axis)[None, :] + (m[0, 1] * axis + center[0])[:, None]).astype(np.float32)
        map_y = ((m[1, 0] * axis)[None, :] + (m[1, 1] * axis + center[1])[:, None]).astype(np.float32)
        wanted = cv2.remap(image, map_x, map_y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT_101)
        wanted_label = cv2.remap(
            label, map_x, map_y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=(255,) * 4
        )
        pixels, ids = augment.cut_plain(image, label, center, size, m)
        assert np.array_equal(pixels, wanted)
        assert np.array_equal(ids, wanted_label)


@pytest.mark.parametrize("channels", [1, 3])
def test_label_follows_the_image(channels: int) -> None:
    """The label as a picture: after any bending it still lies on the label."""
    label = np.zeros((200, 220), np.uint8)
    cv2.circle(label, (100, 90), 50, 1, -1)
    cv2.rectangle(label, (150, 100), (200, 190), 1, -1)
    image = label * 200 if channels == 1 else np.dstack([label * 200] * 3)
    rng = np.random.default_rng(3)
    for _ in range(20):
        pixels, ids = cut(image, label, (110, 100), 96, Augmentation(warp=1, bend=1), rng)
        assert pixels.shape[:2] == ids.shape == (96, 96)
        assert pixels.dtype == np.float32
        grey = pixels if channels == 1 else pixels[..., 0]
        known = ids != 255
        wrong = (grey > 100) != (ids == 1)
        assert wrong[known].mean() < 0.02


def test_outside_is_unlabelled() -> None:
    image, label = picture()
    _, ids = cut(image, label, (0, 0), 20, STILL, np.random.default_rng(0))
    assert (ids[:10, :] == 255).all()
    assert (ids[:, :10] == 255).all()
    assert (ids[10:, 10:] != 255).all()


def test_same_seed_same_crop() -> None:
    image, label = picture((80, 80))
    crops = [cut(image, label, (40, 40), 32, Augmentation(), np.random.default_rng(s)) for s in (5, 5, 6)]
    assert np.array_equal(crops[0][0], crops[1][0])
    assert not np.array_equal(crops[0][0], crops[2][0])
    x = crops[0][0] / 128 - 1
    colours = [recolour(x.copy(), Augmentation(), np.random.default_rng(s)) for s in (5, 5, 6)]
    assert np.array_equal(colours[0], colours[1])
    assert not np.array_equal(colours[0], colours[2])


def test_no_flip_where_the_world_has_an_up() -> None:
    label = np.zeros((64, 64), np.uint8)
    label[:32] = 1
    how = Augmentation(flip_y=False, turn=False, rotate=10)
    for seed in range(30):
        _, ids = cut(label, label, (32, 32), 48, how, np.random.default_rng(seed))
        assert (ids[:8] == 1).sum() > (ids[-8:] == 1).sum()


def test_beyond_what_opencv_addresses() -> None:
    """OpenCV's maps hold 16 bits; a picture wider than that is cut before."""
    image = np.zeros((70, 40_000), np.uint8)
    image[:, 39_000:] = 200
    label = (image > 0).astype(np.uint8)
    pixels, ids = cut(image, label, (39_000, 35), 64, Augmentation(warp=1, bend=1), np.random.default_rng(1))
    assert 0.2 < (ids == 1).mean() < 0.8
    assert ((pixels > 100) != (ids == 1))[ids != 255].mean() < 0.02


def test_colours_stay_numbers() -> None:
    everything = dataclasses.replace(Augmentation(), noise=1, blur=1, coarse=1, invert=1)
    flat = np.zeros((32, 32, 3), np.float32)
    for seed in range(20):
        out = recolour(flat.copy(), everything, np.random.default_rng(seed))
        assert out.shape == (32, 32, 3)
        assert out.dtype == np.float32
        assert np.isfinite(out).all()


def windows_of(image: np.ndarray, label: np.ndarray, size: int, how: Augmentation, count: int) -> Windows:
    side = augment.window_side(size, how)
    middle = ((image.shape[1] - 1) / 2, (image.shape[0] - 1) / 2)
    pixels, ids = augment.cut_plain(image, label, middle, side, np.eye(2))
    planes = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    numbers = torch.zeros(2, count, len(planes))
    numbers[1] = 1 / 8
    return Windows(
        torch.from_numpy(np.repeat(planes[None], count, axis=0)),
        torch.from_numpy(np.repeat(ids[None], count, axis=0)),
        size,
        numbers,
        [augment.draw_geometry(size, how, np.random.default_rng(s)) for s in range(count)],
        [augment.draw_colours(STILL_COLOURS, np.random.default_rng(s)) for s in range(count)],
    )


STILL_COLOURS = dataclasses.replace(STILL, brightness=0, contrast=0, gamma=0, noise=0, blur=0, coarse=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_card_cuts_what_the_processor_cuts(channels: int) -> None:
    """The same draws give the same crops, but for the last digits of the interpolation."""
    rng = np.random.default_rng(0)
    smooth = cv2.GaussianBlur(rng.normal(0, 400, (300, 320)).astype(np.float32), (0, 0), 5)
    label = (smooth > 0).astype(np.uint8)
    image = np.clip(smooth + 128, 0, 255).astype(np.uint8)
    image = image if channels == 1 else np.dstack([image, 255 - image, image // 2])
    how, middle = Augmentation(warp=1, bend=0.5), (159.5, 149.5)
    x, y = windows_of(image, label, 64, how, 12).vary(torch.device("cpu"))
    for i in range(12):
        pixels, ids = cut(image, label, middle, 64, how, np.random.default_rng(i))
        planes = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        assert np.abs(8 * x[i].numpy() - planes).mean() < 1.0
        assert (y[i].numpy() != ids).mean() < 0.01


def test_a_card_keeps_what_is_unlabelled() -> None:
    image, label = picture((40, 40))
    label[:, :20] = 255
    _, ids = windows_of(image, label, 64, STILL, 1).vary(torch.device("cpu"))
    assert ids.dtype == torch.uint8
    assert np.array_equal(ids[0, 12:52, 12:52].numpy(), label)
    ids[0, 12:52, 12:52] = 255
    assert (ids == 255).all()  # beyond the image nothing is labelled


def test_the_gamma_curve_also_bends_from_white() -> None:
    x = torch.from_numpy(np.random.default_rng(0).normal(0, 1, (1, 1, 32, 32)).astype(np.float32))
    how = dataclasses.replace(STILL_COLOURS, gamma=0.5)
    drawn = [augment.draw_colours(how, np.random.default_rng(s)) for s in range(60)]
    assert {c.from_white for c in drawn if c.exponent != 1} == {True, False}
    curve = next(c for c in drawn if c.exponent > 1.1)
    black, white = (dataclasses.replace(curve, from_white=w) for w in (False, True))
    np.testing.assert_allclose(recolour_batch(x, [white]), -recolour_batch(-x, [black]), atol=1e-5)
    assert float((recolour_batch(x, [white]) - recolour_batch(x, [black])).abs().max()) > 0.1
    assert float(recolour_batch(x, [white]).std()) == pytest.approx(float(x.std()), rel=1e-3)


def test_a_card_varies_grey_values_as_the_processor_does() -> None:
    x = cv2.GaussianBlur(np.random.default_rng(0).normal(0, 8, (48, 48)).astype(np.float32), (0, 0), 2)
    for how in (
        dataclasses.replace(STILL_COLOURS, blur=1),
        dataclasses.replace(STILL_COLOURS, coarse=1),
        dataclasses.replace(STILL_COLOURS, gamma=0.5, invert=0.5),
        dataclasses.replace(STILL_COLOURS, brightness=0.5, contrast=0.5),
    ):
        draws = [augment.draw_colours(how, np.random.default_rng(s)) for s in range(8)]
        found = recolour_batch(torch.from_numpy(np.repeat(x[None, None], 8, axis=0)), draws)
        assert found.dtype == torch.float32
        for i in range(8):
            wanted = recolour(x.copy(), how, np.random.default_rng(i))
            inside = np.s_[6:-6, 6:-6]
            # areas of fractions of pixels are weighed in another way
            assert np.abs(found[i, 0].numpy() - wanted)[inside].mean() < (0.1 if how.coarse else 0.001)
    noisy = dataclasses.replace(STILL_COLOURS, noise=1)
    draws = [augment.draw_colours(noisy, np.random.default_rng(s)) for s in range(4)]
    found = recolour_batch(torch.zeros(4, 1, 48, 48), draws)
    assert torch.equal(found, recolour_batch(torch.zeros(4, 1, 48, 48), draws))
    for i, drawn in enumerate(draws):
        assert float(found[i].std()) == pytest.approx(drawn.noise, rel=0.1)
