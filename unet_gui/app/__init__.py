"""The window. PySide6 lives here and nowhere below; torch is imported only inside a running job."""

import sys


def _keep_true_alive() -> None:
    """Survive PySide6 6.12.0, whose ``Signal.emit`` gives back ``True`` without owning a reference to it.

    Before Python 3.12 ``True`` is counted like any object: every signal takes one away and after some thousands
    the process aborts with "deallocating True or False". A count that no run can use up makes it harmless; where
    the fault is mended, or bools are immortal, nothing changes.
    """
    if sys.version_info >= (3, 12) or sys.implementation.name != "cpython" or hasattr(sys, "gettotalrefcount"):
        return
    import ctypes

    ctypes.c_ssize_t.from_address(id(True)).value += 1 << 40 if sys.maxsize > 1 << 32 else 1 << 29


_keep_true_alive()
