"""Names of images and classes in the files of others: which is meant, and what is said of those that mean nothing."""

from __future__ import annotations

import json
import unicodedata
import zipfile
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import tifffile

from unet_gui.core import png
from unet_gui.core.errors import UserError
from unet_gui.core.exchange import ExportOptions, ImportOptions, export, import_labels
from unet_gui.core.images import ImageRef
from unet_gui.core.palette import ClassInfo
from unet_gui.core.project import Dataset

from .exchange_kit import SIZE, folder, mask, square

Form = Literal["NFC", "NFD"]


def coco_of(path: Path, *names: str) -> Path:
    """A square of another place in each image."""
    data = {
        "images": [{"id": n, "file_name": name, "height": SIZE[0], "width": SIZE[1]} for n, name in enumerate(names)],
        "categories": [{"id": 7, "name": "cell"}],
        "annotations": [
            {"id": n, "image_id": n, "category_id": 7, "iscrowd": 0, "segmentation": [square(n, n, 4)]}
            for n in range(len(names))
        ],
    }
    path.write_text(json.dumps(data), "utf-8")
    return path


def stack(tmp_path: Path, pages: int = 3) -> Dataset:
    (tmp_path / "folder").mkdir()
    tifffile.imwrite(tmp_path / "folder" / "s.tif", np.full((pages, *SIZE), 7, np.uint8), photometric="minisblack")
    return Dataset.open(tmp_path / "folder")


def test_pages_of_a_stack_in_a_folder_of_another_program(tmp_path: Path) -> None:
    dataset = stack(tmp_path)
    result = import_labels(dataset, coco_of(tmp_path / "x.json", "val/s.tif#0", "s.tif#2", "val/t.tif#0"), "coco")
    assert result.done == 2
    assert "Not in this folder: val/t.tif#0." in result.notes
    for page, corner in ((0, 0), (2, 1)):
        label = dataset.load_label(ImageRef("s.tif", page))
        assert label is not None
        rows, columns = np.nonzero(label != label[-1, -1])
        assert (rows.min(), columns.min()) == (corner, corner)


@pytest.mark.parametrize("kind", ["coco", "index"])
def test_pages_that_a_stack_does_not_have_are_named(tmp_path: Path, kind: str) -> None:
    dataset = stack(tmp_path)
    if kind == "coco":
        source = coco_of(tmp_path / "x.json", "s.tif#1", "s.tif#3")
        name = "s.tif#3"
    else:
        source = tmp_path / "in"
        for page in (1, 3):
            mask(source / f"s.{page:04d}.png")
        name = "s.0003.png"
    result = import_labels(dataset, source, kind)
    assert result.done == 1
    assert f"Not in this folder: {name}." in result.notes


@pytest.mark.parametrize("kind", ["labelme", "coco"])
def test_what_is_for_a_stack_and_none_of_its_pages_is_named(tmp_path: Path, kind: str) -> None:
    dataset = stack(tmp_path)
    if kind == "coco":
        source, name = coco_of(tmp_path / "x.json", "s.tif", "s.tif#1"), "s.tif"
    else:
        source, name = tmp_path / "in", "s.json"
        source.mkdir()
        shape = {"label": "cell", "points": [[1, 1], [9, 1], [9, 9]], "shape_type": "polygon"}
        for called in ("s.json", "s.0001.json"):
            (source / called).write_text(json.dumps({"shapes": [shape]}))
    result = import_labels(dataset, source, kind)
    assert (result.done, result.skipped) == (1, 2)
    assert f"Not in this folder: {name} (each page of a stack has one of its own)." in result.notes


@pytest.mark.parametrize("kind", ["index", "instances", "tiff16", "labelme", "yolo", "imagej", "coco", "masks"])
@pytest.mark.parametrize(
    "names",
    [("s.0001.png",), ("S.0001.PNG",), ("s.0001.png", "s.tif.0001.png"), ("s.png", "s.tif.0001.png", "s.0001.png")],
)
def test_a_page_and_an_image_that_is_called_like_it_are_two(tmp_path: Path, kind: str, names: tuple[str, ...]) -> None:
    if kind == "imagej":
        pytest.importorskip("roifile")
    dataset = stack(tmp_path)
    for name in names:
        (dataset.root / name).write_bytes(png.encode(np.full(SIZE, 7, np.uint8)))
    dataset = Dataset.open(dataset.root)
    refs = [ref for file in dataset.images for ref in dataset.expand(file)]
    assert {ref.key for ref in refs} == {*names, "s.tif#0", "s.tif#1", "s.tif#2"}
    labels = {}
    for n, ref in enumerate(refs):
        labels[ref] = np.zeros(SIZE, np.uint8)
        labels[ref][4 * n : 4 * n + 3, 5:9] = 1
        dataset.save_label(ref, labels[ref])
    for overwrite in (False, True):
        result = export(dataset, kind, tmp_path / "out", ExportOptions(only_labels=True, overwrite=overwrite))
        assert (result.done, result.failed) == (len(refs), [])
    for ref in refs:
        dataset.save_label(ref, np.full(SIZE, 255, np.uint8))
    result = import_labels(dataset, tmp_path / "out", kind, ImportOptions(overwrite=True))
    assert (result.done, result.failed) == (len(refs), [])
    for ref in refs:
        label = dataset.load_label(ref)
        assert label is not None
        np.testing.assert_array_equal(label == 1, labels[ref] == 1, err_msg=ref.key)


def test_names_that_match_nothing_at_all_are_in_the_details(tmp_path: Path) -> None:
    dataset = stack(tmp_path)
    with pytest.raises(UserError, match="nothing for the images") as error:
        import_labels(dataset, coco_of(tmp_path / "x.json", "val/t.tif#0", "u.png"), "coco")
    assert error.value.details == "val/t.tif#0, u.png"


@pytest.mark.parametrize(("ours", "theirs"), [("NFC", "NFD"), ("NFD", "NFC")])
@pytest.mark.parametrize("kind", ["coco", "index"])
def test_names_of_letters_in_two_parts_are_the_same(tmp_path: Path, kind: str, ours: Form, theirs: Form) -> None:
    dataset = folder(tmp_path, unicodedata.normalize(ours, "Zellé 1.png"))
    name = unicodedata.normalize(theirs, "Zellé 1.png")  # as another system writes it
    if kind == "coco":
        source = coco_of(tmp_path / "x.json", name)
    else:
        source = tmp_path / "in"
        mask(source / name)
    result = import_labels(dataset, source, kind)
    assert (result.done, result.failed) == (1, [])
    assert dataset.has_label(dataset.images[0])


def test_case_counts_where_both_are_there(tmp_path: Path) -> None:
    dataset = folder(tmp_path, "A.png", "a.png", "B.png")
    if len(dataset.images) < 3:
        pytest.skip("this disk does not tell upper and lower case apart")
    for name, class_id in (("A.png", 1), ("a.png", 2), ("b.PNG", 3)):
        mask(tmp_path / "in" / name, class_id)
    result = import_labels(dataset, tmp_path / "in", "index")
    assert (result.done, result.notes[0].startswith("New classes")) == (3, True)
    for name, class_id in (("A.png", 1), ("a.png", 2), ("B.png", 3)):
        label = dataset.load_label(ImageRef(name))
        assert label is not None
        assert label.max() == class_id, name


def test_a_name_in_another_case_than_two_images_is_of_neither(tmp_path: Path) -> None:
    dataset = folder(tmp_path, "AB.png", "ab.png", "c.png")
    if len(dataset.images) < 3:
        pytest.skip("this disk does not tell upper and lower case apart")
    for name in ("Ab.png", "c.png"):
        mask(tmp_path / "in" / name)
    result = import_labels(dataset, tmp_path / "in", "index")
    assert result.done == 1
    assert "Not in this folder: Ab.png (two images are called so)." in result.notes


def test_a_name_of_two_images_is_said_with_an_example_of_both(tmp_path: Path) -> None:
    dataset = folder(tmp_path, "a.jpg", "a.png")
    mask(tmp_path / "in" / "a.png")
    with pytest.raises(UserError, match="nothing for the images") as error:
        import_labels(dataset, tmp_path / "in", "index")
    assert error.value.hint.endswith(" There is a.png (two images are called so), and the image a.jpg.")


@pytest.mark.parametrize("renamed", [False, True], ids=["ours", "saved by ImageJ"])
def test_classes_with_signs_that_files_cannot_have(tmp_path: Path, renamed: bool) -> None:
    roifile = pytest.importorskip("roifile")
    dataset = folder(tmp_path, "a.png")
    names = ("background", "cell/edge", "cell: core", 'a "b" c?', "cell:edge")
    classes = [ClassInfo(i, name, f"#00000{i}") for i, name in enumerate(names)]
    dataset.set_classes(classes)
    ids = np.zeros(SIZE, np.uint8)
    for n in range(1, 5 - renamed):  # two that ImageJ would call the same cannot be told apart then
        ids[4 * n : 4 * n + 3, 4:9] = n
    dataset.save_label(ImageRef("a.png"), ids)
    export(dataset, "imagej", tmp_path / "out", ExportOptions(only_labels=True))
    path = tmp_path / "out" / "a_RoiSet.zip"
    with zipfile.ZipFile(path) as archive:
        inside = archive.namelist()
        rois = [roifile.ImagejRoi.frombytes(archive.read(name)) for name in inside]
    assert inside[:3] == ["cell_edge-0001.roi", "cell_ core-0001.roi", "a _b_ c_-0001.roi"]
    assert inside[3:] == ["cell_edge-0002.roi"] * (not renamed)
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "a.png").write_bytes(png.encode(np.full(SIZE, 7, np.uint8)))
    back = Dataset.open(tmp_path / "new")
    if renamed:  # its manager calls a ROI by the name of the file in the zip
        back.set_classes(classes)
        with zipfile.ZipFile(path, "w") as archive:
            for name, roi in zip(inside, rois, strict=True):
                roi.name = name.removesuffix(".roi")
                archive.writestr(name, roi.tobytes())
    import_labels(back, tmp_path / "out", "imagej")
    assert [info.name for info in back.classes] == list(names)
    np.testing.assert_array_equal(back.load_label(ImageRef("a.png")), ids)
