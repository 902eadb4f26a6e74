"""Labels are found again, with the meaning they had, whatever else comes into the folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.core.files import images, open_folder, pattern, without_rights
from unet_gui.core import png
from unet_gui.core.errors import LabelError
from unet_gui.core.exchange import ExportOptions, ImportOptions, export, import_labels
from unet_gui.core.images import ImageRef
from unet_gui.core.palette import ClassInfo
from unet_gui.core.project import Dataset, Status
from unet_gui.core.store import BINARY, INDEX, UNLABELLED, write_label

SHAPE = (20, 30)


def ids(value: int = 1) -> np.ndarray:
    made = np.zeros(SHAPE, np.uint8)
    made[5:10, 5:10] = value
    return made


def put(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png.encode(values))


@pytest.mark.parametrize("name", ["image", "images"])
def test_labels_made_before_there_was_a_folder_for_them(tmp_path: Path, name: str) -> None:
    images(tmp_path, f"{name}/a.png", f"{name}/sub/b.png")
    first = Dataset.open(tmp_path)
    for ref in first.images:
        first.save_label(ref, ids())
    for again in (Dataset.open(tmp_path), Dataset.open(tmp_path / name)):
        for ref in again.images:
            np.testing.assert_array_equal(again.load_label(ref), ids())
            assert again.status(ref) is Status.DONE
    again.save_label(again.images[0], ids(0))
    np.testing.assert_array_equal(Dataset.open(tmp_path).load_label(again.images[0]), ids(0))
    np.testing.assert_array_equal(Dataset.open(tmp_path).load_label(again.images[1]), ids())


def test_a_folder_of_labels_that_is_left_over_hides_none(tmp_path: Path) -> None:
    images(tmp_path, "images/a.png", "images/b.png")
    put(tmp_path / "labels/a.png", ids(1))
    put(tmp_path / "labels/images/a.png", ids(0))  # older
    put(tmp_path / "labels/images/b.png", ids(1))
    dataset = Dataset.open(tmp_path)
    for ref in dataset.images:
        np.testing.assert_array_equal(dataset.load_label(ref), ids(1))


def test_values_keep_their_meaning_though_the_file_that_told_it_has_changed(tmp_path: Path) -> None:
    images(tmp_path, "a.png", "b.png")
    three = np.zeros(SHAPE, np.uint8)
    three[:5], three[5:10] = 128, 255
    two = np.zeros(SHAPE, np.uint8)
    two[:5] = 255
    put(tmp_path / "labels/a.png", three)
    put(tmp_path / "labels/b.png", two)
    dataset = Dataset.open(tmp_path)
    before = [dataset.load_label(ref) for ref in dataset.images]
    changed = np.array(before[0])
    changed[-1] = UNLABELLED  # which the values cannot say: it is saved as class ids
    dataset.save_label(dataset.images[0], changed)
    again = Dataset.open(tmp_path)
    np.testing.assert_array_equal(again.load_label(again.images[0]), changed)
    np.testing.assert_array_equal(again.load_label(again.images[1]), before[1])
    assert len(again.classes) == 3


def test_masks_put_into_a_folder_of_class_ids_are_said(tmp_path: Path) -> None:
    images(tmp_path, "a.png", "b.png")
    dataset = Dataset.open(tmp_path)
    dataset.save_label(dataset.images[1], ids())
    dataset.save()
    assert not Dataset.open(tmp_path).notes
    put(tmp_path / "labels/a.png", ids(255))
    (note,) = Dataset.open(tmp_path).notes
    assert "a.png holds only 0 and 255" in note


def test_a_stack_of_labels_with_other_pages_is_no_label(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "s.tif", pattern((6, *SHAPE)), photometric="minisblack")
    (tmp_path / "labels").mkdir()
    tifffile.imwrite(tmp_path / "labels/s.tif", np.stack([ids(n % 2) for n in range(3)]), photometric="minisblack")
    dataset = Dataset.open(tmp_path)
    for look in (dataset.load_label, dataset.status):
        with pytest.raises(LabelError, match="3 pages, but its image has 6"):
            look(ImageRef("s.tif", 1))
    tifffile.imwrite(tmp_path / "s.tif", pattern((3, *SHAPE)), photometric="minisblack")
    dataset = Dataset.open(tmp_path)
    np.testing.assert_array_equal(dataset.load_label(ImageRef("s.tif", 1)), ids(1))
    assert dataset.status(ImageRef("s.tif", 1)) is Status.DONE


def test_pages_with_palettes_keep_their_colours_when_another_is_saved(tmp_path: Path) -> None:
    for name, first in (("s", (255, 0, 0)), ("t", (0, 0, 255))):  # one index, two colours: the colours count
        tifffile.imwrite(tmp_path / f"{name}.tif", pattern((3, *SHAPE)), photometric="minisblack")
        (tmp_path / "labels").mkdir(exist_ok=True)
        colors = np.zeros((3, 256), np.uint16)
        colors[:, 0], colors[:, 1] = (0, 65535, 0), np.array(first) * 257
        stack = np.stack([ids(n % 2) for n in range(3)])
        tifffile.imwrite(tmp_path / f"labels/{name}.tif", stack, photometric="palette", colormap=colors)
    dataset = Dataset.open(tmp_path)
    assert dataset.encoding.color
    before = {page: dataset.load_label(ImageRef("s.tif", page)) for page in range(3)}
    dataset.save_label(ImageRef("s.tif", 1), np.zeros(SHAPE, np.uint8))
    for page in (0, 2):
        np.testing.assert_array_equal(dataset.load_label(ImageRef("s.tif", page)), before[page])


@pytest.mark.skipif(sys.platform == "win32", reason="rights work differently on Windows")
def test_a_stack_that_is_kept_elsewhere_keeps_its_other_pages() -> None:
    with open_folder() as place:
        folder = place / "x"
        (folder / "labels").mkdir(parents=True)
        tifffile.imwrite(folder / "s.tif", pattern((3, *SHAPE)), photometric="minisblack")
        for page in range(3):
            write_label(folder / "labels/s.tif", ids(page), INDEX, page=page, pages=3)
        (place / "mine").mkdir()
        (place / "mine").chmod(0o777)
        for path in (folder / "labels", folder):
            path.chmod(0o555)
        with without_rights():
            dataset = Dataset.open(folder, state=place / "mine")
            assert not dataset.read_only
            dataset.save_label(ImageRef("s.tif", 1), np.zeros(SHAPE, np.uint8))
            for page, expected in enumerate((ids(0), np.zeros(SHAPE, np.uint8), ids(2))):
                np.testing.assert_array_equal(dataset.load_label(ImageRef("s.tif", page)), expected)


@pytest.mark.parametrize("suffix", [".PNG", ".TIF", ".Tiff", ".BMP"])
def test_labels_with_large_suffixes(tmp_path: Path, suffix: str) -> None:
    from unet_gui.core.cv import cv2

    images(tmp_path, "a.png")
    (tmp_path / "labels").mkdir()
    plain = tmp_path / f"labels/x{suffix.lower()}"
    cv2.imwrite(str(plain), ids(255))
    plain.rename(tmp_path / f"labels/a{suffix}")
    dataset = Dataset.open(tmp_path)
    assert dataset.encoding == BINARY
    np.testing.assert_array_equal(dataset.load_label(dataset.images[0]), ids(1))
    dataset.save_label(dataset.images[0], ids(0))
    np.testing.assert_array_equal(Dataset.open(tmp_path).load_label(dataset.images[0]), ids(0))


def test_a_label_that_could_be_of_two_images_is_said(tmp_path: Path) -> None:
    images(tmp_path, "a.png", "b.png")
    dataset = Dataset.open(tmp_path)
    dataset.save_label(dataset.images[0], ids())
    (tmp_path / "a.tif").write_bytes((tmp_path / "a.png").read_bytes())
    (note,) = [note for note in Dataset.open(tmp_path).notes if "could be that of" in note]
    assert "call it a.png.png" in note or "call it a.tif.png" in note
    (tmp_path / "labels/a.png").rename(tmp_path / "labels/a.png.png")
    again = Dataset.open(tmp_path)
    assert not [note for note in again.notes if "could be" in note]
    np.testing.assert_array_equal(again.load_label(ImageRef("a.png")), ids())


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_a_link_in_a_circle_hides_nothing(tmp_path: Path) -> None:
    images(tmp_path, "a.png", "sub/b.png")
    for place in (tmp_path, tmp_path / "sub", tmp_path / "labels"):
        place.mkdir(exist_ok=True)
        os.symlink("loop", place / "loop")
    dataset = Dataset.open(tmp_path)
    assert [ref.rel for ref in dataset.images] == ["a.png", "sub/b.png"]
    dataset.save_label(dataset.images[1], ids())
    np.testing.assert_array_equal(Dataset.open(tmp_path).load_label(dataset.images[1]), ids())


def test_pages_are_copied_one_by_one_for_yolo(tmp_path: Path) -> None:
    stack = pattern((3, *SHAPE), "uint16")
    tifffile.imwrite(tmp_path / "s.tif", stack, photometric="minisblack")
    dataset = Dataset.open(tmp_path)
    for page in range(3):
        dataset.save_label(ImageRef("s.tif", page), ids(page % 2))
    result = export(dataset, "yolo", tmp_path / "out", ExportOptions(background="0", copy_images=True))
    assert (result.done, result.failed) == (3, [])
    copies = sorted((tmp_path / "out/images").iterdir())
    assert len(copies) == 3
    for page, copy in enumerate(copies):
        np.testing.assert_array_equal(tifffile.imread(copy), stack[page])


def test_names_that_imagej_gives_are_numbers_and_those_of_people_are_classes(tmp_path: Path) -> None:
    roifile = pytest.importorskip("roifile")
    images(tmp_path / "x", "a.png")
    names = ["nucleus", "nucleus-1", "0012-0034", "vessel"]
    rois = []
    for n, name in enumerate(names):
        roi = roifile.ImagejRoi.frompoints([(6 * n, 2), (6 * n + 4, 2), (6 * n + 4, 8), (6 * n, 8)], name=name)
        roi.roitype = roifile.ROI_TYPE.POLYGON
        rois.append(roi)
    (tmp_path / "in").mkdir()
    roifile.roiwrite(tmp_path / "in/a.zip", rois)
    dataset = Dataset.open(tmp_path / "x")
    assert import_labels(dataset, tmp_path / "in", "imagej", ImportOptions()).done == 1
    label = dataset.load_label(dataset.images[0])
    assert label is not None
    by_id = {info.id: info.name for info in dataset.classes}
    found = [by_id[int(label[5, 6 * n + 2])] for n in range(4)]
    assert found == ["nucleus", "nucleus", "object", "vessel"]


def test_a_stack_whose_pages_nobody_knows_yet_is_counted_whole(tmp_path: Path) -> None:
    from unet_gui.app.model_jobs import CountJob, RelabelJob

    tifffile.imwrite(tmp_path / "s.tif", pattern((3, *SHAPE)), photometric="minisblack")
    dataset = Dataset.open(tmp_path)
    dataset.set_classes([*dataset.classes, ClassInfo(2, "two", "#ff0000")])
    for page, value in enumerate((0, 2, 2)):
        dataset.save_label(ImageRef("s.tif", page), ids(value))
    run = CountJob(dataset, (ImageRef("s.tif"),), frozenset({2}))()
    touched = None
    while True:
        try:
            next(run)
        except StopIteration as stop:
            touched = stop.value
            break
    assert (touched.pixels, touched.images) == (50, 2)
    keep = tmp_path / "keep"
    for undoing, expected in ((False, 1), (True, 2)):
        list(RelabelJob(dataset, (ImageRef("s.tif"),), 2, 1, keep, undoing)())
        np.testing.assert_array_equal(dataset.load_label(ImageRef("s.tif", 2)), ids(expected))


def test_a_folder_of_images_beside_other_pictures_stays_what_it_was(tmp_path: Path) -> None:
    """The folder of labels that the first stroke makes does not take the others away."""
    root = images(tmp_path / "x", "overview.png", "image/001.png", "image/002.png")
    inner = Dataset.open(root / "image")
    inner.save_label(inner.images[1], np.ones((20, 30), np.uint8))
    dataset = Dataset.open(root)
    keys = [ref.key for ref in dataset.images]
    assert len(keys) == 3
    dataset.save_label(ImageRef("image/001.png"), np.ones((20, 30), np.uint8))
    again = Dataset.open(root)
    assert [ref.key for ref in again.images] == keys
    assert again.has_label(ImageRef("image/001.png"))
    alone = Dataset.open(root / "image")
    assert [ref.key for ref in alone.images] == ["001.png", "002.png"]
    assert [alone.has_label(ref) for ref in alone.images] == [False, True], "its own, as before"
