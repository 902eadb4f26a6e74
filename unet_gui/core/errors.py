"""Errors that a person is meant to read."""

from __future__ import annotations

import os


class UserError(Exception):
    """Something went wrong that the person can understand and act on.

    Parameters
    ----------
    message : str
        What happened, one plain sentence without a path.
    path : str or os.PathLike, optional
        The file or folder it happened to.
    hint : str, optional
        What to do about it, one plain sentence.
    details : str, optional
        The technical text, shown one click away.
    """

    def __init__(
        self, message: str, path: str | os.PathLike[str] | None = None, hint: str = "", details: str = ""
    ) -> None:
        self.message = message
        self.path = None if path is None else os.fspath(path)
        self.hint = hint
        self.details = details
        super().__init__(message, self.path, hint, details)

    def __str__(self) -> str:
        text = f"{self.path}: {self.message}" if self.path else self.message
        return f"{text} {self.hint}".rstrip()


class ImageError(UserError):
    """An image that cannot be read."""


def is_of_image(error: BaseException, path: os.PathLike[str]) -> bool:
    """Whether an error says that this image cannot be read; other files can be pictures, too."""
    return isinstance(error, ImageError) and error.path == os.fspath(path)


class LabelError(UserError):
    """A label that cannot be read, written or matched to its image."""


class WrongSize(LabelError):
    """A label of another size than its image.

    Attributes
    ----------
    on_its_side : bool
        The label is as high as the image is wide, and the other way round.
    """

    on_its_side = False

    def between(self, label: tuple[int, ...], image: tuple[int, ...]) -> WrongSize:
        """Take both sizes (rows, columns)."""
        self.on_its_side = label[0] != label[1] and tuple(label) == tuple(image)[::-1]
        return self


class LabelChanged(LabelError):
    """Another program has written a label since it was read here."""


class NothingToLearn(UserError):
    """Too little is painted for a training."""


class ModelError(UserError):
    """A model file that cannot be used."""


class ProjectError(UserError):
    """A folder that cannot be opened or a project file that cannot be understood."""


MEMORY_HINT = "Close other programs, choose a smaller crop or tile, or use the CPU."
_MEMORY_SIGNS = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on any device: torch tells it in a RuntimeError of its own."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(sign in text for sign in _MEMORY_SIGNS)
