"""Magic wand, scissors and box proposal on a picture with known edges."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QEvent, Qt
from pytestqt.qtbot import QtBot

from tests.app.canvas_driver import Driver
from unet_gui.core.cv import cv2
from unet_gui.core.labels import UNLABELLED

PRESS, MOVE, RELEASE = QEvent.Type.MouseButtonPress, QEvent.Type.MouseMove, QEvent.Type.MouseButtonRelease
CTRL = Qt.KeyboardModifier.ControlModifier


def discs() -> np.ndarray:
    """Two bright discs on a dark ground with a little texture, grey."""
    y, x = np.mgrid[:200, :300]
    pixels = np.full((200, 300), 60, np.uint8)
    pixels[(x - 90) ** 2 + (y - 100) ** 2 <= 45**2] = 180
    pixels[(x - 230) ** 2 + (y - 100) ** 2 <= 30**2] = 180
    return pixels + np.random.default_rng(0).integers(0, 6, pixels.shape, dtype=np.uint8)


def disc(cx: int = 90, r: float = 45) -> np.ndarray:
    y, x = np.mgrid[:200, :300]
    return (x - cx) ** 2 + (y - 100) ** 2 <= r**2


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.fixture(params=["uint8", "uint16"])
def driver(request, qtbot: QtBot, tmp_path: Path) -> Iterator[Driver]:
    path = tmp_path / "discs.png"
    pixels = discs() if request.param == "uint8" else discs().astype(np.uint16) * 40 + 3000
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    made = Driver(qtbot, path, size=(600, 400))
    made.tool("wand")
    yield made
    made.close()


def test_wand_takes_what_looks_alike_and_is_connected(driver: Driver) -> None:
    driver.click(90, 100)
    np.testing.assert_array_equal(driver.labelled(), disc())
    assert driver.doc.history.undo_text == "Magic wand"


def test_wand_with_ctrl_takes_the_other_disc_too(driver: Driver) -> None:
    driver.click(90, 100, modifiers=CTRL)
    np.testing.assert_array_equal(driver.labelled(), disc() | disc(230, 30))


def test_dragging_the_wand_changes_the_tolerance_live(driver: Driver) -> None:
    driver.leave()
    driver.view.options.wand_tolerance = 94
    before = driver.screen()
    driver.mouse(PRESS, 90, 100)
    assert (driver.screen()[driver.at(90, 80)] != before[driver.at(90, 80)]).any()
    np.testing.assert_array_equal(driver.screen()[driver.at(20, 20)], before[driver.at(20, 20)])
    driver.mouse(MOVE, 299, 0)  # far to the right and up: everything
    assert (driver.screen()[driver.at(20, 20)] != before[driver.at(20, 20)]).any()
    assert not driver.labelled().any()
    driver.mouse(MOVE, 0, 199)  # and back to the left: hardly anything
    driver.mouse(RELEASE, 0, 199)
    assert 0 < driver.labelled().sum() < 100
    assert driver.view.options.wand_tolerance == 0


def test_wand_erases_with_the_right_button_and_escape_gives_it_up(driver: Driver) -> None:
    driver.click(90, 100)
    driver.mouse(PRESS, 90, 100)
    driver.key(Qt.Key.Key_Escape)
    driver.mouse(RELEASE, 90, 100)
    assert driver.labelled().any()
    driver.click(90, 100, button=Qt.MouseButton.RightButton)
    assert (driver.ids == UNLABELLED).all()


def test_wand_outside_the_image_does_nothing(driver: Driver) -> None:
    driver.view.center_on(0, 0)
    driver.settle()
    driver.drag_screen([(20, 20), (60, 20)])
    assert not driver.labelled().any()


def around(r: float, steps: int) -> list[tuple[float, float]]:
    angles = np.arange(steps) * 2 * np.pi / steps
    return [(round(90 + r * np.cos(a)), round(100 + r * np.sin(a))) for a in angles]


def test_scissors_cling_to_the_edge(driver: Driver) -> None:
    driver.view.set_tool("scissors")
    for point in around(45, 5):
        driver.hover(*point)
        driver.click(*point)
    driver.key(Qt.Key.Key_Return)
    assert dice(driver.labelled(), disc()) > 0.98  # the pentagon alone has 0.86
    assert len(driver.doc.history) == 1


def test_scissors_close_at_the_first_point_and_by_double_click(driver: Driver) -> None:
    driver.view.set_tool("scissors")
    points = around(45, 5)
    for point in [*points, points[0]]:
        driver.click(*point)
    assert dice(driver.labelled(), disc()) > 0.98
    driver.doc.undo()
    for point in points:
        driver.click(*point)
    driver.mouse(QEvent.Type.MouseButtonDblClick, *points[-1])
    driver.mouse(RELEASE, *points[-1])
    assert dice(driver.labelled(), disc()) > 0.98


def test_scissors_backspace_escape_and_live_line(driver: Driver) -> None:
    driver.view.set_tool("scissors")
    driver.leave()
    before = driver.screen()
    points = around(45, 5)
    driver.click(*points[0])
    driver.hover(*points[1])
    middle = around(45, 10)[1]
    row, column = driver.at(*middle)
    near = driver.screen()[row - 8 : row + 9, column - 8 : column + 9]
    assert (near != before[row - 8 : row + 9, column - 8 : column + 9]).any()
    driver.click(20, 20)
    driver.key(Qt.Key.Key_Backspace)  # that was wrong
    for point in points[1:]:
        driver.click(*point)
    driver.key(Qt.Key.Key_Return)
    assert dice(driver.labelled(), disc()) > 0.98
    driver.doc.undo()
    driver.click(*points[0])
    driver.click(*points[2])
    driver.key(Qt.Key.Key_Escape)
    driver.key(Qt.Key.Key_Return)
    assert not driver.labelled().any()


def test_scissors_go_on_where_the_neighbourhood_ends(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    from unet_gui.app.canvas.edge_tools import ScissorsTool

    monkeypatch.setattr(ScissorsTool, "_WINDOW", 48)  # far smaller than the disc
    driver.view.set_tool("scissors")
    driver.click(*around(45, 40)[0])
    for point in around(45, 40)[1:]:
        driver.hover(*point)
    driver.key(Qt.Key.Key_Return)
    assert dice(driver.labelled(), disc()) > 0.97


def test_box_proposal_is_accepted_or_refused(driver: Driver) -> None:
    driver.view.set_tool("grabcut")
    driver.drag([(35, 45), (150, 155)])
    assert not driver.labelled().any()
    driver.key(Qt.Key.Key_Escape)
    assert not driver.labelled().any()
    driver.drag([(35, 45), (150, 155)])
    driver.key(Qt.Key.Key_Return)
    assert dice(driver.labelled(), disc()) > 0.98
    driver.doc.undo()
    driver.drag([(35, 45), (150, 155)])
    driver.click(90, 100)  # inside: accepted
    assert dice(driver.labelled(), disc()) > 0.98
    driver.doc.undo()
    driver.drag([(35, 45), (150, 155)])
    driver.click(290, 190)  # elsewhere: refused
    assert not driver.labelled().any()


def test_box_proposal_of_nothing_says_so(driver: Driver) -> None:
    said = []
    driver.view.message.connect(said.append)
    driver.view.set_tool("grabcut")
    driver.drag([(0, 0), (299, 199)])
    assert said
    driver.drag([(10, 10), (11, 10)])
    driver.key(Qt.Key.Key_Return)
    assert not driver.labelled().any()


def test_box_proposals_of_real_nuclei(qtbot: QtBot, tmp_path: Path, data: Path) -> None:
    """Neighbours that look like the thing in the box must not make all of it background."""
    found = []
    names = sorted(p.name for p in (data / "nuclei" / "instances").glob("*.png"))
    for name in names[::33]:
        instances = cv2.imread(str(data / "nuclei" / "instances" / name), cv2.IMREAD_UNCHANGED)
        inner = instances[8:-8, 8:-8]  # whole ones
        border = instances.copy()
        border[8:-8, 8:-8] = 0
        whole = np.setdiff1d(inner, border)
        whole = whole[whole > 0]
        sizes = [(instances == i).sum() for i in whole]
        nucleus = instances == whole[int(np.argsort(sizes)[len(sizes) // 2])]
        rows, columns = np.nonzero(nucleus)
        driver = Driver(qtbot, data / "nuclei" / "image" / name, size=(600, 400))
        driver.tool("grabcut")
        driver.view.center_on(float(columns.mean()), float(rows.mean()))
        driver.settle()
        driver.drag([(columns.min() - 3, rows.min() - 3), (columns.max() + 4, rows.max() + 4)])
        overlay = driver.view._bench.overlay
        assert overlay is not None, name
        rect, mask = overlay.shape
        proposed = np.zeros_like(nucleus)
        proposed[rect.slices] = mask
        found.append(dice(proposed, nucleus))
        driver.close()
    assert len(found) == 9
    assert np.mean(found) > 0.8
