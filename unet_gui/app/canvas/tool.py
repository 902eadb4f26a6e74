"""What a tool is: a gesture written as a generator, and what it shows while it is at work. No Qt in here."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from unet_gui.app.canvas.target import EditTarget, Found
from unet_gui.core.cv import cv2
from unet_gui.core.flood import Part, joined
from unet_gui.core.geometry import EMPTY, Rect
from unet_gui.core.labels import UNLABELLED, Edit, Over
from unet_gui.core.strokes import Shape
from unet_gui.core.whole import Patch

Points = NDArray[np.floating]

LARGE = 2**23
"""Pixels from which on a change would be felt as a halt of the window, about a fifth of a second."""


class Pointer(NamedTuple):
    """Where the pointer is and what is held.

    Attributes
    ----------
    kind : {"press", "move", "release", "hover"}
    x, y : float
        Image coordinates; pixel (i, j) covers i … i+1, j … j+1.
    pressure : float
        0 … 1 from a tablet's pen, 1 from a mouse.
    erase : bool
        Right button, Alt, or the other end of the pen: paint *unlabelled*.
    shift, ctrl : bool
        Held keys.
    double : bool
        This press is the second of a double click.
    """

    kind: Literal["press", "move", "release", "hover"]
    x: float
    y: float
    pressure: float = 1.0
    erase: bool = False
    shift: bool = False
    ctrl: bool = False
    double: bool = False

    @property
    def at(self) -> tuple[float, float]:
        """Both coordinates."""
        return self.x, self.y

    @property
    def pixel(self) -> tuple[int, int]:
        """Column and row of the pixel under the pointer; may lie outside the image."""
        return int(np.floor(self.x)), int(np.floor(self.y))


Gesture = Generator[None, Pointer, None]
Key = Literal["enter", "escape", "backspace", "delete"]


@dataclass
class Overlay:
    """What a tool shows on top of the picture, in image coordinates.

    Attributes
    ----------
    lines : list of (points of shape (n, 2), closed)
    handles : ndarray, shape (n, 2)
        Corners that can be taken hold of.
    active_handle : int
        The handle under the pointer, -1 for none.
    shape : (Rect, mask) or None
        Pixels that will get ``class_id``.
    step : int
        Every element of the shape stands for so many pixels in a row and a column, also in its rectangle.
    class_id : int
    text : str
        Shown beside the pointer.
    """

    lines: list[tuple[Points, bool]] = field(default_factory=list)
    handles: Points = field(default_factory=lambda: np.zeros((0, 2)))
    active_handle: int = -1
    shape: Shape | None = None
    step: int = 1
    class_id: int = UNLABELLED
    text: str = ""


@dataclass
class Brush:
    """Size of the brush and the eraser.

    Attributes
    ----------
    size : float
        Diameter, 1 … 2000.
    on_screen : bool
        The size counts screen pixels, so it shrinks on the image when zooming in; otherwise image pixels.
    pressure : bool
        A tablet's pressure scales the size.
    """

    size: float = 20.0
    on_screen: bool = False
    pressure: bool = True

    MIN: ClassVar[float] = 1.0
    MAX: ClassVar[float] = 2000.0

    def diameter(self, zoom: float) -> float:
        """Return the diameter in image pixels, at least 1."""
        return max(1.0, self.size / zoom if self.on_screen else self.size)

    def step(self, steps: float) -> None:
        """Grow (positive) or shrink by about a tenth for each step, at least by one pixel."""
        size = self.size * 1.1**steps
        if abs(size - self.size) < 1:
            size = self.size + (1 if steps > 0 else -1)
        self.size = float(min(max(round(size), self.MIN), self.MAX))

    def snap(self, at: tuple[float, float], diameter: float) -> tuple[float, float]:
        """Return where the brush lies when the pointer is there: small ones lie on the pixel grid.

        An odd diameter is centred on a pixel, an even one on a corner between pixels, so that a brush of n pixels
        always covers the same pattern and one of 1 pixel exactly the pixel under the pointer.
        """
        if diameter >= 2 and diameter != int(diameter):
            return at
        if int(diameter) % 2:
            return float(np.floor(at[0])) + 0.5, float(np.floor(at[1])) + 0.5
        return float(np.ceil(at[0] - 0.5)), float(np.ceil(at[1] - 0.5))  # not to even: the key pen goes by halves


@dataclass
class Options:
    """What tools remember from one use to the next.

    Attributes
    ----------
    wand_tolerance : int
        0 … 255, in steps of the displayed brightness.
    speck_size : int
        Blobs of fewer pixels are specks.
    sure : float
        How sure the model must be for its pixels to be taken over, 0 … 1.
    threshold : float
        Probability from which a pixel inside the ring belongs to the active class, 0 … 1.
    """

    wand_tolerance: int = 20
    speck_size: int = 30
    sure: float = 0.9
    threshold: float = 0.5


@dataclass(frozen=True)
class Clip:
    """A copied piece of label.

    Attributes
    ----------
    ids : ndarray of uint8, shape (h, w)
    mask : ndarray of bool, shape (h, w)
        Which of them belong to it.
    pixels : int
        How many.
    counts : ndarray, shape (256,)
        How many of each class, about.
    """

    ids: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    pixels: int
    counts: NDArray[np.floating]

    @classmethod
    def of(cls, ids: NDArray[np.uint8], mask: NDArray[np.bool_]) -> Clip:
        """Count the pixels now: a large piece is copied beside the window."""
        counts = cv2.calcHist([ids], [0], mask.view(np.uint8), [256], [0, 256])
        return cls(ids, mask, int(np.count_nonzero(mask)), np.ravel(counts))


class ToolCanvas(Protocol):
    """What a tool sees of the canvas."""

    brush: Brush
    options: Options
    clip: Clip | None

    @property
    def reach(self) -> float:
        """How near counts as touching, in image pixels."""

    @property
    def level(self) -> int:
        """The level of the image that is on screen."""

    def whole_rect(self, level: int = 0) -> Rect:
        """Return the rectangle of the image in pixels of a level, the coarsest there is at most."""

    def picture(self, rect: Rect, level: int = 0) -> NDArray[np.uint8]:
        """Return part of a level of the image as it is displayed, shape (rect.h, rect.w, 3)."""

    def class_name(self, class_id: int) -> str:
        """Return what the person calls a class."""

    @property
    def class_ids(self) -> list[int]:
        """The classes there are, and unlabelled."""

    @property
    def target(self) -> EditTarget | None: ...
    @property
    def zoom(self) -> float: ...

    def visible_rect(self) -> Rect:
        """Return the image pixels in view."""

    def show_overlay(self, overlay: Overlay | None) -> None:
        """Show this instead of what was shown before."""

    def steps_changed(self) -> None:
        """Hear that the tool in hand has other steps to undo or redo."""

    def say(self, text: str) -> None:
        """Show a short text in the status bar; an empty one takes away what is shown."""

    def pan_by(self, dx: float, dy: float) -> None:
        """Move the picture by image pixels."""

    def pick_tool_class(self, class_id: int) -> None:
        """Make a class the active one."""


@dataclass(frozen=True)
class ToolInfo:
    """How a tool is offered to the person.

    Attributes
    ----------
    id : str
        Name in code and settings.
    text : str
        Name on the button.
    shortcut : str
        Key, as Qt writes it.
    tooltip : str
        One or two sentences; the shortcut is added by whoever shows it.
    icon : str
        Name of the icon in the resources.
    """

    id: str
    text: str
    shortcut: str
    tooltip: str
    icon: str


class Tool:
    """A tool. Subclasses write `gesture`, and whatever else they need of the rest.

    Attributes
    ----------
    info : ToolInfo
    ring : bool
        Whether the brush ring shows at the pointer.
    cursor : {"cross", "hand", "arrow"}
    draft_name : str
        What the person calls a shape that takes several gestures; empty for a tool that needs one.
    """

    info: ClassVar[ToolInfo]
    draft_name: ClassVar[str] = ""
    ring: ClassVar[bool] = False
    cursor: ClassVar[Literal["cross", "hand", "arrow"]] = "cross"

    def __init__(self, canvas: ToolCanvas) -> None:
        self.canvas = canvas

    @property
    def target(self) -> EditTarget:
        """The open image. Only called while there is one."""
        target = self.canvas.target
        assert target is not None
        return target

    def gesture(self, press: Pointer) -> Gesture:
        """What happens from a press to the release: a generator that gets every further event from ``yield``.

        It ends with the release. Closing it (Esc) takes back what it did; another tool or image sends it the release.
        """
        raise NotImplementedError

    def hover(self, pointer: Pointer) -> None:
        """The pointer moved with no button held."""

    def leave(self) -> None:
        """The pointer left the canvas: what belongs to the place under it goes, a shape in progress stays."""

    @property
    def in_progress(self) -> bool:
        """Whether there is a shape that takes more gestures; it stays when one of them is given up."""
        return False

    @property
    def is_worth_keeping(self) -> bool:
        """Whether the tool waits with its shape while another tool or another image is in hand."""
        return False

    @property
    def undo_text(self) -> str:
        """The step of a shape in progress that `undo` takes back, empty when there is none."""
        return ""

    @property
    def redo_text(self) -> str:
        """The step that `redo` makes again, empty when there is none."""
        return ""

    def undo(self) -> bool:
        """Take back the last step of a shape in progress; return whether there was one."""
        return False

    def redo(self) -> bool:
        """Make it again; return whether there was one."""
        return False

    def resume(self) -> None:
        """Show a shape in progress again and go on with it."""

    def key(self, key: Key) -> bool:
        """A key for a shape in progress; return whether it was of use."""
        return False

    def wheel(self, steps: float, pointer: Pointer) -> bool:
        """The wheel turned; return whether it was of use, otherwise the canvas zooms."""
        return False

    def ctrl_released(self) -> None:
        """The Ctrl key was let go."""

    def cancel(self) -> None:
        """Forget a shape in progress."""
        self.canvas.show_overlay(None)

    def class_for(self, pointer: Pointer) -> int:
        """Return the class this gesture paints."""
        return UNLABELLED if pointer.erase else self.target.active_class

    @contextmanager
    def editing(self, name: str) -> Iterator[Edit | None]:
        """Open an edit for the length of a gesture: one undo step, taken back when the gesture is cancelled."""
        edit = self.target.begin_edit(name)
        if edit is None:
            yield None
            return
        try:
            yield edit
        except BaseException:
            self.target.changed(edit.rollback())
            self.target.end_edit(edit)
            raise
        self.target.end_edit(edit)

    def write(self, name: str, patches: Callable[[], Iterator[Patch]], erases: bool = False) -> bool:
        """Write patches as one undo step; beside the window, from the first, when there are many pixels to look at.

        False when nobody may paint just now.
        """
        few, area = [], 0
        for patch in patches():
            few.append(patch)
            area += patch.rect.area
            if area > LARGE:
                return self.target.edit_beside(name, patches, erases)
        with self.editing(name) as edit:
            if edit is None:
                return False
            if erases:
                let_eraser_work(edit)
            for patch in few:
                edit.write(*patch)
            self.target.changed(edit.rect)
        return True

    def fill(self, name: str, parts: Callable[[], Iterable[Part]], class_id: int) -> bool:
        """Give the pixels of a region one class, as one undo step; see `write`."""

        def patches() -> Iterator[Patch]:
            for rect, mask in parts():
                yield Patch(rect, np.broadcast_to(np.uint8(class_id), (rect.h, rect.w)), mask)

        return self.write(name, patches, erases=class_id == UNLABELLED)

    def find(
        self,
        name: str,
        parts: Callable[[], Iterable[Part]],
        find: Callable[[Shape], Found],
        then: Callable[[Found], object],
    ) -> bool:
        """Work something out of a region, then act on it; beside the window when there are many pixels to look at.

        False when it cannot begin.
        """
        few, around = [], EMPTY
        for part in parts():
            few.append(part)
            around = around.union(part[0])
            if around.area > LARGE:
                return self.target.find_beside(name, lambda: find(joined(parts())), then)
        then(find(joined(few)))
        return True


def let_eraser_work(edit: Edit) -> None:
    """Let an eraser erase under the rule *only unlabelled*: it protects labels from paint, not from the eraser."""
    if edit.over.mode == "unlabelled":
        edit.over = Over.ALL
