"""Changes of classes in the labels of stacks, as a job does them."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.app.kit import picture, truth
from unet_gui.app.model_jobs import RelabelJob
from unet_gui.core import label_stack
from unet_gui.core.project import Dataset
from unet_gui.engine.events import ImageFailed


def test_each_page_of_a_stack_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = np.stack([picture(page) for page in range(3)])
    tifffile.imwrite(tmp_path / "s.tif", pictures, photometric="minisblack")
    dataset = Dataset.open(tmp_path)
    for page, ref in enumerate(dataset.expand(dataset.images[0])):
        dataset.save_label(ref, truth(page))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(label_stack, "_write_all", full)
    events = list(RelabelJob(dataset, tuple(dataset.images), 1, 0, tmp_path / "keep", undoing=False)())
    failed = [event.page for event in events if isinstance(event, ImageFailed)]
    assert failed == [0, 1, 2]


def test_classes_of_a_stack_are_changed_in_one_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = np.stack([picture(page) for page in range(4)])
    tifffile.imwrite(tmp_path / "s.tif", pictures, photometric="minisblack")
    dataset = Dataset.open(tmp_path)
    pages = dataset.expand(dataset.images[0])
    for page, ref in enumerate(pages):
        dataset.save_label(ref, truth(page))
    times: list[int] = []
    plain = label_stack._write_all
    monkeypatch.setattr(label_stack, "_write_all", lambda *all_of_it: (times.append(1), plain(*all_of_it)))
    monkeypatch.setattr(label_stack, "_patch", lambda *_: pytest.fail("page by page"))
    for refs in (dataset.images, pages):  # before the window knows the pages, and after
        undoing = refs is pages
        job = RelabelJob(dataset, tuple(refs), 1, 0, tmp_path / "keep", undoing)
        events = list(job())
        assert [(event.done, event.total) for event in events] == [(n + 1, 4) for n in range(4)]
        for page, ref in enumerate(pages):
            np.testing.assert_array_equal(dataset.load_label(ref), truth(page) * undoing)
    assert len(times) == 2
