"""How pixels of any type become colours on the screen: contrast window, gamma, colour of each channel."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from unet_gui.core.cv import cv2
from unet_gui.core.errors import UserError
from unet_gui.core.images import ImageSource, auto_window, first_window

_RGB = ("#ff0000", "#00ff00", "#0000ff")
_FALSE_COLORS = ("#00ff00", "#ff00ff", "#00ffff", "#ffff00")

QUICK = 2**22
"""Pixels up to which all of an image is looked at before it is shown."""


@dataclass(frozen=True)
class ChannelDisplay:
    """How one channel is shown.

    Attributes
    ----------
    low, high : float
        What becomes black and what becomes full brightness.
    gamma : float
        Above 1 brightens the middle, below 1 darkens it.
    color : str
        ``#rrggbb``: the colour of full brightness.
    visible : bool
    """

    low: float = 0.0
    high: float = 255.0
    gamma: float = 1.0
    color: str = "#ffffff"
    visible: bool = True


@dataclass(frozen=True)
class Display:
    """How an image is shown: one entry per channel; channels without one do not show."""

    channels: tuple[ChannelDisplay, ...] = (ChannelDisplay(),)

    @property
    def is_plain(self) -> bool:
        """Whether values of 8 bit show as they are."""
        return all((c.low, c.high, c.gamma) == (0, 255, 1) for c in self.channels)

    def windowed(self, low: float, high: float, gamma: float = 1.0) -> Display:
        """Return the same with one contrast window for all channels."""
        return Display(tuple(replace(c, low=low, high=high, gamma=gamma) for c in self.channels))


def default_display(source: ImageSource, *, auto: bool | None = None) -> Display:
    """Return how an image is shown at first.

    Parameters
    ----------
    source : ImageSource
        Three channels are red, green, blue; four are that with transparency, which is ignored; two get false colours.
    auto : bool, optional
        Choose the contrast window by percentiles of the coarsest level; by default 8-bit images are shown
        as they are unless they are dark, and all others get a window of their own.
    """
    n = min(source.channels, 3)
    colors = ("#ffffff",) if n == 1 else _FALSE_COLORS[:2] if n == 2 else _RGB
    channels = tuple(ChannelDisplay(color=color) for color in colors)
    if auto or (auto is None and source.dtype != np.uint8):
        return auto_display(source, Display(channels))
    if auto is None and not is_large(source):
        return lit_display(source, Display(channels))
    return Display(channels)


def is_large(source: ImageSource) -> bool:
    """Whether looking at all of an image takes so long that it is shown before."""
    return source.shape[0] * source.shape[1] > QUICK


def lit_display(source: ImageSource, display: Display) -> Display:
    """Return how an 8-bit image is shown that would be shown like ``display``: brighter where it is dark.

    What cannot be read is told when it is shown; until then it is not dark.
    """
    try:
        pixels = source.read(level=source.levels - 1 if is_large(source) else min(1, source.levels - 1))
    except (UserError, OSError):
        return display
    return display.windowed(*first_window(pixels[..., :3] if pixels.ndim == 3 else pixels))


def auto_display(source: ImageSource, display: Display, percent: float = 0.35) -> Display:
    """Return the display with contrast windows by percentiles of the coarsest level.

    Red, green and blue share one window, so that the colour balance stays; false colours get one each.
    """
    pixels = source.read(level=source.levels - 1)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    shown = pixels[..., : len(display.channels)]
    if tuple(c.color for c in display.channels) == _RGB:
        return display.windowed(*auto_window(shown, percent), display.channels[0].gamma)
    windows = [auto_window(np.ascontiguousarray(shown[..., c]), percent) for c in range(shown.shape[2])]
    return Display(
        tuple(replace(c, low=low, high=high) for c, (low, high) in zip(display.channels, windows, strict=False))
    )


def to_rgb32(pixels: np.ndarray, display: Display) -> NDArray[np.uint32]:
    """Return pixels as 0xffRRGGBB.

    Parameters
    ----------
    pixels : ndarray, shape (h, w) or (h, w, c)
        Any integer or float type.
    display : Display

    Returns
    -------
    ndarray of uint32, shape (h, w)
    """
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    h, w = pixels.shape[:2]
    shown = [
        (np.ascontiguousarray(pixels[..., i]), channel)
        for i, channel in enumerate(display.channels[: pixels.shape[2]])
        if channel.visible
    ]
    bgra = np.full((h, w, 4), 255, np.uint8)
    if len(display.channels) == 1 and shown and shown[0][1].color == "#ffffff":
        grey = _stretched(*shown[0])
        cv2.merge([grey, grey, grey, bgra[..., 3].copy()], bgra)
    elif tuple(c.color for c in display.channels) == _RGB:
        for plane in range(3):
            channel = display.channels[plane]
            bgra[..., 2 - plane] = _stretched(np.ascontiguousarray(pixels[..., plane]), channel) * channel.visible
    else:
        bgra[..., :3] = 0
        for part, channel in shown:
            _add_color(bgra, _stretched(part, channel), channel.color)
    return bgra.view(np.uint32)[..., 0]


def _add_color(bgra: NDArray[np.uint8], grey: NDArray[np.uint8], color: str) -> None:
    for place, part in ((2, color[1:3]), (1, color[3:5]), (0, color[5:7])):
        strength = int(part, 16)
        if strength:
            table = np.rint(np.arange(256) * (strength / 255)).astype(np.uint8)
            bgra[..., place] = cv2.add(bgra[..., place].copy(), cv2.LUT(grey, table))


def _stretched(plane: np.ndarray, channel: ChannelDisplay) -> np.ndarray:
    """Return one channel between its bounds stretched to 0 … 255."""
    if plane.dtype == np.uint8:
        if (channel.low, channel.high, channel.gamma) == (0, 255, 1):
            return plane
        table = _stretch(np.arange(256, dtype=np.float32), channel)
        stretched: np.ndarray = cv2.LUT(plane, table)
        return stretched
    if plane.dtype == np.uint16:
        wide: np.ndarray = _stretch(np.arange(2**16, dtype=np.float32), channel)[plane]
        return wide
    return _stretch(plane.astype(np.float32 if plane.dtype.itemsize <= 2 else np.float64), channel)


def _stretch(values: np.ndarray, channel: ChannelDisplay) -> np.ndarray:
    values -= channel.low
    values *= 255 / max(channel.high - channel.low, 1e-12)
    np.nan_to_num(values, copy=False)
    np.clip(values, 0, 255, out=values)
    if channel.gamma != 1:
        values = 255 * (values / 255) ** (1 / channel.gamma)
    result: np.ndarray = np.rint(values).astype(np.uint8)
    return result
