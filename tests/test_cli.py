"""The command line as a person uses it: real files, real training, exit codes, what is on stdout and on stderr."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from unet_gui import __version__, cli_progress, interrupt
from unet_gui.cli import main
from unet_gui.core.cv import cv2
from unet_gui.core.sample import write_sample
from unet_gui.engine.checkpoint import checkpoint_path

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small sample folder."""
    folder = tmp_path_factory.mktemp("sample") / "cells ü 细胞"
    write_sample(folder, n=5, labelled=3, sizes=(96, 128))
    return folder


@pytest.fixture(scope="module")
def model(sample: Path) -> Path:
    """A model trained on it for one epoch."""
    out = sample.parent / "m.safetensors"
    assert main(["train", str(sample), "--out", str(out), "--epochs", "1", "--device", "cpu"]) == 0
    return out


def folder_state(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {str(p): (p.stat().st_mtime_ns, p.read_bytes()) for p in sorted(folder.rglob("*.png"))}


def test_version_and_wrong_use(capsys: Capture) -> None:
    assert main(["--version"]) == 0
    assert __version__ in capsys.readouterr().out
    assert main(["train"]) == 2
    assert "usage" in capsys.readouterr().err
    assert main(["no name of a file" * 500, "x"]) == 2


def test_train_segment_evaluate_say_what_they_did(sample: Path, model: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "masks"
    before = folder_state(sample)
    assert main(["segment", str(sample), "--model", str(model), "--out", str(out), "--suffix", "_res"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("5 segmented, 0 already up to date, 0 failed")
    assert sorted(p.name for p in out.iterdir()) == [f"0{i}_res.png" for i in range(5)]
    mask = cv2.imdecode(np.fromfile(out / "00_res.png", np.uint8), cv2.IMREAD_UNCHANGED)
    image = cv2.imdecode(np.fromfile(sample / "image" / "00.png", np.uint8), cv2.IMREAD_UNCHANGED)
    assert mask.shape == image.shape[:2]
    assert set(np.unique(mask)) <= {0, 255}  # as the labels it learned from
    assert folder_state(sample) == before  # images and labels are never touched

    assert main(["evaluate", str(out), str(sample / "truth"), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores


def test_choices_of_a_training_can_be_overridden(sample: Path, tmp_path: Path, capsys: Capture) -> None:
    """All ten at once; a wrong one is said and nothing is trained."""
    out = tmp_path / "m.safetensors"
    words = ["train", str(sample), "--out", str(out), "--epochs", "1", "--device", "cpu", "--json"]
    wishes = [
        "--width",
        "6",
        "--depth",
        "1",
        "--stem",
        "4",
        "--crop",
        "64",
        "--batch",
        "3",
        "--learning-rate",
        "0.001",
        "--channels",
        "3",
    ]
    more = ["--normalisation", "dataset", "--patience", "3", "--inpaint", "0.5", "--precision", "fp32"]
    assert main([*words, *wishes, *more]) == 0
    (started,) = [e for e in map(json.loads, capsys.readouterr().out.splitlines()) if e["kind"] == "train_started"]
    plan = " ".join(started["plan"])
    for text in ("6 to 12 channels", "3 crops of 64", "blocks of 4 × 4", "3 colour channels", "all images together"):
        assert text in plan
    assert main([*words, "--stem", "3"]) == 2
    assert "1, 2 or 4" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (["--suffix", "a/b"], "end of a name"),
        (["--suffix", "/../x"], "end of a name"),
        (["--tile", "3"], "at least 64"),
        (["--out", "{file}"], "not a folder"),
        (["--out", "{file}/below"], "cannot be made"),
        (["--model", "{folder}"], "Name the .safetensors file"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_computed(
    wish: list[str], said: str, sample: Path, model: Path, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "file").write_text("mine")
    wish = [word.format(file=tmp_path / "file", folder=tmp_path) for word in wish]
    assert main(["segment", str(sample), "--model", str(model), "--out", str(tmp_path / "out"), *wish]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert len(told.strip().splitlines()) <= 2
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (["--val", ""], "No image is named"),
        (["--only", ","], "No image is named"),
        (["--seed", "-1"], "seed must be between 0 and 4294967295"),
        (["--seed", "99999999999999999999"], "seed must be between 0"),
        (["--channels", "9"], "channels must be between 1 and 4"),
        (["--patience", "-1"], "patience must be between 0"),
        (["--epochs", "10000001"], "between 1 and 10000000, not"),
        (["--minutes", "some"], "some is no number"),
        (["--out", "{folder}/a.safetensors"], "a folder, not a model file"),
        (["--out", "{folder}/file/m.safetensors"], "not a folder"),
        (["--labels", "{folder}/nowhere"], "no such folder of labels"),
    ],
)
def test_what_no_training_can_do_is_said_before_anything_is_read(
    wish: list[str], said: str, sample: Path, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "a.safetensors").mkdir()
    (tmp_path / "file").write_text("mine")
    out = ["--out", str(tmp_path / "m.safetensors")]
    wish = [word.format(folder=tmp_path) for word in wish]
    assert main(["train", str(sample), *out, "--device", "cpu", *wish]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told
    assert "left out" not in told  # no image was tried


def test_a_look_at_many_images_is_told_and_can_be_stopped(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    assert list(cli_progress.looked_through([1, 2, 3])) == [1, 2, 3]
    assert capsys.readouterr().err == "", "nobody has waited"
    monkeypatch.setattr(cli_progress, "LONG_SECONDS", -1)
    assert list(cli_progress.looked_through([1, 2, 3])) == [1, 2, 3]
    assert capsys.readouterr().err == "Looking at 3 images …\n"
    monkeypatch.setattr(interrupt, "_heard", True)
    with pytest.raises(KeyboardInterrupt):
        list(cli_progress.looked_through([1, 2, 3]))


@pytest.mark.parametrize(("rank", "said"), [("0", 1), ("1", 0)])
def test_of_several_processes_one_tells_how_labels_are_stored(
    rank: str, said: int, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    shutil.copytree(sample / "image", tmp_path / "x/image")
    shutil.copytree(sample / "label", tmp_path / "x/label")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setattr("unet_gui.engine.train.train", lambda *_: (event for event in ()))
    assert main(["train", str(tmp_path / "x"), "--out", str(tmp_path / "m.safetensors")]) == 0
    assert capsys.readouterr().err.count("Labels: ") == said


def test_what_is_named_twice_is_segmented_once(sample: Path, model: Path, tmp_path: Path, capsys: Capture) -> None:
    names = [str(sample), str(sample / "image"), str(sample / "image" / "00.png")]
    assert main(["segment", *names, "--model", str(model), "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("5 segmented")


def test_masks_without_labels_of_their_names(sample: Path, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "a.png").write_bytes((sample / "image" / "00.png").read_bytes())
    assert main(["evaluate", str(tmp_path), str(sample / "truth")]) == 1
    said = capsys.readouterr()
    assert said.out.strip() == "No image could be compared."
    (told,) = said.err.splitlines()  # not one line a label
    assert "None of the 2 labels" in told
    assert str(tmp_path / "a.png") in told
    assert str(sample / "truth" / "03.png") in told
    assert main(["evaluate", str(tmp_path), str(sample / "truth"), "--json"]) == 1
    assert len(json.loads(capsys.readouterr().out)["failed"]) == 2


def test_two_masks_for_one_label_are_named_though_nothing_can_be_compared(
    sample: Path, tmp_path: Path, capsys: Capture
) -> None:
    for name in ("03_a.png", "03_b.png"):
        (tmp_path / name).write_bytes((sample / "truth" / "03.png").read_bytes())
    assert main(["evaluate", str(tmp_path), str(sample / "truth")]) == 1
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2
    assert "several predictions: 03_a, 03_b" in told[0]


def test_maps_of_probability_and_doubt(sample: Path, model: Path, tmp_path: Path, capsys: Capture) -> None:
    wishes = ["--probabilities", "--uncertainty", "--disagreement", "--float", "--json"]
    assert (
        main(["segment", str(sample / "image" / "00.png"), "--model", str(model), "--out", str(tmp_path), *wishes]) == 0
    )
    (done,) = [e for e in map(json.loads, capsys.readouterr().out.splitlines()) if e["kind"] == "image_done"]
    maps = {n: tifffile.imread(tmp_path / f"00_{n}.tif") for n in ("prob", "uncertainty", "disagreement")}
    assert {m.dtype.name for m in maps.values()} == {"float32"}
    for name in ("uncertainty", "disagreement"):
        assert done[name] == pytest.approx(float(maps[name].mean()), abs=1e-4)
    mask = cv2.imdecode(np.fromfile(tmp_path / "00.png", np.uint8), cv2.IMREAD_UNCHANGED)
    assert all(m.shape == mask.shape for m in maps.values())


def test_segment_again_does_only_what_is_missing_or_older(
    sample: Path, model: Path, tmp_path: Path, capsys: Capture
) -> None:
    command = ["segment", str(sample), "--model", str(model), "--out", str(tmp_path)]
    assert main(command) == 0
    (tmp_path / "03.png").unlink()
    os.utime(tmp_path / "01.png", (1, 1))
    capsys.readouterr()
    assert main(command) == 0
    assert capsys.readouterr().out.startswith("2 segmented, 3 already up to date")
    assert main([*command, "--overwrite"]) == 0
    assert capsys.readouterr().out.startswith("5 segmented, 0 already up to date")


def test_json_is_one_object_a_line_and_nothing_else(sample: Path, model: Path, tmp_path: Path, capsys: Capture) -> None:
    assert main(["segment", str(sample), "--model", str(model), "--out", str(tmp_path), "--json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events[0]["kind"] == "segment_started"
    assert events[-1]["kind"] == "segment_finished"
    assert sum(e["kind"] == "image_done" for e in events) == 5


def test_bad_images_are_named_and_the_rest_goes_on(sample: Path, model: Path, tmp_path: Path, capsys: Capture) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    good = (sample / "image" / "00.png").read_bytes()
    (folder / "good.png").write_bytes(good)
    (folder / "short.png").write_bytes(good[: len(good) // 2])
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_text("not a picture")
    (folder / "folder.png").mkdir()
    odd = []
    if sys.platform != "win32":  # links need rights there
        (folder / "loop.png").symlink_to("loop.png")
        os.mkfifo(folder / "pipe.png")
        odd = ["loop.png", "pipe.png"]
    assert main(["segment", str(folder), "--model", str(model), "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr()
    assert said.out.startswith(f"1 segmented, 0 already up to date, {4 + len(odd)} failed")
    for name in ("short.png", "empty.png", "text.png", "folder.png", *odd):
        assert name in said.err
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["good.png"]


@pytest.mark.parametrize(
    "words",
    [
        ["segment", "nowhere.png", "--model", "{model}", "--out", "out"],
        ["segment", "{sample}", "--model", "nowhere.safetensors", "--out", "out"],
        ["train", "nowhere", "--out", "m.safetensors"],
        ["evaluate", "nowhere", "{sample}/label"],
        ["info", "nowhere"],
        ["train", "{sample}", "--out", "m.safetensors", "--val", "zebra"],
    ],
)
def test_what_cannot_be_used_is_named_with_exit_code_2(
    words: list[str], sample: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([word.format(sample=sample, model=model) for word in words]) == 2
    said = capsys.readouterr()
    assert said.err.strip()
    assert "Traceback" not in said.err


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere there is always a display")
def test_without_a_display_the_window_says_so(sample: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    assert main([str(sample)]) == 2
    assert "no display" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["best_model.pth", "model.safetensors"])
def test_a_pickle_that_pretends_to_be_a_model_does_not_run(
    name: str, sample: Path, tmp_path: Path, capsys: Capture
) -> None:
    trap, witness = tmp_path / name, tmp_path / "ran"

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(witness),)

    trap.write_bytes(pickle.dumps({"inc.double_conv.0.weight": Trap()}))
    assert main(["segment", str(sample), "--model", str(trap), "--out", str(tmp_path / "out")]) == 2
    assert name in capsys.readouterr().err
    assert not witness.exists()
    pickle.loads(trap.read_bytes())  # the trap does work: opened carelessly it would have run
    assert witness.exists()


def test_results_never_replace_images_or_labels(sample: Path, model: Path, tmp_path: Path, capsys: Capture) -> None:
    before = folder_state(sample)
    image = next((sample / "image").glob("*.png"))
    for inputs, out, what in (
        ([str(sample)], sample / "label", "a label"),
        ([str(sample)], sample / "image", "an image"),
        ([str(image), str(sample / "label" / image.name)], sample / "label", "an image"),
    ):
        assert main(["segment", *inputs, "--model", str(model), "--out", str(out)]) == 2
        assert f"would overwrite {what}" in capsys.readouterr().err
    assert folder_state(sample) == before
    scan = tmp_path / "a.tif"
    tifffile.imwrite(scan, cv2.imread(str(image), cv2.IMREAD_GRAYSCALE))
    (tmp_path / "a.png").write_bytes(image.read_bytes())
    assert main(["segment", str(scan), "--model", str(model), "--out", str(tmp_path)]) == 2
    assert "beside the image" in capsys.readouterr().err
    assert (tmp_path / "a.png").read_bytes() == image.read_bytes()
    assert main(["segment", str(scan), "--model", str(model), "--out", str(tmp_path), "--suffix", "_res"]) == 0
    assert (tmp_path / "a_res.png").exists()


def test_images_of_one_name_in_several_folders(sample: Path, model: Path, tmp_path: Path) -> None:
    image = next((sample / "image").glob("*.png"))
    days = [tmp_path / day for day in ("day1", "day2", "day3")]
    for day in days:
        day.mkdir()
        (day / "1.png").write_bytes(image.read_bytes())
    out = tmp_path / "masks"
    assert main(["segment", *map(str, days), "--model", str(model), "--out", str(out)]) == 0
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*.png")) == ["1.png", "day2/1.png", "day3/1.png"]


def test_a_name_that_the_terminal_cannot_show(sample: Path, model: Path, tmp_path: Path) -> None:
    image = tmp_path / "细胞.png"
    image.write_bytes(next((sample / "image").glob("*.png")).read_bytes())
    command = [
        sys.executable,
        "-m",
        "unet_gui",
        "segment",
        str(image),
        "--model",
        str(model),
        "--out",
        str(tmp_path / "o"),
    ]
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}
    for more in ([], ["--json", "--overwrite"]):
        told = subprocess.run([*command, *more], env=environment, capture_output=True, check=False)
        assert told.returncode == 0, told.stderr
    done = [json.loads(line) for line in told.stdout.decode("ascii").splitlines()]
    assert any("细胞.png" in str(event) for event in done)


@pytest.mark.skipif(sys.platform == "win32", reason="a shell of Unix closes what is said")
def test_nobody_hears_what_is_said(sample: Path, model: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "unet_gui", "segment", str(sample), "--model", str(model), "--out", "o"]
    done = subprocess.run(["sh", "-c", '"$@" <&- >&- 2>&-', "sh", *command], cwd=tmp_path, check=False)
    assert done.returncode == 0
    assert len(list((tmp_path / "o").iterdir())) == 5


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_log_that_cannot_be_written_stops_nothing(sample: Path, model: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "unet_gui", "segment", str(sample), "--model", str(model), "--out", "o"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, cwd=tmp_path, stderr=full, check=False)
    assert done.returncode == 0
    assert len(list((tmp_path / "o").iterdir())) == 5


def test_a_system_that_knows_no_other_letters(sample: Path, model: Path, tmp_path: Path) -> None:
    image = tmp_path / "细胞.png"
    image.write_bytes((sample / "image/00.png").read_bytes())
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "unet_gui", "segment", str(image), "--model", str(model), "--out", "o"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "o").iterdir()] == ["细胞.png"]


def test_memory_that_runs_out_in_a_training_is_said(
    sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    from unet_gui.engine.trainer import Trainer

    def step(*_: object) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(Trainer, "step", step)
    words = ["train", str(sample), "--out", str(tmp_path / "m.safetensors"), "--epochs", "1", "--device", "cpu"]
    assert main(words) == 2
    assert "not enough memory" in capsys.readouterr().err
    monkeypatch.setattr(Trainer, "step", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(words)


def test_masks_among_the_images_are_not_segmented_the_next_time(
    sample: Path, model: Path, tmp_path: Path, capsys: Capture
) -> None:
    folder = shutil.copytree(sample / "image", tmp_path / "x")
    words = ["segment", str(folder), "--model", str(model), "--out", str(folder), "--suffix", "_res", "--probabilities"]
    assert main(words) == 0
    assert capsys.readouterr().out.startswith("5 segmented, 0 already up to date, 0 failed")
    assert main(words) == 0
    said = capsys.readouterr()
    assert said.out.startswith("0 segmented, 5 already up to date, 0 failed")
    assert "note: 5 masks of an earlier run among the images: left out." in said.err


def test_where_labels_were_looked_for_is_said(tmp_path: Path, capsys: Capture) -> None:
    write_sample(tmp_path / "x", n=2, labelled=2, sizes=(48, 48))
    (tmp_path / "x" / "label").rename(tmp_path / "masks")
    words = ["train", str(tmp_path / "x" / "image"), "--out", str(tmp_path / "m.safetensors"), "--epochs", "1"]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert f"Looked for were files like {tmp_path / 'x' / 'labels' / '00.png'}." in said
    assert "--labels" in said
    assert main([*words, "--labels", str(tmp_path / "masks"), "--device", "cpu"]) == 0


def test_cuda_asked_for_and_absent_is_said(sample: Path, model: Path, tmp_path: Path, capsys: Capture) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    command = ["segment", str(sample), "--model", str(model), "--out", str(tmp_path), "--device", "cuda"]
    assert main(command) == 2
    assert "cuda" in capsys.readouterr().err


def test_info_tells_image_label_folder_and_model(sample: Path, model: Path, capsys: Capture) -> None:
    for path, kind in ((sample, "folder"), (sample / "image" / "00.png", "image"), (model, "model")):
        assert main(["info", str(path), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["kind"] == kind
    assert main(["info", str(sample)]) == 0
    assert "images" in capsys.readouterr().out


def test_export_writes_label_where_labelled_and_leaves_out_what_has_neither(
    sample: Path, tmp_path: Path, capsys: Capture
) -> None:
    assert main(["export", str(sample), "--out", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("3 written, 2 skipped, 0 failed")
    assert "2 images have neither" in said.err
    for name in ("00.png", "01.png", "02.png"):
        assert (tmp_path / name).read_bytes() == (sample / "label" / name).read_bytes()


def test_headless_train_and_segment_never_import_qt(sample: Path, model: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from unet_gui.cli import main\n"
        f"assert main(['train', {str(sample)!r}, '--out', {str(tmp_path / 'm.safetensors')!r}, '--epochs', '1']) == 0\n"
        f"assert main(['segment', {str(sample)!r}, '--model', {str(model)!r}, '--out', {str(tmp_path)!r}]) == 0\n"
        "bad = [m for m in sys.modules if m.startswith(('PySide6', 'shiboken6', 'unet_gui.app', 'pyqtgraph'))]\n"
        "assert not bad, bad\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_a_state_to_go_on_from(number: int, sample: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.safetensors"
    words = [sys.executable, "-m", "unet_gui", "train", str(sample), "--out", str(out), "--minutes", "5", "--json"]
    run = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert run.stdout is not None
    for line in run.stdout:
        if json.loads(line)["kind"] == "checkpoint_saved" or json.loads(line).get("step", 0) >= 20:
            break
    run.send_signal(number)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "stopped" in err
    assert "Traceback" not in err
    assert checkpoint_path(out).exists()
    assert main(["train", str(sample), "--out", str(out), "--epochs", "2", "--resume"]) == 0
    assert out.exists()


_HEARD = """
import os, sys
from unet_gui import interrupt
with interrupt.listening(last=True):
    os.write(1, b"up")
    from unet_gui.cli import main
    sys.exit(main(sys.argv[1:]))
"""
_ENDING = """
import atexit, os, time
def end():
    os.write(1, b"up")
    time.sleep(0.5)
atexit.register(end)
import sys
from unet_gui.__main__ import main
sys.exit(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of this kind are unknown there")
@pytest.mark.parametrize("command", ["train", "segment", "evaluate", "info"])
def test_ctrl_c_at_any_moment(command: str, sample: Path, model: Path, tmp_path: Path) -> None:
    """Within an import or a library it would tear things in two, or be swallowed."""
    words = {
        "train": ["train", str(sample), "--out", str(tmp_path / "m.safetensors"), "--minutes", "5"],
        "segment": ["segment", *[str(sample)] * 2, "--model", str(model), "--out", str(tmp_path / "out")],
        "evaluate": ["evaluate", str(sample / "label"), str(sample / "label")],
        "info": ["info", str(sample)],
    }[command]
    for seconds in [0.0, 0.4, 0.9, 1.5, 2.5] if command == "train" else [0.0, 0.3]:
        run = subprocess.Popen(
            [sys.executable, "-c", _HEARD, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert run.stdout is not None
        assert run.stdout.read(2) == "up"
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.wait(seconds)
        over = run.poll() is not None
        run.send_signal(signal.SIGINT)
        _, err = run.communicate(timeout=120)
        assert "Traceback" not in err
        assert run.returncode == 130 or over or command != "train"
        assert run.returncode in (0, 130)
        assert ("stopped" in err) == (run.returncode == 130)


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of this kind are unknown there")
def test_where_nobody_reads_the_output_it_ends_in_silence_and_not_as_if_all_were_done(sample: Path) -> None:
    words = [sys.executable, "-m", "unet_gui", "info", str(sample), "--json"]
    run = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert run.stdout is not None
    run.stdout.close()
    assert run.stderr is not None
    assert (run.stderr.read(), run.wait(60)) == ("", 141)
    run.stderr.close()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of this kind are unknown there")
def test_ctrl_c_when_all_is_done_changes_nothing(sample: Path) -> None:
    run = subprocess.Popen(
        [sys.executable, "-c", _ENDING, "info", str(sample), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert run.stdout is not None
    assert run.stdout.readline().startswith("{")
    assert run.stdout.read(2) == "up"
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=60)
    assert (run.returncode, err) == (0, "")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of this kind are unknown there")
def test_a_second_ctrl_c_does_not_wait() -> None:
    with pytest.raises(KeyboardInterrupt), interrupt.listening():  # noqa: PT012 - the first one must not
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), interrupt.listening():  # noqa: PT012 - nor must this
        interrupt.at_once()
        signal.raise_signal(signal.SIGINT)
    with interrupt.listening():
        interrupt.check()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of this kind are unknown there")
def test_only_a_job_hears_sigterm() -> None:
    usual = signal.getsignal(signal.SIGTERM)
    with interrupt.listening(last=True):
        assert signal.getsignal(signal.SIGTERM) is not usual
        interrupt.at_once()
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    signal.signal(signal.SIGINT, signal.default_int_handler)
    assert signal.getsignal(signal.SIGTERM) == usual


def test_demo_without_a_display(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    folder = tmp_path / "demo"
    assert main(["demo", str(folder), "--no-window", "--minutes", "0.05"]) == 0
    said = capsys.readouterr().out
    assert "Rand F" in said
    assert str(folder / "contact-sheet.png") in said
    assert len(list((folder / "masks").iterdir())) == 24
    sheet = cv2.imdecode(np.fromfile(folder / "contact-sheet.png", np.uint8), cv2.IMREAD_UNCHANGED)
    assert sheet.std() > 20  # a picture of something
    assert main(["demo", str(tmp_path), "--no-window"]) == 2  # never into a folder with other things


def test_every_result_is_a_file_of_its_own(model: Path, tmp_path: Path, capsys: Capture) -> None:
    picture = cv2.imencode(".png", np.random.default_rng(0).integers(0, 255, (40, 50), np.uint8))[1].tobytes()
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name in ("pic", "A.png", "a.jpg", "b.png", "b_prob.png"):
        (folder / name).write_bytes(picture)
    words = ["segment", *map(str, sorted(folder.iterdir())), "--model", str(model), "--out", str(out)]
    assert main([*words, "--format", "tif", "--probabilities"]) == 0
    names = sorted(path.name for path in out.iterdir())
    assert len(names) == 10
    assert len({name.lower() for name in names}) == 10
    assert {"pic.tif", "A.tif", "a.jpg.tif", "b.tif", "b_prob.tif"} <= set(names)
    assert "5 segmented" in capsys.readouterr().out


def test_what_may_not_be_looked_into_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def closed(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "/closed/a.png")

    monkeypatch.setattr("unet_gui.core.describe.describe", closed)
    assert main(["info", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "unet-gui: /closed/a.png: Permission denied.\n"
