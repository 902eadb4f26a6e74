"""The wheel as a person gets it: built, installed with its dependencies into a clean venv, and run there."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from unet_gui import __version__

ROOT = Path(__file__).resolve().parents[1]


def run(*words: str | Path, cwd: Path) -> str:
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY", "PYTHONPATH")}
    done = subprocess.run(
        [str(word) for word in words], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("CI") != "true", reason="installs all dependencies once more; CI=true does it")
def test_wheel_in_a_clean_venv(tmp_path: Path) -> None:
    # beside the tests' own settings the installer keeps using the cache that the machine has
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, ROOT, cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    venv.create(tmp_path / "venv", with_pip=True)
    programs = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin")
    run(programs / "python", "-m", "pip", "install", "-q", wheel, cwd=tmp_path)
    assert __version__ in run(programs / "unet-gui", "--version", cwd=tmp_path)
    said = run(programs / "unet-gui", "demo", "demo", "--minutes", "0.1", cwd=tmp_path)
    assert "Rand F" in said
    assert (tmp_path / "demo" / "contact-sheet.png").stat().st_size > 10_000
    where = run(
        programs / "python", "-c", "from unet_gui.paths import resource; print(resource('icons'))", cwd=tmp_path
    )
    assert str(tmp_path) in where, "resources travel in the wheel"
    assert any(Path(where.strip()).iterdir())
