"""The open folder: where labels are, what is kept about it, and that opening changes nothing."""

from __future__ import annotations

import os
import pickle
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.core.files import images, open_folder, pattern, without_rights
from unet_gui.core import png
from unet_gui.core.errors import ImageError, LabelError, ProjectError, UserError
from unet_gui.core.images import ImageRef
from unet_gui.core.palette import ClassInfo, default_classes
from unet_gui.core.planes import write_planes
from unet_gui.core.project import Dataset, Status
from unet_gui.core.store import BINARY, INDEX, UNLABELLED, read_raw, write_label


def snapshot(root: Path) -> dict[str, tuple[int, bytes]]:
    """Return every file and its content, and every folder."""
    return {
        path.relative_to(root).as_posix(): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in root.rglob("*")
    }


@pytest.fixture
def isbi(data: Path, tmp_path: Path) -> Path:
    """A copy of some of the tutorial's slices."""
    for kind in ("image", "label"):
        (tmp_path / "train" / kind).mkdir(parents=True)
        for i in range(4):
            shutil.copy(data / "isbi2012/train" / kind / f"{i}.png", tmp_path / "train" / kind)
    return tmp_path / "train"


# ---------------------------------------------------------------------- the tutorial's folder


def test_the_folder_and_its_images_are_the_same_dataset(isbi: Path) -> None:
    above, inside = Dataset.open(isbi), Dataset.open(isbi / "image")
    for dataset in (above, inside):
        assert (dataset.root, dataset.image_root, dataset.label_root) == (isbi, isbi / "image", isbi / "label")
        assert dataset.state_dir == isbi / ".unet-gui"
        assert [ref.rel for ref in dataset.images] == ["0.png", "1.png", "2.png", "3.png"]
        assert dataset.encoding == BINARY
        assert [info.id for info in dataset.classes] == [0, 1]
        assert all(dataset.status(ref) is Status.DONE for ref in dataset.images)
        assert any("binary" in note for note in dataset.notes)


def test_saving_an_untouched_label_gives_the_same_pixels_in_the_same_encoding(isbi: Path) -> None:
    dataset = Dataset.open(isbi)
    for ref in dataset.images:
        before = read_raw(dataset.label_path(ref))
        ids = dataset.load_label(ref)
        assert ids is not None
        assert set(np.unique(ids)) == {0, 1}
        dataset.save_label(ref, ids)
        after = read_raw(dataset.label_path(ref))
        np.testing.assert_array_equal(after.pixels, before.pixels)
        assert (after.marked, after.pixels.dtype, after.pixels.ndim) == (False, np.uint8, 2)


def test_a_partial_label_survives_the_loss_of_the_project(isbi: Path) -> None:
    dataset = Dataset.open(isbi)
    ref = dataset.images[1]
    ids = dataset.load_label(ref)
    assert ids is not None
    ids[:100] = UNLABELLED
    dataset.save_label(ref, ids)
    dataset.save()
    shutil.rmtree(isbi / ".unet-gui")
    again = Dataset.open(isbi)
    assert again.encoding == BINARY
    assert again.status(ref) is Status.PARTIAL
    np.testing.assert_array_equal(again.load_label(ref), ids)
    assert [again.status(other) for other in again.images].count(Status.DONE) == 3


def test_opening_writes_nothing(isbi: Path) -> None:
    before = snapshot(isbi)
    dataset = Dataset.open(isbi)
    for ref in dataset.images:
        dataset.load_label(ref)
        dataset.status(ref)
        dataset.load_prediction(ref)
        dataset.expand(ref)
    assert snapshot(isbi) == before


def test_real_folders(data: Path) -> None:
    test = Dataset.open(data / "isbi2012/test")
    assert (len(test.images), test.images[9].rel) == (30, "9.png")
    assert test.label_root == data / "isbi2012/test/labels"
    assert test.status(test.images[0]) is Status.UNTOUCHED
    street = Dataset.open(data / "camvid/val")
    assert (len(street.images), len(street.classes)) == (12, 12)
    street.set_encoding(street.encoding.with_unlabelled(11))
    assert [info.id for info in street.classes] == list(range(11))
    ids = [street.load_label(ref) for ref in street.images]
    assert {int(i) for label in ids for i in np.unique(label)} <= {*range(11), UNLABELLED}
    nuclei = Dataset.open(data / "nuclei/image")
    assert len(nuclei.images) == 266
    assert nuclei.encoding == INDEX


# ---------------------------------------------------------------------- status


def test_status_follows_the_label(tmp_path: Path) -> None:
    dataset = Dataset.open(images(tmp_path, "a.png"))
    ref = dataset.images[0]
    assert dataset.status(ref) is Status.UNTOUCHED
    assert not dataset.has_label(ref)
    assert dataset.load_label(ref) is None
    ids = np.full((20, 30), UNLABELLED, np.uint8)
    for change, status in [(None, Status.UNTOUCHED), (0, Status.PARTIAL), (1, Status.PARTIAL)]:
        if change is not None:
            ids[change] = change
        dataset.save_label(ref, ids)
        assert dataset.status(ref) is status
        assert dataset.has_label(ref)
    ids[:] = 1
    dataset.save_label(ref, ids)
    assert dataset.status(ref) is Status.DONE
    write_label(dataset.label_path(ref), np.full((20, 30), UNLABELLED, np.uint8), INDEX)  # by another program
    assert dataset.status(ref) is Status.UNTOUCHED


def test_status_follows_what_pixels_mean(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "s.tif", pattern((2, 20, 30)), photometric="minisblack")
    dataset = Dataset.open(images(tmp_path, "a.png"))
    dataset.set_classes(default_classes(4))
    a, stack = dataset.images
    first, second = dataset.expand(stack)
    ids = np.full((20, 30), 1, np.uint8)
    ids[:5] = 3
    for ref in (a, first):
        dataset.save_label(ref, ids)  # marked as class numbers, 3 among them
    dataset.save_label(second, np.full_like(ids, 3))
    assert {dataset.status(ref) for ref in (a, stack, first, second)} == {Status.DONE}
    dataset.set_encoding(INDEX.with_unlabelled(3))
    assert (dataset.status(a), dataset.status(stack), dataset.status(first)) == (Status.PARTIAL,) * 3
    assert dataset.status(second) is Status.UNTOUCHED
    dataset.set_classes(default_classes(4))
    assert dataset.status(a) is Status.DONE, "it is a class again"


def test_a_damaged_label_is_no_status(tmp_path: Path) -> None:
    dataset = Dataset.open(images(tmp_path, "a.png", "labels/a.png"))
    dataset.label_path(dataset.images[0]).write_bytes(b"")
    with pytest.raises(LabelError):
        dataset.status(dataset.images[0])


# ---------------------------------------------------------------------- stacks


def test_pages_of_a_stack_are_images(tmp_path: Path) -> None:
    stack = pattern((3, 20, 30))
    tifffile.imwrite(tmp_path / "stack.tif", stack, photometric="minisblack")
    tifffile.imwrite(tmp_path / "one.tif", stack[0])
    images(tmp_path, "a.png")
    dataset = Dataset.open(tmp_path)
    assert [ref.rel for ref in dataset.images] == ["a.png", "one.tif", "stack.tif"]
    assert dataset.expand(ImageRef("a.png")) == [ImageRef("a.png")]
    assert dataset.expand(ImageRef("one.tif")) == [ImageRef("one.tif")]
    pages = dataset.expand(ImageRef("stack.tif"))
    assert pages == [ImageRef("stack.tif", i) for i in range(3)]
    with dataset.open_image(pages[2]) as source:
        np.testing.assert_array_equal(source.read(), stack[2])
    assert dataset.label_path(pages[0]) == tmp_path / "labels/stack.tif"
    assert dataset.label_path(ImageRef("one.tif")) == tmp_path / "labels/one.png"


def test_each_page_has_a_status_and_the_stack_one_of_all(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "stack.tif", pattern((3, 20, 30)), photometric="minisblack")
    dataset = Dataset.open(tmp_path)
    stack = dataset.images[0]
    pages = dataset.expand(stack)
    assert dataset.status(stack) is Status.UNTOUCHED
    done, partial = np.zeros((20, 30), np.uint8), np.zeros((20, 30), np.uint8)
    partial[0] = UNLABELLED
    dataset.save_label(pages[1], done)
    dataset.save_label(pages[2], partial, pages=3)
    assert [dataset.status(page) for page in pages] == [Status.UNTOUCHED, Status.DONE, Status.PARTIAL]
    assert dataset.status(stack) is Status.PARTIAL
    np.testing.assert_array_equal(Dataset.open(tmp_path).load_label(pages[2]), partial)
    for page in pages:
        dataset.save_label(page, done)
    assert dataset.status(stack) is Status.DONE


# ---------------------------------------------------------------------- what is refused


def test_a_label_of_another_size_is_refused_both_ways(tmp_path: Path) -> None:
    dataset = Dataset.open(images(tmp_path, "a.png"))
    ref = dataset.images[0]
    with pytest.raises(LabelError, match="size"):
        dataset.save_label(ref, np.zeros((30, 20), np.uint8))
    assert not dataset.label_path(ref).exists()
    write_label(dataset.label_path(ref), np.zeros((30, 20), np.uint8), INDEX)
    with pytest.raises(LabelError, match="20 × 30 pixels, but its image is 30 × 20"):
        dataset.load_label(ref)


def test_a_class_that_is_not_in_the_list_is_refused_both_ways(tmp_path: Path) -> None:
    dataset = Dataset.open(images(tmp_path, "a.png"))
    ref = dataset.images[0]
    ids = np.full((20, 30), 5, np.uint8)
    with pytest.raises(LabelError, match="class 5"):
        dataset.save_label(ref, ids)
    write_label(dataset.label_path(ref), ids, INDEX)
    with pytest.raises(LabelError, match="class 5"):
        dataset.load_label(ref)
    dataset.set_classes(default_classes(6))
    np.testing.assert_array_equal(dataset.load_label(ref), ids)


def test_a_file_that_is_no_label_of_ours_is_not_written_over(tmp_path: Path) -> None:
    images(tmp_path, "a.png")
    (tmp_path / "labels").mkdir()
    foreign = png.encode(pattern((20, 30), "uint16"))
    (tmp_path / "labels/a.png").write_bytes(foreign)
    dataset = Dataset.open(tmp_path)
    assert any("cannot be used" in note for note in dataset.notes)
    ids = np.zeros((20, 30), np.uint8)
    with pytest.raises(LabelError, match="not replaced"):
        dataset.save_label(dataset.images[0], ids)
    assert (tmp_path / "labels/a.png").read_bytes() == foreign
    dataset.save_label(dataset.images[0], ids, overwrite=True)
    np.testing.assert_array_equal(dataset.load_label(dataset.images[0]), ids)


def test_one_bad_image_stops_nothing(tmp_path: Path) -> None:
    images(tmp_path, "a.png", "c.png")
    (tmp_path / "b.png").write_bytes(b"")
    dataset = Dataset.open(tmp_path)
    with pytest.raises(ImageError):
        dataset.open_image(ImageRef("b.png"))
    with pytest.raises(ImageError):
        dataset.save_label(ImageRef("b.png"), np.zeros((20, 30), np.uint8))
    dataset.save_label(ImageRef("c.png"), np.zeros((20, 30), np.uint8))


@pytest.mark.parametrize("kind", ["missing", "file", "empty", "no pictures"])
def test_what_is_no_folder_of_pictures_says_so(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "x"
    if kind == "file":
        place.write_text("")
    elif kind != "missing":
        place.mkdir()
    if kind == "no pictures":
        (place / "notes.txt").write_text("")
    words = {"missing": "not there", "file": "is a file", "empty": "no pictures", "no pictures": "no pictures"}
    with pytest.raises(ProjectError, match=words[kind]) as caught:
        Dataset.open(place)
    assert caught.value.hint


def test_a_closed_folder_says_so() -> None:
    with open_folder() as folder:
        images(folder, "a.png")
        folder.chmod(0o000)
        with without_rights(), pytest.raises(ProjectError, match="may not be read"):
            Dataset.open(folder)


def test_a_folder_deleted_while_open(tmp_path: Path) -> None:
    dataset = Dataset.open(images(tmp_path / "x", "a.png"))
    shutil.rmtree(tmp_path / "x")
    with pytest.raises(UserError):
        dataset.save_label(dataset.images[0], np.zeros((20, 30), np.uint8))
    with pytest.raises(ImageError):
        dataset.open_image(dataset.images[0])
    assert not (tmp_path / "x").exists()


# ---------------------------------------------------------------------- read-only


def test_a_read_only_folder_opens_and_says_so() -> None:
    with open_folder() as folder:
        images(folder, "a.png")
        folder.chmod(0o555)
        with without_rights():
            dataset = Dataset.open(folder)
            assert "read-only" in dataset.read_only
            assert dataset.read_only in dataset.notes
            with pytest.raises(UserError, match="read-only"):
                dataset.save_label(dataset.images[0], np.zeros((20, 30), np.uint8))
            assert dataset.acquire_lock() == ""
        assert [entry.name for entry in folder.iterdir()] == ["a.png"]


def test_a_read_only_folder_can_be_worked_on_elsewhere() -> None:
    with open_folder() as folder, open_folder() as elsewhere:
        images(folder, "a.png", "b.png")
        write_label(folder / "labels/a.png", np.ones((20, 30), np.uint8), BINARY)
        (folder / "labels").chmod(0o555)
        folder.chmod(0o555)
        before = snapshot(folder)
        with without_rights():
            dataset = Dataset.open(folder, state=elsewhere / "work")
            assert dataset.read_only == ""
            a, b = dataset.images
            assert dataset.status(a) is Status.DONE
            ids = dataset.load_label(a)
            assert ids is not None
            ids[0] = 0
            dataset.save_label(a, ids)
            dataset.save_label(b, ids)
            dataset.save()
            again = Dataset.open(folder, state=elsewhere / "work")
            for ref in (a, b):
                np.testing.assert_array_equal(again.load_label(ref), ids)
                assert again.label_path(ref).is_relative_to(again.label_root)
        assert snapshot(folder) == before


# ---------------------------------------------------------------------- predictions


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("page", [None, 1])
def test_predictions_come_back(tmp_path: Path, classes: int, page: int | None) -> None:
    tifffile.imwrite(tmp_path / "stack.tif", pattern((2, 20, 30)), photometric="minisblack")
    dataset = Dataset.open(tmp_path)
    dataset.set_classes(default_classes(classes))
    ref = ImageRef("stack.tif", page)
    assert dataset.load_prediction(ref) is None
    prob = pattern((classes, 20, 30))
    if classes == 2:
        prob[0] = 255 - prob[1]
    ids = prob.argmax(axis=0).astype(np.uint8)
    dataset.save_prediction(ref, ids, prob)
    found = dataset.load_prediction(ref)
    assert found is not None
    np.testing.assert_array_equal(found[0], ids)
    assert found[1] is not None
    np.testing.assert_array_equal(found[1].planes, prob)
    assert found[1].classes == tuple(range(classes))
    assert dataset.prediction_path(ref).is_relative_to(tmp_path / ".unet-gui/predictions")
    dataset.save_prediction(ref, 1 - np.minimum(ids, 1))
    found = dataset.load_prediction(ref)
    assert found is not None
    assert found[1] is None, "probabilities of an older prediction"


def test_probabilities_keep_their_classes_when_the_folder_gets_others(tmp_path: Path) -> None:
    dataset = Dataset.open(images(tmp_path, "a.png"))
    dataset.set_classes([ClassInfo(0, "a", "#808080"), ClassInfo(3, "b", "#e6194b"), ClassInfo(4, "c", "#3cb44b")])
    ref = dataset.images[0]
    prob = pattern((3, 20, 30))
    dataset.save_prediction(ref, np.zeros((20, 30), np.uint8), prob)
    dataset.set_classes([*dataset.classes[::-1], ClassInfo(1, "d", "#4363d8")])
    found = dataset.load_prediction(ref)
    assert found is not None
    assert found[1] is not None
    assert found[1].classes == (0, 3, 4)
    np.testing.assert_array_equal(found[1].planes, prob)
    write_planes(dataset.prediction_path(ref, "prob"), prob)  # as older versions did
    found = dataset.load_prediction(ref)
    assert found is not None
    assert found[1] is None, "three planes in a folder of four classes: nobody knows which"
    write_planes(dataset.prediction_path(ref, "prob"), prob[:1], (3, 4))
    found = dataset.load_prediction(ref)
    assert found is not None
    assert found[1] is not None
    np.testing.assert_array_equal(found[1].planes, np.stack([255 - prob[0], prob[0]]))


def test_predictions_of_images_with_one_stem_are_apart(tmp_path: Path) -> None:
    dataset = Dataset.open(images(tmp_path, "a.png", "a.jpg"))
    paths = {dataset.prediction_path(ref, kind) for ref in dataset.images for kind in ("ids", "prob")}
    assert len(paths) == 4


def test_a_damaged_prediction_is_said(tmp_path: Path) -> None:
    dataset = Dataset.open(images(tmp_path, "a.png"))
    ref = dataset.images[0]
    dataset.save_prediction(ref, np.zeros((20, 30), np.uint8), np.zeros((2, 20, 30), np.uint8))
    write_label(dataset.prediction_path(ref, "prob"), np.zeros((3, 3), np.uint8), INDEX)
    with pytest.raises(LabelError, match="another size"):
        dataset.load_prediction(ref)
    dataset.prediction_path(ref, "prob").write_bytes(b"x")
    with pytest.raises(LabelError):
        dataset.load_prediction(ref)


# ---------------------------------------------------------------------- many images, other processes


def test_a_hundred_thousand_images_stay_light(tmp_path: Path) -> None:
    import tracemalloc

    for i in range(20_000):
        os.close(os.open(tmp_path / f"image_{i}.png", os.O_CREAT | os.O_WRONLY))
    tracemalloc.start()
    try:
        dataset = Dataset.open(tmp_path)
        used = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(dataset.images) == 20_000
    names = sum(sys.getsizeof(ref.rel) for ref in dataset.images)
    assert (used - names) / 20_000 < 100


def test_a_dataset_can_be_sent_to_another_process(isbi: Path) -> None:
    dataset = pickle.loads(pickle.dumps(Dataset.open(isbi)))
    assert dataset.load_label(dataset.images[0]) is not None


def test_an_image_with_a_label_of_another_size_has_no_status(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png.encode(np.zeros((20, 30), np.uint8)))
    write_label(tmp_path / "labels" / "a.png", np.zeros((10, 10), np.uint8), INDEX)
    dataset = Dataset.open(tmp_path)
    with pytest.raises(LabelError, match="is 10 × 10 pixels, but its image is 30 × 20"):
        dataset.status(dataset.images[0])
