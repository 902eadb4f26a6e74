"""How well a prediction covers the truth, pixel by pixel and object by object. Unlabelled truth never counts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from unet_gui.core.cv import cv2
from unet_gui.core.labels import UNLABELLED

_PIXELS = 2**22


def confusion(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Return how many pixels of each true class were predicted as each class.

    Parameters
    ----------
    truth : numpy.ndarray
        uint8 (h, w), class ids; where it is 255 nothing is counted.
    predicted : numpy.ndarray
        uint8 (h, w), class ids.
    classes : int
        Number of classes.

    Returns
    -------
    numpy.ndarray
        int64 (classes, classes + 1): rows true, columns predicted; the last column counts pixels that the prediction
        leaves without any of the classes. Tables of several images may be added up.

    Raises
    ------
    ValueError
        The sizes differ, or the truth has a class of its own.
    """
    if truth.shape != predicted.shape:
        raise ValueError(f"truth is {truth.shape}, prediction is {predicted.shape}")
    table = np.zeros(classes * (classes + 1), np.int64)
    step = max(1, _PIXELS // max(1, truth.shape[1]))
    for y in range(0, len(truth), step):  # in strips: a very large image needs little besides itself
        strip = truth[y : y + step]
        known = strip != UNLABELLED
        row = strip[known].astype(np.int64)
        if row.size and row.max() >= classes:
            raise ValueError(f"the truth holds class {row.max()}, there are {classes} classes")
        column = np.minimum(predicted[y : y + step][known], classes).astype(np.int64)
        table += np.bincount(row * (classes + 1) + column, minlength=len(table))
    return table.reshape(classes, classes + 1)


def dice(table: np.ndarray) -> np.ndarray:
    """Return 2 · common / (true + predicted) of each class: float64 (classes,), nan for a class that never occurs."""
    common, true, predicted = _margins(table)
    with np.errstate(invalid="ignore"):
        return 2 * common / (true + predicted)


def iou(table: np.ndarray) -> np.ndarray:
    """Return common / (true or predicted) of each class: float64 (classes,), nan for a class that never occurs."""
    common, true, predicted = _margins(table)
    with np.errstate(invalid="ignore"):
        return common / (true + predicted - common)


def pixel_error(table: np.ndarray) -> float:
    """Return the share of pixels with a wrong class, 0…1, nan when nothing was counted."""
    total = int(table.sum())
    return 1.0 - float(np.trace(table)) / total if total else float("nan")


def mean_of(scores: np.ndarray) -> float:
    """Return the mean over the classes that occur, nan when none does."""
    found = scores[~np.isnan(scores)]
    return float(found.mean()) if found.size else float("nan")


def _margins(table: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    counts = table.astype(np.float64)
    classes = len(counts)
    return np.diagonal(counts), counts.sum(axis=1), counts[:, :classes].sum(axis=0)


def objects_of(ids: np.ndarray, wanted: int) -> np.ndarray:
    """Number the connected regions (over edges, not corners) of one class.

    Parameters
    ----------
    ids : numpy.ndarray
        uint8 (h, w), class ids.
    wanted : int
        The class.

    Returns
    -------
    numpy.ndarray
        int32 (h, w): 0 elsewhere, 1… one object each, for `match_objects`.
    """
    return cv2.connectedComponents((ids == wanted).astype(np.uint8), connectivity=4, ltype=cv2.CV_32S)[1]


class ObjectScores(NamedTuple):
    """How many objects were found.

    Attributes
    ----------
    found, invented, missed : int
        Pairs that overlap enough, predicted objects without a true one, true objects without a predicted one.
    """

    found: int
    invented: int
    missed: int

    @property
    def average_precision(self) -> float:
        """Found / (found + invented + missed), as the 2018 Data Science Bowl counts it; 1 when there is nothing."""
        total = self.found + self.invented + self.missed
        return self.found / total if total else 1.0


def match_objects(truth: np.ndarray, predicted: np.ndarray, overlap: float = 0.5) -> ObjectScores:
    """Pair true and predicted objects whose intersection over union is above a limit.

    Parameters
    ----------
    truth, predicted : numpy.ndarray
        Integer (h, w): 0 is background, every other number one object.
    overlap : float
        The limit, at least 0.5, so that each object has one partner at most.

    Returns
    -------
    ObjectScores
        The counts; those of several images may be added up field by field.

    Raises
    ------
    ValueError
        The sizes differ or the limit is below 0.5.
    """
    if truth.shape != predicted.shape:
        raise ValueError(f"truth is {truth.shape}, prediction is {predicted.shape}")
    if overlap < 0.5:
        raise ValueError("below 0.5 an object could have two partners")
    # only pairs that meet: a table of all would not fit into memory
    low, high = (int(edge(predicted)) if predicted.size else 0 for edge in (np.min, np.max))
    codes = truth.astype(np.int64) * (high - low + 1) + (predicted.astype(np.int64) - low)
    pairs, common = np.unique(codes, return_counts=True)
    true_ids, row = np.unique(pairs // (high - low + 1), return_inverse=True)
    pred_ids, column = np.unique(pairs % (high - low + 1) + low, return_inverse=True)
    union = np.bincount(row, common)[row] + np.bincount(column, common)[column] - common
    matched = (common > overlap * union) & (true_ids[row] != 0) & (pred_ids[column] != 0)
    found = int(np.count_nonzero(matched))
    return ObjectScores(found, int(np.count_nonzero(pred_ids)) - found, int(np.count_nonzero(true_ids)) - found)
