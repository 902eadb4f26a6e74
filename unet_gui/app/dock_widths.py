"""How wide the panels are, when a window has been narrow."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtWidgets import QApplication, QDockWidget, QMainWindow


class DockWidths(QObject):
    """Gives panels back the width that they had before the window was too narrow for them.

    Qt makes them narrower then, and leaves them so.

    Parameters
    ----------
    window : QMainWindow
    widths : dict of QDockWidget to int
        How wide the panels are until the person says otherwise.
    """

    def __init__(self, window: QMainWindow, widths: dict[QDockWidget, int]) -> None:
        super().__init__(window)
        self._window, self._wanted = window, widths
        self._seen = window.width()
        window.installEventFilter(self)
        for dock in widths:
            dock.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize:
            if watched is not self._window:
                if isinstance(watched, QDockWidget) and QApplication.mouseButtons() != Qt.MouseButton.NoButton:
                    self._wanted[watched] = watched.width()  # its edge is being dragged
            else:
                wider, self._seen = self._window.width() > self._seen, self._window.width()
                if wider:
                    self._give_back()
        return super().eventFilter(watched, event)

    def take_over(self) -> None:
        """Hear that the panels have been put where they were left; in a narrow window that says nothing."""
        middle = self._window.centralWidget()
        if middle is not None and middle.width() > middle.minimumSizeHint().width():
            self._wanted.update({dock: dock.width() for dock in self._wanted if dock.isVisible()})

    def _give_back(self) -> None:
        docks = [dock for dock, width in self._wanted.items() if dock.width() < width and not dock.isFloating()]
        if docks:
            self._window.resizeDocks(docks, [self._wanted[dock] for dock in docks], Qt.Orientation.Horizontal)
