"""A folder to import into, and what is imported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from unet_gui.core import png
from unet_gui.core.project import Dataset

SIZE = (20, 30)


def folder(tmp_path: Path, *names: str) -> Dataset:
    root = tmp_path / "folder"
    for name in names or ("a.png", "b.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(png.encode(np.full(SIZE, 7, np.uint8)))
    return Dataset.open(root)


def mask(path: Path, class_id: int = 1, size: tuple[int, int] = SIZE) -> np.ndarray:
    ids = np.zeros(size, np.uint8)
    ids[3:8, 4:9] = class_id
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png.encode(ids))
    return ids


def coco(path: Path, annotations: list[dict[str, Any]], size: tuple[int, int] = SIZE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = {
        "images": [{"id": 4, "file_name": "some/where/a.png", "height": size[0], "width": size[1]}],
        "categories": [{"id": 7, "name": "cell"}, {"id": 9, "name": "nucleus"}],
        "annotations": [{"id": n, "image_id": 4, "iscrowd": 0, **one} for n, one in enumerate(annotations)],
    }
    path.write_text(json.dumps(data), "utf-8")
    return path


def square(x: float, y: float, side: float) -> list[float]:
    return [x, y, x + side, y, x + side, y + side, x, y + side]
