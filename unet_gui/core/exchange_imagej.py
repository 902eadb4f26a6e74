"""ImageJ and Fiji: one zip file of regions of interest (ROI) an image or a stack, for the ROI Manager."""

from __future__ import annotations

import contextlib
import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from unet_gui.core.errors import LabelError, UserError
from unet_gui.core.exchange_base import (
    REST,
    Exporter,
    ExportOptions,
    Ids,
    Importer,
    ImportOptions,
    require,
    understood,
)
from unet_gui.core.exchange_positions import Position, StackPositions
from unet_gui.core.exchange_rings import Blob, Ring, blobs_of, fill
from unet_gui.core.images import ImageRef
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.project import Dataset
from unet_gui.core.strokes import Shape

ENDING = "_RoiSet"
IGNORED = "unlabelled"
PAGES = "pages"
"""Our own entry in the file of a stack: the pages that it is for, a bit each, the first one the lowest."""
_NAMED = re.compile(r"[^\W\d]")
_NUMBERED = re.compile(r"(.*[^\W\d].*?)[-_ ]\d+")
_OURS = re.compile(r"(.+)-\d{4,}")
_NOT_IMAGEJ = re.compile(r"\d{1,3}|.*[^-\s\d].*")  # numbers in its own names have four digits or more
_HABIT = re.compile(
    r"(.+)[-_ .](?:roi ?set|rois?)|(?:.*/)?roi ?set[-_ .](.+)", re.IGNORECASE
)  # s_rois.zip, RoiSet_s.zip
_MOST_BYTES = 2**28  # of one ROI: more is not one, whatever it unpacks to
_FAR = 32767  # whole numbers in an ROI have 16 bit


def _position_of(roi: Any) -> Position:
    """Return where in a stack a ROI is."""
    position = Position(roi.position, roi.c_position, roi.z_position, roi.t_position)
    return position if any(position) else Position.of_name(roi.name)


def _pages_in(said: dict[str, Any], count: int) -> list[int]:
    """Return the pages that a file of ours is for, also without a ROI."""
    try:
        pages = int(said.get(PAGES, "0"), 16)
    except (TypeError, ValueError):  # somebody else's
        return []
    return [page for page in range(count) if pages >> page & 1]


class _RoiSet:
    """A zip of ROIs while it grows.

    Attributes
    ----------
    pages : int
        Which pages of a stack it is for, a bit each: there may be no ROI in one.
    """

    def __init__(self, path: Path, positions: StackPositions | None) -> None:
        self.path, self._positions = path, positions
        self.pages = 0
        self._data = io.BytesIO()
        self._archive = zipfile.ZipFile(self._data, "w", zipfile.ZIP_DEFLATED)
        self._counts: dict[str, int] = {}

    def at(self, page: int | None) -> Position:
        """Begin a page and return its position."""
        if page is None or self._positions is None:
            return Position()
        self.pages |= 1 << page
        return self._positions.of_page(page)

    def add(self, called: str, roi: Any) -> None:
        """Add a ROI of a class; it is called by that and a number."""
        count = self._counts[_safe(called)] = self._counts.get(_safe(called), 0) + 1  # no two files of one name
        roi.name = f"{_text(called)}-{count:04d}"
        self._archive.writestr(_safe(roi.name) + ".roi", roi.tobytes())

    def packed(self, rest: str | None) -> bytes:
        """Return the file."""
        said = {REST: rest} | ({PAGES: f"{self.pages:x}"} if self._positions else {})
        self._archive.comment = json.dumps(said).encode()
        self._archive.close()
        return self._data.getvalue()


class ImagejExporter(Exporter):
    """Writes ``NAME_RoiSet.zip`` an image or a stack; a ROI is called by its class and a number.

    In a stack it has the position of its page, so the ROI Manager shows it there. Holes become composite ROIs.
    """

    def __init__(self, dataset: Dataset, out: Path, options: ExportOptions) -> None:
        super().__init__(dataset, out, options)
        self._roifile: Any = require("roifile")
        self._colors = {info.id: bytes((255, *info.rgb)) for info in dataset.classes}
        self._open: _RoiSet | None = None

    def add(self, ref: ImageRef, ids: Ids) -> None:
        """Add one image's ROIs."""
        rois = self._rois_for(ref)
        position = rois.at(ref.page)
        for blob in blobs_of(ids, self.objects + ([UNLABELLED] if self.rest != UNLABELLED else [])):
            roi = self._roi(blob)
            roi.position, roi.c_position, roi.z_position, roi.t_position = position
            roi.stroke_color = self._colors.get(blob.class_id, b"\xff\x80\x80\x80")
            rois.add(self.names.get(blob.class_id, IGNORED), roi)
        if ref.page is None:
            self.end()

    def _rois_for(self, ref: ImageRef) -> _RoiSet:
        path = self.target(ref, ENDING + ".zip", whole=True)
        if self._open is None or self._open.path != path:
            self.check_free(path)
            positions = None
            if ref.page is not None:
                pages = len(self.dataset.expand(ImageRef(ref.rel)))
                positions = StackPositions(self.dataset.image_path(ref), pages)
            self._open = _RoiSet(path, positions)
        return self._open

    def end(self) -> None:
        """Write the ROIs of an image or a stack."""
        rois, self._open = self._open, None
        if rois is not None:
            self.write(rois.path, rois.packed(self.rest_name))

    def _roi(self, blob: Blob) -> Any:
        if not blob.holes:
            far = max(blob.rect.x1, blob.rect.y1) > _FAR
            roi = self._roifile.ImagejRoi.frompoints(blob.outer.astype(np.float32 if far else np.int32))
            roi.roitype = self._roifile.ROI_TYPE.TRACED  # along the borders of pixels, as ImageJ's wand does
            return roi
        roi = self._roifile.ImagejRoi()
        roi.roitype = self._roifile.ROI_TYPE.RECT
        roi.left, roi.top, roi.right, roi.bottom = blob.rect.x, blob.rect.y, blob.rect.x1, blob.rect.y1
        roi.multi_coordinates = np.concatenate([_path(ring) for ring in blob.rings])
        roi.shape_roi_size = len(roi.multi_coordinates)
        return roi


def _path(ring: Ring) -> np.ndarray:
    """Return a ring as ImageJ's path: move to (0), line to (1), close (4)."""
    steps = np.insert(ring, 0, 1, axis=1)
    steps[0, 0] = 0
    return np.append(steps.ravel(), 4).astype(np.float32)


def _text(name: str) -> str:
    """Return a name that ImageJ's 16-bit text can hold."""
    return re.sub(r"[\x00-\x1f\U00010000-\U0010ffff]", "_", name)


def _safe(name: str) -> str:
    """Return a name that can be one of a file in a zip. ImageJ's ROI Manager takes it for that of the ROI."""
    return re.sub(r"[/\\:*?\"<>|]", "_", _text(name))


def _comment(path: Path) -> dict[str, Any]:
    """Return what we have written about all ROIs of a file."""
    if not zipfile.is_zipfile(path):
        return {}
    try:
        with zipfile.ZipFile(path) as archive:
            said = json.loads(archive.comment or b"{}")
    except (ValueError, RecursionError, zipfile.BadZipFile):  # somebody else's, or damaged
        return {}
    return said if isinstance(said, dict) else {}


@contextlib.contextmanager
def _understood(path: Path) -> Iterator[None]:
    """Turn whatever a damaged file sets off into words."""
    try:
        with understood(path, "ROI"):
            yield
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, struct.error, RuntimeError) as error:
        raise LabelError("is not a ROI file that can be understood.", path, details=repr(error)) from error


class ImagejImporter(Importer):
    """Reads ``NAME_RoiSet.zip``, ``NAME.zip`` and ``NAME.roi``. A ROI's class is its name up to the number.

    A file of a page's own name is for that page; in one of a stack's name the position of each ROI says for which.
    """

    def __init__(self, dataset: Dataset, source: Path, options: ImportOptions) -> None:
        super().__init__(dataset, source, options)
        self._roifile: Any = require("roifile")
        self._files = self.match((".zip", ".roi"), (ENDING,), _HABIT)
        self._stack = ""  # whose ROIs are in memory
        self._pages: dict[int, list[Any]] = {}
        self._said: dict[str, Any] = {}
        unnamed = [name for name in self.unmatched if PurePosixPath(name).stem.casefold() == "roiset"]
        if len(dataset.images) == len(unnamed) == 1 and self.takes(dataset.images[0].key, unnamed[0]):
            self.unmatched.remove(unnamed[0])
            self._files[dataset.images[0].key] = source if source.is_file() else source / unnamed[0]

    def has(self, ref: ImageRef) -> bool:
        """Whether there is a file of the image's name, or for a page a ROI in that of its stack."""
        if ref.key in self._files or ref.page is None or ref.rel not in self._files:
            return ref.key in self._files
        self._open_stack(ref)
        return ref.page in self._pages

    def read(self, ref: ImageRef, shape: tuple[int, int]) -> Ids:
        """Paint the image's ROIs, the largest first."""
        own = self._files.get(ref.key)
        path = own or self._files[ref.rel]
        if own is None:
            self._open_stack(ref)
            rois, said = self._pages[ref.page or 0], self._said
        else:
            rois, said = self._rois(own, ref.key), _comment(own)
            self._tell_own(ref, own, rois)
        with understood(path, "ROI"):
            found = [(self._class_of(roi.name), self._piece(roi, shape)) for roi in rois]
        self.heed(said)
        label = self.blank(shape)
        pieces = [(name, piece) for name, piece in found if piece is not None]
        ids = {name: UNLABELLED if name == IGNORED else self.book.id_of(name) for name, _ in pieces}
        for name, (rect, mask) in sorted(pieces, key=lambda one: -int(one[1][1].sum())):
            label[rect.slices][mask] = ids[name]
        return label

    def _rois(self, path: Path, key: str) -> list[Any]:
        """Return the ROIs of a file; what is damaged in a zip is named as failed for the image of this key."""
        with _understood(path):
            return self._in_zip(path, key) if path.suffix.lower() == ".zip" else [self._roifile.roiread(path)]

    def _in_zip(self, path: Path, key: str) -> list[Any]:
        """Return the ROIs in a zip; old ones have no name of their own, but that of their file."""
        rois: list[Any] = []
        broken: list[tuple[str, UserError]] = []
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                called = PurePosixPath(name)
                if called.suffix.lower() != ".roi" or called.name.startswith("."):  # macOS adds files to what it packs
                    continue
                try:
                    with _understood(path / name), archive.open(name) as file:
                        roi = self._roifile.ImagejRoi.frombytes(file.read(_MOST_BYTES))
                        roi.coordinates(multi=True)
                except LabelError as error:
                    broken.append((key, error))
                    continue
                roi.name = roi.name or called.stem
                rois.append(roi)
            if archive.namelist() and not rois:
                raise ValueError("no ROI among its files")
        self.broken += broken
        return rois

    def _open_stack(self, ref: ImageRef) -> None:
        """Find the pages of a stack's ROIs, and name those that are for none."""
        if self._stack == ref.rel:
            return
        path = self._files[ref.rel]
        called = self.names.pop(ref.rel, path.name)  # what is for no page is told here
        count = len(self.dataset.expand(ImageRef(ref.rel)))
        positions = StackPositions(self.dataset.image_path(ref), count)
        pages: dict[int, list[Any]] = {}
        try:
            rois = self._rois(path, ref.rel)
        except LabelError as error:  # pages may have files of their own
            self.broken.append((ref.rel, error))
            rois = []
        for roi in rois:
            position = _position_of(roi)
            meant = positions.pages_of(position)
            if not meant:
                self.unmatched.append(f"{roi.name} in {called} ({position}; {ref.rel} has {count} pages)")
            for page in meant:
                pages.setdefault(page, []).append(roi)
        self._said = _comment(path)
        for page in _pages_in(self._said, count):
            pages.setdefault(page, [])
        self._stack, self._pages = ref.rel, pages

    def _tell_own(self, ref: ImageRef, path: Path, rois: list[Any]) -> None:
        """Say what may not be as it was meant, where all ROIs of a file are for one image."""
        if ref.page is None and len({position for position in map(_position_of, rois) if any(position)}) > 1:
            self.note(f"{path.name} has ROIs for several slices of a stack; {ref.key} is one image and has them all.")
        if ref.page is not None and ref.rel in self._files:
            self._open_stack(ref)
            if ref.page in self._pages:
                self.note(f"{self._files[ref.rel].name} is a second one for {ref.key} and was left out.")

    def _class_of(self, name: str) -> str:
        if self.options.object_class:
            return self.options.object_class
        ours = _OURS.fullmatch(name)
        known = {_safe(info.name).casefold(): info.name for info in reversed(self.dataset.classes)}
        known |= {info.name.casefold(): info.name for info in self.dataset.classes}
        if ours and (ours[1].casefold() in known or _NOT_IMAGEJ.fullmatch(ours[1])):
            return known.get(ours[1].casefold(), ours[1])  # also of a class called 1 or 2024
        numbered = _NUMBERED.fullmatch(name)
        if numbered:
            return numbered[1]
        return name if _NAMED.search(name) else "object"  # ImageJ's own names are numbers: 0012-0034-0056

    def _piece(self, roi: Any, shape: tuple[int, int]) -> Shape | None:
        kinds = self._roifile.ROI_TYPE
        if roi.roitype == kinds.OVAL:
            angle = np.arange(720) * (np.pi / 360)
            middle = np.array([roi.left + roi.right, roi.top + roi.bottom]) / 2
            size = np.array([roi.right - roi.left, roi.bottom - roi.top]) / 2
            return fill([middle + size * np.stack([np.cos(angle), np.sin(angle)], axis=1)], shape)
        writing = roi.subtype in (self._roifile.ROI_SUBTYPE.TEXT, self._roifile.ROI_SUBTYPE.IMAGE)
        if writing or roi.roitype not in (kinds.POLYGON, kinds.FREEHAND, kinds.TRACED, kinds.RECT):
            self.note("Lines, points, text and pictures are no areas and were left out.")
            return None
        return fill(roi.coordinates(multi=True), shape)
