"""Tables of classes beside masks: ours, and those of other programs; and the classes of numbered objects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unet_gui.core import png
from unet_gui.core.encoding import Encoding
from unet_gui.core.errors import UserError
from unet_gui.core.exchange import ExportOptions, ImportOptions, export, import_labels
from unet_gui.core.exchange_table import read_table
from unet_gui.core.images import ImageRef
from unet_gui.core.palette import ClassInfo
from unet_gui.core.project import Dataset

SIZE = (20, 30)
SKY, ROAD, VOID = (128, 128, 128), (128, 64, 128), (0, 0, 0)


def folder(root: Path) -> Dataset:
    root.mkdir()
    (root / "a.png").write_bytes(png.encode(np.full(SIZE, 7, np.uint8)))
    return Dataset.open(root)


def label_of(dataset: Dataset) -> np.ndarray:
    label = Dataset.open(dataset.root).load_label(ImageRef("a.png"))
    assert label is not None
    return label


@pytest.mark.parametrize(
    ("name", "text", "above"),
    [
        ("class_dict.csv", "name,r,g,b\nSky,128,128,128\nRoad,128,64,128\nVoid,0,0,0\n", True),
        ("class_dict.csv", "Name, Red, Green, Blue\nSky, 128, 128, 128\nRoad, 128, 64, 128\nvoid, 0, 0, 0\n", False),
        ("label_colors.txt", "128 128 128\tSky\n128 64 128\tRoad\n0 0 0\tVoid\n", True),
        (
            "labelmap.txt",
            "# label:color_rgb:parts:actions\nSky:128,128,128::\nRoad:128,64,128::\nignore:0,0,0::\n",
            True,
        ),
        ("classes.csv", "name,color\nSky,#808080\nRoad,#804080\nunlabelled,#000000\n", False),
    ],
)
def test_colours_get_the_names_of_other_programs_tables(name: str, text: str, above: bool, tmp_path: Path) -> None:
    colors = np.zeros((*SIZE, 3), np.uint8)
    colors[:8], colors[8:15] = SKY, ROAD
    (tmp_path / "in/masks").mkdir(parents=True)
    (tmp_path / "in/masks/a.png").write_bytes(png.encode(colors))
    (tmp_path / "in" / ("" if above else "masks") / name).write_text(text)
    dataset = folder(tmp_path / "folder")
    result = import_labels(dataset, tmp_path / "in/masks", "color")
    assert (result.done, result.failed) == (1, [])
    assert [(info.id, info.name, info.rgb) for info in dataset.classes] == [(0, "Sky", SKY), (1, "Road", ROAD)]
    label = label_of(dataset)
    assert ((label[:8] == 0).all(), (label[8:15] == 1).all(), (label[15:] == 255).all()) == (True, True, True)
    assert any(name in note for note in result.notes)


def test_a_colour_that_is_not_in_the_table_is_named(tmp_path: Path) -> None:
    colors = np.zeros((*SIZE, 3), np.uint8)
    colors[3] = (1, 2, 3)
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.png").write_bytes(png.encode(colors))
    (tmp_path / "in/class_dict.csv").write_text("name,r,g,b\nSky,0,0,0\n")
    result = import_labels(folder(tmp_path / "folder"), tmp_path / "in", "color")
    assert "#010203" in result.failed[0][1]


@pytest.mark.parametrize(
    "text",
    [
        "nothing",
        "name,r,g,b\nSky,1,2\n",
        "name,r,g,b\nSky,1,2,300\n",
        "value,id,name,color\nx,0,Sky,#000000\n",
        "name,color\nSky,sky blue\n",
        "name,color\nSky,#808080\nunlabelled,white\n",
        "id,name,color\n-100,Sky,\n",
    ],
)
def test_a_table_that_cannot_be_understood_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "classes.csv").write_text(text)
    if text == "nothing":
        assert read_table(tmp_path).rows == []
        return
    with pytest.raises(UserError, match=r"classes\.csv"):
        read_table(tmp_path)


@pytest.mark.parametrize(
    "encoding",
    [
        Encoding("binary"),
        Encoding("index").with_unlabelled(11),
        Encoding("map", ((7, 0), (900, 1))),
        Encoding("map", ((SKY, 0), (ROAD, 1), (VOID, 255))),
    ],
    ids=["binary", "11 is unlabelled", "16 bit", "colours"],
)
@pytest.mark.parametrize("whole", [True, False])
def test_masks_keep_names_and_meaning(encoding: Encoding, whole: bool, tmp_path: Path) -> None:
    """Also where the folder's encoding cannot hold the label, so that it is written as marked class ids."""
    dataset = folder(tmp_path / "folder")
    dataset.set_encoding(encoding)
    dataset.set_classes([ClassInfo(0, "membrane", "#101010"), ClassInfo(1, "cell", "#eeeeee")])
    ids = np.zeros(SIZE, np.uint8)
    ids[4:9] = 1
    if not whole:
        ids[12:] = 255
    dataset.save_label(ImageRef("a.png"), ids)
    assert export(dataset, "masks", tmp_path / "out").failed == []
    back = folder(tmp_path / "back")
    result = import_labels(back, tmp_path / "out", "masks")
    assert (result.done, result.failed) == (1, [])
    assert [info.name for info in Dataset.open(back.root).classes] == ["membrane", "cell"]
    assert (label_of(back) == ids).all()


def test_a_binary_mask_names_what_it_shows(tmp_path: Path) -> None:
    dataset = folder(tmp_path / "folder")
    dataset.set_classes([ClassInfo(i, name, f"#00000{i}") for i, name in enumerate(("soil", "root", "stone"))])
    ids = np.zeros(SIZE, np.uint8)
    ids[4:9], ids[12:] = 1, 2
    dataset.save_label(ImageRef("a.png"), ids)
    export(dataset, "binary", tmp_path / "out", ExportOptions(foreground="root"))
    back = folder(tmp_path / "back")
    import_labels(back, tmp_path / "out", "binary")
    assert [info.name for info in back.classes] == ["other", "root"]
    assert (label_of(back) == (ids == 1)).all()


def test_numbered_objects_keep_their_classes(tmp_path: Path) -> None:
    dataset = folder(tmp_path / "folder")
    names = ("background", "cell", "nucleus")
    dataset.set_classes([ClassInfo(i, name, f"#00000{i}") for i, name in enumerate(names)])
    ids = np.zeros(SIZE, np.uint8)
    ids[2:6, 2:6], ids[2:6, 12:16], ids[10:15, 3:9] = 1, 1, 2
    dataset.save_label(ImageRef("a.png"), ids)
    assert export(dataset, "instances", tmp_path / "out").done == 1
    back = folder(tmp_path / "back")
    assert import_labels(back, tmp_path / "out", "instances").done == 1
    assert [info.name for info in back.classes][:3] == list(names)
    assert (label_of(back) == ids).all()
    named = folder(tmp_path / "named")
    import_labels(named, tmp_path / "out", "instances", ImportOptions(object_class="blob", touching=0))
    assert [info.name for info in named.classes] == ["background", "blob"]
    assert (label_of(named) == (ids > 0)).all()
