"""The workbench: what tools see of the canvas."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from unet_gui.app.canvas.display import to_rgb32
from unet_gui.app.canvas.scene import Scene
from unet_gui.app.canvas.target import EditTarget
from unet_gui.app.canvas.tool import Brush, Clip, Options, Overlay
from unet_gui.core.geometry import EMPTY, Rect
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.palette import ClassInfo, name_of


class Bench:
    """Implements `ToolCanvas` for the widget; tools reach it and nothing else of the window.

    Attributes
    ----------
    brush : Brush
    options : Options
        What tools remember from one use to the next.
    clip : Clip or None
        What was copied last.
    target : EditTarget or None
        What the tools work on.
    overlay : Overlay or None
        What the tool shows.
    """

    def __init__(
        self,
        scene: Scene,
        *,
        on_overlay: Callable[[Overlay | None, Overlay | None], None],
        on_steps: Callable[[], None],
        on_message: Callable[[str], None],
        on_view_moved: Callable[[], None],
    ) -> None:
        self.brush = Brush()
        self.options = Options()
        self.clip: Clip | None = None
        self.target: EditTarget | None = None
        self.overlay: Overlay | None = None
        self._scene = scene
        self._classes: dict[int, ClassInfo] = {}
        self._on_overlay = on_overlay
        self._on_steps = on_steps
        self._on_message = on_message
        self._on_view_moved = on_view_moved

    @property
    def has_label(self) -> bool:
        """Whether there is anything to work on."""
        return self.target is not None and self.target.labels is not None and self._scene.source is not None

    @property
    def scale(self) -> float:
        """Screen pixels per widget pixel."""
        return self._scene.scale

    @property
    def zoom(self) -> float:
        """Screen pixels per image pixel."""
        return self._scene.view.zoom

    @property
    def reach(self) -> float:
        """How near to a corner counts as touching it, in image pixels."""
        return 8 * self.scale / self.zoom

    @property
    def level(self) -> int:
        """The level of the image that is on screen."""
        source = self._scene.source
        return 0 if source is None else self._scene.view.level(source.levels)

    def set_classes(self, classes: Sequence[ClassInfo]) -> None:
        """Take names and colours of the classes."""
        self._classes = {c.id: c for c in classes}

    def class_name(self, class_id: int) -> str:
        """Return what the person calls a class."""
        return name_of(self._classes.values(), class_id)

    @property
    def class_ids(self) -> list[int]:
        """The classes there are, and unlabelled; any, while nobody has said."""
        return [*self._classes, UNLABELLED] if self._classes else list(range(256))

    def class_color(self, class_id: int) -> str:
        """Return the colour of a class, black for unlabelled."""
        found = self._classes.get(class_id)
        return found.color if found else "#000000"

    def visible_rect(self) -> Rect:
        """Return the image pixels in view."""
        return self._scene.visible_rect()

    def whole_rect(self, level: int = 0) -> Rect:
        """Return the rectangle of the image in pixels of a level."""
        source = self._scene.source
        if source is None:
            return EMPTY
        h, w = source.level_shape(level)
        return Rect(0, 0, w, h)

    def picture(self, rect: Rect, level: int = 0) -> NDArray[np.uint8]:
        """Return part of a level of the image as it is displayed, shape (rect.h, rect.w, 3), red first."""
        source = self._scene.source
        assert source is not None
        pixels = to_rgb32(source.read(rect, level), self._scene.display).view(np.uint8).reshape(rect.h, rect.w, 4)
        return np.ascontiguousarray(pixels[..., 2::-1])

    def show_overlay(self, overlay: Overlay | None) -> None:
        """Show a tool's shape in progress instead of the former one."""
        before, self.overlay = self.overlay, overlay
        if before is not None or overlay is not None:
            self._on_overlay(before, overlay)

    def steps_changed(self) -> None:
        """Tell that the tool in hand has other steps to undo or redo."""
        self._on_steps()

    def say(self, text: str) -> None:
        """Show a short text in the status bar; an empty one takes away what is shown."""
        self._on_message(text)

    def pan_by(self, dx: float, dy: float) -> None:
        """Move the picture by image pixels."""
        self._scene.view.pan(round(dx * self.zoom), round(dy * self.zoom))
        self._on_view_moved()

    def pick_tool_class(self, class_id: int) -> None:
        """Make a class the active one."""
        if self.target is not None:
            self.target.active_class = class_id
