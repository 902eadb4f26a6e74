"""The jobs of the model as generators for the worker. torch is imported when one starts, in the worker's thread."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from unet_gui.app.jobs import Job
from unet_gui.app.warm_start import import_quietly
from unet_gui.core.errors import UserError
from unet_gui.core.images import ImageRef
from unet_gui.core.label_stack import StackWriter
from unet_gui.core.project import Dataset
from unet_gui.core.relabel import Touched, count, relabel, take_back
from unet_gui.engine.events import TICK, Event, ImageDone, ImageFailed
from unet_gui.engine.recipe import SegmentConfig, SegmentItem, TrainConfig

Events = Generator[Event, None, Any]

TRAINING_NEEDS = ("torch.utils.tensorboard", "numpy.random", "PIL.Image")
"""What a training's log and augmentation import when they are first used. Imported then, the window would stand still
for parts of it, and their objects would be gone through at each collection of garbage, which happens on the window's
thread. Nothing that touches Qt may be imported here: Qt's names are made when they
are first used, and not by two threads at once."""


@dataclass(frozen=True)
class TrainJob:
    """Train on the labels on disk.

    Attributes
    ----------
    live : bool
        A round of live learning, of which nothing is told but by how it goes.
    """

    folder: Path
    labels: Path | None
    state: Path | None
    out: Path
    config: TrainConfig
    live: bool = False

    def __call__(self) -> Events:
        # its own view of the folder: what the window does meanwhile does not disturb it
        dataset = Dataset.open(self.folder, labels=self.labels, state=self.state)
        if not any(map(dataset.has_label, dataset.images)):  # before torch is there, which takes seconds
            from unet_gui.engine.data import nothing_labelled

            raise nothing_labelled(dataset)
        import_quietly("unet_gui.engine.train")
        import_quietly(*TRAINING_NEEDS)
        from unet_gui.engine.train import train

        return train(dataset, self.out, self.config)


def is_round(job: Job) -> bool:
    """Whether a job is a round of live learning."""
    return isinstance(job.start, TrainJob) and job.start.live


@dataclass(frozen=True, eq=False)
class SegmentJob:
    """Predict images; what is up to date is skipped unless the configuration says otherwise.

    Attributes
    ----------
    dataset : Dataset
    refs : list of ImageRef
        What its events count, from the first of them on: of stacks every page, which the window may not know of yet.
    config : SegmentConfig
    after : Path or None
        The model of a training that comes first, which is used if it is there then.
    """

    dataset: Dataset
    refs: list[ImageRef]
    config: SegmentConfig
    after: Path | None = None

    def __call__(self) -> Events:
        import_quietly("unet_gui.engine.segment")
        from unet_gui.engine.segment import segment

        pages: list[ImageRef] = []
        for ref in self.refs:
            pages += _pages(self.dataset, ref)
            yield TICK
        self.refs[:] = pages
        model = self.after if self.after is not None and self.after.exists() else self.config.model
        if model == self.after and not model.exists():
            raise UserError("There is still no model, as the training has left none. No image was segmented.")
        yield from segment(segment_items(self.dataset, pages), replace(self.config, model=model))


@dataclass(frozen=True)
class MasksJob:
    """Write the mask of every image to a folder; the result is what the person should know of them."""

    dataset: Dataset
    refs: tuple[ImageRef, ...]
    out: Path
    tried: list[tuple[ImageRef, bool]] = field(default_factory=list)

    @property
    def so_far(self) -> str:
        """What there is when it is stopped, empty when nothing is: a stack is written when all its pages are done."""
        count = sum(done for ref, done in self.tried if ref.page is None or ref.rel != self.tried[-1][0].rel)
        total = max(len(self.refs), count)
        return f"{count} of {total} masks are in “{self.out}”, the rest is not." if count else ""

    def __call__(self) -> Events:
        from unet_gui.core.exchange import NoMask, export_masks, nothing_to_write, say_left_out, say_unfilled
        from unet_gui.core.own_files import OwnFiles

        unfilled, left_out, own = 0, 0, OwnFiles(self.dataset)

        def work(ref: ImageRef, stack: StackWriter) -> None:
            nonlocal unfilled, left_out
            self.tried.append((ref, False))
            try:
                unfilled += export_masks(self.dataset, ref, self.out, stack, own)
                self.tried[-1] = ref, True
            except NoMask:
                left_out += 1

        number, failed = yield from _each(self.dataset, self.refs, work, anew=True)
        if number == left_out:
            raise nothing_to_write(self.dataset)
        told = say_left_out(left_out), say_unfilled(unfilled, number - failed - left_out)
        return " ".join(filter(None, told))


@dataclass(frozen=True)
class CountJob:
    """Count the pixels of some classes in all labels; the result is a `Touched`, or None when a label is unreadable."""

    dataset: Dataset
    refs: tuple[ImageRef, ...]
    classes: frozenset[int]

    def __call__(self) -> Events:
        found: list[Touched] = []
        refs = _with_something(self.dataset, self.refs)
        _, failed = yield from _each(self.dataset, refs, partial(self._one, found=found))
        return None if failed else sum(found, Touched())

    def _one(self, ref: ImageRef, _stack: StackWriter, found: list[Touched]) -> None:
        found.append(count(self.dataset, ref, self.classes))


@dataclass(frozen=True)
class RelabelJob:
    """Make one class another in every label of the folder, or take that back; the result is how many failed."""

    dataset: Dataset
    refs: tuple[ImageRef, ...]
    old: int
    new: int
    keep: Path | None
    undoing: bool = False

    def __call__(self) -> Events:
        _, failed = yield from _each(self.dataset, _with_something(self.dataset, self.refs), self._one)
        return failed

    def _one(self, ref: ImageRef, stack: StackWriter) -> None:
        if not self.undoing:
            relabel(self.dataset, ref, self.old, self.new, self.keep, stack)
        elif self.keep is not None:
            take_back(self.dataset, ref, self.old, self.new, self.keep, stack)


def _with_something(dataset: Dataset, refs: Sequence[ImageRef]) -> list[ImageRef]:
    """Leave out images without a label, unless there are predictions."""
    if (dataset.state_dir / "predictions").is_dir():
        return list(refs)
    return [ref for ref in refs if dataset.has_label(ref)]


def _each(
    dataset: Dataset, refs: Sequence[ImageRef], work: Callable[[ImageRef, StackWriter], None], anew: bool = False
) -> Generator[Event, None, tuple[int, int]]:
    """Do the work on every image, of stacks on every page: the window may not know of them yet.

    What it writes of a stack is written when the last of its pages is done, with ``anew`` in the place of the old file.

    Returns how many there were, and how many failed. One that cannot be read stays as it is, and fails.
    """
    number, failed, total = 0, 0, len(refs)
    for rel, group in groupby(refs, lambda ref: ref.rel):
        named = list(group)
        pages = [page for ref in named for page in _pages(dataset, ref)]
        total += len(pages) - len(named)
        put: list[ImageRef] = []
        try:
            with StackWriter(anew) as stack:
                for page in pages:
                    event = _outcome(dataset, page, partial(work, page, stack), number, total)
                    if isinstance(event, ImageFailed):
                        failed += 1
                    else:
                        put.append(page)
                    number += 1
                    yield event
        except UserError as error:
            failed += len(put)
            path = dataset.image_path(ImageRef(rel))
            for page in put:
                text, at = (error.message, error.hint, error.details), page.page or 0
                yield ImageFailed(number - 1, path, at, *text, number, total)
    return number, failed


def _pages(dataset: Dataset, ref: ImageRef) -> list[ImageRef]:
    """Return the pages of a stack; a file that cannot be read stays one, which fails when its turn has come."""
    try:
        return dataset.expand(ref)
    except UserError:
        return [ref]


def _outcome(dataset: Dataset, ref: ImageRef, work: Callable[[], None], number: int, total: int) -> Event:
    """Do the work on one image and say how it went."""
    path, page = dataset.image_path(ref), ref.page or 0
    try:
        work()
    except UserError as error:
        return ImageFailed(number, path, page, error.message, error.hint, error.details, number + 1, total)
    return ImageDone(number, path, page, path, 0.0, False, number + 1, total)


def segment_items(dataset: Dataset, refs: Sequence[ImageRef]) -> tuple[SegmentItem, ...]:
    """Return what the engine needs to predict these images into the folder's predictions."""
    return tuple(
        SegmentItem(
            dataset.image_path(ref), ref.page or 0, dataset.prediction_path(ref), dataset.prediction_path(ref, "prob")
        )
        for ref in refs
    )
