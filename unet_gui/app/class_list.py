"""The classes of a folder in the person's order. In files, and for the engine, they are in the order of ids."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from typing import Any

from unet_gui.core.labels import UNLABELLED, Over
from unet_gui.core.palette import MAX_CLASSES, ClassInfo, color_of, folded
from unet_gui.core.predictions import GONE
from unet_gui.core.project import Dataset

ORDER = "class_order"
"""Setting of the folder: class ids in the person's order."""


def classes_of(dataset: Dataset) -> list[ClassInfo]:
    """Return the classes in the person's order; those it does not name come last."""
    wanted = dataset.settings.get(ORDER)
    ids = [each for each in wanted if isinstance(each, int)] if isinstance(wanted, list) else []
    place = {class_id: at for at, class_id in enumerate(ids)}
    return sorted(dataset.classes, key=lambda info: (place.get(info.id, MAX_CLASSES), info.id))


def put_classes(dataset: Dataset, classes: Sequence[ClassInfo]) -> None:
    """Give the folder these classes in this order.

    Raises
    ------
    ProjectError
        There is none, or two have one id.
    """
    dataset.set_classes(sorted(classes, key=lambda info: info.id))
    ids = [info.id for info in classes]
    if ids == sorted(ids):
        dataset.settings.pop(ORDER, None)
    else:
        dataset.settings[ORDER] = ids


def note_gone(dataset: Dataset, classes: Sequence[ClassInfo], into: int) -> None:
    """Note that classes were taken off the list, for models that know them still; 255: their pixels are unlabelled."""
    ids = [[info.id] for info in classes]
    others = [each for each in _gone(dataset) if each[:1] not in ids]
    dataset.settings[GONE] = [*others, *([info.id, info.name, into] for info in classes)]


def is_gone(dataset: Dataset, info: ClassInfo) -> bool:
    """Whether somebody has taken this class off the list."""
    return any(each[:2] == [info.id, info.name] for each in _gone(dataset))


def _gone(dataset: Dataset) -> list[list[Any]]:
    """Return what is noted of classes that are gone; the project file may hold anything."""
    noted = dataset.settings.get(GONE)
    return [each for each in noted if isinstance(each, list)] if isinstance(noted, list) else []


def new_class(classes: Sequence[ClassInfo], taken: int | None = None) -> ClassInfo | None:
    """Return a class with the next free number but ``taken``, that of unlabelled pixels; None when there are 255."""
    used = {info.id for info in classes} | {taken}
    colors = {info.color.upper() for info in classes}
    free = next((number for number in range(MAX_CLASSES) if number not in used), None)
    if free is None:
        return None
    own = color_of(free)
    color = own if own not in colors else next(c for n in range(512) if (c := color_of(n)) not in colors)
    names = {folded(info.name) for info in classes}
    number = next(number for number in itertools.count(free) if f"class {number}" not in names)
    return ClassInfo(free, f"class {number}", color)


def still_active(classes: Sequence[ClassInfo], active: int) -> int:
    """Return the class to paint with: the one until now, or, when it is no more, the first after background."""
    ids = [info.id for info in classes]
    return active if active in ids else ids[min(1, len(ids) - 1)]


def still_over(rule: Over, ids: Collection[int]) -> Over:
    """Return the over-paint rule without classes that are no more."""
    if rule.mode != "classes":
        return rule
    left = rule.classes & {*ids, UNLABELLED}
    return Over("classes", left) if left else Over.ALL
