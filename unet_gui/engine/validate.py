"""How good is the network, on images it has not learned from, and at which operating point."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from unet_gui.core.cv import cv2
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.regions import grow
from unet_gui.engine.data import Picture, histogram
from unet_gui.engine.events import TICK, Event
from unet_gui.engine.predict import Predictor
from unet_gui.engine.scribbles import are_strokes, stand_for
from unet_gui.engine.tiles import plan_tiles

SCAN = tuple(float(v) for v in np.arange(-3.0, 5.01, 0.5))
"""Thresholds tried, as logits of class 1 against class 0."""
AS_GOOD = 0.01
"""Difference in Rand F between thresholds that is left to chance on a handful of images."""
SAFE = 2.0
"""Threshold in favour of the separating class that is taken where it is as good: cells rarely merge there."""
POINTS, NUMBERS = 200_000, 4_000_000
"""Pixels, and probabilities of classes, on which the offsets of many classes are searched."""
PAIRS = 4_000_000
"""Pairs of a true and a said region that are counted in a table."""


@dataclass(frozen=True)
class Outcome:
    """What a validation found.

    Attributes
    ----------
    score : float
        Mean Dice over the classes, or mean Rand F over the images, at ``offsets``.
    dice : tuple of float
        For each class, over all images together; NaN where there is none of it.
    loss : float
        Mean cross-entropy.
    offsets : tuple of float
        The operating point.
    """

    score: float
    dice: tuple[float, ...]
    loss: float
    offsets: tuple[float, ...]


@dataclass
class Answer:
    """The network's logits for one validation image and what is true there.

    Attributes
    ----------
    logits : ndarray
        ``(classes, h, w)``.
    label : ndarray
        ``(h, w)``, class ids and 255.
    weight : ndarray or None
        ``(h, w)``: for how many pixels each painted one stands; None: each for itself.
    """

    logits: NDArray[np.float32]
    label: NDArray[np.uint8]
    weight: NDArray[np.float32] | None = None

    def weights(self, at: NDArray[Any]) -> NDArray[np.float32] | None:
        """Return the weights at some places of the flattened image; None: each pixel stands for itself."""
        return None if self.weight is None else self.weight.ravel()[at]


def answer(predictor: Predictor, picture: Picture) -> Answer:
    """Predict a validation image."""
    arch, (h, w) = predictor.arch, picture.label.shape
    logits = np.empty((arch.classes, h, w), np.float32)
    for tile in plan_tiles((h, w), predictor.tile, arch.halo, arch.align):
        logits[(slice(None), *tile.core.slices)] = predictor.answer(picture.pixels, tile, picture.stats).cpu().numpy()
    return Answer(logits, picture.label)


class Judge:
    """Scores answers and chooses the operating point.

    That takes seconds where images are large. So it is done by generators, which yield a `Tick` after each image.

    Parameters
    ----------
    score : {"dice", "rand"}
    classes : int
    net : int
        For ``"rand"``: the class that separates regions of the others.
    """

    def __init__(self, score: str, classes: int, net: int = 0) -> None:
        self.score, self.classes, self.net = score, classes, net
        self._truth: dict[int, NDArray[np.int32]] = {}

    def judge(self, found: Sequence[Answer], near: tuple[float, ...] | None = None) -> Generator[Event, None, Outcome]:
        """Score at the best operating point.

        Parameters
        ----------
        found : sequence of Answer
        near : tuple of float, optional
            Operating point of the last time: only its neighbourhood is searched. Without it, the whole range.
        """
        if self.score == "rand":
            score, offsets = yield from self._rand(found, near)
            dice = yield from self._dice_at(found, offsets)
        else:
            offsets = yield from self._overlap(found, near)
            dice = yield from self._dice_at(found, offsets)
            score = mean_known(dice)
        return Outcome(score, dice, (yield from cross_entropy(found)), offsets)

    def settle(self, found: Sequence[Answer]) -> Generator[Event, None, Outcome]:
        """Choose the operating point over the whole range, and score.

        Where only strokes are painted, as for whole images. While it learns, a network is judged by the painted pixels
        as they are: few of them stand for most of the borders, and that estimate is too unsteady to compare by.
        """
        if self.score != "dice" or not are_strokes([a.label for a in found]):
            return (yield from self.judge(found))
        first = yield from self._overlap(found, None)
        offsets = yield from self._overlap(weighed(found, first), None)
        # the borders of the answer have moved: weighed again for the score, but not to choose again, which wanders off
        return (yield from self.at(weighed(found, offsets), offsets))

    def _overlap(
        self, found: Sequence[Answer], near: tuple[float, ...] | None
    ) -> Generator[Event, None, tuple[float, ...]]:
        """Return the operating point with the best mean Dice; the plain one where a single class is to be seen.

        Of that class nothing could be too much: the model would say it everywhere.
        """
        shown = sum(histogram(a.label)[: self.classes] > 0 for a in found)
        if np.count_nonzero(shown) < 2:
            return (0.0,) * self.classes
        return (yield from self._two(found)) if self.classes == 2 else self._many(found, near)

    def at(self, found: Sequence[Answer], offsets: tuple[float, ...]) -> Generator[Event, None, Outcome]:
        """Score at a given operating point."""
        dice = yield from self._dice_at(found, offsets)
        score = mean_known(dice)
        if self.score == "rand":
            rest = [o for c, o in enumerate(offsets) if c != self.net]
            score = yield from self._rand_at(found, offsets[self.net] - max(rest))
        return Outcome(score, dice, (yield from cross_entropy(found)), offsets)

    # --- regions

    def _rand(
        self, found: Sequence[Answer], near: tuple[float, ...] | None
    ) -> Generator[Event, None, tuple[float, tuple[float, ...]]]:
        """Try thresholds; of the range in which they are as good as the best, the one nearest to `SAFE` wins.

        Scores are smoothed first, as a lone peak is luck. On easy images thresholds are as good from the plain decision
        up to very high ones; on harder ones, which are still to come, cells merge near its low end.
        """
        scan = list(SCAN)
        if near is not None:
            scan = [near[self.net] + d for d in (-1.0, -0.5, 0.0, 0.5, 1.0)]
        scores: list[float] = []
        for threshold in scan:
            score = yield from self._rand_at(found, threshold)
            scores.append(score)
        padded = np.pad(scores, 1, mode="edge")
        smooth = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
        best = low = high = int(smooth.argmax())
        while low > 0 and smooth[low - 1] >= smooth[best] - AS_GOOD:
            low -= 1
        while high < len(scan) - 1 and smooth[high + 1] >= smooth[best] - AS_GOOD:
            high += 1
        chosen = float(np.clip(SAFE, scan[low], scan[high]))
        score = yield from self._rand_at(found, chosen)
        return score, tuple(chosen if c == self.net else 0.0 for c in range(self.classes))

    def _rand_at(self, found: Sequence[Answer], offset: float) -> Generator[Event, None, float]:
        """Return the mean Rand F where the net gets this offset and the other classes none."""
        scores = []
        for i, answer in enumerate(found):
            scores.append(self._rand_of(i, answer, offset))
            yield TICK
        return mean_known(scores)

    def _rand_of(self, number: int, answer: Answer, offset: float) -> float:
        if number not in self._truth:
            inner = (answer.label != self.net) & (answer.label != UNLABELLED)
            self._truth[number] = connected(inner)
        others = np.delete(answer.logits, self.net, axis=0)
        margin = (others[0] if len(others) == 1 else others.max(0)) - answer.logits[self.net]
        return rand_f(self._truth[number], grow(connected(margin >= offset)))

    # --- overlap

    def _two(self, found: Sequence[Answer]) -> Generator[Event, None, tuple[float, ...]]:
        """Return the threshold with the best mean Dice, from histograms."""
        edges = np.linspace(-6, 6, 97)
        hist = np.zeros((2, len(edges) + 1))
        for a in found:
            bins = np.searchsorted(edges, (a.logits[1] - a.logits[0]).ravel(), side="right")
            for c in (0, 1):
                at = a.label.ravel() == c
                hist[c] += np.bincount(bins[at], a.weights(at), len(edges) + 1)
            yield TICK
        below = hist.cumsum(1)[:, :-1]  # of each class, below each edge: called class 0
        total = hist.sum(1)
        hit0, hit1 = below[0], total[1] - below[1]
        dice0 = 2 * hit0 / np.maximum(hit0 + below[1] + total[0], 1)
        dice1 = 2 * hit1 / np.maximum(hit1 + (total[0] - below[0]) + total[1], 1)
        mean = (dice0 + dice1) / 2
        smooth = np.convolve(np.pad(mean, 2, mode="edge"), np.ones(5) / 5, mode="valid")
        middle = len(edges) // 2
        best = int(smooth.argmax())
        if smooth[best] - smooth[middle] < 5e-4:  # not worth leaving the plain decision
            best = middle
        return (float(edges[best]), 0.0)

    def _many(self, found: Sequence[Answer], near: tuple[float, ...] | None) -> tuple[float, ...]:
        """Return offsets for many classes, one after the other, on some of the pixels."""
        offsets = np.zeros(self.classes)
        if near is not None:
            return tuple(near)
        logits, truth, weight = self._some(found)
        if not truth.size:
            return tuple(offsets.tolist())
        said = logits.argmax(0)
        best = mean_known(self._dice(self._table(truth, said, weight)))
        for _ in range(2):
            for c in range(self.classes):
                others = logits + offsets[:, None].astype(np.float32)
                own, others[c] = others[c].copy(), -np.inf
                second = others.argmax(0)
                margin = own - np.take_along_axis(others, second[None], 0)[0]
                moved = 0.0
                for step in (-1.0, -0.5, 0.5, 1.0):
                    said = np.where(margin + np.float32(moved + step) > 0, c, second)
                    value = mean_known(self._dice(self._table(truth, said, weight)))
                    if value > best + 1e-3:
                        best, moved = value, moved + step
                offsets[c] += moved
        return tuple(float(v) for v in offsets)

    def _some(
        self, found: Sequence[Answer]
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32] | None]:
        """Return logits, truth and weights of some of the painted pixels."""
        points = min(POINTS, NUMBERS // self.classes)
        step = max(1, sum(int((a.label != UNLABELLED).sum()) for a in found) // points)
        logits, truth, weights = [], [], []
        for a in found:
            at = np.flatnonzero(a.label != UNLABELLED)[::step]
            logits.append(a.logits.reshape(self.classes, -1)[:, at])
            truth.append(a.label.ravel()[at])
            weights.append(a.weights(at))
        known = [w for w in weights if w is not None]
        return np.concatenate(logits, axis=1), np.concatenate(truth), np.concatenate(known) if known else None

    def _dice_at(self, found: Sequence[Answer], offsets: Sequence[float]) -> Generator[Event, None, tuple[float, ...]]:
        table = np.zeros((self.classes, self.classes))
        for a in found:
            at = (a.label != UNLABELLED).ravel()
            table += self._table(a.label.ravel()[at], decided(a.logits, offsets).ravel()[at], a.weights(at))
            yield TICK
        return self._dice(table)

    def _table(self, truth: NDArray[np.uint8], said: NDArray[np.int64], weight: NDArray[np.float32] | None) -> NDArray:
        """Return how much is of each class (rows) and said to be of each class (columns)."""
        pairs = truth.astype(np.int64) * self.classes + said
        return np.bincount(pairs, weight, self.classes**2).reshape(self.classes, self.classes)

    def _dice(self, table: NDArray[np.float64]) -> tuple[float, ...]:
        hits, sums = np.diag(table), table.sum(0) + table.sum(1)
        return tuple(float(2 * h / s) if s else float("nan") for h, s in zip(hits, sums, strict=True))


def weighed(found: Sequence[Answer], offsets: tuple[float, ...]) -> list[Answer]:
    """Return the answers with what each painted pixel stands for, seen from an operating point."""
    said = [decided(a.logits, offsets) for a in found]
    weights = stand_for([a.logits for a in found], [a.label for a in found], said)
    return [dataclasses.replace(a, weight=w) for a, w in zip(found, weights, strict=True)]


def decided(logits: NDArray[np.float32], offsets: Sequence[float]) -> NDArray[np.int64]:
    """Return the classes that the prediction would say: see `prediction.decide`."""
    if len(logits) == 2:
        return (logits[1] - logits[0] >= offsets[0] - offsets[1]).astype(np.int64)
    return (logits + np.asarray(offsets, np.float32)[:, None, None]).argmax(0)


def mean_known(values: Sequence[float]) -> float:
    """Return the mean without NaN; NaN of nothing."""
    known = [v for v in values if v == v]
    return float(np.mean(known)) if known else float("nan")


def cross_entropy(found: Sequence[Answer]) -> Generator[Event, None, float]:
    """Return the mean cross-entropy over the labelled pixels."""
    total, count = 0.0, 0.0
    for a in found:
        label = torch.from_numpy(a.label.astype(np.int64))[None]
        kind = "sum" if a.weight is None else "none"
        loss = F.cross_entropy(torch.from_numpy(a.logits)[None], label, ignore_index=UNLABELLED, reduction=kind)
        total += float(loss if a.weight is None else (loss[0] * torch.from_numpy(a.weight)).sum())
        count += float((a.label != UNLABELLED).sum() if a.weight is None else a.weight.sum())
        yield TICK
    return total / count if count else float("nan")


def connected(inner: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Number the regions connected over edges, as `unet_gui.core.regions.regions_of` does."""
    return cv2.connectedComponents(inner.astype(np.uint8), connectivity=4, ltype=cv2.CV_32S)[1]


def rand_f(truth: NDArray[np.int32], said: NDArray[np.int32]) -> float:
    """Return Rand F of regions where the truth has one (not 0): `partition_scores` without the rest, fast."""
    inside = truth > 0
    if not inside.any():
        return float("nan")
    t, s = truth[inside].astype(np.int64), said[inside].astype(np.int64)
    keys = t * (int(s.max()) + 1) + s
    # many regions meet few others: counted one by one they would need as much memory as all pairs together
    pairs = (np.bincount(keys) if keys.max() <= PAIRS else np.unique(keys, return_counts=True)[1]).astype(np.float64)
    together = float((pairs**2).sum())
    return 2 * together / float((np.bincount(t).astype(float) ** 2).sum() + (np.bincount(s).astype(float) ** 2).sum())
