"""Messages over the canvas: which stay, which go by themselves, and what closes them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QPushButton, QToolButton
from pytestqt.qtbot import QtBot

from tests.app.kit import SHAPE, go_to, picture, write_folder
from unet_gui.app.jobs import Job, JobError
from unet_gui.app.main_window import MainWindow
from unet_gui.app.messages import Message, Offer
from unet_gui.app.panels.messages import MOST, MessageStack
from unet_gui.core.errors import ImageError
from unet_gui.core.images import ImageRef
from unet_gui.engine.events import Warned

Open = Callable[[Path | None], MainWindow]


@pytest.fixture
def stack(qtbot: QtBot) -> MessageStack:
    stack = MessageStack()
    qtbot.addWidget(stack)
    return stack


def test_one_message_for_each_topic_and_not_too_many(stack: MessageStack) -> None:
    stack.show_message(Message("error", "first", topic="save"))
    stack.show_message(Message("error", "second", topic="save"))
    assert [m.text for m in stack.messages] == ["second"]
    for n in range(10):
        stack.show_message(Message("info", str(n)))
    assert len(stack.messages) == MOST
    stack.clear()
    assert stack.isHidden()


def test_settled_topics_go(stack: MessageStack) -> None:
    stack.show_message(Message("error", "disk full", topic="save"))
    stack.show_message(Message("info", "other", topic="x"))
    stack.settle("save")
    assert [m.text for m in stack.messages] == ["other"]


def test_details_are_one_click_away_and_offers_act(qtbot: QtBot, stack: MessageStack) -> None:
    done: list[str] = []
    offer = Offer("Try again", lambda: done.append("tried"))
    stack.show_message(Message("error", "It failed.", "Traceback: the text", "t", (offer,)))
    banner = stack._banners[0]
    assert banner._details.isHidden()
    by_text = {b.text(): b for b in banner.findChildren(QPushButton)}
    by_text["Details"].click()
    assert not banner._details.isHidden()
    assert banner._details.toPlainText() == "Traceback: the text"
    by_text["Try again"].click()
    assert done == ["tried"]
    assert stack.messages == []


def test_icon_text_and_cross_stand_in_one_line(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    stack = open_window(write_folder(tmp_path / "x")).stage.messages
    for _ in range(3):
        stack.show_message(Message("info", "One line."))

    def middles() -> list[set[int]]:
        """The height of the middle of what each message has."""
        parts = [[*banner.findChildren(QToolButton), banner._text] for banner in stack._banners]
        return [{part.geometry().center().y() for part in each} for each in parts]

    qtbot.waitUntil(lambda: all(banner._text.height() > 20 for banner in stack._banners))
    assert [len(each) for each in middles()] == [1, 1, 1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("“a/s.tif#0” is done.", "“a/s.tif, page 1” is done."),
        ("s.TIFF#11, t.btf#2 are held back", "s.TIFF, page 12, t.btf, page 3 are held back"),
        ("a#1.png, s.tif#1x and s.tif", "a#1.png, s.tif#1x and s.tif"),
    ],
)
def test_pages_are_counted_from_one(stack: MessageStack, text: str, said: str) -> None:
    stack.show_message(Message("info", text))
    assert stack._banners[0]._text.text() == said
    assert stack._banners[0].accessibleName() == said


def test_a_page_is_called_the_same_everywhere(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x", images=1)
    tifffile.imwrite(folder / "s.tif", np.stack([picture(n) for n in range(3)]), photometric="minisblack")
    window = open_window(folder)
    window.session.open_image(ImageRef("s.tif", 2))
    qtbot.waitUntil(lambda: window.session.document is not None and window.session.key == "s.tif#2")
    assert window.status.image.text().startswith("s.tif, page 3 · ")
    dataset = window.session.dataset
    assert dataset is not None
    dataset.save_prediction(ImageRef("s.tif", 2), np.zeros(SHAPE, np.uint8))
    window.session.on_predicted("s.tif#2", fresh=True)
    qtbot.waitUntil(lambda: window.session.prediction is not None)
    window.actions_by_id["done"].trigger()
    assert window.stage.messages._banners[-1]._text.text().startswith("“s.tif, page 3” is done")


def test_errors_in_plain_words() -> None:
    message = Message.of(ImageError("is damaged or cut off.", "/data/ü/7.png", "Copy it again.", "IDAT"))
    assert message.text == "“7.png” is damaged or cut off. Copy it again."
    assert message.details == "IDAT"
    plain = Message.of(OSError(28, "No space left on device", "/data/labels/7.png"))
    assert plain.text == "“7.png”: No space left on device."
    assert "OSError" in plain.details
    job = Message.of(JobError("OutOfMemoryError", "There is not enough memory.", "Use the CPU.", None, "trace"))
    assert job.text == "There is not enough memory. Use the CPU."


# --- going by themselves ----------------------------------------------------------------------------------------------


@pytest.fixture
def shown(qtbot: QtBot, stack: MessageStack) -> MessageStack:
    """Messages in a window that has the focus."""
    stack.resize(600, 300)
    stack.show_message(Message("error", "stays"))
    stack.activateWindow()
    qtbot.waitUntil(stack.isActiveWindow)
    return stack


def texts(stack: MessageStack) -> list[str]:
    return [message.text for message in stack.messages]


def pass_time(stack: MessageStack) -> None:
    """Let the time of every message that goes by itself be over."""
    for banner in list(stack._banners):
        if banner.timer.isActive():
            banner.timer.timeout.emit()


def test_good_news_go_by_themselves(shown: MessageStack) -> None:
    shown.show_message(Message("good", "4 images exported."))
    shown.show_message(Message("good", "Half of it", offers=(Offer("Go on", lambda: None),)))
    shown.show_message(Message("info", "There is no model yet."))
    pass_time(shown)
    assert texts(shown) == ["stays", "Half of it", "There is no model yet."]
    shown.clear()


def test_long_news_and_those_that_offer_something_have_more_time(shown: MessageStack) -> None:
    shown.show_message(Message("good", "Done."))
    shown.show_message(Message("good", "Done. " + "What a format cannot hold is lost. " * 5))
    shown.show_message(Message("info", "Done.", offers=(Offer("Undo", lambda: None),), passing=True))
    short, long, offering = (banner.timer.interval() for banner in shown._banners[1:])
    assert short < long
    assert 2 * short < offering
    shown.clear()


def test_a_click_at_a_message_that_has_just_gone_paints_nothing(
    qtbot: QtBot, open_window: Open, tmp_path: Path
) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    stack, handle = window.stage.messages, window.windowHandle()
    window.stage.canvas.zoom_to(30)  # the image fills the canvas
    stack.show_message(Message("good", "4 images exported."))
    qtbot.waitUntil(lambda: stack.height() > 0)
    place = stack.mapTo(window, stack.rect().center())
    pass_time(stack)
    assert texts(stack) == []
    QTest.mouseClick(handle, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, place)
    assert not window.session.unsaved()
    qtbot.waitUntil(lambda: window.childAt(place) is window.stage.canvas)
    QTest.mouseClick(handle, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, place)
    assert window.session.unsaved(), "the place is free again in a moment"


def test_what_is_pointed_at_or_used_stays_for_a_while(shown: MessageStack) -> None:
    shown.show_message(Message("good", "read"))
    shown.show_message(Message("good", "used"))
    read, used = shown._banners[1:]
    read.setAttribute(Qt.WidgetAttribute.WA_UnderMouse)  # what the pointer's coming does
    used.findChildren(QToolButton)[-1].setFocus()
    pass_time(shown)
    assert texts(shown) == ["stays", "read", "used"]
    read.setAttribute(Qt.WidgetAttribute.WA_UnderMouse, False)
    shown.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    shown.setFocus()
    pass_time(shown)
    assert texts(shown) == ["stays"]


def test_nothing_goes_while_nobody_looks(shown: MessageStack, qtbot: QtBot) -> None:
    shown.show_message(Message("good", "Training is done."))
    elsewhere = QPushButton()
    qtbot.addWidget(elsewhere)
    elsewhere.show()
    elsewhere.activateWindow()
    qtbot.waitUntil(lambda: not shown.isActiveWindow())
    pass_time(shown)
    assert texts(shown) == ["stays", "Training is done."]
    shown.clear()


def test_errors_make_room_last(stack: MessageStack) -> None:
    stack.show_message(Message("error", "A label could not be saved.", topic="save"))
    for n in range(2 * MOST):
        stack.show_message(Message("info", str(n)))
    assert texts(stack)[0] == "A label could not be saved."
    assert len(stack.messages) == MOST


# --- in the window ----------------------------------------------------------------------------------------------------


def test_what_is_about_an_image_goes_with_it(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    QTest.keyClick(window, Qt.Key.Key_T)
    window.session.said.emit(Message("error", "The label could not be saved.", topic="save"))
    window.session.said.emit(Message("error", "“0.png” could not be predicted.", image="0.png"))
    assert any("no prediction for this image" in text for text in texts(window.stage.messages))
    assert len(window.stage.messages.messages) == 3
    window.session.reopen()
    qtbot.waitUntil(lambda: window.session.document is not None)
    assert len(window.stage.messages.messages) == 3, "the same image"
    go_to(qtbot, window.session, 1)
    assert texts(window.stage.messages) == ["The label could not be saved."]


def test_that_there_is_no_prediction_is_over_when_there_is_one(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    QTest.keyClick(window, Qt.Key.Key_T)
    assert window.stage.messages.messages
    dataset = window.session.dataset
    assert dataset is not None
    dataset.save_prediction(dataset.images[0], np.zeros(SHAPE, np.uint8))
    window.session.on_predicted("0.png", fresh=True)
    qtbot.waitUntil(lambda: window.session.prediction is not None)
    assert texts(window.stage.messages) == []


def test_that_there_is_no_model_is_over_when_one_is_trained(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x", images=2))
    at_start: list[list[str]] = []
    window.runner.started.connect(lambda _job: at_start.append(texts(window.stage.messages)))
    QTest.keyClick(window, Qt.Key.Key_R)
    assert any("no model yet. Paint" in text for text in texts(window.stage.messages))
    for n in range(2):
        window.actions_by_id["train"].trigger()
        qtbot.waitUntil(lambda n=n: len(at_start) > n and not window.runner.busy, timeout=300_000)
        assert any("No image has a label yet" in text for text in texts(window.stage.messages))
    assert at_start == [[], []], "it is being trained; it is tried again"


def test_that_the_model_is_being_trained_is_over_when_it_is_not(
    qtbot: QtBot, open_window: Open, tmp_path: Path
) -> None:
    window = open_window(write_folder(tmp_path / "x", images=2))
    window.runner.started.connect(lambda _job: window.actions_by_id["predict"].trigger())
    seen: list[str] = []
    window.desk.said.connect(lambda message: seen.append(message.text))
    window.actions_by_id["train"].trigger()
    qtbot.waitUntil(lambda: bool(seen) and not window.runner.busy, timeout=300_000)
    assert "it is being trained" in seen[0]
    assert ["No image has a label yet" in text for text in texts(window.stage.messages)] == [True]


def test_what_a_training_warned_of_is_over_when_the_next_one_begins(
    qtbot: QtBot, open_window: Open, tmp_path: Path
) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    words = iter(["Nothing is labelled as “cell”: the model will not know it.", "Something else."])

    def warn() -> Iterator[Warned]:
        yield Warned(next(words))

    for _ in range(2):
        window.runner.submit(Job("segment", "Segmenting", warn))
        qtbot.waitUntil(lambda: not window.runner.busy)
    warnings = [message.text for message in window.stage.messages.messages if message.kind == "warning"]
    assert warnings == ["Something else."]


def test_that_something_runs_is_over_when_it_has_ended(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    go_on = threading.Event()

    def wait() -> Iterator[None]:
        go_on.wait()
        yield

    window.runner.submit(Job("export", "Exporting", wait))  # type: ignore[arg-type]
    window.folders.close_folder()
    assert texts(window.stage.messages) == ["Something is still running. Stop it first, then leave the folder."]
    go_on.set()
    qtbot.waitUntil(lambda: not window.runner.busy)
    assert texts(window.stage.messages) == []


@pytest.mark.parametrize("where", ["canvas", "list", "window"])
def test_escape_closes_the_newest_message(open_window: Open, tmp_path: Path, where: str) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    for text in ("first", "second"):
        window.show_message(Message("error", text))
    widget = {"canvas": window.stage.canvas, "list": window.images.list, "window": window}[where]
    QTest.keyClick(widget, Qt.Key.Key_Escape)
    assert texts(window.stage.messages) == ["first"]
    QTest.keyClick(widget, Qt.Key.Key_Escape)
    QTest.keyClick(widget, Qt.Key.Key_Escape)
    assert texts(window.stage.messages) == []


@pytest.mark.parametrize("where", ["canvas", "list"])
def test_escape_is_for_the_shape_in_progress_first(open_window: Open, tmp_path: Path, where: str) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    canvas = window.stage.canvas
    canvas.set_tool("polygon")
    for x, y in ((20, 20), (40, 20), (40, 40)):
        QTest.mouseClick(
            canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, canvas.to_widget(x, y).toPoint()
        )
    window.show_message(Message("error", "It failed."))
    widget = {"canvas": canvas, "list": window.images.list}[where]
    QTest.keyClick(widget, Qt.Key.Key_Escape)
    assert texts(window.stage.messages) == ["It failed."]
    QTest.keyClick(widget, Qt.Key.Key_Escape)
    assert texts(window.stage.messages) == []


def test_escape_in_the_filter_empties_the_filter(open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    window.show_message(Message("error", "It failed."))
    window.images.field.setFocus()
    QTest.keyClicks(window.images.field, "1")
    QTest.keyClick(window.images.field, Qt.Key.Key_Escape)
    assert texts(window.stage.messages) == ["It failed."]


def test_escape_on_the_start_page(open_window: Open) -> None:
    window = open_window(None)
    window.show_message(Message("error", "It failed."))
    QTest.keyClick(window, Qt.Key.Key_Escape)
    assert texts(window.start.messages) == []


def test_a_question_outlasts_news_and_esc(stack: MessageStack) -> None:
    done: list[str] = []
    for what in ("one", "two"):
        offer = Offer("Go on", lambda what=what: done.append(what))  # type: ignore[misc]
        stack.show_message(Message("warning", "Stopped half-way.", topic="half", offers=(offer,)))
    for number in range(MOST):
        stack.show_message(Message("good", f"News {number}", topic=f"{number}", passing=True))
    assert "Stopped half-way." in [message.text for message in stack.messages]
    while stack.close_newest():
        pass
    assert [message.text for message in stack.messages] == ["Stopped half-way."]
    (button,) = [each for each in stack.findChildren(QPushButton) if each.text() == "Go on" and each.isVisibleTo(stack)]
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    assert done == ["two"], "what was asked last"


def test_what_is_said_again_stays_as_long_again(stack: MessageStack) -> None:
    message = Message("info", "Try again in a moment.", topic="held", passing=True)
    stack.show_message(message)
    (banner,) = stack._banners
    banner.timer.start(5)
    stack.show_message(message)
    assert banner.timer.remainingTime() > 1000
    stack.clear()
