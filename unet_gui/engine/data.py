"""The labelled images of a folder, decoded once and kept in memory as far as it reaches."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections import OrderedDict
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from unet_gui.core.cv import cv2
from unet_gui.core.errors import NothingToLearn, UserError
from unet_gui.core.geometry import Rect, middle_of
from unet_gui.core.images import ImageRef, effective_channels
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.project import Dataset
from unet_gui.engine.events import TICK, Event
from unet_gui.engine.memory import physical_memory, processes_here
from unet_gui.engine.normalise import Stats, finite, measure, sample, to_channels

SCANNED = 2000
"""Labelled images looked at before training; of a larger folder an even choice."""
SPARSE = 0.5
"""Of images with a smaller share of painted pixels than this, what is painted counts as strokes."""
BLOCK = 16
"""Side in pixels of the blocks in which painted pixels are counted."""
WHOLE = 4_194_304
"""Pixels up to which an image is looked at as a whole in a validation, and its labels at once."""
WINDOW = 1024
"""About the side in pixels of the windows that a larger one is seen through."""
POINTS = 4096
"""Pixels remembered for each class of an image, around which crops are cut."""


@dataclass(frozen=True)
class Entry:
    """One labelled image, or a part of it.

    Attributes
    ----------
    ref : ImageRef
    hidden, only : Rect or None
        The label inside ``hidden``, or outside ``only``, is taken as unlabelled.
    """

    ref: ImageRef
    hidden: Rect | None = None
    only: Rect | None = None

    @property
    def key(self) -> str:
        """The image's name."""
        return self.ref.key


@dataclass(frozen=True)
class Picture:
    """One labelled image in memory.

    Attributes
    ----------
    pixels : ndarray
        ``(h, w)`` or ``(h, w, c)`` in the network's number of channels, stored type.
    label : ndarray
        ``(h, w)`` uint8, *outputs* of the network (positions in the list of classes) and 255.
    stats : Stats
        Mean and spread of the pixels.
    points : tuple of ndarray
        For each class, positions (row * width + column) of some of its pixels.
    counts : tuple of int
        For each class, number of pixels.
    painted : ndarray or None
        Where only strokes are painted: how many pixels are, above and left of each corner of the blocks.
    """

    key: str
    pixels: NDArray
    label: NDArray[np.uint8]
    stats: Stats
    points: tuple[NDArray[np.int64], ...]
    counts: tuple[int, ...]
    painted: NDArray[np.float64] | None = None

    def painted_around(self, x: NDArray[np.float64], y: NDArray[np.float64], side: float) -> NDArray[np.float64]:
        """Return how many pixels are painted in squares around these places, to whole blocks; 0 if all is painted."""
        if self.painted is None:
            return np.zeros(len(x))
        rows, columns = (n - 1 for n in self.painted.shape)
        left, right = (np.clip(np.rint((x + d) / BLOCK), 0, columns).astype(int) for d in (-side / 2, side / 2))
        top, bottom = (np.clip(np.rint((y + d) / BLOCK), 0, rows).astype(int) for d in (-side / 2, side / 2))
        sums = self.painted
        return sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]

    @property
    def nbytes(self) -> int:
        """Memory taken."""
        return self.pixels.nbytes + self.label.nbytes + sum(p.nbytes for p in self.points)


def labelled_images(dataset: Dataset) -> list[ImageRef]:
    """Return the images that have a label file, pages of multi-page TIFFs one by one, in the folder's order."""
    found: list[ImageRef] = []
    for ref in dataset.images:
        if not dataset.has_label(ref):
            continue
        try:
            found.extend(dataset.expand(ref))
        except UserError:  # told when it is read
            found.append(ref)
    return found


def nothing_labelled(dataset: Dataset) -> NothingToLearn:
    """Return the error for a folder in which nobody has painted yet."""
    return NothingToLearn(
        "No image has a label yet.", dataset.root, "Paint a little of every class in one or two images first."
    )


class ClassTable:
    """Class ids to outputs of the network and back."""

    def __init__(self, ids: Sequence[int]) -> None:
        self.ids = tuple(ids)
        self._outputs = np.full(256, 254, np.uint8)
        self._outputs[UNLABELLED] = UNLABELLED
        self._outputs[list(ids)] = np.arange(len(ids), dtype=np.uint8)

    def __len__(self) -> int:
        return len(self.ids)

    def outputs(self, label: NDArray[np.uint8], key: str) -> NDArray[np.uint8]:
        """Translate a label.

        Raises
        ------
        UserError
            The label has an id that is not among the classes.
        """
        counts = histogram(label)
        strange = [i for i in np.flatnonzero(counts[:UNLABELLED]) if i not in self.ids]
        if strange:
            names = ", ".join(str(i) for i in strange[:8])
            raise UserError(
                f"The label of {key} has values that are not among the classes: {names}.",
                hint="Add these classes, or choose another label encoding.",
            )
        return self._outputs[label]


@dataclass
class Pictures:
    """The labelled images of a dataset: kept in memory up to a budget, read again beyond it.

    Attributes
    ----------
    dataset : Dataset
    classes : ClassTable
    channels : int
        Of the network's input.
    budget : int
        Bytes.
    """

    dataset: Dataset
    classes: ClassTable
    channels: int
    seed: int = 0
    budget: int = field(default_factory=lambda: physical_memory() // 4 // processes_here())

    def __post_init__(self) -> None:
        self._kept: OrderedDict[Entry, Picture] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def load(self, entry: Entry) -> Picture:
        """Return an image and its label.

        Raises
        ------
        UserError
            One of them cannot be read, they do not fit together, or the label is empty.
        """
        with self._lock:
            picture = self._kept.get(entry)
            if picture is not None:
                self._kept.move_to_end(entry)
                return picture
        picture = self._read(entry)
        with self._lock:
            if entry not in self._kept:
                self._kept[entry] = picture
                self._bytes += picture.nbytes
                while self._bytes > self.budget and len(self._kept) > 1:
                    _, old = self._kept.popitem(last=False)
                    self._bytes -= old.nbytes
        return picture

    def _read(self, entry: Entry) -> Picture:
        self.dataset.follow()  # labels may have been saved in another way since
        with self.dataset.open_image(entry.ref) as source:
            raw = self.dataset.load_label(entry.ref, source.shape)
            pixels = to_channels(source.read(), self.channels)
        if raw is None:
            raise UserError(f"The label of {entry.key} is gone.", hint="Was it deleted meanwhile?")
        label = self.classes.outputs(raw, entry.key)
        if entry.hidden is not None:
            label[entry.hidden.slices] = UNLABELLED
        if entry.only is not None:
            shown = np.full_like(label, UNLABELLED)
            shown[entry.only.slices] = label[entry.only.slices]
            label = shown
        return make_picture(entry.key, pixels, label, len(self.classes), self.seed)


def make_picture(key: str, pixels: NDArray, label: NDArray[np.uint8], classes: int, seed: int = 0) -> Picture:
    """Measure an image and remember where its classes are."""
    counts = histogram(label)[:classes]
    rng = np.random.default_rng((seed, int(counts.sum()), label.size))
    points = tuple(_some(label, c, int(counts[c]), rng) for c in range(classes))
    painted = _painted(label) if 0 < counts.sum() < SPARSE * label.size else None
    stats = measure(sample(pixels))
    return Picture(key, finite(pixels, stats.mean), label, stats, points, tuple(int(n) for n in counts), painted)


def middle(array: NDArray) -> NDArray:
    """Return an image or label, of a large one the middle, of `WHOLE` pixels."""
    return np.ascontiguousarray(array[middle_of(array.shape, int(WHOLE**0.5)).slices])


def _painted(label: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the sums for `Picture.painted`."""
    known = (label != UNLABELLED).astype(np.uint8)
    known = np.pad(known, [(0, -n % BLOCK) for n in known.shape])
    blocks = cv2.resize(
        known * np.uint8(255), (known.shape[1] // BLOCK, known.shape[0] // BLOCK), interpolation=cv2.INTER_AREA
    )
    return cv2.integral(blocks, sdepth=cv2.CV_64F) * (BLOCK**2 / 255)


def histogram(label: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return how many pixels have each of the values 0…255, without a copy of numbers eight times the label's size."""
    counts = np.zeros(256, np.int64)
    rows = max(1, WHOLE // max(label.shape[1], 1))
    for top in range(0, label.shape[0], rows):
        counts += np.bincount(label[top : top + rows].ravel(), minlength=256)
    return counts


def _some(label: NDArray[np.uint8], c: int, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the positions of at most `POINTS` pixels of a class, drawn with equal chances."""
    rows = max(1, WHOLE // max(label.shape[1], 1))
    wanted = np.sort(rng.choice(count, POINTS, replace=False)) if count > POINTS else np.arange(count)
    found, before = [], 0
    for top in range(0, label.shape[0] if count else 0, rows):
        here = np.flatnonzero(label[top : top + rows] == c)
        low, high = np.searchsorted(wanted, (before, before + len(here)))
        found.append(here[wanted[low:high] - before] + top * label.shape[1])
        before += len(here)
    return np.concatenate(found) if found else np.empty(0, np.int64)


def windows_of(picture: Picture, only: Rect | None, pixels: int) -> list[Picture]:
    """Return what of an image is looked at in a validation: all of a small one, of a large one labelled windows.

    Parameters
    ----------
    picture : Picture
    only : Rect or None
        The part that is labelled, where one image is divided.
    pixels : int
        About the most pixels that all windows have together; of more labelled ones an even choice is taken.

    Returns
    -------
    list of Picture
        Measured as the whole image is. At the inner edge of a window the network sees its surroundings mirrored.
    """
    area = only or Rect(0, 0, picture.label.shape[1], picture.label.shape[0])
    if area.area <= WHOLE:
        return [_window(picture, area)] if only else [picture]
    edges = [np.linspace(0, n, max(1, round(n / WINDOW)) + 1).round().astype(int) for n in (area.w, area.h)]
    lefts, tops = edges[0] + area.x, edges[1] + area.y
    parts = [
        Rect(int(x), int(y), int(x1 - x), int(y1 - y))
        for y, y1 in itertools.pairwise(tops)
        for x, x1 in itertools.pairwise(lefts)
    ]
    parts = [part for part in parts if (picture.label[part.slices] != UNLABELLED).any()]
    keep = min(len(parts), max(1, pixels // WINDOW**2))  # nothing if nothing is painted
    return [_window(picture, parts[i]) for i in np.linspace(0, len(parts) - 1, keep).round().astype(int)]


def _window(picture: Picture, part: Rect) -> Picture:
    """Return a part of an image; a copy, so that the image need not stay in memory."""
    pixels, label = picture.pixels[part.slices].copy(), picture.label[part.slices].copy()
    counts = tuple(histogram(label)[: len(picture.counts)].tolist())
    return Picture(picture.key, pixels, label, picture.stats, tuple(np.empty(0, np.int64) for _ in counts), counts)


def evenly(refs: Sequence[ImageRef]) -> Sequence[ImageRef]:
    """Return a few dozen images that stand for all."""
    return refs[:: max(1, len(refs) // 32)]


def effective(dataset: Dataset, refs: Sequence[ImageRef]) -> Generator[Event, None, int]:
    """Find the number of channels that carry something: 1 when all pictures are really grey, else mostly 3.

    Two and four channels are kept where all pictures have them (fluorescence stacks).

    Parameters
    ----------
    refs : sequence of ImageRef
        At most a few dozen of them are looked at.

    Yields
    ------
    Tick
        After each of them.
    """
    found: set[int] = set()
    for ref in evenly(refs):
        with contextlib.suppress(UserError), dataset.open_image(ref) as source:  # told when it is read
            found.add(effective_channels(source.read(middle_of(source.shape, int(WHOLE**0.5)))))
        yield TICK
    if not found or max(found) == 1:
        return 1
    return max(found) if len(found) == 1 and max(found) <= 4 else 3
