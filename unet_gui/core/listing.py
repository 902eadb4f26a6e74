"""The pictures of a folder, without opening any of them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from unet_gui.core.errors import ImageError, UserError

TIFF_SUFFIXES = (".tif", ".tiff", ".btf", ".tf8")
"""Files that may have several pages."""
IMAGE_SUFFIXES: frozenset[str] = frozenset({".png", ".jpg", ".jpeg", ".jpe", ".bmp", ".dib", ".webp", *TIFF_SUFFIXES})
LABEL_FOLDERS: frozenset[str] = frozenset({"label", "labels"})

_DIGITS = re.compile(r"\d+")


def natural_key(text: str) -> str:
    """Return a sorting key that puts ``9.png`` before ``10.png``, whatever the case of the letters."""
    return _DIGITS.sub(_wide, text.casefold())


def _wide(digits: re.Match[str]) -> str:
    return digits[0].zfill(20)


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder. A link in a circle, or into a place that is closed to us, is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def real_path(path: str | os.PathLike[str]) -> Path:
    """Return where a path leads; links in a circle, of which `Path.resolve` makes an error, stay."""
    return Path(os.path.realpath(path))


def list_images(root: str | os.PathLike[str]) -> list[str]:
    """Return the pictures below a folder by their suffix, without opening any.

    Hidden files and folders and folders of labels (``label``, ``labels``) are left out. A folder with a picture's
    name that holds no pictures is listed, so that its error can be shown beside the others.

    Parameters
    ----------
    root : str or os.PathLike
        The folder.

    Returns
    -------
    list of str
        Paths relative to `root` with forward slashes, sorted naturally.

    Raises
    ------
    ImageError
        The folder is missing or not readable.
    """
    try:
        found = list(_walk(os.fspath(root), "", {os.path.realpath(root)}))
    except OSError as error:
        kind = "may not be read by you." if isinstance(error, PermissionError) else "cannot be opened."
        raise ImageError(kind, root, "Choose another folder.", str(error)) from error
    found.sort(key=natural_key)
    return found


def must_be_readable(folder: str | os.PathLike[str]) -> None:
    """Refuse a folder that nobody may look into: it would seem to be empty.

    Raises
    ------
    UserError
        It may not be read.
    """
    if not os.access(folder, os.R_OK | os.X_OK):
        raise UserError("may not be read by you.", folder, "Ask its owner for permission.")


def are_all_in(root: str | os.PathLike[str], name: str, labels: str = "") -> bool:
    """Whether all pictures below a folder, if there are any, are in the folder of this name inside it.

    Folders of labels do not count, nor one that is called ``labels`` here.

    Raises
    ------
    OSError
        The folder cannot be listed.
    """
    with os.scandir(root) as entries:
        visible = [entry for entry in entries if entry.name[0] != "." and entry.name not in (name, labels)]
    others = [entry for entry in visible if entry.name.lower() not in LABEL_FOLDERS]
    if any(os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES for entry in others):
        return False
    seen = {os.path.realpath(root)}
    return not any(is_folder(entry) and _walk_below(entry, "", seen) for entry in others)


def _walk(folder: str, prefix: str, seen: set[str]) -> Iterator[str]:
    below: list[os.DirEntry[str]] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if name[0] == ".":
                continue
            if is_folder(entry):
                below.append(entry)
            elif os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES:
                yield prefix + name
    for entry in below:
        if entry.name.lower() in LABEL_FOLDERS or (entry.is_symlink() and not _first_visit(entry.path, seen)):
            continue
        inside = _walk_below(entry, prefix, seen)
        yield from inside
        if not inside and os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES:
            yield prefix + entry.name


def _walk_below(entry: os.DirEntry[str], prefix: str, seen: set[str]) -> list[str]:
    """Return the pictures of a folder inside the root; one that may not be read hides nothing else."""
    try:
        return list(_walk(entry.path, f"{prefix}{entry.name}/", seen))
    except OSError:
        return []


def _first_visit(link: str, seen: set[str]) -> bool:
    """Whether a linked folder leads somewhere new: not into a folder that is listed anyway, nor around in a circle."""
    target = os.path.realpath(link)
    if any(_within(target, other) or _within(other, target) for other in seen):
        return False
    seen.add(target)
    return True


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
