"""One open image with its label and its undo history, and how it is read from disk. No Qt here."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from unet_gui.app.canvas.display import Display, default_display
from unet_gui.core.errors import UserError
from unet_gui.core.geometry import Rect
from unet_gui.core.history import Delta, History
from unet_gui.core.images import ImageRef, ImageSource
from unet_gui.core.journal import checksum
from unet_gui.core.labels import UNLABELLED, LabelImage, count_unlabelled
from unet_gui.core.planes import Probabilities
from unet_gui.core.project import Dataset, Status
from unet_gui.core.undo_file import prune, read_undo, undo_path, write_undo

UNDO_FOLDER = "undo"

SMALL = 16 * 2**20
"""Pixels up to which a copy of a label costs less than a frame and is made on the window's thread."""


@dataclass(eq=False)
class Document:
    """An image that is open, or whose label is not saved yet.

    Attributes
    ----------
    ref : ImageRef
    source : ImageSource
    display : Display
        How the image is shown at first.
    own : Display or None
        How it is shown with a contrast window by percentiles; None until somebody wants that.
    labels : LabelImage
    history : History
    disk : int
        Checksum of the label on disk.
    stamp : tuple of int, or None
        `Dataset.label_stamp` when it was read or written here last.
    replaces : bool
        The person wants it saved over what another program has written.
    seq : int
        Number of changes made to the label since the folder was opened; names a state in the journal.
    saved_seq : int
        The state that is on disk.
    moving : bool
        Pixels and `seq` do not belong together at this moment: a commit, undo or redo is under way.
    prediction : ndarray of uint8, shape (h, w), or None
    probabilities : Probabilities or None
    """

    ref: ImageRef
    source: ImageSource
    display: Display
    labels: LabelImage
    disk: int
    history: History = field(default_factory=History)
    stamp: tuple[int, int, int] | None = None
    replaces: bool = False
    seq: int = 0
    saved_seq: int = 0
    moving: bool = False
    own: Display | None = None
    prediction: NDArray[np.uint8] | None = None
    probabilities: Probabilities | None = None

    @property
    def key(self) -> str:
        """Name of the image."""
        return self.ref.key

    @property
    def dirty(self) -> bool:
        """Whether the label differs from the one on disk as far as is known."""
        return self.seq != self.saved_seq

    def snapshot(self) -> tuple[NDArray[np.uint8], int]:
        """Return a copy of the label and the number of its state, both of one moment; callable from any thread.

        A big copy takes several frames, so it is made beside the window; if a change comes in between, again.
        """
        while True:
            seq, revision = self.seq, self.labels.revision
            if not (self.labels.editing or self.moving):
                copy = self.labels.ids.copy()
                still = not (self.labels.editing or self.moving)
                if still and (self.seq, self.labels.revision) == (seq, revision):
                    return copy, seq
            time.sleep(0.02)  # a gesture is under way; this is not the window's thread


def first_page(dataset: Dataset, ref: ImageRef) -> ImageRef:
    """Return the image itself, or its first page when it is a stack."""
    return dataset.expand(ref)[0]


def load(dataset: Dataset, ref: ImageRef, auto_contrast: bool = False) -> Document:
    """Open an image and read its label. With ``auto_contrast`` it gets a contrast window by percentiles, too.

    Raises
    ------
    ImageError, LabelError
        The image or the label cannot be read, or their sizes differ.
    """
    source = dataset.open_image(ref)
    try:
        source.read(Rect(0, 0, 1, 1))  # nobody paints on what cannot be read
        display = default_display(source)  # it may have to look at all pixels
        own = default_display(source, auto=True) if auto_contrast else None
        stamp = dataset.label_stamp(ref)  # before it is read: what is written meanwhile is noticed later
        ids = dataset.load_label(ref, source.shape)
    except BaseException:
        source.close()
        raise
    if ids is None:
        ids = np.full(source.shape, UNLABELLED, np.uint8)
    labels = LabelImage(ids)
    document = Document(ref, source, display, labels, checksum(labels.ids), own=own, stamp=stamp)
    for delta in read_undo(undo_path(dataset.state_dir / UNDO_FOLDER, ref.key), document.disk):
        if delta.shape == labels.shape:
            document.history.push(delta)
    return document


def keep_undo(dataset: Dataset, key: str, disk: int, deltas: tuple[Delta, ...]) -> None:
    """Keep the undo steps of an image for the next start. Where there is no room there is no undo then."""
    folder = dataset.state_dir / UNDO_FOLDER
    with contextlib.suppress(UserError, OSError):
        write_undo(undo_path(folder, key), disk, deltas)
        prune(folder)


def status_of(ids: NDArray[np.uint8]) -> Status:
    """Return the status that a label gives its image."""
    unlabelled = count_unlabelled(ids)
    if unlabelled == 0:
        return Status.DONE
    return Status.UNTOUCHED if unlabelled == ids.size else Status.PARTIAL
