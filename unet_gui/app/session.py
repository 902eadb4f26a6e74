"""The session: the open folder, image and label. Whoever wants to change one of them asks here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal, Slot

from unet_gui.app import words
from unet_gui.app.canvas.target import Found
from unet_gui.app.class_keeper import ClassKeeper
from unet_gui.app.class_list import classes_of, still_active
from unet_gui.app.deed import Deed, Deeds
from unet_gui.app.document import Document
from unet_gui.app.edits import Edits
from unet_gui.app.folder import Folder, Opened
from unet_gui.app.histories import Histories
from unet_gui.app.messages import Message
from unet_gui.app.reader import Reader, Said
from unet_gui.app.saving import Saving
from unet_gui.core.errors import LabelError, UserError
from unet_gui.core.geometry import Rect
from unet_gui.core.images import ImageRef, ImageSource
from unet_gui.core.labels import UNLABELLED, Edit, LabelImage, Over
from unet_gui.core.palette import ClassInfo
from unet_gui.core.planes import Probabilities
from unet_gui.core.project import Dataset
from unet_gui.core.whole import Patch


class Session(QObject):
    """What is open. Implements `EditTarget` for the tools of the canvas.

    Attributes
    ----------
    folder : Folder or None
    document : Document or None
        The image on the canvas, None while none is open or the next one is being read.
    key : str
        The image that is open or being read; empty when there is none.
    autosave : bool
    auto_contrast : bool
        Images of 8 bit are shown with a contrast window of their own, too.
    edits : Edits
        What changes the label.
    saving : Saving
        When labels are saved, and what stays in memory until they are.
    deeds : Deeds
        What waits until labels are on disk.
    class_keeper : ClassKeeper
        What the folder's classes and the encoding of its labels are changed by.
    histories : Histories
    reader : Reader
        What reads folders and images beside the window.

    Signals
    -------
    folder_changed()
        Another folder is open, or none.
    not_opened(path, exception)
        This folder cannot be opened.
    hands_off()
        Whoever has a gesture under way ends it now; what that begins beside the window is waited for next.
    letting_go()
        Whoever has an edit open ends it now, before it returns: the label is about to be saved or to go.
    image_opening(key), image_changed()
        An image is being read; it is there (or cannot be read: `document` is None).
    label_changed(Rect)
        These pixels of the label.
    large_edit_wanted(name, patches, erases)
        A tool wants to change so much that it is to be done beside the window.
    large_search_wanted(name, find, then)
        A tool wants to look at so much, and then act on what was found.
    history_changed()
        What can be undone, or whether everything is saved.
    prediction_changed(), prediction_written(key)
        The open image has another prediction; a job has just predicted this image.
    classes_changed(), active_class_changed(int), over_changed(Over)
    changed_elsewhere(Document)
        It could not be saved: another program has written the label since.
    encoding_changed()
        The same label files mean something else now.
    said(Message), settled(topic)
        Something for the person; it is over.
    """

    folder_changed = Signal()
    not_opened = Signal(object, object)
    hands_off = Signal()
    letting_go = Signal()
    image_opening = Signal(str)
    image_changed = Signal()
    label_changed = Signal(object)
    large_edit_wanted = Signal(str, object, bool)
    large_search_wanted = Signal(str, object, object)
    history_changed = Signal()
    prediction_changed = Signal()
    prediction_written = Signal(str)
    classes_changed = Signal()
    encoding_changed = Signal()
    changed_elsewhere = Signal(object)
    active_class_changed = Signal(int)
    over_changed = Signal(object)
    said = Signal(object)
    settled = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.folder: Folder | None = None
        self.document: Document | None = None
        self.key = ""
        self.autosave = True
        self.auto_contrast = False
        self._held = ""
        self.edits, self.saving = Edits(self), Saving(self)
        self.deeds, self.class_keeper = Deeds(self), ClassKeeper(self)
        self._active_class = 1
        self._over = Over.ALL
        self.histories = Histories()
        self._unread = ""  # the image that could not be read: only this one is asked for again
        self.reader = Reader(self)
        self.reader.folder_opened.connect(self._on_opened)
        self.reader.folder_not_opened.connect(self._on_not_opened)
        self.reader.image_read.connect(self._on_image)
        self.reader.image_not_read.connect(self._on_no_image)
        self.reader.prediction_read.connect(self._on_prediction)
        self.reader.prediction_not_read.connect(self._on_no_prediction)

    # --- folder ----------------------------------------------------------------------------------------------------

    @property
    def dataset(self) -> Dataset | None:
        """The open dataset."""
        return self.folder.dataset if self.folder else None

    def open_folder(
        self,
        path: Path,
        labels: Path | None = None,
        state: Path | None = None,
        *,
        anyway: bool = False,
        first: str = "",
        listed: Dataset | None = None,
    ) -> bool:
        """Begin to open a folder, with ``anyway`` also for writing when another window has it open.

        ``first`` is the image to show first, if it is there, ``listed`` what is known of the folder. False when the
        open folder has labels that cannot be saved (this has been said).
        """
        if not self.close_folder():
            return False
        self.reader.open_folder(path, labels, state, anyway=anyway, first=first, listed=listed)
        return True

    def close_folder(self, lose_changes: bool = False) -> bool:
        """Save everything and close the folder. False when something cannot be saved."""
        if self.folder is None:
            return True
        self.let_go()
        self.save()
        self.folder.saver.wait()
        unsaved = self.unsaved()
        if unsaved and not lose_changes:
            return False
        self.reader.forget()
        self.image_opening.emit("")
        self._put_away()
        self.saving.forget()
        self.histories.clear()
        self.class_keeper.forget()
        self.held = ""
        folder, self.folder = self.folder, None
        folder.close()
        folder.deleteLater()
        self.key = ""
        self.image_changed.emit()
        self.saving.close_sources()
        self.folder_changed.emit()
        return True

    def close(self) -> None:
        """End all threads."""
        self.close_folder(lose_changes=True)
        self.reader.close()

    @Slot(object)
    def _on_opened(self, opened: Opened) -> None:
        self.folder = Folder(opened, self)
        self.saving.follow(self.folder)
        self.folder.journal_failed.connect(self._on_journal)
        self.folder.recovery.restored.connect(self._on_restored)
        self._active_class = still_active(self.classes, -1)
        self._over = Over.ALL
        self.folder_changed.emit()
        self.classes_changed.emit()
        self.active_class_changed.emit(self._active_class)
        self.over_changed.emit(self._over)
        first = opened.wanted or (opened.dataset.images[0] if opened.dataset.images else None)
        if first is not None:
            self.open_image(first)

    @Slot(object, object)
    def _on_not_opened(self, path: Path, error: Exception) -> None:
        self.not_opened.emit(path, error)
        self.folder_changed.emit()

    # --- image -----------------------------------------------------------------------------------------------------

    def open_image(self, ref: ImageRef) -> None:
        """Begin to read an image; the label of the one before is saved. Only the last request is answered."""
        if self.folder is None or (ref.key == self.key and ref.key != self._unread):
            return
        if self.document is not None and ref.page is None and self.document.ref == ImageRef(ref.rel, 0):
            return  # the first page stands for the whole stack
        self._unread = ""
        self.let_go()
        self.image_opening.emit(ref.key)
        if self.autosave:
            self.save()
        self._put_away()
        self.key = ref.key
        kept = self.saving.kept(ref.key)
        if kept is not None:
            self.reader.forget()
            self._show(kept)
        else:
            self.reader.read_image(self.folder.dataset, ref, self.auto_contrast)

    def on_predicted(self, key: str, fresh: bool) -> None:
        """Hear that an image has a prediction on disk; ``fresh`` when it has just been written."""
        if self.folder is not None:
            self.folder.book.set_predicted(key)
            if fresh:
                self.folder.book.set_damaged(key, "")  # it was read
        if fresh:
            self.prediction_written.emit(key)
            self.reload_prediction(key)

    def reload_prediction(self, key: str) -> None:
        """Read the prediction of an image again, if it is the open one."""
        document = self.document
        if document is not None and document.key == key and self.folder is not None:
            self.reader.read_prediction(self.folder.dataset, document.ref)

    def _show(self, document: Document) -> None:
        self.document = document
        self.image_changed.emit()
        self.saving.close_sources()
        if self.folder is not None:
            self.folder.look()  # not before the first image is there: it would be slower
        self.history_changed.emit()
        self.reload_prediction(document.key)  # first: whoever hears of it may ask whether one is still to come
        self.prediction_changed.emit()

    def let_go(self) -> None:
        """Have every edit of the label ended: gestures first, as their end may begin something beside the window."""
        self.hands_off.emit()
        self.letting_go.emit()

    def _put_away(self) -> None:
        """Take the image off the canvas."""
        document, self.document = self.document, None
        if document is not None:
            self.saving.put_away(document)

    @Slot(object)
    def _on_image(self, document: Document) -> None:
        self.key = document.key  # the first page, when a whole stack was asked for
        kept = self.saving.kept(document.key)
        if kept is not None:  # which has what is painted and not on disk yet
            document.source.close()
            self._show(kept)
            return
        self.histories.give_to(document)
        if self.folder is not None and self.folder.journal is not None:
            self.folder.journal.base(document.key, document.labels.shape, document.disk)
        if self.folder is not None:
            self.folder.book.set_damaged(document.key, "")
        self._show(document)

    @Slot(object, object)
    def _on_no_image(self, ref: ImageRef, error: Exception) -> None:
        self._unread = self.key
        self.image_changed.emit()
        self.saving.close_sources()
        said = Message.of(error, topic="image", image=ref.key)
        self.said.emit(said)
        if self.folder is not None:
            if not isinstance(error, LabelError):  # that is seen when labels are looked at
                self.folder.book.set_damaged(ref.key, said.text)
            self.folder.look()

    @Slot(object)
    def _on_prediction(self, said: Said | None) -> None:
        if self.document is None:
            return
        if said is not None and said[0].shape != self.document.labels.shape:
            said = None
            self.said.emit(words.prediction_of_another_size(self.key))
        self.document.prediction, self.document.probabilities = said or (None, None)
        if said is not None:
            self.settled.emit("prediction")
        self.prediction_changed.emit()

    @Slot(object, object)
    def _on_no_prediction(self, ref: ImageRef, error: Exception) -> None:
        self.said.emit(Message.of(error, topic="prediction", image=ref.key))
        self.prediction_changed.emit()  # for those who wait

    # --- EditTarget ------------------------------------------------------------------------------------------------

    @property
    def labels(self) -> LabelImage | None:
        """The label on the canvas."""
        return self.document.labels if self.document else None

    @property
    def source(self) -> ImageSource | None:
        """The image on the canvas."""
        return self.document.source if self.document else None

    @property
    def prediction(self) -> NDArray[np.uint8] | None:
        """What the model said, as class ids."""
        return self.document.prediction if self.document else None

    @property
    def reads_prediction(self) -> bool:
        """Whether what the model said of the open image is being read."""
        return self.reader.reads_prediction

    @property
    def probabilities(self) -> Probabilities | None:
        """What the model said, as probabilities of the classes."""
        return self.document.probabilities if self.document else None

    @property
    def active_class(self) -> int:
        """The class that tools paint."""
        return self._active_class

    @active_class.setter
    def active_class(self, class_id: int) -> None:
        if class_id == self._active_class:
            return
        if class_id in {info.id for info in self.classes}:
            self._active_class = class_id
        self.active_class_changed.emit(self._active_class)  # also where it was refused, to whoever shows it already

    @property
    def over(self) -> Over:
        """The over-paint rule."""
        return self._over

    @over.setter
    def over(self, rule: Over) -> None:
        if rule != self._over:
            self._over = rule
            self.over_changed.emit(rule)

    def begin_edit(self, name: str) -> Edit | None:
        """Open an edit of the label. None when that is impossible; the person has been told why."""
        return self.edits.begin(name)

    def end_edit(self, edit: Edit) -> None:
        """Commit the edit."""
        self.edits.end(edit)

    def edit_beside(self, name: str, patches: Callable[[], Iterator[Patch]], erases: bool) -> bool:
        """Have much written beside the window, as one undo step. False when that cannot begin."""
        before = self.held
        self.large_edit_wanted.emit(name, patches, erases)  # whoever does it holds the labels from now on
        return self.held != before

    def find_beside(self, name: str, find: Callable[[], Found], then: Callable[[Found], object]) -> bool:
        """Have something found out beside the window, while labels are held. False when that cannot begin."""
        before = self.held
        self.large_search_wanted.emit(name, find, then)
        return self.held != before

    def changed(self, rect: Rect) -> None:
        """Say that pixels of the label have changed."""
        if not rect.empty:
            self.label_changed.emit(rect)

    def must_recover(self, key: str = "") -> bool:
        """Whether strokes of a run that died wait, for this image or for any; then it is said.

        Were the label changed now, they could not be given back to it.
        """
        recovery = self.folder.recovery if self.folder else None
        if recovery is None or not recovery.keys or (key and key not in recovery.keys):
            return False
        self.said.emit(words.strokes_return() if recovery.busy else recovery.offer(words.strokes_wait))
        return True

    def undo(self) -> None:
        """Take the last change of this image back."""
        self.edits.undo()

    def redo(self) -> None:
        """Make it again."""
        self.edits.redo()

    # --- saving ----------------------------------------------------------------------------------------------------

    def unsaved(self) -> list[str]:
        """Return the images whose labels are not on disk as they are."""
        return sorted({document.key for document in self.saving.documents() if document.dirty})

    @Slot()
    def save(self) -> None:
        """Begin to save every changed label."""
        self.saving.save()

    @property
    def held(self) -> str:
        """Why labels cannot be changed for a while; empty when they can."""
        return self._held

    @held.setter
    def held(self, reason: str) -> None:
        self._held = reason
        if not reason:
            self.deeds.go_on()

    def when_saved(
        self,
        act: Callable[[], object],
        refused: Callable[[], object] = lambda: None,
        *,
        alone: bool = False,
        patient: bool = False,
    ) -> None:
        """Save what is painted by now, then act on the labels on disk: see `Deed`."""
        Deed(self, act, refused, alone, patient).begin()

    @Slot(object)
    def _on_journal(self, error: OSError | None) -> None:
        if error is None:
            self.settled.emit("journal")
        else:
            self.said.emit(words.strokes_not_noted(error))

    @Slot(object, object)
    def _on_restored(self, keys: list[str], errors: list[Exception]) -> None:
        for error in errors:
            self.said.emit(Message.of(error))
        if keys and self.folder is not None:
            self.folder.book.scan([ImageRef.parse(key) for key in keys])
            self.said.emit(words.strokes_back(len(keys)))
        if self.key in keys:
            self.reopen()
        if self.folder is not None and self.folder.recovery.keys:
            self.said.emit(self.folder.recovery.offer(words.strokes_unsaved))

    def say_read_only(self) -> None:
        """Tell why nothing can be changed."""
        if self.folder is not None:
            self.said.emit(words.read_only("Nothing can be changed here.", self.folder.read_only, self.folder.offers))

    def keep_setting(self, name: str, value: Any) -> None:
        """Keep something about the folder in its project file."""
        if self.folder is not None and self.folder.dataset.settings.get(name) != value:
            self.folder.dataset.settings[name] = value
            self.settings_to_disk()

    def settings_to_disk(self) -> None:
        """Write the project file."""
        if self.folder is None or self.folder.read_only:
            return
        try:
            self.folder.dataset.save()
        except (OSError, UserError) as error:
            self.said.emit(Message.of(error, topic="project"))

    # --- classes ---------------------------------------------------------------------------------------------------

    @property
    def classes(self) -> list[ClassInfo]:
        """The classes of the folder, in the person's order."""
        return classes_of(self.folder.dataset) if self.folder else []

    def set_classes(self, classes: list[ClassInfo], into: int = UNLABELLED, again: bool = False) -> None:
        """Give the folder these classes, in this order, and keep them: see `ClassKeeper.put`."""
        self.class_keeper.put(classes, into, again)

    def reopen(self) -> None:
        """Read the open image's label again, also one that is being read: somebody else has written it since."""
        self.let_go()
        if not self.key or (self.document is not None and self.document.dirty):
            return
        ref, self.key = ImageRef.parse(self.key), ""
        self._put_away()
        self.open_image(ref)
