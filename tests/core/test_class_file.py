"""Lists of classes from the files of other programs, and back."""

from __future__ import annotations

from pathlib import Path

import pytest

from unet_gui.core.class_file import joined, read_class_list, write_class_list
from unet_gui.core.errors import UserError
from unet_gui.core.palette import MAX_CLASSES, OKABE_ITO, TAB20, ClassInfo, color_of, recolored

MANY = [ClassInfo(i, f"class, {i}", color_of(i)) for i in range(MAX_CLASSES)]


def read(tmp_path: Path, name: str, text: str) -> list[tuple[int, str, str]]:
    path = tmp_path / name
    path.write_text(text, "utf-8")
    return [(info.id, info.name, info.color) for info in read_class_list(path)]


def test_a_name_a_line(tmp_path: Path) -> None:
    assert [row[:2] for row in read(tmp_path, "a.txt", "Hintergrund\n\n Zelle \nÄste\n")] == [
        (0, "Hintergrund"),
        (1, "Zelle"),
        (2, "Äste"),
    ]
    assert [row[:2] for row in read(tmp_path, "labels.txt", "__ignore__\n_background_\ncat\n")] == [
        (0, "background"),
        (1, "cat"),
    ]
    assert read(tmp_path, "labelmap.txt", "# label:color_rgb:parts:actions\ncat:64,128,64::\n") == [
        (0, "cat", "#408040")
    ]
    assert read(tmp_path, "camvid.txt", "64 128 64\tAnimal\n192 0 128\t\tArchway\n") == [
        (0, "Animal", "#408040"),
        (1, "Archway", "#C00080"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "id,name,colour\n3,cell,#ff0000\n7,wall,00FF00\n",
        "3,cell,#FF0000\n7,wall,#00ff00\n",
        "Name;ID;Color\ncell;3;#FF0000\nwall;7;#00FF00\n",
        "value,id,name,color\n0,3,cell,#FF0000\n1,7,wall,#00FF00\n,255,unlabelled,#000000\n",
        "name,id,r,g,b\ncell,3,255,0,0\nwall,7,0,255,0\nVoid,9,0,0,0\n",
        "id\tname\tcolor\n3\tcell\t#FF0000\n7\twall\t#00FF00\n",
    ],
)
def test_tables(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, "a.csv", text) == [(3, "cell", "#FF0000"), (7, "wall", "#00FF00")]


@pytest.mark.parametrize(
    "text",
    [
        '["a", "b"]',
        '{"0": "a", "1": "b"}',
        '{"a": 0, "b": 1}',
        '[{"id": 0, "name": "a"}, {"id": 1, "name": "b"}]',
        '{"info": {}, "categories": [{"id": 0, "name": "a", "supercategory": "x"}, {"id": 1, "name": "b"}]}',
    ],
)
def test_json(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, "a.json", text) == [(0, "a", color_of(0)), (1, "b", color_of(1))]
    assert read(tmp_path, "b.json", '[{"name": "a", "color": [255, 0, 16]}]') == [(0, "a", "#FF0010")]


@pytest.mark.parametrize("name", ["all.csv", "all.json"])
def test_255_classes_there_and_back(tmp_path: Path, name: str) -> None:
    write_class_list(tmp_path / name, MANY)
    assert read_class_list(tmp_path / name) == MANY


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", ""),
        ("a.txt", "\n".join(map(str, range(300)))),
        ("a.csv", "id,name\n1,a\n1,b\n"),
        ("a.csv", "id,name\n255,a\n"),
        ("a.json", "{"),
        ("a.json", "3"),
        ("a.json", '[{"id": 1}]'),
        ("a.json", "[[[[[[[["),
        ("a.json", "[" * 100_000),
        ("a.json", '[{"name": "a", "color": [255, 0]}]'),
        ("a.json", '[{"name": "a", "id": 1e999}]'),
        ("a.csv", "id,name\n-100,a\n"),
    ],
)
def test_what_is_no_list_is_refused_with_a_reason(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError) as caught:
        read_class_list(tmp_path / name)
    assert "text file with a name a line" in caught.value.hint


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read_class_list(tmp_path / "none.txt")
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00\x01\x80")
    with pytest.raises(UserError, match="no text"):
        read_class_list(tmp_path / "a.txt")


def test_classes_that_the_list_does_not_name_stay() -> None:
    now = [ClassInfo(0, "x", "#000000"), ClassInfo(5, "y", "#111111")]
    new = [ClassInfo(1, "b", "#222222"), ClassInfo(0, "a", "#333333")]
    assert [info.name for info in joined(now, new)] == ["b", "a", "y"]


def test_palettes_give_each_class_a_colour_of_its_own() -> None:
    assert [info.color for info in recolored(MANY[:3], TAB20)] == list(TAB20[:3])
    colors = [info.color.upper() for info in recolored(MANY, OKABE_ITO)]
    assert colors[:8] == [color.upper() for color in OKABE_ITO]
    assert len(set(colors)) == len(colors) == MAX_CLASSES
