"""The built-in sample: a folder of synthetic micrographs, some labelled, with the truth for the others kept aside."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from unet_gui.core import png
from unet_gui.core.atomic import atomic_write
from unet_gui.core.micrograph import render
from unet_gui.core.palette import ClassInfo, color_of
from unet_gui.core.project import Dataset
from unet_gui.core.store import BINARY, write_label

NAMES = ("membrane", "cell")
SIZES = (384, 512)
"""Smallest and largest side of an image."""


def write_sample(
    folder: str | os.PathLike[str],
    n: int = 24,
    *,
    labelled: int | None = None,
    sizes: tuple[int, int] = SIZES,
    seed: int = 0,
) -> None:
    """Write the sample: ``image/``, ``label/`` for the given labels, ``truth/`` for the withheld ones, the class names.

    The same numbers give the same bytes. Labels are binary, as in the tutorial: 0 membrane, 255 cell.

    Parameters
    ----------
    folder : str or os.PathLike
        Where to; made when missing.
    n : int
        Number of images.
    labelled : int, optional
        How many of the first images get their label; a third without it.
    sizes : (int, int)
        Smallest and largest side of an image; each has a size of its own.
    seed : int
        Another number gives other images.

    Raises
    ------
    UserError
        The files cannot be written.
    """
    folder = Path(folder)
    given = n // 3 if labelled is None else labelled
    for i in range(n):
        height, width = np.random.default_rng((seed, i, 0)).integers(sizes[0], sizes[1] + 1, 2).tolist()
        image, ids = render(height, width, (seed, i, 1))
        name = f"{i:02d}.png"
        atomic_write(folder / "image" / name, png.encode(image))
        write_label(folder / ("label" if i < given else "truth") / name, ids, BINARY)
    dataset = Dataset.open(folder)
    dataset.set_classes([ClassInfo(i, name, color_of(i)) for i, name in enumerate(NAMES)])
    dataset.set_encoding(BINARY)
    dataset.save()
