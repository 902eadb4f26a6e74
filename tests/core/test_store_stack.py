"""Labels of stacks: saved page by page, small, whole, and readable by everything that reads TIFF."""

from __future__ import annotations

import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.core.files import pattern
from unet_gui.core.errors import LabelError
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
