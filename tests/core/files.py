"""Making pictures and folders for tests, and running a test without the rights of root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from unet_gui.core import png
from unet_gui.core.cv import cv2

NOBODY = 65534


def pattern(shape: tuple[int, ...], dtype: str = "uint8", seed: int = 0) -> np.ndarray:
    """Return an array that uses the whole range of its type and is nowhere the same as nearby."""
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return (rng.standard_normal(shape) * 100).astype(kind)
    limits = np.iinfo(kind)
    return rng.integers(limits.min, limits.max, shape, dtype=kind, endpoint=True)


def smooth(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Return an RGB picture like a photograph, so that lossy formats keep it nearly."""
    noise = np.random.default_rng(seed).random((*shape, 3)).astype(np.float32)
    blurred = cv2.GaussianBlur(noise, (0, 0), 6)
    return cv2.normalize(blurred, None, 20, 235, cv2.NORM_MINMAX).astype(np.uint8)


def images(root: Path, *names: str, size: tuple[int, int] = (20, 30)) -> Path:
    """Write small grey images below a folder and return it."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(png.encode(pattern(size)))
    return root


@contextmanager
def open_folder() -> Iterator[Path]:
    """Give a folder that every user can reach (pytest's own are closed to others)."""
    folder = Path(tempfile.mkdtemp(prefix="unet-gui-test-"))
    folder.chmod(0o777)
    try:
        yield folder
    finally:
        for path in [folder, *folder.rglob("*")]:
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o777)
        shutil.rmtree(folder)


@contextmanager
def without_rights() -> Iterator[None]:
    """Run the block as a user whom closed files are closed to: as somebody else when we are root.

    Modules that are not imported yet cannot be, when Python is installed in a closed folder.
    """
    if sys.platform == "win32":
        pytest.skip("permissions work differently on Windows")
    root = os.geteuid() == 0
    if root:
        os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        if root:
            os.setresuid(0, 0, 0)


def run_python(code: str, *arguments: object) -> str:
    """Run Python code in a fresh process and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
