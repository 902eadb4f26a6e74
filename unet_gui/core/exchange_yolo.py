"""YOLO segmentation: a text file an image, a line a blob: class number, then corners as fractions of the size."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unet_gui.core.atomic import atomic_path
from unet_gui.core.errors import LabelError
from unet_gui.core.exchange_base import (
    REST,
    Exporter,
    ExportOptions,
    Ids,
    Importer,
    ImportOptions,
    paint,
    understood,
)
from unet_gui.core.exchange_rings import blobs_of, joined, signed_area
from unet_gui.core.images import ImageRef
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.project import Dataset

TABLE = "data.yaml"


class YoloExporter(Exporter):
    """Writes ``labels/NAME.txt`` an image and ``data.yaml``. Classes are numbered from 0, holes are bridged."""

    wholes = (TABLE,)

    def __init__(self, dataset: Dataset, out: Path, options: ExportOptions) -> None:
        super().__init__(dataset, out, options)
        self._number = {class_id: n for n, class_id in enumerate(self.objects)}

    def add(self, ref: ImageRef, ids: Ids) -> None:
        """Write one image's lines, the largest blob first."""
        if self.rest != UNLABELLED:
            self.lose_unlabelled(ids, "other programs take them for background")
        size = (ids.shape[1], ids.shape[0])
        digits = len(str(max(size))) + 3  # a thousandth of a pixel
        lines = []
        for blob in sorted(blobs_of(ids, self.objects), key=lambda one: -one.span):
            corners = (joined(blob.outer, blob.holes) / size).ravel()
            numbers = f" %.{digits}f" * len(corners) % tuple(corners.tolist())
            lines.append(f"{self._number[blob.class_id]}{numbers}")
        path = self.target(ref, ".txt", "labels")
        self.write(path, "".join(line + "\n" for line in lines).encode())
        if self.options.copy_images:
            self._copy(ref, self.target(ref, Path(ref.rel).suffix, "images"))

    def _copy(self, ref: ImageRef, copy: Path) -> None:
        """Copy an image; of a stack its page alone, as other programs read the first one only."""
        self.check_free(copy)
        with atomic_path(copy) as temporary:
            if ref.page is None:
                shutil.copyfile(self.dataset.image_path(ref), temporary)
                return
            import tifffile

            with self.dataset.open_image(ref) as source:
                pixels = source.read()
            kind = "rgb" if pixels.ndim == 3 and pixels.shape[2] in (3, 4) else "minisblack"
            order = "contig" if pixels.ndim == 3 else None  # two channels would be taken for pages of that width
            tifffile.imwrite(
                temporary, pixels, photometric=kind, planarconfig=order, compression="adobe_deflate", metadata=None
            )

    def finish(self) -> None:
        """Write the names of the classes, and where images and labels are."""
        names = "".join(f"  {n}: {json.dumps(self.names[i], ensure_ascii=False)}\n" for i, n in self._number.items())
        places = "train: images\nval: images\n"
        rest = f"{REST}: {json.dumps(self.rest_name, ensure_ascii=False)}\n"
        note = "# Nothing was set apart for validation: name a folder or list of your own.\n"
        text = f"{note}{places}{rest}names:\n{names}"
        self.write(self.out / TABLE, text.encode())
        if not self.options.copy_images:
            copy = f"have them copied there{self.options.using('copy_images')}"
            self.notes.append(f"To train on it, put the images into {self.out / 'images'}, or {copy}.")


class YoloImporter(Importer):
    """Reads ``NAME.txt`` files; names come from ``data.yaml`` or ``classes.txt`` in the source or beside it."""

    def __init__(self, dataset: Dataset, source: Path, options: ImportOptions) -> None:
        super().__init__(dataset, source, options)
        self._files = {key: path for key, path in self.match((".txt",)).items() if path.name != "classes.txt"}
        self.unmatched = [name for name in self.unmatched if Path(name).name != "classes.txt"]
        self._names, table = _names(source)
        if self._names and table is not None:
            self.heed(_told_rest(table))
        for name in self._names.values():
            self.book.id_of(name)
        if not self._names:
            why = "There is no data.yaml and no classes.txt" if table is None else f"{table} cannot be understood"
            self.note(f"{why}: classes are called class 0, class 1 …")

    def has(self, ref: ImageRef) -> bool:
        """Whether there is a file of the image's name."""
        return ref.key in self._files

    def read(self, ref: ImageRef, shape: tuple[int, int]) -> Ids:
        """Paint the image's lines, the largest first."""
        path = self._files[ref.key]
        objects: list[tuple[int, NDArray[np.float64]]] = []
        with understood(path, "YOLO"):
            for line in path.read_text("utf-8").splitlines():
                words = line.split()
                if words:
                    objects.append((int(words[0]), self._corners(words[1:], shape, path)))
        objects.sort(key=lambda one: -abs(signed_area(one[1])))
        ids = {number: self.book.id_of(self._names.get(number, f"class {number}")) for number, _ in objects}
        label = self.blank(shape)
        for number, corners in objects:
            paint(label, [corners], ids[number])
        return label

    def _corners(self, words: list[str], shape: tuple[int, int], path: Path) -> NDArray[np.float64]:
        if len(words) == 4:
            raise LabelError("holds boxes, not outlines.", path, "Export them for segmentation.")
        if len(words) < 6 or len(words) % 2:
            raise ValueError(f"{len(words)} coordinates")
        corners = np.array(words, np.float64).reshape(-1, 2) * (shape[1], shape[0])
        if not np.isfinite(corners).all():
            raise ValueError("a coordinate is no number")
        # six decimals are usual: a corner so near to the border of a pixel was meant to be on it
        whole = np.round(corners)
        return np.where(np.abs(corners - whole) < 0.02, whole, corners)


def _names(source: Path) -> tuple[dict[int, str], Path | None]:
    """Return the names of the classes and the file with them; without names that which should have some, if any."""
    useless = None
    for folder in dict.fromkeys([source, *source.parents[:2]]):
        for name in (TABLE, "data.yml", "dataset.yaml", "classes.txt"):
            path = folder / name
            if path.is_file():
                with understood(path, "YOLO"):
                    text = path.read_text("utf-8-sig")
                    lines = filter(None, map(str.strip, text.splitlines()))
                    found = dict(enumerate(lines)) if name == "classes.txt" else _table(text)
                    if found:
                        return found, path
                    useless = useless or path
    return {}, useless


def _told_rest(table: Path) -> dict[str, str | None]:
    """Return what our own ``data.yaml`` says about pixels in no object."""
    with understood(table, "YOLO"):
        found = re.search(rf"^{REST}:[ \t]*(\S.*)$", table.read_text("utf-8-sig"), re.MULTILINE)
        if found is not None:
            return {REST: None if found[1].strip() in ("null", "~") else _plain(found[1])}
    return {}


def _table(text: str) -> dict[int, str]:
    """Return the names in a ``data.yaml``: ``names:`` with numbered lines, lines with a dash, or a list in brackets."""
    start = re.search(r"^names:", text, re.MULTILINE)
    if start is None:
        return {}
    bracket = _BRACKET.match(text, start.end())
    names = _in_brackets(text, bracket) if bracket else _in_lines(text[start.end() :].splitlines()[1:])
    return {number: name for number, name in names.items() if name}


# written so that no text takes long: each part ends in one way only
_BLANK = r"(?:\s|(?<!\S)#.*(?:\n|\Z))*"
_BRACKET = re.compile(_BLANK + r"([\[{])")
_QUOTED = r""""(?:\\.|[^"\\])*"|'(?:''|[^'])*'"""
_WORDS = r"""[^\s,\[\]{}"'#][^\s,\[\]{}]*(?:[ \t]+[^\s,\[\]{}#][^\s,\[\]{}]*)*"""
_ENTRY = re.compile(
    rf"""{_BLANK}(?:["']?(?P<number>\d+)["']?\s*:\s+)?(?:(?P<name>{_QUOTED}|{_WORDS}){_BLANK})?(?P<end>[,\]}}])"""
)


def _in_brackets(text: str, bracket: re.Match[str]) -> dict[int, str]:
    """Return the names up to the closing bracket, maybe over several lines; none when there is anything else."""
    names: dict[int, str] = {}
    at = bracket.end()
    while entry := _ENTRY.match(text, at):
        number, name = entry["number"], entry["name"] or ""
        if bracket[1] == "{" and name and number is None:
            break
        names[len(names) if number is None else int(number)] = _plain(name)
        if entry["end"] != ",":
            return names
        at = entry.end()
    return {}


def _in_lines(lines: list[str]) -> dict[int, str]:
    names: dict[int, str] = {}
    for line in lines:
        if line.strip() and not line[0].isspace() and line[0] not in "-#":
            break
        entry = re.match(r"\s*(?:(\d+)\s*:|-(?!\S))\s*(\S.*)?$", line)
        if entry:
            names[len(names) if entry[1] is None else int(entry[1])] = _plain(entry[2] or "")
    return names


def _plain(text: str) -> str:
    """Return a YAML scalar without its quotes or comment."""
    text = text.strip()
    if text[:1] == '"':
        return str(json.JSONDecoder().raw_decode(text)[0])
    if text[:1] == "'":
        return text[1:].rpartition("'")[0].replace("''", "'")
    return re.split(r"(?:^|\s)#", text)[0].strip()
