"""TIFF: every layout and type, read by region, page by page, and only what is needed."""

from __future__ import annotations

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from tests.core.files import pattern
from unet_gui.core import tiff
from unet_gui.core.errors import ImageError
from unet_gui.core.geometry import Rect
from unet_gui.core.images import image_info, open_image

LAYOUTS = {
    "one strip": {},
    "strips": {"rowsperstrip": 7},
    "tiles": {"tile": (32, 48)},
    "compressed strips": {"rowsperstrip": 16, "compression": "zlib"},
    "compressed tiles": {"tile": (16, 64), "compression": "lzw"},
    "predicted tiles": {"tile": (32, 32), "compression": "zlib", "predictor": True},
    "zstd": {"tile": (64, 64), "compression": "zstd"},
    "one compressed strip": {"compression": "zlib"},
    "BigTIFF": {"bigtiff": True, "rowsperstrip": 11},
    "big-endian": {"byteorder": ">", "rowsperstrip": 5},
    "big-endian tiles": {"byteorder": ">", "tile": (32, 32), "compression": "zlib"},
}
DTYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64"]


def options_for(layout: str, dtype: str) -> dict[str, object]:
    options: dict[str, object] = dict(LAYOUTS[layout])
    if np.dtype(dtype).kind == "f" and "predictor" in options:
        options["predictor"] = 3 if dtype != "float16" else False
    return options


def some_rects(shape: tuple[int, int], seed: int = 0) -> list[Rect]:
    rng = np.random.default_rng(seed)
    h, w = shape
    found = [Rect(0, 0, w, h), Rect(0, 0, 1, 1), Rect(w - 1, h - 1, 1, 1), Rect(w - 5, 3, 99, 9)]
    found += [Rect(*rng.integers((0, 0, 1, 1), (w, h, w, h)).tolist()) for _ in range(8)]
    return found


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_region_of_every_layout_and_type(tmp_path: Path, layout: str, dtype: str) -> None:
    array = pattern((131, 173), dtype)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, array, photometric="minisblack", **options_for(layout, dtype))
    info = image_info(path)
    assert (info.height, info.width, info.channels, info.dtype, info.pages) == (131, 173, 1, dtype, 1)
    with open_image(path) as source:
        for rect in some_rects((131, 173)):
            part = source.read(rect)
            np.testing.assert_array_equal(part, array[rect.clip(array.shape).slices])
            assert part.dtype == np.dtype(dtype)
            assert part.dtype.isnative
            assert part.flags.c_contiguous


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("channels", [2, 3, 4, 7])
@pytest.mark.parametrize("layout", ["one strip", "compressed strips", "tiles", "compressed tiles"])
def test_colours_together_or_plane_by_plane(tmp_path: Path, layout: str, channels: int, planar: str) -> None:
    array = pattern((70, 90, channels))
    path = tmp_path / "a.tif"
    stored = array if planar == "contig" else np.moveaxis(array, 2, 0)
    photometric = "rgb" if channels in (3, 4) else "minisblack"
    tifffile.imwrite(path, stored, photometric=photometric, planarconfig=planar, **LAYOUTS[layout])
    with open_image(path) as source:
        assert source.channels == channels
        for rect in some_rects((70, 90)):
            np.testing.assert_array_equal(source.read(rect), array[rect.clip(array.shape[:2]).slices])


def test_jpeg_inside_tiff_is_rgb(tmp_path: Path) -> None:
    array = np.zeros((64, 96, 3), np.uint8)
    array[:] = (200, 60, 20)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, array, photometric="rgb", compression="jpeg", tile=(32, 32))
    with open_image(path) as source:
        assert np.abs(source.read(Rect(10, 10, 40, 40)).astype(int) - (200, 60, 20)).max() <= 4


def test_palette_pages_are_shown_in_their_colours(tmp_path: Path) -> None:
    indices = pattern((20, 30))
    colors = np.arange(768, dtype=np.uint16).reshape(3, 256) % 256 * 257
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, indices, photometric="palette", colormap=colors)
    assert (image_info(path).channels, image_info(path).dtype) == (3, "uint8")
    with open_image(path) as source:
        np.testing.assert_array_equal(source.read(), (colors.T >> 8).astype(np.uint8)[indices])


def test_white_is_zero_is_shown_the_right_way_round(tmp_path: Path) -> None:
    array = pattern((20, 30), "uint16")
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, array, photometric="miniswhite")
    with open_image(path) as source:
        np.testing.assert_array_equal(source.read(), 65535 - array)


def test_pages_of_a_stack(tmp_path: Path) -> None:
    stack = pattern((5, 40, 50), "uint16")
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, stack, photometric="minisblack", compression="zlib")
    assert image_info(path).pages == 5
    for page in range(5):
        with open_image(path, page) as source:
            np.testing.assert_array_equal(source.read(), stack[page])
    with pytest.raises(ImageError, match="no page 6, only 5"):
        open_image(path, 5)


@pytest.mark.parametrize("options", [{}, {"bigtiff": True}, {"byteorder": ">"}, {"bigtiff": True, "byteorder": ">"}])
def test_pages_of_a_long_stack_in_any_order(tmp_path: Path, options: dict[str, object]) -> None:
    stack = pattern((40, 20, 30), "uint16")
    path = tmp_path / "stack.tif"
    with tifffile.TiffWriter(path, **options) as writer:
        for page in stack:
            writer.write(page, photometric="minisblack", metadata=None, contiguous=False, compression="zlib")

    def read(page: int) -> np.ndarray:
        with open_image(path, page) as source:
            return source.read()

    order = np.random.default_rng(0).permutation(40).tolist()
    with ThreadPoolExecutor(4) as pool:
        for page, array in zip(order, pool.map(read, order), strict=True):
            np.testing.assert_array_equal(array, stack[page])
    with pytest.raises(ImageError, match="no page 41, only 40"):
        open_image(path, 40)


def test_a_page_of_a_long_stack_costs_no_more_than_one_of_a_short_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = [0]
    whole = tifffile.FileHandle.read

    def read(self: tifffile.FileHandle, *args: int) -> bytes:
        reads[0] += 1
        return whole(self, *args)

    monkeypatch.setattr(tifffile.FileHandle, "read", read)
    cost = []
    for pages in (20, 400):
        path = tmp_path / f"{pages}.tif"
        with tifffile.TiffWriter(path) as writer:
            for _ in range(pages):
                writer.write(pattern((9, 9)), photometric="minisblack", metadata=None, contiguous=False)
        assert image_info(path).pages == pages
        reads[0] = 0
        with open_image(path, pages - 1) as source:
            source.read()
        cost.append(reads[0])
    assert cost[1] <= cost[0]


def test_a_long_stack_that_is_replaced_is_read_anew(tmp_path: Path) -> None:
    """A file of the same size and time too: on some disks time goes by in steps of seconds."""
    path, other = tmp_path / "stack.tif", tmp_path / "other.tif"
    sizes = [(16 + 16 * n, 336 - 16 * n) for n in range(20)]
    for file, order in ((path, sizes), (other, sizes[::-1])):
        with tifffile.TiffWriter(file) as writer:
            for size in order:
                writer.write(pattern(size), photometric="minisblack", metadata=None)
    stat = path.stat()
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert other.stat().st_size == stat.st_size
    for order in (sizes, sizes[::-1]):
        for page, size in enumerate(order):
            with open_image(path, page) as source:
                np.testing.assert_array_equal(source.read(), pattern(size))
        if order is sizes:
            os.replace(other, path)


def test_a_long_stack_that_grows_has_more_pages(tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    for count in (20, 40):
        tifffile.imwrite(path, pattern((20, 9, 9)), photometric="minisblack", metadata=None, append=count > 20)
        assert image_info(path).pages == count


def test_of_few_files_it_is_remembered_where_their_pages_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiff, "REMEMBERED", 3)
    for n in range(5):
        tifffile.imwrite(tmp_path / f"{n}.tif", pattern((20, 9, 9)), photometric="minisblack", metadata=None)
        assert image_info(tmp_path / f"{n}.tif").pages == 20
    assert len(tiff._places) == 3


def test_pages_of_different_size_and_type(tmp_path: Path) -> None:
    first, second = pattern((40, 50)), pattern((20, 30, 3), "uint16")
    path = tmp_path / "mixed.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(first, photometric="minisblack", metadata=None)
        writer.write(second, photometric="rgb", metadata=None)
    for page, array in enumerate([first, second]):
        with open_image(path, page) as source:
            np.testing.assert_array_equal(source.read(), array)


def test_smaller_copies_of_a_picture_are_no_pages(tmp_path: Path) -> None:
    """Slide scanners write a pyramid as pages one after the other."""
    path = tmp_path / "slide.tif"
    pictures = [pattern((64, 80)), pattern((48, 40))]
    with tifffile.TiffWriter(path) as writer:
        for picture in pictures:
            writer.write(picture, photometric="minisblack", metadata=None)
            for step in (2, 4):
                writer.write(picture[::step, ::step], photometric="minisblack", metadata=None, subfiletype=1)
    assert image_info(path).pages == 2
    for page, picture in enumerate(pictures):
        with open_image(path, page) as source:
            np.testing.assert_array_equal(source.read(), picture)
    with pytest.raises(ImageError, match="no page 3, only 2"):
        open_image(path, 2)


def test_planes_of_a_stack_with_one_directory(tmp_path: Path) -> None:
    stack = pattern((4, 30, 40), "uint16")
    path = tmp_path / "imagej.tif"
    tifffile.imwrite(path, stack, imagej=True, metadata={"axes": "ZYX", "unit": "um"}, resolution=(4, 4))
    with tifffile.TiffFile(path, mode="r+b") as file:  # as ImageJ writes stacks above 4 GiB: one directory only
        first = file.pages[0]
        end = first.offset + 2 + 12 * len(first.tags)
        file.filehandle.seek(end)
        file.filehandle.write(b"\0\0\0\0")
    with tifffile.TiffFile(path) as file:
        assert len(file.pages) == 1
    assert image_info(path).pages == 4
    assert image_info(path).pixel_size == pytest.approx(0.25)
    for page in range(4):
        with open_image(path, page) as source:
            np.testing.assert_array_equal(source.read(Rect(3, 4, 9, 9)), stack[page, 4:13, 3:12])


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"resolution": (10000, 10000), "resolutionunit": "CENTIMETER"}, 1.0),
        ({"resolution": (72, 72), "resolutionunit": "INCH"}, None),
        ({"resolution": (118.11, 118.11), "resolutionunit": "CENTIMETER"}, None),  # 300 dots an inch
        ({"ome": True, "metadata": {"axes": "YX", "PhysicalSizeX": 4, "PhysicalSizeXUnit": "nm"}}, 0.004),
        ({"imagej": True, "resolution": (20, 20), "metadata": {"unit": "micron"}}, 0.05),
        ({}, None),
    ],
)
def test_pixel_size(tmp_path: Path, options: dict[str, object], size: float | None) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pattern((20, 30)), **options)
    assert image_info(path).pixel_size == (None if size is None else pytest.approx(size))


# ---------------------------------------------------------------------- lazily


def test_only_the_tiles_of_a_region_are_decoded(tmp_path: Path) -> None:
    array = pattern((256, 256))
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, array, tile=(64, 64), compression="zlib")
    with tifffile.TiffFile(path) as file:
        offset, count = file.pages[0].dataoffsets[5], file.pages[0].databytecounts[5]
    with open(path, "r+b") as raw:  # destroy the tile in row 1, column 1
        raw.seek(offset)
        raw.write(os.urandom(count))
    with open_image(path) as source:
        np.testing.assert_array_equal(source.read(Rect(0, 0, 256, 64)), array[:64])
        np.testing.assert_array_equal(source.read(Rect(128, 64, 128, 192)), array[64:, 128:])
        with pytest.raises(ImageError, match="damaged"):
            source.read(Rect(60, 60, 10, 10))


def test_decoded_parts_are_kept_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiff, "CACHE_BYTES", 5 * 64 * 64)
    array = pattern((512, 512))
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, array, tile=(64, 64), compression="zlib")
    pages = tiff.TiffPages(path)
    try:
        page = pages.page(0)
        np.testing.assert_array_equal(page.read(Rect(0, 0, 512, 512)), array)
        assert page.cached_bytes <= 5 * 64 * 64
        np.testing.assert_array_equal(page.read(Rect(100, 50, 300, 300)), array[50:350, 100:400])
    finally:
        pages.close()


def test_a_very_large_picture_needs_little_memory(tmp_path: Path) -> None:
    import tracemalloc

    path = tmp_path / "large.tif"
    tile = np.arange(256 * 256, dtype=np.uint16).reshape(256, 256).astype(np.uint8)
    tifffile.imwrite(
        path, (tile for _ in range(32 * 32)), shape=(8192, 8192), dtype=np.uint8, tile=(256, 256), compression="zlib"
    )
    tracemalloc.start()
    try:
        with open_image(path) as source:
            small = source.read(level=source.levels - 1)
            assert source.read(Rect(5000, 5000, 300, 300)).shape == (300, 300)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert small.shape == (256, 256)
    expected = tile.reshape(8, 32, 8, 32).mean((1, 3))
    assert np.abs(small[:8, :8] - expected).max() <= 2
    assert peak < 120 * 2**20  # the picture itself has 64 MiB, kept tiles may have 64


def test_left_out_tiles_are_zero(tmp_path: Path) -> None:
    array = pattern((128, 128))
    path = tmp_path / "sparse.tif"
    tifffile.imwrite(path, array, tile=(64, 64), compression="zlib")
    with tifffile.TiffFile(path, mode="r+b") as file:
        tags = file.pages[0].tags
        offsets, counts = list(tags["TileOffsets"].value), list(tags["TileByteCounts"].value)
        offsets[1] = counts[1] = 0
        tags["TileOffsets"].overwrite(offsets)
        tags["TileByteCounts"].overwrite(counts)
    with open_image(path) as source:
        part = source.read()
    assert not part[:64, 64:].any()
    np.testing.assert_array_equal(part[64:], array[64:])


# ---------------------------------------------------------------------- bad files


def test_a_stack_with_a_damaged_page_opens_the_others(tmp_path: Path) -> None:
    stack = pattern((3, 64, 64))
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, stack, photometric="minisblack", compression="zlib", metadata=None)
    with tifffile.TiffFile(path) as file:
        offset, count = file.pages[1].dataoffsets[0], file.pages[1].databytecounts[0]
    with open(path, "r+b") as raw:
        raw.seek(offset)
        raw.write(b"\xff" * count)
    for page in (0, 2):
        with open_image(path, page) as source:
            np.testing.assert_array_equal(source.read(), stack[page])
    with open_image(path, 1) as source, pytest.raises(ImageError):
        source.read()


def test_an_impossible_size_is_refused_before_anything_is_allocated(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pattern((20, 30)), metadata=None)
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages[0].tags["ImageWidth"].overwrite(100_000, dtype="I")
        file.pages[0].tags["ImageLength"].overwrite(100_000, dtype="I")
    with pytest.raises(ImageError, match="100000 × 100000"):
        open_image(path)


def test_complex_numbers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((9, 9), np.complex64))
    with pytest.raises(ImageError, match="cannot be shown"):
        open_image(path)


def test_reading_after_closing_is_an_error_not_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pattern((90, 90)), tile=(16, 16), compression="zlib")
    source = open_image(path)
    source.close()
    with pytest.raises(ImageError):
        source.read(Rect(0, 0, 40, 40))


def test_a_page_list_in_a_circle_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pattern((2, 20, 30)), photometric="minisblack", metadata=None)
    with tifffile.TiffFile(path) as file:
        first, second = file.pages[0].offset, file.pages[1].offset
        tags = len(file.pages[1].tags)
    with open(path, "r+b") as raw:
        raw.seek(second + 2 + 12 * tags)
        raw.write(int(first).to_bytes(4, "little"))
    with contextlib.suppress(ImageError):
        assert image_info(path).pages <= 3


def test_a_kind_of_colours_that_is_no_number_is_an_image_error(tmp_path: Path) -> None:
    path = tmp_path / "bad.tif"
    tifffile.imwrite(path, pattern((40, 50)), photometric="minisblack", byteorder=">")
    data = path.read_bytes()
    assert data.count(b"\x01\x06\x00\x03") == 1
    path.write_bytes(data.replace(b"\x01\x06\x00\x03", b"\x01\x06\x00\x07"))
    with pytest.raises(ImageError):
        image_info(path)


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_random_damage_gives_an_image_error_or_a_picture(tmp_path: Path, draw: st.DataObject) -> None:
    layout = draw.draw(st.sampled_from(sorted(LAYOUTS)))
    whole = tmp_path / f"{layout}.tif"
    if not whole.exists():
        tifffile.imwrite(whole, pattern((2, 40, 50), "uint16"), photometric="minisblack", **LAYOUTS[layout])
    data = bytearray(whole.read_bytes())
    for _ in range(draw.draw(st.integers(1, 4))):
        data[draw.draw(st.integers(0, min(len(data) - 1, 500)))] = draw.draw(st.integers(0, 255))
    path = tmp_path / "bad.tif"
    path.write_bytes(data)
    try:
        info = image_info(path)
        with open_image(path) as source:
            assert source.shape == (info.height, info.width)
            source.read(Rect(0, 0, 200, 200))
    except ImageError:
        pass


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr"])
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "jpeg"])
def test_other_colors_are_those_that_other_programs_show(tmp_path: Path, mode: str, compression: str) -> None:
    smooth = np.mgrid[60:180:3, 40:200:4].sum(axis=0) // 2
    stored = np.dstack([smooth + 20 * i for i in range(len(Image.new(mode, (1, 1)).getbands()))]).astype(np.uint8)
    image = Image.frombytes(mode, stored.shape[1::-1], stored.tobytes())
    image.save(tmp_path / "a.tif", compression=compression)
    with open_image(tmp_path / "a.tif") as source:
        assert (source.channels, source.dtype) == (3, np.uint8)
        shown = source.read()
        np.testing.assert_array_equal(source.read(Rect(3, 5, 9, 7)), shown[5:12, 3:12])
    far = 6 if compression == "jpeg" else 1
    assert np.abs(shown.astype(int) - np.asarray(image.convert("RGB"))).max() <= far


def test_inks_of_16_bit_and_what_else_is_with_them(tmp_path: Path) -> None:
    stored = np.zeros((4, 5, 5), np.uint16)  # the last channel is transparency
    stored[0, :, :4], stored[1, :, 3], stored[2, :, 0], stored[3, :, 4] = 65535, 65535, 65535, 9
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="separated", planarconfig="contig", extrasamples=[2])
    with open_image(tmp_path / "a.tif") as source:
        assert (source.channels, source.dtype) == (3, np.uint16)
        shown = source.read()
    np.testing.assert_array_equal(shown[:, 2], [[0, 0, 0], [0, 0, 0], [0, 65535, 65535], [65535, 65535, 65535]])


def test_grey_with_transparency_is_as_in_png_and_two_channels_are_two(tmp_path: Path) -> None:
    stored = np.dstack([pattern((20, 30)), np.full((20, 30), 255, np.uint8)])
    Image.fromarray(stored).save(tmp_path / "a.tif")
    Image.fromarray(stored).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "b.tif", stored, photometric="minisblack", planarconfig="contig")
    pixels = []
    for name in ("a.tif", "a.png", "b.tif"):
        with open_image(tmp_path / name) as source:
            pixels.append(source.read())
            assert source.channels == pixels[-1].shape[2]
    np.testing.assert_array_equal(pixels[0], pixels[1])
    np.testing.assert_array_equal(pixels[2], stored)


def lab(depth: int, offset: bool) -> tuple[np.ndarray, np.ndarray]:
    """Colours all over as L*a*b* numbers in a TIFF file, and as sRGB, as a colour management system sees them."""
    lightness, a, b = (axis.ravel() for axis in np.mgrid[10:250:12, -60:61:15, -60:61:15])
    pixels = np.dstack([lightness, a + 128, b + 128]).astype(np.uint8)
    profiles = [ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")]
    image = Image.merge("LAB", [Image.fromarray(np.ascontiguousarray(pixels[..., i])) for i in range(3)])
    shown = np.asarray(ImageCms.profileToProfile(image, *profiles, outputMode="RGB", flags=ImageCms.Flags.NOOPTIMIZE))
    stored = pixels.astype(np.uint8 if depth == 8 else np.uint16)
    if depth == 16:
        stored *= 256
        if not offset:
            stored[..., 0] = lightness * 257
    if not offset:
        stored[..., 1:] ^= 1 << (depth - 1)
    return stored, shown


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("offset", [False, True], ids=["cielab", "icclab"])
@pytest.mark.parametrize("more", [False, True])
def test_lab_is_shown_in_its_colors(tmp_path: Path, depth: int, offset: bool, more: bool) -> None:
    stored, shown = lab(depth, offset)
    extra = {"extrasamples": [2]} if more else {}
    if more:
        stored = np.dstack([stored, np.full(stored.shape[:2], 9, stored.dtype)])
    photometric = "icclab" if offset else "cielab"
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric=photometric, planarconfig="contig", **extra)
    with open_image(tmp_path / "a.tif") as source:
        assert (source.channels, source.dtype) == (3, stored.dtype)
        read = source.read()
    inside = ((shown > 0) & (shown < 255)).all(axis=2)  # beyond sRGB there are several ways to the nearest colour
    far = np.abs(read / (1 if depth == 8 else 257) - shown)[inside]
    assert inside.sum() > 500
    assert far.max() <= 2
