"""Reference cycles with objects of Qt in them are collected on the window's thread only."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Generator
from typing import Any

from PySide6.QtCore import QObject
from pytestqt.qtbot import QtBot

from unet_gui.app.garbage import GarbageCollector
from unet_gui.app.jobs import Job, JobRunner
from unet_gui.engine.events import TICK


class Knot(QObject):
    """Refers to itself, so that only the collector can free it."""

    def __init__(self) -> None:
        super().__init__()
        self.me = self


def test_cycles_die_on_the_window_s_thread_while_the_worker_makes_garbage(qtbot: QtBot) -> None:
    gc.enable()
    collector, runner = GarbageCollector(), JobRunner()
    died_in: list[int] = []
    for _ in range(50):
        weakref.finalize(Knot(), lambda: died_in.append(threading.get_ident()))
    collected_in: list[int] = []

    def note(phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            collected_in.append(threading.get_ident())

    gc.callbacks.append(note)

    def work() -> Generator[Any, None, None]:
        kept = []
        for n in range(200_000):  # far more than the thresholds of all generations
            kept.append([n])
            if n % 10_000 == 0:
                yield TICK

    runner.submit(Job("test", "Test", work))
    qtbot.waitUntil(lambda: not runner.busy and len(died_in) == 50, timeout=60_000)
    gc.callbacks.remove(note)
    runner.shutdown()
    collector.close()
    assert set(died_in) == {threading.get_ident()}
    assert set(collected_in) == {threading.get_ident()}
    assert gc.isenabled()


def test_all_generations_have_their_turn(qtbot: QtBot) -> None:
    collector = GarbageCollector()
    seen: set[int] = set()

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            seen.add(info["generation"])

    gc.callbacks.append(note)
    kept = []
    for _ in range(200):
        kept.append([[n] for n in range(1000)])
        collector.collect()
    gc.callbacks.remove(note)
    collector.close()
    assert seen == {0, 1, 2}
