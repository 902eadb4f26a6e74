"""What all formats of export and import share: options, names of files, names of classes."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import json
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from unet_gui.core.atomic import atomic_write
from unet_gui.core.encoding import present
from unet_gui.core.errors import LabelError, ProjectError, UserError, WrongSize
from unet_gui.core.exchange_names import NameFinder
from unet_gui.core.exchange_rings import fill
from unet_gui.core.images import ImageRef
from unet_gui.core.label_stack import StackWriter
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.layout import same_name
from unet_gui.core.listing import must_be_readable, natural_key
from unet_gui.core.own_files import OwnFiles
from unet_gui.core.palette import MAX_CLASSES, ClassInfo, color_of, default_classes, distinct, folded
from unet_gui.core.project import Dataset
from unet_gui.core.text import json_lines, utf8

Ids = NDArray[np.uint8]

BACKGROUND_NAMES = ("background", "_background_")
REST = "pixels_in_no_object"
"""Our own entry in files of objects: the name of the class that is not written as objects, null for unlabelled."""


@dataclass(frozen=True, kw_only=True)
class _Options:
    """What options of both ways have in common.

    Attributes
    ----------
    called : mapping of str to str
        What the caller's own person knows the options as, by the names of the fields: ``--overwrite`` on the command
        line, the words of the dialog in the window.
    """

    called: Mapping[str, str] = field(default_factory=dict)

    def using(self, option: str) -> str:
        """Return the end of a piece of advice: which option does it."""
        return f" with {self.called[option]}" if option in self.called else ""


@dataclass(frozen=True)
class ExportOptions(_Options):
    """How to export.

    Attributes
    ----------
    background : str
        The class that is not written as objects, by name or id; ``none``: all are; ``auto``: class 0 if it is called
        background.
    only_labels : bool
        Leave predictions out: an image without a label is skipped.
    overwrite : bool
        Replace files that exist.
    segmentation : str
        COCO: ``polygon``, ``rle``, or ``auto``: polygons, and RLE for what has holes.
    foreground : str
        Binary masks: the class that becomes 255; "" where there is only one besides the background.
    copy_images : bool
        YOLO: also copy the images, so that the folder can be trained on as it is.
    """

    background: str = "auto"
    only_labels: bool = False
    overwrite: bool = False
    segmentation: str = "auto"
    foreground: str = ""
    copy_images: bool = False


@dataclass(frozen=True)
class ImportOptions(_Options):
    """How to import.

    Attributes
    ----------
    background : str
        What pixels in no object become: a class by name or id; ``none``: unlabelled; ``auto``: what the file says, as
        ours do, else class 0 if it is called background, else unlabelled.
    overwrite : bool
        Replace labels that exist.
    suffix : str
        What the source's files have behind the image's name, e.g. ``_mask``.
    unlabelled : int or None
        Pixel value of a mask that means unlabelled.
    object_class : str
        The class of objects that come without one: instances, and ROIs whose name is none.
    touching : int
        Instances: pixels at most so far from another object become the class ``touching border``; 0: none.
    """

    background: str = "auto"
    overwrite: bool = False
    suffix: str = ""
    unlabelled: int | None = None
    object_class: str = ""
    touching: int = 1


def require(module: str) -> ModuleType:
    """Return an optional package, or say how to get it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(
            f"This format needs the package {module.partition('.')[0]}, which is not installed.",
            hint='Install it with: pip install "unet-gui[formats]"',
            details=str(error),
        ) from error


def class_named(classes: Sequence[ClassInfo], wish: str) -> int:
    """Return the id of the class with this name or number.

    Raises
    ------
    UserError
        There is none.
    """
    for info in classes:
        if folded(info.name) == folded(wish):
            return info.id
    if wish.isdecimal() and any(info.id == int(wish) for info in classes):
        return int(wish)
    names = ", ".join(info.name for info in classes)
    raise UserError(f"There is no class called {wish!r}.", hint=f"The classes are: {names}.")


def rest_class(classes: Sequence[ClassInfo], wish: str) -> int:
    """Return what a pixel in no object is: a class id, or 255 for unlabelled."""
    if wish == "none":
        return UNLABELLED
    if wish != "auto":
        return class_named(classes, wish)
    first = next((info for info in classes if info.id == 0), None)
    return 0 if first is not None and first.name.casefold() in BACKGROUND_NAMES else UNLABELLED


class Exporter(ABC):
    """Writes one format: `add` for each image, `finish` at the end.

    Attributes
    ----------
    notes : list of str
        What the person should know, e.g. what the format cannot hold.
    rest : int
        What a pixel in no object is.
    lossy : int
        Unlabelled pixels that the format could not hold, so far.
    stack : StackWriter or None
        Writes pages of a stack together, when the last one has been added.
    """

    wholes: ClassVar[tuple[str, ...]] = ()
    """Files that are written once for the whole folder."""
    at_end: ClassVar[bool] = False
    """Whether nothing is written before `finish`."""

    def __init__(self, dataset: Dataset, out: Path, options: ExportOptions) -> None:
        self.dataset, self.out, self.options = dataset, out, options
        self.notes: list[str] = []
        self.rest = rest_class(dataset.classes, options.background)
        self.names = {info.id: info.name for info in dataset.classes}
        self.lossy = 0
        self.stack: StackWriter | None = None
        self._own = OwnFiles(dataset)
        for name in self.wholes:
            self.check_free(out / name)

    @abstractmethod
    def add(self, ref: ImageRef, ids: Ids) -> None:
        """Write one image's mask."""

    def finish(self) -> None:  # noqa: B027 - most formats have nothing to write at the end
        """Write what belongs to all images."""

    def end(self) -> None:  # noqa: B027 - most formats have written it by then
        """Write what waits for the last page of a stack; called after each file of images."""

    @property
    def objects(self) -> list[int]:
        """Ids of the classes that are written as objects."""
        return [info.id for info in self.dataset.classes if info.id != self.rest]

    @property
    def rest_name(self) -> str | None:
        """What a file says about pixels in no object, as `REST`."""
        return self.names.get(self.rest)

    def target(self, ref: ImageRef, suffix: str, folder: str = "", whole: bool = False) -> Path:
        """Return an image's file: its label's relative path with this suffix, a page with its number if not `whole`."""
        stem, page = self._stem(ref), "" if ref.page is None or whole else f".{ref.page:04d}"
        if page and same_name(stem + page) in self._stems:
            stem = ref.rel  # s.0001 is an image itself, so page 1 of s.tif is s.tif.0001, or s.tif.00001
            while same_name(stem + page) in self._stems or (len(page) == 5 and same_name(stem) in self._stems):
                page = f".0{page[1:]}"
        return self.out / folder / f"{stem}{page}{suffix}"

    @cached_property
    def _stems(self) -> set[str]:
        """What the files of all images are called, without suffix."""
        return {same_name(self._stem(ref)) for ref in self.dataset.images}

    def _stem(self, ref: ImageRef) -> str:
        return self.dataset.label_path(ref).relative_to(self.dataset.label_root).with_suffix("").as_posix()

    def check_free(self, path: Path) -> None:
        """Refuse to replace a file, unless asked to; images and labels of the folder in any case."""
        self._own.must_not_be(path)
        if path.exists() and not self.options.overwrite:
            replace = f"replace what is there{self.options.using('overwrite')}"
            raise UserError("is there already.", path, f"Choose another folder, or {replace}.")

    def write(self, path: Path, data: bytes) -> None:
        """Write one image's file."""
        self.check_free(path)
        atomic_write(path, data)

    def write_json(self, path: Path, data: Any) -> None:
        """Write one image's file as JSON, an entry of a list in a line."""
        self.write(path, utf8(json_lines(data)))

    def lose_unlabelled(self, ids: Ids, becomes: str) -> None:
        """Count unlabelled pixels that the format has no place for; the first time, say what they become."""
        count = int((ids == UNLABELLED).sum())
        if count and not self.lossy:
            self.notes.append(f"This format has no place for unlabelled pixels beside a background: {becomes}.")
        self.lossy += count


class ClassBook:
    """Classes of a source and of the folder, matched by name; new ones are added to the folder.

    Parameters
    ----------
    dataset : Dataset
    background : bool
        Whether a folder that nobody has worked on keeps its class 0.

    Attributes
    ----------
    added : list of str
        Names of the classes that are new.
    """

    def __init__(self, dataset: Dataset, background: bool = True) -> None:
        self._dataset = dataset
        self._kept = 1 if background else 0
        self.added: list[str] = []
        # a folder that nobody has worked on gives its made-up classes up for those of the source
        self._fresh = dataset.classes == default_classes() and not any(map(dataset.has_label, dataset.images))

    def keep_background(self, kept: bool) -> None:
        """Hear whether the source has a background, too."""
        self._kept = 1 if kept else 0

    def id_of(self, name: str) -> int:
        """Return the class id for a name; a new class is added to the folder."""
        classes = self._dataset.classes
        wanted = "background" if folded(name) == "_background_" else folded(name)
        for info in classes:
            if folded(info.name) == wanted and not (self._fresh and info.id >= self._kept):
                return info.id
        if self._fresh:
            classes = classes[: self._kept]
            self._fresh = False
        free = next((i for i in range(MAX_CLASSES) if all(info.id != i for info in classes)), None)
        if free is None:
            raise ProjectError("There are more than 255 classes.", hint="Leave some out of the source.")
        name = name.strip() or f"class {free}"
        self._add([*classes, ClassInfo(free, name, color_of(free))], name)
        return free

    def adopt(self, classes: Sequence[ClassInfo]) -> None:
        """Take the source's classes over as they are, with ids and colours, in a folder that nobody has worked on."""
        if self._fresh and classes:
            self._dataset.set_classes(distinct(classes))
            self.added += [info.name for info in self._dataset.classes]
            self._fresh = False

    def know(self, ids: Ids) -> None:
        """Add the classes of all ids of a label, which has no names for them."""
        for class_id in present(ids).tolist():
            if class_id != UNLABELLED and all(info.id != class_id for info in self._dataset.classes):
                new = ClassInfo(class_id, f"class {class_id}", color_of(class_id))
                (info,) = distinct([new], self._dataset.classes)
                self._add([*self._dataset.classes, info], info.name)

    def _add(self, classes: list[ClassInfo], name: str) -> None:
        self._dataset.set_classes(sorted(classes, key=lambda info: info.id))
        self.added.append(name)


class Importer(ABC):
    """Reads one format.

    Attributes
    ----------
    notes : list of str
        What the person should know.
    unmatched : list of str
        What the source holds for images that are not in the folder.
    broken : list of (str, UserError)
        Parts of the source that cannot be read, and the image that they are for, which may have others.
    names : dict of str to str
        What the source calls the images that it has something for, by `ImageRef.key`.
    known : list of ClassInfo
        Classes that are in the project file.
    """

    def __init__(self, dataset: Dataset, source: Path, options: ImportOptions) -> None:
        self.dataset, self.source, self.options = dataset, source, options
        self.known = list(dataset.classes)
        self.book = ClassBook(dataset, options.background != "none")
        self.notes: list[str] = []
        self.unmatched: list[str] = []
        self.broken: list[tuple[str, UserError]] = []
        self.names: dict[str, str] = {}
        self._told_rest: int | None = None

    @abstractmethod
    def has(self, ref: ImageRef) -> bool:
        """Whether the source has anything for this image."""

    @abstractmethod
    def read(self, ref: ImageRef, shape: tuple[int, int]) -> Ids:
        """Return the image's label; raises UserError when it cannot be read or has not this size."""

    def blank(self, shape: tuple[int, int]) -> Ids:
        """Return a label in which no object is painted yet."""
        name = next((info.name for info in self.dataset.classes if info.id == self.rest), "unlabelled")
        told = ", as the file says" if self._told_rest is not None else ""
        other = f"another class can be chosen{self.options.using('background')}"
        self.note(f"Pixels in no object became {name}{told}; {other}.")
        return np.full(shape, self.rest, np.uint8)

    @property
    def rest(self) -> int:
        """What a pixel in no object becomes: a class id, or 255 for unlabelled."""
        if self._told_rest is not None:
            return self._told_rest
        return rest_class(self.dataset.classes, self.options.background)

    def heed(self, data: Mapping[str, Any]) -> None:
        """Take what a file says about pixels in no object, if it does and nobody has chosen something else."""
        self._told_rest = None
        if self.options.background != "auto" or REST not in data:
            return
        name = data[REST]
        self.book.keep_background(name is not None and str(name).casefold() in BACKGROUND_NAMES)
        self._told_rest = UNLABELLED if name is None else self.book.id_of(str(name))

    def note(self, text: str) -> None:
        """Say something, once."""
        if text not in self.notes:
            self.notes.append(text)

    def check_shape(self, height: int, width: int, shape: tuple[int, int], path: Path) -> None:
        """Refuse what was made for an image of another size."""
        if (height, width) != shape:
            raise WrongSize(
                f"is for an image of {width} × {height} pixels, but the image is {shape[1]} × {shape[0]}.",
                path,
                "It is never stretched. Is it that of another image?",
            ).between((height, width), shape)

    def match(
        self, suffixes: tuple[str, ...], endings: tuple[str, ...] = (), habit: re.Pattern[str] | None = None
    ) -> dict[str, Path]:
        """Return the source's file for each image or page that has one, and note those without an image.

        Parameters
        ----------
        suffixes : tuple of str
            Kinds of file.
        endings : tuple of str
            What may stand between the image's name and the suffix.
        habit : re.Pattern, optional
            Where there is no image of that name, the group of this that matches is tried.

        Returns
        -------
        dict of str to pathlib.Path
            By `ImageRef.key`.
        """
        finder = NameFinder(self.dataset)
        found: dict[str, Path] = {}
        for path, name in self.files(suffixes):
            stem = name.rpartition(".")[0]
            for ending in (*((self.options.suffix,) if self.options.suffix else ()), *endings):
                stem = stem.removesuffix(ending)
            key = finder.find(stem)
            called = habit.fullmatch(stem) if habit and key is None else None
            if called:
                key = finder.find(next(filter(None, called.groups())))
            if key is not None and os.path.abspath(path) == os.path.abspath(self.dataset.image_root / key):
                continue  # the image itself: masks are beside the images
            if key is None:
                self.unmatched.append(f"{name} (two images are called so)" if finder.is_shared(stem) else name)
            elif self.takes(key, name):
                found[key] = path
        return found

    def takes(self, key: str, name: str) -> bool:
        """Whether this name is the first for an image, or nearer to it than the one so far; note what is left out.

        Parameters
        ----------
        key : str
            The image's key.
        name : str
            What the source calls it.
        """
        so_far = self.names.get(key)
        better = so_far is None or self._nearness(name, key) > self._nearness(so_far, key)
        if so_far is not None:
            self.note(f"{so_far if better else name} is a second one for {key} and was left out.")
        if better:
            self.names[key] = name
        return better

    def _nearness(self, name: str, key: str) -> tuple[int, int]:
        """Return how many folders of a name are the image's own, and how many, below zero, are others."""
        folders = PurePosixPath(name.replace("\\", "/").casefold()).parts[-2::-1]
        same = 0
        # the source may call the image by the folders above it, too: val/1.png for 1.png in the folder val
        for root in (self.dataset.root, self.dataset.image_root):
            own = PurePosixPath((root.absolute() / ImageRef.parse(key).rel).as_posix().casefold()).parts[-2::-1]
            alike = (a == b for a, b in zip(folders, own, strict=False))
            same = max(same, sum(itertools.takewhile(bool, alike)))
        return same, same - len(folders)

    def files(self, suffixes: tuple[str, ...]) -> Iterator[tuple[Path, str]]:
        """Yield (file, relative name with slashes) of the source, a file or a folder, sorted naturally."""
        if self.source.is_file():
            yield self.source, self.source.name
            return
        if not self.source.is_dir():
            raise UserError("There is no such file or folder.", self.source)
        must_be_readable(self.source)
        names = []
        for folder, _, files in os.walk(self.source):
            below = Path(folder).relative_to(self.source)
            names += [(below / name).as_posix() for name in files if name.lower().endswith(suffixes)]
        for name in sorted(names, key=natural_key):
            if not any(part.startswith(".") for part in PurePosixPath(name).parts):
                yield self.source / name, name


def paint(label: Ids, rings: Sequence[Any], class_id: int) -> int:
    """Paint what is inside an odd number of rings; return the number of pixels."""
    rect, inside = fill(rings, (label.shape[0], label.shape[1]))
    label[rect.slices][inside] = class_id
    return int(inside.sum())


def read_json(path: Path) -> Any:
    """Return what a JSON file holds; raises LabelError."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            return json.load(file)
    except OSError as error:
        raise LabelError("cannot be read.", path, details=str(error)) from error
    except (ValueError, RecursionError) as error:  # also a text that is no UTF-8, or lists in lists without end
        raise LabelError("is no JSON file, or it is damaged.", path, details=str(error)) from error


@contextlib.contextmanager
def understood(path: Path, what: str) -> Iterator[None]:
    """Turn whatever is missing or of the wrong kind in a file into words."""
    try:
        yield
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        raise LabelError(f"is not a {what} file that can be understood.", path, details=repr(error)) from error
