"""What exports and imports say: in the words of whoever asked, who is not always the command line."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np
import pytest

import unet_gui.core
from unet_gui.core.errors import UserError
from unet_gui.core.exchange import ExportOptions, ImportOptions, export, import_labels
from unet_gui.core.images import ImageRef
from unet_gui.core.palette import ClassInfo
from unet_gui.core.project import Dataset

from .exchange_kit import SIZE, folder


def test_core_knows_no_option_of_the_command_line() -> None:
    option = re.compile(r"(^|[\s(`])--[a-z]")
    for path in Path(unet_gui.core.__file__).parent.glob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        docs = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and isinstance(node.body[0], ast.Expr)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
                assert not option.search(node.value), f"{path.name}:{node.lineno}: {node.value}"


def said(dataset: Dataset, out: Path, called: dict[str, str]) -> list[str]:
    """Everything that advises an option."""
    texts = []
    dataset.save_label(ImageRef("a.png"), np.zeros(SIZE, np.uint8))
    (out / "binary").mkdir(parents=True)
    with pytest.raises(UserError) as error:
        export(dataset, "binary", out / "binary", ExportOptions(called=called))
    texts.append(error.value.hint)
    for _ in range(2):
        result = export(dataset, "index", out / "index", ExportOptions(only_labels=True, overwrite=True, called=called))
        assert result.done == 1
    with pytest.raises(UserError) as error:
        export(dataset, "index", out / "index", ExportOptions(called=called))
    texts.append(error.value.hint)
    result = import_labels(dataset, out / "index", "index", ImportOptions(called=called))
    texts.append(result.failed[0][1])
    result = import_labels(dataset, out / "index", "instances", ImportOptions(overwrite=True, called=called))
    texts += result.notes
    with pytest.raises(UserError) as error:
        import_labels(dataset, out / "binary", "index", ImportOptions(called=called))
    texts.append(error.value.hint)
    ids = np.zeros(SIZE, np.uint8)
    ids[3] = 255
    dataset.save_label(ImageRef("a.png"), ids)
    texts += export(dataset, "coco", out, ExportOptions(only_labels=True, segmentation="polygon", called=called)).notes
    texts += export(dataset, "yolo", out, ExportOptions(only_labels=True, called=called)).notes
    return texts


@pytest.mark.parametrize("named", [False, True])
def test_advice_names_the_option_as_the_caller_does(tmp_path: Path, named: bool) -> None:
    names = ("overwrite", "background", "foreground", "segmentation", "copy_images", "suffix")
    dataset = folder(tmp_path)
    dataset.set_classes([ClassInfo(i, name, f"#00000{i}") for i, name in enumerate(("background", "cell", "nucleus"))])
    text = "\n".join(said(dataset, tmp_path / "out", {name: f"<{name}>" for name in names} if named else {}))
    for name in names:
        assert (f" with <{name}>" in text) == named, name
    assert "--" not in text
    for words in (
        "Choose one{}: background, cell, nucleus.",
        "Choose another folder, or replace what is there{}.",
        "a.png: has a label already. Replace it{}.",
        "Pixels in no object became background; another class can be chosen{}.",
        "say what they have behind that{}.",
        "to keep them, choose run lengths{}.",
        "or have them copied there{}.",
    ):
        before, after = words.split("{}")
        assert re.search(re.escape(before) + (" with <[a-z_]+>" if named else "") + re.escape(after), text), words


def test_an_export_says_how_many_masks_are_nearly_empty(tmp_path: Path) -> None:
    dataset = folder(tmp_path, "a.png", "b.png", "c.png")
    full, strokes = np.zeros(SIZE, np.uint8), np.full(SIZE, 255, np.uint8)
    strokes[3] = 1
    for ref, ids in zip(dataset.images, (full, strokes, strokes), strict=True):
        dataset.save_label(ref, ids)
    told = "2 of 3 images have no prediction; their masks hold only what is painted."
    assert f"{told} Segment the folder first to fill them." in export(dataset, "index", tmp_path / "out").notes
    notes = export(dataset, "index", tmp_path / "labels", ExportOptions(only_labels=True)).notes
    assert not any("prediction" in note for note in notes), "labels alone were wanted"
    dataset.save_prediction(dataset.images[1], full)
    told = "1 of 3 images has no prediction; its mask holds only what is painted. Segment the folder first to fill it."
    assert told in export(dataset, "coco", tmp_path / "more").notes
