"""The window. PySide6 lives here and nowhere below; torch is imported only inside a running job."""

import sys

import PySide6


def _keep_singletons_alive() -> None:
    """Survive PySide6 6.12.0, which gives back ``None``, ``True`` and ``False`` without owning a reference to them.

    Before Python 3.12 they are counted like any object: every signal takes one ``True`` away and every call that
    returns nothing (``update()``, ``drawImage()`` …) one ``None``; after some thousands the process aborts with
    "deallocating None". Counts that no run can use up make it harmless. Our own requirements leave that version out.
    """
    if PySide6.__version__ != "6.12.0":
        return
    if sys.version_info >= (3, 12) or sys.implementation.name != "cpython" or hasattr(sys, "gettotalrefcount"):
        return
    import ctypes

    for singleton in (None, True, False):
        ctypes.c_ssize_t.from_address(id(singleton)).value += 1 << 40 if sys.maxsize > 1 << 32 else 1 << 29


_keep_singletons_alive()
