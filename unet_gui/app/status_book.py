"""What is known of every image of the folder: its status, and whether it has a prediction. Found out in a thread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from PySide6.QtCore import QObject, Signal, Slot

from unet_gui.app.chores import Chores
from unet_gui.app.messages import Message
from unet_gui.core.errors import UserError
from unet_gui.core.images import ImageRef
from unet_gui.core.project import Dataset, Status

CHUNK = 200
"""Images looked at before the window hears of it."""

Found = list[tuple[str, Status | None, bool, str]]


class StatusBook(QObject):
    """Statuses of the images of one folder. Those that nobody has looked at yet count as untouched.

    Attributes
    ----------
    looked : bool
        Every image has been looked at once: what counts as untouched is so.
    problems : dict of str to str
        Images whose label cannot be read, and why.
    damaged : dict of str to str
        Images that cannot be read themselves, or only in part, and why: as far as somebody has tried.

    Signals
    -------
    changed(keys)
        These images have another status or prediction now.
    scanned()
        Every image has been looked at.
    """

    changed = Signal(object)
    scanned = Signal()

    def __init__(self, dataset: Dataset, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._dataset = dataset
        self.looked = False
        self._known: dict[str, Status] = {}  # untouched ones are left out
        self._predicted: set[str] = set()
        self.problems: dict[str, str] = {}
        self.damaged: dict[str, str] = {}
        self._fresh: set[str] = set()  # status heard while a chunk was being read: newer than what is found there
        self._fresh_predicted: set[str] = set()
        self._refs: Sequence[ImageRef] = ()
        self._at = 0
        self._chores = Chores(1, self)
        self._chores.done.connect(self._on_found)
        self._chores.failed.connect(self._on_failed)

    def status(self, key: str) -> Status:
        """Return the status of an image as far as it is known."""
        return self._known.get(key, Status.UNTOUCHED)

    def predicted(self, key: str) -> bool:
        """Whether there is a prediction for an image."""
        return key in self._predicted

    def problem(self, key: str) -> str:
        """Return why an image or its label cannot be used, empty when nothing is known against them."""
        return self.damaged.get(key, "") or self.problems.get(key, "")

    @property
    def predictions(self) -> int:
        """Number of images with a prediction."""
        return len(self._predicted)

    @property
    def labelled(self) -> bool:
        """Whether any image has something labelled."""
        return bool(self._known)

    def counts(self, total: int) -> dict[str, int]:
        """Return of how many images the list says each word: every one once, as far as they have been looked at."""
        problems = self.damaged.keys() | self.problems.keys()
        counted = Counter(status.value for key, status in self._known.items() if key not in problems)
        known = {word: counted[word] for word in (Status.DONE.value, Status.PARTIAL.value)}
        known["predicted"] = len(self._predicted - self._known.keys() - problems)
        left = total - sum(known.values()) - len(problems) if self.looked else 0
        return {**known, Status.UNTOUCHED.value: left, "problem": len(problems)}

    def set(self, key: str, status: Status) -> None:
        """Hear of an image's status from somebody who knows."""
        self._fresh.add(key)
        self.problems.pop(key, None)
        if status != self.status(key):
            self._put(key, status)
            self.changed.emit([key])

    def set_predicted(self, key: str, predicted: bool = True) -> None:
        """Hear that an image has a prediction, or has none any more."""
        self._fresh_predicted.add(key)
        if predicted != self.predicted(key):
            (self._predicted.add if predicted else self._predicted.discard)(key)
            self.changed.emit([key])

    @Slot(str, str)
    def set_damaged(self, key: str, why: str) -> None:
        """Hear that an image cannot be read, or (empty) that it can."""
        if why != self.damaged.get(key, ""):
            self.damaged[key] = why
            if not why:
                del self.damaged[key]
            self.changed.emit([key])

    def scan(self, refs: Sequence[ImageRef]) -> None:
        """Look at these images, in this order, after those that are still waiting."""
        self._refs = [*self._refs[self._at :], *refs]
        self._at = 0
        if not self._chores.waiting:
            self._next()

    def close(self) -> None:
        """Stop looking."""
        self._refs = ()
        self._chores.close()

    def _next(self) -> None:
        chunk = self._refs[self._at : self._at + CHUNK]
        self._at += len(chunk)
        self._fresh.clear()
        self._fresh_predicted.clear()
        if chunk:
            self._chores.give(chunk, _Look(self._dataset, chunk))
        elif self._refs:
            self._refs, self._at, self.looked = (), 0, True
            self.scanned.emit()

    def _put(self, key: str, status: Status) -> None:
        if status == Status.UNTOUCHED:
            self._known.pop(key, None)
        else:
            self._known[key] = status

    @Slot(object, object)
    def _on_found(self, _tag: object, found: Found) -> None:
        changed = []
        for key, status, predicted, problem in found:
            before = self.status(key), self.predicted(key), self.problems.get(key)
            if key not in self._fresh:
                self._take(key, status, problem)
            if key not in self._fresh_predicted:
                (self._predicted.add if predicted else self._predicted.discard)(key)
            if before != (self.status(key), self.predicted(key), self.problems.get(key)):
                changed.append(key)
        if changed:
            self.changed.emit(changed)
        self._next()

    def _take(self, key: str, status: Status | None, problem: str) -> None:
        if problem:
            self.problems[key] = problem
        else:
            self.problems.pop(key, None)
        if status is not None:
            self._put(key, status)

    @Slot(object, object)
    def _on_failed(self, _tag: object, _error: object) -> None:
        self._next()


class _Look:
    """Looking at some images: the work of a pool's thread."""

    def __init__(self, dataset: Dataset, refs: Sequence[ImageRef]) -> None:
        self._dataset = dataset
        self._refs = refs

    def __call__(self) -> Found:
        found: Found = []
        any_predicted = (self._dataset.state_dir / "predictions").is_dir()
        for ref in self._refs:
            status, problem = None, ""
            try:
                status = self._dataset.status(ref)
            except (UserError, OSError) as error:
                problem = Message.of(error).text
            predicted = any_predicted and self._dataset.prediction_path(ref).exists()
            found.append((ref.key, status, predicted, problem))
        return found
