"""A class becomes another one in every label: counted before, kept, taken back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from unet_gui.core import png, relabel
from unet_gui.core.encoding import INDEX
from unet_gui.core.exchange import mask_of
from unet_gui.core.label_stack import StackWriter
from unet_gui.core.palette import ClassInfo, color_of
from unet_gui.core.project import Dataset
from unet_gui.core.store import maker_of, read_label, write_label

OLD, NEW = 2, 1


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Three images, two with a label, one with a prediction."""
    rng = np.random.default_rng(4)
    for n in range(3):
        (tmp_path / f"{n}.png").write_bytes(png.encode(rng.integers(0, 255, (40, 50), np.uint8)))
    dataset = Dataset.open(tmp_path)
    dataset.set_classes([ClassInfo(i, f"c{i}", color_of(i)) for i in range(3)])
    for ref in dataset.images[:2]:
        dataset.save_label(ref, rng.choice(np.array([0, 1, 2, 255], np.uint8), (40, 50)))
    dataset.save_prediction(dataset.images[2], rng.integers(0, 3, (40, 50)).astype(np.uint8))
    return dataset


def labels(dataset: Dataset) -> list[np.ndarray | None]:
    found = [dataset.load_label(ref) for ref in dataset.images]
    prediction = dataset.load_prediction(dataset.images[2])
    assert prediction is not None
    return [*found, prediction[0]]


def change_all(dataset: Dataset, keep: Path, new: int = NEW) -> None:
    for ref in dataset.images:
        relabel.relabel(dataset, ref, OLD, new, keep)


def test_what_is_said_beforehand_is_what_happens(dataset: Dataset, tmp_path: Path) -> None:
    before = labels(dataset)
    said = sum((relabel.count(dataset, ref, {OLD}) for ref in dataset.images), relabel.Touched())
    assert said.images == 2
    assert said.pixels == sum(int((ids == OLD).sum()) for ids in before[:2] if ids is not None)
    change_all(dataset, tmp_path / "keep")
    assert said.nbytes == sum(path.stat().st_size for path in (tmp_path / "keep").iterdir())
    for was, ids in zip(before, labels(dataset), strict=True):
        if was is None:
            assert ids is None
        else:
            np.testing.assert_array_equal(ids, np.where(was == OLD, NEW, was))


@pytest.mark.parametrize("new", [NEW, 255])
def test_taking_back_gives_every_pixel_its_class_again(dataset: Dataset, tmp_path: Path, new: int) -> None:
    before = labels(dataset)
    change_all(dataset, tmp_path / "keep", new)
    for ref in dataset.images:
        relabel.take_back(dataset, ref, OLD, new, tmp_path / "keep")
    for was, ids in zip(before, labels(dataset), strict=True):
        np.testing.assert_array_equal(ids, was)


def test_what_was_painted_since_stays(dataset: Dataset, tmp_path: Path) -> None:
    before = dataset.load_label(dataset.images[0])
    assert before is not None
    change_all(dataset, tmp_path / "keep")
    painted = dataset.load_label(dataset.images[0])
    assert painted is not None
    painted[:20] = 0
    dataset.save_label(dataset.images[0], painted)
    relabel.take_back(dataset, dataset.images[0], OLD, NEW, tmp_path / "keep")
    ids = dataset.load_label(dataset.images[0])
    assert ids is not None
    assert (ids[:20] == 0).all()
    np.testing.assert_array_equal(ids[20:], before[20:])


def test_going_on_after_a_stop_keeps_all_pixels(dataset: Dataset, tmp_path: Path) -> None:
    before = labels(dataset)
    keep = tmp_path / "keep"
    relabel.relabel(dataset, dataset.images[0], OLD, NEW, keep)
    again = dataset.load_label(dataset.images[0])
    assert again is not None
    again[0, 0] = OLD  # painted between the stop and going on
    dataset.save_label(dataset.images[0], again)
    change_all(dataset, keep)
    for ref in dataset.images:
        relabel.take_back(dataset, ref, OLD, NEW, keep)
    expected = before[0]
    assert expected is not None
    expected[0, 0] = OLD
    np.testing.assert_array_equal(labels(dataset)[0], expected)


def test_without_a_place_nothing_is_kept(dataset: Dataset, tmp_path: Path) -> None:
    relabel.relabel(dataset, dataset.images[0], OLD, NEW, None)
    label = dataset.load_label(dataset.images[0])
    assert label is not None
    assert not (label == OLD).any()


def test_a_change_under_way_is_found_after_a_crash(tmp_path: Path) -> None:
    change = relabel.Relabelling(OLD, 255, ClassInfo(OLD, "Würze", "#112233"), undoing=True)
    assert relabel.unfinished(tmp_path) is None
    relabel.note(tmp_path, change)
    assert relabel.unfinished(tmp_path) == change
    relabel.settle(tmp_path)
    assert relabel.unfinished(tmp_path) is None


def test_a_damaged_file_is_named_and_the_label_left_alone(dataset: Dataset, tmp_path: Path) -> None:
    change_all(dataset, tmp_path / "keep")
    after = labels(dataset)
    for path in (tmp_path / "keep").iterdir():
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(relabel.LabelError, match="damaged"):
        relabel.take_back(dataset, dataset.images[0], OLD, NEW, tmp_path / "keep")
    np.testing.assert_array_equal(labels(dataset)[0], after[0])


KILLED = """
import sys
import subprocess
import sys
from pathlib import Path
from unet_gui.core import relabel
from unet_gui.core.palette import ClassInfo
from unet_gui.core.project import Dataset

folder, keep = Path(sys.argv[1]), Path(sys.argv[2])
dataset = Dataset.open(folder)
relabel.note(keep, relabel.Relabelling(2, 1, ClassInfo(2, "c2", "#112233")))
for ref in dataset.images:
    print("next", flush=True)
    relabel.relabel(dataset, ref, 2, 1, keep)
"""


@pytest.mark.parametrize("after", range(6))
def test_killed_at_any_moment_it_can_be_taken_back_or_finished(dataset: Dataset, tmp_path: Path, after: int) -> None:
    """A real process, killed for good in the middle: every label is whole, and both ways out lead to their goal."""
    rng = np.random.default_rng(after)
    for ref in dataset.images:
        dataset.save_label(ref, rng.choice(np.array([0, 1, 2, 255], np.uint8), (40, 50)))
    dataset.save()
    before = labels(dataset)
    keep = tmp_path / "keep"
    job = subprocess.Popen([sys.executable, "-c", KILLED, tmp_path, keep], stdout=subprocess.PIPE, text=True)
    assert job.stdout is not None
    for _ in range(1 + after // 2):
        assert job.stdout.readline() == "next\n"
    job.kill()  # somewhere inside this image, wherever that is this time
    job.wait()
    job.stdout.close()
    change = relabel.unfinished(keep)
    assert change is not None
    assert (change.old, change.new) == (OLD, NEW)
    for was, ids in zip(before, labels(dataset), strict=True):
        assert was is not None
        assert ids is not None
        np.testing.assert_array_equal(np.where(ids == OLD, NEW, ids), np.where(was == OLD, NEW, was))
    if after < 3:
        for ref in dataset.images:
            relabel.take_back(dataset, ref, OLD, NEW, keep)
        goal = before
    else:
        change_all(dataset, keep)
        goal = [np.where(was == OLD, NEW, was) for was in before if was is not None]
    for wanted, ids in zip(goal, labels(dataset), strict=True):
        np.testing.assert_array_equal(ids, wanted)


STACK_KILLED = """
import sys
from pathlib import Path
from unet_gui.core import relabel
from unet_gui.core.label_stack import StackWriter
from unet_gui.core.palette import ClassInfo
from unet_gui.core.project import Dataset

folder, keep = Path(sys.argv[1]), Path(sys.argv[2])
dataset = Dataset.open(folder)
relabel.note(keep, relabel.Relabelling(2, 1, ClassInfo(2, "c2", "#112233")))
with StackWriter() as stack:
    for ref in dataset.expand(dataset.images[0]):
        relabel.relabel(dataset, ref, 2, 1, keep, stack)
        print("next", flush=True)
print("next", flush=True)
"""


@pytest.mark.parametrize("on", [False, True], ids=["taken back", "finished"])
@pytest.mark.parametrize("after", [1, 5, 20, 21])
def test_killed_in_the_middle_of_a_stack(tmp_path: Path, after: int, on: bool) -> None:
    """The stack is the old one or the new one, whole; what was kept of pages that are not written harms nothing."""
    rng = np.random.default_rng(after)
    folder, keep = tmp_path / "folder", tmp_path / "keep"
    folder.mkdir()
    tifffile.imwrite(folder / "s.tif", rng.integers(0, 255, (20, 40, 50), np.uint8), photometric="minisblack")
    dataset = Dataset.open(folder)
    dataset.set_classes([ClassInfo(i, f"c{i}", color_of(i)) for i in range(3)])
    pages = dataset.expand(dataset.images[0])
    before = [rng.choice(np.array([0, 1, 2, 255], np.uint8), (40, 50)) for _ in pages]
    with StackWriter() as stack:
        for ref, ids in zip(pages, before, strict=True):
            dataset.save_label(ref, ids, stack=stack)
    dataset.save()
    job = subprocess.Popen([sys.executable, "-c", STACK_KILLED, folder, keep], stdout=subprocess.PIPE, text=True)
    assert job.stdout is not None
    for _ in range(after):
        assert job.stdout.readline() == "next\n"
    job.kill()
    job.wait()
    job.stdout.close()
    goal = [np.where(was == OLD, NEW, was) for was in before]
    found = np.stack([dataset.load_label(ref) for ref in pages])
    assert any(np.array_equal(found, np.stack(whole)) for whole in (before, goal))
    with StackWriter() as stack:
        for ref in pages:
            if on:
                relabel.relabel(dataset, ref, OLD, NEW, keep, stack)
            else:
                relabel.take_back(dataset, ref, OLD, NEW, keep, stack)
    for ref, wanted in zip(pages, goal if on else before, strict=True):
        np.testing.assert_array_equal(dataset.load_label(ref), wanted)
    if on:
        for ref in pages:
            relabel.take_back(dataset, ref, OLD, NEW, keep)
        for ref, was in zip(pages, before, strict=True):
            np.testing.assert_array_equal(dataset.load_label(ref), was)


def test_a_prediction_still_says_who_made_it(dataset: Dataset, tmp_path: Path) -> None:
    path = dataset.prediction_path(dataset.images[2])
    ids = read_label(path, INDEX)
    write_label(path, ids, INDEX, maker="that model")
    keep = tmp_path / "keep"
    change_all(dataset, keep)
    assert maker_of(path) == "that model"
    assert not (read_label(path, INDEX) == OLD).any()
    relabel.take_back(dataset, dataset.images[2], OLD, NEW, keep)
    assert maker_of(path) == "that model"
    np.testing.assert_array_equal(read_label(path, INDEX), ids)


def test_a_class_that_is_no_more_is_in_no_mask(dataset: Dataset) -> None:
    ref = dataset.images[2]
    ids = read_label(dataset.prediction_path(ref), INDEX)
    dataset.set_classes(dataset.classes[:2])  # as undo of adding a class does
    np.testing.assert_array_equal(mask_of(dataset, ref), np.where(ids == 2, 255, ids))
