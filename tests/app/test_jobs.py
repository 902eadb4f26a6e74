"""The worker: order, ends, cancel, throttling, and that nothing an exception does leaves the window waiting."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
from PySide6.QtCore import QThread
from pytestqt.qtbot import QtBot

from unet_gui.app.jobs import NICE, Job, JobError, JobRunner, Turn
from unet_gui.core.errors import ModelError
from unet_gui.engine.events import TICK, StepDone, TrainStarted, Warned

Events = Generator[Any, None, Any]


class Log:
    """Everything a runner says, in order."""

    def __init__(self, runner: JobRunner) -> None:
        self.rows: list[tuple[str, int, Any]] = []
        runner.started.connect(self._started)
        runner.progressed.connect(self._progressed)
        runner.finished.connect(self._finished)
        runner.failed.connect(self._failed)
        runner.cancelled.connect(self._cancelled)

    def _started(self, job: Job) -> None:
        self.rows.append(("started", job.id, None))

    def _progressed(self, job: Job, event: Any) -> None:
        self.rows.append(("progressed", job.id, event))

    def _finished(self, job: Job, result: Any) -> None:
        self.rows.append(("finished", job.id, result))

    def _failed(self, job: Job, error: JobError) -> None:
        self.rows.append(("failed", job.id, error))

    def _cancelled(self, job: Job) -> None:
        self.rows.append(("cancelled", job.id, None))

    def ends(self, job: Job) -> list[str]:
        """How the job ended; must hold exactly one."""
        return [name for name, number, _ in self.rows if number == job.id and name not in {"started", "progressed"}]

    def events(self, job: Job) -> list[Any]:
        """What the job said."""
        return [event for name, number, event in self.rows if number == job.id and name == "progressed"]

    def value(self, job: Job) -> Any:
        """The result or error."""
        return next(v for name, number, v in self.rows if number == job.id and name in {"finished", "failed"})


@pytest.fixture
def runner(qtbot: QtBot) -> Iterator[JobRunner]:
    runner = JobRunner()
    yield runner
    runner.shutdown()


@pytest.fixture
def log(runner: JobRunner) -> Log:
    return Log(runner)


def step(n: int) -> StepDone:
    return StepDone(n, None, 0.5, 1e-3, 1.0, 0.1, None)


def run(qtbot: QtBot, runner: JobRunner, log: Log, *starts: Callable[[], Events]) -> list[Job]:
    jobs = [runner.submit(Job("test", "Test", start)) for start in starts]
    qtbot.waitUntil(lambda: not runner.busy)
    return jobs


def test_result_and_every_event_arrive_in_the_window_s_thread(qtbot: QtBot, runner: JobRunner, log: Log) -> None:
    seen: dict[str, Any] = {}

    def work() -> Events:
        seen["worker"] = QThread.currentThread()
        yield Warned("a")
        yield Warned("b")
        return 7

    runner.progressed.connect(lambda *_: seen.setdefault("slot", QThread.currentThread()))
    (job,) = run(qtbot, runner, log, work)
    assert log.rows == [
        ("started", job.id, None),
        ("progressed", job.id, Warned("a")),
        ("progressed", job.id, Warned("b")),
        ("finished", job.id, 7),
    ]
    assert seen["worker"] != seen["slot"]
    assert seen["slot"] == runner.thread()


def test_jobs_run_one_after_another(qtbot: QtBot, runner: JobRunner, log: Log) -> None:
    order: list[str] = []

    def make(name: str) -> Callable[[], Events]:
        def work() -> Events:
            order.append(name + " in")
            yield Warned(name)
            order.append(name + " out")

        return work

    run(qtbot, runner, log, make("a"), make("b"), make("c"))
    assert order == ["a in", "a out", "b in", "b out", "c in", "c out"]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "not enough memory"),
        (MemoryError(), "not enough memory"),
        (ValueError("bad shape\nmore"), "bad shape"),
        (FileNotFoundError(2, "No such file or directory", "/x/y.png"), "No such file"),
        (StopIteration(), "StopIteration"),
        (SystemExit(3), "3"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
    ],
)
@pytest.mark.parametrize("when", ["at once", "later"])
def test_whatever_is_raised_ends_as_failed_and_the_next_job_runs(
    qtbot: QtBot, runner: JobRunner, log: Log, error: BaseException, text: str, when: str
) -> None:
    def bad() -> Events:
        if when == "later":
            yield Warned("so far")
        raise error

    def good() -> Events:
        yield Warned("fine")
        return "done"

    first, second = run(qtbot, runner, log, bad, good)
    assert log.ends(first) == ["failed"]
    assert text in log.value(first).text + log.value(first).traceback
    assert "Traceback" in log.value(first).traceback
    assert log.ends(second) == ["finished"]


def test_an_error_for_people_keeps_its_words(qtbot: QtBot, runner: JobRunner, log: Log) -> None:
    def bad() -> Events:
        raise ModelError("The model has 3 classes.", "/m.safetensors", "Choose another.", "header …")
        yield

    (job,) = run(qtbot, runner, log, bad)
    error = log.value(job)
    assert (error.type, error.text, error.hint, error.path) == (
        "ModelError",
        "The model has 3 classes.",
        "Choose another.",
        "/m.safetensors",
    )
    assert error.traceback.startswith("header …")


def test_a_start_that_raises_ends_as_failed(qtbot: QtBot, runner: JobRunner, log: Log) -> None:
    def bad() -> Events:
        raise RuntimeError("no generator at all")

    (job,) = run(qtbot, runner, log, bad)
    assert log.ends(job) == ["failed"]


def test_cancel_closes_the_generator_between_two_events(qtbot: QtBot, runner: JobRunner, log: Log) -> None:
    closed = threading.Event()
    cleaned_in: list[QThread] = []

    def endless() -> Events:
        try:
            yield Warned("under way")
            while True:
                yield TICK
        finally:
            cleaned_in.append(QThread.currentThread())
            closed.set()

    job = Job("test", "Test", endless)
    with qtbot.waitSignal(runner.progressed):
        runner.submit(job)
    runner.cancel(job)
    qtbot.waitUntil(lambda: not runner.busy)
    assert log.ends(job) == ["cancelled"]
    assert closed.is_set()
    assert cleaned_in[0] != runner.thread()


def test_cancel_before_the_start_never_starts(qtbot: QtBot, runner: JobRunner, log: Log) -> None:
    gate = threading.Event()
    touched: list[int] = []

    def first() -> Events:
        yield Warned("waiting")
        gate.wait()

    def second() -> Events:
        touched.append(1)
        yield Warned("never")

    a, b = runner.submit(Job("t", "A", first)), runner.submit(Job("t", "B", second))
    runner.cancel(b)
    gate.set()
    qtbot.waitUntil(lambda: not runner.busy)
    assert (log.ends(a), log.ends(b), touched) == (["finished"], ["cancelled"], [])


def test_a_waiting_job_is_cancelled_at_once(qtbot: QtBot, runner: JobRunner, log: Log) -> None:
    gate = threading.Event()

    def long() -> Events:
        yield Warned("under way")
        gate.wait()

    first, second, third = (runner.submit(Job("t", name, long)) for name in "ABC")
    runner.cancel(second)
    assert log.ends(second) == ["cancelled"]
    assert runner.pending() == [first, third]
    gate.set()
    qtbot.waitUntil(lambda: not runner.busy)
    assert [log.ends(job) for job in (first, second, third)] == [["finished"], ["cancelled"], ["finished"]]


@pytest.mark.parametrize("urgent", [False, True])
def test_a_job_is_prepared_when_its_turn_has_come(qtbot: QtBot, runner: JobRunner, log: Log, urgent: bool) -> None:
    """On the window's thread, one after another, and each when everybody has heard of the end of the one before."""
    order: list[str] = []
    asked: dict[str, Turn] = {}

    def make(name: str) -> Job:
        def prepare(turn: Turn) -> None:
            order.append(f"prepare {name}")
            asked[name] = turn

        def work() -> Events:
            order.append(name)
            yield Warned(name)

        return Job("t", name, work, urgent=urgent, prepare=prepare)

    runner.finished.connect(lambda job, _: order.append(f"end {job.title}"))
    jobs = [runner.submit(make(name)) for name in ("a", "b", "c")]
    assert order == ["prepare a"]
    asked["a"].go()
    qtbot.waitUntil(lambda: "prepare b" in order)
    asked["b"].give_up()
    assert order == ["prepare a", "a", "end a", "prepare b", "prepare c"]
    runner.cancel(jobs[2])
    asked["c"].go()
    qtbot.waitUntil(lambda: not runner.busy)
    assert "c" not in order
    assert [log.ends(job) for job in jobs] == [["finished"], ["cancelled"], ["cancelled"]]


def test_an_error_while_stopping_is_said(qtbot: QtBot, runner: JobRunner, log: Log) -> None:
    def work() -> Events:
        try:
            yield Warned("under way")
            while True:
                yield TICK
        finally:
            raise OSError(28, "No space left on device", "/m.safetensors")

    job = Job("test", "Test", work)
    with qtbot.waitSignal(runner.progressed):
        runner.submit(job)
    runner.cancel()
    qtbot.waitUntil(lambda: not runner.busy)
    assert log.ends(job) == ["failed"]
    assert log.value(job).text == "No space left on device."
    assert log.value(job).path == "/m.safetensors"


def test_progress_is_thinned_but_first_last_and_news_arrive(qtbot: QtBot, runner: JobRunner, log: Log) -> None:
    many = 20_000

    def work() -> Events:
        for n in range(many):
            yield step(n)
            if n == many // 2:
                yield Warned("half")

    (job,) = run(qtbot, runner, log, work)
    events = log.events(job)
    assert events[0] == step(0)
    assert events[-1] == step(many - 1)
    half = events.index(Warned("half"))
    assert events[half - 1] == step(many // 2), "what came before the news is not overtaken by it"
    assert len(events) < many // 10


def test_ticks_are_never_delivered(qtbot: QtBot, runner: JobRunner, log: Log) -> None:
    def work() -> Events:
        for _ in range(100):
            yield TICK

    (job,) = run(qtbot, runner, log, work)
    assert log.events(job) == []
    assert log.ends(job) == ["finished"]


def test_an_urgent_job_runs_between_two_steps_of_the_running_one(qtbot: QtBot, runner: JobRunner, log: Log) -> None:
    order: list[str] = []
    go_on = threading.Event()

    def long() -> Events:
        try:
            yield Warned("under way")
            go_on.wait()
            while "quick" not in order:
                yield TICK
            order.append("long goes on")
        finally:
            order.append("long ends")

    def quick() -> Events:
        order.append("quick")
        yield Warned("quick")
        return 3

    first = Job("train", "Train", long)
    with qtbot.waitSignal(runner.progressed):
        runner.submit(first)
    waiting = runner.submit(Job("segment", "Segment", quick))
    urgent = runner.submit(Job("predict", "Predict", quick, urgent=True))
    go_on.set()
    qtbot.waitUntil(lambda: not runner.busy)
    assert order == ["quick", "long goes on", "long ends", "quick"]
    assert [log.ends(job) for job in (first, waiting, urgent)] == [["finished"]] * 3
    names = [(name, number) for name, number, _ in log.rows if name in {"started", "finished"}]
    assert names == [
        ("started", first.id),
        ("started", urgent.id),
        ("finished", urgent.id),
        ("finished", first.id),
        ("started", waiting.id),
        ("finished", waiting.id),
    ]


def test_nothing_comes_in_between_while_a_training_reads_its_labels(qtbot: QtBot, runner: JobRunner, log: Log) -> None:
    order: list[str] = []
    go_on = threading.Event()

    def long() -> Events:
        yield Warned("reading")
        assert go_on.wait(30)
        for _ in range(5):
            order.append("reads")
            yield TICK
        yield TrainStarted("cpu", (), (), (), 0, None)
        order.append("learns")

    def quick() -> Events:
        order.append("changes")
        yield TICK

    with qtbot.waitSignal(runner.progressed):
        runner.submit(Job("train", "Train", long, reading=True))
    runner.submit(Job("relabel", "Relabel", quick, urgent=True))
    go_on.set()
    qtbot.waitUntil(lambda: not runner.busy)
    assert order == [*["reads"] * 5, "changes", "learns"]


def test_an_urgent_job_that_fails_leaves_the_running_one_alone(qtbot: QtBot, runner: JobRunner, log: Log) -> None:
    tried = threading.Event()

    def long() -> Events:
        yield Warned("under way")
        while not tried.is_set():
            yield TICK
        return "whole"

    def bad() -> Events:
        tried.set()
        raise RuntimeError("CUDA error")
        yield

    first = Job("train", "Train", long)
    with qtbot.waitSignal(runner.progressed):
        runner.submit(first)
    urgent = runner.submit(Job("predict", "Predict", bad, urgent=True))
    qtbot.waitUntil(lambda: not runner.busy)
    assert (log.ends(urgent), log.ends(first), log.value(first)) == (["failed"], ["finished"], "whole")


def test_a_flood_of_signals_does_not_use_up_true(qtbot: QtBot, runner: JobRunner, log: Log) -> None:
    # PySide6 6.12.0 loses a reference to True with every signal, which ends in an abort of the process
    before = sys.getrefcount(True)

    def work() -> Events:
        for n in range(20_000):
            yield Warned(str(n))

    (job,) = run(qtbot, runner, log, work)
    assert len(log.events(job)) == 20_000
    assert sys.getrefcount(True) > min(before - 10_000, 1 << 29)


def test_shutdown_waits_and_every_job_has_its_end(qtbot: QtBot) -> None:
    runner = JobRunner()
    log = Log(runner)
    left = threading.Event()

    def endless() -> Events:
        try:
            while True:
                yield TICK
        finally:
            left.set()

    jobs = [runner.submit(Job("t", str(n), endless)) for n in range(3)]
    asked: list[Turn] = []
    jobs.append(runner.submit(Job("t", "late", endless, urgent=True, prepare=asked.append)))
    runner.shutdown()
    for turn in asked:
        turn.go()
        turn.give_up()
    assert left.is_set() or log.rows[0][0] == "cancelled"
    assert [log.ends(job) for job in jobs] == [["cancelled"]] * 4
    assert not runner.busy
    with pytest.raises(RuntimeError):
        runner.submit(Job("t", "late", endless))
    runner.shutdown()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux gives a thread its own niceness")
def test_the_worker_gives_way_to_the_window(qtbot: QtBot, runner: JobRunner, log: Log) -> None:
    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    def work() -> Events:
        yield Warned("under way")
        return niceness()

    mine = niceness()
    (job,) = run(qtbot, runner, log, work)
    assert log.value(job) == min(mine + NICE, 19)
    assert niceness() == mine
