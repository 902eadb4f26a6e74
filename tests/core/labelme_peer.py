"""The other side of the tests with labelme: run by a Python that has the real labelme and need not have this package.

``python labelme_peer.py make FOLDER`` writes the fixture: a file by labelme's own writer, and what its own renderer
makes of it. ``python labelme_peer.py render JSON_FOLDER OUT`` reads every file below a folder as labelme does and
writes the pixels as PNG, numbered by the lines of ``labels.txt`` (255 for ``__ignore__``).
It needs ``pip install labelme``.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import PIL.Image
from labelme import __version__, utils
from labelme._label_file import LabelFile

SIZE = (120, 160)
NUMBERS = {"_background_": 0, "cell": 1, "nucleus": 2, "__ignore__": 255}


def wavy(x: float, y: float, radius: float, corners: int) -> list[list[float]]:
    """Return an outline as a hand draws one: decimals, not quite round."""
    angle = np.arange(corners) * 2 * np.pi / corners
    far = radius * (1 + 0.15 * np.sin(3 * angle) + 0.05 * np.cos(7 * angle))
    return np.round(np.stack([x + far * np.cos(angle), y + far * np.sin(angle)], axis=1), 3).tolist()


def shape(label: str, kind: str, points: list[list[float]], group: int | None = None, mask: object = None) -> dict:
    """Return one shape as labelme's canvas hands it to its writer."""
    return {
        "label": label,
        "points": points,
        "group_id": group,
        "description": "",
        "shape_type": kind,
        "flags": {},
        "mask": mask,
    }


def shapes() -> list[dict]:
    """Return one shape of each kind that has an area, a hole, and things that lie on each other."""
    disk = np.hypot(*np.mgrid[-7:8, -9:10]) < 8
    return [
        shape("cell", "polygon", wavy(40, 36, 28, 40), 1),
        shape("_background_", "polygon", wavy(42, 38, 9, 14), 1),
        shape("nucleus", "polygon", wavy(32, 24, 5, 12)),
        shape("cell", "rectangle", [[88.4, 12.2], [131.6, 40.9]]),
        shape("nucleus", "circle", [[110, 26], [118, 26]]),
        shape("cell", "polygon", [[10, 80], [60, 80], [60, 110], [35, 104], [10, 110]]),
        shape("nucleus", "mask", [[20, 84], [38, 98]], None, disk),
        shape("cell", "oriented_rectangle", [[90, 70], [110, 60], [122, 84], [102, 94]]),
        shape("__ignore__", "polygon", [[130.5, 90.5], [155.2, 92.1], [150.7, 116.3], [128.4, 112.9]]),
    ]


def made(label: str, kind: str, points: list[list[float]], group: int | None, mask: object) -> dict:
    """Return a shape as the writer wants it."""
    return shape(
        label, kind, points, group, utils.img_arr_to_b64(np.asarray(mask, np.uint8)) if mask is not None else None
    )


def make(folder: Path) -> None:
    """Write the fixture."""
    picture = io.BytesIO()
    PIL.Image.fromarray(np.zeros(SIZE, np.uint8)).save(picture, "PNG", optimize=True)
    name = "labelme_" + __version__.replace(".", "_")
    LabelFile().save(
        filename=str(folder / f"{name}.json"),
        shapes=[made(s["label"], s["shape_type"], s["points"], s["group_id"], s["mask"]) for s in shapes()],
        image_path=f"{name}.png",
        image_height=SIZE[0],
        image_width=SIZE[1],
        image_data=picture.getvalue(),
    )
    render_one(folder / f"{name}.json", NUMBERS, folder / f"{name}.truth.png")


def render_one(path: Path, numbers: dict[str, int], out: Path) -> None:
    """Read one file and write its pixels."""
    file = LabelFile(str(path))
    with PIL.Image.open(io.BytesIO(file.image_data)) as image:
        size = (image.height, image.width)
    label, _ = utils.shapes_to_label(size, file.shapes, numbers)
    out.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(label.astype(np.uint8)).save(out, optimize=True)


def render(folder: Path, out: Path) -> None:
    """Read every file below a folder; `labels.txt` names the classes, what to ignore first."""
    names = (folder / "labels.txt").read_text("utf-8").split("\n")[:-1]
    numbers = {name: (n - 1) % 256 for n, name in enumerate(names)}
    for path in sorted(folder.rglob("*.json")):
        render_one(path, numbers, out / path.relative_to(folder).with_suffix(".png"))


if __name__ == "__main__":
    {"make": make, "render": render}[sys.argv[1]](*map(Path, sys.argv[2:]))
