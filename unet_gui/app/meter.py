"""How far predictions agreed with what the person made of them, over the last images that were finished.

Each image is predicted before the person labels it and compared with the finished label afterwards. An image that was
predicted again after it had been labelled does not count: the model may have learned from it. Nor does one that was
accepted as it was before anybody can have looked at it: it would agree with itself.
"""

from __future__ import annotations

import math
import time
from statistics import fmean, stdev
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Slot

from unet_gui.app.chores import Chores
from unet_gui.app.panels.model import ProgressSection
from unet_gui.app.session import Session
from unet_gui.core.overlap import confusion, dice, pixel_error
from unet_gui.core.project import Dataset, Status
from unet_gui.core.text import percent

LAST = 6
"""Images the figures are taken over."""
KEPT = 200
LOOK = 3.0
"""Seconds that a look at an image takes at least."""
_PAUSE = 120.0
"""Seconds without a change after which the person is somewhere else; they do not count."""


class Meter(QObject):
    """Compares first predictions with finished labels and shows the last few."""

    def __init__(self, session: Session, section: ProgressSection, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._section = section
        self._seen: set[str] = set()  # predicted while labelled: no test of the model
        self._rows: list[dict[str, Any]] = []
        self._spent: dict[str, float] = {}
        self._last = time.monotonic()
        self._chores = Chores(1, self)
        self._chores.done.connect(self._on_compared)
        session.folder_changed.connect(self._on_folder)
        session.image_changed.connect(self._on_image)
        session.label_changed.connect(self._on_activity)
        session.prediction_written.connect(self._on_prediction)

    def close(self) -> None:
        """End the thread."""
        self._chores.close()

    @Slot()
    def _on_folder(self) -> None:
        dataset = self._session.dataset
        kept = dataset.settings.get("meter") if dataset else None
        kept = kept if isinstance(kept, dict) else {}
        rows, seen = kept.get("rows"), kept.get("seen")
        known = [row for row in rows if _is_row(row)] if isinstance(rows, list) else []
        self._rows = [row for row in known if _looked_at(row)][-KEPT:]
        self._seen = {str(key) for key in seen} if isinstance(seen, list) else set()
        self._spent.clear()
        self._show()

    @Slot()
    def _on_image(self) -> None:
        self._last = time.monotonic()

    @Slot()
    def _on_activity(self) -> None:
        now = time.monotonic()
        key = self._session.key
        self._spent[key] = self._spent.get(key, 0.0) + min(now - self._last, _PAUSE)
        self._last = now

    @Slot(str)
    def _on_prediction(self, key: str) -> None:
        folder = self._session.folder
        if folder is None:
            return
        document = self._session.document
        touched = folder.book.status(key) != Status.UNTOUCHED
        if document is not None and document.key == key:
            touched = touched or document.seq > 0
        if touched:
            self._seen.add(key)

    @Slot(str)
    def on_finished(self, key: str) -> None:
        """Compare the finished label with what the model had said before."""
        document = self._session.document
        if document is None or document.key != key or document.prediction is None or key in self._seen:
            return
        self._on_activity()
        self._seen.add(key)
        prediction = document.prediction
        names = [(info.id, info.name) for info in self._session.classes]
        tag = self._session.dataset, key, self._spent.get(key, 0.0), names
        self._chores.give(tag, lambda: _compare(document.snapshot()[0], prediction))

    @Slot(object, object)
    def _on_compared(
        self, tag: tuple[Dataset | None, str, float, list[tuple[int, str]]], result: tuple[list[float], float]
    ) -> None:
        dataset, key, seconds, names = tag
        if dataset is not self._session.dataset:
            return  # it is of the folder that was open before
        scores, wrong = result
        by_name = {name: scores[i] for i, name in names if i < len(scores) and not math.isnan(scores[i])}
        row = {"key": key, "dice": by_name, "wrong": wrong, "seconds": round(seconds, 1)}
        others = [each for each in self._rows if each.get("key") != key]
        self._rows = [*others, row][-KEPT:] if _looked_at(row) else others
        self._session.keep_setting("meter", {"rows": self._rows, "seen": sorted(self._seen)})
        self._show()

    def _show(self) -> None:
        last = self._rows[-LAST:]
        if not last:
            self._section.set_scores("", [])
            return
        shown: list[tuple[str, str]] = []
        for name in list(dict.fromkeys(name for row in last for name in row["dice"]))[:4]:
            values = [row["dice"][name] for row in last if name in row["dice"]]
            spread = f" ± {stdev(values):.2f}" if len(values) > 1 else ""
            shown.append((f"Dice {name}", f"{fmean(values):.2f}{spread}"))
        shown.append(("Pixels you changed", percent(fmean(row["wrong"] for row in last), 1)))
        seconds = [row["seconds"] for row in self._rows if row["seconds"] > 0]
        if seconds:
            shown.append(("Time per image", f"{fmean(seconds[-LAST:]):.0f} s{_trend(seconds)}"))
        count = f"last {len(last)} images" if len(last) > 1 else "last image"
        text = f"Predictions against your labels, {count}. What you accept as it is counts as agreement."
        self._section.set_scores(text, shown)


def _is_row(row: Any) -> bool:
    """Whether a row is one that this version can show: the project file may be of another."""
    if not isinstance(row, dict) or not isinstance(row.get("dice"), dict):
        return False
    values = row.get("wrong"), row.get("seconds"), *row["dice"].values()
    return all(isinstance(value, (int, float)) for value in values)


def _looked_at(row: dict[str, Any]) -> bool:
    """Whether the person changed something, or had the time to see that nothing is to be changed."""
    return bool(row.get("wrong", 0) > 0 or row.get("seconds", 0) >= LOOK)


def _compare(label: NDArray[np.uint8], prediction: NDArray[np.uint8]) -> tuple[list[float], float]:
    classes = max(int(label[label < 255].max(initial=0)), int(prediction.max(initial=0))) + 1
    table = confusion(label, prediction, classes)
    return [float(value) for value in dice(table)], pixel_error(table)


def _trend(seconds: list[float]) -> str:
    if len(seconds) < 2 * LAST:
        return ""
    now, before = fmean(seconds[-LAST:]), fmean(seconds[-2 * LAST : -LAST])
    return ", falling" if now < 0.9 * before else ", rising" if now > 1.1 * before else ""
