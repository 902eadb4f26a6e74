"""Importing big libraries in the worker without holding up the window.

Importing torch takes two seconds, and the window would stand still for parts of it: while the dynamic linker loads the
library under Python's global lock, and while the garbage collector goes through the hundred thousand objects made.
So the library is loaded beforehand by a foreign call, which gives the lock free, and the collector rests meanwhile and
leaves these objects alone afterwards: they live as long as the program.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import importlib.util
import os
import sys
from pathlib import Path

_LIBRARIES = {
    "linux": ("libc10.so", "libtorch_cpu.so", "libtorch_python.so"),
    "darwin": ("libc10.dylib", "libtorch_cpu.dylib", "libtorch_python.dylib"),
}


def import_quietly(*modules: str) -> None:
    """Import modules; the import statements that follow find it done.

    Parameters
    ----------
    modules : str
        E.g. ``"unet_gui.engine.train"``, which brings torch with it. One that cannot be imported is left to the import
        statement, which says why.
    """
    wanted = [module for module in modules if module not in sys.modules]
    if not wanted:
        return
    if any(module.startswith("unet_gui.engine") for module in wanted) and "torch" not in sys.modules:
        _load_libraries()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        for module in wanted:
            with contextlib.suppress(ImportError):
                importlib.import_module(module)
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


def _load_libraries() -> None:
    """Have the linker load torch's libraries without the global lock, where that is possible."""
    spec = importlib.util.find_spec("torch")  # finds the package, does not run it
    if spec is None or spec.origin is None or sys.platform not in _LIBRARIES:
        return
    folder = Path(spec.origin).parent / "lib"
    # where the package has another layout the import does it all, only less smoothly
    with contextlib.suppress(OSError, AttributeError):
        dlopen = ctypes.CDLL(None).dlopen  # ctypes.CDLL itself would keep the lock
        dlopen.restype = ctypes.c_void_p
        dlopen.argtypes = (ctypes.c_char_p, ctypes.c_int)
        for name in _LIBRARIES[sys.platform]:
            dlopen(os.fsencode(folder / name), os.RTLD_LAZY)
