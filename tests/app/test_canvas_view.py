"""The widget: repainting, ring, keys, wheel, layers, split, minimap, scale of the screen."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QEnterEvent, QFocusEvent, QKeyEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLineEdit, QPushButton, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from tests.app.canvas_driver import Driver, picture
from unet_gui.app.canvas.display import Display
from unet_gui.app.canvas.document import LabelDocument
from unet_gui.app.canvas.furniture import length_text, nice_length
from unet_gui.app.canvas.layers import LayerSettings
from unet_gui.app.canvas.tools import TOOLS
from unet_gui.app.canvas.view import CanvasView
from unet_gui.core.geometry import Rect
from unet_gui.core.images import open_image
from unet_gui.core.labels import LabelImage

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def driver(qtbot: QtBot, tmp_path: Path) -> Iterator[Driver]:
    made = Driver(qtbot, picture(tmp_path / "grey.png", 600, 800), size=(600, 400))
    yield made
    made.close()


def test_every_tool_is_described_and_has_its_own_key_and_icon() -> None:
    infos = [tool.info for tool in TOOLS]
    for what in ("id", "text", "shortcut", "tooltip"):
        values = [getattr(info, what) for info in infos]
        assert all(values)
        assert len(set(values)) == len(values), what
    icons = Path(__file__).resolve().parents[2] / "resources" / "icons"
    assert [info.icon for info in infos if not (icons / f"{info.icon}.svg").is_file()] == []


def test_h_held_shows_the_image_alone(driver: Driver) -> None:
    driver.leave()
    bare = driver.screen()
    driver.paint_label(Rect(100, 100, 300, 200))
    labelled = driver.screen()
    assert (labelled != bare).any()
    QTest.keyPress(driver.view, Qt.Key.Key_H)
    np.testing.assert_array_equal(driver.screen(), bare)
    QTest.keyRelease(driver.view, Qt.Key.Key_H)
    np.testing.assert_array_equal(driver.screen(), labelled)
    QTest.keyPress(driver.view, Qt.Key.Key_H)
    QApplication.sendEvent(driver.view, QFocusEvent(QEvent.Type.FocusOut))  # let go over another window
    np.testing.assert_array_equal(driver.screen(), labelled)


def test_layers_can_be_hidden(driver: Driver) -> None:
    driver.leave()
    bare = driver.screen()
    driver.paint_label(Rect(100, 100, 300, 200))
    driver.doc.prediction = np.zeros((600, 800), np.uint8)
    driver.view.set_prediction(driver.doc.prediction)
    both = driver.screen()
    driver.view.layers = LayerSettings(label=False, prediction=False)
    np.testing.assert_array_equal(driver.screen(), bare)
    driver.view.layers = LayerSettings(prediction=False)
    label_only = driver.screen()
    driver.view.layers = LayerSettings(hidden=frozenset({1}), prediction=False)
    np.testing.assert_array_equal(driver.screen(), bare)
    driver.view.layers = LayerSettings(image=False, label=False, prediction=False)
    without = driver.screen()
    assert len(np.unique(without[driver.at(50, 50)[0] : 300, 100:500].reshape(-1, 3), axis=0)) == 1
    assert (both != label_only).any()


def test_difference_shows_where_label_and_prediction_disagree(driver: Driver) -> None:
    driver.leave()
    bare = driver.screen()
    prediction = np.zeros((600, 800), np.uint8)
    driver.paint_label(Rect(100, 100, 300, 200), 1)
    driver.paint_label(Rect(500, 100, 100, 100), 0)
    driver.view.set_prediction(prediction)
    driver.view.layers = LayerSettings(difference=True)
    shown = (driver.screen() != bare).any(axis=2)
    assert shown[driver.at(200, 200)]
    assert not shown[driver.at(550, 150)]  # they agree
    assert not shown[driver.at(700, 500)]  # nobody said anything


def test_split_shows_prediction_left_and_label_right_of_a_divider_that_moves(driver: Driver) -> None:
    driver.view.zoom_to(1)
    driver.view.center_on(400, 300)
    driver.view.layers = LayerSettings(label=False, prediction=False)
    driver.leave()
    bare = driver.screen()
    driver.paint_label(Rect(0, 0, 800, 600), 1)
    driver.view.set_prediction(np.full((600, 800), 2, np.uint8))
    changes: list[LayerSettings] = []
    driver.view.layers_changed.connect(changes.append)
    driver.view.layers = LayerSettings(split=0.5, label_opacity=1, prediction_opacity=1, minimap=False)
    screen = driver.screen()
    left, right = screen[100, 100], screen[100, 500]
    assert (left != right).any()
    assert (left != bare[100, 100]).any()
    QTest.mousePress(driver.view, LEFT, pos=QPoint(300, 200))
    QTest.mouseMove(driver.view, QPoint(550, 220))
    QTest.mouseRelease(driver.view, LEFT, pos=QPoint(550, 220))
    np.testing.assert_array_equal(driver.screen()[100, 500], left)
    assert changes[-1].split == pytest.approx(550 / 600)
    assert not driver.doc.history.can_undo  # the drag painted nothing


def test_minimap_shows_when_zoomed_in_and_moves_the_view(driver: Driver) -> None:
    driver.view.fit()
    assert driver.view._furniture.map_rect() is None
    driver.view.zoom_to(4)
    driver.settle()
    area = driver.view._furniture.map_rect()
    assert area is not None
    corner = area.topLeft() + QPointF(3, 3)
    QTest.mousePress(driver.view, LEFT, pos=corner.toPoint())
    driver.settle()
    assert driver.view.view.center[0] < 100
    QTest.mouseMove(driver.view, area.center().toPoint())
    QTest.mouseRelease(driver.view, LEFT, pos=area.center().toPoint())
    assert driver.view.view.center == pytest.approx((400, 300), abs=8)
    assert not driver.labelled().any()
    shown = driver.screen()
    driver.view.layers = replace(driver.view.layers, minimap=False)
    hidden = driver.screen()
    changed = np.nonzero((shown != hidden).any(axis=2))
    assert area.adjusted(-4, -4, 4, 4).contains(QPointF(changed[1].min(), changed[0].min()))


def test_scale_bar_where_the_size_of_a_pixel_is_known(driver: Driver) -> None:
    without = driver.screen()
    driver.source.info = replace(driver.source.info, pixel_size=0.5)
    driver.view.set_image(driver.source)
    driver.view.set_label(driver.doc.labels)
    with_bar = driver.screen()
    rows, columns = np.nonzero((with_bar != without).any(axis=2))
    assert rows.min() > 330
    assert columns.max() < 200
    light = (with_bar[rows.max() - 5, : columns.max()] > 200).all(axis=1).sum()
    microns = light / driver.view.zoom * 0.5
    assert microns == pytest.approx(nice_length(microns * 1.05), rel=0.05)


@pytest.mark.parametrize(
    ("microns", "text"),
    [(0.05, "50 nm"), (1, "1 µm"), (500, "500 µm"), (1000, "1 mm"), (2e4, "2 cm"), (5e6, "5 m")],
)
def test_lengths_for_people(microns: float, text: str) -> None:
    assert length_text(nice_length(microns)) == text
    assert nice_length(microns * 1.99) == pytest.approx(microns)


def test_wheel_zooms_at_the_pointer(driver: Driver) -> None:
    at = driver.place(500, 200)
    driver.hover(500, 200)
    zoom = driver.view.zoom
    driver.wheel(500, 200, 3)
    assert driver.view.zoom == pytest.approx(zoom * 1.25**3)
    assert (driver.place(500, 200) - at).manhattanLength() <= 2
    driver.wheel(500, 200, 1000)
    assert driver.view.zoom == 64
    driver.wheel(500, 200, -1000)
    assert driver.view.zoom == pytest.approx(driver.view.view.fit_zoom / 4)


def test_the_middle_button_pans_in_the_middle_of_a_stroke(driver: Driver) -> None:
    driver.view.set_tool("lasso")
    driver.view.zoom_to(2)
    driver.settle()
    middle = Qt.MouseButton.MiddleButton
    driver.mouse(QEvent.Type.MouseButtonPress, 350, 250)
    driver.mouse(QEvent.Type.MouseMove, 450, 250)
    left = driver.view.view.left
    QTest.mousePress(driver.view, middle, pos=QPoint(400, 200))
    QTest.mouseMove(driver.view, QPoint(300, 150))
    QTest.mouseRelease(driver.view, middle, pos=QPoint(300, 150))
    assert driver.view.view.left == left + 100
    driver.mouse(QEvent.Type.MouseMove, 450, 350)
    driver.mouse(QEvent.Type.MouseButtonRelease, 350, 350)
    assert driver.ids[300, 400] == 1
    driver.mouse(QEvent.Type.MouseMove, 300, 200, Qt.MouseButton.NoButton)
    assert driver.view.view.left == left + 100  # the pan has ended


def test_arrow_keys_move_the_picture(driver: Driver) -> None:
    driver.view.zoom_to(2)
    x, y = driver.view.view.center
    driver.key(Qt.Key.Key_Right)
    driver.key(Qt.Key.Key_Down)
    assert driver.view.view.center == pytest.approx((x + 30, y + 20))
    driver.key(Qt.Key.Key_Left)
    driver.key(Qt.Key.Key_Up)
    assert driver.view.view.center == pytest.approx((x, y))


def test_space_held_longer_does_not_stutter(driver: Driver) -> None:
    driver.view.zoom_to(4)
    for repeat in (False, True, True):
        event = QKeyEvent(QEvent.Type.KeyPress, Qt.Key.Key_Space, Qt.KeyboardModifier.NoModifier, " ", repeat)
        QApplication.sendEvent(driver.view, event)
        assert event.isAccepted()
    left = driver.view.view.left
    driver.drag_screen([(300, 200), (250, 200)])
    assert driver.view.view.left == left + 50
    QTest.keyRelease(driver.view, Qt.Key.Key_Space)
    assert not driver.labelled().any()


@pytest.mark.parametrize("tool", ["blob", "take-over", "holes", "specks"])
def test_what_belongs_to_the_pointer_goes_with_it(driver: Driver, tool: str) -> None:
    driver.doc.prediction = np.zeros((600, 800), np.uint8)
    driver.paint_label(Rect(300, 200, 200, 200))
    driver.paint_label(Rect(350, 250, 3, 3), 0)
    driver.view.zoom_to(1)
    driver.leave()
    before = driver.screen()
    driver.view.set_tool(tool)
    driver.hover(400, 300)
    assert (driver.screen() != before).any()
    driver.leave()
    np.testing.assert_array_equal(driver.screen(), before)


def test_the_view_follows_the_widget_until_it_is_moved(driver: Driver) -> None:
    driver.view.fit()
    driver.view.resize(900, 500)
    driver.settle()
    assert driver.view.zoom == pytest.approx(500 / 600)
    driver.view.zoom_to(2)
    driver.view.center_on(100, 100)
    driver.view.resize(500, 400)
    driver.settle()
    assert driver.view.zoom == 2
    assert driver.view.view.center == pytest.approx((100, 100), abs=1)


def test_signals(driver: Driver) -> None:
    places, tools, views, left = [], [], [], []
    driver.view.cursor_moved.connect(lambda x, y: places.append((x, y)))
    driver.view.cursor_left.connect(lambda: left.append(1))
    driver.view.tool_changed.connect(tools.append)
    driver.view.view_changed.connect(lambda: views.append(1))
    driver.view.zoom_to(2)
    driver.view.set_tool("lasso")
    driver.hover(400, 300)
    driver.leave()
    assert places[-1] == pytest.approx((400.5, 300.5), abs=0.5)
    assert (tools, len(views), len(left)) == (["lasso"], 1, 1)
    assert driver.view.tool == "lasso"


def test_another_image_takes_an_unfinished_stroke_back(driver: Driver, tmp_path: Path) -> None:
    QTest.mousePress(driver.view, LEFT, pos=driver.place(300, 300))
    QTest.mouseMove(driver.view, driver.place(400, 300))
    first = driver.doc.labels
    with open_image(picture(tmp_path / "other.png", 300, 200)) as other:
        driver.view.set_image(other)
        assert not first.editing
        assert (first.ids == 255).all()
        doc = LabelDocument(LabelImage.unlabelled((300, 200)), other)
        driver.view.set_target(doc)
        driver.view.set_label(doc.labels)
        doc.changed_rect.connect(driver.view.refresh)
        QTest.mouseMove(driver.view, QPoint(300, 150))
        QTest.mouseRelease(driver.view, LEFT, pos=QPoint(300, 150))
        assert not doc.history.can_undo
        driver.settle()
        assert driver.view.visible_rect() == Rect(0, 0, 200, 300)
        driver.view.set_image(None)


def test_no_image_is_calm(qtbot: QtBot) -> None:
    view = CanvasView()
    qtbot.addWidget(view)
    view.resize(300, 200)
    view.show()
    qtbot.waitExposed(view)
    QTest.mousePress(view, LEFT, pos=QPoint(50, 50))
    QTest.mouseMove(view, QPoint(100, 50))
    QTest.mouseRelease(view, LEFT, pos=QPoint(100, 50))
    QTest.keyClick(view, Qt.Key.Key_Return)
    view.fit()
    view.auto_contrast()
    view.copy()
    view.paste()
    assert view.visible_rect().empty
    image = view.grab().toImage()
    assert {image.pixel(x, y) for x in range(0, 300, 50) for y in range(0, 200, 50)} == {image.pixel(0, 0)}
    assert image.pixelColor(5, 5).lightness() < 60


def test_an_unreadable_image_is_said(qtbot: QtBot, tmp_path: Path) -> None:
    path = picture(tmp_path / "cut.png", 400, 400)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    view = CanvasView()
    qtbot.addWidget(view)
    view.show()
    with open_image(path) as source:
        with qtbot.waitSignal(view.failed, timeout=20_000) as caught:
            view.set_image(source)
            view.set_label(LabelImage.unlabelled(source.shape))
        assert "cut.png" in str(caught.args[0])
        view.close()


def test_contrast_is_applied_and_said(driver: Driver) -> None:
    driver.leave()
    shown: list[Display] = []
    driver.view.display_changed.connect(shown.append)
    driver.view.zoom_to(1)
    driver.view.display = driver.view.display.windowed(100, 101)
    driver.view.layers = LayerSettings(minimap=False)
    image = driver.screen()[:, 150:450]
    assert set(np.unique(image)) <= {0, 255}
    assert len(shown) == 1
    driver.view.auto_contrast()
    assert len(shown) == 2
    (channel,) = driver.view.display.channels
    assert 0 <= channel.low < channel.high <= 255


def test_pointing_at_the_canvas_gives_it_the_keys_but_not_while_typing(qtbot: QtBot, tmp_path: Path) -> None:
    window = QWidget()
    qtbot.addWidget(window)
    field, button, canvas = QLineEdit(), QPushButton("other"), CanvasView()
    layout = QVBoxLayout(window)
    for widget in (field, button, canvas):
        layout.addWidget(widget)
    window.show()
    window.activateWindow()
    qtbot.waitUntil(lambda: QApplication.activeWindow() is window)
    enter = QEnterEvent(QPointF(5, 5), QPointF(5, 5), QPointF(5, 5))
    field.setFocus()
    QApplication.sendEvent(canvas, enter)
    assert QApplication.focusWidget() is field
    button.setFocus()
    QApplication.sendEvent(canvas, enter)
    assert QApplication.focusWidget() is canvas


_SHARP = """
import os, sys
import numpy as np
from PySide6.QtWidgets import QApplication
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest
from PySide6.QtCore import QPoint, Qt
from unet_gui.app.canvas.view import CanvasView
from unet_gui.app.canvas.document import LabelDocument
from unet_gui.core.geometry import Rect
from unet_gui.core.images import open_image
from unet_gui.core.labels import LabelImage
from unet_gui.core.palette import default_classes

app = QApplication([])
source = open_image(sys.argv[1])
view = CanvasView()
view.resize(301, 201)
doc = LabelDocument(LabelImage.unlabelled(source.shape), source)
view.set_target(doc)
view.set_image(source)
view.set_label(doc.labels)
view.set_classes(default_classes(2))
doc.changed_rect.connect(view.refresh)
view.show()
view.zoom_to(1.0)
view.set_brush_size(11)
while not view.is_complete:
    app.processEvents()
scale = view.devicePixelRatioF()
assert scale == float(os.environ["QT_SCALE_FACTOR"]), scale
image = view.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
pixels = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.width(), 4)[..., 0]
left, top = view.view.left, view.view.top
want = source.read()[top : top + pixels.shape[0], left : left + pixels.shape[1]]
h, w = min(pixels.shape[0], want.shape[0]) - 40, min(pixels.shape[1], want.shape[1]) - 250
np.testing.assert_array_equal(pixels[:h, :w], want[:h, :w])
at = view.to_widget(left + 150.5, top + 100.5)
QTest.mouseClick(view, Qt.MouseButton.LeftButton, pos=QPoint(round(at.x()), round(at.y())))
rows, columns = np.nonzero(doc.labels.ids != 255)
assert abs(columns.mean() - (left + 150)) <= 1 and abs(rows.mean() - (top + 100)) <= 1
view.go_to(Rect(400, 300, 50, 50))
assert abs(50 * view.zoom / scale / view.height() - 0.45) < 0.01, "a place to look at is as large at any scale"
view.close()
source.close()
print("sharp")
"""


@pytest.mark.parametrize("factor", ["1", "1.5", "2"])
def test_sharp_at_any_scale_of_the_screen(tmp_path: Path, factor: str) -> None:
    path = picture(tmp_path / "p.png", 900, 1200)
    run = subprocess.run(
        [sys.executable, "-c", _SHARP, str(path)],
        env={**os.environ, "QT_SCALE_FACTOR": factor, "QT_QPA_PLATFORM": "offscreen"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout == "sharp\n", run.stderr
