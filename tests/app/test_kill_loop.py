"""Two hundred kills at random moments of painting and saving: nothing that was finished is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.app.kit import write_folder

KILLS = 200


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and kill -9")
def test_random_kills_lose_nothing(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "x", images=3, shape=(420, 520))
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.app.kill_loop", str(folder), str(KILLS), "1"],
        env=environment,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["faults"] == []
    assert result["gestures"] > 2 * KILLS, "the kills met a session at work"
    assert result["in_journal"] > KILLS // 10, "and strokes that were not yet saved"
    assert result["restored"] > KILLS // 20
