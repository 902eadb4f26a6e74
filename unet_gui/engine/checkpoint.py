"""The state of a training on disk, from which it goes on exactly as if it had not stopped."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch

from unet_gui.core.atomic import atomic_write
from unet_gui.core.errors import UserError
from unet_gui.core.model_info import CHECKPOINT
from unet_gui.engine.model import load_torch_file

VERSION = 1


def checkpoint_path(out: Path) -> Path:
    """Return where the state of the training of this model is kept."""
    return out.with_name(out.name + CHECKPOINT)


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a state: tensors, numbers, texts, lists and dictionaries only. The old file stays whole until then.

    Raises
    ------
    UserError
        The file cannot be written.
    """
    buffer = io.BytesIO()
    torch.save({"version": VERSION, **state}, buffer)
    atomic_write(path, buffer.getvalue())


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a state; no code in the file is run.

    Raises
    ------
    UserError
        The file is missing, damaged or of another kind.
    """
    state = load_torch_file(path)
    if not isinstance(state, dict) or state.get("version") != VERSION:
        raise UserError("is not the state of a training of this version.", path, "Train without --resume.")
    return state
