"""What a model says about itself, read without torch; what is no model is refused and never run."""

from __future__ import annotations

import json
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from tests.core.files import open_folder, run_python, without_rights
from unet_gui.core.errors import ModelError
from unet_gui.core.model_info import METADATA_KEY, ModelInfo, looks_like_torch_file, read_model_info
from unet_gui.core.palette import default_classes

INFO = ModelInfo(
    arch={"kind": "unet", "width": 16, "depth": 4},
    classes=default_classes(2),
    channels=1,
    normalisation={"kind": "image", "low": 0.5},
    offsets=[0.0, -1.25],
    recipe="fast",
    trained={"epochs": 12, "images": ["ü.png", "no text \udcff.png"]},
    score={"rand_f": 0.97},
    version="0.1.0",
)


def write(path: Path, metadata: dict[str, str] | None) -> Path:
    save_file({"w": np.arange(12, dtype=np.float32).reshape(3, 4)}, path, metadata)
    return path


def test_a_description_survives_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "m.safetensors", INFO.to_metadata())
    assert read_model_info(path) == INFO


@pytest.mark.parametrize("filling", range(0, 300, 7))
def test_a_header_of_any_length_is_read(tmp_path: Path, filling: int) -> None:
    info = ModelInfo.from_metadata(INFO.to_metadata())
    info.recipe = "x" * filling  # some lengths look like the first bytes of a pickle
    path = write(tmp_path / "m.safetensors", info.to_metadata())
    assert not looks_like_torch_file(path)
    assert read_model_info(path) == info


def test_what_a_newer_program_wrote_is_kept() -> None:
    metadata = INFO.to_metadata()
    metadata[METADATA_KEY] = json.dumps({**json.loads(metadata[METADATA_KEY]), "ensemble": [1, 2]})
    info = ModelInfo.from_metadata(metadata)
    assert info.extra == {"ensemble": [1, 2]}
    assert json.loads(info.to_metadata()[METADATA_KEY])["ensemble"] == [1, 2]


@given(
    st.lists(st.floats(-50, 50), min_size=2, max_size=2),
    st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.floats(-1, 1))),
)
def test_any_description_survives(offsets: list[float], trained: dict[str, object]) -> None:
    info = ModelInfo(classes=default_classes(2), offsets=offsets, trained=trained)
    assert ModelInfo.from_metadata(info.to_metadata()) == info


class Bomb:
    """Code that a pickle would run."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch '{self.target}'",)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_is_recognised_and_its_code_does_not_run(tmp_path: Path, protocol: int) -> None:
    proof = tmp_path / "exploded"
    for name in ("m.safetensors", "m.pth"):
        path = tmp_path / name
        path.write_bytes(pickle.dumps({"weights": Bomb(proof)}, protocol=protocol))
        assert looks_like_torch_file(path)
        with pytest.raises(ModelError, match="could run code"):
            read_model_info(path)
    assert not proof.exists()
    pickle.loads((tmp_path / "m.pth").read_bytes())
    assert proof.exists(), "the file was harmless, so the test showed nothing"


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_of_torch_is_recognised(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "best_model.pth"
    torch.save({"inc.weight": torch.zeros(3)}, path, _use_new_zipfile_serialization=zipped)
    assert looks_like_torch_file(path)
    with pytest.raises(ModelError):
        read_model_info(path)


def damaged(good: bytes) -> dict[str, bytes]:
    header = good[8 : 8 + struct.unpack("<Q", good[:8])[0]]
    return {
        "empty": b"",
        "short": good[:7],
        "header cut": good[:60],
        "weights cut": good[:-5],
        "length of a terabyte": struct.pack("<Q", 2**40) + good[8:],
        "length of nothing": struct.pack("<Q", 0) + good[8:],
        "no JSON": good[:8] + b"x" * len(header) + good[8 + len(header) :],
        "a list": struct.pack("<Q", 2) + b"[]",
        "nested without end": struct.pack("<Q", 200000) + b"[" * 200000,
        "text": b"hello, this is a text and not a model\n" * 5,
        "zeros": bytes(500),
        **{
            entry: struct.pack("<Q", len(entry) + 6) + f'{{"w":{entry}}}'.encode() + bytes(100)
            for entry in (
                '{"dtype": "F32", "shape": null, "data_offsets": [0, 48]}',
                '{"dtype": "F32", "data_offsets": [0, 48]}',
                '{"dtype": "F32", "shape": [3, true], "data_offsets": [0, 48]}',
                '{"dtype": "F32", "shape": [9999999999, 4], "data_offsets": [0, 48]}',
                '{"dtype": "F32", "shape": [3, 4], "data_offsets": [0, "48"]}',
                '{"dtype": "F32", "shape": [3, 4], "data_offsets": [48]}',
            )
        },
    }


@pytest.mark.parametrize("kind", damaged(struct.pack("<Q", 2) + b"{}"))
def test_a_damaged_file_is_refused_in_words(tmp_path: Path, kind: str) -> None:
    good = write(tmp_path / "good.safetensors", INFO.to_metadata()).read_bytes()
    path = tmp_path / "bad.safetensors"
    path.write_bytes(damaged(good)[kind])
    with pytest.raises(ModelError) as caught:
        read_model_info(path)
    assert caught.value.path == str(path)
    assert "damaged" in caught.value.message or "cut off" in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[]",
        "nonsense",
        '{"arch": {}, "classes": [], "channels": 1, "normalisation": {}, "offsets": []}',
        '{"arch": {}, "classes": [{"id": 300, "name": "", "color": "#000000"}], "channels": 1, "normalisation": {},'
        ' "offsets": []}',
        '{"arch": {}, "classes": [{"id": 0, "name": "", "color": "#000000"}], "channels": 1, "normalisation": {},'
        ' "offsets": [1, 2, 3]}',
        '{"arch": 5, "classes": [{"id": 0, "name": "", "color": "#000000"}], "channels": 1, "normalisation": {},'
        ' "offsets": []}',
        INFO.to_metadata()[METADATA_KEY].replace('"channels": 1', '"channels": Infinity'),
        INFO.to_metadata()[METADATA_KEY].replace('"epochs": 12', '"plan": null'),
        INFO.to_metadata()[METADATA_KEY].replace('"epochs": 12', '"chosen_on": [["a.png"]]'),
    ],
)
def test_a_description_without_sense_is_refused(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "m.safetensors", {METADATA_KEY: text})
    with pytest.raises(ModelError) as caught:
        read_model_info(path)
    assert caught.value.path == str(path)


def test_a_model_of_another_program_is_refused(tmp_path: Path) -> None:
    for metadata in (None, {"format": "pt"}):
        with pytest.raises(ModelError, match="not made by this program"):
            read_model_info(write(tmp_path / "m.safetensors", metadata))


def test_nothing_or_a_folder_or_a_closed_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not there"):
        read_model_info(tmp_path / "none.safetensors")
    with pytest.raises(ModelError, match="folder"):
        read_model_info(tmp_path)
    assert not looks_like_torch_file(tmp_path)
    with open_folder() as folder:
        path = write(folder / "m.safetensors", INFO.to_metadata())
        path.chmod(0o000)
        with without_rights(), pytest.raises(ModelError, match="may not be read"):
            read_model_info(path)


def test_reading_needs_neither_torch_nor_the_library(tmp_path: Path) -> None:
    path = write(tmp_path / "m.safetensors", INFO.to_metadata())
    code = (
        "import sys; from unet_gui.core.model_info import read_model_info\n"
        "print(read_model_info(sys.argv[1]).recipe, 'torch' in sys.modules, 'safetensors' in sys.modules)"
    )
    assert run_python(code, path).split() == ["fast", "False", "False"]
