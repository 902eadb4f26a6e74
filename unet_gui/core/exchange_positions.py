"""Which page of a stack ImageJ means: by its number, or by channel, slice and frame."""

from __future__ import annotations

import itertools
import math
import os
import re
from typing import NamedTuple

import numpy as np

from unet_gui.core.tiff import TiffPages

_NUMBERED = re.compile(r"(\d{4,6})-\d{4,6}-\d{4,6}(?:-\d+)?")  # slice, y, x


class Position(NamedTuple):
    """Where in a stack a ROI is: `slice_number` in a plain stack, the others in a hyperstack. From 1; 0: not said."""

    slice_number: int = 0
    channel: int = 0
    z: int = 0
    t: int = 0

    @classmethod
    def of_name(cls, name: str) -> Position:
        """Return what ImageJ finds in the name that it gave to a ROI, which once was the only place for it."""
        found = _NUMBERED.fullmatch(name)
        return cls(int(found[1]) if found else 0)

    def __str__(self) -> str:
        """Say it in words."""
        if not any(self):
            return "without a position in the stack"
        if self.slice_number:
            return f"at position {self.slice_number}"
        return f"at channel {self.channel}, slice {self.z}, frame {self.t}"


class StackPositions:
    """Pages of one stack and the positions that ImageJ has for them.

    Parameters
    ----------
    path : str or os.PathLike
        The TIFF file.
    pages : int
        How many it has.

    Raises
    ------
    ImageError
        The file cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str], pages: int) -> None:
        self._pages = pages
        stack = TiffPages(path)
        try:
            axes = stack.axes()
        finally:
            stack.close()
        without = tuple(axis for axis in axes if axis[0] != "C")  # channels may be within the pages
        known = [one for one in (axes, without) if all(axis in "CZT" for axis, _ in one)]
        fitting = (one for one in known if math.prod(size for _, size in one) == pages)
        self._axes = next(fitting, ())

    def of_page(self, page: int) -> Position:
        """Return the position for a page, counted from 0: as ImageJ has it when it opens the stack."""
        if len(self._axes) < 2 and dict(self._axes).keys() != {"C"}:
            return Position(page + 1)
        places = np.unravel_index(page, [size for _, size in self._axes])
        at = {axis: int(place) + 1 for (axis, _), place in zip(self._axes, places, strict=True)}
        return Position(0, *(at.get(axis, 1) for axis in "CZT"))

    def pages_of(self, position: Position) -> list[int]:
        """Return the pages that are meant, none when it is not clear or the stack has none such.

        What is not said of a hyperstack (0) means all: ROIs are so for all channels when these are shown together.
        """
        number, *rest = position
        if any(rest) and len(self._axes) > 1:
            told = dict(zip("CZT", rest, strict=True))
            ways = [[told[axis] - 1] if told[axis] else range(size) for axis, size in self._axes]
            sizes = [size for _, size in self._axes]
            if any(told[axis] > size for axis, size in self._axes):
                return []
            return [int(np.ravel_multi_index(place, sizes)) for place in itertools.product(*ways)]
        if any(rest):
            number = self._counting(position)
        return [number - 1] if 0 < number <= self._pages else []

    def _counting(self, position: Position) -> int:
        """Return the one number that counts the pages, where they go along one axis; 0 when it is not clear."""
        axis = self._axes[0][0] if self._axes else ""
        own = {"C": position.channel, "Z": position.z, "T": position.t}.get(axis, 0)
        if own > 1:
            return own
        if not (position.z or position.t):
            return position.channel if axis in ("", "C") else 0
        more = [number for number in (position.z, position.t) if number > 1]  # slices and frames are taken for another
        return 0 if len(more) > 1 else more[0] if more else 1
