"""Real labels written in each format and read again; other programs' own readers see the same."""

from __future__ import annotations

import csv
import itertools
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tifffile

from unet_gui.core import png
from unet_gui.core.cv import cv2
from unet_gui.core.errors import UserError
from unet_gui.core.exchange import (
    EXPORTERS,
    IMPORTERS,
    ExchangeResult,
    ExportOptions,
    ImportOptions,
    export,
    exporting,
    import_labels,
)
from unet_gui.core.images import ImageRef, image_info, open_image
from unet_gui.core.palette import ClassInfo
from unet_gui.core.project import Dataset
from unet_gui.core.raw_label import read_raw

FIXTURES = Path(__file__).parent / "fixtures"
OUTLINES = ["coco", "labelme", "yolo", "imagej"]
EXACT = ["masks", "index", "palette", "color", "tiff", "tiff16", *OUTLINES]


def copied(images: Path, to: Path, names: list[str]) -> Path:
    to.mkdir(parents=True)
    for name in names:
        shutil.copy(images / name, to / name)
    return to


def other(dataset: Dataset, to: Path) -> Dataset:
    """Return a new folder with the same images, without labels."""
    return Dataset.open(copied(dataset.image_root, to, [ref.rel for ref in dataset.images]))


def dice(truth: np.ndarray, found: np.ndarray) -> float:
    """Return the smallest Dice of a class."""
    scores = []
    for class_id in np.unique(truth):
        a, b = truth == class_id, found == class_id
        scores.append(2 * (a & b).sum() / (a.sum() + b.sum()))
    return float(min(scores))


def round_trip_dice(dataset: Dataset, kind: str, tmp_path: Path, background: str = "auto") -> float:
    written = export(dataset, kind, tmp_path / "out", ExportOptions(background=background))
    assert (written.done, written.failed) == (len(dataset.images), [])
    back = other(dataset, tmp_path / "back")
    read = import_labels(back, tmp_path / "out", kind, ImportOptions(background=background))
    assert (read.done, read.failed) == (len(dataset.images), [])
    back = Dataset.open(back.root)  # as the next program start sees it
    id_of = {info.name: info.id for info in back.classes}
    table = np.arange(256, dtype=np.uint8)
    for info in dataset.classes:
        table[info.id] = id_of.get(info.name, 254)
    worst, different = 1.0, 0
    for ref in dataset.images:
        truth, found = dataset.load_label(ref), back.load_label(ref)
        assert truth is not None
        assert found is not None
        worst = min(worst, dice(table[truth], found))
        different += int((table[truth] != found).sum())
    print(f"{kind}: {different} pixels differ in {written.done} images, smallest Dice of a class in one {worst:.6f}")
    return worst


@pytest.fixture
def camvid(data: Path, tmp_path: Path) -> Dataset:
    """Three frames with eleven classes and unlabelled pixels."""
    names = sorted(path.name for path in (data / "camvid/val/image").iterdir())[:3]
    copied(data / "camvid/val/image", tmp_path / "camvid/image", names)
    copied(data / "camvid/val/label", tmp_path / "camvid/label", names)
    dataset = Dataset.open(tmp_path / "camvid")
    dataset.set_encoding(dataset.encoding.with_unlabelled(11))
    return dataset


@pytest.fixture
def nuclei(data: Path, tmp_path: Path) -> Dataset:
    """Every twentieth image, labelled by importing the numbered nuclei."""
    names = sorted(path.name for path in (data / "nuclei/image").iterdir())[::20]
    dataset = Dataset.open(copied(data / "nuclei/image", tmp_path / "nuclei", names))
    options = ImportOptions(object_class="nucleus")
    assert import_labels(dataset, data / "nuclei/instances", "instances", options).done == len(names)
    return dataset


@pytest.mark.parametrize("kind", EXACT)
def test_camvid_comes_back_exactly(camvid: Dataset, kind: str, tmp_path: Path) -> None:
    assert round_trip_dice(camvid, kind, tmp_path, background="none") == 1.0


@pytest.mark.parametrize("kind", EXACT)
def test_nuclei_come_back_exactly(nuclei: Dataset, kind: str, tmp_path: Path) -> None:
    assert [info.name for info in nuclei.classes] == ["background", "nucleus", "touching border"]
    assert round_trip_dice(nuclei, kind, tmp_path) == 1.0


@pytest.mark.parametrize("kind", ["binary", *EXACT])
def test_membranes_come_back_exactly(data: Path, kind: str, tmp_path: Path) -> None:
    for folder in ("image", "label"):
        copied(data / "isbi2012/train" / folder, tmp_path / "isbi" / folder, ["0.png", "1.png"])
    dataset = Dataset.open(tmp_path / "isbi")
    dataset.set_classes([ClassInfo(0, "membrane", "#000000"), ClassInfo(1, "cell", "#ffffff")])
    assert round_trip_dice(dataset, kind, tmp_path, background="none") == 1.0


@pytest.mark.slow
def test_outlines_of_every_nucleus_come_back(data: Path, tmp_path: Path) -> None:
    dataset = Dataset.open(shutil.copytree(data / "nuclei/image", tmp_path / "nuclei"))
    import_labels(dataset, data / "nuclei/instances", "instances", ImportOptions(object_class="nucleus"))
    assert len(dataset.images) == 266
    for kind in OUTLINES:
        assert round_trip_dice(dataset, kind, tmp_path / kind) == 1.0


@pytest.mark.slow
def test_outlines_of_every_frame_come_back(data: Path, tmp_path: Path) -> None:
    for part, kind in itertools.product(("train", "val"), ("image", "label")):
        shutil.copytree(data / "camvid" / part / kind, tmp_path / "camvid" / kind, dirs_exist_ok=True)
    dataset = Dataset.open(tmp_path / "camvid")
    dataset.set_encoding(dataset.encoding.with_unlabelled(11))
    assert len(dataset.images) == 56
    for kind in OUTLINES:
        assert round_trip_dice(dataset, kind, tmp_path / kind, background="none") == 1.0


@pytest.mark.parametrize("segmentation", ["polygon", "rle", "auto"])
def test_pycocotools_reads_the_same_pixels(nuclei: Dataset, segmentation: str, tmp_path: Path) -> None:
    coco_module = pytest.importorskip("pycocotools.coco")
    export(nuclei, "coco", tmp_path / "out", ExportOptions(segmentation=segmentation))
    coco = coco_module.COCO(tmp_path / "out" / "instances.json")
    class_of = {one["id"]: one["name"] for one in coco.loadCats(coco.getCatIds())}
    ids = {info.name: info.id for info in nuclei.classes}
    assert sorted(class_of.values()) == ["nucleus", "touching border"]
    for image in coco.loadImgs(coco.getImgIds()):
        label = nuclei.load_label(ImageRef(image["file_name"]))
        assert label is not None
        seen = np.zeros_like(label)
        for one in coco.loadAnns(coco.getAnnIds(imgIds=image["id"])):
            mask = coco.annToMask(one).astype(bool)
            assert mask.sum() == one["area"]
            x, y, w, h = one["bbox"]
            assert mask[y : y + h, x : x + w].sum() == one["area"]
            assert not seen[mask].any()  # no blob comes over another
            seen[mask] = ids[class_of[one["category_id"]]]
        assert (seen == label).all()


LABELME = "labelme_6_3_1"


def test_what_the_real_labelme_wrote_is_read(tmp_path: Path) -> None:
    """The file and the picture beside it were made by labelme's own writer and renderer (`labelme_peer.py`).

    Labelme cuts decimals off and fills up to and including the line; a pixel counts here when its middle is inside. So
    its areas are the larger ones, by less than a pixel at their borders.
    """
    copied(FIXTURES, tmp_path / "in", [f"{LABELME}.json"])
    cv2.imwrite(str(tmp_path / f"{LABELME}.png"), np.zeros((120, 160), np.uint8))
    dataset = Dataset.open(tmp_path)
    result = import_labels(dataset, tmp_path / "in", "labelme")
    assert (result.done, result.failed) == (1, [])
    assert [info.name for info in dataset.classes] == ["background", "cell", "nucleus"]
    ours = dataset.load_label(ImageRef(f"{LABELME}.png"))
    theirs = read_raw(FIXTURES / f"{LABELME}.truth.png").pixels
    assert ours is not None
    assert set(np.unique(ours)) == set(np.unique(theirs)) == {0, 1, 2, 255}
    different = ours != theirs
    scores = {i: round(dice(np.where(theirs == i, 1, 0), np.where(ours == i, 1, 0)), 3) for i in (0, 1, 2, 255)}
    print(f"{different.sum()} of {different.size} pixels differ from labelme's own, Dice {scores}")
    assert min(scores.values()) > 0.93
    for one, other_one in ((ours, theirs), (theirs, ours)):
        for class_id in (0, 1, 2, 255):
            near = cv2.dilate((one == class_id).astype(np.uint8), np.ones((3, 3), np.uint8))
            assert (near[other_one == class_id] == 1).all()  # a border of one pixel, not more
    assert (ours[84:99, 20:39] == theirs[84:99, 20:39]).all()  # a mask is a mask


def test_a_hole_of_a_group_is_a_hole(tmp_path: Path) -> None:
    """Labelme has no holes: a polygon inside another of its class and group is one here."""

    def polygon(x: int, y: int, side: int, group: int | None) -> dict[str, object]:
        points = [[x, y], [x + side, y], [x + side, y + side], [x, y + side]]
        return {"label": "cell", "points": points, "group_id": group, "shape_type": "polygon", "flags": {}}

    shapes = [polygon(2, 2, 10, 7), polygon(4, 4, 3, 7), polygon(20, 2, 6, None), polygon(21, 3, 2, None)]
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.json").write_text(json.dumps({"shapes": shapes, "imageHeight": 20, "imageWidth": 30}))
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((20, 30), np.uint8))
    dataset = Dataset.open(tmp_path)
    assert import_labels(dataset, tmp_path / "in", "labelme").done == 1
    label = dataset.load_label(ImageRef("a.png"))
    assert label is not None
    assert (label > 0).sum() == 100 - 9 + 36
    assert (label[4:7, 4:7] == 0).all()


def test_labelme_itself_reads_ours(camvid: Dataset, nuclei: Dataset, tmp_path: Path) -> None:
    """Needs a Python that has labelme: it wants another Qt, so it cannot be in this one."""
    python = os.environ.get("UNET_GUI_LABELME")
    if not python:
        pytest.skip("UNET_GUI_LABELME names no Python with labelme")
    for name, dataset, background in (("camvid", camvid, "none"), ("nuclei", nuclei, "auto")):
        out, seen = tmp_path / "out" / name, tmp_path / "seen" / name
        export(dataset, "labelme", out, ExportOptions(background=background))
        peer = Path(__file__).parent / "labelme_peer.py"
        subprocess.run([python, str(peer), "render", str(out), str(seen)], check=True, capture_output=True)
        names = (out / "labels.txt").read_text("utf-8").splitlines()
        table = np.zeros(256, np.uint8)  # what labelme has nothing for is 0
        for info in dataset.classes:
            table[info.id] = names.index(info.name) - 1 if info.name in names else 0
        for ref in dataset.images:
            label = dataset.load_label(ref)
            rendered = read_raw((seen / ref.rel).with_suffix(".png")).pixels
            assert (np.where(rendered == 255, 0, rendered) == np.where(label == 255, 0, table[label])).all(), ref.key


def test_a_rendering_like_labelmes_gives_the_same_pixels(camvid: Dataset, tmp_path: Path) -> None:
    """Labelme paints shapes in their order with Pillow, decimals cut off, the line included."""
    export(camvid, "labelme", tmp_path / "out", ExportOptions(background="none"))
    ids = {info.name: info.id for info in camvid.classes} | {"__ignore__": 255}
    for ref in camvid.images:
        label = camvid.load_label(ref)
        assert label is not None
        seen = np.full(label.shape, 255, np.uint8)
        data = json.loads((tmp_path / "out" / ref.rel).with_suffix(".json").read_text("utf-8"))
        for shape in data["shapes"]:
            points = np.trunc(np.array(shape["points"])).astype(np.int32)
            cv2.fillPoly(seen, [points], ids[shape["label"]])
        assert (seen == label).all()
        assert (tmp_path / "out" / data["imagePath"]).resolve() == camvid.image_path(ref).resolve()
    assert (tmp_path / "out/labels.txt").read_text().split()[:2] == ["__ignore__", "_background_"]


def partial(tmp_path: Path) -> Dataset:
    """A folder with one image of background, cell with a hole, and unlabelled pixels, also in the hole."""
    folder = tmp_path / "partial ü"
    folder.mkdir()
    (folder / "a 细胞.png").write_bytes(png.encode(np.zeros((20, 30), np.uint8)))
    dataset = Dataset.open(folder)
    dataset.set_classes([ClassInfo(0, "background", "#000000"), ClassInfo(1, "cell ü", "#ff0000")])
    ids = np.zeros((20, 30), np.uint8)
    ids[2:12, 3:13] = 1
    ids[5:8, 5:9] = 0
    ids[6, 6] = 255
    ids[15:, 20:] = 255
    dataset.save_label(dataset.images[0], ids)
    dataset.save()
    return dataset


@pytest.mark.parametrize("kind", [k for k in EXACT if k != "yolo"])
def test_unlabelled_beside_background_is_kept(kind: str, tmp_path: Path) -> None:
    assert round_trip_dice(partial(tmp_path), kind, tmp_path) == 1.0


@pytest.mark.parametrize("kind", OUTLINES)
@pytest.mark.parametrize("rest", ["ground", "none"])
def test_our_own_files_say_what_pixels_in_no_object_are(kind: str, rest: str, tmp_path: Path) -> None:
    """A new folder begins with a class called background, which the file knows nothing of."""
    dataset = partial(tmp_path)
    dataset.set_classes([ClassInfo(0, "ground", "#000000"), ClassInfo(1, "cell ü", "#ff0000")])
    if rest == "ground":
        ids = dataset.load_label(dataset.images[0])
        assert ids is not None
        dataset.save_label(dataset.images[0], np.where(ids == 255, 0, ids).astype(np.uint8))
    else:
        export(dataset, kind, tmp_path / "auto")  # without any wish, too
    assert export(dataset, kind, tmp_path / "out", ExportOptions(background=rest)).done == 1
    truth = dataset.load_label(dataset.images[0])
    for place in ["out"] if rest == "ground" else ["out", "auto"]:
        back = other(dataset, tmp_path / f"new {place}")
        told = "ground" if rest == "ground" else "unlabelled"
        notes = import_labels(back, tmp_path / place, kind).notes
        assert any(f"Pixels in no object became {told}, as the file says" in note for note in notes)
        assert sorted(info.name for info in back.classes) == ["cell ü", "ground"]
        number = {info.name: info.id for info in back.classes}
        table = np.arange(256, dtype=np.uint8)
        table[:2] = number["ground"], number["cell ü"]
        np.testing.assert_array_equal(back.load_label(back.images[0]), table[truth])
    known = other(dataset, tmp_path / "known")
    known.set_classes([ClassInfo(0, "background", "#000000"), ClassInfo(1, "cell ü", "#ff0000")])
    wish = ImportOptions(background="background")
    assert import_labels(known, tmp_path / "out", kind, wish).done == 1
    label = known.load_label(known.images[0])
    assert label is not None
    assert label[-1, -1] == 0, "what was asked for counts more than what the file says"


@pytest.mark.parametrize("kind", ["yolo", "binary", "instances"])
def test_unlabelled_that_a_format_cannot_hold_is_said(kind: str, tmp_path: Path) -> None:
    result = export(partial(tmp_path), kind, tmp_path / "out")
    assert result.done == 1
    assert "51 unlabelled pixels were not kept." in result.notes


def test_pages_of_a_stack_come_back(tmp_path: Path) -> None:
    import tifffile

    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in/s.tif", np.zeros((3, 12, 14), np.uint8), photometric="minisblack")
    dataset = Dataset.open(tmp_path / "in")
    pages = dataset.expand(dataset.images[0])
    for ref in pages:
        ids = np.zeros((12, 14), np.uint8)
        ids[2:6, 3 : 5 + ref.page] = 1
        dataset.save_label(ref, ids)
    for kind in EXACT:
        assert export(dataset, kind, tmp_path / kind).failed == []
        back = other(dataset, tmp_path / f"back {kind}")
        result = import_labels(back, tmp_path / kind, kind)
        assert (result.done, result.failed) == (3, []), kind
        for ref in pages:
            assert (back.load_label(ref) == dataset.load_label(ref)).all(), kind


@pytest.mark.parametrize("kind", ["masks", "imagej"])
def test_one_that_is_stopped_counts_what_is_on_disk(kind: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name, pages in {"a.tif": 1, "s.tif": 3, "z.tif": 1}.items():
        tifffile.imwrite(tmp_path / "in" / name, np.zeros((pages, 12, 14), np.uint8), photometric="minisblack")
    dataset = Dataset.open(tmp_path / "in")
    for ref in (page for file in dataset.images for page in dataset.expand(file)):
        dataset.save_label(ref, np.eye(12, 14, dtype=np.uint8))
    for told in range(6):
        out, result = tmp_path / f"{kind} {told}", ExchangeResult()
        outcomes = exporting(dataset, kind, out, ExportOptions(), result)
        assert len(list(itertools.islice(outcomes, told))) == told
        outcomes.close()
        files = {path.name[0] for path in out.iterdir()} if out.exists() else set()
        assert result.done == sum({"a": 1, "s": 3, "z": 1}[name] for name in files), told


def test_images_of_one_name_come_back_each_to_its_own(tmp_path: Path) -> None:
    """At the root and in a folder; and with two suffixes, where the whole name tells them apart."""
    names = ("a.png", "sub/a.png", "b.png", "b.tif")
    for root in ("in", "back"):
        for name in names:
            (tmp_path / root / name).parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / root / name), np.zeros((12, 14), np.uint8))
    dataset = Dataset.open(tmp_path / "in")
    for n, name in enumerate(names):
        ids = np.zeros((12, 14), np.uint8)
        ids[2:6, 3 : 5 + n] = 1
        dataset.save_label(ImageRef(name), ids)
    for kind in EXACT:
        assert export(dataset, kind, tmp_path / kind).failed == []
        back = Dataset.open(shutil.copytree(tmp_path / "back", tmp_path / f"back {kind}"))
        result = import_labels(back, tmp_path / kind, kind)
        assert (result.done, result.failed) == (4, []), kind
        for name in names:
            assert (back.load_label(ImageRef(name)) == dataset.load_label(ImageRef(name))).all(), (kind, name)


def test_palette_and_color_show_the_colours_of_the_classes(tmp_path: Path) -> None:
    dataset = partial(tmp_path)
    for kind in ("palette", "color"):
        export(dataset, kind, tmp_path / kind)
        with open_image(tmp_path / kind / "a 细胞.png") as image:
            picture = image.read()
        assert picture[3, 4, :3].tolist() == [255, 0, 0]
        assert picture[0, 0, :3].tolist() == [0, 0, 0]
        rows = list(csv.DictReader((tmp_path / kind / "classes.csv").read_text("utf-8").splitlines()))
        assert [(row["id"], row["name"]) for row in rows] == [
            ("0", "background"),
            ("1", "cell ü"),
            ("255", "unlabelled"),
        ]
    assert set(np.unique(read_raw(tmp_path / "palette" / "a 细胞.png").pixels)) == {0, 1, 255}


def test_16_bit_tiff_is_16_bit(tmp_path: Path) -> None:
    import tifffile

    export(partial(tmp_path), "tiff16", tmp_path / "out")
    values = tifffile.imread(tmp_path / "out" / "a 细胞.tif")
    assert values.dtype == np.uint16
    assert set(np.unique(values)) == {0, 1, 65535}


def test_imagej_regions_have_names_colours_and_holes(tmp_path: Path) -> None:
    roifile = pytest.importorskip("roifile")
    export(partial(tmp_path), "imagej", tmp_path / "out")
    rois = roifile.roiread(tmp_path / "out" / "a 细胞_RoiSet.zip")
    assert sorted(roi.name for roi in rois) == ["cell ü-0001", "unlabelled-0001", "unlabelled-0002"]
    cell = next(roi for roi in rois if roi.name == "cell ü-0001")
    assert (cell.left, cell.top, cell.right, cell.bottom) == (3, 2, 13, 12)
    assert cell.stroke_color == b"\xff\xff\x00\x00"
    assert len(cell.coordinates(multi=True)) == 2


def test_yolo_folder_can_be_trained_on_as_it_is(tmp_path: Path) -> None:
    dataset = partial(tmp_path)
    export(dataset, "yolo", tmp_path / "out", ExportOptions(copy_images=True))
    assert (tmp_path / "out/images/a 细胞.png").read_bytes() == dataset.image_path(dataset.images[0]).read_bytes()
    lines = (tmp_path / "out/labels/a 细胞.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["0"]
    numbers = np.array(lines[0].split()[1:], float)
    assert numbers.min() >= 0
    assert numbers.max() <= 1
    assert 'names:\n  0: "cell ü"\n' in (tmp_path / "out/data.yaml").read_text("utf-8")


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_yolo_copies_a_page_with_all_its_channels(channels: int, tmp_path: Path) -> None:
    shape = (3, 20, 30, channels) if channels > 1 else (3, 20, 30)
    pixels = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    with tifffile.TiffWriter(tmp_path / "s.tif") as writer:
        for page in pixels:
            kind = "rgb" if channels > 2 else "minisblack"
            writer.write(page, photometric=kind, planarconfig="contig" if channels > 1 else None)
    dataset = Dataset.open(tmp_path)
    for page in dataset.expand(dataset.images[0])[:2]:
        dataset.save_label(page, np.ones((20, 30), np.uint8))
    export(dataset, "yolo", tmp_path / "out", ExportOptions(copy_images=True))
    copies = sorted((tmp_path / "out/images").iterdir())
    assert [image_info(copy).pages for copy in copies] == [1, 1], "not the page that nobody has labelled"
    with open_image(copies[1]) as copy:
        np.testing.assert_array_equal(copy.read(), pixels[1])


def test_every_format_is_tested_here() -> None:
    assert set(EXPORTERS) - set(EXACT) == {"binary", "instances", "csv"}
    assert set(EXPORTERS) - set(IMPORTERS) == {"csv"}


@pytest.mark.parametrize(("kind", "package"), [("coco", "pycocotools"), ("imagej", "roifile")])
def test_a_missing_package_is_named_with_its_remedy(
    kind: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(UserError, match=r'pip install "unet-gui\[formats\]"'):
        export(partial(tmp_path), kind, tmp_path / "out")
