"""What the labelled images are like: everything that training configures itself from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unet_gui.core.cv import cv2
from unet_gui.core.labels import UNLABELLED
from unet_gui.engine import distinct
from unet_gui.engine.data import Picture, histogram, middle
from unet_gui.engine.normalise import Stats


@dataclass(frozen=True)
class Fingerprint:
    """A summary of the labelled images.

    Attributes
    ----------
    images : int
        How many are learned from, if only a part of them.
    channels : int
        Of the network's input.
    median_side : int
        Median of the square root of the areas.
    labelled : float
        Share of pixels with a label.
    shares : tuple of float
        Share of each class among the labelled pixels.
    thickness : tuple of float
        For each class, how thick its parts typically are, in pixels (0: unknown).
    upright : bool
        Top and bottom of the images show different classes: the world has an up and a down there.
    handed : bool
        The same for left and right.
    spread : float
        Median of the standard deviation of grey values, over the images of the type that most are of.
    dtype : str
        That type.
    mean, std : tuple of float
        Medians over the images of the mean and spread of each channel.
    brighter : tuple of float
        For each class, the share of images in which it is brighter than the rest (NaN: unknown). Near 0 or 1 where all
        images have one polarity.
    absolute : bool
        Classes differ by their grey values as they are: see `distinct.are_absolute`.
    symmetries : str
        What may be done to the images without making one class look like another: see `distinct.symmetries`.
    held_back : int
        How many labelled images there are beside them, from which nothing is learned.
    """

    images: int
    channels: int
    median_side: int
    labelled: float
    shares: tuple[float, ...]
    thickness: tuple[float, ...]
    upright: bool
    handed: bool
    spread: float
    dtype: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    brighter: tuple[float, ...]
    absolute: bool = False
    symmetries: str = "turns"
    held_back: int = 0


@dataclass(frozen=True)
class Traits:
    """What is remembered of one image, so that not all need to be in memory at once.

    Attributes
    ----------
    key : str
    size : int
        Pixels.
    nbytes : int
        Memory it takes.
    counts : tuple of int
        Pixels of each class.
    stats : Stats
    thickness : tuple of float
        See `Fingerprint`.
    vertical, horizontal : ndarray or None
        Class shares in the first third minus those in the last.
    brighter : tuple of float
        For each class, its mean grey value minus that of the rest (NaN where either is missing).
    means, slopes : ndarray
        See `distinct.class_means` and `distinct.slopes`.
    """

    key: str
    size: int
    nbytes: int
    counts: tuple[int, ...]
    stats: Stats
    thickness: tuple[float, ...]
    vertical: NDArray[np.float64] | None
    horizontal: NDArray[np.float64] | None
    brighter: tuple[float, ...]
    means: NDArray[np.float64]
    slopes: NDArray[np.float64]


def traits_of(picture: Picture) -> Traits:
    """Measure one image."""
    label, classes = picture.label, len(picture.counts)
    sums = distinct.class_sums(picture.pixels, label, classes)
    return Traits(
        picture.key,
        label.size,
        picture.nbytes,
        picture.counts,
        picture.stats,
        tuple(_thickness(label, classes)),
        _ends(label, classes),
        _ends(label.T, classes),
        _brighter(*sums),
        distinct.class_means(*sums),
        distinct.slopes(picture.pixels, label, classes),
    )


def fingerprint(traits: Sequence[Traits], channels: int) -> Fingerprint:
    """Sum up the images."""
    counts = np.array([t.counts for t in traits], np.float64)
    total = counts.sum(0)
    sides = sorted(np.sqrt(t.size) for t in traits)
    thick = np.array([t.thickness for t in traits])
    types = [t.stats.dtype for t in traits]
    dtype = max(types, key=types.count)
    alike = [t for t in traits if t.stats.dtype == dtype]
    spread = float(np.median([np.mean(t.stats.std) for t in alike]))
    brighter = np.array([t.brighter for t in traits])
    evened = (np.array([t.stats.mean for t in alike]), np.array([t.stats.std for t in alike]))
    return Fingerprint(
        images=len(traits),
        channels=channels,
        median_side=round(float(sides[len(sides) // 2])),
        labelled=float(total.sum() / max(sum(t.size for t in traits), 1)),
        shares=tuple(float(v) for v in total / max(total.sum(), 1)),
        thickness=tuple(_median(column) for column in thick.T),
        upright=_differ([t.vertical for t in traits]),
        handed=_differ([t.horizontal for t in traits]),
        spread=spread,
        dtype=dtype,
        mean=tuple(float(v) for v in np.median([t.stats.mean for t in traits], axis=0)),
        std=tuple(float(v) for v in np.median([t.stats.std for t in traits], axis=0)),
        brighter=tuple(_share_above(column) for column in brighter.T),
        absolute=distinct.are_absolute(np.array([t.means for t in alike]), *evened),
        symmetries=distinct.symmetries(np.array([t.slopes for t in traits])),
    )


def _share_above(values: NDArray[np.float64]) -> float:
    """Return the share of the known numbers that are above 0."""
    known = values[~np.isnan(values)]
    return float((known > 0).mean()) if known.size else float("nan")


def _brighter(counts: NDArray[np.int64], sums: NDArray[np.float64]) -> tuple[float, ...]:
    """Return for each class its mean grey value minus that of the other labelled pixels; see `distinct.class_sums`."""
    grey = sums.mean(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        inside, outside = grey / counts, (grey.sum() - grey) / (counts.sum() - counts)
    return tuple(float(v) for v in inside - outside)


def _median(values: NDArray[np.float64]) -> float:
    """Return the median of what is known, 0 if nothing is."""
    known = values[values > 0]
    return float(np.median(known)) if known.size else 0.0


def _thickness(label: NDArray[np.uint8], classes: int) -> list[float]:
    """Return for each class twice the depth at its ridges, in pixels.

    Only where its outline is known: parts that end at unlabelled pixels (brush strokes) say nothing about objects.
    """
    found = []
    label = middle(label)
    dense = (label != UNLABELLED).mean() > 0.9
    for c in range(classes):
        mask = (label == c).astype(np.uint8)
        if not dense or not mask.any() or mask.all():
            found.append(0.0)
            continue
        depth = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
        ridge = (depth >= cv2.dilate(depth, np.ones((3, 3), np.uint8))) & (mask > 0)
        found.append(float(2 * np.median(depth[ridge])) if ridge.any() else 0.0)
    return found


def _ends(label: NDArray[np.uint8], classes: int) -> NDArray[np.float64] | None:
    """Return the class shares in the upper third minus those in the lower, None where either is unlabelled."""
    third = max(1, label.shape[0] // 3)
    upper, lower = (histogram(part)[:classes].astype(float) for part in (label[:third], label[-third:]))
    if not upper.sum() or not lower.sum():
        return None
    return upper / upper.sum() - lower / lower.sum()


def _differ(ends: Sequence[NDArray[np.float64] | None]) -> bool:
    """Whether the two ends of the images show different classes, more than chance from image to image would."""
    known = [e for e in ends if e is not None]
    if len(known) < 3:
        return False
    mean = np.abs(np.mean(known, axis=0)).sum()
    return bool(mean / 2 > 0.25 and mean > np.std(known, axis=0).sum())
