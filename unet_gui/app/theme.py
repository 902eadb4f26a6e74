"""How the window looks: colours by role, one style sheet, icons drawn in the colours of the theme."""

from __future__ import annotations

import functools
import re
from dataclasses import asdict, dataclass

from PySide6.QtCore import QByteArray, QLibraryInfo, QRect, QRectF, QSize, Qt, QVersionNumber
from PySide6.QtGui import QColor, QIcon, QIconEngine, QPainter, QPalette, QPixmap
from PySide6.QtWidgets import QApplication

from unet_gui.paths import resource


@dataclass(frozen=True)
class Theme:
    """Colours by what they are for, as ``#rrggbb``.

    Attributes
    ----------
    name : {"dark", "light"}
    window, panel, field, canvas : str
        Behind everything; docks and bars; where one types; behind the image.
    raised, hover, selected : str
        Buttons; under the pointer; the chosen row.
    line, strong_line : str
        Between areas; around fields and buttons.
    text, muted, faint : str
        What is read; what explains; what is off.
    accent, on_accent, accent_text : str
        The one colour that says "here"; text on it; text in it.
    good, attention, bad : str
        Done; partial and warnings; errors.
    overlay : str
        Behind chips and bars that float over the image.
    """

    name: str
    window: str
    panel: str
    field: str
    canvas: str
    raised: str
    hover: str
    selected: str
    line: str
    strong_line: str
    text: str
    muted: str
    faint: str
    accent: str
    on_accent: str
    accent_text: str
    good: str
    attention: str
    bad: str
    overlay: str


DARK = Theme(
    name="dark",
    window="#1d2023",
    panel="#212529",
    field="#1a1d20",
    canvas="#131517",
    raised="#2b3036",
    hover="#2d3339",
    selected="#22354c",
    line="#15181a",
    strong_line="#353b42",
    text="#e4e7ea",
    muted="#9aa2ab",
    faint="#676f78",
    accent="#4c9ffe",
    on_accent="#07131f",
    accent_text="#6ab0ff",
    good="#35bd8b",
    attention="#e5a33a",
    bad="#f0716b",
    overlay="#1b1e21",
)
LIGHT = Theme(
    name="light",
    window="#eceef0",
    panel="#f6f7f8",
    field="#ffffff",
    canvas="#d9dcdf",
    raised="#ffffff",
    hover="#e7eaed",
    selected="#d7e8fc",
    line="#d3d7db",
    strong_line="#c2c8ce",
    text="#1d2125",
    muted="#5b646d",
    faint="#949ca4",
    accent="#1668cf",
    on_accent="#ffffff",
    accent_text="#1158b3",
    good="#0b7f56",
    attention="#a36200",
    bad="#b8332c",
    overlay="#fbfcfc",
)
THEMES = {theme.name: theme for theme in (DARK, LIGHT)}
CHOICES = ("system", "dark", "light")
"""What the setting ``theme`` may be."""

_current = DARK


def current() -> Theme:
    """Return the theme that is shown now."""
    return _current


def resolve(choice: str, app: QApplication) -> Theme:
    """Return the theme for a setting. The system's wish counts for ``"system"``; dark where it has none."""
    if choice in THEMES:
        return THEMES[choice]
    return LIGHT if app.styleHints().colorScheme() == Qt.ColorScheme.Light else DARK


def apply(app: QApplication, theme: Theme) -> None:
    """Give the whole program this theme."""
    global _current
    _current = theme
    _drawing.cache_clear()
    if app.style().name().lower() != "fusion":
        app.setStyle("Fusion")
    app.setPalette(_palette(theme))
    app.setStyleSheet(_style_sheet(theme))


def _palette(theme: Theme) -> QPalette:
    """Return the palette: what the style sheet leaves alone (dialogs, menus of text fields) still fits."""
    role = QPalette.ColorRole
    palette = QPalette()
    colors = {
        role.Window: theme.panel,
        role.WindowText: theme.text,
        role.Base: theme.field,
        role.AlternateBase: theme.panel,
        role.Text: theme.text,
        role.Button: theme.raised,
        role.ButtonText: theme.text,
        role.BrightText: theme.bad,
        role.ToolTipBase: theme.raised,
        role.ToolTipText: theme.text,
        role.PlaceholderText: theme.muted,
        role.Highlight: theme.accent,
        role.HighlightedText: theme.on_accent,
        role.Link: theme.accent_text,
        role.Light: theme.strong_line,
        role.Midlight: theme.hover,
        role.Mid: theme.line,
        role.Dark: theme.line,
        role.Shadow: theme.line,
        role.Accent: theme.accent,
    }
    for key, color in colors.items():
        palette.setColor(key, QColor(color))
    for key in (role.WindowText, role.Text, role.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, key, QColor(theme.faint))
    palette.setColor(QPalette.ColorGroup.Disabled, role.Highlight, QColor(theme.strong_line))
    return palette


def _style_sheet(theme: Theme) -> str:
    """Fill the colours of the theme into the style sheet."""
    text = resource("styles", "window.qss").read_text(encoding="utf-8")
    colors = asdict(theme)
    icons = resource("icons").as_posix()
    text = text.replace("@icons", f"{icons}/{theme.name}")
    return re.sub(r"@(\w+)", lambda match: colors[match[1]], text)


# --- icons ----------------------------------------------------------------------------------------------------------


@functools.cache
def _source(name: str) -> str:
    """Return the drawing of an icon as text, `more` where there is none."""
    path = resource("icons", f"{name}.svg")
    if not path.is_file():
        path = resource("icons", "more.svg")
    return path.read_text(encoding="utf-8")


@functools.lru_cache(maxsize=512)
def _drawing(name: str, color: str, width: int, height: int, ratio: float) -> QPixmap:
    """Return one icon at one size in one colour, in the screen's own pixels."""
    from PySide6.QtSvg import QSvgRenderer

    pixmap = QPixmap(round(width * ratio), round(height * ratio))
    if pixmap.isNull():  # widgets ask for size 0 before they are laid out
        return pixmap
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    renderer = QSvgRenderer(QByteArray(_source(name).replace("currentColor", color).encode()))
    renderer.render(painter, QRectF(0, 0, pixmap.width(), pixmap.height()))
    painter.end()
    pixmap.setDevicePixelRatio(ratio)
    return pixmap


class _Engine(QIconEngine):
    """Draws an icon at whatever size and screen it is asked for, in the colours of the theme of the moment."""

    def __init__(self, name: str, role: str) -> None:
        super().__init__()
        self._name = name
        self._role = role

    def _color(self, mode: QIcon.Mode, state: QIcon.State) -> str:
        theme = current()
        if mode == QIcon.Mode.Disabled:
            return theme.faint
        if state == QIcon.State.On and self._role == "tool":
            return theme.on_accent
        return str(getattr(theme, "text" if self._role == "tool" else self._role))

    def scaledPixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State, scale: float) -> QPixmap:
        # before Qt 6.8 the size is in the screen's pixels, since then it is not
        part = scale if QLibraryInfo.version() < QVersionNumber(6, 8) else 1.0
        width, height = round(size.width() / part), round(size.height() / part)
        return _drawing(self._name, self._color(mode, state), width, height, scale)

    def pixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:
        return _drawing(self._name, self._color(mode, state), size.width(), size.height(), 1.0)

    def paint(self, painter: QPainter, rect: QRect, mode: QIcon.Mode, state: QIcon.State) -> None:
        ratio = painter.device().devicePixelRatioF()
        painter.drawPixmap(
            rect.topLeft(), _drawing(self._name, self._color(mode, state), rect.width(), rect.height(), ratio)
        )

    def clone(self) -> QIconEngine:
        return _Engine(self._name, self._role)


@functools.cache
def icon(name: str, role: str = "text") -> QIcon:
    """Return an icon from ``resources/icons`` in a colour of the theme; it follows a change of theme by itself.

    Parameters
    ----------
    name : str
        File name without ``.svg``.
    role : str
        Name of a colour of `Theme`, or ``"tool"``: as text, and on the accent colour while checked.
    """
    return QIcon(_Engine(name, role))
