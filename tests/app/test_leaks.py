"""The fixture that guards all tests of the window: it must fail when something is left running."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

_HEAD = """
from PySide6.QtCore import QRunnable, QThread, QThreadPool, QTimer, QCoreApplication, qWarning
from tests.app.conftest import _no_qt_leak, _qsettings_in_tmp

app = QCoreApplication([])
kept = []
"""

_TESTS = {
    "timer": """
def test_it():
    timer = QTimer()
    kept.append(timer)
    timer.start(1000)  # LINE
""",
    "thread": """
def test_it():
    thread = QThread()
    kept.append(thread)
    thread.start()  # LINE

def teardown_module():
    for thread in kept:
        thread.quit()
        thread.wait()
""",
    "pool": """
import threading
gate = threading.Event()

class Job(QRunnable):
    def run(self):
        gate.wait(30)

def test_it(monkeypatch):
    import tests.app.conftest as conftest
    monkeypatch.setattr(conftest, "PATIENCE_MS", 50)
    pool = QThreadPool()
    kept.append(pool)
    pool.start(Job())  # LINE

def teardown_module():
    gate.set()
""",
    "nothing": """
def test_it():
    timer = QTimer()
    timer.start(1000)
    timer.stop()
    thread = QThread()
    thread.start()
    thread.quit()
    thread.wait()
""",
}


@pytest.mark.parametrize("what", list(_TESTS))
def test_what_is_left_running_fails_the_test_and_is_named(tmp_path: Path, what: str) -> None:
    file = tmp_path / "test_leaky.py"
    file.write_text(_HEAD + _TESTS[what])
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, str(file)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "QT_QPA_PLATFORM": "offscreen"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    if what == "nothing":
        assert run.returncode == 0, run.stdout
        return
    line = next(n for n, text in enumerate(file.read_text().splitlines(), 1) if text.endswith("# LINE"))
    assert run.returncode == 1, run.stdout
    assert "left running" in run.stdout
    assert f"test_leaky.py:{line}" in run.stdout
