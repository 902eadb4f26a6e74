"""Segment images on a cluster with Dask: the same events as at home. Needs the extra ``unet-gui[cluster]``.

The model travels once to each worker; images are read and masks written by the workers, which therefore must see the
same folders. A worker that is lost costs only the image it had in hand, which another one does again.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import math
import re
import tempfile
import threading
import time
import warnings
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unet_gui.core.errors import UserError, is_of_image
from unet_gui.core.headers import read_bytes
from unet_gui.engine.events import TICK, Event, ImageDone, ImageFailed, SegmentFinished, SegmentStarted, Warned
from unet_gui.engine.recipe import SegmentConfig, SegmentItem

if TYPE_CHECKING:
    from distributed import Client, Future

CONNECT_SECONDS = 10
PATIENCE = 0.2
"""Seconds between two looks at the results, and so the longest a stop waits."""
MOST_PATIENCE = 2.0
"""Seconds that a result is waited for at most before it is asked for again: doubled from `PATIENCE` each time."""
AHEAD = 4
"""Images handed out per worker beyond those in hand; the others wait here, where they can be stopped."""
NOBODY = 30.0
"""Seconds without any worker before it is said."""


@dataclass(frozen=True)
class _Result:
    """What a worker sends back: plain values only."""

    seconds: float
    uncertainty: float = math.nan
    disagreement: float = math.nan
    message: str = ""
    hint: str = ""
    details: str = ""
    unreadable: bool = False


def segment_on_cluster(
    items: Sequence[SegmentItem], config: SegmentConfig, scheduler: str
) -> Generator[Event, None, None]:
    """Segment images on the workers of a Dask scheduler.

    Parameters
    ----------
    items : sequence of SegmentItem
        Paths are made absolute; the workers must see them under the same names.
    config : SegmentConfig
    scheduler : str
        Its address, ``tcp://host:port``.

    Yields
    ------
    SegmentStarted, Tick, Warned, ImageDone, ImageFailed, SegmentFinished
        As `unet_gui.engine.segment.segment`, in the order in which images are finished.

    Raises
    ------
    UserError
        The extra is missing, the scheduler does not answer, or the model cannot be used.
    """
    from unet_gui.engine.outputs import check_encoding

    client = _connect(scheduler)
    try:
        model = read_bytes(config.model, "model")
        check_encoding(_load(model, config.model.suffix), config)
        yield from _Spread(client, [_absolute(i) for i in items], config, model, scheduler).events()
    finally:
        client.close(timeout=5)


def _connect(scheduler: str) -> Client:
    try:
        from distributed import Client
    except ImportError as error:
        raise UserError(
            "Segmenting on a cluster needs Dask, which is not installed.",
            hint="Install it with: pip install “unet-gui[cluster]”.",
            details=str(error),
        ) from error
    if not re.fullmatch(r"\w+://\S+|\S+:\d+", scheduler):  # Dask would wait for it, and end in a traceback
        raise UserError(f"“{scheduler}” is no address of a scheduler.", hint="It is like tcp://host:8786.")
    try:
        return Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise UserError(
            f"The scheduler {scheduler} does not answer.",
            hint="Is it running, and is the address like tcp://host:8786?",
            details=str(error),
        ) from error


def _absolute(item: SegmentItem) -> SegmentItem:
    return dataclasses.replace(
        item,
        path=item.path.absolute(),
        out=item.out.absolute(),
        out_prob=item.out_prob and item.out_prob.absolute(),
        out_uncertainty=item.out_uncertainty and item.out_uncertainty.absolute(),
        out_disagreement=item.out_disagreement and item.out_disagreement.absolute(),
    )


class _Spread:
    """One run: what waits, what is out, what came back."""

    def __init__(
        self, client: Client, items: Sequence[SegmentItem], config: SegmentConfig, model: bytes, scheduler: str
    ) -> None:
        self.client, self.items, self.config, self.model, self.scheduler = client, items, config, model, scheduler
        self.out: dict[Future, tuple[int, ...]] = {}
        self.wait = PATIENCE
        self.written = self.skipped = self.failed = 0

    @property
    def handled(self) -> int:
        return self.written + self.skipped + self.failed

    def events(self) -> Iterator[Event]:
        from unet_gui.engine.outputs import is_up_to_date, maker_text

        start, maker = time.perf_counter(), maker_text(self.model, self.config)
        yield SegmentStarted(len(self.items), self.scheduler, f"Computing on {self._workers()} workers of a cluster.")
        units: dict[Path, list[int]] = {}  # the pages of a stack go to one worker: they are written to one file
        for number, item in enumerate(self.items):
            if self.config.overwrite or not is_up_to_date(item, self.config, maker):
                units.setdefault(item.out, []).append(number)
                continue
            self.skipped += 1
            yield self._done(number, _Result(0.0), skipped=True)
        todo = deque(tuple(unit) for unit in units.values())
        with warnings.catch_warnings():  # it goes to the scheduler once, so that it can be given to a new worker
            warnings.filterwarnings("ignore", "Sending large graph")
            model = self.client.submit(bytes, self.model, pure=False)
        told = False
        lonely = time.perf_counter()
        try:
            while todo or self.out:
                workers = self._workers()
                if workers:
                    lonely = time.perf_counter()
                elif not told and time.perf_counter() - lonely > NOBODY:
                    told = True
                    yield Warned("No worker is connected to the scheduler: waiting for one.")
                while todo and len(self.out) < AHEAD * max(workers, 1):
                    self._submit(todo.popleft(), model)
                yield from self._collect()
                yield TICK
            yield SegmentFinished(self.written, self.skipped, self.failed, time.perf_counter() - start)
        finally:
            self.client.cancel(list(self.out))

    def _workers(self) -> int:
        return len(self.client.scheduler_info(n_workers=-1)["workers"])

    def _submit(self, unit: tuple[int, ...], model: Future) -> None:
        from unet_gui.engine.outputs import is_stale_stack

        items = [self.items[number] for number in unit]
        renew = any(is_stale_stack(item, self.config) for item in items)
        self.out[self.client.submit(_work, model, self.config, items, renew, pure=False)] = unit

    def _collect(self) -> Iterator[Event]:
        """Tell about what came back, waiting a moment for it."""
        from distributed import wait

        if not self.out:
            return
        try:
            with self.client.as_current():
                ready = wait(list(self.out), timeout=PATIENCE, return_when="FIRST_COMPLETED").done
        except (TimeoutError, asyncio.TimeoutError):  # two until Python 3.10
            return
        except CancelledError as lost_work:
            raise UserError(
                f"The scheduler {self.scheduler} has given up the work. Was it restarted?",
                hint="Run the same command again: what is done is not done again.",
                details=str(lost_work),
            ) from lost_work
        for future in ready:
            try:  # where its worker is lost by now, that may take minutes: it is asked for again, and stopped meanwhile
                error = future.exception(timeout=self.wait)
                results = future.result(timeout=self.wait) if error is None else []
            except (TimeoutError, asyncio.TimeoutError):
                self.wait = min(2 * self.wait, MOST_PATIENCE)
                yield TICK
                continue
            self.wait = PATIENCE
            unit = self.out.pop(future)
            if error is not None:
                lost = type(error).__name__ == "KilledWorker"
                message = "cost several workers their lives." if lost else "could not be segmented."
                hint = "Is there enough memory?" if lost else ""
                results = [_Result(0.0, message=message, hint=hint, details=str(error))] * len(unit)
            for number, result in zip(unit, results, strict=True):
                yield self._failed(number, result) if result.message else self._done(number, result, skipped=False)

    def _failed(self, number: int, result: _Result) -> ImageFailed:
        self.failed += 1
        item, words = self.items[number], (result.message, result.hint, result.details)
        counts = self.handled, len(self.items), item.pages
        return ImageFailed(number, item.path, item.page, *words, *counts, unreadable=result.unreadable)

    def _done(self, number: int, result: _Result, *, skipped: bool) -> ImageDone:
        self.written += not skipped
        item = self.items[number]
        return ImageDone(
            number,
            item.path,
            item.page,
            item.out,
            result.seconds,
            skipped,
            self.handled,
            len(self.items),
            result.uncertainty,
            result.disagreement,
            item.pages,
        )


# --- on the worker

_LOCK = threading.Lock()
_READY: dict[str, Any] = {}


def _work(model: bytes, config: SegmentConfig, items: Sequence[SegmentItem], renew: bool = False) -> list[_Result]:
    """Segment images on a worker, one after the other; a bad image is a result, not an error.

    With ``renew`` the pages go into a stack that is begun anew with the first page that could be computed.
    """
    results: list[_Result] = []
    for item in items:
        results.append(_one(model, config, item, renew))
        renew = renew and bool(results[-1].message)
    return results


def _one(model: bytes, config: SegmentConfig, item: SegmentItem, renew: bool) -> _Result:
    from unet_gui.core.images import open_image
    from unet_gui.core.store import Encoding
    from unet_gui.engine.outputs import config_for, maker_text, write_item
    from unet_gui.engine.predict import run

    start = time.perf_counter()
    try:
        with _LOCK:  # one image at a time in a process: the network already uses all of its threads
            predictor = _predictor(model, config_for([item], config))
            with open_image(item.path, item.page) as source:
                prediction = run(predictor.predict(source))
            if renew:
                item.out.unlink(missing_ok=True)
            classes = [c.id for c in predictor.info.classes]
            write_item(item, prediction, Encoding(config.encoding), classes, maker_text(model, config))
    except UserError as error:
        unreadable = is_of_image(error, item.path)
        return _Result(0.0, message=error.message, hint=error.hint, details=error.details, unreadable=unreadable)
    except (OSError, MemoryError) as error:
        return _Result(0.0, message="cannot be read or written.", details=repr(error))
    seconds = time.perf_counter() - start
    return _Result(seconds, prediction.mean_uncertainty, prediction.mean_disagreement)


def _predictor(model: bytes, config: SegmentConfig) -> Any:
    """Return this process's predictor, made when the model comes for the first time."""
    from unet_gui.engine.predict import Predictor

    key = hashlib.sha256(model).hexdigest() + repr(config)
    if key not in _READY:
        _READY.clear()
        _READY[key] = Predictor(_load(model, config.model.suffix), config)
    return _READY[key]


def _load(model: bytes, suffix: str) -> Any:
    """Load a model from its file's content."""
    from unet_gui.engine.model import Model

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model{suffix}"
        path.write_bytes(model)
        return Model.load(path, "cpu")
