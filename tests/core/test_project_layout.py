"""What the label of each image is called: never the same for two, on any system."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.files import images
from unet_gui.core import layout
from unet_gui.core.atomic import atomic_path, is_half
from unet_gui.core.layout import LabelIndex, LabelNames, find_layout, nested_pairs
from unet_gui.core.project import Dataset

names = st.builds(
    lambda place, stem, suffix: f"{place}{stem}{suffix}",
    st.sampled_from(["", "a/", "A/", "train/image/", "x/images/"]),
    st.sampled_from(["a", "A", "b", "a.png", "a.b", "ü", "Ü", "image", "a.png.tif"]),
    st.sampled_from([".png", ".PNG", ".tif", ".jpg"]),
)


@given(st.sets(names), st.booleans())
def test_no_two_images_share_a_label_even_where_case_does_not_count(images: set[str], nested: bool) -> None:
    pairs = {"train/image": "train/label"} if nested else {}
    # on a system where case does not count, names that differ only in it are the same file
    distinct = list({rel.casefold(): rel for rel in sorted(images)}.values())
    stems = [LabelNames(distinct, pairs).stem(rel).casefold() for rel in distinct]
    assert len(set(stems)) == len(distinct)


@given(st.sets(names, min_size=1))
def test_a_name_that_is_alone_stays_short(images: set[str]) -> None:
    known = LabelNames(images)
    for rel in images:
        stem = rel.rpartition(".")[0]
        others = {other.rpartition(".")[0].casefold() for other in images if other != rel}
        fulls = {other.casefold() for other in images}
        if stem.casefold() not in others | fulls:
            assert known.stem(rel) == stem


def test_the_order_of_places(tmp_path: Path) -> None:
    for name in ("image", "images", "label", "labels"):
        (tmp_path / "x" / name).mkdir(parents=True)
    layout = find_layout(tmp_path / "x")
    assert (layout.image_root.name, layout.label_root.name) == ("image", "label")
    assert find_layout(tmp_path / "x" / "images").label_root.name == "label"
    assert find_layout(tmp_path).label_root == tmp_path / "labels"


def test_files_with_the_names_of_folders_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "image").mkdir()
    (tmp_path / "label").write_text("")
    assert find_layout(tmp_path).label_root == tmp_path / "labels"


def test_pairs_are_only_those_that_exist(tmp_path: Path) -> None:
    (tmp_path / "a/image").mkdir(parents=True)
    (tmp_path / "a/labels").mkdir()
    (tmp_path / "b/image").mkdir(parents=True)
    (tmp_path / "image").mkdir()
    (tmp_path / "label").mkdir()
    images = ["a/image/1.png", "b/image/1.png", "image/1.png", "c/1.png", "1.png"]
    assert nested_pairs(tmp_path, images) == {"a/image": "a/labels", "image": "label"}


def test_an_index_of_folders_that_do_not_exist_is_empty(tmp_path: Path) -> None:
    index = LabelIndex([tmp_path / "none"])
    assert len(index) == 0
    assert index.find("a") is None
    assert index.writable("a", stack=False) == tmp_path / "none/a.png"
    assert index.writable("a", stack=True) == tmp_path / "none/a.tif"
    index.add("a.tiff")
    assert index.writable("a", stack=True) == tmp_path / "none/a.tiff"
    assert index.find("a", stack=True) == tmp_path / "none/a.tiff"


def test_the_first_folder_hides_the_others(tmp_path: Path) -> None:
    for place in ("new", "old"):
        (tmp_path / place / "sub").mkdir(parents=True)
    (tmp_path / "old/sub/a.png").touch()
    (tmp_path / "old/b.png").touch()
    (tmp_path / "new/b.png").touch()
    (tmp_path / "new/.b.png.12.tmp").touch()
    index = LabelIndex([tmp_path / "new", tmp_path / "old"])
    assert index.find("sub/a") == tmp_path / "old/sub/a.png"
    assert index.find("b") == tmp_path / "new/b.png"
    assert index.writable("sub/a", stack=False) == tmp_path / "new/sub/a.png"
    assert index.find("c") is None
    assert index.find("SUB/A") is None
    assert index.find("SUB/A", alike=True) == tmp_path / "old/sub/a.png"


def test_a_label_that_is_saved_while_another_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(3):
        (tmp_path / f"{n}.png").touch()
    index = LabelIndex([tmp_path])
    plain = layout.same_name

    def meanwhile(name: str) -> str:
        if name[0].isdigit():
            index.add(f"of {name}")  # as another thread may do at any moment
        return plain(name)

    monkeypatch.setattr(layout, "same_name", meanwhile)
    assert index.find("A", alike=True) is None
    monkeypatch.undo()
    assert index.find("of 1") == tmp_path / "of 1.png"


def test_images_beside_the_folder_that_is_named_as_that_of_the_labels(tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    images(tmp_path / "images", "a.png", "b.png")
    images(tmp_path / "masks", "a.png")
    assert len(Dataset.open(tmp_path).images) == 3, "nobody has said what masks are"
    dataset = Dataset.open(tmp_path, labels=tmp_path / "masks")
    assert [ref.rel for ref in dataset.images] == ["a.png", "b.png"]
    assert [dataset.has_label(ref) for ref in dataset.images] == [True, False]
    dataset.save()
    again = Dataset.open(tmp_path)
    assert (again.image_root, again.label_root) == (tmp_path / "images", tmp_path / "masks")
    images(tmp_path, "c.png")
    assert len(Dataset.open(tmp_path, labels=tmp_path / "masks").images) == 3, "not all images are in images"
    (tmp_path / "c.png").unlink()
    (tmp_path / "masks" / "images").mkdir()
    kept = Dataset.open(tmp_path, labels=tmp_path / "masks")
    assert [ref.rel for ref in kept.images] == ["images/a.png", "images/b.png"], "they have labels under that name"


def test_halves_that_a_killed_program_left_are_removed_when_they_are_old(tmp_path: Path) -> None:
    images(tmp_path, "a.png")
    (tmp_path / "labels/sub").mkdir(parents=True)
    old, fresh, foreign = (
        tmp_path / "labels" / name for name in ("sub/.a.png.0123abcd.tmp", ".a.png.0123abcd.tmp", "sub/.notes.tmp")
    )
    for path in (old, fresh, foreign):
        path.touch()
    for path in (old, foreign):
        os.utime(path, (1e9, 1e9))
    dataset = Dataset.open(tmp_path)
    assert old.exists(), "opening changes nothing"
    assert dataset.acquire_lock() == ""
    assert [path.exists() for path in (old, fresh, foreign)] == [False, True, True]
    dataset.release_lock()


def test_halves_are_recognised_by_the_names_they_are_given(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "a.png") as temporary:
        temporary.touch()
        assert is_half(temporary.name)
    assert not is_half("a.png")
