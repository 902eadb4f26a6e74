"""Crops and their variations: one geometric resampling, then brightness, contrast and the rest. numpy and OpenCV.

What is varied is drawn first (`draw_geometry`, `draw_colours`) and then done, here or for a whole batch on a graphics
card (`augment_gpu`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unet_gui.core.cv import cv2
from unet_gui.core.labels import UNLABELLED


@dataclass(frozen=True)
class Augmentation:
    """How far a crop may be varied. Probabilities in 0…1.

    Attributes
    ----------
    flip_x, flip_y, turn : bool
        Mirror left-right, top-bottom, quarter turns. Photographs of the world have an up and a down.
    rotate : float
        Largest rotation in degrees, with probability ``warp``.
    scale : float
        Largest zoom factor, in and out.
    elastic : float
        Standard deviation of the displacement in pixels, with probability ``bend``.
    grid : int
        Distance of the displacement's nodes in pixels.
    brightness, contrast : float
        Shift and log-gain in units of the image's standard deviation.
    gamma : float
        Largest log-exponent.
    noise, blur, coarse, invert : float
        Probabilities of noise, blur, simulated low resolution and inverted grey values.
    """

    flip_x: bool = True
    flip_y: bool = True
    turn: bool = True
    warp: float = 0.7
    rotate: float = 180.0
    scale: float = 1.25
    bend: float = 0.5
    elastic: float = 4.0
    grid: int = 32
    brightness: float = 0.3
    contrast: float = 0.25
    gamma: float = 0.3
    noise: float = 0.2
    blur: float = 0.1
    coarse: float = 0.1
    invert: float = 0.0


@dataclass(frozen=True)
class Geometry:
    """How one crop is turned, zoomed and bent.

    Attributes
    ----------
    matrix : ndarray
        ``(2, 2)``: from places in the crop to places in the image, both seen from the middle.
    nodes : ndarray or None
        ``(2, k, k)`` float32: displacements of columns and rows in pixels at the nodes of a coarse grid.
    """

    matrix: NDArray[np.float64]
    nodes: NDArray[np.float32] | None


def draw_geometry(size: int, how: Augmentation, rng: np.random.Generator) -> Geometry:
    """Draw how a crop of this side is turned, zoomed and bent."""
    matrix = _linear(how, rng)
    bent, strength = rng.random() < how.bend, rng.uniform(0.3, 1.0)
    if not bent or how.elastic <= 0:
        return Geometry(matrix, None)
    count = node_count(size, how)
    nodes = rng.standard_normal((2, count, count), dtype=np.float32)
    return Geometry(matrix, nodes * np.float32(how.elastic * strength))


def node_count(size: int, how: Augmentation) -> int:
    """Return the nodes along a side of a crop."""
    return max(4, size // how.grid + 3)


def window_side(size: int, how: Augmentation) -> int:
    """Return the side of a square around the middle that holds every pixel a crop can come from, but for a rare few."""
    turned = how.warp > 0 and how.rotate > 0
    angle = math.radians(min(how.rotate, 45.0)) if turned else 0.0
    reach = size * (math.cos(angle) + math.sin(angle)) * (how.scale if how.warp > 0 else 1.0)
    bent = 2 * 2.5 * how.elastic if how.bend > 0 else 0.0
    return 2 * math.ceil((reach + bent) / 2) + 2


def cut(
    image: NDArray,
    label: NDArray[np.uint8],
    center: tuple[float, float],
    size: int,
    how: Augmentation,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Cut a crop around a point, turned, zoomed and bent at random.

    Parameters
    ----------
    image : ndarray
        ``(h, w)`` or ``(h, w, c)``, any dtype that OpenCV resamples (uint8, uint16, int16, float32).
    label : ndarray
        ``(h, w)`` uint8; what lies outside the image becomes unlabelled.
    center : (float, float)
        Column and row of the crop's centre.
    size : int
        Side of the crop.

    Returns
    -------
    image : ndarray
        ``(size, size)`` or ``(size, size, c)`` float32, still in the image's own units.
    label : ndarray
        ``(size, size)`` uint8.
    """
    drawn = draw_geometry(size, how, rng)
    matrix = drawn.matrix
    if drawn.nodes is None and _is_turn(matrix):
        pixels, ids = cut_plain(image, label, center, size, matrix)
        return pixels.astype(np.float32, copy=False), ids
    axis = np.arange(size, dtype=np.float32) - (size - 1) / 2
    cx, cy = np.float32(center[0]), np.float32(center[1])
    m = matrix.astype(np.float32)
    map_x = (m[0, 0] * axis)[None, :] + (m[0, 1] * axis + cx)[:, None]
    map_y = (m[1, 0] * axis)[None, :] + (m[1, 1] * axis + cy)[:, None]
    if drawn.nodes is not None:
        for axis_map, nodes in zip((map_x, map_y), drawn.nodes, strict=True):
            axis_map += cv2.resize(nodes, (size, size), interpolation=cv2.INTER_CUBIC)
    image, label = _window(image, label, map_x, map_y)
    pixels = cv2.remap(image, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    ids = cv2.remap(
        label, map_x, map_y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=(UNLABELLED,) * 4
    )
    return pixels.astype(np.float32, copy=False), ids


def _window(
    image: NDArray, label: NDArray[np.uint8], map_x: NDArray[np.float32], map_y: NDArray[np.float32]
) -> tuple[NDArray, NDArray[np.uint8]]:
    """Cut out what the maps reach and shift them in place, where a side exceeds what OpenCV's 16-bit tables address."""
    h, w = label.shape
    if max(h, w) < 32000:
        return image, label
    x0 = int(np.clip(np.floor(map_x.min()) - 2, 0, w - 1))
    y0 = int(np.clip(np.floor(map_y.min()) - 2, 0, h - 1))
    x1 = int(np.clip(np.ceil(map_x.max()) + 3, x0 + 1, w))
    y1 = int(np.clip(np.ceil(map_y.max()) + 3, y0 + 1, h))
    map_x -= x0
    map_y -= y0
    return np.ascontiguousarray(image[y0:y1, x0:x1]), np.ascontiguousarray(label[y0:y1, x0:x1])


def _linear(how: Augmentation, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw flips, quarter turns, rotation and zoom as a 2×2 matrix."""
    flip_x, flip_y, turns = rng.integers(2), rng.integers(2), rng.integers(4)
    warp, angle, zoom = rng.random(), rng.uniform(-1, 1), rng.uniform(-1, 1)
    m = np.eye(2)
    if how.flip_x and flip_x:
        m = m @ np.diag([-1.0, 1.0])
    if how.flip_y and flip_y:
        m = m @ np.diag([1.0, -1.0])
    if how.turn:
        m = m @ np.linalg.matrix_power(np.array([[0.0, -1.0], [1.0, 0.0]]), int(turns))
    if warp < how.warp:
        a = np.deg2rad(angle * how.rotate)
        s = float(how.scale**zoom)
        m = m @ (np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) * s)
    return m


def _is_turn(m: NDArray[np.float64]) -> bool:
    """Whether the matrix only flips and turns by quarters."""
    return bool(np.isin(np.abs(m), (0.0, 1.0)).all())


def cut_plain(
    image: NDArray, label: NDArray[np.uint8], center: tuple[float, float], size: int, m: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Cut without resampling: whole pixels, flips and quarter turns only; the image's own type."""
    h, w = label.shape
    x0, y0 = round(center[0] - (size - 1) / 2), round(center[1] - (size - 1) / 2)
    left, top = max(-x0, 0), max(-y0, 0)
    right, bottom = max(x0 + size - w, 0), max(y0 + size - h, 0)
    box = np.s_[max(y0, 0) : y0 + size, max(x0, 0) : x0 + size]
    pixels, ids = image[box], label[box]
    if left or top or right or bottom:
        pixels = cv2.copyMakeBorder(pixels, top, bottom, left, right, cv2.BORDER_REFLECT_101)
        ids = cv2.copyMakeBorder(ids, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(UNLABELLED,) * 4)
    if abs(m[0, 0]) < 0.5:
        pixels, ids = np.swapaxes(pixels, 0, 1), np.swapaxes(ids, 0, 1)
        m = m[::-1]
    fx, fy = (-1 if m[0, 0] < 0 else 1), (-1 if m[1, 1] < 0 else 1)
    pixels, ids = pixels[::fy, ::fx], ids[::fy, ::fx]
    return np.ascontiguousarray(pixels), np.ascontiguousarray(ids)


@dataclass(frozen=True)
class Colours:
    """How the grey values of one crop are varied.

    Attributes
    ----------
    blur : float
        Standard deviation in pixels; 0 = none.
    coarse : float
        Side of the simulated low resolution as a share; 1 = none.
    invert : bool
    exponent : float
        Of the gamma curve; 1 = none.
    from_white : bool
        The curve bends the inverted values, which are inverted back: it changes the bright ones most.
    gain, shift : float
    noise : float
        Standard deviation; 0 = none.
    seed : int
        Of the noise.
    """

    blur: float
    coarse: float
    invert: bool
    exponent: float
    from_white: bool
    gain: float
    shift: float
    noise: float
    seed: int


def draw_colours(how: Augmentation, rng: np.random.Generator) -> Colours:
    """Draw how a crop's grey values are varied."""
    draw, shift, sizes = rng.random(6), rng.normal(0, 1), rng.random(5)
    return Colours(
        blur=0.5 + sizes[0] if draw[0] < how.blur else 0.0,
        coarse=0.4 + 0.5 * sizes[1] if draw[1] < how.coarse else 1.0,
        invert=bool(draw[2] < how.invert),
        exponent=math.exp((2 * sizes[2] - 1) * how.gamma) if how.gamma > 0 and draw[3] < 0.3 else 1.0,
        from_white=bool(draw[5] < 0.5),
        gain=math.exp((2 * sizes[3] - 1) * how.contrast),
        shift=shift * how.brightness,
        noise=0.05 + 0.25 * sizes[4] if draw[4] < how.noise else 0.0,
        seed=int(rng.integers(2**31)),
    )


def recolour(x: NDArray[np.float32], how: Augmentation, rng: np.random.Generator) -> NDArray[np.float32]:
    """Vary brightness, contrast, gamma, noise and sharpness of a normalised crop (mean about 0, spread about 1).

    Parameters
    ----------
    x : ndarray
        ``(h, w)`` or ``(h, w, c)`` float32; changed in place where possible.
    """
    drawn = draw_colours(how, rng)
    if drawn.blur:
        x = cv2.GaussianBlur(x, (0, 0), drawn.blur)
    if drawn.coarse < 1:
        h, w = x.shape[:2]
        size = max(1, int(w * drawn.coarse)), max(1, int(h * drawn.coarse))
        small = cv2.resize(x, size, interpolation=cv2.INTER_AREA)
        x = cv2.resize(small, (w, h), interpolation=cv2.INTER_LINEAR)
    if drawn.invert:
        x = -x
    if drawn.exponent != 1:
        x = -_gamma(-x, drawn.exponent) if drawn.from_white else _gamma(x, drawn.exponent)
    x = x * np.float32(drawn.gain) + np.float32(drawn.shift)
    if drawn.noise:
        x = x + np.random.default_rng(drawn.seed).standard_normal(x.shape, dtype=np.float32) * np.float32(drawn.noise)
    return x


def _gamma(x: NDArray[np.float32], exponent: float) -> NDArray[np.float32]:
    """Bend the grey values; their mean and spread stay."""
    low, high = float(x.min()), float(x.max())
    span = max(high - low, 1e-6)
    mean, std = float(x.mean()), float(x.std())
    x = cv2.pow((x - low) / span, exponent)
    return (x - x.mean()) * (std / max(float(x.std()), 1e-6)) + mean
