"""What the program remembers of the person's wishes: one place, typed, with defaults."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from PySide6.QtCore import QByteArray, QObject, QSettings, Signal

RECENT = 8
"""Folders on the start page and in the menu."""
KNOWN = 100
"""Folders of which the program knows how they were left."""

_DEFAULTS: dict[str, Any] = {
    "theme": "system",
    "autosave": True,
    "brush_in_screen_pixels": False,
    "guide": False,
}


class Settings(QObject):
    """The person's settings, kept by the system (registry, preferences, or a file under ``~/.config``).

    Signals
    -------
    changed(name)
        A setting has another value now.
    """

    changed = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._store = QSettings(QSettings.Format.IniFormat, QSettings.Scope.UserScope, "unet-gui", "unet-gui", self)

    def get(self, name: str) -> Any:
        """Return a setting, its default when the person never chose."""
        default = _DEFAULTS[name]
        return self._store.value(name, default, type(default))

    def set(self, name: str, value: Any) -> None:
        """Keep a setting."""
        if value != self.get(name):
            self._store.setValue(name, value)
            self.changed.emit(name)

    def recent(self) -> list[Path]:
        """Return the folders opened last, newest first."""
        names: Any = self._store.value("recent", [])
        listed = [names] if isinstance(names, str) else names or []
        return [Path(name) for name in listed if os.path.isabs(name)]  # another name means nothing from elsewhere

    def remember(self, folder: Path) -> None:
        """Put a folder at the top of the recent ones."""
        self._store.setValue("recent", [os.path.abspath(folder), *self._recent_but(folder)][:RECENT])
        self.changed.emit("recent")

    def _recent_but(self, folder: Path) -> list[str]:
        """Return the recent folders but one, which may be named as seen from where the program was started."""
        return [str(path) for path in self.recent() if path != Path(os.path.abspath(folder))]

    def left(self, folder: Path) -> dict[str, Any]:
        """Return how a folder was left: what `set_left` was given, nothing when it is not known."""
        kept = self._left().get(os.path.abspath(folder))
        return kept if isinstance(kept, dict) else {}

    def set_left(self, folder: Path, state: dict[str, Any]) -> None:
        """Keep how a folder was left, for the next start: not in the folder, which may be read-only."""
        if state != self.left(folder):
            others = self._left()
            others.pop(os.path.abspath(folder), None)
            newest = [*others.items(), (os.path.abspath(folder), state)][-KNOWN:]
            self._store.setValue("left", json.dumps(dict(newest)))

    def _left(self) -> dict[str, Any]:
        try:
            kept = json.loads(str(self._store.value("left", "{}")))
        except ValueError:
            return {}
        return kept if isinstance(kept, dict) else {}

    def shortcuts(self) -> dict[str, list[str]]:
        """Return the keys that the person has chosen, by action."""
        self._store.beginGroup("shortcuts")
        chosen = {name: str(self._store.value(name, "")).split("|") for name in self._store.childKeys()}
        self._store.endGroup()
        return {name: [key for key in keys if key] for name, keys in chosen.items()}

    def set_shortcut(self, action: str, keys: list[str] | None) -> None:
        """Keep the keys of an action; None goes back to the default ones."""
        if keys is None:
            self._store.remove(f"shortcuts/{action}")
        else:
            self._store.setValue(f"shortcuts/{action}", "|".join(keys))
        self.changed.emit("shortcuts")

    def palette(self) -> list[str]:
        """Return the person's own colours for classes, empty when there are none."""
        return [color for color in str(self._store.value("palette", "")).split("|") if color]

    def set_palette(self, colors: list[str]) -> None:
        """Keep the person's own colours for classes."""
        self._store.setValue("palette", "|".join(colors))

    def layout(self) -> tuple[QByteArray, QByteArray] | None:
        """Return the window's place and the places of its docks, None on the first start."""
        place, docks = self._store.value("window/place"), self._store.value("window/docks")
        return (place, docks) if isinstance(place, QByteArray) and isinstance(docks, QByteArray) else None

    def set_layout(self, place: QByteArray, docks: QByteArray) -> None:
        """Keep the window's place and the places of its docks."""
        self._store.setValue("window/place", place)
        self._store.setValue("window/docks", docks)

    def sync(self) -> None:
        """Write everything now."""
        self._store.sync()
