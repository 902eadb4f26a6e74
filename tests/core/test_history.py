"""Undo is limited in bytes, and refuses damaged records."""

from __future__ import annotations

import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unet_gui.core.geometry import EMPTY, Rect
from unet_gui.core.history import Delta, History
from unet_gui.core.labels import LabelImage


def paint(labels: LabelImage, rect: Rect, class_id: int, noise: int | None = None) -> Delta:
    mask = None if noise is None else np.random.default_rng(noise).random((rect.h, rect.w)) < 0.5
    with labels.edit(f"class {class_id}") as edit:
        edit.paint(rect, mask, class_id)
    assert edit.delta is not None
    return edit.delta


def test_names_and_flags_follow_the_stack():
    labels, history = LabelImage.unlabelled((50, 50)), History()
    assert (history.can_undo, history.can_redo, history.undo_text, history.redo_text) == (False, False, "", "")
    history.push(paint(labels, Rect(0, 0, 9, 9), 1))
    history.push(paint(labels, Rect(5, 5, 9, 9), 2))
    assert (history.undo_text, history.redo_text) == ("class 2", "")
    assert history.undo(labels) == Rect(5, 5, 9, 9)
    assert (history.undo_text, history.redo_text) == ("class 1", "class 2")
    history.push(paint(labels, Rect(20, 20, 3, 3), 3))
    assert not history.can_redo
    history.push(None)
    assert history.undo_text == "class 3"


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 40_000), st.lists(st.tuples(st.sampled_from("puur"), st.integers(0, 9)), max_size=25))
def test_bytes_stay_within_the_cap(cap, actions):
    labels, history = LabelImage.unlabelled((300, 300)), History(cap)
    for kind, number in actions:
        if kind == "p":
            x = 25 * number
            with labels.edit("paint") as edit:
                edit.paint(Rect(x, x, 30, 30), np.random.default_rng(number).random((30, 30)) < 0.5, number % 4)
            history.push(edit.delta)
        else:
            (history.undo if kind == "u" else history.redo)(labels)
        assert history.nbytes <= cap
        assert history.nbytes == sum(delta.nbytes for delta in history._undo + history._redo)


def test_the_oldest_go_first():
    labels, history = LabelImage.unlabelled((40, 40)), History()
    before_each = []
    for n in range(20):
        before_each.append(labels.ids.copy())
        history.push(paint(labels, Rect(n, n, 20, 20), n, noise=n))
    one = history.nbytes // 20
    small = History(5 * one)
    labels = LabelImage.unlabelled((40, 40))
    for n in range(20):
        small.push(paint(labels, Rect(n, n, 20, 20), n, noise=n))
    kept = len(small)
    assert 3 <= kept <= 6
    while small.can_undo:
        small.undo(labels)
    np.testing.assert_array_equal(labels.ids, before_each[20 - kept])


def test_a_big_even_stroke_takes_few_bytes():
    labels = LabelImage.unlabelled((4096, 4096))
    delta = paint(labels, Rect(0, 0, 4096, 4096), 1)
    assert delta.nbytes < 100_000
    assert delta.apply(labels) == Rect(0, 0, 4096, 4096)
    assert (labels.ids == 255).all()


def test_a_delta_for_another_size_is_refused():
    delta = paint(LabelImage.unlabelled((40, 40)), Rect(0, 0, 5, 5), 1)
    with pytest.raises(ValueError, match="is for a label of"):
        delta.apply(LabelImage.unlabelled((40, 41)))


def test_bytes_survive_and_damage_is_noticed():
    labels = LabelImage.unlabelled((600, 300))
    with labels.edit("Pinsel für 细胞") as edit:
        edit.paint(Rect(10, 10, 280, 500), np.random.default_rng(0).random((500, 280)) < 0.5, 3)
    delta = edit.delta
    assert delta is not None
    data = delta.to_bytes()
    again = Delta.from_bytes(data)
    assert (again.name, again.shape, again.rect) == (delta.name, delta.shape, delta.rect)
    again.apply(labels)
    assert (labels.ids == 255).all()
    for wrong in (b"", data[:30], data[:-1], data + b"x", b"XXXX" + data[4:], data[:200] + b"\0\0\0\0" + data[204:]):
        with pytest.raises(ValueError, match="not a recorded change"):
            Delta.from_bytes(wrong)


def test_a_damaged_tile_cannot_fill_the_memory():
    much = zlib.compress(bytes(200_000_000))
    head = Delta("", (300, 300), Rect(0, 0, 9, 9), {(0, 0): much}).to_bytes()
    tracemalloc.start()
    with pytest.raises(ValueError, match="not a recorded change"):
        Delta.from_bytes(head)
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_undo_of_nothing_changes_nothing():
    labels = LabelImage.unlabelled((4, 4))
    assert History().undo(labels) == EMPTY
    assert History().redo(labels) == EMPTY
    assert labels.revision == 0


def test_the_next_steps_are_the_ones_that_are_made():
    labels, history = LabelImage.unlabelled((50, 50)), History()
    assert (history.next_undo, history.next_redo) == (None, None)
    first, second = paint(labels, Rect(0, 0, 9, 9), 1), paint(labels, Rect(5, 5, 9, 9), 2)
    history.push(first)
    history.push(second)
    assert (history.next_undo, history.next_redo) == (second, None)
    assert history.undo_stack == (first, second)
    history.undo(labels)
    assert (history.next_undo, history.next_redo) == (first, second)
