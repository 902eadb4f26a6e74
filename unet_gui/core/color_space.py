"""Pixels of other colour spaces as red, green, blue."""

from __future__ import annotations

import numpy as np

from unet_gui.core.cv import cv2

CHANNELS = {"cmyk": 3, "ycbcr": 3, "la": 4}
"""How many channels pixels of other colour spaces become."""


def to_rgb(array: np.ndarray, space: str) -> np.ndarray:
    """Return pixels as red, green, blue (and opacity) of the same type.

    Parameters
    ----------
    array : numpy.ndarray
        uint8 or uint16, (h, w, 3) for ``ycbcr``, (h, w, 4 or more) for ``cmyk``; what follows the inks is left out.
    space : str
        ``cmyk``: amounts of ink; ``ycbcr``: brightness, blue and red against it, full range; ``la``: grey and opacity.
    """
    if space == "la":
        return np.ascontiguousarray(array[..., [0, 0, 0, 1]])
    if space == "ycbcr":
        rgb: np.ndarray = cv2.cvtColor(np.ascontiguousarray(array[..., [0, 2, 1]]), cv2.COLOR_YCrCb2RGB)
        return rgb
    most = np.iinfo(array.dtype).max
    paper = (most - array[..., :4]).astype(np.uint32)  # what is left of the light
    light = (paper[..., :3] * paper[..., 3:] + most // 2) // most
    return np.ascontiguousarray(light.astype(array.dtype))
