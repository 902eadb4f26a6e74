"""The label files of a folder of images: which there are, reading and writing them, how far each image is labelled."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Sequence
from enum import Enum
from pathlib import Path

import numpy as np

from unet_gui.core import label_stack
from unet_gui.core.atomic import atomic_path
from unet_gui.core.encoding import INDEX, Encoding, present
from unet_gui.core.errors import ImageError, LabelError, WrongSize
from unet_gui.core.headers import explained
from unet_gui.core.images import ImageRef, image_info, open_image
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.layout import LabelIndex, LabelNames
from unet_gui.core.palette import ClassInfo
from unet_gui.core.store import is_marked, read_label, read_raw, write_label

__all__ = ["LabelFiles", "Status"]

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


class LabelFiles:
    """The label files of a folder of images, found by listing once.

    Parameters
    ----------
    image_root : pathlib.Path
    names : LabelNames
        What the label of each image is called.
    roots : sequence of pathlib.Path
        Folders of labels; the first is written to, a label found there hides that of the others.
    """

    def __init__(self, image_root: Path, names: LabelNames, roots: Sequence[Path]) -> None:
        self._image_root, self._names = image_root, names
        self._index = LabelIndex(roots)
        self._checked: set[str] = set()  # labels that were read or written here, so may be written over
        # with what they were derived from: time and size of the file, and what its pixels mean
        self._status: dict[str, tuple[tuple[int, int, Encoding, int | None], Status]] = {}
        self._paged: dict[str, tuple[int, int]] = {}  # stacks of labels that have as many pages as their image

    # ------------------------------------------------------------------ which there are

    def path(self, ref: ImageRef) -> Path:
        """Return the file that the image's label is, or will be, saved in."""
        alike = self._names.alone(ref.rel)
        return self._index.writable(self._names.stem(ref.rel), stack=ref.page is not None, alike=alike)

    def exists(self, ref: ImageRef) -> bool:
        """Whether there was a label file when the folder was listed, or one was saved since."""
        return self._listed(ref) is not None

    def stamp(self, ref: ImageRef) -> tuple[int, int, int] | None:
        """Return what tells one writing of the label file from another, None when there is none."""
        try:
            stat = (self._listed(ref) or self.path(ref)).stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino

    def of(self, refs: Iterable[ImageRef]) -> list[Path]:
        """Return the label files that exist for these image files."""
        return [path for path in map(self._listed, refs) if path is not None]

    def forget(self) -> None:
        """Look at every file anew: what pixel values mean has changed."""
        self._status.clear()
        self._checked.clear()

    def remove_halves(self) -> None:
        """Remove half-written files that a killed program left behind."""
        self._index.remove_halves()

    def foreign(self, refs: Sequence[ImageRef], encoding: Encoding) -> str:
        """Say where masks of 0 and 255 lie in a folder of class ids: they were put there since, and mean a class."""
        if encoding.kind != INDEX.kind:
            return ""
        for path in self.of(refs[:FOREIGN]):
            with contextlib.suppress(LabelError, OSError):
                if is_marked(path) or path.stat().st_size > FOREIGN_BYTES:
                    continue
                raw = read_raw(path)
                if not raw.marked and not raw.palette and set(np.unique(raw.pixels)) == {0, UNLABELLED}:
                    return (
                        f"The label {path.name} holds only 0 and 255, and 255 means unlabelled here. If it is a class, "
                        "say so under File → How labels are stored."
                    )
        return ""

    def orphans(self) -> str:
        """Say which labels could be of either of two images and so are nobody's."""
        left = [
            (rel, path)
            for rel, stem in self._names.orphans()
            if (path := self._index.find(stem)) is not None and self._index.find(self._names.stem(rel)) is None
        ]
        if not left:
            return ""
        rel, path = left[0]
        more = f" So could {len(left) - 1} more." if len(left) > 1 else ""
        name = f"{self._names.stem(rel).rpartition('/')[2]}{path.suffix}"
        return f"The label {path.name} could be that of {rel}: call it {name}, then.{more}"

    # ------------------------------------------------------------------ reading

    def read(
        self, ref: ImageRef, encoding: Encoding, classes: Sequence[ClassInfo], shape: tuple[int, int] | None = None
    ) -> np.ndarray | None:
        """Return the image's label, None when there is none; `Dataset.load_label` says more."""
        path = self._find(ref)
        if path is None:
            return None
        self._check_pages(ref, path)
        shape = shape or _page_shape(self._image_root / ref.rel, ref.page or 0)
        try:
            ids = _read(path, encoding, _former_class(encoding, classes), ref.page or 0, shape)
        except WrongSize as error:
            raise explained(error, self._image_root / ref.rel) from error
        _check_classes(ids, classes, path)
        self._checked.add(ref.key)
        return ids

    def status(self, ref: ImageRef, encoding: Encoding, classes: Sequence[ClassInfo]) -> Status:
        """Return how far an image is labelled, from its label; `Dataset.status` says more."""
        path = self._listed(ref)
        if path is None:
            return Status.UNTOUCHED
        try:
            stat = path.stat()
        except FileNotFoundError:
            return Status.UNTOUCHED
        except OSError as error:
            raise LabelError("cannot be read.", path, details=str(error)) from error
        former = _former_class(encoding, classes)
        state = stat.st_mtime_ns, stat.st_size, encoding, former
        known = self._status.get(ref.key)
        if known is not None and known[0] == state:
            return known[1]
        status = self._read_status(ref, path, encoding, former)
        self._status[ref.key] = state, status
        return status

    def _read_status(self, ref: ImageRef, path: Path, encoding: Encoding, former: int | None) -> Status:
        self._check_pages(ref, path)
        if ref.page is not None or not label_stack.is_tiff(path):
            return _status_of(_read(path, encoding, former, ref.page or 0, self._shape(ref)))
        try:
            pages = label_stack.page_count(path)
        except ImageError as error:
            raise LabelError(error.message, path, error.hint, error.details) from error
        found = {_status_of(_read(path, encoding, former, page)) for page in range(pages)}
        return found.pop() if len(found) == 1 else Status.PARTIAL

    def _shape(self, ref: ImageRef) -> tuple[int, int] | None:
        """Return the size that a label must have; None for pages, and where the image cannot be read itself."""
        try:
            return None if ref.page is not None else _page_shape(self._image_root / ref.rel, 0)
        except ImageError:
            return None

    def _listed(self, ref: ImageRef) -> Path | None:
        alike = self._names.alone(ref.rel)
        return self._index.find(self._names.stem(ref.rel), stack=ref.page is not None, alike=alike)

    def _find(self, ref: ImageRef) -> Path | None:
        path = self._listed(ref) or self.path(ref)  # perhaps another program has written it since
        return path if path.exists() else None

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
            labels, slices = label_stack.page_count(path), image_info(self._image_root / ref.rel).pages
        except ImageError as error:
            raise LabelError(error.message, error.path or path, error.hint, error.details) from error
        if labels != slices:
            raise LabelError(
                f"has {labels} pages, but its image has {slices}.",
                path,
                "Was one of them replaced? Move the label away.",
            )
        self._paged[ref.rel] = known

    # ------------------------------------------------------------------ writing

    def write(
        self,
        ref: ImageRef,
        ids: np.ndarray,
        encoding: Encoding,
        classes: Sequence[ClassInfo],
        pages: int | None = None,
        *,
        overwrite: bool = False,
        stack: label_stack.StackWriter | None = None,
    ) -> None:
        """Save an image's label in the first folder; `Dataset.save_label` says more."""
        path = self.path(ref)
        image = self._image_root / ref.rel
        with contextlib.suppress(OSError):
            if path.samefile(image):
                raise LabelError(
                    "is the image itself, which is never written.", path, "Choose another folder for labels."
                )
        if ids.shape != _page_shape(image, ref.page or 0):
            raise LabelError("has not the size of its image.", path, "It belongs to another image.")
        _check_classes(ids, classes, path)
        if not overwrite and ref.key not in self._checked and path.exists():
            self._check_ours(ref, path, encoding)
        page, count = ref.page, None
        if page is not None:
            count = pages or image_info(image).pages
            self._begin_stack(ref, path)
        write_label(path, ids, encoding, page=page, pages=count, stack=stack)
        self._index.add(path.relative_to(self._index.roots[0]).as_posix())
        self._checked.add(ref.key)
        self._status.pop(ref.key, None)
        self._status.pop(ref.rel, None)

    def _begin_stack(self, ref: ImageRef, path: Path) -> None:
        """Begin a stack of labels that is kept elsewhere with the pages that are there: it will hide the old one."""
        old = self._listed(ref)
        if old is None or old == path or path.exists():
            return
        with atomic_path(path) as temporary:
            shutil.copyfile(old, temporary)

    def _check_ours(self, ref: ImageRef, path: Path, encoding: Encoding) -> None:
        try:
            read_label(path, encoding, page=ref.page or 0)
        except LabelError as error:
            raise LabelError(
                "is there already and is no label that can be understood, so it is not replaced.",
                path,
                "Move it away, or choose another folder for labels.",
                str(error),
            ) from error


def _former_class(encoding: Encoding, classes: Sequence[ClassInfo]) -> int | None:
    """Return the class number that has come to mean unlabelled; None when there is none, or it is a class still."""
    number = encoding.unlabelled_number
    return None if any(info.id == number for info in classes) else number


def _read(
    path: Path, encoding: Encoding, former: int | None, page: int, shape: tuple[int, int] | None = None
) -> np.ndarray:
    """Read a label; ``former`` was a class when those were saved that are marked as class numbers."""
    ids = read_label(path, encoding, shape=shape, page=page)
    return ids if former is None else np.where(ids == former, np.uint8(UNLABELLED), ids)


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
