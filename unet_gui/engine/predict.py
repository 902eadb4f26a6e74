"""From a picture of any size to class ids: tile by tile, the same numbers as in one piece."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from unet_gui.core.errors import UserError, is_out_of_memory
from unet_gui.core.images import ImageSource
from unet_gui.engine.device import DeviceChoice, keep_freed_memory, layout_of, pick_device
from unet_gui.engine.events import Event, TileDone, Warned
from unet_gui.engine.losses import two_logits
from unet_gui.engine.memory import physical_memory
from unet_gui.engine.model import Model
from unet_gui.engine.normalise import Stats, finite, measure, sample, to_channels
from unet_gui.engine.prediction import Prediction, Sink, as_map, decide, entropy
from unet_gui.engine.recipe import PredictConfig
from unet_gui.engine.tiles import Tile, plan_tiles
from unet_gui.engine.unet import Arch, Box, DoubleConv, UNet, pad_to
from unet_gui.engine.views import turn, turn_back, turn_box, views_of
from unet_gui.engine.winograd import speed_up

T = TypeVar("T")

SMALLEST_TILE, LARGEST_TILE = 64, 4096
VIEWED_PIXELS = 4_000_000
"""Larger images are seen from one side only, unless test-time augmentation is asked for: they would take too long."""
CPU_TILE_BYTES = 400 << 20
TOGETHER_PIXELS = 512 * 512
"""Small images are computed together up to so many pixels on a processor, 16 times as many on a graphics card."""
GPU_SHARE = 0.5


def folded(net: UNet) -> UNet:
    """Return a copy for prediction: batch normalisation folded into the convolutions."""
    net = copy.deepcopy(net).eval()
    for module in net.modules():
        if isinstance(module, DoubleConv):
            parts = module.double_conv
            for conv, norm in ((0, 1), (3, 4)):
                before, after = parts[conv], parts[norm]
                if isinstance(before, nn.Conv2d) and isinstance(after, nn.BatchNorm2d):
                    parts[conv] = fuse_conv_bn_eval(before, after)
                    parts[norm] = nn.Identity()
    for weight in net.parameters():
        weight.requires_grad_(False)
    return net


def bytes_per_pixel(arch: Arch) -> float:
    """Estimate the memory a tile needs, per pixel, in 32 bits: the finest scale has most of it."""
    finest = arch.widths[0] * 2 + (arch.up_widths[-1] * 3 if arch.depth else 0)
    per_block = finest + sum(w / 4**i for i, w in enumerate(arch.widths)) * 2
    return 4 * (per_block / arch.stem**2 + 3 * arch.classes + 2 * arch.in_channels)


class Predictor:
    """A model made ready for one device.

    Parameters
    ----------
    model : Model
        Is copied, not changed.
    config : PredictConfig, optional
        Device, tile, batch, operating point, what to return.

    Attributes
    ----------
    device : DeviceChoice
    tile, batch : int
        As they are now: smaller than at first if memory ran out.
    views : list of (int, bool)
        Quarter turns and mirroring of each view that an image of usual size is averaged over.
    """

    def __init__(self, model: Model, config: PredictConfig | None = None, device: DeviceChoice | None = None) -> None:
        config = config or PredictConfig()
        self.config = config
        self.device = device or pick_device(config.device)
        self.info, self.arch, self.normalisation = model.info, model.arch, model.normalisation
        views = list(views_of(model.symmetries))
        if not config.tta:  # without quarter turns: a mirror and its half turn give most of the gain
            views = [view for view in views if view[0] in (0, 2)][: model.views]
        self.views = views
        self.compared = views if len(views) > 2 else [v for v in views_of(model.symmetries) if v[0] in (0, 2)]
        if config.disagreement and len(self.compared) < 2:
            raise UserError(
                "This model was trained without flips, so its answers for flipped images cannot be compared.",
                hint="Ask for the uncertainty instead.",
            )
        if self.device.type == "cpu":
            keep_freed_memory()
        net = folded(model.net)
        if self.device.type == "cpu" and config.precision != "bf16":
            net = speed_up(net)
        self._layout = layout_of(self.device.type)
        self.net: UNet = net.to(self.device.torch, memory_format=self._layout)  # type: ignore[call-overload]
        offsets = config.offsets or model.offsets
        if len(offsets) != self.arch.classes:
            raise UserError(
                f"The operating point has {len(offsets)} numbers, but the model has {self.arch.classes} classes.",
                hint="Give one number for each class.",
            )
        self.offsets = torch.tensor(offsets, dtype=torch.float32, device=self.device.torch)
        self.table = np.zeros(256, np.uint8)
        self.table[: len(self.info.classes)] = [c.id for c in self.info.classes]
        self.plain_ids = [c.id for c in self.info.classes] == list(range(len(self.info.classes)))
        self._side = torch.cuda.Stream(self.device.torch) if self.device.type == "cuda" else None  # type: ignore[no-untyped-call]
        self.batch = config.batch or (1 if self.device.type == "cpu" else 4)
        self.tile = config.tile or self._best_tile()
        self.together_pixels = TOGETHER_PIXELS * (1 if self.device.type == "cpu" else 16)
        self._warned: set[str] = set()

    def _best_tile(self) -> int:
        if self.device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self.device.torch)
            budget = free * GPU_SHARE / (self.batch * len(self.compared if self.config.disagreement else self.views))
        elif self.device.type == "mps":
            budget = torch.mps.recommended_max_memory() * GPU_SHARE / 4
        else:
            budget = CPU_TILE_BYTES
        if not self.arch.shift_consistent:  # tiles would change the numbers: in one piece as far as memory reaches
            budget = max(budget, physical_memory() / 4) if self.device.type == "cpu" else budget
            return max(SMALLEST_TILE, int(math.sqrt(budget / bytes_per_pixel(self.arch))))
        side = int(math.sqrt(budget / bytes_per_pixel(self.arch))) - 2 * self.arch.halo
        return max(SMALLEST_TILE, min(side, LARGEST_TILE) // self.arch.align * self.arch.align)

    def predict(
        self, source: ImageSource | NDArray, item: int = 0, stats: Stats | None = None, sink: Sink | None = None
    ) -> Generator[Event, None, Prediction]:
        """Predict one image.

        Parameters
        ----------
        source : ImageSource or ndarray
            ``(h, w)`` or ``(h, w, c)``.
        item : int
            Number to put into the events.
        stats : Stats, optional
            Mean and spread of the image, if already measured.
        sink : Sink, optional
            Gets the rows as they are ready; the `Prediction` returned then has only the means.

        Yields
        ------
        TileDone, Warned

        Returns
        -------
        Prediction

        Raises
        ------
        UserError
            The image does not fit the model, or does not fit into memory even in the smallest tiles.
        """
        if stats is None:
            stats = self.measure(source)
        while True:
            try:
                return (yield from self._predict(source, item, stats, sink))
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                message = self._shrink(error)
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            if message:
                yield Warned(message)

    def together(self, shape: tuple[int, int], lanes: int = 1) -> int:
        """Return how many images of this size `predict_alike` should get at once, in each of so many threads."""
        if len(plan_tiles(shape, self.tile, self.arch.halo, self.arch.align)) > 1:
            return 1
        pixels = self.together_pixels
        if lanes > 1:
            pixels = min(pixels, int(CPU_TILE_BYTES / bytes_per_pixel(self.arch)) // lanes)
        return self.config.batch or max(1, pixels // (shape[0] * shape[1]))

    def lanes(self, shape: tuple[int, int]) -> int:
        """Return how many threads should each compute images of this size; 1: all cores should share each image."""
        count = torch.get_num_threads() if self.device.type == "cpu" else 1
        needed = count * shape[0] * shape[1] * bytes_per_pixel(self.arch)
        return count if needed <= 2 * CPU_TILE_BYTES else 1

    def predict_alike(
        self, sources: Sequence[NDArray], items: Sequence[int], stats: Sequence[Stats]
    ) -> Generator[Event, None, list[Prediction]]:
        """Predict images of one size, each not larger than a tile, at once: as `predict` of each, in less time.

        Every layer of the network costs some time however small the picture is.

        Parameters
        ----------
        sources : sequence of ndarray
            ``(h, w)`` or ``(h, w, c)``.
        items : sequence of int
            Numbers to put into the events.
        stats : sequence of Stats
            From `measure`.

        Yields
        ------
        TileDone, Warned

        Returns
        -------
        list of Prediction

        Raises
        ------
        UserError
            As `predict`.
        """
        if len(sources) == 1:
            return [(yield from self.predict(sources[0], items[0], stats[0]))]
        try:
            found = self._predict_alike(sources, stats)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        else:
            yield from (TileDone(item, 1, 1) for item in items)
            return found
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        half = len(sources) // 2
        self.together_pixels = half * sources[0].shape[0] * sources[0].shape[1]
        text = self._once("batch", "Memory ran out: computing fewer images at once. The result is the same.")
        if text:
            yield Warned(text)
        first = yield from self.predict_alike(sources[:half], items[:half], stats[:half])
        return first + (yield from self.predict_alike(sources[half:], items[half:], stats[half:]))

    def _predict_alike(self, sources: Sequence[NDArray], stats: Sequence[Stats]) -> list[Prediction]:
        h, w = sources[0].shape[:2]
        tiles = plan_tiles((h, w), self.tile, self.arch.halo, self.arch.align)
        each = [self._load(source, tiles, s) for source, s in zip(sources, stats, strict=True)]
        with torch.cuda.stream(self._side) if self._side is not None else nullcontext():  # where they are on their way
            batch = torch.cat(each)
        logits, spread = self._answer(batch, _core(tiles[0]), self._views_of(sources[0]))
        count = len(sources)
        whole = Prediction.blank((count * h, w), self.arch.classes, self.config)  # one below the other
        self._store((slice(None), slice(None)), logits.transpose(0, 1).reshape(-1, count * h, w), whole)
        if spread is not None and whole.disagreement is not None:
            whole.disagreement[:] = as_map(spread.reshape(count * h, w), whole.disagreement.dtype)
        return [whole.rows(i * h, (i + 1) * h) for i in range(count)]

    def measure(self, source: ImageSource | NDArray) -> Stats:
        """Return the image's mean and spread as the model wants them."""
        if self.normalisation.kind != "image":
            return Stats((), ())
        return measure(to_channels(sample(source), self.arch.in_channels))

    def _shrink(self, error: BaseException) -> str:
        """Halve the batch, then the tile; return what to say, once."""
        if self.batch > 1:
            self.batch //= 2
            return self._once("batch", "Memory ran out: computing fewer tiles at once. The result is the same.")
        if self.tile // 2 < max(SMALLEST_TILE, self.arch.align):
            raise UserError(
                "There is not enough memory for this model.", hint="Close other programs.", details=str(error)
            ) from error
        self.tile = self.tile // 2
        return self._once("tile", "Memory ran out: computing in smaller tiles. The result is the same.")

    def _once(self, key: str, text: str) -> str:
        if key in self._warned:
            return ""
        self._warned.add(key)
        return text

    def _predict(
        self, source: ImageSource | NDArray, item: int, stats: Stats, sink: Sink | None
    ) -> Generator[Event, None, Prediction]:
        h, w = source.shape[:2]
        tiles = plan_tiles((h, w), self.tile, self.arch.halo, self.arch.align)
        if len(tiles) > 1 and not self.arch.shift_consistent:
            text = self._once(
                "aligned",
                "This kind of network (bilinear with aligned corners) gives slightly different numbers in tiles; "
                "the image is too large to be computed in one piece.",
            )
            if text:
                yield Warned(text)
        if sink is not None:
            sink.start((h, w), self.arch.classes)
        done, sums = 0, np.zeros(2)
        for rows in [tiles] if sink is None else _by_rows(tiles):
            top, bottom = rows[0].core.y, rows[-1].core.y1
            part = Prediction.blank((bottom - top, w), self.arch.classes, self.config)
            for group, batch in self._read_ahead(source, list(_groups(rows, self.batch)), stats):
                self._compute(source, group, batch, part, top)
                done += len(group)
                yield TileDone(item, done, len(tiles))
            sums += part.sums()
            if sink is not None:
                sink.put(part)
        uncertainty, disagreement = (float(v) for v in sums / (h * w))
        return dataclasses.replace(part, mean_uncertainty=uncertainty, mean_disagreement=disagreement)

    def _read_ahead(
        self, source: ImageSource | NDArray, groups: list[list[Tile]], stats: Stats
    ) -> Iterator[tuple[list[Tile], Tensor]]:
        """Yield the groups with their pixels, the next group's being read meanwhile where they come from a file."""
        if isinstance(source, np.ndarray) or len(groups) < 2:
            yield from ((group, self._load(source, group, stats)) for group in groups)
            return
        with ThreadPoolExecutor(1, "read-tiles") as reader:
            coming = reader.submit(self._load, source, groups[0], stats)
            for group, after in zip(groups, [*groups[1:], None], strict=True):
                batch = coming.result()
                if after is not None:
                    coming = reader.submit(self._load, source, after, stats)
                yield group, batch

    def _compute(
        self, source: ImageSource | NDArray, tiles: list[Tile], batch: Tensor, part: Prediction, top: int
    ) -> None:
        """Put the answer for some tiles into the part of the image that begins at row ``top``."""
        logits, spread = self._answer(batch, _core(tiles[0]), self._views_of(source))
        for i, tile in enumerate(tiles):
            rows, columns = tile.core.slices
            box = (slice(rows.start - top, rows.stop - top), columns)
            self._store(box, logits[i], part)
            if spread is not None and part.disagreement is not None:
                part.disagreement[box] = as_map(spread[i], part.disagreement.dtype)

    def _views_of(self, source: ImageSource | NDArray) -> list[tuple[int, bool]]:
        large = source.shape[0] * source.shape[1] > VIEWED_PIXELS and not self.config.tta
        return self.views[:1] if large else self.views

    def answer(self, source: ImageSource | NDArray, tile: Tile, stats: Stats) -> Tensor:
        """Return the logits of one tile, ``(classes, h, w)`` without the margin."""
        return self.logits(self._load(source, [tile], stats), _core(tile), self._views_of(source))[0]

    def _load(self, source: ImageSource | NDArray, tiles: list[Tile], stats: Stats) -> Tensor:
        """Return the tiles as the network's input, ``(n, c, h, w)``; on its way to a graphics card, if there is one."""
        arrays = []
        for tile in tiles:
            rect = tile.region.clip(source.shape[:2])
            pixels = source[rect.slices] if isinstance(source, np.ndarray) else source.read(rect)
            x = finite(to_channels(pixels, self.arch.in_channels), stats.mean or self.normalisation.mean)
            x = self.normalisation.apply(x, stats) if self._side is None else x
            arrays.append(x[..., None] if x.ndim == 2 else x)
        batch = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)
        if self._side is None:
            return pad_to(batch, self.arch.align)
        shift, scale = (torch.from_numpy(v).pin_memory() for v in self.normalisation.numbers(stats, batch.shape[1]))
        with torch.cuda.stream(self._side):  # fetched and made floats while the tiles before are computed
            raw, less, times = (v.to(self.device.torch, non_blocking=True) for v in (batch.pin_memory(), shift, scale))
            floats = (raw.float() - less[:, None, None]) * times[:, None, None]
            return pad_to(floats.clamp_(-self.normalisation.limit, self.normalisation.limit), self.arch.align)

    def _answer(self, batch: Tensor, core: Box, views: Sequence[tuple[int, bool]]) -> tuple[Tensor, Tensor | None]:
        """Return the logits, and how far the views lie apart where that is asked for."""
        if self.config.disagreement:
            return self.compare(batch, core, views)
        return self.logits(batch, core, views), None

    def logits(self, batch: Tensor, core: Box, views: Sequence[tuple[int, bool]]) -> Tensor:
        """Return the ``core`` of the logits of an aligned batch, or of log-probabilities over several views.

        Parameters
        ----------
        batch : Tensor
            ``(n, channels, h, w)``.
        core : Box
        views : sequence of (int, bool)
            Quarter turns and mirroring; the first one is the picture as it is.

        Returns
        -------
        Tensor
            ``(n, classes, rows, columns)`` float32.
        """
        with torch.inference_mode(), self._autocast():
            if len(views) == 1:
                return self._seen(self._moved(batch), core)
            total: Tensor | None = None
            for p in self._through(batch, core, views):
                total = p if total is None else total.add_(p)
            assert total is not None
            return (total / len(views)).clamp_min(1e-12).log()

    def compare(self, batch: Tensor, core: Box, views: Sequence[tuple[int, bool]]) -> tuple[Tensor, Tensor]:
        """Return what `logits` does, and how far the views lie apart, ``(n, rows, columns)``, 0…1."""
        with torch.inference_mode(), self._autocast():
            seen = list(self._through(batch, core, self.compared))
            said = torch.stack(seen[: len(views)]).mean(0).clamp_min(1e-12).log()
            apart = entropy(torch.stack(seen).mean(0)) - torch.stack([entropy(p) for p in seen]).mean(0)
        most = math.log(min(len(seen), self.arch.classes))
        return said, (apart / most).clamp_(0, 1)

    def _moved(self, batch: Tensor) -> Tensor:
        """Return the batch as the device wants it."""
        if self._side is not None and batch.is_cuda:
            now = torch.cuda.current_stream(self.device.torch)
            now.wait_stream(self._side)
            batch.record_stream(now)
        return batch.to(self.device.torch, non_blocking=self.device.type == "cuda").contiguous(
            memory_format=self._layout
        )

    def _through(self, batch: Tensor, core: Box, views: Sequence[tuple[int, bool]]) -> Iterator[Tensor]:
        """Yield the probabilities that each view gives, turned back."""
        batch = self._moved(batch)
        if self.device.type == "cuda":
            yield from self._at_once(batch, core, views)
            return
        for turns, mirror in views:
            seen = turn(batch, turns, mirror).contiguous(memory_format=self._layout)
            box = turn_box(core, batch.shape[-2], batch.shape[-1], turns, mirror)
            yield turn_back(self._seen(seen, box).softmax(1), turns, mirror)

    def _at_once(self, batch: Tensor, core: Box, views: Sequence[tuple[int, bool]]) -> Iterator[Tensor]:
        """Do the same for views of one shape together: a card is idle between the kernels of a small picture."""
        for odd in (0, 1):
            alike = [view for view in views if view[0] % 2 == odd]
            if alike:
                seen = torch.cat([turn(batch, *view) for view in alike])
                answer = self.net.aligned(seen.contiguous(memory_format=self._layout))
                p = two_logits(answer).float().softmax(1)
                yield from (core.cut(turn_back(part, *v)) for part, v in zip(p.chunk(len(alike)), alike, strict=True))

    def _seen(self, batch: Tensor, core: Box) -> Tensor:
        """Return the core of the network's logits."""
        if self.arch.shift_consistent:
            return two_logits(self.net.aligned(batch, core)).float()
        return two_logits(core.cut(self.net.aligned(batch))).float()

    def _autocast(self) -> AbstractContextManager[Any]:
        wish, kind = self.config.precision, self.device.type
        raw = self.normalisation.kind == "none"  # 65535 is too large for 16 bits
        if wish == "fp32" or (wish == "auto" and (kind != "cuda" or raw)):
            return nullcontext()
        dtype = torch.bfloat16 if kind == "cpu" or wish == "bf16" else torch.float16
        return torch.autocast(kind, dtype)

    def _store(self, box: tuple[slice, slice], core: Tensor, part: Prediction) -> None:
        """Decide a tile's pixels and put them in their place."""
        decided = decide(core, self.offsets).cpu().numpy()
        part.ids[box] = decided if self.plain_ids else self.table[decided]
        if part.prob is None and part.uncertainty is None:
            return
        p = core.softmax(0)
        if part.uncertainty is not None:
            part.uncertainty[box] = as_map(entropy(p) / math.log(p.shape[0]), part.uncertainty.dtype)
        if part.prob is not None:
            part.prob[(..., *box)] = as_map(p[1] if p.shape[0] == 2 else p, part.prob.dtype)


def _core(tile: Tile) -> Box:
    """Return where the tile's own pixels lie in its region."""
    x, y = tile.offset
    return Box(y, y + tile.core.h, x, x + tile.core.w)


def _by_rows(tiles: list[Tile]) -> list[list[Tile]]:
    """Return the tiles that lie side by side together."""
    return [list(row) for _, row in itertools.groupby(tiles, key=lambda tile: tile.core.y)]


def _groups(tiles: list[Tile], batch: int) -> Iterator[list[Tile]]:
    """Yield tiles that are of one size and lie alike in their margins together, at most ``batch`` at once."""
    if batch == 1:
        yield from ([tile] for tile in tiles)
        return
    alike: dict[tuple[int, ...], list[Tile]] = {}
    for tile in tiles:
        key = (tile.region.h, tile.region.w, tile.core.h, tile.core.w, *tile.offset)
        alike.setdefault(key, []).append(tile)
    for same in alike.values():
        for i in range(0, len(same), batch):
            yield same[i : i + batch]


def run(steps: Generator[Event, None, T]) -> T:
    """Run a prediction to its end and return it."""
    return told(steps)[1]


def told(steps: Generator[Event, None, T]) -> tuple[list[Event], T]:
    """Run a prediction to its end; return what it told and what it found."""
    events: list[Event] = []
    while True:
        try:
            events.append(next(steps))
        except StopIteration as stop:
            return events, stop.value
