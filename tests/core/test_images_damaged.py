"""Images that cannot be read: refused with the reason, never half shown."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.core.files import open_folder, pattern, smooth, without_rights
from unet_gui.core import png
from unet_gui.core.errors import ImageError
from unet_gui.core.images import (
    image_info,
    open_image,
    thumbnail,
)


def claim(path: Path, width: int, height: int) -> Path:
    """Make a small PNG whose header claims another size."""
    whole = png.encode(np.zeros((4, 4), np.uint8))
    header = png.chunk(b"IHDR", struct.pack(">II", width, height) + whole[24:29])
    path.write_bytes(whole[:8] + header + whole[33:])
    return path


def test_an_impossible_size_is_refused_from_the_header(tmp_path: Path) -> None:
    for width, height in [(100_000, 100_000), (2**31 - 1, 2**31 - 1), (65536, 32769)]:
        path = claim(tmp_path / "a.png", width, height)
        with pytest.raises(ImageError, match=f"{width} × {height}") as caught:
            image_info(path)
        assert caught.value.hint
        with pytest.raises(ImageError):
            open_image(path)
    with pytest.raises(ImageError, match="no pixels"):
        image_info(claim(tmp_path / "a.png", 0, 5))


def test_a_size_that_does_not_fit_the_data_is_refused(tmp_path: Path) -> None:
    path = claim(tmp_path / "a.png", 400, 300)
    with open_image(path) as source, pytest.raises(ImageError):
        source.read()


@pytest.fixture
def samples(tmp_path: Path) -> dict[str, bytes]:
    """Whole files of every format."""
    array = smooth((90, 120))
    image = Image.fromarray(array)
    found = {}
    for name, options in {
        "a.png": {},
        "a.jpg": {},
        "progressive.jpg": {"progressive": True},
        "a.bmp": {},
        "a.webp": {},
        "lossless.webp": {"lossless": True},
        "plain.tif": {},
        "lzw.tif": {"compression": "tiff_lzw"},
        "deflate.tif": {"compression": "tiff_adobe_deflate"},
    }.items():
        image.save(tmp_path / name, **options)
        found[name] = (tmp_path / name).read_bytes()
    return found


def test_a_truncated_file_is_never_half_shown(
    tmp_path: Path, samples: dict[str, bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    for name, data in samples.items():
        for cut in [1, 5, 20, 40, len(data) // 3, len(data) // 2, len(data) * 9 // 10, len(data) - 2]:
            path = tmp_path / f"cut_{name}"
            path.write_bytes(data[:cut])
            with pytest.raises(ImageError) as caught, open_image(path) as source:
                source.read()
            error = caught.value
            assert (error.path, bool(error.message), bool(error.hint)) == (str(path), True, True), (name, cut)
    assert capfd.readouterr() == ("", "")


def test_damage_inside_is_noticed(tmp_path: Path, samples: dict[str, bytes]) -> None:
    data = bytearray(samples["a.png"])
    data[len(data) // 2] ^= 0x55
    (tmp_path / "bad.png").write_bytes(data)
    with open_image(tmp_path / "bad.png") as source, pytest.raises(ImageError, match="damaged"):
        source.read()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"hello, I am a text\n" * 9, "text"),
        ("grüß euch".encode() * 9, "not a picture"),
        (b"\0" * 300, "not a picture"),
        (b"GIF89a" + b"\0" * 50, "GIF"),
        (b"%PDF-1.4 " + b"\0" * 50, "PDF"),
    ],
)
def test_what_is_no_picture_says_what_it_is(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    for attempt in (image_info, open_image, thumbnail):
        with pytest.raises(ImageError, match=words) as caught:
            attempt(path)
        assert caught.value.path == str(path)
        assert caught.value.hint


def test_a_folder_or_nothing_in_the_place_of_a_picture(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ImageError, match="is a folder"):
        open_image(tmp_path / "folder.png")
    with pytest.raises(ImageError, match="not there"):
        open_image(tmp_path / "none.png")


def test_a_file_that_may_not_be_read() -> None:
    with open_folder() as folder:
        path = folder / "a.png"
        path.write_bytes(png.encode(pattern((9, 9))))
        path.chmod(0o000)
        with without_rights(), pytest.raises(ImageError, match="may not be read"):
            image_info(path)


def test_a_page_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png.encode(pattern((9, 9))))
    Image.fromarray(pattern((9, 9))).save(tmp_path / "a.tif")
    for name in ("a.png", "a.tif"):
        with pytest.raises(ImageError, match="no page 3"):
            open_image(tmp_path / name, 2)


@settings(max_examples=150)
@given(st.data())
def test_random_damage_gives_an_image_error_or_a_picture(
    tmp_path_factory: pytest.TempPathFactory, draw: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp() / "damage"
    folder.mkdir(exist_ok=True)
    name = draw.draw(st.sampled_from(["a.png", "a.jpg", "a.bmp", "a.webp", "a.tif", "lzw.tif"]))
    whole = folder / name
    if not whole.exists():
        options = {"compression": "tiff_lzw"} if name == "lzw.tif" else {}
        Image.fromarray(smooth((30, 40))).save(whole, **options)
    data = bytearray(whole.read_bytes())
    for _ in range(draw.draw(st.integers(1, 4))):
        data[draw.draw(st.integers(0, min(len(data) - 1, 400)))] = draw.draw(st.integers(0, 255))
    path = folder / f"bad_{name}"
    path.write_bytes(data)
    try:
        info = image_info(path)
        with open_image(path) as source:
            assert source.shape == (info.height, info.width)
            if info.height * info.width < 10**6:
                assert source.read().shape[:2] == source.shape
    except ImageError:
        pass
