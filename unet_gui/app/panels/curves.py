"""The live curves of a training: loss and validation score. pyqtgraph is imported with the first curve, not before."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QVBoxLayout, QWidget

from unet_gui.app import theme
from unet_gui.app.widgets import label, row

MAX_POINTS = 2000
"""Points of the loss that are drawn; more are thinned, nobody sees the difference."""


class Curves(QWidget):
    """Loss (grey, on a scale of its own) and validation score (accent, 0…1) over seconds, their last values above.

    Attributes
    ----------
    loss, score : list of (float, float)
        Seconds and value.
    loss_text, score_text : QLabel
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFixedHeight(140)
        self.setProperty("role", "curves")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setAccessibleName("Training curves")
        self.loss_text, self.score_text = label("", "muted"), label("", "accent")
        self.loss: list[tuple[float, float]] = []
        self.score: list[tuple[float, float]] = []
        self._score_name = "score"
        self._plot: Any = None
        self._items: dict[str, Any] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        top = row(self.loss_text, 1, self.score_text)
        top.setContentsMargins(8, 5, 8, 0)
        layout.addLayout(top)
        layout.addStretch(1)

    def clear(self, score_name: str = "score") -> None:
        """Begin a new training."""
        self.loss, self.score = [], []
        self._score_name = score_name
        self._draw()

    def add_loss(self, seconds: float, loss: float) -> None:
        """Add a point to the loss."""
        self.loss.append((seconds, loss))
        if len(self.loss) > MAX_POINTS:
            self.loss = self.loss[::2]
        self._draw()

    def add_score(self, seconds: float, score: float, name: str) -> None:
        """Add a point to the validation score."""
        self._score_name = name
        self.score.append((seconds, score))
        self._draw()

    def retheme(self) -> None:
        """Take the colours of the theme of the moment."""
        if self._plot is not None:
            self._color()

    def _build(self) -> None:
        import pyqtgraph as pg

        self._plot = pg.PlotWidget(self, enableMenu=False)
        item = self._plot.getPlotItem()
        item.hideButtons()
        item.setMouseEnabled(x=False, y=False)
        item.hideAxis("left")
        item.setContentsMargins(4, 2, 4, 2)
        item.getViewBox().setDefaultPadding(0.04)
        self._plot.setFrameShape(self._plot.Shape.NoFrame)
        self._plot.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._plot.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        for name in ("loss", "score"):
            self._items[name] = item.plot([], [], antialias=True)
        self._items["dot"] = pg.ScatterPlotItem(size=7, pen=None)
        item.addItem(self._items["dot"])
        item.setYRange(0, 1.08, padding=0)
        self.layout().addWidget(self._plot, 1000)  # type: ignore[union-attr, call-arg]
        self._color()

    def _color(self) -> None:
        import pyqtgraph as pg

        colors = theme.current()
        self._plot.setBackground(QColor(colors.field))
        axis = self._plot.getPlotItem().getAxis("bottom")
        axis.setPen(pg.mkPen(colors.strong_line))
        axis.setTextPen(pg.mkPen(colors.muted))
        axis.setStyle(tickLength=-4, maxTickLevel=0)
        self._plot.getPlotItem().showGrid(x=False, y=True, alpha=0.12)
        for name, color in (("loss", colors.muted), ("score", colors.accent)):
            self._items[name].setPen(pg.mkPen(color, width=1.6 if name == "score" else 1.2))
        self._items["dot"].setBrush(QColor(colors.accent))

    def _draw(self) -> None:
        if self._plot is None:
            if not (self.loss or self.score):
                return
            self._build()
        # the loss has no natural scale: its largest value becomes 1
        top = max((value for _, value in self.loss[1:] or self.loss), default=1.0) or 1.0
        scaled = [(x, min(y / top, 1.08)) for x, y in self.loss]
        for name, points in (("loss", scaled), ("score", self.score)):
            self._items[name].setData([x for x, _ in points], [y for _, y in points])
        last = self.score[-1:]
        self._items["dot"].setData([x for x, _ in last], [y for _, y in last])
        self.loss_text.setText(f"loss {self.loss[-1][1]:.3g}" if self.loss else "")
        self.score_text.setText(f"{self._score_name} {last[0][1]:.3f}" if last else "")
