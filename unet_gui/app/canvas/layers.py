"""How label and prediction are laid over the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PySide6.QtGui import QImage, QPainter

from unet_gui.app.canvas.viewport import Viewport, sample_positions
from unet_gui.core.cv import cv2
from unet_gui.core.geometry import EMPTY, Rect
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.palette import ClassInfo, color_table
from unet_gui.core.pyramid import TILE, LabelPyramid

Ids = NDArray[np.uint8]


@dataclass(frozen=True)
class LayerSettings:
    """What is shown, and how strongly.

    Attributes
    ----------
    image, label, prediction : bool
        Whether the layer shows.
    label_opacity, prediction_opacity : float
        0 … 1.
    outline : bool
        Only the borders of the classes, in a line of constant width on the screen.
    difference : bool
        Only the pixels where label and prediction disagree, in the label's colours.
    split : float or None
        Prediction left and label right of a divider at this fraction of the width.
    minimap, scale_bar : bool
        Whether they show where they make sense.
    hidden : frozenset of int
        Classes that do not show in either layer.
    """

    image: bool = True
    label: bool = True
    prediction: bool = True
    label_opacity: float = 0.4
    prediction_opacity: float = 0.3
    outline: bool = False
    difference: bool = False
    split: float | None = None
    minimap: bool = True
    scale_bar: bool = True
    hidden: frozenset[int] = frozenset()

    @property
    def hides_label(self) -> bool:
        """Whether nothing shows of what is painted."""
        if self.difference:
            return False
        invisible = self.label_opacity == 0 and not self.outline
        return invisible or not (self.label or self.split is not None)


class ClassLayer:
    """A layer of class ids: looked up for every screen pixel, coloured and blended while it is painted.

    Nothing is kept but the half-size levels, so there is nothing to convert when a pixel changes.
    """

    def __init__(self) -> None:
        self.ids: Ids | None = None
        self.opacity = 0.5
        self._pyramid: LabelPyramid | None = None
        self._colors: list[int] = [0] * 256
        self._line_colors = self._colors

    def set_ids(self, ids: Ids | None) -> None:
        """Show these class ids, shape (h, w); the array is looked at whenever the layer is painted."""
        self.ids = ids
        self._pyramid = None if ids is None else LabelPyramid(ids)

    def set_colors(self, classes: Sequence[ClassInfo], opacity: float, hidden: frozenset[int]) -> None:
        """Take the classes' colours."""
        self.opacity = opacity
        visible = [c.id for c in classes if c.id not in hidden]
        self._colors = [int(c) for c in color_table(classes, opacity, visible=visible)]
        # a thin line needs more than a wide area to be seen
        self._line_colors = [int(c) for c in color_table(classes, min(1.0, 0.6 + opacity / 2), visible=visible)]

    def refresh(self, rect: Rect, view: Viewport) -> None:
        """Take note that the ids changed in ``rect``."""
        if self._pyramid is not None:
            self._pyramid.refresh(rect, view.level(self._pyramid.levels))

    def is_missing(self, view: Viewport) -> bool:
        """Whether some of the half-size level that this view needs is not made yet."""
        if self._pyramid is None:
            return False
        level, area = self._level_in_view(view)
        return level > 0 and bool(self._pyramid.missing(area, level))

    def prepare(self, view: Viewport) -> Rect:
        """Make a portion of the half-size level that this view needs; return the image rectangle to paint again.

        Called between events, so that a huge label never holds up a paint.
        """
        if self._pyramid is None:
            return EMPTY
        level, area = self._level_in_view(view)
        made = next(self._pyramid.build(area, level), EMPTY)
        return Rect(made.x << level, made.y << level, made.w << level, made.h << level)

    def _level_in_view(self, view: Viewport) -> tuple[int, Rect]:
        assert self._pyramid is not None
        level = view.level(self._pyramid.levels)
        return level, _level_rect(view.image_rect(), level)

    def sample(self, view: Viewport, screen: Rect) -> Ids:
        """Return the class id under every pixel of a part of the view, shape (screen.h, screen.w); 255 outside."""
        pyramid = self._pyramid
        assert pyramid is not None
        level = view.level(pyramid.levels)
        ids = pyramid.view(level)
        rows, row_ok = sample_positions(screen.y, screen.h, view.top, view.zoom * (1 << level), 0, ids.shape[0])
        columns, column_ok = sample_positions(screen.x, screen.w, view.left, view.zoom * (1 << level), 0, ids.shape[1])
        inside = Rect(column_ok.start, row_ok.start, column_ok.stop - column_ok.start, row_ok.stop - row_ok.start)
        if inside.empty:
            return np.full((screen.h, screen.w), UNLABELLED, np.uint8)
        used = Rect(int(columns[0]), int(rows[0]), int(columns[-1] - columns[0]) + 1, int(rows[-1] - rows[0]) + 1)
        if used.w == inside.w and used.h == inside.h:
            found = ids[used.slices]
        elif view.zoom >= 1:
            found = ids[used.slices].take(columns - used.x, axis=1)[rows - used.y]
        else:
            found = ids[rows, used.x : used.x1].take(columns - used.x, axis=1)
        missing = pyramid.missing(used, level) if level else []
        if missing:  # rough there until they are made, and only there: nobody paints the others again
            found = found.copy()
        for tx, ty in missing:
            down = slice(*np.searchsorted(rows, (ty * TILE, (ty + 1) * TILE)))
            across = slice(*np.searchsorted(columns, (tx * TILE, (tx + 1) * TILE)))
            found[down, across] = _every_nth(pyramid.view(0), rows[down] << level, columns[across] << level)
        if found.shape == (screen.h, screen.w):
            return found
        result = np.full((screen.h, screen.w), UNLABELLED, np.uint8)
        result[inside.slices] = found
        return result

    def paint(self, painter: QPainter, view: Viewport, screen: Rect, outline: int = 0) -> None:
        """Blend the layer into a part of the view.

        Parameters
        ----------
        painter : QPainter
            Its unit is the screen pixel.
        view : Viewport
        screen : Rect
            Which part.
        outline : int
            Only borders between classes, in lines of this width in screen pixels; 0 for areas.
        """
        if self._pyramid is None or self.opacity <= 0:
            return
        if outline:
            self.paint_ids(painter, screen, outlines(self.sample(view, screen.grow(outline)), outline), line=True)
        else:
            self.paint_ids(painter, screen, self.sample(view, screen))

    def paint_ids(self, painter: QPainter, screen: Rect, ids: Ids, *, line: bool = False) -> None:
        """Blend class ids in the layer's colours, one for each screen pixel of a part of the view."""
        if ids.min() == UNLABELLED:
            return
        ids = np.ascontiguousarray(ids)
        indexed = QImage(ids.data, screen.w, screen.h, screen.w, QImage.Format.Format_Indexed8)
        indexed.setColorTable(self._line_colors if line else self._colors)
        painter.drawImage(screen.x, screen.y, indexed.convertToFormat(QImage.Format.Format_ARGB32_Premultiplied))


def outlines(ids: Ids, width: int = 1) -> Ids:
    """Return the ids within ``width`` pixels of another id, 255 elsewhere; without ``width`` pixels at every side.

    The line lies inside the class it belongs to, so two classes that touch show two lines.
    """
    h, w = ids.shape
    rows, columns = slice(width, h - width), slice(width, w - width)
    # 255 where a pixel is like the next one below, and like the next one to the right …
    down = cv2.compare(ids[1:, columns], ids[:-1, columns], cv2.CMP_EQ)
    right = cv2.compare(ids[rows, 1:], ids[rows, :-1], cv2.CMP_EQ)
    # … and where that goes on for the width of the line in both directions
    down = cv2.erode(down, np.ones((2 * width, 1), np.uint8), anchor=(0, 0))[: h - 2 * width]
    right = cv2.erode(right, np.ones((1, 2 * width), np.uint8), anchor=(0, 0))[:, : w - 2 * width]
    inside = cv2.bitwise_and(down, right)
    found: Ids = cv2.bitwise_or(ids[rows, columns], inside)
    return found


def unless(said: Ids, ids: Ids) -> Ids:
    """Return the ids, 255 where something else is said: where ``said`` is not 255."""
    _, something = cv2.threshold(said, UNLABELLED - 1, 255, cv2.THRESH_BINARY_INV)  # `compare` refuses a single pixel
    found: Ids = cv2.bitwise_or(ids, something)
    return found


def _every_nth(ids: Ids, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Ids:
    """Return a rough picture of the whole label, for the moment until its level is made."""
    found: Ids = ids[np.minimum(rows, ids.shape[0] - 1)[:, None], np.minimum(columns, ids.shape[1] - 1)]
    return found


def _level_rect(rect: Rect, level: int) -> Rect:
    x, y = rect.x >> level, rect.y >> level
    return Rect(x, y, ((rect.x1 - 1) >> level) - x + 1, ((rect.y1 - 1) >> level) - y + 1) if not rect.empty else EMPTY
