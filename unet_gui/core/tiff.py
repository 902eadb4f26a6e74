"""Pages of a TIFF file, region by region: only the tiles or strips that a region touches are read and decoded."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import struct
import threading
from array import array
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from unet_gui.core.color_space import JPEG, space_of
from unet_gui.core.errors import ImageError
from unet_gui.core.geometry import Rect
from unet_gui.core.headers import check_size, must_be_file, open_error, print_free

CACHE_BYTES = 64 * 2**20
"""Decoded tiles or strips kept per open page."""

LONG = 16
"""Pages from which on it is remembered where they are in the file."""
REMEMBERED = 64
"""Files of which that is remembered."""

_DAMAGED = "is damaged or cut off."
_AGAIN = "Copy it again from where it came from."
_MOST_TAGS = 4096  # tifffile's own bound
_TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_MICRONS = {"nm": 1e-3, "um": 1.0, "µm": 1.0, "μm": 1.0, "micron": 1.0, "microns": 1.0, "\\u00b5m": 1.0, "mm": 1e3}


def _alike(x: float, y: float) -> bool:
    """Whether a pixel is as high as it is wide: areas and lengths are measured with one size."""
    return abs(x - y) <= 0.01 * abs(x)


@functools.cache
def _tifffile() -> Any:
    """Import tifffile when the first TIFF comes; what it would log reaches the person as an `ImageError`."""
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)
    return tifffile


def broken() -> tuple[type[Exception], ...]:
    """Return what the parser and the decoders raise on damaged files."""
    return (
        *(_tifffile().TiffFileError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError),
        *(RuntimeError, AssertionError, EOFError, MemoryError, struct.error),
    )


@contextlib.contextmanager
def in_words(path: str | os.PathLike[str], message: str = _DAMAGED) -> Iterator[None]:
    """Turn whatever a damaged file sets off into an `ImageError`."""
    try:
        yield
    except OSError as error:
        raise open_error(path, error) from error
    except broken() as error:
        raise ImageError(message, path, _AGAIN, repr(error)) from error


class _Places(NamedTuple):
    """Where the pictures of a file are.

    Attributes
    ----------
    where : array of int
        Their directories: byte in the file, or number where tifffile has an understanding of its own of them.
    numbers : bool
        Which of both.
    planes : int
        How many pictures follow a single directory, else 0.
    """

    where: array[int]
    numbers: bool = False
    planes: int = 0


_Key = tuple[str, int, int, int]
_places: OrderedDict[_Key, _Places] = OrderedDict()
_places_lock = threading.Lock()


def _remembered(key: _Key) -> _Places | None:
    """Return what is known of a file as it is now: to find the places takes a walk along all pages.

    No file stays open for that: labels are replaced meanwhile, and Windows does not replace an open file.
    """
    with _places_lock:
        if key in _places:
            _places.move_to_end(key)
        return _places.get(key)


def _remember(key: _Key, places: _Places) -> None:
    with _places_lock:
        _places[key] = places
        while len(_places) > REMEMBERED:
            _places.popitem(last=False)


class TiffPages:
    """An open TIFF file.

    Parameters
    ----------
    path : str or os.PathLike
        The file.

    Attributes
    ----------
    count : int
        Number of pages. Each image file directory is a page; a single directory followed by the raw planes of a
        whole stack (ImageJ, above 4 GiB) counts each plane.

    Raises
    ------
    ImageError
        The file is missing, not readable or not a TIFF file that can be understood.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path
        tifffile = _tifffile()
        with in_words(path):
            must_be_file(path)
            self._tif = tifffile.TiffFile(path)
            self._tif.filehandle.set_lock(True)  # without, its own lock does nothing
        try:
            with in_words(path):
                self._places = self._find_places()
        except ImageError:
            self._tif.close()
            raise
        self.count = self._places.planes or len(self._places.where)

    def _find_places(self) -> _Places:
        stat = os.fstat(self._tif.filehandle.fileno())
        key = (os.path.abspath(self.path), stat.st_ino, stat.st_mtime_ns, stat.st_size)
        places = _remembered(key)
        if places is None:
            places = self._look_for_places()
            if len(places.where) >= LONG:
                _remember(key, places)
        return places

    def _look_for_places(self) -> _Places:
        """Return where the pictures are; smaller copies of a picture, which viewers use, are none."""
        tif = self._tif
        numbers = bool(tif.is_lsm or tif.is_ndpi or (tif.is_scanimage and not tif.is_bigtiff))
        where = array("Q", range(len(tif.pages))) if numbers else self._walk()
        if not where:
            raise ImageError("holds no picture.", self.path, _AGAIN)
        if len(where) == 1 and tif.is_imagej:
            stack = tif.series[0]
            planes = int(np.prod(stack.shape)) // max(1, int(np.prod(tif.pages[0].shape)))
            if planes > 1 and stack.dataoffset is not None:
                return _Places(where, numbers, planes)
        ends = where[1:2] + where[-1:] if len(where) > 1 else ()  # to look at all takes long
        if any(self._at(place, numbers).is_reduced for place in ends):
            full = array("Q", (place for place in where if not self._at(place, numbers).is_reduced))
            where = full or where[:1]
        return _Places(where, numbers)

    def _walk(self) -> array[int]:
        """Return where the directories are, as far as they lead from one to the next."""
        form, file = self._tif.tiff, self._tif.filehandle
        file.seek(form.offsetsize)
        found: dict[int, None] = {}
        (place,) = struct.unpack(form.offsetformat, file.read(form.offsetsize))
        while 0 < place < file.size and place not in found:
            file.seek(place)
            head = file.read(form.tagnosize)
            count = struct.unpack(form.tagnoformat, head)[0] if len(head) == form.tagnosize else _MOST_TAGS + 1
            if count > _MOST_TAGS:
                break
            found[place] = None
            file.seek(place + form.tagnosize + count * form.tagsize)
            follows = file.read(form.offsetsize)
            if len(follows) < form.offsetsize:
                break
            (place,) = struct.unpack(form.offsetformat, follows)
        return array("Q", found)

    def _at(self, place: int, numbers: bool) -> Any:
        """Return what tifffile makes of a directory."""
        if numbers:
            return self._tif.pages[place]
        file = self._tif.filehandle
        with file.lock:
            file.seek(place)
            return _tifffile().TiffPage(self._tif, index=int(place != self._tif.pages[0].offset))

    def page(self, index: int) -> TiffPage:
        """Return one page.

        Raises
        ------
        ImageError
            There is no such page, it is cut off, too large, or of a kind that cannot be shown.
        """
        if not 0 <= index < self.count:
            raise ImageError(f"has no page {index + 1}, only {self.count}.", self.path, "Was the file replaced?")
        with in_words(self.path):
            index, plane = (0, index) if self._places.planes else (index, 0)
            page = self._at(self._places.where[index], self._places.numbers)
            self._check_directory(int(page.offset))
            return TiffPage(self, page, plane)

    def _check_directory(self, offset: int) -> None:
        """Refuse a page whose directory is cut off: tifffile leaves out such entries and decodes nonsense."""
        if self._tif.is_ndpi:  # has a directory of its own kind
            return
        form, file = self._tif.tiff, self._tif.filehandle
        with file.lock:
            file.seek(offset)
            (count,) = struct.unpack(form.tagnoformat, file.read(form.tagnosize))
            table = file.read(count * form.tagsize + form.offsetsize)
        end = offset + form.tagnosize + count * form.tagsize + form.offsetsize
        for i in range(count if len(table) == count * form.tagsize + form.offsetsize else 0):
            entry = table[i * form.tagsize : (i + 1) * form.tagsize]
            kind, number = struct.unpack(form.tagformat2[0] + "2xH" + form.tagformat2[1], entry[: -form.offsetsize])
            size = _TYPE_SIZES.get(kind, 1) * number
            if size > form.offsetsize:
                end = max(end, struct.unpack(form.offsetformat, entry[-form.offsetsize :])[0] + size)
        if end > file.size:
            raise ValueError(f"the directory needs {end} bytes, the file has {file.size}")

    def axes(self) -> tuple[tuple[str, int], ...]:
        """Return what the pages go along (C, Z, T) and how far, the slowest first; () when the file does not say."""
        try:
            stack = self._tif.series[0] if self._tif.is_imagej or self._tif.is_ome else None
            if stack is None or (self._tif.is_ome and [page.index for page in stack] != list(range(len(stack)))):
                return ()
            return tuple((axis, int(n)) for axis, n in zip(stack.axes, stack.shape, strict=True) if axis not in "YXS")
        except broken():
            return ()

    def pixel_size(self) -> float | None:
        """Return the size of a pixel in µm from the OME, ImageJ or resolution entries, None when unknown."""
        try:
            return self._ome_size() or self._resolution_size()
        except (ValueError, KeyError, TypeError, ZeroDivisionError, IndexError, AttributeError):
            return None  # an entry that cannot be understood is as good as none

    def _ome_size(self) -> float | None:
        if not self._tif.is_ome:
            return None
        from xml.etree import ElementTree

        try:
            root = ElementTree.fromstring(self._tif.ome_metadata)
        except ElementTree.ParseError:
            return None
        pixels = root.find(".//{*}Pixels")
        if pixels is None or "PhysicalSizeX" not in pixels.attrib:
            return None
        sizes = []
        for axis in ("X", "Y" if "PhysicalSizeY" in pixels.attrib else "X"):
            unit = pixels.attrib.get(f"PhysicalSize{axis}Unit", "µm").lower()
            sizes.append(float(pixels.attrib[f"PhysicalSize{axis}"]) * _MICRONS[unit])
        return sizes[0] if _alike(*sizes) else None

    def _resolution_size(self) -> float | None:
        tags = self._tif.pages[0].tags
        if "XResolution" not in tags:
            return None
        top, bottom = tags["XResolution"].value
        if not top or not bottom:
            return None
        size = bottom / top  # one over pixels per unit
        if "YResolution" in tags:
            above, below = tags["YResolution"].value
            if above and not _alike(size, below / above):
                return None
        imagej = self._tif.imagej_metadata
        unit = str((imagej or {}).get("unit")).lower()  # Fiji writes \\u00B5m
        if unit in _MICRONS:
            return size * _MICRONS[unit]
        kind = int(tags["ResolutionUnit"].value) if "ResolutionUnit" in tags else 2
        return print_free(size * {2: 25400.0, 3: 10000.0}.get(kind, 0.0))

    def close(self) -> None:
        """Close the file."""
        self._tif.close()


class TiffPage:
    """One page of a TIFF file.

    Attributes
    ----------
    height, width, channels : int
        Size; colours that are stored plane by plane count as channels.
    dtype : numpy.dtype
        As stored, in the machine's byte order; bilevel pages are uint8 with 0 and 255.
    bilevel : bool
        One bit a pixel.
    cached_bytes : int
        Size of the decoded tiles or strips that are kept.
    """

    def __init__(self, pages: TiffPages, page: Any, plane: int) -> None:
        self._pages, self._page, self._plane = pages, page, plane
        self._key = key = page.keyframe
        self.path = pages.path
        self.height, self.width = int(key.imagelength), int(key.imagewidth)
        self.channels, self._photometric = int(key.samplesperpixel), int(key.photometric)
        check_size(self.path, self.width, self.height)
        if key.imagedepth != 1:
            raise ImageError("is a volume in one page.", self.path, "Save it as a stack of pages.")
        if key.dtype is None or key.dtype.kind not in "buif":
            raise ImageError("holds numbers of a kind that cannot be shown.", self.path, "Save it as 8 or 16 bit.")
        self.bilevel = key.dtype.kind == "b"
        self.dtype = np.dtype(np.uint8) if self.bilevel else key.dtype.newbyteorder("=")
        self._cache: OrderedDict[int, np.ndarray] = OrderedDict()
        self.cached_bytes = 0
        self._lock = threading.Lock()
        self._decode_args: dict[str, Any] = {"_fullsize": bool(key.is_tiled)}
        if int(key.compression) in JPEG:
            self._decode_args |= {"jpegtables": page.jpegtables, "jpegheader": key.jpegheader}
        self._raw_offset = self._find_raw()
        self._check_whole()

    @property
    def white_is_zero(self) -> bool:
        """Whether small numbers mean bright (the page is shown inverted by other programs)."""
        return self._photometric == 0 and self.dtype.kind == "u"

    @property
    def colormap(self) -> np.ndarray | None:
        """Colours of a palette page as uint8 (n, 3), None for other pages."""
        if self._photometric != 3 or self._key.colormap is None:
            return None
        with in_words(self.path):
            table = np.asarray(self._key.colormap)
            if table.ndim != 2 or len(table) != 3:
                raise ImageError("has a damaged table of colours.", self.path, _AGAIN)
            deep = table.max(initial=0) > 255  # some programs write 8 bits where there should be 16
            return np.ascontiguousarray((table.T >> 8 if deep else table.T).astype(np.uint8))

    @property
    def color_space(self) -> str:
        """``cmyk``, ``ycbcr`` … where `read` returns what is shown in other colours; see `color_space.to_rgb`."""
        return space_of(self._key)

    @property
    def description(self) -> str:
        """The text stored with the page, "" when there is none."""
        tag = self._page.aspage().tags.get(270)
        return tag.value if tag is not None and isinstance(tag.value, str) else ""

    @property
    def in_rows(self) -> bool:
        """Whether the file holds whole rows, not tiles."""
        return not self._key.is_tiled

    def read(self, rect: Rect) -> np.ndarray:
        """Return the pixels of a region inside the page.

        Returns
        -------
        numpy.ndarray
            (h, w) or (h, w, channels) in `dtype`, C-contiguous, newly made.

        Raises
        ------
        ImageError
            The region's data cannot be read or decoded.
        """
        with in_words(self.path, "has a damaged part or an unknown kind of compression."):
            out = self._read_raw(rect) if self._raw_offset is not None else self._read_segments(rect)
        return out[..., 0] if self.channels == 1 else out

    # ------------------------------------------------------------------ plain rows

    def _find_raw(self) -> int | None:
        """Return where the pixels begin when they lie row by row, uncompressed, in one piece."""
        key, page = self._key, self._page
        bits = key.dtype.itemsize * 8
        planar = int(key.planarconfig) == 2 and self.channels > 1
        if self._pages._places.planes:
            return int(self._pages._tif.series[0].dataoffset) + self._plane * self._row_bytes() * self.height
        simple = int(key.compression) == 1 and int(key.predictor) == 1 and int(key.fillorder) == 1
        if self.bilevel or planar or key.is_tiled or not simple or key.bitspersample != bits or key.is_subsampled:
            return None
        offsets, counts = page.dataoffsets, page.databytecounts
        if any(a + n != b for a, n, b in zip(offsets, counts, offsets[1:], strict=False)):
            return None
        return int(offsets[0]) if sum(counts) >= self._row_bytes() * self.height else None

    def _row_bytes(self) -> int:
        return self.width * self.channels * self._key.dtype.itemsize

    def _read_raw(self, rect: Rect) -> np.ndarray:
        stored = self._key.dtype.newbyteorder(self._pages._tif.byteorder)
        pixel, row = self.channels * stored.itemsize, self._row_bytes()
        out = np.empty((rect.h, rect.w, self.channels), stored)
        start = (self._raw_offset or 0) + rect.y * row
        file = self._pages._tif.filehandle
        with file.lock:
            if rect.w * 4 >= self.width:
                file.seek(start)
                rows = np.empty((rect.h, self.width, self.channels), stored)
                self._fill(file, rows)
                out = rows[:, rect.x : rect.x1]
            else:
                for y in range(rect.h):
                    file.seek(start + y * row + rect.x * pixel)
                    self._fill(file, out[y])
        return np.ascontiguousarray(out, self.dtype)

    @staticmethod
    def _fill(file: Any, target: np.ndarray) -> None:
        if file.readinto(target.data.cast("B")) != target.nbytes:
            raise ValueError("the file ends before the picture does")

    # ------------------------------------------------------------------ tiles and strips

    def _read_segments(self, rect: Rect) -> np.ndarray:
        key = self._key
        across, down = -(-self.width // self._seg_w), -(-self.height // self._seg_h)
        planes = self.channels if int(key.planarconfig) == 2 and self.channels > 1 else 1
        out = np.zeros((rect.h, rect.w, self.channels), self.dtype)
        for plane in range(planes):
            for row in range(rect.y // self._seg_h, min(down, (rect.y1 - 1) // self._seg_h + 1)):
                for col in range(rect.x // self._seg_w, min(across, (rect.x1 - 1) // self._seg_w + 1)):
                    part = self._segment((plane * down + row) * across + col)
                    if part is None:
                        continue
                    place = Rect(col * self._seg_w, row * self._seg_h, part.shape[1], part.shape[0])
                    both = place.intersect(rect)
                    target = out[both.shift(-rect.x, -rect.y).slices]
                    target[..., plane if planes > 1 else slice(None)] = part[both.shift(-place.x, -place.y).slices][
                        ..., 0 if planes > 1 else slice(None)
                    ]
        return out

    @property
    def _seg_w(self) -> int:
        return int(self._key.tilewidth) if self._key.is_tiled else self.width

    @property
    def _seg_h(self) -> int:
        if self._key.is_tiled:
            return int(self._key.tilelength)
        return max(1, min(int(self._key.rowsperstrip), self.height))

    def _segment(self, index: int) -> np.ndarray | None:
        """Return one decoded tile or strip (h, w, samples), None for one that was left out of the file."""
        with self._lock:
            if index in self._cache:
                self._cache.move_to_end(index)
                return self._cache[index]
        offset, count = self._page.dataoffsets[index], self._page.databytecounts[index]
        if count == 0 or offset == 0:
            return None
        file = self._pages._tif.filehandle
        with file.lock:
            file.seek(offset)
            data = file.read(count)
        decoded = self._key.decode(data, index, **self._decode_args)[0]
        if decoded is None:
            return None
        part = decoded[0]
        part = part.astype(np.uint8) * np.uint8(255) if self.bilevel else part.astype(self.dtype, copy=False)
        self._keep(index, part)
        return part

    def _keep(self, index: int, part: np.ndarray) -> None:
        with self._lock:
            if index in self._cache:
                return
            self._cache[index] = part
            self.cached_bytes += part.nbytes
            while self.cached_bytes > CACHE_BYTES and len(self._cache) > 1:
                self.cached_bytes -= self._cache.popitem(last=False)[1].nbytes

    def _check_whole(self) -> None:
        size = self._pages._tif.filehandle.size
        if self._raw_offset is not None:
            end = self._raw_offset + self._row_bytes() * self.height
        else:
            expected = -(-self.width // self._seg_w) * -(-self.height // self._seg_h)
            if len(self._page.dataoffsets) < expected or not any(self._page.databytecounts):
                raise ImageError(_DAMAGED, self.path, _AGAIN, "the list of tiles or strips is too short")
            end = max(a + n for a, n in zip(self._page.dataoffsets, self._page.databytecounts, strict=False))
        if end > size:
            raise ImageError(_DAMAGED, self.path, _AGAIN, f"{end} bytes are needed, the file has {size}")
