"""Two fingers: on a touchpad as the system's own gesture, on a screen as touches."""

from __future__ import annotations

from typing import NamedTuple

from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtGui import QNativeGestureEvent
from PySide6.QtWidgets import QGestureEvent, QPinchGesture, QWidget


class Pinch(NamedTuple):
    """What two fingers do.

    Attributes
    ----------
    factor : float
        How much larger the picture becomes.
    at : QPointF
        The point of the widget that stays in place.
    by : QPointF
        How far the fingers have gone, in widget pixels.
    first : bool
        The gesture has just begun.
    """

    factor: float
    at: QPointF
    by: QPointF
    first: bool = False


def pinch_of(event: QEvent, widget: QWidget) -> Pinch | None:
    """Return what two fingers do in this event, None when it is another one."""
    if isinstance(event, QNativeGestureEvent):
        kind = event.gestureType()
        if kind == Qt.NativeGestureType.ZoomNativeGesture:
            return Pinch(max(0.1, 1 + event.value()), event.position(), QPointF())
        if kind == Qt.NativeGestureType.PanNativeGesture:
            return Pinch(1.0, event.position(), event.delta())
        return None
    if isinstance(event, QGestureEvent):
        gesture = event.gesture(Qt.GestureType.PinchGesture)
        if isinstance(gesture, QPinchGesture):
            at = QPointF(widget.mapFromGlobal(gesture.centerPoint().toPoint()))
            by = gesture.centerPoint() - gesture.lastCenterPoint()
            first = gesture.state() == Qt.GestureState.GestureStarted
            return Pinch(gesture.scaleFactor(), at, QPointF() if first else by, first)
    return None
