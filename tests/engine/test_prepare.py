"""Self-configuration: what the images are like decides."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import tifffile
import torch

from unet_gui.core.cv import cv2
from unet_gui.core.geometry import Rect
from unet_gui.core.images import ImageRef
from unet_gui.core.palette import default_classes
from unet_gui.core.project import Dataset
from unet_gui.core.store import BINARY, INDEX
from unet_gui.engine import data as data_module
from unet_gui.engine import prepare as prepare_module
from unet_gui.engine.batches import BatchMaker, Prefetcher, repeats_for
from unet_gui.engine.data import ClassTable, Entry, Pictures, effective, histogram, make_picture, windows_of
from unet_gui.engine.device import DeviceChoice
from unet_gui.engine.events import Warned
from unet_gui.engine.fingerprint import fingerprint, traits_of
from unet_gui.engine.plan import Plan, make_plan
from unet_gui.engine.predict import run
from unet_gui.engine.prepare import Prepared, prepare
from unet_gui.engine.recipe import TrainConfig

CPU = DeviceChoice("cpu", "")


def prepared(dataset: Dataset, **wishes: object) -> Prepared:
    found: list[Prepared] = []

    def follow() -> object:
        found.append((yield from prepare(dataset, TrainConfig(**wishes), CPU)))  # type: ignore[arg-type]

    list(follow())  # type: ignore[call-overload]
    return found[0]


def test_membranes(data: Path) -> None:
    got = prepared(Dataset.open(data / "isbi2012" / "train"), only="0-19", val="16-19")
    assert got.plan.score == "rand"
    assert got.plan.net == 0
    assert got.plan.arch.in_channels == 1
    assert got.plan.symmetries == "turns"
    assert got.val_keys == ("16.png", "17.png", "18.png", "19.png")
    assert len(got.train_keys) == 16
    assert got.plan.class_weights[0] > got.plan.class_weights[1]
    assert Plan.from_json(got.plan.to_json()) == got.plan


def test_photographs(data: Path) -> None:
    dataset = Dataset.open(data / "camvid" / "train")
    dataset.set_encoding(dataset.encoding.with_unlabelled(11))
    dataset.set_classes([c for c in dataset.classes if c.id != 11])
    got = prepared(dataset)
    assert got.plan.score == "dice"
    assert got.plan.arch.in_channels == 3
    assert got.plan.arch.outputs == 11
    assert got.plan.symmetries == "mirror"
    assert not got.plan.augmentation.flip_y
    assert got.plan.augmentation.rotate <= 15


def test_nuclei_of_mixed_kinds(data: Path) -> None:
    pictures = []
    for i, path in enumerate(sorted((data / "nuclei" / "image").glob("*.png"))[::10]):
        image = cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), cv2.COLOR_BGRA2RGB)
        label = cv2.imread(str(data / "nuclei" / "instances" / path.name), cv2.IMREAD_UNCHANGED)
        pictures.append(make_picture(str(i), image, (label > 0).astype(np.uint8), 2))
    prints = fingerprint([traits_of(p) for p in pictures], 3)
    assert 0.5 < prints.brighter[1] < 1  # fluorescence is bright on dark, stains are dark on bright
    assert prints.brighter[0] == pytest.approx(1 - prints.brighter[1])
    assert not prints.upright
    assert prints.thickness[1] > 4
    plan, words = make_plan(TrainConfig(), prints, "dice", 0, "cpu")
    assert plan.arch.in_channels == 3
    assert all(words)
    assert any("darker in the others" in word for word in words)
    strokes = dataclasses.replace(prints, labelled=0.02)
    scenes = dataclasses.replace(strokes, upright=True)
    wishes = (prints, None), (strokes, None), (scenes, None), (scenes, 0.2)
    asked = [make_plan(TrainConfig(inpaint=wish), p, "dice", 0, "cpu")[0].inpaint for p, wish in wishes]
    assert asked == [0, 0.3, 0, 0.2], "guessing hidden parts helps strokes in textures"


def test_it_can_be_stopped_after_each_image_that_is_looked_at(
    make_folder: Callable[..., Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []

    def watch(module: ModuleType, name: str) -> None:
        plain = getattr(module, name)

        def watched(*arguments: object) -> object:
            looked.append(name)
            return plain(*arguments)

        monkeypatch.setattr(module, name, watched)

    watch(data_module, "effective_channels")
    watch(prepare_module, "nets_of")
    watch(prepare_module, "windows_of")
    before = 0
    for _ in prepare(make_folder(12), TrainConfig(), CPU):
        assert len(looked) <= before + 1
        before = len(looked)
    assert {name: looked.count(name) for name in looked} == {"effective_channels": 12, "nets_of": 12, "windows_of": 2}


def test_really_grey_images_take_one_channel(tmp_path: Path) -> None:
    (tmp_path / "image").mkdir()
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 255, (20, 20), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "image" / "0.png"), np.dstack([grey, grey, grey, np.full_like(grey, 255)]))
    cv2.imwrite(str(tmp_path / "image" / "1.png"), grey)
    dataset = Dataset.open(tmp_path)
    assert run(effective(dataset, dataset.images)) == 1
    cv2.imwrite(str(tmp_path / "image" / "2.png"), rng.integers(0, 255, (20, 20, 3), dtype=np.uint8))
    dataset = Dataset.open(tmp_path)
    assert run(effective(dataset, dataset.images)) == 3


@pytest.mark.parametrize(
    ("count", "wish", "said"),
    [
        (6, "4-5", "6 labelled images, 4 to learn from and 2 held back, grey"),
        (6, "none", "6 labelled images, grey"),
        (3, None, "3 labelled images, grey"),  # a part of each is held back
        (1, None, "1 labelled image, grey"),
    ],
)
def test_images_learned_from_and_held_back_are_counted(
    count: int, wish: str | None, said: str, make_folder: Callable[..., Dataset]
) -> None:
    got = prepared(make_folder(count), val=wish)
    assert got.words[0].startswith(said + ",")


def test_channels_that_are_not_used_are_said(make_folder: Callable[..., Dataset]) -> None:
    dataset = make_folder()
    assert not any("channels the first" in text for text in prepared(dataset).words)
    rng = np.random.default_rng(0)
    for ref in dataset.images:
        dataset.image_path(ref).unlink()
        five = rng.integers(0, 255, (96, 96, 5), dtype=np.uint8)
        path = dataset.image_path(ref).with_suffix(".tif")
        tifffile.imwrite(path, five, photometric="minisblack", planarconfig="contig")
    dataset = Dataset.open(dataset.root)
    assert "Of 5 channels the first 3 are used." in prepared(dataset).words
    assert "Of 5 channels the first 4 are used." in prepared(dataset, channels=4).words
    assert "Of 5 channels the first 3 are used." in prepared(dataset, channels=1).words  # weighed to grey


def test_wishes_win(make_folder: Callable[..., Dataset]) -> None:
    got_folder = make_folder()
    got = prepared(got_folder, width=6, depth=1, crop=40, batch=3, learning_rate=0.5, channels=3, score="rand")
    plan = got.plan
    assert plan.arch.widths == (6, 12)
    assert plan.arch.in_channels == 3
    assert (plan.batch, plan.learning_rate, plan.score) == (3, 0.5, "rand")
    assert plan.crop == 40
    plan = prepared(got_folder, stem=4, normalisation="dataset").plan
    assert plan.arch.stem == 4
    assert plan.normalisation.kind == "dataset"
    assert 60 < plan.normalisation.mean[0] < 180
    assert plan.batch * plan.crop**2 == pytest.approx(8 * 128**2, rel=0.2)


def _maker(label: np.ndarray, **changes: object) -> BatchMaker:
    """Crops of one picture, given in memory."""
    import dataclasses

    rng = np.random.default_rng(0)
    picture = make_picture("p", rng.integers(0, 255, label.shape, dtype=np.uint8), label, 2)
    plan, _ = make_plan(TrainConfig(crop=32, batch=4), fingerprint([traits_of(picture)], 1), "dice", 0, "cpu")
    plan = dataclasses.replace(plan, **changes)  # type: ignore[arg-type]

    class One(Pictures):
        def load(self, entry: Entry) -> object:  # type: ignore[override]
            return picture

    pictures = One(None, ClassTable([0, 1]), 1)  # type: ignore[arg-type]
    return BatchMaker(pictures, [Entry(ImageRef("p"))], plan, 0)


def test_crops_of_scribbles_show_something_labelled() -> None:
    label = np.full((400, 400), 255, np.uint8)
    label[20:23, 50:60] = 0
    label[380, 300] = 1  # a single pixel
    maker = _maker(label)
    crops = [maker.make(step).y.numpy() for step in range(30)]
    assert all((c != 255).any() for batch in crops for c in batch)
    with_rare = np.mean([(c == 1).any() for batch in crops for c in batch])
    assert with_rare > 0.25, "the rare class is not starved"


def test_a_class_that_few_images_show_does_not_starve(make_folder: Callable[..., Dataset]) -> None:
    """Images are drawn evenly, so one of forty would be seen in a fortieth of the crops, its one spot far less."""
    dataset = make_folder(count=40, size=(200, 200))
    dataset.set_encoding(INDEX)
    dataset.set_classes(default_classes(3))
    for i, ref in enumerate(dataset.images):
        label = np.zeros((200, 200), np.uint8)
        label[50:90, 50:90] = 1
        label[150:154, 20:24] = 2 if i == 3 else 0
        dataset.save_label(ref, label)
    got = prepared(dataset, crop=32, batch=4)
    (place,) = [i for i, key in enumerate(got.train_keys) if key == "3.png"]
    assert got.seldom == {2: (place,)}
    maker = BatchMaker(got.pictures, got.train, got.plan, 0, got.repeats, seldom=got.seldom)
    shown = np.mean([(y == 2).any() for step in range(100) for y in maker.make(step).y.numpy()])
    assert 0.05 < shown < 0.15
    assert np.array_equal(maker.make(7).y.numpy(), maker.make(7).y.numpy())


def test_images_that_memory_does_not_hold_are_not_read_for_every_crop(
    make_folder: Callable[..., Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    got = prepared(make_folder(count=60), crop=32, batch=4, val="none")
    got.pictures._kept.clear()
    got.pictures._bytes, got.pictures.budget = 0, int(got.nbytes / 3)
    maker = BatchMaker(got.pictures, got.train, got.plan, 0, got.repeats)
    maker.fit_memory(got.nbytes)
    assert 10 <= maker.at_once <= 16
    read: list[str] = []
    plain = Pictures._read

    def counted(self: Pictures, entry: Entry) -> object:
        read.append(entry.key)
        return plain(self, entry)

    monkeypatch.setattr(Pictures, "_read", counted)
    first = maker.make(3)
    for step in range(300):
        maker.make(step)
    assert len(read) < 1.2 * (1200 / 32 + maker.at_once) + 4
    assert len(set(read)) > 40, "yet all of them get their turn"
    assert torch.equal(maker.make(3).x, first.x)
    maker.fit_memory(got.nbytes / 10)
    assert maker.at_once == 0


def test_reading_ends_in_time_to_learn(make_folder: Callable[..., Dataset], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare_module, "FEW", 5)
    monkeypatch.setattr(prepare_module, "SCAN_SHARE", 0.0)
    dataset = make_folder(count=30)
    told: list[str] = []

    def follow() -> object:
        for event in prepare(dataset, TrainConfig(minutes=1), CPU):
            told.extend([event.text] if isinstance(event, Warned) else [])

    follow()
    assert told == ["Reading takes long: learning from 5 of 30 labelled images."]
    told.clear()
    monkeypatch.setattr(prepare_module, "SCAN_SHARE", 0.2)
    follow()
    assert not told


def test_crops_of_scribbles_begin_where_many_are() -> None:
    label = np.full((600, 600), 255, np.uint8)
    for i in range(20, 580, 80):
        label[i : i + 3, 20:60] = i // 80 % 2  # strokes that lie alone
    label[300:340:4, 440:500] = 0
    label[342:380:4, 440:500] = 1  # many
    maker = _maker(label)

    def painted(first: int) -> tuple[float, float]:
        """Return painted pixels of a crop, and the share of the crops that show a stroke that lies alone."""
        crops = np.concatenate([maker.make(step).y.numpy() for step in range(first, first + 60)])
        counts = (crops != 255).sum((1, 2))
        return float(counts.mean()), float((counts < 130).mean())

    early, alone = painted(0)
    late, alone_late = painted(100_000)
    assert early > 1.1 * late
    assert 0.05 < alone < 0.75 * alone_late, "what lies alone has to wait, but not for long"


def test_painted_pixels_are_counted() -> None:
    rng = np.random.default_rng(2)
    label = np.where(rng.random((100, 147)) < 0.1, 1, 255).astype(np.uint8)
    label[32:64, 48:96] = 0
    picture = make_picture("p", np.zeros_like(label), label, 2)
    known = label != 255
    x, y = np.array([64.0, 0.0, 144.0, 71.0]), np.array([48.0, 16.0, 96.0, 48.0])
    true = [known[32:64, 48:80].sum(), known[:32, :16].sum(), known[80:, 128:].sum(), known[32:64, 55:87].sum()]
    found = picture.painted_around(x, y, 32)
    assert found == pytest.approx(true, rel=0.02)
    whole = make_picture("p", np.zeros_like(label), np.zeros_like(label), 2)
    assert whole.painted is None
    assert not whole.painted_around(x, y, 32).any()


def test_batches_hang_on_seed_and_step_alone() -> None:
    label = np.random.default_rng(1).integers(0, 2, (90, 90), dtype=np.uint8)
    maker = _maker(label)
    forward = [maker.make(step) for step in range(4)]
    assert np.array_equal(maker.make(2).x.numpy(), forward[2].x.numpy())
    assert not np.array_equal(forward[0].x.numpy(), forward[1].x.numpy())
    with Prefetcher(maker.make, 1) as feed:
        assert np.array_equal(feed.get().x.numpy(), forward[1].x.numpy())
        assert np.array_equal(feed.get().x.numpy(), forward[2].x.numpy())


def test_an_error_while_making_a_batch_reaches_the_training() -> None:
    def broken(step: int) -> object:
        raise OSError("the disk is gone")

    with Prefetcher(broken, 0) as feed, pytest.raises(OSError, match="the disk is gone"):  # type: ignore[arg-type]
        feed.get()


def test_larger_images_come_more_often() -> None:
    assert repeats_for([10_000, 10_000, 160_000], 100) == [1, 1, 4]
    assert repeats_for([5, 10**9], 100) == [1, 8]
    assert repeats_for([5, 10**9], 0) == [1, 1]


def test_memory_budget_drops_and_reads_again(make_folder: Callable[..., Dataset]) -> None:
    dataset = make_folder(count=5)
    pictures = Pictures(dataset, ClassTable([0, 1]), 1, budget=2 * 96 * 96 * 3)
    first = pictures.load(Entry(dataset.images[0]))
    for ref in dataset.images:
        pictures.load(Entry(ref))
    assert len(pictures._kept) < 5
    again = pictures.load(Entry(dataset.images[0]))
    assert again is not first
    assert np.array_equal(again.pixels, first.pixels)
    assert all(np.array_equal(a, b) for a, b in zip(again.points, first.points, strict=True))


def test_a_label_that_was_saved_in_another_encoding_meanwhile_is_read_in_that_one(
    make_folder: Callable[..., Dataset],
) -> None:
    window = make_folder(count=2)
    window.set_encoding(INDEX)
    ids = np.zeros((96, 96), np.uint8)
    ids[20:60] = 1
    for ref in window.images:
        window.save_label(ref, ids)
    dataset = Dataset.open(window.root)
    pictures = Pictures(dataset, ClassTable([0, 1]), 1, budget=1)
    assert np.array_equal(pictures.load(Entry(dataset.images[0])).label, ids)
    window.set_encoding(BINARY)
    window.save()
    for ref in window.images:
        window.save_label(ref, ids.T)
    pictures.load(Entry(dataset.images[1]))
    assert np.array_equal(pictures.load(Entry(dataset.images[0])).label, ids.T)
    window.set_encoding(INDEX)
    dataset.set_encoding(BINARY)  # who chose it here is heeded
    window.save()
    assert np.array_equal(pictures.load(Entry(dataset.images[1])).label, ids.T)


def test_a_score_that_says_nothing_is_said(make_folder: Callable[..., Dataset]) -> None:
    dataset = make_folder(count=4, size=(96, 96))
    label = np.zeros((96, 96), np.uint8)
    dataset.save_label(dataset.images[2], label)
    events = list(prepare(dataset, TrainConfig(val="2"), CPU))
    said = [event.text for event in events if isinstance(event, Warned)]
    assert any("shows only" in text and "says nothing" in text for text in said)


def test_two_images_with_a_class_each_are_learned_from(make_folder: Callable[..., Dataset]) -> None:
    """Holding one of them back would leave a single class; a part of each is held back instead."""
    dataset = make_folder(count=2, size=(96, 96))
    dataset.set_encoding(INDEX)
    for ref, first in zip(dataset.images, (0, 1), strict=True):
        label = np.full((96, 96), 255, np.uint8)
        label[20:60, 10:90] = first
        dataset.save_label(ref, label)
    got = prepared(dataset)
    assert len(got.train) == 2
    assert len(got.val) == 2
    held = np.sum([picture.counts for picture in got.held_back], axis=0)
    assert held.all(), "one class alone would be a perfect score"
    counts = np.sum([got.pictures.load(e).counts for e in got.train], axis=0)
    assert (counts > 0).all()
    assert any("a part of each" in line for line in got.words)


def test_an_image_whose_part_would_take_the_last_of_a_class_is_whole(
    make_folder: Callable[..., Dataset],
) -> None:
    dataset = make_folder(count=3, size=(96, 96))
    dataset.set_encoding(INDEX)
    dataset.set_classes(default_classes(3))
    for number, ref in enumerate(dataset.images):
        label = np.full((96, 96), 255, np.uint8)
        label[20:60, 10:90] = 0
        label[30:40, 10:90] = 1
        if number == 1:
            label[:] = 255
            label[50, 50] = 2
        dataset.save_label(ref, label)
    got = prepared(dataset)
    assert [e.key for e in got.val] == ["0.png", "2.png"]
    assert [(e.key, e.hidden is None) for e in got.train] == [("0.png", False), ("1.png", True), ("2.png", False)]


def test_a_large_image_is_tried_through_windows(make_folder: Callable[..., Dataset]) -> None:
    """Only where something is painted, and no more than a validation has time for."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (3000, 5000), dtype=np.uint8)
    label = np.full((3000, 5000), 255, np.uint8)
    label[100:140, 100:2400] = 0
    label[2900:2950, 4000:4900] = 1
    picture = make_picture("big", pixels, label, 2)
    found = windows_of(picture, None, 100_000_000)
    assert 4 <= len(found) <= 6
    assert sum(np.array(p.counts) for p in found).tolist() == list(picture.counts)
    for p in found:
        assert p.pixels.size <= 1100 * 1100
        assert p.stats == picture.stats
        assert sum(p.counts) > 0
    assert len(windows_of(picture, None, 2 * 1024**2)) == 2
    small = make_picture("small", pixels[:64, :64], label[:64, :64], 2)
    assert windows_of(small, None, 10) == [small]
    (part,) = windows_of(picture, Rect(0, 0, 1000, 200), 10)
    assert np.array_equal(part.label, label[:200, :1000])
    assert np.array_equal(part.pixels, pixels[:200, :1000])


def test_labels_are_counted_in_strips_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    label = np.random.default_rng(0).choice(np.array([0, 1, 2, 255], np.uint8), (300, 70), p=(0.5, 0.4, 0.01, 0.09))
    whole = make_picture("a", label, label, 3)
    assert np.array_equal(histogram(label), np.bincount(label.ravel(), minlength=256))
    monkeypatch.setattr(data_module, "WHOLE", 1000)
    strips = make_picture("a", label, label, 3)
    assert np.array_equal(histogram(label), np.bincount(label.ravel(), minlength=256))
    for c, (a, b) in enumerate(zip(whole.points, strips.points, strict=True)):
        assert np.array_equal(a, b)
        assert len(a) == min(4096, whole.counts[c])
        assert (label.ravel()[a] == c).all()
