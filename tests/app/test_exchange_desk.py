"""Export and import from the window: a round trip, and that the folder stays ours."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PySide6.QtWidgets import QDialogButtonBox
from pytestqt.qtbot import QtBot

from tests.app.kit import on_disk, open_session, truth, write_folder
from unet_gui.app.dialogs.exchange import (
    EXPORT_NAMES,
    EXPORT_OPTIONS,
    FORMATS,
    IMPORT_NAMES,
    IMPORT_OPTIONS,
    ExportDialog,
    ImportDialog,
)
from unet_gui.app.exchange_desk import ExchangeDesk
from unet_gui.app.jobs import JobRunner
from unet_gui.app.main_window import MainWindow
from unet_gui.core.exchange import EXPORTERS, IMPORTERS, ExportOptions, ImportOptions

Open = Callable[[Path | None], MainWindow]


@pytest.fixture
def runner(qtbot: QtBot) -> Iterator[JobRunner]:
    runner = JobRunner()
    yield runner
    runner.shutdown()


def test_the_list_names_every_format() -> None:
    assert set(FORMATS) == set(EXPORTERS)
    assert set(IMPORTERS) <= set(FORMATS)


def test_a_round_trip_through_labelme(qtbot: QtBot, tmp_path: Path, runner: JobRunner) -> None:
    one, other = write_folder(tmp_path / "one", labels=3), write_folder(tmp_path / "other")
    with open_session(qtbot, one) as (session, _):
        folder = session.folder
        assert folder is not None
        desk = ExchangeDesk(session, runner, folder.images)
        said: list[str] = []
        desk.said.connect(lambda message: said.append(message.text))
        desk.export("labelme", tmp_path / "out", {"only_labels": True})
        qtbot.waitUntil(lambda: bool(said))
        assert "3 images exported" in said[0]
    files = sorted((tmp_path / "out").rglob("*.json"))
    assert [path.stem for path in files] == ["0", "1", "2"]
    assert json.loads(files[0].read_text())["shapes"]
    with open_session(qtbot, other) as (session, _):
        folder = session.folder
        assert folder is not None
        desk = ExchangeDesk(session, runner, folder.images)
        said = []
        desk.said.connect(lambda message: said.append(message.text))
        runner.failed.connect(lambda _job, error: said.append(error.traceback))
        desk.import_labels("labelme", tmp_path / "out", {})
        qtbot.waitUntil(lambda: bool(said))
        assert "3 images imported" in said[0]
        ids = {info.name: info.id for info in session.classes}
        assert {"class 0", "class 1"} <= set(ids), "classes are matched by name, new ones added"
        disc = ids["class 1"]
        qtbot.waitUntil(lambda: session.labels is not None and bool((session.labels.ids == disc).any()))
        assert session.labels is not None
        np.testing.assert_array_equal(session.labels.ids == disc, truth(0) == 1)
        qtbot.waitUntil(lambda: folder.book.status("2.png").value == "done")
        assert folder.dataset.acquire_lock() == "", "the folder is still ours"
        paint_over = session.begin_edit("brush")
        assert paint_over is not None
        session.end_edit(paint_over)


def test_an_import_that_finds_nothing_says_so(qtbot: QtBot, tmp_path: Path, runner: JobRunner) -> None:
    (tmp_path / "empty").mkdir()
    errors: list[str] = []
    runner.failed.connect(lambda _job, error: errors.append(error.text))
    with open_session(qtbot, write_folder(tmp_path / "x")) as (session, _):
        folder = session.folder
        assert folder is not None
        desk = ExchangeDesk(session, runner, folder.images)
        desk.import_labels("index", tmp_path / "empty", {})
        qtbot.waitUntil(lambda: bool(errors))
        assert np.all(np.array(errors) != "")


def test_dialogs_ask_for_a_place(qtbot: QtBot, tmp_path: Path) -> None:
    export = ExportDialog(["masks", "coco"])
    qtbot.addWidget(export)
    ok = export.buttons.button(QDialogButtonBox.StandardButton.Ok)
    assert not ok.isEnabled()
    assert ok.text() == "Export"
    export.path.setText(str(tmp_path / "out"))
    export.only_labels.setChecked(True)
    with qtbot.waitSignal(export.chosen) as said:
        ok.click()
    assert said.args == ["masks", tmp_path / "out", {"only_labels": True, "overwrite": False}]
    take = ImportDialog(["coco"])
    qtbot.addWidget(take)
    take.path.setText("x.json")
    take.overwrite.setChecked(True)
    with qtbot.waitSignal(take.chosen) as said:
        take.buttons.button(QDialogButtonBox.StandardButton.Ok).click()
    assert said.args == ["coco", Path("x.json"), {"overwrite": True, "background": "auto"}]


def test_dialogs_know_every_option_of_the_command_line() -> None:
    """Nothing that the command line can do is missing in the window, and nothing is offered that core does not know."""
    exporting = {field.name for field in fields(ExportOptions)}
    importing = {field.name for field in fields(ImportOptions)}
    assert {*EXPORT_OPTIONS, "overwrite", "only_labels"} == exporting - {"called"} == set(EXPORT_NAMES)
    assert {*IMPORT_OPTIONS, "overwrite"} == importing - {"called"} == set(IMPORT_NAMES)
    assert {name for names in EXPORT_OPTIONS.values() for name in names} <= set(EXPORTERS)
    assert {name for names in IMPORT_OPTIONS.values() for name in names} <= set(IMPORTERS)


def said_by(window: MainWindow) -> str:
    return "\n".join(message.text for message in window.stage.messages.messages)


def test_messages_name_options_as_the_dialog_does(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    window = open_window(write_folder(tmp_path / "x", images=2, labels=2))
    for _ in range(2):
        window.exchange.export("index", tmp_path / "out", {})
    qtbot.waitUntil(lambda: "“Replace files that are there”" in said_by(window), timeout=20_000)
    window.exchange.import_labels("instances", tmp_path / "out", {"overwrite": True})
    text = "another class can be chosen with “Pixels in no object”"
    qtbot.waitUntil(lambda: text in said_by(window), timeout=20_000)
    window.exchange.import_labels("index", tmp_path / "out", {})
    text = "Replace it with “Replace labels that are there”"
    qtbot.waitUntil(lambda: text in said_by(window), timeout=20_000)
    assert "--" not in said_by(window)


@pytest.mark.parametrize("kind", EXPORTERS)
def test_every_format_goes_out_and_in_from_the_dialogs(
    qtbot: QtBot, open_window: Open, tmp_path: Path, kind: str
) -> None:
    """The dialogs of the real window, what they emit, the job, the files; and back into a second folder."""
    one = write_folder(tmp_path / "one", images=2, labels=2)
    out = tmp_path / "out"
    window = open_window(one)
    window.actions_by_id["export"].trigger()
    dialog = window.dialogs._open["export"]
    assert isinstance(dialog, ExportDialog)
    dialog.format.setCurrentIndex(dialog.format.findData(kind))
    shown = {name for name, widget in dialog._options.items() if dialog.fields.isRowVisible(widget)}
    assert shown == {name for name, kinds in EXPORT_OPTIONS.items() if kind in kinds}
    dialog.path.setText(str(out))
    dialog.buttons.button(QDialogButtonBox.StandardButton.Ok).click()
    qtbot.waitUntil(lambda: any("exported" in m.text for m in window.stage.messages.messages), timeout=20_000)
    assert any("2 images exported" in m.text for m in window.stage.messages.messages)
    if kind not in IMPORTERS:
        return
    other = open_window(write_folder(tmp_path / "other", images=2))
    other.actions_by_id["import"].trigger()
    take = other.dialogs._open["import"]
    assert isinstance(take, ImportDialog)
    take.format.setCurrentIndex(take.format.findData(kind))
    shown = {name for name, widget in take._options.items() if take.fields.isRowVisible(widget)}
    assert shown == {name for name, kinds in IMPORT_OPTIONS.items() if kind in kinds}
    files = sorted(path for path in out.rglob("*.json") if kind == "coco")
    take.path.setText(str(files[0] if files else out))
    take.buttons.button(QDialogButtonBox.StandardButton.Ok).click()
    qtbot.waitUntil(lambda: any("imported" in m.text for m in other.stage.messages.messages), timeout=20_000)
    qtbot.waitUntil(lambda: not other.runner.busy and other.session.document is not None, timeout=20_000)
    assert any("2 images imported" in m.text for m in other.stage.messages.messages)
    label = on_disk(other.session, 0)
    assert label is not None
    if kind != "instances":  # objects that touch get a border of their own
        disc = label[truth(0) == 1]
        assert (disc == disc[0]).all()
        assert not (label[truth(0) == 0] == disc[0]).any()


def test_an_image_that_fails_is_named_once(qtbot: QtBot, open_window: Open, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x", images=3, labels=1)
    tifffile.imwrite(folder / "s.tif", np.zeros((2, 60, 80), np.uint8), photometric="minisblack")
    (folder / "labels" / "1.png").write_bytes(b"no picture")
    window = open_window(folder)
    window.exchange.export("coco", tmp_path / "out", {})
    qtbot.waitUntil(lambda: "could not be" in said_by(window), timeout=20_000)
    failed = next(m for m in window.stage.messages.messages if "could not be" in m.text)
    assert failed.text.startswith("1 image could not be exported; the others are. “1.png” is ")
    assert "3 images have neither a label nor a prediction: left out." in said_by(window)
    source = tmp_path / "in"
    source.mkdir()
    for name in ("0.png", "2.png"):
        (source / name).write_bytes(b"no picture")
    (source / "2.png").rename(source / "2_mask.png")
    window.exchange.import_labels("index", source, {"suffix": "_mask"})
    qtbot.waitUntil(lambda: "could not be imported" in said_by(window), timeout=20_000)
    failed = next(m for m in window.stage.messages.messages if "could not be" in m.text)
    assert "The first: “0.png” has a label already." in failed.text
    assert failed.details.splitlines()[1].startswith("“2.png”: “2_mask.png” is ")
