"""What tells classes apart and would be lost by evening pictures out or by turning them: grey values, directions."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from unet_gui.core.cv import cv2
from unet_gui.engine.data import middle

ENOUGH = 30
"""Pixels of a class from which on its mean says something."""
SEEN = 4
"""Images in which each of two classes must be seen for them to be compared."""
CLEAR = 6.0
"""Spreads from image to image by which the grey values of two classes lie apart clearly."""
SIGMAS = (1.0, 3.0)
"""Of the blur before slopes are measured, in pixels."""


def class_sums(
    pixels: NDArray, label: NDArray[np.uint8], classes: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return how many pixels of each class were looked at, of a large image some, and their sums in each channel.

    Parameters
    ----------
    pixels : ndarray
        ``(h, w)`` or ``(h, w, channels)``.
    label : ndarray
        ``(h, w)`` uint8 with 255 for unlabelled.
    classes : int

    Returns
    -------
    counts : ndarray
        ``(classes,)``.
    sums : ndarray
        ``(classes, channels)``.
    """
    step = max(1, round((label.size / 250_000) ** 0.5))
    ids = label[::step, ::step].ravel()
    values = pixels[::step, ::step].reshape(ids.size, -1)
    sums = [np.bincount(ids, weights=channel, minlength=classes)[:classes] for channel in values.T]
    return np.bincount(ids, minlength=classes)[:classes], np.stack(sums, 1)


def class_means(counts: NDArray[np.int64], sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of each class in each channel, NaN where too little of it was seen; see `class_sums`."""
    return np.where(counts[:, None] >= ENOUGH, sums / np.maximum(counts[:, None], 1), np.nan)


def are_absolute(means: NDArray[np.float64], mean: NDArray[np.float64], std: NDArray[np.float64]) -> bool:
    """Tell whether two classes differ by their grey values as they are, but not in images that are evened out.

    So it is in computed tomography, whose grey values are a density. Where two classes differ in evened-out images
    alone, exposure or staining changes from image to image, and the others' grey values are worth nothing either.

    Parameters
    ----------
    means : ndarray
        ``(images, classes, channels)`` from `class_means`.
    mean, std : ndarray
        ``(images, channels)``: of each whole image.
    """
    evened = (means - mean[:, None]) / np.maximum(std[:, None], 1e-12)
    found = False
    for p, q in _seen_together(means[..., 0]):
        raw, even = _apart(means[:, p], means[:, q]), _apart(evened[:, p], evened[:, q])
        if even > 3 and raw < 1.5:
            return False
        gap = np.abs(np.nanmean(means[:, p], 0) - np.nanmean(means[:, q], 0)).max()
        found = found or bool(raw > CLEAR and even < 3 and raw > 4 * even and gap > 0.25 * np.median(std))
    return found


def slopes(pixels: NDArray, label: NDArray[np.uint8], classes: int) -> NDArray[np.float64]:
    """Return which way the grey values of each class slope.

    Parameters
    ----------
    pixels, label, classes
        As for `class_sums`.

    Returns
    -------
    ndarray
        ``(scales, classes, 4)``: how much more across than down; how much more along one diagonal than the other; how
        much more steeply up than down to the right; the same to the bottom. All -1…1, NaN where a class is missing.
    """
    grey = middle(pixels).astype(np.float32)
    if grey.ndim == 3:
        grey = cv2.transform(grey, np.full((1, grey.shape[2]), 1 / grey.shape[2], np.float32))
    ids = middle(label)[::2, ::2].ravel()
    many = np.bincount(ids, minlength=classes)[:classes] >= ENOUGH
    found = np.full((len(SIGMAS), classes, 4), np.nan)
    for at_scale, sigma in zip(found, SIGMAS, strict=True):
        smooth = cv2.GaussianBlur(grey, (0, 0), sigma)
        # every other pixel of every other row: they are alike
        x, y = (cv2.Sobel(smooth, cv2.CV_32F, *order)[::2, ::2].ravel() for order in ((1, 0), (0, 1)))
        squared = x * x + y * y
        length = np.sqrt(squared)
        parts = (x * x - y * y, 2 * x * y, x * length, y * length)
        total, *sums = (np.bincount(ids, weights=part, minlength=classes)[:classes] for part in (squared, *parts))
        known = many & (total > 0)
        at_scale[known] = np.stack(sums, 1)[known] / total[known, None]
    return found


def symmetries(found: NDArray[np.float64]) -> str:
    """Return what may be done to the images without making one class look like another, see `Model.symmetries`.

    It must not be done where two classes slope opposite ways in most images: horizontal and vertical stripes turned
    by a quarter, or what faces left and what faces right in a mirror.

    Parameters
    ----------
    found : ndarray
        ``(images, scales, classes, 4)`` from `slopes`.
    """
    opposite = np.zeros(4, bool)
    for p, q in _seen_together(found[:, 0, :, 0]):
        one, other = np.nanmean(found[:, :, p], 0), np.nanmean(found[:, :, q], 0)
        spread = np.nanstd(found[:, :, p], 0) + np.nanstd(found[:, :, q], 0)
        gap, least = np.abs(one - other), np.minimum(np.abs(one), np.abs(other))
        opposite |= ((one * other < 0) & (gap > 0.3) & (gap > 2 * spread) & (least > 0.35 * gap)).any(0)
    across, diagonal, right, down = opposite
    if diagonal or right:
        return ""
    return "mirror" if down else "flips" if across else "turns"


def _seen_together(known: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Return the pairs of classes that enough images show; ``(images, classes)``, NaN where one does not."""
    often = np.flatnonzero((~np.isnan(known)).sum(0) >= SEEN)
    return list(combinations(often.tolist(), 2))


def _apart(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return how far the means of two classes lie apart, in units of their spread from image to image."""
    spread = np.sqrt((np.nanvar(one, 0) + np.nanvar(other, 0)) / 2)
    return float((np.abs(np.nanmean(one, 0) - np.nanmean(other, 0)) / np.maximum(spread, 1e-12)).max())
