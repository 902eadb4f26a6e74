"""Masks as pictures: class ids, 0/255, with a palette, in colours with a table, TIFF; and numbered objects."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np

from unet_gui.core import png
from unet_gui.core.atomic import atomic_path
from unet_gui.core.encoding import BINARY, INDEX, UNLABELLED, Encoding, Raw
from unet_gui.core.errors import LabelError, UserError
from unet_gui.core.exchange_base import (
    Exporter,
    ExportOptions,
    Ids,
    Importer,
    ImportOptions,
    class_named,
    understood,
)
from unet_gui.core.images import ImageRef
from unet_gui.core.instances import TOUCHING, classes_from_objects, objects_from_classes
from unet_gui.core.palette import ClassInfo
from unet_gui.core.project import Dataset
from unet_gui.core.raw_label import read_raw
from unet_gui.core.store import detect_encoding, read_label, write_label

TABLE = "classes.csv"
OBJECTS = "objects.csv"
_SUFFIXES = (".png", ".tif", ".tiff", ".bmp")
UNLABELLED_NAME = "unlabelled"


# ------------------------------------------------------------------ the table of classes


class Row(NamedTuple):
    """One line of ``classes.csv``: pixel value, id (255 for unlabelled), name, colour ``#rrggbb``."""

    value: int
    id: int
    name: str
    color: str


def read_table(folder: Path) -> list[Row]:
    """Return the table of classes in a folder, [] when there is none."""
    path = folder / TABLE
    if not path.is_file():
        return []
    with understood(path, "class table"), open(path, encoding="utf-8-sig", newline="") as file:
        rows = [
            Row(int(row["value"]), int(row["id"]), row["name"].strip(), row["color"].strip())
            for row in csv.DictReader(file)
        ]
        for row in rows:
            if row.id != UNLABELLED:
                ClassInfo(row.id, row.name, row.color)  # raises ValueError for what is none
    return rows


def _rgb(color: str) -> tuple[int, int, int]:
    value = int(color[1:], 16)
    return value >> 16, value >> 8 & 255, value & 255


# ------------------------------------------------------------------ export


class RasterExporter(Exporter):
    """Writes a picture an image and ``classes.csv``: what each pixel value stands for."""

    wholes = (TABLE,)
    unlabelled_color = "#ffffff"

    def value_of(self, class_id: int) -> int:
        """Return the pixel value that stands for an id."""
        return class_id

    def finish(self) -> None:
        """Write the table."""
        buffer = io.StringIO()
        table = csv.writer(buffer, lineterminator="\n")
        table.writerow(Row._fields)
        for info in self.dataset.classes:
            table.writerow(Row(self.value_of(info.id), info.id, info.name, info.color))
        table.writerow(Row(self.value_of(UNLABELLED), UNLABELLED, UNLABELLED_NAME, self.unlabelled_color))
        self.write(self.out / TABLE, buffer.getvalue().encode("utf-8"))


class MasksExporter(Exporter):
    """Writes label files as the folder's own; all pages of a stack in one file."""

    def __init__(self, dataset: Dataset, out: Path, options: ExportOptions) -> None:
        super().__init__(dataset, out, options)
        self._begun: set[Path] = set()

    def encoding(self) -> Encoding:
        """Return how the masks are written."""
        return self.dataset.encoding

    def path(self, ref: ImageRef) -> Path:
        """Return the file of an image's mask."""
        return self.out / self.dataset.label_path(ref).relative_to(self.dataset.label_root)

    def add(self, ref: ImageRef, ids: Ids) -> None:
        """Write one mask."""
        path = self.path(ref)
        if path not in self._begun:
            self.check_free(path)
            path.unlink(missing_ok=True)  # a stack is written page by page: not into an old one
            self._begun.add(path)
        pages = len(self.dataset.expand(ImageRef(ref.rel))) if ref.page is not None else None
        write_label(path, ids, self.encoding(), page=ref.page, pages=pages)


class TiffExporter(MasksExporter, RasterExporter):
    """Writes class ids as 8-bit TIFF, 255 for unlabelled; all pages of a stack in one file."""

    wholes = (TABLE,)

    def encoding(self) -> Encoding:
        """Return class ids, whatever the folder's labels are."""
        return INDEX

    def path(self, ref: ImageRef) -> Path:
        """Return a TIFF's name."""
        return super().path(ref).with_suffix(".tif")


class IndexExporter(RasterExporter):
    """Writes class ids as grey 8-bit PNG, 255 for unlabelled."""

    def add(self, ref: ImageRef, ids: Ids) -> None:
        """Write one mask."""
        self.write(self.target(ref, ".png"), png.encode(ids))


class PaletteExporter(RasterExporter):
    """Writes class ids as 8-bit PNG with the classes' colours as palette, so that it can be looked at."""

    def add(self, ref: ImageRef, ids: Ids) -> None:
        """Write one mask."""
        colors: list[tuple[int, int, int]] = [(i, i, i) for i in range(256)]
        colors[UNLABELLED] = _rgb(self.unlabelled_color)
        for info in self.dataset.classes:
            colors[info.id] = info.rgb
        self.write(self.target(ref, ".png"), png.encode(ids, palette=tuple(colors)))


class ColorExporter(RasterExporter):
    """Writes the classes' colours as RGB PNG; ``classes.csv`` tells which is which."""

    def __init__(self, dataset: Dataset, out: Path, options: ExportOptions) -> None:
        super().__init__(dataset, out, options)
        colors = {info.rgb for info in dataset.classes}
        if len(colors) < len(dataset.classes):
            raise LabelError("Two classes have one colour.", hint="Give each class a colour of its own first.")
        free = next(v for v in range(256) if (v, v, v) not in colors)
        self.unlabelled_color = f"#{free:02x}{free:02x}{free:02x}"
        pairs: list[tuple[Raw, int]] = [(info.rgb, info.id) for info in dataset.classes]
        self._encoding = Encoding("map", (*pairs, ((free, free, free), UNLABELLED)))

    def add(self, ref: ImageRef, ids: Ids) -> None:
        """Write one mask."""
        self.write(self.target(ref, ".png"), png.encode(self._encoding.encode(ids)))


class Tiff16Exporter(RasterExporter):
    """Writes class ids as 16-bit TIFF, 65535 for unlabelled; a page of a stack is a file."""

    def value_of(self, class_id: int) -> int:
        """Return the id; unlabelled is the largest value."""
        return 65535 if class_id == UNLABELLED else class_id

    def add(self, ref: ImageRef, ids: Ids) -> None:
        """Write one mask."""
        values = ids.astype(np.uint16)
        values[ids == UNLABELLED] = 65535
        path = self.target(ref, ".tif")
        self.check_free(path)
        write_tiff(path, values)


class BinaryExporter(Exporter):
    """Writes one class as 255 and everything else as 0."""

    def __init__(self, dataset: Dataset, out: Path, options: ExportOptions) -> None:
        super().__init__(dataset, out, options)
        others = [info for info in dataset.classes if info.id != 0]
        if options.foreground:
            self._class = class_named(dataset.classes, options.foreground)
        elif len(others) == 1:
            self._class = others[0].id
        else:
            raise UserError(
                "A binary mask shows one class, and there are several.",
                hint="Name one with --class: " + ", ".join(info.name for info in dataset.classes) + ".",
            )
        if len(dataset.classes) > 2:
            self.notes.append(f"255 is {self.names[self._class]}; the other classes are 0 and cannot be told apart.")

    def add(self, ref: ImageRef, ids: Ids) -> None:
        """Write one mask."""
        self.lose_unlabelled(ids, "they are written as 0")
        self.write(self.target(ref, ".png"), png.encode(np.where(ids == self._class, 255, 0).astype(np.uint8)))


class InstancesExporter(Exporter):
    """Writes 16-bit PNG with objects numbered from 1, 0 elsewhere, and ``objects.csv``: the class of each number."""

    wholes = (OBJECTS,)

    def __init__(self, dataset: Dataset, out: Path, options: ExportOptions) -> None:
        super().__init__(dataset, out, options)
        self._table = io.StringIO()
        self._rows = csv.writer(self._table, lineterminator="\n")
        self._rows.writerow(["image", "number", "class"])

    def add(self, ref: ImageRef, ids: Ids) -> None:
        """Write one picture of numbers."""
        self.lose_unlabelled(ids, "they are written as 0")
        numbers, classes = objects_from_classes(ids, self.dataset.classes, self.rest)
        if len(classes) > 65535:
            raise LabelError(f"has {len(classes)} objects, more than 16 bit can number.", self.dataset.image_path(ref))
        self.write(self.target(ref, ".png"), png.encode(numbers.astype(np.uint16)))
        self._rows.writerows((ref.key, n, self.names[class_id]) for n, class_id in enumerate(classes, 1))

    def finish(self) -> None:
        """Write the table."""
        self.write(self.out / OBJECTS, self._table.getvalue().encode("utf-8"))


def write_tiff(path: Path, values: np.ndarray) -> None:
    """Write a picture of numbers as deflated TIFF, whole or not at all."""
    import tifffile

    with atomic_path(path) as temporary:
        tifffile.imwrite(temporary, values, photometric="minisblack", compression="adobe_deflate", metadata=None)


# ------------------------------------------------------------------ import


class RasterImporter(Importer):
    """Reads masks: pictures whose pixel values or colours are classes.

    A ``classes.csv`` beside them tells names and colours. Without, values are class ids, or found out from all files.
    """

    kind = "masks"

    def __init__(self, dataset: Dataset, source: Path, options: ImportOptions) -> None:
        super().__init__(dataset, source, options)
        self._files = self.match(_SUFFIXES)
        self._rows = read_table(source if source.is_dir() else source.parent)
        self._encoding = self._find_encoding()
        if options.unlabelled is not None:
            self._encoding = self._encoding.with_unlabelled(options.unlabelled)
        self._wanted = {row.id: row for row in self._rows if row.id != UNLABELLED}
        self.book.adopt([ClassInfo(row.id, row.name, row.color) for row in self._wanted.values()])

    def _find_encoding(self) -> Encoding:
        if self.kind == "index":
            wide = any(row.value != row.id for row in self._rows)
            return Encoding("map", tuple((row.value, row.id) for row in self._rows)) if wide else INDEX
        if self.kind == "color" and self._rows:
            return Encoding("map", tuple((_rgb(row.color), row.id) for row in self._rows))
        if self.kind == "binary":
            return BINARY
        if not self._files:
            return INDEX
        detected = detect_encoding(sorted(self._files.values()))
        if detected.note:
            self.note(detected.note)
        if detected.encoding.color and self._rows:
            return Encoding("map", tuple((_rgb(row.color), row.id) for row in self._rows))
        return detected.encoding

    def has(self, ref: ImageRef) -> bool:
        """Whether there is a mask of the image's name, for a page also in a stack of the file's name."""
        return ref.key in self._files or ref.rel in self._files

    def read(self, ref: ImageRef, shape: tuple[int, int]) -> Ids:
        """Return the mask as class ids of this folder."""
        own = ref.key in self._files
        path = self._files[ref.key if own else ref.rel]
        page = 0 if own or ref.page is None else ref.page
        encoding = self._encoding
        if self.kind == "binary" and read_raw(path, page).pixels.max(initial=0) <= 1:
            encoding = INDEX  # 0 and 1 instead of 0 and 255
        ids: Ids = read_label(path, encoding, shape=shape, page=page)
        if not self._wanted:
            self.book.know(ids)
            return ids
        table = np.arange(256, dtype=np.uint8)
        for class_id in np.unique(ids).tolist():
            if class_id in self._wanted:
                table[class_id] = self.book.id_of(self._wanted[class_id].name)
            elif class_id != UNLABELLED:
                raise LabelError(f"holds {class_id}, which is not in {TABLE}.", path)
        return table[ids]


class IndexImporter(RasterImporter):
    """Reads masks whose pixel values are class ids, also with a palette and in TIFF; 255 is unlabelled."""

    kind = "index"


class BinaryImporter(RasterImporter):
    """Reads masks of 0 and 255 (or 0 and 1): class 0 and class 1."""

    kind = "binary"


class ColorImporter(RasterImporter):
    """Reads colour-coded masks, by ``classes.csv`` or else one class for each colour."""

    kind = "color"


class InstancesImporter(Importer):
    """Reads pictures of objects numbered one by one: 0 background, then object and touching border."""

    def __init__(self, dataset: Dataset, source: Path, options: ImportOptions) -> None:
        super().__init__(dataset, source, options)
        self._files = self.match(_SUFFIXES)
        self._lost = 0

    def has(self, ref: ImageRef) -> bool:
        """Whether there is a picture of the image's name."""
        return ref.key in self._files

    def read(self, ref: ImageRef, shape: tuple[int, int]) -> Ids:
        """Return background, object and touching border as class ids."""
        path = self._files[ref.key]
        numbers = read_raw(path).pixels
        if numbers.ndim != 2 or numbers.dtype.kind not in "iu":
            raise LabelError("is no picture of numbers.", path, "Objects must be numbered, not coloured.")
        self.check_shape(numbers.shape[0], numbers.shape[1], shape, path)
        blank = self.blank(shape)
        object_id = self.book.id_of(self.options.object_class or "object")
        touching = self.book.id_of(TOUCHING) if self.options.touching else object_id
        found = classes_from_objects(numbers, self.options.touching)
        if found.vanished:
            self._lost += found.vanished
            text = "objects lie wholly within the touching border and cannot be counted any more."
            self.notes[:] = [note for note in self.notes if text not in note] + [f"{self._lost} {text}"]
        blank[found.objects] = object_id
        blank[found.touching] = touching
        return blank
