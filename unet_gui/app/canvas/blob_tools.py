"""Tools for whole blobs: look, reclass, delete, copy; fill holes, remove specks, grow and shrink."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import ClassVar

import numpy as np

from unet_gui.app.canvas.model_tools import NEAR, window_around
from unet_gui.app.canvas.shape_tools import box_corners
from unet_gui.app.canvas.tool import Clip, Gesture, Key, Overlay, Pointer, Tool, ToolCanvas, ToolInfo, let_eraser_work
from unet_gui.core.blobs import Specks, grown, holes, specks, surrounding
from unet_gui.core.flood import Part, flood, flood_parts, pieces
from unet_gui.core.geometry import EMPTY, Rect
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.strokes import NOTHING, Shape, box_between
from unet_gui.core.whole import Patch


class _LabelBlobTool(Tool):
    """A tool that shows the labelled blob under the pointer."""

    def __init__(self, canvas: ToolCanvas) -> None:
        super().__init__(canvas)
        self._shown: Shape = NOTHING
        self._revision = -1
        self._is_cut = False

    def blob_at(self, pointer: Pointer, window: int) -> tuple[Shape, int]:
        """Return the labelled blob under the pointer, no more of it than is in a window, and its class."""
        labels, class_id = self.target.labels, self.class_at(pointer)
        if labels is None or class_id == UNLABELLED:
            return NOTHING, UNLABELLED
        limit = window_around(*pointer.pixel, window)
        blob = flood(labels.ids, *pointer.pixel, limit=limit)
        self._is_cut = _leaves(blob[0], limit, labels.shape)
        return blob, class_id

    def class_at(self, pointer: Pointer) -> int:
        """Return the class of the pixel under the pointer, 255 outside the image."""
        labels = self.target.labels
        x, y = pointer.pixel
        inside = labels is not None and not Rect(x, y, 1, 1).clip(labels.shape).empty
        return int(labels.ids[y, x]) if labels is not None and inside else UNLABELLED

    def parts_at(self, pointer: Pointer) -> Callable[[], Iterable[Part]]:
        """Return what finds the labelled blob under the pointer, in parts."""
        labels = self.target.labels
        if labels is None or self.class_at(pointer) == UNLABELLED:
            return tuple
        return partial(flood_parts, labels.ids, *pointer.pixel)

    def hover(self, pointer: Pointer) -> None:
        labels = self.target.labels
        if labels is None or (labels.revision == self._revision and holds(self._shown, *pointer.pixel)):
            return
        self._revision = labels.revision
        self._shown, class_id = self.blob_at(pointer, NEAR)
        self.canvas.show_overlay(None if self._shown[0].empty else self.describe(self._shown, class_id))

    def describe(self, blob: Shape, class_id: int) -> Overlay:
        """Return what is shown of the blob under the pointer."""
        raise NotImplementedError

    def leave(self) -> None:
        self.cancel()

    def cancel(self) -> None:
        self._shown = NOTHING
        self._revision = -1
        super().cancel()


class BlobTool(_LabelBlobTool):
    """Shows class and area of blobs; reclasses, deletes and copies them."""

    info: ClassVar = ToolInfo(
        "blob",
        "Blobs",
        "Q",
        "Point at a blob to see its class and area. Click gives it the active class, right-click, Alt+click or Del "
        "makes it unlabelled. Drag a box and press Ctrl+C to copy what is in it, Ctrl+C alone copies the blob; "
        "Ctrl+V and a click paste, also into another image.",
        "blob",
    )

    def __init__(self, canvas: ToolCanvas) -> None:
        super().__init__(canvas)
        self._pointer: Pointer | None = None
        self._box = EMPTY
        self._pasting = False

    def gesture(self, press: Pointer) -> Gesture:
        event = press
        dragged = False
        while event.kind != "release":
            event = yield
            dragged = dragged or math.dist(event.at, press.at) > self.canvas.reach / 2
            if dragged and not self._pasting:
                self._show_box(box_between(press.at, event.at))
        if self._pasting:
            self._paste_at(event)
        elif not dragged:
            self.cancel()
            self._pointer = press
            class_id = self.class_for(press)
            self.fill(
                "Delete blob" if class_id == UNLABELLED else "Change class of blob", self.parts_at(press), class_id
            )

    def point_at(self, pointer: Pointer | None) -> BlobTool:
        """Know where the pointer is, when another tool is in hand, and return itself."""
        self._pointer = pointer
        return self

    def hover(self, pointer: Pointer) -> None:
        self._pointer = pointer
        if self._pasting:
            self._show_paste(pointer)
        elif self._box.empty:
            super().hover(pointer)

    def leave(self) -> None:
        self._pointer = None
        if self._pasting:
            self.canvas.show_overlay(None)
        elif self._box.empty:
            super().leave()

    def key(self, key: Key) -> bool:
        if key == "escape" and (self._pasting or not self._box.empty):
            self.cancel()
            return True
        if key in ("delete", "backspace") and not self._pasting:
            self._delete()
            return True
        return False

    def cancel(self) -> None:
        self._box = EMPTY
        self._pasting = False
        super().cancel()

    def copy(self) -> None:
        """Copy what is labelled in the box, or the blob under the pointer."""
        labels = self.target.labels
        if labels is None:
            return
        ids, before = labels.ids, self.canvas.clip

        def find(shape: Shape) -> Clip:
            rect, mask = shape
            mask &= ids[rect.slices] != UNLABELLED
            return Clip.of(ids[rect.slices].copy(), mask)

        def take(clip: Clip) -> None:
            self.canvas.clip = clip if clip.pixels else before
            self.canvas.say(
                f"Copied {clip.pixels} px; Ctrl+V pastes, also into another image"
                if clip.pixels
                else "Nothing labelled to copy: point at a blob or drag a box"
            )

        self.find("Copy", self._chosen(), find, take)  # meanwhile labels are held: nobody pastes what was copied before

    def _chosen(self) -> Callable[[], Iterable[Part]]:
        """Return what finds the box, or the blob under the pointer, in parts."""
        if not self._box.empty:
            return partial(pieces, self._box.intersect(self.canvas.whole_rect()))
        return tuple if self._pointer is None else self.parts_at(self._pointer)

    def paste(self) -> None:
        """Let what was copied hang at the pointer until the next click."""
        self.cancel()
        self._pasting = True
        if self._pointer is not None:
            self._show_paste(self._pointer)

    def describe(self, blob: Shape, class_id: int) -> Overlay:
        area = area_text(int(blob[1].sum()), self._pixel_size())
        text = f"{self.canvas.class_name(class_id)} · {'more than ' if self._is_cut else ''}{area}"
        return Overlay(shape=blob, class_id=class_id, text=text)

    def _pixel_size(self) -> float | None:
        source = self.target.source
        return None if source is None else source.info.pixel_size

    def _delete(self) -> None:
        if self._box.empty and self._pointer is None:
            return
        parts = self._chosen()
        self.cancel()
        self.fill("Delete blob", parts, UNLABELLED)

    def _show_box(self, box: Rect) -> None:
        self._box = box
        corners = box_corners((box.x, box.y), (box.x1, box.y1))
        self.canvas.show_overlay(Overlay(lines=[(corners, True)], text="Ctrl+C copies · Del deletes"))

    def _place(self, pointer: Pointer) -> Rect:
        clip = self.canvas.clip
        assert clip is not None
        h, w = clip.ids.shape
        return Rect(round(pointer.x - w / 2), round(pointer.y - h / 2), w, h)

    def _show_paste(self, pointer: Pointer) -> None:
        clip = self.canvas.clip
        assert clip is not None
        common = int(clip.counts.argmax())
        self.canvas.show_overlay(Overlay(shape=(self._place(pointer), clip.mask), class_id=common))

    def _paste_at(self, pointer: Pointer) -> None:
        clip = self.canvas.clip
        assert clip is not None
        place = self._place(pointer)
        known = np.zeros(256, bool)
        known[self.canvas.class_ids] = True
        all_known = known[clip.counts > 0].all()
        if not all_known:  # copied in another folder, perhaps
            self.canvas.say("Pixels of classes that this folder does not know were left out")

        def patches() -> Iterator[Patch]:
            for tile, _ in pieces(Rect(0, 0, place.w, place.h)):
                ids, mask = clip.ids[tile.slices], clip.mask[tile.slices]
                yield Patch(tile.shift(place.x, place.y), ids, mask if all_known else mask & known[ids])

        self.write("Paste", patches)


class HolesTool(_LabelBlobTool):
    """Fills the holes of a blob."""

    info: ClassVar = ToolInfo(
        "holes",
        "Fill holes",
        "Shift+F",
        "Point at a blob to see its holes, click to fill them with its class.",
        "holes",
    )

    def gesture(self, press: Pointer) -> Gesture:
        parts, class_id = self.parts_at(press), self.class_at(press)
        self.cancel()

        def write(found: Shape) -> None:
            self.fill("Fill holes", partial(pieces, *found), class_id)

        if class_id != UNLABELLED:
            self.find("Fill holes", parts, lambda blob: holes(*blob), write)
        while (yield).kind != "release":
            pass

    def describe(self, blob: Shape, class_id: int) -> Overlay:
        found = holes(*blob)
        count = int(found[1].sum())
        return Overlay(shape=found, class_id=class_id, text=f"holes: {count} px" if count else "no holes")


class SpecksTool(Tool):
    """Removes blobs that are too small."""

    info: ClassVar = ToolInfo(
        "specks",
        "Remove specks",
        "Shift+S",
        "Blobs smaller than a number of pixels are shown; Shift+wheel changes the number. Click: those in view "
        "become what surrounds them.",
        "specks",
    )
    _MOST: ClassVar[int] = 2**22  # pixels that are searched

    def __init__(self, canvas: ToolCanvas) -> None:
        super().__init__(canvas)
        self._found: tuple[Rect, Specks] | None = None
        self._key: tuple[object, ...] = ()

    def gesture(self, press: Pointer) -> Gesture:
        self._search()
        found = self._found
        self.cancel()
        if found is not None and found[1].number:
            with self.editing("Remove specks") as edit:
                if edit is not None:
                    let_eraser_work(edit)
                    self.target.changed(edit.write(found[0], found[1].ids, found[1].mask))
        while (yield).kind != "release":
            pass

    def hover(self, pointer: Pointer) -> None:
        self._search()

    def wheel(self, steps: float, pointer: Pointer) -> bool:
        if not pointer.shift:
            return False
        size = self.canvas.options.speck_size
        step = max(1, round(size * 0.2)) * (1 if steps > 0 else -1)
        self.canvas.options.speck_size = min(max(size + step, 2), 100_000)
        self._search()
        return True

    def leave(self) -> None:
        self.cancel()

    def cancel(self) -> None:
        self._found, self._key = None, ()
        super().cancel()

    def _search(self) -> None:
        labels = self.target.labels
        if labels is None:
            return
        size, view = self.canvas.options.speck_size, self.canvas.visible_rect()
        key = (size, view, labels.revision)
        if key == self._key:
            return
        self._key = key
        area = view.grow(size).clip(labels.shape)
        if area.area > self._MOST:
            self._found = None
            self.canvas.show_overlay(Overlay(text="Zoom in to see the specks"))
            return
        found = specks(labels.ids[area.slices], size, view.shift(-area.x, -area.y))
        self._found = area, found
        text = f"{found.number} of fewer than {size} px"
        self.canvas.show_overlay(Overlay(shape=(area, found.mask), class_id=UNLABELLED, text=text))


class GrowTool(_LabelBlobTool):
    """Grows or shrinks a blob."""

    info: ClassVar = ToolInfo(
        "grow",
        "Grow or shrink",
        "Shift+W",
        "Press on a blob and drag: to the right it grows, to the left it shrinks. What it leaves becomes what "
        "surrounds it.",
        "grow",
    )
    _WINDOW: ClassVar[int] = 2048

    def gesture(self, press: Pointer) -> Gesture:
        blob, class_id = self.blob_at(press, self._WINDOW)
        labels = self.target.labels
        if blob[0].empty or labels is None:
            return
        if self._is_cut:  # where the window ends it has no border of its own to grow or shrink at
            self.canvas.say("This blob is too large to be dragged; Label ▸ Whole image grows and shrinks it")
            return
        self.cancel()
        outside = surrounding(labels.ids, *blob)
        event, distance, shape = press, 0, blob
        while event.kind != "release":
            self.canvas.show_overlay(Overlay(shape=shape, class_id=class_id, text=f"{distance:+d} px"))
            event = yield
            wanted = round((event.x - press.x) * self.canvas.zoom / max(6.0, self.canvas.zoom))
            if wanted != distance:
                distance, shape = wanted, grown(*blob, wanted)
        self.canvas.show_overlay(None)
        with self.editing("Grow" if distance > 0 else "Shrink") as edit:
            if edit is None or distance == 0:
                return
            if distance > 0:
                edit.paint(*shape, class_id)
            else:
                let_eraser_work(edit)
                edit.paint(*without(blob, shape), outside)
            self.target.changed(edit.rect)

    def describe(self, blob: Shape, class_id: int) -> Overlay:
        return Overlay(shape=blob, class_id=class_id, text=self.canvas.class_name(class_id))


def _leaves(rect: Rect, window: Rect, shape: tuple[int, int]) -> bool:
    """Whether what was found in a window of an image may go on outside."""
    at_left, at_top = rect.x <= window.x > 0, rect.y <= window.y > 0
    at_right, at_bottom = rect.x1 >= window.x1 < shape[1], rect.y1 >= window.y1 < shape[0]
    return not rect.empty and (at_left or at_top or at_right or at_bottom)


def without(shape: Shape, other: Shape) -> Shape:
    """Return the pixels of a shape that are not in another one, which lies inside its rectangle."""
    rect, mask = shape
    rest = mask.copy()
    if not other[0].empty:
        rest[other[0].shift(-rect.x, -rect.y).slices] &= ~other[1]
    return rect, rest


def holds(shape: Shape, x: int, y: int) -> bool:
    """Whether a pixel belongs to a shape."""
    rect, mask = shape
    return not Rect(x, y, 1, 1).intersect(rect).empty and bool(mask[y - rect.y, x - rect.x])


def area_text(pixels: int, pixel_size: float | None) -> str:
    """Return an area for people, in µm² too where the size of a pixel is known."""
    text = f"{pixels:,} px".replace(",", "\u202f")
    return text if pixel_size is None else f"{text} · {pixels * pixel_size**2:.4g} µm²"
