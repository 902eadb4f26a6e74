"""Everything before the first step: read the labels, measure, divide, plan."""

from __future__ import annotations

import contextlib
import dataclasses
import time
import zlib
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from unet_gui.core.cv import cv2
from unet_gui.core.errors import NothingToLearn, UserError, is_out_of_memory
from unet_gui.core.images import ImageRef, channels_beyond, image_info
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.project import Dataset
from unet_gui.core.regions import nets_of, voted
from unet_gui.core.text import percent
from unet_gui.engine.batches import repeats_for, seldom_classes
from unet_gui.engine.data import (
    SCANNED,
    ClassTable,
    Entry,
    Picture,
    Pictures,
    effective,
    evenly,
    histogram,
    labelled_images,
    nothing_labelled,
    windows_of,
)
from unet_gui.engine.device import DeviceChoice, step_seconds
from unet_gui.engine.events import TICK, Event, Warned
from unet_gui.engine.fingerprint import Traits, fingerprint, traits_of
from unet_gui.engine.model import Model
from unet_gui.engine.plan import DEFAULT_MINUTES, Plan, check_wishes, make_plan
from unet_gui.engine.recipe import SCORES, TrainConfig
from unet_gui.engine.scribbles import are_strokes
from unet_gui.engine.split import Split, choose, hold_back_part, select
from unet_gui.engine.together import Together
from unet_gui.engine.unet import Arch, UNet

VAL_PIXELS = {"cpu": 8_000_000, "mps": 30_000_000, "cuda": 80_000_000}
"""Pixels looked at in one validation; of more, an even choice of the images. The probabilities of all classes are kept
for each, so of more than four classes it is fewer."""
SCAN_SHARE = 0.2
"""Of the time for a training, at most this share goes into looking at the images before it begins."""
LONG = 60.0
"""Seconds of a training from which on a wider network is thought of: see docs/accuracy-study.md."""
MANY_STEPS = 2000
"""Forward and backward passes of the narrow network that it must have time for."""
NARROW, WIDER = 16, 24
"""Channels of a network on a processor, and then."""
FEW_VIEWS = 2
"""Views that a wider one averages over on a processor: four take longer than a person likes to wait."""
FEW = 50
"""Images that are looked at in any case."""
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
    seldom : dict
        See `BatchMaker`.
    plan : Plan
    words : tuple of str
    held_back : tuple of Picture
        ``val`` in memory: whole images, or windows of large ones.
    nbytes : float
        Memory that the images to learn from would take together.
    strokes : bool
        Only strokes are painted in what is held back: they are no fair sample.
    """

    pictures: Pictures
    train: tuple[Entry, ...]
    val: tuple[Entry, ...]
    train_keys: tuple[str, ...]
    val_keys: tuple[str, ...]
    repeats: list[int]
    seldom: dict[int, tuple[int, ...]]
    plan: Plan
    words: tuple[str, ...]
    held_back: tuple[Picture, ...]
    nbytes: float
    strokes: bool


@dataclass(frozen=True)
class Begun:
    """What a training that goes on was begun with.

    Attributes
    ----------
    held_back : tuple of str
        Images, by their keys, that were not learned from; unknown where there is none.
    part : bool
        Of them only a part.
    nothing : bool
        It is known that nothing was held back: all has been learned from.
    """

    held_back: tuple[str, ...] = ()
    part: bool = False
    nothing: bool = False


def prepare(
    dataset: Dataset, config: TrainConfig, device: DeviceChoice, alone: bool = True, begun: Begun | None = None
) -> Generator[Event, None, Prepared]:
    """Read the labelled images and decide how to train.

    Parameters
    ----------
    dataset : Dataset
    config : TrainConfig
    device : DeviceChoice
    alone : bool
        False: other processes do the same now, and all must decide alike, so no clock decides.
    begun : Begun, optional
        Of a training that goes on: what it has learned from must not be held back now.

    Yields
    ------
    Warned
        For each image or label that cannot be used, empty classes, and labels that contradict each other.

    Raises
    ------
    UserError
        There is nothing to learn from, or the wishes cannot be met.
    """
    check_wishes(config)
    if config.score not in SCORES:
        raise UserError(f"There is no score called “{config.score}”.", hint=f"Use {', '.join(SCORES)}.")
    if len(dataset.classes) < 2:
        raise NothingToLearn(
            "There must be at least two classes to tell apart.", hint="Add a class, e.g. for background."
        )
    refs = labelled_images(dataset)
    if config.only is not None:
        refs = [refs[i] for i in select(refs, config.only)]
    if not refs:
        raise nothing_labelled(dataset)
    channels = config.channels or (1 if config.recipe == "tutorial" else (yield from effective(dataset, refs)))
    table = ClassTable([c.id for c in dataset.classes])
    pictures = Pictures(dataset, table, channels, config.seed)
    time_for = SCAN_SHARE * 60 * config.minutes if config.minutes and alone else float("inf")
    usable = yield from _scan(pictures, refs, config.seed, time_for)
    split = (_as_begun(usable, begun) if begun and config.val is None else None) or _split(usable, config)
    train, val, why = _divide(pictures, usable, split)
    learned, sizes = {e.ref for e in train}, {e.ref: t.size for e, t in usable}
    known = [t for e, t in usable if e.ref in learned]
    yield from _check_classes(dataset, known, [t for _, t in usable])
    prints = dataclasses.replace(fingerprint(known, channels), held_back=len({e.ref for e in val} - learned))
    score, net = yield from _score(config, pictures, usable, val)
    plan, words = make_plan(config, prints, score, net, device.type)
    pixels = VAL_PIXELS[device.type] * 4 // max(4, len(table))
    shown = _some_of(val, sum(sizes[e.ref] for e in val), pixels)
    held_back = yield from _held_back(dataset, pictures, shown, pixels)
    strokes = are_strokes([picture.label for picture in held_back])
    return Prepared(
        pictures,
        tuple(train),
        tuple(shown),
        tuple(e.key for e in train),
        tuple(e.key for e in val),
        repeats_for([sum(t.counts) for t in known], plan.crop),
        seldom_classes([t.counts for t in known]) if plan.crop else {},
        plan,
        (*words, *_channel_words(dataset, refs, channels), why, *_threshold_words(plan, strokes)),
        tuple(held_back),
        sum(t.nbytes for t in known),
        strokes,
    )


def _channel_words(dataset: Dataset, refs: Sequence[ImageRef], channels: int) -> tuple[str, ...]:
    """Say where images have channels that the network does not see."""
    most = 1
    for path in {dataset.image_path(ref) for ref in evenly(refs)}:
        with contextlib.suppress(UserError):  # told when it is read
            most = max(most, image_info(path).channels)
    beyond = channels_beyond(most, channels)
    return (beyond,) if beyond else ()


def _threshold_words(plan: Plan, strokes: bool) -> tuple[str, ...]:
    """Say what is done about strokes, which are no fair sample: see `Judge.settle`."""
    if plan.recipe == "tutorial" or plan.score != "dice" or not strokes:
        return ()
    return ("Only strokes are painted there: threshold and final score are estimated for the whole images.",)


def _scan(
    pictures: Pictures, refs: Sequence[ImageRef], seed: int, seconds: float
) -> Generator[Event, None, list[tuple[Entry, Traits]]]:
    """Read the images; tell which cannot be used and go on with the others.

    What is read within the given seconds is an even choice of the images.
    """
    end = time.perf_counter() + seconds
    refs = refs[:: max(1, -(-len(refs) // SCANNED))]
    order = list(range(len(refs)))
    if len(refs) > FEW:
        np.random.default_rng(seed).shuffle(order)
    usable: list[tuple[int, Entry, Traits]] = []
    last: UserError | None = None
    seen: dict[tuple[int, tuple[int, ...]], Entry] = {}
    for place, (ref, reading) in zip(order, _read_ahead(pictures, [refs[i] for i in order]), strict=True):
        entry = Entry(ref)
        try:
            traits, mark = reading.result()
        except (UserError, MemoryError, cv2.error) as error:
            last = error if isinstance(error, UserError) else _in_words(error, ref)
            yield Warned(f"{ref.key} is left out: {last}")
            continue
        if sum(traits.counts):
            usable.append((place, entry, traits))
            yield from _check_twin(pictures, entry, seen.setdefault(mark, entry))
        yield TICK
        if len(usable) >= FEW and time.perf_counter() > end:
            yield Warned(f"Reading takes long: learning from {len(usable)} of {len(refs)} labelled images.")
            break
    if not usable:
        if last is not None:
            raise last
        raise NothingToLearn(
            "The labels are empty: nothing is painted yet.", hint="Paint a little of every class in one or two images."
        )
    return [(entry, traits) for _, entry, traits in sorted(usable, key=lambda found: found[0])]


def _in_words(error: Exception, ref: ImageRef) -> UserError:
    if is_out_of_memory(error):
        return UserError("does not fit into memory.", ref.key)
    return UserError("cannot be looked at.", ref.key, details=str(error))


def _read_ahead(pictures: Pictures, refs: Sequence[ImageRef]) -> Iterator[tuple[ImageRef, Future[_Looked]]]:
    """Yield each image with what is found out about it, a few being read meanwhile."""

    def look(ref: ImageRef) -> _Looked:
        picture = pictures.load(Entry(ref))
        return traits_of(picture), (zlib.crc32(np.ascontiguousarray(picture.pixels).data), picture.pixels.shape)

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
            f"in {percent(wrong)} of the pixels."
        )


def _split(usable: list[tuple[Entry, Traits]], config: TrainConfig) -> Split:
    wish = config.val
    if wish is None and config.recipe == "tutorial":
        wish = 0.0  # the tutorial learns from all images
    return choose([e.ref for e, _ in usable], wish, [t.counts for _, t in usable])


def _as_begun(usable: list[tuple[Entry, Traits]], begun: Begun) -> Split | None:
    """Return the split that holds back what was held back before; None when nothing of that is there any more."""
    if begun.nothing:
        why = "As before no image is held back: the last model is kept, and no score can be told."
        return Split(tuple(range(len(usable))), (), why)
    val = tuple(i for i, (entry, _) in enumerate(usable) if entry.key in begun.held_back)
    train = tuple(i for i in range(len(usable)) if begun.part or i not in val)
    if not val or not train:
        return None
    return Split(train, val, "The same images as before are held back to choose the best model on.")


def _divide(
    pictures: Pictures, usable: list[tuple[Entry, Traits]], split: Split
) -> tuple[list[Entry], list[Entry], str]:
    """Return the entries to learn from and to choose on, and why."""
    train = [usable[i][0] for i in split.train]
    if not set(split.train) & set(split.val):
        return train, [usable[i][0] for i in split.val], split.why
    rest, val = list(train), []
    everything = np.sum([t.counts for _, t in usable], axis=0)
    held = np.zeros_like(everything)
    for divided in split.val:
        entry = usable[divided][0]
        part = hold_back_part(pictures.load(entry).label)
        only = Entry(entry.ref, only=part)
        more = held + pictures.load(only).counts
        if (more == held).all() or ((everything > 0) & (everything == more)).any():
            continue  # nothing to see there, or nothing would be left of a class to learn from
        rest[split.train.index(divided)] = Entry(entry.ref, hidden=part)
        val.append(only)
        held = more
    if np.count_nonzero(held) < 2:
        return train, [], "Too little is labelled to hold anything back: the last model is kept, without a score."
    return rest, val, split.why


def _check_classes(dataset: Dataset, train: list[Traits], everything: list[Traits]) -> Generator[Event, None, None]:
    """Refuse a single class; tell which classes are empty or only in images that are held back."""
    counts = np.array([t.counts for t in train]).sum(0)
    all_counts = np.array([t.counts for t in everything]).sum(0)
    names = [c.name for c in dataset.classes]
    if (all_counts > 0).sum() < 2:
        only = names[int(all_counts.argmax())]
        raise NothingToLearn(
            f"Only one class is labelled ({only}): there is nothing to tell it from.",
            hint="Paint a little of another class too.",
        )
    if (counts > 0).sum() < 2:
        raise NothingToLearn(
            "The images to learn from show only one class.", hint="Label more, or hold other images back."
        )
    for i, (name, count, total) in enumerate(zip(names, counts, all_counts, strict=True)):
        if not total:
            yield Warned(f"Nothing is labelled as “{name}”: the model will not know it.")
        elif not count:
            held = ", ".join(t.key for t in everything if t.counts[i])
            yield Warned(f"“{name}” is labelled only in images that are held back ({held}).")


def _held_back(
    dataset: Dataset, pictures: Pictures, shown: list[Entry], pixels: int
) -> Generator[Event, None, list[Picture]]:
    """Return the pictures of a validation, which has so many ``pixels``; tell when its score will say nothing."""
    held_back: list[Picture] = []
    for entry in shown:
        held_back += windows_of(pictures.load(entry), entry.only, pixels // len(shown))
        yield TICK
    labels = [picture.label for picture in held_back]
    counts = np.sum([histogram(label)[:UNLABELLED] for label in labels], axis=0) if labels else np.zeros(1)
    if np.count_nonzero(counts) == 1:  # as may be where somebody chose what is held back
        only = dataset.classes[int(counts.argmax())].name
        yield Warned(f"What is held back shows only “{only}”: the score says nothing about the model.")
    return held_back


def _score(
    config: TrainConfig, pictures: Pictures, usable: list[tuple[Entry, Traits]], val: list[Entry]
) -> Generator[Event, None, tuple[str, int]]:
    """Decide what counts as good, and for regions which class separates them."""
    dense = [e for e, t in usable if sum(t.counts) > 0.95 * t.size]
    nets: list[dict[int, bool]] = []
    for entry in dense[:: max(1, len(dense) // 8)] if config.score != "dice" else ():
        nets.append(nets_of(pictures.load(entry).label))
        yield TICK
    net = voted(nets)
    if config.score == "rand":
        return "rand", 0 if net is None else net
    # a part of one image shows too few whole regions, a scribbled one shows none
    whole = len(dense) > 0.5 * len(usable) and all(e.only is None for e in val)
    return ("rand", net) if net is not None and whole else ("dice", 0)


def _some_of(val: list[Entry], total: int, pixels: int) -> list[Entry]:
    """Return an even choice of the images, which have ``total`` pixels: so many that a validation is not too long."""
    keep = max(1, round(len(val) * min(1.0, pixels / max(total, 1))))
    return [val[i] for i in np.linspace(0, len(val) - 1, keep).round().astype(int)] if val else []


# --- what else the network depends on


def suited(plan: Plan, config: TrainConfig, device: DeviceChoice, together: Together) -> Plan:
    """Return the plan with the network of a model to start from, or with a wider one where there is time for it."""
    plan = _with_network(plan, config, device, together)
    slow = device.type == "cpu" and plan.arch.widths[0] > NARROW
    return dataclasses.replace(plan, averaged=FEW_VIEWS) if slow else plan


def _with_network(plan: Plan, config: TrainConfig, device: DeviceChoice, together: Together) -> Plan:
    if plan.recipe == "tutorial" or config.width:
        return plan
    if config.init is None:
        return _with_time(plan, config, device, together)
    arch = Model.load(config.init, "cpu").arch
    if config.depth is not None or config.stem or arch.outputs == 1:
        return plan
    same = dataclasses.replace(arch, in_channels=plan.arch.in_channels, outputs=plan.arch.outputs)
    return dataclasses.replace(plan, arch=same, crop=-(-plan.crop // same.align) * same.align)


def _with_time(plan: Plan, config: TrainConfig, device: DeviceChoice, together: Together) -> Plan:
    """Take more channels if the time reaches for many steps: in few steps a narrow network learns most.

    How many steps there will be is known when the processor's pace is, so a few are made for nothing.
    """
    by_time = config.minutes is not None or (config.steps is None and config.epochs is None)
    seconds = 60 * (config.minutes or DEFAULT_MINUTES) if by_time else 0.0
    if device.type != "cpu" or seconds < LONG:
        return plan
    arch, side = plan.arch, min(plan.crop, 256)
    sample = torch.zeros(plan.batch, arch.in_channels, side, side).contiguous(memory_format=torch.channels_last)
    with torch.random.fork_rng(devices=[]):
        net: UNet = UNet(arch).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    (pace,) = together.agree(min(step_seconds(net, sample)))
    if seconds / pace < MANY_STEPS:
        return plan
    wider = Arch.plain(arch.in_channels, arch.outputs, WIDER, arch.depth, stem=arch.stem)
    return dataclasses.replace(plan, arch=wider)
