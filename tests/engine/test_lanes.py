"""Threads that compute with one core each."""

from __future__ import annotations

import threading

import torch

from unet_gui.engine.lanes import Lanes


def test_one_core_each_and_nobody_else_notices() -> None:
    before = torch.get_num_threads()
    lanes = Lanes(3)
    meet = threading.Barrier(3)

    def look() -> tuple[int, int]:
        meet.wait()  # so that each of the three does one
        torch.rand(300, 300) @ torch.rand(300, 300)
        return torch.get_num_threads(), threading.get_ident()

    seen = [work.result() for work in [lanes.submit(look) for _ in range(3)]]
    assert [threads for threads, _ in seen] == [1, 1, 1]
    assert len({ident for _, ident in seen}) == 3
    assert torch.get_num_threads() == before
    found: list[int] = []
    later = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert found == [before], "a thread that begins later computes with all cores"
    lanes.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("lane")]


def test_closing_waits_for_what_is_being_done() -> None:
    lanes = Lanes(1)
    begun, go = threading.Event(), threading.Event()

    def work() -> str:
        begun.set()
        go.wait()
        return "done"

    first, second = lanes.submit(work), lanes.submit(work)
    dropped = threading.Event()
    second.add_done_callback(lambda _: dropped.set())
    begun.wait()
    closing = threading.Thread(target=lanes.close)
    closing.start()
    dropped.wait()
    go.set()
    closing.join()
    assert second.cancelled()
    assert first.result() == "done"
