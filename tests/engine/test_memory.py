"""How much memory there is: the machine's, or less where a container or a job has less."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from unet_gui.engine.memory import _limits, physical_memory


def test_the_machine_says_something_sensible() -> None:
    assert 1 << 26 < physical_memory() < 1 << 46


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="control groups are Linux's")
@pytest.mark.parametrize(
    ("lines", "files", "expected"),
    [
        ("0::/job/step", {"job/step/memory.max": "max", "job/memory.max": "4294967296"}, {4 << 30}),
        ("0::/host/only", {"memory.max": "1073741824"}, {1 << 30}),  # a container with a name space of its own
        ("3:cpuset:/a\n4:memory:/a/b", {"memory/a/b/memory.limit_in_bytes": "2147483648"}, {2 << 30}),
        ("1:name=systemd:/\n0::/", {}, set()),
        ("nonsense", {"memory.max": "max"}, set()),
    ],
)
def test_limits_of_control_groups(tmp_path: Path, lines: str, files: dict[str, str], expected: set[int]) -> None:
    (tmp_path / "cgroup").write_text(lines + "\n")
    for name, text in files.items():
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    assert set(_limits(tmp_path / "cgroup", tmp_path / "tree")) == expected
    assert not list(_limits(tmp_path / "none", tmp_path / "tree"))
