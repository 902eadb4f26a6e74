"""Getting around with the mouse: panning, the minimap and the divider of the split view."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QMouseEvent

from unet_gui.app.canvas.furniture import Furniture, Item
from unet_gui.app.canvas.viewport import Viewport


class Navigation:
    """Takes the mouse events that are not meant for the tool.

    Attributes
    ----------
    space : bool
        The space bar is held: the left button pans.
    """

    def __init__(
        self,
        view: Viewport,
        furniture: Furniture,
        *,
        on_moved: Callable[[], None],
        on_split: Callable[[float], None],
    ) -> None:
        self.space = False
        self._view = view
        self._furniture = furniture
        self._on_moved = on_moved
        self._on_split = on_split
        self._item: Item | None = None  # the piece of furniture in hand
        self._pan_from: QPointF | None = None
        self._button = Qt.MouseButton.NoButton

    @property
    def is_panning(self) -> bool:
        """Whether the picture is being moved."""
        return self._pan_from is not None

    @property
    def is_busy(self) -> bool:
        """Whether the mouse is held for getting around."""
        return self._pan_from is not None or self._item is not None

    def wants(self, button: Qt.MouseButton, at: QPointF, drawing: bool) -> bool:
        """Whether a press here is for getting around; a tool at work is only interrupted by the middle button."""
        if button == Qt.MouseButton.MiddleButton:
            return True
        return not drawing and (self.space or self._furniture.item_at(at) is not None)

    def press(self, event: QMouseEvent) -> None:
        """Begin to pan, or take hold of what stands on the canvas."""
        self._button = event.button()
        left = event.button() == Qt.MouseButton.LeftButton and not self.space
        self._item = self._furniture.item_at(event.position()) if left else None
        if self._item is None:
            self._pan_from = event.position()
        else:
            self._drag(event.position())

    def move(self, event: QMouseEvent) -> None:
        """Go on with it."""
        if not event.buttons():  # somebody else has got the release
            self.cancel()
            return
        if self._pan_from is None:
            self._drag(event.position())
            return
        scale = self._furniture.scale
        delta = (event.position() - self._pan_from) * scale
        dx, dy = round(delta.x()), round(delta.y())
        self._pan_from += QPointF(dx, dy) / scale
        self._view.pan(dx, dy)
        self._on_moved()

    def release(self, event: QMouseEvent) -> bool:
        """End it when its button is let go; return whether that was so."""
        if not self.is_busy or event.button() != self._button:
            return False
        self.cancel()
        return True

    def cancel(self) -> None:
        """Let go."""
        self._item = self._pan_from = None

    def _drag(self, at: QPointF) -> None:
        if self._item == "divider":
            self._on_split(self._furniture.split_at(at))
        elif self._furniture.map_rect() is not None:
            self._view.center_on(*self._furniture.map_point(at))
            self._on_moved()
