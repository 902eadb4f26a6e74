"""A big PNG band by band, so that its first rows are there long before its last.

PNG undoes two things one after the other: deflate, and a filter that makes each pixel from its neighbours. Decoders do
both in turn on one core. Here one thread inflates the next rows while the reader's own undoes the filter of those it
has; libpng does the latter, on pictures of a few rows whose data is stored instead of deflated.
"""

from __future__ import annotations

import contextlib
import os
import struct
import threading
import zlib
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, BinaryIO

import numpy as np

from unet_gui.core import png
from unet_gui.core.geometry import Rect

FROM_PIXELS = 2**24
"""Smaller pictures are decoded in one go: it takes less than a tenth of a second."""
BAND_BYTES = 2**19
"""Of pixels that are decoded at a time: few enough to stay in the processor's cache."""
_AHEAD = 8  # bands that may be inflated before they are wanted
_READ = 2**20
_END = png.chunk(b"IEND", b"")


def can_stream(header: png.Header, channels: int) -> bool:
    """Whether a picture is worth it and stored plainly: 8 or 16 bit, no palette, every row once and in turn."""
    plain = header.color in (0, 2, 6) and header.depth >= 8 and not header.interlaced
    return plain and channels == header.channels and header.width * header.height >= FROM_PIXELS


class PngStream:
    """A PNG file that is decoded as far down as somebody has asked for. Safe in threads.

    Parameters
    ----------
    path : str or os.PathLike
        The file; it stays open until all of it is decoded, or `close`.

    Raises
    ------
    OSError
        The file cannot be read.
    Damaged
        It is cut off.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file: BinaryIO = open(path, "rb")  # noqa: SIM115 - closed by `close`
        try:
            self._header = header = png.read_header(self._file.read(29))
            self._check_end()
        except BaseException:
            self._file.close()
            raise
        self._file.seek(8)
        kind = np.uint8 if header.depth == 8 else np.uint16
        samples = () if header.channels == 1 else (header.channels,)
        self._pixels = np.empty((header.height, header.width, *samples), kind)  # memory comes as it is written
        self._row_bytes = 1 + header.width * header.channels * header.depth // 8
        self._band = max(1, BAND_BYTES // self._row_bytes)
        self._rows = 0  # that are decoded
        self._lock = threading.Lock()
        self._error: BaseException | None = None
        self._closed = False
        self._parts = _Inflated(self._file)
        self._pool = ThreadPoolExecutor(1, "png")
        self._coming: list[Future[bytes]] = []
        self._asked = 0

    def _check_end(self) -> None:
        """Raise Damaged when the file ends before the picture: what is at its end tells it without reading it all."""
        self._file.seek(-len(_END), os.SEEK_END)
        if self._file.read() != _END:  # something behind the picture, or not all of it: go through the chunks
            self._file.seek(0)
            for _ in png.chunks(self._file.read()):
                pass

    def read(self, rect: Rect) -> np.ndarray:
        """Return a region as a new array.

        Raises
        ------
        Damaged, zlib.error, OSError
            The picture data cannot be read or decoded; from then on that is so for every region.
        """
        pixels = self._pixels
        while self._rows < rect.y1:
            with self._lock:  # one band at a time, so that who needs few rows does not wait for who needs all
                if self._rows < rect.y1:
                    self._decode_band(pixels)
        if self._error is not None or self._closed:
            self._raise()
        return pixels[rect.slices].copy(order="C")

    def close(self) -> None:
        """Stop decoding and let go of everything, without waiting for a band that is being decoded."""
        if not self._closed:
            self._closed = self._parts.stopped = True
            self._pixels = self._pixels[:0].copy()
            with contextlib.suppress(RuntimeError):  # all was decoded: the file is closed already
                self._pool.submit(self._file.close)
            self._pool.shutdown(wait=False)

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error
        raise OSError("the picture was closed while it was read")

    def _decode_band(self, pixels: np.ndarray) -> None:
        if self._error is not None or self._closed:
            self._raise()
        try:
            first, rows = self._rows, min(self._band, self._header.height - self._rows)
            data = self._next()
            if len(data) < rows * self._row_bytes:
                raise png.Damaged("the picture data ends before the picture does")
            self._unfilter(pixels, first, rows, data)
            if first + rows == self._header.height:
                self._pool.submit(self._parts.finish).result()
                self._pool.shutdown()
                self._file.close()
        except BaseException as error:
            self._error = error
            raise
        self._rows = first + rows

    def _next(self) -> bytes:
        """Return the filtered rows of the next band, and have those after it inflated meanwhile."""
        bands = -(-self._header.height // self._band)
        while self._asked < bands and len(self._coming) <= _AHEAD:
            rows = min(self._band, self._header.height - self._asked * self._band)
            self._coming.append(self._pool.submit(self._parts.take, rows * self._row_bytes))
            self._asked += 1
        return self._coming.pop(0).result()

    def _unfilter(self, pixels: np.ndarray, first: int, rows: int, data: bytes) -> None:
        imagecodecs = _imagecodecs()
        above = first > 0  # the filter needs the row above: it goes along, unfiltered, and comes out as it was
        if above:
            row = pixels[first - 1]
            data = b"\0" + (row.byteswap() if row.itemsize == 2 else row).tobytes() + data
        target = pixels[first - above : first + rows]
        size = struct.pack(">II", self._header.width, rows + above)
        kind = bytes([self._header.depth, self._header.color, 0, 0, 0])
        parts = [png.SIGNATURE, png.chunk(b"IHDR", size + kind), png.chunk(b"IDAT", zlib.compress(data, 0)), _END]
        try:
            imagecodecs.png_decode(b"".join(parts), out=target)
        except RuntimeError as error:
            raise png.Damaged(str(error)) from error


class _Inflated:
    """The picture data of an open PNG file, inflated piece by piece. For one thread; others may set `stopped`."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._inflate = zlib.decompressobj()
        self._raw = b""  # of the file, from the beginning of a chunk
        self._at = 0
        self._ended = False
        self.stopped = False

    def take(self, size: int) -> bytes:
        """Return so many more bytes, fewer at the end."""
        parts, have = [], 0
        while have < size and not self._inflate.eof and not self.stopped:
            data = self._inflate.unconsumed_tail or self._deflated()
            if not data and self._ended:
                break
            part = self._inflate.decompress(data, size - have)
            parts.append(part)
            have += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def finish(self) -> None:
        """Raise Damaged or zlib.error when what comes behind the last row is wrong: checksum, end mark."""
        while not self._inflate.eof:
            data = self._inflate.unconsumed_tail or self._deflated()
            if not data and self._ended:
                raise png.Damaged("the picture data has no end")
            self._inflate.decompress(data, _READ)

    def _deflated(self) -> bytes:
        """Return the contents of the next picture data chunks, about a megabyte of them, checked."""
        parts, have = [], 0
        while have < _READ and not self._ended:
            size, kind = struct.unpack(">I4s", self._bytes(8))
            content = self._bytes(size)
            if zlib.crc32(content, zlib.crc32(kind)) != struct.unpack(">I", self._bytes(4))[0]:
                raise png.Damaged(f"the checksum of the {kind.decode('latin-1')} part is wrong")
            if kind == b"IDAT":
                parts.append(content)
                have += size
            self._ended = kind == b"IEND"
        return b"".join(parts)

    def _bytes(self, size: int) -> memoryview:
        """Return the next bytes of the file, read in big pieces: most chunks are small."""
        if self._at + size > len(self._raw):
            self._raw = self._raw[self._at :] + self._file.read(max(size, _READ))
            self._at = 0
            if size > len(self._raw):
                raise png.Damaged("the file ends before the picture does")
        self._at += size
        return memoryview(self._raw)[self._at - size : self._at]


def _imagecodecs() -> Any:
    import imagecodecs

    return imagecodecs
