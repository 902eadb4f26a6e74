"""How far each job is, as its events tell."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from unet_gui.app.jobs import Job
from unet_gui.core.images import ImageRef
from unet_gui.core.text import in_words, percent
from unet_gui.engine import events as ev

LARGE = 16
"""Tiles from which on an image is large."""


@dataclass(frozen=True)
class Progress:
    """What the status bar shows of a job; `fraction` and `left` are None while unknown."""

    title: str
    text: str = ""
    fraction: float | None = None
    left: float | None = None


class ProgressBook:
    """What is shown of each job that has begun.

    Parameters
    ----------
    clock : callable
        Seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._shown: dict[int, Progress] = {}
        self._starts: dict[int, tuple[float, int]] = {}  # when the first image began, images skipped before
        self._counted: dict[int, str] = {}  # how many images are done, in words

    def of(self, job: Job) -> Progress:
        """Return what is shown of a job."""
        return self._shown.get(job.id, Progress(job.title))

    def has_begun(self, job: Job) -> bool:
        """Whether anything was told of it."""
        return job.id in self._shown

    def begin(self, job: Job) -> None:
        """Note that its turn has come."""
        self._shown[job.id] = Progress(job.title, "starting")

    def say(self, job: Job, text: str) -> None:
        """Show another text."""
        self._shown[job.id] = replace(self.of(job), text=text)

    def step(self, job: Job, event: ev.StepDone) -> None:
        """Note a step of a training: a score that is shown stays."""
        fraction = None
        if event.left_seconds is not None and event.seconds + event.left_seconds > 0:
            fraction = event.seconds / (event.seconds + event.left_seconds)
        elif event.total:
            fraction = event.step / event.total
        text = self.of(job).text
        text = text if "." in text else f"step {event.step}"
        self._shown[job.id] = Progress(job.title, text, fraction, event.left_seconds)

    def tile(self, job: Job, event: ev.TileDone, refs: Sequence[ImageRef]) -> None:
        """Note a tile of one of these images; of a large one it is told how much is done, as it may take minutes."""
        shown, part = self.of(job), event.done / max(1, event.total)
        fraction = max((event.item + part) / max(1, len(refs)), shown.fraction or 0.0)
        if event.total < LARGE or event.item >= len(refs):
            self._shown[job.id] = replace(shown, fraction=fraction)
            return
        text = percent(part)
        if len(refs) > 1:  # else the title names it
            named = f"{in_words(refs[event.item].key)} {text}"
            text = " · ".join(filter(None, (self._counted.get(job.id, ""), named)))
        self._shown[job.id] = Progress(job.title, text, fraction)  # the time left is that of images before it

    def image(self, job: Job, event: ev.ImageDone) -> None:
        """Note an image. The rate counts from the first one, without the time to load the model."""
        now, left = self._clock(), None
        if not event.skipped:
            begin, skipped = self._starts.setdefault(job.id, (now - event.seconds, event.done - 1))
            worked = max(1, event.done - skipped)
            left = (now - begin) / worked * (event.total - event.done)
        if event.total > 1:
            text = self._counted[job.id] = f"{event.done} of {event.total} images"
            self._shown[job.id] = Progress(job.title, text, event.done / event.total, left)

    def forget(self, job: Job) -> None:
        """Forget one that has ended."""
        self._shown.pop(job.id, None)
        self._starts.pop(job.id, None)
        self._counted.pop(job.id, None)
