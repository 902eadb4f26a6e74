"""Files and folders that others made, and places where labels must not go."""

from __future__ import annotations

import json
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.core.files import images
from unet_gui.core import journal as journal_module
from unet_gui.core import png
from unet_gui.core.encoding import pack_colors
from unet_gui.core.errors import ImageError, LabelError, ProjectError, UserError
from unet_gui.core.exchange import mask_of
from unet_gui.core.images import ImageRef, image_info, open_image, thumbnail
from unet_gui.core.journal import read_journal
from unet_gui.core.metrics import evaluate_folders
from unet_gui.core.model_info import read_model_info
from unet_gui.core.project import Dataset, Status
from unet_gui.core.store import BINARY, INDEX, maker_of, read_label, read_raw, write_label
from unet_gui.core.undo_file import read_undo

ONES = np.ones((20, 30), np.uint8)


# --- places


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes among the files of Windows")
def test_a_pipe_with_a_pictures_name_is_waited_for_by_nobody(tmp_path: Path) -> None:
    root = images(tmp_path / "x", "a.png", "b.png", "c.tif")
    (root / "labels").mkdir()
    for name in ("a.png", "c.tif", "labels/a.png", "labels/b.png", "labels/c.tif", "m.safetensors"):
        (root / name).unlink(missing_ok=True)
        os.mkfifo(root / name)
    dataset = Dataset.open(root)
    for ref in dataset.images:
        if ref.rel != "b.png":
            for read in (lambda ref=ref: dataset.open_image(ref), lambda ref=ref: thumbnail(root / ref.rel)):
                with pytest.raises(ImageError, match="a pipe or a device, not a picture"):
                    read()
        for read in (dataset.status, lambda ref: dataset.load_label(ref, (20, 30))):
            with pytest.raises(LabelError, match="a pipe or a device"):
                read(ref)
    with pytest.raises(UserError, match="a pipe or a device, not a model"):
        read_model_info(root / "m.safetensors")
    assert maker_of(root / "labels/a.png") == ""
    assert maker_of(root / "labels/c.tif") == ""


def test_labels_never_go_among_the_images(tmp_path: Path) -> None:
    root = images(tmp_path / "x", "a.png")
    before = (root / "a.png").read_bytes()
    with pytest.raises(ProjectError, match="holds the images"):
        Dataset.open(root, labels=root)
    (root / ".unet-gui").mkdir()
    (root / ".unet-gui/project.json").write_text('{"version": 1, "labels": "."}', "utf-8")
    with pytest.raises(ProjectError, match="holds the images"):
        Dataset.open(root)
    dataset = Dataset.open(root, ignore_project=True)
    (root / "labels").symlink_to(root)  # since it was opened
    with pytest.raises(LabelError, match="the image itself"):
        dataset.save_label(dataset.images[0], ONES, overwrite=True)
    assert (root / "a.png").read_bytes() == before


def test_a_folder_of_labels_with_another_name_holds_no_images(tmp_path: Path) -> None:
    root = images(tmp_path / "x", "a.png")
    dataset = Dataset.open(root, labels=root / "masks")
    dataset.save_label(dataset.images[0], ONES)
    dataset.save()
    for again in (Dataset.open(root), Dataset.open(root, labels=root / "masks")):
        assert [ref.rel for ref in again.images] == ["a.png"]
        assert again.status(again.images[0]) is Status.DONE
    other = Dataset.open(root, labels=tmp_path / "elsewhere")
    other.save_label(other.images[0], 0 * ONES)
    other.save()
    assert Dataset.open(root).label_root == root / "masks", "the other folder was for that time"


@pytest.mark.parametrize(
    ("image", "label"), [("IMG.png", "img.png"), ("u\u0308.png", "\u00fc.PNG"), ("a.tif", "A.png")]
)
def test_names_that_some_systems_do_not_tell_apart(tmp_path: Path, image: str, label: str) -> None:
    root = images(tmp_path / "x", image)
    (root / "labels").mkdir()
    write_label(root / "labels" / label, ONES, INDEX)
    dataset = Dataset.open(root)
    ref = dataset.images[0]
    assert dataset.has_label(ref)
    assert dataset.status(ref) is Status.DONE
    dataset.save_label(ref, 0 * ONES)
    assert [path.name for path in (root / "labels").iterdir()] == [label], "no second one beside it"


@pytest.mark.parametrize("names", [("u\u0308.png", "\u00fc.png"), ("A.png", "a.png"), ("A.png", "a.tif")])
def test_two_images_of_such_names_have_labels_of_their_own(tmp_path: Path, names: tuple[str, str]) -> None:
    root = images(tmp_path / "x", *names)
    dataset = Dataset.open(root)
    dataset.save_label(dataset.images[0], ONES)
    assert not Dataset.open(root).has_label(dataset.images[1])
    for value, ref in enumerate(dataset.images):
        dataset.save_label(ref, value * ONES)
    for value, ref in enumerate(Dataset.open(root).images):
        np.testing.assert_array_equal(Dataset.open(root).load_label(ref), value * ONES)


def test_classes_keep_their_names_from_the_first_label_on(tmp_path: Path) -> None:
    dataset = Dataset.open(images(tmp_path / "x", "a.png"))
    names = [info.name for info in dataset.classes]
    dataset.save_label(dataset.images[0], ONES)
    assert [info.name for info in Dataset.open(tmp_path / "x").classes] == names


# --- sizes


def test_a_page_of_one_class_is_not_empty(tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, np.full((2, 8, 9), 255, np.uint8))  # all of it class 1, by another program
    with pytest.raises(LabelError, match="its image is"):
        read_label(path, BINARY, page=0, shape=(20, 30))
    with pytest.raises(LabelError, match="9 × 8 pixels"):
        write_label(path, ONES, BINARY, page=0, pages=2)


def test_a_prediction_of_another_size_is_no_mask(tmp_path: Path) -> None:
    dataset = Dataset.open(images(tmp_path / "x", "a.png"))
    dataset.save_prediction(dataset.images[0], np.ones((40, 50), np.uint8))
    with pytest.raises(LabelError, match="another size"):
        mask_of(dataset, dataset.images[0])


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"resolution": (4, 4), "imagej": True, "metadata": {"unit": "\\u00B5m"}}, 0.25),
        ({"resolution": (2, 4), "imagej": True, "metadata": {"unit": "um"}}, None),
        ({"ome": True, "metadata": {"PhysicalSizeX": 0.5, "PhysicalSizeY": 1.0}}, None),
        ({"ome": True, "metadata": {"PhysicalSizeX": 0.5, "PhysicalSizeY": 500.0, "PhysicalSizeYUnit": "nm"}}, 0.5),
    ],
)
def test_one_pixel_size_is_for_square_pixels(tmp_path: Path, options: dict[str, object], size: float | None) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((20, 30), np.uint8), **options)  # type: ignore[arg-type]
    assert image_info(tmp_path / "a.tif").pixel_size == (None if size is None else pytest.approx(size))


# --- evaluate


def test_two_predictions_of_one_name_are_not_guessed_between(tmp_path: Path) -> None:
    half = np.zeros((20, 30), np.uint8)
    half[:, 15:] = 1
    for name in ("0.png", "1.png"):
        write_label(tmp_path / "label" / name, half, BINARY)
        write_label(tmp_path / "mask" / name, half, BINARY)
    tifffile.imwrite(tmp_path / "mask/0.tif", 255 - 255 * half)  # of an earlier run
    result = evaluate_folders(tmp_path / "mask", tmp_path / "label", membrane=None)
    ((name, reason),) = result.failed
    assert name.endswith("0.png")
    assert "one name" in reason
    assert len(result.pairs) == 1


@pytest.mark.parametrize("wish", ["300", "-1", "7"])
def test_a_class_that_separates_nothing(tmp_path: Path, wish: str) -> None:
    half = np.zeros((20, 30), np.uint8)
    half[:, 15:] = 1
    for folder in ("label", "mask"):
        write_label(tmp_path / folder / "0.png", half, INDEX)
    with pytest.raises(UserError, match="class"):
        evaluate_folders(tmp_path / "mask", tmp_path / "label", membrane=wish)
    assert evaluate_folders(tmp_path / "mask", tmp_path / "label", membrane="1").membrane == 1


# --- what no program of ours wrote


def test_a_journal_of_others(tmp_path: Path) -> None:
    body = b"short"
    path = tmp_path / "journal"
    good = journal_module._record(journal_module._BASE, "a.png", journal_module._BASE_BODY.pack(20, 30, 1))
    path.write_bytes(good + journal_module._record(journal_module._EDIT, "a.png", body))
    assert read_journal(path) == {}


def test_an_undo_file_of_others(tmp_path: Path) -> None:
    from unet_gui.core import undo_file

    for body in (b"x", undo_file._SIZE.pack(3) + b"abc"):
        path = tmp_path / "undo"
        path.write_bytes(undo_file._HEAD.pack(undo_file._MAGIC, 5, zlib.crc32(body)) + body)
        assert read_undo(path, 5) == []


@pytest.mark.parametrize(
    "text",
    [
        '{"version": 1e999}',
        '{"version": 1, "classes": [{"id": 1e999, "name": "a", "color": "#000000"}]}',
        '{"version": 1, "labels": "a\\u0000b"}',
        '{"version": 1, "encoding": {"kind": "map", "values": [[0, 0], [1, 1]], "palette": [[300, 0, 0]]}}',
        '{"version": 1, "encoding": {"kind": "map", "values": [[1e999, 0]]}}',
    ],
)
def test_a_project_file_of_others(tmp_path: Path, text: str) -> None:
    root = images(tmp_path / "x", "a.png")
    (root / ".unet-gui").mkdir()
    (root / ".unet-gui/project.json").write_text(text, "utf-8")
    with pytest.raises(ProjectError):
        Dataset.open(root)
    assert Dataset.open(root, ignore_project=True).images == [ImageRef("a.png")]


def test_no_labels_in_a_project_file_are_the_usual_ones(tmp_path: Path) -> None:
    root = images(tmp_path / "x", "a.png")
    (root / ".unet-gui").mkdir()
    (root / ".unet-gui/project.json").write_text(json.dumps({"version": 1, "labels": None}), "utf-8")
    assert Dataset.open(root).label_root == root / "labels"


def test_a_palette_that_claims_to_be_huge(tmp_path: Path) -> None:
    data = bytearray(png.encode(np.zeros((4, 4), np.uint8), palette=((0, 0, 0), (9, 9, 9))))
    data[16:24] = struct.pack(">II", 60000, 60000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(LabelError):
        read_raw(tmp_path / "a.png")


def test_grey_with_transparency_counts_as_grey(tmp_path: Path) -> None:
    raw = np.dstack([np.full((4, 5), 7, np.uint8), np.full((4, 5), 255, np.uint8)])
    assert np.unique(pack_colors(raw)).tolist() == [0x070707]
    tifffile.imwrite(tmp_path / "a.tif", raw % 8, extrasamples=["unassalpha"], photometric="minisblack")
    np.testing.assert_array_equal(read_label(tmp_path / "a.tif", INDEX), raw[..., 0])


def test_tables_of_colours_of_8_and_16_bits(tmp_path: Path) -> None:
    indices = np.arange(20, dtype=np.uint8).reshape(4, 5)
    table = np.arange(3 * 256, dtype=np.uint16).reshape(3, 256) % 256
    for scale, name in ((1, "8.tif"), (257, "16.tif")):
        tifffile.imwrite(tmp_path / name, indices, photometric="palette", colormap=(table * scale).astype(np.uint16))
        with open_image(tmp_path / name) as source:
            np.testing.assert_array_equal(source.read(), table.T.astype(np.uint8)[indices])


def test_a_table_of_more_colours_than_8_bits_can_tell(tmp_path: Path) -> None:
    indices = np.arange(60 * 50, dtype=np.uint8).reshape(60, 50)
    table = np.arange(3 * 256, dtype=np.uint16).reshape(3, 256)
    tifffile.imwrite(tmp_path / "a.tif", indices, photometric="palette", colormap=table)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        entry = file.pages[0].tags["ColorMap"].offset
    data = bytearray((tmp_path / "a.tif").read_bytes())
    struct.pack_into("<I", data, entry + 4, 3 * 341)
    (tmp_path / "a.tif").write_bytes(data)
    with open_image(tmp_path / "a.tif") as source:
        assert source.read().shape == (60, 50, 3)
