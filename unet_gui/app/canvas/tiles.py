"""The image as RGB32 tiles, made in the background and kept as long as there is room."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, QRunnable, Qt, QThreadPool, Signal

from unet_gui.app.canvas.display import Display, to_rgb32
from unet_gui.app.canvas.viewport import Viewport, sample_positions
from unet_gui.core.cv import cv2
from unet_gui.core.errors import UserError
from unet_gui.core.geometry import Rect
from unet_gui.core.images import ImageSource

TILE = 512
STRETCH = 1.2
"""A coarser level is shown up to this enlargement: the eye sees no difference, and it is a third of the pixels."""
HUGE = 2**24
"""Pixels from which an image is shown part by part while it is read."""


class TileKey(NamedTuple):
    """A tile: its level, column and row."""

    level: int
    tx: int
    ty: int


class _Wanted:
    """What the background threads share with the canvas: which tiles are wanted now, the most urgent first."""

    def __init__(self, source: ImageSource, display: Display, generation: int) -> None:
        self.source = source
        self.display = display
        self.generation = generation
        self.dropped = False  # another image is shown; this one may be closed at any moment
        self._lock = threading.Lock()
        self._keys: list[TileKey] = []
        self._at_work: set[TileKey] = set()
        self._jobs = 0

    def replace(self, keys: Sequence[TileKey], most_jobs: int = 0) -> int:
        """Want these tiles and no others; return how many more jobs should be started, of so many in all."""
        with self._lock:
            self._keys = [key for key in reversed(keys) if key not in self._at_work]
            more = max(0, min(len(self._keys), most_jobs - self._jobs))
            self._jobs += more
            return more

    def take(self) -> TileKey | None:
        """Return the tile to make next; with None the job that asks has to end."""
        with self._lock:
            if not self._keys:
                self._jobs -= 1
                return None
            key = self._keys.pop()
            self._at_work.add(key)
            return key

    def done(self, key: TileKey) -> None:
        with self._lock:
            self._at_work.discard(key)


class _Messenger(QObject):
    made = Signal(int, object, object)
    glimpsed = Signal(int, int, object, object)
    failed = Signal(int, object)


class _Job(QRunnable):
    """Makes wanted tiles until there is none left."""

    def __init__(self, wanted: _Wanted, messenger: _Messenger) -> None:
        super().__init__()
        self._wanted = wanted
        self._messenger = messenger

    def run(self) -> None:
        wanted = self._wanted
        while (key := wanted.take()) is not None:
            try:
                self._show_what_comes(key)
                pixels = read_tile(wanted.source, key, wanted.display)
            except (UserError, OSError, ValueError, MemoryError) as error:
                self._messenger.failed.emit(wanted.generation, error)
                wanted.replace(())
            except (AttributeError, TypeError, RuntimeError):
                if not wanted.dropped:
                    raise
                # the image was closed while it was read; nobody waits for the tile
            else:
                self._messenger.made.emit(wanted.generation, key, pixels)
            wanted.done(key)

    def _show_what_comes(self, key: TileKey) -> None:
        """Prepare a tile of a coarse level and show its parts, if only roughly: a huge picture takes seconds."""
        wanted, source = self._wanted, self._wanted.source
        if source.shape[0] * source.shape[1] < HUGE:
            return
        area = tile_rect(key, source.level_shape(key.level)).grow(1)
        for rect, level in source.prepare(area, key.level):
            if wanted.dropped:
                return
            pixels = to_rgb32(source.read(rect, level), wanted.display)
            self._messenger.glimpsed.emit(wanted.generation, level, rect, pixels)


def tile_rect(key: TileKey, shape: tuple[int, int]) -> Rect:
    """Return the pixels of a tile in its level, whose size is ``shape``."""
    return Rect(key.tx * TILE, key.ty * TILE, TILE, TILE).clip(shape)


def read_tile(source: ImageSource, key: TileKey, display: Display) -> NDArray[np.uint32]:
    """Return one tile as 0xffRRGGBB, one pixel wider on every side that has a neighbour, for smooth zooming out."""
    shape = source.level_shape(key.level)
    return to_rgb32(source.read(tile_rect(key, shape).grow(1).clip(shape), key.level), display)


class _Tile(NamedTuple):
    pixels: NDArray[np.uint32]
    x: int  # of the first pixel, in the level
    y: int
    generation: int


class _Glimpse:
    """What has come of a picture that is still being read: some level of it, and which parts are there."""

    def __init__(self, level: int, shape: tuple[int, int], generation: int) -> None:
        self.level = level
        self.tile = _Tile(np.zeros(shape, np.uint32), 0, 0, generation)
        self.rects: list[Rect] = []

    def add(self, rect: Rect, pixels: NDArray[np.uint32]) -> None:
        self.tile.pixels[rect.slices] = pixels
        last = self.rects[-1] if self.rects else rect
        both = last.union(rect)
        if self.rects and both.area == last.area + rect.area:
            self.rects[-1] = both
        else:
            self.rects.append(rect)


class ImageTiles(QObject):
    """The tiles of one image at one display setting.

    Signals
    -------
    ready(Rect)
        A tile has come; the rectangle is in image pixels.
    seen()
        All of the image has been read once: its coarsest level is at hand.
    failed(Exception)
        The image cannot be read; said once.

    Parameters
    ----------
    cap_bytes : int
        Memory for tiles; those that were looked at least recently go first.
    threads : int
        Background threads.
    """

    ready = Signal(object)
    seen = Signal()
    failed = Signal(object)

    def __init__(self, parent: QObject | None = None, *, cap_bytes: int = 256 * 2**20, threads: int = 2) -> None:
        super().__init__(parent)
        self.cap_bytes = cap_bytes
        self._tiles: OrderedDict[TileKey, _Tile] = OrderedDict()
        self._nbytes = 0
        self._generation = 0
        self._wanted: _Wanted | None = None
        self._source: ImageSource | None = None
        self._broken = False
        self._glimpse: _Glimpse | None = None
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(threads)
        self._messenger = _Messenger(self)
        self._messenger.made.connect(self._on_made, Qt.ConnectionType.QueuedConnection)
        self._messenger.glimpsed.connect(self._on_glimpsed, Qt.ConnectionType.QueuedConnection)
        self._messenger.failed.connect(self._on_failed, Qt.ConnectionType.QueuedConnection)

    @property
    def nbytes(self) -> int:
        """Memory of the tiles at hand."""
        return self._nbytes

    @property
    def source(self) -> ImageSource | None:
        """The image."""
        return self._source

    def set_source(self, source: ImageSource | None, display: Display) -> None:
        """Show another image; what is on its way is dropped. The former image may be closed at once."""
        self._drop_requests()
        if self._wanted is not None:
            self._wanted.dropped = True
        self._tiles.clear()
        self._nbytes = 0
        self._source = source
        self._start_over(display)

    def set_display(self, display: Display) -> None:
        """Use another display setting; old tiles stay on screen until the new ones arrive."""
        self._drop_requests()
        self._start_over(display)

    def stop(self) -> None:
        """Drop all requests and wait for the tiles that are being read."""
        self._drop_requests()
        self._pool.waitForDone()

    def is_complete(self, view: Viewport) -> bool:
        """Whether everything this view shows has come."""
        return self._broken or not self._missing(view)

    def request(self, view: Viewport) -> None:
        """Have the tiles made that this view needs, the middle first; other requests are dropped."""
        if self._wanted is None or self._broken:
            return
        for _ in range(self._wanted.replace(self._missing(view), self._pool.maxThreadCount())):
            self._pool.start(_Job(self._wanted, self._messenger))

    def paint(self, frame: NDArray[np.uint32], view: Viewport, screen: Rect, waiting: int) -> None:
        """Draw the image into a part of the view.

        Parameters
        ----------
        frame : ndarray of uint32, shape of the view
            0xffRRGGBB; pixels outside the image stay as they are.
        view : Viewport
        screen : Rect
            Which part.
        waiting : int
            Colour of what has not been read yet.
        """
        for key in self._keys(view, view.image_rect(screen)):
            self._paint_tile(frame, view, screen, key, waiting)

    def overview(self) -> NDArray[np.uint32] | None:
        """Return the coarsest tile, which holds the whole image; None while it has not come."""
        if self._source is None:
            return None
        tile = self._tiles.get(TileKey(self._source.levels - 1, 0, 0))
        return None if tile is None else tile.pixels

    def _start_over(self, display: Display) -> None:
        self._generation += 1
        self._broken = False
        self._glimpse = None
        self._wanted = None if self._source is None else _Wanted(self._source, display, self._generation)

    def _drop_requests(self) -> None:
        if self._wanted is not None:
            self._wanted.replace(())

    def _keys(self, view: Viewport, rect: Rect) -> list[TileKey]:
        if self._source is None or rect.empty:
            return []
        level = view.level(self._source.levels, STRETCH)
        return [TileKey(level, tx, ty) for tx, ty in rect.tiles(TILE << level)]

    def _missing(self, view: Viewport) -> list[TileKey]:
        """Return the tiles to make for this view: from the middle out, and at last the whole image at its coarsest.

        The coarsest level of a picture that was never looked at costs reading all of it; what is in view comes first.
        """
        if self._source is None:
            return []
        keys = self._keys(view, view.image_rect())
        cx, cy = view.center

        def distance(key: TileKey) -> float:
            size = TILE << key.level
            return math.hypot((key.tx + 0.5) * size - cx, (key.ty + 0.5) * size - cy)

        keys.sort(key=distance)
        keys.append(TileKey(self._source.levels - 1, 0, 0))
        return [k for k in keys if k not in self._tiles or self._tiles[k].generation != self._generation]

    def _paint_tile(self, frame: NDArray[np.uint32], view: Viewport, screen: Rect, key: TileKey, waiting: int) -> None:
        assert self._source is not None
        rect = _full_size(tile_rect(key, self._source.level_shape(key.level)), key.level, self._source.shape)
        target = view.pixels_of(rect).intersect(screen)
        if target.empty:
            return
        for up in range(self._source.levels - key.level):
            coarser = TileKey(key.level + up, key.tx >> up, key.ty >> up)
            tile = self._tiles.get(coarser)
            if tile is not None:
                self._tiles.move_to_end(coarser)
                _resample(tile, view, coarser.level, target, frame[target.slices])
                return
        frame[target.slices] = waiting
        self._paint_glimpse(frame, view, target)

    def _paint_glimpse(self, frame: NDArray[np.uint32], view: Viewport, target: Rect) -> None:
        glimpse = self._glimpse
        if glimpse is None or self._source is None:
            return
        for rect in glimpse.rects:
            area = view.pixels_of(_full_size(rect, glimpse.level, self._source.shape)).intersect(target)
            if not area.empty:
                _resample(glimpse.tile, view, glimpse.level, area, frame[area.slices])

    def _on_glimpsed(self, generation: int, level: int, rect: Rect, pixels: NDArray[np.uint32]) -> None:
        if generation != self._generation or self._source is None:
            return
        if self._glimpse is None:
            self._glimpse = _Glimpse(level, self._source.level_shape(level), generation)
        self._glimpse.add(rect, pixels)
        self.ready.emit(_full_size(rect, level, self._source.shape))

    def _on_made(self, generation: int, key: TileKey, pixels: NDArray[np.uint32]) -> None:
        if generation != self._generation or self._source is None:
            return
        self._forget(key)
        area = tile_rect(key, self._source.level_shape(key.level))
        self._tiles[key] = _Tile(pixels, max(0, area.x - 1), max(0, area.y - 1), generation)
        self._nbytes += pixels.nbytes
        whole = self._source.levels - 1
        if key.level == whole:  # from now on there is something to show of every place
            self._glimpse = None
        for other in [k for k in self._tiles if k.level != whole]:
            if self._nbytes <= self.cap_bytes:
                break
            self._forget(other)
        self.ready.emit(_full_size(area, key.level, self._source.shape))
        if key.level == whole:
            self.seen.emit()

    def _forget(self, key: TileKey) -> None:
        tile = self._tiles.pop(key, None)
        if tile is not None:
            self._nbytes -= tile.pixels.nbytes

    def _on_failed(self, generation: int, error: Exception) -> None:
        if generation == self._generation and not self._broken:
            self._broken = True
            self.failed.emit(error)


def _resample(tile: _Tile, view: Viewport, level: int, target: Rect, out: NDArray[np.uint32]) -> None:
    """Fill the screen pixels ``target`` from a tile: each shows its nearest pixel zoomed in, a blend zoomed out."""
    zoom = view.zoom * (1 << level)  # screen pixels per tile pixel
    if view.zoom >= 1 and level == 0:
        rows, _ = sample_positions(target.y, target.h, view.top, zoom, tile.y, tile.pixels.shape[0])
        columns, _ = sample_positions(target.x, target.w, view.left, zoom, tile.x, tile.pixels.shape[1])
        part = tile.pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        out[...] = part if part.shape == out.shape else part.take(columns - columns[0], axis=1)[rows - rows[0]]
        return
    step = 1 / zoom
    first_x = (target.x + view.left + 0.5) * step - tile.x - 0.5
    first_y = (target.y + view.top + 0.5) * step - tile.y - 0.5
    matrix = np.array([[step, 0, first_x], [0, step, first_y]])
    pixels = tile.pixels.view(np.uint8).reshape(*tile.pixels.shape, 4)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped = cv2.warpAffine(pixels, matrix, (target.w, target.h), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    out[...] = warped.view(np.uint32)[..., 0]


def _full_size(area: Rect, level: int, shape: tuple[int, int]) -> Rect:
    """Return the image pixels of a rectangle that is in pixels of a level."""
    return Rect(area.x << level, area.y << level, area.w << level, area.h << level).clip(shape)
