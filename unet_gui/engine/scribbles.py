"""For how many pixels a painted one stands, where people painted strokes instead of whole images.

Strokes are no fair sample: rare things get as many as common ones, and few lie beside borders, which is where a network
errs. Scores of painted pixels alone come out too high, and the operating point that is best for them makes nuclei too
fat and membranes too thick. So each painted pixel is given a weight: the number of pixels it stands for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from unet_gui.core.cv import cv2
from unet_gui.core.labels import UNLABELLED
from unet_gui.engine.data import SPARSE

RINGS = (0.5, 2.5)
"""Distances in pixels to the next border of the answer that divide an image into rings."""
FEW = 20
"""Painted pixels of a class in a ring that say nothing about it."""
ROUNDS = 300


def are_strokes(labels: Sequence[NDArray[np.uint8]]) -> bool:
    """Whether only a small part of these images is painted."""
    painted = sum(int((label != UNLABELLED).sum()) for label in labels)
    return 0 < painted < SPARSE * sum(label.size for label in labels)


def stand_for(
    logits: Sequence[NDArray[np.float32]], labels: Sequence[NDArray[np.uint8]], said: Sequence[NDArray[np.int64]]
) -> list[NDArray[np.float32]]:
    """Return the weight of each pixel; see `ring_weights`.

    Returns
    -------
    list of ndarray
        ``(h, w)`` for each image, 0 where nothing is painted; the sum of all is the number of pixels, as far as every
        ring has painted ones.
    """
    places = [rings_of(ids) for ids in said]
    weights = ring_weights(logits, labels, places)
    by_id = np.zeros((len(weights), 256), np.float32)
    by_id[:, : weights.shape[1]] = weights
    return [by_id[place, label] for place, label in zip(places, labels, strict=True)]


def ring_weights(
    logits: Sequence[NDArray[np.float32]], labels: Sequence[NDArray[np.uint8]], places: Sequence[NDArray[np.uint8]]
) -> NDArray[np.float64]:
    """Return for how many pixels a painted one stands, by its ring and class.

    Parameters
    ----------
    logits : sequence of ndarray
        For each image ``(classes, h, w)``.
    labels : sequence of ndarray
        ``(h, w)``, class ids and 255.
    places : sequence of ndarray
        ``(h, w)``, the ring of each pixel: see `rings_of`.

    Returns
    -------
    ndarray
        ``(rings, classes)``.

    Notes
    -----
    Within a ring around the borders of the answer, what is painted of a class is taken to look like all of that class
    there; only how often each class was painted is not. Then the mean answer of the ring is a mixture of the mean
    answers for each class, and its shares are found as the most likely ones by expectation–maximisation. It is
    black-box shift estimation (Lipton et al., 2018, arXiv:1802.03916) in strata.
    """
    classes, rings = len(logits[0]), len(RINGS) + 1
    painted = np.zeros((rings, classes))
    answers = np.zeros((rings, classes, classes))  # ring, true class, answered class
    everything = np.zeros((rings, classes))
    for raw, label, place in zip(logits, labels, places, strict=True):
        p = np.exp(raw - raw.max(0))
        p /= p.sum(0)
        known = label != UNLABELLED
        group = place[known].astype(np.int64) * classes + label[known]
        painted += np.bincount(group, minlength=rings * classes).reshape(rings, classes)
        for c in range(classes):
            answers[:, :, c] += np.bincount(group, p[c][known], rings * classes).reshape(rings, classes)
            everything[:, c] += np.bincount(place.ravel(), p[c].ravel(), rings)
    return np.stack([_weights(*of) for of in zip(painted, answers, everything, strict=True)])


def rings_of(said: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return for each pixel of an answer ``(h, w)`` how far its next border is: 0 beside it, 1 near it, 2 elsewhere."""
    inner = np.ones(said.shape, np.uint8)
    down, across = said[1:] != said[:-1], said[:, 1:] != said[:, :-1]
    inner[1:][down] = inner[:-1][down] = 0
    inner[:, 1:][across] = inner[:, :-1][across] = 0
    return np.digitize(cv2.distanceTransform(inner, cv2.DIST_L2, 3), RINGS).astype(np.uint8)


def _weights(
    painted: NDArray[np.float64], answers: NDArray[np.float64], everything: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return for each class how many pixels of this ring a painted one stands for."""
    number = everything.sum()
    weights = np.full(len(painted), number / max(painted.sum(), 1))
    seen = painted >= FEW
    if seen.sum() < 2:
        return weights
    likely = answers[seen] / painted[seen][:, None]
    start = share = painted[seen] / painted[seen].sum()
    for _ in range(ROUNDS):
        share = share * (likely @ (everything / number / np.maximum(share @ likely, 1e-9)))
    weights[seen] *= share / share.sum() / start
    return weights
