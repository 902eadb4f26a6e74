"""Small images on a processor: each core computes images of its own, in place of all cores sharing every layer.

Threads that share a layer wait for each other some hundred times in an image, and for whichever of them had to give its
core to the reading and writing of files. Threads that share nothing do not.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
T = TypeVar("T")


class Lanes:
    """Threads in each of which torch computes with one core.

    Parameters
    ----------
    count : int

    Attributes
    ----------
    count : int
    """

    def __init__(self, count: int) -> None:
        self.count = count
        ready = threading.Barrier(count + 1)
        self._pool = ThreadPoolExecutor(count, "lane", _use_one_core, (ready,))
        for _ in range(count):  # each starts a thread, as none of them is idle before all are there
            self._pool.submit(int)
        threads = torch.get_num_threads()
        ready.wait()
        torch.set_num_threads(threads)  # what the threads asked for holds for them, and for threads that begin later

    def submit(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Do something in the next lane that is free."""
        return self._pool.submit(work, *args, **kwargs)

    def close(self) -> None:
        """Wait for what is being done; forget the rest."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _use_one_core(ready: threading.Barrier) -> None:
    torch.get_num_threads()  # torch gives a thread its number when it is first asked for, and not again
    torch.set_num_threads(1)
    ready.wait()
