"""Choosing, adding, renaming, recolouring and removing classes; the size of the brush."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from PySide6.QtCore import QObject, QPoint, Qt, Signal, Slot
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu, QWidget

from unet_gui.app.dialogs.desk import DialogDesk
from unet_gui.app.jobs import Job, JobRunner
from unet_gui.app.model_jobs import RelabelJob
from unet_gui.app.panels.classes import ClassesSection
from unet_gui.app.session import Session
from unet_gui.app.widgets import swatch
from unet_gui.core.images import ImageRef
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.palette import ClassInfo

SIZES = (1, 2, 3, 5, 8, 12, 20, 35, 60, 100, 200, 400)


class ClassDesk(QObject):
    """Everything about classes that the person does.

    Signals
    -------
    size_chosen(float)
        Give the brush this diameter.
    """

    size_chosen = Signal(float)

    def __init__(
        self,
        session: Session,
        runner: JobRunner,
        dialogs: DialogDesk,
        section: ClassesSection,
        images: Callable[[], list[ImageRef]],
        window: QWidget,
    ) -> None:
        super().__init__(window)
        self._session = session
        self._runner = runner
        self._images = images
        self._removal: Job | None = None
        self._dialogs = dialogs
        self._section = section
        self._window = window
        self._before = 1
        section.renamed.connect(self._on_renamed)
        section.recolour_wanted.connect(self._on_recolour)
        section.remove_wanted.connect(self._on_remove)
        section.merge_wanted.connect(self._on_merge)
        section.add_wanted.connect(self.add)
        for signal in (runner.finished, runner.failed, runner.cancelled):
            signal.connect(self._on_job_over)

    def pick(self, class_id: int) -> None:
        """Paint with a class, if there is one with this number."""
        if any(info.id == class_id for info in self._session.classes):
            self._section.chosen.emit(class_id)

    @Slot()
    def swap(self) -> None:
        """Change between the class and background."""
        background = self._session.classes[0].id if self._session.classes else 0
        now = self._session.active_class
        if now != background:
            self._before = now
            self.pick(background)
        else:
            known = [info.id for info in self._session.classes]
            self.pick(self._before if self._before in known and self._before != background else known[-1])

    @Slot()
    def add(self) -> None:
        """Add a class and let the person type its name."""
        class_id = self._session.add_class()
        if class_id is not None:
            self._session.active_class = class_id
            self._section.edit(class_id)

    @Slot(QPoint)
    def choose(self, at: QPoint) -> None:
        """Show the classes as a menu."""
        menu = self._menu()
        for info in self._session.classes:
            action = menu.addAction(swatch(info.id, info.color), info.name)
            action.setIconVisibleInMenu(True)
            self._checkable(action, info.id == self._session.active_class)
            action.triggered.connect(lambda _=False, class_id=info.id: self.pick(class_id))
        menu.popup(at)

    @Slot(QPoint)
    def choose_size(self, at: QPoint) -> None:
        """Show brush sizes as a menu."""
        menu = self._menu()
        for size in SIZES:
            action = menu.addAction(f"{size} px")
            action.triggered.connect(lambda _=False, size=size: self.size_chosen.emit(float(size)))
        menu.popup(at)

    def _menu(self) -> QMenu:
        menu = QMenu(self._window)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        return menu

    def _checkable(self, action: QAction, on: bool) -> None:
        action.setCheckable(True)
        action.setChecked(on)

    def _change(self, class_id: int, **what: Any) -> None:
        self._session.set_classes(
            [replace(info, **what) if info.id == class_id else info for info in self._session.classes]
        )

    @Slot(int, str)
    def _on_renamed(self, class_id: int, name: str) -> None:
        self._change(class_id, name=name)

    @Slot(int)
    def _on_recolour(self, class_id: int) -> None:
        info = self._info(class_id)
        if info is not None:
            self._dialogs.ask_color(class_id, info.color, lambda which, color: self._change(which, color=color))

    @Slot(int)
    def _on_remove(self, class_id: int) -> None:
        info = self._info(class_id)
        if info is None:
            return
        text = f"Remove the class “{info.name}”?"
        more = "Its pixels become unlabelled in every label of this folder. That cannot be undone."
        self._dialogs.ask(text, "Remove", lambda: self._remove(class_id, UNLABELLED), more)

    @Slot(int, int)
    def _on_merge(self, class_id: int, into: int) -> None:
        info, other = self._info(class_id), self._info(into)
        if info is None or other is None:
            return
        text = f"Merge “{info.name}” into “{other.name}”?"
        more = f"Its pixels become “{other.name}” in every label of this folder. That cannot be undone."
        self._dialogs.ask(text, "Merge", lambda: self._remove(class_id, into), more)

    def _remove(self, class_id: int, into: int) -> None:
        """Begin to take a class away. Its pixels become another class or unlabelled."""
        dataset, folder = self._session.dataset, self._session.folder
        if dataset is None or folder is None or self._removal is not None:
            return
        if folder.read_only:
            self._session.say_read_only()
            return
        self._session.save()
        folder.saver.wait()
        if self._session.unsaved():
            return  # why has been said already
        work = RelabelJob(dataset, tuple(self._images()), class_id, into)
        self._removal = self._runner.submit(Job("relabel", "Changing labels", work))

    @Slot(object)
    def _on_job_over(self, job: Job) -> None:
        if job is not self._removal or not isinstance(job.start, RelabelJob):
            return
        self._removal = None
        if not job.stop.is_set():
            self._session.set_classes([info for info in self._session.classes if info.id != job.start.old])
        self._session.reopen()
        if self._session.folder is not None:
            self._session.folder.book.scan(self._images())

    def _info(self, class_id: int) -> ClassInfo | None:
        return next((info for info in self._session.classes if info.id == class_id), None)
