"""Knowing that another window has the folder open."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import time
import uuid
from pathlib import Path
from typing import Any

from unet_gui.core.atomic import write_error

_TRIES = 60
_PAUSE = 0.01
_GUARD_SECONDS = 30
_WRITE_SECONDS = 5
_BUSY = (FileNotFoundError, PermissionError)  # gone already, or (on Windows) being read this moment


class FolderLock:
    """A file that names the process which has a folder open.

    It is advice for people, not a guard against malice: it works on network disks and on every system, and one that a
    crashed program left behind is recognised when its process is gone.

    Parameters
    ----------
    path : pathlib.Path
        The lock file.

    Attributes
    ----------
    lives : bool
        Whether the one who has it, as `acquire` said, is a process that runs on this computer for certain.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lives = self._lost = False
        self._token = ""

    def acquire(self, *, anyway: bool = False) -> str:
        """Take the lock; return "" or, when somebody else has it, who.

        Parameters
        ----------
        anyway : bool
            Take it from whoever has it: a person says that nobody is there any more. A crashed program on another
            computer, or on this one before it got another name, cannot be told from a running one.

        Raises
        ------
        UserError
            The file cannot be written.
        """
        if self.is_lost() and not anyway:
            owner = _read(self.path)
            return _who(owner) if owner is not None else "another program"
        if self._token and not self._lost:
            return ""
        token = uuid.uuid4().hex
        text = json.dumps({**_myself(), "token": token, "since": time.strftime("%Y-%m-%d %H:%M")})
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            for _ in range(_TRIES):
                if _create(self.path, text):
                    self._token, self._lost = token, False
                    return ""
                owner = _read(self.path)
                taken = str(owner["token"]) if anyway and owner is not None and "token" in owner else ""
                if owner is not None and not taken and not _gone(owner):
                    self.lives = _lives(owner)
                    return _who(owner)
                if not self._remove_stale(taken):
                    time.sleep(_PAUSE)  # another process is just at it
        except OSError as error:
            raise write_error(self.path, error) from error
        return "another program"

    @property
    def held(self) -> bool:
        """Whether it was acquired and not given back; somebody may have taken it over since."""
        return bool(self._token)

    def release(self) -> None:
        """Give the lock back, if it is ours."""
        self.is_lost()  # that must not be forgotten
        owner = _read(self.path) if self._token else None
        if owner is not None and owner.get("token") == self._token:
            with contextlib.suppress(OSError):
                self.path.unlink()
        self._token = ""

    def is_lost(self) -> bool:
        """Whether it was ours and somebody has taken it over; then it stays lost, also when that one has ended.

        A file that is only gone belongs to nobody else.
        """
        owner = _read(self.path) if self._token and not self._lost else None
        self._lost = self._lost or (owner is not None and owner.get("token") != self._token)
        return self._lost

    def _remove_stale(self, taken: str = "") -> bool:
        """Remove the file of a process that is gone, or of the one to take it from; False when another is at it.

        Looking and removing must not be torn apart: between them another process could remove the old file and make
        its own. So only the one that could make the guard file may look again and remove.
        """
        guard = self.path.with_name(self.path.name + ".guard")
        with contextlib.suppress(FileNotFoundError):
            if _age(guard) > _GUARD_SECONDS:
                guard.unlink()  # of a process that died within these few lines
        if not _create(guard, ""):
            return False
        try:
            with contextlib.suppress(*_BUSY):
                owner = _read(self.path)
                if owner is None and _age(self.path) < _WRITE_SECONDS:
                    return False  # its owner has made it and not yet written who it is
                if owner is None or _gone(owner) or owner.get("token") == taken:
                    self.path.unlink()
        finally:
            with contextlib.suppress(*_BUSY):
                guard.unlink()
        return True


def _age(path: Path) -> float:
    """Return how many seconds a file's time is away from now: a clock that was wrong may have made it in the future."""
    return abs(time.time() - path.stat().st_mtime)


def _create(path: Path, text: str) -> bool:
    try:
        file = open(path, "x", encoding="utf-8")  # noqa: SIM115 - what is there already is not ours to remove
    except FileExistsError:
        return False
    try:
        with file:
            file.write(text)
    except OSError:  # the disk is full: an empty one would be taken for another program's
        with contextlib.suppress(OSError):
            path.unlink()
        raise
    return True


def _read(path: Path) -> dict[str, Any] | None:
    """Return who is named, None when the file is gone or cannot be understood."""
    try:
        owner = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return owner if isinstance(owner, dict) else None


def _myself() -> dict[str, Any]:
    return {"pid": os.getpid(), "host": socket.gethostname(), "started": _started(os.getpid())}


def _who(owner: dict[str, Any]) -> str:
    if owner.get("host") == socket.gethostname():
        whose = "this program" if owner.get("pid") == os.getpid() else f"process {owner.get('pid')}"
    else:
        whose = f"computer {owner.get('host')}"
    return f"{whose}, since {owner.get('since', 'unknown')}"


def _gone(owner: dict[str, Any]) -> bool:
    """Whether the process certainly does not run any more; another computer's cannot be asked."""
    pid = owner.get("pid")
    if owner.get("host") != socket.gethostname() or not isinstance(pid, int) or not 0 < pid < 2**31:
        return False
    if not _alive(pid) or _ended(pid):
        return True
    started = owner.get("started")
    return bool(started) and bool(_started(pid)) and _started(pid) != started  # the number was given out again


def _lives(owner: dict[str, Any]) -> bool:
    """Whether the process certainly runs: also its beginning is known, as a number may be given out again."""
    return owner.get("host") == socket.gethostname() and bool(owner.get("started")) and not _gone(owner)


def _started(pid: int) -> str:
    """Return when a process started, in the system's own count; "" where that is not easily known."""
    fields = _stat(pid)
    return fields[19] if len(fields) > 19 else ""


def _ended(pid: int) -> bool:
    """Whether a process has ended and only its number is still there, as nobody has asked how it went."""
    return _stat(pid)[:1] in (["Z"], ["X"])


def _stat(pid: int) -> list[str]:
    """Return what Linux tells about a process, from its state on; nothing elsewhere."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def _alive(pid: int) -> bool:
    if sys.platform == "win32":
        import ctypes

        query_limited_information, still_active = 0x1000, 259
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        handle = kernel.OpenProcess(query_limited_information, False, pid)
        if not handle:
            return bool(ctypes.get_last_error() == 5)  # access denied: it runs, but is not ours
        code = ctypes.c_ulong()
        known = kernel.GetExitCodeProcess(handle, ctypes.byref(code))
        kernel.CloseHandle(handle)
        return not known or code.value == still_active
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
