"""How much memory there is for images."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

UNKNOWN = 8 << 30


def physical_memory() -> int:
    """Return the bytes of memory that this process may fill: the machine's, or what a container or a cluster's job has.

    8 GiB where the system does not say.
    """
    return min([_machine(), *_limits()])


def processes_here() -> int:
    """Return how many processes of one training share this machine's memory, as ``torchrun`` tells."""
    text = os.environ.get("LOCAL_WORLD_SIZE", "1")
    return max(1, int(text)) if text.isdigit() else 1


def _machine() -> int:
    if sys.platform == "win32":
        return _windows()
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return UNKNOWN


def _windows() -> int:
    import ctypes

    class Status(ctypes.Structure):  # MEMORYSTATUSEX of the Windows API
        _fields_ = (
            ("length", ctypes.c_uint32),
            ("load", ctypes.c_uint32),
            ("total", ctypes.c_uint64),
            *((name, ctypes.c_uint64) for name in ("free", "pages", "pages_free", "virtual", "virtual_free", "more")),
        )

    status = Status(length=ctypes.sizeof(Status))
    ask = getattr(ctypes, "windll").kernel32.GlobalMemoryStatusEx  # noqa: B009 - there on Windows only
    return int(status.total) if ask(ctypes.byref(status)) else UNKNOWN


def _limits(process: Path = Path("/proc/self/cgroup"), tree: Path = Path("/sys/fs/cgroup")) -> Iterator[int]:
    """Yield the limits of the control groups this process is in, and of those around them.

    A line is ``number:controllers:path``, with number 0 and no controllers in the second version. In a container the
    path may be that of the host, while the container's own group is the root of the tree: so the root is asked, too.
    """
    try:
        lines = process.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers and "memory" not in controllers.split(","):
            continue
        root, name = (tree / "memory", "memory.limit_in_bytes") if controllers else (tree, "memory.max")
        inside = Path(path.lstrip("/"))
        for group in [inside, *inside.parents]:
            with contextlib.suppress(OSError, ValueError):  # "max": no limit
                yield int((root / group / name).read_text())
