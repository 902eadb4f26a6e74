"""Labels of multi-page TIFF images: a multi-page TIFF, read and saved page by page.

A page that this program wrote is one deflated strip, and its description says whether the page holds class ids
(`MARKED`) or is written as its folder is (`PLAIN`). Both have the same length, so saving one page of a long stack is
a copy of the file on disk plus one new strip at its end: memory holds one page, never the stack.
"""

from __future__ import annotations

import os
import shutil
import struct
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from unet_gui.core import png
from unet_gui.core.atomic import atomic_path
from unet_gui.core.encoding import UNLABELLED, Encoding, fitting
from unet_gui.core.errors import ImageError, LabelError
from unet_gui.core.geometry import Rect
from unet_gui.core.tiff import TiffPages, broken

SUFFIXES = (".tif", ".tiff", ".btf", ".tf8")
MARKED = "unet-gui-encoding=index"
PLAIN = "unet-gui-encoding=plain"
_DEFLATE = 8
_TURN = threading.Lock()
_BIG = 2**31  # pixels in a file; from there on BigTIFF


def is_tiff(path: str | os.PathLike[str]) -> bool:
    """Whether the file begins like a TIFF; a file that cannot be read counts by its suffix."""
    try:
        with open(path, "rb") as file:
            return file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
    except OSError:
        return os.fspath(path).lower().endswith(SUFFIXES)


def page_count(path: str | os.PathLike[str]) -> int:
    """Return the number of pages; raises ImageError."""
    pages = TiffPages(path)
    try:
        return pages.count
    finally:
        pages.close()


def read_page(path: str | os.PathLike[str], page: int) -> tuple[np.ndarray, png.Palette, bool]:
    """Return (pixels as stored, palette, marked) of one page; raises ImageError."""
    pages = TiffPages(path)
    try:
        return read_open(pages, page)
    finally:
        pages.close()


def read_open(pages: TiffPages, index: int) -> tuple[np.ndarray, png.Palette, bool]:
    """Return what `read_page` does of an open file."""
    page = pages.page(index)
    colormap = page.colormap
    palette = () if colormap is None else tuple((int(r), int(g), int(b)) for r, g, b in colormap[:256])
    return page.read(Rect(0, 0, page.width, page.height)), palette, page.description.strip() == MARKED


def write_page(path: Path, ids: np.ndarray, encoding: Encoding, page: int, pages: int) -> None:
    """Write one page of a stack of labels, making the stack with unlabelled pages when there is none.

    Threads take turns: each page is written into a copy of the whole stack, and would be lost in another's.

    Raises
    ------
    LabelError
        The stack on disk has another number of pages or another size.
    UserError
        The file cannot be written.
    """
    with _TURN:
        _write_page(path, ids, encoding, page, pages)


def _write_page(path: Path, ids: np.ndarray, encoding: Encoding, page: int, pages: int) -> None:
    _, raw, marked = fitting(ids, encoding)
    if not path.exists():
        _check_page(path, page, pages)
        blank = np.full_like(ids, UNLABELLED)
        _, blank_raw, blank_marked = fitting(blank, encoding)
        empty = _Strip(blank_raw, blank_marked) if pages > 1 else None
        new = _Strip(raw, marked)
        with atomic_path(path) as temporary:
            _write_all(temporary, (new if i == page else empty or new for i in range(pages)), pages * ids.size)
        return
    try:
        old = TiffPages(path)
    except ImageError as error:
        raise LabelError(error.message, path, error.hint, error.details) from error
    try:
        _check_page(path, page, old.count if pages == old.count else -1)
        shape = (old.page(page).height, old.page(page).width)
        if shape != ids.shape and not is_blank(*read_open(old, page), encoding):
            raise LabelError(
                f"page {page + 1} is {shape[1]} × {shape[0]} pixels.", path, "It is another image's label."
            )
        with atomic_path(path) as temporary:
            try:
                patched = _patch(path, temporary, _Strip(raw, marked), page)
            except broken() as error:
                raise ImageError(
                    "is damaged.", path, "Move it away, or restore it from a copy.", repr(error)
                ) from error
            if not patched:
                strips = (_Strip(raw, marked) if i == page else _old_strip(old, i, encoding) for i in range(old.count))
                _write_all(temporary, strips, old.count * ids.size)
            old.close()  # Windows does not replace an open file
    except ImageError as error:
        raise LabelError(error.message, path, error.hint, error.details) from error
    finally:
        old.close()


def is_blank(raw: np.ndarray, palette: png.Palette, marked: bool, encoding: Encoding) -> bool:
    """Whether nothing is written on a page yet: it was made in the size of another one, its own image's may differ."""
    _, blank, blank_marked = fitting(np.full(raw.shape[:2], UNLABELLED, np.uint8), encoding)
    return marked == blank_marked and not palette and np.array_equal(raw, blank)


def _check_page(path: Path, page: int, pages: int) -> None:
    if not 0 <= page < pages:
        raise LabelError(
            "has another number of pages than its image.", path, "Was one of them replaced? Move the label away."
        )


class _Strip:
    """One page, deflated."""

    def __init__(self, raw: np.ndarray, marked: bool) -> None:
        self.shape, self.dtype, self.marked = raw.shape, raw.dtype, marked
        self.data = zlib.compress(np.ascontiguousarray(raw, raw.dtype.newbyteorder("<")).tobytes(), 6)

    @property
    def description(self) -> str:
        return MARKED if self.marked else PLAIN


def _old_strip(pages: TiffPages, index: int, encoding: Encoding) -> _Strip:
    from unet_gui.core.raw_label import RawLabel, meaning_of

    raw, palette, marked = read_open(pages, index)
    if palette and raw.max(initial=0) >= len(palette):
        raise ImageError("holds an index without a colour.", pages.path)
    if palette:  # the page is written without it, so its pixels become what they mean
        raw = meaning_of(RawLabel(raw, palette, marked), encoding)[1]
    return _Strip(raw, marked)


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


def _patch(path: Path, temporary: Path, strip: _Strip, index: int) -> bool:
    """Copy the file and give one page a new strip; False when the file is not of our making or mostly dead strips."""
    import tifffile

    shutil.copyfile(path, temporary)
    with tifffile.TiffFile(temporary, mode="r+b") as tif:
        page = tif.pages[index]
        file = tif.filehandle
        used = sum(sum(one.databytecounts) for one in tif.pages)
        if not _ours(page, strip) or file.size > 2 * used + 2**16 or file.size + len(strip.data) > 2**32 - 2**16:
            return False
        file.seek(0, os.SEEK_END)
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


def _ours(page: Any, strip: _Strip) -> bool:
    return (
        page.tags.get("ImageDescription") is not None
        and page.tags["ImageDescription"].value in (MARKED, PLAIN)
        and int(page.compression) == _DEFLATE
        and len(page.dataoffsets) == 1
        and page.shape == strip.shape
        and page.dtype == strip.dtype
        and page.parent.byteorder == "<"
    )
