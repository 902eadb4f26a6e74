"""Colours, icons and the style sheet."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QSize
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QApplication, QMainWindow
from pytestqt.qtbot import QtBot

from unet_gui.app import theme
from unet_gui.app.widgets import Mark
from unet_gui.paths import resource


@pytest.mark.parametrize("colors", [theme.DARK, theme.LIGHT], ids=["dark", "light"])
def test_text_can_be_read(colors: theme.Theme) -> None:
    def luminance(color: str) -> float:
        parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(a: str, b: str) -> float:
        high, low = sorted((luminance(a), luminance(b)), reverse=True)
        return (high + 0.05) / (low + 0.05)

    for ground in (colors.window, colors.panel, colors.field, colors.overlay, colors.raised):
        assert contrast(colors.text, ground) >= 7
        assert contrast(colors.muted, ground) >= 4.5
        assert contrast(colors.accent_text, ground) >= 4.5
        assert contrast(colors.bad, ground) >= 4.5
    assert contrast(colors.on_accent, colors.accent) >= 4.5


def test_icons_are_sharp_and_follow_the_theme(qtbot: QtBot, window: QMainWindow) -> None:
    for path in resource("icons").glob("*.svg"):
        for ratio in (1.0, 1.5, 2.0):
            picture = theme.icon(path.stem).pixmap(QSize(20, 20), ratio)
            assert picture.width() == round(20 * ratio)
            image = picture.toImage()
            assert any(
                image.pixelColor(x, y).alpha() for x in range(0, image.width(), 2) for y in range(0, image.height(), 2)
            ), path.stem
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    icon = theme.icon("stop", "text")
    dark = _strongest(icon)
    theme.apply(app, theme.LIGHT)
    assert _strongest(icon) != dark
    theme.apply(app, theme.DARK)


def test_what_is_only_looked_at_follows_the_theme(qtbot: QtBot, window: QMainWindow) -> None:
    mark = Mark("logo", "accent", 34)
    window.setCentralWidget(mark)
    window.show()
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    theme.apply(app, theme.LIGHT)
    light = mark.grab().toImage()
    theme.apply(app, theme.DARK)
    assert mark.grab().toImage() != light
    again = Mark("logo", "accent", 34)
    qtbot.addWidget(again)
    assert again.grab().toImage().pixelColor(8, 17) == mark.grab().toImage().pixelColor(8, 17)


def _strongest(icon: QIcon) -> str:
    image = icon.pixmap(QSize(20, 20), 1.0).toImage()
    pixels = [image.pixelColor(x, y) for x in range(20) for y in range(20)]
    return max(pixels, key=lambda color: color.alpha()).name()


def test_the_style_sheet_names_only_known_colours() -> None:
    import re
    from dataclasses import asdict

    text = resource("styles", "window.qss").read_text(encoding="utf-8")
    names = set(re.findall(r"@(\w+)", re.sub(r"/\*.*?\*/", "", text, flags=re.S))) - {"icons"}
    assert names <= set(asdict(theme.DARK))
    for name in re.findall(r"@icons/(\w+\.svg)", text):
        for kind in ("dark", "light"):
            assert resource("icons", kind, name).is_file()
