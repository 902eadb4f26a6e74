"""Pixels of any type as 8-bit grey or colour for the screen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unet_gui.core.cv import cv2

Bound = float | Sequence[float]

DARK = 32
"""Values of 8 bit below which everything looks black: an eighth of the range."""
_LIGHTS = 1e-4
"""Share of brighter pixels from which on a picture is not dark: these are lights, or what is looked for."""
_LEAST = 8
"""Steps that a dark picture is stretched from at least: of an empty one, noise is all that would be seen."""

NO_NUMBER = 1e18
"""No grey value is as large: where a pixel is missing, programs write -3.4e38, 9.97e36 or 1e20 as well as NaN."""


def are_numbers(pixels: np.ndarray) -> np.ndarray:
    """Return where a float picture has numbers (bool): neither NaN nor infinity, nor a mark of what is missing."""
    return (pixels > -NO_NUMBER) & (pixels < NO_NUMBER)


def _visible(array: np.ndarray) -> np.ndarray:
    """Return the channels that are shown: grey, or three colours (two channels become red and green)."""
    if array.ndim == 2:
        return array
    if array.shape[2] == 1:
        return array[..., 0]
    if array.shape[2] == 2:
        return np.dstack([array, np.zeros_like(array[..., :1])])
    return array[..., :3]


def to_display(array: np.ndarray, low: Bound, high: Bound, gamma: float = 1.0) -> np.ndarray:
    """Return the pixels between two bounds stretched to 0…255.

    Parameters
    ----------
    array : numpy.ndarray
        (h, w) or (h, w, c), any integer or float type. Of four or more channels the first three are shown.
    low, high : float or sequence of float
        What becomes black and what becomes white; one number, or one a channel. ``high <= low`` cuts at `low`.
    gamma : float
        Above 1 brightens the middle, below 1 darkens it.

    Returns
    -------
    numpy.ndarray
        uint8 (h, w) or (h, w, 3), C-contiguous. Not-a-number is shown black.
    """
    array = _visible(array)
    if array.ndim == 3 and (np.ndim(low) or np.ndim(high)):
        lows, highs = np.broadcast_to(low, 3), np.broadcast_to(high, 3)
        parts = [to_display(array[..., c], float(lows[c]), float(highs[c]), gamma) for c in range(3)]
        return np.dstack(parts)
    low, high = float(np.min(low)), float(np.max(high))
    if array.dtype == np.uint8:
        if (low, high, gamma) == (0.0, 255.0, 1.0):
            return np.ascontiguousarray(array)
        return cv2.LUT(np.ascontiguousarray(array), _stretch(np.arange(256), low, high, gamma))
    if array.dtype == np.uint16 and array.size > 2**16:
        return _stretch(np.arange(2**16), low, high, gamma)[array]
    return _stretch(array, low, high, gamma)


def _stretch(values: np.ndarray, low: float, high: float, gamma: float) -> np.ndarray:
    scaled: np.ndarray = values.astype(np.float32 if values.dtype.itemsize <= 2 else np.float64)
    np.subtract(scaled, low, out=scaled)
    np.divide(scaled, max(high - low, 1e-12), out=scaled)
    np.nan_to_num(scaled, copy=False, nan=0.0)
    np.clip(scaled, 0.0, 1.0, out=scaled)
    if gamma != 1.0:
        np.power(scaled, 1.0 / gamma, out=scaled)
    return np.rint(np.multiply(scaled, 255.0, out=scaled)).astype(np.uint8)


def auto_window(array: np.ndarray, percent: float = 0.35) -> tuple[float, float]:
    """Return bounds for `to_display` that leave the darkest and brightest pixels outside.

    Parameters
    ----------
    array : numpy.ndarray
        (h, w) or (h, w, c); a small level of the image is enough.
    percent : float
        Share of the pixels, in percent, that is cut at either end.

    Returns
    -------
    (float, float)
        Low and high, always ``low < high``. Pixels that are no number are left out.
    """
    shown = _visible(array).ravel()
    if shown.size > 2**20:
        shown = shown[:: shown.size // 2**20 + 1]
    if shown.dtype.kind == "f":
        shown = shown[are_numbers(shown)]
    if shown.size == 0:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(shown.astype(np.float64), (percent, 100.0 - percent)))
    if high <= low:
        low, high = float(shown.min()), float(shown.max())
    return (low, high) if high > low else (low, low + 1.0)


def first_window(array: np.ndarray) -> tuple[float, float]:
    """Return bounds for `to_display` that a picture is shown with before anybody has chosen any.

    8 bit are shown as they are, unless nearly all pixels are dark: a photograph of the night, with its lights, stays
    as it is, and a micrograph that uses a twentieth of the range is seen. All others are shown as by `auto_window`.

    Parameters
    ----------
    array : numpy.ndarray
        (h, w) or (h, w, c); a level of the image is enough.

    Returns
    -------
    (float, float)
        Low and high.
    """
    if array.dtype != np.uint8:
        return auto_window(array)
    shown = _visible(array)
    if np.count_nonzero(shown >= DARK) > shown.size * _LIGHTS:
        return 0.0, 255.0
    low, high = auto_window(shown, 100 * _LIGHTS)
    return low, max(min(high, DARK), low + _LEAST)


def thumbnail_of(array: np.ndarray, size: int) -> np.ndarray:
    """Return a small picture.

    Parameters
    ----------
    array : numpy.ndarray
        (h, w) or (h, w, c).
    size : int
        Longest side of the result; a smaller picture stays as it is.

    Returns
    -------
    numpy.ndarray
        uint8 (h, w, 3).
    """
    shown = to_display(array, *first_window(array))
    h, w = shown.shape[:2]
    scale = size / max(h, w)
    if scale < 1.0:
        shape = (max(1, round(w * scale)), max(1, round(h * scale)))
        shown = cv2.resize(shown, shape, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(shown, cv2.COLOR_GRAY2RGB) if shown.ndim == 2 else np.ascontiguousarray(shown)
