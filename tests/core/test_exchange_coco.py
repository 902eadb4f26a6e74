"""Import of COCO: annotations, run lengths, what is told of bad ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from tests.core.exchange_kit import SIZE, coco, folder, mask, square
from unet_gui.core.errors import UserError
from unet_gui.core.exchange import import_labels
from unet_gui.core.exchange_coco import from_run_lengths
from unet_gui.core.images import ImageRef
from unet_gui.core.project import Dataset


@pytest.mark.parametrize("where", ["val", "val/image"])
@pytest.mark.parametrize("names", [("val/1.png", "train/1.png"), ("train/1.png", "val/1.png")])
def test_of_two_coco_entries_for_one_image_the_nearer_is_taken(
    names: tuple[str, str], where: str, tmp_path: Path
) -> None:
    mask(tmp_path / where / "1.png")
    (tmp_path / "val/label").mkdir()
    dataset = Dataset.open(tmp_path / "val")
    data = {
        "images": [{"id": name, "file_name": name, "height": SIZE[0], "width": SIZE[1]} for name in names],
        "categories": [{"id": 7, "name": "cell"}],
        "annotations": [
            {"image_id": "val/1.png", "category_id": 7, "segmentation": [square(2, 2, 4)]},
            {"image_id": "train/1.png", "category_id": 7, "segmentation": [square(2, 2, 9)]},
        ],
    }
    (tmp_path / "coco.json").write_text(json.dumps(data), "utf-8")
    result = import_labels(dataset, tmp_path / "coco.json", "coco")
    assert (result.done, result.failed) == (1, [])
    label = dataset.load_label(ImageRef("1.png"))
    assert label is not None
    assert (label == 1).sum() == 16
    assert "train/1.png is a second one for 1.png and was left out." in result.notes


def test_coco_parts_are_added_and_run_lengths_are_read_in_both_ways(tmp_path: Path) -> None:
    counts = [0, 20, 20 * 30 - 20]  # the first column
    path = coco(
        tmp_path / "coco.json",
        [
            {"category_id": 7, "segmentation": [square(10, 0, 4), square(12, 0, 4)]},
            {"category_id": 9, "segmentation": {"size": [20, 30], "counts": counts}},
        ],
    )
    dataset = folder(tmp_path)
    assert import_labels(dataset, path, "coco").done == 1
    label = dataset.load_label(ImageRef("a.png"))
    assert label is not None
    assert (label[:4, 10:16] == 1).all()
    assert (label[:, 0] == 2).all()
    assert (label > 0).sum() == 24 + 20


@pytest.mark.parametrize(
    "annotation",
    [
        {"category_id": 99, "segmentation": [square(1, 1, 3)]},
        {"category_id": 7, "segmentation": [[1, 2, 3]]},
        {"category_id": 7, "segmentation": {"size": [20, 30], "counts": [5, 5]}},
        {"category_id": 7, "segmentation": {"size": [20, 30], "counts": "oo0"}},
        {"category_id": 7, "segmentation": {"size": [20, 30], "counts": "P"}},
        {"category_id": 7, "segmentation": {"size": [20, 99], "counts": [0, 20 * 99]}},
        {"category_id": 7},
    ],
    ids=[
        "unknown category",
        "odd coordinates",
        "counts that do not add up",
        "damaged text",
        "text that ends early",
        "another size",
        "no outline",
    ],
)
def test_bad_coco_annotations_are_told(annotation: dict[str, Any], tmp_path: Path) -> None:
    dataset = folder(tmp_path)
    result = import_labels(dataset, coco(tmp_path / "coco.json", [annotation]), "coco")
    assert (result.done, len(result.failed)) == (0, 1)
    assert "coco.json" in result.failed[0][1]


@pytest.mark.parametrize("text", ["", "[]", '{"images": 3}', "\x00\xff", "[" * 100_000])
def test_a_file_that_is_no_coco_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text, "utf-8")
    with pytest.raises(UserError, match=r"x\.json"):
        import_labels(folder(tmp_path), tmp_path / "x.json", "coco")


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=40)))
def test_run_lengths_of_pycocotools_are_read(mask: np.ndarray) -> None:
    tools = pytest.importorskip("pycocotools.mask")
    text = tools.encode(np.asfortranarray(mask, np.uint8))["counts"].decode()
    rect, inside = from_run_lengths(text, mask.shape)
    whole = np.zeros(mask.shape, bool)
    whole[rect.slices] = inside
    assert (whole == mask).all()


@given(st.one_of(st.text(), st.text(st.characters(min_codepoint=48, max_codepoint=111))))
def test_damaged_run_lengths_are_refused(text: str) -> None:
    try:
        rect, inside = from_run_lengths(text, (20, 30))
    except ValueError:
        return
    assert rect.clip((20, 30)) == rect
    assert inside.shape == (rect.h, rect.w)
