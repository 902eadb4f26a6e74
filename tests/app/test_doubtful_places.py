"""From doubtful place to doubtful place: across images, folders and predictions that come meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from tests.app.kit import Ear, go_to, open_session, saved, write_folder
from unet_gui.app import touch_up as touch_up_module
from unet_gui.app.doubt import doubtful_places
from unet_gui.app.session import Session
from unet_gui.app.touch_up import TouchUp
from unet_gui.core.errors import LabelError
from unet_gui.core.geometry import Rect
from unet_gui.core.images import ImageRef
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.project import Dataset

SHAPE = (200, 300)
LONG = 20_000


class Seeker:
    """A session with what finds its doubtful places."""

    def __init__(self, qtbot: QtBot, session: Session, ear: Ear) -> None:
        self.qtbot, self.session, self.ear = qtbot, session, ear
        self.touch_up = TouchUp(session, lambda: None, self._predicted)
        self.shown: list[tuple[str, Rect]] = []
        self.touch_up.place_found.connect(lambda rect, _text: self.shown.append((session.key, rect)))

    def _predicted(self) -> list[ImageRef]:
        dataset = self.session.dataset
        assert dataset is not None
        return [ref for ref in dataset.images if dataset.prediction_path(ref).exists()]

    def next(self) -> tuple[str, Rect]:
        """Go to the next place, and return the image and where it is."""
        count = len(self.shown)
        self.touch_up.next_doubtful()
        self.qtbot.waitUntil(lambda: len(self.shown) > count, timeout=LONG)
        return self.shown[-1]

    def predicted(self, key: str) -> None:
        """Hear that an image has been predicted, and wait until the open one shows what is said of it."""
        self.session.on_predicted(key, fresh=True)
        self.qtbot.waitUntil(lambda: not self.session._chores.waiting)


def doubt_at(dataset: Dataset, index: int, x: int | None) -> None:
    """Let a model be unsure of one place of an image, or (None) of none."""
    one = np.full(SHAPE, 255, np.uint8)
    if x is not None:
        one[60:110, x : x + 50] = 128
    dataset.save_prediction(dataset.images[index], (one > 127).astype(np.uint8), np.stack([255 - one, one]))


@contextmanager
def seeker(qtbot: QtBot, folder: Path, *places: int | None) -> Iterator[Seeker]:
    write_folder(folder, images=3, shape=SHAPE)
    dataset = Dataset.open(folder)
    for index, x in enumerate(places):
        doubt_at(dataset, index, x)
    with open_session(qtbot, folder) as (session, ear):
        seeker = Seeker(qtbot, session, ear)
        qtbot.waitUntil(lambda: session.probabilities is not None, timeout=LONG)
        yield seeker
        seeker.touch_up.close()


def test_the_images_of_another_folder_have_not_been_searched(qtbot: QtBot, tmp_path: Path) -> None:
    other = write_folder(tmp_path / "y", images=3, shape=SHAPE)
    doubt_at(Dataset.open(other), 0, 200)
    with seeker(qtbot, tmp_path / "x", 50, 50) as seek:
        while seek.next()[0] == "0.png":
            pass
        seek.session.open_folder(other, first="1.png")
        qtbot.waitUntil(lambda: seek.session.key == "1.png" and seek.session.document is not None, timeout=LONG)
        assert seek.next()[0] == "0.png"
        assert not seek.ear.heard("No more doubtful places")


def test_an_image_that_is_predicted_again_is_searched_again(qtbot: QtBot, tmp_path: Path) -> None:
    with seeker(qtbot, tmp_path / "x", 50, 50) as seek:
        while seek.next()[0] == "0.png":
            pass
        assert seek.session.dataset is not None
        doubt_at(seek.session.dataset, 0, 200)
        seek.predicted("0.png")
        while seek.next()[0] == "1.png":
            pass
        assert not seek.ear.heard("No more doubtful places")
        assert seek.shown[-1][1].intersect(Rect(200, 60, 50, 50)).area > 0


def test_the_model_is_not_said_to_be_sure_of_what_was_taken_over(qtbot: QtBot, tmp_path: Path) -> None:
    with seeker(qtbot, tmp_path / "x", 50) as seek:
        seek.touch_up.take_over()
        seek.touch_up.next_doubtful()
        qtbot.waitUntil(lambda: seek.ear.heard("No more doubtful places"), timeout=LONG)
        assert seek.ear.heard("What was taken over counts as labelled.")
        assert not seek.ear.heard("sure of everything")


def test_who_goes_somewhere_else_is_not_led_on_later(qtbot: QtBot, tmp_path: Path) -> None:
    with seeker(qtbot, tmp_path / "x", None, 50) as seek:
        seek.touch_up.next_doubtful()
        qtbot.waitSignal(seek.session.image_opening, timeout=LONG).wait()
        assert seek.session.key == "1.png"
        go_to(qtbot, seek.session, 2)  # before the image is there
        go_to(qtbot, seek.session, 1)
        qtbot.waitUntil(lambda: seek.session.probabilities is not None, timeout=LONG)
        assert not seek.touch_up._searching
        assert not seek.shown


@pytest.mark.parametrize("meanwhile", ["another folder", "another prediction"])
def test_places_are_those_of_what_is_shown(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    begun, go = threading.Event(), threading.Event()

    def slow(prob: np.ndarray, label: np.ndarray) -> object:
        begun.set()
        assert go.wait(60)
        return doubtful_places(prob, label)

    monkeypatch.setattr(touch_up_module, "doubtful_places", slow)
    other = write_folder(tmp_path / "y", images=3, shape=SHAPE)
    doubt_at(Dataset.open(other), 0, 200)
    with seeker(qtbot, tmp_path / "x", 50) as seek:
        session = seek.session
        seek.touch_up.next_doubtful()
        assert begun.wait(60)
        if meanwhile == "another folder":
            session.open_folder(other)
            qtbot.waitUntil(lambda: session.dataset is not None and session.dataset.root == other, timeout=LONG)
            qtbot.waitUntil(lambda: session.probabilities is not None, timeout=LONG)
        else:
            assert session.dataset is not None
            doubt_at(session.dataset, 0, 200)
            seek.predicted("0.png")
        go.set()
        qtbot.waitUntil(lambda: not seek.touch_up._chores.waiting and not seek.touch_up._searching, timeout=LONG)
        assert bool(seek.shown) == (meanwhile == "another prediction"), "where somebody has asked for it"
        assert seek.shown or seek.next()
        assert all(rect.intersect(Rect(200, 60, 50, 50)).area > 0 for _, rect in seek.shown)


@contextmanager
def slow_reading(seeker: Seeker, monkeypatch: pytest.MonkeyPatch, index: int, failing: bool = False) -> Iterator[None]:
    """Open an image whose prediction is read only afterwards."""
    on, real = threading.Event(), Dataset.load_prediction

    def read(dataset: Dataset, ref: ImageRef) -> object:
        assert on.wait(30)
        if failing:
            raise LabelError("is damaged.", dataset.prediction_path(ref))
        return real(dataset, ref)

    monkeypatch.setattr(Dataset, "load_prediction", read)
    go_to(seeker.qtbot, seeker.session, index)
    assert seeker.session.prediction is None
    try:
        yield
    finally:
        on.set()


def test_an_image_whose_prediction_is_still_being_read_is_not_passed_by(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with seeker(qtbot, tmp_path / "x", 10, 100, 200) as seek:
        with slow_reading(seek, monkeypatch, 1):
            seek.touch_up.next_doubtful()
        qtbot.waitUntil(lambda: bool(seek.shown), timeout=LONG)
        assert seek.shown[0][0] == "1.png"


@pytest.mark.parametrize("then", ["read", "damaged", "another image"])
def test_done_waits_for_the_prediction(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    with seeker(qtbot, tmp_path / "x", 10, 100, 200) as seek:
        session, done = seek.session, []
        seek.touch_up.finished.connect(done.append)
        with slow_reading(seek, monkeypatch, 1, then == "damaged"):
            seek.touch_up.done()
            assert not done
            assert not seek.ear.heard("no prediction"), "nobody knows yet"
            if then == "another image" and session.dataset is not None:
                for index in (2, 1):
                    session.open_image(session.dataset.images[index])
        qtbot.waitUntil(lambda: session.document is not None and not session.reads_prediction, timeout=LONG)
        assert done == (["1.png"] if then == "read" else [])
        assert seek.ear.heard("no prediction to take over") == (then == "damaged")
        saved(qtbot, session)


@pytest.mark.parametrize("cancelled", [False, True])
def test_what_waits_for_a_large_prediction_says_so_and_can_be_cancelled(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cancelled: bool
) -> None:
    with seeker(qtbot, tmp_path / "x", 10, 100) as seek:
        session, settled = seek.session, []
        session.settled.connect(settled.append)
        with slow_reading(seek, monkeypatch, 1):
            seek.touch_up.take_over()
            qtbot.waitUntil(lambda: seek.ear.heard("is still being read"), timeout=LONG)
            settled.clear()
            if cancelled:
                seek.ear.messages[-1].offers[0].act()
                assert settled == ["reading"]
        qtbot.waitUntil(lambda: not session.reads_prediction, timeout=LONG)
        assert "reading" in settled
        assert session.labels is not None
        assert bool((session.labels.ids == UNLABELLED).all()) == cancelled
        saved(qtbot, session)
