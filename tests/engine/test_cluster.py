"""Segmenting on a real scheduler with real worker processes, one of which is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.engine.conftest import blobs
from unet_gui.core.cv import cv2
from unet_gui.core.errors import UserError
from unet_gui.core.store import INDEX, read_label
from unet_gui.engine.events import ImageDone, ImageFailed, SegmentFinished, SegmentStarted
from unet_gui.engine.recipe import SegmentConfig, SegmentItem
from unet_gui.engine.segment import segment

pytest.importorskip("distributed", reason="needs the extra unet-gui[cluster]")
pytestmark = pytest.mark.filterwarnings("ignore")  # of Dask's own threads and sockets at their end


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler and two workers as processes of their own."""
    where = tmp_path / "scheduler.json"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": environment, "cwd": tmp_path}
    start = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(where)]
    commands = [[*start, *options]]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(where)]
    options = ["--nworkers", "1", "--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1"]
    commands += [[*worker, *options]] * 2
    processes = [subprocess.Popen(command, **quiet) for command in commands]  # type: ignore[call-overload]
    try:
        yield _address(where), processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _address(where: Path) -> str:
    """Wait for the two workers and return the scheduler's address."""
    import json

    from distributed import Client

    while not where.exists() or not where.read_text().strip():
        time.sleep(0.05)
    address = str(json.loads(where.read_text())["address"])
    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(2)
    return address


def _items(folder: Path, out: Path, count: int, size: tuple[int, int] = (200, 200)) -> list[SegmentItem]:
    folder.mkdir()
    for i in range(count):
        cv2.imwrite(str(folder / f"{i}.png"), blobs(i, size)[0])
    return [SegmentItem(folder / f"{i}.png", 0, out / f"{i}.png") for i in range(count)]


def test_as_at_home_with_a_bad_image_and_a_lost_worker(
    cluster: tuple[str, list[subprocess.Popen[bytes]]], tmp_path: Path, tiny_model: Path
) -> None:
    from unet_gui.engine.cluster import segment_on_cluster

    address, (_, first, _) = cluster
    items = _items(tmp_path / "images", tmp_path / "out", 40)
    items[7].path.write_bytes(b"no picture")
    config = SegmentConfig(tiny_model, device="cpu")
    events = []
    for event in segment_on_cluster(items, config, address):
        events.append(event)
        if sum(isinstance(e, ImageDone) for e in events) == 5 and psutil.pid_exists(first.pid):
            first.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
            first.wait()
    assert isinstance(events[0], SegmentStarted)
    last = events[-1]
    assert isinstance(last, SegmentFinished)
    assert (last.done, last.failed) == (39, 1)
    (failed,) = [e for e in events if isinstance(e, ImageFailed)]
    assert failed.item == 7
    assert failed.unreadable
    at_home = [SegmentItem(i.path, 0, tmp_path / "home" / i.out.name) for i in items if i is not items[7]]
    list(segment(at_home, config))
    for item in at_home:
        wanted = read_label(item.out, INDEX)
        assert np.array_equal(read_label(tmp_path / "out" / item.out.name, INDEX), wanted)
    again = list(segment_on_cluster(items, config, address))[-1]
    assert isinstance(again, SegmentFinished)
    assert (again.done, again.skipped, again.failed) == (0, 39, 1)


def test_a_result_that_does_not_come_is_asked_for_again(
    cluster: tuple[str, list[subprocess.Popen[bytes]]],
    tmp_path: Path,
    tiny_model: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As when its worker is lost after it was ready: to wait for it took five minutes, which nobody could stop."""
    from distributed import Future

    from unet_gui.engine.cluster import segment_on_cluster

    asked, plain = Counter[str](), Future.result

    def result(self: Future, timeout: float | None = None) -> object:
        asked[self.key] += 1
        if asked[self.key] < 3:
            raise TimeoutError
        return plain(self, timeout)

    monkeypatch.setattr(Future, "result", result)
    items = _items(tmp_path / "images", tmp_path / "out", 4)
    last = list(segment_on_cluster(items, SegmentConfig(tiny_model, device="cpu"), cluster[0]))[-1]
    assert isinstance(last, SegmentFinished)
    assert (last.done, last.failed) == (4, 0)
    assert len(asked) == 4
    assert min(asked.values()) == 3


def test_every_worker_is_lost_and_another_one_comes(
    cluster: tuple[str, list[subprocess.Popen[bytes]]], tmp_path: Path, tiny_model: Path
) -> None:
    """Nobody has the model any more then but the scheduler."""
    from unet_gui.engine.cluster import segment_on_cluster

    address, processes = cluster
    items = _items(tmp_path / "images", tmp_path / "out", 30)
    events = []
    for event in segment_on_cluster(items, SegmentConfig(tiny_model, device="cpu"), address):
        events.append(event)
        if sum(isinstance(e, ImageDone) for e in events) == 3 and len(processes) == 3:
            for process in processes[1:]:
                process.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
                process.wait()
            environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
            processes.append(subprocess.Popen(processes[1].args, env=environment, cwd=tmp_path))
    last = events[-1]
    assert isinstance(last, SegmentFinished)
    assert (last.done, last.failed) == (30, 0)


def test_stopping(cluster: tuple[str, list[subprocess.Popen[bytes]]], tmp_path: Path, tiny_model: Path) -> None:
    from unet_gui.engine.cluster import segment_on_cluster

    address, _ = cluster
    items = _items(tmp_path / "images", tmp_path / "out", 60, (300, 300))
    run = segment_on_cluster(items, SegmentConfig(tiny_model, device="cpu"), address)
    assert any(isinstance(event, ImageDone) for event in run)
    run.close()
    written = [p for p in (tmp_path / "out").iterdir() if p.suffix == ".png"]
    assert 0 < len(written) < 60
    assert all(read_label(p, INDEX).shape == (300, 300) for p in written)


@pytest.mark.parametrize("address", ["nonsense", "localhost", ""])
def test_what_is_no_address_is_said_at_once(address: str, tiny_model: Path) -> None:
    from unet_gui.engine.cluster import segment_on_cluster

    with pytest.raises(UserError, match="no address of a scheduler"):
        list(segment_on_cluster([], SegmentConfig(tiny_model, device="cpu"), address))


def test_no_scheduler(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from unet_gui.engine import cluster as module

    monkeypatch.setattr(module, "CONNECT_SECONDS", 1)
    with pytest.raises(UserError, match="does not answer"):
        list(module.segment_on_cluster([], SegmentConfig(tiny_model), "tcp://127.0.0.1:9"))
