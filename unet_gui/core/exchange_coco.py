"""COCO: one JSON file for the folder, an annotation a blob, as polygons or as run lengths (RLE)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from unet_gui.core.errors import LabelError
from unet_gui.core.exchange_base import (
    REST,
    Exporter,
    ExportOptions,
    Ids,
    Importer,
    ImportOptions,
    paint,
    read_json,
    require,
    understood,
)
from unet_gui.core.exchange_names import NameFinder
from unet_gui.core.exchange_rings import Blob, blobs_of, joined, signed_area
from unet_gui.core.geometry import Rect
from unet_gui.core.images import ImageRef
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.project import Dataset
from unet_gui.core.strokes import NOTHING, Shape

NAME = "instances.json"
IGNORED = "unlabelled"
"""Our own entry of an image: the run lengths of its unlabelled pixels. Other programs leave it alone."""


class CocoExporter(Exporter):
    """Writes ``instances.json``. A category's id is the class's, plus one where class 0 is an object."""

    wholes = (NAME,)
    at_end = True

    def __init__(self, dataset: Dataset, out: Path, options: ExportOptions) -> None:
        super().__init__(dataset, out, options)
        if options.segmentation != "polygon":
            require("pycocotools")
        self._plus = 1 if 0 in self.objects else 0
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []

    def add(self, ref: ImageRef, ids: Ids) -> None:
        """Collect one image's blobs."""
        image: dict[str, Any] = {
            "id": len(self._images) + 1,
            "file_name": ref.rel if ref.page is None else ref.key,
            "height": ids.shape[0],
            "width": ids.shape[1],
        }
        if self.rest != UNLABELLED and (ids == UNLABELLED).any():
            if self.options.segmentation == "polygon":
                keep = f"to keep them, choose run lengths{self.options.using('segmentation')}"
                self.lose_unlabelled(ids, f"they are read as background; {keep}")
            else:
                image[IGNORED] = run_lengths(ids == UNLABELLED)
        for blob in blobs_of(ids, self.objects):
            r = blob.rect
            self._annotations.append(
                {
                    "id": len(self._annotations) + 1,
                    "image_id": image["id"],
                    "category_id": blob.class_id + self._plus,
                    "segmentation": self._segmentation(blob, (ids.shape[0], ids.shape[1])),
                    "area": blob.area,
                    "bbox": [r.x, r.y, r.w, r.h],
                    "iscrowd": 0,
                }
            )
        self._images.append(image)

    def _segmentation(self, blob: Blob, shape: tuple[int, int]) -> Any:
        ring = joined(blob.outer, blob.holes).astype(int).ravel().tolist()
        kind = self.options.segmentation
        if kind == "polygon" or (kind == "auto" and not blob.holes):
            return [ring]
        # from the outline, so that memory does not hold the whole image for each blob
        return _text(require("pycocotools.mask").frPyObjects([ring], *shape)[0])

    def finish(self) -> None:
        """Write the file."""
        categories = [
            {"id": info.id + self._plus, "name": info.name, "supercategory": ""}
            for info in self.dataset.classes
            if info.id in self.objects
        ]
        self.write_json(
            self.out / NAME,
            {
                "info": {"description": self.dataset.root.name, REST: self.rest_name},
                "licenses": [],
                "images": self._images,
                "categories": categories,
                "annotations": self._annotations,
            },
        )


def run_lengths(mask: np.ndarray) -> dict[str, Any]:
    """Return a mask as COCO's compressed run lengths, fit for JSON."""
    return _text(require("pycocotools.mask").encode(np.asfortranarray(mask, np.uint8)))


def _text(rle: dict[str, Any]) -> dict[str, Any]:
    return {"size": [int(v) for v in rle["size"]], "counts": rle["counts"].decode("ascii")}


class CocoImporter(Importer):
    """Reads one JSON file; an annotation that covers less comes over one that covers more."""

    def __init__(self, dataset: Dataset, source: Path, options: ImportOptions) -> None:
        super().__init__(dataset, source, options)
        self._path = self._file()
        data = read_json(self._path)
        finder = NameFinder(dataset)
        self._images: dict[str, dict[str, Any]] = {}
        self._annotations: dict[Any, list[dict[str, Any]]] = {}
        with understood(self._path, "COCO"):
            self.heed(data.get("info") or {})
            self._names = {one["id"]: str(one["name"]) for one in data["categories"]}
            for name in self._names.values():
                self.book.id_of(name)
            for image in data["images"]:
                name = str(image["file_name"])
                key = finder.key(name)
                if key is None:
                    self.unmatched.append(name)
                elif self.takes(key, name):
                    self._images[key] = image
            for one in data["annotations"]:
                self._annotations.setdefault(one["image_id"], []).append(one)

    def _file(self) -> Path:
        files = [path for path, _ in self.files((".json",))]
        if len(files) == 1:
            return files[0]
        named = [path for path in files if path.name == NAME]
        if len(named) != 1:
            many = f"holds {len(files)} JSON files." if files else "holds no JSON file."
            raise LabelError(many, self.source, "Name the one to import." if files else "Is another format meant?")
        return named[0]

    def has(self, ref: ImageRef) -> bool:
        """Whether the file lists the image."""
        return ref.key in self._images

    def read(self, ref: ImageRef, shape: tuple[int, int]) -> Ids:
        """Paint the image's annotations."""
        image = self._images[ref.key]
        with understood(self._path, "COCO"):
            self.check_shape(int(image["height"]), int(image["width"]), shape, self._path)
            found = self._annotations.get(image["id"], [])
            order = sorted(found, key=_area, reverse=True)
            ids = {one["category_id"]: self.book.id_of(self._names[one["category_id"]]) for one in order}
            label = self.blank(shape)
            for one in order:
                self._paint(label, one["segmentation"], ids[one["category_id"]])
            if IGNORED in image:
                self._paint(label, image[IGNORED], UNLABELLED)
        return label

    def _paint(self, label: Ids, segmentation: Any, class_id: int) -> None:
        if isinstance(segmentation, dict):
            height, width = (int(v) for v in segmentation["size"])
            self.check_shape(height, width, (label.shape[0], label.shape[1]), self._path)
            rect, mask = from_run_lengths(segmentation["counts"], (height, width))
            label[rect.slices][mask] = class_id
            return
        if not segmentation:
            self.note("Annotations with a box only, without outline, were left out.")
        for ring in segmentation:  # parts of one object: added, not taken from each other
            paint(label, [np.asarray(ring, np.float64).reshape(-1, 2)], class_id)


def from_run_lengths(counts: str | list[int], shape: tuple[int, int]) -> Shape:
    """Return the pixels that COCO's run lengths mean, compressed (text) or not.

    pycocotools trusts what it reads: a damaged text makes it write beyond its memory. So they are read here.

    Raises
    ------
    ValueError, TypeError
        They are none, or are for an image of another size.
    """
    runs = np.array(_unpacked(counts) if isinstance(counts, str) else counts, np.int64).reshape(-1)
    if (runs < 0).any() or (runs > shape[0] * shape[1]).any() or int(runs.sum()) != shape[0] * shape[1]:
        raise ValueError("run lengths do not add up to the size of the image")
    ends = np.cumsum(runs)  # column by column, by turns outside and inside
    starts, ends = (ends - runs)[1::2], ends[1::2]
    starts, ends = starts[ends > starts], ends[ends > starts]
    if not len(starts):
        return NOTHING
    height = shape[0]
    first, last = int(starts[0]) // height, (int(ends[-1]) - 1) // height + 1
    steps = np.zeros((last - first) * height + 1, np.int8)
    np.add.at(steps, starts - first * height, 1)
    np.add.at(steps, ends - first * height, -1)
    inside = np.cumsum(steps[:-1], dtype=np.int8).view(bool)
    return Rect(first, 0, last - first, height), inside.reshape(last - first, height).T


def _unpacked(text: str) -> list[int]:
    """Return the numbers in a compressed text: five bits a letter; from the fourth on, added to the last but one."""
    runs: list[int] = []
    value = shift = 0
    for letter in text.encode("ascii"):
        bits = letter - 48
        if not 0 <= bits < 64 or shift > 60:
            raise ValueError("no run lengths")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("run lengths end in the middle")
    return runs


def _area(one: dict[str, Any]) -> float:
    if "area" in one:
        return float(one["area"])
    segmentation = one["segmentation"]
    if isinstance(segmentation, dict):
        return 0.0
    return sum(abs(signed_area(np.asarray(ring, np.float64).reshape(-1, 2))) for ring in segmentation)
