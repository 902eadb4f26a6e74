"""Classes and colours."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.color import rgb2lab

from unet_gui.core.palette import OKABE_ITO, TAB20, ClassInfo, color_of, color_table, default_classes, distinct


def test_a_new_folder_has_background_and_object() -> None:
    assert [(info.id, info.name) for info in default_classes()] == [(0, "background"), (1, "object")]


def test_classes_from_elsewhere_get_names_of_their_own() -> None:
    known = [ClassInfo(0, "cell", "#000000")]
    more = [ClassInfo(n, name, "#000000") for n, name in enumerate((" Cell", "wall", "cell 2", "wall"), 1)]
    assert [info.name for info in distinct(more, known)] == [" Cell 2", "wall", "cell 2 2", "wall 2"]


@given(st.integers(1, 255))
def test_any_number_of_classes_has_ids_names_and_colours_of_its_own(n: int) -> None:
    classes = default_classes(n)
    assert [info.id for info in classes] == list(range(n))
    assert len({info.name for info in classes}) == n
    assert len({info.color for info in classes}) == n


def test_the_first_colours_are_those_made_for_colour_blind_people() -> None:
    assert tuple(color_of(i) for i in range(len(OKABE_ITO))) == OKABE_ITO
    assert len(OKABE_ITO) == 8
    assert len(set(TAB20)) == 20


def test_no_two_of_the_first_classes_look_the_same() -> None:
    colors = np.array([[info.rgb for info in default_classes(20)]], np.uint8)
    lab = rgb2lab(colors)[0]
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=-1)
    assert apart[~np.eye(20, dtype=bool)].min() > 15, "class 8 was as blue as class 0"


def test_a_class_survives_json() -> None:
    info = ClassInfo(3, "Zellkörper", "#E69F00")
    assert ClassInfo.from_json(info.to_json()) == info
    assert info.rgb == (0xE6, 0x9F, 0x00)


@pytest.mark.parametrize(
    ("number", "color"), [(-1, "#000000"), (255, "#000000"), (0, "red"), (0, "#12345"), (0, "#1234567")]
)
def test_what_is_no_class_is_refused(number: int, color: str) -> None:
    with pytest.raises(ValueError, match="must"):
        ClassInfo(number, "x", color)


def test_the_table_has_opacity_in_front_and_nothing_for_unlabelled() -> None:
    table = color_table([ClassInfo(0, "a", "#102030"), ClassInfo(7, "b", "#FF0001")], 0.5)
    assert table.dtype == np.uint32
    assert table.shape == (256,)
    assert table[0] == 0x80102030
    assert table[7] == 0x80FF0001
    assert not np.delete(table, [0, 7]).any()
    assert table[255] == 0


def test_hidden_classes_are_transparent() -> None:
    table = color_table(default_classes(3), 1.0, visible={1})
    assert np.flatnonzero(table).tolist() == [1]
    assert color_table(default_classes(3), 7.0)[0] >> 24 == 255
    assert color_table(default_classes(3), -1.0)[0] >> 24 == 0
