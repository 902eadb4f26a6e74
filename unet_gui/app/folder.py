"""The open folder: dataset, lock, journal, saver, statuses. It begins with `open_folder` and ends with `close`."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from PySide6.QtCore import QObject, Qt, Signal, Slot

from unet_gui.app.chores import Chores
from unet_gui.app.document import UNDO_FOLDER, Document, keep_undo
from unet_gui.app.messages import Message, Offer
from unet_gui.app.saver import Saver
from unet_gui.app.status_book import StatusBook
from unet_gui.core.errors import LabelError, UserError
from unet_gui.core.images import ImageRef
from unet_gui.core.journal import CURRENT, Journal, Unsaved, keep_only, read_journal, refuse, set_aside
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.listing import TIFF_SUFFIXES, real_path
from unet_gui.core.project import Dataset
from unet_gui.core.store import Encoding

CHUNK = 100
"""Files looked at for pages before the window hears of it."""


@dataclass(frozen=True)
class Opened:
    """What a thread found when it opened a folder.

    Attributes
    ----------
    dataset : Dataset
    folder : Path
    labels, state : Path or None
        How it was opened, to open it the same way once more.
    read_only : str
        Why nothing can be changed, a plain sentence; empty when it can.
    holder : str
        Who else has the folder open, which is why; empty when nobody.
    lives : bool
        It is a program that runs on this computer now.
    journals : tuple of Path
        Journals of runs that died with changes nobody saved.
    unsaved : tuple of str
        The images these changes belong to.
    stacks : tuple of ImageRef
        Files that may have several pages.
    wanted : ImageRef or None
        The image to show first: that was dropped on the window, or was open the last time.
    """

    dataset: Dataset
    folder: Path
    labels: Path | None = None
    state: Path | None = None
    read_only: str = ""
    holder: str = ""
    lives: bool = False
    journals: tuple[Path, ...] = ()
    unsaved: tuple[str, ...] = ()
    stacks: tuple[ImageRef, ...] = ()
    wanted: ImageRef | None = None


def open_dataset(path: Path, labels: Path | None = None, state: Path | None = None) -> Dataset:
    """Open a folder, or the folder of an image, and nothing else of it; raises ProjectError."""
    return Dataset.open(path.parent if path.is_file() else path, labels=labels, state=state)


def open_folder(
    path: Path,
    labels: Path | None = None,
    state: Path | None = None,
    *,
    anyway: bool = False,
    first: str = "",
    listed: Dataset | None = None,
) -> Opened:
    """Open a folder, or the folder of an image; ``anyway`` also for writing when another window has it open.

    ``first`` is the image to show first, if it is still there; ``listed`` what `open_dataset` has just found.

    Raises
    ------
    ProjectError
        It cannot be opened.
    """
    folder = path.parent if path.is_file() else path
    dataset = listed or open_dataset(path, labels, state)
    if path.is_file():
        name = real_path(path)
        wanted = next((ref for ref in dataset.images if real_path(dataset.image_path(ref)) == name), None)
    else:
        last = ImageRef.parse(first)
        wanted = next((ref for ref in dataset.images if ref.rel == last.rel), None)
        if wanted is not None and last.page is not None and last in expand(dataset, [wanted]).get(wanted.rel, ()):
            wanted = last
    stacks = tuple(ref for ref in dataset.images if ref.rel.lower().endswith(TIFF_SUFFIXES))
    holder, read_only = "", dataset.read_only
    try:
        holder = dataset.acquire_lock(anyway=anyway)
    except UserError as error:
        read_only = f"Nothing can be kept about it. {Message.of(error).text}"
    lives = dataset.lock_lives
    if holder:
        read_only = f"It is open in another window ({holder})."
        read_only += "" if lives else " If that window is gone, take the folder over."
    journals: list[Path] = []
    keys: set[str] = set()
    if not read_only:
        # a journal that cannot be read is left where it is
        with contextlib.suppress(OSError):
            journals = set_aside(dataset.state_dir / "journal")
            keys = {_meant(dataset, key).key for journal in journals for key in read_journal(journal)}
    found = tuple(journals), tuple(sorted(keys))
    return Opened(dataset, folder, labels, state, read_only, holder, lives, *found, stacks, wanted)


def expand(dataset: Dataset, refs: Sequence[ImageRef]) -> dict[str, list[ImageRef]]:
    """Return the pages of those files that have more than one. Files that cannot be read have none."""
    found = {}
    for ref in refs:
        with contextlib.suppress(UserError, OSError):
            pages = dataset.expand(ref)
            if len(pages) > 1:
                found[ref.rel] = pages
    return found


def lost_classes(before: Encoding, after: Encoding) -> set[int]:
    """Return the classes whose pixel value means unlabelled after a change of encoding: they are none any more."""
    ids = dict(before.pairs())
    values = [raw for raw, class_id in after.pairs() if class_id == UNLABELLED]
    return {ids.get(raw, raw if before.kind == "index" else UNLABELLED) for raw in values if isinstance(raw, int)}


class Folder(QObject):
    """Everything that belongs to the folder that is open.

    Attributes
    ----------
    opened : Opened
    dataset : Dataset
    read_only : str
        Why nothing can be changed, a plain sentence; empty when it can.
    offers : tuple of Offer
        What can be done about that.
    journal : Journal or None
        None in a read-only folder.
    saver : Saver
    book : StatusBook
    keeps_undo : bool
        Undo is kept for the next start: no class was removed since the folder was opened.
    recovery : Recovery
        Changes that a run before this one did not save.

    Signals
    -------
    journal_failed(exception)
        Strokes cannot be written down at the moment (None: again they can).
    pages_known(dict)
        These files are stacks; their pages are images of their own.
    """

    journal_failed = Signal(object)
    pages_known = Signal(object)
    _journal_said = Signal(object)

    def __init__(self, opened: Opened, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.opened = opened
        self.dataset = opened.dataset
        self.read_only = opened.read_only
        self.offers: tuple[Offer, ...] = ()
        self.journal: Journal | None = None
        self._journal_said.connect(self.journal_failed, Qt.ConnectionType.QueuedConnection)
        if not self.read_only:
            self.journal = Journal(self.dataset.state_dir / "journal" / CURRENT, self._journal_said.emit)
        self.saver = Saver(self.dataset, self.journal, self)
        self.book = StatusBook(self.dataset, self)
        self.recovery = Recovery(opened, self)
        self.pages: dict[str, list[ImageRef]] = {}
        self._stacks = list(opened.stacks)
        self._chores = Chores(1, self)
        self._chores.done.connect(self._on_pages)
        self._looked = False
        self._keeper = Chores(1, self)
        self._kept_undo: dict[str, tuple[int, int]] = {}
        self.keeps_undo = True

    def look(self) -> None:
        """Find out about pages and statuses, beside the window, once."""
        if not self._looked:
            self._looked = True
            self._look_on()

    def _look_on(self) -> None:
        if self._stacks:
            chunk, self._stacks = self._stacks[:CHUNK], self._stacks[CHUNK:]
            self._chores.give(None, lambda: expand(self.dataset, chunk))
        else:
            self.book.scan(self.images())

    def keep_undo(self, document: Document) -> None:
        """Keep the undo steps of a saved label for the next start."""
        if self.journal is None or document.dirty or not self.keeps_undo:
            return
        steps = document.history.undo_stack
        known = self._kept_undo.get(document.key)
        if known != (document.disk, len(steps)):
            self._kept_undo[document.key] = (document.disk, len(steps))
            work = partial(keep_undo, self.dataset, document.key, document.disk, steps)
            self._keeper.give(document.key, work)

    def forget_undo(self) -> None:
        """Keep no undo steps for the next start, then: they could bring back a class that is no more."""
        self.keeps_undo = False
        place = self.dataset.state_dir / UNDO_FOLDER
        self._keeper.give(None, partial(shutil.rmtree, place, ignore_errors=True))

    def images(self) -> list[ImageRef]:
        """Return all images as far as they are known, pages one by one."""
        if not self.pages:
            return self.dataset.images
        return [each for ref in self.dataset.images for each in self.pages.get(ref.rel, [ref])]

    @Slot(object, object)
    def _on_pages(self, _tag: object, found: dict[str, list[ImageRef]]) -> None:
        if found:
            self.pages.update(found)
            self.pages_known.emit(found)
        self._look_on()

    def close(self) -> None:
        """End all threads and give the folder free."""
        self._stacks = []
        self._chores.close()
        self.recovery.close()
        self.book.close()
        self.saver.close()
        self._keeper.close(finish=True)
        if self.journal is not None:
            self.journal.close()
        if not self.read_only:
            self.dataset.release_lock()


class Recovery(QObject):
    """Changes that an earlier run could not save, and giving them back.

    Attributes
    ----------
    keys : list of str
        Images with such changes.

    Signals
    -------
    restored(keys, errors)
        These labels are on disk now with their changes; the others could not be done, and why.
    """

    restored = Signal(object, object)

    def __init__(self, opened: Opened, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._dataset = opened.dataset
        self._journals = opened.journals
        self.keys = list(opened.unsaved)
        self._chores = Chores(1, self)
        self._chores.done.connect(self._on_done)
        self._chores.failed.connect(self._on_failed)

    @property
    def busy(self) -> bool:
        """Whether the changes are on their way back."""
        return self._chores.waiting > 0

    def restore(self) -> None:
        """Give all changes back to their labels, beside the window."""
        if self.keys and not self.busy:
            self._chores.give(None, _Restore(self._dataset, self._journals))

    def discard(self) -> None:
        """Forget the changes."""
        if self.busy:
            return
        for path in self._journals:
            path.unlink(missing_ok=True)
        self._journals, self.keys = (), []

    def offer(self, say: Callable[[list[str], Callable[[], object], Callable[[], object]], Message]) -> Message:
        """Return a message about the changes that offers both."""
        return say(self.keys, self.restore, self.discard)

    def close(self) -> None:
        """Wait for a restore under way."""
        self._chores.close(finish=True)

    @Slot(object, object)
    def _on_done(self, _tag: object, result: Restored) -> None:
        self._journals, self.keys = result.left, result.waiting
        self.restored.emit(result.keys, result.errors)

    @Slot(object, object)
    def _on_failed(self, _tag: object, error: Exception) -> None:
        self.restored.emit([], [error])


@dataclass
class Restored:
    """How giving changes back went.

    Attributes
    ----------
    keys : list of str
        Images whose labels have their changes again.
    errors : list of Exception
        Why others have not.
    left : tuple of Path
        Journals with changes that another try may give back.
    waiting : list of str
        Their images.
    """

    keys: list[str]
    errors: list[Exception]
    left: tuple[Path, ...] = ()
    waiting: list[str] = field(default_factory=list)


class _Restore:
    """Giving changes back: the work of a pool's thread."""

    def __init__(self, dataset: Dataset, journals: tuple[Path, ...]) -> None:
        self._dataset = dataset
        self._journals = journals

    def __call__(self) -> Restored:
        done = Restored([], [])
        for path in self._journals:
            refused: list[Unsaved] = []
            waiting: list[Unsaved] = []
            for name, one in read_journal(path).items():
                key = _meant(self._dataset, name).key
                try:
                    if key in done.waiting:  # an older journal's changes come first
                        waiting.append(one)
                    elif self._one(one):
                        done.keys.append(key)
                    else:
                        refused.append(one)
                        done.errors.append(_changed(key))
                except (UserError, OSError) as error:
                    waiting.append(one)
                    done.errors.append(LabelError(_reason(error), key, "Then bring the strokes back.", repr(error)))
            done.waiting += [_meant(self._dataset, one.key).key for one in waiting]
            if waiting:
                done.left += (path,)
                with contextlib.suppress(UserError):  # those that are back are recognised
                    keep_only(path, [*waiting, *refused])
            elif refused:
                refuse(path)
            else:
                path.unlink()
        done.keys = sorted({*done.keys} - {*done.waiting})
        done.waiting = sorted({*done.waiting})
        return done

    def _one(self, unsaved: Unsaved) -> bool:
        """Give one image its changes back. False when they do not fit the label, now or ever."""
        ref = _meant(self._dataset, unsaved.key)
        if ref.rel not in {known.rel for known in self._dataset.images}:  # nothing outside is written to
            raise LabelError("is not among the images of this folder.", unsaved.key)
        ids = self._dataset.load_label(ref)
        if ids is None:
            ids = np.full(unsaved.shape, UNLABELLED, np.uint8)
        try:
            ids = unsaved.apply(ids)
        except LabelError:
            return False
        self._dataset.save_label(ref, ids)
        return True


def _meant(dataset: Dataset, key: str) -> ImageRef:
    """Return the image of a journal's key: ``image/a.png`` until there was a folder for labels, then ``a.png``."""
    ref = ImageRef.parse(key)
    inside = f"{dataset.image_root.name}/"
    if dataset.image_root == dataset.root or not ref.rel.startswith(inside) or dataset.image_path(ref).exists():
        return ref
    return ref._replace(rel=ref.rel.removeprefix(inside))


def _changed(key: str) -> LabelError:
    text = "was changed by another program after the strokes of last time, which cannot be given back to it."
    return LabelError(text, key, "They are kept in the folder's journal.")


def _reason(error: UserError | OSError) -> str:
    return error.message if isinstance(error, UserError) else f"{error.strerror or error}."
