"""Everything before the first step: read the labels, measure, divide, plan."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unet_gui.core.errors import UserError
from unet_gui.core.images import ImageRef
from unet_gui.core.project import Dataset
from unet_gui.core.regions import thin_net_class
from unet_gui.engine.batches import repeats_for
from unet_gui.engine.data import (
    SCANNED,
    UNLABELLED,
    ClassTable,
    Entry,
    Pictures,
    effective,
    labelled_images,
)
from unet_gui.engine.device import DeviceChoice
from unet_gui.engine.events import TICK, Event, Warned
from unet_gui.engine.fingerprint import Traits, fingerprint, traits_of
from unet_gui.engine.plan import Plan, make_plan
from unet_gui.engine.recipe import SCORES, TrainConfig
from unet_gui.engine.scribbles import are_strokes
from unet_gui.engine.split import Split, choose, hold_back_part, select

VAL_PIXELS = {"cpu": 8_000_000, "mps": 30_000_000, "cuda": 80_000_000}
"""Pixels looked at in one validation; of more, an even choice of the images."""


READERS = 4
"""Threads that read images and labels; decoding and measuring leave Python's lock alone most of the time."""
_Looked = tuple[Traits, tuple[int, tuple[int, ...]]]
"""What is kept of an image, and a mark by which the same picture is known again."""


@dataclass(frozen=True)
class Prepared:
    """What a training starts from.

    Attributes
    ----------
    pictures : Pictures
    train, val : tuple of Entry
        ``val`` is what is really looked at in a validation.
    train_keys, val_keys : tuple of str
        All images of the two parts.
    repeats : list of int
        See `BatchMaker`.
    plan : Plan
    words : tuple of str
    """

    pictures: Pictures
    train: tuple[Entry, ...]
    val: tuple[Entry, ...]
    train_keys: tuple[str, ...]
    val_keys: tuple[str, ...]
    repeats: list[int]
    plan: Plan
    words: tuple[str, ...]


def prepare(dataset: Dataset, config: TrainConfig, device: DeviceChoice) -> Generator[Event, None, Prepared]:
    """Read the labelled images and decide how to train.

    Yields
    ------
    Warned
        For each image or label that cannot be used, empty classes, and labels that contradict each other.

    Raises
    ------
    UserError
        There is nothing to learn from, or the wishes cannot be met.
    """
    if config.score not in SCORES:
        raise UserError(f"There is no score called “{config.score}”.", hint=f"Use {', '.join(SCORES)}.")
    if len(dataset.classes) < 2:
        raise UserError("There must be at least two classes to tell apart.", hint="Add a class, e.g. for background.")
    refs = labelled_images(dataset)
    if config.only is not None:
        refs = [refs[i] for i in select(refs, config.only)]
    if not refs:
        raise UserError(
            "No image has a label yet.", dataset.root, "Paint a little of every class in one or two images first."
        )
    channels = config.channels or (1 if config.recipe == "tutorial" else effective(dataset, refs))
    table = ClassTable([c.id for c in dataset.classes])
    pictures = Pictures(dataset, table, channels, config.seed)
    usable = yield from _scan(pictures, refs)
    split = _split([e.ref for e, _ in usable], config)
    train, val, why = _divide(pictures, usable, split)
    known = [t for e, t in usable if any(e.ref == other.ref for other in train)] if val else [t for _, t in usable]
    yield from _check_classes(dataset, known, [t for _, t in usable])
    prints = fingerprint(known, channels)
    score, net = _score(config, pictures, usable, val)
    plan, words = make_plan(config, prints, score, net, device.type)
    shown = _some_of(val, pictures, VAL_PIXELS[device.type])
    return Prepared(
        pictures,
        tuple(train),
        tuple(shown),
        tuple(e.key for e in train),
        tuple(e.key for e in val),
        repeats_for([sum(t.counts) for t in known], plan.crop),
        plan,
        (*words, why, *_threshold_words(plan, [pictures.load(e).label for e in shown])),
    )


def _threshold_words(plan: Plan, labels: Sequence[NDArray[np.uint8]]) -> tuple[str, ...]:
    """Say what is done about strokes, which are no fair sample: see `Judge.settle`."""
    if plan.recipe == "tutorial" or plan.score != "dice" or not are_strokes(labels):
        return ()
    return ("Only strokes are painted there: threshold and final score are estimated for the whole images.",)


def _scan(pictures: Pictures, refs: Sequence[ImageRef]) -> Generator[Event, None, list[tuple[Entry, Traits]]]:
    """Read the images; tell which cannot be used and go on with the others."""
    step = max(1, -(-len(refs) // SCANNED))
    usable: list[tuple[Entry, Traits]] = []
    last: UserError | None = None
    seen: dict[tuple[int, tuple[int, ...]], Entry] = {}
    for ref, reading in _read_ahead(pictures, refs[::step]):
        entry = Entry(ref)
        try:
            traits, mark = reading.result()
        except (UserError, MemoryError) as error:
            last = error if isinstance(error, UserError) else UserError("does not fit into memory.", ref.key)
            yield Warned(f"{ref.key} is left out: {last}")
            continue
        if sum(traits.counts):
            usable.append((entry, traits))
            yield from _check_twin(pictures, entry, seen.setdefault(mark, entry))
        yield TICK
    if not usable:
        if last is not None:
            raise last
        raise UserError(
            "The labels are empty: nothing is painted yet.", hint="Paint a little of every class in one or two images."
        )
    return usable


def _read_ahead(pictures: Pictures, refs: Sequence[ImageRef]) -> Iterator[tuple[ImageRef, Future[_Looked]]]:
    """Yield each image with what is found out about it, a few being read meanwhile."""

    def look(ref: ImageRef) -> _Looked:
        picture = pictures.load(Entry(ref))
        return traits_of(picture), (zlib.crc32(np.ascontiguousarray(picture.pixels).tobytes()), picture.pixels.shape)

    with ThreadPoolExecutor(READERS, "read-labels") as pool:
        ahead: deque[tuple[ImageRef, Future[_Looked]]] = deque()
        try:
            for ref in refs:
                ahead.append((ref, pool.submit(look, ref)))
                if len(ahead) > 2 * READERS:
                    yield ahead.popleft()
            while ahead:
                yield ahead.popleft()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _check_twin(pictures: Pictures, entry: Entry, other: Entry) -> Generator[Event, None, None]:
    """Tell when the same picture is there twice, with labels that contradict each other."""
    if other is entry:
        return
    picture, twin = pictures.load(entry), pictures.load(other)
    both = (twin.label != UNLABELLED) & (picture.label != UNLABELLED)
    wrong = float((twin.label[both] != picture.label[both]).mean()) if both.any() else 0.0
    if wrong > 0.01:
        yield Warned(
            f"{twin.key} and {picture.key} are the same picture, but their labels contradict each other "
            f"in {wrong:.0%} of the pixels."
        )


def _split(refs: list[ImageRef], config: TrainConfig) -> Split:
    wish = config.val
    if wish is None and config.recipe == "tutorial":
        wish = 0.0  # the tutorial learns from all images
    return choose(refs, wish)


def _divide(
    pictures: Pictures, usable: list[tuple[Entry, Traits]], split: Split
) -> tuple[list[Entry], list[Entry], str]:
    """Return the entries to learn from and to choose on, and why."""
    if split.train != split.val:
        return [usable[i][0] for i in split.train], [usable[i][0] for i in split.val], split.why
    entry = usable[0][0]
    part = hold_back_part(pictures.load(entry).label)
    train, val = Entry(entry.ref, hidden=part), Entry(entry.ref, only=part)
    if not sum(pictures.load(val).counts) or sum(n > 0 for n in pictures.load(train).counts) < 2:
        return [entry], [], "Too little is labelled to hold anything back: the last model is kept, without a score."
    return [train], [val], split.why


def _check_classes(dataset: Dataset, train: list[Traits], everything: list[Traits]) -> Generator[Event, None, None]:
    """Refuse a single class; tell which classes are empty or only in images that are held back."""
    counts = np.array([t.counts for t in train]).sum(0)
    all_counts = np.array([t.counts for t in everything]).sum(0)
    names = [c.name for c in dataset.classes]
    if (all_counts > 0).sum() < 2:
        only = names[int(all_counts.argmax())]
        raise UserError(
            f"Only one class is labelled ({only}): there is nothing to tell it from.",
            hint="Paint a little of another class too.",
        )
    if (counts > 0).sum() < 2:
        raise UserError(
            "The images to learn from show only one class.", hint="Label more, or hold other images back with --val."
        )
    for i, (name, count, total) in enumerate(zip(names, counts, all_counts, strict=True)):
        if not total:
            yield Warned(f"Nothing is labelled as “{name}”: the model will not know it.")
        elif not count:
            held = ", ".join(t.key for t in everything if t.counts[i])
            yield Warned(f"“{name}” is labelled only in images that are held back ({held}).")


def _score(
    config: TrainConfig, pictures: Pictures, usable: list[tuple[Entry, Traits]], val: list[Entry]
) -> tuple[str, int]:
    """Decide what counts as good, and for regions which class separates them."""
    dense = [e for e, t in usable if sum(t.counts) > 0.95 * t.size]
    some = dense[:: max(1, len(dense) // 8)]
    net = thin_net_class(pictures.load(e).label for e in some) if dense and config.score != "dice" else None
    if config.score == "rand":
        return "rand", 0 if net is None else net
    # a part of one image shows too few whole regions, a scribbled one shows none
    whole = len(dense) > 0.5 * len(usable) and all(e.only is None for e in val)
    return ("rand", net) if net is not None and whole else ("dice", 0)


def _some_of(val: list[Entry], pictures: Pictures, pixels: int) -> list[Entry]:
    """Return an even choice of the images, so many that a validation does not take too long."""
    total = sum(pictures.load(e).label.size for e in val)
    keep = max(1, round(len(val) * min(1.0, pixels / max(total, 1))))
    return [val[i] for i in np.linspace(0, len(val) - 1, keep).round().astype(int)] if val else []
