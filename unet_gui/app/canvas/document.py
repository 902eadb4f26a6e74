"""A label with its history, on its own: what tools need when there is no session around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from unet_gui.app.canvas.target import Found
from unet_gui.app.canvas.tool import let_eraser_work
from unet_gui.core.geometry import Rect
from unet_gui.core.history import History
from unet_gui.core.images import ImageSource
from unet_gui.core.labels import Edit, LabelImage, Over
from unet_gui.core.planes import Probabilities
from unet_gui.core.whole import Patch


class LabelDocument(QObject):
    """An `EditTarget` of one image.

    Signals
    -------
    changed_rect(Rect)
        Pixels of the label changed.
    active_class_changed(int)
    """

    changed_rect = Signal(object)
    active_class_changed = Signal(int)

    def __init__(self, labels: LabelImage | None, source: ImageSource | None = None) -> None:
        super().__init__()
        self.labels = labels
        self.source = source
        self.prediction: NDArray[np.uint8] | None = None
        self.probabilities: Probabilities | None = None
        self.over = Over.ALL
        self.history = History()
        self.read_only = False
        self._active_class = 1

    @property
    def active_class(self) -> int:
        """The class that tools paint."""
        return self._active_class

    @active_class.setter
    def active_class(self, class_id: int) -> None:
        self._active_class = class_id
        self.active_class_changed.emit(class_id)

    def begin_edit(self, name: str) -> Edit | None:
        """Open an edit, or None when the document is read-only."""
        if self.labels is None or self.read_only:
            return None
        return self.labels.edit(name, self.over)

    def end_edit(self, edit: Edit) -> None:
        """Commit it as one undo step."""
        self.history.push(edit.commit())

    def edit_beside(self, name: str, patches: Callable[[], Iterator[Patch]], erases: bool) -> bool:
        """Write it at once: there is nothing beside."""
        edit = self.begin_edit(name)
        if edit is None:
            return False
        if erases:
            let_eraser_work(edit)
        for patch in patches():
            edit.write(*patch)
        self.end_edit(edit)
        self.changed(edit.rect)
        return True

    def find_beside(self, name: str, find: Callable[[], Found], then: Callable[[Found], object]) -> bool:
        """Find it out at once."""
        then(find())
        return True

    def changed(self, rect: Rect) -> None:
        """Pass the change on."""
        if not rect.empty:
            self.changed_rect.emit(rect)

    def undo(self) -> Rect:
        """Take back the last step."""
        assert self.labels is not None
        rect = self.history.undo(self.labels)
        self.changed(rect)
        return rect

    def redo(self) -> Rect:
        """Make it again."""
        assert self.labels is not None
        rect = self.history.redo(self.labels)
        self.changed(rect)
        return rect
