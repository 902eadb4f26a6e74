"""Masks as pictures: class ids, 0/255, with a palette, in colours with a table, TIFF; and numbered objects."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from unet_gui.core import png
from unet_gui.core.atomic import atomic_path
from unet_gui.core.encoding import BINARY, INDEX, Encoding, Raw
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
from unet_gui.core.exchange_names import NameFinder
from unet_gui.core.exchange_table import TABLE, UNLABELLED_COLOR, Row, read_table, rows_of, to_csv
from unet_gui.core.images import ImageRef
from unet_gui.core.instances import TOUCHING, classes_from_objects, objects_from_classes
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.palette import ClassInfo
from unet_gui.core.project import Dataset
from unet_gui.core.raw_label import read_raw
from unet_gui.core.store import detect_encoding, read_label, write_label
from unet_gui.core.text import utf8

OBJECTS = "objects.csv"
_SUFFIXES = (".png", ".tif", ".tiff", ".bmp")


# ------------------------------------------------------------------ export


class RasterExporter(Exporter):
    """Writes a picture an image and ``classes.csv``: what each pixel value stands for."""

    wholes = (TABLE,)
    unlabelled_color = UNLABELLED_COLOR

    def rows(self) -> list[Row]:
        """Return the table."""
        return rows_of(INDEX, self.dataset.classes, self.unlabelled_color)

    def finish(self) -> None:
        """Write the table."""
        self.write(self.out / TABLE, to_csv(self.rows()))


class MasksExporter(RasterExporter):
    """Writes label files as the folder's own; all pages of a stack in one file."""

    def encoding(self) -> Encoding:
        """Return how the masks are written."""
        return self.dataset.encoding

    def rows(self) -> list[Row]:
        """Return the table of what is in the files."""
        return rows_of(self.encoding(), self.dataset.classes, self.unlabelled_color)

    def path(self, ref: ImageRef) -> Path:
        """Return the file of an image's mask."""
        return self.out / self.dataset.label_path(ref).relative_to(self.dataset.label_root)

    def add(self, ref: ImageRef, ids: Ids) -> None:
        """Write one mask."""
        path = self.path(ref)
        self.check_free(path)
        pages = len(self.dataset.expand(ImageRef(ref.rel))) if ref.page is not None else None
        write_label(path, ids, self.encoding(), page=ref.page, pages=pages, stack=self.stack)


class TiffExporter(MasksExporter):
    """Writes class ids as 8-bit TIFF, 255 for unlabelled; all pages of a stack in one file."""

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
        self.write(self.target(ref, ".png"), png.encode_ids(ids))


class PaletteExporter(RasterExporter):
    """Writes class ids as 8-bit PNG with the classes' colours as palette, so that it can be looked at."""

    def add(self, ref: ImageRef, ids: Ids) -> None:
        """Write one mask."""
        colors: list[tuple[int, int, int]] = [(i, i, i) for i in range(256)]
        colors[UNLABELLED] = (255, 255, 255)  # as `unlabelled_color`
        for info in self.dataset.classes:
            colors[info.id] = info.rgb
        self.write(self.target(ref, ".png"), png.encode_ids(ids, palette=tuple(colors)))


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

    def rows(self) -> list[Row]:
        """Return the table; unlabelled is the largest value."""
        return [row._replace(value=65535) if row.id == UNLABELLED else row for row in super().rows()]

    def add(self, ref: ImageRef, ids: Ids) -> None:
        """Write one mask."""
        values = ids.astype(np.uint16)
        values[ids == UNLABELLED] = 65535
        path = self.target(ref, ".tif")
        self.check_free(path)
        write_tiff(path, values)


class BinaryExporter(RasterExporter):
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
                hint=f"Choose one{options.using('foreground')}: {', '.join(info.name for info in dataset.classes)}.",
            )
        if len(dataset.classes) > 2:
            self.notes.append(f"255 is {self.names[self._class]}; the other classes are 0 and cannot be told apart.")

    def rows(self) -> list[Row]:
        """Return two rows: the class, and what all others are together."""
        shown = next(info for info in self.dataset.classes if info.id == self._class)
        others = [info for info in self.dataset.classes if info.id != self._class]
        rest = others[0] if len(others) == 1 else ClassInfo(0, "other", "#000000")
        return [Row(0, 0, rest.name, rest.color), Row(255, 1, shown.name, shown.color)]

    def add(self, ref: ImageRef, ids: Ids) -> None:
        """Write one mask."""
        self.lose_unlabelled(ids, "they are written as 0")
        self.write(self.target(ref, ".png"), png.encode_ids(np.where(ids == self._class, 255, 0).astype(np.uint8)))


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
        self.write(self.out / OBJECTS, utf8(self._table.getvalue()))


def write_tiff(path: Path, values: np.ndarray) -> None:
    """Write a picture of numbers as deflated TIFF, whole or not at all.

    Parameters
    ----------
    path : Path
    values : numpy.ndarray
        (h, w), kept in its type.

    Raises
    ------
    UserError
        The file cannot be written.
    """
    import tifffile

    with atomic_path(path) as temporary:
        tifffile.imwrite(temporary, values, photometric="minisblack", compression="adobe_deflate", metadata=None)


# ------------------------------------------------------------------ import


class RasterImporter(Importer):
    """Reads masks: pictures whose pixel values or colours are classes.

    A table of classes beside them tells names and colours. Without, values are class ids, or found out from all files.
    """

    kind = "masks"

    def __init__(self, dataset: Dataset, source: Path, options: ImportOptions) -> None:
        super().__init__(dataset, source, options)
        self._files = self.match(_SUFFIXES)
        self._table = read_table(source)
        self._encoding = self._find_encoding()
        if options.unlabelled is not None:
            self._encoding = self._encoding.with_unlabelled(options.unlabelled)
        self._wanted = {info.id: info.name for info in self._table.classes}
        self.book.adopt(self._table.classes)
        if self._table.path is not None:
            self.note(f"Classes are named as in {self._table.path.name}.")

    def _find_encoding(self) -> Encoding:
        if self.kind == "binary":
            return BINARY
        told = bool(self._table.rows)
        if self.kind == "index":
            return self._table.by_value() if told else INDEX
        if self.kind == "color" and told:
            return self._table.by_color()
        if not self._files:
            return INDEX
        try:
            detected = detect_encoding(sorted(self._files.values()))
        except LabelError as error:
            text = f"The masks cannot be understood: they {error.message}"
            raise LabelError(text, self.source, error.hint, error.details) from error
        if told:
            return self._table.by_color() if detected.encoding.color else self._table.by_value()
        if detected.note:
            self.note(detected.note)
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
                table[class_id] = self.book.id_of(self._wanted[class_id])
            elif class_id != UNLABELLED:
                raise LabelError(f"holds class {class_id}, which is not in the table of classes.", path)
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
    """Reads pictures of objects numbered one by one: 0 background, then object and touching border.

    An ``objects.csv`` beside them tells the class of each number; without it all are one class.
    """

    def __init__(self, dataset: Dataset, source: Path, options: ImportOptions) -> None:
        super().__init__(dataset, source, options)
        self._files = self.match(_SUFFIXES)
        self._lost = 0
        self._names = {} if options.object_class else _objects_listed(source, dataset)

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
        named = self._names.get(ref.key, {})
        values, dense = np.unique(numbers, return_inverse=True)
        kinds = [
            named.get(value) or self.options.object_class or "object" if value else "" for value in values.tolist()
        ]
        ids = np.array([self.book.id_of(name) if name else 0 for name in kinds], np.uint8)
        found = classes_from_objects(numbers, self.options.touching)
        if found.vanished:
            self._lost += found.vanished
            text = "objects lie wholly within the touching border and cannot be counted any more."
            self.notes[:] = [note for note in self.notes if text not in note] + [f"{self._lost} {text}"]
        blank[found.objects] = ids[dense.reshape(numbers.shape)][found.objects]
        if self.options.touching:
            blank[found.touching] = self.book.id_of(TOUCHING)
            self.note(f"The class “{TOUCHING}” keeps objects apart that touch: a model learns classes, not objects.")
        return blank


def _objects_listed(source: Path, dataset: Dataset) -> dict[str, dict[int, str]]:
    """Return what ``objects.csv`` says: for each image the class of each number."""
    path = (source if source.is_dir() else source.parent) / OBJECTS
    listed: dict[str, dict[int, str]] = {}
    if path.is_file():
        finder = NameFinder(dataset)
        with understood(path, "list of objects"), open(path, encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file):
                listed.setdefault(finder.key(row["image"]) or "", {})[int(row["number"])] = row["class"]
    return listed
