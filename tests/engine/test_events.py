"""Events and settings: plain, picklable, no torch."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

from unet_gui.engine import events, recipe


def test_events_pickle_and_go_to_json() -> None:
    event = events.Validated(10, 1.5, "rand", 0.9, 0.89, 0.9, True, float("nan"), (0.8, float("nan")), (0.0, -0.5))
    assert pickle.loads(pickle.dumps(event)).offsets == (0.0, -0.5)
    line = json.loads(json.dumps(event.to_json(), allow_nan=False))
    assert line["kind"] == "validated"
    assert line["dice"] == [0.8, None]
    saved = events.CheckpointSaved(Path("a") / "ü.safetensors", 3)
    assert json.loads(json.dumps(saved.to_json()))["path"].endswith("ü.safetensors")


def test_config_round_trip() -> None:
    config = recipe.TrainConfig(minutes=2, val=["a.png", "b.png"], init=Path("m.safetensors"), crop=128)
    back = recipe.TrainConfig.from_json(config.to_json())
    assert back == config
    newer = json.loads(config.to_json()) | {"some_new_thing": 1}
    assert recipe.TrainConfig.from_json(json.dumps(newer)) == config


def test_no_torch_behind_events_and_settings() -> None:
    code = "import sys, unet_gui.engine.events, unet_gui.engine.recipe; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
