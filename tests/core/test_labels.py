"""The write door: whatever is painted, the delta takes exactly it back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unet_gui.core.geometry import EMPTY, Rect
from unet_gui.core.history import Delta, History
from unet_gui.core.labels import UNLABELLED, LabelImage, Over, count_unlabelled, mask_bounds

SHAPE = (300, 530)  # more than one tile, none of them whole at the right and at the bottom


def some_label(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.choice(np.array([0, 1, 2, UNLABELLED], np.uint8), (SHAPE[0] // 10, SHAPE[1] // 10))
    return np.ascontiguousarray(np.kron(coarse, np.ones((10, 10), np.uint8))).astype(np.uint8)


def changed_rect(before: np.ndarray, after: np.ndarray) -> Rect:
    return mask_bounds(before != after)


rules = st.one_of(
    st.just(Over.ALL),
    st.just(Over.UNLABELLED),
    st.frozensets(st.sampled_from([0, 1, 2, UNLABELLED])).map(lambda c: Over("classes", c)),
)
rects = st.builds(Rect, st.integers(-40, 540), st.integers(-40, 310), st.integers(0, 300), st.integers(0, 300))
steps = st.lists(
    st.tuples(rects, st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 2, UNLABELLED]), st.sampled_from("pmwi")),
    max_size=4,
)


def do(edit, rect, seed, class_id, kind):
    """Paint or write something random; return the rect and a function that tells what an array should become."""
    rng = np.random.default_rng(seed)
    mask = rng.random((rect.h, rect.w)) < rng.choice([0, 0.01, 0.9]) if kind in "mi" else None
    ids = rng.integers(0, 3, (rect.h, rect.w), dtype=np.uint8) if kind in "wi" else None
    changed = edit.paint(rect, mask, class_id) if ids is None else edit.write(rect, ids, mask)
    return changed, mask, np.full((rect.h, rect.w), class_id, np.uint8) if ids is None else ids


def expected(ids, rect, mask, new, over):
    """The slow and obvious way."""
    result = ids.copy()
    allowed = {"all": set(range(256)), "unlabelled": {UNLABELLED}, "classes": set(over.classes)}[over.mode]
    inside = rect.clip(ids.shape)
    for y in range(inside.y, inside.y1):
        for x in range(inside.x, inside.x1):
            if (mask is None or mask[y - rect.y, x - rect.x]) and int(ids[y, x]) in allowed:
                result[y, x] = new[y - rect.y, x - rect.x]
    return result


@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 9), rules, rects, st.integers(0, 99), st.sampled_from([0, 1, UNLABELLED]), st.sampled_from("pmwi")
)
def test_an_edit_does_what_the_slow_way_does(label, over, rect, seed, class_id, kind):
    before = some_label(label)
    labels = LabelImage(before.copy())
    with labels.edit("test", over) as edit:
        changed, mask, new = do(edit, rect, seed, class_id, kind)
    np.testing.assert_array_equal(labels.ids, expected(before, rect, mask, new, over))
    assert changed == changed_rect(before, labels.ids)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(rules, steps), max_size=5), st.booleans())
def test_undo_all_is_before_and_redo_all_is_after(edits, through_bytes):
    before = some_label()
    labels, history = LabelImage(before.copy()), History()
    states = [before]
    for over, actions in edits:
        revision = labels.revision
        edit = labels.edit("test", over)
        for action in actions:
            do(edit, *action)
        delta = edit.commit()
        if delta is None:
            np.testing.assert_array_equal(labels.ids, states[-1])
            continue
        assert labels.revision > revision
        assert delta.rect == changed_rect(states[-1], labels.ids)
        assert edit.pixels == (states[-1] != labels.ids).sum()
        history.push(Delta.from_bytes(delta.to_bytes()) if through_bytes else delta)
        states.append(labels.ids.copy())
    for new, old in zip(states[:0:-1], states[-2::-1], strict=True):
        assert history.undo(labels) == changed_rect(new, old)
        np.testing.assert_array_equal(labels.ids, old)
    assert history.undo(labels) == EMPTY
    for state in states[1:]:
        history.redo(labels)
        np.testing.assert_array_equal(labels.ids, state)
    assert history.redo(labels) == EMPTY


@given(steps)
@settings(max_examples=30, deadline=None)
def test_rollback_puts_everything_back(actions):
    before = some_label(1)
    labels = LabelImage(before.copy())
    edit = labels.edit("test")
    for action in actions:
        do(edit, *action)
    rect = edit.rollback()
    np.testing.assert_array_equal(labels.ids, before)
    assert rect == edit.rect
    assert edit.commit() is None


def test_an_exception_rolls_back_and_leaves_no_entry():
    labels = LabelImage.unlabelled((20, 20))
    edit = labels.edit("test")

    def fail_while_painting():
        with edit:
            edit.paint(Rect(0, 0, 5, 5), None, 1)
            raise KeyError

    with pytest.raises(KeyError):
        fail_while_painting()
    assert (labels.ids == UNLABELLED).all()
    assert edit.delta is None
    assert not labels.editing


def test_a_no_op_leaves_no_delta_and_no_revision():
    labels = LabelImage(np.zeros((20, 20), np.uint8))
    with labels.edit("same") as edit:
        assert edit.paint(Rect(0, 0, 20, 20), None, 0) == EMPTY
    assert edit.delta is None
    assert labels.revision == 0
    with labels.edit("there and back") as edit:
        assert edit.paint(Rect(3, 4, 5, 6), None, 7) == Rect(3, 4, 5, 6)
        edit.paint(Rect(3, 4, 5, 6), None, 0)
    assert edit.delta is None


def test_ids_cannot_be_written_from_outside():
    labels = LabelImage.unlabelled((4, 4))
    with pytest.raises(ValueError, match="read-only"):
        labels.ids[0, 0] = 1


def test_the_door_holds_one_edit_at_a_time():
    labels = LabelImage.unlabelled((4, 4))
    edit = labels.edit("first")
    with pytest.raises(RuntimeError, match="first"):
        labels.edit("second")
    edit.paint(Rect(0, 0, 2, 2), None, 1)
    delta = edit.commit()
    assert delta is not None
    with pytest.raises(RuntimeError, match="closed"):
        edit.paint(Rect(0, 0, 2, 2), None, 2)
    other = labels.edit("second")
    with pytest.raises(RuntimeError, match="undo has to wait"):
        delta.apply(labels)
    other.rollback()
    assert delta.apply(labels) == Rect(0, 0, 2, 2)


def test_wrong_shapes_and_classes_are_refused():
    labels = LabelImage.unlabelled((9, 9))
    with labels.edit("test") as edit:
        with pytest.raises(ValueError, match="mask"):
            edit.paint(Rect(0, 0, 3, 3), np.ones((2, 3), bool), 1)
        with pytest.raises(ValueError, match="uint8"):
            edit.write(Rect(0, 0, 3, 3), np.ones((3, 3), np.int64))
        with pytest.raises(ValueError, match="256"):
            edit.paint(Rect(0, 0, 3, 3), None, 256)
    with pytest.raises(ValueError, match="2-D"):
        LabelImage(np.zeros((3, 3, 3), np.uint8))


@given(st.integers(1, 700), st.integers(1, 700), st.integers(0, 9))
@settings(max_examples=10, deadline=None)
def test_unlabelled_pixels_are_counted(h, w, seed):
    ids = np.random.default_rng(seed).choice(np.array([0, 1, UNLABELLED], np.uint8), (h, w))
    assert count_unlabelled(ids) == (ids == UNLABELLED).sum()


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.03, 0.5]))
def test_mask_bounds_is_the_smallest_rectangle(h, w, seed, density):
    mask = np.random.default_rng(seed).random((h, w)) < density
    rows, columns = np.nonzero(mask)
    want = EMPTY
    if len(rows):
        want = Rect(columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)
    assert mask_bounds(mask) == want
