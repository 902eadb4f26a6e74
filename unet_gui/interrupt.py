"""Ctrl-C: heard at once, obeyed where it does no harm.

Raised wherever the program happens to be, as Python does by itself, an interrupt tears an import in two, is swallowed
by libraries that call back into Python, or ends the process from inside one. So it is noted, and a job is stopped
between two of its events, which come several times a second. A second one is not so patient.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

_heard = _at_once = _listening = False


@contextlib.contextmanager
def listening(last: bool = False) -> Iterator[None]:
    """Note interrupts inside the block, the first of them; leaves alone what is to be ignored, as in a background.

    With ``last`` the program ends after the block, and an interrupt that comes then changes nothing of how it ends.
    """
    global _heard, _at_once, _listening
    usual = signal.getsignal(signal.SIGINT)
    if _listening or usual == signal.SIG_IGN or threading.current_thread() is not threading.main_thread():
        yield
        return
    _heard, _at_once, _listening = False, False, True
    signal.signal(signal.SIGINT, _note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN if last else usual)
        _listening = False


def check() -> None:
    """Raise KeyboardInterrupt if there was one: this is a good moment."""
    if _heard:
        raise KeyboardInterrupt


def at_once() -> None:
    """Raise KeyboardInterrupt from now on wherever the program is: all is imported, and nothing has to be put away."""
    global _at_once
    _at_once = True
    check()


def _note(_number: int, _frame: FrameType | None) -> None:
    global _heard
    again, _heard = _heard, True
    if again or _at_once:
        raise KeyboardInterrupt
