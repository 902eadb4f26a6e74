"""Folders in the window: opening, what cannot be opened, closing, taking over."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from tests.app.kit import drag, on_disk_of, paint, saved, texts, write_folder
from unet_gui.app.main_window import MainWindow
from unet_gui.core.geometry import Rect
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.project import Dataset

Open = Callable[[Path | None], MainWindow]


def test_dropping_a_folder_opens_it(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(None)
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(write_folder(tmp_path / "x") / "2.png"))])
    event = QDropEvent(
        QPointF(5, 5),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    window.dropEvent(event)
    qtbot.waitUntil(lambda: window.session.key == "2.png" and window.session.document is not None)


@pytest.mark.parametrize("kind", ["missing", "empty", "damaged", "a file"])
def test_a_folder_that_cannot_be_opened_leaves_the_one_before_open(
    qtbot: QtBot, open_window: Open, tmp_path: Path, kind: str
) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    window.session.autosave = False
    drag(window, (20, 30), (40, 30))
    document, other = window.session.document, tmp_path / "other"
    if kind == "empty":
        other.mkdir()
    elif kind == "damaged":
        write_folder(other / ".unet-gui").joinpath("project.json").write_text("{")
    elif kind == "a file":
        other.mkdir()
        (other / "notes.txt").write_text("no picture")
        other = other / "notes.txt"
    window.open_path(other)
    qtbot.waitUntil(lambda: "folder" in {message.topic for message in window.stage.messages.messages})
    assert window.is_stage_shown
    assert window.session.document is document
    assert document is not None
    assert document.dirty, "nothing is saved unasked"
    assert window.status.text.text() != f"Opening {other} …"
    why = {"missing": "“other” is not there.", "damaged": "“other” cannot be opened. “project.json” is damaged."}
    assert why.get(kind, "no pictures that can be opened") in texts(window)
    drag(window, (20, 40), (40, 40))
    window.open_path(write_folder(tmp_path / "y", images=2))
    qtbot.waitUntil(lambda: window.images.model.rowCount() == 2 and window.session.document is not None)
    assert texts(window) == ""
    label = on_disk_of(tmp_path / "x", 0)
    assert label is not None
    assert (label[[30, 40], 25] == 1).all(), "what was painted is saved by then"


@pytest.mark.parametrize("first", [True, False], ids=["at the start", "from another folder"])
def test_a_folder_is_opened_without_its_project_file_where_that_is_damaged(
    qtbot: QtBot, open_window: Open, tmp_path: Path, first: bool
) -> None:
    window = open_window(None if first else write_folder(tmp_path / "x"))
    folder = write_folder(tmp_path / "other", images=2, labels=1)
    (folder / ".unet-gui").mkdir()
    (folder / ".unet-gui" / "project.json").write_text("{")
    for number in ("", "-2"):
        (folder / ".unet-gui" / f"project-put-aside{number}.json").write_text(f"earlier{number}")
    window.open_path(folder)
    qtbot.waitUntil(lambda: "“project.json” is damaged" in texts(window))
    stack = window.start.messages if first else window.stage.messages
    (offer,) = [each for each in stack.findChildren(QPushButton) if each.text() == "Open without it"]
    QTest.mouseClick(offer, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.images.model.rowCount() == 2 and window.session.document is not None)
    assert texts(window) == ""
    labels = window.session.labels
    assert labels is not None
    assert (labels.ids != UNLABELLED).all(), "no label is lost"
    aside = {path.stem: path.read_text() for path in (folder / ".unet-gui").glob("*aside*")}
    names = "project-put-aside", "project-put-aside-2", "project-put-aside-3"
    assert aside == dict(zip(names, ("earlier", "earlier-2", "{"), strict=True)), "what was put aside before stays"


def test_nothing_of_a_folder_is_left_in_the_status_line(open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    window.desk.device_known.emit("cpu", "")
    window.folders.close_folder()
    status = window.status
    parts = (status.job, status.text, status.device, status.image, status.place, status.value, status.class_name)
    assert [part.text() for part in (*parts, status.zoom)] == [""] * 8


def test_only_the_last_folder_that_was_asked_for_is_opened(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    for images in (2, 3):
        window.open_path(write_folder(tmp_path / f"{images}", images=images))
    qtbot.waitUntil(lambda: window.images.model.rowCount() == 3 and window.session.document is not None)
    assert window.settings.recent() == [tmp_path / "3", tmp_path / "x"]


def test_a_folder_in_the_place_of_another_is_listed_once(
    qtbot: QtBot, open_window: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    listed: list[Path] = []
    real = Dataset.open

    def count(folder: Path, **rest: Path) -> Dataset:
        listed.append(folder)
        return real(folder, **rest)

    monkeypatch.setattr(Dataset, "open", count)
    other = write_folder(tmp_path / "y", images=2)
    window.open_path(other)
    qtbot.waitUntil(lambda: window.images.model.rowCount() == 2 and window.session.document is not None)
    assert listed == [other]
    paint(window.session, Rect(0, 0, 9, 9), 1)
    window.open_path(other)
    qtbot.waitUntil(lambda: len(listed) == 3)
    qtbot.waitUntil(lambda: window.session.document is not None)
    assert window.session.labels is not None
    assert (window.session.labels.ids == 1).any(), "what the same folder writes when it closes is seen"


def test_closing_saves_and_the_next_window_shows_it(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x")
    window = open_window(folder)
    drag(window, (20, 30), (40, 30))
    assert window.session.labels is not None
    painted = window.session.labels.ids.copy()
    assert window.close()
    again = open_window(folder)
    assert again.session.labels is not None
    np.testing.assert_array_equal(again.session.labels.ids, painted)


def test_closing_with_labels_that_cannot_be_saved_asks(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x")
    window = open_window(folder)
    (folder / "labels").write_bytes(b"in the way")
    drag(window, (20, 30), (40, 30))
    assert not window.close()
    assert window.isVisible()
    question = window.dialogs._open["question"]
    assert "0.png" in question.text()  # type: ignore[attr-defined]
    question.reject()
    (folder / "labels").unlink()
    assert window.close()
    assert (folder / "labels" / "0.png").is_file()


def test_a_folder_of_a_window_that_is_gone_can_be_taken_over(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x")
    (folder / ".unet-gui").mkdir()
    lock = {"pid": 1, "host": "a computer far away", "token": "x", "since": "2026-01-01 10:00"}
    (folder / ".unet-gui" / "lock").write_text(json.dumps(lock))
    window = open_window(folder)
    assert window.session.begin_edit("brush") is None
    offers = {offer.text: offer for message in window.stage.messages.messages for offer in message.offers}
    offers["Take it over"].act()
    qtbot.waitUntil(lambda: window.session.document is not None and not window.session.folder.read_only)
    assert "read-only" not in {message.topic for message in window.stage.messages.messages}
    paint(window.session, Rect(0, 0, 5, 5), 1)
    saved(qtbot, window.session)
    window.session.close_folder()
    assert not (folder / ".unet-gui" / "lock").exists()
