"""The line at the bottom: what runs, and what is under the pointer."""

from __future__ import annotations

import math

from PySide6.QtCore import Qt, QTimer, Slot
from PySide6.QtGui import QAction, QResizeEvent
from PySide6.QtWidgets import QProgressBar, QSizePolicy, QStatusBar, QWidget

from unet_gui.app.widgets import Elided, button, explain, label
from unet_gui.core.text import percent

SAID_MS = 5000
HELD_MS = 3_600_000
WIDE = 1150
"""Width from which there is room for everything."""


def duration(seconds: float | None) -> str:
    """Return a time as people say it: ``0:42``, ``12:05``, ``1:02:03``; empty when unknown."""
    if seconds is None or not math.isfinite(seconds):
        return ""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


class StatusLine(QStatusBar):
    """Job, progress, time left and stop at the left; device, image and pointer at the right."""

    def __init__(self, stop: QAction, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizeGripEnabled(False)
        self.setContentsMargins(8, 0, 4, 0)
        self.setAccessibleName("Status")
        self.job = Elided("", "title", least=10)
        self.job.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Preferred)
        self.text = Elided(mode=Qt.TextElideMode.ElideMiddle)  # names and times that tell most stand at its end
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setRange(0, 1000)
        self.bar.setAccessibleName("Progress")
        self.stop = button("Stop", "link")
        explain(self.stop, stop)
        self.stop.clicked.connect(stop.trigger)
        self.device, self.image = Elided(least=10), Elided(mode=Qt.TextElideMode.ElideLeft, least=10)
        self.place, self.value, self.class_name, self.zoom = label(), label(), Elided(least=10), label()
        for shown in (self.text, self.device, self.image, self.class_name):  # as wide as the text at most
            shown.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Preferred)
        for part in (self.job, self.text, self.bar, self.stop):
            self.addWidget(part)
        self.addWidget(QWidget(), 1)
        for widget, tip in (
            (self.device, "Where the model computes"),
            (self.image, "Image, size, depth"),
            (self.place, "Column and row under the pointer"),
            (self.value, "Value of the image there"),
            (self.class_name, "Class there: yours, and what the model says"),
            (self.zoom, "Screen pixels per image pixel"),
        ):
            widget.setToolTip(tip)
            self.addPermanentWidget(widget)
        self._set_widths()
        self._said = QTimer(self)
        self._said.setSingleShot(True)
        self._said.timeout.connect(self.forget)
        self._idle = self._running = ""
        self.set_job("")

    def _set_widths(self) -> None:
        """Keep places for what follows the pointer, so that nothing jumps; a narrow window has no room for that."""
        metrics, wide = self.fontMetrics(), self.width() >= WIDE
        self.bar.setFixedWidth(150 if wide else 70)
        for widget, text in ((self.place, "x 0000 y 0000"), (self.value, "000, 00"), (self.zoom, percent(10))):
            widget.setMinimumWidth(metrics.horizontalAdvance(text) if wide else 0)
        self._make_room()

    def _make_room(self) -> None:
        """Let what runs have the place of the image's name where there is none for both: the list shows that, too."""
        self.image.setVisible(self.width() >= WIDE or not self.job.text())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._set_widths()

    def set_job(self, title: str, text: str = "", fraction: float | None = None, left: float | None = None) -> None:
        """Show what runs; an empty title for nothing.

        Parameters
        ----------
        title, text : str
        fraction : float or None
            How much is done, 0…1; None when that is unknown.
        left : float or None
            Seconds to the end.
        """
        self.job.set_text(title)
        self.job.setVisible(bool(title))
        time_left = duration(left)
        parts = [text, f"{time_left} left" if time_left else ""]
        self._running = " · ".join(part for part in parts if part) if title else ""
        if not self._said.isActive():
            self.text.set_text(self._running if title else self._idle)
        self.bar.setVisible(bool(title))
        self.stop.setVisible(bool(title))
        self._make_room()
        self.bar.setRange(0, 0 if title and fraction is None else 1000)
        if fraction is not None:
            self.bar.setValue(round(min(max(fraction, 0), 1) * 1000))

    def set_image(self, text: str) -> None:
        """Show name, size and depth of the image."""
        metrics = self.image.fontMetrics()
        self.image.set_text(metrics.elidedText(text, Qt.TextElideMode.ElideLeft, 46 * metrics.averageCharWidth()))
        self.image.setToolTip(text or "Image, size, depth")

    def set_class_name(self, text: str) -> None:
        """Show the class under the pointer."""
        metrics = self.class_name.fontMetrics()
        room = max(24, self.width() // 36) * metrics.averageCharWidth()
        self.class_name.set_text(metrics.elidedText(text, Qt.TextElideMode.ElideRight, room))
        self.class_name.setToolTip("Class there: yours, and what the model says")

    def set_idle(self, text: str) -> None:
        """Show this while nothing runs."""
        self._idle = text
        if not self.job.text() and not self._said.isActive():
            self.text.set_text(text)

    @Slot(str)
    def say(self, text: str, ms: int = SAID_MS) -> None:
        """Show a short text for some seconds; an empty one takes away what is shown."""
        if not text:
            self.forget()
            return
        self.text.set_text(text)
        self._said.start(ms)

    @Slot(str)
    def hold(self, text: str) -> None:
        """Show a short text until an empty one, or another, takes it away."""
        self.say(text, HELD_MS)

    @Slot()
    def forget(self) -> None:
        """Take the short text away, and its timer."""
        self._said.stop()
        self.text.set_text(self._running if self.job.text() else self._idle)
