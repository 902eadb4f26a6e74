"""Which images are learned from and which are chosen on. Never shuffled pixels, never every other slice."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from unet_gui.core.errors import UserError
from unet_gui.core.geometry import Rect
from unet_gui.core.images import ImageRef
from unet_gui.core.labels import UNLABELLED
from unet_gui.engine.data import histogram

AUTO_FRACTION = 0.2
FEW = 4
"""Labelled images of which that share is less than one. None of them is kept from the training as a whole: the next one
may be of another kind, and what was just corrected in it is to be learned."""
_RANGE = re.compile(r"\s*(\d+)\s*-\s*(\d+)\s*")
_NUMBER = re.compile(r"\d+")
_PAGES = re.compile(r"(?:(.*\S)\s+)?pages?\s*(\d+)(?:\s*-\s*(\d+))?", re.IGNORECASE)
_OF_STACK = re.compile(r"(\.(?:tiff?|btf|tf8)),\s*(?=pages?\s*\d)", re.IGNORECASE)
_HOW = "Use names, numbers, or ranges like 16-19."
_HOW_PAGES = "Write “page 17” or “page 17-20”; pages count from 1. Numbers alone are positions, from 0."


@dataclass(frozen=True)
class Split:
    """The images in two parts.

    Attributes
    ----------
    train, val : tuple of int
        Positions in the list of labelled images; a position that is in both is that of an image to be divided.
    why : str
        One plain sentence.
    """

    train: tuple[int, ...]
    val: tuple[int, ...]
    why: str


def numbers_of(refs: Sequence[ImageRef]) -> list[int]:
    """Return the number each image goes by: the last one in its name, if all have one and no two the same.

    Otherwise that is its position.
    """
    found = []
    for ref in refs:
        digits = _NUMBER.findall(PurePosixPath(ref.rel).stem)
        found.append(int(digits[-1]) if digits else -1)
    if -1 in found or len(set(found)) < len(found):
        return list(range(len(refs)))
    return found


def select(refs: Sequence[ImageRef], wish: str | Sequence[str]) -> list[int]:
    """Return the positions of the images that a person named.

    A number alone that is in no name is a position, counted from 0, also that of a page; ``page 17`` is what messages
    call it, counted from 1.

    Parameters
    ----------
    wish : str or sequence of str
        Parts separated by commas or list items: a number, a range ``16-19``, a name with or without suffix, a
        pattern with ``*``, ``page 17`` or ``page 17-20``, with the name of the stack before it, or of the one so far.

    Raises
    ------
    UserError
        A part fits no image.
    """
    listed = _OF_STACK.sub(r"\1 ", wish).split(",") if isinstance(wish, str) else [str(p) for p in wish]
    stacks = any(ref.page is not None for ref in refs)
    numbers = numbers_of(refs)
    chosen: set[int] = set()
    stack = "*"
    for part in filter(None, map(str.strip, listed)):
        pages = _PAGES.fullmatch(_OF_STACK.sub(r"\1 ", part)) if stacks else None
        if pages:
            stack = pages[1] or stack
            hits = _pages(refs, stack, int(pages[2]), int(pages[3] or pages[2]))
        else:
            hits = _matches(refs, numbers, part)
        if not hits:
            raise UserError(f"No labelled image is called “{part}”.", hint=_HOW_PAGES if stacks else _HOW)
        chosen.update(hits)
    if not chosen:
        raise UserError("No image is named.", hint=_HOW_PAGES if stacks else _HOW)
    return sorted(chosen)


def _names_of(ref: ImageRef) -> tuple[str, str, str, str]:
    return ref.key, ref.rel, PurePosixPath(ref.rel).name, PurePosixPath(ref.rel).stem


def _pages(refs: Sequence[ImageRef], stack: str, first: int, last: int) -> list[int]:
    """Return the positions of pages, counted from 1, of the stacks of this name or pattern."""
    return [
        i
        for i, ref in enumerate(refs)
        if ref.page is not None
        and first <= ref.page + 1 <= last
        and any(text == stack or fnmatch.fnmatchcase(text, stack) for text in _names_of(ref)[1:])
    ]


def _matches(refs: Sequence[ImageRef], numbers: list[int], part: str) -> list[int]:
    names = [_names_of(ref) for ref in refs]
    exact = [i for i, n in enumerate(names) if part in n[:3]]
    if exact:
        return exact
    span = _RANGE.fullmatch(part)
    if part.isdigit():
        return [i for i, n in enumerate(numbers) if n == int(part)]
    if span and not any(part == n[3] for n in names):
        low, high = int(span[1]), int(span[2])
        return [i for i, n in enumerate(numbers) if low <= n <= high]
    return [i for i, n in enumerate(names) if any(fnmatch.fnmatchcase(text, part) for text in n)]


def choose(
    refs: Sequence[ImageRef],
    wish: str | float | Sequence[str] | None,
    counts: Sequence[Sequence[int]] | None = None,
) -> Split:
    """Divide the labelled images.

    Parameters
    ----------
    refs : sequence of ImageRef
        In the folder's natural order, which for a stack is the order of its slices.
    wish : str, float, sequence of str or None
        See `TrainConfig.val`.
    counts : sequence of sequence of int, optional
        For each image, pixels of each class: where nobody chose, no class is held back as a whole.

    Raises
    ------
    UserError
        The wish cannot be understood or leaves nothing to learn from.
    """
    n = len(refs)
    fraction = _fraction(wish)
    if wish is not None and fraction is None:
        assert not isinstance(wish, float)
        val = select(refs, wish)
        train = [i for i in range(n) if i not in set(val)]
        if not train:
            raise UserError("All labelled images are held back to choose on.", hint="Leave some to learn from.")
        return Split(tuple(train), tuple(val), f"{_names(refs, val)} held back to choose the best model on, as asked.")
    if fraction == 0:
        return Split(tuple(range(n)), (), "No image is held back: the last model is kept, and no score can be told.")
    if n == 1 or (n <= FEW and fraction is None):
        said = "one image is labelled: a part of it" if n == 1 else f"{n} images are labelled: a part of each"
        return Split(tuple(range(n)), tuple(range(n)), f"Only {said} is held back to choose the best model on.")
    fraction = AUTO_FRACTION if fraction is None else fraction
    shown = np.asarray(counts) > 0 if counts is not None else np.ones((n, 1), bool)
    count = min(max(1, round(n * fraction)), n - 1)
    tries = (_keeping_classes(_blocks(n, more), shown) for more in range(count, max(count, min(count + 3, n // 2)) + 1))
    val = next(filter(None, tries), [])
    if not val:
        parts = _richest(np.asarray(counts))
        names = " and of ".join(refs[i].key for i in parts)
        why = f"No image can be spared, for the classes it shows: a part of {names} is held back to choose on."
        return Split(tuple(range(n)), tuple(parts), why)
    train = [i for i in range(n) if i not in set(val)]
    why = f"{_names(refs, val)} held back to choose the best model on, in blocks, as neighbours may look alike."
    return Split(tuple(train), tuple(val), why)


def _fraction(wish: str | float | Sequence[str] | None) -> float | None:
    """Return a fraction 0…1, or None where the wish is none."""
    if isinstance(wish, str):
        text = wish.strip().lower()
        if text == "none":
            return 0.0
        if not re.fullmatch(r"\d*\.\d+", text):
            return None
        wish = float(text)
    if isinstance(wish, (int, float)):
        if not 0 <= wish < 1:
            raise UserError(f"{wish} is no fraction of the images.", hint="Use a number from 0 to 0.9, or names.")
        return float(wish)
    return None


def _blocks(n: int, count: int) -> list[int]:
    """Return so many positions in one to four blocks spread over the list."""
    blocks = min(4, max(1, count // 5))
    edges = np.linspace(0, n, blocks + 1)
    chosen: list[int] = []
    for b in range(blocks):
        size = count // blocks + (1 if b < count % blocks else 0)
        start = round((edges[b] + edges[b + 1]) / 2 - size / 2)
        chosen.extend(range(start, start + size))
    return chosen


def _keeping_classes(val: list[int], shown: NDArray[np.bool_]) -> list[int]:
    """Move the positions held back as little as needed, so that each class stays among the others; nothing if none do.

    Those held back show two classes at least: whoever says the same everywhere would have a perfect score on one.

    Parameters
    ----------
    val : list of int
    shown : ndarray
        ``(images, classes)``: which image shows which class.
    """
    n, needed = len(shown), shown.any(0)
    for shift in sorted(range(-(n // 2), n - n // 2), key=abs):
        moved = sorted((position + shift) % n for position in val)
        both = shown[moved].any(0).sum() >= min(2, needed.sum())
        if both and (np.delete(shown, moved, axis=0).any(0) >= needed).all():
            return moved
    return []


def _richest(counts: NDArray[np.int64]) -> list[int]:
    """Return the image with most classes, and where that is a single one the image with most of another."""
    best = int((counts > 0).sum(1).argmax())
    others = np.where(counts[best] > 0, 0, counts).sum(1)
    alone = np.count_nonzero(counts[best]) > 1 or not others.any()
    return [best] if alone else sorted({best, int(others.argmax())})


def _names(refs: Sequence[ImageRef], chosen: Sequence[int]) -> str:
    """Say which images, shortly."""
    keys = [refs[i].key for i in chosen]
    if len(keys) == 1:
        return f"{keys[0]} is"
    if len(keys) <= 4:
        return f"{', '.join(keys[:-1])} and {keys[-1]} are"
    return f"{len(keys)} images ({keys[0]} … {keys[-1]}) are"


def hold_back_part(label: NDArray[np.uint8]) -> Rect:
    """Choose a part of one image to choose on: a quarter at one side, with as many classes as possible.

    Parameters
    ----------
    label : ndarray
        ``(h, w)`` uint8 with 255 for unlabelled.
    """
    h, w = label.shape
    whole = histogram(label)[:UNLABELLED]
    parts = []
    for share in (0.25, 0.35, 0.5):
        y, x = max(1, round(h * share)), max(1, round(w * share))
        parts += [Rect(w - x, 0, x, h), Rect(0, h - y, w, y), Rect(0, 0, x, h), Rect(0, 0, w, y)]
    best, best_value = parts[0], -1.0
    for part in parts:
        held = histogram(label[part.slices])[:UNLABELLED]
        both, lost = ((held > 0) & (whole - held > 0)).sum(), ((held > 0) & (whole == held)).sum()
        value = float(both) - float(lost) - abs(float(held.sum()) / max(int(whole.sum()), 1) - 0.25)
        if value > best_value + 1e-9:
            best, best_value = part, value
    return best
