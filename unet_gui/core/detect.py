"""Finding out how the labels of a folder are encoded."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from unet_gui.core import label_stack, png
from unet_gui.core.encoding import BINARY, Encoding, Raw, pack_colors, present
from unet_gui.core.errors import LabelError, UserError
from unet_gui.core.images import image_info
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.raw_label import read_raw

_PIXELS = 2**22
SAMPLE = 2000
"""Of more labels than this an evenly spread sample is read, and of fewer when they are very large."""
_BUDGET = 2**29  # pixels that are read at most, so that a folder opens soon
_LEAST = 8
_IDS = 64  # grey values up to here are class ids as they are, even when some are not used


@dataclass(frozen=True)
class Detected:
    """What was found in a folder of labels.

    Attributes
    ----------
    encoding : Encoding
        Reads every label that was looked at.
    class_ids : tuple of int
        Classes that occur, ascending, without unlabelled.
    note : str
        One or more plain sentences for the person: what was assumed, what could not be read. "" when nothing is odd.
    """

    encoding: Encoding
    class_ids: tuple[int, ...]
    note: str = ""


@dataclass
class _Values:
    """Pixel values of one or more label files."""

    numbers: set[int] = field(default_factory=set)
    colors: set[int] = field(default_factory=set)
    ids: set[int] = field(default_factory=set)  # of files that are marked as class ids
    palette: png.Palette = ()  # the longest
    palette_colors: dict[int, int] = field(default_factory=dict)  # of each index that is used
    more_colors: set[int] = field(default_factory=set)  # of indices that another file gives another colour
    files: int = 0
    error: UserError | None = None

    def add(self, other: _Values) -> None:
        self.numbers |= other.numbers
        self.colors |= other.colors
        self.ids |= other.ids
        self.palette = max(self.palette, other.palette, key=len)
        self.more_colors |= other.more_colors
        for index, color in other.palette_colors.items():
            if self.palette_colors.setdefault(index, color) != color:
                self.more_colors.add(color)
        self.files += other.files


def detect_encoding(paths: Sequence[str | os.PathLike[str]]) -> Detected:
    """Find out how labels are encoded, from all of them (of very many, an evenly spread sample).

    Parameters
    ----------
    paths : sequence of path
        The label files of a folder. None: a new folder, class ids.

    Returns
    -------
    Detected
        The encoding, the classes that occur, and what the person should know.

    Raises
    ------
    LabelError
        The files are no labels of classes: too many different values (single objects numbered one by one, or a
        photograph), or colour pictures among grey ones.
    """
    chosen = list(paths)
    notes: list[str] = []
    pixels = _pixels(chosen[0]) if chosen else 1
    sample = max(_LEAST, min(SAMPLE, _BUDGET // pixels))
    if len(chosen) > sample:
        notes.append(f"{sample} of {len(chosen)} labels were looked at.")
        chosen = [chosen[i * len(chosen) // sample] for i in range(sample)]
    every = _Values()
    broken: list[UserError] = []
    with ThreadPoolExecutor(max(1, min(8, os.cpu_count() or 1, _BUDGET // pixels))) as pool:
        for values in pool.map(_values_of, chosen):
            every.add(values)
            if values.error is not None:
                broken.append(values.error)
    if broken:
        more = f" and {len(broken) - 1} more" if len(broken) > 1 else ""
        notes.append(f"A label cannot be read: {broken[0]}{more}")
    encoding = _decide(every, notes)
    used = {i for raw, i in encoding.pairs()} if encoding.kind != "index" else every.numbers
    ids = tuple(sorted((used | every.ids) - {UNLABELLED}))
    return Detected(encoding, ids, " ".join(notes))


def _pixels(path: str | os.PathLike[str]) -> int:
    """Return the number of pixels of a label, all pages together."""
    try:
        info = image_info(path)
    except UserError:
        return 2**18
    return info.height * info.width * info.pages


def _values_of(path: str | os.PathLike[str]) -> _Values:
    values = _Values(files=1)
    try:
        pages = label_stack.page_count(path) if label_stack.is_tiff(path) else 1
        for page in range(pages):
            _add_page(values, path, page)
    except UserError as error:
        values.error = error
    return values


def _add_page(values: _Values, path: str | os.PathLike[str], page: int) -> None:
    label = read_raw(path, page)
    pixels = label.pixels
    if pixels.ndim == 3 and (pixels.shape[2] < 3 or _is_grey(pixels)):
        pixels = pixels[..., 0]
    if pixels.ndim == 3:
        step = max(1, _PIXELS // pixels.shape[1])
        for y in range(0, len(pixels), step):
            values.colors.update(np.unique(pack_colors(pixels[y : y + step])).tolist())
            if len(values.colors) > 2**16:
                return  # a photograph
        return
    if pixels.dtype == np.uint8:
        found = present(pixels).tolist()
    elif pixels.dtype.kind in "iu":
        found = np.unique(pixels).tolist()
    else:
        raise LabelError("holds decimal numbers, not classes.", path, "Labels must be whole numbers or colours.")
    if label.marked:
        values.ids.update(found)
    else:
        values.numbers.update(found)
    if label.palette:
        colors = {i: _packed(label.palette[i]) for i in found if i < len(label.palette)}
        values.add(_Values(palette=label.palette, palette_colors=colors))


def _is_grey(pixels: np.ndarray) -> bool:
    return bool((pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 0] == pixels[..., 2]).all())


def _packed(color: tuple[int, int, int]) -> int:
    return color[0] << 16 | color[1] << 8 | color[2]


def _decide(values: _Values, notes: list[str]) -> Encoding:
    if values.colors or values.more_colors:  # or one index with two colours: then the colours are what counts
        return _color_map(values, notes)
    palette = values.palette
    numbers = values.numbers
    if not numbers:
        return Encoding("index", palette=palette)
    if max(numbers) > 65535 or min(numbers) < 0 or len(numbers) > UNLABELLED + 1:
        raise LabelError(
            f"hold {len(numbers)} different values, more than there can be classes.",
            hint="Are single objects numbered one by one? Import them instead, or name another folder for labels.",
        )
    if palette and len(palette) <= 2 and numbers <= {0, 1}:
        return Encoding("index", palette=palette)
    if numbers == {UNLABELLED} or numbers == {0, UNLABELLED}:
        return BINARY
    ids = numbers - {UNLABELLED}
    if (max(ids) < _IDS or len(ids) > max(ids) // 2) and max(ids) < UNLABELLED:
        if len(ids) > _IDS and not palette:
            notes.append(
                f"{len(ids)} different grey values were taken for one class each. Unless there are so many classes, "
                "these are no labels: photographs or probabilities, or masks that were scaled or saved as JPEG."
            )
        return Encoding("index", palette=palette)
    if len(numbers) > _IDS:
        raise LabelError(
            f"hold {len(numbers)} different values between {min(numbers)} and {max(numbers)}.",
            hint="They look like a photograph or like objects numbered one by one, not like classes.",
        )
    notes.append(f"Grey values {_listed([str(v) for v in sorted(numbers)])} were taken for one class each.")
    return Encoding("map", tuple((value, i) for i, value in enumerate(sorted(numbers))), palette)


def _color_map(values: _Values, notes: list[str]) -> Encoding:
    colors = values.colors | values.more_colors | set(values.palette_colors.values())
    if values.numbers and not values.palette:  # grey pictures among colour ones: their colours are equal
        colors |= {value << 16 | value << 8 | value for value in values.numbers if 0 <= value < 256}
    if len(colors) > UNLABELLED:
        raise LabelError(
            f"hold {len(colors)} different colours, more than there can be classes.",
            hint="They look like photographs or were saved as JPEG. Name another folder for labels.",
        )
    names = [f"#{color:06x}" for color in sorted(colors)]
    notes.append(f"Colours {_listed(names)} were taken for one class each.")
    pairs: list[tuple[Raw, int]] = [
        ((color >> 16, color >> 8 & 255, color & 255), i) for i, color in enumerate(sorted(colors))
    ]
    return Encoding("map", tuple(pairs))


def _listed(names: list[str], most: int = 12) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
