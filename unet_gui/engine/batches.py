"""What is learned at each step. A batch depends on the seed and the step's number alone, so a run can be resumed."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unet_gui.core.errors import UserError
from unet_gui.core.labels import UNLABELLED
from unet_gui.engine.augment import cut, cut_plain, draw_colours, draw_geometry, recolour, window_side
from unet_gui.engine.augment_gpu import Windows
from unet_gui.engine.data import Entry, Picture, Pictures
from unet_gui.engine.plan import Plan

TRIES = 16
"""Places compared to find one with many strokes around it."""
CROWDED = 0.75
"""Share of the crops that are cut where strokes are many, at first."""
CROWDED_SAMPLES = 12_000
"""Samples after which it is half of that."""
PER_READ = 32
"""Crops cut from an image until it is given away, where memory does not hold all: to read one may take a second."""
FIRST_WINDOW, GROWTH = 16, 8
"""Images drawn from at first, and after how many crops there is one more."""
AGAIN = 1000
"""Samples after which an image that could not be read is tried again."""
SELDOM = 0.1
"""A class that fewer of the images show is looked for in this share of the crops."""


@dataclass(frozen=True)
class Batch:
    """Input ``(n, c, h, w)`` float32 and truth ``(n, h, w)`` uint8 of one step."""

    x: Tensor
    y: Tensor

    def vary(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return both on the device; they are varied already."""
        early = device.type == "cuda"  # elsewhere the memory may be used again before it has been read
        return self.x.to(device, non_blocking=early), self.y.to(device, non_blocking=early)


class BatchMaker:
    """Makes the batch of any step.

    Parameters
    ----------
    pictures : Pictures
    entries : sequence of Entry
        The images to learn from.
    plan : Plan
    seed : int
    repeats : sequence of int, optional
        How often each image comes in one pass, more often for larger ones.
    rank, ranks : int
        This process's number among those that train together.
    on_card : bool
        Leave the variations to a graphics card: see `augment_gpu`.
    seldom : mapping of int to sequence of int, optional
        See `seldom_classes`.

    Attributes
    ----------
    at_once : int
        Images that are drawn from at one time, where memory does not hold all; 0 = all.
    lost : dict of Entry to UserError or OSError
        Images that cannot be read any more, or not now; others are learned from in their place.
    """

    def __init__(
        self,
        pictures: Pictures,
        entries: Sequence[Entry],
        plan: Plan,
        seed: int,
        repeats: Sequence[int] | None = None,
        rank: int = 0,
        ranks: int = 1,
        on_card: bool = False,
        seldom: Mapping[int, Sequence[int]] | None = None,
    ) -> None:
        self.on_card = on_card and plan.crop > 0
        self.pictures, self.entries, self.plan, self.seed = pictures, tuple(entries), plan, seed
        self.rank, self.ranks, self._shift = rank, ranks, 0
        self.seldom = list((seldom or {}).items())
        self.at_once = 0
        self.lost: dict[Entry, UserError | OSError] = {}
        self._again: dict[Entry, int] = {}
        repeats = repeats or [1] * len(self.entries)
        self.cards = np.repeat(np.arange(len(self.entries)), repeats)

    @property
    def per_step(self) -> int:
        """Crops of all processes in one step."""
        return self.plan.batch * self.ranks

    @property
    def steps_per_epoch(self) -> int:
        """Steps in which every image comes once (larger ones more often)."""
        return max(1, -(-len(self.cards) // self.per_step))

    def fit_memory(self, nbytes: float) -> None:
        """Draw from no more images at one time than fit into memory, given what all of them take in bytes."""
        share = 0.8 * self.pictures.budget / max(nbytes, 1)
        self.at_once = 0 if share >= 1 or not self.plan.crop else max(1, int(share * len(self.cards)))

    def first_of(self, step: int) -> int:
        """Return the number of the first sample of a step, counted from the beginning of the training."""
        return step * self.per_step + self._shift

    def continue_at(self, step: int, samples: int) -> None:
        """Let a step begin with this sample: so nothing is repeated when a run goes on with more or fewer processes."""
        self._shift = samples - step * self.per_step

    def make(self, step: int) -> Batch | Windows:
        """Return the batch of a step.

        Raises
        ------
        UserError
            Half of the images or labels cannot be read any more.
        """
        first = self.first_of(step) + self.rank * self.plan.batch
        numbers = range(first, first + self.plan.batch)
        if self.on_card:
            return self._windows(numbers)
        crops = [self._sample(number) for number in numbers]
        return Batch(_stacked([c[0] for c in crops]), torch.from_numpy(np.stack([c[1] for c in crops])))

    def _picture(self, number: int) -> tuple[Picture, np.random.Generator, int | None]:
        """Return the image of a sample, counted from the beginning, its random numbers, and the class looked for."""
        rng = np.random.default_rng((self.seed, 2, number))
        if self.seldom and rng.random() < SELDOM:
            c, those = self.seldom[int(rng.integers(len(self.seldom)))]
            picture = self._load(those[int(rng.integers(len(those)))], number)
            return picture, rng, c if picture.counts[c] else None
        card = number
        if self.at_once:  # not all fit into memory: draw from some, of which one is replaced now and then
            card = number // PER_READ + int(rng.integers(min(self.at_once, FIRST_WINDOW + number // GROWTH)))
        turn, place = divmod(card, len(self.cards))
        order = np.random.default_rng((self.seed, 1, turn)).permutation(len(self.cards))
        return self._load(int(self.cards[order[place]]), number), rng, None

    def _load(self, index: int, number: int) -> Picture:
        """Return an image, or the next one where it has been deleted, damaged or given a new class meanwhile.

        A disk may be away for a moment only, so it is tried again some samples later.
        """
        while True:
            entry = self.entries[index % len(self.entries)]
            index += 1
            if number < self._again.get(entry, 0):
                continue
            try:
                picture = self.pictures.load(entry)
            except (UserError, OSError) as error:
                self.lost[entry] = error
                self._again[entry] = number + AGAIN
                if 2 * len(self.lost) >= len(self.entries):
                    text = f"{len(self.lost)} of {len(self.entries)} images cannot be read any more."
                    raise UserError(text, hint="Is the disk still there?", details=str(error)) from error
            else:
                self.lost.pop(entry, None)
                return picture

    def _sample(self, number: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Return a sample, varied."""
        picture, rng, wanted = self._picture(number)
        if not self.plan.crop:
            return self._whole(picture, rng)
        for attempt in range(3):
            center = self._center(picture, rng, number, attempt > 0, wanted)
            pixels, label = cut(picture.pixels, picture.label, center, self.plan.crop, self.plan.augmentation, rng)
            if (label != UNLABELLED).any():
                break
        pixels = self.plan.normalisation.apply(pixels, picture.stats)
        return recolour(pixels, self.plan.augmentation, rng), label

    def _windows(self, numbers: Sequence[int]) -> Windows:
        """Return the samples as they are in their images, with what is to be varied."""
        plan, channels = self.plan, self.plan.arch.in_channels
        side, still = window_side(plan.crop, plan.augmentation), np.eye(2)
        middle = slice((side - plan.crop) // 2, (side + plan.crop) // 2)
        pixels, labels, scales, geometry, colours = [], [], [], [], []
        for number in numbers:
            picture, rng, wanted = self._picture(number)
            for attempt in range(3):
                center = self._center(picture, rng, number, attempt > 0, wanted)
                window, label = cut_plain(picture.pixels, picture.label, center, side, still)
                if (label[middle, middle] != UNLABELLED).any():
                    break
            pixels.append(window)
            labels.append(label)
            scales.append(plan.normalisation.numbers(picture.stats, channels))
            geometry.append(draw_geometry(plan.crop, plan.augmentation, rng))
            colours.append(draw_colours(plan.augmentation, rng))
        made = Windows(
            _stacked(pixels),
            torch.from_numpy(np.stack(labels)),
            plan.crop,
            torch.from_numpy(np.stack(scales, axis=1)),
            geometry,
            colours,
        )
        return made.pinned() if torch.cuda.is_available() else made

    def _whole(self, picture: Picture, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Return the whole image, flipped one of four ways (the tutorial)."""
        pixels, label = picture.pixels, picture.label
        way = int(rng.integers(4))
        if way & 1:
            pixels, label = pixels[::-1], label[::-1]
        if way & 2:
            pixels, label = pixels[:, ::-1], label[:, ::-1]
        return self.plan.normalisation.apply(pixels, picture.stats), np.ascontiguousarray(label)

    def _center(
        self, picture: Picture, rng: np.random.Generator, number: int, near: bool, wanted: int | None
    ) -> tuple[float, float]:
        """Draw the middle of a crop: anywhere, or near a labelled pixel of a class drawn first.

        Of strokes a crop holds a few hundred pixels, and learning is slow. So it begins mostly where there are more of
        them; strokes that lie alone get their turn, later a larger one.
        """
        h, w = picture.label.shape
        crop = self.plan.crop
        sparse = picture.painted is not None
        crowded = sparse and not near and rng.random() < CROWDED / (1 + number / CROWDED_SAMPLES)
        tries = TRIES if crowded else 1
        if near or sparse or wanted is not None or rng.random() < self.plan.balance:
            x, y = self._points(picture, rng, tries, wanted)
            if not near:
                x, y = x + rng.uniform(-0.35, 0.35, tries) * crop, y + rng.uniform(-0.35, 0.35, tries) * crop
        else:
            x, y = rng.uniform(0, w, tries), rng.uniform(0, h, tries)
        edge = 0.35 * crop  # a crop may reach beyond the image a little: there, nothing is labelled
        x = np.clip(x, edge, w - edge) if w > 2 * edge else np.full(tries, w / 2)
        y = np.clip(y, edge, h - edge) if h > 2 * edge else np.full(tries, h / 2)
        best = int(picture.painted_around(x, y, crop).argmax())
        return float(x[best]) - 0.5, float(y[best]) - 0.5

    def _points(
        self, picture: Picture, rng: np.random.Generator, count: int, wanted: int | None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Draw pixels of a class, each that the image shows with equal chances; return columns and rows."""
        h, w = picture.label.shape
        shown = np.array([n > 0 for n in picture.counts], float)
        if not shown.any():
            return np.full(count, w / 2), np.full(count, h / 2)
        c = wanted if wanted is not None else rng.choice(len(shown), p=shown / shown.sum())
        places = rng.choice(picture.points[c], count)
        return (places % w).astype(float), (places // w).astype(float)


def _stacked(pictures: Sequence[NDArray]) -> Tensor:
    """Return pictures ``(h, w)`` or ``(h, w, c)`` as one tensor ``(n, c, h, w)``."""
    x = np.stack([p if p.ndim == 3 else p[..., None] for p in pictures])
    return torch.from_numpy(np.ascontiguousarray(x)).permute(0, 3, 1, 2)


class Prefetcher:
    """Makes batches ahead in one thread. Use as a context manager.

    Attributes
    ----------
    waited : float
        Seconds the training has waited for data.
    """

    def __init__(
        self, make: Callable[[int], Batch | Windows], first: int, *, ahead: int = 4, threaded: bool = True
    ) -> None:
        self.waited = 0.0
        self._make, self._next, self._threaded = make, first, threaded
        self._stop = threading.Event()
        self._queue: queue.Queue[Batch | Windows | BaseException] = queue.Queue(ahead)
        self._thread = threading.Thread(target=self._work, args=(first,), name="batches", daemon=True)
        if threaded:
            self._thread.start()

    def _work(self, step: int) -> None:
        while not self._stop.is_set():
            made: Batch | Windows | BaseException
            try:
                made = self._make(step)
            except Exception as error:  # noqa: BLE001 - whatever it is, `get` raises it: nobody must wait for ever
                made = error
            while not self._stop.is_set():
                try:
                    self._queue.put(made, timeout=0.1)
                    break
                except queue.Full:
                    continue
            if isinstance(made, BaseException):
                return
            step += 1

    def get(self) -> Batch | Windows:
        """Return the next batch; raises what making it raised."""
        start = time.perf_counter()
        made = self._queue.get() if self._threaded else self._make(self._next)
        self._next += 1
        self.waited += time.perf_counter() - start
        if isinstance(made, BaseException):
            raise made
        return made

    def close(self) -> None:
        """Stop the thread."""
        self._stop.set()
        if self._threaded:
            self._thread.join()

    def __enter__(self) -> Prefetcher:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def seldom_classes(counts: Sequence[Sequence[int]]) -> dict[int, tuple[int, ...]]:
    """Return for each class that only few images show which ones do: images are drawn evenly, it would starve.

    Parameters
    ----------
    counts : sequence of sequence of int
        For each image, pixels of each class.
    """
    shown = np.asarray(counts) > 0
    few = [c for c in range(shown.shape[1]) if 0 < shown[:, c].sum() < SELDOM * len(shown)]
    return {c: tuple(np.flatnonzero(shown[:, c]).tolist()) for c in few}


def repeats_for(labelled: Sequence[int], crop: int) -> list[int]:
    """Return how often each image comes in one pass: by the root of its labelled area in crops, at most 8 times.

    Parameters
    ----------
    labelled : sequence of int
        Labelled pixels of each image.
    crop : int
        Side of a crop; 0 = whole images, each of which comes once.
    """
    if not crop:
        return [1] * len(labelled)
    areas = [max(1.0, n / crop**2) for n in labelled]
    least = min(areas, default=1.0)
    return [int(min(8, max(1, round((a / least) ** 0.5)))) for a in areas]
