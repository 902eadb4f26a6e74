"""What floats over the canvas: minimap and scale bar keep clear of it; the card with the first steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PySide6.QtCore import QRect, QRectF, Qt
from PySide6.QtGui import QFontMetricsF, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel, QToolButton
from pytestqt.qtbot import QtBot

from tests.app.kit import picture, write_folder
from unet_gui.app.canvas.view import CanvasView
from unet_gui.app.main_window import MainWindow
from unet_gui.app.widgets import Mark

Open = Callable[[Path | None], MainWindow]


def pixels(canvas: CanvasView) -> np.ndarray:
    image = canvas.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    return np.frombuffer(image.constBits(), np.uint32).reshape(image.height(), image.width()).copy()


def place_of(qtbot: QtBot, canvas: CanvasView, item: str) -> QRect:
    """Return where the canvas shows something that can be switched off."""
    qtbot.waitUntil(lambda: canvas.is_complete)
    with_it = pixels(canvas)
    settings = canvas.layers
    canvas.layers = replace(settings, **{item: False})
    changed = np.nonzero(with_it != pixels(canvas))
    canvas.layers = settings
    assert len(changed[0]), item
    x, y = int(changed[1].min()), int(changed[0].min())
    return QRect(x, y, int(changed[1].max()) - x + 1, int(changed[0].max()) - y + 1)


@pytest.mark.parametrize("guide", [False, True])
def test_nothing_lies_over_the_scale_bar_and_the_minimap(
    qtbot: QtBot, open_window: Open, tmp_path: Path, guide: bool
) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    tifffile.imwrite(folder / "a.tif", picture(0, (900, 900)), resolution=(20_000, 20_000), resolutionunit="CENTIMETER")
    window = open_window(folder)
    canvas = window.stage.canvas
    window.actions_by_id["guide"].setChecked(guide)
    for width, height in ((900, 600), (1000, 640), (1150, 700), (1280, 720), (1600, 950), (2200, 1000)):
        window.resize(width, height)
        qtbot.waitUntil(lambda width=width: window.width() >= width)
        canvas.zoom_to(3)
        canvas.center_on(450, 450)
        stage = window.stage
        others = [part.geometry() for part in (stage.chips, stage.bar, stage.guide) if part is not None]
        assert len(others) == 2 + guide
        has_map = canvas._furniture.map_rect() is not None  # not on a narrow canvas
        for item in ("scale_bar", "minimap") if has_map else ("scale_bar",):
            place = place_of(qtbot, canvas, item)
            assert canvas.rect().contains(place)
            assert not [other for other in others if other.intersects(place)], (item, width, place, others)


def test_the_first_steps_are_called_what_they_are_in_menu_and_card(
    qtbot: QtBot, open_window: Open, tmp_path: Path
) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    action = window.actions_by_id["guide"]
    assert action.text() == "Show first steps"
    assert window.guides.guide is None
    action.trigger()
    card = window.guides.guide
    assert card is not None
    assert card.accessibleName() == "First steps"
    close = card.findChild(QToolButton)
    assert close is not None
    assert action.text() in close.toolTip(), "it says what brings the card back"
    QTest.mouseClick(close, Qt.MouseButton.LeftButton)
    assert not action.isChecked()


def test_the_signs_of_the_split_view_are_not_covered(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    window.actions_by_id["split"].trigger()
    canvas, chips = window.stage.canvas, window.stage.chips
    for width in (900, 1280, 1600):
        window.resize(width, 640)
        qtbot.waitUntil(lambda width=width: window.width() >= width)
        for split in (0.1, 0.5, 0.9):
            canvas.layers = replace(canvas.layers, split=split)
            signs = canvas._furniture.signs(QFontMetricsF(canvas.font()))
            assert signs["Prediction"].y() == signs["Label"].y()
            for sign in signs.values():
                assert not sign.intersects(QRectF(chips.geometry())), (width, split)


def test_the_ticks_of_the_guide_follow_the_theme(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))

    def ticked() -> QLabel:
        window.actions_by_id["guide"].setChecked(True)
        card = window.guides.guide
        assert card is not None
        card.tick("paint")
        mark = card._marks["paint"]
        tick = mark.findChild(Mark)
        assert tick is not None
        qtbot.waitUntil(tick.isVisible)
        assert tick.geometry().center() == mark.rect().center()
        return mark

    dark = ticked().grab().toImage()
    window.settings.set("theme", "light")
    light = ticked().grab().toImage()
    assert light != dark
    window.actions_by_id["guide"].setChecked(False)
    assert ticked().grab().toImage() == light, "as if it had been made in this theme"
