"""What `info` says about images, labels and folders."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.core.files import images, open_folder, without_rights
from unet_gui.core import png
from unet_gui.core.describe import describe


def test_a_picture_of_whole_numbers(tmp_path: Path) -> None:
    ids = np.zeros((10, 20), np.uint8)
    ids[:5] = 7
    (tmp_path / "a.png").write_bytes(png.encode(ids))
    facts = describe(tmp_path / "a.png")
    assert (facts["lowest value"], facts["highest value"]) == (0, 7)
    assert facts["values"] == "0: 50.0 %, 7: 50.0 %"


def test_pixels_that_are_no_numbers_are_counted_and_the_rest_described(tmp_path: Path) -> None:
    values = np.full((10, 10), 0.25, np.float32)
    values[0], values[1, 0] = np.nan, np.inf
    tifffile.imwrite(tmp_path / "a.tif", values)
    facts = describe(tmp_path / "a.tif")
    assert (facts["lowest value"], facts["highest value"]) == (0.25, 0.25)
    assert str(facts["not a number"]).startswith("11.0 %")
    tifffile.imwrite(tmp_path / "b.tif", np.full((4, 4), np.nan, np.float32))
    facts = describe(tmp_path / "b.tif")
    assert "lowest value" not in facts
    json.dumps(facts, allow_nan=False)


def test_of_a_stack_all_pages_are_looked_at_or_it_is_said_how_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = np.zeros((9, 10, 20), np.uint8)
    pages[8], pages[5] = 7, 200
    tifffile.imwrite(tmp_path / "s.tif", pages, photometric="minisblack")
    facts = describe(tmp_path / "s.tif")
    assert (facts["highest value"], facts["values seen in"]) == (200, "all pages")
    assert facts["values"] == "0: 77.8 %, 7: 11.1 %, 200: 11.1 %"
    monkeypatch.setattr("unet_gui.core.describe._PIXELS", 3 * 200)
    facts = describe(tmp_path / "s.tif")
    assert (facts["highest value"], facts["values seen in"]) == (7, "3 of 9 pages, evenly spread")
    tifffile.imwrite(tmp_path / "one.tif", pages[0])
    assert "values seen in" not in describe(tmp_path / "one.tif")


def test_a_folder_names_what_cannot_be_used_and_counts_pages(tmp_path: Path) -> None:
    image = np.full((10, 20), 9, np.uint8)
    for name in ("good", "small", "untouched"):
        (tmp_path / f"{name}.png").write_bytes(png.encode(image))
    (tmp_path / "empty.png").write_bytes(b"")
    tifffile.imwrite(tmp_path / "stack.tif", np.stack([image] * 3), photometric="minisblack")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/good.png").write_bytes(png.encode(image // 9))
    (tmp_path / "labels/small.png").write_bytes(png.encode(image[:5] // 9))
    facts = describe(tmp_path)
    assert (facts["images"], facts["done"], facts["partial"], facts["untouched"]) == (7, 1, 0, 4)
    problems = facts["problems"]
    assert isinstance(problems, list)
    assert [("empty.png" in p, "small.png" in p) for p in problems] == [(True, False), (False, True)]
    assert "20 × 5 pixels, but its image is 20 × 10" in problems[1]


def test_a_folder_says_nothing_twice() -> None:
    with open_folder() as folder:
        images(folder, "a.png")
        (folder / "labels").mkdir()
        (folder / "labels/a.png").write_bytes(png.encode(np.full((20, 30), 255, np.uint8)))
        facts = describe(folder)
        assert str(facts["encoding"]).startswith("binary")
        assert "notes" not in facts
        (folder / "labels/a.png").write_bytes(png.encode(np.full((20, 30), 128, np.uint8)))
        facts = describe(folder)
        assert facts["notes"] == "Grey values 128 were taken for one class each."
        (folder / "labels").chmod(0o555)
        with without_rights():
            facts = describe(folder)
        assert "read-only" in str(facts["read-only"])
        assert facts["notes"] == "Grey values 128 were taken for one class each."


def test_photographs_in_the_place_of_labels_do_not_flood(tmp_path: Path) -> None:
    for folder in ("image", "label"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.png").write_bytes(png.encode(np.arange(200, dtype=np.uint8).reshape(10, 20)))
    facts = describe(tmp_path)
    assert str(facts["classes"]).endswith(", 9 class 9 and 190 more")
    assert str(facts["notes"]).startswith("200 different grey values were taken for one class each. Unless there are")


def test_channels_that_are_not_used_are_told(tmp_path: Path) -> None:
    for name, channels in (("a", 5), ("b", 4)):
        pixels = np.zeros((10, 20, channels), np.uint8)
        tifffile.imwrite(tmp_path / f"{name}.tif", pixels, photometric="minisblack", planarconfig="contig")
    facts = describe(tmp_path / "a.tif")
    assert (facts["channels"], facts["notes"]) == (5, "Of 5 channels the first 3 are used.")
    assert "notes" not in describe(tmp_path / "b.tif")
    assert describe(tmp_path)["notes"] == "Of 5 channels the first 3 are used."
