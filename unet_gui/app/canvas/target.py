"""What a tool may do to the open image."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from unet_gui.core.geometry import Rect
from unet_gui.core.images import ImageSource
from unet_gui.core.labels import Edit, LabelImage, Over
from unet_gui.core.planes import Probabilities
from unet_gui.core.whole import Patch

Found = TypeVar("Found")


class EditTarget(Protocol):
    """The open image as tools see it; the session implements it.

    Attributes
    ----------
    labels : LabelImage or None
        The label; None when no image is open.
    source : ImageSource or None
        The image.
    prediction : ndarray of uint8, shape (h, w), or None
        Class ids the model gave, None when it has not looked at the image yet.
    probabilities : Probabilities or None
        Probability of every class, None when they were not kept. A class the folder does not know is unlabelled.
    active_class : int
        The class that tools paint; tools may set it (pick class).
    over : Over
        The over-paint rule; tools may set it.
    """

    @property
    def labels(self) -> LabelImage | None: ...
    @property
    def source(self) -> ImageSource | None: ...
    @property
    def prediction(self) -> NDArray[np.uint8] | None: ...
    @property
    def probabilities(self) -> Probabilities | None: ...
    @property
    def active_class(self) -> int: ...
    @active_class.setter
    def active_class(self, class_id: int) -> None: ...
    @property
    def over(self) -> Over: ...
    @over.setter
    def over(self, rule: Over) -> None: ...

    def begin_edit(self, name: str) -> Edit | None:
        """Open an edit of the label. None when that is impossible (read-only); the person has been told why."""

    def end_edit(self, edit: Edit) -> None:
        """Commit the edit, or nothing after its rollback; it becomes one undo step."""

    def edit_beside(self, name: str, patches: Callable[[], Iterator[Patch]], erases: bool) -> bool:
        """Write much as one undo step, beside the window; nobody else changes the label until that is done.

        An edit that erases does so also under the rule *only unlabelled*. False when it cannot begin.
        """

    def find_beside(self, name: str, find: Callable[[], Found], then: Callable[[Found], object]) -> bool:
        """Find out beside the window what takes long, then act on it; the label does not change meanwhile.

        False when it cannot begin.
        """

    def changed(self, rect: Rect) -> None:
        """Say that the pixels in ``rect`` have changed, after every paint."""
