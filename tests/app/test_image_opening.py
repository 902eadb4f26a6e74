"""What the status bar says while one image goes and another comes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from tests.app.kit import drag, go_to, write_folder
from unet_gui.app import reader as reader_module
from unet_gui.app.document import load
from unet_gui.app.main_window import MainWindow

Open = Callable[[Path | None], MainWindow]
LONG = 20_000


def test_an_image_that_is_long_in_coming_is_told(
    qtbot: QtBot, open_window: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    come = threading.Event()

    def slow(*asked: Any) -> Any:
        come.wait()
        return load(*asked)

    monkeypatch.setattr(reader_module, "load", slow)
    window.actions_by_id["next"].trigger()
    try:
        qtbot.waitUntil(lambda: window.status.text.text() == "Opening 1.png …", timeout=LONG)
    finally:
        come.set()
    qtbot.waitUntil(lambda: window.session.document is not None, timeout=LONG)
    assert window.status.text.text() == ""


def test_what_is_said_of_a_shape_goes_with_its_image(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    window.stage.canvas.set_tool("polygon")
    for at in ((10, 10), (40, 10), (40, 40)):
        drag(window, at, at)
    assert "closes the polygon" in window.status.text.text()
    go_to(qtbot, window.session, 1)
    assert "polygon" not in window.status.text.text()
