"""From image to image and from start to start: how images are shown, and how a folder was left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from tests.app.kit import go_to, picture, write_folder
from unet_gui.app.canvas.display import ChannelDisplay, Display
from unet_gui.app.contrast import Contrast
from unet_gui.app.main_window import MainWindow
from unet_gui.app.settings import KNOWN, Settings
from unet_gui.core import png

Open = Callable[[Path | None], MainWindow]


def dim_folder(folder: Path) -> Path:
    """Two dim images of 8 bit, one of 16 bit, and two in colour."""
    folder.mkdir()
    for n in range(2):
        (folder / f"{n}.png").write_bytes(png.encode((picture(n) // 4 + n).astype(np.uint8)))
    (folder / "2.png").write_bytes(png.encode(picture(2).astype(np.uint16) * 10 + 1000))
    for n in (3, 4):
        (folder / f"{n}.png").write_bytes(png.encode(np.dstack([picture(n) // 4] * 3)))
    return folder


def window_of(window: MainWindow) -> tuple[float, float]:
    channel = window.stage.canvas.display.channels[0]
    return channel.low, channel.high


def is_auto(window: MainWindow) -> bool:
    """Whether the panel says so."""
    return window.layers._auto.accessibleName().endswith(", on")


def test_auto_contrast_stays_for_the_next_images(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(dim_folder(tmp_path / "x"))
    assert window_of(window) == (0, 255)
    assert not is_auto(window)
    window.layers._auto.click()
    first = window_of(window)
    assert first[1] < 64
    assert is_auto(window)
    go_to(qtbot, window.session, 1)
    second = window_of(window)
    assert second[1] < 64
    assert second != first, "each its own"
    go_to(qtbot, window.session, 2)
    own = window_of(window)
    assert own[0] > 1000
    go_to(qtbot, window.session, 3)
    assert window_of(window)[1] < 64
    window.layers._reset.click()
    assert not is_auto(window)
    go_to(qtbot, window.session, 4)
    assert window_of(window) == (0, 255)
    go_to(qtbot, window.session, 2)
    assert window_of(window) == own, "16 bit has it by itself"
    assert is_auto(window)


def test_a_window_set_by_hand_is_for_values_of_its_kind(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(dim_folder(tmp_path / "x"))
    window.layers._high[0].setValue(200)
    by_hand = window_of(window)
    assert by_hand == (0, 51)
    go_to(qtbot, window.session, 1)
    assert window_of(window) == by_hand
    assert not is_auto(window)
    go_to(qtbot, window.session, 2)
    assert window_of(window)[0] > 1000
    assert is_auto(window)


def test_reset_shows_each_image_as_at_first(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    for n, least in ((0, 1000), (1, 30000)):
        (folder / f"{n}.png").write_bytes(png.encode(picture(n).astype(np.uint16) * 10 + least))
    window = open_window(folder)
    first = window_of(window)
    window.layers._high[0].setValue(window.layers._high[0].value() - 100)
    window.layers._gamma[0].setValue(900)
    assert not is_auto(window)
    window.layers._reset.click()
    assert window_of(window) == first
    assert window.stage.canvas.display.channels[0].gamma == 1
    assert is_auto(window)
    go_to(qtbot, window.session, 1)
    assert window_of(window)[0] > 30000
    window.layers._auto.click()
    window.layers._reset.click()
    go_to(qtbot, window.session, 0)
    assert window_of(window) == first


def test_reset_leaves_channels_hidden(open_window: Open, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "0.png").write_bytes(png.encode(np.dstack([picture(0)] * 3)))
    window = open_window(tmp_path / "x")
    window.layers._channels[1].click()
    window.layers._high[0].setValue(200)
    window.layers._reset.click()
    assert window_of(window) == (0, 255)
    assert [channel.visible for channel in window.stage.canvas.display.channels] == [True, False, True]


def dark_folder(folder: Path) -> Path:
    """Two images of 8 bit that use less than a tenth of the range, and one that uses all of it."""
    folder.mkdir()
    for n in range(2):
        (folder / f"{n}.png").write_bytes(png.encode((picture(n) // 10 + n).astype(np.uint8)))
    (folder / "2.png").write_bytes(png.encode(picture(2)))
    return folder


@pytest.mark.parametrize("large", [False, True])
def test_a_dark_image_of_8_bit_is_seen_at_once(
    qtbot: QtBot, open_window: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    if large:  # it is shown before all of it has been read
        monkeypatch.setattr("unet_gui.app.canvas.display.QUICK", 100)
    window = open_window(dark_folder(tmp_path / "x"))
    qtbot.waitUntil(lambda: window_of(window)[1] < 32)
    qtbot.waitUntil(lambda: window.stage.canvas.is_complete)
    frame = window.stage.canvas.grab().toImage()
    greys = {frame.pixelColor(x, frame.height() // 2).red() for x in range(0, frame.width(), 3)}
    assert max(greys) > 200
    assert is_auto(window)
    first = window_of(window)
    window.layers._high[0].setValue(1000)
    go_to(qtbot, window.session, 1)
    assert window_of(window)[1] == 255, "set by hand"
    window.layers._reset.click()
    qtbot.waitUntil(lambda: window_of(window)[1] < 32)  # a large one may not have been read whole yet
    go_to(qtbot, window.session, 2)
    qtbot.waitUntil(lambda: window.stage.canvas.is_complete)
    assert window_of(window) == (0, 255)
    assert not is_auto(window)
    go_to(qtbot, window.session, 0)
    qtbot.waitUntil(lambda: window_of(window) == first)


def test_hiding_a_channel_leaves_every_image_its_window(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    folder = dim_folder(tmp_path / "x")
    (folder / "4.png").write_bytes(png.encode(np.dstack([picture(4) // 2] * 3)))
    window = open_window(folder)
    window.layers._auto.click()
    go_to(qtbot, window.session, 3)
    before = window_of(window)
    window.layers._channels[1].click()
    go_to(qtbot, window.session, 4)
    assert [channel.visible for channel in window.stage.canvas.display.channels] == [True, False, True]
    assert window_of(window)[1] > before[1] + 10
    assert is_auto(window)


def test_auto_contrast_holds_for_a_label_that_waited(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    from tests.app.kit import paint
    from unet_gui.core.geometry import Rect

    folder = dim_folder(tmp_path / "x")
    window = open_window(folder)
    window.session.autosave = False
    paint(window.session, Rect(0, 0, 5, 5), 1)
    go_to(qtbot, window.session, 1)
    window.layers._auto.click()
    go_to(qtbot, window.session, 0)
    assert window_of(window)[1] < 64


def test_what_the_settings_keep_of_a_contrast() -> None:
    display = Display((ChannelDisplay(3, 40.5, 1.2, "#00ff00", False),))
    for kept in (Contrast(), Contrast(auto=True), Contrast(False, "uint8", display, True)):
        assert Contrast.from_json(kept.to_json()) == kept
    for strange in (None, 3, {}, {"auto": 1, "dtype": "", "windowed": 1, "display": {"channels": [{"x": 1}]}}):
        assert Contrast.from_json(strange) == Contrast()


# --- from start to start ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shape", "size"), [((60, 80), 3), ((256, 300), 6), ((900, 2100), 22), ((1700, 1800), 40)])
def test_the_first_brush_in_a_folder_suits_its_first_image(
    open_window: Open, tmp_path: Path, shape: tuple[int, int], size: float
) -> None:
    window = open_window(write_folder(tmp_path / "x", images=1, shape=shape))
    assert window.stage.canvas.brush.size == size


@pytest.fixture
def leave(qtbot: QtBot, open_window: Open) -> Callable[[Path], None]:
    """Leaves a folder with another image, class, brush, tool and contrast than at first."""

    def work(folder: Path) -> None:
        window = open_window(folder)
        go_to(qtbot, window.session, 3)
        QTest.keyClick(window, Qt.Key.Key_0)
        QTest.keyClick(window, Qt.Key.Key_P)
        window.stage.canvas.set_brush_size(37)
        window.layers._auto.click()
        QTest.keyClick(window, Qt.Key.Key_E)
        window.close()

    return work


def test_a_folder_is_found_as_it_was_left(
    qtbot: QtBot, open_window: Open, leave: Callable[[Path], None], tmp_path: Path
) -> None:
    folder = write_folder(tmp_path / "x", images=5)
    leave(folder)
    assert not (folder / ".unet-gui").exists() or not any((folder / ".unet-gui").glob("*.json"))
    window = open_window(folder)
    assert window.session.key == "3.png"
    assert window.session.active_class == 0
    assert window.stage.canvas.brush.size == 37
    assert window.stage.canvas.tool == "polygon", "not the eraser: that is taken for a moment"
    assert is_auto(window)
    window.open_path(write_folder(tmp_path / "y"))
    qtbot.waitUntil(lambda: window.session.key == "0.png" and window.session.document is not None)
    assert window.session.active_class == 1
    assert not is_auto(window)
    window.open_path(folder / "1.png")
    qtbot.waitUntil(lambda: window.session.key == "1.png" and window.session.document is not None)


def test_what_is_gone_is_not_looked_for(open_window: Open, leave: Callable[[Path], None], tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x", images=5)
    leave(folder)
    (folder / "3.png").unlink()
    settings = Settings()
    settings.set_left(folder, {**settings.left(folder), "class": 77, "tool": "chisel", "brush": "wide"})
    window = open_window(folder)
    assert window.session.key == "0.png"
    assert window.session.active_class == 1
    assert window.stage.canvas.tool == "brush"


def test_a_page_of_a_stack_is_found_again(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    import tifffile

    from unet_gui.core.images import ImageRef

    folder = write_folder(tmp_path / "x", images=1)
    tifffile.imwrite(folder / "s.tif", np.stack([picture(n) for n in range(3)]), photometric="minisblack")
    window = open_window(folder)
    window.session.open_image(ImageRef("s.tif", 2))
    qtbot.waitUntil(lambda: window.session.document is not None and window.session.key == "s.tif#2")
    window.close()
    again = open_window(folder)
    assert again.session.key == "s.tif#2"
    qtbot.waitUntil(lambda: again.images.model.total == 4)
    assert again.images.model.ref(again.images.list.currentIndex()) == ImageRef("s.tif", 2)


def test_the_settings_know_the_last_folders_only(tmp_path: Path) -> None:
    settings = Settings()
    settings._store.setValue("left", "no json")
    assert settings.left(tmp_path) == {}
    for n in range(KNOWN + 5):
        settings.set_left(tmp_path / f"\udcff, {n}", {"image": f"{n}.png"})
    settings.sync()
    again = Settings()
    assert again.left(tmp_path / "\udcff, 4") == {}
    assert again.left(tmp_path / "\udcff, 5") == {"image": "5.png"}


def test_a_page_that_is_gone_opens_the_first_one(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    pages = np.stack([picture(n) for n in range(5)])
    tifffile.imwrite(folder / "s.tif", pages, photometric="minisblack")
    window = open_window(folder)
    qtbot.waitUntil(lambda: window.session.folder is not None and bool(window.session.folder.pages))
    assert window.session.folder is not None
    window.session.open_image(window.session.folder.images()[4])
    qtbot.waitUntil(lambda: window.session.key == "s.tif#4" and window.session.document is not None)
    window.session.close_folder()
    tifffile.imwrite(folder / "s.tif", pages[:3], photometric="minisblack")
    window.open_path(folder)
    qtbot.waitUntil(lambda: window.session.document is not None)
    assert window.session.key in ("s.tif#0", "s.tif")
    assert not any(message.kind == "error" for message in window.stage.messages.messages)


def test_a_kept_window_survives_an_image_of_other_values(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    for n, least in ((0, 1000), (1, 30000)):
        (folder / f"{n}.png").write_bytes(png.encode(picture(n).astype(np.uint16) * 10 + least))
    window = open_window(folder)
    slider = window.layers._high[0]
    slider.setValue(slider.value() - 30)
    by_hand = window_of(window)
    go_to(qtbot, window.session, 1)
    assert window_of(window) == by_hand
    window.layers._gamma[0].setValue(window.layers._gamma[0].value() + 20)
    assert window_of(window) == by_hand, "only the gamma was moved"
    go_to(qtbot, window.session, 0)
    assert window_of(window) == by_hand


def test_auto_contrast_leaves_channels_hidden(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    for n in range(2):
        (folder / f"{n}.png").write_bytes(png.encode(np.dstack([picture(n) // 4] * 3)))
    window = open_window(folder)
    window.layers._channels[1].click()
    window.layers._auto.click()
    for n in range(2):
        go_to(qtbot, window.session, n)
        assert [channel.visible for channel in window.stage.canvas.display.channels] == [True, False, True]
        assert is_auto(window)
