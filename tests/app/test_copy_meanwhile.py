"""A large blob is copied beside the window; what was copied before is there until that has come to its end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from tests.app.kit import drag, write_folder
from tests.app.test_large_gestures import Slow, hover, slow_search, two_boxes
from unet_gui.app.main_window import MainWindow
from unet_gui.core.errors import UserError

__all__ = ["slow_search"]  # the fixture
Open = Callable[[Path | None], MainWindow]


@pytest.mark.parametrize("fails", [False, True])
def test_what_hangs_at_the_pointer_stays_while_something_else_is_copied(
    qtbot: QtBot, open_window: Open, tmp_path: Path, slow_search: Slow, fails: bool
) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    canvas, session = window.stage.canvas, window.session
    two_boxes(window)
    canvas.set_tool("blob")
    hover(window, 10, 10)
    canvas.copy()
    first = canvas._bench.clip
    assert first is not None
    canvas.paste()
    assert session.labels is not None
    before = session.labels.ids.copy()
    search = slow_search(window)
    canvas.copy()
    assert search.begun.wait(20)
    hover(window, 30, 30)
    drag(window, (40, 30), (40, 30))
    np.testing.assert_array_equal(session.labels.ids, before)  # held
    search.error = UserError("cannot be found.") if fails else None
    search.on.set()
    qtbot.waitUntil(lambda: not window.whole.busy, timeout=20_000)
    assert (canvas._bench.clip is first) == fails
    hover(window, 50, 40)
    drag(window, (50, 40), (50, 40))
    qtbot.waitUntil(lambda: not window.whole.busy, timeout=20_000)
    assert not np.array_equal(session.labels.ids, before), "it is pasted now"
