"""Big PNG files, row by row: the same pixels as in one go, as few as asked for, and damage is never a picture."""

from __future__ import annotations

import threading
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

from unet_gui.core import images, levels, png, png_stream
from unet_gui.core.cv import cv2
from unet_gui.core.errors import ImageError
from unet_gui.core.geometry import Rect
from unet_gui.core.images import open_image


@pytest.fixture(autouse=True)
def _everything_is_big(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stream small pictures too, in bands of few rows."""
    for module in (images, png_stream):
        monkeypatch.setattr(module, "FROM_PIXELS", 1)
    monkeypatch.setattr(png_stream, "BAND_BYTES", 4000)
    monkeypatch.setattr(levels, "KEPT_PIXELS", 100)


def picture(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    rng = np.random.default_rng(3)
    top = np.iinfo(dtype).max
    smooth = cv2.resize(rng.random((7, 9, *shape[2:])), shape[1::-1]).reshape(shape)
    return (smooth * top * 0.9 + rng.random(shape) * top * 0.1).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(301, 77), (120, 90, 3), (64, 50, 4), (1, 5), (40, 3000)])
def test_the_same_pixels_as_in_one_go(tmp_path: Path, shape: tuple[int, ...], dtype: type) -> None:
    pixels = picture(*shape, dtype=dtype)
    path = tmp_path / "a.png"
    path.write_bytes(png.encode(pixels))
    with open_image(path) as source:
        np.testing.assert_array_equal(source.read(), pixels)
        assert source.read().flags.c_contiguous


@pytest.mark.parametrize("filters", [8, 16, 32, 64, 128, 0xF8], ids=["none", "sub", "up", "average", "paeth", "all"])
def test_every_filter(tmp_path: Path, filters: int) -> None:
    pixels = picture(200, 90, 3)
    data = imagecodecs.png_encode(pixels, filter=filters)
    (tmp_path / "a.png").write_bytes(data)
    with open_image(tmp_path / "a.png") as source:
        np.testing.assert_array_equal(source.read(), pixels)


def test_only_as_far_as_somebody_looks(tmp_path: Path) -> None:
    pixels = picture(1000, 300)
    (tmp_path / "a.png").write_bytes(png.encode(pixels))
    stream = png_stream.PngStream(tmp_path / "a.png")
    np.testing.assert_array_equal(stream.read(Rect(10, 20, 50, 30)), pixels[20:50, 10:60])
    assert stream._rows < 100
    np.testing.assert_array_equal(stream.read(Rect(0, 990, 300, 10)), pixels[990:])
    assert stream._file.closed
    stream.close()


def test_threads_that_read_different_places_at_once(tmp_path: Path) -> None:
    pixels = picture(1500, 200)
    (tmp_path / "a.png").write_bytes(png.encode(pixels))
    wrong: list[int] = []
    with open_image(tmp_path / "a.png") as source:

        def read(y: int) -> None:
            if not (source.read(Rect(3, y, 190, 40)) == pixels[y : y + 40, 3:193]).all():
                wrong.append(y)

        threads = [threading.Thread(target=read, args=(y,)) for y in (1400, 0, 700, 1460, 30, 900)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong
        want = levels.reduce(pixels, 4)
        np.testing.assert_array_equal(source.read(level=2), want)


@pytest.mark.parametrize("place", [0.2, 0.6, 0.99])
@pytest.mark.parametrize("damage", ["cut", "flipped", "checksum right but data wrong", "too few rows"])
def test_damage_is_an_error_and_not_a_picture(tmp_path: Path, damage: str, place: float) -> None:
    data = png.encode(picture(400, 300))
    at = int(len(data) * place)
    if damage == "cut":
        data = data[:at]
    elif damage == "flipped":
        data = data[:at] + bytes([data[at] ^ 64]) + data[at + 1 :]
    else:
        parts = [(kind, bytes(part)) for kind, part in png.chunks(data)]
        body = bytearray(b"".join(part for kind, part in parts if kind == b"IDAT"))
        if damage == "too few rows":
            parts[0] = b"IHDR", parts[0][1][:4] + (500).to_bytes(4, "big") + parts[0][1][8:]
        else:
            body[min(len(body) - 2, int(len(body) * place))] ^= 255
        data = png.SIGNATURE + b"".join(png.chunk(*part) for part in (parts[0], (b"IDAT", bytes(body)), parts[-1]))
    path = tmp_path / "a.png"
    path.write_bytes(data)
    with pytest.raises(ImageError) as caught, open_image(path) as source:
        source.read()
    assert str(path.name) in str(caught.value)


def test_after_closing_nothing_is_read_and_no_file_is_open(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png.encode(picture(1000, 300)))
    stream = png_stream.PngStream(tmp_path / "a.png")
    stream.read(Rect(0, 0, 5, 5))
    stream.close()
    stream._pool.shutdown(wait=True)
    assert stream._file.closed
    with pytest.raises(OSError, match="closed"):
        stream.read(Rect(0, 900, 5, 5))
    stream.close()


def test_interlaced_pictures_and_palettes_are_left_to_the_whole_decoder(tmp_path: Path) -> None:
    header = png.read_header(png.encode(picture(20, 30)))
    assert png_stream.can_stream(header, 1)
    assert not png_stream.can_stream(header._replace(interlaced=True), 1)
    assert not png_stream.can_stream(header._replace(color=3), 3)
    assert not png_stream.can_stream(header, 4)  # one colour is transparent
    assert not png_stream.can_stream(header._replace(depth=4), 1)


@pytest.mark.parametrize("kind", ["png", "strips", "tiles"])
def test_a_coarse_level_comes_in_parts_and_each_is_right(tmp_path: Path, kind: str, monkeypatch) -> None:
    monkeypatch.setattr(levels, "_BLOCK", 32)
    pixels = picture(1000, 900)
    path = tmp_path / ("a.png" if kind == "png" else "a.tif")
    if kind == "png":
        path.write_bytes(png.encode(pixels))
    else:
        options = {"rowsperstrip": 7} if kind == "strips" else {"tile": (64, 64)}
        tifffile.imwrite(path, pixels, compression="lzw", **options)
    monkeypatch.setattr(levels, "KEPT_PIXELS", 20_000)
    with open_image(path) as source:
        want = levels.reduce(pixels, 8)
        seen = np.zeros(want.shape, int)
        for rect, level in source.prepare(Rect(0, 0, 999, 999), 4):
            assert level == 3
            np.testing.assert_array_equal(source.read(rect, level), want[rect.slices])
            seen[rect.slices] += 1
        assert (seen == 1).all()
        assert not list(source.prepare(Rect(0, 0, 999, 999), 4))


def test_when_one_thread_fails_the_others_do_not_wait_for_it() -> None:
    first = threading.Event()

    def read(rect: Rect) -> np.ndarray:
        if not first.is_set():
            first.set()
            raise ImageError("is damaged.", "a.tif", "")
        return np.zeros((rect.h, rect.w), np.uint8)

    cache = levels.LevelCache((400, 400), read)
    outcome: list[object] = []

    def work() -> None:
        try:
            outcome.append(cache.read(Rect(0, 0, 5, 5), cache._kept).shape)
        except ImageError as error:
            outcome.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(isinstance(each, ImageError) for each in outcome) == 1
    assert outcome.count((5, 5)) == 3
