"""Measurements of blobs, a line of a CSV each: in pixels, and in micrometres where the image says how large one is."""

from __future__ import annotations

import csv
import io
import math
from codecs import BOM_UTF8
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet_gui.core.exchange_base import Exporter, ExportOptions, Ids
from unet_gui.core.images import ImageRef, image_info
from unet_gui.core.instances import objects_from_classes
from unet_gui.core.project import Dataset
from unet_gui.core.text import utf8

NAME = "measurements.csv"

COLUMNS = (
    "image",
    "number",
    "class_id",
    "class",
    "area_px",
    "perimeter_px",
    "centroid_x",
    "centroid_y",
    "bbox_x",
    "bbox_y",
    "bbox_width",
    "bbox_height",
    "equivalent_diameter_px",
    "major_axis_px",
    "minor_axis_px",
    "eccentricity",
    "orientation_degrees",
    "circularity",
    "touches_edge",
    "pixel_size_um",
    "area_um2",
    "perimeter_um",
    "equivalent_diameter_um",
    "major_axis_um",
    "minor_axis_um",
)
"""Columns of the table. The middle of the top left pixel is (0.5, 0.5); an orientation is 0 for what lies along x and
grows anticlockwise; the circularity of a circle is 1."""

_PROPERTIES = (
    "label",
    "area",
    "perimeter_crofton",
    "centroid",
    "bbox",
    "axis_major_length",
    "axis_minor_length",
    "eccentricity",
    "orientation",
)


def measure(numbers: NDArray[np.int32], classes: list[int], pixel_size: float | None = None) -> list[dict[str, Any]]:
    """Measure objects.

    Parameters
    ----------
    numbers : ndarray of int32, (h, w)
        Objects numbered from 1; 0 is none.
    classes : list of int
        The class of object 1, 2, …
    pixel_size : float, optional
        Micrometres.

    Returns
    -------
    list of dict
        `COLUMNS` but ``image`` and ``class``; those in micrometres are "" where the size of a pixel is not known.
    """
    from skimage.measure import regionprops_table

    if not classes:
        return []
    table = regionprops_table(numbers, properties=_PROPERTIES)
    rows = [dict(zip(table, values, strict=True)) for values in zip(*(v.tolist() for v in table.values()), strict=True)]
    return [_row(row, classes[int(row["label"]) - 1], numbers.shape, pixel_size) for row in rows]


def _row(row: dict[str, float], class_id: int, shape: tuple[int, ...], pixel_size: float | None) -> dict[str, Any]:
    area, perimeter = int(row["area"]), row["perimeter_crofton"]
    y0, x0, y1, x1 = (int(row[f"bbox-{i}"]) for i in range(4))
    lengths = {
        "perimeter": perimeter,
        "equivalent_diameter": 2 * math.sqrt(area / math.pi),
        "major_axis": row["axis_major_length"],
        "minor_axis": row["axis_minor_length"],
    }
    known = pixel_size is not None
    return {
        "number": int(row["label"]),
        "class_id": class_id,
        "area_px": area,
        "centroid_x": row["centroid-1"] + 0.5,
        "centroid_y": row["centroid-0"] + 0.5,
        "bbox_x": x0,
        "bbox_y": y0,
        "bbox_width": x1 - x0,
        "bbox_height": y1 - y0,
        "eccentricity": row["eccentricity"],
        "orientation_degrees": (math.degrees(row["orientation"]) + 90) % 180,
        "circularity": 4 * math.pi * area / perimeter**2 if perimeter else "",
        "touches_edge": int(x0 == 0 or y0 == 0 or y1 == shape[0] or x1 == shape[1]),
        "pixel_size_um": pixel_size if pixel_size is not None else "",
        "area_um2": area * pixel_size**2 if pixel_size is not None else "",
        **{f"{name}_px": value for name, value in lengths.items()},
        **{f"{name}_um": value * (pixel_size or 0) if known else "" for name, value in lengths.items()},
    }


class CsvExporter(Exporter):
    """Writes ``measurements.csv``: a line for each blob of each image."""

    wholes = (NAME,)
    at_end = True

    def __init__(self, dataset: Dataset, out: Path, options: ExportOptions) -> None:
        super().__init__(dataset, out, options)
        self._text = io.StringIO()
        self._table = csv.DictWriter(self._text, COLUMNS, lineterminator="\n")
        self._table.writeheader()
        self._unsized = 0

    def add(self, ref: ImageRef, ids: Ids) -> None:
        """Measure one image's blobs."""
        size = image_info(self.dataset.image_path(ref)).pixel_size
        self._unsized += size is None
        numbers, classes = objects_from_classes(ids, self.dataset.classes, self.rest)
        for row in measure(numbers, classes, size):
            row |= {"image": ref.key, "class": self.names[row["class_id"]]}
            self._table.writerow({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()})

    def finish(self) -> None:
        """Write the table."""
        # with a mark, or Excel takes letters beyond ASCII for others
        self.write(self.out / NAME, BOM_UTF8 + utf8(self._text.getvalue()))
        if self._unsized:
            some = "One image does" if self._unsized == 1 else f"{self._unsized} images do"
            self.notes.append(f"{some} not say how large a pixel is: no micrometres there.")
