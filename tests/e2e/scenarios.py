"""What a person does, played by `driver.py` inside the real program; it looks at the window and at files on disk."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtWidgets import QApplication

from tests.e2e.driver import Driver
from unet_gui.core.cv import cv2


def pixels(path: Path) -> np.ndarray:
    """Read a picture file as it is."""
    return cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)


def wait_for_image(d: Driver, key: str) -> None:
    d.until(lambda: d.window.session.document is not None and d.window.session.key == key, f"{key} is open")
    d.until(lambda: d.window.stage.canvas.is_complete, f"{key} is drawn")


def point(d: Driver, x: float, y: float) -> tuple[int, int]:
    """Return the screen position of an image point."""

    def where() -> tuple[int, int]:
        canvas = d.window.stage.canvas
        at = canvas.mapToGlobal(canvas.to_widget(x, y).toPoint())
        return at.x(), at.y()

    return d.ui(where)


def label(d: Driver) -> np.ndarray:
    return d.ui(lambda: d.window.session.labels.ids.copy())


def stroke(d: Driver, *points: tuple[float, float]) -> None:
    """Paint along image points with the real pointer."""
    d.drag([point(d, x, y) for x, y in points])


def idle(d: Driver) -> None:
    """Wait until everything is on disk."""
    d.until(lambda: not d.window.session.unsaved(), "everything is saved")


def paint_undo_redo_save(d: Driver) -> None:
    """Open, paint a stroke, undo, redo, save; the file holds exactly that stroke, in the folder's own encoding."""
    file = Path(d.arguments[0]) / "label" / "0.png"
    on_disk = pixels(file)
    wait_for_image(d, "0.png")
    before = label(d)
    assert np.array_equal(before, (on_disk == 255).astype(np.uint8))
    d.click(
        d.window.stage.canvas, 5, 5, button=2
    )  # the keyboard belongs to the window; the middle button paints nothing
    d.key("b")
    d.key("0")
    d.until(lambda: d.window.session.active_class == 0, "key 0 picks class 0")
    stroke(d, (150, 250), (200, 240), (260, 260))
    d.until(lambda: d.window.session.document.history.can_undo, "the stroke is an undo step")
    painted = label(d)
    changed = painted != before
    assert changed.sum() > 500
    assert (painted[changed] == 0).all()
    ys, xs = np.nonzero(changed)
    assert 130 < xs.min() < xs.max() < 280, "the stroke is where the pointer was"
    assert 220 < ys.min() < ys.max() < 280, "the stroke is where the pointer was"
    d.shot("painted")
    d.key("ctrl+z")
    d.until(lambda: not d.window.session.document.history.can_undo, "undone")
    assert np.array_equal(label(d), before)
    d.key("ctrl+shift+z")
    d.until(lambda: d.window.session.document.history.can_undo, "redone")
    assert np.array_equal(label(d), painted)
    d.key("ctrl+s")
    idle(d)
    saved = pixels(file)
    assert set(np.unique(saved)) == {0, 255}, "still binary"
    assert np.array_equal((saved == 255).astype(np.uint8), painted)
    assert np.array_equal(saved[~changed], on_disk[~changed])


def train_while_painting(d: Driver) -> None:
    """Train for two epochs and stop, paint meanwhile; the strokes are there, the model too."""
    wait_for_image(d, "0.png")
    said: list[Any] = []
    window = d.window

    def prepare() -> None:
        window.desk.shelf.set_wishes(replace(window.desk.shelf.wishes, minutes=5.0))
        window.runner.progressed.connect(lambda _job, event: said.append(event))

    d.ui(prepare)
    d.click(window.stage.canvas, 5, 5, button=2)
    d.key("ctrl+t")
    d.until(lambda: window.desk.training, "training runs")
    d.key("0")
    y = 40
    while sum(event.kind == "epoch_done" for event in list(said)) < 2:
        assert d.ui(lambda: window.desk.training), said
        if y < 470:
            before = label(d)
            stroke(d, (60, y), (200, y + 5), (400, y))
            d.until(lambda before=before: (window.session.labels.ids != before).any(), "painted while training")
            y += 60
        time.sleep(0.1)  # look again now and then; the training must not wait for this test
    d.shot("training")
    d.key("ctrl+period")
    d.until(lambda: not window.desk.training, "training stopped")
    assert y > 40, "something was painted meanwhile"
    d.until(lambda: window.desk.shelf.model is not None and window.desk.shelf.model.exists(), "the model is there")
    idle(d)
    assert np.array_equal((pixels(Path(d.arguments[0]) / "label" / "0.png") == 255).astype(np.uint8), label(d))


def segment_cancel_go_on(d: Driver) -> None:
    """Segment the folder, stop, go on: what is done stays, all are there in the end, as the command line makes them."""
    folder = Path(d.arguments[0])
    images = sorted(p.stem for p in (folder / "image").iterdir())
    window = d.window
    wait_for_image(d, "0.png")
    d.ui(lambda: window.desk.shelf.use(Path(d.arguments[1])))
    d.click(window.stage.canvas, 5, 5, button=2)
    predictions = folder / ".unet-gui" / "predictions"

    def done() -> list[str]:
        return sorted(p.name.split(".")[0] for p in predictions.glob("*.ids.png")) if predictions.is_dir() else []

    d.key("ctrl+b")
    d.until(lambda: len(done()) >= 2, "two are done")
    d.key("ctrl+period")
    d.until(lambda: not window.runner.busy, "stopped")
    first = {name: (predictions / f"{name}.png.ids.png").stat().st_mtime_ns for name in done()}
    assert 2 <= len(first) < len(images), "stopped in the middle"
    d.shot("segmenting")
    d.key("ctrl+b")
    d.until(lambda: len(done()) == len(images) and not window.runner.busy, "all are done")
    again = {name: (predictions / f"{name}.png.ids.png").stat().st_mtime_ns for name in first}
    assert again == first, "what was done was not done again"


def correct_and_done(d: Driver) -> None:
    """Take over a prediction, correct it by hand, Done and next; the label on disk is what was on the canvas."""
    window = d.window
    key = d.arguments[1]
    wait_for_image(d, key)
    d.until(lambda: window.session.prediction is not None, "the prediction is there")
    assert (label(d) == 255).all(), "nothing is labelled yet"
    d.click(window.stage.canvas, 5, 5, button=2)
    d.key("t")
    d.until(lambda: (window.session.labels.ids != 255).all(), "taken over")
    predicted = label(d)
    d.key("0" if predicted[160, 180] else "1")  # the other class, so that the stroke changes something for sure
    stroke(d, (100, 100), (180, 160))
    d.until(lambda: (window.session.labels.ids != predicted).any(), "corrected")
    corrected = label(d)
    d.shot("corrected")
    d.key("ctrl+Return")
    d.until(lambda: window.session.key == d.arguments[3], "the next unfinished image")
    idle(d)
    saved = pixels(Path(d.arguments[0]) / "label" / key)
    assert np.array_equal((saved == 255).astype(np.uint8), corrected)
    np.save(d.arguments[2], corrected)


def label_as_left(d: Driver) -> None:
    """After a restart the label is as it was left, and its image is done."""
    key = d.arguments[1]
    d.until(lambda: d.window.session.document is not None, "an image is open")
    from unet_gui.core.images import ImageRef

    d.ui(lambda: d.window.session.open_image(ImageRef(key)))
    wait_for_image(d, key)
    assert np.array_equal(label(d), np.load(d.arguments[2]))
    d.until(lambda: d.window.session.folder.book.status(key) == "done", "its status is done")


def merge_classes_and_take_it_back(d: Driver) -> None:
    """Merge a class by its menu: the figures are said first, every label changes, Ctrl+Z gives every pixel back."""
    folder, window = Path(d.arguments[0]), d.window
    wait_for_image(d, "0.png")
    files = sorted((folder / "label").iterdir())
    before = {file: file.read_bytes() for file in files}
    pictures = {file: pixels(file) for file in files}
    count = sum(int((each == 255).sum()) for each in pictures.values())
    shown = window.classes.list
    row = d.ui(lambda: shown.visualItemRect(shown.item(1)).center())
    d.click(shown.viewport(), row.x(), row.y(), button=3)
    menu = d.until(lambda: QApplication.activePopupWidget(), "the menu of the class is open")
    merge = d.ui(lambda: next(action.menu() for action in menu.actions() if action.text() == "Merge into"))
    d.ui(lambda: merge.actions()[0].trigger())
    d.ui(menu.close)
    question = d.until(lambda: window.dialogs._open.get("question"), "it asks")
    said = d.ui(lambda: question.informativeText())
    assert f"{count:,}".replace(",", "\u202f") in said, said
    assert f"in {len(files)} images" in said, said
    d.shot("merge")
    assert {file: file.read_bytes() for file in files} == before, "nothing before the person agrees"
    button = d.ui(lambda: next(each for each in question.buttons() if each.text() == "Merge"))
    d.click(button)
    d.until(lambda: len(window.session.classes) == 1 and not window.runner.busy, "merged")
    d.until(lambda: window.session.document is not None, "the image is there again")
    for file in files:
        assert not (pixels(file) == 255).any(), file
    d.shot("merged")
    d.click(window.stage.canvas, 5, 5, button=2)
    d.key("ctrl+z")
    d.until(lambda: len(window.session.classes) == 2 and not window.runner.busy, "taken back")
    for file in files:
        assert np.array_equal(pixels(file), pictures[file]), file


def paint_without_a_mouse(d: Driver) -> None:
    """A line drawn with real keys alone, undone and drawn again; it is saved."""
    file, window = Path(d.arguments[0]) / "label" / "0.png", d.window
    wait_for_image(d, "0.png")
    d.click(window.stage.canvas, 5, 5, button=2)
    d.xdo("mousemove", 0, 0)  # out of the way
    d.until(lambda: window.stage.canvas._hand.pointer is None, "the pointer has left the canvas")
    before = label(d)
    d.key("0")
    d.key("shift+space")
    for _ in range(6):
        d.key("shift+Right")
    d.key("shift+space")
    d.until(lambda: window.session.document.history.can_undo, "a line is drawn")
    painted = label(d)
    changed = painted != before
    ys, xs = np.nonzero(changed)
    assert (painted[changed] == 0).all()
    assert abs(float(ys.mean()) - 256) < 12, "along the middle of the image"
    assert xs.max() - xs.min() > 30
    d.shot("keys")
    d.key("ctrl+z")
    d.until(lambda: not window.session.document.history.can_undo, "undone")
    assert np.array_equal(label(d), before)
    d.key("ctrl+y")
    d.key("ctrl+s")
    idle(d)
    assert np.array_equal((pixels(file) == 255).astype(np.uint8), painted)
