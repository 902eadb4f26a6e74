"""What the session says, in the person's words."""

from __future__ import annotations

from collections.abc import Callable

from unet_gui.app.messages import Message, Offer


def label_not_saved(key: str, error: Exception, again: Callable[[], object]) -> Message:
    """Say that a label is not on disk and is kept."""
    said = Message.of(error, topic="save")
    text = f"The label of “{key}” could not be saved and is kept in memory; trying again. {said.text}"
    return Message("error", text, said.details, "save", (Offer("Try again now", again),))


def strokes_not_noted(error: OSError) -> Message:
    """Say that the journal cannot be written."""
    text = f"Strokes cannot be noted down at the moment, so save often. {Message.of(error).text}"
    return Message("warning", text, repr(error), "journal")


def strokes_back(images: int) -> Message:
    """Say that changes from the last time are in their labels."""
    text = f"The strokes of {images} image{'s' * (images > 1)} are back and saved."
    return Message("good", text, topic="recovery", passing=True)


def read_only(reason: str) -> Message:
    """Say why nothing can be changed."""
    return Message("warning", f"Nothing can be changed here. {reason}", topic="read-only")
