"""Labelme: one JSON file an image, with polygons.

A blob is a group (``group_id``) of polygons: its outline, then its holes, all with its class as label. Labelme itself
knows no holes and paints one shape over the other. Therefore what encloses something comes before it, what is in
a hole is always written, background as ``_background_`` and unlabelled pixels as ``__ignore__`` (labelme's own words
for both), and lines on the right and below are drawn in by a hair: so labelme's rendering gives the same pixels, too.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet_gui.core.encoding import present
from unet_gui.core.errors import ImageError, LabelError
from unet_gui.core.exchange_base import (
    REST,
    Exporter,
    Ids,
    Importer,
    ImportOptions,
    read_json,
    understood,
)
from unet_gui.core.exchange_rings import Blob, Ring, blobs_of, fill, inset
from unet_gui.core.geometry import EMPTY, Rect
from unet_gui.core.images import ImageRef, decode
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.project import Dataset
from unet_gui.core.strokes import Shape

VERSION = "6.3.1"
"""Of labelme, whose files these are like."""
BACKGROUND, IGNORE = "_background_", "__ignore__"
NAMES = "labels.txt"
_CIRCLE = 360  # corners


class LabelmeExporter(Exporter):
    """Writes ``NAME.json`` an image, and ``labels.txt`` for ``labelme --labels``."""

    wholes = (NAMES,)

    def add(self, ref: ImageRef, ids: Ids) -> None:
        """Write one image's polygons."""
        path = self.target(ref, ".json")
        drawn = self._drawn(list(blobs_of(ids, present(ids).tolist())))
        height, width = ids.shape
        self.write_json(
            path,
            {
                "version": VERSION,
                "flags": {},
                "shapes": [shape for n, blob in enumerate(drawn, 1) for shape in self._shapes(blob, n)],
                "imagePath": _relative(self.dataset.image_path(ref), path.parent),
                "imageData": None,
                "imageHeight": height,
                "imageWidth": width,
                REST: self.rest_name,
            },
        )

    def _drawn(self, blobs: list[Blob]) -> list[Blob]:
        """Return the blobs to write, the outermost first."""
        unsaid = {self.rest, UNLABELLED} if self.rest == UNLABELLED else {self.rest}
        boxes = [_box(hole) for blob in blobs if blob.class_id not in unsaid for hole in blob.holes]
        kept = [blob for blob in blobs if blob.class_id not in unsaid or _in_any(blob, boxes)]
        return sorted(kept, key=lambda blob: -blob.span)

    def _shapes(self, blob: Blob, number: int) -> list[dict[str, Any]]:
        if blob.class_id == UNLABELLED:
            name = IGNORE
        else:
            name = BACKGROUND if blob.class_id == self.rest else self.names[blob.class_id]
        return [
            {
                "label": name,
                "points": np.round(inset(ring), 2).tolist(),
                "group_id": number,
                "description": "",
                "shape_type": "polygon",
                "flags": {},
                "mask": None,
            }
            for ring in blob.rings
        ]

    def finish(self) -> None:
        """Write the names, in labelme's order: what to ignore, background, the rest."""
        names = [IGNORE, BACKGROUND, *(self.names[i] for i in self.objects)]
        self.write(self.out / NAMES, ("\n".join(names) + "\n").encode())


def _box(ring: Ring) -> tuple[float, float, float, float]:
    (x0, y0), (x1, y1) = ring.min(axis=0), ring.max(axis=0)
    return float(x0), float(y0), float(x1), float(y1)


def _in_any(blob: Blob, boxes: list[tuple[float, float, float, float]]) -> bool:
    r = blob.rect
    return any(x0 <= r.x and y0 <= r.y and r.x1 <= x1 and r.y1 <= y1 for x0, y0, x1, y1 in boxes)


def _relative(path: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # on another drive of Windows
        return str(path)


class LabelmeImporter(Importer):
    """Reads ``NAME.json`` files: polygons (with holes by groups), rectangles, circles and masks."""

    def __init__(self, dataset: Dataset, source: Path, options: ImportOptions) -> None:
        super().__init__(dataset, source, options)
        self._files = self.match((".json",))
        with contextlib.suppress(LabelError, AttributeError, TypeError):  # a bad file is told when its turn has come
            self.heed(read_json(next(iter(self._files.values()), source / NAMES)))  # before names become classes
        for name in _listed(source / NAMES):
            self.book.id_of(name)

    def has(self, ref: ImageRef) -> bool:
        """Whether there is a file of the image's name."""
        return ref.key in self._files

    def read(self, ref: ImageRef, shape: tuple[int, int]) -> Ids:
        """Paint the shapes one over the other, as labelme does."""
        path = self._files[ref.key]
        data = read_json(path)
        with understood(path, "labelme"):
            height, width = data.get("imageHeight"), data.get("imageWidth")
            if height and width:
                self.check_shape(int(height), int(width), shape, path)
            self.heed(data)
            shapes = [(str(one["label"]), one.get("group_id"), one) for one in data["shapes"]]
            ids = {name: self._id_of(name) for name, _, _ in shapes}
            label = self.blank(shape)
            groups: dict[tuple[str, Any], list[Shape]] = {}
            for number, (name, group, one) in enumerate(shapes):
                piece = self._piece(one, shape, path)
                if piece is not None:
                    groups.setdefault((name, ("group", group) if group is not None else number), []).append(piece)
        for (name, _), pieces in groups.items():
            rect, mask = _combined(pieces)
            label[rect.slices][mask] = ids[name]
        return label

    def _id_of(self, name: str) -> int:
        if name == IGNORE:
            return UNLABELLED
        return self.rest if name == BACKGROUND and self.rest != UNLABELLED else self.book.id_of(name)

    def _piece(self, one: dict[str, Any], shape: tuple[int, int], path: Path) -> Shape | None:
        """Return the pixels of one shape, None for lines and points."""
        kind, points = one.get("shape_type") or "polygon", np.asarray(one["points"], np.float64).reshape(-1, 2)
        if kind == "mask":
            return _pasted(one["mask"], points, shape, path)
        if kind == "rectangle":
            (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
            points = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
        elif kind == "circle":
            angle = np.arange(_CIRCLE) * (2 * math.pi / _CIRCLE)
            radius = math.dist(points[0], points[1])
            points = points[0] + radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        elif kind not in ("polygon", "oriented_rectangle"):
            self.note("Lines and points have no area and were left out.")
            return None
        return fill([points], shape)


def _listed(path: Path) -> list[str]:
    """Return the classes that a ``labels.txt`` names, without labelme's own two words."""
    if not path.is_file():
        return []
    with understood(path, "list of labels"):
        names = map(str.strip, path.read_text("utf-8-sig").splitlines())
        return [name for name in names if name and name not in (BACKGROUND, IGNORE)]


def _combined(pieces: list[Shape]) -> Shape:
    """Return the pixels of a group: parts are added, and what lies inside another is a hole."""
    if len(pieces) == 1:
        return pieces[0]
    rect = EMPTY
    for one, _ in pieces:
        rect = rect.union(one)
    whole = np.zeros((rect.h, rect.w), bool)
    for one, mask in sorted(pieces, key=lambda piece: -int(piece[1].sum())):
        part = whole[one.shift(-rect.x, -rect.y).slices]
        if part[mask].all():
            part &= ~mask
        else:
            part |= mask
    return rect, whole


def _pasted(data: str, points: NDArray[np.float64], shape: tuple[int, int], path: Path) -> Shape:
    """Return a mask shape: a small PNG at its top left corner."""
    try:
        small = decode(base64.b64decode(data, validate=True), path)
    except (binascii.Error, ImageError) as error:
        raise LabelError("holds a mask that cannot be decoded.", path, details=repr(error)) from error
    small = small if small.ndim == 2 else small[..., 0]
    x, y = (int(v) for v in points.min(axis=0))
    if x < 0 or y < 0 or y + small.shape[0] > shape[0] or x + small.shape[1] > shape[1]:
        raise LabelError("holds a mask that reaches out of the image.", path)
    return Rect(x, y, small.shape[1], small.shape[0]), small > 0
