"""Classes and their colours, told apart by colour-blind people too."""

from __future__ import annotations

import colorsys
import itertools
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from unet_gui.core.labels import UNLABELLED

MAX_CLASSES = 255

OKABE_ITO: tuple[str, ...] = (
    "#0072B2",  # blue
    "#E69F00",  # orange
    "#009E73",  # bluish green
    "#D55E00",  # vermillion
    "#CC79A7",  # reddish purple
    "#56B4E9",  # sky blue
    "#F0E442",  # yellow
    "#999999",  # grey in the place of black, which does not show on a dark image
)
"""Okabe and Ito's colours; the first two, those of background and object, differ most on a grey image."""

TAB20: tuple[str, ...] = (
    "#1F77B4",
    "#FF7F0E",
    "#2CA02C",
    "#D62728",
    "#9467BD",
    "#8C564B",
    "#E377C2",
    "#7F7F7F",
    "#BCBD22",
    "#17BECF",
    "#AEC7E8",
    "#FFBB78",
    "#98DF8A",
    "#FF9896",
    "#C5B0D5",
    "#C49C94",
    "#F7B6D2",
    "#C7C7C7",
    "#DBDB8D",
    "#9EDAE5",
)

FURTHER: tuple[str, ...] = (
    "#DBDB8D",
    "#2CA02C",
    "#8C564B",
    "#FF9896",
    "#9467BD",
    "#D62728",
    "#FFBB78",
    "#9EDAE5",
    "#98DF8A",
    "#C5B0D5",
    "#17BECF",
    "#F7B6D2",
    "#C49C94",
    "#C7C7C7",
    "#AEC7E8",
    "#E377C2",
    "#BCBD22",
    "#FF7F0E",
)
"""Of tab20, for the classes after Okabe and Ito's: each the least like all before it; two like those are left out."""

_COLOR = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True)
class ClassInfo:
    """One class.

    Attributes
    ----------
    id : int
        0…254, the number in the label.
    name : str
        What the person calls it.
    color : str
        ``#rrggbb``.

    Raises
    ------
    ValueError
        The id or the colour is none.
    """

    id: int
    name: str
    color: str

    def __post_init__(self) -> None:
        if not 0 <= self.id < MAX_CLASSES:
            raise ValueError(f"a class id must be 0…254, not {self.id}")
        if not _COLOR.fullmatch(self.color):
            raise ValueError(f"a colour must look like #rrggbb, not {self.color}")

    @property
    def rgb(self) -> tuple[int, int, int]:
        """The colour as three numbers 0…255."""
        value = int(self.color[1:], 16)
        return value >> 16, value >> 8 & 255, value & 255

    def to_json(self) -> dict[str, Any]:
        """Return a dictionary for the project file or the model's header."""
        return {"id": self.id, "name": self.name, "color": self.color}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ClassInfo:
        """Return the class that `to_json` wrote; ValueError, KeyError or TypeError when it is none."""
        return cls(int(data["id"]), str(data["name"]), str(data["color"]))


def folded(name: str) -> str:
    """Return a name as names are compared: without case and surrounding spaces."""
    return name.strip().casefold()


def names_twice(classes: Sequence[ClassInfo]) -> set[str]:
    """Return the names, `folded`, that more than one class has."""
    counted = Counter(folded(info.name) for info in classes)
    return {name for name, count in counted.items() if count > 1}


def distinct(classes: Sequence[ClassInfo], beside: Sequence[ClassInfo] = ()) -> list[ClassInfo]:
    """Return classes whose names no other has, also none of those beside: a later one gets a number behind it."""
    found: list[ClassInfo] = []
    taken = {folded(info.name) for info in beside}
    for info in classes:
        names = (f"{info.name} {number}" if number > 1 else info.name for number in itertools.count(1))
        name = next(name for name in names if folded(name) not in taken)
        taken.add(folded(name))
        found.append(replace(info, name=name))
    return found


def color_of(index: int) -> str:
    """Return the default colour of the class with this id, different for each of 255."""
    if index < len(OKABE_ITO):
        return OKABE_ITO[index]
    if index < len(OKABE_ITO) + len(FURTHER):
        return FURTHER[index - len(OKABE_ITO)]
    hue = index * 0.618033988749895 % 1.0  # the golden ratio never comes near a former hue soon
    red, green, blue = colorsys.hsv_to_rgb(hue, (0.55, 0.75, 0.95)[index % 3], (0.95, 0.8)[index % 2])
    return f"#{round(red * 255):02X}{round(green * 255):02X}{round(blue * 255):02X}"


PALETTES: dict[str, tuple[str, ...]] = {"Okabe–Ito": OKABE_ITO, "tab20": TAB20}
"""Palettes by the name that the person reads."""


def recolored(classes: Sequence[ClassInfo], colors: Sequence[str]) -> list[ClassInfo]:
    """Give the classes these colours in order; where they run out, others that are not among them."""
    wanted = list(colors)
    taken = {color.upper() for color in wanted}
    number = 0
    while len(wanted) < len(classes):
        if color_of(number).upper() not in taken:
            wanted.append(color_of(number))
        number += 1
    return [ClassInfo(info.id, info.name, color) for info, color in zip(classes, wanted, strict=False)]


def default_classes(n: int = 2) -> list[ClassInfo]:
    """Return `n` classes: background and object, or background, class 1, class 2 …"""
    names = ["background", "object"] if n == 2 else ["background", *(f"class {i}" for i in range(1, n))]
    return [ClassInfo(i, names[i], color_of(i)) for i in range(n)]


def name_of(classes: Iterable[ClassInfo], class_id: int) -> str:
    """Return what the person calls a class id; 255 is unlabelled, and an id without a class has a name, too."""
    if class_id == UNLABELLED:
        return "unlabelled"
    return next((info.name for info in classes if info.id == class_id), f"class {class_id}")


def color_table(
    classes: Sequence[ClassInfo], opacity: float = 1.0, *, visible: Collection[int] | None = None
) -> np.ndarray:
    """Return the colour of every id for an indexed picture.

    Parameters
    ----------
    classes : sequence of ClassInfo
        The classes; ids without one are transparent, and so is 255 (unlabelled).
    opacity : float
        0 (transparent) … 1 (opaque).
    visible : collection of int, optional
        Ids that are shown; all without it.

    Returns
    -------
    numpy.ndarray
        uint32 (256,), 0xAARRGGBB, not premultiplied.
    """
    table = np.zeros(256, np.uint32)
    alpha = round(min(max(opacity, 0.0), 1.0) * 255)
    for info in classes:
        if visible is None or info.id in visible:
            table[info.id] = alpha << 24 | int(info.color[1:], 16)
    return table
