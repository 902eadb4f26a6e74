"""Choosing the device, and saying why in plain words."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
import torch

from unet_gui.core.errors import UserError, is_out_of_memory
from unet_gui.engine import device
from unet_gui.engine.device import DeviceChoice, bf16_pays, layout_of, pick_device
from unet_gui.engine.unet import Arch, UNet

NO_GPU = not torch.cuda.is_available() and not torch.backends.mps.is_available()


def test_cpu_is_always_there() -> None:
    choice = pick_device("cpu")
    assert (choice.name, choice.type) == ("cpu", "cpu")
    assert "processor" in choice.note


@pytest.mark.skipif(not NO_GPU, reason="there is a GPU here")
def test_without_a_gpu_auto_is_the_cpu_and_asking_for_one_is_an_error() -> None:
    assert pick_device("auto").name == "cpu"
    for wish in ("cuda", "cuda:0", "mps"):
        with pytest.raises(UserError, match=wish) as caught:
            pick_device(wish)
        assert "cpu" in caught.value.hint


@pytest.mark.parametrize("wish", ["gpu", "cuda:x", "cpu:1", ""])
def test_nonsense(wish: str) -> None:
    with pytest.raises(UserError, match="no device called"):
        pick_device(wish)


@pytest.mark.skipif(not NO_GPU, reason="there is a GPU here")
def test_a_card_that_torch_cannot_use_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_has_nvidia", lambda: True)
    choice = pick_device("auto")
    assert choice.name == "cpu"
    assert "NVIDIA card is there" in choice.note


def test_out_of_memory_in_all_dialects() -> None:
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert is_out_of_memory(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried …"))
    assert is_out_of_memory(RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"))
    assert not is_out_of_memory(RuntimeError("size mismatch"))
    assert not is_out_of_memory(ValueError("out of memory"))
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 50, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize("capability", ["AVX2", "AVX512"])
@pytest.mark.parametrize("native", [False, True])
def test_16_bits_are_not_chosen_by_the_clock(capability: str, native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    class Busy(UNet):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise AssertionError("measured")

    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: native)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    net = Busy(Arch.plain(1, 2, 4, 2))
    assert bf16_pays(net, torch.randn(1, 1, 32, 32), DeviceChoice("cpu", "")) == (native and capability == "AVX512")


def test_measuring_16_bits_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "unknown")
    net = UNet(Arch.plain(1, 2, 4, 2))
    before = {k: v.clone() for k, v in net.state_dict().items()}
    assert bf16_pays(net.train(), torch.randn(2, 1, 32, 32), DeviceChoice("cpu", "")) in (True, False)
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())


@pytest.mark.skipif(sys.platform != "linux", reason="another library's threads")
@pytest.mark.parametrize(("chosen", "read"), [(None, "3000"), ("77", "77")])
def test_threads_that_wait_give_the_core_free_soon(chosen: str | None, read: str) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "GOMP_SPINCOUNT"} | {"OMP_DISPLAY_ENV": "VERBOSE"}
    if chosen is not None:
        environment["GOMP_SPINCOUNT"] = chosen
    script = "import unet_gui.engine.train"
    told = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert set(re.findall(r"GOMP_SPINCOUNT = '(\d+)'", told.stderr)) == {read}


def test_pictures_lie_plainly_on_apple_s_gpu() -> None:
    assert layout_of("mps") == torch.contiguous_format
    assert layout_of("cpu") == layout_of("cuda") == torch.channels_last
