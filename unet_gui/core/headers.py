"""Kind and size of a picture file from its first bytes, without decoding it."""

from __future__ import annotations

import os
import stat
import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

from unet_gui.core import png
from unet_gui.core.cv import MAX_PIXELS
from unet_gui.core.errors import ImageError, WrongSize

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_OTHER = {
    b"GIF8": "a GIF picture",
    b"%PDF": "a PDF document",
    b"\x00\x00\x00\x0cjP": "a JPEG 2000 picture",
    b"\xff\x4f\xff\x51": "a JPEG 2000 picture",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"8BPS": "a Photoshop file",
    b"<svg": "an SVG drawing",
    b"<?xml": "an XML text",
    b"\x89HDF": "an HDF5 file",
    b"\x93NUMPY": "a numpy array",
}
SUPPORTED = "PNG, JPEG, BMP, WebP and TIFF can be opened."


class Size(NamedTuple):
    """What a file's header says: ``kind`` is png, jpeg, bmp, webp or tiff (then the other fields are 0)."""

    kind: str
    width: int = 0
    height: int = 0
    channels: int = 0
    bits: int = 8
    pixel_size: float | None = None


def open_error(path: str | os.PathLike[str], error: OSError, what: str = "picture") -> ImageError:
    """Return the plain words for a file that cannot be opened or read."""
    details = str(error)
    if os.path.isdir(path):
        hint = "Name the .safetensors file." if what == "model" else "Rename or remove it."
        return ImageError(f"is a folder, not a {what}.", path, hint, details)
    if isinstance(error, NotAFile):
        return ImageError(f"is a pipe or a device, not a {what}.", path, "Rename or remove it.", details)
    if isinstance(error, FileNotFoundError):
        return ImageError("is not there.", path, "It may have been moved, renamed or deleted.", details)
    if isinstance(error, PermissionError):
        return ImageError("may not be read by you.", path, "Ask its owner for permission, or copy it.", details)
    return ImageError(f"cannot be read: {error.strerror or error}.", path, "Is the disk still connected?", details)


class NotAFile(OSError):
    """A pipe or a device: to open it may wait forever, and to read it may never end."""


def must_be_file(path: str | os.PathLike[str]) -> None:
    """Raise `NotAFile` for what is neither a file nor a folder, OSError for what is not there."""
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise NotAFile("a pipe or a device")


def open_file(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file to read from it; raises OSError as `must_be_file` does."""
    must_be_file(path)
    return open(path, "rb")


def read_bytes(path: str | os.PathLike[str], what: str = "picture") -> bytes:
    """Return a file's content.

    Raises
    ------
    ImageError
        The file is missing, a folder, not readable or empty.
    """
    try:
        with open_file(path) as file:
            data = file.read()
    except OSError as error:
        raise open_error(path, error, what) from error
    if not data:
        raise ImageError("is empty (0 bytes).", path, "Copy it again from where it came from.")
    return data


def read_size(path: str | os.PathLike[str]) -> Size:
    """Return kind and size of a picture file; the content decides, not the suffix.

    Raises
    ------
    ImageError
        Missing, unreadable, empty, not a supported picture, or a header that claims an impossible size.
    """
    try:
        with open_file(path) as file:
            size = _parse(file, path)
    except OSError as error:
        raise open_error(path, error) from error
    if size.kind != "tiff":
        check_size(path, size.width, size.height)
    return size


def check_size(path: str | os.PathLike[str], width: int, height: int) -> None:
    """Raise ImageError when a header claims no pixels or more than `MAX_PIXELS`."""
    if width <= 0 or height <= 0:
        raise ImageError("claims to have no pixels.", path, "The file is damaged: copy it again.")
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"claims to be {width} × {height} pixels, more than can be opened.",
            path,
            f"The file is damaged, or the picture must be cut into parts of at most {MAX_PIXELS / 1e9:.1f} gigapixels.",
        )


def _parse(file: BinaryIO, path: str | os.PathLike[str]) -> Size:
    head = file.read(64)
    if not head:
        raise ImageError("is empty (0 bytes).", path, "Copy it again from where it came from.")
    if head[:4] in _TIFF:
        return Size("tiff")
    try:
        if head[:8] == png.SIGNATURE:
            return _png(file, head)
        if head[:3] == b"\xff\xd8\xff":
            return _jpeg(file)
        if head[:2] == b"BM" and len(head) >= 30:
            return _bmp(file, head)
        if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
            return _webp(head)
    except (png.Damaged, struct.error, IndexError) as error:
        raise ImageError(
            "is damaged or cut off.", path, "Copy it again from where it came from.", str(error)
        ) from error
    for start, name in _OTHER.items():
        if head.startswith(start):
            raise ImageError(f"is {name}, whatever its name says.", path, SUPPORTED)
    if all(byte >= 32 or byte in b"\t\r\n\f" for byte in head):
        raise ImageError("is a text, not a picture.", path, SUPPORTED)
    raise ImageError("is not a picture that can be read.", path, SUPPORTED)


def _png(file: BinaryIO, head: bytes) -> Size:
    header = png.read_header(head)
    file.seek(33)
    transparent, pixel_size = False, None
    while True:  # the few small chunks before the picture data
        start = file.read(8)
        if len(start) < 8:
            break
        length, kind = struct.unpack(">I4s", start)
        if kind in (b"IDAT", b"IEND"):
            break
        if kind == b"tRNS":
            transparent = True
        if kind == b"pHYs" and length == 9:
            across, down, unit = struct.unpack(">IIB", file.read(9))
            square = across and abs(across - down) <= 0.01 * across  # areas and lengths are measured with one size
            pixel_size = print_free(1e6 / across) if unit == 1 and square else None
            file.seek(4, os.SEEK_CUR)
        else:
            file.seek(length + 4, os.SEEK_CUR)
    channels = 4 if transparent and header.color in (2, 3) else header.channels
    return Size("png", header.width, header.height, channels, 16 if header.depth == 16 else 8, pixel_size)


def _jpeg(file: BinaryIO) -> Size:
    file.seek(2)
    while True:
        byte = file.read(1)
        if not byte:
            raise png.Damaged("no frame header")
        if byte != b"\xff":
            continue
        while byte == b"\xff":
            byte = file.read(1)
        marker = byte[0]
        if marker == 0 or marker == 1 or 0xD0 <= marker <= 0xD8:
            continue
        if marker in (0xD9, 0xDA):
            raise png.Damaged("no frame header")
        (length,) = struct.unpack(">H", file.read(2))
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            bits, height, width, parts = struct.unpack(">BHHB", file.read(6))
            return Size("jpeg", width, height, 1 if parts == 1 else 3, 8 if bits <= 8 else 16)
        file.seek(length - 2, os.SEEK_CUR)


def is_turned(path: str | os.PathLike[str]) -> bool:
    """Whether a JPEG has an EXIF entry by which other programs turn or mirror it."""
    return _held(path) > 1


def explained(error: WrongSize, image: str | os.PathLike[str]) -> WrongSize:
    """Return the error with its reason, where that is an EXIF entry by which other programs turn the image by 90°."""
    if not error.on_its_side or _held(image) < 5:
        return error
    hint = (
        f"An EXIF entry in {Path(image).name} lets other programs turn it by 90°, and the label is for that. "
        "Here pixels count as they are stored: turn the label back, or save the image turned, without the entry."
    )
    return WrongSize(error.message, error.path, hint, error.details)


def _held(path: str | os.PathLike[str]) -> int:
    """Return how the EXIF entry of a JPEG says that it is held: 1 or 0 upright, from 5 on to 8 on its side."""
    try:
        with open_file(path) as file:
            if file.read(2) != b"\xff\xd8":
                return 0
            while True:
                _, marker, length = struct.unpack(">BBH", file.read(4))
                if marker in (0xD9, 0xDA):
                    return 0
                content = file.read(length - 2)
                if marker == 0xE1 and content[:6] == b"Exif\0\0":
                    held = _orientation(content[6:])
                    return held if held <= 8 else 0
    except (OSError, struct.error, ValueError):
        return 0  # what is wrong with it is told where it is read


def _orientation(exif: bytes) -> int:
    """Return the entry that says how a picture is held, 0 when there is none."""
    order = ">" if exif[:2] == b"MM" else "<"
    (start,) = struct.unpack_from(order + "I", exif, 4)
    (count,) = struct.unpack_from(order + "H", exif, start)
    for at in range(start + 2, start + 2 + 12 * count, 12):
        tag, _, _, value = struct.unpack_from(order + "HHIH", exif, at)
        if tag == 0x112:
            return int(value)
    return 0


def _bmp(file: BinaryIO, head: bytes) -> Size:
    offset, header = struct.unpack_from("<II", head, 10)
    old = header == 12
    width, height, _, bits = struct.unpack_from("<HHHH" if old else "<iiHH", head, 18)
    channels = 3
    if bits <= 8:  # a palette of greys is decoded to grey
        entry = 3 if old else 4
        file.seek(14 + header)
        colors = file.read(min(max(0, offset - 14 - header), entry * 2**bits))
        grey = all(colors[i] == colors[i + 1] == colors[i + 2] for i in range(0, len(colors) - 2, entry))
        channels = 1 if grey else 3
    return Size("bmp", width, abs(height), channels)


def _webp(head: bytes) -> Size:
    kind = head[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(head[i : i + 3], "little") + 1 for i in (24, 27))
        return Size("webp", width, height, 4 if head[20] & 0x10 else 3)
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", head, 21)
        return Size("webp", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, 4 if bits >> 28 & 1 else 3)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", head, 26)
        return Size("webp", width & 0x3FFF, height & 0x3FFF, 3)
    raise png.Damaged("unknown kind of WebP")


def print_free(micrometres: float) -> float | None:
    """Return a pixel size in µm, None when it is only a print setting.

    Cameras and drawing programs write 72 to 400 dots per inch into every file; that says nothing about the thing
    in the picture. Anything finer than 60 µm (about 420 dots per inch) is taken for a measurement.
    """
    return micrometres if 0 < micrometres < 60 else None
