"""The model file: round trip, the tutorial's weights, nothing that runs code."""

from __future__ import annotations

import json
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from unet_gui.core.errors import ModelError
from unet_gui.core.model_info import read_model_info
from unet_gui.engine.model import Model
from unet_gui.engine.predict import Predictor, run
from unet_gui.engine.unet import Arch, UNet


def test_round_trip(tiny: Model, tmp_path: Path) -> None:
    path = tmp_path / "größe 细胞.safetensors"
    tiny.save(path)
    again = Model.load(path, "cpu")
    assert again.arch == tiny.arch
    assert again.info == tiny.info == read_model_info(path)
    for name, value in tiny.net.state_dict().items():
        assert torch.equal(again.net.state_dict()[name], value), name
    image = np.random.default_rng(0).integers(0, 255, (50, 70), dtype=np.uint8)
    assert np.array_equal(run(Predictor(tiny).predict(image)).ids, run(Predictor(again).predict(image)).ids)


def test_ten_lines_of_plain_torch(tiny_model: Path, tiny: Model) -> None:
    """What docs/model-format.md promises: the weights under the names of the parts, and one JSON text."""
    from safetensors import safe_open

    with safe_open(tiny_model, "pt") as file:
        about = json.loads(file.metadata()["unet-gui"])
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dictionary
    assert about["arch"]["widths"] == [4, 8, 16]
    assert weights["inc.double_conv.0.weight"].shape[0] == 4
    assert about["normalisation"]["kind"] == "image"
    assert len(about["offsets"]) == len(about["classes"]) == 2
    assert set(weights) == set(tiny.net.state_dict())


@pytest.mark.parametrize(("channels", "outputs", "wrap"), [(1, 1, None), (3, 2, "state_dict"), (1, 1, "module.")])
def test_tutorial_weights(tmp_path: Path, channels: int, outputs: int, wrap: str | None) -> None:
    small = Arch(channels, outputs, (8, 16, 32, 32, 32), (16, 8, 8, 8), (16, 8, 8, 8), up="bilinear-aligned", bias=True)
    net = UNet(small).eval()
    state: dict[str, object] = dict(net.state_dict())
    if wrap == "state_dict":
        state = {"state_dict": state, "epoch": 3}
    elif wrap:
        state = {wrap + k: v for k, v in state.items()}
    path = tmp_path / "best_model.pth"
    torch.save(state, path)
    model = Model.load(path, "cpu")
    assert model.arch == small
    assert model.info.recipe == "tutorial"
    assert model.info.normalisation["kind"] == "none"
    assert model.offsets == ((0.5, 0.0) if outputs == 1 else (0.0, 0.0))
    x = torch.randn(1, channels, 32, 32)
    with torch.inference_mode():
        assert torch.equal(model.net(x), net(x))


class _Bomb:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.victim),)


@pytest.mark.parametrize("kind", ["torch", "pickle", "state_dict", "renamed"])
def test_a_pickle_does_not_run(tmp_path: Path, kind: str) -> None:
    victim = tmp_path / "it ran"
    path = tmp_path / ("model.safetensors" if kind == "renamed" else "best_model.pth")
    bomb = _Bomb(victim)
    if kind == "pickle":
        path.write_bytes(pickle.dumps(bomb))
    elif kind == "state_dict":
        torch.save({**UNet(Arch.plain(1, 1, 4, 2)).state_dict(), "extra": bomb}, path)
    else:
        torch.save({"state_dict": bomb}, path)
    with pytest.raises(ModelError):
        Model.load(path, "cpu")
    assert not victim.exists()
    pickle.loads(pickle.dumps(bomb))  # and the bomb is a real one
    assert victim.is_dir()


def test_torn_and_foreign_files(tmp_path: Path, tiny: Model) -> None:
    good = tmp_path / "good.safetensors"
    tiny.save(good)
    whole = good.read_bytes()
    cases = {
        "missing.safetensors": None,
        "empty.safetensors": b"",
        "torn.safetensors": whole[: len(whole) // 2],
        "torn_header.safetensors": whole[:40],
        "text.pth": b"hello, I am no model",
        "zip.pth": b"PK\x03\x04 nothing",
        "noise.safetensors": bytes(range(256)) * 4,
    }
    for name, data in cases.items():
        if data is not None:
            (tmp_path / name).write_bytes(data)
        with pytest.raises(ModelError):
            Model.load(tmp_path / name, "cpu")


def _with_info(path: Path, change: dict[str, object]) -> Path:
    """Rewrite the description in a model file."""
    whole = path.read_bytes()
    (length,) = struct.unpack("<Q", whole[:8])
    header = json.loads(whole[8 : 8 + length])
    about = json.loads(header["__metadata__"]["unet-gui"])
    about.update(change)
    header["__metadata__"]["unet-gui"] = json.dumps(about)
    text = json.dumps(header).encode()
    changed = path.with_name("changed.safetensors")
    changed.write_bytes(struct.pack("<Q", len(text)) + text + whole[8 + length :])
    return changed


def test_a_description_that_lies(tmp_path: Path, tiny: Model) -> None:
    good = tmp_path / "good.safetensors"
    tiny.save(good)
    arch = tiny.arch.to_json()
    for change in (
        {"arch": {**arch, "widths": [60000, 60000, 60000]}},  # would not fit into memory
        {"arch": {**arch, "widths": [4, 8]}},
        {"arch": {**arch, "up": "magic"}},
        {"arch": {}},
        {"arch": {**arch, "widths": [True, *arch["widths"][1:]]}},
        {"arch": {**arch, "stem": float("nan")}},
        {"normalisation": {}},
        {"normalisation": {"kind": "magic"}},
        {"normalisation": {"kind": "dataset", "mean": [1.0], "std": []}},
        {"normalisation": {"kind": "image", "floor": None}},
        {"trained": {"views": None}},
        {"trained": {"views": 3}},
        {"channels": 3},
        {"classes": [{"id": i, "name": str(i), "color": "#000000"} for i in range(3)], "offsets": []},
    ):
        with pytest.raises(ModelError):
            Model.load(_with_info(good, change), "cpu")
    assert Model.load(_with_info(good, {"from_the_future": 1}), "cpu").info.extra == {"from_the_future": 1}


@pytest.mark.parametrize("arch", [Arch.plain(1, 2, 4, 2), Arch.plain(3, 4, 4, 3, stem=2)])
def test_the_network_written_out_in_the_documentation(
    arch: Arch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.engine.test_predict import random_model

    text = (Path(__file__).resolve().parents[2] / "docs" / "model-format.md").read_text(encoding="utf-8")
    code = text.split("```python\n")[1].split("```")[0]
    model = random_model(arch)
    model.save(tmp_path / "model.safetensors")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(code, names)
    x = torch.randn(1, arch.in_channels, 32, 48)
    with torch.inference_mode():
        torch.testing.assert_close(names["unet"](x), model.net(x), rtol=1e-4, atol=1e-5)  # type: ignore[operator]


def test_a_model_in_use_lets_go_of_its_file(tiny_model: Path, tmp_path: Path) -> None:
    """Mapped into memory, the file could not be replaced on Windows, and what is written into it would change it."""
    path = tmp_path / "m.safetensors"
    path.write_bytes(tiny_model.read_bytes())
    model = Model.load(path, "cpu")
    before = {name: value.clone() for name, value in model.net.state_dict().items()}
    with open(path, "r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\0" * (path.stat().st_size // 2))
    assert all(torch.equal(value, before[name]) for name, value in model.net.state_dict().items())
