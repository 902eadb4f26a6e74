"""Copies of labels that another program wrote, kept before one that was painted here takes their place."""

from __future__ import annotations

import shutil
from pathlib import Path

from unet_gui.core.atomic import atomic_path

FOLDER = "replaced"
"""In the state folder."""


def keep_copy(label: Path, label_root: Path, state_dir: Path) -> Path:
    """Copy a label file, under its own name and a number; return the copy, which stays until somebody deletes it.

    Parameters
    ----------
    label : pathlib.Path
        The file.
    label_root : pathlib.Path
        The folder of labels that it is in.
    state_dir : pathlib.Path
        Where the copies are kept, in `FOLDER`.

    Raises
    ------
    UserError
        It cannot be copied: then the label should stay, too.
    """
    place = state_dir / FOLDER / label.relative_to(label_root)
    number = 1
    while (copy := place.with_name(f"{place.stem}-{number}{place.suffix}")).exists():
        number += 1
    with atomic_path(copy) as temporary:
        shutil.copyfile(label, temporary)
    return copy
