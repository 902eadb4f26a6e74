"""Labels on disk: what is read is what was said, in the encoding of the folder; what would be lost is refused."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from tests.core.files import pattern, smooth
from unet_gui.core import png
from unet_gui.core.cv import cv2
from unet_gui.core.errors import LabelError
from unet_gui.core.store import (
    BINARY,
    INDEX,
    UNLABELLED,
    Encoding,
    detect_encoding,
    read_label,
    read_raw,
    write_label,
)

COLORS = Encoding("map", (((0, 0, 0), 0), ((255, 0, 0), 1), ((0, 128, 255), 2), ((255, 255, 255), 255)))
CAMVID = INDEX.with_unlabelled(11)
WIDE = Encoding("map", ((0, 0), (1000, 1), (65535, 2)))
PALETTE = Encoding("index", palette=((0, 0, 0), (255, 0, 0), (0, 255, 0)))

raw_values = st.lists(st.integers(0, 65535), unique=True, min_size=1, max_size=20)
raw_colors = st.lists(st.tuples(*[st.integers(0, 255)] * 3), unique=True, min_size=1, max_size=20)


def stored(path: Path) -> np.ndarray:
    """Return a file's pixels as another program reads them."""
    with Image.open(path) as image:
        return np.asarray(image)


@st.composite
def encodings(draw: st.DrawFn) -> Encoding:
    """Any encoding that is possible."""
    kind = draw(st.sampled_from(["index", "binary", "values", "colors"]))
    if kind in ("index", "binary"):
        return Encoding(kind)
    raws = draw(raw_values if kind == "values" else raw_colors)
    ids = draw(st.lists(st.integers(0, 255), unique=True, min_size=len(raws), max_size=len(raws)))
    return Encoding("map", tuple(zip(raws, ids, strict=True)))


def ids_of(encoding: Encoding) -> list[int]:
    return list(range(256)) if encoding.kind == "index" else [i for _, i in encoding.pairs()]


@given(encodings(), st.data())
def test_what_an_encoding_can_hold_comes_back(encoding: Encoding, draw: st.DataObject) -> None:
    ids = draw.draw(
        hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2), elements=st.sampled_from(ids_of(encoding)))
    )
    raw = encoding.encode(ids)
    np.testing.assert_array_equal(encoding.decode(raw), ids)
    np.testing.assert_array_equal(encoding.encode(encoding.decode(raw)), raw)
    assert Encoding.from_json(encoding.to_json()) == encoding
    assert encoding.describe()


@given(encodings(), hnp.arrays(np.uint8, (6, 7)))
def test_what_an_encoding_cannot_hold_is_refused_by_name(encoding: Encoding, ids: np.ndarray) -> None:
    wrong = sorted(set(ids.ravel().tolist()) - set(ids_of(encoding)))
    if not wrong:
        np.testing.assert_array_equal(encoding.decode(encoding.encode(ids)), ids)
        return
    with pytest.raises(LabelError, match=rf"\b{wrong[0]}\b"):
        encoding.encode(ids)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(encodings(), hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2)), st.sampled_from(["a.png", "a.tif"]))
def test_any_label_survives_its_file_in_any_folder(
    tmp_path: Path, encoding: Encoding, ids: np.ndarray, name: str
) -> None:
    path = tmp_path / name
    path.unlink(missing_ok=True)
    write_label(path, ids, encoding)
    np.testing.assert_array_equal(read_label(path, encoding, shape=ids.shape), ids)


@pytest.mark.parametrize("encoding", [INDEX, BINARY, COLORS, CAMVID, WIDE])
def test_unknown_values_are_named(encoding: Encoding) -> None:
    raw = np.full((4, 5, 3) if encoding.color else (4, 5), 77, np.uint8)
    if encoding in (INDEX, CAMVID):
        raw = raw.astype(np.int32) + 1000
    name = "#4d4d4d" if encoding.color else str(int(raw.flat[0]))
    with pytest.raises(LabelError, match=name) as caught:
        encoding.decode(raw)
    assert caught.value.hint


def test_many_unknown_values_are_cut_short() -> None:
    with pytest.raises(LabelError, match=r"1, 2, .* 12 … have no class"):
        BINARY.decode(np.arange(256, dtype=np.uint8).reshape(16, 16))


def test_negative_and_decimal_numbers_are_refused() -> None:
    for raw in (np.full((2, 2), -1, np.int16), np.full((2, 2), 0.5, np.float32)):
        for encoding in (INDEX, BINARY, WIDE):
            with pytest.raises(LabelError):
                encoding.decode(raw)


@pytest.mark.parametrize(
    "values",
    [
        (),
        ((0, 1), (0, 2)),
        ((0, 1), (5, 1)),
        ((0, 1), ((1, 2, 3), 2)),
        ((0, 256),),
        ((-1, 0),),
        ((70000, 0),),
        (((1, 2, 300), 0),),
    ],
)
def test_a_map_that_would_lose_something_is_refused(values: tuple) -> None:
    with pytest.raises(LabelError):
        Encoding("map", values)


@pytest.mark.parametrize(
    "data", [{}, {"kind": "zip"}, {"kind": "map", "values": [[0]]}, {"kind": "map", "values": 3}, []]
)
def test_json_without_sense_is_refused(data: object) -> None:
    with pytest.raises(LabelError):
        Encoding.from_json(data)  # type: ignore[arg-type]


def test_encodings_say_what_they_are() -> None:
    assert "255 = unlabelled" in INDEX.describe()
    assert "binary" in BINARY.describe()
    assert CAMVID.describe() == "class numbers, 11 = unlabelled"
    assert COLORS.describe() == "colours for 3 classes, #ffffff = unlabelled"
    assert WIDE.describe() == "values for 3 classes"


def test_unlabelled_by_a_value_of_ones_own() -> None:
    raw = np.array([[0, 11, 10, 12]], np.uint8)
    assert CAMVID.decode(raw).tolist() == [[0, 255, 10, 12]]
    assert INDEX.with_unlabelled(255) == INDEX
    assert INDEX.with_unlabelled(0).decode(raw).tolist() == [[255, 11, 10, 12]]
    assert COLORS.with_unlabelled((255, 255, 255)).decode(np.full((1, 1, 3), 255, np.uint8)) == 255
    with pytest.raises(LabelError):
        COLORS.with_unlabelled((255, 0, 0))
    void = Encoding("map", (((1, 1, 1), 0), ((2, 2, 2), 1), ((3, 3, 3), 2))).with_unlabelled((2, 2, 2))
    assert dict(void.values) == {(1, 1, 1): 0, (2, 2, 2): 255, (3, 3, 3): 2}


# ---------------------------------------------------------------------- files


def test_a_dense_binary_label_is_plain_and_a_partial_one_is_marked(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    ids = np.array([[0, 1], [1, 0]], np.uint8)
    write_label(path, ids, BINARY)
    assert stored(path).tolist() == [[0, 255], [255, 0]]
    assert not read_raw(path).marked
    ids[0, 0] = UNLABELLED
    write_label(path, ids, BINARY)
    assert png.text_of(path.read_bytes(), "unet-gui-encoding") == "index"
    np.testing.assert_array_equal(read_label(path, BINARY), ids)
    np.testing.assert_array_equal(read_label(path, INDEX), ids)
    ids[0, 0] = 0
    write_label(path, ids, BINARY)
    assert not read_raw(path).marked


def test_unlabelled_and_one_class_stay_what_they_are_without_the_project(tmp_path: Path) -> None:
    ids = np.array([[0, 255], [255, 0]], np.uint8)  # looks like a binary picture
    write_label(tmp_path / "a.png", ids, INDEX)
    found = detect_encoding([tmp_path / "a.png"])
    np.testing.assert_array_equal(read_label(tmp_path / "a.png", found.encoding), ids)
    assert found.class_ids == (0,)


@given(st.integers(1, 40), st.integers(1, 3000), st.booleans(), st.integers(0, 255))
@settings(max_examples=40, deadline=None)
def test_other_programs_read_packed_ids(width: int, height: int, colored: bool, most: int) -> None:
    ids = np.random.default_rng(height).integers(0, most + 1, (height, width)).astype(np.uint8)
    data = png.encode_ids(ids, palette=((1, 2, 3), (4, 5, 6)) if colored else (), texts={"a": "b"})
    picture = Image.open(io.BytesIO(data))
    assert picture.mode == ("P" if colored else "L")
    assert picture.info["a"] == "b"
    np.testing.assert_array_equal(np.asarray(picture), ids)
    if colored:
        assert picture.getpalette()[:6] == [1, 2, 3, 4, 5, 6]
        np.testing.assert_array_equal(png.decode_indices(data), ids)
    else:
        np.testing.assert_array_equal(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED), ids)
    png.verify(data)


def test_packed_ids_are_smaller_than_those_of_opencv(data: Path) -> None:
    files = sorted((data / "isbi2012" / "train" / "label").glob("*.png"))[:8]
    labels = [cv2.imread(str(file), cv2.IMREAD_UNCHANGED) for file in files]
    assert sum(len(png.encode_ids(x)) for x in labels) < sum(len(png.encode(x)) for x in labels)


def test_palette_pictures_stay_palette_pictures(tmp_path: Path) -> None:
    indices = (np.arange(600).reshape(20, 30) % 3).astype(np.uint8)
    image = Image.fromarray(indices, "P")
    image.putpalette([value for color in PALETTE.palette for value in color])
    image.save(tmp_path / "a.png")
    found = detect_encoding([tmp_path / "a.png"])
    assert found.encoding == PALETTE
    assert found.class_ids == (0, 1, 2)
    ids = read_label(tmp_path / "a.png", found.encoding)
    np.testing.assert_array_equal(ids, indices)
    write_label(tmp_path / "b.png", ids, found.encoding)
    with Image.open(tmp_path / "b.png") as back:
        assert back.mode == "P"
        np.testing.assert_array_equal(np.asarray(back), indices)
        np.testing.assert_array_equal(np.asarray(back.convert("RGB")), np.array(PALETTE.palette, np.uint8)[indices])


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palettes_of_few_bits(tmp_path: Path, bits: int) -> None:
    indices = pattern((20, 31)) & (2**bits - 1)
    image = Image.fromarray(indices, "P")
    image.putpalette(pattern((2**bits, 3)).tobytes())
    image.save(tmp_path / "a.png", bits=bits)
    assert png.read_header((tmp_path / "a.png").read_bytes()).depth == bits
    np.testing.assert_array_equal(read_raw(tmp_path / "a.png").pixels, indices)


def test_a_partial_label_among_palette_pictures_reads_everywhere(tmp_path: Path) -> None:
    ids = np.array([[0, 2, 255]], np.uint8)
    write_label(tmp_path / "a.png", ids, PALETTE)
    np.testing.assert_array_equal(read_label(tmp_path / "a.png", PALETTE), ids)
    np.testing.assert_array_equal(stored(tmp_path / "a.png"), ids)
    assert detect_encoding([tmp_path / "a.png"]).class_ids == (0, 2)


def test_palette_files_that_disagree_count_by_colour(tmp_path: Path) -> None:
    red, blue = (255, 0, 0), (0, 0, 255)
    for name, palette in {"a.png": (red, blue), "b.png": (blue, red)}.items():
        image = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
        image.putpalette([value for color in palette for value in color])
        image.save(tmp_path / name)
    found = detect_encoding([tmp_path / "a.png", tmp_path / "b.png"])
    a, b = (read_label(tmp_path / name, found.encoding) for name in ("a.png", "b.png"))
    assert found.encoding.color
    assert a.tolist() == b[:, ::-1].tolist()


def test_colour_coded_pictures(tmp_path: Path) -> None:
    ids = np.random.default_rng(0).integers(0, 3, (20, 30)).astype(np.uint8)
    colors = np.array([(128, 64, 128), (0, 0, 0), (70, 70, 70)], np.uint8)
    Image.fromarray(colors[ids]).save(tmp_path / "a.png")
    found = detect_encoding([tmp_path / "a.png"])
    assert found.encoding.color
    assert found.class_ids == (0, 1, 2)
    assert "#804080" in found.note
    label = read_label(tmp_path / "a.png", found.encoding)
    write_label(tmp_path / "b.png", label, found.encoding)
    np.testing.assert_array_equal(stored(tmp_path / "b.png"), colors[ids])


def test_opacity_of_colour_coded_pictures_does_not_matter(tmp_path: Path) -> None:
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[:2] = (9, 8, 7, 255)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert len(detect_encoding([tmp_path / "a.png"]).class_ids) == 2


def test_16_bit_values(tmp_path: Path) -> None:
    raw = np.array([[0, 1000], [65535, 0]], np.uint16)
    (tmp_path / "a.png").write_bytes(png.encode(raw))
    found = detect_encoding([tmp_path / "a.png"])
    assert found.encoding == WIDE
    write_label(tmp_path / "b.png", read_label(tmp_path / "a.png", found.encoding), found.encoding)
    back = read_raw(tmp_path / "b.png").pixels
    assert back.dtype == np.uint16
    np.testing.assert_array_equal(back, raw)


def test_one_bit_pictures_are_binary(tmp_path: Path) -> None:
    bits = pattern((20, 30)) > 127
    Image.fromarray(bits).save(tmp_path / "a.png")
    found = detect_encoding([tmp_path / "a.png"])
    assert found.encoding == BINARY
    np.testing.assert_array_equal(read_label(tmp_path / "a.png", BINARY), bits)


@pytest.mark.parametrize("photometric", ["miniswhite", "minisblack"])
@pytest.mark.parametrize("compression", [None, "deflate"])
def test_one_bit_pages_are_what_other_programs_show(tmp_path: Path, photometric: str, compression: str | None) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        for page in range(3):
            bits = np.roll(np.eye(20, 30, dtype=bool), page, axis=1)
            writer.write(bits, photometric=photometric, compression=compression)
    shown = []
    for page in range(3):
        with Image.open(path) as image:
            image.seek(page)
            shown.append(np.asarray(image).astype(np.uint8))
    assert shown[0][0, 0] == (photometric == "minisblack")
    for page in range(3):
        np.testing.assert_array_equal(read_label(path, BINARY, page=page), shown[page])
    write_label(path, shown[0], BINARY, page=1, pages=3)
    for page, expected in enumerate((shown[0], shown[0], shown[2])):
        np.testing.assert_array_equal(read_label(path, BINARY, page=page), expected)


def test_numbers_in_a_page_where_white_is_zero_are_as_they_are_stored(tmp_path: Path) -> None:
    ids = np.array([[0, 1, 2, 255]], np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", ids, photometric="miniswhite")
    np.testing.assert_array_equal(read_label(tmp_path / "a.tif", INDEX), ids)


def test_a_grey_label_saved_as_colour_is_still_one(tmp_path: Path) -> None:
    ids = np.array([[0, 1], [2, 3]], np.uint8)
    Image.fromarray(np.dstack([ids] * 3)).save(tmp_path / "a.png")
    assert detect_encoding([tmp_path / "a.png"]).encoding == INDEX
    np.testing.assert_array_equal(read_label(tmp_path / "a.png", INDEX), ids)


def test_another_size_is_refused_with_both_sizes(tmp_path: Path) -> None:
    write_label(tmp_path / "a.png", np.zeros((10, 20), np.uint8), INDEX)
    with pytest.raises(LabelError, match="20 × 10 pixels, but its image is 30 × 10"):
        read_label(tmp_path / "a.png", INDEX, shape=(10, 30))


@pytest.mark.parametrize("content", [b"", b"no picture at all", png.encode(smooth((40, 50)))[:-30]])
def test_a_damaged_label_is_a_label_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(LabelError) as caught:
        read_label(tmp_path / "a.png", INDEX)
    assert caught.value.path == str(tmp_path / "a.png")
    with pytest.raises(LabelError, match="not there"):
        read_label(tmp_path / "none.png", INDEX)
    with pytest.raises(LabelError):
        read_label(tmp_path / "none.tif", INDEX)


@pytest.mark.parametrize("ids", [np.zeros((3, 3), np.int32), np.zeros((3, 3, 3), np.uint8), np.zeros((0, 3), np.uint8)])
def test_what_is_no_label_is_not_written(tmp_path: Path, ids: np.ndarray) -> None:
    with pytest.raises(LabelError):
        write_label(tmp_path / "a.png", ids, INDEX)
    assert not list(tmp_path.iterdir())


def test_names_in_any_script(tmp_path: Path) -> None:
    ids = pattern((9, 9))
    path = tmp_path / "Ordner mit ü" / "细胞.png"
    write_label(path, ids, INDEX)
    np.testing.assert_array_equal(read_label(path, INDEX), ids)


# ---------------------------------------------------------------------- detection


def folder_of(tmp_path: Path, *arrays: np.ndarray) -> list[Path]:
    paths = [tmp_path / f"{i}.png" for i in range(len(arrays))]
    for path, array in zip(paths, arrays, strict=True):
        path.write_bytes(png.encode(np.atleast_2d(np.asarray(array))))
    return paths


def grey(*values: int) -> np.ndarray:
    return np.array([values], np.uint8)


@pytest.mark.parametrize(
    ("files", "encoding", "ids"),
    [
        ([], INDEX, ()),
        ([grey(0, 255)], BINARY, (0, 1)),
        ([grey(255)], BINARY, (0, 1)),
        ([grey(0), grey(255)], BINARY, (0, 1)),
        ([grey(0)], INDEX, (0,)),
        ([grey(0, 1)], INDEX, (0, 1)),
        ([grey(0, 1, 255)], INDEX, (0, 1)),
        ([grey(0, 255), grey(0, 1)], INDEX, (0, 1)),
        ([grey(*range(12))], INDEX, tuple(range(12))),
        ([grey(0, 20), grey(7, 255)], INDEX, (0, 7, 20)),
        ([grey(1, 2, 3)], INDEX, (1, 2, 3)),
        ([grey(*range(255))], INDEX, tuple(range(255))),
        ([grey(0, 128, 255)], Encoding("map", ((0, 0), (128, 1), (255, 2))), (0, 1, 2)),
        ([grey(50, 100, 150, 200)], Encoding("map", ((50, 0), (100, 1), (150, 2), (200, 3))), (0, 1, 2, 3)),
    ],
)
def test_what_is_found(tmp_path: Path, files: list[np.ndarray], encoding: Encoding, ids: tuple[int, ...]) -> None:
    paths = folder_of(tmp_path, *files)
    found = detect_encoding(paths)
    assert (found.encoding, found.class_ids) == (encoding, ids)
    assert bool(found.note) == (encoding.kind == "map" or len(ids) > 64)
    for path, array in zip(paths, files, strict=True):
        np.testing.assert_array_equal(found.encoding.encode(read_label(path, found.encoding)), array)


def test_one_odd_file_among_many_decides(tmp_path: Path) -> None:
    paths = folder_of(tmp_path, *[grey(0, 255)] * 30, grey(0, 1, 2, 255))
    assert detect_encoding(paths).encoding == INDEX


def test_a_damaged_label_is_named_and_the_rest_counts(tmp_path: Path) -> None:
    paths = folder_of(tmp_path, grey(0, 255), grey(0, 255))
    paths[0].write_bytes(b"")
    found = detect_encoding(paths)
    assert found.encoding == BINARY
    assert str(paths[0]) in found.note


def test_photographs_and_numbered_objects_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="different colours"):
        detect_encoding(folder_of(tmp_path, smooth((300, 300))))
    with pytest.raises(LabelError, match="different values"):
        detect_encoding(folder_of(tmp_path, np.arange(400, dtype=np.uint16)))


def test_of_very_many_labels_a_spread_sample_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = folder_of(tmp_path, *[grey(0, 255)] * 40)
    monkeypatch.setattr("unet_gui.core.detect.SAMPLE", 10)
    found = detect_encoding(paths)
    assert found.encoding == BINARY
    assert "10 of 40" in found.note
    monkeypatch.setattr("unet_gui.core.detect.SAMPLE", 2000)
    monkeypatch.setattr("unet_gui.core.detect._BUDGET", 2 * 20)  # as if they were very large
    assert "20 of 40" in detect_encoding(paths).note


def test_real_labels_are_found_and_written_back_as_they_were(data: Path, tmp_path: Path) -> None:
    for name, encoding, classes in [
        ("isbi2012/train/label", BINARY, 2),
        ("camvid/train/label", INDEX, 12),
    ]:
        paths = sorted((data / name).glob("*.png"))
        found = detect_encoding(paths)
        assert (found.encoding, len(found.class_ids)) == (encoding, classes)
        for path in paths[:6]:
            copy = tmp_path / path.name
            shutil.copy(path, copy)
            ids = read_label(copy, found.encoding)
            write_label(copy, ids, found.encoding)
            np.testing.assert_array_equal(stored(copy), stored(path))
            assert png.read_header(copy.read_bytes()) == png.read_header(path.read_bytes())
    with pytest.raises(LabelError, match="Import"):
        detect_encoding(sorted((data / "nuclei/instances").glob("*.png")))
