"""From image to image."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject

from unet_gui.app.image_list import ImageListModel
from unet_gui.app.session import Session
from unet_gui.core.images import ImageRef


class Navigator(QObject):
    """Finds the image to go to.

    Parameters
    ----------
    say : callable
        Tells a short text.
    """

    def __init__(
        self, session: Session, images: ImageListModel, say: Callable[[str], None], parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._images = images
        self._say = say

    @property
    def current(self) -> ImageRef | None:
        """The image that is open or being read."""
        return ImageRef.parse(self._session.key) if self._session.key else None

    def step(self, step: int) -> None:
        """Go one image back (-1) or on (1) among those that the filter shows."""
        ref = self._images.neighbour(self.current, step)
        if ref is not None:
            self._session.open_image(ref)
        elif self._images.filter.strip() and not self._images.rowCount():
            self._say("No image fits the filter: empty it to see them all.")
        else:
            fits = " that fits the filter" if self._images.filter.strip() else ""
            self._say(f"This is the {'last' if step > 0 else 'first'} image{fits}.")

    def next_unfinished(self) -> ImageRef | None:
        """Return the next image that is not done."""
        return self._images.next_unfinished(self.current)

    def go_unfinished(self) -> None:
        """Go to the next image that is not done."""
        ref = self.next_unfinished()
        if ref is not None:
            self._session.open_image(ref)
        else:
            self._say("Every other image is done.")

    def predicted_after(self) -> list[ImageRef]:
        """Return the images with a prediction, beginning after the open one."""
        folder = self._session.folder
        if folder is None:
            return []
        every = self._images.everything()
        current = None if self.current is None else self._images.listed(self.current)
        start = every.index(current) + 1 if current in every else 0
        return [ref for ref in [*every[start:], *every[:start]] if folder.book.predicted(ref.key)]
