"""The images of the folder as a list: names, statuses, pages of stacks, a filter. Quick with a hundred thousand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, Qt, Slot

from unet_gui.app.status_book import StatusBook
from unet_gui.app.thumbnails import Thumbnails
from unet_gui.core.images import ImageRef
from unet_gui.core.project import Status

REF, STATUS, STATE, THUMBNAIL, IS_GROUP, IS_OPEN = (int(Qt.ItemDataRole.UserRole) + n for n in range(6))
_NO_PARENT = QModelIndex()
_WORDS = {"done", "partial", "untouched", "predicted", "unpredicted", "problem"}
Index = QModelIndex | QPersistentModelIndex


def name_of(ref: ImageRef) -> str:
    """Return what people call an image: pages count from 1."""
    return ref.rel if ref.page is None else f"{ref.rel}, page {ref.page + 1}"


class ImageListModel(QAbstractListModel):
    """Rows of the list: images, and a heading for each stack of pages.

    Attributes
    ----------
    filter : str
        Words that all must fit: part of the name, or a status.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.filter = ""
        self.thumbnails = Thumbnails(self)
        self.thumbnails.ready.connect(self._on_thumbnail)
        self.thumbnails.failed.connect(self._on_no_thumbnail)
        self._book: StatusBook | None = None
        self._images: list[ImageRef] = []  # files; a stack's pages are in _pages
        self._pages: dict[str, list[ImageRef]] = {}
        self._folded: set[str] = set()
        self._rows: list[ImageRef] = []
        self._row_of: dict[ImageRef, int] | None = None
        self._near = 0  # where the last row was found

    # --- content ---------------------------------------------------------------------------------------------------

    def set_images(self, images: Sequence[ImageRef], book: StatusBook | None) -> None:
        """Show other images."""
        self.beginResetModel()
        self._images, self._book = list(images), book
        self._pages, self._folded, self.filter = {}, set(), ""
        self._arrange()
        self.endResetModel()
        if book is not None:
            book.changed.connect(self._on_statuses)
            book.scanned.connect(self._on_scanned)

    def set_pages(self, stacks: dict[str, list[ImageRef]]) -> None:
        """Show these files as groups of their pages."""
        if stacks:
            self.layoutAboutToBeChanged.emit()
            before = [(index, self._rows[index.row()]) for index in self.persistentIndexList()]
            self._pages.update(stacks)
            self._arrange()
            for index, ref in before:
                self.changePersistentIndex(index, self.index_of(ref))
            self.layoutChanged.emit()

    def set_filter(self, text: str) -> None:
        """Show only rows that fit."""
        if text != self.filter:
            self.beginResetModel()
            self.filter = text
            self._arrange()
            self.endResetModel()

    def fold(self, rel: str) -> None:
        """Hide the pages of a stack, or show them again."""
        self.beginResetModel()
        self._folded ^= {rel}
        self._arrange()
        self.endResetModel()

    def _arrange(self) -> None:
        words = self.filter.lower().split()
        self._rows = list(self._unfiltered(folded=not words)) if not words else list(self._fitting(words))
        self._row_of = None

    def _unfiltered(self, folded: bool) -> Iterator[ImageRef]:
        if not self._pages:
            yield from self._images
            return
        for ref in self._images:
            yield ref
            if ref.rel in self._pages and not (folded and ref.rel in self._folded):
                yield from self._pages[ref.rel]

    def _fitting(self, words: list[str]) -> Iterator[ImageRef]:
        for ref in self._unfiltered(folded=False):
            if self.is_group(ref):
                continue
            name = name_of(ref).lower()
            if all(word in name or (word in _WORDS and self._has(ref, word)) for word in words):
                yield ref

    def _has(self, ref: ImageRef, word: str) -> bool:
        book, key = self._book, ref.key
        if book is None:
            return word == "untouched"
        if word == "predicted":
            return book.predicted(key)
        if word == "unpredicted":
            return not book.predicted(key)
        if word == "problem":
            return bool(book.problem(key))
        return book.status(key).value == word

    # --- order -----------------------------------------------------------------------------------------------------

    @property
    def total(self) -> int:
        """Number of images, pages counted one by one, filter or not."""
        return len(self._images) + sum(len(pages) - 1 for pages in self._pages.values())

    def everything(self) -> list[ImageRef]:
        """Return all images in order, pages of stacks one by one, filter or not."""
        return [ref for ref in self._unfiltered(folded=False) if not self.is_group(ref)]

    def listed(self, ref: ImageRef) -> ImageRef:
        """Return what `everything` has of an image: the file, while nobody knows its pages."""
        return ref if ref.rel in self._pages else ImageRef(ref.rel)

    def is_group(self, ref: ImageRef) -> bool:
        """Whether this is the heading of a stack."""
        return ref.page is None and ref.rel in self._pages

    def index_of(self, ref: ImageRef) -> QModelIndex:
        """Return the row of an image; an invalid index when the filter hides it."""
        rows = self._rows
        for row in range(max(0, self._near - 1), min(len(rows), self._near + 2)):  # mostly the next one is wanted
            if rows[row] == ref:
                self._near = row
                return self.index(row)
        if self._row_of is None:
            self._row_of = {each: row for row, each in enumerate(rows)}
        found = self._row_of.get(ref)
        if found is None:
            return QModelIndex()
        self._near = found
        return self.index(found)

    def neighbour(self, ref: ImageRef | None, step: int) -> ImageRef | None:
        """Return the image before (-1) or after (1) among those shown; None at the end."""
        rows = self._rows
        at = -1 if ref is None else self.index_of(ref).row()
        if at < 0 and ref is not None and ref.page is not None:  # folded in, or nobody knows yet that it has pages
            at = self.index_of(ImageRef(ref.rel)).row()
        if at < 0:
            return next((each for each in rows if not self.is_group(each)), None)
        at += step
        while 0 <= at < len(rows) and self.is_group(rows[at]):
            at += step
        return rows[at] if 0 <= at < len(rows) else None

    def next_unfinished(self, ref: ImageRef | None) -> ImageRef | None:
        """Return the next image that is not done, from the beginning again after the last; None when all are.

        Nobody can finish an image that has a problem: such a one comes only when there is no other.
        """
        book = self._book
        ref = None if ref is None else self.listed(ref)
        troubled = None
        every = self.everything()
        start = every.index(ref) + 1 if ref in every else 0
        for each in [*every[start:], *every[:start]]:
            if each == ref or (book is not None and book.status(each.key) == Status.DONE):
                continue
            if book is None or not book.problem(each.key):
                return each
            troubled = troubled or each
        return troubled

    # --- Qt --------------------------------------------------------------------------------------------------------

    @Slot(object)
    def _on_statuses(self, keys: list[str]) -> None:
        if len(keys) > 50:
            self._on_scanned()
            return
        for key in keys:
            index = self.index_of(ImageRef.parse(key))
            if index.isValid():
                self.dataChanged.emit(index, index, [STATUS, STATE])

    @Slot()
    def _on_scanned(self) -> None:
        if self._rows:
            self.dataChanged.emit(self.index(0), self.index(len(self._rows) - 1), [STATUS, STATE])

    @Slot(str)
    def _on_thumbnail(self, key: str) -> None:
        index = self.index_of(ImageRef.parse(key))
        if index.isValid():
            self.dataChanged.emit(index, index, [THUMBNAIL])

    @Slot(str, str)
    def _on_no_thumbnail(self, key: str, why: str) -> None:
        if self._book is not None and key not in self._book.damaged:  # who has opened it knows better why
            self._book.set_damaged(key, why)

    def ref(self, index: Index) -> ImageRef:
        """Return the image of a row."""
        return self._rows[index.row()]

    def state_text(self, ref: ImageRef) -> str:
        """Return the second line of a row, empty while nobody has looked at its label."""
        if self.is_group(ref):
            return f"{len(self._pages[ref.rel])} pages"
        book = self._book
        if book is None:
            return Status.UNTOUCHED.value
        if book.problem(ref.key):
            return "problem"
        status = book.status(ref.key)
        if status == Status.UNTOUCHED and book.predicted(ref.key):
            return "predicted"
        return "" if status == Status.UNTOUCHED and not book.looked else status.value

    def _problem(self, ref: ImageRef) -> str:
        return self._book.problem(ref.key) if self._book else ""

    def rowCount(self, parent: Index = _NO_PARENT) -> int:
        return 0 if parent.isValid() else len(self._rows)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid() or index.row() >= len(self._rows):
            return None
        ref = self._rows[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            if ref.page is None or self.filter.strip():  # what fits a filter has no heading
                return name_of(ref)
            return f"page {ref.page + 1}"
        if role == STATE:
            return self.state_text(ref)
        if role == STATUS:
            return self._book.status(ref.key) if self._book else Status.UNTOUCHED
        if role == REF:
            return ref
        if role == THUMBNAIL:
            return None if self.is_group(ref) else self.thumbnails.get(ref)
        if role == IS_GROUP:
            return self.is_group(ref)
        if role == IS_OPEN:
            return ref.rel not in self._folded
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{name_of(ref)}\n{self._problem(ref) or self.state_text(ref)}".strip()
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return ", ".join(part for part in (name_of(ref), self.state_text(ref), self._problem(ref)) if part)
        return None
