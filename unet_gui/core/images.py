"""Images: reading any region of any supported file at any zoom level. Nothing here ever writes.

The content of a file decides what it is, its suffix does not. Pixels come as stored: EXIF orientation is ignored
for images and labels alike (a label belongs to the pixels in the file, not to how a viewer would turn them), and
a grey picture that was saved with equal colour channels keeps them (`effective_channels` tells).
"""

from __future__ import annotations

import contextlib
import os
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from unet_gui.core import png
from unet_gui.core.color_space import CHANNELS, to_rgb
from unet_gui.core.cv import MAX_PIXELS, cv2
from unet_gui.core.display import auto_window, first_window, thumbnail_of, to_display
from unet_gui.core.errors import ImageError
from unet_gui.core.geometry import Rect
from unet_gui.core.headers import open_error, read_bytes, read_size
from unet_gui.core.levels import LevelCache, level_count, level_shape
from unet_gui.core.listing import IMAGE_SUFFIXES, LABEL_FOLDERS, TIFF_SUFFIXES, list_images, natural_key
from unet_gui.core.png_stream import FROM_PIXELS, PngStream, can_stream
from unet_gui.core.tiff import TiffPage, TiffPages

__all__ = [
    "IMAGE_SUFFIXES",
    "LABEL_FOLDERS",
    "MAX_PIXELS",
    "ImageInfo",
    "ImageRef",
    "ImageSource",
    "auto_window",
    "channels_beyond",
    "decode",
    "effective_channels",
    "first_window",
    "image_info",
    "list_images",
    "natural_key",
    "open_image",
    "thumbnail",
    "to_display",
]

_AGAIN = "Copy it again from where it came from."


class ImageRef(NamedTuple):
    """One image of a dataset.

    Attributes
    ----------
    rel : str
        Path relative to the image root, with forward slashes.
    page : int or None
        Page of a multi-page TIFF, counted from 0; None for an ordinary file.
    """

    rel: str
    page: int | None = None

    @property
    def key(self) -> str:
        """One string for both: ``a/b.png`` or ``stack.tif#3``."""
        return self.rel if self.page is None else f"{self.rel}#{self.page}"

    @classmethod
    def parse(cls, key: str) -> ImageRef:
        """Return the reference that `key` was made from. A ``#`` counts as a page only behind a TIFF suffix."""
        rel, mark, page = key.rpartition("#")
        if mark and page.isascii() and page.isdigit() and os.path.splitext(rel)[1].lower() in TIFF_SUFFIXES:
            return cls(rel, int(page))
        return cls(key)


@dataclass(frozen=True)
class ImageInfo:
    """What a file's header says.

    Attributes
    ----------
    height, width, channels : int
        Size of a page; grey with transparency counts as four channels, as it is decoded.
    dtype : str
        Name of the numpy type of the pixels, e.g. ``uint8``.
    pages : int
        Number of pages, 1 for anything but a multi-page TIFF.
    pixel_size : float or None
        Width of a pixel in µm, None where the file gives only a print resolution or nothing.
    """

    height: int
    width: int
    channels: int
    dtype: str
    pages: int = 1
    pixel_size: float | None = None


def image_info(path: str | os.PathLike[str]) -> ImageInfo:
    """Return size, type and number of pages from the header, without decoding.

    Raises
    ------
    ImageError
        The file is missing, not readable, not a supported picture, or claims an impossible size.
    """
    size = read_size(path)
    if size.kind != "tiff":
        return ImageInfo(size.height, size.width, size.channels, f"uint{size.bits}", 1, size.pixel_size)
    pages = TiffPages(path)
    try:
        return _tiff_info(pages, pages.page(0))
    finally:
        pages.close()


def _tiff_info(pages: TiffPages, page: TiffPage) -> ImageInfo:
    channels = 3 if page.colormap is not None else CHANNELS.get(page.color_space, page.channels)
    dtype = "uint8" if page.colormap is not None else page.dtype.name
    return ImageInfo(page.height, page.width, channels, dtype, pages.count, pages.pixel_size())


class ImageSource:
    """One open image: any region at any level, read when asked for. Use as a context manager; safe in threads.

    Made by `open_image`.

    Attributes
    ----------
    path : pathlib.Path
        The file.
    page : int
        Page of the file.
    info : ImageInfo
        What the header says.
    levels : int
        Number of levels: level n has ``ceil(size / 2**n)`` pixels; the last one fits in 256 × 256.
    """

    def __init__(
        self, path: Path, page: int, info: ImageInfo, read: Callable[[Rect], np.ndarray], *, in_rows: bool = False
    ) -> None:
        self.path, self.page, self.info = path, page, info
        self.levels = level_count((info.height, info.width))
        self._levels = LevelCache((info.height, info.width), read, in_rows=in_rows)
        self._closers: list[Callable[[], None]] = []

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width at level 0."""
        return self.info.height, self.info.width

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.info.channels

    @property
    def dtype(self) -> np.dtype:
        """Type of the pixels."""
        return np.dtype(self.info.dtype)

    def level_shape(self, level: int) -> tuple[int, int]:
        """Height and width at this level."""
        return level_shape(self.shape, level)

    def read(self, rect: Rect | None = None, level: int = 0) -> np.ndarray:
        """Return a region.

        Parameters
        ----------
        rect : Rect, optional
            In pixels of that level; cut to the image. Without it, all.
        level : int
            0 is the image itself, each level half as wide and high (area average, sizes rounded up).

        Returns
        -------
        numpy.ndarray
            (h, w) or (h, w, c), channels in RGB(A) order, stored type, C-contiguous.

        Raises
        ------
        ImageError
            The pixels cannot be read or decoded.
        """
        shape = self.level_shape(level)
        rect = Rect(0, 0, shape[1], shape[0]) if rect is None else rect.clip(shape)
        if rect.empty:
            return np.zeros((0, 0) if self.channels == 1 else (0, 0, self.channels), self.dtype)
        return self._levels.read(rect, level)

    def prepare(self, rect: Rect, level: int) -> Iterator[tuple[Rect, int]]:
        """Make ready what `read` needs for a region of a coarse level, in portions that can be looked at meanwhile.

        Parameters
        ----------
        rect : Rect
            In pixels of that level; cut to the image.
        level : int
            Nothing is yielded for a level that is made directly from the image when it is read.

        Yields
        ------
        rect, level
            A region that has just been made, and the level it is in; reading that is quick now. Portions that
            another thread makes at the same time are yielded there.

        Raises
        ------
        ImageError
            The pixels cannot be read or decoded.
        """
        yield from self._levels.prepare(rect.clip(self.level_shape(level)), level)

    def close(self) -> None:
        """Close the file and drop what was decoded."""
        while self._closers:
            self._closers.pop()()

    def __enter__(self) -> ImageSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_image(path: str | os.PathLike[str], page: int = 0) -> ImageSource:
    """Open one image.

    TIFF regions are read tile by tile, big PNG files are decoded row by row as far as somebody looks, other files
    whole at the first read; what is decoded of these is kept until `close`.

    Raises
    ------
    ImageError
        The file is missing, not readable, not a supported picture, cut off, or has no such page.
    """
    path = Path(path)
    size = read_size(path)
    if size.kind == "tiff":
        return _open_tiff(path, page)
    if page != 0:
        raise ImageError(f"has no page {page + 1}, only 1.", path, "Was the file replaced?")
    info = ImageInfo(size.height, size.width, size.channels, f"uint{size.bits}", 1, size.pixel_size)
    whole = _Decoded(path, info)
    source = ImageSource(path, page, info, whole.read, in_rows=True)
    source._closers.append(whole.drop)
    return source


class _Decoded:
    """A picture decoded at the first read, a big PNG row by row."""

    def __init__(self, path: Path, info: ImageInfo) -> None:
        self._path, self._info = path, info
        self._lock = threading.Lock()
        self._array: np.ndarray | None = None
        self._stream: PngStream | None = None

    def read(self, rect: Rect) -> np.ndarray:
        with self._lock:
            if self._array is None and self._stream is None:
                self._begin()
            array, stream = self._array, self._stream
        if stream is not None:
            with _whole(self._path):
                return stream.read(rect)
        assert array is not None
        return array[rect.slices].copy(order="C")

    def drop(self) -> None:
        self._array = None
        if self._stream is not None:
            self._stream.close()  # and stays, so that a late reader hears of it

    def _begin(self) -> None:
        info = self._info
        if info.height * info.width >= FROM_PIXELS:
            with _whole(self._path), open(self._path, "rb") as file:
                head = file.read(29)
                if head[:8] == png.SIGNATURE and can_stream(png.read_header(head), info.channels):
                    self._check(png.read_header(head)[1::-1])
                    self._stream = PngStream(self._path)
                    return
        array = decode(read_bytes(self._path), self._path)
        self._check(array.shape[:2])
        self._array = _with_channels(array, info.channels)

    def _check(self, shape: tuple[int, ...]) -> None:
        if shape != (self._info.height, self._info.width):
            raise ImageError("changed while it was open.", self._path, "Open it again.")


@contextlib.contextmanager
def _whole(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn what decoding sets off into an `ImageError`."""
    try:
        yield
    except OSError as error:
        raise open_error(path, error) from error
    except (png.Damaged, zlib.error, struct.error) as error:
        raise ImageError("is damaged or cut off.", path, _AGAIN, str(error)) from error
    except MemoryError as error:
        raise ImageError(
            "does not fit into memory.", path, "Close other programs, or save it as tiled TIFF."
        ) from error


def _with_channels(array: np.ndarray, channels: int) -> np.ndarray:
    """Return the decoder's array with the number of channels that the header promised."""
    have = 1 if array.ndim == 2 else array.shape[2]
    if have == channels:
        return array
    grey = array if have == 1 else array[..., 0]
    if channels == 1:
        return np.ascontiguousarray(grey)
    colors = np.dstack([grey] * 3) if have < 3 else array[..., :3]
    if channels == 3:
        return np.ascontiguousarray(colors)
    opaque = np.full((*array.shape[:2], 1), np.iinfo(array.dtype).max, array.dtype)
    return np.concatenate([colors, opaque], axis=2)


def _open_tiff(path: Path, page: int) -> ImageSource:
    pages = TiffPages(path)
    try:
        plane = pages.page(page)
        info = _tiff_info(pages, plane)
    except ImageError:
        pages.close()
        raise
    colormap, space, inverted = plane.colormap, plane.color_space, plane.white_is_zero

    def read(rect: Rect) -> np.ndarray:
        array = plane.read(rect)
        if colormap is not None:
            return colormap.take(array, axis=0, mode="clip")
        if space:
            return to_rgb(array, space)
        return np.bitwise_not(array, out=array) if inverted else array

    source = ImageSource(path, page, info, read, in_rows=plane.in_rows)
    source._closers.append(pages.close)
    return source


def decode(data: bytes, path: str | os.PathLike[str], flags: int = cv2.IMREAD_UNCHANGED) -> np.ndarray:
    """Decode a whole PNG, JPEG, BMP or WebP file that is already in memory.

    Parameters
    ----------
    data : bytes
        The file's content.
    path : str or os.PathLike
        Named in the error.
    flags : int
        OpenCV's, to decode a JPEG at a fraction of its size.

    Returns
    -------
    numpy.ndarray
        uint8 or uint16 (h, w), (h, w, 3) or (h, w, 4), channels in RGB(A) order.

    Raises
    ------
    ImageError
        The file is cut off or damaged. A half-decoded picture is never returned.
    """
    with _whole(path):
        _check_whole(data)
        try:
            array = cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
        except cv2.error as error:
            raise png.Damaged(str(error)) from error
    if array is None:
        raise ImageError("is damaged or cut off.", path, _AGAIN, "the decoder gave up")
    if array.ndim == 3:
        cv2.cvtColor(array, cv2.COLOR_BGR2RGB if array.shape[2] == 3 else cv2.COLOR_BGRA2RGBA, dst=array)
    return array


def _check_whole(data: bytes) -> None:
    """Raise Damaged when the file ends before the picture does: decoders may fill the rest with grey."""
    if data[:8] == png.SIGNATURE:
        png.verify(data)
    elif data[:3] == b"\xff\xd8\xff":
        start = data.find(b"\xff\xda")  # of the scan; an embedded preview ends before it
        if start < 0 or data.rfind(b"\xff\xd9") < start:
            raise png.Damaged("the end mark is missing")
    elif data[:2] == b"BM":
        _check_bmp(data)
    elif data[:4] == b"RIFF" and int.from_bytes(data[4:8], "little") + 8 > len(data):
        raise png.Damaged("the file is shorter than its header says")


def _check_bmp(data: bytes) -> None:
    offset, header = struct.unpack_from("<II", data, 10)
    width, height, _, bits = struct.unpack_from("<HHHH" if header == 12 else "<iiHH", data, 18)
    if header == 12 or data[30:34] == b"\0\0\0\0":  # not run-length coded
        rows = (width * bits + 31) // 32 * 4 * abs(height)
        if offset + rows > len(data):
            raise png.Damaged("the file ends before the picture does")


def effective_channels(array: np.ndarray) -> int:
    """Return how many channels carry information.

    Parameters
    ----------
    array : numpy.ndarray
        (h, w) or (h, w, c), as `ImageSource.read` returns it; a part of the image or a small level is enough.

    Returns
    -------
    int
        1 when the colours are equal everywhere (a grey picture saved as colour), 3 when the fourth channel of an
        integer picture is the same everywhere (nothing is transparent), else the number of channels.
    """
    channels = 1 if array.ndim == 2 else array.shape[2]
    if channels not in (3, 4):
        return channels
    if channels == 4 and (array[..., 3] != array[:1, :1, 3]).any():
        return 4
    red = array[..., 0]
    return 1 if (red == array[..., 1]).all() and (red == array[..., 2]).all() else 3


def channels_beyond(channels: int, taken: int = 3) -> str:
    """Say what becomes of a picture's channels where there are more than four; "" where all are used.

    Parameters
    ----------
    channels : int
        Of the picture.
    taken : int
        How many a network takes; for grey three are weighed.
    """
    return f"Of {channels} channels the first {3 if taken == 1 else taken} are used." if channels > 4 else ""


def thumbnail(path: str | os.PathLike[str], page: int = 0, size: int = 96) -> np.ndarray:
    """Return a small picture for the list, with the contrast that the image shows with at first.

    Parameters
    ----------
    path, page
        The image.
    size : int
        Longest side in pixels.

    Returns
    -------
    numpy.ndarray
        uint8 (h, w, 3).

    Raises
    ------
    ImageError
        The image cannot be read.
    """
    small = _small_jpeg(path, size)
    if small is not None:
        return thumbnail_of(small, size)
    with open_image(path, page) as source:
        level = 0
        while max(source.level_shape(level + 1)) >= size and level + 1 < source.levels:
            level += 1
        return thumbnail_of(source.read(level=level), size)


def _small_jpeg(path: str | os.PathLike[str], size: int) -> np.ndarray | None:
    """Return a JPEG decoded at a fraction of its size (many times quicker), None for other and for small files."""
    header = read_size(path)
    longest = max(header.width, header.height)
    if header.kind != "jpeg" or header.bits != 8 or longest < 2 * size:
        return None
    reduced = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}
    return decode(read_bytes(path), path, next(reduced[n] for n in (8, 4, 2) if longest // n >= size))
