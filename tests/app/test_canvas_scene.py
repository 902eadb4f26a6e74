"""How the layers are put together: what hides what."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from tests.app.canvas_driver import Driver, picture
from unet_gui.app.canvas.layers import LayerSettings
from unet_gui.core.geometry import Rect


@pytest.fixture
def driver(qtbot: QtBot, tmp_path: Path) -> Iterator[Driver]:
    made = Driver(qtbot, picture(tmp_path / "grey.png", 200, 300), size=(600, 400))
    made.leave()
    yield made
    made.close()


def paint_label(driver: Driver, rect: Rect, class_id: int = 1) -> None:
    with driver.doc.labels.edit("test") as edit:
        driver.doc.changed(edit.paint(rect, None, class_id))


def shown(driver: Driver, **settings: object) -> np.ndarray:
    driver.view.layers = LayerSettings(**settings)  # type: ignore[arg-type]
    return driver.screen()


@pytest.mark.parametrize("outline", [False, True])
def test_the_prediction_shows_only_where_nothing_is_labelled(driver: Driver, outline: bool) -> None:
    predicted = np.zeros((200, 300), np.uint8)
    predicted[40:160, 150:] = 2
    driver.view.set_prediction(predicted)
    alone = shown(driver, outline=outline)
    paint_label(driver, Rect(100, 80, 100, 60))
    both = shown(driver, outline=outline)
    label, prediction = shown(driver, outline=outline, prediction=False), shown(driver, outline=outline, label=False)
    said = np.zeros(both.shape[:2], bool)
    said[driver.view.view.pixels_of(Rect(100, 80, 100, 60)).slices] = True
    np.testing.assert_array_equal(both[said], label[said])
    np.testing.assert_array_equal(both[~said], prediction[~said])
    np.testing.assert_array_equal(prediction, alone)
    assert (label != prediction)[said].any()


def test_a_label_that_does_not_show_hides_nothing(driver: Driver) -> None:
    driver.view.set_prediction(np.full((200, 300), 2, np.uint8))
    alone = shown(driver)
    paint_label(driver, Rect(100, 80, 100, 60))
    np.testing.assert_array_equal(shown(driver, label=False), alone)
    np.testing.assert_array_equal(shown(driver, label_opacity=0.0), alone)
    assert (shown(driver) != alone).any()


def test_an_erased_label_lets_the_prediction_through_again(driver: Driver) -> None:
    driver.view.set_prediction(np.full((200, 300), 2, np.uint8))
    alone = driver.screen()
    paint_label(driver, Rect(100, 80, 100, 60))
    driver.screen()
    paint_label(driver, Rect(100, 80, 100, 60), 255)
    np.testing.assert_array_equal(driver.screen(), alone)
