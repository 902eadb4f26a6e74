"""Images that cannot be read, or only in part: what the window says, and what it does not let happen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from tests.app.kit import drag, go_to, picture, write_folder
from unet_gui.app import class_list
from unet_gui.app.image_list import STATE
from unet_gui.app.main_window import MainWindow
from unet_gui.core import png
from unet_gui.core.project import Dataset

Open = Callable[[Path | None], MainWindow]


def state(window: MainWindow, name: str) -> tuple[str, str]:
    """What the list says of an image, and why."""
    model = window.images.model
    index = next(model.index(row) for row in range(model.rowCount()) if model.ref(model.index(row)).key == name)
    return model.data(index, STATE), model.data(index, Qt.ItemDataRole.ToolTipRole)


@pytest.mark.parametrize("kind", ["png", "png 16", "jpg", "tif"])
def test_an_image_that_is_cut_off_is_marked_and_not_painted_on(
    qtbot: QtBot, open_window: Open, tmp_path: Path, kind: str
) -> None:
    folder = write_folder(tmp_path / "x", images=2)
    pixels = picture(5, (200, 300))
    name = "5." + kind.split()[0]
    if kind.startswith("png"):
        (folder / name).write_bytes(png.encode(pixels if kind == "png" else pixels.astype(np.uint16) * 100))
    elif kind == "jpg":
        cv2.imwrite(str(folder / name), pixels)
    else:
        tifffile.imwrite(folder / name, pixels)
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: len(data) * 6 // 10])
    window = open_window(folder)
    assert window.session.dataset is not None
    window.session.open_image(window.session.dataset.images[2])
    qtbot.waitUntil(lambda: any("5." in message.text for message in window.stage.messages.messages))
    assert window.session.document is None
    said = window.stage.messages.messages[-1]
    assert said.text.startswith(f"“{name}” is damaged or cut off.")
    assert said.details
    drag(window, (20, 30), (40, 30))
    assert not (folder / "labels").exists()
    assert state(window, name)[0] == "problem"
    assert "damaged or cut off" in state(window, name)[1]
    go_to(qtbot, window.session, 0)
    assert window.stage.messages.messages == []
    assert state(window, name)[0] == "problem", "it goes on to be"
    (folder / name).unlink()
    (folder / name).write_bytes(png.encode(pixels))  # it was copied again
    go_to(qtbot, window.session, 2)
    assert state(window, name)[0] == "untouched"


def test_an_image_of_which_a_part_can_be_read_is_shown_and_said(
    qtbot: QtBot, open_window: Open, tmp_path: Path
) -> None:
    folder = write_folder(tmp_path / "x", images=2)
    pixels = np.tile(picture(5, (512, 512)), (8, 1))
    tifffile.imwrite(folder / "5.tif", pixels, tile=(256, 256), compression="deflate")
    data = bytearray((folder / "5.tif").read_bytes())
    with tifffile.TiffFile(folder / "5.tif") as tif:
        at, size = tif.pages[0].dataoffsets[-1], tif.pages[0].databytecounts[-1]  # type: ignore[union-attr]
    data[at : at + size] = bytes(size)
    (folder / "5.tif").write_bytes(data)
    window = open_window(folder)
    go_to(qtbot, window.session, 2)
    qtbot.waitUntil(lambda: bool(window.stage.messages.messages))
    said = window.stage.messages.messages[-1]
    assert said.text.startswith("Only a part of “5.tif” can be read: it ")
    assert window.session.document is not None
    assert state(window, "5.tif") == ("problem", f"5.tif\n{said.text}")
    window.images.model.thumbnails.failed.emit("5.tif", "“5.tif” has a damaged part.")  # which may come later
    assert state(window, "5.tif") == ("problem", f"5.tif\n{said.text}"), "it stays said what can be read"


def test_a_damaged_label_is_no_damaged_image(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x", images=2, labels=2)
    path = folder / "labels" / "1.png"
    good = path.read_bytes()
    path.write_bytes(b"junk")
    window = open_window(folder)
    window.session.open_image(window.session.dataset.images[1])  # type: ignore[union-attr]
    qtbot.waitUntil(lambda: any(message.kind == "error" for message in window.stage.messages.messages))
    assert state(window, "1.png")[0] == "problem"
    path.write_bytes(good)
    go_to(qtbot, window.session, 0)
    assert window.session.folder is not None
    window.session.folder.book.scan(window.session.folder.images())
    qtbot.waitUntil(lambda: state(window, "1.png")[0] != "problem")


def test_a_label_of_another_size_is_no_finished_image(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x", images=2)
    (folder / "labels").mkdir()
    (folder / "labels" / "1.png").write_bytes(png.encode(np.zeros((10, 10), np.uint8)))
    window = open_window(folder)
    qtbot.waitUntil(lambda: state(window, "1.png")[0] == "problem")
    assert "is 10 × 10 pixels, but its image is" in state(window, "1.png")[1]
    assert window.images.footer.text() == "1\xa0untouched\xa0· 1\xa0problem"


@pytest.mark.parametrize("place", ["image", "label"])
def test_what_could_not_be_read_is_tried_again_by_a_click(
    qtbot: QtBot, open_window: Open, tmp_path: Path, place: str
) -> None:
    folder = write_folder(tmp_path / "x", images=2, labels=2)
    path = folder / "1.png" if place == "image" else folder / "labels" / "1.png"
    good = path.read_bytes()
    path.write_bytes(b"junk")
    window = open_window(folder)
    view = window.images.list

    def click(row: int) -> None:
        at = view.visualRect(window.images.model.index(row)).center()
        QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, at)

    click(1)
    qtbot.waitUntil(lambda: any(message.kind == "error" for message in window.stage.messages.messages))
    assert window.session.document is None
    path.write_bytes(good)
    click(1)
    qtbot.waitUntil(lambda: window.session.document is not None)
    assert window.session.key == "1.png"
    assert not window.stage.messages.messages
    shown = window.session.document
    click(1)
    assert window.session.document is shown, "what is there is not read again"


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("model", {"model": "x" * 5000}),
        ("training", {"model": "a\0b", "begun": 1.0, "minutes": 1.0, "config": "{}"}),
        ("gone_classes", [3, None]),
    ],
)
def test_what_makes_no_sense_in_the_project_file_does_not_matter(
    open_window: Open, tmp_path: Path, name: str, wrong: object
) -> None:
    folder = write_folder(tmp_path / "x", images=1)
    dataset = Dataset.open(folder)
    dataset.settings[name] = wrong
    dataset.save()
    window = open_window(folder)
    assert window.session.dataset is not None
    info = window.session.classes[1]
    assert not class_list.is_gone(window.session.dataset, info)
    class_list.note_gone(window.session.dataset, [info], 255)
    assert class_list.is_gone(window.session.dataset, info)
