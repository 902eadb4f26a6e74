"""Segmenting many images: bad ones do not stop it, what is done is skipped, it can be stopped."""

from __future__ import annotations

import importlib
import os
import threading
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from tests.engine.conftest import blobs
from unet_gui.core.cv import cv2
from unet_gui.core.errors import ModelError, UserError
from unet_gui.core.model_info import ModelInfo
from unet_gui.core.palette import default_classes
from unet_gui.core.planes import WaitingPlanes
from unet_gui.core.store import BINARY, INDEX, read_label
from unet_gui.engine.device import pick_device
from unet_gui.engine.events import (
    Event,
    ImageDone,
    ImageFailed,
    SegmentFinished,
    SegmentStarted,
    Tick,
    TileDone,
    Warned,
)
from unet_gui.engine.model import Model
from unet_gui.engine.normalise import Normalisation
from unet_gui.engine.predict import Predictor, run
from unet_gui.engine.recipe import SegmentConfig, SegmentItem
from unet_gui.engine.segment import segment
from unet_gui.engine.unet import Arch, UNet

segment_module = importlib.import_module("unet_gui.engine.segment")


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(4):
        cv2.imwrite(str(folder / f"{i}.png"), blobs(10 + i, (80, 90))[0])
    return sorted(folder.iterdir())


def items_for(paths: list[Path], out: Path, **more: Path) -> list[SegmentItem]:
    return [SegmentItem(p, 0, out / f"{p.stem}_res.png", **more) for p in paths]


def finish(events: list[Event]) -> SegmentFinished:
    assert isinstance(events[0], SegmentStarted)
    assert isinstance(events[-1], SegmentFinished)
    return events[-1]


def test_all_images(pictures: list[Path], tmp_path: Path, tiny_model: Path) -> None:
    config = SegmentConfig(tiny_model, encoding="binary", device="cpu")
    items = items_for(pictures, tmp_path / "out")
    events = list(segment(items, config))
    last = finish(events)
    assert (last.done, last.skipped, last.failed) == (4, 0, 0)
    done = [e for e in events if isinstance(e, ImageDone)]
    assert [e.item for e in done] == [0, 1, 2, 3]
    assert [e.done for e in done] == [1, 2, 3, 4]
    for i, item in enumerate(items):
        mask = read_label(item.out, BINARY, shape=(80, 90))
        truth = blobs(10 + i, (80, 90))[1]
        overlap = 2 * ((mask == 1) & (truth == 1)).sum() / ((mask == 1).sum() + (truth == 1).sum())
        assert overlap > 0.8


def test_bad_images_are_named_and_the_rest_goes_on(pictures: list[Path], tmp_path: Path, tiny_model: Path) -> None:
    folder = pictures[0].parent
    (folder / "cut.png").write_bytes(pictures[0].read_bytes()[:2000])
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_text("I am a picture")
    (folder / "folder.png").mkdir()
    paths = [*sorted(folder.iterdir()), folder / "missing.png"]
    events = list(segment(items_for(paths, tmp_path / "out"), SegmentConfig(tiny_model, device="cpu")))
    last = finish(events)
    assert (last.done, last.failed) == (4, 5)
    failed = [e for e in events if isinstance(e, ImageFailed)]
    assert {e.path.name for e in failed} == {"cut.png", "empty.png", "text.png", "folder.png", "missing.png"}
    assert all(e.message and e.unreadable for e in failed)
    assert len(list((tmp_path / "out").iterdir())) == 4
    (tmp_path / "no folder").write_text("a file")
    nowhere = SegmentItem(pictures[0], 0, tmp_path / "no folder" / "a.png")
    events = list(segment([nowhere], SegmentConfig(tiny_model, device="cpu")))
    (failed_to_write,) = [e for e in events if isinstance(e, ImageFailed)]
    assert not failed_to_write.unreadable, "nothing is wrong with the image"


def test_only_what_is_missing_or_old(pictures: list[Path], tmp_path: Path, tiny_model: Path) -> None:
    config = SegmentConfig(tiny_model, device="cpu")
    items = items_for(pictures, tmp_path / "out")
    list(segment(items, config))
    assert finish(list(segment(items, config))).skipped == 4
    items[1].out.unlink()
    future = items[2].out.stat().st_mtime + 10
    os.utime(pictures[2], (future, future))  # changed after its mask was made
    events = list(segment(items, config))
    assert {e.item for e in events if isinstance(e, ImageDone) and not e.skipped} == {1, 2}
    assert (finish(events).done, finish(events).skipped) == (2, 2)
    again = SegmentConfig(tiny_model, device="cpu", overwrite=True)
    assert finish(list(segment(items, again))).done == 4
    os.utime(tiny_model, (future + 10, future + 10))
    try:
        assert finish(list(segment(items, config))).done == 4
    finally:
        os.utime(tiny_model, (0, 0))


def test_stopping_leaves_whole_files_and_no_thread(pictures: list[Path], tmp_path: Path, tiny_model: Path) -> None:
    items = items_for(pictures, tmp_path / "out")
    config = SegmentConfig(tiny_model, device="cpu", tile=64, batch=1)
    run = segment(items, config)
    for event in run:
        if isinstance(event, TileDone) and event.item == 2:
            break
    run.close()
    assert not [t for t in threading.enumerate() if t.name.startswith(("read-ahead", "write-", "lane"))]
    out = sorted((tmp_path / "out").iterdir())
    assert len(out) < 4
    for path in out:
        assert read_label(path, INDEX).shape == (80, 90)
    last = finish(list(segment(items, config)))
    assert last.done + last.skipped == 4
    assert last.skipped == len(out)


def test_a_look_at_many_images_can_be_stopped(
    pictures: list[Path], tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[SegmentItem] = []
    monkeypatch.setattr(segment_module, "is_up_to_date", lambda item, *_: looked_at.append(item))
    events = segment(items_for(pictures, tmp_path / "out"), SegmentConfig(tiny_model, device="cpu"))
    assert [type(next(events)) for _ in range(3)] == [SegmentStarted, Tick, Tick]
    events.close()
    assert len(looked_at) == 2


def test_small_images_together_are_as_each_alone(pictures: list[Path], tmp_path: Path, tiny_model: Path) -> None:
    folder = pictures[0].parent
    (folder / "1b.png").write_bytes(pictures[0].read_bytes()[:2000])  # a bad one in the middle
    cv2.imwrite(str(folder / "5.png"), blobs(5, (64, 64))[0])  # another size
    paths = sorted(folder.iterdir())
    found = {}
    for batch in (None, 1):
        out = tmp_path / f"out{batch}"
        items = [SegmentItem(p, 0, out / p.name, out / f"{p.stem}.p.tif", out / f"{p.stem}.u.tif") for p in paths]
        config = SegmentConfig(tiny_model, device="cpu", batch=batch, float_maps=True)
        events = list(segment(items, config))
        last = finish(events)
        assert (last.done, last.failed) == (5, 1)
        told = [e for e in events if isinstance(e, (ImageDone, ImageFailed))]
        assert sorted(e.item for e in told) == list(range(6))
        assert len([e for e in events if isinstance(e, TileDone)]) == 5
        found[batch] = {
            i.path.name: (read_label(i.out, INDEX), tifffile.imread(i.out_prob), tifffile.imread(i.out_uncertainty))
            for i in items
            if i.out.exists()
        }
        doubts = {e.path.name: e.uncertainty for e in told if isinstance(e, ImageDone)}
        for name, (_, _, doubt) in found[batch].items():
            assert doubts[name] == pytest.approx(float(doubt.mean()), abs=1e-5)
    assert found[None].keys() == found[1].keys() == {"0.png", "1.png", "2.png", "3.png", "5.png"}
    for name, (ids, prob, doubt) in found[None].items():
        assert (ids != found[1][name][0]).mean() < 1e-3
        assert np.abs(prob - found[1][name][1]).max() < 1e-4
        assert np.abs(doubt - found[1][name][2]).max() < 1e-3


def test_memory_that_runs_out_for_many_small_images(
    pictures: list[Path], tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = Predictor.logits

    def short(self: Predictor, batch: torch.Tensor, *more: object) -> torch.Tensor:
        if len(batch) > 1:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return true(self, batch, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(Predictor, "logits", short)
    events = list(segment(items_for(pictures, tmp_path / "out"), SegmentConfig(tiny_model, device="cpu")))
    assert finish(events).done == 4
    assert len([e for e in events if isinstance(e, Warned)]) == 1, "said once"


@pytest.mark.parametrize("lanes", [1, 3])
def test_cores_that_compute_images_of_their_own(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, lanes: int
) -> None:
    """Told in the order of the images, the same masks, and the last ones not left to a single core."""
    monkeypatch.setattr(Predictor, "lanes", lambda self, shape: lanes)
    paths = []
    for i in range(23):
        paths.append(tmp_path / f"{i:02d}.png")
        cv2.imwrite(str(paths[-1]), blobs(i, (40, 48) if i in (7, 8) else (64, 64))[0])
    paths[12].write_bytes(paths[12].read_bytes()[:1500])
    config = SegmentConfig(tiny_model, device="cpu")
    events = list(segment(items_for(paths, tmp_path / "out"), config))
    told = [e for e in events if isinstance(e, (ImageDone, ImageFailed))]
    assert [e.item for e in told if isinstance(e, ImageDone)] == [i for i in range(23) if i != 12]
    assert [e.item for e in told if isinstance(e, ImageFailed)] == [12]
    predictor = Predictor(Model.load(tiny_model, pick_device("cpu")), config)
    for i in (0, 7, 11, 13, 22):
        pixels = cv2.imread(str(paths[i]), cv2.IMREAD_UNCHANGED)
        alone = run(predictor.predict(pixels)).ids
        assert (read_label(tmp_path / "out" / f"{i:02d}_res.png", INDEX) != alone).mean() < 1e-3


def test_stopping_while_cores_compute(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Predictor, "lanes", lambda self, shape: 2)
    paths = []
    for i in range(40):
        paths.append(tmp_path / f"{i:02d}.png")
        cv2.imwrite(str(paths[-1]), blobs(i, (64, 64))[0])
    items = items_for(paths, tmp_path / "out")
    running = segment(items, SegmentConfig(tiny_model, device="cpu", batch=2))
    for event in running:
        if isinstance(event, ImageDone):
            break
    running.close()
    assert not [t for t in threading.enumerate() if t.name.startswith(("read-ahead", "write-", "lane"))]
    written = sorted((tmp_path / "out").iterdir())
    assert 0 < len(written) < 40
    assert all(read_label(path, INDEX).shape == (64, 64) for path in written)
    last = finish(list(segment(items, SegmentConfig(tiny_model, device="cpu"))))
    assert (last.done, last.skipped) == (40 - len(written), len(written))


def test_a_large_image_between_small_ones(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read ahead waits for room in the order of the images, or the first would wait for the last."""
    monkeypatch.setattr(segment_module, "AHEAD_PIXELS", 10_000)
    paths = []
    for i in range(24):
        paths.append(tmp_path / f"{i}.png")
        cv2.imwrite(str(paths[-1]), blobs(i, (150, 160) if i % 5 == 3 else (48, 48))[0])
    events = list(segment(items_for(paths, tmp_path / "out"), SegmentConfig(tiny_model, device="cpu")))
    assert finish(events).done == 24
    assert [e.item for e in events if isinstance(e, ImageDone)] == list(range(24))


def test_what_is_written_is_told_while_a_large_image_is_computed(tmp_path: Path, tiny_model: Path) -> None:
    paths = [tmp_path / "small.png", tmp_path / "large.png"]
    for path, side in zip(paths, (64, 600), strict=True):
        cv2.imwrite(str(path), blobs(1, (side, side))[0])
    items, told = items_for(paths, tmp_path / "out"), []
    written = threading.Event()
    real = segment_module._Run._write

    def write(self: object, item: SegmentItem, *rest: object) -> None:
        real(self, item, *rest)  # type: ignore[arg-type]
        written.set()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segment_module._Run, "_write", write)
        for event in segment(items, SegmentConfig(tiny_model, tile=64, device="cpu")):
            if isinstance(event, TileDone) and event.item == 1:
                written.wait()
            if isinstance(event, (TileDone, ImageDone)):
                told.append((type(event), event.item))
    assert told.index((ImageDone, 0)) < len(told) - 20, "not only when the large one is done"


def test_maps(pictures: list[Path], tmp_path: Path, tiny_model: Path) -> None:
    out = tmp_path / "out"
    item = SegmentItem(pictures[0], 0, out / "m.png", out / "p.tif", out / "u.png")
    (event,) = [e for e in segment([item], SegmentConfig(tiny_model, device="cpu")) if isinstance(e, ImageDone)]
    ids = read_label(item.out, INDEX)
    prob = tifffile.imread(out / "p.tif")
    doubt = cv2.imread(str(out / "u.png"), cv2.IMREAD_UNCHANGED)
    assert prob.shape == ids.shape == doubt.shape
    assert prob[ids == 1].min() > prob[ids == 0].max() - 2, "one threshold divides them"
    assert 0 < event.uncertainty < 1
    assert event.uncertainty == pytest.approx(doubt.mean() / 255, abs=1e-3)


def test_stacks(tmp_path: Path, tiny_model: Path) -> None:
    stack = tmp_path / "stack.tif"
    tifffile.imwrite(stack, np.stack([blobs(i, (64, 72))[0] for i in range(9)]), photometric="minisblack")
    out = tmp_path / "out" / "stack.tif"
    items = [SegmentItem(stack, page, out, tmp_path / "out" / "p.png", None, 9) for page in range(9)]
    config = SegmentConfig(tiny_model, device="cpu", batch=1)
    run = segment(items, config)
    assert any(isinstance(e, ImageDone) and e.item == 0 for e in run)  # stopped after the first page
    run.close()
    events = list(segment(items, config))
    assert finish(events).skipped >= 1
    assert finish(events).done + finish(events).skipped == 9
    for page in range(9):
        ids = read_label(out, INDEX, page=page)
        assert set(np.unique(ids)) == {0, 1}
    assert len(list((tmp_path / "out").glob("p_000?.png"))) == 9
    newer = out.stat().st_mtime + 10
    tifffile.imwrite(stack, np.stack([blobs(20 + i, (64, 72))[0] for i in range(9)]), photometric="minisblack")
    os.utime(stack, (newer, newer))
    run = segment(items, config)
    assert any(isinstance(e, ImageDone) and e.item == 0 for e in run)
    run.close()
    whole = tmp_path / "whole.tif"
    list(segment([SegmentItem(stack, page, whole, pages=9) for page in range(9)], config))
    for page in range(9):  # how far it came is a matter of how fast the disk is
        ids = read_label(out, INDEX, page=page)
        new = np.array_equal(ids, read_label(whole, INDEX, page=page))
        assert new or (ids == 255).all(), "no page of the old run is left among the new"


def test_wrong_wishes(pictures: list[Path], tmp_path: Path, tiny_model: Path) -> None:
    items = items_for(pictures, tmp_path / "out")
    with pytest.raises(ModelError):
        list(segment(items, SegmentConfig(tmp_path / "none.safetensors", device="cpu")))
    with pytest.raises(UserError, match="encoding"):
        list(segment(items, SegmentConfig(tiny_model, encoding="jpeg", device="cpu")))
    with pytest.raises(UserError, match="device"):
        list(segment(items, SegmentConfig(tiny_model, device="abacus")))


def test_a_disk_that_cannot_be_written(pictures: list[Path], tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / "out").write_text("a file where the folder should be")
    events = list(segment(items_for(pictures, tmp_path / "out"), SegmentConfig(tiny_model, device="cpu")))
    assert finish(events).failed == 4


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_very_large_images_are_written_as_they_come(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    """With the limit lowered, the files are the same as in one piece; memory that runs out begins them anew."""
    image = tmp_path / "large.tif"
    tifffile.imwrite(image, blobs(3, (700, 600))[0], tile=(256, 256))
    told: list[list[Event]] = []

    def outputs(folder: str) -> list[np.ndarray]:
        out = tmp_path / folder
        item = SegmentItem(image, 0, out / f"m{suffix}", out / "p.tif", out / "u.png", 1, out / "d.tif")
        events = list(segment([item], SegmentConfig(tiny_model, device="cpu", tile=128)))
        assert finish(events).done == 1
        told.append(events)
        assert len(list(out.iterdir())) == 4
        return [read_label(item.out, INDEX)] + [
            cv2.imread(str(out / name), cv2.IMREAD_UNCHANGED) for name in ("p.tif", "u.png", "d.tif")
        ]

    whole = outputs("whole")
    monkeypatch.setattr(segment_module, "READ_WHOLE", 100_000)
    plain, calls = Predictor.compare, []

    def forgetful(self: Predictor, *arguments: object) -> object:
        calls.append(1)
        if len(calls) == 8:
            raise RuntimeError("CUDA out of memory")
        return plain(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Predictor, "compare", forgetful)
    for a, b in zip(outputs("rows"), whole, strict=True):
        assert a.shape == b.shape == (700, 600)
        assert np.abs(a.astype(int) - b).max() <= 1, "tiles of another size may round the other way"
    assert len([e for e in told[1] if isinstance(e, Warned)]) == 1
    means = [[(e.uncertainty, e.disagreement) for e in events if isinstance(e, ImageDone)] for events in told]
    assert np.allclose(means[0], means[1], atol=1e-4)


@pytest.mark.parametrize("floats", [False, True])
def test_probabilities_of_several_classes_wait_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, floats: bool
) -> None:
    arch = Arch.plain(1, 3, 4, 2)
    classes = default_classes(3)
    info = ModelInfo(arch.to_json(), classes, 1, Normalisation("image").to_json(), [0.0] * 3)
    torch.manual_seed(0)
    Model(UNet(arch), info).save(tmp_path / "three.safetensors")
    image = tmp_path / "large.tif"
    tifffile.imwrite(image, blobs(3, (700, 600))[0], tile=(256, 256))

    def planes(name: str) -> np.ndarray:
        item = SegmentItem(image, 0, tmp_path / name / "m.png", tmp_path / name / "p.tif")
        config = SegmentConfig(tmp_path / "three.safetensors", device="cpu", tile=128, float_maps=floats)
        assert finish(list(segment([item], config))).done == 1
        assert len(list(item.out.parent.iterdir())) == 2
        return tifffile.imread(tmp_path / name / "p.tif")

    whole = planes("whole")
    monkeypatch.setattr(segment_module, "READ_WHOLE", 100_000)
    put = []
    plain = WaitingPlanes.put
    monkeypatch.setattr(WaitingPlanes, "put", lambda self, rows: put.append(rows.shape) or plain(self, rows))
    rows = planes("rows")
    assert len(put) > 3
    assert rows.shape == whole.shape == (3, 700, 600)
    assert rows.dtype == whole.dtype == (np.float32 if floats else np.uint8)
    np.testing.assert_allclose(rows, whole, atol=1e-4 if floats else 1)


def test_stopping_within_a_very_large_image_leaves_nothing(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_module, "READ_WHOLE", 100_000)
    image, out = tmp_path / "large.tif", tmp_path / "out" / "m.png"
    tifffile.imwrite(image, blobs(3, (700, 600))[0], tile=(256, 256))
    run = segment([SegmentItem(image, 0, out)], SegmentConfig(tiny_model, device="cpu", tile=128))
    for event in run:
        if isinstance(event, TileDone) and event.done > event.total // 2:
            break
    run.close()
    assert not list(out.parent.iterdir())
    assert not [t for t in threading.enumerate() if t.name.startswith(("read-", "write-"))]


def test_a_full_disk_under_a_very_large_image(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_module, "READ_WHOLE", 100_000)
    image = tmp_path / "large.tif"
    tifffile.imwrite(image, blobs(3, (700, 600))[0])
    (tmp_path / "file").write_text("no folder")
    items = [SegmentItem(image, 0, tmp_path / "file" / "m.png"), SegmentItem(image, 0, tmp_path / "out" / "m.png")]
    events = list(segment(items, SegmentConfig(tiny_model, device="cpu", tile=64)))
    assert (finish(events).done, finish(events).failed) == (1, 1)


def test_maps_as_floats(pictures: list[Path], tmp_path: Path, tiny_model: Path) -> None:
    names = ("p.tif", "u.tif", "d.tif")
    for folder, wish in (("eight", False), ("float", True)):
        out = tmp_path / folder
        item = SegmentItem(pictures[0], 0, out / "m.png", out / names[0], out / names[1], 1, out / names[2])
        finish(list(segment([item], SegmentConfig(tiny_model, device="cpu", float_maps=wish))))
    for name in names:
        eight, real = (tifffile.imread(tmp_path / folder / name) for folder in ("eight", "float"))
        assert (eight.dtype, real.dtype) == (np.uint8, np.float32)
        assert 0 <= real.min() < real.max() <= 1
        assert np.abs(eight / 255 - real).max() <= 0.5 / 255 + 1e-6
