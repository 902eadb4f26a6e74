"""Synthetic electron micrographs of nerve tissue with true labels, made by the program itself.

Cells are warped Voronoi regions of very different sizes; membranes between them vary in thickness and darkness and are
partly cut obliquely, so that they blur and fade; cells hold mitochondria, vesicles and fine grain that look like
membrane but are none. Illumination, stain and noise differ from image to image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unet_gui.core.cv import cv2

MEMBRANE = 0
CELL = 1
_LARGEST = 16000  # pixels of a cell, before it is bent
_GROUPS = 14
_MARGIN = 48  # rendered around the picture and cut off, so that nothing ends at its edge


def render(height: int, width: int, seed: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return one micrograph and its label.

    Parameters
    ----------
    height, width : int
        Size in pixels.
    seed : tuple of int
        The same numbers give the same picture.

    Returns
    -------
    (image, ids)
        Both uint8 (h, w); ids are `MEMBRANE` and `CELL`.
    """
    rng = np.random.default_rng(seed)
    shape = (height + 2 * _MARGIN, width + 2 * _MARGIN)
    tissue = _tissue(rng, shape)
    picture = _paint(rng, tissue)
    picture = _record(rng, picture)
    inner = (slice(_MARGIN, _MARGIN + height), slice(_MARGIN, _MARGIN + width))
    ids = np.where(tissue.distance <= tissue.half_width, MEMBRANE, CELL).astype(np.uint8)
    return np.ascontiguousarray(picture[inner]), np.ascontiguousarray(ids[inner])


@dataclass
class _Tissue:
    """Cells (int32), distance to the nearest membrane's middle and half its thickness (float32, pixels)."""

    cells: np.ndarray
    distance: np.ndarray
    half_width: np.ndarray


def _field(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> np.ndarray:
    """Return smooth noise of mean 0 and deviation 1 that changes over about `scale` pixels."""
    small = (max(4, round(shape[0] / scale) + 3), max(4, round(shape[1] / scale) + 3))
    noise = rng.standard_normal(small).astype(np.float32)
    large = cv2.resize(noise, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return (large - large.mean()) / (large.std() + 1e-6)


def _tissue(rng: np.random.Generator, shape: tuple[int, int]) -> _Tissue:
    cells = _cells(rng, shape)
    edges = np.zeros(shape, bool)
    edges[:, 1:] |= cells[:, 1:] != cells[:, :-1]
    edges[1:] |= cells[1:] != cells[:-1]
    distance = cv2.distanceTransform((~edges).astype(np.uint8), cv2.DIST_L2, 5)
    half = 2.0 + 0.55 * _field(rng, shape, 45) + 0.35 * _field(rng, shape, 12)
    thick = np.clip(_field(rng, shape, 90) - 1.6, 0, 1) * 5  # here and there a membrane is cut obliquely
    return _Tissue(cells, distance, np.clip(half, 1.2, 3.6) + thick)


def _cells(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Return rounded regions: seeds crowd in some places, and neighbours are joined to larger, uneven cells."""
    h, w = shape
    density = np.exp(0.8 * _field(rng, shape, 120))
    tries = rng.random((round(h * w / 190), 3))
    y, x = (tries[:, 0] * h).astype(int), (tries[:, 1] * w).astype(int)
    kept = tries[:, 2] < density[y, x] / 8
    seeds = np.ones(shape, np.uint8)
    seeds[y[kept], x[kept]] = 0
    regions = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)[1]
    regions = _join(rng, regions)
    rows, cols = np.mgrid[0:h, 0:w].astype(np.float32)
    cols += 8 * _field(rng, shape, 75) + 2.0 * _field(rng, shape, 28)
    rows += 8 * _field(rng, shape, 75) + 2.0 * _field(rng, shape, 28)
    warped = cv2.remap(regions.astype(np.float32), cols, rows, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT)
    return _rounded(rng, warped.astype(np.int32))


def _join(rng: np.random.Generator, regions: np.ndarray) -> np.ndarray:
    """Return the regions with neighbours joined, a few of them again and again, up to a size."""
    count = int(regions.max()) + 1
    across = np.stack([regions[:, 1:].ravel(), regions[:, :-1].ravel()], 1)
    down = np.stack([regions[1:].ravel(), regions[:-1].ravel()], 1)
    pairs = np.concatenate([across, down])
    pairs = np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1), axis=0)
    owner, size = np.arange(count), np.bincount(regions.ravel(), minlength=count)
    greed = rng.random(count) ** 3
    for first, second in pairs[rng.permutation(len(pairs))]:
        a, b = owner[first], owner[second]
        if a != b and size[a] + size[b] < _LARGEST and rng.random() < 0.42 * max(greed[a], greed[b]):
            owner[owner == b] = a
            size[a] += size[b]
            greed[a] = max(greed[a], greed[b])
    return owner[regions]


def _rounded(rng: np.random.Generator, regions: np.ndarray) -> np.ndarray:
    """Return the regions with corners rounded and slivers gone: in a few groups each is blurred, the strongest wins."""
    group = rng.integers(0, _GROUPS, int(regions.max()) + 1)[regions]
    best = np.full(regions.shape, -1.0, np.float32)
    winner = np.zeros(regions.shape, np.uint8)
    for i in range(_GROUPS):
        strength = cv2.GaussianBlur((group == i).astype(np.float32), (0, 0), 5.0)
        winner[strength > best] = i
        np.maximum(best, strength, out=best)
    parts = np.zeros(regions.shape, np.int32)
    for i in range(_GROUPS):
        _count, one = cv2.connectedComponents((winner == i).astype(np.uint8), connectivity=4)
        parts += np.where(one > 0, one + int(parts.max()), 0)
    return parts


def _paint(rng: np.random.Generator, tissue: _Tissue) -> np.ndarray:
    """Return brightness as float32, about 0 (stained) … 1 (empty)."""
    shape = tissue.cells.shape
    tone = rng.normal(0, 0.05, int(tissue.cells.max()) + 1).astype(np.float32)
    picture = 0.66 + tone[tissue.cells] + 0.025 * _field(rng, shape, 18)
    grain = _field(rng, shape, 2.6)
    coarse = 0.6 + 0.4 * np.clip(_field(rng, shape, 60), -1, 1.5)
    picture += 0.085 * coarse * np.minimum(grain, 1.0)
    inside = (tissue.distance > tissue.half_width + 2).astype(np.uint8)
    inside[[0, -1]] = inside[:, [0, -1]] = 0
    room = cv2.distanceTransform(inside, cv2.DIST_L2, 5)
    _mitochondria(rng, picture, room)
    _vesicles(rng, picture, room)
    depth = np.clip(0.44 + 0.10 * _field(rng, shape, 50) + 0.07 * _field(rng, shape, 14), 0.10, 0.62)
    profile = np.exp(-((tissue.distance / (0.75 * tissue.half_width + 0.6)) ** 4))
    picture -= depth * profile * (0.9 + 0.1 * grain)
    _synapses(rng, picture, tissue)
    return picture


def _mitochondria(rng: np.random.Generator, picture: np.ndarray, room: np.ndarray) -> None:
    """Paint ovals with a dark rim and a striped inside where there is room; the room is used up."""
    for _ in range(int(rng.integers(4, 11))):
        places = np.argwhere(room > 17)
        if not len(places):
            return
        y, x = places[rng.integers(len(places))].tolist()
        free = float(room[y, x])
        short = float(rng.uniform(10, min(free * 0.9, 30)))
        long = float(min(free * 0.95, short * rng.uniform(1.0, 1.7)))
        angle = float(rng.uniform(0, np.pi))
        size = int(long + 6)
        bottom, right = room.shape
        area = (slice(max(0, y - size), min(bottom, y + size + 1)), slice(max(0, x - size), min(right, x + size + 1)))
        rows, cols = np.mgrid[area].astype(np.float32)
        rows, cols = rows - y, cols - x
        u, v = cols * np.cos(angle) + rows * np.sin(angle), rows * np.cos(angle) - cols * np.sin(angle)
        bend = _field(rng, rows.shape, 14)
        edge = (1 - np.hypot(u / long, v / short)) * short + 0.8 * bend
        inside = 1 / (1 + np.exp(-np.clip(2 * edge, -30, 30)))
        stripes = np.sin(v * rng.uniform(0.75, 1.15) + 2.2 * bend + u * rng.uniform(-0.25, 0.25))
        content = rng.uniform(0.30, 0.42) + 0.09 * stripes * (edge > 2) - 0.10 * np.exp(-((edge / 1.3) ** 2))
        picture[area] = picture[area] * (1 - inside) + content * inside
        room[area][edge > -6] = 0


def _vesicles(rng: np.random.Generator, picture: np.ndarray, room: np.ndarray) -> None:
    """Paint small rings, most of them in clusters."""
    h, w = room.shape
    places: list[tuple[float, float]] = []
    for _ in range(int(rng.integers(3, 8))):
        centre = rng.random(2) * (h, w)
        places += [tuple(centre + rng.normal(0, 16, 2)) for _ in range(int(rng.integers(10, 34)))]
    places += [tuple(rng.random(2) * (h, w)) for _ in range(int(rng.integers(20, 60)))]
    for y, x in places:
        row, col = int(y), int(x)
        if not (8 <= row < h - 8 and 8 <= col < w - 8) or room[row, col] < 6:
            continue
        area = (slice(row - 8, row + 9), slice(col - 8, col + 9))
        rows, cols = np.mgrid[-8:9, -8:9].astype(np.float32)
        away = np.hypot(rows - (y - row), (cols - (x - col)) * rng.uniform(0.8, 1.25))
        radius = rng.uniform(2.6, 5.2)
        picture[area] -= rng.uniform(0.14, 0.32) * np.exp(-(((away - radius) / 1.15) ** 2))
        if rng.random() < 0.15:  # a dense core
            picture[area] -= 0.25 * np.exp(-((away / (0.55 * radius)) ** 2))


def _synapses(rng: np.random.Generator, picture: np.ndarray, tissue: _Tissue) -> None:
    """Darken a few stretches of membrane and their surroundings, softly."""
    h, w = picture.shape
    middle = np.argwhere(tissue.distance < 1)
    dark = np.zeros_like(picture)
    for y, x in middle[rng.integers(0, len(middle), int(rng.integers(2, 6)))]:
        rows, cols = np.mgrid[0:h, 0:w].astype(np.float32)
        away = np.hypot(rows - y, cols - x) / rng.uniform(7, 15)
        dark += rng.uniform(0.12, 0.34) * np.exp(-(away**2))
    picture -= dark * (0.55 + 0.45 * np.exp(-tissue.distance / 6))


def _record(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Return what the camera makes of it: blur, uneven light, stain, noise, 8 bit."""
    shape = picture.shape
    sharp = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.7, 1.0))
    soft = cv2.GaussianBlur(picture, (0, 0), 2.4)
    focus = np.clip(0.30 * _field(rng, shape, 80) - 0.1, 0, 0.8)  # thick or oblique places are out of focus
    picture = sharp * (1 - focus) + soft * focus
    picture = picture * (1 + 0.06 * _field(rng, shape, 220)) + 0.02 * _field(rng, shape, 120)
    noise = rng.standard_normal(shape).astype(np.float32)
    noise = 0.7 * noise + 0.75 * cv2.GaussianBlur(noise, (0, 0), 0.8)
    picture += rng.uniform(0.040, 0.062) * noise
    gain, offset = rng.uniform(225, 285), rng.uniform(-32, 8)
    return np.clip(np.rint(picture * gain + offset), 0, 255).astype(np.uint8)
