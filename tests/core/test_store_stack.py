"""Labels of stacks: saved page by page, small, whole, and readable by everything that reads TIFF."""

from __future__ import annotations

import errno
import os
import tracemalloc
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.core.files import pattern
from unet_gui.core import label_stack
from unet_gui.core.errors import LabelError, UserError
from unet_gui.core.exchange import ExchangeResult, ExportOptions, ImportOptions, export, exporting, import_labels
from unet_gui.core.label_stack import StackWriter
from unet_gui.core.project import Dataset
from unet_gui.core.store import BINARY, INDEX, UNLABELLED, Encoding, read_label, read_raw, write_label
from unet_gui.core.store import detect_encoding as detect

COLORS = Encoding("map", (((0, 0, 0), 0), ((255, 0, 0), 1), ((0, 0, 255), 2)))
WIDE = Encoding("map", ((0, 0), (1000, 1), (2000, 2)))


def label(seed: int, classes: int = 2) -> np.ndarray:
    return (pattern((40, 50), seed=seed) % classes).astype(np.uint8)


@pytest.mark.parametrize("encoding", [INDEX, BINARY, COLORS, WIDE])
def test_pages_in_any_order(tmp_path: Path, encoding: Encoding) -> None:
    path = tmp_path / "stack.tif"
    said: dict[int, np.ndarray] = {}
    for turn, page in enumerate([3, 0, 3, 4, 1, 0, 3]):
        said[page] = label(turn)
        if turn in (2, 4):
            said[page][5:9, 5:9] = UNLABELLED
        write_label(path, said[page], encoding, page=page, pages=5)
        for i in range(5):
            expected = said.get(i, np.full((40, 50), UNLABELLED, np.uint8))
            np.testing.assert_array_equal(read_label(path, encoding, page=i, shape=(40, 50)), expected)
    assert [entry.name for entry in tmp_path.iterdir()] == ["stack.tif"]


def test_other_programs_read_a_finished_binary_stack(tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    labels = [label(i) for i in range(4)]
    for page, ids in enumerate(labels):
        write_label(path, ids, BINARY, page=page, pages=4)
    np.testing.assert_array_equal(tifffile.imread(path), np.stack(labels) * 255)
    assert not any(read_raw(path, page).marked for page in range(4))


def test_a_stack_is_understood_without_the_project(tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    ids = label(0)
    ids[0] = UNLABELLED
    write_label(path, ids, BINARY, page=1, pages=3)
    found = detect([path])
    np.testing.assert_array_equal(read_label(path, found.encoding, page=1), ids)
    assert (read_label(path, found.encoding, page=0) == UNLABELLED).all()
    write_label(path, label(1), BINARY, page=0, pages=3)
    found = detect([path])
    assert found.encoding == BINARY
    np.testing.assert_array_equal(read_label(path, found.encoding, page=0), label(1))


def test_saving_one_page_again_and_again_does_not_fill_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    sizes = []
    for turn in range(120):
        write_label(path, (pattern((60, 60), seed=turn) % 2).astype(np.uint8), INDEX, page=turn % 3, pages=3)
        sizes.append(path.stat().st_size)
    assert max(sizes) < 90_000


def test_saving_one_page_of_a_long_empty_stack_adds_one_strip(tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    ids = (pattern((60, 60)) % 2).astype(np.uint8)
    write_label(path, ids, INDEX, page=0, pages=1000)
    with tifffile.TiffFile(path) as tif:
        before = tif.pages[500].offset, tif.pages[500].dataoffsets
    for page in (999, 3):
        write_label(path, ids, INDEX, page=page, pages=1000)
    with tifffile.TiffFile(path) as tif:
        assert (tif.pages[500].offset, tif.pages[500].dataoffsets) == before, "all of it was written anew"
        assert tif.pages[3].dataoffsets[0] > tif.pages[999].dataoffsets[0] > tif.pages[999].offset
    np.testing.assert_array_equal(read_label(path, INDEX, page=999), ids)


def test_one_page_of_a_long_stack_needs_the_memory_of_one_page(tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    ids = np.zeros((500, 500), np.uint8)
    write_label(path, ids, INDEX, page=0, pages=100)
    tracemalloc.start()
    try:
        write_label(path, ids + 1, INDEX, page=50, pages=100)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * ids.nbytes  # of 100 pages


@pytest.mark.parametrize(
    "options",
    [{}, {"compression": "lzw", "rowsperstrip": 7}, {"tile": (16, 16)}, {"byteorder": ">"}, {"bigtiff": True}],
)
def test_a_stack_of_another_program_is_taken_over(tmp_path: Path, options: dict[str, object]) -> None:
    path = tmp_path / "stack.tif"
    stack = np.stack([label(i) for i in range(4)]) * 255
    tifffile.imwrite(path, stack, photometric="minisblack", **options)
    assert detect([path]).encoding == BINARY
    write_label(path, label(9), BINARY, page=2, pages=4)
    stack[2] = label(9) * 255
    np.testing.assert_array_equal(tifffile.imread(path), stack)


def test_a_stack_of_another_length_or_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    write_label(path, label(0), INDEX, page=0, pages=3)
    before = path.read_bytes()
    with pytest.raises(LabelError, match="number of pages"):
        write_label(path, label(0), INDEX, page=0, pages=4)
    with pytest.raises(LabelError, match="50 × 40"):
        write_label(path, label(0)[:9], INDEX, page=0, pages=3)
    assert path.read_bytes() == before
    with pytest.raises(LabelError):
        write_label(tmp_path / "new.tif", label(0), INDEX, page=3, pages=3)


def test_a_damaged_stack_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    write_label(path, label(0), INDEX, page=0, pages=3)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(LabelError):
        write_label(path, label(1), INDEX, page=0, pages=3)
    with pytest.raises(LabelError):
        read_label(path, INDEX, page=2)


def test_a_page_that_is_not_there(tmp_path: Path) -> None:
    write_label(tmp_path / "a.tif", label(0), INDEX, page=0, pages=2)
    with pytest.raises(LabelError, match="no page 3"):
        read_label(tmp_path / "a.tif", INDEX, page=2)


@pytest.mark.parametrize("encoding", [INDEX, BINARY, Encoding("map", ((3, 0), (7, 1), (11, UNLABELLED)))])
def test_pages_of_different_sizes(tmp_path: Path, encoding: Encoding) -> None:
    """The pages to come have the size of the first one until they are written; what is written is never replaced so."""
    path, sizes = tmp_path / "s.tif", [(6, 8), (5, 3), (6, 8)]
    pages = [np.random.default_rng(i).integers(0, 2, size).astype(np.uint8) for i, size in enumerate(sizes)]
    write_label(path, pages[0], encoding, page=0, pages=3)
    assert (read_label(path, encoding, shape=(5, 3), page=1) == UNLABELLED).all()
    for i in (2, 1):
        write_label(path, pages[i], encoding, page=i, pages=3)
    for i, ids in enumerate(pages):
        assert np.array_equal(read_label(path, encoding, shape=sizes[i], page=i), ids)
    with pytest.raises(LabelError, match="page 2 is 3 × 5"):
        write_label(path, pages[0], encoding, page=1, pages=3)
    with pytest.raises(LabelError, match="is 3 × 5 pixels"):
        read_label(path, encoding, shape=(6, 8), page=1)


def test_threads_take_turns(tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    with ThreadPoolExecutor(8) as pool:  # the saver, and whoever brings strokes of last time back
        list(pool.map(lambda page: write_label(path, label(page), INDEX, page=page, pages=24), range(24)))
    for page in range(24):
        np.testing.assert_array_equal(read_label(path, INDEX, page=page), label(page))


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the stacks that are written, one a writing."""
    done: list[str] = []
    plain = label_stack.atomic_path

    def counted(path: Path) -> AbstractContextManager[Path]:
        done.append(Path(path).name)
        return plain(path)

    monkeypatch.setattr(label_stack, "atomic_path", counted)
    return done


@pytest.mark.parametrize("encoding", [INDEX, BINARY, COLORS, WIDE])
@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("put", [(1, 3, 3), range(5)])
def test_pages_that_follow_each_other_are_written_at_once(
    tmp_path: Path, writes: list[str], encoding: Encoding, there: bool, put: Sequence[int]
) -> None:
    path = tmp_path / "stack.tif"
    said = {page: np.full((40, 50), UNLABELLED, np.uint8) for page in range(5)}
    if there:
        for page in (0, 3):
            said[page] = label(page)
            write_label(path, said[page], encoding, page=page, pages=5)
    before = path.read_bytes() if there else None
    writes.clear()
    with StackWriter() as stack:
        for turn, page in enumerate(put):
            said[page] = label(10 + turn)
            write_label(path, said[page], encoding, page=page, pages=5, stack=stack)
            assert (path.read_bytes() if path.exists() else None) == before
    assert writes == ["stack.tif"]
    for page, ids in said.items():
        np.testing.assert_array_equal(read_label(path, encoding, page=page, shape=(40, 50)), ids)
    assert [entry.name for entry in tmp_path.iterdir()] == ["stack.tif"]


def test_pages_of_two_stacks_end_up_in_their_own(tmp_path: Path, writes: list[str]) -> None:
    with StackWriter() as stack:
        for name in ("a.tif", "b.tif"):
            for page in range(3):
                write_label(tmp_path / name, label(page), INDEX, page=page, pages=3, stack=stack)
    assert writes == ["a.tif", "b.tif"]


def test_what_was_put_is_given_up_after_an_exception(tmp_path: Path, writes: list[str]) -> None:
    path = tmp_path / "stack.tif"
    write_label(path, label(0), INDEX, page=0, pages=3)
    before = path.read_bytes()

    def stopped() -> None:
        with StackWriter() as stack:
            write_label(path, label(1), INDEX, page=0, pages=3, stack=stack)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert path.read_bytes() == before
    assert writes == ["stack.tif"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["stack.tif"]


def test_one_page_that_does_not_fit_leaves_the_others(tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    for page in range(3):
        write_label(path, label(page), INDEX, page=page, pages=3)
    with StackWriter() as stack:
        write_label(path, label(5), INDEX, page=0, pages=3, stack=stack)
        with pytest.raises(LabelError, match="page 2 is 50 × 40"):
            write_label(path, label(6)[:9], INDEX, page=1, pages=3, stack=stack)
        write_label(path, label(7), INDEX, page=2, pages=3, stack=stack)
    for page, seed in enumerate((5, 1, 7)):
        np.testing.assert_array_equal(read_label(path, INDEX, page=page), label(seed))


def test_a_stack_that_is_begun_anew_forgets_the_old_one_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    write_label(path, label(0), INDEX, page=0, pages=2)
    with StackWriter(anew=True) as stack:
        write_label(path, label(1), INDEX, page=1, pages=3, stack=stack)
        np.testing.assert_array_equal(read_label(path, INDEX, page=0), label(0))
    assert (read_label(path, INDEX, page=0) == UNLABELLED).all()
    np.testing.assert_array_equal(read_label(path, INDEX, page=1), label(1))


def test_a_drive_that_is_gone_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows, where not even the root of the path is a folder then."""
    (tmp_path / "drive").write_text("")
    with monkeypatch.context() as then:
        then.setattr(Path, "is_dir", lambda _: False)
        with pytest.raises(UserError, match="could not be saved"):
            label_stack.write_page(tmp_path / "drive" / "a.tif", np.zeros((9, 9), np.uint8), INDEX, 0, 2)


def test_what_another_thread_writes_meanwhile_stays(tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    write_label(path, label(0), INDEX, page=0, pages=3)
    with StackWriter() as stack:
        write_label(path, label(1), INDEX, page=1, pages=3, stack=stack)
        write_label(path, label(2), INDEX, page=2, pages=3)
    for page in range(3):
        np.testing.assert_array_equal(read_label(path, INDEX, page=page), label(page))


def is_open(path: Path) -> bool:
    handles = Path("/proc/self/fd")
    return any(os.path.realpath(handle) == os.path.realpath(path) for handle in handles.iterdir())


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="there the test above shows it")
def test_a_stack_that_waits_to_be_written_is_not_open(tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    write_label(path, label(0), INDEX, page=0, pages=3)
    with StackWriter() as stack:
        write_label(path, label(1), INDEX, page=1, pages=3, stack=stack)
        assert not is_open(path)  # others may save another page meanwhile: Windows does not replace an open file


def test_writing_a_long_stack_needs_the_memory_of_few_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_stack, "_IN_MEMORY", 2**16)
    noise = np.random.default_rng(1).integers(0, 3, (300, 300)).astype(np.uint8)
    tracemalloc.start()
    try:
        with StackWriter() as stack:
            for page in range(60):
                write_label(tmp_path / "s.tif", np.roll(noise, page), INDEX, page=page, pages=60, stack=stack)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 12 * noise.nbytes  # of 60 pages
    np.testing.assert_array_equal(read_label(tmp_path / "s.tif", INDEX, page=59), np.roll(noise, 59))


def test_exports_and_imports_write_a_stack_once(tmp_path: Path, writes: list[str]) -> None:
    (tmp_path / "folder").mkdir()
    pictures = np.stack([pattern((40, 50), seed=page) for page in range(6)])
    tifffile.imwrite(tmp_path / "folder" / "s.tif", pictures, photometric="minisblack")
    dataset = Dataset.open(tmp_path / "folder")
    pages = dataset.expand(dataset.images[0])
    for page in pages[:5]:
        dataset.save_label(page, label(page.page or 0))
    writes.clear()
    result = export(dataset, "masks", tmp_path / "out")
    assert (result.done, result.skipped, len(result.failed), writes) == (5, 1, 0, ["s.tif"])
    old = (tmp_path / "out" / "s.tif").read_bytes()
    dataset.save_label(pages[0], label(77))
    again = exporting(dataset, "masks", tmp_path / "out", ExportOptions(overwrite=True), ExchangeResult())
    assert next(again).state == "done"
    again.close()  # type: ignore[attr-defined]  # stopped in the middle
    assert (tmp_path / "out" / "s.tif").read_bytes() == old
    writes.clear()
    assert import_labels(dataset, tmp_path / "out", "masks", ImportOptions(overwrite=True)).done == 6
    assert writes == ["s.tif"]
    np.testing.assert_array_equal(dataset.load_label(pages[0]), label(0))


def test_a_stack_that_cannot_be_written_counts_as_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder").mkdir()
    pictures = np.stack([pattern((40, 50), seed=page) for page in range(3)])
    tifffile.imwrite(tmp_path / "folder" / "s.tif", pictures, photometric="minisblack")
    dataset = Dataset.open(tmp_path / "folder")
    for page in dataset.expand(dataset.images[0]):
        dataset.save_label(page, label(0))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(label_stack, "_write_all", full)
    result = export(dataset, "masks", tmp_path / "out")
    assert result.done == 0
    assert [name for name, _ in result.failed] == ["s.tif"]
    assert "disk is full" in result.failed[0][1]
    assert not (tmp_path / "out" / "s.tif").exists()
