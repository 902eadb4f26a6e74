"""Every dialog of the window, opened from here. None of them blocks: the answer comes as a signal.

The dialogs themselves are imported when they are first wanted, which makes the start quicker.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, Qt, Signal, Slot
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QColorDialog, QDialog, QFileDialog, QMessageBox, QToolButton, QWidget

from unet_gui import __version__
from unet_gui.app import theme
from unet_gui.app.actions import ActionTable
from unet_gui.app.model_desk import ModelDesk
from unet_gui.app.model_facts import Wishes
from unet_gui.app.session import Session
from unet_gui.app.settings import Settings
from unet_gui.core.images import ImageRef
from unet_gui.core.listing import real_path

OF_A_FOLDER = frozenset(
    {"question", "encoding", "model settings", "export", "import", "colour", "masks", "labels", "class list", "model"}
)
"""Dialogs about the folder that is open."""
_FILE_ICONS = {"backButton": "previous", "forwardButton": "next", "toParentButton": "chevron-up"}
"""Buttons of Qt's own file dialog whose arrows are black on any ground."""


class DialogDesk(QObject):
    """Opens dialogs and passes on what the person decides.

    Parameters
    ----------
    window : QWidget
        What the dialogs belong to.
    images : callable
        Returns all images, pages one by one.
    open_folder : callable
        Opens a folder, with another place for its labels when that is given.

    Signals
    -------
    export_chosen(format, folder, options), import_chosen(format, source, options)
    encoding_chosen(Encoding)
    """

    export_chosen = Signal(str, object, object)
    import_chosen = Signal(str, object, object)
    encoding_chosen = Signal(object)

    def __init__(
        self,
        window: QWidget,
        session: Session,
        desk: ModelDesk,
        settings: Settings,
        actions: ActionTable,
        images: Callable[[], list[ImageRef]],
        open_folder: Callable[[Path, Path | None], None],
    ) -> None:
        super().__init__(window)
        self._window = window
        self._session = session
        self._desk = desk
        self._settings = settings
        self._actions = actions
        self._images = images
        self._open_folder = open_folder
        self._open: dict[str, QDialog] = {}
        self._last: dict[str, Path] = {}  # where something was chosen, by purpose

    def _show(self, name: str, make: Callable[[], QDialog]) -> None:
        """Show a dialog, or bring the one that is open to the front."""
        dialog = self._open.get(name)
        if dialog is None:
            dialog = make()
            dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            dialog.destroyed.connect(lambda: self._gone(name, dialog))
            self._open[name] = dialog
        dialog.show()
        dialog.raise_()
        dialog.activateWindow()

    def _gone(self, name: str, dialog: QDialog) -> None:
        if self._open.get(name) is dialog:  # not another one that has taken its place
            del self._open[name]

    def _show_anew(self, name: str, make: Callable[[], QDialog]) -> None:
        """Show a dialog in the place of one that asks about something else."""
        old = self._open.pop(name, None)
        if old is not None:
            old.close()
        self._show(name, make)

    def close(self) -> None:
        """Close what is open."""
        for dialog in list(self._open.values()):
            dialog.close()

    @Slot()
    def forget_folder(self) -> None:
        """Close what asks about a folder that is no more open: its answer would be taken for another's."""
        for name in OF_A_FOLDER & set(self._open):
            self._open[name].close()

    # --- files -----------------------------------------------------------------------------------------------------

    def _files(self, name: str, title: str, taken: Callable[[Path], object], start: Path | None = None) -> QFileDialog:
        """Ask for a file or folder, beginning at `_place`."""
        dialog = QFileDialog(self._window, title, str(self._place(name, start)))
        for part, icon in _FILE_ICONS.items():
            button = dialog.findChild(QToolButton, part)  # none where the system brings its own dialog
            if button is not None:
                button.setIcon(theme.icon(icon))
        dialog.fileSelected.connect(lambda text: self._taken(name, Path(text), taken))
        self._show_anew(name, lambda: dialog)
        return dialog

    def _place(self, name: str, start: Path | None = None) -> Path:
        """Return a folder that is there: ``start``, or where something was chosen for this last, or the open one."""
        dataset = self._session.dataset
        wanted = start or self._last.get(name) or (dataset.root if dataset else Path.home())
        return next((place for place in (wanted, *wanted.parents) if place.is_dir()), Path.home())

    def _taken(self, name: str, path: Path, taken: Callable[[Path], object]) -> None:
        self._last[name] = path.parent
        taken(path)

    @Slot()
    def open_folder(self) -> None:
        """Ask for a folder of images."""
        recent = self._settings.recent()
        start = recent[0].parent if recent else None
        dialog = self._files("open", "Open a folder of images", lambda path: self._open_folder(path, None), start)
        dialog.setFileMode(QFileDialog.FileMode.Directory)

    @Slot()
    def save_masks(self) -> None:
        """Ask where masks go."""
        dataset = self._session.dataset
        if dataset is None:
            return
        start = self._last.get("masks") or dataset.root.parent
        dialog = self._files("masks", "Folder for the masks", self._save_masks, start)
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptOpen)

    def _save_masks(self, out: Path) -> None:
        dataset = self._session.dataset
        if dataset is None:
            return
        from unet_gui.core.exchange import mask_path
        from unet_gui.core.own_files import OwnFiles

        own = OwnFiles(dataset)
        inside = real_path(out) in (real_path(dataset.image_root), real_path(dataset.label_root))
        if inside or (own.near(out) and any(own.what(mask_path(dataset, ref, out)) for ref in self._images())):
            self.warn("Masks are not written over images or labels. Choose another folder.")
            return
        if out.is_dir() and any(out.iterdir()):
            self.ask(
                f"“{out.name}” is not empty. Masks of the same names would be replaced.",
                "Write there",
                lambda: self._desk.save_masks(tuple(self._images()), out),
            )
        else:
            self._desk.save_masks(tuple(self._images()), out)

    @Slot()
    def export(self) -> None:
        """Ask what to export."""

        def make() -> QDialog:
            from unet_gui.app.dialogs.exchange import FORMATS, ExportDialog
            from unet_gui.core.exchange import EXPORTERS

            dialog = ExportDialog([name for name in FORMATS if name in EXPORTERS], self._session.classes, self._window)
            dialog.start = self._place("export")
            dialog.chosen.connect(self.export_chosen)
            dialog.chosen.connect(lambda _, place, __: self._last.update({"export": place.parent}))
            return dialog

        self._show("export", make)

    @Slot()
    def import_labels(self) -> None:
        """Ask what to import."""

        def make() -> QDialog:
            from unet_gui.app.dialogs.exchange import FORMATS, ImportDialog
            from unet_gui.core.exchange import IMPORTERS

            dialog = ImportDialog([name for name in FORMATS if name in IMPORTERS], self._session.classes, self._window)
            dialog.start = self._place("import")
            dialog.chosen.connect(self.import_chosen)
            dialog.chosen.connect(lambda _, place, __: self._last.update({"import": place.parent}))
            return dialog

        self._show("import", make)

    @Slot()
    def load_model(self) -> None:
        """Ask for a model file."""
        dialog = self._files("model", "Use another model", self._desk.shelf.use)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.setNameFilters(["Models (*.safetensors *.pth)", "All files (*)"])

    @Slot()
    def labels_elsewhere(self) -> None:
        """Ask for another folder for labels."""
        folder = self._session.folder
        if folder is None:
            return
        where = folder.opened.folder
        dialog = self._files(
            "labels", "Folder for the labels", lambda path: self._open_folder(where, path), folder.dataset.label_root
        )
        dialog.setFileMode(QFileDialog.FileMode.Directory)

    def class_list_to_read(self, taken: Callable[[Path], object]) -> None:
        """Ask for a file that lists classes."""
        dialog = self._files("class list", "Import a list of classes", taken)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.setNameFilters(["Lists of classes (*.txt *.csv *.tsv *.json)", "All files (*)"])

    def class_list_to_write(self, taken: Callable[[Path], object]) -> None:
        """Ask where a list of classes goes."""
        dialog = self._files("class list", "Save the list of classes", taken)
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix("csv")
        dialog.setNameFilters(["Table (*.csv)", "JSON (*.json)", "Names only (*.txt)"])

    # --- forms -----------------------------------------------------------------------------------------------------

    @Slot()
    def shortcuts(self) -> None:
        """Show all keys."""

        from unet_gui.app.dialogs.shortcuts import ShortcutsDialog

        def make() -> QDialog:
            dialog = ShortcutsDialog(self._actions, self._window)
            dialog.keys_wanted.connect(self._settings.set_shortcut)
            return dialog

        self._show("shortcuts", make)

    @Slot()
    def settings(self) -> None:
        """Show the program's settings."""
        from unet_gui.app.dialogs.forms import SettingsDialog

        self._show("settings", lambda: SettingsDialog(self._settings, self._window))

    @Slot()
    def model_settings(self) -> None:
        """Show how models are trained and used."""
        from unet_gui.app.dialogs.forms import ModelDialog

        def make() -> QDialog:
            dialog = ModelDialog(self._desk.shelf.wishes, [], self._window)
            dialog.chosen.connect(self._on_wishes)
            return dialog

        self._show("model settings", make)

    @Slot(object)
    def _on_wishes(self, wishes: Wishes) -> None:
        shelf = self._desk.shelf
        shelf.set_wishes(replace(wishes, model=shelf.wishes.model))  # a training may have ended meanwhile

    @Slot()
    def encoding(self) -> None:
        """Show how labels are stored."""
        from unet_gui.app.dialogs.forms import EncodingDialog

        dataset = self._session.dataset
        if dataset is None:
            return

        def make() -> QDialog:
            dialog = EncodingDialog(dataset, self._window)
            dialog.chosen.connect(self.encoding_chosen)
            return dialog

        self._show("encoding", make)

    @Slot()
    def about(self) -> None:
        """Show version and licence."""
        text = (
            f"unet-gui {__version__}\n\nPaint a little, let a U-Net learn it, correct, segment the folder.\n\n"
            "MIT licence. Nothing leaves this computer."
        )

        def make() -> QDialog:
            box = self._box(QMessageBox.Icon.NoIcon, text)
            box.setIconPixmap(theme.icon("logo", "accent").pixmap(48))
            return box

        self._show("about", make)

    # --- questions -------------------------------------------------------------------------------------------------

    def _box(self, icon: QMessageBox.Icon, text: str) -> QMessageBox:
        box = QMessageBox(icon, "unet-gui", text, QMessageBox.StandardButton.Close, self._window)
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setModal(False)
        return box

    def warn(self, text: str) -> None:
        """Say no."""
        self._show("warning", lambda: self._box(QMessageBox.Icon.Warning, text))

    def ask(
        self,
        text: str,
        yes: str,
        act: Callable[[], object],
        information: str = "",
        no: str = "Cancel",
        name: str = "question",
    ) -> None:
        """Ask, and act when the person agrees. The window stays usable meanwhile.

        Another question of the same name takes its place, and `withdraw` takes it back.
        """

        def make() -> QDialog:
            box = QMessageBox(QMessageBox.Icon.Question, "unet-gui", text, parent=self._window)
            box.setTextFormat(Qt.TextFormat.PlainText)
            box.setInformativeText(information)
            box.setModal(False)
            stay = box.addButton(QMessageBox.StandardButton.Cancel)
            stay.setText(no)
            box.setDefaultButton(stay)  # Enter must not cost what somebody is asked about
            agree = box.addButton(yes, QMessageBox.ButtonRole.AcceptRole)
            agree.clicked.connect(lambda: act())
            return box

        self._show_anew(name, make)

    def withdraw(self, name: str) -> None:
        """Close a question that needs no answer any more."""
        if name in self._open:
            self._open[name].close()

    def ask_color(self, class_id: int, now: str, taken: Callable[[int, str], object], of: str = "") -> None:
        """Let the person choose the colour of a class or channel."""

        def make() -> QDialog:
            dialog = QColorDialog(QColor(now), self._window)
            dialog.setOption(QColorDialog.ColorDialogOption.DontUseNativeDialog)
            dialog.setWindowTitle(f"Colour of “{of}”" if of else "Colour")
            if (layout := dialog.layout()) is not None:
                layout.setContentsMargins(18, 18, 18, 14)  # as in forms; Qt leaves none
            dialog.colorSelected.connect(lambda color: taken(class_id, color.name()))
            return dialog

        self._show_anew("colour", make)
