"""Make ``resources/weights/drawn-WIDTH.safetensors``: what a network learns from pictures that are drawn here.

``python docs/make_first_weights.py --width 24 --steps 15000`` in a checkout. Pictures go to a temporary folder. See
``docs/adr/0013-first-weights.md``.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import safetensors.torch
import torch

from unet_gui.core import png
from unet_gui.core.atomic import atomic_write
from unet_gui.core.cv import cv2
from unet_gui.core.palette import ClassInfo, color_of
from unet_gui.core.project import Dataset
from unet_gui.core.store import INDEX, write_label
from unet_gui.engine.events import Validated
from unet_gui.engine.first_weights import ANSWER, DRAWN_CHANNELS, drawn_file
from unet_gui.engine.model import Model
from unet_gui.engine.recipe import TrainConfig
from unet_gui.engine.train import train

SIDE, PICTURES = 256, 2400
TEXTURES = ("flat", "stripes", "spots", "grain", "fibres")
CLASSES = (*TEXTURES, "border", "line", "round object", "rim", "dot", "angular object")
BORDER, LINE, ROUND, RIM, DOT, ANGULAR = range(len(TEXTURES), len(CLASSES))
TINY = 6
"""Objects of a smaller radius are dots."""

Grid = np.ndarray
Random = np.random.Generator


def field(rng: Random, shape: tuple[int, int], scale: float) -> Grid:
    """Return smooth noise of mean 0 and deviation 1 that changes over about `scale` pixels."""
    small = (max(4, round(shape[0] / scale) + 3), max(4, round(shape[1] / scale) + 3))
    noise = rng.standard_normal(small).astype(np.float32)
    large = cv2.resize(noise, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return (large - large.mean()) / (large.std() + 1e-6)


def bent(rng: Random, ids: Grid, amount: float, scale: float) -> Grid:
    """Return areas with wavy outlines."""
    h, w = ids.shape
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    x = x + amount * field(rng, (h, w), scale)
    y = y + amount * field(rng, (h, w), scale)
    moved = cv2.remap(ids.astype(np.float32), x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT)
    return moved.astype(np.int32)


def cells(rng: Random, shape: tuple[int, int], size: float) -> Grid:
    """Return areas of about this size that fill the picture."""
    h, w = shape
    count = max(2, int(h * w / size**2))
    seeds = np.ones(shape, np.uint8)
    seeds[rng.integers(0, h, count), rng.integers(0, w, count)] = 0
    areas = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)[1]
    return bent(rng, areas, rng.uniform(0.0, 0.35) * size, size * rng.uniform(0.5, 1.5))


def edges(ids: Grid) -> Grid:
    """Return where two areas meet."""
    found = np.zeros(ids.shape, bool)
    found[:, 1:] |= ids[:, 1:] != ids[:, :-1]
    found[1:] |= ids[1:] != ids[:-1]
    return found


def depth(mask: Grid) -> Grid:
    """Return the distance of each pixel of a mask to what is outside."""
    return cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)


def texture(rng: Random, shape: tuple[int, int], kind: int) -> Grid:
    """Return one of `TEXTURES`, of deviation 1 or so."""
    h, w = shape
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    if kind == 0:
        return 0.3 * field(rng, shape, rng.uniform(20, 80))
    if kind == 1:
        angle, period = rng.uniform(0, np.pi), rng.uniform(4, 24)
        along = x * np.cos(angle) + y * np.sin(angle) + rng.uniform(0, 6) * field(rng, shape, 60)
        return np.sin(along * 2 * np.pi / period) * 1.2
    if kind == 2:
        seeds = (rng.random(shape) < rng.uniform(0.004, 0.03)).astype(np.float32)
        spots = cv2.GaussianBlur(seeds, (0, 0), rng.uniform(0.8, 3))
        spots /= spots.std() + 1e-6
        return spots * rng.choice([-1, 1])
    noise = rng.standard_normal(shape).astype(np.float32)
    if kind == 3:
        noise = cv2.GaussianBlur(noise, (0, 0), rng.uniform(0.5, 3))
        return noise / noise.std()
    turn, length = rng.uniform(0, 180), int(rng.integers(9, 31)) | 1
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1
    middle = (length // 2, length // 2)
    kernel = cv2.warpAffine(kernel, cv2.getRotationMatrix2D(middle, turn, 1), (length, length))
    noise = cv2.filter2D(noise, -1, kernel)
    return noise / noise.std()


class Scene:
    """A picture in three channels, float32, and what each pixel shows."""

    def __init__(self, rng: Random, side: int) -> None:
        self.rng, self.side, self.shape = rng, side, (side, side)
        self.saturation = 0.0 if rng.random() < 0.5 else rng.uniform(0.2, 1.2)
        self.image = np.zeros((side, side, 3), np.float32)
        self.ids = np.zeros(self.shape, np.uint8)
        self.contrast = rng.uniform(0.5, 2.0)

    def colour(self, brightness: float | Grid) -> Grid:
        """Return colours of such a brightness."""
        grey = np.asarray(brightness, np.float32)[..., None]
        hue = self.rng.normal(0, 0.6, (*grey.shape[:-1], 3))
        return (grey + self.saturation * hue * self.contrast * (0.3 + np.abs(grey))).astype(np.float32)

    def tint(self) -> Grid:
        """Return how much a texture shows in each channel."""
        return (1 + min(self.saturation, 0.6) * self.rng.normal(0, 0.5, 3)).astype(np.float32)

    def regions(self) -> None:
        """Fill the picture with areas of a few textures, with or without borders between them."""
        rng = self.rng
        size = float(np.exp(rng.uniform(np.log(14), np.log(140))))
        kinds = rng.permutation(len(TEXTURES))[: rng.integers(1, 4)]
        areas = cells(rng, self.shape, size)
        count, way = int(areas.max()) + 1, rng.integers(0, 3)
        kind_of = rng.choice(kinds, count) if way < 2 else np.full(count, kinds[0])
        of_kind = self.colour(rng.normal(0, 1, len(TEXTURES)) * self.contrast)
        own = self.colour(rng.normal(0, 0.7, count) * self.contrast) if way == 1 else np.zeros((count, 3), np.float32)
        strength = rng.uniform(0.2, 1.0)
        for kind in kinds:
            mask = (kind_of == kind)[areas]
            if mask.any():
                drawn = texture(rng, self.shape, kind)[..., None] * strength * self.tint() + of_kind[kind]
                self.image[mask], self.ids[mask] = drawn[mask], kind
        self.image += own[areas]
        if rng.random() < 0.45:
            self._borders(areas)

    def _borders(self, areas: Grid) -> None:
        rng = self.rng
        width = np.clip(rng.uniform(0.8, 3.5) * (1 + 0.3 * field(rng, self.shape, 40)), 0.7, 6)
        mask = depth(~edges(areas)) <= width
        brightness = self.colour(rng.choice([-1, 1]) * rng.uniform(1.0, 3.0))
        drawn = brightness * (1 + 0.25 * field(rng, self.shape, 50))[..., None]
        self.image[mask] = (drawn + rng.uniform(0, 0.4) * self.image)[mask]
        self.ids[mask] = BORDER

    def objects(self) -> None:
        """Draw many objects of a kind: round, angular or of no shape; filled, hollow or shaded."""
        rng = self.rng
        size = float(np.exp(rng.uniform(np.log(4), np.log(45))))
        cover = rng.uniform(0.05, 0.35)
        count = int(min(400, max(1, cover * self.side**2 / (np.pi * size**2))))
        what = rng.random()
        angular = what > 0.75
        objects = self._shapes(size, count, angular) if what < 0.5 or angular else self._clouds(size, cover)
        mask = objects > 0
        base = self.image.mean((0, 1)) + self.colour(rng.choice([-1, 1]) * rng.uniform(0.6, 3) * self.contrast)
        base = base + self.colour(rng.normal(0, 0.35, int(objects.max()) + 1))[objects]
        pattern = texture(rng, self.shape, int(rng.integers(0, len(TEXTURES))))[..., None]
        pattern = pattern * rng.uniform(0, 0.8) * self.tint()
        base = base + pattern
        if rng.random() < 0.3:
            inner = depth(mask) > rng.uniform(1.5, 3.5)
            base[inner] = (self.image * 0.8 + pattern * 0.3)[inner]
        elif rng.random() < 0.3:
            shade = np.minimum(depth(mask & ~edges(objects)) / size, 1.5)
            base = base + (rng.choice([-1, 1]) * shade)[..., None]
        self.image[mask] = base[mask]
        if size < TINY:
            self.ids[mask] = DOT
            return
        self.ids[mask] = ANGULAR if angular else ROUND
        self.ids[cv2.dilate(edges(objects).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0] = RIM

    def _shapes(self, size: float, count: int, angular: bool) -> Grid:
        rng, objects = self.rng, np.zeros(self.shape, np.int32)
        for number in range(1, count + 1):
            a = size * np.exp(rng.normal(0, 0.3))
            b = a * rng.uniform(0.15 if angular else 0.5, 1)
            x, y = rng.uniform(0, self.side, 2).tolist()
            turn = rng.uniform(0, 180)
            if angular:
                turn = turn if rng.random() < 0.5 else round(turn / 90) * 90
                corners = cv2.boxPoints(((x, y), (float(2 * a), float(2 * b)), float(turn)))
                cv2.fillPoly(objects, [np.round(corners).astype(np.int32)], number)
            else:
                axes = (max(1, int(a)), max(1, int(b)))
                cv2.ellipse(objects, (int(x), int(y)), axes, float(turn), 0, 360, number, -1)
        return objects if angular else bent(rng, objects, rng.uniform(0, 0.25) * size, 2 * size + 4)

    def _clouds(self, size: float, cover: float) -> Grid:
        heights = field(self.rng, self.shape, 2 * size + 4)
        return cv2.connectedComponents((heights > np.quantile(heights, 1 - cover)).astype(np.uint8))[1]

    def lines(self) -> None:
        """Draw a few lines, straight or winding."""
        rng, mask = self.rng, np.zeros(self.shape, np.uint8)
        width, straight = int(rng.integers(1, 8)), rng.random() < 0.3
        for _ in range(int(rng.integers(1, 9))):
            at, angle = rng.uniform(0, self.side, 2), rng.uniform(0, 2 * np.pi)
            points = [at.copy()]
            for _ in range(int(rng.integers(10, 60))):
                angle += 0 if straight else rng.normal(0, 0.25)
                at = at + 6 * np.array([np.cos(angle), np.sin(angle)])
                points.append(at.copy())
            path = [np.round(np.array(points)).astype(np.int32)]
            cv2.polylines(mask, path, False, 1, max(1, width + int(rng.integers(-1, 2))), cv2.LINE_8)
        here = mask > 0
        colour = self.colour(rng.choice([-1, 1]) * rng.uniform(1.0, 3.0))
        self.image[here] = (self.image * 0.3 + self.image.mean((0, 1)) + colour)[here]
        self.ids[here] = LINE


def recorded(rng: Random, image: Grid) -> Grid:
    """Return a picture as a camera would: blurred, unevenly lit, noisy; uint8 (h, w, 3)."""
    shape = image.shape[:2]
    if rng.random() < 0.7:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 2.0))
    image = image / (image.std() + 1e-6)
    if rng.random() < 0.5:
        image = image + (rng.uniform(0.1, 0.8) * field(rng, shape, rng.uniform(80, 300)))[..., None]
    strength = rng.uniform(0.02, 0.7)
    grey = bool(np.allclose(image[..., 0], image[..., 1]))
    noise = rng.standard_normal((*shape, 1 if grey or rng.random() < 0.3 else 3)).astype(np.float32)
    if rng.random() < 0.4:
        noise = cv2.GaussianBlur(noise, (0, 0), rng.uniform(0.4, 1.2)).reshape(noise.shape)
        noise /= noise.std()
    image = image + strength * noise
    low, high = np.quantile(image, [0.002, 0.998])
    image = np.clip((image - low) / (high - low + 1e-6), 0, 1) ** np.exp(rng.normal(0, 0.25))
    return (image * 255).astype(np.uint8)


def draw(number: int, side: int = SIDE) -> tuple[Grid, Grid]:
    """Return a picture (h, w, 3) and what each pixel shows (h, w), both uint8; the same number, the same picture."""
    rng = np.random.default_rng((7, number))
    scene = Scene(rng, side)
    scene.regions()
    if rng.random() < 0.65:
        scene.objects()
    if rng.random() < 0.2:
        scene.objects()
    if rng.random() < 0.35:
        scene.lines()
    return recorded(rng, scene.image), scene.ids


def make(folder: Path, width: int, steps: int) -> None:
    """Draw pictures, learn from them, and keep the weights in 16 bits, without the layer of the answer."""
    for number in range(PICTURES):
        image, ids = draw(number)
        atomic_write(folder / "image" / f"{number:04d}.png", png.encode(image[..., ::-1]))
        write_label(folder / "label" / f"{number:04d}.png", ids, INDEX)
    dataset = Dataset.open(folder)
    dataset.set_encoding(INDEX)
    dataset.set_classes([ClassInfo(i, name, color_of(i)) for i, name in enumerate(CLASSES)])
    out = folder / "drawn.safetensors"
    config = TrainConfig(
        steps=steps,
        val="0-39",
        score="dice",
        normalisation="image",
        symmetries="turns",
        channels=DRAWN_CHANNELS,
        width=width,
        stem=2,
        crop=128,
        patience=0,
        first_weights="random",
        logs=False,
    )
    for event in train(dataset, out, config):
        if isinstance(event, Validated):
            print(f"step {event.step}, {event.seconds:.0f} s: Dice {event.score:.4f}", flush=True)
    keep(Model.load(out, "cpu"), drawn_file(width))


def keep(model: Model, path: Path) -> None:
    """Write what others begin with."""
    state = {name: value for name, value in model.net.state_dict().items() if not name.startswith(ANSWER)}
    state = {name: v.to(torch.float16) if v.is_floating_point() else v for name, v in state.items()}
    atomic_write(path, safetensors.torch.save(state))


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--steps", type=int, default=15_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), arguments.width, arguments.steps)


if __name__ == "__main__":
    main()
