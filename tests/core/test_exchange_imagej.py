"""ROIs of a whole stack in one zip, as ImageJ keeps them: each has the position of its page."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from unet_gui.core.errors import UserError
from unet_gui.core.exchange import ExportOptions, ImportOptions, export, import_labels
from unet_gui.core.images import ImageRef
from unet_gui.core.palette import ClassInfo
from unet_gui.core.project import Dataset

from .exchange_kit import SIZE, folder
from .test_exchange_names import stack

roifile = pytest.importorskip("roifile")


def roi(name: str = "", x: int = 2, y: int = 3, **place: Any) -> Any:
    """A square of 4 pixels."""
    one = roifile.ImagejRoi()
    one.roitype, one.left, one.top, one.right, one.bottom = roifile.ROI_TYPE.RECT, x, y, x + 4, y + 4
    one.name = name or f"cell-{x:04d}"
    for key, value in place.items():
        setattr(one, key, value)
    return one


def zipped(path: Path, *rois: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    roifile.roiwrite(path, list(rois), mode="w")
    return path


def hyperstack(tmp_path: Path, axes: str, sizes: tuple[int, ...], ome: bool = False) -> Dataset:
    root = tmp_path / "folder"
    root.mkdir(parents=True)
    pixels = np.full((*sizes, *SIZE), 7, np.uint8)
    kind = {"ome": True} if ome else {"imagej": True}
    tifffile.imwrite(root / "s.tif", pixels, metadata={"axes": axes + "YX"}, photometric="minisblack", **kind)
    return Dataset.open(root)


def lefts(dataset: Dataset) -> dict[int, list[int]]:
    """Return where the objects of each labelled page begin, from left to right."""
    found = {}
    for ref in dataset.expand(dataset.images[0]):
        label = dataset.load_label(ref)
        if label is not None and (label != 255).any():
            inside = (label == 1).any(axis=0).astype(int)
            found[ref.page or 0] = np.nonzero(np.diff(inside, prepend=0) == 1)[0].tolist()
    return found


NAMES = ["s.zip", "s_RoiSet.zip", "s_rois.zip", "s.tif_ROIs.zip", "s-roiset.zip", "RoiSet_s.zip", "RoiSet.zip"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("alone", [False, True], ids=["in a folder", "the file"])
def test_a_zip_for_a_stack_gives_each_roi_to_its_page(name: str, alone: bool, tmp_path: Path) -> None:
    dataset = stack(tmp_path)
    path = zipped(tmp_path / "in" / name, roi(x=2, position=1), roi(x=9, position=3), roi(x=16, position=3))
    result = import_labels(dataset, path if alone else path.parent, "imagej")
    assert (result.done, result.skipped, result.failed) == (2, 1, [])
    assert not any("Not in this folder" in note for note in result.notes)
    assert lefts(dataset) == {0: [2], 2: [9, 16]}


def test_what_has_no_page_is_named_and_the_rest_is_imported(tmp_path: Path) -> None:
    dataset = stack(tmp_path)
    zipped(tmp_path / "in/s_rois.zip", roi("cell-1"), roi("cell-2", 9, position=2), roi("cell-3", position=4))
    result = import_labels(dataset, tmp_path / "in", "imagej")
    assert (result.done, lefts(dataset)) == (1, {1: [9]})
    (told,) = (note for note in result.notes if note.startswith("Not in this folder"))
    assert "cell-1 in s_rois.zip (without a position in the stack; s.tif has 3 pages)" in told
    assert "cell-3 in s_rois.zip (at position 4; s.tif has 3 pages)" in told


def test_where_no_roi_has_a_page_that_is_said(tmp_path: Path) -> None:
    dataset = stack(tmp_path)
    zipped(tmp_path / "in/RoiSet.zip", roi("cell-1"))
    with pytest.raises(UserError, match="nothing for the images") as error:
        import_labels(dataset, tmp_path / "in", "imagej")
    assert "cell-1 in RoiSet.zip (without a position in the stack; s.tif has 3 pages)" in error.value.hint


def test_one_image_has_all_rois_whatever_their_position(tmp_path: Path) -> None:
    dataset = stack(tmp_path, pages=1)
    zipped(tmp_path / "in/s_rois.zip", roi(x=2), roi(x=9, position=1))
    result = import_labels(dataset, tmp_path / "in", "imagej")
    assert (result.done, lefts(dataset)) == (1, {0: [2, 9]})
    assert not any("several slices" in note for note in result.notes)
    zipped(tmp_path / "in/s_rois.zip", roi(x=2, position=2), roi(x=9, position=1))
    result = import_labels(dataset, tmp_path / "in", "imagej", ImportOptions(overwrite=True))
    assert "s_rois.zip has ROIs for several slices of a stack; s.tif is one image and has them all." in result.notes


def test_a_zip_without_a_name_is_for_nobody_among_several(tmp_path: Path) -> None:
    zipped(tmp_path / "in/RoiSet.zip", roi(position=1))
    zipped(tmp_path / "in/a.zip", roi())
    result = import_labels(folder(tmp_path), tmp_path / "in", "imagej")
    assert result.done == 1
    assert "Not in this folder: RoiSet.zip." in result.notes


def test_two_zips_without_a_name_are_not_chosen_from(tmp_path: Path) -> None:
    for place in ("x", "y"):
        zipped(tmp_path / "in" / place / "RoiSet.zip", roi(position=1))
    with pytest.raises(UserError, match="nothing for the images"):
        import_labels(stack(tmp_path), tmp_path / "in", "imagej")


def test_the_zip_of_a_page_goes_before_that_of_the_stack(tmp_path: Path) -> None:
    dataset = stack(tmp_path)
    zipped(tmp_path / "in/s.0001_RoiSet.zip", roi(x=2, position=2))  # as it was exported once
    zipped(tmp_path / "in/s_RoiSet.zip", roi(x=9, position=1), roi(x=16, position=2))
    result = import_labels(dataset, tmp_path / "in", "imagej")
    assert (result.done, lefts(dataset)) == (2, {0: [9], 1: [2]})
    assert "s_RoiSet.zip is a second one for s.tif#1 and was left out." in result.notes


def test_a_damaged_zip_of_a_stack_is_told_once(tmp_path: Path) -> None:
    dataset = stack(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in/s_RoiSet.zip").write_bytes(b"no zip")
    result = import_labels(dataset, tmp_path / "in", "imagej")
    assert [key for key, _ in result.failed] == ["s.tif"]
    assert "s_RoiSet.zip" in result.failed[0][1]
    assert not any("Not in this folder" in note for note in result.notes)


def test_a_damaged_roi_is_named_and_the_rest_is_imported(tmp_path: Path) -> None:
    dataset = stack(tmp_path)
    (tmp_path / "in").mkdir()
    with zipfile.ZipFile(tmp_path / "in/s.zip", "w") as archive:
        for n, one in enumerate([roi(x=2, position=1), roi(x=9, position=2), roi(x=16, position=3)]):
            archive.writestr(f"{n}.roi", one.tobytes()[: 30 if n == 1 else None])
    result = import_labels(dataset, tmp_path / "in", "imagej")
    assert (result.done, lefts(dataset)) == (2, {0: [2], 2: [16]})
    ((key, reason),) = result.failed
    assert (key, "s.zip/1.roi" in reason.replace("\\", "/")) == ("s.tif", True)


def test_a_damaged_zip_of_a_stack_leaves_pages_that_have_their_own(tmp_path: Path) -> None:
    dataset = stack(tmp_path)
    zipped(tmp_path / "in/s.0001_RoiSet.zip", roi(x=2, position=2))
    (tmp_path / "in/s_RoiSet.zip").write_bytes(b"no zip")
    result = import_labels(dataset, tmp_path / "in", "imagej")
    assert (result.done, lefts(dataset)) == (1, {1: [2]})
    assert [key for key, _ in result.failed] == ["s.tif"]


def test_the_name_that_old_imagej_gave_says_the_slice(tmp_path: Path) -> None:
    dataset = stack(tmp_path)
    zipped(tmp_path / "in/s.zip", roi("0003-0005-0004"), roi("0002-0005-0004-1", 9))
    import_labels(dataset, tmp_path / "in", "imagej", ImportOptions(object_class="cell"))
    assert lefts(dataset) == {1: [9], 2: [2]}


def test_rois_without_a_name_have_that_of_their_file_and_other_files_are_none(tmp_path: Path) -> None:
    dataset = stack(tmp_path)
    unnamed = roi()
    unnamed.name = ""
    (tmp_path / "in").mkdir()
    with zipfile.ZipFile(tmp_path / "in/s.zip", "w") as archive:
        archive.writestr("0003-0005-0004.roi", unnamed.tobytes())
        archive.writestr("__MACOSX/._0003-0005-0004.roi", b"\0\5\x16\7")
        archive.writestr("__MACOSX/", b"")
        archive.writestr("notes.txt", b"by hand")
    result = import_labels(dataset, tmp_path / "in", "imagej")
    assert (result.failed, lefts(dataset)) == ([], {2: [2]})


def test_a_zip_of_something_else_is_no_empty_label(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with zipfile.ZipFile(tmp_path / "in/a.zip", "w") as archive:
        archive.writestr("notes.txt", b"by hand")
    dataset = folder(tmp_path)
    result = import_labels(dataset, tmp_path / "in", "imagej")
    assert [key for key, _ in result.failed] == ["a.png"]
    assert not dataset.has_label(ImageRef("a.png"))


@pytest.mark.parametrize("ome", [False, True], ids=["imagej", "ome"])
@pytest.mark.parametrize(
    ("place", "pages"),
    [
        ({"c_position": 2, "z_position": 3, "t_position": 1}, [5]),
        ({"c_position": 1, "z_position": 1, "t_position": 2}, [6]),
        ({"c_position": 0, "z_position": 2, "t_position": 2}, [8, 9]),  # all channels, shown together
        ({"position": 4}, [3]),
        ({"c_position": 1, "z_position": 4, "t_position": 2}, []),
    ],
)
def test_positions_in_a_hyperstack(place: dict[str, Any], pages: list[int], ome: bool, tmp_path: Path) -> None:
    dataset = hyperstack(tmp_path, "TZC", (2, 3, 2), ome)
    zipped(tmp_path / "in/s.zip", roi(**place), roi("cell-2", 16, position=12))
    result = import_labels(dataset, tmp_path / "in", "imagej")
    assert lefts(dataset) == {page: [2] for page in pages} | {11: [16]}
    assert any("at channel 1, slice 4, frame 2" in note for note in result.notes) == (not pages)


@pytest.mark.parametrize("axes", ["", "Z", "T", "C"])
def test_the_number_that_counts_the_pages(axes: str, tmp_path: Path) -> None:
    dataset = hyperstack(tmp_path, axes, (5,)) if axes else stack(tmp_path, 5)
    other = {"": "t", "Z": "t", "T": "z", "C": "z"}[axes]  # slices and frames are taken for another
    counted: dict[str, Any] = {f"{(axes or 'Z').lower()}_position": 4}
    mistaken: dict[str, Any] = {"c_position": 1, f"{other}_position": 5}
    rois = [roi(x=2, **counted), roi(x=9, **mistaken)]
    zipped(tmp_path / "in/s.zip", *rois, roi("cell-3", c_position=1, z_position=2, t_position=3))
    result = import_labels(dataset, tmp_path / "in", "imagej")
    assert {3: [2], 4: [9]}.items() <= lefts(dataset).items()
    named = any("cell-3 in s.zip (at channel 1, slice 2, frame 3;" in note for note in result.notes)
    assert named == (axes in ("", "C"))  # else the file says which one counts


def test_fiji_finds_each_roi_on_its_slice(tmp_path: Path) -> None:
    """One zip a stack; in a hyperstack, where a plain number would be taken for a slice, it has all three."""
    ids = np.zeros(SIZE, np.uint8)
    ids[3:7, 2:6] = 1
    for name, dataset in (("plain", stack(tmp_path)), ("hyper", hyperstack(tmp_path / "h", "ZC", (3, 2)))):
        for page in (1, 2):
            dataset.save_label(ImageRef("s.tif", page), ids)
        result = export(dataset, "imagej", tmp_path / name, ExportOptions(only_labels=True))
        assert (result.done, [path.name for path in (tmp_path / name).iterdir()]) == (2, ["s_RoiSet.zip"])
        rois = roifile.roiread(tmp_path / name / "s_RoiSet.zip")
        places = [(one.position, one.c_position, one.z_position, one.t_position) for one in rois]
        assert places == {"plain": [(2, 0, 0, 0), (3, 0, 0, 0)], "hyper": [(0, 2, 1, 1), (0, 1, 2, 1)]}[name]
        assert len({one.name for one in rois}) == 2


def test_a_zip_of_a_stack_is_not_replaced_unasked(tmp_path: Path) -> None:
    dataset = stack(tmp_path)
    dataset.save_label(ImageRef("s.tif", 1), np.eye(*SIZE, dtype=np.uint8))
    path = zipped(tmp_path / "out/s_RoiSet.zip", roi())
    before = path.read_bytes()
    result = export(dataset, "imagej", tmp_path / "out")
    assert (result.done, [key for key, _ in result.failed]) == (0, ["s.tif#1"])
    assert path.read_bytes() == before
    assert export(dataset, "imagej", tmp_path / "out", ExportOptions(overwrite=True)).done == 1
    assert path.read_bytes() != before


LABELS = st.lists(
    st.none()
    | st.just(np.zeros((6, 8), np.uint8))
    | arrays(np.uint8, (6, 8), elements=st.sampled_from([0, 1, 2, 255])),
    min_size=6,
    max_size=6,
).filter(lambda pages: any(page is not None and (page != 255).any() for page in pages))


@given(LABELS, st.sampled_from(["", "Z", "TC", "TZC"]), st.sampled_from(["background", "cells"]))
@settings(max_examples=30, deadline=None)
def test_labels_of_a_stack_come_back_as_they_were(pages: list[np.ndarray | None], axes: str, first: str) -> None:
    sizes = {"": (6,), "Z": (6,), "TC": (3, 2), "TZC": (3, 1, 2)}[axes]
    kind: dict[str, Any] = {"imagej": True, "metadata": {"axes": axes + "YX"}} if axes else {}
    with tempfile.TemporaryDirectory() as place:
        for name in ("one", "two"):
            (Path(place) / name).mkdir()
            pixels = np.full((*sizes, 6, 8), 7, np.uint8)
            tifffile.imwrite(Path(place) / name / "s.tif", pixels, photometric="minisblack", **kind)
        one, two = (Dataset.open(Path(place) / name) for name in ("one", "two"))
        for dataset in (one, two):
            dataset.set_classes([ClassInfo(n, name, f"#00000{n}") for n, name in enumerate((first, "a", "b"))])
        for page, ids in enumerate(pages):
            if ids is not None:
                one.save_label(ImageRef("s.tif", page), ids)
        export(one, "imagej", Path(place) / "out", ExportOptions(only_labels=True))
        result = import_labels(two, Path(place) / "out", "imagej")
        assert result.failed == []
        for ref in one.expand(one.images[0]):
            before, after = (dataset.load_label(ref) for dataset in (one, two))
            blank = np.full((6, 8), 255, np.uint8)
            np.testing.assert_array_equal(blank if after is None else after, blank if before is None else before)
