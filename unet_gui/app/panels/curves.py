"""The live curves of a training: loss and validation score.

Painted here and not by a plotting library: those go through all of Qt's names when they are imported, which takes a
second on the window's thread, and in another thread crashes the program now and then.
"""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QVBoxLayout, QWidget

from unet_gui.app import theme
from unet_gui.app.widgets import label, row

MAX_POINTS = 2000
"""Points of the loss that are drawn; more are thinned, nobody sees the difference."""

_STEPS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 36000)
WHAT = (
    "Loss (grey) and score (blue) of the network while it learns. The best of it is kept\n"
    "and judged once more, the way it predicts: that is the score above."
)
_TOP = 1.08
"""The value at the upper edge; a score of 1 stays below it."""


class Curves(QWidget):
    """Loss (grey, on a scale of its own) and validation score (accent, 0…1) over time, their last values above.

    Attributes
    ----------
    loss, score : list of (float, float)
        Seconds and value.
    loss_text, score_text : QLabel
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFixedHeight(140)
        self.setAccessibleName("Training curves")
        self.setToolTip(WHAT)
        self.loss_text, self.score_text = label("", "muted"), label("", "accent")
        self.loss: list[tuple[float, float]] = []
        self.score: list[tuple[float, float]] = []
        self._score_name = "score"
        self._over = False
        top = row(self.loss_text, 1, self.score_text)
        top.setContentsMargins(8, 5, 8, 0)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(top)
        layout.addStretch(1)

    def clear(self, score_name: str = "score") -> None:
        """Begin a new training."""
        self.loss, self.score = [], []
        self._over = False
        self._score_name = score_name
        self._tell()

    def add_loss(self, seconds: float, loss: float) -> None:
        """Add a point to the loss."""
        self.loss.append((seconds, loss))
        if len(self.loss) > MAX_POINTS:
            self.loss = self.loss[::2]
        self._tell()

    def add_score(self, seconds: float, score: float, name: str) -> None:
        """Add a point to the validation score."""
        self._score_name = name
        self.score.append((seconds, score))
        self._tell()

    def end(self) -> None:
        """The training is over: its last values are not those of the model that was kept, so they go."""
        self._over = True
        self._tell()

    def retheme(self) -> None:
        """Take the colours of the theme of the moment."""
        self.update()

    def _tell(self) -> None:
        if self._over:
            texts = "Last training", ""
        else:
            loss = f"loss {self.loss[-1][1]:.3g}" if self.loss else "Starting…"
            texts = loss, f"now {self._score_name} {self.score[-1][1]:.3f}" if self.score else ""
        self.loss_text.setText(texts[0])
        self.score_text.setText(texts[1])
        said = [each.text() for each in (self.loss_text, self.score_text) if each.text()]
        self.setAccessibleDescription(", ".join(said))
        self.update()

    def _places(self, points: list[tuple[float, float]], area: QRectF) -> list[QPointF]:
        """Return where points of (seconds, 0…1) lie in an area."""
        along, up = area.width() / self._most(), area.height() / _TOP
        return [QPointF(area.left() + x * along, area.bottom() - min(max(y, 0.0), _TOP) * up) for x, y in points]

    def paintEvent(self, event: QPaintEvent) -> None:
        colors = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colors.field))
        painter.drawRoundedRect(self.rect(), 4, 4)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        if self.loss or self.score:
            height = self.fontMetrics().height()
            head = self.loss_text.sizeHint().height() + 12
            area = QRectF(12, head, self.width() - 24, self.height() - head - height - 6)
            self._paint_axis(painter, area, colors)
            self._paint_lines(painter, area, colors)
        painter.end()

    def _most(self) -> float:
        return max(1.0, *(x for x, _ in [*self.loss[-1:], *self.score[-1:]]))

    def _paint_axis(self, painter: QPainter, area: QRectF, colors: theme.Theme) -> None:
        grid = QColor(colors.strong_line)
        painter.setPen(QPen(grid, 1))
        painter.drawLine(area.bottomLeft(), area.bottomRight())
        grid.setAlphaF(0.4)
        painter.setPen(QPen(grid, 1))
        for value in (0.5, 1.0):
            y = area.bottom() - value / _TOP * area.height()
            painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
        most = self._most()
        step = next((each for each in _STEPS if most / each <= 4), _STEPS[-1])
        metrics = self.fontMetrics()
        painter.setPen(QColor(colors.muted))
        for seconds in range(0, int(most) + 1, step):
            text = f"{seconds // 60}:{seconds % 60:02d}"
            width = metrics.horizontalAdvance(text)
            x = area.left() + seconds / most * area.width() - width / 2
            x = min(max(x, 4.0), self.width() - width - 4.0)
            painter.drawText(QPointF(x, area.bottom() + metrics.ascent() + 3), text)

    def _paint_lines(self, painter: QPainter, area: QRectF, colors: theme.Theme) -> None:
        # the loss has no natural scale: its largest value becomes 1
        top = max((value for _, value in self.loss[1:] or self.loss), default=1.0) or 1.0
        scaled = [(x, y / top) for x, y in self.loss]
        for points, color, width in ((scaled, colors.muted, 1.2), (self.score, colors.accent, 1.6)):
            painter.setPen(QPen(QColor(color), width))
            painter.drawPolyline(QPolygonF(self._places(points, area)))
        if self.score:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(colors.accent))
            painter.drawEllipse(self._places(self.score[-1:], area)[0], 3.5, 3.5)
