"""Segment many images: read ahead, compute, write behind. One bad file never stops the others."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unet_gui.core.errors import UserError, is_of_image
from unet_gui.core.headers import read_bytes
from unet_gui.core.images import ImageSource, open_image
from unet_gui.core.label_stack import StackWriter
from unet_gui.core.store import Encoding
from unet_gui.engine.device import pick_device
from unet_gui.engine.events import (
    TICK,
    Event,
    ImageDone,
    ImageFailed,
    SegmentFinished,
    SegmentStarted,
)
from unet_gui.engine.lanes import Lanes
from unet_gui.engine.model import Model
from unet_gui.engine.normalise import Stats
from unet_gui.engine.outputs import (
    Files,
    StacksBehind,
    check_encoding,
    config_for,
    is_stale_stack,
    is_up_to_date,
    maker_text,
    write_item,
)
from unet_gui.engine.predict import Predictor, told
from unet_gui.engine.prediction import Prediction
from unet_gui.engine.recipe import SegmentConfig, SegmentItem

READ_WHOLE = 64_000_000
"""Pixels up to which an image is decoded whole ahead of time; larger ones are read, and written, part by part."""
AHEAD = 512
"""Images that may be read ahead, as long as they are small."""
AHEAD_PIXELS = 8_000_000
"""Pixels that may be read ahead; an image that is larger is read ahead alone."""
BEHIND = 2
"""Finished images that may wait to be written, whatever their size; more would fill the memory."""
READERS = WRITERS = 4
"""Threads. A write waits for the disk most of the time, and many waits at once take hardly longer than one."""


@dataclass(frozen=True)
class _Read:
    """An image decoded ahead of time."""

    pixels: ImageSource | NDArray
    stats: Stats

    @property
    def size(self) -> tuple[int, int]:
        return self.pixels.shape[0], self.pixels.shape[1]

    def close(self) -> None:
        if isinstance(self.pixels, ImageSource):
            self.pixels.close()


class _Ahead(NamedTuple):
    """An image on its way into memory."""

    number: int
    item: SegmentItem
    read: Future[_Read]


Group = list[tuple["_Job", _Read]]
"""Images of one size that are computed together."""


class _Room:
    """Pixels that may be in memory ahead of time, given away in the order of the images."""

    def __init__(self, pixels: int) -> None:
        self.pixels, self.used, self.turn, self.closed = pixels, 0, 0, False
        self.changed = threading.Condition()

    def take(self, turn: int, pixels: int) -> None:
        """Wait for one's turn and for room. Whatever was read before must not need this one to be given back."""

        def ready() -> bool:
            return self.closed or (self.turn == turn and (not self.used or self.used + pixels <= self.pixels))

        with self.changed:
            self.changed.wait_for(ready)
            if self.closed:  # nobody wants it any more: do not begin to decode
                raise CancelledError
            self.turn += 1
            self.used += pixels
            self.changed.notify_all()

    def give(self, pixels: int) -> None:
        with self.changed:
            self.used -= pixels
            self.changed.notify_all()

    def close(self) -> None:
        """Let nobody wait any longer."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()


@dataclass(frozen=True)
class _Job:
    number: int
    item: SegmentItem
    started: float
    pixels: int = 0
    uncertainty: float = math.nan
    disagreement: float = math.nan


def segment(items: Sequence[SegmentItem], config: SegmentConfig) -> Generator[Event, None, None]:
    """Segment images and write their masks.

    Parameters
    ----------
    items : sequence of SegmentItem
    config : SegmentConfig

    Yields
    ------
    SegmentStarted, Tick, TileDone, Warned, ImageDone, ImageFailed, SegmentFinished
        An image is announced as done when it is on the disk, whole. Closing the generator stops at the next tile;
        what is not yet written is not there at all, and a second run goes on from there.

    Raises
    ------
    UserError
        The model cannot be used, the device is not there, or the encoding cannot hold the model's classes.
    """
    device = pick_device(config.device)
    model = Model.load(config.model, device)
    check_encoding(model, config)
    config = config_for(items, config)
    predictor = Predictor(model, config, device)
    yield SegmentStarted(len(items), device.name, device.note)
    yield from _Run(items, config, predictor, maker_text(read_bytes(config.model, "model"), config)).events()


class _Run:
    """One run over the items: counts, threads and the order of things."""

    def __init__(self, items: Sequence[SegmentItem], config: SegmentConfig, predictor: Predictor, maker: str) -> None:
        self.items, self.config, self.predictor, self.maker = items, config, predictor, maker
        self.encoding = Encoding(config.encoding)
        self.classes = [c.id for c in predictor.info.classes]
        self.written = self.skipped = self.failed = 0
        self.waiting: deque[tuple[_Job, Future[None]]] = deque()
        self.behind = 0
        self.room = _Room(AHEAD_PIXELS)
        self.readers, self.writers = (
            ThreadPoolExecutor(READERS, "read-ahead"),
            ThreadPoolExecutor(WRITERS, "write-behind"),
        )
        self.stacks = StacksBehind(self._write, self._begin_stack)
        self.lanes: Lanes | None = None
        self.computing: deque[tuple[Group, Future[tuple[list[Event], list[Prediction]]]]] = deque()
        # a stack from an older model or image is begun anew, or a stop half-way would leave pages of both
        self.renew = {i.out for i in items if is_stale_stack(i, config)}

    @property
    def handled(self) -> int:
        return self.written + self.skipped + self.failed

    def events(self) -> Iterator[Event]:
        start = time.perf_counter()
        todo: deque[tuple[int, SegmentItem]] = deque()
        ahead: deque[_Ahead] = deque()
        try:
            for number, item in enumerate(self.items):
                if not self.config.overwrite and is_up_to_date(item, self.config, self.maker):
                    self.skipped += 1
                    yield self._done(_Job(number, item, time.perf_counter()), skipped=True)
                else:
                    todo.append((number, item))
                    yield TICK  # to look takes long where files are many or the disk is slow
            turns = itertools.count()
            while todo or ahead:
                while todo and len(ahead) < AHEAD:
                    number, item = todo.popleft()
                    ahead.append(_Ahead(number, item, self.readers.submit(self._read, item, next(turns))))
                yield from self._next(ahead, len(todo) + len(ahead))
            yield from self._collect(0)
            while self.waiting:
                yield from self._settle()
            yield SegmentFinished(self.written, self.skipped, self.failed, time.perf_counter() - start)
        finally:
            self.room.close()
            self.readers.shutdown(wait=True, cancel_futures=True)
            if self.lanes is not None:
                self.lanes.close()
            self.writers.shutdown(wait=True, cancel_futures=False)
            self.stacks.close()
            for image in ahead:
                _close(image.read)

    def _read(self, item: SegmentItem, turn: int) -> _Read:
        source: ImageSource | None = None
        held = 0
        try:
            try:
                source = open_image(item.path, item.page)
                held = source.shape[0] * source.shape[1]
            finally:  # the next one's turn comes also after a file that cannot be opened
                self.room.take(turn, held)
            if held > READ_WHOLE:
                return _Read(source, self.predictor.measure(source))
            pixels = source.read()
            source.close()
            return _Read(pixels, self.predictor.measure(pixels))
        except BaseException:
            self.room.give(held)
            if source is not None:
                source.close()
            raise

    def _next(self, ahead: deque[_Ahead], left: int) -> Iterator[Event]:
        """Predict the next image, or the next few if they are small and of one size."""
        group: Group = []
        most = lanes = 1
        while ahead and len(group) < most:
            number, item, read = ahead[0]
            try:
                ready = read.result()
            except (UserError, OSError, MemoryError) as error:
                if group:
                    break  # told in its turn
                ahead.popleft()
                yield from self._collect(0)
                yield self._failed(_Job(number, item, time.perf_counter()), error)
                return
            whole = isinstance(ready.pixels, np.ndarray)
            if group and not (whole and ready.size == group[0][1].size):
                break
            ahead.popleft()
            self.room.give(ready.size[0] * ready.size[1])
            if whole and not group:
                lanes = self.predictor.lanes(ready.size)
                lanes = lanes if left >= lanes else 1
                most = min(self.predictor.together(ready.size, lanes), -(-left // lanes))
            group.append((_Job(number, item, time.perf_counter(), ready.size[0] * ready.size[1]), ready))
        if lanes > 1:
            self.lanes = self.lanes or Lanes(lanes)
            self.computing.append((group, self.lanes.submit(self._compute, group)))
            yield from self._collect(lanes)
            return
        yield from self._collect(0)
        if len(group) > 1:
            yield from self._alike(group, None)
        else:
            yield from self._one(*group[0])

    def _compute(self, group: Group) -> tuple[list[Event], list[Prediction]]:
        pixels = [ready.pixels for _, ready in group if isinstance(ready.pixels, np.ndarray)]
        numbers, stats = [job.number for job, _ in group], [ready.stats for _, ready in group]
        return told(self.predictor.predict_alike(pixels, numbers, stats))

    def _collect(self, most: int) -> Iterator[Event]:
        """Hand over what the lanes have computed, until no more than ``most`` groups are left with them."""
        while self.computing and (len(self.computing) > most or self.computing[0][1].done()):
            yield from self._alike(*self.computing.popleft())

    def _alike(self, group: Group, computing: Future[tuple[list[Event], list[Prediction]]] | None) -> Iterator[Event]:
        try:
            events, predictions = self._compute(group) if computing is None else computing.result()
        except (UserError, OSError, MemoryError):  # one after the other, to tell which
            for job, ready in group:
                yield from self._one(job, ready)
            return
        yield from events
        for (job, _), prediction in zip(group, predictions, strict=True):
            yield from self._hand_over(job, prediction, None)

    def _one(self, job: _Job, ready: _Read) -> Iterator[Event]:
        files: Files | None = None
        try:
            with contextlib.closing(ready):
                if isinstance(ready.pixels, ImageSource) and job.item.pages <= 1:
                    files = Files(job.item, self.config, self.classes, self.maker)
                steps = self.predictor.predict(ready.pixels, job.number, ready.stats, files)
                prediction = yield from self._telling(steps)
        except (UserError, OSError, MemoryError) as error:
            if files is not None:
                files.abort()
            yield self._failed(job, error)
            return
        except BaseException:
            if files is not None:
                files.abort()
            raise
        yield from self._hand_over(job, prediction, files)

    def _telling(self, steps: Generator[Event, None, Prediction]) -> Generator[Event, None, Prediction]:
        """Pass on what a prediction tells, and what is on the disk meanwhile: a large image takes minutes."""
        with contextlib.closing(steps):
            while True:
                try:
                    event = next(steps)
                except StopIteration as stop:
                    prediction: Prediction = stop.value
                    return prediction
                yield event
                yield from self._settle_written()

    def _settle_written(self) -> Iterator[Event]:
        while self.waiting and self.waiting[0][1].done():
            yield from self._settle()

    def _hand_over(self, job: _Job, prediction: Prediction, files: Files | None) -> Iterator[Event]:
        """Have it written; tell of what is on the disk by now."""
        job = dataclasses.replace(
            job, uncertainty=prediction.mean_uncertainty, disagreement=prediction.mean_disagreement
        )
        if files is not None:
            writing = self.writers.submit(files.finish)
        elif job.item.pages > 1:
            writing = self.stacks.submit(job.item, prediction)
        else:
            writing = self.writers.submit(self._write, job.item, prediction)
        self.waiting.append((job, writing))
        self.behind += job.pixels
        while self.waiting and (self.waiting[0][1].done() or self._is_far_behind()):
            yield from self._settle()

    def _is_far_behind(self) -> bool:
        return len(self.waiting) > BEHIND and self.behind > AHEAD_PIXELS

    def _write(self, item: SegmentItem, prediction: Prediction, stack: StackWriter | None = None) -> None:
        write_item(item, prediction, self.encoding, self.classes, self.maker, stack)

    def _begin_stack(self, out: Path) -> None:
        if out in self.renew:
            self.renew.discard(out)
            out.unlink(missing_ok=True)

    def _settle(self) -> Iterator[Event]:
        """Wait for the oldest write and tell how it went."""
        job, writing = self.waiting.popleft()
        self.behind -= job.pixels
        try:
            writing.result()
        except (UserError, OSError, MemoryError) as error:
            yield self._failed(job, error)
            return
        self.written += 1
        yield self._done(job, skipped=False)

    def _done(self, job: _Job, *, skipped: bool) -> ImageDone:
        seconds = 0.0 if skipped else time.perf_counter() - job.started
        item = job.item
        return ImageDone(
            job.number,
            item.path,
            item.page,
            item.out,
            seconds,
            skipped,
            self.handled,
            len(self.items),
            job.uncertainty,
            job.disagreement,
            item.pages,
        )

    def _failed(self, job: _Job, error: BaseException) -> ImageFailed:
        self.failed += 1
        message = error.message if isinstance(error, UserError) else "cannot be read or written."
        hint = error.hint if isinstance(error, UserError) else ""
        details = (error.details if isinstance(error, UserError) else "") or repr(error)
        item, words = job.item, (message, hint, details)
        counts = self.handled, len(self.items), item.pages
        return ImageFailed(job.number, item.path, item.page, *words, *counts, unreadable=is_of_image(error, item.path))


def _close(read: Future[_Read]) -> None:
    """Close what was opened ahead and is not wanted any more."""
    if read.cancelled():
        return
    with contextlib.suppress(UserError, OSError, MemoryError, CancelledError):
        read.result().close()
