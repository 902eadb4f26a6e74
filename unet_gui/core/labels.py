"""The label of an image and the one door through which it is changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import TracebackType
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from unet_gui.core.geometry import EMPTY, Rect
from unet_gui.core.history import TILE, Delta, encode_tile

UNLABELLED = 255
"""Nobody has said what the pixel is. No class."""

Ids = NDArray[np.uint8]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Over:
    """The over-paint rule: which pixels an edit may change.

    Parameters
    ----------
    mode : {"all", "unlabelled", "classes"}
        Everything, only pixels that nobody has labelled, or only pixels of the chosen classes.
    classes : frozenset of int
        The ids that may be painted over when ``mode`` is ``"classes"``; 255 stands for unlabelled pixels.
    """

    mode: Literal["all", "unlabelled", "classes"] = "all"
    classes: frozenset[int] = field(default_factory=frozenset)

    ALL: ClassVar[Over]
    UNLABELLED: ClassVar[Over]

    def allowed(self, block: Ids) -> Mask | None:
        """Return which pixels of ``block`` may be changed, or None for all of them."""
        if self.mode == "all":
            return None
        if self.mode == "unlabelled":
            return np.equal(block, UNLABELLED)
        table = np.zeros(256, bool)
        table[list(self.classes)] = True
        return table[block]


Over.ALL = Over()
Over.UNLABELLED = Over("unlabelled")


def count_unlabelled(ids: Ids) -> int:
    """Return how many pixels nobody has labelled; in strips, which is quicker than a mask of all."""
    step = max(1, 2**18 // max(1, ids.shape[1]))
    return sum(int(np.count_nonzero(ids[y : y + step] == UNLABELLED)) for y in range(0, len(ids), step))


def mask_bounds(mask: Mask) -> Rect:
    """Return the smallest rectangle around the true pixels of a 2-D mask, `EMPTY` when there is none."""
    columns: Mask = np.logical_or.reduce(mask, axis=0)
    left = int(columns.argmax())
    if not columns[left]:
        return EMPTY
    right = len(columns) - int(columns[::-1].argmax())
    rows: Mask = np.logical_or.reduce(mask[:, left:right], axis=1)
    top = int(rows.argmax())
    bottom = len(rows) - int(rows[::-1].argmax())
    return Rect(left, top, right - left, bottom - top)


class LabelImage:
    """What the person said about every pixel of one image.

    Parameters
    ----------
    ids : ndarray of uint8, shape (h, w)
        Class ids 0 … 254, and 255 where nobody has said. The array is taken over, not copied, when it is
        C-contiguous and writable; nobody else may write to it from then on.

    Attributes
    ----------
    ids : ndarray of uint8, shape (h, w)
        Read-only view of the pixels; it shows later changes.
    revision : int
        Grows with every change, also with undo.
    """

    def __init__(self, ids: Ids) -> None:
        if ids.ndim != 2 or ids.dtype != np.uint8:
            raise ValueError(f"a label is a 2-D array of uint8, not {ids.ndim}-D {ids.dtype}")
        self._pixels = np.require(ids, requirements=["C", "W"])
        self.ids = self._pixels.view()
        self.ids.flags.writeable = False
        self.revision = 0
        self._open_edit: Edit | None = None

    @classmethod
    def unlabelled(cls, shape: tuple[int, int]) -> LabelImage:
        """Return a label of this shape (h, w) about which nothing has been said."""
        return cls(np.full(shape, UNLABELLED, np.uint8))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self._pixels.shape[0], self._pixels.shape[1]

    @property
    def editing(self) -> bool:
        """Whether an edit is open: a gesture is under way and nothing else may change the label."""
        return self._open_edit is not None

    def edit(self, name: str, over: Over = Over.ALL) -> Edit:
        """Open the write door.

        Parameters
        ----------
        name : str
            What the person will read beside *Undo*.
        over : Over
            The over-paint rule.

        Returns
        -------
        Edit
            Used in a ``with`` block it commits on success and rolls back on an exception.

        Raises
        ------
        RuntimeError
            If another edit is still open.
        """
        if self._open_edit is not None:
            raise RuntimeError(f"“{self._open_edit.name}” is still open; finish it before “{name}”")
        self._open_edit = Edit(self, name, over)
        return self._open_edit

    def apply(self, delta: Delta) -> Rect:
        """Apply a delta (undo or redo: it is its own inverse) and return the rectangle that changed.

        Raises
        ------
        RuntimeError
            If an edit is open.
        ValueError
            If the delta belongs to a label of another size.
        """
        if self._open_edit is not None:
            raise RuntimeError(f"“{self._open_edit.name}” is still open; undo has to wait")
        if delta.shape != self.shape:
            raise ValueError(f"the change is for a label of {delta.shape}, this one has {self.shape}")
        for tx, ty, change in delta.decoded():
            self._tile(tx, ty)[...] ^= change
        if not delta.rect.empty:
            self.revision += 1
        return delta.rect

    def _tile(self, tx: int, ty: int) -> Ids:
        return self._pixels[ty * TILE : (ty + 1) * TILE, tx * TILE : (tx + 1) * TILE]


class Edit:
    """One undoable change of a label, made of any number of `paint` and `write` calls.

    Attributes
    ----------
    name : str
        What the person will read beside *Undo*.
    over : Over
        The over-paint rule; it always looks at the pixels as they are now.
    rect : Rect
        Smallest rectangle around everything this edit has changed so far.
    pixels : int
        How many pixels are not what they were before, known after `commit`.
    """

    def __init__(self, labels: LabelImage, name: str, over: Over) -> None:
        self.name = name
        self.over = over
        self.rect = EMPTY
        self.pixels = 0
        self._labels = labels
        self._before: dict[tuple[int, int], Ids] = {}
        self._delta: Delta | None = None

    @property
    def is_open(self) -> bool:
        """Whether the edit can still paint."""
        return self._labels._open_edit is self

    @property
    def delta(self) -> Delta | None:
        """What `commit` returned, None before it and after a rollback."""
        return self._delta

    def __enter__(self) -> Edit:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if not self.is_open:
            return
        if kind is None:
            self.commit()
        else:
            self.rollback()

    def paint(self, rect: Rect, mask: Mask | None, class_id: int) -> Rect:
        """Give pixels one class.

        Parameters
        ----------
        rect : Rect
            Where; the part outside the image is ignored.
        mask : ndarray of bool, shape (rect.h, rect.w), or None
            Which pixels of the rectangle; None for all of them.
        class_id : int
            0 … 254, or 255 for unlabelled.

        Returns
        -------
        Rect
            The smallest rectangle around the pixels that are now different, `EMPTY` when none is.
        """
        if not 0 <= class_id <= UNLABELLED:
            raise ValueError(f"class {class_id} is not in 0 … 255")
        area, mask = self._inside(rect, mask)
        if area.empty:
            return EMPTY
        block = self._labels._pixels[area.slices]
        change = np.not_equal(block, class_id)
        return self._put(area, block, change, mask, np.uint8(class_id))

    def write(self, rect: Rect, ids: Ids, mask: Mask | None = None) -> Rect:
        """Copy class ids into the label: model output, paste.

        Parameters
        ----------
        rect : Rect
            Where; the part outside the image is ignored.
        ids : ndarray of uint8, shape (rect.h, rect.w)
            The new ids, 255 for unlabelled.
        mask : ndarray of bool, shape (rect.h, rect.w), or None
            Which pixels to copy; None for all of them.

        Returns
        -------
        Rect
            The smallest rectangle around the pixels that are now different, `EMPTY` when none is.
        """
        if ids.shape != (rect.h, rect.w) or ids.dtype != np.uint8:
            raise ValueError(f"ids are {ids.dtype} {ids.shape}, the rectangle needs uint8 {(rect.h, rect.w)}")
        area, mask = self._inside(rect, mask)
        if area.empty:
            return EMPTY
        ids = ids[area.shift(-rect.x, -rect.y).slices]
        block = self._labels._pixels[area.slices]
        return self._put(area, block, np.not_equal(block, ids), mask, ids)

    def commit(self) -> Delta | None:
        """Close the edit and return what changed, or None for a no-op. A second call returns the same."""
        if not self.is_open:
            return self._delta
        tiles: dict[tuple[int, int], bytes] = {}
        rect = EMPTY
        for (tx, ty), before in self._before.items():
            np.bitwise_xor(before, self._labels._tile(tx, ty), out=before)
            self.pixels += int(np.count_nonzero(before))
            bounds, data = encode_tile(before)
            if data:
                tiles[tx, ty] = data
                rect = rect.union(bounds.shift(tx * TILE, ty * TILE))
        if tiles:
            self._delta = Delta(self.name, self._labels.shape, rect, tiles)
        self._close()
        return self._delta

    def rollback(self) -> Rect:
        """Close the edit, put everything back and return the rectangle that changed."""
        if not self.is_open:
            return EMPTY
        for (tx, ty), before in self._before.items():
            self._labels._tile(tx, ty)[...] = before
        if not self.rect.empty:
            self._labels.revision += 1
        self._close()
        return self.rect

    def _close(self) -> None:
        self._before = {}
        self._labels._open_edit = None

    def _inside(self, rect: Rect, mask: Mask | None) -> tuple[Rect, Mask | None]:
        if not self.is_open:
            raise RuntimeError(f"“{self.name}” is closed")
        if mask is not None and mask.shape != (rect.h, rect.w):
            raise ValueError(f"the mask is {mask.shape}, the rectangle needs {(rect.h, rect.w)}")
        area = rect.clip(self._labels.shape)
        if mask is not None and area != rect and not area.empty:
            mask = mask[area.shift(-rect.x, -rect.y).slices]
        return area, mask

    def _put(self, area: Rect, block: Ids, change: Mask, mask: Mask | None, values: Ids | np.uint8) -> Rect:
        if mask is not None:
            change &= mask
        allowed = self.over.allowed(block)
        if allowed is not None:
            change &= allowed
        bounds = mask_bounds(change)
        if bounds.empty:
            return EMPTY
        changed = bounds.shift(area.x, area.y)
        for key in changed.tiles(TILE):
            if key not in self._before:
                self._before[key] = self._labels._tile(*key).copy()
        np.copyto(block, values, where=change)
        self.rect = self.rect.union(changed)
        self._labels.revision += 1
        return changed
