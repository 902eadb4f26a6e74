"""How class ids are written as pixel values, losslessly both ways.

See ``docs/adr/0001-label-values-and-encodings.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unet_gui.core import png
from unet_gui.core.cv import cv2
from unet_gui.core.errors import LabelError
from unet_gui.core.labels import UNLABELLED

_ROWS = 2**22  # pixels handled at a time, so that a very large label needs little besides itself


def present(ids: np.ndarray) -> np.ndarray:
    """Return the values that occur in a uint8 array, ascending, without copying it."""
    if ids.size == 0:
        return np.zeros(0, np.intp)
    counts = cv2.calcHist([np.ascontiguousarray(ids)], [0], None, [256], [0, 256])
    return np.flatnonzero(counts)


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

    def pairs(self) -> tuple[tuple[Raw, int], ...]:
        """Return the (pixel value, id) pairs of ``binary`` and ``map``."""
        return ((0, 0), (255, 1)) if self.kind == "binary" else self.values

    @property
    def unlabelled_number(self) -> int | None:
        """The class number that means unlabelled where pixels are class numbers otherwise; None where there is none."""
        if self.kind != "map" or any(value != i != UNLABELLED for value, i in self.values):
            return None
        return next((v for v, i in self.values if i == UNLABELLED and isinstance(v, int) and v < UNLABELLED), None)

    def with_unlabelled(self, raw: Raw) -> Encoding:
        """Return this encoding with one pixel value meaning unlabelled instead of a class.

        The other classes keep their ids, so that labels marked as class ids keep their meaning.

        Parameters
        ----------
        raw : int or (r, g, b)
            The pixel value, e.g. 11 for CamVid.

        Raises
        ------
        LabelError
            Another value means unlabelled already.
        """
        if self.kind == "index" and raw == UNLABELLED:
            return self
        pairs = tuple((i, i) for i in range(UNLABELLED)) if self.kind == "index" else self.pairs()
        kept = [(value, i) for value, i in pairs if value != raw]
        return Encoding("map", (*kept, (raw, UNLABELLED)), self.palette)

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
        if not self.color:
            raw = _as_numbers(raw)
            if raw.dtype == np.uint8:
                return self._decode_bytes(raw)
        ids = np.empty(raw.shape[:2], np.uint8)
        unknown: set[int] = set()
        step = max(1, _ROWS // max(1, raw.shape[1]))
        for y in range(0, len(raw), step):
            part = raw[y : y + step]
            packed = pack_colors(part) if self.color else part
            ids[y : y + step] = self._look_up(packed, unknown)
        _refuse(sorted(unknown), "have no class", color=self.color)
        return ids

    def _decode_bytes(self, raw: np.ndarray) -> np.ndarray:
        if self.kind == "index":
            return np.ascontiguousarray(raw)
        table = np.zeros(256, np.uint8)
        known = {value: i for value, i in self.pairs() if isinstance(value, int) and value < 256}
        table[list(known)] = list(known.values())
        _refuse([value for value in present(raw).tolist() if value not in known], "have no class")
        return cv2.LUT(np.ascontiguousarray(raw), table)

    def _look_up(self, packed: np.ndarray, unknown: set[int]) -> np.ndarray:
        """Return the ids of numbers or packed colours, and note those without one."""
        if self.kind == "index":
            wrong = packed[(packed < 0) | (packed > UNLABELLED)]
            unknown.update(np.unique(wrong).tolist())
            return packed.astype(np.uint8)
        pairs = sorted((_packed(value), i) for value, i in self.pairs())
        known, ids = np.array(pairs).T
        place = np.minimum(np.searchsorted(known, packed), len(known) - 1)
        unknown.update(np.unique(packed[known[place] != packed]).tolist())
        return ids.astype(np.uint8)[place]

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
        _refuse([i for i in present(ids).tolist() if i not in known], "cannot be written in this folder's encoding")
        if self.color:
            colors = np.zeros((256, 3), np.uint8)
            for value, i in pairs:
                colors[i] = value
            return colors[ids]
        wide = any(isinstance(value, int) and value > 255 for value, _ in pairs)
        table = np.zeros(256, np.uint16 if wide else np.uint8)
        for value, i in pairs:
            table[i] = value
        return table[ids] if wide else cv2.LUT(np.ascontiguousarray(ids), table)

    def describe(self) -> str:
        """Return one line for the person."""
        if self.kind == "index":
            return "class numbers, 255 = unlabelled" + (" (palette picture)" if self.palette else "")
        if self.kind == "binary":
            return "binary, 0 = class 0 and 255 = class 1"
        unlabelled = next((_name(raw) for raw, i in self.values if i == UNLABELLED), "")
        classes = sum(i != UNLABELLED for _, i in self.values)
        tail = (f", {unlabelled} = unlabelled" if unlabelled else "") + (" (palette picture)" if self.palette else "")
        if all(raw == i for raw, i in self.values if i != UNLABELLED):
            return f"class numbers{tail}"
        return f"{'colours' if self.color else 'values'} for {classes} classes{tail}"

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
            if len(palette) > 256 or not all(0 <= value <= 255 for color in palette for value in color):
                raise ValueError("no table of colours")
            return cls(str(data["kind"]), values, palette)
        except (KeyError, TypeError, ValueError, OverflowError, IndexError, AttributeError) as error:
            raise LabelError("The label encoding cannot be understood.", details=repr(error)) from error


INDEX = Encoding("index")
BINARY = Encoding("binary")


def _as_numbers(raw: np.ndarray) -> np.ndarray:
    """Return the single number a pixel has; a grey picture saved as colour has the same three times."""
    if raw.dtype.kind not in "iu":
        raise LabelError("holds decimal numbers, not classes.", hint="Labels must be whole numbers or colours.")
    if raw.ndim == 2:
        return raw
    if raw.shape[2] < 3:
        return raw[..., 0]
    if not ((raw[..., 0] == raw[..., 1]).all() and (raw[..., 0] == raw[..., 2]).all()):
        raise LabelError("is a colour picture, but class numbers were expected.", hint="Choose a colour table for it.")
    return raw[..., 0]


def pack_colors(raw: np.ndarray) -> np.ndarray:
    """Return red, green and blue of each pixel as one number 0xrrggbb: uint32 (h, w). Grey counts as equal colours."""
    if raw.dtype != np.uint8:
        raise LabelError(
            "holds colours of more than 8 bit, which are no classes.", hint="Save it with 8 bit a channel."
        )
    if raw.ndim == 2 or raw.shape[2] < 3:  # the second of two is transparency
        raw = np.dstack([raw if raw.ndim == 2 else raw[..., 0]] * 3)
    red, green, blue = (raw[..., c].astype(np.uint32) for c in range(3))
    return red << 16 | green << 8 | blue


def _packed(value: Raw) -> int:
    return value if isinstance(value, int) else value[0] << 16 | value[1] << 8 | value[2]


def _name(value: Raw) -> str:
    return str(value) if isinstance(value, int) else f"#{_packed(value):06x}"


def _refuse(values: Sequence[int], why: str, *, color: bool = False) -> None:
    """Raise LabelError naming the values, if there are any."""
    if not values:
        return
    names = [f"#{value:06x}" if color else str(value) for value in values[:_LISTED]]
    if len(values) == 1:
        subject, why = f"The value {names[0]}", why.replace("have ", "has ")
    else:
        subject = f"The values {', '.join(names)}{' …' if len(values) > _LISTED else ''}"
    raise LabelError(f"{subject} {why}.", hint="Change the label's encoding or the list of classes.")


def fitting(ids: np.ndarray, encoding: Encoding) -> tuple[Encoding, np.ndarray, bool]:
    """Return what to write: pixels in the folder's encoding, or marked class ids where it cannot hold them.

    Parameters
    ----------
    ids : numpy.ndarray
        uint8 (h, w), class ids and 255.
    encoding : Encoding
        The folder's.

    Returns
    -------
    encoding : Encoding
        The one that the pixels are in.
    pixels : numpy.ndarray
        uint8 or uint16 (h, w), or uint8 (h, w, 3) for colours.
    marked : bool
        The file is to say itself that its values are class ids.
    """
    try:
        raw = encoding.encode(ids)
    except LabelError:
        return INDEX, ids, True
    return encoding, raw, encoding.kind == "index"
