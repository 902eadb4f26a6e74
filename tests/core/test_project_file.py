"""``project.json``: what was chosen is remembered, and what it says is never trusted."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.core.files import images
from unet_gui.core import png
from unet_gui.core.errors import ProjectError
from unet_gui.core.images import ImageRef
from unet_gui.core.palette import ClassInfo
from unet_gui.core.project import Dataset, Status
from unet_gui.core.store import BINARY, Encoding, write_label


def test_what_was_chosen_is_remembered_and_moves_with_the_folder(tmp_path: Path) -> None:
    dataset = Dataset.open(images(tmp_path / "x", "a.png"))
    dataset.set_classes([ClassInfo(0, "Hintergrund", "#000001"), ClassInfo(3, "细胞", "#FF0000")])
    dataset.set_encoding(Encoding("map", ((5, 0), (6, 3), (7, 255))))
    dataset.settings["window"] = [1, 2.5, {"ü": None}]
    dataset.save()
    text = (tmp_path / "x/.unet-gui/project.json").read_text("utf-8")
    assert str(tmp_path) not in text
    shutil.move(tmp_path / "x", tmp_path / "y")
    again = Dataset.open(tmp_path / "y")
    assert (again.classes, again.encoding, again.settings) == (dataset.classes, dataset.encoding, dataset.settings)


def test_what_a_newer_program_wrote_is_kept(tmp_path: Path) -> None:
    dataset = Dataset.open(images(tmp_path, "a.png"))
    dataset.save()
    path = tmp_path / ".unet-gui/project.json"
    data = {**json.loads(path.read_text("utf-8")), "future": {"a": 1}}
    path.write_text(json.dumps(data), "utf-8")
    again = Dataset.open(tmp_path)
    again.settings["x"] = 1
    again.save()
    assert json.loads(path.read_text("utf-8"))["future"] == {"a": 1}


BAD = {
    "no JSON": "{",
    "a list": "[]",
    "nothing": "",
    "newer": '{"version": 99}',
    "class without id": '{"version": 1, "classes": [{}]}',
    "two classes with one id": json.dumps({"classes": [ClassInfo(0, "a", "#000000").to_json()] * 2}),
    "encoding": '{"version": 1, "encoding": {"kind": "zip"}}',
    "settings": '{"version": 1, "settings": 5}',
    "version": '{"version": []}',
    "deep": "[" * 100_000,
    "up": '{"version": 1, "labels": "../elsewhere"}',
    "up inside": '{"version": 1, "labels": "a/../../elsewhere"}',
    "absolute": '{"version": 1, "labels": "/etc"}',
    "drive": '{"version": 1, "labels": "C:\\\\Users"}',
    "share": '{"version": 1, "labels": "\\\\\\\\server\\\\share"}',
    "too long": '{"version": 1, "labels": "' + "x" * 5000 + '"}',
    "no text": '{"version": 1, "labels": "\\ud800"}',
    "backslashes": '{"version": 1, "labels": "..\\\\elsewhere"}',
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_project_file_is_refused_and_can_be_left_out(tmp_path: Path, kind: str) -> None:
    images(tmp_path, "a.png", "b.png")
    write_label(tmp_path / "labels/a.png", np.ones((20, 30), np.uint8), BINARY)
    (tmp_path / ".unet-gui").mkdir()
    path = tmp_path / ".unet-gui/project.json"
    path.write_text(BAD[kind], "utf-8")
    with pytest.raises(ProjectError) as caught:
        Dataset.open(tmp_path)
    assert caught.value.path == str(path)
    assert caught.value.hint
    dataset = Dataset.open(tmp_path, ignore_project=True)
    assert dataset.status(ImageRef("a.png")) is Status.DONE
    assert path.read_text("utf-8") == BAD[kind]
    dataset.save()
    assert Dataset.open(tmp_path).encoding == BINARY


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_a_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    images(tmp_path / "x", "a.png")
    (tmp_path / "secret").mkdir()
    (tmp_path / "x/gt").symlink_to(tmp_path / "secret", target_is_directory=True)
    (tmp_path / "x/.unet-gui").mkdir()
    (tmp_path / "x/.unet-gui/project.json").write_text('{"version": 1, "labels": "gt"}', "utf-8")
    with pytest.raises(ProjectError, match="outside"):
        Dataset.open(tmp_path / "x")


def test_classes_need_ids_of_their_own(tmp_path: Path) -> None:
    dataset = Dataset.open(images(tmp_path, "a.png"))
    for classes in ([], [ClassInfo(0, "a", "#000000"), ClassInfo(0, "b", "#000000")]):
        with pytest.raises(ProjectError):
            dataset.set_classes(classes)
    assert [info.name for info in dataset.classes] == ["background", "object"]


def test_a_value_that_now_means_unlabelled_is_no_class_any_more(tmp_path: Path) -> None:
    images(tmp_path, "a.png")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.png").write_bytes(png.encode(np.repeat(np.arange(5, dtype=np.uint8), 120).reshape(20, 30)))
    dataset = Dataset.open(tmp_path)
    dataset.set_classes([ClassInfo(i, f"name {i}", f"#00000{i}") for i in range(5)])
    dataset.set_encoding(dataset.encoding.with_unlabelled(2))
    assert [(info.id, info.name) for info in dataset.classes] == [
        (0, "name 0"),
        (1, "name 1"),
        (3, "name 3"),
        (4, "name 4"),
    ]
    ids = dataset.load_label(dataset.images[0])
    assert ids is not None
    assert np.unique(ids).tolist() == [0, 1, 3, 4, 255]
    dataset.set_encoding(dataset.encoding)
    assert len(dataset.classes) == 4
