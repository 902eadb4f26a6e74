"""Writing a file so that it is either the old one or the new one, whole, whatever happens in between."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from unet_gui.core.errors import UserError

_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_TRIES = 8


def write_error(path: str | os.PathLike[str], error: OSError) -> UserError:
    """Return the plain words for a file that cannot be written."""
    details = str(error)
    if error.errno in _FULL:
        return UserError(
            "could not be saved: the disk is full.",
            path,
            "The old file is untouched. Make room and save again.",
            details,
        )
    if error.errno == errno.EROFS:
        return UserError("could not be saved: the disk is read-only.", path, "Choose another place.", details)
    if error.errno in _FORBIDDEN:
        return UserError(
            "could not be saved: you may not write there.",
            path,
            "Change the permission, or choose another place.",
            details,
        )
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return UserError("could not be saved: its folder is gone.", path, "Is the disk still connected?", details)
    return UserError(
        f"could not be saved: {error.strerror or error}.", path, "The old file is untouched. Try again.", details
    )


def must_be_folder(out: Path) -> None:
    """Make the folder that results go to, or tell why there can be none, before anything is computed.

    Raises
    ------
    UserError
        There is a file of that name, or nothing can be written there.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise UserError("This is a file, not a folder to write to.", out, "Name a folder.", str(error)) from error
    except OSError as error:
        raise UserError("The folder for the results cannot be made.", out, "Name another one.", str(error)) from error
    if not os.access(out, os.W_OK | os.X_OK):
        raise UserError("You may not write to this folder.", out, "Change the permission, or name another one.")


_HALF = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")


def is_half(name: str) -> bool:
    """Whether a file's name is one of the temporary ones that are made here."""
    return _HALF.fullmatch(name) is not None


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path`; put it in the place of `path` when the block ends well.

    The block writes and closes the temporary file. It is then flushed to the disk and renamed. When anything fails,
    it is removed and the old file is untouched. A link is replaced, not followed.

    Raises
    ------
    UserError
        The file cannot be written: disk full, no permission, folder gone.
    """
    path = Path(path)
    temporary = _beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        _put(temporary, path)
    except BaseException as error:
        _give_up(temporary, path, error)
        raise


def atomic_write(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file whole or not at all; missing folders are made.

    Parameters
    ----------
    path : str or os.PathLike
        The file; an existing one is replaced.
    data : bytes
        Its content.

    Raises
    ------
    UserError
        The file cannot be written: disk full, no permission, folder gone. The old file is untouched.
    """
    path = Path(path)
    temporary = _beside(path)
    try:  # as `atomic_path` does, in half the calls: a folder of small masks is mostly this
        with _new_file(temporary) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _put(temporary, path)
    except BaseException as error:
        _give_up(temporary, path, error)
        raise


def _beside(path: Path) -> Path:
    """Return a new name in the same folder; see `is_half`. Systems count a name's bytes, at most 255 of them."""
    name = os.fsencode(path.name)[:200].decode(sys.getfilesystemencoding(), "ignore")
    return path.parent / f".{name}.{uuid.uuid4().hex[:8]}.tmp"


def _new_file(path: Path) -> BinaryIO:
    """Open a file that is not there yet; make its folder where that is not there either."""
    try:
        return open(path, "xb")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return open(path, "xb")


def _put(temporary: Path, path: Path) -> None:
    """Let a file that is on the disk take the place of another."""
    _keep_mode(path, temporary)
    _replace(temporary, path)
    _sync_folder(path.parent)


def _give_up(temporary: Path, path: Path, error: BaseException) -> None:
    """Remove what was written; say what was wrong with the disk, if it was that."""
    with contextlib.suppress(OSError):
        temporary.unlink()
    if isinstance(error, OSError):
        raise write_error(path, error) from error


def _keep_mode(path: Path, temporary: Path) -> None:
    """Keep who may read and write the file."""
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):  # there may be none
        old = os.stat(path).st_mode
        if stat.S_ISREG(old):
            os.chmod(temporary, old & 0o777)


def _replace(temporary: Path, path: Path) -> None:
    if sys.platform == "win32":
        # the old file may be held for a moment by a virus scanner or an indexer
        for tries in range(_TRIES):
            with contextlib.suppress(PermissionError):
                os.replace(temporary, path)
                return
            time.sleep(0.01 * 2**tries)
    os.replace(temporary, path)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut, where the system can."""
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
