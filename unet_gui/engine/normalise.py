"""Grey values to numbers around 0: measured once for each image, never for a tile, and recorded in the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet_gui.core.cv import cv2
from unet_gui.core.display import are_numbers
from unet_gui.core.errors import UserError
from unet_gui.core.geometry import Rect
from unet_gui.core.images import ImageSource

SAMPLE_PIXELS = 4_000_000
"""Images up to this size are measured wholly, larger ones on blocks spread evenly over them."""
BLOCK = 256
LIMIT = 50.0
"""Standard deviations from the mean beyond which a value is a fault of the camera: one of 1e8 would drown a batch."""


@dataclass(frozen=True)
class Stats:
    """Mean and spread of each channel of one image, and of which type its pixels are."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    dtype: str = ""


@dataclass(frozen=True)
class Normalisation:
    """How grey values become the network's input; part of the model.

    Attributes
    ----------
    kind : {"image", "dataset", "none"}
        Subtract the mean and divide by the standard deviation of the image, or of all training images; or take the
        values as they are (the tutorial).
    mean, std : tuple of float
        For ``"dataset"``: the numbers, one for each channel.
    floor : float
        For ``"image"``: smallest standard deviation to divide by, so that an empty image does not become noise.
    dtype : str
        Type of the images that the floor is for: grey values of another type are on another scale, and have no floor.
        Empty: it is for all.
    """

    kind: str = "image"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    floor: float = 0.0
    dtype: str = ""

    @property
    def limit(self) -> float:
        """Largest value that the network is given."""
        return float("inf") if self.kind == "none" else LIMIT

    def numbers(self, stats: Stats, channels: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return what is subtracted from each channel, and what it is multiplied with then."""
        if self.kind == "none":
            return np.zeros(channels, np.float32), np.ones(channels, np.float32)
        mean, std = (self.mean, self.std) if self.kind == "dataset" else (stats.mean, stats.std)
        floor = self.floor if stats.dtype == self.dtype or not self.dtype else 0.0
        least = [max(floor, 1e-6 * abs(m), 1e-12) for m in mean]  # of a picture of one value rounding is all there is
        scale = [1 / max(s, low) for s, low in zip(std, least, strict=True)]
        return np.asarray(mean, np.float32), np.asarray(scale, np.float32)

    def apply(self, pixels: NDArray, stats: Stats) -> NDArray[np.float32]:
        """Return ``(h, w)`` or ``(h, w, c)`` float32."""
        x = pixels.astype(np.float32)
        if self.kind == "none":
            return x
        shift, scale = self.numbers(stats, 1 if x.ndim == 2 else x.shape[2])
        if x.ndim == 2:
            shift, scale = shift[0], scale[0]
        x -= shift
        x *= scale
        np.clip(x, -self.limit, self.limit, out=x)
        return x

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        values = {"kind": self.kind, "mean": list(self.mean), "std": list(self.std), "floor": self.floor}
        return {**values, "dtype": self.dtype} if self.dtype else values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Normalisation:
        """Invert `to_json`."""
        return cls(
            str(values["kind"]),
            tuple(float(v) for v in values.get("mean", ())),
            tuple(float(v) for v in values.get("std", ())),
            float(values.get("floor", 0.0)),
            str(values.get("dtype", "")),
        )


def to_channels(pixels: NDArray, channels: int) -> NDArray:
    """Give a picture the number of channels that the network takes.

    Parameters
    ----------
    pixels : ndarray
        ``(h, w)`` or ``(h, w, c)``, any dtype.
    channels : int
        1: colours are weighed to grey. 3: grey is repeated, a fourth channel dropped.

    Returns
    -------
    ndarray
        ``(h, w)`` for one channel, else ``(h, w, channels)``; a type that OpenCV resamples.

    Raises
    ------
    UserError
        Where there is no sensible way, e.g. two channels for a network of five.
    """
    pixels = _for_opencv(pixels)
    have = 1 if pixels.ndim == 2 else pixels.shape[2]
    if pixels.ndim == 3 and have == 1:
        pixels = pixels[..., 0]
    if have == channels:
        return np.ascontiguousarray(pixels)
    if channels == 1:
        return _grey(pixels, have)
    if channels == 3 and have <= 2:
        grey = pixels if pixels.ndim == 2 else pixels[..., 0]
        return np.ascontiguousarray(np.repeat(grey[..., None], 3, axis=2))
    if have > channels:
        return np.ascontiguousarray(pixels[..., :channels])
    raise UserError(
        f"The image has {have} channel{'s' if have > 1 else ''}, the model was trained on {channels}.",
        hint="Use images of the same kind as those it was trained on.",
    )


def _grey(pixels: NDArray, have: int) -> NDArray:
    """Weigh colours to grey; exact where all channels are equal."""
    if have == 2:
        return np.ascontiguousarray(pixels[..., 0])
    colour = np.ascontiguousarray(pixels[..., :3])
    if np.array_equal(colour[..., 0], colour[..., 1]) and np.array_equal(colour[..., 0], colour[..., 2]):
        return np.ascontiguousarray(colour[..., 0])
    return cv2.cvtColor(colour if colour.dtype != np.int16 else colour.astype(np.float32), cv2.COLOR_RGB2GRAY)


def _for_opencv(pixels: NDArray) -> NDArray:
    """Return the same values in a type that OpenCV can resample."""
    if pixels.dtype in (np.uint8, np.uint16, np.int16, np.float32):
        return pixels
    if pixels.dtype == np.bool_:
        return pixels.astype(np.uint8) * np.uint8(255)
    if pixels.dtype == np.int8:
        return pixels.astype(np.int16)
    with np.errstate(over="ignore"):  # infinity is no number either
        return pixels.astype(np.float32)


def finite(pixels: NDArray, fill: Sequence[float] = ()) -> NDArray:
    """Replace what is no number in a float picture by the mean of each channel, or by 0 if none is given."""
    known = are_numbers(pixels) if pixels.dtype.kind == "f" else np.True_
    return pixels if known.all() else np.where(known, pixels, np.asarray(fill or (0.0,), pixels.dtype))


def sample(source: ImageSource | NDArray) -> NDArray:
    """Return the pixels that stand for the image: all, or evenly spread blocks of a large one, side by side.

    Parameters
    ----------
    source : ImageSource or ndarray
        Both give the same pixels.
    """
    h, w = source.shape[:2]
    if h * w <= SAMPLE_PIXELS:
        return source if isinstance(source, np.ndarray) else source.read()
    rows = min(8, -(-h // BLOCK))
    columns = min(8, -(-w // BLOCK))
    tops = np.linspace(0, max(h - BLOCK, 0), rows).round().astype(int)
    lefts = np.linspace(0, max(w - BLOCK, 0), columns).round().astype(int)

    def block(x: int, y: int) -> NDArray:
        rect = Rect(x, y, BLOCK, BLOCK).clip((h, w))
        return source[rect.slices] if isinstance(source, np.ndarray) else source.read(rect)

    return np.concatenate([np.concatenate([block(int(x), int(y)) for x in lefts], axis=1) for y in tops], axis=0)


def measure(pixels: NDArray) -> Stats:
    """Return mean and standard deviation of each channel, hot pixels clipped, those that are no number left out.

    Parameters
    ----------
    pixels : ndarray
        ``(h, w)`` or ``(h, w, c)``, as `to_channels` returns it.
    """
    if pixels.dtype == np.uint8:  # 8 bits have no room for hot pixels that matter
        mean, std = cv2.meanStdDev(pixels)
        return Stats(tuple(mean.ravel().tolist()), tuple(std.ravel().tolist()), "uint8")
    means, stds = [], []
    for channel in pixels.reshape(-1, 1 if pixels.ndim == 2 else pixels.shape[2]).T:
        values = channel.astype(np.float32)
        values = values[are_numbers(values)] if pixels.dtype.kind == "f" else values
        if values.size > 1000:
            low, high = np.percentile(values, (0.1, 99.9))
            values = np.clip(values, low, high)
        means.append(float(values.mean(dtype=np.float64)) if values.size else 0.0)
        stds.append(float(values.std(dtype=np.float64)) if values.size else 0.0)
    return Stats(tuple(means), tuple(stds), pixels.dtype.name)
