"""How the layers are put together: what hides what, and that a part looks like all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytestqt.qtbot import QtBot

from tests.app.canvas_driver import Driver, picture
from unet_gui.app.canvas.layers import LayerSettings
from unet_gui.core.geometry import Rect
from unet_gui.core.strokes import capsule


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


WIDTH, HEIGHT = 301, 203
near_edges = st.sampled_from([-30, -3, -2, -1, 0, 1, 2])  # beyond the view, and inside
columns = st.one_of(st.integers(0, WIDTH), near_edges, near_edges.map(lambda beyond: WIDTH - beyond))
rows = st.one_of(st.integers(0, HEIGHT), near_edges, near_edges.map(lambda beyond: HEIGHT - beyond))
points = st.tuples(columns, rows)
strokes_at_the_edge = st.lists(
    st.tuples(points, points, st.sampled_from([1, 2, 7, 40]), st.sampled_from([0, 1, 2, 255])), min_size=1, max_size=4
)


def test_strokes_that_leave_the_view_are_painted_as_if_all_had_been(qtbot: QtBot, tmp_path: Path) -> None:
    driver = Driver(qtbot, picture(tmp_path / "large.png", 900, 1300), size=(WIDTH, HEIGHT))
    driver.leave()
    rng = np.random.default_rng(0)
    driver.view.set_prediction(np.kron(rng.integers(0, 3, (90, 130)), np.ones((10, 10))).astype(np.uint8))
    whole, before = Rect(0, 0, 1300, 900), np.ones((900, 1300), np.uint8)
    before[300:600] = 255

    @settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        strokes_at_the_edge,
        st.sampled_from([0.23, 0.37, 0.5, 0.9, 1.0, 1.3, 3.0, 7.7]),
        st.tuples(st.floats(0.1, 0.9), st.floats(0.1, 0.9)),
        st.sampled_from([{}, {"outline": True}, {"prediction": False}, {"difference": True}, {"split": 0.4}]),
    )
    def check(strokes, zoom, middle, shown) -> None:
        driver.view.layers = LayerSettings(**shown)
        driver.view.zoom_to(zoom)
        driver.view.center_on(middle[0] * 1300, middle[1] * 900)
        with driver.doc.labels.edit("before") as edit:
            driver.doc.changed(edit.write(whole, before))
        driver.screen()
        for start, end, size, class_id in strokes:
            at = [driver.view.view.to_image(x, y) for x, y in (start, end)]
            with driver.doc.labels.edit("test") as edit:
                driver.doc.changed(edit.paint(*capsule(*at, size / 2), class_id))
            driver.settle()
        partly = driver.screen().astype(int)
        driver.view._scene.mark_all()
        # zoomed out, blending may round differently by one
        assert np.abs(driver.screen() - partly).max() <= (1 if zoom < 1 else 0)

    check()
    driver.close()


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (5, 1)])
@pytest.mark.parametrize("outline", [False, True])
def test_the_smallest_pictures_show_label_and_prediction(
    size: tuple[int, int], outline: bool, qtbot: QtBot, tmp_path: Path
) -> None:
    driver = Driver(qtbot, picture(tmp_path / "small.png", *size), size=(WIDTH, HEIGHT))
    driver.view.set_prediction(np.ones(size, np.uint8))
    driver.view.layers = LayerSettings(outline=outline)
    driver.view.zoom_to(1.0)  # a single pixel of the screen
    predicted = driver.screen()
    with driver.doc.labels.edit("test") as edit:
        driver.doc.changed(edit.write(Rect(0, 0, *size[::-1]), np.zeros(size, np.uint8)))
    assert (driver.screen() != predicted).any()
    driver.close()
