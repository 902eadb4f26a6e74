"""The images of a folder and the places of its labels, which nothing that is exported may replace."""

from __future__ import annotations

import os
from pathlib import Path

from unet_gui.core.errors import UserError
from unet_gui.core.images import ImageRef
from unet_gui.core.layout import LABEL_SUFFIXES, same_name
from unet_gui.core.listing import TIFF_SUFFIXES
from unet_gui.core.project import Dataset


class OwnFiles:
    """Knows an image or a label by its path.

    Masks and images have the same names: written into a folder further down among the images, a mask would replace
    the image there, and in the folder of labels it would be taken for what the person has said.

    Parameters
    ----------
    dataset : Dataset
    """

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._roots = {
            same_name(os.path.join(os.path.realpath(root), "")) for root in (dataset.image_root, dataset.label_root)
        }
        self._known: dict[str, str] | None = None  # made when somebody writes near them
        self._real: dict[Path, str] = {}  # folders are few and files are many

    def near(self, out: Path) -> bool:
        """Whether anything below a folder may be an image or a label; to know which, all have to be gone through."""
        place = same_name(os.path.join(os.path.realpath(out), ""))
        return any(place.startswith(root) or root.startswith(place) for root in self._roots)

    def what(self, path: Path) -> str:
        """Return what would be replaced, "" when it is neither an image nor a label."""
        place = same_name(self._place(path))
        if not any(place.startswith(root) for root in self._roots):
            return ""
        if self._known is None:
            self._known = dict(self._all())
        return self._known.get(place, "")

    def must_not_be(self, path: Path) -> None:
        """Refuse to write there.

        Raises
        ------
        UserError
            It is an image, or the place of a label.
        """
        if what := self.what(path):
            raise UserError(f"is {what} of this folder, which is never replaced.", path, "Choose another folder.")

    def _all(self) -> list[tuple[str, str]]:
        data = self._dataset
        found = [(same_name(self._place(data.image_path(ref))), "an image") for ref in data.images]
        for ref in data.images:
            pages = [ref, ImageRef(ref.rel, 0)] if ref.rel.lower().endswith(TIFF_SUFFIXES) else [ref]
            stems = {os.path.splitext(same_name(self._place(data.label_path(page))))[0] for page in pages}
            # also of another kind: it would be found there
            found += [(stem + suffix, "the label of an image") for stem in stems for suffix in LABEL_SUFFIXES]
        return found

    def _place(self, path: Path) -> str:
        """Return where a name is: a link of that name would be replaced, so it is not followed."""
        folder = path.parent
        if folder not in self._real:
            self._real[folder] = os.path.realpath(folder)
        return os.path.join(self._real[folder], path.name)
