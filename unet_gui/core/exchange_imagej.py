"""ImageJ and Fiji: one zip file of regions of interest (ROI) an image, for the ROI Manager."""

from __future__ import annotations

import io
import json
import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from unet_gui.core.encoding import UNLABELLED
from unet_gui.core.errors import LabelError
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
from unet_gui.core.exchange_rings import Blob, Ring, blobs_of, fill
from unet_gui.core.images import ImageRef
from unet_gui.core.project import Dataset
from unet_gui.core.strokes import Shape

ENDING = "_RoiSet"
IGNORED = "unlabelled"
_NAMED = re.compile(r"[^\W\d]")
_NUMBERED = re.compile(r"(.*[^\W\d].*?)[-_ ]\d+")
_OURS = re.compile(r"(.+)-\d{4,}")
_NOT_IMAGEJ = re.compile(r"\d{1,3}|.*[^-\s\d].*")  # numbers in its own names have four digits or more
_FAR = 32767  # whole numbers in an ROI have 16 bit


class ImagejExporter(Exporter):
    """Writes ``NAME_RoiSet.zip`` an image; a ROI is called by its class and a number. Holes become composite ROIs."""

    def __init__(self, dataset: Dataset, out: Path, options: ExportOptions) -> None:
        super().__init__(dataset, out, options)
        self._roifile: Any = require("roifile")
        self._colors = {info.id: bytes((255, *info.rgb)) for info in dataset.classes}

    def add(self, ref: ImageRef, ids: Ids) -> None:
        """Write one image's ROIs."""
        classes = self.objects + ([UNLABELLED] if self.rest != UNLABELLED else [])
        counts: dict[str, int] = {}
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for blob in blobs_of(ids, classes):
                called = self.names.get(blob.class_id, IGNORED)
                counts[_safe(called)] = counts.get(_safe(called), 0) + 1  # no two files of one name
                name = f"{_text(called)}-{counts[_safe(called)]:04d}"
                roi = self._roi(blob)
                roi.name = name
                roi.position = 0 if ref.page is None else ref.page + 1
                roi.stroke_color = self._colors.get(blob.class_id, b"\xff\x80\x80\x80")
                archive.writestr(_safe(name) + ".roi", roi.tobytes())
            archive.comment = json.dumps({REST: self.rest_name}).encode()
        self.write(self.target(ref, ENDING + ".zip"), buffer.getvalue())

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
    except ValueError:  # somebody else's
        return {}
    return said if isinstance(said, dict) else {}


class ImagejImporter(Importer):
    """Reads ``NAME_RoiSet.zip``, ``NAME.zip`` and ``NAME.roi``. A ROI's class is its name up to the number."""

    def __init__(self, dataset: Dataset, source: Path, options: ImportOptions) -> None:
        super().__init__(dataset, source, options)
        self._roifile: Any = require("roifile")
        self._files = self.match((".zip", ".roi"), (ENDING,))

    def has(self, ref: ImageRef) -> bool:
        """Whether there is a file of the image's name."""
        return ref.key in self._files

    def read(self, ref: ImageRef, shape: tuple[int, int]) -> Ids:
        """Paint the image's ROIs, the largest first."""
        path = self._files[ref.key]
        try:
            with understood(path, "ROI"):
                read = self._roifile.roiread(path)
                rois = read if isinstance(read, list) else [read]
                found = [(self._class_of(roi.name), self._piece(roi, shape)) for roi in rois]
        except (OSError, EOFError, zipfile.BadZipFile, zlib.error, struct.error, RuntimeError) as error:
            raise LabelError("is not a ROI file that can be understood.", path, details=repr(error)) from error
        self.heed(_comment(path))
        label = self.blank(shape)
        pieces = [(name, piece) for name, piece in found if piece is not None]
        ids = {name: UNLABELLED if name == IGNORED else self.book.id_of(name) for name, _ in pieces}
        for name, (rect, mask) in sorted(pieces, key=lambda one: -int(one[1][1].sum())):
            label[rect.slices][mask] = ids[name]
        return label

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
