"""Where the model is least sure. No Qt here."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unet_gui.core.cv import cv2
from unet_gui.core.geometry import Rect
from unet_gui.core.labels import UNLABELLED

BLOCK = 32
"""Side of the blocks that are compared, in pixels of the image."""
LEAST = 0.12
"""Mean entropy of a block, 0…1, under which nobody would call it doubtful."""


class Place(NamedTuple):
    """A doubtful place.

    Attributes
    ----------
    rect : Rect
        In pixels of the image.
    doubt : float
        Mean entropy there, 0 (sure) … 1 (no idea), counted only where the person has said nothing.
    """

    rect: Rect
    doubt: float


def doubtful_places(
    prob: NDArray[np.uint8], label: NDArray[np.uint8] | None = None, most: int = 24, block: int = BLOCK
) -> list[Place]:
    """Return the places where the model is least sure, the worst first, none overlapping.

    Parameters
    ----------
    prob : ndarray of uint8, shape (c, h, w)
        Probabilities times 255.
    label : ndarray of uint8, shape (h, w), optional
        What the person has said: pixels that are labelled are no longer doubtful.
    most : int
    block : int

    Returns
    -------
    list of Place
        Each three blocks wide and high, cut to the image.
    """
    classes, h, w = prob.shape
    rows, columns = -(-h // block), -(-w // block)
    table = _entropy_table(classes)
    doubt = np.zeros((rows, columns), np.float32)
    for row in range(rows):  # strip by strip: a whole map of a big image would take gigabytes
        strip = prob[:, row * block : (row + 1) * block]
        entropy = table[strip].sum(axis=0)
        if label is not None:
            entropy[label[row * block : (row + 1) * block] != UNLABELLED] = 0
        sums = np.add.reduceat(entropy.sum(axis=0), np.arange(0, w, block))
        doubt[row] = sums / (block * block)
    around = cv2.blur(doubt, (3, 3), borderType=cv2.BORDER_CONSTANT)
    places: list[Place] = []
    while len(places) < most:
        at = int(around.argmax())
        row, column = divmod(at, columns)
        if around[row, column] < LEAST:
            break
        rect = Rect((column - 1) * block, (row - 1) * block, 3 * block, 3 * block).clip((h, w))
        places.append(Place(rect, float(around[row, column])))
        around[max(0, row - 2) : row + 3, max(0, column - 2) : column + 3] = 0
    return places


def _entropy_table(classes: int) -> NDArray[np.float32]:
    """Return -p log p for p = 0…255, so that the sum over classes lies between 0 and 1."""
    p = np.arange(256, dtype=np.float64) / 255
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.where(p > 0, -p * np.log(p), 0.0) / np.log(max(classes, 2))
    table: NDArray[np.float32] = values.astype(np.float32)
    return table
