"""Files written row by row are the same as those written in one piece, and whole or not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from unet_gui.core import rows as rows_module
from unet_gui.core.cv import cv2
from unet_gui.core.errors import UserError
from unet_gui.core.rows import RowsFile, label_rows, map_rows
from unet_gui.core.store import BINARY, INDEX, Encoding, read_label


def parts(array: np.ndarray, *heights: int) -> list[np.ndarray]:
    """Cut an array into parts of these heights, again and again."""
    out, y, i = [], 0, 0
    while y < len(array):
        out.append(array[y : y + heights[i % len(heights)]])
        y, i = y + heights[i % len(heights)], i + 1
    return out


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("encoding", [INDEX, BINARY])
@pytest.mark.parametrize(("shape", "heights"), [((1, 1), (1,)), ((600, 517), (100, 333)), ((512, 256), (256,))])
def test_labels(
    tmp_path: Path, suffix: str, encoding: Encoding, shape: tuple[int, int], heights: tuple[int, ...]
) -> None:
    ids = np.random.default_rng(0).integers(0, 2, shape, dtype=np.uint8)
    path = tmp_path / "new" / f"label{suffix}"
    file = label_rows(path, shape, encoding)
    for part in parts(ids, *heights):
        file.put(part)
    assert not path.exists(), "not there before it is whole"
    file.close()
    assert np.array_equal(read_label(path, encoding), ids)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_maps(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((700, 300), dtype=np.float32)
    eight = (values * 255).astype(np.uint8)
    for path, array in (("m.png", eight), ("m.tif", eight), ("f.tif", values)):
        file = map_rows(tmp_path / path, array.shape, array.dtype)
        for part in parts(array, 90, 257):
            file.put(part)
        file.close()
    assert np.array_equal(cv2.imread(str(tmp_path / "m.png"), cv2.IMREAD_UNCHANGED), eight)
    assert np.array_equal(tifffile.imread(tmp_path / "m.tif"), eight)
    assert np.array_equal(tifffile.imread(tmp_path / "f.tif"), values)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_given_up_leaves_the_old_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"label{suffix}"
    path.write_bytes(b"the old one")
    file = label_rows(path, (900, 300), INDEX)
    file.put(np.zeros((300, 300), np.uint8))
    file.abort()
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == b"the old one"


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    file = label_rows(tmp_path / "file" / "label.png", (9000, 10), INDEX)
    with pytest.raises(UserError, match="could not be saved"):
        put_all(file, rows_module.WAITING + 3)
    with pytest.raises(UserError, match="could not be saved"):
        file.close()


def put_all(file: RowsFile, count: int) -> None:
    for _ in range(count):
        file.put(np.zeros((1000, 10), np.uint8))


def test_rows_wait_for_the_disk(tmp_path: Path) -> None:
    """However fast they come, only a few are in memory."""
    file = label_rows(tmp_path / "label.png", (64_000, 10), INDEX)
    most = 0
    for _ in range(640):
        file.put(np.zeros((100, 10), np.uint8))
        most = max(most, file._queue.qsize())
    file.close()
    assert most <= rows_module.WAITING
