"""A tool whose shape takes several gestures, each of which can be taken back."""

from __future__ import annotations

from typing import ClassVar, Generic, TypeVar

from unet_gui.app.canvas.tool import Gesture, Pointer, Tool, ToolCanvas

Draft = TypeVar("Draft")


class DraftTool(Tool, Generic[Draft]):
    """What there is of a shape is one value that is replaced with every step, never changed: the draft.

    Subclasses write `draw` in the place of `gesture`, and `show`.

    Attributes
    ----------
    step_name : str
        What the person reads beside *Undo*.
    how_to_end : str
        Said after every gesture of a shape in progress; empty where it is shown beside the shape.
    nothing : Draft
        The draft of a shape that is not begun.
    """

    step_name: ClassVar[str]
    how_to_end: ClassVar[str] = ""

    def __init__(self, canvas: ToolCanvas, nothing: Draft) -> None:
        super().__init__(canvas)
        self.nothing = self.draft = nothing
        self._past: list[Draft] = []
        self._future: list[Draft] = []
        self._given_up = -1  # revision of the label when a shape was given up that can still be had back

    @property
    def in_progress(self) -> bool:
        return self.draft is not self.nothing

    @property
    def is_worth_keeping(self) -> bool:
        return self.in_progress and len(self._past) > 1  # a single click is soon done again, and may be a mistake

    @property
    def undo_text(self) -> str:
        if self._past and not self.in_progress and self._given_up >= 0:
            return f"giving up the {self.draft_name}" if self._is_last else ""
        return self.step_name if self._past else ""

    @property
    def _is_last(self) -> bool:
        """Whether the label is as it was when a shape was given up: what is painted since is undone first."""
        target = self.canvas.target
        return target is not None and target.labels is not None and target.labels.revision == self._given_up

    @property
    def redo_text(self) -> str:
        return self.step_name if self._future else ""

    def draw(self, press: Pointer) -> Gesture:
        """What happens from a press to the release; it may replace the draft any number of times."""
        raise NotImplementedError

    def show(self, pointer: Pointer | None = None) -> None:
        """Show the draft, and what the next click would add to it."""
        raise NotImplementedError

    def gesture(self, press: Pointer) -> Gesture:
        before = self.draft
        try:
            yield from self.draw(press)
        except BaseException:
            self.draft = before
            raise
        if not self.in_progress:
            self.cancel()
            return
        self.step_from(before)
        if self.how_to_end:
            self.canvas.say(self.how_to_end)

    def step_from(self, before: Draft) -> None:
        """Remember what the draft was before it was replaced."""
        if self.draft is not before:
            self._past.append(before)
            self._future.clear()
            self.canvas.steps_changed()

    def give_up(self) -> None:
        """Forget the shape. Undo brings it back: the key may have been meant for something else, a message perhaps."""
        past = [*self._past, self.draft] if self.is_worth_keeping else []
        self.cancel()
        labels = self.target.labels
        if past and labels is not None:
            self._past, self._given_up = past, labels.revision
            self.canvas.say(f"The {self.draft_name} is given up · undo brings it back")
            self.canvas.steps_changed()

    def undo(self) -> bool:
        if not self.in_progress and self._given_up >= 0 and not self._is_last:
            self._past = []
        if not self._past:
            self._future.clear()  # what is undone next is older; it must not come back before this
            self.canvas.steps_changed()
            return False
        if not self.in_progress:
            self.canvas.say(self.how_to_end)  # it is no longer given up
        self._move(self._past, self._future)
        return True

    def redo(self) -> bool:
        if not self._future:
            return False
        self._move(self._future, self._past)
        return True

    def _move(self, source: list[Draft], to: list[Draft]) -> None:
        to.append(self.draft)
        self.draft = source.pop()
        self.canvas.steps_changed()
        self.resume()  # which may have to read the picture

    def resume(self) -> None:
        self.show()

    def cancel(self) -> None:
        if self._past and self.how_to_end:
            self.canvas.say("")  # there is nothing to be closed any more
        self.draft = self.nothing
        self._past, self._future, self._given_up = [], [], -1
        super().cancel()
        self.canvas.steps_changed()
