"""Where to compute: an NVIDIA or AMD card, Apple's GPU, or the processor, and why in plain words."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from unet_gui.core.errors import UserError


@dataclass(frozen=True)
class DeviceChoice:
    """A device and what to tell about it.

    Attributes
    ----------
    name : str
        For torch: ``"cpu"``, ``"cuda:0"``, ``"mps"``.
    note : str
        One plain sentence: what it is, or why a better one is not used.
    """

    name: str
    note: str

    @property
    def type(self) -> str:
        """``"cpu"``, ``"cuda"`` or ``"mps"``."""
        return self.name.partition(":")[0]

    @property
    def torch(self) -> torch.device:
        """The same for torch."""
        return torch.device(self.name)


def layout_of(kind: str) -> torch.memory_format:
    """Return how pictures lie in memory on a kind of device: channels last, where that is faster and right.

    On Apple's GPU gradients through batch normalisation, and parts cut out of such pictures, come out wrong, and in
    some versions of macOS end with an error: https://github.com/pytorch/pytorch/issues/175189, 181411, 180984.
    """
    return torch.contiguous_format if kind == "mps" else torch.channels_last


def pick_device(wish: str = "auto") -> DeviceChoice:
    """Choose the device.

    Parameters
    ----------
    wish : str
        ``"auto"`` takes the first that works of CUDA, MPS and CPU; ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``
        takes that one.

    Raises
    ------
    UserError
        The device asked for is not there or does not work.
    """
    wish = wish.strip().lower()
    kind, _, number = wish.partition(":")
    if kind not in ("auto", "cpu", "cuda", "mps") or (number and not (kind == "cuda" and number.isdigit())):
        raise UserError(f"There is no device called “{wish}”.", hint="Use auto, cpu, cuda, cuda:1 or mps.")
    if kind == "cpu":
        return DeviceChoice("cpu", f"Computing on the processor, {_threads()}.")
    notes = []
    if kind in ("auto", "cuda"):
        problem = _cuda_problem(int(number or 0))
        if not problem:
            index = int(number or 0)
            return DeviceChoice(f"cuda:{index}", f"Computing on {torch.cuda.get_device_name(index)}.")
        notes.append(problem)
    if kind in ("auto", "mps"):
        problem = _mps_problem()
        if not problem:
            return DeviceChoice("mps", "Computing on Apple's GPU.")
        notes.append(problem)
    if kind != "auto":
        raise UserError(
            f"The device “{wish}” cannot be used.", hint=f"{notes[-1]} Use auto or cpu to go on without it."
        )
    why = next((n for n in notes if "no graphics card" not in n and "no Apple" not in n), "")
    return DeviceChoice("cpu", f"Computing on the processor, {_threads()}. {why}".strip())


def _threads() -> str:
    count = torch.get_num_threads()
    return f"{count} thread{'s' if count != 1 else ''}"


def _cuda_problem(index: int) -> str:
    """Return why CUDA device ``index`` cannot be used, or ""."""
    if torch.version.cuda is None and torch.version.hip is None:
        if _has_nvidia():
            return (
                "An NVIDIA card is there, but this PyTorch was built without CUDA: install the CUDA build of PyTorch."
            )
        return "There is no graphics card that PyTorch could use."
    if not torch.cuda.is_available():
        if _has_nvidia():
            return (
                "An NVIDIA card is there, but PyTorch cannot use it: its driver is missing or too old for this PyTorch."
            )
        return "There is no graphics card that PyTorch could use."
    if index >= torch.cuda.device_count():
        return f"There is no graphics card number {index}; they count from 0 to {torch.cuda.device_count() - 1}."
    try:
        probe = torch.ones(8, 8, device=f"cuda:{index}")
        total = float((probe @ probe).sum())
    except RuntimeError as error:
        name = torch.cuda.get_device_name(index)
        return f"The graphics card {name} is there but does not compute ({_first_line(error)})."
    return "" if total == 512 else "The graphics card computes wrong numbers."


def _mps_problem() -> str:
    """Return why Apple's GPU cannot be used, or ""."""
    if sys.platform != "darwin":
        return "There is no Apple GPU here."
    if not torch.backends.mps.is_built():
        return "This PyTorch was built without support for Apple's GPU."
    if not torch.backends.mps.is_available():
        return f"Apple's GPU needs macOS 12.3 or newer; this is {platform.mac_ver()[0]}."
    try:
        total = float(torch.ones(64, device="mps").sum())
    except RuntimeError as error:
        return f"Apple's GPU does not compute ({_first_line(error)})."
    return "" if total == 64 else "Apple's GPU computes wrong numbers."


def _has_nvidia() -> bool:
    """Whether the operating system knows an NVIDIA card."""
    if sys.platform == "win32":
        return os.path.exists(os.path.join(os.environ.get("SYSTEMROOT", r"C:\Windows"), "System32", "nvcuda.dll"))
    return os.path.exists("/proc/driver/nvidia/version") or os.path.exists("/dev/nvidia0")


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0][:160]


_KEPT = False


def keep_freed_memory() -> None:
    """Tell glibc to keep large blocks that were freed instead of returning them to the system at once.

    Otherwise every layer of every step asks the system for fresh zeroed pages. Does nothing elsewhere.
    """
    global _KEPT
    if _KEPT or not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # another C library
        return
    trim_threshold, mmap_threshold = -1, -3
    mallopt(mmap_threshold, 1 << 30)
    mallopt(trim_threshold, 512 << 20)
    _KEPT = True


WITHOUT_BF16 = ("NO AVX", "AVX2")
"""Kinds of processor that have no bfloat16 instructions, by `torch.backends.cpu`: trying them takes a second or two."""


SLOW_STEP = 1.0
"""Seconds; a step that takes longer is not measured again."""


def bf16_pays(net: nn.Module, sample: Tensor, device: DeviceChoice) -> bool:
    """Tell whether bfloat16 makes this network faster here.

    On a processor with bfloat16 instructions a training step takes little more than half the time; on one without,
    many times as long. Weights stay in 32 bits either way. A step is measured only where it is not known whether there
    are such instructions: beside other programs the answer differs from run to run, and with it the weights.

    Parameters
    ----------
    net : nn.Module
        On the device; where it is measured it gets gradients, and loses them again.
    sample : Tensor
        A small batch.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    known = has_bf16()
    if known is not None:
        return known
    full, reduced = step_seconds(net, sample)
    return reduced < 0.85 * full


def has_bf16() -> bool | None:
    """Whether the processor multiplies in bfloat16 by itself; None where torch does not tell."""
    if not torch._C._has_mkldnn or torch.backends.cpu.get_cpu_capability() in WITHOUT_BF16:
        return False
    asked = [getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")]
    if platform.machine().lower() not in ("x86_64", "amd64") or None in asked:
        return None
    return any(ask() for ask in asked if ask is not None)


def step_seconds(net: nn.Module, sample: Tensor) -> tuple[float, float]:
    """Measure how long a processor takes forward and backward in 32 bits, and in 16 (infinitely where it has none).

    Parameters
    ----------
    net : nn.Module
        Gets gradients, loses them again; its running statistics stay.
    sample : Tensor
        A batch.
    """
    full = _step_seconds(net, sample, False)
    if has_bf16() is False:
        return full, float("inf")
    return full, _step_seconds(net, sample, True)


def _step_seconds(net: nn.Module, sample: Tensor, reduced: bool) -> float:
    buffers = {k: v.clone() for k, v in net.named_buffers()}
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=reduced):
            out = net(sample)
        out.float().square().mean().backward()
        net.zero_grad(set_to_none=True)
        best = min(best, time.perf_counter() - start)
        if best > SLOW_STEP:
            break
    with torch.no_grad():
        for name, buffer in net.named_buffers():
            buffer.copy_(buffers[name])
    return best
