"""Knowing that another window has the folder open."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from unet_gui.core import png
from unet_gui.core.errors import UserError
from unet_gui.core.exchange import ImportOptions, import_labels
from unet_gui.core.lock import FolderLock
from unet_gui.core.project import Dataset

ROOT = Path(__file__).resolve().parents[2]
HOLD = (
    "import sys; from pathlib import Path; from unet_gui.core.lock import FolderLock\n"
    "print(repr(FolderLock(Path(sys.argv[1])).acquire()), flush=True); sys.stdin.read()"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".unet-gui" / "lock"


def hold(path: Path) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, path], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline().strip() == "''"
    return child


def test_one_has_it_the_other_is_told_who(path: Path) -> None:
    first, second = FolderLock(path), FolderLock(path)
    assert first.acquire() == ""
    assert first.acquire() == ""
    assert "this program" in second.acquire()
    second.release()  # which it never had
    assert "this program" in second.acquire()
    first.release()
    assert second.acquire() == ""
    second.release()
    assert not path.exists()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems have no such processes, or hide them")
def test_a_process_that_was_killed_and_not_asked_after_is_gone(path: Path) -> None:
    child = hold(path)
    os.kill(child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and stays in the list of processes
    lock = FolderLock(path)
    assert lock.acquire() == ""
    lock.release()
    child.communicate()


def test_it_can_be_taken_from_one_that_cannot_be_asked(path: Path) -> None:
    path.parent.mkdir()
    path.write_text(json.dumps({"pid": 1, "host": "a computer far away", "token": "x", "since": "2026-01-01 10:00"}))
    lost, lock = FolderLock(path), FolderLock(path)
    assert "a computer far away" in lock.acquire()
    assert lock.acquire(anyway=True) == ""
    assert "this program" in lost.acquire()
    lock.release()
    assert lost.acquire() == ""
    lost.release()


def test_another_process_has_it_until_it_ends(path: Path) -> None:
    child = hold(path)
    try:
        assert str(child.pid) in FolderLock(path).acquire()
    finally:
        child.communicate("")
    lock = FolderLock(path)
    assert lock.acquire() == "", "the process is gone"
    lock.release()


def test_a_killed_process_leaves_nothing_that_stands_in_the_way(path: Path) -> None:
    child = hold(path)
    child.kill()
    child.communicate()
    assert path.exists()
    lock = FolderLock(path)
    assert lock.acquire() == ""
    assert [entry.name for entry in path.parent.iterdir()] == ["lock"]
    lock.release()


def test_a_number_given_out_again_is_another_process(path: Path) -> None:
    lock = FolderLock(path)
    lock.acquire()
    owner = json.loads(path.read_text("utf-8"))
    if not owner["started"]:
        pytest.skip("this system does not easily tell when a process started")
    path.write_text(json.dumps({**owner, "started": "1"}), "utf-8")
    assert FolderLock(path).acquire() == ""


def test_another_computer_is_believed(path: Path) -> None:
    lock = FolderLock(path)
    lock.acquire()
    path.write_text(json.dumps({"pid": 1, "host": "laborrechner-ü", "since": "2020-01-01 10:00"}), "utf-8")
    assert "laborrechner-ü" in FolderLock(path).acquire()
    lock.release()
    assert path.exists(), "it is not ours any more"


@pytest.mark.parametrize("date", [1e9, 4e9], ids=["long ago", "of a clock that was wrong"])
def test_a_process_that_died_while_taking_over_stands_in_nobodys_way(path: Path, date: float) -> None:
    child = hold(path)
    child.kill()
    child.communicate()
    guard = path.with_name("lock.guard")
    guard.touch()
    os.utime(guard, (date, date))
    lock = FolderLock(path)
    assert lock.acquire() == ""
    assert not guard.exists()
    lock.release()


@pytest.mark.parametrize("date", [1e9, 4e9], ids=["long ago", "of a clock that was wrong"])
@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000])
def test_a_lock_without_sense_counts_only_while_it_may_be_just_being_written(
    path: Path, text: str, date: float
) -> None:
    path.parent.mkdir()
    path.write_text(text, "utf-8")
    assert FolderLock(path).acquire() == "another program"
    os.utime(path, (date, date))
    lock = FolderLock(path)
    assert lock.acquire() == ""
    lock.release()


def test_a_number_that_no_process_has(path: Path) -> None:
    path.parent.mkdir()
    path.write_text(json.dumps({"host": socket.gethostname(), "pid": 10**30, "token": "x"}), "utf-8")
    lock = FolderLock(path)
    assert lock.acquire().startswith("process 1000")
    assert lock.acquire(anyway=True) == ""
    lock.release()


def test_a_full_disk_leaves_no_lock_behind(path: Path) -> None:
    resource = pytest.importorskip("resource")
    usual, heard = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, usual[1]))
    try:
        with pytest.raises(UserError, match="could not be saved"):
            FolderLock(path).acquire()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
        signal.signal(signal.SIGXFSZ, heard)
    assert not path.exists()


def test_a_place_that_cannot_be_written(path: Path) -> None:
    path.parent.write_text("a file in the way")
    with pytest.raises(UserError):
        FolderLock(path).acquire()


def test_of_many_at_once_exactly_one_gets_a_stale_lock(path: Path) -> None:
    child = hold(path)
    child.kill()
    child.communicate()
    code = (
        "import sys; from pathlib import Path; from unet_gui.core.lock import FolderLock\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "print(repr(FolderLock(Path(sys.argv[1])).acquire()), flush=True); sys.stdin.readline()"
    )
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code, path], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(6)
    ]
    for one in children:
        assert one.stdout is not None
        assert one.stdout.readline().strip() == "ready"
    for one in children:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    said = [one.stdout.readline().strip() for one in children if one.stdout is not None]
    for one in children:
        one.communicate("end\n")
    assert said.count("''") == 1, said
    assert os.path.exists(path)


def test_what_was_taken_over_stays_lost(path: Path) -> None:
    lost, lock = FolderLock(path), FolderLock(path)
    assert lost.acquire() == ""
    assert lost.held
    assert lock.acquire(anyway=True) == ""
    assert "this program" in lost.acquire(), "it is not ours for having been ours"
    lost.release()  # as at the end of an import
    assert lost.is_lost()
    assert not lost.held
    lock.release()
    assert lost.acquire() == "another program", "labels may have changed meanwhile"
    assert lost.is_lost()
    assert lost.acquire(anyway=True) == ""
    assert not lost.is_lost()
    lost.release()


def test_a_folder_that_was_taken_over_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png.encode(np.zeros((20, 30), np.uint8)))
    ids = np.ones((20, 30), np.uint8)
    first, second = Dataset.open(tmp_path), Dataset.open(tmp_path)
    ref = first.images[0]
    assert first.acquire_lock() == ""
    first.save_label(ref, ids)
    first.save()
    before = {path: path.read_bytes() for path in (first.label_path(ref), first.state_dir / "project.json")}
    assert second.acquire_lock(anyway=True) == ""
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.png").write_bytes(png.encode(np.zeros((20, 30), np.uint8)))
    options = ImportOptions(overwrite=True)
    for write in (
        lambda: first.save_label(ref, 0 * ids),
        first.save,
        lambda: import_labels(first, source, "index", options),
        lambda: first.save_label(ref, 0 * ids),
    ):
        with pytest.raises(UserError, match=r"taken this folder over|open elsewhere"):
            write()
    assert {path: path.read_bytes() for path in before} == before
    import_labels(second, source, "index", options)
    assert second.has_lock, "an import gives back only what it took"
    np.testing.assert_array_equal(second.load_label(ref), 0 * ids)
    second.release_lock()
