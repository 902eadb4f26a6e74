"""What a job imports, it imports before it begins, and the collector of garbage leaves it alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.app.kit import write_folder
from tests.core.files import run_python
from unet_gui.app.warm_start import import_quietly

TRAIN = """
import gc, json, sys
from pathlib import Path
from unet_gui.app import jobs  # as the window has it
from unet_gui.app.model_jobs import TrainJob
from unet_gui.engine.recipe import TrainConfig
gc.disable()  # as the window does
folder, at_first = Path(sys.argv[1]), set(sys.modules)
events = TrainJob(folder, None, None, folder / "m.safetensors", TrainConfig(minutes=5.0, device="cpu"))()
before = set(sys.modules)
gc.collect()
known = len(gc.get_objects())
for event in events:
    if event.kind == "step_done":
        break
late = sorted(set(sys.modules) - before)
qt = sorted(m for m in set(sys.modules) - at_first if m.startswith(("PySide6", "shiboken6", "pyqtgraph")))
gc.collect()
print(json.dumps({"late": late, "qt": qt, "objects": len(gc.get_objects()), "known": known}))
"""


@pytest.mark.slow
def test_no_large_library_is_imported_while_training(tmp_path: Path) -> None:
    """Each module is milliseconds under Python's lock, and its objects make every collection longer."""
    found = json.loads(run_python(TRAIN, write_folder(tmp_path / "x", images=4, labels=4)))
    assert len(found["late"]) < 40, found["late"]
    assert not found["qt"], "types of Qt are not made by two threads at once"
    assert found["objects"] < 30_000, "the collector of the window goes through these each time"


NOTHING = """
import sys
from pathlib import Path
from unet_gui.app.model_jobs import TrainJob
from unet_gui.core.errors import UserError
from unet_gui.engine.recipe import TrainConfig
folder = Path(sys.argv[1])
try:
    TrainJob(folder, None, None, folder / "m.safetensors", TrainConfig())()
except UserError as error:
    print(error.message, "torch" in sys.modules)
"""


def test_that_nothing_is_painted_is_told_before_torch_is_there(tmp_path: Path) -> None:
    assert run_python(NOTHING, write_folder(tmp_path / "x")).strip() == "No image has a label yet. False"


def test_what_cannot_be_imported_is_left_to_the_import_statement() -> None:
    import_quietly("there_is_no_such_module", "json")
