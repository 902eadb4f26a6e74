"""Import of YOLO: lines, tables and names."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.core.exchange_kit import folder
from unet_gui.core.errors import LabelError
from unet_gui.core.exchange import ImportOptions, import_labels
from unet_gui.core.images import ImageRef


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("0 0.5 0.5 0.2 0.2", "boxes"),
        ("0 0.1 0.1 0.5", "understood"),
        ("cell 0.1 0.1 0.5 0.5 0.3 0.2", "understood"),
        ("0 nan 0.1 0.5 0.5 0.3 0.2", "understood"),
    ],
)
def test_bad_yolo_lines_are_told(lines: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.txt").write_text(lines)
    (tmp_path / "in/b.txt").write_text("")  # an image without objects is all background
    dataset = folder(tmp_path)
    result = import_labels(dataset, tmp_path / "in", "yolo")
    assert result.done == 1
    assert said in result.failed[0][1]
    assert (dataset.load_label(ImageRef("b.png")) == 0).all()


@pytest.mark.parametrize(
    "table",
    [
        'names:\n  0: cell\n  1: "touch: ing"\n',
        "path: .\nnames: ['cell', 'touch: ing']\nnc: 2\n",
        "nc: 2\nnames:\n- cell # round\n- 'touch: ing'\n",
        "names: [cell, # round\n  'touch: ing',\n]\nnc: 2\n",
        "names:\n  [\n'cell',\n\"touch: ing\"\n]\nnc: 2\n",
        "names: {0: cell, 1: 'touch: ing'}\n",
        'names: {\n  "0": "cell", # round\n  "1": "touch: ing"\n}\n',
    ],
)
def test_names_of_a_yolo_folder(table: str, tmp_path: Path) -> None:
    (tmp_path / "in/labels").mkdir(parents=True)
    (tmp_path / "in/data.yaml").write_text(table)
    (tmp_path / "in/labels/a.txt").write_text("1 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5\n")
    dataset = folder(tmp_path)
    assert import_labels(dataset, tmp_path / "in/labels", "yolo").done == 1
    assert [info.name for info in dataset.classes] == ["background", "cell", "touch: ing"]
    label = dataset.load_label(ImageRef("a.png"))
    assert label is not None
    assert (label == 2).sum() == 12 * 8


@pytest.mark.parametrize(
    ("table", "names"),
    [
        ("names: ['a, b', \"it's\", don't, 'it''s [1]']", ["a, b", "it's", "don't", "it's [1]"]),
        ("names: [a, '', c]", ["a", "class 1", "c"]),
        ("names:\n- a\n-\n- c # not #1\n", ["a", "class 1", "c"]),
    ],
)
def test_names_of_a_yolo_folder_keep_their_numbers(table: str, names: list[str], tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/data.yaml").write_text(table)
    lines = [f"{n} {n / 10} 0 {n / 10 + 0.1} 0 {n / 10 + 0.1} 1 {n / 10} 1\n" for n in range(len(names))]
    (tmp_path / "in/a.txt").write_text("".join(lines))
    dataset = folder(tmp_path)
    assert import_labels(dataset, tmp_path / "in", "yolo").done == 1
    label = dataset.load_label(ImageRef("a.png"))
    assert label is not None
    name_of = {info.id: info.name for info in dataset.classes}
    assert [name_of[label[5, 3 * n + 1]] for n in range(len(names))] == names


def test_a_damaged_yolo_table_is_told(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/data.yaml").write_text('pixels_in_no_object: "backgr\nnames:\n  0: cell\n')
    (tmp_path / "in/a.txt").write_text("0 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5\n")
    with pytest.raises(LabelError, match=r"data\.yaml: is not a YOLO file"):
        import_labels(folder(tmp_path), tmp_path / "in", "yolo")


@pytest.mark.parametrize(
    "table",
    ["", "nc: 2\n", "names: []\n", "names: ['']\n", "names: [a, b\nnc: 2\n", "names: {a: 0}\n", "names: [[a], b]\n"],
)
def test_a_yolo_table_without_names_is_told(table: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/data.yaml").write_text(table)
    (tmp_path / "in/a.txt").write_text("1 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5\n")
    dataset = folder(tmp_path)
    result = import_labels(dataset, tmp_path / "in", "yolo")
    assert result.done == 1
    assert [info.name for info in dataset.classes] == ["background", "class 1"]
    assert any("data.yaml cannot be understood" in note for note in result.notes)
    (tmp_path / "in/data.yaml").unlink()
    result = import_labels(dataset, tmp_path / "in", "yolo", ImportOptions(overwrite=True))
    assert any("There is no data.yaml" in note for note in result.notes)
