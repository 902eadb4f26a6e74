"""Files whose names are no text: a system may allow any bytes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from tests.app.kit import go_to, on_disk, open_session, paint, saved, write_folder
from unet_gui.core.exchange import EXPORTERS, IMPORTERS, ExportOptions, ImportOptions, export, import_labels
from unet_gui.core.geometry import Rect
from unet_gui.core.project import Dataset

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems refuse such names")
ODD = os.fsdecode(b"odd \xff.png")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = write_folder(tmp_path / "x", images=2, labels=2)
    for kind in (folder, folder / "labels"):
        os.rename(kind / "1.png", kind / ODD)
    return folder


def test_they_are_painted_saved_and_keep_their_undo(qtbot: QtBot, folder: Path) -> None:
    with open_session(qtbot, folder) as (session, ear):
        go_to(qtbot, session, 1)
        assert session.key == ODD
        assert session.labels is not None
        before = session.labels.ids.copy()
        paint(session, Rect(0, 0, 5, 5), 1)
        after = session.labels.ids.copy()
        saved(qtbot, session)
        np.testing.assert_array_equal(on_disk(session, 1), after)
        assert not ear.messages
        session.keep_setting("last image", ODD)
        assert not ear.messages
    with open_session(qtbot, folder) as (session, _):
        go_to(qtbot, session, 1)
        session.undo()
        assert session.labels is not None
        np.testing.assert_array_equal(session.labels.ids, before)
        assert session.dataset is not None
        assert session.dataset.settings["last image"] == ODD


@pytest.mark.parametrize("kind", EXPORTERS)
def test_they_are_exported_and_imported(folder: Path, tmp_path: Path, kind: str) -> None:
    dataset = Dataset.open(folder)
    written = export(dataset, kind, tmp_path / "out", ExportOptions(background="0"))
    assert (written.done, written.failed) == (2, [])
    if kind not in IMPORTERS:
        return
    (tmp_path / "back").mkdir()
    for ref in dataset.images:
        (tmp_path / "back" / ref.rel).write_bytes(dataset.image_path(ref).read_bytes())
    back = Dataset.open(tmp_path / "back")
    read = import_labels(back, tmp_path / "out", kind, ImportOptions(background="0"))
    assert (read.done, read.failed) == (2, [])
    label = back.load_label(back.images[1])
    assert label is not None
