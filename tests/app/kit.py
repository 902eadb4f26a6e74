"""Folders of small real images, and a session or a window on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from unet_gui.app import words
from unet_gui.app.main_window import MainWindow
from unet_gui.app.messages import Message
from unet_gui.app.session import Session
from unet_gui.core import png
from unet_gui.core.geometry import Rect

SHAPE = (60, 80)


def picture(seed: int, shape: tuple[int, int] = SHAPE) -> NDArray[np.uint8]:
    """Dark discs on a bright ground, with noise: something a model can learn."""
    rng = np.random.default_rng(seed)
    image = np.full(shape, 180.0)
    image[truth(seed, shape) == 1] = 70
    return np.clip(image + rng.normal(0, 8, shape), 0, 255).astype(np.uint8)


def truth(seed: int, shape: tuple[int, int] = SHAPE) -> NDArray[np.uint8]:
    """The discs."""
    rng = np.random.default_rng(seed + 1000)
    y, x = np.mgrid[: shape[0], : shape[1]]
    ids = np.zeros(shape, np.uint8)
    for _ in range(4):
        cy, cx, r = rng.integers(0, shape[0]), rng.integers(0, shape[1]), rng.integers(6, 13)
        ids[(y - cy) ** 2 + (x - cx) ** 2 < r * r] = 1
    return ids


def write_folder(folder: Path, images: int = 4, labels: int = 0, shape: tuple[int, int] = SHAPE) -> Path:
    """Write images, and whole labels for the first of them."""
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(images):
        (folder / f"{n}.png").write_bytes(png.encode(picture(n, shape)))
    for n in range(labels):
        (folder / "labels").mkdir(exist_ok=True)
        (folder / "labels" / f"{n}.png").write_bytes(png.encode(truth(n, shape)))
    return folder


class Ear:
    """Hears what a session or a window says."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def hear(self, message: Message) -> None:
        self.messages.append(message)

    def heard(self, text: str) -> bool:
        """Whether something was said with this in it."""
        return any(text in message.text for message in self.messages)

    def topics(self) -> list[str]:
        return [message.topic for message in self.messages]


@contextmanager
def open_session(qtbot: QtBot, path: Path, **places: Path) -> Iterator[tuple[Session, Ear]]:
    """A session whose first image is open, with its prediction."""
    session, ear = Session(), Ear()
    session.said.connect(ear.hear)
    session.not_opened.connect(lambda where, error: ear.hear(words.folder_not_opened(where, error)))
    try:
        session.open_folder(path, **places)
        qtbot.waitUntil(lambda: session.document is not None or bool(ear.messages), timeout=20_000)
        qtbot.waitUntil(lambda: not session.reads_prediction, timeout=20_000)
        yield session, ear
    finally:
        session.close()


def go_to(qtbot: QtBot, session: Session, index: int) -> None:
    """Open an image and wait until it is there."""
    assert session.dataset is not None
    ref = session.dataset.images[index]
    session.open_image(ref)
    qtbot.waitUntil(lambda: session.document is not None and session.document.ref.rel == ref.rel, timeout=20_000)


def paint(session: Session, rect: Rect, class_id: int, name: str = "brush") -> None:
    """One gesture, as a tool makes it."""
    edit = session.begin_edit(name)
    assert edit is not None
    session.changed(edit.paint(rect, None, class_id))
    session.end_edit(edit)


def on_disk(session: Session, index: int) -> NDArray[np.uint8] | None:
    """The label of an image as another program would find it."""
    from unet_gui.core.project import Dataset

    assert session.folder is not None
    opened = session.folder.opened
    dataset = Dataset.open(opened.folder, labels=opened.labels, state=opened.state)
    return dataset.load_label(dataset.images[index])


def on_disk_of(folder: Path, index: int) -> NDArray[np.uint8] | None:
    """The label of an image of a folder that no session has open."""
    from unet_gui.core.project import Dataset

    dataset = Dataset.open(folder)
    return dataset.load_label(dataset.images[index])


def saved(qtbot: QtBot, session: Session) -> None:
    """Wait until nothing is unsaved."""
    session.save()
    qtbot.waitUntil(lambda: not session.unsaved(), timeout=20_000)


def drag(window: MainWindow, *points: tuple[float, float]) -> None:
    """Press, move and release the mouse at image positions."""
    canvas = window.stage.canvas
    places = [canvas.to_widget(x, y).toPoint() for x, y in points]
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, places[0])
    for place in places[1:]:
        QTest.mouseMove(canvas, place)
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, places[-1])


Wait = Callable[[Callable[[], bool]], None]
