"""Pages of a stack that wait are written together, and each hears how it went."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from unet_gui.core.errors import UserError
from unet_gui.core.label_stack import StackWriter
from unet_gui.core.store import INDEX, read_label
from unet_gui.engine.outputs import StacksBehind, write_item
from unet_gui.engine.prediction import Prediction
from unet_gui.engine.recipe import SegmentItem

PAGES = 7


def answer(page: int) -> Prediction:
    return Prediction(np.full((20, 30), page, np.uint8))


def test_what_waits_is_written_at_once(tmp_path: Path) -> None:
    may_begin, begun = threading.Event(), threading.Event()
    files: list[str] = []

    def begin(out: Path) -> None:
        files.append(out.name)
        begun.set()
        assert may_begin.wait(30)
        if out.name == "open.tif":
            raise PermissionError("another program has it open")

    def write(item: SegmentItem, prediction: Prediction, stack: StackWriter) -> None:
        if (item.out.name, item.page) == ("a.tif", 3):
            raise UserError("is not to be written.")
        write_item(item, prediction, INDEX, (0, 1), "a model", stack)

    (tmp_path / "closed.tif").mkdir()
    behind = StacksBehind(write, begin)
    try:
        told = {}
        others = [("closed.tif", 0), ("open.tif", 2), ("b.tif", 1)]
        for name, page in [*(("a.tif", n) for n in range(PAGES)), *others]:
            item = SegmentItem(tmp_path / "image.tif", page, tmp_path / name, pages=PAGES)
            told[name, page] = behind.submit(item, answer(page))
            if len(told) == 1:
                assert begun.wait(30), "the first page does not wait for others"
        may_begin.set()
        for key, done in told.items():
            if key in (("a.tif", 3), ("closed.tif", 0), ("open.tif", 2)):
                with pytest.raises((UserError, PermissionError)):
                    done.result(30)
            else:
                done.result(30)
    finally:
        may_begin.set()
        behind.close()
    assert files == ["a.tif", "a.tif", "closed.tif", "open.tif", "b.tif"], "each writing is a copy of the whole file"
    for page in range(PAGES):
        written = read_label(tmp_path / "a.tif", INDEX, page=page)
        assert (written == (255 if page == 3 else page)).all()
    assert (read_label(tmp_path / "b.tif", INDEX, page=1) == 1).all()
