"""A pen that is moved with keys: it makes the mouse events that a hand would make, so that every tool knows it."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QApplication, QWidget

from unet_gui.app.canvas.bench import Bench
from unet_gui.app.canvas.hand import Hand

_LEFT, _NONE = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
_EDGE = 0.1
"""The part of the view, at its edges, in which the picture moves with the pen."""


class KeyPen:
    """Moves over the image in steps; touches it, or draws while it is down.

    Parameters
    ----------
    canvas : QWidget
        Gets the mouse events.
    hand : Hand
    bench : Bench
    to_widget : callable
        Returns where an image point lies on the widget.
    """

    def __init__(self, canvas: QWidget, hand: Hand, bench: Bench, to_widget: Callable[[float, float], QPointF]) -> None:
        self._canvas = canvas
        self._hand = hand
        self._bench = bench
        self._to_widget = to_widget
        self._down = False
        self.sending = False
        """Whether the event that is being handled is the pen's."""

    @property
    def is_down(self) -> bool:
        """Whether the pen draws. Esc takes back what it has drawn, and lifts it."""
        return self._down and self._hand.is_busy

    def move(self, dx: int, dy: int, fine: bool = False) -> None:
        """Go some steps, or with ``fine`` some pixels; the picture follows at its edge."""
        view, image = self._bench.visible_rect(), self._bench.whole_rect()
        if view.empty:
            return
        length = 1.0 if fine else self._step()
        x, y = self._at()
        x = min(max(x + dx * length, 0.5), image.w - 0.5)
        y = min(max(y + dy * length, 0.5), image.h - 0.5)
        beyond_x = _beyond(x, (view.x, view.x1), image.w)
        beyond_y = _beyond(y, (view.y, view.y1), image.h)
        if beyond_x or beyond_y:
            self._bench.pan_by(-beyond_x, -beyond_y)
        self._send(QEvent.Type.MouseMove, (x, y), _NONE)

    def toggle(self) -> None:
        """Put the pen down, or lift it."""
        at = self._at()
        if self.is_down:
            self._down = False
            self._send(QEvent.Type.MouseButtonRelease, at, _LEFT)
        else:
            self._send(QEvent.Type.MouseMove, at, _NONE)
            self._down = True
            self._send(QEvent.Type.MouseButtonPress, at, _LEFT)

    def click(self) -> None:
        """Touch the image once; ends a stroke under way."""
        if not self.is_down:
            self.toggle()
        self._down = False
        self._send(QEvent.Type.MouseButtonRelease, self._at(), _LEFT)

    def _at(self) -> tuple[float, float]:
        """Return where the pen is: at the pointer, or in the middle of the view when that is elsewhere."""
        if self._hand.pointer is not None:
            return self._hand.pointer.at
        view = self._bench.visible_rect()
        return view.x + view.w // 2 + 0.5, view.y + view.h // 2 + 0.5

    def _step(self) -> float:
        """Return half the brush, or, for tools without one, some screen pixels; a pixel of the image at least."""
        bench = self._bench
        length = bench.brush.diameter(bench.zoom) / 2 if self._hand.tool.ring else 8 * bench.scale / bench.zoom
        return max(1.0, float(round(length)))

    def _send(self, kind: QEvent.Type, at: tuple[float, float], button: Qt.MouseButton) -> None:
        self._canvas.setFocus(Qt.FocusReason.ShortcutFocusReason)  # so that Enter and Esc reach the tool
        place = self._to_widget(*at)
        held = _LEFT if self._down else _NONE
        event = QMouseEvent(kind, place, self._canvas.mapToGlobal(place), button, held, Qt.KeyboardModifier.NoModifier)
        self.sending = True
        try:
            QApplication.sendEvent(self._canvas, event)
        finally:
            self.sending = False


def _beyond(at: float, view: tuple[int, int], length: int) -> float:
    """Return how far a place is in the edge of the view, or past it, where the image goes on; negative at the left."""
    edge = (view[1] - view[0]) * _EDGE
    if view[0] > 0 and at < view[0] + edge:
        return max(at - view[0] - edge, -float(view[0]))
    if view[1] < length and at > view[1] - edge:
        return min(at - view[1] + edge, float(length - view[1]))
    return 0.0
