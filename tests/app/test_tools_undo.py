"""Any sequence of gestures with any tool: undo all is before, redo all is after, bytes stay within the cap."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PySide6.QtCore import QEvent, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from tests.app.canvas_driver import Driver, picture
from unet_gui.app.canvas.tools import TOOLS
from unet_gui.core.history import History
from unet_gui.core.labels import LabelImage, Over
from unet_gui.core.planes import Probabilities

PRESS, MOVE, RELEASE = QEvent.Type.MouseButtonPress, QEvent.Type.MouseMove, QEvent.Type.MouseButtonRelease
MODIFIERS = (
    Qt.KeyboardModifier.NoModifier,
    Qt.KeyboardModifier.ShiftModifier,
    Qt.KeyboardModifier.ControlModifier,
    Qt.KeyboardModifier.AltModifier,
)
KEYS = (Qt.Key.Key_Return, Qt.Key.Key_Escape, Qt.Key.Key_Backspace, Qt.Key.Key_Delete)

points = st.tuples(st.integers(-5, 155), st.integers(-5, 105))
overs = st.sampled_from([Over.ALL, Over.ALL, Over.UNLABELLED, Over("classes", frozenset({0, 2, 255}))])
gestures = st.one_of(
    st.tuples(st.just("drag"), st.lists(points, min_size=1, max_size=5), st.booleans(), st.sampled_from(MODIFIERS)),
    st.tuples(st.just("key"), st.sampled_from(KEYS)),
    st.tuples(st.just("hover"), points, st.sampled_from(MODIFIERS)),
    st.tuples(st.just("wheel"), points, st.integers(-3, 3), st.sampled_from(MODIFIERS)),
    st.tuples(st.just("escape in between"), points, points),
    st.tuples(st.just("undo")),
    st.tuples(st.just("copy and paste")),
)
actions = st.lists(
    st.tuples(
        st.sampled_from([tool.info.id for tool in TOOLS]),
        st.integers(0, 3),
        overs,
        st.sampled_from([1, 4, 15, 60]),
        st.lists(gestures, min_size=1, max_size=4),
    ),
    max_size=6,
)


def perform(driver: Driver, gesture: tuple) -> None:
    kind, *rest = gesture
    if kind == "drag":
        places, right, held = rest
        button = Qt.MouseButton.RightButton if right else Qt.MouseButton.LeftButton
        driver.mouse(PRESS, *places[0], button, held)
        for place in places[1:]:
            driver.mouse(MOVE, *place, button, held)
        driver.mouse(RELEASE, *places[-1], button, held)
    elif kind == "key":
        driver.key(rest[0])
    elif kind == "hover":
        driver.hover(*rest[0], rest[1])
    elif kind == "wheel":
        driver.wheel(*rest[0], rest[1], rest[2])
        QTest.keyRelease(driver.view, Qt.Key.Key_Control)
    elif kind == "escape in between":
        driver.mouse(PRESS, *rest[0])
        driver.mouse(MOVE, *rest[1])
        driver.key(Qt.Key.Key_Escape)
        driver.mouse(RELEASE, *rest[1])
    elif kind == "copy and paste":
        driver.view.copy()
        driver.view.paste()
    else:
        driver.doc.undo()


def test_undo_all_is_before_and_redo_all_is_after(qtbot: QtBot, tmp_path) -> None:
    driver = Driver(qtbot, picture(tmp_path / "small.png", 100, 150), size=(450, 320))
    probabilities = np.random.default_rng(0).integers(0, 255, (4, 100, 150), dtype=np.uint8)
    driver.doc.probabilities = Probabilities(probabilities, (0, 1, 2, 3))
    driver.doc.prediction = probabilities.argmax(axis=0).astype(np.uint8)
    start = np.random.default_rng(1).choice(np.array([0, 1, 2, 255, 255, 255], np.uint8), (10, 15))
    start = np.kron(start, np.ones((10, 10), np.uint8)).astype(np.uint8)

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(actions, st.sampled_from([10_000, 2**28]))
    def check(steps, cap) -> None:
        driver.doc.labels = LabelImage(start.copy())
        driver.doc.history = History(cap)
        driver.view.set_image(driver.source)
        driver.view.set_label(driver.doc.labels)
        driver.view.set_prediction(driver.doc.prediction)
        driver.view.zoom_to(2)
        for tool, class_id, over, size, things in steps:
            driver.view.set_tool(tool)
            driver.doc.active_class, driver.doc.over = class_id, over
            driver.view.set_brush_size(size)
            for thing in things:
                perform(driver, thing)
                assert driver.doc.history.nbytes <= cap
                assert not driver.doc.labels.editing
        driver.view.set_tool("brush")
        history, labels = driver.doc.history, driver.doc.labels
        while history.can_redo:
            driver.doc.redo()
        after = labels.ids.copy()
        count = 0
        while history.can_undo:
            driver.doc.undo()
            count += 1
        if cap > 10**6:
            np.testing.assert_array_equal(labels.ids, start)
        for _ in range(count):
            driver.doc.redo()
        np.testing.assert_array_equal(labels.ids, after)

    check()
    driver.close()
