"""The journal of strokes: every finished gesture is on disk within a moment, and can be given back after a crash.

One append-only file a folder. It holds, image by image, the changes made since the label on disk; once a label is
saved its changes are struck out, and when nothing is outstanding the file is emptied. Every record carries its length
and checksum, so a file cut anywhere is read up to the cut.

A change is an XOR and fits only the label it was made on. The journal therefore names the label it starts from, and
the labels it has seen saved, by checksum: changes are never applied to pixels they do not belong to.
"""

from __future__ import annotations

import contextlib
import os
import queue
import struct
import threading
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from unet_gui.core.atomic import atomic_write
from unet_gui.core.errors import LabelError
from unet_gui.core.history import Delta
from unet_gui.core.labels import LabelImage

CURRENT = "current.log"
"""Name of the journal that is being written."""

_HEAD = struct.Struct("<2scHII")  # magic, kind, bytes of the key, bytes of the body, checksum of key and body
_MAGIC = b"uj"
_BASE, _EDIT, _SAVING, _SAVED = b"B", b"E", b"W", b"S"
_BASE_BODY = struct.Struct("<III")  # rows, columns, checksum
_SEQ = struct.Struct("<I")
_SAVING_BODY = struct.Struct("<II")  # number of the last change in it, checksum


def checksum(ids: NDArray[np.uint8]) -> int:
    """Return the number by which the journal knows a label.

    Parameters
    ----------
    ids : ndarray of uint8, shape (h, w), C-contiguous
    """
    return zlib.crc32(ids.data if ids.size else b"")


@dataclass
class Unsaved:
    """What the journal holds of one image.

    Attributes
    ----------
    key : str
        The image.
    shape : tuple of int
        Rows and columns of its label.
    base : int
        Checksum of the label the first change was made on.
    edits : list of (int, Delta)
        The changes with their numbers, oldest first.
    saving : list of (int, int)
        (number of the last change, checksum) of labels that were about to be saved: one of them may be on disk.
    """

    key: str
    shape: tuple[int, int]
    base: int
    edits: list[tuple[int, Delta]] = field(default_factory=list)
    saving: list[tuple[int, int]] = field(default_factory=list)

    def apply(self, ids: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the label with the unsaved changes made again.

        Parameters
        ----------
        ids : ndarray of uint8, shape `shape`
            The label as it is on disk, all 255 when there is none.

        Raises
        ------
        LabelError
            The label is not one these changes were made on: somebody else has written it since.
        """
        if ids.shape == self.shape:
            known = checksum(ids)
            after = {self.base: -1} | {crc: seq for seq, crc in self.saving}
            if known in after:
                return self._with_edits(ids, after[known])
            if checksum(self._with_edits(ids, -1)) == self.base:  # an XOR twice: they are in it already
                return ids
        raise LabelError(
            "The label was changed by another program after these strokes.",
            hint="They cannot be given back to it.",
            details=f"{self.key}: label {ids.shape}, journal {self.shape} {self.base} {self.saving}",
        )

    def _with_edits(self, ids: NDArray[np.uint8], after: int) -> NDArray[np.uint8]:
        labels = LabelImage(ids.copy())
        for seq, delta in self.edits:
            if seq > after:
                labels.apply(delta)
        return labels.ids


def read_journal(path: Path) -> dict[str, Unsaved]:
    """Return what is unsaved in a journal, by image; empty when there is no journal.

    Parameters
    ----------
    path : Path
        The file; it may end anywhere.

    Raises
    ------
    OSError
        The file exists and cannot be read.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    images: dict[str, Unsaved] = {}
    at = 0
    while at + _HEAD.size <= len(data):
        magic, kind, key_length, body_length, crc = _HEAD.unpack_from(data, at)
        start = at + _HEAD.size
        at = start + key_length + body_length
        if magic != _MAGIC or at > len(data) or zlib.crc32(data[start:at]) != crc:
            break  # the record that was being written when the program died
        key = data[start : start + key_length].decode(errors="surrogatepass")
        try:
            _take(images, kind, key, data[start + key_length : at])
        except (ValueError, struct.error):  # no program of ours wrote that
            break
    return {key: one for key, one in images.items() if one.edits}


def _take(images: dict[str, Unsaved], kind: bytes, key: str, body: bytes) -> None:
    """Add one record to what is known."""
    if kind == _BASE:
        rows, columns, crc = _BASE_BODY.unpack(body)
        images[key] = Unsaved(key, (rows, columns), crc)
        return
    one = images.get(key)
    if one is None:
        return
    if kind == _EDIT:
        delta = Delta.from_bytes(body[_SEQ.size :])
        if delta.shape != one.shape:
            raise ValueError("a change of a label of another size")
        one.edits.append((_SEQ.unpack_from(body)[0], delta))
    elif kind == _SAVING:
        one.saving.append(_SAVING_BODY.unpack(body))
    elif kind == _SAVED:
        seq = _SEQ.unpack(body)[0]
        one.base = next((crc for n, crc in reversed(one.saving) if n == seq), one.base)
        one.edits = [(n, delta) for n, delta in one.edits if n > seq]
        one.saving = [(n, crc) for n, crc in one.saving if n > seq]


def keep_only(path: Path, images: Sequence[Unsaved]) -> None:
    """Let a journal hold nothing but what is unsaved of these images.

    Raises
    ------
    UserError
        It cannot be written; it is as it was.
    """
    data = bytearray()
    for one in images:
        data += _record(_BASE, one.key, _BASE_BODY.pack(*one.shape, one.base))
        for seq, delta in one.edits:
            data += _record(_EDIT, one.key, _SEQ.pack(seq) + delta.to_bytes())
        for seq, crc in one.saving:
            data += _record(_SAVING, one.key, _SAVING_BODY.pack(seq, crc))
    atomic_write(path, bytes(data))


def refuse(path: Path) -> None:
    """Put a journal away that cannot be given back: it is not thrown away, and not offered again.

    Raises
    ------
    OSError
        It cannot be renamed.
    """
    number = 1
    while path.with_name(f"{path.stem}-{number}.refused").exists():
        number += 1
    path.rename(path.with_name(f"{path.stem}-{number}.refused"))


def _record(kind: bytes, key: str, body: bytes) -> bytes:
    name = key.encode(errors="surrogatepass")  # a file's name need not be text
    return _HEAD.pack(_MAGIC, kind, len(name), len(body), zlib.crc32(body, zlib.crc32(name))) + name + body


def set_aside(folder: Path) -> list[Path]:
    """Put the journal of a run that died out of the new one's way.

    Parameters
    ----------
    folder : Path
        The journal's folder; it need not exist.

    Returns
    -------
    list of Path
        Every file there with unsaved changes in it, oldest first. They stay until somebody deletes them.

    Raises
    ------
    OSError
        The folder cannot be read or written.
    """
    current = folder / CURRENT
    if current.is_file():
        if read_journal(current):
            number = 1 + max((_number(path) for path in folder.glob("unsaved-*.log")), default=0)
            os.replace(current, folder / f"unsaved-{number:04d}.log")
        else:
            current.unlink()
    return sorted(path for path in folder.glob("unsaved-*.log") if read_journal(path))


def _number(path: Path) -> int:
    text = path.stem.rpartition("-")[2]
    return int(text) if text.isdigit() else 0


class Journal:
    """Writes the journal in a thread of its own. All methods may be called from any thread.

    Parameters
    ----------
    path : Path
        The file. It is made with the first change, and goes on where an older one ended.
    on_error : callable
        Called from the journal's thread with the `OSError` when writing fails, and with None when it works again.
        Nothing is given up: what could not be written is tried again with the next record.
    """

    def __init__(self, path: Path, on_error: Callable[[OSError | None], None]) -> None:
        self.path = path
        self._on_error = on_error
        self._orders: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._file: BinaryIO | None = None
        self._unwritten = bytearray()
        self._failing = False
        self._outstanding: dict[str, int] = {}
        self._labels: dict[str, tuple[int, int, int]] = {}  # what is on disk: rows, columns, checksum
        self._saving: dict[tuple[str, int], int] = {}
        self._thread = threading.Thread(target=self._run, name="journal")
        self._thread.start()

    def base(self, key: str, shape: tuple[int, int], crc: int) -> None:
        """Say which label of an image is on disk. ``crc`` is its `checksum`, of all 255 when there is none."""

        def order() -> None:
            if key not in self._outstanding:
                self._labels[key] = (*shape, crc)

        self._orders.put(order)

    def edit(self, key: str, seq: int, delta: Delta) -> None:
        """Write a change. ``seq`` grows by one with every change of an image; an undo is a change too."""

        def order() -> None:
            if key not in self._outstanding:
                self._append(_BASE, key, _BASE_BODY.pack(*self._labels[key]))
            self._outstanding[key] = seq
            self._append(_EDIT, key, _SEQ.pack(seq) + delta.to_bytes())

        self._orders.put(order)

    def saving(self, key: str, seq: int, crc: int) -> None:
        """Write that a label with all changes up to ``seq`` is about to replace the one on disk.

        Returns when that is written, so that whichever label a crash leaves behind is one the journal knows.
        """
        written = threading.Event()

        def order() -> None:
            self._saving[key, seq] = crc
            if key in self._outstanding:
                self._append(_SAVING, key, _SAVING_BODY.pack(seq, crc))
                self._write()
            written.set()

        self._orders.put(order)
        written.wait()

    def saved(self, key: str, seq: int) -> None:
        """Strike out the changes of an image up to ``seq``: they are in the label on disk."""

        def order() -> None:
            crc = self._saving.pop((key, seq))
            self._labels[key] = (*self._labels[key][:2], crc)
            if self._outstanding.get(key, -1) <= seq:
                self._outstanding.pop(key, None)
            if self._outstanding:
                self._append(_SAVED, key, _SEQ.pack(seq))
            else:
                self._empty()

        self._orders.put(order)

    def flush(self) -> None:
        """Wait until everything said so far is on disk, or could not be written."""
        done = threading.Event()
        self._orders.put(self._write)
        self._orders.put(done.set)
        done.wait()

    def close(self) -> None:
        """Write what is left and end the thread. An empty journal's file is removed."""
        if self._thread.is_alive():
            self._orders.put(None)
            self._thread.join()

    # --- the journal's own thread ----------------------------------------------------------------------------------

    def _append(self, kind: bytes, key: str, body: bytes) -> None:
        self._unwritten += _record(kind, key, body)

    def _run(self) -> None:
        while True:
            order = self._orders.get()
            if order is None:
                break
            order()
            if self._orders.empty():
                self._write()
        self._write()
        self._put_away()

    def _write(self) -> None:
        """Append what is waiting and make sure that it survives a power cut."""
        if not self._unwritten:
            return
        try:
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115 - stays open as long as the folder
            start = self._file.seek(0, os.SEEK_END)
            try:
                written = self._file.write(self._unwritten)
                if written != len(self._unwritten):
                    raise OSError(28, "No space left on device", str(self.path))
                os.fsync(self._file.fileno())
            except OSError:
                self._file.truncate(start)  # half a record would hide all that follow
                raise
        except OSError as error:
            self._forget_file()
            if not self._failing:
                self._failing = True
                self._on_error(error)
            return
        self._unwritten.clear()
        if self._failing:
            self._failing = False
            self._on_error(None)

    def _empty(self) -> None:
        """Nothing is outstanding: start anew."""
        self._unwritten.clear()
        if self._file is None:
            return
        try:
            self._file.truncate(0)
            self._file.seek(0)
        except OSError:
            self._forget_file()

    def _forget_file(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None

    def _put_away(self) -> None:
        self._forget_file()
        if not self._outstanding and not self._unwritten:
            try:
                if self.path.stat().st_size == 0:
                    self.path.unlink()
            except OSError:
                pass
