"""A file is the old one or the new one, whole, whatever happens while it is written."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.core.files import open_folder, pattern, without_rights
from unet_gui.core import label_stack
from unet_gui.core.atomic import atomic_path, is_half, must_be_folder, write_error
from unet_gui.core.errors import UserError
from unet_gui.core.label_stack import StackWriter
from unet_gui.core.store import BINARY, INDEX, atomic_write, read_label, write_label

ROOT = Path(__file__).resolve().parents[2]


def test_a_file_is_made_with_its_folders_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "ü.bin"
    atomic_write(path, b"one")
    atomic_write(path, b"two")
    assert path.read_bytes() == b"two"
    assert [entry.name for entry in path.parent.iterdir()] == ["ü.bin"]


def test_when_writing_fails_the_old_file_stays_and_nothing_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    atomic_write(path, b"old")

    def fail() -> None:
        with atomic_path(path) as temporary:
            temporary.write_bytes(b"half of the ne")
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.bin"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    if (
        sys.platform != "linux"
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", place], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("a small disk can only be made as root on Linux")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_full_disk_is_said_and_the_old_label_stays(small_disk: Path) -> None:
    path = small_disk / "a.png"
    old = np.zeros((300, 300), np.uint8)
    write_label(path, old, INDEX)
    with pytest.raises(UserError, match="disk is full") as caught:
        write_label(path, pattern((900, 900)), INDEX)
    assert caught.value.path == str(path)
    assert caught.value.hint
    np.testing.assert_array_equal(read_label(path, INDEX), old)
    assert [entry.name for entry in small_disk.iterdir()] == ["a.png"]
    write_label(path, old + 1, INDEX)  # and when there is room again, it goes on
    np.testing.assert_array_equal(read_label(path, INDEX), old + 1)


def test_a_full_disk_leaves_the_old_stack(small_disk: Path) -> None:
    path = small_disk / "stack.tif"
    noise = (pattern((300, 300)) % 2).astype(np.uint8)
    write_label(path, noise, BINARY, page=0, pages=3)
    before = path.read_bytes()
    (small_disk / "other").write_bytes(bytes(230 * 1024 - len(before)))
    with pytest.raises(UserError, match="disk is full"):
        write_label(path, 1 - noise, BINARY, page=1, pages=3)
    assert path.read_bytes() == before
    assert sorted(entry.name for entry in small_disk.iterdir()) == ["other", "stack.tif"]


def test_a_disk_that_is_full_while_pages_wait_leaves_the_old_stack(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There may be room again a moment later: what did not find any must not be written as if it had."""
    path = small_disk / "stack.tif"
    old, new = ((pattern((40, 40), seed=i) % 2).astype(np.uint8) for i in range(2))
    for page in range(3):
        write_label(path, old, INDEX, page=page, pages=3)
    other = small_disk / "other"
    other.write_bytes(bytes(230 * 1024 - path.stat().st_size))
    noise = np.random.default_rng(0).integers(0, 2, (1200, 1200)).astype(np.uint8)
    monkeypatch.setattr(label_stack, "_IN_MEMORY", 1)
    told = []
    with pytest.raises(UserError, match="disk is full"), StackWriter(anew=True) as stack:  # noqa: PT012 - at its end
        for page, ids in enumerate((new, noise, new)):
            try:
                stack.put(path, ids, INDEX, page, 3)
            except UserError as error:
                told.append((page, error.message))
                other.unlink(missing_ok=True)
    assert [page for page, _ in told] == [1, 2]
    for page in range(3):
        np.testing.assert_array_equal(read_label(path, INDEX, page=page), old)


@pytest.mark.skipif(sys.platform == "win32", reason="limits of this kind are unknown there")
def test_a_file_larger_than_allowed_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_label(path, np.zeros((20, 20), np.uint8), INDEX)
    before = path.read_bytes()
    code = (
        "import resource, sys, numpy as np; from unet_gui.core.store import *\n"
        "from unet_gui.core.errors import UserError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10000, 10000))\n"
        "ids = np.random.default_rng(0).integers(0, 255, (500, 500)).astype(np.uint8)\n"
        "try: write_label(sys.argv[1], ids, INDEX)\n"
        "except UserError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "could not be saved" in done.stdout
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]


def test_a_closed_folder_is_said() -> None:
    with open_folder() as folder:
        path = folder / "a.png"
        write_label(path, np.zeros((9, 9), np.uint8), INDEX)
        folder.chmod(0o555)
        with without_rights(), pytest.raises(UserError, match="may not write") as caught:
            write_label(path, np.ones((9, 9), np.uint8), INDEX)
        assert caught.value.hint
        assert read_label(path, INDEX).max() == 0


def test_a_closed_folder_for_results_is_said_before_there_are_any() -> None:
    with open_folder() as folder:
        must_be_folder(folder / "new" / "one")
        folder.chmod(0o555)
        with without_rights():
            with pytest.raises(UserError, match="may not write"):
                must_be_folder(folder)
            with pytest.raises(UserError, match="cannot be made"):
                must_be_folder(folder / "other")


@pytest.mark.parametrize("name", ["细" * 80 + ".png", "ü" * 120 + ".png", "a" * 250 + ".png"])
def test_names_as_long_as_a_system_allows(name: str, tmp_path: Path) -> None:
    for content in (b"one", b"two"):
        atomic_write(tmp_path / name, content)
    with atomic_path(tmp_path / name) as temporary:
        temporary.write_bytes(b"three")
        assert is_half(temporary.name)
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [(name, b"three")]


def test_a_folder_that_became_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "labels").write_text("")
    with pytest.raises(UserError, match="could not be saved"):
        atomic_write(tmp_path / "labels" / "a.png", b"x")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "disk is full"),
        (getattr(errno, "EDQUOT", errno.ENOSPC), "disk is full"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "may not write"),
        (errno.ENOENT, "folder is gone"),
        (errno.EIO, "Try again"),
    ],
)
def test_every_reason_has_words(number: int, words: str) -> None:
    error = write_error("a.png", OSError(number, os.strerror(number)))
    assert words in str(error)
    assert error.hint
    assert error.details


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_a_link_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"do not touch")
    (tmp_path / "a.png").symlink_to(tmp_path / "precious")
    atomic_write(tmp_path / "a.png", b"label")
    assert (tmp_path / "precious").read_bytes() == b"do not touch"
    assert (tmp_path / "a.png").read_bytes() == b"label"


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
def test_who_may_read_a_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    atomic_write(path, b"1")
    path.chmod(0o640)
    atomic_write(path, b"2")
    assert path.stat().st_mode & 0o777 == 0o640


def test_many_writers_leave_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    contents = [bytes([i]) * 50_000 for i in range(8)]
    threads = [threading.Thread(target=atomic_write, args=(path, content)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in contents
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.bin"]


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is POSIX")
def test_a_killed_program_leaves_a_whole_label(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_label(path, np.zeros((200, 200), np.uint8), INDEX)
    code = (
        "import sys, numpy as np; from unet_gui.core.store import *\n"
        "rng = np.random.default_rng(0)\n"
        "for i in range(10**9):\n"
        "    ids = rng.integers(0, 200, (200, 200)).astype(np.uint8); ids[0, 0] = ids[1:].sum() % 200\n"
        "    write_label(sys.argv[1], ids, INDEX); print(i, flush=True)"
    )
    for rounds in range(1, 13):
        child = subprocess.Popen([sys.executable, "-c", code, path], cwd=ROOT, stdout=subprocess.PIPE)
        assert child.stdout is not None
        for _ in range(rounds * 3):
            child.stdout.readline()
        child.kill()
        child.communicate()
        ids = read_label(path, INDEX)
        assert ids[0, 0] == ids[1:].sum() % 200
