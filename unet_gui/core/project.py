"""The open folder: its images, labels, predictions and what the program keeps about it.

Opening never writes. Everything but the labels is in ``.unet-gui`` inside the folder; deleting that loses no label.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unet_gui.core import label_stack
from unet_gui.core.cv import cv2
from unet_gui.core.encoding import INDEX, Encoding
from unet_gui.core.errors import LabelError, ProjectError, UserError
from unet_gui.core.images import ImageRef, ImageSource, image_info, open_image
from unet_gui.core.label_files import LabelFiles, Status
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.layout import is_mixed
from unet_gui.core.listing import TIFF_SUFFIXES
from unet_gui.core.lock import FolderLock
from unet_gui.core.palette import ClassInfo, color_of, default_classes
from unet_gui.core.places import Places, find_places
from unet_gui.core.planes import Probabilities
from unet_gui.core.predictions import GONE, heirs, read_prediction, with_room, write_prediction
from unet_gui.core.project_file import ProjectFile
from unet_gui.core.store import detect_encoding

__all__ = ["Dataset", "Status"]

_WRITING = threading.Lock()


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

    def __init__(self, places: Places) -> None:
        self.root, self.image_root, self.label_root = places.root, places.image_root, places.label_roots[0]
        self.state_dir = places.state_dir
        self.read_only = places.read_only
        self.notes = list(places.notes)
        self.images = [ImageRef(name) for name in places.images]
        self.classes: list[ClassInfo] = []
        self.encoding: Encoding = INDEX
        self.settings: dict[str, Any] = places.project.settings
        self._places = places
        self._project = places.project
        self._labels = LabelFiles(places.image_root, places.names, places.label_roots)
        self._chosen = False  # the encoding, for this time
        self._read_at: tuple[int, int] | None = None  # which project file `follow` has read
        self._lock = FolderLock(places.state_dir / "lock")
        self._choose_classes()
        self._note(self._labels.orphans())

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
        return cls(find_places(folder, labels, state, ignore_project))

    # ------------------------------------------------------------------ opening

    def _note(self, text: str) -> None:
        if text:
            self.notes.append(text)

    @property
    def stored(self) -> str:
        """How labels are stored, in a sentence; a note may begin with it."""
        return f"Labels: {self.encoding.describe()}."

    def _choose_classes(self) -> None:
        """Take classes and encoding from the project file, or else from the labels."""
        project = self._project
        if project.encoding is not None:
            self.encoding = project.encoding
            self.classes = list(project.classes or default_classes())
            self._note(self._labels.foreign(self.images, self.encoding))
            return
        found: tuple[int, ...] = ()
        files = self._labels.of(self.images)
        if files:
            try:
                detected = detect_encoding(files)
            except LabelError as error:
                self.notes.append(f"The labels in {self.label_root.name} cannot be used: they {error}")
            else:
                self.encoding, found = detected.encoding, detected.class_ids
                self._note(f"{self.stored} {detected.note}".strip())
        self.classes = list(project.classes or _found_classes(found))

    # ------------------------------------------------------------------ images

    def expand(self, ref: ImageRef) -> list[ImageRef]:
        """Return the pages of a multi-page TIFF as references of their own; for any other image, itself.

        Raises
        ------
        ImageError
            The file cannot be read.
        """
        if ref.page is not None or not ref.rel.lower().endswith(TIFF_SUFFIXES):
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
        return self._labels.path(ref)

    def has_label(self, ref: ImageRef) -> bool:
        """Whether there was a label file when the folder was listed, or one was saved since."""
        return self._labels.exists(ref)

    def label_stamp(self, ref: ImageRef) -> tuple[int, int, int] | None:
        """Return what is another when anybody has written the image's label file; None when there is none."""
        return self._labels.stamp(ref)

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
        return self._labels.read(ref, self.encoding, self.classes, shape)

    def save_label(
        self,
        ref: ImageRef,
        ids: np.ndarray,
        pages: int | None = None,
        *,
        overwrite: bool = False,
        stack: label_stack.StackWriter | None = None,
    ) -> None:
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
        stack : StackWriter, optional
            Writes the page of a stack later, together with others.

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
        self._must_be_ours()
        self._keep_meaning()
        self._labels.write(ref, ids, self.encoding, self.classes, pages, overwrite=overwrite, stack=stack)

    def _must_be_ours(self) -> None:
        """Refuse to write into a folder that another window has taken over."""
        if self._lock.is_lost():
            raise UserError(
                "Another window has taken this folder over.",
                self.root,
                "Close it there, then close and open it here again.",
            )

    def _keep_meaning(self) -> None:
        """Write down values and classes before a label is saved: a guess later could come out otherwise."""
        if self._project.encoding is None and self.image_root.is_dir():  # a folder that is gone is not made again
            with contextlib.suppress(UserError, RuntimeError):  # the label matters more
                self.save()

    def status(self, ref: ImageRef) -> Status:
        """Return how far an image is labelled, from its label (for a whole stack, from all its pages).

        Raises
        ------
        LabelError
            The label cannot be read.
        """
        return self._labels.status(ref, self.encoding, self.classes)

    # ------------------------------------------------------------------ predictions

    def prediction_path(self, ref: ImageRef, kind: str = "ids") -> Path:
        """Return the file of an image's prediction.

        Parameters
        ----------
        ref : ImageRef
            The image, or one page of a stack.
        kind : str
            ``ids``: class ids as PNG. ``prob``: probabilities 0…255, those of class 1 as PNG where there never were
            more than two classes, else all as pages of a TIFF.
        """
        name = ref.rel if ref.page is None else f"{ref.rel}.{ref.page:04d}"
        one = len(self.classes) == 2 and not self.settings.get(GONE)  # models may know more classes than the folder
        suffix = ".ids.png" if kind == "ids" else ".prob.png" if one else ".prob.tif"
        return self.state_dir / "predictions" / (with_room(name) + suffix)

    def load_prediction(self, ref: ImageRef) -> tuple[np.ndarray, Probabilities | None] | None:
        """Return an image's prediction, None when there is none; of a class that was removed it says nothing.

        Returns
        -------
        (ids, prob) or None
            uint8 (h, w) class ids, 255 where it was a class that is no more, unless that was merged into another;
            probabilities, None when they were not kept.

        Raises
        ------
        LabelError
            The files cannot be read.
        """
        ids = [info.id for info in self.classes]
        found = read_prediction(self.prediction_path(ref), self.prediction_path(ref, "prob"), ids)
        if found is None:
            return None
        known = np.full(256, UNLABELLED, np.uint8)
        known[ids] = ids
        said, prob = found
        if prob is not None:
            prob = prob._replace(classes=tuple(int(known[each]) for each in prob.classes))
        merged = heirs(self.settings.get(GONE), ids)
        known[list(merged)] = list(merged.values())
        return cv2.LUT(said, known), prob

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
        self._chosen = True
        gone = _became_unlabelled(self.encoding, encoding)
        self.classes = [info for info in self.classes if info.id != gone]
        before = self.stored
        self.encoding = encoding
        self.notes = [self.stored, *(note for note in self.notes if not note.startswith(before))]
        self._labels.forget()

    def follow(self) -> None:
        """Read labels from now on as the project file says by now, unless somebody has chosen otherwise here.

        For work of minutes that reads labels which a window may save in another encoding meanwhile.
        """
        try:
            stat = self._project.path.stat()
            if self._chosen or self._read_at == (stat.st_mtime_ns, stat.st_ino):
                return
            self._read_at = stat.st_mtime_ns, stat.st_ino
            encoding = ProjectFile.read(self.state_dir).encoding
        except (OSError, ProjectError):  # nothing is said there
            return
        if encoding is not None and encoding != self.encoding:
            self.encoding = encoding
            self._labels.forget()

    def save(self) -> None:
        """Write the project file.

        Raises
        ------
        UserError
            It cannot be written.
        """
        self._must_be_ours()
        elsewhere = self.label_root not in self._places.usual_labels and self.label_root.is_relative_to(self.root)
        labels = self.label_root.relative_to(self.root).as_posix() if elsewhere else ""
        if self._places.given and not self.label_root.is_relative_to(self.root):
            labels = self._project.labels  # another folder this time
        with _WRITING:  # what is written last must be what was known last
            whole = self.image_root == self.root and is_mixed(ref.rel for ref in self.images)
            self._project.write(self.classes, self.encoding, dict(self.settings), labels, whole)

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
            self._labels.remove_halves()
        return who

    @property
    def lock_lives(self) -> bool:
        """Whether the program that has the folder open, as `acquire_lock` said, runs on this computer for certain."""
        return self._lock.lives

    @property
    def has_lock(self) -> bool:
        """Whether this process has noted that it has the folder open."""
        return self._lock.held

    def release_lock(self) -> None:
        """Take the note away."""
        self._lock.release()


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
