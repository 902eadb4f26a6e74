"""The open folder: its images, labels, predictions and what the program keeps about it.

Opening never writes. Everything but the labels is in ``.unet-gui`` inside the folder; deleting that loses no label.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from unet_gui.core import label_stack
from unet_gui.core.atomic import atomic_path
from unet_gui.core.encoding import INDEX, UNLABELLED, Encoding, present
from unet_gui.core.errors import ImageError, LabelError, ProjectError, UserError
from unet_gui.core.images import ImageRef, ImageSource, image_info, list_images, open_image
from unet_gui.core.layout import STATE_FOLDER, LabelIndex, LabelNames, Layout, find_layout, nested_pairs
from unet_gui.core.lock import FolderLock
from unet_gui.core.palette import ClassInfo, color_of, default_classes
from unet_gui.core.planes import Probabilities
from unet_gui.core.predictions import read_prediction, write_prediction
from unet_gui.core.project_file import ProjectFile
from unet_gui.core.store import detect_encoding, is_marked, read_label, read_raw, write_label

__all__ = ["Dataset", "Status"]


_WRITING = threading.Lock()
FOREIGN, FOREIGN_BYTES = 4, 1 << 20
"""Images whose labels are looked at when a folder is opened again, to see whether others were put there; of large
files nobody wants to wait for that."""


class Status(str, Enum):
    """How far an image is labelled. Derived from the label, kept nowhere else."""

    UNTOUCHED = "untouched"
    """There is no label, or nothing in it is labelled."""
    PARTIAL = "partial"
    """Some pixels are unlabelled."""
    DONE = "done"
    """Every pixel is labelled."""


class Dataset:
    """An open folder of images. Made by `Dataset.open`.

    Attributes
    ----------
    root : pathlib.Path
        The folder that belongs together: around ``image`` and ``label``, or the opened one.
    image_root, label_root : pathlib.Path
        Where images are and where labels are written.
    state_dir : pathlib.Path
        Where everything else is kept; it need not exist yet.
    read_only : str
        Why nothing can be saved; "" when it can.
    notes : list of str
        Plain sentences for the person: what was assumed, what is odd.
    images : list of ImageRef
        Image files, sorted naturally; pages of stacks come from `expand`.
    classes : list of ClassInfo
        The classes.
    encoding : Encoding
        How labels are written.
    settings : dict
        Whatever the window wants to remember about this folder, as JSON can hold it.
    """

    def __init__(self, layout: Layout, state_dir: Path, project: ProjectFile) -> None:
        self.root, self.image_root, self.label_root = layout
        self.state_dir = state_dir
        self.read_only = ""
        self.notes: list[str] = []
        self.images: list[ImageRef] = []
        self.classes: list[ClassInfo] = []
        self.encoding: Encoding = INDEX
        self.settings: dict[str, Any] = project.settings
        self._project = project
        self._usual_labels: tuple[Path, ...] = ()
        self._nested = False  # labels in folders beside folders of images, further down
        self._lock = FolderLock(state_dir / "lock")
        self._checked: set[str] = set()  # labels that were read or written here, so may be written over
        self._status: dict[str, tuple[int, int, Status]] = {}
        self._paged: dict[str, tuple[int, int]] = {}  # stacks of labels that have as many pages as their image

    @classmethod
    def open(
        cls,
        folder: str | os.PathLike[str],
        *,
        labels: str | os.PathLike[str] | None = None,
        state: str | os.PathLike[str] | None = None,
        ignore_project: bool = False,
    ) -> Dataset:
        """Open a folder; nothing is written.

        Parameters
        ----------
        folder : str or os.PathLike
            Any folder of pictures.
        labels : str or os.PathLike, optional
            Where labels are instead of the usual place.
        state : str or os.PathLike, optional
            Where to keep everything else, for a folder that is read-only; new labels go there too, then.
        ignore_project : bool
            Open as if for the first time, when the project file cannot be understood. The next `save` replaces it.

        Raises
        ------
        ProjectError
            The folder is missing, not readable or without pictures, or its project file cannot be understood.
        """
        path = Path(os.path.abspath(folder))
        try:
            layout = find_layout(path)
        except OSError as error:
            raise _folder_error(path, error) from error
        state_dir = Path(os.path.abspath(state)) if state is not None else layout.root / STATE_FOLDER
        project = ProjectFile.empty(state_dir) if ignore_project else ProjectFile.read(state_dir)
        usual = layout.label_root
        if labels is not None:
            layout = layout._replace(label_root=Path(os.path.abspath(labels)))
        elif project.labels:
            layout = layout._replace(label_root=project.inside(layout.root, project.labels))
        dataset = cls(layout, state_dir, project)
        dataset._usual_labels = (usual, layout.root, state_dir / "labels")
        dataset._nested = layout.image_root == layout.root and layout.label_root == usual
        dataset._list()
        if dataset._nested:
            dataset.label_root = dataset.root
        dataset._set_places(other_state=state is not None)
        dataset._load_project()
        dataset._note_orphans()
        return dataset

    # ------------------------------------------------------------------ opening

    def _list(self) -> None:
        try:
            names = list_images(self.image_root)
        except ImageError as error:
            raise ProjectError(error.message, error.path, error.hint, error.details) from error
        if not names:
            raise ProjectError("holds no pictures that can be opened.", self.root, "Choose the folder they are in.")
        pairs = nested_pairs(self.image_root, names) if self._nested else {}
        self._nested = bool(pairs)
        self._names = LabelNames(names, pairs)
        self.images = [ImageRef(name) for name in names]

    def _set_places(self, *, other_state: bool) -> None:
        labels_problem, state_problem = _no_write(self.label_root), _no_write(self.state_dir)
        roots = [self.label_root]
        if labels_problem and other_state and not state_problem:
            self.label_root = self.state_dir / "labels"
            roots.insert(0, self.label_root)
            labels_problem = ""
            self.notes.append(f"The folder is read-only: labels are saved in {self.label_root}.")
        roots += self._first_labels(roots[-1])
        self._index = LabelIndex(roots)
        self.read_only = labels_problem or state_problem
        if self.read_only:
            self.notes.append(self.read_only)

    def _first_labels(self, label_root: Path) -> list[Path]:
        """Return where labels lie that were made when there was no folder for them yet: ``labels/images/a.png``."""
        name = self.image_root.name
        if self.image_root == self.root or (self.image_root / name).is_dir() or not (label_root / name).is_dir():
            return []
        return [label_root / name]

    def _load_project(self) -> None:
        project = self._project
        if project.encoding is not None:
            self.encoding = project.encoding
            self.classes = list(project.classes or default_classes())
            self._note_foreign()
            return
        found: tuple[int, ...] = ()
        files = self._index.files(self._names.stem(ref.rel) for ref in self.images)
        if files:
            try:
                detected = detect_encoding(files)
            except LabelError as error:
                self.notes.append(f"The labels in {self.label_root.name} cannot be used: they {error}")
            else:
                self.encoding, found = detected.encoding, detected.class_ids
                self.notes.append(
                    f"Labels: {self.encoding.describe()}." + (f" {detected.note}" if detected.note else "")
                )
        self.classes = list(project.classes or _found_classes(found))

    def _note_foreign(self) -> None:
        """Say where masks of 0 and 255 lie in a folder of class ids: they were put there since, and mean a class."""
        if self.encoding.kind != INDEX.kind:
            return
        for path in self._index.files(self._names.stem(ref.rel) for ref in self.images[:FOREIGN]):
            with contextlib.suppress(LabelError, OSError):
                if is_marked(path) or path.stat().st_size > FOREIGN_BYTES:
                    continue
                raw = read_raw(path)
                if not raw.marked and not raw.palette and set(np.unique(raw.pixels)) == {0, UNLABELLED}:
                    self.notes.append(
                        f"The label {path.name} holds only 0 and 255, and 255 means unlabelled here. If it is a class, "
                        "say so under File → How labels are stored."
                    )
                    return

    def _note_orphans(self) -> None:
        """Say which labels could be of either of two images and so are nobody's."""
        left = [
            (rel, path)
            for rel, stem in self._names.orphans()
            if (path := self._index.find(stem)) is not None and self._index.find(self._names.stem(rel)) is None
        ]
        if left:
            rel, path = left[0]
            more = f" So could {len(left) - 1} more." if len(left) > 1 else ""
            name = f"{self._names.stem(rel).rpartition('/')[2]}{path.suffix}"
            self.notes.append(f"The label {path.name} could be that of {rel}: call it {name}, then.{more}")

    # ------------------------------------------------------------------ images

    def expand(self, ref: ImageRef) -> list[ImageRef]:
        """Return the pages of a multi-page TIFF as references of their own; for any other image, itself.

        Raises
        ------
        ImageError
            The file cannot be read.
        """
        if ref.page is not None or not ref.rel.lower().endswith(label_stack.SUFFIXES):
            return [ref]
        pages = image_info(self.image_path(ref)).pages
        return [ref] if pages == 1 else [ImageRef(ref.rel, page) for page in range(pages)]

    def image_path(self, ref: ImageRef) -> Path:
        """Return the image's file."""
        return self.image_root / ref.rel

    def open_image(self, ref: ImageRef) -> ImageSource:
        """Open an image; raises ImageError."""
        return open_image(self.image_path(ref), ref.page or 0)

    # ------------------------------------------------------------------ labels

    def label_path(self, ref: ImageRef) -> Path:
        """Return the file that the image's label is, or will be, saved in."""
        return self._index.writable(self._names.stem(ref.rel), stack=ref.page is not None)

    def has_label(self, ref: ImageRef) -> bool:
        """Whether there was a label file when the folder was listed, or one was saved since."""
        return self._index.find(self._names.stem(ref.rel), stack=ref.page is not None) is not None

    def load_label(self, ref: ImageRef, shape: tuple[int, int] | None = None) -> np.ndarray | None:
        """Return the image's label, None when there is none.

        Parameters
        ----------
        ref : ImageRef
            The image, or one page of a stack.
        shape : (int, int), optional
            Size of the image, if known; otherwise its header is read.

        Returns
        -------
        numpy.ndarray or None
            uint8 (h, w), class ids and 255.

        Raises
        ------
        LabelError
            The label cannot be read, has another size, or holds something that is no class.
        ImageError
            The image's header cannot be read.
        """
        path = self._find_label(ref)
        if path is None:
            return None
        self._check_pages(ref, path)
        ids = read_label(
            path, self.encoding, shape=shape or _page_shape(self.image_path(ref), ref.page or 0), page=ref.page or 0
        )
        _check_classes(ids, self.classes, path)
        self._checked.add(ref.key)
        return ids

    def _check_pages(self, ref: ImageRef, path: Path) -> None:
        """Refuse a stack of labels with another number of pages: nobody knows which page is which slice's."""
        if ref.page is None:
            return
        try:
            stat = path.stat()
        except OSError as error:
            raise LabelError("cannot be read.", path, details=str(error)) from error
        known = (stat.st_mtime_ns, stat.st_size)
        if self._paged.get(ref.rel) == known:
            return
        try:
            labels, slices = label_stack.page_count(path), image_info(self.image_path(ref)).pages
        except ImageError as error:
            raise LabelError(error.message, error.path or path, error.hint, error.details) from error
        if labels != slices:
            raise LabelError(
                f"has {labels} pages, but its image has {slices}.",
                path,
                "Was one of them replaced? Move the label away.",
            )
        self._paged[ref.rel] = known

    def save_label(self, ref: ImageRef, ids: np.ndarray, pages: int | None = None, *, overwrite: bool = False) -> None:
        """Save an image's label; the old file stays whole until the new one is.

        Parameters
        ----------
        ref : ImageRef
            The image, or one page of a stack.
        ids : numpy.ndarray
            uint8 (h, w), class ids and 255.
        pages : int, optional
            Number of pages of the stack, if known; otherwise its header is read.
        overwrite : bool
            Write even over a file that is no label of ours.

        Raises
        ------
        LabelError
            The label has not the size of its image, holds something that is no class, or the file on disk cannot be
            understood and would be lost.
        UserError
            It cannot be written: read-only, disk full, folder gone.
        """
        if self.read_only:
            raise UserError("could not be saved.", self.label_path(ref), self.read_only)
        path = self.label_path(ref)
        if ids.shape != _page_shape(self.image_path(ref), ref.page or 0):
            raise LabelError("has not the size of its image.", path, "It belongs to another image.")
        _check_classes(ids, self.classes, path)
        if not overwrite and ref.key not in self._checked and path.exists():
            self._check_ours(ref, path)
        page, count = ref.page, None
        if page is not None:
            count = pages or image_info(self.image_path(ref)).pages
            self._begin_stack(ref, path)
        self._keep_meaning()
        write_label(path, ids, self.encoding, page=page, pages=count)
        self._index.add(path.relative_to(self.label_root).as_posix())
        self._checked.add(ref.key)
        self._status.pop(ref.key, None)
        self._status.pop(ref.rel, None)

    def _begin_stack(self, ref: ImageRef, path: Path) -> None:
        """Begin a stack of labels that is kept elsewhere with the pages that are there: it will hide the old one."""
        old = self._index.find(self._names.stem(ref.rel), stack=True)
        if old is None or old == path or path.exists():
            return
        with atomic_path(path) as temporary:
            shutil.copyfile(old, temporary)

    def _keep_meaning(self) -> None:
        """Write down what pixel values mean before a label is saved: a guess later could come out otherwise."""
        if self._project.encoding is None and self.encoding.kind != INDEX.kind:
            with contextlib.suppress(UserError, RuntimeError):  # the label matters more
                self.save()

    def _check_ours(self, ref: ImageRef, path: Path) -> None:
        try:
            read_label(path, self.encoding, page=ref.page or 0)
        except LabelError as error:
            raise LabelError(
                "is there already and is no label that can be understood, so it is not replaced.",
                path,
                "Move it away, or choose another folder for labels.",
                str(error),
            ) from error

    def _find_label(self, ref: ImageRef) -> Path | None:
        path = self._index.find(self._names.stem(ref.rel), stack=ref.page is not None)
        if path is None:  # perhaps another program has written it since
            path = self.label_path(ref)
        return path if path.exists() else None

    def status(self, ref: ImageRef) -> Status:
        """Return how far an image is labelled, from its label (for a whole stack, from all its pages).

        Raises
        ------
        LabelError
            The label cannot be read.
        """
        path = self._index.find(self._names.stem(ref.rel), stack=ref.page is not None)
        if path is None:
            return Status.UNTOUCHED
        try:
            stat = path.stat()
        except FileNotFoundError:
            return Status.UNTOUCHED
        except OSError as error:
            raise LabelError("cannot be read.", path, details=str(error)) from error
        known = self._status.get(ref.key)
        if known is not None and known[:2] == (stat.st_mtime_ns, stat.st_size):
            return known[2]
        status = self._read_status(ref, path)
        self._status[ref.key] = (stat.st_mtime_ns, stat.st_size, status)
        return status

    def _read_status(self, ref: ImageRef, path: Path) -> Status:
        self._check_pages(ref, path)
        if ref.page is not None or not label_stack.is_tiff(path):
            return _status_of(read_label(path, self.encoding, page=ref.page or 0))
        try:
            pages = label_stack.page_count(path)
        except ImageError as error:
            raise LabelError(error.message, path, error.hint, error.details) from error
        found = {_status_of(read_label(path, self.encoding, page=page)) for page in range(pages)}
        return found.pop() if len(found) == 1 else Status.PARTIAL

    # ------------------------------------------------------------------ predictions

    def prediction_path(self, ref: ImageRef, kind: str = "ids") -> Path:
        """Return the file of an image's prediction.

        Parameters
        ----------
        ref : ImageRef
            The image, or one page of a stack.
        kind : str
            ``ids``: class ids as PNG. ``prob``: probabilities 0…255, of two classes those of class 1 as PNG, of
            more all as pages of a TIFF.
        """
        name = ref.rel if ref.page is None else f"{ref.rel}.{ref.page:04d}"
        suffix = ".ids.png" if kind == "ids" else ".prob.png" if len(self.classes) == 2 else ".prob.tif"
        return self.state_dir / "predictions" / (name + suffix)

    def load_prediction(self, ref: ImageRef) -> tuple[np.ndarray, Probabilities | None] | None:
        """Return an image's prediction, None when there is none.

        Returns
        -------
        (ids, prob) or None
            uint8 (h, w) class ids; probabilities, None when they were not kept.

        Raises
        ------
        LabelError
            The files cannot be read.
        """
        ids = [info.id for info in self.classes]
        return read_prediction(self.prediction_path(ref), self.prediction_path(ref, "prob"), ids)

    def save_prediction(self, ref: ImageRef, ids: np.ndarray, prob: np.ndarray | None = None) -> None:
        """Save an image's prediction.

        Parameters
        ----------
        ref : ImageRef
            The image, or one page of a stack.
        ids : numpy.ndarray
            uint8 (h, w) class ids.
        prob : numpy.ndarray, optional
            uint8 (classes, h, w), in the order of the folder's classes.

        Raises
        ------
        UserError
            The files cannot be written.
        """
        known = None if prob is None else Probabilities(prob, tuple(info.id for info in self.classes))
        write_prediction(self.prediction_path(ref), self.prediction_path(ref, "prob"), ids, known)

    # ------------------------------------------------------------------ project file

    def set_classes(self, classes: Sequence[ClassInfo]) -> None:
        """Replace the list of classes.

        Raises
        ------
        ProjectError
            There is none, or two have one id.
        """
        if not classes or len({info.id for info in classes}) < len(classes):
            raise ProjectError("There must be at least one class, and each needs an id of its own.")
        self.classes = list(classes)

    def set_encoding(self, encoding: Encoding) -> None:
        """Choose how labels are read and written from now on; files on disk stay as they are.

        A class whose pixel value now means unlabelled is taken off the list.
        """
        gone = _became_unlabelled(self.encoding, encoding)
        self.classes = [info for info in self.classes if info.id != gone]
        self.encoding = encoding
        self._status.clear()
        self._checked.clear()

    def save(self) -> None:
        """Write the project file.

        Raises
        ------
        UserError
            It cannot be written.
        """
        elsewhere = self.label_root not in self._usual_labels and self.label_root.is_relative_to(self.root)
        labels = self.label_root.relative_to(self.root).as_posix() if elsewhere else ""
        with _WRITING:  # what is written last must be what was known last
            self._project.write(self.classes, self.encoding, dict(self.settings), labels)

    def refresh(self) -> None:
        """List images and labels again, after another program has changed the folder."""
        self._list()
        self._index.rescan()

    def acquire_lock(self, *, anyway: bool = False) -> str:
        """Note that this process has the folder open; return "" or, when another has, who.

        Half-written files that a killed program left among the labels are removed then. ``anyway`` takes the folder
        from whoever has it.

        Raises
        ------
        UserError
            The note cannot be written.
        """
        who = "" if self.read_only else self._lock.acquire(anyway=anyway)
        if not who and not self.read_only:
            self._index.remove_halves()
        return who

    @property
    def lock_lives(self) -> bool:
        """Whether the program that has the folder open, as `acquire_lock` said, runs on this computer for certain."""
        return self._lock.lives

    def lock_is_lost(self) -> bool:
        """Whether another program has taken the folder over from this one."""
        return self._lock.is_lost()

    def release_lock(self) -> None:
        """Take the note away."""
        self._lock.release()


def _folder_error(path: Path, error: OSError) -> ProjectError:
    if isinstance(error, PermissionError):
        return ProjectError("may not be read by you.", path, "Ask its owner for permission.", str(error))
    if path.exists():
        return ProjectError("is a file, not a folder.", path, "Open the folder it is in.", str(error))
    return ProjectError("is not there.", path, "It may have been moved, renamed or deleted.", str(error))


def _no_write(folder: Path) -> str:
    """Return why nothing can be written to a folder that may not exist yet, "" when it can."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    if os.access(place, os.W_OK | os.X_OK):
        return ""
    return f"The folder {place} is read-only: nothing can be saved there. Name another place to work on it."


def _found_classes(found: tuple[int, ...]) -> list[ClassInfo]:
    if not found:
        return default_classes()
    return [ClassInfo(i, f"class {i}", color_of(i)) for i in range(max(2, max(found) + 1))]


def _became_unlabelled(old: Encoding, new: Encoding) -> int | None:
    """Return the class whose pixel value means unlabelled in the new encoding, when that is all that changed."""
    raw = next((value for value, i in new.values if i == UNLABELLED), None)
    if raw is None or isinstance(raw, int) is old.color or any(i == UNLABELLED for _, i in old.values):
        return None  # a number is compared with numbers, a colour with colours
    if old.with_unlabelled(raw) != new:
        return None
    before: dict[Any, int] = dict(old.pairs())
    return raw if old.kind == "index" and isinstance(raw, int) else before.get(raw)


def _check_classes(ids: np.ndarray, classes: Sequence[ClassInfo], path: Path) -> None:
    known = {info.id for info in classes} | {UNLABELLED}
    unknown = [str(i) for i in present(ids).tolist() if i not in known]
    if unknown:
        raise LabelError(
            f"holds class {', '.join(unknown[:12])}, which is not in the list of classes.",
            path,
            "Add the class, or correct the label.",
        )


def _page_shape(path: Path, page: int) -> tuple[int, int]:
    """Return height and width of an image's page, from its header."""
    if page:
        with open_image(path, page) as source:
            return source.shape
    info = image_info(path)
    return info.height, info.width


def _status_of(ids: np.ndarray) -> Status:
    found = present(ids).tolist()
    if UNLABELLED not in found:
        return Status.DONE
    return Status.UNTOUCHED if found == [UNLABELLED] else Status.PARTIAL
