"""Importing torch in the worker without holding up the window.

Loading its library takes a second or two of linking. Done by ``import`` this happens under Python's global lock and the
window stands still; done by ctypes beforehand, the lock is free meanwhile, and the import finds the library loaded.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import sys
from pathlib import Path

_LIBRARIES = {
    "linux": ("libc10.so", "libtorch_cpu.so", "libtorch_python.so"),
    "darwin": ("libc10.dylib", "libtorch_cpu.dylib", "libtorch_python.dylib"),
}


def import_torch() -> None:
    """Load torch's libraries without the global lock where that is possible; the import itself follows later."""
    if "torch" in sys.modules:
        return
    spec = importlib.util.find_spec("torch")  # finds the package, does not run it
    if spec is None or spec.origin is None:
        return
    folder = Path(spec.origin).parent / "lib"
    # where the package has another layout the import does it all, only less smoothly
    with contextlib.suppress(OSError):
        for name in _LIBRARIES.get(sys.platform, ()):
            ctypes.CDLL(str(folder / name), mode=ctypes.RTLD_GLOBAL)
