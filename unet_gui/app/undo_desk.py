"""What Undo and Redo mean at the moment: a step of a shape, a correction under way, classes, or the label."""

from __future__ import annotations

from PySide6.QtCore import QObject, Slot

from unet_gui.app.actions import ActionTable
from unet_gui.app.canvas.view import CanvasView
from unet_gui.app.class_changes import ClassChanges
from unet_gui.app.session import Session
from unet_gui.app.whole_image import WholeImage
from unet_gui.app.widgets import keyless


class UndoDesk(QObject):
    """Finds whose step is the last one, and shows in the menu what it is."""

    def __init__(
        self,
        session: Session,
        canvas: CanvasView,
        whole: WholeImage,
        changes: ClassChanges,
        actions: ActionTable,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._canvas, self._whole, self._changes = session, canvas, whole, changes
        self._actions = actions

    @Slot()
    def show(self) -> None:
        """Name in the menu what would be undone and made again."""
        document = self._session.document
        first: list[object] = [self._canvas, self._whole, self._changes]  # as `undo` and `redo` have it
        for name in ("undo", "redo"):
            parts = [*first, document.history] if document else first
            what = next(filter(None, (getattr(part, f"{name}_text") for part in parts)), "")
            action = self._actions[name]
            action.setEnabled(bool(what))
            action.setText(keyless(f"{name.capitalize()} {what}".strip()))

    def undo(self) -> None:
        """Take the last step back."""
        shape = self._canvas.undo_text  # nothing else is undone while its picture is being read
        if not self._canvas.undo() and not shape:
            whole, changes = self._whole, self._changes
            (whole if whole.undo_text else changes if changes.undo_text else self._session).undo()

    def redo(self) -> None:
        """Make it again."""
        shape = self._canvas.redo_text
        if not self._canvas.redo() and not shape:
            (self._changes.redo if self._changes.redo_text else self._session.redo)()
