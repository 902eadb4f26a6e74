"""Where the image lies on the screen: zoom and pan, and nothing else."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from unet_gui.core.geometry import Rect

MAX_ZOOM = 64.0


class Viewport:
    """The affine map between image pixels and screen (device) pixels.

    Image point (x, y) lies at ``x * zoom - left, y * zoom - top`` in screen pixels; at zoom 1 one image pixel is one
    screen pixel, whatever the display's scale. `left` and `top` are whole numbers, so a picture at zoom 1 is sharp.

    Attributes
    ----------
    zoom : float
        Screen pixels per image pixel.
    left, top : int
        Screen position of the view's corner in the zoomed image.
    width, height : int
        Size of the view in screen pixels.
    """

    def __init__(self) -> None:
        self.zoom = 1.0
        self.left = self.top = 0
        self.width = self.height = 1
        self._image = (1, 1)  # rows, columns

    @property
    def center(self) -> tuple[float, float]:
        """The image point in the middle of the view."""
        return self.to_image(self.width / 2, self.height / 2)

    @property
    def fit_zoom(self) -> float:
        """The zoom at which the whole image just fits."""
        h, w = self._image
        return min(self.width / w, self.height / h, MAX_ZOOM)

    @property
    def min_zoom(self) -> float:
        """Zooming out ends when the image takes a quarter of the view, or at 100 % for a small one."""
        return min(self.fit_zoom / 4, 1.0)

    def set_image_shape(self, shape: tuple[int, int]) -> None:
        """Take the size of another image (rows, columns)."""
        self._image = shape

    def resize(self, width: int, height: int) -> None:
        """Take the size of the view; the middle stays where it is."""
        center = self.center
        self.width, self.height = max(1, width), max(1, height)
        self.center_on(*center)

    def fit(self) -> None:
        """Show the whole image."""
        self.zoom = self.fit_zoom
        self.center_on(self._image[1] / 2, self._image[0] / 2)

    def center_on(self, x: float, y: float) -> None:
        """Bring an image point to the middle."""
        self.left = round(x * self.zoom - self.width / 2)
        self.top = round(y * self.zoom - self.height / 2)
        self._keep_in_sight()

    def pan(self, dx: int, dy: int) -> None:
        """Move the picture by screen pixels."""
        self.left -= dx
        self.top -= dy
        self._keep_in_sight()

    def zoom_to(self, zoom: float, at: tuple[float, float] | None = None) -> None:
        """Zoom; the image point at screen position ``at`` (the middle when None) stays under it."""
        at = at or (self.width / 2, self.height / 2)
        x, y = self.to_image(*at)
        self.zoom = min(max(zoom, self.min_zoom), max(MAX_ZOOM, self.fit_zoom))
        self.left, self.top = round(x * self.zoom - at[0]), round(y * self.zoom - at[1])
        self._keep_in_sight()

    def to_image(self, x: float, y: float) -> tuple[float, float]:
        """Return the image point at a screen position."""
        return (x + self.left) / self.zoom, (y + self.top) / self.zoom

    def to_screen(self, x: float, y: float) -> tuple[float, float]:
        """Return the screen position of an image point."""
        return x * self.zoom - self.left, y * self.zoom - self.top

    def screen_rect(self, rect: Rect, margin: int = 0) -> Rect:
        """Return the screen pixels that show any part of these image pixels and some around them, cut to the view."""
        if rect.empty:
            return rect
        x, y = (math.floor(v) for v in self.to_screen(rect.x, rect.y))
        x1, y1 = (math.ceil(v) for v in self.to_screen(rect.x1, rect.y1))
        return Rect(x, y, x1 - x, y1 - y).grow(margin).intersect(Rect(0, 0, self.width, self.height))

    def pixels_of(self, rect: Rect) -> Rect:
        """Return the screen pixels whose middle lies in these image pixels; unlike `screen_rect` they never overlap."""
        x, x1 = (self._first_pixel(v, self.left) for v in (rect.x, rect.x1))
        y, y1 = (self._first_pixel(v, self.top) for v in (rect.y, rect.y1))
        return Rect(x, y, x1 - x, y1 - y).intersect(Rect(0, 0, self.width, self.height))

    def _first_pixel(self, edge: int, offset: int) -> int:
        """Return the first screen pixel whose middle is not before an edge in the image, exactly as sampling has it."""
        pixel = math.ceil(edge * self.zoom - offset - 0.5)
        while (pixel + (offset + 0.5)) / self.zoom < edge:
            pixel += 1
        while (pixel - 1 + (offset + 0.5)) / self.zoom >= edge:
            pixel -= 1
        return pixel

    def image_rect(self, screen: Rect | None = None) -> Rect:
        """Return the image pixels that show in a part of the view (all of it when None), cut to the image."""
        screen = screen or Rect(0, 0, self.width, self.height)
        x, y = (math.floor(v) for v in self.to_image(screen.x, screen.y))
        x1, y1 = (math.ceil(v) for v in self.to_image(screen.x1, screen.y1))
        return Rect(x, y, x1 - x, y1 - y).clip(self._image)

    def level(self, levels: int, stretch: float = 1.0) -> int:
        """Return which of so many half-size levels to show.

        It is the coarsest that has a pixel for every screen pixel; with ``stretch`` a level is good enough whose
        pixels have to be stretched so much.
        """
        return min(max(0, math.floor(math.log2(stretch / self.zoom) + 1e-9)), levels - 1)

    def _keep_in_sight(self) -> None:
        """The middle of the view never leaves the image."""
        h, w = self._image
        self.left = min(max(self.left, -self.width // 2), round(w * self.zoom) - self.width // 2)
        self.top = min(max(self.top, -self.height // 2), round(h * self.zoom) - self.height // 2)


def sample_positions(
    start: int, count: int, offset: int, zoom: float, first: int, size: int
) -> tuple[NDArray[np.intp], slice]:
    """Return which row (or column) of an array lies under the middle of every screen pixel of a run.

    Parameters
    ----------
    start, count : int
        The screen pixels.
    offset : int
        `Viewport.top` (or `Viewport.left`).
    zoom : float
        Screen pixels per array element.
    first, size : int
        The array holds this part of the picture's rows.

    Returns
    -------
    positions : ndarray
        Indices into the array, for the screen pixels that lie inside.
    inside : slice
        Which screen pixels those are, counted from ``start``.
    """
    at = (np.arange(start, start + count) + (offset + 0.5)) / zoom - first
    begin, end = (int(v) for v in np.searchsorted(at, (0.0, size)))
    return at[begin:end].astype(np.intp), slice(begin, end)
