"""Choosing, adding, renaming, recolouring, ordering, merging and removing classes; the size of the brush."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QPoint, Qt, Signal, Slot
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu, QWidget

from unet_gui.app.class_changes import ClassChanges
from unet_gui.app.class_list import new_class
from unet_gui.app.dialogs.desk import DialogDesk
from unet_gui.app.jobs import JobRunner
from unet_gui.app.messages import Message
from unet_gui.app.panels.classes import ClassesSection
from unet_gui.app.session import Session
from unet_gui.app.settings import Settings
from unet_gui.app.widgets import keyless, swatch
from unet_gui.app.words import pixels
from unet_gui.core.class_file import joined, read_class_list, write_class_list
from unet_gui.core.errors import UserError
from unet_gui.core.images import ImageRef
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.palette import PALETTES, ClassInfo, recolored
from unet_gui.core.relabel import CAP, Touched

SIZES = (1, 2, 3, 5, 8, 12, 20, 35, 60, 100, 200, 400)


class ClassDesk(QObject):
    """Everything about classes that the person does.

    Signals
    -------
    size_chosen(float)
        Give the brush this diameter.

    Attributes
    ----------
    changes : ClassChanges
    """

    size_chosen = Signal(float)

    def __init__(
        self,
        session: Session,
        runner: JobRunner,
        dialogs: DialogDesk,
        section: ClassesSection,
        images: Callable[[], list[ImageRef]],
        settings: Settings,
        window: QWidget,
    ) -> None:
        super().__init__(window)
        self._session = session
        self.changes = ClassChanges(session, runner, images, self)
        self._dialogs = dialogs
        self._settings = settings
        self._section = section
        self._window = window
        self._before = 1
        section.renamed.connect(self._on_renamed)
        section.recolour_wanted.connect(self._on_recolour)
        section.remove_wanted.connect(self._on_remove)
        section.merge_wanted.connect(self._on_merge)
        section.add_wanted.connect(self.add)
        section.order_wanted.connect(self._on_order)
        section.import_wanted.connect(self.import_list)
        section.export_wanted.connect(self.export_list)
        section.palette_wanted.connect(self._on_palette)
        section.palette_kept.connect(self._on_palette_kept)
        section.has_own_palette = bool(settings.palette())

    def close(self) -> None:
        """End the threads."""
        self.changes.close()

    def pick(self, class_id: int) -> None:
        """Paint with a class, if there is one with this number."""
        if self._info(class_id) is not None:
            self._section.chosen.emit(class_id)

    def pick_row(self, row: int) -> None:
        """Paint with the class at this place of the list, if there are so many."""
        if row < len(self._session.classes):
            self.pick(self._session.classes[row].id)

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
        dataset = self._session.dataset
        info = new_class(self._session.classes, dataset.encoding.unlabelled_number if dataset else None)
        if info is None:
            self.changes.said.emit(Message("info", "There are 255 classes, which is the most.", topic="classes"))
        elif self.changes.set_list("add a class", [*self._session.classes, info]):
            self._session.active_class = info.id
            self._section.search.clear()  # or it would not be in sight
            self._section.edit(info.id)

    @Slot(QPoint)
    def choose(self, at: QPoint) -> None:
        """Show the classes as a menu."""
        menu = self._menu()
        for info in self._session.classes:
            action = menu.addAction(swatch(info.id, info.color), keyless(info.name))
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

    def _change(self, text: str, class_id: int, **what: Any) -> None:
        now = self._session.classes
        self.changes.set_list(text, [replace(info, **what) if info.id == class_id else info for info in now])
        self._section.set_classes(self._session.classes)  # also where it was refused

    @Slot(int, str)
    def _on_renamed(self, class_id: int, name: str) -> None:
        self._change(f"rename class to “{name}”", class_id, name=name)

    @Slot(int)
    def _on_recolour(self, class_id: int) -> None:
        info = self._info(class_id)
        if info is not None:
            text = f"colour of “{info.name}”"
            self._dialogs.ask_color(
                class_id, info.color, lambda which, color: self._change(text, which, color=color.upper()), info.name
            )

    @Slot(object)
    def _on_order(self, ids: list[int]) -> None:
        known = {info.id: info for info in self._session.classes}
        self.changes.set_list("order of classes", [known[class_id] for class_id in ids if class_id in known])
        self._section.set_classes(self._session.classes)  # also where it was refused

    @Slot()
    def move_up(self) -> None:
        """Move the class that is painted up in the list."""
        self._section.move_class(self._session.active_class, -1)

    @Slot()
    def move_down(self) -> None:
        """Move the class that is painted down in the list."""
        self._section.move_class(self._session.active_class, 1)

    # --- lists and colours -----------------------------------------------------------------------------------------

    @Slot()
    def import_list(self) -> None:
        """Ask for a file with a list of classes."""
        self._dialogs.class_list_to_read(self._read_list)

    def _read_list(self, path: Path) -> None:
        try:
            read = read_class_list(path)
        except UserError as error:
            self.changes.said.emit(Message.of(error, topic="classes"))
            return
        self.changes.set_list(f"import classes from “{path.name}”", joined(self._session.classes, read), say=True)

    @Slot()
    def export_list(self) -> None:
        """Ask where the list of classes goes."""
        self._dialogs.class_list_to_write(self._write_list)

    def _write_list(self, path: Path) -> None:
        try:
            write_class_list(path, self._session.classes)
        except UserError as error:
            self.changes.said.emit(Message.of(error, topic="classes"))

    @Slot(str)
    def _on_palette(self, name: str) -> None:
        colors = PALETTES.get(name) or self._settings.palette()
        self.changes.set_list("colours of classes", recolored(self._session.classes, colors), say=True)

    @Slot()
    def _on_palette_kept(self) -> None:
        self._settings.set_palette([info.color for info in self._session.classes])
        self._section.has_own_palette = True

    # --- pixels that become another class --------------------------------------------------------------------------

    @Slot(int)
    def _on_remove(self, class_id: int) -> None:
        self.changes.count({class_id}, lambda touched: self._ask(class_id, UNLABELLED, touched))

    @Slot(int, int)
    def _on_merge(self, class_id: int, into: int) -> None:
        self.changes.count({class_id}, lambda touched: self._ask(class_id, into, touched))

    def _ask(self, class_id: int, into: int, touched: Touched) -> None:
        """Say what will become of the pixels, and do it when the person agrees."""
        info, other = self._info(class_id), self._info(into)
        if info is None or len(self._session.classes) < 2:
            return
        goal = f"“{other.name}”" if other else "unlabelled"
        verb = f"Merge “{info.name}” into {goal}" if other else f"Remove the class “{info.name}”"
        deed = partial(self.changes.relabel, verb[0].lower() + verb[1:], info, into, touched)
        if not touched.images:
            deed()  # it touches no label, and can be taken back
            return
        again = "Undo takes it back in all of them."
        if touched.nbytes > CAP:
            again = "That is too much to be kept, so it cannot be undone."
        more = f"{pixels(touched)} become{'s' if touched.pixels == 1 else ''} {goal}. {again}"
        self._dialogs.ask(f"{verb}?", "Merge" if other else "Remove", deed, more)

    def _info(self, class_id: int) -> ClassInfo | None:
        return next((info for info in self._session.classes if info.id == class_id), None)
