"""Shows the short guide when it is wished for, and ticks off what has been done."""

from __future__ import annotations

from PySide6.QtCore import QObject, Slot

from unet_gui.app.actions import ActionTable
from unet_gui.app.model_desk import ModelDesk
from unet_gui.app.panels.guide import Guide
from unet_gui.app.panels.stage import Stage
from unet_gui.app.session import Session
from unet_gui.app.settings import Settings


class GuideDesk(QObject):
    """Keeps the guide in step with its entry in the menu, the settings and the work.

    Attributes
    ----------
    guide : Guide or None
        None while it is not shown.
    """

    def __init__(
        self,
        session: Session,
        desk: ModelDesk,
        stage: Stage,
        actions: ActionTable,
        settings: Settings,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._desk = session, desk
        self._stage, self._actions, self._settings = stage, actions, settings
        self.guide: Guide | None = None
        session.folder_changed.connect(self._on_folder)
        session.label_changed.connect(self._on_label)
        desk.trained.connect(self._on_trained)

    @Slot()
    def want(self) -> None:
        """Show the guide in the folder that is opened next."""
        self._settings.set("guide", True)

    def show(self, on: bool) -> None:
        """Show the guide or take it away, as the entry in the menu says."""
        self._settings.set("guide", on)
        if on and self.guide is None:
            self.guide = Guide(self._actions, self._stage)
            self.guide.closed.connect(self._on_closed)
            self._tick_earlier()
            self._stage.set_guide(self.guide)
        elif not on:
            self._take_away()

    def _take_away(self) -> None:
        if self.guide is not None:
            guide, self.guide = self.guide, None
            self._stage.set_guide(None)
            guide.hide()
            guide.deleteLater()

    def _tick_earlier(self) -> None:
        """Tick what was done before the guide was shown: who has trained in this folder has painted, too."""
        if self._desk.shelf.models:
            self._tick("paint")
            self._tick("train")
        self._on_statuses(())

    def _tick(self, step: str) -> None:
        if self.guide is not None:
            self.guide.tick(step)

    @Slot()
    def _on_closed(self) -> None:
        self._actions["guide"].setChecked(False)

    @Slot()
    def _on_folder(self) -> None:
        folder = self._session.folder
        if folder is not None:
            folder.book.changed.connect(self._on_statuses)
            wanted = self._settings.get("guide")
            self._take_away()  # the ticks are of the folder before
            self._actions["guide"].setChecked(wanted)
            self.show(wanted)

    @Slot(object)
    def _on_label(self, _rect: object) -> None:
        self._tick("paint")

    @Slot(object)
    def _on_trained(self, _path: object) -> None:
        self._tick("train")

    @Slot(object)
    def _on_statuses(self, _keys: object) -> None:
        if self._session.folder is not None and self._session.folder.book.predictions > 1:
            self._tick("correct")
