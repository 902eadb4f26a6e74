"""Training in several processes, started by ``torchrun``: the same steps, the same weights, one writer."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence

import torch
import torch.distributed as dist
from torch import Tensor

from unet_gui.core.errors import UserError
from unet_gui.engine.device import DeviceChoice, pick_device


class Together:
    """The processes that train one network. Alone, everything here does nothing.

    Attributes
    ----------
    rank, count : int
        This process's number and how many there are.
    """

    def __init__(self, rank: int = 0, count: int = 1, device: torch.device | None = None) -> None:
        self.rank, self.count = rank, count
        self._device = device or torch.device("cpu")

    @property
    def leads(self) -> bool:
        """Whether this process validates, writes and tells."""
        return self.rank == 0

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their mean over the processes, in place, in one message; raises what `agree` does."""
        if self.count == 1:
            return
        flat = torch.cat([t.reshape(-1).float() for t in tensors])
        with _heard():
            dist.all_reduce(flat)
        flat /= self.count
        start = 0
        for tensor in tensors:
            tensor.copy_(flat[start : start + tensor.numel()].reshape(tensor.shape))
            start += tensor.numel()

    def agree(self, *values: float) -> tuple[float, ...]:
        """Return the leading process's numbers in every process.

        Raises
        ------
        UserError
            Another process has ended meanwhile.
        """
        if self.count == 1:
            return values
        shared = torch.tensor(values, dtype=torch.float64 if self._device.type != "mps" else torch.float32)
        shared = shared.to(self._device)
        with _heard():
            dist.broadcast(shared, 0)
        return tuple(float(v) for v in shared.tolist())

    def part(self) -> None:
        """Leave the group."""
        if self.count > 1 and dist.is_initialized():
            dist.destroy_process_group()


@contextlib.contextmanager
def _heard() -> Iterator[None]:
    """Say in words that another process does not answer any more."""
    try:
        yield
    except RuntimeError as error:
        raise UserError(
            "Another process of this training has ended, so it stops here too.",
            hint="Look above for why. What was learned is saved: the same command with --resume goes on.",
            details=str(error),
        ) from error


def join(wish: str) -> tuple[Together, DeviceChoice]:
    """Find out whether ``torchrun`` started several processes, and join them.

    Parameters
    ----------
    wish : str
        As in `pick_device`; with several CUDA cards each process of a machine takes one.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1 or not dist.is_available():
        return Together(), pick_device(wish)
    local = int(os.environ.get("LOCAL_RANK", "0"))
    device = pick_device(wish)
    if device.type == "mps" and wish.strip().lower() == "auto":
        device = pick_device("cpu")  # processes cannot talk from Apple's GPU
    if device.type == "cuda":
        device = pick_device(f"cuda:{local % torch.cuda.device_count()}")
        torch.cuda.set_device(device.torch)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" and dist.is_nccl_available() else "gloo")
    return Together(dist.get_rank(), count, device.torch), device
