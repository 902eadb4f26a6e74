"""Undo on disk: it comes back for the label it was written with, and for no other."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from unet_gui.core.geometry import Rect
from unet_gui.core.history import Delta, History
from unet_gui.core.journal import checksum
from unet_gui.core.labels import LabelImage
from unet_gui.core.undo_file import prune, read_undo, undo_path, write_undo


@pytest.fixture
def labels() -> LabelImage:
    return LabelImage.unlabelled((300, 280))


@pytest.fixture
def deltas(labels: LabelImage) -> list[Delta]:
    made = []
    rng = np.random.default_rng(0)
    for n in range(6):
        with labels.edit(f"stroke {n}") as edit:
            edit.paint(Rect(20 * n, 30, 60, 200), rng.random((200, 60)) < 0.5, n)
        assert edit.delta is not None
        made.append(edit.delta)
    return made


def test_undo_goes_on_after_a_restart(tmp_path: Path, labels: LabelImage, deltas: list[Delta]) -> None:
    path = undo_path(tmp_path / "undo", "ü/细胞.png")
    write_undo(path, checksum(labels.ids), deltas)
    again, history = LabelImage(labels.ids.copy()), History()
    for delta in read_undo(path, checksum(again.ids)):
        history.push(delta)
    assert history.undo_text == "stroke 5"
    while history.can_undo:
        history.undo(again)
    assert (again.ids == 255).all()


def test_it_belongs_to_one_label_only(tmp_path: Path, labels: LabelImage, deltas: list[Delta]) -> None:
    path = undo_path(tmp_path, "a")
    write_undo(path, checksum(labels.ids), deltas)
    assert read_undo(path, checksum(labels.ids) ^ 1) == []
    assert read_undo(tmp_path / "missing", 1) == []


@pytest.mark.parametrize("cut", [0, 5, 12, 40, -1])
def test_a_damaged_file_is_no_undo(tmp_path: Path, labels: LabelImage, deltas: list[Delta], cut: int) -> None:
    path = undo_path(tmp_path, "a")
    write_undo(path, checksum(labels.ids), deltas)
    path.write_bytes(path.read_bytes()[:cut])
    assert read_undo(path, checksum(labels.ids)) == []


def test_the_oldest_changes_go_first(tmp_path: Path, labels: LabelImage, deltas: list[Delta]) -> None:
    path = undo_path(tmp_path, "a")
    cap = sum(len(delta.to_bytes()) + 4 for delta in deltas[-2:])
    write_undo(path, checksum(labels.ids), deltas, cap)
    assert [delta.name for delta in read_undo(path, checksum(labels.ids))] == ["stroke 4", "stroke 5"]
    write_undo(path, checksum(labels.ids), deltas, 10)
    assert not path.exists()


def test_a_folder_is_kept_within_its_cap(tmp_path: Path) -> None:
    for n in range(5):
        (tmp_path / f"{n}.undo").write_bytes(bytes(100))
        os.utime(tmp_path / f"{n}.undo", (n, n))
    prune(tmp_path, 250)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3.undo", "4.undo"]
    prune(tmp_path / "missing", 1)
