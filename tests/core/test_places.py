"""Where the images and labels of a folder are."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.core.files import images
from unet_gui.core.images import ImageRef
from unet_gui.core.project import Dataset, Status
from unet_gui.core.store import BINARY, INDEX, write_label


@pytest.mark.parametrize(
    ("image", "label"), [("image", "label"), ("images", "labels"), ("Images", "Labels"), ("image", "labels")]
)
def test_image_and_label_side_by_side(tmp_path: Path, image: str, label: str) -> None:
    images(tmp_path / image, "a.png")
    (tmp_path / label).mkdir()
    for opened in (tmp_path, tmp_path / image):
        dataset = Dataset.open(opened)
        assert (dataset.root, dataset.label_root) == (tmp_path, tmp_path / label)


def test_any_other_folder_has_its_labels_inside(tmp_path: Path) -> None:
    images(tmp_path, "b/2.png", "a.png", "labels/a.png")
    dataset = Dataset.open(tmp_path)
    assert [ref.rel for ref in dataset.images] == ["a.png", "b/2.png"]
    assert dataset.label_root == tmp_path / "labels"
    assert dataset.label_path(ImageRef("b/2.png")) == tmp_path / "labels/b/2.png"
    assert not (tmp_path / "labels/b").exists()
    dataset.save_label(ImageRef("b/2.png"), np.zeros((20, 30), np.uint8))
    assert (tmp_path / "labels/b/2.png").is_file()


def test_images_without_labels_beside_them_keep_theirs_inside(tmp_path: Path) -> None:
    images(tmp_path / "image", "a.png")
    assert Dataset.open(tmp_path / "image").label_root == tmp_path / "image" / "labels"
    above = Dataset.open(tmp_path)
    assert (above.root, above.image_root, above.label_root) == (tmp_path, tmp_path / "image", tmp_path / "labels")


@pytest.mark.parametrize("first", ["", "image"])
@pytest.mark.parametrize("labelled", [False, True])
def test_a_folder_of_images_is_the_same_dataset_next_time(first: str, labelled: bool, tmp_path: Path) -> None:
    """Whether it or the one around it was opened first, and whether there are labels by now."""
    images(tmp_path / "image", "a.png", "b/c.png")
    dataset = Dataset.open(tmp_path / first)
    ids = np.ones((20, 30), np.uint8)
    for ref in dataset.images:
        dataset.save_prediction(ref, ids)
        if labelled:
            dataset.save_label(ref, ids)
    for folder in (tmp_path, tmp_path / "image"):
        again = Dataset.open(folder)
        assert (again.root, again.label_root, again.state_dir) == (dataset.root, dataset.label_root, dataset.state_dir)
        assert [ref.rel for ref in again.images] == ["a.png", "b/c.png"]
        for ref in again.images:
            assert again.load_prediction(ref) is not None
            assert again.has_label(ref) == labelled


def test_pictures_beside_a_folder_of_images_are_images_too(tmp_path: Path) -> None:
    images(tmp_path, "image/a.png", "more/b.png")
    first = Dataset.open(tmp_path)
    for ref in first.images:
        first.save_label(ref, np.ones((20, 30), np.uint8))
    for dataset in (first, Dataset.open(tmp_path)):
        assert [ref.rel for ref in dataset.images] == ["image/a.png", "more/b.png"]
        assert all(dataset.has_label(ref) for ref in dataset.images)


def test_pairs_further_down_keep_their_labels(tmp_path: Path) -> None:
    images(tmp_path, "train/image/a.png", "val/images/b.png", "other/c.png")
    write_label(tmp_path / "train/label/a.png", np.ones((20, 30), np.uint8), BINARY)
    (tmp_path / "val/labels").mkdir()
    dataset = Dataset.open(tmp_path)
    assert dataset.encoding == BINARY
    assert dataset.status(ImageRef("train/image/a.png")) is Status.DONE
    assert dataset.label_path(ImageRef("val/images/b.png")) == tmp_path / "val/labels/b.png"
    for ref in dataset.images:
        dataset.save_label(ref, np.zeros((20, 30), np.uint8))
        assert dataset.label_path(ref).is_relative_to(dataset.label_root)
    assert (tmp_path / "labels/other/c.png").is_file()
    dataset.save()
    for reopened in (Dataset.open(tmp_path), dataset):
        assert all(reopened.has_label(ref) for ref in reopened.images)


def test_labels_in_a_place_of_ones_own(tmp_path: Path) -> None:
    images(tmp_path / "data", "a.png")
    write_label(tmp_path / "data/gt/a.png", np.ones((20, 30), np.uint8), INDEX)
    dataset = Dataset.open(tmp_path / "data", labels=tmp_path / "data/gt")
    assert dataset.status(ImageRef("a.png")) is Status.DONE
    dataset.save()
    shutil.move(tmp_path / "data", tmp_path / "moved")
    moved = Dataset.open(tmp_path / "moved")
    assert moved.label_root == tmp_path / "moved/gt"
    assert moved.status(ImageRef("a.png")) is Status.DONE


def test_images_that_share_a_stem_have_labels_of_their_own(tmp_path: Path) -> None:
    images(tmp_path, "a.png", "a.jpg", "b.png", "sub/a.png", "A.bmp", "a.png.tif", "c.png", "c.png.png")
    dataset = Dataset.open(tmp_path)
    names = {ref.rel: dataset.label_path(ref).relative_to(tmp_path / "labels").as_posix() for ref in dataset.images}
    assert len({name.casefold() for name in names.values()}) == len(names)
    assert names["a.png"] == "a.png.png"
    assert names["a.jpg"] == "a.jpg.png"
    assert names["b.png"] == "b.png"
    assert names["sub/a.png"] == "sub/a.png"
    for i, ref in enumerate(dataset.images):
        dataset.save_label(ref, np.full((20, 30), i % 2, np.uint8))
    for i, ref in enumerate(Dataset.open(tmp_path).images):
        label = dataset.load_label(ref)
        assert label is not None
        assert (label == i % 2).all()


def test_labels_of_other_kinds_are_found(tmp_path: Path) -> None:
    images(tmp_path, "a.png", "b.png")
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((2, 2)))  # a scan for the name, not an image of the test
    (tmp_path / "a.tif").unlink()
    (tmp_path / "labels").mkdir()
    tifffile.imwrite(tmp_path / "labels/a.tif", np.full((20, 30), 255, np.uint8))
    dataset = Dataset.open(tmp_path)
    ref = ImageRef("a.png")
    assert dataset.label_path(ref) == tmp_path / "labels/a.tif"
    ids = dataset.load_label(ref)
    assert ids is not None
    assert (ids == 1).all()
    ids[0] = 0
    dataset.save_label(ref, ids)
    assert tifffile.imread(tmp_path / "labels/a.tif")[:2].tolist() == [[0] * 30, [255] * 30]
