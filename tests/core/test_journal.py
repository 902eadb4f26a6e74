"""The journal: what is in it survives a cut anywhere, and goes back only onto the label it was made on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unet_gui.core.errors import LabelError
from unet_gui.core.geometry import Rect
from unet_gui.core.history import Delta
from unet_gui.core.journal import CURRENT, Journal, checksum, read_journal, set_aside
from unet_gui.core.labels import LabelImage


def paint(labels: LabelImage, x: int, y: int, w: int, h: int, class_id: int) -> Delta:
    """One gesture."""
    with labels.edit("brush") as edit:
        edit.paint(Rect(x, y, w, h), None, class_id)
    assert edit.delta is not None
    return edit.delta


class Writer:
    """A journal and the errors it reported."""

    def __init__(self, path: Path) -> None:
        self.errors: list[OSError | None] = []
        self.journal = Journal(path, self.errors.append)


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    writer = Writer(tmp_path / "journal" / CURRENT)
    yield writer
    writer.journal.close()


@pytest.mark.parametrize("key", ["ü/细胞.png", "no text \udcff.png"])
def test_changes_come_back(writer: Writer, key: str) -> None:
    labels = LabelImage.unlabelled((300, 400))
    before = labels.ids.copy()
    writer.journal.base(key, labels.shape, checksum(labels.ids))
    for n in range(3):
        writer.journal.edit(key, n, paint(labels, 40 * n, 20, 60, 250, n))
    writer.journal.flush()
    unsaved = read_journal(writer.journal.path)
    assert list(unsaved) == [key]
    np.testing.assert_array_equal(unsaved[key].apply(before), labels.ids)


def test_an_undo_is_a_change_too(writer: Writer) -> None:
    labels = LabelImage.unlabelled((64, 64))
    before = labels.ids.copy()
    writer.journal.base("a", labels.shape, checksum(labels.ids))
    first, second = paint(labels, 0, 0, 9, 9, 1), paint(labels, 5, 5, 9, 9, 2)
    labels.apply(second)
    for n, delta in enumerate([first, second, second]):
        writer.journal.edit("a", n, delta)
    writer.journal.flush()
    np.testing.assert_array_equal(read_journal(writer.journal.path)["a"].apply(before), labels.ids)


def test_saved_changes_are_struck_out_and_later_ones_stay(writer: Writer) -> None:
    labels = LabelImage.unlabelled((64, 64))
    writer.journal.base("a", labels.shape, checksum(labels.ids))
    writer.journal.edit("a", 0, paint(labels, 0, 0, 9, 9, 1))
    on_disk = labels.ids.copy()
    writer.journal.saving("a", 0, checksum(on_disk))
    writer.journal.edit("a", 1, paint(labels, 20, 20, 9, 9, 1))  # painted while the label was being written
    writer.journal.saved("a", 0)
    writer.journal.flush()
    np.testing.assert_array_equal(read_journal(writer.journal.path)["a"].apply(on_disk), labels.ids)


def test_everything_saved_empties_the_file_and_the_next_change_fits_the_new_label(writer: Writer) -> None:
    labels = LabelImage.unlabelled((64, 64))
    writer.journal.base("a", labels.shape, checksum(labels.ids))
    writer.journal.edit("a", 0, paint(labels, 0, 0, 9, 9, 1))
    writer.journal.saving("a", 0, checksum(labels.ids))
    writer.journal.saved("a", 0)
    writer.journal.flush()
    assert writer.journal.path.stat().st_size == 0
    on_disk = labels.ids.copy()
    writer.journal.edit("a", 1, paint(labels, 30, 0, 9, 9, 1))
    writer.journal.flush()
    np.testing.assert_array_equal(read_journal(writer.journal.path)["a"].apply(on_disk), labels.ids)
    writer.journal.saving("a", 1, checksum(labels.ids))
    writer.journal.saved("a", 1)
    writer.journal.close()
    assert not writer.journal.path.exists()


@pytest.mark.parametrize("renamed", [False, True], ids=["before the rename", "after the rename"])
def test_killed_while_saving(writer: Writer, renamed: bool) -> None:
    labels = LabelImage.unlabelled((64, 64))
    old = labels.ids.copy()
    writer.journal.base("a", labels.shape, checksum(labels.ids))
    writer.journal.edit("a", 0, paint(labels, 0, 0, 9, 9, 1))
    new = labels.ids.copy()
    writer.journal.saving("a", 0, checksum(new))
    writer.journal.edit("a", 1, paint(labels, 20, 20, 9, 9, 3))
    writer.journal.flush()
    np.testing.assert_array_equal(read_journal(writer.journal.path)["a"].apply(new if renamed else old), labels.ids)


def test_giving_back_twice_changes_nothing(writer: Writer) -> None:
    labels = LabelImage.unlabelled((64, 64))
    before = labels.ids.copy()
    writer.journal.base("a", labels.shape, checksum(labels.ids))
    for n in range(3):
        writer.journal.edit("a", n, paint(labels, 9 * n, 0, 15, 9, n))
    writer.journal.flush()
    unsaved = read_journal(writer.journal.path)["a"]
    once = unsaved.apply(before)
    np.testing.assert_array_equal(unsaved.apply(once), once)


def test_changes_never_go_onto_another_label(writer: Writer) -> None:
    labels = LabelImage.unlabelled((64, 64))
    writer.journal.base("a", labels.shape, checksum(labels.ids))
    writer.journal.edit("a", 0, paint(labels, 0, 0, 9, 9, 1))
    writer.journal.flush()
    unsaved = read_journal(writer.journal.path)["a"]
    for other in (np.zeros((64, 64), np.uint8), np.full((64, 65), 255, np.uint8)):
        with pytest.raises(LabelError, match="another program"):
            unsaved.apply(other)


@settings(max_examples=60, deadline=None)
@given(cut=st.floats(0, 1), junk=st.binary(max_size=40))
def test_a_file_cut_anywhere_is_read_up_to_the_cut(
    tmp_path_factory: pytest.TempPathFactory, cut: float, junk: bytes
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    writer = Writer(folder / CURRENT)
    labels = LabelImage.unlabelled((80, 80))
    states = [labels.ids.copy()]
    writer.journal.base("a", labels.shape, checksum(labels.ids))
    for n in range(6):
        writer.journal.edit("a", n, paint(labels, 7 * n, 3 * n, 20, 20, n % 3))
        states.append(labels.ids.copy())
    writer.journal.flush()
    whole = writer.journal.path.read_bytes()
    writer.journal.close()
    (folder / "cut.log").write_bytes(whole[: int(cut * len(whole))] + junk)
    unsaved = read_journal(folder / "cut.log")
    if unsaved:
        restored = unsaved["a"].apply(states[0])
        assert any(np.array_equal(restored, state) for state in states[1:])
    else:
        assert cut < 0.5
    shutil.rmtree(folder)


def test_a_change_of_another_size_than_its_label_is_no_change(writer: Writer) -> None:
    small, large = LabelImage.unlabelled((64, 64)), LabelImage.unlabelled((65, 64))
    before = small.ids.copy()
    writer.journal.base("a", small.shape, checksum(before))
    writer.journal.edit("a", 0, paint(small, 0, 0, 9, 9, 1))
    writer.journal.edit("a", 1, paint(large, 0, 0, 9, 9, 1))
    writer.journal.flush()
    np.testing.assert_array_equal(read_journal(writer.journal.path)["a"].apply(before), small.ids)


def test_set_aside_keeps_what_is_unsaved(tmp_path: Path) -> None:
    labels = LabelImage.unlabelled((64, 64))
    for n in range(2):
        writer = Writer(tmp_path / CURRENT)
        writer.journal.base("a", labels.shape, checksum(labels.ids))
        writer.journal.edit("a", n, paint(labels, 9 * n, 0, 9, 9, 1))
        writer.journal.close()
        assert [p.name for p in set_aside(tmp_path)] == [f"unsaved-{k + 1:04d}.log" for k in range(n + 1)]
        assert not (tmp_path / CURRENT).exists()
    (tmp_path / CURRENT).write_bytes(b"")
    assert len(set_aside(tmp_path)) == 2
    assert set_aside(tmp_path / "missing") == []


@pytest.mark.skipif(sys.platform == "win32" or not hasattr(os, "geteuid"), reason="needs POSIX files")
def test_a_disk_that_fills_is_said_once_and_written_later(tmp_path: Path) -> None:
    blocked = tmp_path / "journal"
    blocked.write_bytes(b"a file where the folder should be")
    writer = Writer(blocked / CURRENT)
    labels = LabelImage.unlabelled((64, 64))
    before = labels.ids.copy()
    writer.journal.base("a", labels.shape, checksum(labels.ids))
    for n in range(3):
        writer.journal.edit("a", n, paint(labels, 9 * n, 0, 9, 9, 1))
        writer.journal.flush()
    assert len(writer.errors) == 1
    assert isinstance(writer.errors[0], OSError)
    blocked.unlink()
    writer.journal.edit("a", 3, paint(labels, 40, 0, 9, 9, 1))
    writer.journal.flush()
    assert writer.errors[1:] == [None]
    np.testing.assert_array_equal(read_journal(writer.journal.path)["a"].apply(before), labels.ids)
    writer.journal.close()


_KILLED = """
import sys, numpy as np
from pathlib import Path
from unet_gui.core.geometry import Rect
from unet_gui.core.journal import Journal, checksum
from unet_gui.core.labels import LabelImage
journal = Journal(Path(sys.argv[1]), print)
labels = LabelImage.unlabelled((256, 256))
journal.base("a", labels.shape, checksum(labels.ids))
for n in range(100000):
    with labels.edit("brush") as edit:
        edit.paint(Rect(n % 200, n * 7 % 200, 30, 30), None, n % 5)
    if edit.delta is not None:
        journal.edit("a", n, edit.delta)
        journal.flush()
        print(n, checksum(labels.ids), flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is POSIX")
def test_killed_in_the_middle_everything_flushed_is_there(tmp_path: Path) -> None:
    path = tmp_path / CURRENT
    process = subprocess.Popen([sys.executable, "-c", _KILLED, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(25)]
    process.send_signal(signal.SIGKILL)
    said += process.stdout.readlines()
    process.wait()
    process.stdout.close()
    known = {int(line.split()[1]) for line in said if line.endswith("\n")}
    last = max(int(line.split()[0]) for line in said if line.endswith("\n"))
    unsaved = read_journal(path)["a"]
    assert unsaved.edits[-1][0] >= last, "a gesture that was on disk is missing"
    unsaved.edits = [(n, delta) for n, delta in unsaved.edits if n <= last]
    assert checksum(unsaved.apply(np.full((256, 256), 255, np.uint8))) in known
