"""A folder is found as it was left: image, class, brush and contrast. The program keeps that, not the folder."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QObject, Slot

from unet_gui.app.canvas.tools import TOOL_BY_ID
from unet_gui.app.canvas.view import CanvasView
from unet_gui.app.canvas_link import CanvasLink
from unet_gui.app.contrast import Contrast
from unet_gui.app.session import Session
from unet_gui.app.settings import Settings


class Memory(QObject):
    """Keeps how the open folder is left, and brings it back. The image is opened by `FolderDesk`."""

    def __init__(
        self, session: Session, canvas: CanvasView, link: CanvasLink, settings: Settings, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._session, self._canvas, self._link, self._settings = session, canvas, link, settings
        self._sizes_brush = False  # by the first image
        session.folder_changed.connect(self._bring_back)
        session.image_changed.connect(self._size_brush)
        session.image_changed.connect(self._keep)
        session.image_opening.connect(self._on_opening)

    @Slot()
    def _bring_back(self) -> None:
        folder = self._session.folder
        kept = self._settings.left(folder.opened.folder) if folder else {}
        if isinstance(kept.get("class"), int):
            self._session.active_class = kept["class"]
        has_brush = isinstance(kept.get("brush"), (int, float))
        if has_brush:
            self._canvas.set_brush_size(kept["brush"])
        self._sizes_brush = folder is not None and not has_brush
        if kept.get("tool") in TOOL_BY_ID:
            self._canvas.set_tool(kept["tool"])
        if "contrast" in kept:
            self._link.contrast_desk.keep(Contrast.from_json(kept["contrast"]))

    @Slot()
    def _size_brush(self) -> None:
        """Let the brush of a folder that is new here suit its first image: a small one shows small things."""
        source = self._session.source
        if self._sizes_brush and source is not None:
            self._sizes_brush = False
            self._canvas.set_brush_size(round(min(max(min(source.shape) / 40, 3), 40)))

    @Slot(str)
    def _on_opening(self, key: str) -> None:
        if not key:  # the folder is being closed
            self._keep()

    @Slot()
    def _keep(self) -> None:
        """Keep how things are, also whenever an image comes: a computer may crash."""
        session = self._session
        if session.folder is None or not session.key:
            return
        state: dict[str, Any] = {
            "image": session.key,
            "class": session.active_class,
            "brush": self._canvas.brush.size,
            "tool": self._link.painting_tool,
            "contrast": self._link.contrast_desk.now.to_json(),
        }
        self._settings.set_left(session.folder.opened.folder, state)
