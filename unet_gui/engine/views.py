"""Views of a picture that a model may be asked about: quarter turns and mirror images, and the way back."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from unet_gui.engine.unet import Box


def views_of(symmetries: str) -> Iterator[tuple[int, bool]]:
    """Yield (quarter turns, mirrored) of each view of the picture, as it is first."""
    if not symmetries:
        yield 0, False
        return
    turns = {"turns": (0, 1, 2, 3), "flips": (0, 2)}.get(symmetries, (0,))
    for k in turns:
        yield k, False
        yield k, True


def turn(x: Tensor, turns: int, mirror: bool) -> Tensor:
    """Return a view of pictures ``(…, h, w)``."""
    x = x.flip(-1) if mirror else x
    return torch.rot90(x, turns, (-2, -1))


def turn_back(x: Tensor, turns: int, mirror: bool) -> Tensor:
    """Invert `turn`."""
    x = torch.rot90(x, -turns, (-2, -1))
    return x.flip(-1) if mirror else x


def turn_box(box: Box, h: int, w: int, turns: int, mirror: bool) -> Box:
    """Return where a box of a picture of ``h × w`` lies in the view that `turn` makes."""
    if mirror:
        box = Box(box.top, box.bottom, w - box.right, w - box.left)
    for _ in range(turns):
        box, h, w = Box(w - box.right, w - box.left, box.top, box.bottom), w, h
    return box
