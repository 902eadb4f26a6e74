"""Labels of multi-page TIFF images: a multi-page TIFF, read and saved page by page.

A page that this program wrote is one deflated strip, and its description says whether the page holds class ids
(`MARKED`) or is written as its folder is (`PLAIN`), and in a second line what has made it, if it is a prediction.
Saving one page of a long stack is a copy of the file on disk plus one new strip at its end: memory holds one page,
never the stack.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import struct
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, Any

import numpy as np

from unet_gui.core import png
from unet_gui.core.atomic import atomic_path, write_error
from unet_gui.core.encoding import Encoding, fitting
from unet_gui.core.errors import ImageError, LabelError
from unet_gui.core.geometry import Rect
from unet_gui.core.headers import open_file
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.listing import TIFF_SUFFIXES
from unet_gui.core.tiff import TiffPages, broken

MARKED = "unet-gui-encoding=index"
PLAIN = "unet-gui-encoding=plain"
_DEFLATE = 8
_TURN = threading.Lock()
_IN_MEMORY = 2**24  # bytes that wait to be written; more wait in a file
_DEAD = 2**15  # bytes that are nobody's, which do not matter
_DIRECTORY = 400  # bytes about what a page takes beside its strip
_BIG = 2**31  # pixels in a file; from there on BigTIFF


def is_tiff(path: str | os.PathLike[str]) -> bool:
    """Whether the file begins like a TIFF; a file that cannot be read counts by its suffix."""
    try:
        with open_file(path) as file:
            return file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
    except OSError:
        return os.fspath(path).lower().endswith(TIFF_SUFFIXES)


def page_count(path: str | os.PathLike[str]) -> int:
    """Return the number of pages; raises ImageError."""
    pages = TiffPages(path)
    try:
        return pages.count
    finally:
        pages.close()


def read_page(path: str | os.PathLike[str], page: int) -> tuple[np.ndarray, png.Palette, bool]:
    """Return one page as it is stored.

    Parameters
    ----------
    path : str or os.PathLike
    page : int
        Counted from 0.

    Returns
    -------
    pixels : numpy.ndarray
        (h, w) or (h, w, c) in the file's type; of a palette picture the indices, of one bit black and white as shown.
    palette : tuple of (r, g, b)
        Empty where there is none.
    marked : bool
        The page says itself that its values are class ids.

    Raises
    ------
    ImageError
        The file or the page cannot be read.
    """
    pages = TiffPages(path)
    try:
        return read_open(pages, page)
    finally:
        pages.close()


def read_open(pages: TiffPages, index: int) -> tuple[np.ndarray, png.Palette, bool]:
    """Return what `read_page` does, of a file that is open already; raises ImageError."""
    page = pages.page(index)
    colormap = page.colormap
    palette = () if colormap is None else tuple((int(r), int(g), int(b)) for r, g, b in colormap[:256])
    pixels = page.read(Rect(0, 0, page.width, page.height))
    if page.bilevel and page.white_is_zero:  # black and white are what counts; other numbers mean themselves
        pixels = np.bitwise_not(pixels, out=pixels)
    return pixels, palette, _lines(page.description)[0] == MARKED


def describe(marked: bool, maker: str) -> str:
    """Return the description of a page; ``maker`` as for `store.write_label`."""
    return (MARKED if marked else PLAIN) + (f"\n{maker}" if maker else "")


def maker_of(path: str | os.PathLike[str], page: int) -> str:
    """Return what has made a page of predictions, "" where that is not said; raises ImageError."""
    pages = TiffPages(path)
    try:
        return _lines(pages.page(page).description)[1]
    finally:
        pages.close()


def _lines(description: str) -> tuple[str, str]:
    """Return how the ids of a page are written and what made it; both are empty in a file that is not of our making."""
    first, _, rest = description.strip().partition("\n")
    return (first, rest) if first in (MARKED, PLAIN) else ("", "")


def write_page(path: Path, ids: np.ndarray, encoding: Encoding, page: int, pages: int, maker: str = "") -> None:
    """Write one page of a stack of labels, making the stack with unlabelled pages when there is none.

    Parameters
    ----------
    path : Path
    ids : numpy.ndarray
        uint8 (h, w), class ids and 255.
    encoding : Encoding
    page, pages : int
        Which page, counted from 0, of how many.
    maker : str
        As for `store.write_label`.

    Raises
    ------
    LabelError
        The stack on disk has another number of pages or another size.
    UserError
        The file cannot be written.
    """
    with StackWriter() as writer:
        writer.put(path, ids, encoding, page, pages, maker)


class StackWriter:
    """Writes pages of a stack at once: each writing is a copy of the whole file, of thousands of pages perhaps.

    Until the end of the ``with`` the file stays as it was, then it is the new one, whole; after an exception it stays.
    What is to be written waits in a temporary file, so memory holds one page. Pages of another file end the first one.

    Parameters
    ----------
    anew : bool
        Begin every stack anew: pages that are not put are unlabelled, whatever the file on disk holds.
    """

    def __init__(self, anew: bool = False) -> None:
        self._anew = anew
        self._path: Path | None = None
        self._encoding: Encoding | None = None
        self._count = 0
        self._waiting: dict[int, _Waiting] = {}
        self._spool: IO[bytes] | None = None
        self._lost: OSError | None = None  # what waited is not all there: nothing of it is written

    def __enter__(self) -> StackWriter:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if kind is None:
                self.write()
        finally:
            self._forget()

    def put(self, path: Path, ids: np.ndarray, encoding: Encoding, page: int, pages: int, maker: str = "") -> None:
        """Have one page written.

        Raises
        ------
        LabelError
            It does not fit the stack on disk.
        UserError
            It cannot be kept until then.
        """
        if path != self._path:
            self.write()
            self._path, self._encoding, self._count = path, encoding, pages
        if self._anew or not path.exists():
            _check_page(path, page, pages)
        else:  # and closed again: meanwhile others may save, and Windows does not replace an open file
            with contextlib.closing(_open(path)) as old:
                _check(old, path, encoding, page, pages, ids.shape)
        _, raw, marked = fitting(ids, encoding)
        strip = _Strip.of(raw, marked, maker)
        try:
            if self._lost is not None:
                raise self._lost
            if self._spool is None:
                places = (os.fspath(folder) for folder in path.absolute().parents if folder.is_dir())
                near = next(places, None)  # the whole drive may be gone
                self._spool = SpooledTemporaryFile(_IN_MEMORY, dir=near)  # noqa: SIM115 - see `_forget`
            start = self._spool.seek(0, os.SEEK_END)
            self._spool.write(strip.data)
            self._waiting[page] = _Waiting(ids.shape, replace(strip, data=b""), start, len(strip.data))
        except OSError as error:
            self._lost = error
            raise write_error(path, error) from error

    def write(self) -> None:
        """Write what has been put, in one piece. Threads take turns: what another one wrote would be lost."""
        path = self._path
        try:
            if path is not None and self._lost is not None:
                raise write_error(path, self._lost)
            if path is not None and self._waiting:
                with _TURN:
                    if self._anew or not path.exists():
                        self._begin(path)
                    else:
                        self._replace(path)
        finally:
            self._forget()

    def _forget(self) -> None:
        spool = self._spool
        self._path, self._spool, self._waiting, self._lost = None, None, {}, None
        if spool is not None:
            with contextlib.suppress(OSError):  # what a full disk did not take is not wanted any more
                spool.close()

    def _strip(self, page: int) -> _Strip:
        waiting = self._waiting[page]
        assert self._spool is not None
        self._spool.seek(waiting.start)
        return replace(waiting.strip, data=self._spool.read(waiting.size))

    def _begin(self, path: Path) -> None:
        """Make the stack; the pages to come have the size of the first one and are unlabelled."""
        assert self._encoding is not None
        shape = next(iter(self._waiting.values())).shape
        _, raw, marked = fitting(np.full(shape, UNLABELLED, np.uint8), self._encoding)
        blank = _Strip.of(raw, marked)
        strips = (self._strip(i) if i in self._waiting else blank for i in range(self._count))
        with atomic_path(path) as temporary:
            _write_all(temporary, strips, self._count * shape[0] * shape[1])

    def _replace(self, path: Path) -> None:
        assert self._encoding is not None
        encoding = self._encoding
        with contextlib.closing(_open(path)) as old, atomic_path(path) as temporary:
            for page, waiting in self._waiting.items():  # another thread may have written since
                _check(old, path, encoding, page, self._count, waiting.shape)
            all_new = len(self._waiting) == old.count
            try:
                added = sum(waiting.size for waiting in self._waiting.values())
                patched = not all_new and _patch(path, temporary, self._waiting, self._strip, added)
                if not patched:
                    strips = (
                        self._strip(i) if i in self._waiting else _old_strip(old, i, encoding) for i in range(old.count)
                    )
                    height, width = next(iter(self._waiting.values())).shape
                    _write_all(temporary, strips, old.count * height * width)
            except ImageError as error:
                raise LabelError(error.message, path, error.hint, error.details) from error
            except broken() as error:
                hint = "Move it away, or restore it from a copy."
                raise LabelError("is damaged.", path, hint, repr(error)) from error
            old.close()  # Windows does not replace an open file


@dataclass(frozen=True)
class _Waiting:
    """A page that is to be written: the size of the label, the strip, and where its bytes wait."""

    shape: tuple[int, ...]
    strip: _Strip
    start: int
    size: int


def _open(path: Path) -> TiffPages:
    """Open a stack on disk; what is wrong with it is wrong with a label."""
    try:
        return TiffPages(path)
    except ImageError as error:
        raise LabelError(error.message, path, error.hint, error.details) from error


def _check(old: TiffPages, path: Path, encoding: Encoding, page: int, pages: int, size: tuple[int, ...]) -> None:
    """Refuse a page that does not belong into the stack on disk."""
    _check_page(path, page, old.count if pages == old.count else -1)
    try:
        shape = (old.page(page).height, old.page(page).width)
        fits = shape == size or is_blank(*read_open(old, page), encoding)
    except ImageError as error:
        raise LabelError(error.message, path, error.hint, error.details) from error
    if not fits:
        raise LabelError(f"page {page + 1} is {shape[1]} × {shape[0]} pixels.", path, "It is another image's label.")


def is_blank(raw: np.ndarray, palette: png.Palette, marked: bool, encoding: Encoding) -> bool:
    """Whether nothing is written on a page yet: it was made in the size of another one, its own image's may differ."""
    _, blank, blank_marked = fitting(np.full(raw.shape[:2], UNLABELLED, np.uint8), encoding)
    return marked == blank_marked and not palette and np.array_equal(raw, blank)


def _check_page(path: Path, page: int, pages: int) -> None:
    if not 0 <= page < pages:
        raise LabelError(
            "has another number of pages than its image.", path, "Was one of them replaced? Move the label away."
        )


@dataclass(frozen=True)
class _Strip:
    """One page, deflated."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    marked: bool
    maker: str
    data: bytes

    @classmethod
    def of(cls, raw: np.ndarray, marked: bool, maker: str = "") -> _Strip:
        values = np.ascontiguousarray(raw, raw.dtype.newbyteorder("<"))
        packer = png.ids_packer() if values.ndim == 2 and values.itemsize == 1 else zlib.compressobj(6)
        return cls(raw.shape, raw.dtype, marked, maker, packer.compress(values.data) + packer.flush())

    @property
    def description(self) -> str:
        return describe(self.marked, self.maker)


def _old_strip(pages: TiffPages, index: int, encoding: Encoding) -> _Strip:
    from unet_gui.core.raw_label import RawLabel, meaning_of

    raw, palette, marked = read_open(pages, index)
    if palette and raw.max(initial=0) >= len(palette):
        raise ImageError("holds an index without a colour.", pages.path)
    if palette:  # the page is written without it, so its pixels become what they mean
        raw = meaning_of(RawLabel(raw, palette, marked), encoding)[1]
    return _Strip.of(raw, marked, _lines(pages.page(index).description)[1])


def _write_all(path: Path, strips: Iterator[_Strip], pixels: int) -> None:
    import tifffile

    with tifffile.TiffWriter(path, bigtiff=pixels > _BIG, byteorder="<") as writer:
        for strip in strips:
            writer.write(
                iter([strip.data]),
                shape=strip.shape,
                dtype=strip.dtype,
                photometric="rgb" if len(strip.shape) == 3 else "minisblack",
                compression="adobe_deflate",
                rowsperstrip=strip.shape[0],
                description=strip.description,
                metadata=None,
                contiguous=False,
                software=False,
            )


def _patch(path: Path, temporary: Path, pages: Iterable[int], strip_of: Callable[[int], _Strip], added: int) -> bool:
    """Copy the file and give pages new strips of ``added`` bytes; False when it is not ours, or mostly dead strips."""
    import tifffile

    shutil.copyfile(path, temporary)
    with tifffile.TiffFile(temporary, mode="r+b") as tif:
        file = tif.filehandle
        if file.size // _step(file.size) != (file.size + added) // _step(file.size) and _is_mostly_dead(tif):
            return False
        for index in pages:
            strip, page = strip_of(index), tif.pages[index]
            file.seek(0, os.SEEK_END)
            if not _ours(page, strip) or file.tell() + len(strip.data) > 2**32 - 2**16:
                return False
            if file.tell() % 2:
                file.write(b"\0")
            offset = file.tell()
            file.write(strip.data)
            try:
                page.tags["StripOffsets"].overwrite(offset)
                page.tags["StripByteCounts"].overwrite(len(strip.data))
                page.tags["ImageDescription"].overwrite(strip.description)
            except (struct.error, ValueError):
                return False
    return True


def _step(size: int) -> int:
    """Return by how much a file may grow before its dead strips are counted, which takes long in a long stack."""
    return int(max(_DEAD, 2 ** (size.bit_length() - 3)))


def _is_mostly_dead(tif: Any) -> bool:
    used = sum(sum(page.databytecounts) + _DIRECTORY for page in tif.pages)
    return bool(tif.filehandle.size > 2 * used + _DEAD)


def _ours(page: Any, strip: _Strip) -> bool:
    return (
        page.tags.get("ImageDescription") is not None
        and _lines(page.tags["ImageDescription"].value)[0] != ""
        and int(page.compression) == _DEFLATE
        and len(page.dataoffsets) == 1
        and page.shape == strip.shape
        and page.dtype == strip.dtype
        and page.parent.byteorder == "<"
    )
