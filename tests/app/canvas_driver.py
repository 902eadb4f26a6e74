"""A canvas with a document, driven with real events."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QImage, QInputDevice, QMouseEvent, QPointingDevice, QTabletEvent, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from unet_gui.app.canvas.document import LabelDocument
from unet_gui.app.canvas.view import CanvasView
from unet_gui.core.cv import cv2
from unet_gui.core.geometry import Rect
from unet_gui.core.images import open_image
from unet_gui.core.labels import LabelImage
from unet_gui.core.palette import default_classes


def picture(path: Path, height: int, width: int, channels: int = 1, dtype: type = np.uint8) -> Path:
    """Write a smooth picture with some texture, the same every time."""
    rng = np.random.default_rng(height * width)
    noise = rng.random((height // 8 + 2, width // 8 + 2, channels)).astype(np.float32)
    pixels = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, channels)
    top = np.iinfo(dtype).max
    ok, data = cv2.imencode(path.suffix, (np.clip(pixels, 0, 1) * top).astype(dtype))
    assert ok
    path.write_bytes(data.tobytes())
    return path


class Driver:
    """A shown canvas and its document; points are image coordinates unless said otherwise."""

    def __init__(self, qtbot: QtBot, path: Path, size: tuple[int, int] = (600, 400), tool: str = "brush") -> None:
        self._qtbot = qtbot
        self._devices: list[QPointingDevice] = []  # Qt keeps pointers to them
        self.source = open_image(path)
        self.doc = LabelDocument(LabelImage.unlabelled(self.source.shape), self.source)
        self.view = CanvasView()
        self.view.resize(*size)
        qtbot.addWidget(self.view)
        self.doc.changed_rect.connect(self.view.refresh)
        self.view.set_target(self.doc)
        self.view.set_image(self.source)
        self.view.set_label(self.doc.labels)
        self.view.set_classes(default_classes(4))
        self.view.set_tool(tool)
        self.view.show()
        qtbot.waitExposed(self.view)
        self.settle()

    @property
    def ids(self) -> np.ndarray:
        assert self.doc.labels is not None
        return self.doc.labels.ids

    def settle(self) -> None:
        """Wait until everything in view has been read and painted."""
        self._qtbot.waitUntil(lambda: self.view.is_complete, timeout=20_000)
        QApplication.processEvents()

    def paint_label(self, rect: Rect, class_id: int = 1) -> None:
        """Change the label as nobody's gesture does."""
        assert self.doc.labels is not None
        with self.doc.labels.edit("test") as edit:
            self.doc.changed(edit.paint(rect, None, class_id))

    def place(self, x: float, y: float) -> QPoint:
        """Return the widget's pixel whose middle is nearest to the middle of image pixel (x, y)."""
        at = self.view.to_widget(x + 0.5, y + 0.5)
        return QPoint(int(np.floor(at.x())), int(np.floor(at.y())))

    def at(self, x: float, y: float) -> tuple[int, int]:
        """Return row and column of an image pixel on the screenshot."""
        sx, sy = self.view.view.to_screen(x + 0.5, y + 0.5)
        return int(sy), int(sx)

    def drag(
        self,
        points: Sequence[tuple[float, float]],
        button: Qt.MouseButton = Qt.MouseButton.LeftButton,
        modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier,
    ) -> None:
        """Press at the first point, move over the others, release at the last."""
        places = [self.place(*p) for p in points]
        self.drag_screen([(p.x(), p.y()) for p in places], button, modifiers)

    def drag_screen(
        self,
        points: Sequence[tuple[int, int]],
        button: Qt.MouseButton = Qt.MouseButton.LeftButton,
        modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier,
    ) -> None:
        """The same in widget coordinates."""
        places = [QPoint(*p) for p in points]
        QTest.mousePress(self.view, button, modifiers, places[0])
        for place in places[1:]:
            QTest.mouseMove(self.view, place)
        QTest.mouseRelease(self.view, button, modifiers, places[-1])

    def click(self, x: float, y: float, button: Qt.MouseButton = Qt.MouseButton.LeftButton, **held) -> None:
        """Click an image pixel."""
        QTest.mouseClick(self.view, button, held.get("modifiers", Qt.KeyboardModifier.NoModifier), self.place(x, y))

    def hover(self, x: float, y: float, modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
        """Move the mouse with no button held."""
        self.mouse(QEvent.Type.MouseMove, x, y, Qt.MouseButton.NoButton, modifiers)

    def mouse(
        self,
        kind: QEvent.Type,
        x: float,
        y: float,
        button: Qt.MouseButton = Qt.MouseButton.LeftButton,
        modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier,
    ) -> None:
        """Send one event of the mouse, with keys held."""
        at = QPointF(self.place(x, y))
        changed = Qt.MouseButton.NoButton if kind == QEvent.Type.MouseMove else button
        held = Qt.MouseButton.NoButton if kind == QEvent.Type.MouseButtonRelease else button
        event = QMouseEvent(kind, at, QPointF(self.view.mapToGlobal(at)), changed, held, modifiers)
        QApplication.sendEvent(self.view, event)

    def key(self, key: Qt.Key, modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
        """Press and let go of a key."""
        QTest.keyClick(self.view, key, modifiers)

    def wheel(
        self, x: float, y: float, notches: float, modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier
    ) -> None:
        """Turn the wheel over an image pixel."""
        at = QPointF(self.place(x, y))
        event = QWheelEvent(
            at,
            QPointF(self.view.mapToGlobal(at)),
            QPoint(),
            QPoint(0, round(120 * notches)),
            Qt.MouseButton.NoButton,
            modifiers,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(self.view, event)

    def pen(
        self,
        kind: QEvent.Type,
        x: float,
        y: float,
        pressure: float,
        eraser: bool = False,
        button: Qt.MouseButton = Qt.MouseButton.LeftButton,
    ) -> None:
        """Send an event of a tablet's pen: of its tip, or of a button on its barrel."""
        pointer = QPointingDevice.PointerType.Eraser if eraser else QPointingDevice.PointerType.Pen
        device = QPointingDevice(
            "pen",
            1,
            QInputDevice.DeviceType.Stylus,
            pointer,
            QInputDevice.Capability.Position | QInputDevice.Capability.Pressure,
            1,
            1,
        )
        at = QPointF(self.place(x, y))
        held = Qt.MouseButton.NoButton if kind == QEvent.Type.TabletRelease else button
        button = Qt.MouseButton.NoButton if kind == QEvent.Type.TabletMove else button
        event = QTabletEvent(
            kind,
            device,
            at,
            QPointF(self.view.mapToGlobal(at)),
            pressure,
            0.0,
            0.0,
            0.0,
            0.0,
            0.0,
            Qt.KeyboardModifier.NoModifier,
            button,
            held,
        )
        QApplication.sendEvent(self.view, event)
        self._devices.append(device)

    def tool(self, name: str) -> None:
        """Take a tool in hand at zoom 2, so that every image pixel can be hit exactly."""
        self.view.set_tool(name)
        self.view.zoom_to(2)
        self.settle()

    def labelled(self) -> np.ndarray:
        """Return where the label says anything."""
        return self.ids != 255

    def leave(self) -> None:
        """Take the mouse away."""
        QApplication.sendEvent(self.view, QEvent(QEvent.Type.Leave))

    def screen(self) -> np.ndarray:
        """Return what the widget shows, (h, w, 3) RGB, in screen pixels."""
        self.settle()
        image = self.view.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
        pixels = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.width(), 4)
        return pixels[..., 2::-1].copy()

    def close(self) -> None:
        """Close the canvas, then the image."""
        self.view.close()
        self.source.close()
