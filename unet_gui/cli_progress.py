"""What the command line shows of a job while it runs."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from unet_gui import interrupt
from unet_gui.core.text import in_words

if TYPE_CHECKING:
    from unet_gui.engine.events import Event

QUIET_SECONDS = 5.0
"""Time between two lines about validation."""
LONG_SECONDS = 1.0
"""Time after which somebody wants to know what the program does."""

T = TypeVar("T")


def talk(text: str) -> None:
    """Say something to the person, not to the program behind a pipe. Where that cannot be said, the work goes on."""
    try:
        print(in_words(text), file=sys.stderr, flush=True)
    except OSError:  # the disk of a log is full, or its reader has gone
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - what was not written is not tried again at the end


def looked_through(images: Sequence[T]) -> Iterator[T]:
    """Hand on images one by one; say so where that takes long, and stop at an interrupt."""
    from tqdm import tqdm

    started, told = time.monotonic(), sys.stderr.isatty()
    options: dict[str, Any] = {"unit": "image", "dynamic_ncols": True, "leave": False, "disable": not told}
    for image in tqdm(images, "looking at the images", delay=LONG_SECONDS, **options):
        interrupt.check()
        if not told and time.monotonic() - started > LONG_SECONDS:
            told = True
            talk(f"Looking at {len(images)} images …")
        yield image


class Progress:
    """Shows a job's events: a bar on a terminal, one JSON object a line with ``--json``, plain lines otherwise."""

    def __init__(self, as_json: bool) -> None:
        self._json = as_json
        self._bar: Any = None
        self._terminal = sys.stderr.isatty() and not as_json
        self._validation_told = -QUIET_SECONDS

    def follow(self, events: Generator[Event, None, None]) -> Iterator[Event]:
        """Show each event and hand it on. The job is stopped in an orderly way whatever happens here."""
        with contextlib.closing(events):
            try:
                for event in events:
                    interrupt.check()
                    if event.kind == "tick":
                        continue
                    self._show(event)
                    yield event
            finally:
                self._close()

    def _show(self, event: Event) -> None:
        if self._json:
            print(json.dumps(event.to_json()), flush=True)
            return
        show: Callable[[Any], None] | None = getattr(self, f"_show_{event.kind}", None)
        if show is not None:
            show(event)

    def _line(self, text: str) -> None:
        if self._bar is not None:
            self._bar.write(in_words(text), file=sys.stderr)
        else:
            talk(text)

    def _advance(self, done: int, total: int | None, text: str, unit: str) -> None:
        if not self._terminal:
            return
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(total=total, unit=unit, dynamic_ncols=True, file=sys.stderr, smoothing=0.1)
        self._bar.total = total
        self._bar.set_description_str(text, refresh=False)
        self._bar.update(done - self._bar.n)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _show_warned(self, event: Any) -> None:
        self._line(f"note: {event.text}")

    def _show_train_started(self, event: Any) -> None:
        for text in event.plan:
            self._line(text)

    def _show_step_done(self, event: Any) -> None:
        left = "" if event.left_seconds is None else f" · {_duration(event.left_seconds)} left"
        self._advance(event.step, event.total, f"loss {event.loss:.3f}{left}", "step")

    def _show_validated(self, event: Any) -> None:
        if event.seconds - self._validation_told < QUIET_SECONDS:  # small images are validated many times a second
            return
        self._validation_told = event.seconds
        name = {"dice": "Dice", "rand": "Rand F"}.get(event.score_name, event.score_name)
        best = " (kept)" if event.is_best else ""
        self._line(f"step {event.step} · {_duration(event.seconds)} · validation {name} {event.score:.4f}{best}")

    def _show_train_finished(self, event: Any) -> None:
        self._close()
        self._line(f"{event.reason} {event.steps} steps in {_duration(event.seconds)}.")

    def _show_segment_started(self, event: Any) -> None:
        if event.note:
            self._line(event.note)

    def _show_image_done(self, event: Any) -> None:
        if self._terminal:
            self._advance(event.done, event.total, _image(event.path.name, event), "image")
        elif not event.skipped:
            doubts = {"uncertainty": event.uncertainty, "disagreement": event.disagreement}
            said = "".join(f", {name} {value:.3f}" for name, value in doubts.items() if value == value)
            count = f"[{event.done}/{event.total}]"
            name = _image(event.path.name, event)
            self._line(f"{count} {name} -> {event.out} ({event.seconds:.2f} s{said})")

    def _show_image_failed(self, event: Any) -> None:
        self._line(f"failed: {_image(event.path, event)}: {event.message} {event.hint}".rstrip())


def _image(name: str | Path, event: Any) -> str:
    """Return what an image is called: of several in a file, which."""
    return f"{name}, page {event.page + 1}" if event.pages > 1 else str(name)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes else f"{rest} s"
