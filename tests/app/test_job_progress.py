"""What the status bar says of a job."""

from __future__ import annotations

from pathlib import Path

from unet_gui.app.job_progress import LARGE, ProgressBook
from unet_gui.app.jobs import Job
from unet_gui.core.images import ImageRef
from unet_gui.engine.events import ImageDone, TileDone

REFS = tuple(ImageRef(name) for name in ("a.png", "a/huge.png", "b.png"))


def test_a_large_image_tells_how_much_of_it_is_done() -> None:
    book, job = ProgressBook(lambda: 10.0), Job("segment", "Segmenting", lambda: iter(()))
    book.begin(job)
    book.tile(job, TileDone(0, 1, 1), REFS)
    book.image(job, ImageDone(0, Path("a.png"), 0, Path("out.png"), 2.0, False, 1, 3))
    assert book.of(job).text == "1 of 3 images"
    assert book.of(job).left is not None
    book.tile(job, TileDone(1, 30, 10 * LARGE), REFS)
    shown = book.of(job)
    assert shown.text == "1 of 3 images · a/huge.png 19\N{NO-BREAK SPACE}%"
    assert shown.left is None, "the time left of images before it would stand still"
    book.tile(job, TileDone(1, 80, 10 * LARGE), REFS)
    assert "a/huge.png 50" in book.of(job).text
    assert book.of(job).fraction == 0.5
    book.image(job, ImageDone(1, Path("a/huge.png"), 0, Path("out.png"), 2.0, False, 2, 3))
    assert book.of(job).text == "2 of 3 images"


def test_a_large_image_alone_tells_it_too() -> None:
    book, job = ProgressBook(), Job("predict", "Predicting a.png", lambda: iter(()))
    book.begin(job)
    book.tile(job, TileDone(0, 8, LARGE), REFS[:1])
    assert book.of(job).text == "50\N{NO-BREAK SPACE}%", "the title names it"
