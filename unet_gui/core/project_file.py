"""``project.json``: what the program remembers about a folder. Paths in it are relative and stay inside."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from unet_gui import __version__
from unet_gui.core.atomic import atomic_write
from unet_gui.core.encoding import Encoding
from unet_gui.core.errors import LabelError, ProjectError
from unet_gui.core.palette import ClassInfo
from unet_gui.core.text import utf8

NAME = "project.json"
VERSION = 1
_OPEN_ANYWAY = "Open the folder without its project file: no label is lost, but class names and colours are."


class ProjectFile:
    """The content of a project file.

    Attributes
    ----------
    path : pathlib.Path
        The file, which need not exist.
    classes : list of ClassInfo or None
        None before the first save.
    encoding : Encoding or None
        None before the first save.
    settings : dict
        Free.
    labels : str
        Folder of labels relative to the root, when it is not the usual one.
    whole : bool
        All pictures of the folder are its images, though there are folders for images and labels in it.
    """

    def __init__(self, path: Path, data: dict[str, Any]) -> None:
        self.path = path
        self._data = data
        self.classes: list[ClassInfo] | None = None
        self.encoding: Encoding | None = None
        try:
            if "classes" in data:
                self.classes = [ClassInfo.from_json(entry) for entry in data["classes"]]
                if len({info.id for info in self.classes}) < len(self.classes):
                    raise ValueError("two classes have one id")
            if "encoding" in data:
                self.encoding = Encoding.from_json(data["encoding"])
            self.settings: dict[str, Any] = dict(data.get("settings", {}))
            self.labels = str(data.get("labels") or "")
            self.whole = data.get("whole") is True
        except (ValueError, OverflowError, KeyError, TypeError, AttributeError, LabelError) as error:
            raise ProjectError("cannot be understood.", path, _OPEN_ANYWAY, repr(error)) from error

    @classmethod
    def empty(cls, state_dir: Path) -> ProjectFile:
        """Return one without content."""
        return cls(state_dir / NAME, {})

    @classmethod
    def read(cls, state_dir: Path) -> ProjectFile:
        """Read it; one that does not exist is empty.

        Raises
        ------
        ProjectError
            It cannot be read or understood, or a newer program wrote it.
        """
        path = state_dir / NAME
        try:
            text = path.read_text("utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return cls(path, {})
        except (OSError, UnicodeDecodeError) as error:
            raise ProjectError("cannot be read.", path, _OPEN_ANYWAY, str(error)) from error
        try:
            data = json.loads(text)
            version = int(data.get("version", 0))
        except (ValueError, OverflowError, TypeError, AttributeError, RecursionError) as error:
            raise ProjectError("is damaged.", path, _OPEN_ANYWAY, str(error)) from error
        if version > VERSION:
            raise ProjectError("was written by a newer version of this program.", path, f"Update it. {_OPEN_ANYWAY}")
        return cls(path, data)

    def inside(self, root: Path, relative: str) -> Path:
        """Return a path named in the file, which must stay inside the folder.

        Raises
        ------
        ProjectError
            It is absolute, goes up, leads out by a link, or cannot be a path.
        """
        parts = PurePosixPath(relative).parts
        windows = PureWindowsPath(relative)
        outside = ".." in parts or ".." in windows.parts or bool(windows.drive or windows.root) or relative[:1] == "/"
        path = root / relative
        try:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                os.stat(path)
        except (OSError, ValueError):  # too long, a circle, no text
            outside = True
        if outside or not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
            raise ProjectError(f"names a place outside the folder: {relative[:200]}", self.path, _OPEN_ANYWAY)
        return path

    def write(
        self,
        classes: Sequence[ClassInfo],
        encoding: Encoding,
        settings: dict[str, Any],
        labels: str = "",
        whole: bool = False,
    ) -> None:
        """Write it; what a newer version put there is kept.

        Raises
        ------
        UserError
            It cannot be written.
        """
        data = {
            **self._data,
            "version": VERSION,
            "program": __version__,
            "classes": [info.to_json() for info in classes],
            "encoding": encoding.to_json(),
            "settings": settings,
        }
        data.pop("labels", None)
        data.pop("whole", None)
        if whole:
            data["whole"] = True
        if labels:
            data["labels"] = labels
        atomic_write(self.path, utf8(json.dumps(data, ensure_ascii=False, indent=2)))
        self._data, self.classes, self.encoding = data, list(classes), encoding
