"""What the command line says to people, and in which words."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.core.files import pattern
from unet_gui.cli import main
from unet_gui.core.exchange_table import read_table
from unet_gui.core.palette import ClassInfo
from unet_gui.core.project import Dataset
from unet_gui.core.text import in_words
from unet_gui.engine.model import Model
from unet_gui.engine.unet import UNet

Capture = pytest.CaptureFixture[str]
PAGES = 4


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a labelled stack."""
    folder = tmp_path_factory.mktemp("stack")
    pages = np.stack([pattern((64, 64), seed=seed) for seed in range(PAGES)])
    (folder / "image").mkdir()
    (folder / "label").mkdir()
    tifffile.imwrite(folder / "image" / "s.tif", pages, photometric="minisblack", compression="zlib", metadata=None)
    dataset = Dataset.open(folder)
    for ref, page in zip(dataset.expand(dataset.images[0]), pages, strict=True):
        dataset.save_label(ref, (page > 127).astype(np.uint8), PAGES)
    return folder


@pytest.fixture(scope="module")
def model(stack: Path) -> Path:
    """A model trained on it for one epoch."""
    out = stack / "m.safetensors"
    assert main(["train", str(stack), "--out", str(out), "--epochs", "1", "--device", "cpu"]) == 0
    return out


def test_pages_are_counted_as_people_count_them(stack: Path, tmp_path: Path, capsys: Capture) -> None:
    words = ["train", str(stack), "--out", str(tmp_path / "m.safetensors"), "--epochs", "1", "--val", "page 4"]
    assert main([*words, "--device", "cpu"]) == 0
    said = capsys.readouterr().err
    assert "s.tif, page 4 is held back" in said
    assert "#" not in said
    assert main([*words, "--device", "cpu", "--json"]) == 0  # a program gets the key
    (started,) = [e for e in map(json.loads, capsys.readouterr().out.splitlines()) if e["kind"] == "train_started"]
    assert started["val_images"] == ["s.tif#3"]
    assert main([*words[:-1], "3", "--device", "cpu"]) == 0  # a position, and it is said which page that is
    assert "s.tif, page 4 is held back" in capsys.readouterr().err


def test_each_page_of_a_stack_is_named(stack: Path, model: Path, tmp_path: Path, capsys: Capture) -> None:
    folder = tmp_path / "damaged"
    folder.mkdir()
    path = folder / "s.tif"
    path.write_bytes((stack / "image" / "s.tif").read_bytes())
    with tifffile.TiffFile(path) as file:
        (place,) = file.pages[1].dataoffsets
    with open(path, "r+b") as raw:
        raw.seek(place)
        raw.write(b"\xff" * 64)
    command = ["segment", str(folder), "--model", str(model), "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert main(command) == 1
    said = capsys.readouterr().err
    assert f"failed: {path}, page 2: has a damaged part" in said
    for page in (1, 3, 4):
        assert f"] s.tif, page {page} -> " in said
    assert main([*command, "--json"]) == 1
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(e["page"], e["pages"]) for e in events if e["kind"] == "image_failed"] == [(1, PAGES)]


def test_pages_that_cannot_be_compared_imported_or_exported_are_named(
    stack: Path, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "short").mkdir()
    label = tifffile.imread(stack / "label" / "s.tif")
    tifffile.imwrite(tmp_path / "short" / "s.tif", label[:3], photometric="minisblack")
    assert main(["evaluate", str(tmp_path / "short"), str(stack / "label")]) == 1
    assert capsys.readouterr().err.startswith(f"failed: {tmp_path / 'short' / 's.tif'}, page 4: ")
    assert main(["export", str(stack), "--format", "index", "--out", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    assert main(["import", str(stack), str(tmp_path / "out"), "--format", "index"]) == 1
    assert "failed: s.tif, page 4: has a label already." in capsys.readouterr().err


def test_only_keys_of_pages_are_put_into_words() -> None:
    assert in_words("a/s.TIF#0 and t.btf#11, but no a.png#3 and no s.tif#2nd") == (
        "a/s.TIF, page 1 and t.btf, page 12, but no a.png#3 and no s.tif#2nd"
    )


NAMED = [ClassInfo(0, "sky", "#0072B2"), ClassInfo(1, "road, wet", "#E69F00"), ClassInfo(2, "tree", "#009E73")]


def named_model(model: Path, to: Path, classes: Sequence[ClassInfo]) -> Path:
    """Write a model of other classes, begun with the weights of one that is there."""
    old = Model.load(model, "cpu")
    arch = dataclasses.replace(old.arch, outputs=len(classes))
    Model(UNet(arch), dataclasses.replace(old.info, arch=arch.to_json(), classes=list(classes), offsets=[])).save(to)
    return to


def test_masks_of_class_ids_come_with_the_names_of_the_classes(
    stack: Path, model: Path, tmp_path: Path, capsys: Capture
) -> None:
    named, out = named_model(model, tmp_path / "named.safetensors", NAMED), tmp_path / "out"
    command = ["segment", str(stack), "--model", str(named), "--out", str(out), "--device", "cpu"]
    assert main([*command, "--encoding", "index"]) == 0
    assert read_table(out).classes == NAMED
    new = tmp_path / "new"
    shutil.copytree(stack / "image", new)
    assert main(["import", str(new), str(out)]) == 0
    assert Dataset.open(new).classes == NAMED
    capsys.readouterr()
    assert main(command) == 0
    assert "classes.csv" not in capsys.readouterr().err  # nothing to say of one that is as it should be


def test_two_classes_without_names_need_no_table(stack: Path, model: Path, tmp_path: Path) -> None:
    command = ["segment", str(stack), "--model", str(model), "--out", str(tmp_path), "--device", "cpu"]
    for encoding in ("index", "binary"):
        assert main([*command, "--encoding", encoding]) == 0
        assert [path.name for path in tmp_path.iterdir()] == ["s.tif"]


@pytest.mark.parametrize("mine", ["my,own\n1,2\n", "value,id,name,color\n0,0,sea,#000000\n", ""])
def test_a_table_that_is_there_stays(mine: str, stack: Path, model: Path, tmp_path: Path, capsys: Capture) -> None:
    named, out = named_model(model, tmp_path / "named.safetensors", NAMED), tmp_path / "out"
    out.mkdir()
    (out / "classes.csv").write_text(mine)
    command = ["segment", str(stack), "--model", str(named), "--out", str(out), "--device", "cpu"]
    assert main([*command, "--overwrite"]) == 0
    assert (out / "classes.csv").read_text() == mine
    assert f"{out / 'classes.csv'} is there already" in capsys.readouterr().err


def test_channels_that_a_model_does_not_see_are_said(stack: Path, model: Path, tmp_path: Path, capsys: Capture) -> None:
    pixels = pattern((64, 64, 5))
    tifffile.imwrite(tmp_path / "five.tif", pixels, photometric="minisblack", planarconfig="contig")
    command = ["segment", "--model", str(model), "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert main([*command, str(tmp_path / "five.tif"), str(stack)]) == 0
    assert "note: Of 5 channels the first 3 are used." in capsys.readouterr().err.splitlines()
    assert main([*command, str(stack)]) == 0
    assert "channels" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trian", "here", "--out", "m"], "no command or folder called “trian”. Did you mean train?"),
        (["Segment", "here"], "Did you mean segment?"),
        (["nowhere", "--verbose"], "unet-gui --help lists the commands"),
        (["import", "{stack}", "{stack}", "--format", "instances", "--touching", "-1"], "-1 is no number of pixels"),
        (
            ["import", "{stack}", "{stack}", "--format", "instances", "--touching", "wide"],
            "wide is no number of pixels",
        ),
        (["export", "{stack}", "--labels", "{stack}/nowhere", "--out", "{stack}/out"], "no such folder of labels"),
    ],
)
def test_wrong_words_are_named(words: list[str], said: str, stack: Path, capsys: Capture) -> None:
    assert main([word.format(stack=stack) for word in words]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


def test_the_state_of_a_training_is_no_model(model: Path, capsys: Capture) -> None:
    assert main(["info", f"{model}.checkpoint"]) == 0
    told = capsys.readouterr().out
    assert "state of a training" in told
    assert "state_dict" not in told
    assert main(["info", str(model)]) == 0
    assert ".," not in capsys.readouterr().out  # the plan is sentences, not a list


def test_one_image_is_not_images(stack: Path, tmp_path: Path, capsys: Capture) -> None:
    one = tmp_path / "one.tif"
    tifffile.imwrite(one, tifffile.imread(stack / "label" / "s.tif")[0])
    assert main(["evaluate", str(one), str(one)]) == 0
    assert capsys.readouterr().out.startswith("1 image\n")


def test_that_masks_go_among_the_images_is_said_the_first_time(model: Path, tmp_path: Path, capsys: Capture) -> None:
    import cv2

    (tmp_path / "a.jpg").write_bytes(cv2.imencode(".jpg", pattern((64, 64), seed=0))[1].tobytes())
    words = ["segment", str(tmp_path), "--model", str(model), "--out", str(tmp_path)]
    assert main(words) == 0
    assert "the masks go among the images" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0
    assert "go among" not in capsys.readouterr().err
    assert main([*words, "--suffix", "_res"]) == 0
    assert "go among" not in capsys.readouterr().err, "their names tell them apart"
    assert main([*words[:-1], str(tmp_path / "masks")]) == 0
    assert "go among" not in capsys.readouterr().err
