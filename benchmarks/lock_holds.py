"""How long the worker keeps Python's lock at a stretch while torch is imported, a training prepared, and while it runs.

    python benchmarks/lock_holds.py [--seconds 20]

`ui_lateness.py` measures what a person feels, and on a machine that does other things as well it measures those. Here
a thread that wants the lock every 2 ms, as the window does, notes how long it waited and how much processor time the
worker burned meanwhile; the smaller of the two is what the worker is to blame for. Prints one JSON line a phase, where
the worker was at its longest stretches, and how long a collection of garbage takes afterwards. Without bytecode files
(``PYTHONDONTWRITEBYTECODE``, or a fresh installation that was not compiled) modules are compiled under the lock; the
first line says whether there are some.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import FrameType

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

PERIOD = 0.002


def where(frame: FrameType | None) -> str:
    """Return the innermost calls of a thread."""
    calls: list[str] = []
    while frame is not None and len(calls) < 3:
        calls.append(f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} {frame.f_code.co_name}")
        frame = frame.f_back
    return " < ".join(calls)


def has_bytecode(module: str) -> bool:
    """Whether a module's bytecode is on disk."""
    spec = importlib.util.find_spec(module)
    return bool(spec and spec.cached and Path(spec.cached).exists())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20)
    options = parser.parse_args()
    import numpy  # noqa: F401 - the window has it long before
    import PySide6.QtWidgets  # noqa: F401

    from unet_gui.app.application import SWITCH_INTERVAL
    from unet_gui.app.jobs import _Worker
    from unet_gui.app.model_jobs import TrainJob
    from unet_gui.core.sample import write_sample
    from unet_gui.engine.recipe import TrainConfig

    print(json.dumps({"bytecode": {name: has_bytecode(name) for name in ("torch.nn", "unet_gui.engine.train")}}))
    sys.setswitchinterval(SWITCH_INTERVAL)
    gc.disable()  # the window collects garbage on its own thread; how long that takes is said at the end
    folder = Path(tempfile.mkdtemp()) / "sample"
    write_sample(folder)
    phase, over, gone = ["starting"], threading.Event(), threading.Event()

    def work() -> None:
        _Worker().step_back()
        end = float("inf")
        for event in TrainJob(folder, None, None, folder / "m.safetensors", TrainConfig(minutes=60.0))():
            if event.kind == "step_done" and phase[0] == "starting":
                phase[0], end = "training", time.perf_counter() + options.seconds
            if time.perf_counter() > end:
                break
        over.set()
        gone.wait()  # the clock of a thread ends with it

    worker = threading.Thread(target=work)
    worker.start()
    assert worker.ident is not None
    clock = time.pthread_getcpuclockid(worker.ident)
    found: dict[str, list[tuple[float, str]]] = {"starting": [], "training": []}
    while not over.is_set():
        now, burned = time.perf_counter(), time.clock_gettime(clock)
        time.sleep(PERIOD)
        late = time.perf_counter() - now - PERIOD
        held = min(late, time.clock_gettime(clock) - burned)
        place = where(sys._current_frames().get(worker.ident)) if held > 0.005 else ""
        found[phase[0]].append((held * 1000, place))
    gone.set()
    worker.join()
    for name, stretches in found.items():
        ordered = sorted(stretches)
        p99 = ordered[int(0.99 * len(ordered))][0]
        print(json.dumps({"phase": name, "p99_ms": round(p99, 1), "worst_ms": round(ordered[-1][0], 1)}))
        for held, place in ordered[:-6:-1]:
            print(f"    {held:5.1f} ms  {place}")
    began = time.perf_counter()
    gc.collect()
    print(json.dumps({"collection_ms": round((time.perf_counter() - began) * 1000, 1)}))


if __name__ == "__main__":
    main()
