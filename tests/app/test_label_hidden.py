"""Painting where the label does not show: nobody may paint for minutes and see nothing of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.app.kit import drag, write_folder
from unet_gui.app.canvas.layers import LayerSettings
from unet_gui.app.main_window import MainWindow

Open = Callable[[Path | None], MainWindow]


@pytest.fixture
def window(open_window: Open, tmp_path: Path) -> MainWindow:
    return open_window(write_folder(tmp_path / "x"))


def shown(window: MainWindow) -> LayerSettings:
    return window.stage.canvas.layers


def test_a_hidden_label_shows_again_when_it_is_painted(window: MainWindow) -> None:
    window.actions_by_id["show_label"].trigger()
    assert not shown(window).label
    drag(window, (10, 30), (20, 30))
    assert shown(window).label
    assert window.actions_by_id["show_label"].isChecked()
    assert "shown again" in window.status.text.text()


def test_a_label_that_is_faded_out_shows_again_when_it_is_painted(window: MainWindow) -> None:
    faint = replace(shown(window), label_opacity=0.0)
    window.layers.settings_changed.emit(replace(faint, outline=True))
    drag(window, (10, 30), (20, 30))
    assert shown(window).label_opacity == 0, "its outline is seen"
    window.layers.settings_changed.emit(faint)
    drag(window, (10, 40), (20, 40))
    assert shown(window).label_opacity == 0.4, "as at the beginning"
    assert window.layers.settings == shown(window)


def test_the_split_ends_when_somebody_paints_on_the_side_of_the_prediction(window: MainWindow) -> None:
    window.actions_by_id["split"].trigger()
    drag(window, (60, 30), (70, 30))
    assert shown(window).split == 0.5, "that is the label's side"
    drag(window, (10, 30), (20, 30))
    assert shown(window).split is None
    assert not window.actions_by_id["split"].isChecked()
    assert "prediction's side" in window.status.text.text()
