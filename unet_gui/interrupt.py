"""Ctrl-C: heard at once, obeyed where it does no harm.

Raised wherever the program happens to be, as Python does by itself, an interrupt tears an import in two, is swallowed
by libraries that call back into Python, or ends the process from inside one. So it is noted, and a job is stopped
between two of its events, which come several times a second. A second one is not so patient.

A job hears ``SIGTERM``, too, with which a cluster takes a computer back: a training leaves a state to go on from.
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
    if _listening or threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    ours = [number for number, handler in usual.items() if handler not in (signal.SIG_IGN, None)]
    _heard, _at_once, _listening = False, False, True
    for number in ours:
        signal.signal(number, _note)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_IGN if last and number == signal.SIGINT else usual[number])
        _listening = False


def check() -> None:
    """Raise KeyboardInterrupt if there was one: this is a good moment."""
    if _heard:
        raise KeyboardInterrupt


def at_once() -> None:
    """Raise KeyboardInterrupt from now on wherever the program is: all is imported, and nothing has to be put away.

    Nobody waits for that after a ``SIGTERM``, which ends the program.
    """
    global _at_once
    _at_once = True
    if signal.getsignal(signal.SIGTERM) is _note:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    check()


def _note(_number: int, _frame: FrameType | None) -> None:
    global _heard
    again, _heard = _heard, True
    if again or _at_once:
        raise KeyboardInterrupt
