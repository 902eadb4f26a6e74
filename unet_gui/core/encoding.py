"""How class ids are written as pixel values, losslessly both ways.

See ``docs/adr/0001-label-values-and-encodings.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from unet_gui.core import png
from unet_gui.core.cv import cv2
from unet_gui.core.errors import LabelError

UNLABELLED = 255

Raw = int | tuple[int, int, int]
_LISTED = 12  # values named in a message


@dataclass(frozen=True)
class Encoding:
    """How class ids are written as pixel values; the same ids always give the same pixels and back.

    Attributes
    ----------
    kind : str
        ``index``: the ids themselves, 255 unlabelled. ``binary``: 0 is class 0, 255 is class 1, nothing unlabelled.
        ``map``: as `values` says.
    values : tuple of (raw, id)
        For ``map``: pixel value (a number, or red, green, blue) and the class id or 255 it stands for.
    palette : tuple of (r, g, b)
        Colours of a palette picture whose indices are the values; () for grey and colour pictures.

    Raises
    ------
    LabelError
        The encoding would lose something: two values for one class, or two classes for one value.
    """

    kind: str = "index"
    values: tuple[tuple[Raw, int], ...] = ()
    palette: png.Palette = ()

    def __post_init__(self) -> None:
        if self.kind not in ("index", "binary", "map"):
            raise LabelError(f"There is no label encoding called {self.kind!r}.")
        if self.kind == "map":
            self._check_map()

    def _check_map(self) -> None:
        raws, ids = [raw for raw, _ in self.values], [i for _, i in self.values]
        if not raws:
            raise LabelError("A value map needs at least one value.")
        if len(set(raws)) < len(raws) or len(set(ids)) < len(ids):
            raise LabelError(
                "Two pixel values stand for one class, or one for two classes.",
                hint="Saving could not tell them apart: give each value a class of its own.",
            )
        if len({isinstance(raw, int) for raw in raws}) > 1:
            raise LabelError("A value map holds either numbers or colours, not both.")
        if not all(0 <= i <= UNLABELLED for i in ids):
            raise LabelError("Class ids must be 0…254, or 255 for unlabelled.")
        for raw in raws:
            if not (0 <= raw < 65536 if isinstance(raw, int) else len(raw) == 3 and all(0 <= v < 256 for v in raw)):
                raise LabelError(f"{raw} cannot be a pixel's value.")

    @property
    def color(self) -> bool:
        """Whether pixels are colours (red, green, blue)."""
        return self.kind == "map" and not isinstance(self.values[0][0], int)

    @property
    def holds_unlabelled(self) -> bool:
        """Whether a partial label can be written."""
        return self.kind == "index" or any(i == UNLABELLED for _, i in self.values)

    def pairs(self) -> tuple[tuple[Raw, int], ...]:
        """Return the (pixel value, id) pairs of ``binary`` and ``map``."""
        return ((0, 0), (255, 1)) if self.kind == "binary" else self.values

    def with_unlabelled(self, raw: Raw) -> Encoding:
        """Return this encoding with one pixel value meaning unlabelled instead of a class.

        Parameters
        ----------
        raw : int or (r, g, b)
            The pixel value, e.g. 11 for CamVid.

        Raises
        ------
        LabelError
            Another value means unlabelled already.
        """
        if self.kind == "index":
            pairs: list[tuple[Raw, int]] = [(i, i) for i in range(UNLABELLED) if i != raw]
            return self if raw == UNLABELLED else Encoding("map", (*pairs, (raw, UNLABELLED)), self.palette)
        pairs = [(value, i) for value, i in self.pairs() if value != raw]
        return Encoding("map", (*pairs, (raw, UNLABELLED)), self.palette)

    def decode(self, raw: np.ndarray) -> np.ndarray:
        """Return class ids.

        Parameters
        ----------
        raw : numpy.ndarray
            Pixels as stored: (h, w) of any integer type, (h, w, 3) or (h, w, 4) for colours.

        Returns
        -------
        numpy.ndarray
            uint8 (h, w), class ids and 255.

        Raises
        ------
        LabelError
            A pixel value has no meaning in this encoding; the message names it.
        """
        if self.color:
            return self._decode_color(raw)
        raw = _as_numbers(raw)
        if self.kind == "index":
            if raw.dtype != np.uint8:
                _refuse(np.unique(raw[(raw < 0) | (raw > UNLABELLED)]), "are no class ids")
            return np.ascontiguousarray(raw, np.uint8)
        table = np.full(65536, -1, np.int16)
        for value, i in self.pairs():
            table[value] = i
        if raw.dtype == np.uint8:
            found = np.flatnonzero(np.bincount(raw.ravel(), minlength=256))
            _refuse(found[table[found] < 0], "have no class")
            return cv2.LUT(np.ascontiguousarray(raw), table[:256].astype(np.uint8))
        _refuse(np.unique(raw[(raw < 0) | (raw > 65535)]), "have no class")
        ids = table[raw]
        _refuse(np.unique(raw[ids < 0]), "have no class")
        return ids.astype(np.uint8)

    def _decode_color(self, raw: np.ndarray) -> np.ndarray:
        packed = pack_colors(raw)
        known = np.array(sorted(_packed(value) for value, _ in self.values), np.uint32)
        meaning = {_packed(value): i for value, i in self.values}
        ids = np.array([meaning[int(value)] for value in known], np.uint8)
        place = np.minimum(np.searchsorted(known, packed), len(known) - 1)
        wrong = packed[known[place] != packed]
        if wrong.size:
            colors = [f"#{int(value):06x}" for value in np.unique(wrong)[: _LISTED + 1]]
            _refuse_names(colors, "have no class")
        return ids[place]

    def encode(self, ids: np.ndarray) -> np.ndarray:
        """Return pixels for class ids, the inverse of `decode`.

        Parameters
        ----------
        ids : numpy.ndarray
            uint8 (h, w).

        Returns
        -------
        numpy.ndarray
            uint8 or uint16 (h, w), or uint8 (h, w, 3) for colours.

        Raises
        ------
        LabelError
            An id has no pixel value in this encoding; the message names it.
        """
        if self.kind == "index":
            return ids
        pairs = self.pairs()
        known = {i for _, i in pairs}
        found = np.flatnonzero(np.bincount(ids.ravel(), minlength=256))
        _refuse(np.array([i for i in found if i not in known], int), "cannot be written in this folder's encoding")
        if self.color:
            colors = np.zeros((256, 3), np.uint8)
            for value, i in pairs:
                colors[i] = value
            return colors[ids]
        table = np.zeros(256, np.uint16 if any(isinstance(v, int) and v > 255 for v, _ in pairs) else np.uint8)
        for value, i in pairs:
            table[i] = value
        return table[ids]

    def describe(self) -> str:
        """Return one line for the person."""
        if self.kind == "index":
            return "class ids, 255 = unlabelled" + (" (palette picture)" if self.palette else "")
        if self.kind == "binary":
            return "binary, 0 = class 0 and 255 = class 1"
        what = "colours" if self.color else "values"
        unlabelled = next((_name(raw) for raw, i in self.values if i == UNLABELLED), "")
        classes = sum(i != UNLABELLED for _, i in self.values)
        tail = f", {unlabelled} = unlabelled" if unlabelled else ""
        return f"{what} for {classes} classes{tail}" + (" (palette picture)" if self.palette else "")

    def to_json(self) -> dict[str, Any]:
        """Return a dictionary for the project file."""
        data: dict[str, Any] = {"kind": self.kind}
        if self.kind == "map":
            data["values"] = [[raw if isinstance(raw, int) else list(raw), i] for raw, i in self.values]
        if self.palette:
            data["palette"] = [list(color) for color in self.palette]
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Encoding:
        """Return the encoding that `to_json` wrote.

        Raises
        ------
        LabelError
            The dictionary is none of an encoding.
        """
        try:
            values = tuple(
                (raw if isinstance(raw, int) else (int(raw[0]), int(raw[1]), int(raw[2])), int(i))
                for raw, i in data.get("values", ())
            )
            palette = tuple((int(r), int(g), int(b)) for r, g, b in data.get("palette", ()))
            return cls(str(data["kind"]), values, palette)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise LabelError("The label encoding cannot be understood.", details=repr(error)) from error


INDEX = Encoding("index")
BINARY = Encoding("binary")


def _as_numbers(raw: np.ndarray) -> np.ndarray:
    """Return the single number a pixel has; a grey picture saved as colour has the same three times."""
    if raw.ndim == 2:
        return raw
    if raw.shape[2] < 3 or not ((raw[..., 0] == raw[..., 1]).all() and (raw[..., 0] == raw[..., 2]).all()):
        raise LabelError("is a colour picture, but class numbers were expected.", hint="Choose a colour table for it.")
    return raw[..., 0]


def pack_colors(raw: np.ndarray) -> np.ndarray:
    """Return red, green and blue of each pixel as one number 0xrrggbb: uint32 (h, w). Grey counts as equal colours."""
    if raw.ndim == 2:
        raw = np.dstack([raw] * 3)
    red, green, blue = (raw[..., c].astype(np.uint32) for c in range(3))
    return red << 16 | green << 8 | blue


def _packed(value: Raw) -> int:
    return value if isinstance(value, int) else value[0] << 16 | value[1] << 8 | value[2]


def _name(value: Raw) -> str:
    return str(value) if isinstance(value, int) else f"#{_packed(value):06x}"


def _refuse(values: np.ndarray, why: str) -> None:
    if values.size:
        _refuse_names([str(int(value)) for value in values[: _LISTED + 1]], why)


def _refuse_names(names: list[str], why: str) -> None:
    more = " …" if len(names) > _LISTED else ""
    listed = ", ".join(names[:_LISTED]) + more
    if len(names) == 1:
        why = why.replace("are no class ids", "is no class id").replace("have ", "has ")
        raise LabelError(f"The value {listed} {why}.", hint="Change the label's encoding or the list of classes.")
    raise LabelError(f"The values {listed} {why}.", hint="Change the label's encoding or the list of classes.")


def fitting(ids: np.ndarray, encoding: Encoding) -> tuple[Encoding, np.ndarray, bool]:
    """Return (encoding, pixels, marked) for writing: the folder's encoding, or marked class ids where it cannot."""
    try:
        raw = encoding.encode(ids)
    except LabelError:
        return INDEX, ids, True
    return encoding, raw, encoding.kind == "index"
