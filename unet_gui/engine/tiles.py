"""How a picture is cut into tiles so that nobody can see where."""

from __future__ import annotations

from dataclasses import dataclass

from unet_gui.core.geometry import Rect


@dataclass(frozen=True)
class Tile:
    """One tile of a picture.

    Attributes
    ----------
    core : Rect
        The pixels this tile answers for.
    region : Rect
        ``core`` with its margin, corners on multiples of the network's grid; may reach beyond the right and lower
        edge of the picture, where it is mirrored.
    """

    core: Rect
    region: Rect

    @property
    def offset(self) -> tuple[int, int]:
        """Column and row of ``core`` inside ``region``."""
        return self.core.x - self.region.x, self.core.y - self.region.y


def plan_tiles(shape: tuple[int, int], tile: int, halo: int, align: int) -> list[Tile]:
    """Cut a picture into tiles of about ``tile`` pixels a side.

    Parameters
    ----------
    shape : (int, int)
        Height and width.
    tile : int
        Side without the margin; rounded up to a multiple of ``align``.
    halo : int
        Margin, a multiple of ``align``.
    align : int
        Corners of regions are multiples of this.

    Returns
    -------
    list of Tile
        Row by row. Their cores cover the picture once. A rest narrower than the margin joins its neighbour.
    """
    tile = -(-max(tile, 1) // align) * align
    rows, columns = _spans(shape[0], tile, halo, align), _spans(shape[1], tile, halo, align)
    return [
        Tile(Rect(x0, y0, x1 - x0, y1 - y0), Rect(a0, b0, a1 - a0, b1 - b0))
        for y0, y1, b0, b1 in rows
        for x0, x1, a0, a1 in columns
    ]


def _spans(size: int, tile: int, halo: int, align: int) -> list[tuple[int, int, int, int]]:
    """Return (core start, core stop, region start, region stop) along one axis."""
    padded = -(-size // align) * align
    starts = list(range(0, size, tile))
    if len(starts) > 1 and size - starts[-1] <= halo:
        starts.pop()
    stops = [*starts[1:], size]
    return [
        (a, b, max(a - halo, 0), min(-(-b // align) * align + halo, padded)) for a, b in zip(starts, stops, strict=True)
    ]
