"""Measurements of shapes whose measures are known."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from unet_gui.core import png
from unet_gui.core.exchange import ExportOptions, export
from unet_gui.core.measure import COLUMNS, measure
from unet_gui.core.palette import ClassInfo
from unet_gui.core.project import Dataset


def test_disk_and_bar() -> None:
    numbers = np.zeros((100, 120), np.int32)
    y, x = np.mgrid[:100, :120]
    numbers[np.hypot(y - 39.5, x - 49.5) < 30] = 1
    numbers[90:94, 10:50] = 2
    disk, bar = measure(numbers, [1, 3], pixel_size=0.5)
    assert disk["area_px"] == pytest.approx(math.pi * 900, rel=0.01)
    assert disk["perimeter_px"] == pytest.approx(math.pi * 60, rel=0.02)
    assert disk["circularity"] == pytest.approx(1, abs=0.05)
    assert (disk["centroid_x"], disk["centroid_y"]) == pytest.approx((50, 40))
    assert disk["equivalent_diameter_um"] == pytest.approx(30, rel=0.01)
    assert disk["area_um2"] == disk["area_px"] / 4
    assert disk["eccentricity"] == pytest.approx(0, abs=0.05)
    assert (bar["number"], bar["class_id"], bar["area_px"]) == (2, 3, 160)
    assert [bar[f"bbox_{v}"] for v in ("x", "y", "width", "height")] == [10, 90, 40, 4]
    assert bar["orientation_degrees"] == pytest.approx(0, abs=1e-6)
    assert bar["eccentricity"] > 0.99
    assert (disk["touches_edge"], bar["touches_edge"]) == (0, 0)


@pytest.mark.parametrize("angle", [30, 90, 150])
def test_orientation_grows_anticlockwise_from_x(angle: int) -> None:
    y, x = np.mgrid[-50:51, -50:51]
    along = x * math.cos(math.radians(angle)) - y * math.sin(math.radians(angle))  # y runs down
    across = x * math.sin(math.radians(angle)) + y * math.cos(math.radians(angle))
    numbers = ((np.abs(along) < 40) & (np.abs(across) < 4.2)).astype(np.int32)
    (bar,) = measure(numbers, [1])
    assert bar["orientation_degrees"] == pytest.approx(angle, abs=0.5)
    assert bar["area_um2"] == ""


def test_one_pixel_and_the_edge() -> None:
    (dot,) = measure(np.array([[0, 1]], np.int32), [1])
    assert (dot["area_px"], dot["touches_edge"], dot["centroid_x"], dot["centroid_y"]) == (1, 1, 1.5, 0.5)
    assert measure(np.zeros((3, 3), np.int32), []) == []


def test_table_of_a_folder(tmp_path: Path) -> None:
    import tifffile

    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a ü.png").write_bytes(png.encode(np.zeros((20, 30), np.uint8)))
    tifffile.imwrite(
        folder / "b.tif", np.zeros((20, 30), np.uint8), photometric="minisblack", resolution=(20000, 20000),
        resolutionunit="CENTIMETER",
    )  # fmt: skip
    dataset = Dataset.open(folder)
    dataset.set_classes([ClassInfo(0, "background", "#000000"), ClassInfo(1, "cell", "#ff0000")])
    ids = np.full((20, 30), 255, np.uint8)
    ids[:10] = 0
    ids[2:5, 3:8], ids[7:9, 20:22] = 1, 1
    for ref in dataset.images:
        dataset.save_label(ref, ids)
    result = export(dataset, "csv", tmp_path / "out", ExportOptions())
    assert result.done == 2
    assert any("One image does not say" in note for note in result.notes)
    rows = list(csv.DictReader((tmp_path / "out/measurements.csv").read_text("utf-8-sig").splitlines()))
    assert tuple(rows[0]) == COLUMNS
    assert [(r["image"], r["number"], r["class"], r["area_px"]) for r in rows] == [
        ("a ü.png", "1", "cell", "15"), ("a ü.png", "2", "cell", "4"), ("b.tif", "1", "cell", "15"),
        ("b.tif", "2", "cell", "4"),
    ]  # fmt: skip
    assert [(r["pixel_size_um"], r["area_um2"]) for r in rows] == [("", ""), ("", ""), ("0.5", "3.75"), ("0.5", "1.0")]
