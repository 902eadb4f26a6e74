"""Undo that outlives the program: the changes of an image, kept beside its label and bound to it by checksum.

One file an image. It is only good for the label it was written with: a label that another program has changed since has
no undo. Losing these files loses no work.
"""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

from unet_gui.core.atomic import atomic_write
from unet_gui.core.history import Delta

_HEAD = struct.Struct("<4sII")  # magic, checksum of the label, checksum of the rest
_MAGIC = b"UGU1"
_SIZE = struct.Struct("<I")

FILE_CAP = 32 * 2**20
"""Bytes kept of one image; the oldest changes go first."""
FOLDER_CAP = 512 * 2**20
"""Bytes kept of a whole folder; the images longest not opened go first."""


def undo_path(folder: Path, key: str) -> Path:
    """Return the file of an image. The name is a checksum: keys may be longer than a file system allows."""
    data = key.encode(errors="surrogatepass")
    return folder / f"{zlib.crc32(data):08x}{zlib.adler32(data):08x}.undo"


def write_undo(path: Path, label: int, deltas: Sequence[Delta], cap: int = FILE_CAP) -> None:
    """Write the changes of an image.

    Parameters
    ----------
    path : Path
        Its folder is made when missing.
    label : int
        Checksum of the label after the last change.
    deltas : sequence of Delta
        Oldest first; nothing to keep removes the file.
    cap : int
        Bytes at most.

    Raises
    ------
    UserError
        It cannot be written.
    """
    parts: list[bytes] = []
    size = 0
    for delta in reversed(deltas):
        data = delta.to_bytes()
        size += len(data) + _SIZE.size
        if size > cap:
            break
        parts.append(_SIZE.pack(len(data)) + data)
    if not parts:
        path.unlink(missing_ok=True)
        return
    body = b"".join(reversed(parts))
    atomic_write(path, _HEAD.pack(_MAGIC, label, zlib.crc32(body)) + body)


def read_undo(path: Path, label: int) -> list[Delta]:
    """Return the changes that led to a label, oldest first; empty when there are none or they do not belong to it."""
    try:
        data = path.read_bytes()
    except OSError:
        return []
    if len(data) < _HEAD.size:
        return []
    magic, known, crc = _HEAD.unpack_from(data)
    if magic != _MAGIC or known != label or zlib.crc32(data[_HEAD.size :]) != crc:
        return []
    deltas: list[Delta] = []
    at = _HEAD.size
    try:
        while at < len(data):
            (size,) = _SIZE.unpack_from(data, at)
            at += _SIZE.size
            deltas.append(Delta.from_bytes(data[at : at + size]))
            at += size
    except (ValueError, struct.error):  # no program of ours wrote that
        return []
    return deltas


def prune(folder: Path, cap: int = FOLDER_CAP) -> None:
    """Remove the files longest not written until the folder is within its cap."""
    found: list[tuple[int, int, str]] = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            stat = entry.stat()
            found.append((stat.st_mtime_ns, stat.st_size, entry.path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= cap:
            break
        with contextlib.suppress(OSError):
            os.unlink(path)
            total -= size
