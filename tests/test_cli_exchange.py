"""``unet-gui export`` and ``unet-gui import`` as a person uses them: exit codes, what is on stdout and on stderr."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from unet_gui.cli import main
from unet_gui.cli_exchange import EXPORT_FORMATS, IMPORT_FORMATS
from unet_gui.core.exchange import EXPORTERS, IMPORTERS
from unet_gui.core.images import ImageRef
from unet_gui.core.project import Dataset
from unet_gui.core.sample import write_sample

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """A small sample folder with three labels for four images."""
    folder = tmp_path / "cells ü 细胞"
    write_sample(folder, n=4, labelled=3, sizes=(48, 48))
    return folder


def bare(sample: Path, to: Path) -> Path:
    shutil.copytree(sample / "image", to)
    return to


def test_the_command_line_knows_every_format() -> None:
    assert tuple(EXPORTERS) == EXPORT_FORMATS
    assert tuple(IMPORTERS) == IMPORT_FORMATS


@pytest.mark.parametrize("kind", IMPORT_FORMATS)
def test_labels_go_out_and_come_back(kind: str, sample: Path, tmp_path: Path, capsys: Capture) -> None:
    out, new = tmp_path / "out", bare(sample, tmp_path / "new")
    assert main(["export", str(sample), "--format", kind, "--out", str(out), "--only-labels"]) == 0
    assert capsys.readouterr().out == f"3 written, 1 skipped, 0 failed: {out}\n"
    rest = (
        [] if kind in ("masks", "index", "binary", "palette", "color", "tiff", "tiff16") else ["--background", "none"]
    )
    assert main(["import", str(new), str(out), "--format", kind, *rest]) == 0
    assert capsys.readouterr().out.startswith("3 imported, 1 skipped, 0 failed")
    if kind == "instances":  # keeps objects, not classes
        return
    dataset, back = Dataset.open(sample), Dataset.open(new)
    for ref in back.images[:3]:
        assert (back.load_label(ref) == dataset.load_label(ref)).all()
    assert back.load_label(back.images[3]) is None


def test_images_that_have_nothing_to_write_are_left_out_and_counted(
    sample: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "out"
    assert main(["export", str(sample), "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert said.out == f"3 written, 1 skipped, 0 failed: {out}\n"
    (told,) = [line for line in said.err.splitlines() if "03" in line or "neither" in line]
    assert told == "note: 1 image has neither a label nor a prediction: left out."
    (sample / "label" / "01.png").unlink()
    assert main(["export", str(sample), "--out", str(tmp_path / "labels"), "--only-labels", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["written"], facts["skipped"], facts["failed"]) == (2, 2, [])
    assert "2 images have no label: left out." in facts["notes"]


def test_pages_that_nobody_has_labelled_are_left_out_and_masks_elsewhere_can_be_taken(
    tmp_path: Path, capsys: Capture
) -> None:
    folder, out = tmp_path / "stack", tmp_path / "out"
    folder.mkdir()
    tifffile.imwrite(folder / "s.tif", np.zeros((3, 20, 30), np.uint8), photometric="minisblack")
    strokes = np.full((20, 30), 255, np.uint8)
    strokes[4:6] = 1
    Dataset.open(folder).save_label(ImageRef("s.tif", 1), strokes)
    assert main(["export", str(folder), "--format", "coco", "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert said.out == f"1 written, 2 skipped, 0 failed: {out}\n"
    assert "1 of 1 image has no prediction; its mask holds only what is painted. Segment the folder first" in said.err
    assert "or take the masks in another folder with --labels." in said.err
    (tmp_path / "masks").mkdir()
    tifffile.imwrite(tmp_path / "masks" / "s.tif", np.ones((3, 20, 30), np.uint8), photometric="minisblack")
    words = ["--labels", str(tmp_path / "masks"), "--format", "coco", "--out", str(out), "--overwrite"]
    assert main(["export", str(folder), *words]) == 0
    said = capsys.readouterr()
    assert said.out == f"3 written, 0 failed: {out}\n"
    assert "no prediction" not in said.err


@pytest.mark.parametrize("alone", [[], ["--only-labels"]])
def test_an_export_of_nothing_at_all_is_an_error(
    alone: list[str], sample: Path, tmp_path: Path, capsys: Capture
) -> None:
    new, out = bare(sample, tmp_path / "new"), tmp_path / "out"
    assert main(["export", str(new), "--format", "coco", "--out", str(out), *alone]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert f"{new}: No image of this folder has a label" in said.err
    assert ("with --labels" in said.err) == (not alone)
    assert not any(out.rglob("*"))


def test_json_and_exit_code_when_some_images_fail(sample: Path, tmp_path: Path, capsys: Capture) -> None:
    out, new = tmp_path / "out", bare(sample, tmp_path / "new")
    (sample / "label" / "02.png").write_bytes(b"no picture")
    assert main(["export", str(sample), "--format", "coco", "--out", str(out), "--json"]) == 1
    said = capsys.readouterr()
    facts = json.loads(said.out)
    assert (facts["written"], facts["skipped"], len(facts["failed"])) == (2, 1, 1)
    assert "02.png" in facts["failed"][0][0]
    assert "failed: " in said.err
    Dataset.open(new).save_label(ImageRef("01.png"), np.zeros((48, 48), np.uint8))
    assert main(["import", str(new), str(out / "instances.json"), "--format", "coco", "--json"]) == 1
    said = capsys.readouterr()
    facts = json.loads(said.out)
    assert (facts["imported"], facts["skipped"], len(facts["failed"])) == (1, 2, 1)
    assert "--overwrite" in said.err
    assert main(["import", str(new), str(out), "--format", "coco", "--overwrite"]) == 0


def test_wrong_use(sample: Path, tmp_path: Path, capsys: Capture) -> None:
    assert main(["export", str(sample), "--format", "gif", "--out", str(tmp_path)]) == 2
    assert main(["import", str(sample)]) == 2
    assert main(["import", str(sample), str(tmp_path / "nowhere"), "--format", "coco"]) == 2
    assert main(["export", str(sample), "--format", "csv", "--out", str(tmp_path / "o"), "--background", "sky"]) == 2
    assert "no class called 'sky'" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["import", str(sample), str(tmp_path / "empty"), "--format", "index"]) == 2
    assert "say what they have behind that with --suffix" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("kind", EXPORT_FORMATS)
@pytest.mark.parametrize(("below", "said"), [("", "a file, not a folder"), ("below", "cannot be made")])
def test_where_no_folder_can_be_is_said_once(
    kind: str, below: str, said: str, sample: Path, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "file").write_text("mine")
    assert main(["export", str(sample), "--format", kind, "--out", str(tmp_path / "file" / below)]) == 2
    (told,) = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("Labels:")]
    assert said in told
    assert (tmp_path / "file").read_text() == "mine"


def test_neither_qt_nor_torch_is_needed(sample: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from unet_gui.cli import main\n"
        f"assert main(['export', {str(sample)!r}, '--format', 'labelme', '--out', {str(tmp_path / 'o')!r}]) == 0\n"
        "bad = [m for m in sys.modules if m.startswith(('PySide6', 'torch', 'unet_gui.app', 'unet_gui.engine'))]\n"
        "assert not bad, bad\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
