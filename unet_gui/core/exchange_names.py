"""Which image a file of another program belongs to."""

from __future__ import annotations

import re
from collections.abc import Callable

from unet_gui.core.images import ImageRef
from unet_gui.core.layout import same_name
from unet_gui.core.project import Dataset

_PAGE = re.compile(r"(.+)\.(\d{4,})")


class NameFinder:
    """Finds the image that a file of another program belongs to, by its name."""

    def __init__(self, dataset: Dataset) -> None:
        # upper and lower case, or an ü of one letter or two (macOS), count where both are there, and nowhere else
        self._exact = _names_of(dataset, str)
        self._folded = _names_of(dataset, same_name)

    def key(self, name: str) -> str | None:
        """Return the key of the image of a name, which may be a key itself with a page."""
        page = ImageRef.parse(name).page if "#" in name else None
        if page is None:
            return self.find(name)
        stack = self.find(ImageRef.parse(name).rel)
        return None if stack is None else ImageRef(stack, page).key

    def is_shared(self, name: str) -> bool:
        """Whether two images may be called so, and it is therefore that of none."""
        return self._exact.get(name, "") is None or self._folded.get(same_name(name), "") is None

    def find(self, name: str) -> str | None:
        """Return the key of the image that is called so, with or without suffix, or the page of a stack."""
        parts = name.replace("\\", "/").split("/")
        for first in range(len(parts)):
            called = "/".join(parts[first:])
            key = self._exact.get(called) or self._folded.get(same_name(called))
            if key is not None:
                return key
        page = _PAGE.fullmatch(name)
        if page is not None:
            stack = self.find(page[1])
            if stack is not None:
                return ImageRef(stack, int(page[2])).key
        return None


def _names_of(dataset: Dataset, fold: Callable[[str], str]) -> dict[str, str | None]:
    """Return the image of each name it may go by; None where that is not one image alone."""
    short: dict[str, str | None] = {}
    whole: dict[str, str | None] = {}
    full: dict[str, str | None] = {}
    for ref in dataset.images:
        label = dataset.label_path(ref).relative_to(dataset.label_root).with_suffix("").as_posix()
        names = {fold(name) for name in (ref.rel, ref.rel.rpartition(".")[0], label)}
        for keys, called in (
            (whole, names),
            (short, {name.rpartition("/")[2] for name in names}),
            (full, {fold(ref.rel)}),
        ):
            for name in called:
                # two images of one name in different folders are told apart by the whole path only
                keys[name] = ref.rel if keys.get(name, ref.rel) == ref.rel else None
    return short | whole | full  # so a.json is that of a.png, not of sub/a.png
