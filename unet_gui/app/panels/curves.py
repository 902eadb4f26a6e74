"""The live curves of a training: loss and validation score. pyqtgraph is imported with the first curve, not before."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QVBoxLayout, QWidget

from unet_gui.app import theme

MAX_POINTS = 2000
"""Points of the loss that are drawn; more are thinned, nobody sees the difference."""


class Curves(QWidget):
    """Loss (grey, left scale) and validation score (accent, 0…1) over seconds.

    Attributes
    ----------
    loss, score : list of (float, float)
        Seconds and value.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFixedHeight(128)
        self.setAccessibleName("Training curves")
        self.loss: list[tuple[float, float]] = []
        self.score: list[tuple[float, float]] = []
        self._score_name = "score"
        self._plot: Any = None
        self._items: dict[str, Any] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)

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
        item.setContentsMargins(4, 8, 4, 2)
        item.getViewBox().setDefaultPadding(0.04)
        self._plot.setFrameShape(self._plot.Shape.NoFrame)
        self._plot.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._plot.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        for name in ("loss", "score"):
            curve = item.plot([], [], antialias=True)
            end = pg.TextItem(anchor=(1, 1))
            item.addItem(end, ignoreBounds=True)
            self._items[name] = (curve, end)
        dot = pg.ScatterPlotItem(size=7, pen=None)
        item.addItem(dot)
        self._items["dot"] = (dot,)
        item.setYRange(0, 1.08, padding=0)
        self.layout().addWidget(self._plot)  # type: ignore[union-attr]
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
            curve, end = self._items[name]
            curve.setPen(pg.mkPen(color, width=1.6 if name == "score" else 1.2))
            end.setColor(QColor(color))
        self._items["dot"][0].setBrush(QColor(colors.accent))

    def _draw(self) -> None:
        if self._plot is None:
            if not (self.loss or self.score):
                return
            self._build()
        # the loss has no natural scale: its largest value becomes 1
        top = max((value for _, value in self.loss[1:] or self.loss), default=1.0) or 1.0
        scaled = [(x, min(y / top, 1.08)) for x, y in self.loss]
        self._put("loss", scaled, "loss")
        self._put("score", self.score, self._score_name)
        last = self.score[-1:]
        self._items["dot"][0].setData([x for x, _ in last], [y for _, y in last])

    def _put(self, name: str, points: list[tuple[float, float]], text: str) -> None:
        curve, end = self._items[name]
        curve.setData([x for x, _ in points], [y for _, y in points])
        end.setVisible(bool(points))
        if points:
            end.setText(text)
            end.setAnchor((1, 0) if points[-1][1] > 0.75 else (1, 1))  # below the line near the top
            end.setPos(*points[-1])
