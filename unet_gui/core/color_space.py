"""Pixels of other colour spaces as red, green, blue."""

from __future__ import annotations

from typing import Any

import numpy as np

from unet_gui.core.cv import cv2

CHANNELS = {"cmyk": 3, "ycbcr": 3, "la": 4, "cielab": 3, "icclab": 3}
"""How many channels pixels of other colour spaces become."""

JPEG = (6, 7, 34892, 33007)
"""Kinds of compression in TIFF files by which colours are decoded to red, green, blue."""

_LAB = {8: "cielab", 9: "icclab"}
_WHITE = np.array([0.96422, 1.0, 0.82521], np.float32)  # D50, as in ICC profiles
_TO_RGB = np.array(  # from XYZ under D50 to linear sRGB
    [[3.1338561, -1.6168667, -0.4906146], [-0.9787684, 1.9161415, 0.0334540], [0.0719453, -0.2289914, 1.4052427]],
    np.float32,
)


def space_of(page: Any) -> str:
    """Return what `to_rgb` calls the colours of a TIFF page (tifffile's), "" when they are shown as they are."""
    channels, photometric = int(page.samplesperpixel), int(page.photometric)
    if page.dtype not in (np.uint8, np.uint16):
        return ""
    if photometric == 5 and channels >= 4 and page.tags.valueof(332, 1) == 1:  # no other inks
        return "cmyk"
    if photometric == 1 and channels == 2 and any(page.extrasamples):  # not just a second channel
        return "la"
    if channels >= 3 and photometric in _LAB:
        return _LAB[photometric]
    decoded = int(page.compression) in JPEG
    return "ycbcr" if photometric == 6 and channels == 3 and not decoded else ""


def to_rgb(array: np.ndarray, space: str) -> np.ndarray:
    """Return pixels as red, green, blue (and opacity) of the same type.

    Parameters
    ----------
    array : numpy.ndarray
        uint8 or uint16, (h, w, 3) for ``ycbcr``, (h, w, 4 or more) for ``cmyk``; what follows the inks is left out, and
        so is what follows the three numbers of L*a*b*.
    space : str
        ``cmyk``: amounts of ink; ``ycbcr``: brightness, blue and red against it, full range; ``la``: grey and opacity;
        ``cielab``, ``icclab``: L*a*b*, with a* and b* as two's complement or from the middle of the range.
    """
    if space == "la":
        return np.ascontiguousarray(array[..., [0, 0, 0, 1]])
    if space == "ycbcr":
        rgb: np.ndarray = cv2.cvtColor(np.ascontiguousarray(array[..., [0, 2, 1]]), cv2.COLOR_YCrCb2RGB)
        return rgb
    if space in _LAB.values():
        return _lab_to_rgb(array[..., :3], space)
    most = np.iinfo(array.dtype).max
    paper = (most - array[..., :4]).astype(np.uint32)  # what is left of the light
    light = (paper[..., :3] * paper[..., 3:] + most // 2) // most
    return np.ascontiguousarray(light.astype(array.dtype))


def _lab_to_rgb(array: np.ndarray, space: str) -> np.ndarray:
    most = np.iinfo(array.dtype).max
    unit, middle = (most + 1) // 256, (most + 1) // 2
    white = most if space == "cielab" else 255 * unit  # in profiles of 16 bit white is 0xFF00
    tint = array[..., 1:].astype(np.int32)
    tint = ((tint + middle) % (most + 1) if space == "cielab" else tint) - middle
    across = (array[..., 0] * np.float32(100 / white) + 16) / 116
    a, b = (tint[..., i] / np.float32(unit * per) for i, per in enumerate((500, -200)))
    roots = np.stack([across + a, across, across + b], axis=-1).astype(np.float32)
    xyz = np.where(roots > 6 / 29, roots**3, (roots - 4 / 29) * (108 / 841)) * _WHITE
    light = np.clip(xyz @ _TO_RGB.T, 0, 1)
    shown = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.ascontiguousarray(np.rint(np.clip(shown, 0, 1) * most).astype(array.dtype))
