"""Import: names, classes, what is refused and why; nothing is overwritten unasked."""

from __future__ import annotations

import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.core.exchange_kit import SIZE, coco, folder, mask, square
from tests.core.files import images, open_folder, without_rights
from unet_gui.core import png
from unet_gui.core.errors import LabelError, UserError
from unet_gui.core.exchange import ExportOptions, ImportOptions, export, import_labels
from unet_gui.core.images import ImageRef
from unet_gui.core.metrics import evaluate_folders
from unet_gui.core.palette import ClassInfo
from unet_gui.core.project import Dataset
from unet_gui.core.store import INDEX, write_label


def test_a_label_is_not_overwritten_unasked(tmp_path: Path) -> None:
    dataset = folder(tmp_path)
    mine = np.zeros(SIZE, np.uint8)
    dataset.save_label(ImageRef("a.png"), mine)
    before = dataset.label_path(ImageRef("a.png")).read_bytes()
    theirs = mask(tmp_path / "in/a.png")
    mask(tmp_path / "in/b.png")
    result = import_labels(dataset, tmp_path / "in", "index")
    assert result.done == 1
    assert [name for name, _ in result.failed] == ["a.png"]
    assert "label already" in result.failed[0][1]
    assert dataset.label_path(ImageRef("a.png")).read_bytes() == before
    assert import_labels(dataset, tmp_path / "in", "index", ImportOptions(overwrite=True)).done == 2
    assert (dataset.load_label(ImageRef("a.png")) == theirs).all()


def test_bad_files_are_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    dataset = folder(tmp_path, "a.png", "b.png", "c.png", "d.png")
    mask(tmp_path / "in/a.png", size=(20, 31))
    (tmp_path / "in/b.png").write_bytes((tmp_path / "in/a.png").read_bytes()[:60])
    (tmp_path / "in/c.png").write_text("no picture")
    ids = mask(tmp_path / "in/d.png")
    mask(tmp_path / "in/elsewhere.png")
    result = import_labels(dataset, tmp_path / "in", "index")
    assert result.done == 1
    assert [name for name, _ in result.failed] == ["a.png", "b.png", "c.png"]
    assert "31 × 20" in result.failed[0][1]
    assert any("elsewhere.png" in note for note in result.notes)
    assert (dataset.load_label(ImageRef("d.png")) == ids).all()


def test_what_has_nothing_for_this_folder_is_refused_and_nothing_written(tmp_path: Path) -> None:
    dataset = folder(tmp_path)
    mask(tmp_path / "in/x.png")
    for source in (tmp_path / "in", tmp_path / "nowhere"):
        with pytest.raises(UserError):
            import_labels(dataset, source, "index")
    assert not dataset.label_root.exists()
    assert not (dataset.state_dir / "project.json").exists()


@pytest.mark.parametrize(("kind", "there"), [("masks", "coco"), ("labelme", "masks"), ("coco", "masks")])
def test_where_files_are_of_another_format_that_is_asked(tmp_path: Path, kind: str, there: str) -> None:
    dataset = folder(tmp_path, "a.png")
    if there == "coco":
        coco(tmp_path / "source" / "instances.json", [])
    else:
        mask(tmp_path / "source" / "a.png")
    with pytest.raises(UserError) as caught:
        import_labels(dataset, tmp_path / "source", kind)
    assert "another format" in caught.value.hint


def test_a_folder_that_is_open_elsewhere_is_left_alone(tmp_path: Path) -> None:
    dataset = folder(tmp_path)
    mask(tmp_path / "in/a.png")
    window = Dataset.open(dataset.root)
    assert window.acquire_lock() == ""
    try:
        with pytest.raises(UserError, match="open elsewhere"):
            import_labels(dataset, tmp_path / "in", "index")
    finally:
        window.release_lock()
    assert import_labels(dataset, tmp_path / "in", "index").done == 1


def test_meaning_is_remembered_although_values_alone_would_mislead(tmp_path: Path) -> None:
    dataset = folder(tmp_path)
    ids = np.zeros(SIZE, np.uint8)
    ids[4:] = 255  # class 0 and unlabelled: for a new folder these are 0/255 masks
    write_label(tmp_path / "in/a.png", ids, INDEX)
    import_labels(dataset, tmp_path / "in", "index")
    assert (Dataset.open(dataset.root).load_label(ImageRef("a.png")) == ids).all()


def test_classes_are_matched_by_name_and_new_ones_added(tmp_path: Path) -> None:
    dataset = folder(tmp_path)
    dataset.set_classes([ClassInfo(0, "background", "#000000"), ClassInfo(5, "Nucleus", "#ff0000")])
    path = coco(
        tmp_path / "coco.json",
        [
            {"category_id": 9, "segmentation": [square(2, 2, 4)], "area": 16},
            {"category_id": 7, "segmentation": [square(1, 1, 10)], "area": 100},
        ],
    )
    result = import_labels(dataset, path, "coco")
    assert result.done == 1
    assert [(info.id, info.name) for info in dataset.classes] == [(0, "background"), (1, "cell"), (5, "Nucleus")]
    label = dataset.load_label(ImageRef("a.png"))
    assert label is not None
    assert np.bincount(label.ravel(), minlength=6).tolist() == [500, 84, 0, 0, 0, 16]  # the smaller one on top
    assert any("New classes: cell" in note for note in result.notes)


def test_pixels_in_no_object_become_what_was_asked_for(tmp_path: Path) -> None:
    path = coco(tmp_path / "coco.json", [{"category_id": 7, "segmentation": [square(1, 1, 10)], "area": 100}])
    dataset = folder(tmp_path)
    result = import_labels(dataset, path, "coco", ImportOptions(background="none"))
    label = dataset.load_label(ImageRef("a.png"))
    assert label is not None
    assert (label == 255).sum() == 500
    assert any("unlabelled" in note for note in result.notes)


def test_of_two_files_for_one_image_that_without_other_folders_is_taken(tmp_path: Path) -> None:
    dataset = folder(tmp_path)
    mask(tmp_path / "in/0/a.png", 0)
    ids = mask(tmp_path / "in/a.png")
    mask(tmp_path / "in/b/a.png", 0)
    result = import_labels(dataset, tmp_path / "in", "index")
    assert (dataset.load_label(ImageRef("a.png")) == ids).all()
    assert {f"{name}/a.png is a second one for a.png and was left out." for name in "0b"} <= set(result.notes)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", [1, 3])
def test_images_that_other_programs_turn_are_told(tmp_path: Path, orientation: int, order: str) -> None:
    entries = Image.Exif()
    entries.endian = order
    entries[0x10F], entries[0x112] = "a camera", orientation
    (tmp_path / "x").mkdir()
    Image.new("RGB", (30, 20)).save(tmp_path / "x/a.jpg", exif=entries)
    Image.new("RGB", (30, 20)).save(tmp_path / "x/b.jpg")
    square = {"label": "cell", "points": [[25, 15], [30, 15], [30, 20], [25, 20]], "shape_type": "polygon"}
    (tmp_path / "in").mkdir()
    for stem in "ab":
        (tmp_path / f"in/{stem}.json").write_text(json.dumps({"shapes": [square]}))
    dataset = Dataset.open(tmp_path / "x")
    for result in (import_labels(dataset, tmp_path / "in", "labelme"), export(dataset, "coco", tmp_path / "out")):
        assert result.done == 2
        said = [note for note in result.notes if note.startswith("An EXIF entry in a.jpg lets some programs turn it;")]
        assert len(said) == (orientation != 1)


@pytest.mark.parametrize("kind", ["labelme", "index", "instances", "coco", "its own"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("size", [(30, 20), (15, 10)])
def test_a_label_for_an_image_on_its_side_is_refused_with_the_reason(
    tmp_path: Path, kind: str, orientation: int, size: tuple[int, int]
) -> None:
    entries = Image.Exif()
    entries[0x112] = orientation
    (tmp_path / "x").mkdir()
    Image.new("L", (30, 20)).save(tmp_path / "x/a.jpg", exif=entries)
    source = tmp_path / "in"
    if kind == "labelme":
        source.mkdir()
        (source / "a.json").write_text(json.dumps({"shapes": [], "imageHeight": size[0], "imageWidth": size[1]}))
    elif kind == "coco":
        path = coco(source / "a.json", [], size)
        path.write_text(path.read_text().replace("a.png", "a.jpg"))
    else:
        mask((tmp_path / "x/labels" if kind == "its own" else source) / "a.png", size=size)
    dataset = Dataset.open(tmp_path / "x")
    if kind == "its own":
        with pytest.raises(LabelError) as error:
            dataset.load_label(dataset.images[0])
        said = str(error.value)
    else:
        ((_, said),) = import_labels(dataset, source, kind).failed
    turned = orientation > 4 and size == (30, 20)
    assert ("An EXIF entry in a.jpg lets other programs turn it by 90°" in said) == turned
    assert ("that of another image?" in said) == (not turned)


@pytest.mark.parametrize("damage", [b"", b"no zip", b"PK\x03\x04" + bytes(40), b"Iout" + bytes(80)])
def test_damaged_regions_of_interest_are_told(damage: bytes, tmp_path: Path) -> None:
    pytest.importorskip("roifile")
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.zip").write_bytes(damage)
    with zipfile.ZipFile(tmp_path / "in/b_RoiSet.zip", "w") as archive:
        archive.writestr("x.roi", b"Iout" + struct.pack(">h", 227))
    result = import_labels(folder(tmp_path), tmp_path / "in", "imagej")
    assert (result.done, len(result.failed)) == (0, 2)


@pytest.mark.parametrize("packed", [True, False])
def test_regions_that_cannot_be_unpacked_are_told_and_the_rest_goes_on(packed: bool, tmp_path: Path) -> None:
    pytest.importorskip("roifile")
    dataset = folder(tmp_path)
    dataset.save_label(ImageRef("b.png"), np.eye(*SIZE, dtype=np.uint8))
    export(dataset, "imagej", tmp_path / "in", ExportOptions(only_labels=True))
    path = tmp_path / "in/a_RoiSet.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        archive.writestr("x.roi", bytes(range(99)))
    data = bytearray(path.read_bytes())
    if packed:
        data[30 + len("x.roi")] = 0xFF  # behind the header: no packed data begins so
    else:
        sizes = data.index(b"PK\x01\x02") + 20
        data[sizes : sizes + 8] = struct.pack("<II", 9999, 9999)  # longer than the file
    path.write_bytes(data)
    result = import_labels(dataset, tmp_path / "in", "imagej", ImportOptions(overwrite=True))
    assert (result.done, [name for name, _ in result.failed]) == (1, ["a.png"])
    assert "a_RoiSet.zip" in result.failed[0][1]


def test_regions_of_imagej_itself_have_no_class_in_their_name(tmp_path: Path) -> None:
    roifile = pytest.importorskip("roifile")
    rect = roifile.ImagejRoi()
    rect.roitype, rect.left, rect.top, rect.right, rect.bottom = roifile.ROI_TYPE.RECT, 2, 3, 7, 9
    oval = roifile.ImagejRoi()
    oval.roitype, oval.left, oval.top, oval.right, oval.bottom = roifile.ROI_TYPE.OVAL, 10, 2, 20, 12
    rect.name, oval.name = "0003-0002", "0012-0034-0056"
    (tmp_path / "in").mkdir()
    roifile.roiwrite(tmp_path / "in/a.zip", [rect, oval])
    dataset = folder(tmp_path)
    assert import_labels(dataset, tmp_path / "in", "imagej", ImportOptions(object_class="cell")).done == 1
    assert [info.name for info in dataset.classes] == ["background", "cell"]
    label = dataset.load_label(ImageRef("a.png"))
    assert label is not None
    assert (label[3:9, 2:7] == 1).all()
    assert abs(int((label[:, 10:20] == 1).sum()) - np.pi * 25) < 3


@pytest.mark.parametrize(("names", "known"), [(("1", "2"), False), (("12 %", "1"), False), (("2024", "2025"), True)])
def test_classes_called_by_numbers_come_back_from_imagej(names: tuple[str, str], known: bool, tmp_path: Path) -> None:
    pytest.importorskip("roifile")
    dataset = folder(tmp_path)
    classes = [ClassInfo(i, name, f"#00000{i}") for i, name in enumerate(("background", *names))]
    dataset.set_classes(classes)
    ids = np.zeros(SIZE, np.uint8)
    ids[2:5, 2:5], ids[8:12, 8:12] = 1, 2
    dataset.save_label(ImageRef("a.png"), ids)
    export(dataset, "imagej", tmp_path / "out", ExportOptions(only_labels=True))
    back = folder(tmp_path / "back")
    if known:  # such a name may be one of ImageJ's own, too
        back.set_classes(classes)
    assert import_labels(back, tmp_path / "out", "imagej").done == 1
    assert [(info.id, info.name) for info in back.classes] == [(info.id, info.name) for info in classes]
    assert (back.load_label(ImageRef("a.png")) == ids).all()


def test_colours_without_a_table_are_one_class_each(tmp_path: Path) -> None:
    dataset = folder(tmp_path)
    colors = np.zeros((*SIZE, 3), np.uint8)
    colors[2:5] = (255, 0, 0)
    colors[8:9] = (0, 0, 255)
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a_mask.png").write_bytes(png.encode(colors))
    result = import_labels(dataset, tmp_path / "in", "color", ImportOptions(suffix="_mask"))
    assert result.done == 1
    label = dataset.load_label(ImageRef("a.png"))
    assert label is not None
    assert np.bincount(label.ravel()).tolist() == [16 * 30, 30, 90]
    assert any("#ff0000" in note for note in result.notes)


def test_a_value_can_mean_unlabelled(tmp_path: Path) -> None:
    dataset = folder(tmp_path)
    mask(tmp_path / "in/a.png", 11)
    assert import_labels(dataset, tmp_path / "in", "index", ImportOptions(unlabelled=11)).done == 1
    label = dataset.load_label(ImageRef("a.png"))
    assert label is not None
    assert (label == 255).sum() == 25


def test_images_of_one_name_in_two_folders_are_told_apart(tmp_path: Path) -> None:
    dataset = folder(tmp_path, "x/a.png", "y/a.png", "y/b.png")
    first, second = mask(tmp_path / "in/x/a.png", 1), mask(tmp_path / "in/y/a.png", 0)
    mask(tmp_path / "in/b.png")
    mask(tmp_path / "in/a.png")  # whose?
    result = import_labels(dataset, tmp_path / "in", "index")
    assert (result.done, result.failed) == (3, [])
    assert (dataset.load_label(ImageRef("x/a.png")) == first).all()
    assert (dataset.load_label(ImageRef("y/a.png")) == second).all()
    assert any("Not in this folder: a.png (two images are called so)." in note for note in result.notes)


def test_a_name_that_may_be_of_two_images_is_of_none(tmp_path: Path) -> None:
    dataset = folder(tmp_path, "a.png", "a.jpg", "sub/a.png")
    coco(tmp_path / "coco.json", [])
    text = (tmp_path / "coco.json").read_text("utf-8").replace("some/where/a.png", "a")
    (tmp_path / "coco.json").write_text(text, "utf-8")
    with pytest.raises(UserError, match="nothing for the images"):
        import_labels(dataset, tmp_path / "coco.json", "coco")


@pytest.mark.parametrize("kind", ["coco", "instances", "labelme", "imagej"])
def test_an_unknown_background_is_said_once_and_nothing_is_imported(tmp_path: Path, kind: str) -> None:
    dataset = folder(tmp_path)
    ids = np.zeros(SIZE, np.uint8)
    ids[3:8, 4:9] = 1
    for ref in dataset.images:
        dataset.save_label(ref, ids)
    export(dataset, kind, tmp_path / "out")
    before = {path: path.read_bytes() for path in dataset.root.rglob("*") if path.is_file()}
    options = ImportOptions(background="sky", overwrite=True)
    with pytest.raises(UserError, match="no class called 'sky'"):
        import_labels(dataset, tmp_path / "out", kind, options)
    assert {path: path.read_bytes() for path in dataset.root.rglob("*") if path.is_file()} == before
    named = ImportOptions(background="object", overwrite=True)
    assert import_labels(dataset, tmp_path / "out", kind, named).done == 2


def test_masks_beside_the_images(tmp_path: Path) -> None:
    dataset = folder(tmp_path, "a.png", "b.png")
    ids = mask(dataset.root / "a_mask.png")
    dataset = Dataset.open(dataset.root)
    with pytest.raises(UserError, match="say what they have behind that"):
        import_labels(dataset, dataset.root, "masks")
    result = import_labels(dataset, dataset.root, "masks", ImportOptions(suffix="_mask"))
    assert (result.done, result.failed) == (1, [])
    assert (dataset.load_label(ImageRef("a.png")) == ids).all()


def test_masks_that_are_photographs_are_named(tmp_path: Path) -> None:
    dataset = folder(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(png.encode(np.arange(600, dtype=np.uint16).reshape(SIZE)))
    with pytest.raises(UserError, match="The masks cannot be understood: they hold 600 different values") as error:
        import_labels(dataset, tmp_path / "in", "masks")
    assert error.value.path == str(tmp_path / "in")


def test_a_source_that_is_closed_to_us_is_not_called_empty() -> None:
    with open_folder() as root:
        images(root / "images", "a.png")
        images(root / "in", "a.png")
        (root / "images").chmod(0o777)
        (root / "in").chmod(0o000)
        dataset = Dataset.open(root / "images")
        with without_rights(), pytest.raises(UserError, match="may not be read by you"):
            import_labels(dataset, root / "in", "index")
        with without_rights(), pytest.raises(UserError, match="may not be read by you"):
            evaluate_folders(root / "in", root / "images")
        (root / "in").chmod(0o700)


def test_export_does_not_overwrite_unasked_nor_its_own_labels(tmp_path: Path) -> None:
    dataset = folder(tmp_path)
    dataset.save_label(ImageRef("a.png"), np.zeros(SIZE, np.uint8))
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.png").write_bytes(b"mine")
    result = export(dataset, "index", tmp_path / "out", ExportOptions(only_labels=True))
    assert (result.done, result.skipped, len(result.failed)) == (0, 1, 1)
    assert (tmp_path / "out/a.png").read_bytes() == b"mine"
    with pytest.raises(UserError, match="already"):  # the table of classes
        export(dataset, "index", tmp_path / "out")
    assert export(dataset, "index", tmp_path / "out", ExportOptions(only_labels=True, overwrite=True)).done == 1
    for own in (dataset.label_root, dataset.image_root):
        with pytest.raises(UserError, match="another folder"):
            export(dataset, "masks", own, ExportOptions(overwrite=True))


def test_binary_needs_to_know_which_class(tmp_path: Path) -> None:
    dataset = folder(tmp_path)
    dataset.set_classes([ClassInfo(i, name, f"#00000{i}") for i, name in enumerate(("background", "cell", "nucleus"))])
    ids = np.zeros(SIZE, np.uint8)
    ids[:2], ids[5:6] = 1, 2
    dataset.save_label(ImageRef("a.png"), ids)
    with pytest.raises(UserError, match="cell, nucleus"):
        export(dataset, "binary", tmp_path / "out")
    result = export(dataset, "binary", tmp_path / "out", ExportOptions(foreground="nucleus", only_labels=True))
    assert result.done == 1
    values, counts = np.unique(png.cv2.imread(str(tmp_path / "out/a.png"), -1), return_counts=True)
    assert (values.tolist(), counts.tolist()) == ([0, 255], [19 * 30, 30])
    assert any("cannot be told apart" in note for note in result.notes)
