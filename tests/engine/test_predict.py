"""Tiles cannot be seen, whatever their size; any image size; memory that runs out."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from unet_gui.core.errors import UserError
from unet_gui.core.images import open_image
from unet_gui.core.model_info import ModelInfo
from unet_gui.core.palette import ClassInfo, default_classes
from unet_gui.engine.device import DeviceChoice
from unet_gui.engine.events import Event, TileDone, Warned
from unet_gui.engine.model import Model, tutorial_info
from unet_gui.engine.normalise import Normalisation
from unet_gui.engine.predict import Predictor, folded, run
from unet_gui.engine.prediction import decide
from unet_gui.engine.recipe import PredictConfig
from unet_gui.engine.tiles import plan_tiles
from unet_gui.engine.unet import Arch, Box, UNet

CPU = DeviceChoice("cpu", "")


def random_model(arch: Arch, seed: int = 0) -> Model:
    """A network with random weights and running statistics, so that folding has something to do."""
    torch.manual_seed(seed)
    net = UNet(arch)
    net.train()
    for _ in range(3):
        net(torch.randn(2, arch.in_channels, 64, 64) * 2 + 1)
    net.eval()
    classes = default_classes(arch.classes)
    return Model(
        net,
        ModelInfo(arch.to_json(), classes, arch.in_channels, Normalisation("image").to_json(), [0.0] * len(classes)),
    )


def probabilities(model: Model, image: np.ndarray, **config: object) -> np.ndarray:
    """Return float32 (c, h, w) as the predictor computes them."""
    predictor = Predictor(model, PredictConfig(**config), CPU)  # type: ignore[arg-type]
    stats = predictor.measure(image)
    arch = predictor.arch
    out = np.full((arch.classes, *image.shape[:2]), np.nan, np.float32)
    for tile in plan_tiles(image.shape[:2], predictor.tile, arch.halo, arch.align):
        out[(slice(None), *tile.core.slices)] = predictor.answer(image, tile, stats).softmax(0).numpy()
    assert not np.isnan(out).any()
    return out


@pytest.mark.parametrize(
    "arch",
    [
        Arch.plain(1, 2, 8, 4),
        Arch.plain(1, 3, 8, 3, stem=2),
        Arch(1, 2, (8, 8, 8), (8, 8), (8, 8), up="bilinear"),
        Arch.plain(1, 2, 64, 2, stem=2),  # wide enough for the other way to multiply
    ],
)
def test_tiles_cannot_be_seen(data: Path, arch: Arch) -> None:
    with open_image(data / "isbi2012/test/3.png") as source:
        image = source.read()[:389, 7:510]  # 389 × 503
    model = random_model(arch)
    whole = probabilities(model, image, tile=4096)
    for tile in (256, 384, 100):
        assert np.abs(probabilities(model, image, tile=tile) - whole).max() <= 1e-4
    with torch.inference_mode():  # and the plain network says the same
        stats = Predictor(model, PredictConfig(), CPU).measure(image)
        x = torch.from_numpy(model.normalisation.apply(image, stats))[None, None]
        plain = model.net(x).softmax(1)[0].numpy()
    assert np.abs(plain - whole).max() <= 1e-4


def test_test_time_augmentation_is_tile_independent_and_symmetric(data: Path) -> None:
    with open_image(data / "isbi2012/test/3.png") as source:
        image = source.read()[:160, :176]
    model = random_model(Arch.plain(1, 2, 4, 2))
    model.info.trained["symmetries"] = "turns"
    whole = probabilities(model, image, tta=True, tile=4096)
    assert np.abs(probabilities(model, image, tta=True, tile=64) - whole).max() <= 1e-4
    turned = probabilities(model, np.ascontiguousarray(np.rot90(image)), tta=True, tile=4096)
    assert np.abs(np.rot90(turned, -1, (1, 2)) - whole).max() <= 1e-4
    assert np.abs(probabilities(model, image, tile=4096) - whole).max() > 1e-3


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (17, 5), (64, 64, 3), (33, 47, 4), (20, 20, 1)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.int32])
def test_any_size_and_type(shape: tuple[int, ...], dtype: type) -> None:
    model = random_model(Arch.plain(1, 2, 4, 3))
    image = (np.random.default_rng(0).random(shape) * 100).astype(dtype)
    config = PredictConfig(probabilities=True, uncertainty=True, tile=64)
    result = run(Predictor(model, config, CPU).predict(image))
    assert result.ids.shape == shape[:2]
    assert result.prob is not None
    assert result.prob.shape == shape[:2]
    assert result.uncertainty is not None
    assert 0 <= result.mean_uncertainty <= 1


def test_folding_keeps_the_numbers() -> None:
    model = random_model(Arch.plain(3, 4, 8, 3))
    net = folded(model.net)
    assert not [m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    x = torch.randn(1, 3, 64, 48)
    with torch.inference_mode():
        a, b = net(x).softmax(1), model.net(x).softmax(1)
    assert float((a - b).abs().max()) < 1e-5


def test_operating_point_and_class_ids() -> None:
    logits = torch.tensor([[[0.0, 0.0, 0.0]], [[1.0, -1.0, 0.5]]])
    assert decide(logits, torch.tensor([0.0, 0.0])).tolist() == [[1, 0, 1]]
    assert decide(logits, torch.tensor([0.5, 0.0])).tolist() == [[1, 0, 1]], "a tie goes to the second class"
    assert decide(logits, torch.tensor([0.0, 2.0])).tolist() == [[1, 1, 1]]
    three = torch.tensor([[[0.0]], [[1.0]], [[0.9]]])
    assert decide(three, torch.zeros(3)).tolist() == [[1]]
    assert decide(three, torch.tensor([0.0, 0.0, 0.2])).tolist() == [[2]]
    model = random_model(Arch.plain(1, 3, 4, 1))
    model.info.classes = [ClassInfo(i, n, "#000000") for i, n in ((0, "a"), (7, "b"), (9, "c"))]
    image = np.random.default_rng(0).integers(0, 255, (40, 40), dtype=np.uint8)
    ids = run(Predictor(model, PredictConfig(offsets=(0.0, 0.3, 0.1)), CPU).predict(image)).ids
    assert set(np.unique(ids)) <= {0, 7, 9}
    with pytest.raises(UserError, match="operating point"):
        Predictor(model, PredictConfig(offsets=(0.0, 0.3)), CPU)


def test_tutorial_threshold_is_the_logit() -> None:
    arch = Arch(1, 1, (4, 8, 8), (4, 4), (4, 4), up="bilinear-aligned", bias=True)
    model = Model(random_model(arch).net, tutorial_info(arch))
    image = np.random.default_rng(0).integers(0, 255, (48, 64), dtype=np.uint8)
    with torch.inference_mode():
        logits = model.net(torch.from_numpy(image.astype(np.float32))[None, None])[0, 0]
    threshold = float(logits.median())
    model.net.outc.conv.bias.data += 0.5 - threshold  # so that both answers occur
    result = run(Predictor(model, PredictConfig(), CPU).predict(image))
    wanted = (logits - threshold + 0.5).numpy() >= 0.5
    unsure = np.abs((logits - threshold).numpy()) < 1e-4
    assert 0.3 < wanted.mean() < 0.7
    assert ((result.ids == 1) == wanted)[~unsure].all()


def test_aligned_corners_in_tiles_are_said_once() -> None:
    arch = Arch(1, 1, (4, 8, 8), (4, 4), (4, 4), up="bilinear-aligned", bias=True)
    predictor = Predictor(Model(random_model(arch).net, tutorial_info(arch)), PredictConfig(tile=64), CPU)
    image = np.zeros((200, 200), np.uint8)
    said = [e for _ in range(2) for e in predictor.predict(image) if isinstance(e, Warned)]
    assert len(said) == 1


def test_the_tutorials_network_sees_a_usual_image_in_one_piece() -> None:
    arch = Arch.tutorial()
    predictor = Predictor(Model(UNet(arch).eval(), tutorial_info(arch)), PredictConfig(), CPU)
    assert len(plan_tiles((512, 512), predictor.tile, arch.halo, arch.align)) == 1


class Forgetful(Predictor):
    """Runs out of memory on more than a few pixels, as a graphics card does."""

    limit = 0

    def logits(self, batch: torch.Tensor, core: Box, views: Sequence[tuple[int, bool]]) -> torch.Tensor:
        if batch.numel() > self.limit:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return super().logits(batch, core, views)


def test_out_of_memory_shrinks_and_says_so() -> None:
    model = random_model(Arch.plain(1, 2, 4, 2))
    image = np.random.default_rng(0).integers(0, 255, (300, 300), dtype=np.uint8)
    wanted = run(Predictor(model, PredictConfig(tile=128), CPU).predict(image)).ids
    predictor = Forgetful(model, PredictConfig(tile=128, batch=4), CPU)
    predictor.limit = 130 * 130
    results = []

    def follow() -> Iterator[Event]:
        results.append((yield from predictor.predict(image)))

    events = list(follow())
    assert np.array_equal(results[0].ids, wanted)
    assert (predictor.batch, predictor.tile) == (1, 64)
    assert len([e for e in events if isinstance(e, Warned)]) == 2
    last = events[-1]
    assert isinstance(last, TileDone)
    assert last.done == last.total
    predictor.limit = 0
    with pytest.raises(UserError, match="not enough memory"):
        run(predictor.predict(image))


def test_memory_is_bounded() -> None:
    """Of a large image only tiles are in memory as floats."""
    model = random_model(Arch.plain(1, 2, 2, 2))
    image = np.zeros((3000, 4000), np.uint8)
    predictor = Predictor(model, PredictConfig(tile=256), CPU)
    tracemalloc.start()  # numpy's part: torch's tensors are tiles
    run(predictor.predict(image))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * image.nbytes


@pytest.mark.parametrize(("h", "w"), [(1, 1), (100, 100), (513, 700), (97, 1000)])
@pytest.mark.parametrize("tile", [1, 64, 200, 5000])
def test_tiles_cover_once(h: int, w: int, tile: int) -> None:
    seen = np.zeros((h, w), int)
    for t in plan_tiles((h, w), tile, 48, 16):
        seen[t.core.slices] += 1
        assert t.region.contains(t.core)
        assert t.region.x % 16 == t.region.y % 16 == t.region.w % 16 == t.region.h % 16 == 0
        for low, high, end, size in (
            (t.region.x, t.core.x, 0, w),
            (t.region.y, t.core.y, 0, h),
        ):
            assert low == end or high - low == 48
            assert low < size
    assert (seen == 1).all()


@pytest.mark.parametrize("symmetries", ["turns", "flips", "mirror", ""])
@pytest.mark.parametrize("tta", [False, True])
def test_views_are_tile_independent_and_the_same_as_averaging_by_hand(data: Path, symmetries: str, tta: bool) -> None:
    with open_image(data / "isbi2012/test/5.png") as source:
        image = source.read()[:160, :192]
    model = random_model(Arch.plain(1, 2, 8, 2, stem=2))
    model.info.trained.update(symmetries=symmetries, views=4)
    whole = probabilities(model, image, tile=4096, tta=tta)
    assert np.abs(probabilities(model, image, tile=64, tta=tta) - whole).max() <= 1e-4
    stats = Predictor(model, PredictConfig(), CPU).measure(image)
    x = torch.from_numpy(model.normalisation.apply(image, stats))[None, None]
    quarter = {"turns": (0, 1, 2, 3), "flips": (0, 2), "mirror": (0,), "": (0,)}[symmetries]
    turns = quarter if tta else [k for k in quarter if k in (0, 2)]
    seen = []
    with torch.inference_mode():
        for k in turns:
            for mirror in (False, True) if symmetries else (False,):
                view = torch.rot90(x.flip(-1) if mirror else x, k, (-2, -1))
                back = torch.rot90(model.net(view).softmax(1), -k, (-2, -1))
                seen.append(back.flip(-1) if mirror else back)
    by_hand = torch.stack(seen).mean(0)[0].numpy()
    assert np.abs(by_hand - whole).max() <= 1e-4


@pytest.mark.parametrize("tta", [False, True])
def test_views_together_say_what_they_say_one_by_one(tta: bool) -> None:
    """How a graphics card does it, tried on the processor."""
    model = random_model(Arch.plain(1, 3, 8, 2, stem=2))
    model.info.trained.update(symmetries="turns", views=4)
    predictor = Predictor(model, PredictConfig(tta=tta), CPU)
    batch, core = torch.randn(2, 1, 64, 96), Box(8, 56, 16, 80)
    with torch.inference_mode():
        together = torch.stack(list(predictor._at_once(batch, core, predictor.views)))
        one_by_one = torch.stack(list(predictor._through(batch, core, predictor.views)))
    assert together.shape == (8 if tta else 4, 2, 3, 48, 64)
    torch.testing.assert_close(together.mean(0), one_by_one.mean(0), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("outputs", "views"), [(2, 1), (2, 2), (3, 1), (3, 4)])
def test_disagreement_of_views_is_as_by_hand_and_leaves_the_answer_alone(data: Path, outputs: int, views: int) -> None:
    with open_image(data / "isbi2012/test/5.png") as source:
        image = source.read()[:160, :192]
    model = random_model(Arch.plain(1, outputs, 8, 2, stem=2))
    model.info.trained.update(symmetries="flips", views=views)
    without = run(Predictor(model, PredictConfig(probabilities=True), CPU).predict(image))
    config = PredictConfig(probabilities=True, disagreement=True, float_maps=True)
    got = run(Predictor(model, config, CPU).predict(image))
    assert got.disagreement is not None and got.prob is not None and without.prob is not None  # noqa: PT018
    assert (got.ids == without.ids).mean() > 0.9999
    assert np.abs(got.prob - without.prob / 255).max() <= 0.5 / 255 + 1e-4
    stats = Predictor(model, PredictConfig(), CPU).measure(image)
    x = torch.from_numpy(model.normalisation.apply(image, stats))[None, None]
    seen = []
    with torch.inference_mode():
        for k in (0, 2):
            for mirror in (False, True):
                view = torch.rot90(x.flip(-1) if mirror else x, k, (-2, -1))
                back = torch.rot90(model.net(view).softmax(1), -k, (-2, -1))
                seen.append((back.flip(-1) if mirror else back)[0].double())
    entropies = [-(p * p.log()).sum(0) for p in [torch.stack(seen).mean(0), *seen]]
    by_hand = (entropies[0] - torch.stack(entropies[1:]).mean(0)) / np.log(min(outputs, 4))
    assert np.abs(by_hand.numpy() - got.disagreement).max() <= 1e-4
    assert got.mean_disagreement == pytest.approx(float(by_hand.mean()), abs=1e-4)
    assert np.isnan(got.mean_uncertainty)
    tiled = run(Predictor(model, PredictConfig(disagreement=True, float_maps=True, tile=64), CPU).predict(image))
    assert tiled.disagreement is not None
    assert np.abs(tiled.disagreement - got.disagreement).max() <= 1e-4
    symmetric = np.maximum(image, image[:, ::-1])
    symmetric = np.maximum(symmetric, symmetric[::-1])
    other = run(Predictor(model, config, CPU).predict(symmetric))
    assert other.disagreement is not None
    assert np.abs(other.disagreement - other.disagreement[::-1]).max() <= 1e-4, "a symmetric image, a symmetric map"


def test_views_of_a_model_that_knows_none_cannot_be_compared() -> None:
    with pytest.raises(UserError, match="without flips"):
        Predictor(random_model(Arch.plain(1, 2, 4, 1)), PredictConfig(disagreement=True), CPU)


def test_holes_without_numbers_are_the_mean_that_was_learned_with() -> None:
    model = random_model(Arch.plain(1, 2, 4, 2))
    model.info.normalisation.update(Normalisation("dataset", (300.0,), (5.0,)).to_json())
    model = Model(model.net, model.info)
    image = np.random.default_rng(0).normal(300, 5, (48, 56)).astype(np.float32)
    image[10:20, 10:20] = np.nan
    filled = np.where(np.isnan(image), np.float32(300), image)
    np.testing.assert_array_equal(probabilities(model, image), probabilities(model, filled))


@pytest.mark.parametrize(("kind", "reduced"), [("none", False), ("image", True)])
def test_raw_grey_values_are_too_large_for_16_bits(monkeypatch: pytest.MonkeyPatch, kind: str, reduced: bool) -> None:
    model = random_model(Arch.plain(1, 2, 4, 2))
    model.info.normalisation.update(Normalisation(kind).to_json())
    predictor = Predictor(Model(model.net, model.info), PredictConfig(), CPU)
    predictor.device = DeviceChoice("cuda:0", "")
    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr(torch, "autocast", lambda *what: asked.append(what))
    predictor._autocast()
    assert asked == [("cuda", torch.float16)] * reduced
