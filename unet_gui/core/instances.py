"""Objects numbered one by one, and classes: from one to the other and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unet_gui.core.cv import cv2
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.palette import ClassInfo

TOUCHING = "touching border"
"""Name of the class between objects that touch."""


class Found(NamedTuple):
    """Classes made from numbered objects.

    Attributes
    ----------
    objects, touching : ndarray of bool, (h, w)
        Pixels of objects; those of them that lie next to another object.
    vanished : int
        Objects that have no pixel left outside the touching border.
    """

    objects: NDArray[np.bool_]
    touching: NDArray[np.bool_]
    vanished: int


def classes_from_objects(numbers: NDArray[np.integer], distance: int = 1) -> Found:
    """Tell apart what belongs to an object and what lies between two.

    Parameters
    ----------
    numbers : ndarray of int, (h, w)
        0 background, 1… one object each.
    distance : int
        A pixel of an object at most so many pixels (also across corners) from another object is touching border;
        0: none is. Without that class, objects that touch could not be told apart any more.
    """
    values, dense = np.unique(numbers, return_inverse=True)
    plain = dense.reshape(numbers.shape).astype(np.float32)  # exact up to 16 million objects
    if len(values) == 0 or values[0] != 0:
        plain += 1
    objects: NDArray[np.bool_] = plain > 0
    if not distance:
        return Found(objects, np.zeros_like(objects), 0)
    around = np.ones((2 * distance + 1, 2 * distance + 1), np.uint8)
    highest = cv2.dilate(plain, around)
    lowest = cv2.erode(np.where(objects, plain, np.float32(len(values) + 1)), around)
    touching: NDArray[np.bool_] = objects & (highest != lowest)
    vanished = np.setdiff1d(plain[objects], plain[objects & ~touching]).size
    return Found(objects, touching, int(vanished))


def objects_from_classes(
    ids: NDArray[np.uint8], classes: Sequence[ClassInfo], background: int
) -> tuple[NDArray[np.int32], list[int]]:
    """Number the blobs of a label.

    Parameters
    ----------
    ids : ndarray of uint8, (h, w)
        Class ids and 255.
    classes : sequence of ClassInfo
        A class called ``touching border`` makes no objects: its pixels go to the object they are nearest to.
    background : int
        The class that makes no objects; 255 for none.

    Returns
    -------
    (ndarray of int32, list of int)
        Numbers, 0 in no object; the class of object 1, 2, …
    """
    border = next((info.id for info in classes if info.name.casefold() == TOUCHING), None)
    numbers = np.zeros(ids.shape, np.int32)
    found: list[int] = []
    for info in classes:
        if info.id in (background, border):
            continue
        count, blobs = cv2.connectedComponents((ids == info.id).view(np.uint8), connectivity=4)
        numbers += np.where(blobs > 0, blobs + len(found), 0).astype(np.int32)
        found += [info.id] * (count - 1)
    if border is None or not (ids == border).any():
        return numbers, found
    from skimage.segmentation import watershed

    inside = (ids != background) & (ids != UNLABELLED)
    spread: NDArray[np.int32] = watershed(np.zeros(ids.shape, np.uint8), markers=numbers, mask=inside).astype(np.int32)
    # what no object reaches is an object of its own, of the touching class
    assert border is not None
    count, blobs = cv2.connectedComponents((inside & (spread == 0)).view(np.uint8), connectivity=4)
    spread += np.where(blobs > 0, blobs + len(found), 0).astype(np.int32)
    return spread, found + [border] * (count - 1)
