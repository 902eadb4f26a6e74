"""Images: every format comes out as it went in, by any region and level; nothing damaged is ever half shown."""

from __future__ import annotations

import os
import struct
import sys
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.core.files import open_folder, pattern, run_python, smooth, without_rights
from unet_gui.core import png
from unet_gui.core.cv import cv2
from unet_gui.core.errors import ImageError
from unet_gui.core.geometry import Rect
from unet_gui.core.images import (
    ImageRef,
    effective_channels,
    image_info,
    list_images,
    natural_key,
    open_image,
    thumbnail,
)


def read(path: Path, page: int = 0) -> np.ndarray:
    with open_image(path, page) as source:
        array = source.read()
        info = image_info(path)
        assert (source.info.channels, source.info.dtype) == (info.channels, info.dtype)
        assert array.shape[:2] == (source.info.height, source.info.width) == source.shape
        assert (1 if array.ndim == 2 else array.shape[2]) == source.channels
        assert array.dtype == source.dtype
        assert array.flags.c_contiguous
        return array


# ---------------------------------------------------------------------- formats


@pytest.mark.parametrize("channels", [(), (3,), (4,)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_png_comes_out_as_it_went_in(tmp_path: Path, dtype: str, channels: tuple[int, ...]) -> None:
    array = pattern((23, 31, *channels), dtype)
    path = tmp_path / "a.png"
    path.write_bytes(png.encode(array))
    np.testing.assert_array_equal(read(path), array)


@pytest.mark.parametrize(
    ("name", "mode", "options"),
    [("a.bmp", "L", {}), ("a.bmp", "RGB", {}), ("a.webp", "RGB", {"lossless": True}), ("a.png", "L", {})],
)
def test_files_of_another_program(tmp_path: Path, name: str, mode: str, options: dict[str, bool]) -> None:
    array = pattern((20, 30) if mode == "L" else (20, 30, 3))
    Image.fromarray(array, mode).save(tmp_path / name, **options)
    np.testing.assert_array_equal(read(tmp_path / name), array)


@pytest.mark.parametrize("name", ["a.jpg", "a.webp"])
def test_lossy_files_are_in_rgb_order(tmp_path: Path, name: str) -> None:
    array = smooth((60, 80))
    Image.fromarray(array).save(tmp_path / name, quality=98)
    assert np.abs(read(tmp_path / name).astype(int) - array).mean() < 3


def test_transparent_webp_has_four_channels(tmp_path: Path) -> None:
    array = pattern((20, 30, 4))
    array[..., 3] |= 1  # fully transparent pixels lose their colour
    Image.fromarray(array, "RGBA").save(tmp_path / "a.webp", lossless=True)
    np.testing.assert_array_equal(read(tmp_path / "a.webp"), array)


def test_grey_jpeg_has_one_channel(tmp_path: Path) -> None:
    Image.fromarray(smooth((40, 50))[..., 0]).save(tmp_path / "a.jpg")
    assert read(tmp_path / "a.jpg").shape == (40, 50)


def test_palette_png_is_shown_in_its_colours(tmp_path: Path) -> None:
    indices = (np.arange(600).reshape(20, 30) % 3).astype(np.uint8)
    colors = np.array([(1, 2, 3), (200, 0, 7), (9, 255, 8)], np.uint8)
    image = Image.fromarray(indices, "P")
    image.putpalette(colors.tobytes())
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read(tmp_path / "a.png"), colors[indices])


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_one_bit_pictures_are_black_and_white(tmp_path: Path, suffix: str) -> None:
    bits = pattern((20, 30)) > 127
    Image.fromarray(bits).save(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(read(tmp_path / f"a.{suffix}"), bits * np.uint8(255))


def test_grey_with_transparency_has_four_channels_in_header_and_pixels(tmp_path: Path) -> None:
    both = pattern((20, 30, 2))
    Image.fromarray(both, "LA").save(tmp_path / "a.png")
    array = read(tmp_path / "a.png")
    np.testing.assert_array_equal(array[..., :3], np.dstack([both[..., 0]] * 3))
    np.testing.assert_array_equal(array[..., 3], both[..., 1])


def test_header_and_pixels_agree_on_channels_for_entries_of_transparency(tmp_path: Path) -> None:
    palette = Image.fromarray(pattern((9, 9)) % 4, "P")
    palette.putpalette(range(12))
    palette.save(tmp_path / "p.png", transparency=0)
    Image.fromarray(pattern((9, 9))).save(tmp_path / "l.png", transparency=3)
    Image.fromarray(pattern((9, 9, 3))).save(tmp_path / "rgb.png", transparency=(1, 2, 3))
    assert [read(tmp_path / name).shape[2:] for name in ("p.png", "l.png", "rgb.png")] == [(4,), (), (4,)]


def test_orientation_entries_are_ignored(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x112] = 6  # turn by 90° for viewing
    array = smooth((40, 60))
    for name in ("a.jpg", "a.png", "a.webp", "a.tif"):
        Image.fromarray(array).save(tmp_path / name, exif=exif)
        assert image_info(tmp_path / name).width == 60
        assert read(tmp_path / name).shape == (40, 60, 3)


def test_the_content_decides_not_the_suffix(tmp_path: Path) -> None:
    array = pattern((20, 30))
    (tmp_path / "really_png.jpg").write_bytes(png.encode(array))
    np.testing.assert_array_equal(read(tmp_path / "really_png.jpg"), array)
    Image.fromarray(array).save(tmp_path / "a.tif")
    os.rename(tmp_path / "a.tif", tmp_path / "really_tiff.png")
    np.testing.assert_array_equal(read(tmp_path / "really_tiff.png"), array)


@pytest.mark.parametrize("name", ["ü.png", "细胞 mit Leerzeichen.png", "a'b.png", "😀.tif"])
def test_names_in_any_script(tmp_path: Path, name: str) -> None:
    array = pattern((20, 30))
    Image.fromarray(array).save(tmp_path / name)
    assert list_images(tmp_path) == [name]
    np.testing.assert_array_equal(read(tmp_path / name), array)


def test_print_resolution_is_no_pixel_size_but_a_fine_one_is(tmp_path: Path) -> None:
    image = Image.fromarray(pattern((20, 30)))
    image.save(tmp_path / "screen.png", dpi=(72, 72))
    image.save(tmp_path / "fine.png", dpi=(50800, 50800))  # 0.5 µm
    assert image_info(tmp_path / "screen.png").pixel_size is None
    assert image_info(tmp_path / "fine.png").pixel_size == pytest.approx(0.5, rel=1e-3)
    image.save(tmp_path / "oblong.png", dpi=(50800, 25400))  # as in TIFF: no one size measures its areas
    assert image_info(tmp_path / "oblong.png").pixel_size is None


def test_real_pictures(data: Path) -> None:
    assert image_info(data / "isbi2012/test/0.png") == image_info(data / "isbi2012/train/image/0.png")
    assert read(data / "isbi2012/test/0.png").shape == (512, 512)
    nucleus = read(data / "nuclei/image/027.png")
    assert nucleus.shape == (256, 256, 4)
    assert effective_channels(nucleus) == 1
    street = read(next((data / "camvid/val/image").glob("*.png")))
    assert street.shape == (360, 480, 3)
    assert effective_channels(street) == 3


def test_effective_channels() -> None:
    grey = pattern((9, 9))
    opaque, varying = np.full_like(grey, 255), pattern((9, 9), seed=1)
    assert effective_channels(grey) == 1
    assert effective_channels(np.dstack([grey] * 3)) == 1
    assert effective_channels(np.dstack([grey, grey, grey, opaque])) == 1
    assert effective_channels(np.dstack([grey, grey, varying, opaque])) == 3
    assert effective_channels(np.dstack([grey, grey, grey, varying])) == 4
    assert effective_channels(np.dstack([grey, grey])) == 2


# ---------------------------------------------------------------------- regions and levels


@settings(max_examples=60)
@given(st.integers(1, 70), st.integers(1, 90), st.sampled_from([(), (3,)]), st.data())
def test_any_region_is_that_of_the_whole(
    tmp_path_factory: pytest.TempPathFactory, h: int, w: int, channels: tuple[int, ...], draw: st.DataObject
) -> None:
    array = pattern((h, w, *channels))
    path = tmp_path_factory.mktemp("region") / "a.png"
    path.write_bytes(png.encode(array))
    x, y = draw.draw(st.integers(-5, w)), draw.draw(st.integers(-5, h))
    rect = Rect(x, y, draw.draw(st.integers(0, w + 9)), draw.draw(st.integers(0, h + 9)))
    with open_image(path) as source:
        inside = rect.clip((h, w))
        part = source.read(rect)
        if inside.empty:
            assert part.size == 0
        else:
            np.testing.assert_array_equal(part, array[inside.slices])


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_level_is_the_area_average(tmp_path: Path, dtype: str) -> None:
    array = pattern((600, 800), dtype)
    path = tmp_path / "a.png"
    path.write_bytes(png.encode(array))
    with open_image(path) as source:
        assert source.levels == 3
        half = array.reshape(300, 2, 400, 2).mean((1, 3))
        assert np.abs(source.read(level=1) - half).max() <= 0.5
        quarter = array.reshape(150, 4, 200, 4).mean((1, 3))
        assert np.abs(source.read(level=2) - quarter).max() <= 1.0


def test_odd_sizes_are_rounded_up_and_the_edge_is_no_darker(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png.encode(np.full((301, 515), 200, np.uint8)))
    with open_image(path) as source:
        for level in range(source.levels):
            part = source.read(level=level)
            assert part.shape == source.level_shape(level) == (-(-301 >> level), -(-515 >> level))
            assert (part == 200).all()
        assert max(source.level_shape(source.levels - 1)) <= 256 < max(source.level_shape(source.levels - 2))


@pytest.mark.parametrize("level", [1, 2, 3, 4, 5])
def test_what_a_level_shows_does_not_depend_on_the_regions_asked_for(tmp_path: Path, level: int) -> None:
    array = pattern((3001, 5003))
    path = tmp_path / "a.png"
    path.write_bytes(png.encode(array, compression=0))
    with open_image(path) as source:
        whole = source.read(level=level)
    rng = np.random.default_rng(level)
    with open_image(path) as source:
        h, w = source.level_shape(level)
        for _ in range(12):
            rect = Rect(
                int(rng.integers(w)), int(rng.integers(h)), int(rng.integers(1, 300)), int(rng.integers(1, 300))
            )
            np.testing.assert_array_equal(source.read(rect, level), whole[rect.clip((h, w)).slices])


def test_a_region_is_a_copy(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png.encode(pattern((300, 300))))
    with open_image(path) as source:
        for level in (0, 1):
            before = source.read(level=level)
            source.read(level=level)[:] = 0
            np.testing.assert_array_equal(source.read(level=level), before)


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_many_threads_may_read_one_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: str | None
) -> None:
    monkeypatch.setattr("unet_gui.core.tiff.CACHE_BYTES", 1)
    array = pattern((900, 1100))
    Image.fromarray(array).save(tmp_path / "a.tif", compression=compression)
    wrong: list[Rect] = []

    def work(seed: int, barrier: threading.Barrier) -> None:
        rng = np.random.default_rng(seed)
        barrier.wait()
        for _ in range(60):
            rect = Rect(int(rng.integers(1000)), int(rng.integers(800)), 100, 100)
            if not np.array_equal(source.read(rect), array[rect.clip(array.shape).slices]):
                wrong.append(rect)

    with open_image(tmp_path / "a.tif") as source:
        barrier = threading.Barrier(6)
        threads = [threading.Thread(target=work, args=(i, barrier)) for i in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


def test_16384_square_opens(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    array = np.zeros((16384, 16384), np.uint8)
    array[-1, -1] = 77
    path.write_bytes(png.encode(array, compression=1))
    with open_image(path) as source:
        assert source.shape == (16384, 16384)
        assert source.read(Rect(16380, 16380, 9, 9))[-1, -1] == 77
        assert source.read(level=source.levels - 1).shape == (256, 256)


# ---------------------------------------------------------------------- lists


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_a_list_is_sorted_as_people_count(tmp_path: Path) -> None:
    touch(tmp_path, "10.png", "9.png", "b2.TIF", "B10.jpg", "sub/1.bmp", "a.webp")
    assert list_images(tmp_path) == ["9.png", "10.png", "a.webp", "b2.TIF", "B10.jpg", "sub/1.bmp"]


def test_a_list_leaves_out_what_is_no_image(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "notes.txt", ".hidden.png", "Thumbs.db", "png", ".unet-gui/predictions/a.png")
    touch(tmp_path, "labels/a.png", "sub/label/b.png", "sub/Labels/c.png", ".git/d.png", "sub/e.png")
    assert list_images(tmp_path) == ["a.png", "sub/e.png"]


def test_a_folder_with_the_name_of_a_picture_is_listed_once(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "stack.tif/1.tif", "c.png/notes.txt")
    (tmp_path / "b.png").mkdir()
    assert list_images(tmp_path) == ["a.png", "b.png", "c.png", "stack.tif/1.tif"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_links_are_followed_but_not_for_ever(tmp_path: Path) -> None:
    touch(tmp_path, "root/a.png", "other/b.png")
    (tmp_path / "root/up").symlink_to(tmp_path / "root", target_is_directory=True)
    (tmp_path / "root/other").symlink_to(tmp_path / "other", target_is_directory=True)
    (tmp_path / "root/gone.png").symlink_to(tmp_path / "nowhere.png")
    found = list_images(tmp_path / "root")
    assert {"a.png", "other/b.png", "gone.png"} <= set(found)
    assert len(found) < 10
    with pytest.raises(ImageError, match="not there"):
        open_image(tmp_path / "root/gone.png")


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(ImageError):
        list_images(tmp_path / "none")


def test_a_closed_folder_inside_hides_nothing_else() -> None:
    with open_folder() as folder:
        touch(folder, "a.png", "closed/b.png", "z.png")
        (folder / "closed").chmod(0o000)
        with without_rights():
            assert list_images(folder) == ["a.png", "z.png"]


@given(st.lists(st.integers(0, 10**9)))
def test_natural_order_is_that_of_the_numbers(numbers: list[int]) -> None:
    names = [f"img{n}_x.png" for n in numbers]
    assert sorted(names, key=natural_key) == [f"img{n}_x.png" for n in sorted(numbers)]


@pytest.mark.parametrize(
    "ref", [ImageRef("a/b.png"), ImageRef("stack.tif", 3), ImageRef("odd#3.png"), ImageRef("x#2.TIFF", 0)]
)
def test_a_reference_survives_its_key(ref: ImageRef) -> None:
    assert ImageRef.parse(ref.key) == ref


# ---------------------------------------------------------------------- thumbnails


def test_thumbnails_are_small_colour_pictures(tmp_path: Path) -> None:
    (tmp_path / "wide.png").write_bytes(png.encode(pattern((200, 1000))))
    assert thumbnail(tmp_path / "wide.png", size=96).shape == (19, 96, 3)
    (tmp_path / "tiny.png").write_bytes(png.encode(pattern((3, 5, 4))))
    assert thumbnail(tmp_path / "tiny.png").shape == (3, 5, 3)


@pytest.mark.parametrize("size", [20, 45, 90, 200])
@pytest.mark.parametrize("grey", [True, False])
def test_a_thumbnail_of_a_jpeg_looks_like_it(tmp_path: Path, size: int, grey: bool) -> None:
    array = smooth((240, 400))
    if grey:
        array[..., 1:] = array[..., :1]
    Image.fromarray(array[..., 0] if grey else array).save(tmp_path / "a.jpg", quality=95)
    small = thumbnail(tmp_path / "a.jpg", size=size)
    assert small.shape == (round(240 * size / 400), size, 3)
    expected = cv2.resize(array, (small.shape[1], small.shape[0]), interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - expected).mean() < 6
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:-500])
    with pytest.raises(ImageError):
        thumbnail(tmp_path / "a.jpg", size=size)


def test_a_dark_16_bit_thumbnail_is_stretched(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(100, 900, 256).astype(np.uint16), (256, 1))
    (tmp_path / "a.png").write_bytes(png.encode(ramp))
    small = thumbnail(tmp_path / "a.png", size=64)
    assert small.min() < 10
    assert small.max() > 245


def test_a_dark_8_bit_thumbnail_is_stretched_and_an_ordinary_one_is_not(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 13, 256).astype(np.uint8), (256, 1))
    (tmp_path / "dark.png").write_bytes(png.encode(ramp))
    assert thumbnail(tmp_path / "dark.png", size=64).max() > 200
    (tmp_path / "a.png").write_bytes(png.encode(ramp + np.uint8(90)))
    assert thumbnail(tmp_path / "a.png", size=64).max() < 104


def test_importing_opencv_leaves_qt_and_the_library_path_alone() -> None:
    code = (
        "import os; before = dict(os.environ); import unet_gui.core.cv\n"
        "print([name for name in ('QT_QPA_PLATFORM_PLUGIN_PATH', 'QT_QPA_FONTDIR', 'LD_LIBRARY_PATH')"
        " if os.environ.get(name) != before.get(name)])"
    )
    assert run_python(code).strip() == "[]"


def test_checksums_are_those_of_the_format() -> None:
    made = png.chunk(b"tEXt", b"a\0b")
    assert made == struct.pack(">I", 3) + b"tEXta\0b" + struct.pack(">I", zlib.crc32(b"tEXta\0b"))
    assert cv2.imdecode(np.frombuffer(png.encode(pattern((3, 3))), np.uint8), cv2.IMREAD_UNCHANGED).shape == (3, 3)
