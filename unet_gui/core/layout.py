"""Where the images and labels of a folder are, and what a label is called."""

from __future__ import annotations

import contextlib
import os
import time
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from unet_gui.core.atomic import is_half
from unet_gui.core.listing import IMAGE_SUFFIXES, are_all_in, is_folder

STATE_FOLDER = ".unet-gui"
IMAGE_NAMES = ("image", "images")
LABEL_NAMES = ("label", "labels")
STACK_SUFFIXES = (".tif", ".tiff")
LABEL_SUFFIXES = (".png", *STACK_SUFFIXES, ".bmp")
"""Files that are read as labels, the first that exists; new ones are PNG, or TIFF for a stack."""


class Layout(NamedTuple):
    """Folders of a dataset: what was opened or the folder around image and label; images; labels."""

    root: Path
    image_root: Path
    label_root: Path


def find_layout(folder: Path) -> Layout:
    """Return where images and labels are when this folder is opened.

    ``X/image`` (or ``images``) with a sibling ``X/label`` (or ``labels``) is one dataset, whether `X` or ``X/image``
    is opened. So it is before there are labels, where `X` holds no other pictures: its images are not called otherwise
    once there are. Where ``X/image`` was worked on by itself, that is what opening `X` opens. Anything else holds its
    images itself and its labels in ``labels`` (or ``label``, if that exists).

    Parameters
    ----------
    folder : pathlib.Path
        An absolute path.

    Raises
    ------
    OSError
        The folder cannot be listed.
    """
    below = _folders(folder)
    if folder.name.lower() in IMAGE_NAMES:
        try:
            beside = _folders(folder.parent)
        except OSError:  # the folder above may be closed to us
            beside = {}
        label = _first(beside, LABEL_NAMES)
        if label is not None:
            return Layout(folder.parent, folder, folder.parent / label)
        if STATE_FOLDER in beside and not _is_worked_on(below) and are_all_in(folder.parent, folder.name):
            return Layout(folder.parent, folder, folder.parent / "labels")
    image, label = _first(below, IMAGE_NAMES), _first(below, LABEL_NAMES)
    if image is None or (label is None and not are_all_in(folder, image)):
        return plain_layout(folder)
    if label is None and _is_by_itself(folder / image, STATE_FOLDER in below):
        return plain_layout(folder / image)
    return Layout(folder, folder / image, folder / (label or "labels"))


def with_labels(layout: Layout, labels: Path) -> Layout:
    """Return where images are when this is the folder of labels: ``X/images`` for ``X/masks``, where `X` is opened.

    Not where labels of ``X/images`` are in a folder of that name among these: there `X` holds all images.

    Raises
    ------
    OSError
        The folder cannot be listed.
    """
    root = layout.root
    beside = layout.image_root == root == labels.parent
    image = _first(_folders(root), IMAGE_NAMES) if beside else None
    if image in (None, labels.name) or (labels / image).is_dir() or not are_all_in(root, image, labels.name):
        return layout._replace(label_root=labels)
    return Layout(root, root / image, labels)


def _is_worked_on(folders: dict[str, str]) -> bool:
    """Whether a folder has labels of its own, or what else is kept for one, by the folders inside."""
    return STATE_FOLDER in folders or _first(folders, LABEL_NAMES) is not None


def _is_by_itself(images: Path, above_too: bool) -> bool:
    """Whether a folder of images has been worked on by itself, and not (only) the one above."""
    try:
        inside = _folders(images)
    except OSError:
        return False
    return _first(inside, LABEL_NAMES) is not None or (_is_worked_on(inside) and not above_too)


def plain_layout(folder: Path) -> Layout:
    """Return where images and labels are when all pictures of this folder are its images."""
    return Layout(folder, folder, folder / (_first(_folders(folder), ("labels", "label")) or "labels"))


def is_mixed(images: Iterable[str]) -> bool:
    """Whether some images are in a folder that is called so and others are not: its labels must not make it a pair."""
    inside = {rel.partition("/")[0].lower() in IMAGE_NAMES and "/" in rel for rel in images}
    return len(inside) == 2


def _folders(folder: Path) -> dict[str, str]:
    """Return the folders inside, by their name in small letters."""
    with os.scandir(folder) as entries:
        return {entry.name.lower(): entry.name for entry in entries if is_folder(entry)}


def _first(found: dict[str, str], names: Sequence[str]) -> str | None:
    return next((found[name] for name in names if name in found), None)


def nested_pairs(image_root: Path, images: Iterable[str]) -> dict[str, str]:
    """Return {folder of images: folder of labels} for pairs further down, e.g. ``train/image`` and ``train/label``.

    Parameters
    ----------
    image_root : pathlib.Path
        The opened folder.
    images : iterable of str
        Its images, relative.
    """
    pairs: dict[str, str] = {}
    for place in {rel.rpartition("/")[0] for rel in images}:
        above, _, name = place.rpartition("/")
        if name.lower() not in IMAGE_NAMES:
            continue
        try:
            label = _first(_folders(image_root / above), LABEL_NAMES)
        except OSError:
            continue
        if label is not None:
            pairs[place] = f"{above}/{label}" if above else label
    return pairs


class LabelNames:
    """What the label of each image is called.

    A label has its image's relative path and stem. Where two images of a folder share a stem, or differ in it only by
    the case of letters (which some systems do not tell apart), each has its full name plus ``.png``.

    Parameters
    ----------
    images : iterable of str
        All images of the dataset, relative.
    pairs : dict, optional
        Folders of images whose labels are in a folder of their own, from `nested_pairs`.
    """

    def __init__(self, images: Iterable[str], pairs: dict[str, str] | None = None) -> None:
        images = list(images)
        self._pairs = pairs or {}
        self._full = _ambiguous(images)
        self._shared = [rel for rel in images if same_name(rel) in self._full] if self._full else []

    def stem(self, rel: str) -> str:
        """Return the label's relative path without its suffix."""
        place, slash, name = rel.rpartition("/")
        if self._pairs:
            label = self._pairs.get(place)
            place, slash = (label, "/") if label is not None else (f"labels{slash}{place}", "/")
        stem = name if self._full and same_name(rel) in self._full else name.rpartition(".")[0]
        return f"{place}{slash}{stem}"

    def alone(self, rel: str) -> bool:
        """Whether no other image has this one's stem, or one that some systems do not tell from it."""
        return not self._full or same_name(rel) not in self._full

    def orphans(self) -> list[tuple[str, str]]:
        """Return (image, its label's path without suffix if it were alone) of images that share a stem."""
        alone = LabelNames((), self._pairs)
        return [(rel, alone.stem(rel)) for rel in self._shared]

    @property
    def shared(self) -> bool:
        """Whether some images share a stem."""
        return bool(self._full)


def same_name(name: str) -> str:
    """Return the same text for names that Windows or macOS do not tell apart: ``Ü`` and ``ü``, of one letter or two."""
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", name).casefold()


def _ambiguous(images: Iterable[str]) -> set[str]:
    """Return the images, in small letters, whose stem alone would not be theirs alone."""
    names = [same_name(rel) for rel in images]
    full: set[str] = set()
    if len({name.rpartition(".")[0] for name in names}) == len(names):
        return full
    while True:  # a full name may be the stem of yet another image: a.png, a.jpg and a.png.tif
        labels = Counter(name if name in full else name.rpartition(".")[0] for name in names)
        more = {name for name in names if name not in full and labels[name.rpartition(".")[0]] > 1}
        if not more:
            return full
        full |= more


class LabelIndex:
    """The label files that exist, from listing their folders once.

    Parameters
    ----------
    roots : sequence of pathlib.Path
        Folders of labels; the first is written to, a label found there hides that of the others.
    """

    def __init__(self, roots: Sequence[Path]) -> None:
        self.roots = tuple(roots)
        self._halves: list[str] = []
        self._files = [_by_name(_files_below(os.fspath(root), "", self._halves)) for root in self.roots]
        self._alike: list[dict[str, str] | None] = [None] * len(self.roots)

    def find(self, stem: str, *, stack: bool = False, alike: bool = False) -> Path | None:
        """Return the label file of this relative path without suffix, None when there is none.

        For a page of a stack (`stack`) only a stack counts. With `alike`, a name that some systems do not tell apart
        from it will do.
        """
        for number, root in enumerate(self.roots):
            name = self._name(number, stem, STACK_SUFFIXES if stack else LABEL_SUFFIXES, alike)
            if name is not None:
                return root / name
        return None

    def _name(self, number: int, stem: str, suffixes: Sequence[str], alike: bool) -> str | None:
        """Return the file of this stem in one of the folders."""
        files = self._files[number]
        for suffix in suffixes:
            if stem + suffix in files:
                return files[stem + suffix]
        if not alike:
            return None
        known = self._alike[number]
        if known is None:
            there = list(files.items())  # a thread that saves may add one meanwhile
            known = self._alike[number] = {same_name(small): name for small, name in there}
        return next((known[same_name(stem) + s] for s in suffixes if same_name(stem) + s in known), None)

    def add(self, name: str) -> None:
        """Note a file that was written below the first folder."""
        self._files[0][_small_suffix(name)] = name
        if self._alike[0] is not None:
            self._alike[0][same_name(_small_suffix(name))] = name

    def writable(self, stem: str, *, stack: bool, alike: bool = False) -> Path:
        """Return the file to write: the one that exists in the first folder, else a new one."""
        name = self._name(0, stem, STACK_SUFFIXES if stack else (".png", *STACK_SUFFIXES), alike)
        if name is not None:
            return self.roots[0] / name
        return self.roots[0] / (stem + (".tif" if stack else ".png"))

    def remove_halves(self, seconds: float = 3600) -> None:
        """Remove half-written files that a killed program left behind, once they are that old."""
        for half in self._halves:
            with contextlib.suppress(OSError):
                if time.time() - os.stat(half).st_mtime > seconds:
                    os.unlink(half)

    def __len__(self) -> int:
        return sum(len(files) for files in self._files)


def _by_name(names: Iterable[str]) -> dict[str, str]:
    """Return the names by what they are with a suffix in small letters; ``a.png`` hides ``a.PNG``."""
    found: dict[str, str] = {}
    for name in names:
        small = _small_suffix(name)
        if small == name or small not in found:
            found[small] = name
    return found


def _small_suffix(name: str) -> str:
    if name.endswith(LABEL_SUFFIXES):
        return name
    stem, suffix = os.path.splitext(name)
    return stem + suffix.lower()


def _files_below(folder: str, prefix: str, halves: list[str]) -> Iterable[str]:
    """Yield the relative paths of files below a folder that may not exist; note half-written ones."""
    try:
        entries = os.scandir(folder)
    except OSError:
        return
    with entries:
        for entry in entries:
            if entry.name.startswith("."):
                if is_half(entry.name):
                    halves.append(entry.path)
                continue
            if is_folder(entry):
                yield from _files_below(entry.path, f"{prefix}{entry.name}/", halves)
            elif os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES:
                yield prefix + entry.name
