"""A real X server for the tests that drive the real program."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def display() -> Iterator[str]:
    """The DISPLAY of an X server of our own; skipped with the reason where none can be had, a failure under CI."""
    missing = [tool for tool in ("Xvfb", "xdotool") if shutil.which(tool) is None]
    if missing:
        reason = f"needs {' and '.join(missing)} (see .ci/system-packages)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    read, write = os.pipe()
    # -displayfd: the server picks a free number and writes it when it is ready, so nothing here waits for luck
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1440x900x24", "-nolisten", "tcp"],
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    try:
        with os.fdopen(read) as pipe:
            yield f":{pipe.readline().strip()}"
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture
def play(display: str, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run one scenario of `scenarios.py` inside the real program in a process of its own."""

    def run(scenario: str, *arguments: str | Path, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        environment = dict(os.environ)
        environment.update(
            DISPLAY=display,
            QT_QPA_PLATFORM="xcb",
            HOME=str(tmp_path),
            XDG_CONFIG_HOME=str(tmp_path / "config"),
            XDG_CACHE_HOME=str(tmp_path / "cache"),
            XDG_DATA_HOME=str(tmp_path / "share"),
            UNET_GUI_SHOTS=os.environ.get("UNET_GUI_SHOTS", ""),
            PYTHONFAULTHANDLER="1",
        )
        done = subprocess.run(
            [sys.executable, "-m", "tests.e2e.driver", scenario, *map(str, arguments)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == 0, f"{scenario}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return run
