"""Regions separated by a thin net (cells by membranes, grains by borders), and how well they are told apart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from unet_gui.core.cv import cv2
from unet_gui.core.encoding import present
from unet_gui.core.geometry import middle_of
from unet_gui.core.labels import UNLABELLED

_SPECK = 20  # smaller regions do not show that a net separates something
_CLOSED = 0.95  # of a net's middle line: membranes of ISBI 2012 and of the built-in sample have 0.988 and more
_SEEN = 2048  # side of the part of a picture where nets are looked for


class RegionScores(NamedTuple):
    """Agreement of regions.

    Attributes
    ----------
    rand_f : float
        Adapted Rand F: 1 is perfect, 0 is none.
    precision, recall : float
        Of pairs of pixels; low precision: regions were merged, low recall: regions were split.
    split, merge : float
        Variation of information in bits: of regions split that are one, of regions merged that are several.
    """

    rand_f: float
    precision: float
    recall: float
    split: float
    merge: float

    @property
    def vi(self) -> float:
        """Variation of information in bits, 0 is perfect."""
        return self.split + self.merge


def regions_of(ids: np.ndarray, membrane: int) -> np.ndarray:
    """Number the connected regions (over edges, not corners) of everything that is neither membrane nor unlabelled.

    Parameters
    ----------
    ids : numpy.ndarray
        uint8 (h, w), class ids and 255.
    membrane : int
        Class that separates.

    Returns
    -------
    numpy.ndarray
        int32 (h, w): 0 is membrane or unlabelled, 1… one region each.
    """
    inside = ((ids != membrane) & (ids != UNLABELLED)).astype(np.uint8)
    return cv2.connectedComponents(inside, connectivity=4, ltype=cv2.CV_32S)[1]


def grow(regions: np.ndarray) -> np.ndarray:
    """Let regions grow into the membrane until they meet, so that its thickness counts for nothing.

    Every pixel of the membrane goes to the nearest region: the same as flooding it from all regions at one speed.

    Parameters
    ----------
    regions : numpy.ndarray
        int32 (h, w), 0 is membrane.

    Returns
    -------
    numpy.ndarray
        int32 (h, w) without 0, unless there is no region at all.
    """
    membrane = (regions == 0).astype(np.uint8)
    if not membrane.any() or membrane.all():
        return regions
    nearest = cv2.distanceTransformWithLabels(membrane, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)[1]
    inside = regions > 0
    owner = np.zeros(int(nearest.max()) + 1, np.int32)
    owner[nearest[inside]] = regions[inside]
    return owner[nearest]


def region_scores(truth: np.ndarray, predicted: np.ndarray, membrane: int = 0) -> RegionScores:
    """Compare the regions of two labels as in ISBI-2012: borders thinned, restricted to the true regions.

    The predicted regions grow until they meet (`grow`); then only pixels inside the truth's regions count, so
    neither the thickness of a membrane nor a border shifted within the true membrane costs anything.

    Parameters
    ----------
    truth : numpy.ndarray
        uint8 (h, w), class ids; where it is 255 nothing is counted.
    predicted : numpy.ndarray
        uint8 (h, w), class ids.
    membrane : int
        Class that separates regions.

    Returns
    -------
    RegionScores
        All nan where the truth has no region.

    Raises
    ------
    ValueError
        The sizes differ.
    """
    if truth.shape != predicted.shape:
        raise ValueError(f"truth is {truth.shape}, prediction is {predicted.shape}")
    return partition_scores(regions_of(truth, membrane), grow(regions_of(predicted, membrane)))


def partition_scores(truth: np.ndarray, predicted: np.ndarray) -> RegionScores:
    """Compare two partitions into numbered regions; where the truth is 0 nothing is counted.

    Parameters
    ----------
    truth, predicted : numpy.ndarray
        Integer (h, w).
    """
    from skimage.metrics import adapted_rand_error, variation_of_information

    if not truth.any():
        return RegionScores(*[float("nan")] * 5)
    with np.errstate(invalid="ignore", divide="ignore"):
        # scikit-image divides by the pairs of the truth first: that is what everybody else calls recall
        error, recall, precision = adapted_rand_error(truth, predicted, ignore_labels=(0,))
    split, merge = variation_of_information(truth, predicted, ignore_labels=(0,))
    return RegionScores(1.0 - float(error), float(precision), float(recall), abs(float(split)), abs(float(merge)))


def rand_f(truth: np.ndarray, predicted: np.ndarray, membrane: int = 0) -> float:
    """Return the adapted Rand F of `region_scores`."""
    return region_scores(truth, predicted, membrane).rand_f


def variation_of_information(truth: np.ndarray, predicted: np.ndarray, membrane: int = 0) -> tuple[float, float]:
    """Return (split, merge) in bits of `region_scores`."""
    scores = region_scores(truth, predicted, membrane)
    return scores.split, scores.merge


def thin_net_class(labels: Iterable[np.ndarray]) -> int | None:
    """Return the class that is a thin net separating regions of the others, None when there is none.

    A net is thin (at most half as thick as what lies between), separates (without it the rest falls into several
    regions, and the largest is not nearly all) and is closed: nearly everywhere along it, one side is another region
    than the other. Trees of vessels, roots and cracks meet and cross as well, but most of them have loose ends, and
    what they enclose means nothing. Unlabelled pixels count as passable: they separate nothing.

    Parameters
    ----------
    labels : iterable of numpy.ndarray
        uint8 (h, w), class ids and 255; a few of a folder are enough. Of large ones the middle is looked at.
    """
    return voted(nets_of(ids) for ids in labels)


def nets_of(ids: np.ndarray) -> dict[int, bool]:
    """Return for each class that one label shows whether it is a net there: see `thin_net_class`."""
    ids = ids[middle_of(ids.shape, _SEEN).slices]
    return {i: _is_net(ids, i) for i in set(present(ids).tolist()) - {UNLABELLED}}


def voted(found: Iterable[dict[int, bool]]) -> int | None:
    """Return the class that is a net in most labels that show it, given `nets_of` some; None where there is none."""
    votes: dict[int, list[bool]] = {}
    for nets in found:
        for i, is_net in nets.items():
            votes.setdefault(i, []).append(is_net)
    shares = {i: sum(said) / len(said) for i, said in votes.items()}
    best = max(shares, key=lambda i: shares[i], default=None)
    return best if best is not None and shares[best] > 0.5 else None


def _is_net(ids: np.ndarray, net: int) -> bool:
    mask = (ids == net).astype(np.uint8)
    rest = 1 - mask
    count, regions, stats, _ = cv2.connectedComponentsWithStats(rest, connectivity=4, ltype=cv2.CV_32S)
    areas = stats[1:count, cv2.CC_STAT_AREA]
    areas = areas[areas >= _SPECK]
    if len(areas) < 4 or areas.max() > 0.7 * areas.sum():
        return False
    return 2 * _thickness(mask) <= _thickness(rest) and _closed(mask, regions) >= _CLOSED


def _closed(mask: np.ndarray, regions: np.ndarray) -> float:
    """Return along which share of its middle line a net has two regions at its sides."""
    from skimage.morphology import skeletonize

    half, nearest = cv2.distanceTransformWithLabels(mask, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    side = np.zeros(nearest.max() + 1, np.float32)
    side[nearest[mask == 0]] = regions[mask == 0]
    sides, around = side[nearest], np.ones((5, 5), np.uint8)
    down, across = (np.minimum(np.arange(n), np.arange(n)[::-1]) for n in mask.shape)
    middle = skeletonize(mask > 0) & (np.minimum.outer(down, across) > half + 2)  # both sides are in the picture
    apart = (cv2.dilate(sides, around) != cv2.erode(sides, around))[middle]
    return float(apart.mean()) if apart.size else 1.0


def _thickness(mask: np.ndarray) -> float:
    """Return how thick a class is: the distance to its edge that a tenth of its pixels exceed, in pixels."""
    distance = cv2.distanceTransform(np.pad(mask, 1), cv2.DIST_L2, 5)
    return float(np.percentile(distance[distance > 0], 90)) if mask.any() else 0.0
