"""The short guide: the three jobs, ticked off as they are done. It can be closed and comes back from the Help menu."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QVBoxLayout, QWidget

from unet_gui.app.actions import ActionTable
from unet_gui.app.widgets import Mark, action_button, close_button, heading, label, row

STEPS = (
    ("paint", "Paint", "Choose a class (number keys) and paint a little of each with the brush (B)."),
    ("train", "Train", "Let the model learn what you painted. Go on painting meanwhile."),
    ("correct", "Segment and correct", "Segment all, jump to doubtful places (N), correct them, Done and next."),
)


class Guide(QFrame):
    """Three steps.

    Signals
    -------
    closed()
    """

    closed = Signal()

    def __init__(self, actions: ActionTable, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "overlay")
        self.setAccessibleName("First steps")
        self._done: set[str] = set()
        self._marks: dict[str, QLabel] = {}
        close = close_button("Close the first steps", "Close; Help ▸ Show first steps brings it back")
        close.clicked.connect(self.closed)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 8, 8, 10)
        layout.setSpacing(6)
        layout.addLayout(row(heading("First steps"), 1, close))
        grid = QGridLayout()
        grid.setHorizontalSpacing(10)
        grid.setVerticalSpacing(2)
        grid.setColumnStretch(1, 1)
        for at, (name, title, text) in enumerate(STEPS):
            mark = label(str(at + 1), "key")
            mark.setAlignment(Qt.AlignmentFlag.AlignCenter)
            mark.setFixedSize(20, 20)
            self._marks[name] = mark
            grid.addWidget(mark, 2 * at, 0, Qt.AlignmentFlag.AlignTop)
            title_label = label(title, "title", wrap=True)
            grid.addWidget(title_label, 2 * at, 1)
            grid.addWidget(label(text, "muted", wrap=True), 2 * at + 1, 1, 1, 2)
            if name in ("train", "correct"):
                button = action_button(actions, "train" if name == "train" else "segment", "", "link")
                grid.addWidget(button, 2 * at, 2, Qt.AlignmentFlag.AlignRight)
            grid.setRowMinimumHeight(2 * at + 1, 10)
        layout.addLayout(grid)

    def is_ticked(self, step: str) -> bool:
        """Whether a step is marked as done."""
        return step in self._done

    def tick(self, step: str) -> None:
        """Mark a step as done."""
        if step not in self._done:
            self._done.add(step)
            mark = self._marks[step]
            mark.setText("")
            tick = Mark("check", "good", 14)
            tick.setParent(mark)
            tick.move((mark.width() - tick.width()) // 2, (mark.height() - tick.height()) // 2)
            tick.show()
            mark.setAccessibleName("done")
