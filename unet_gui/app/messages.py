"""What the window says to the person: a kind, plain words, what to do, and the technical text one click away."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from unet_gui.app.jobs import JobError
from unet_gui.core.errors import UserError


@dataclass(frozen=True)
class Offer:
    """A button beside a message.

    Attributes
    ----------
    text : str
        What it says.
    act : callable
        What it does; called on the window's thread.
    """

    text: str
    act: Callable[[], object]


@dataclass(frozen=True)
class Message:
    """One thing to say.

    Attributes
    ----------
    kind : {"info", "good", "warning", "error"}
    text : str
        One or two plain sentences.
    details : str
        The technical text, empty when there is none.
    topic : str
        A later message of the same topic takes its place, and `Session.settled` with the topic removes it.
    offers : tuple of Offer
    passing : bool
        Goes away by itself after some seconds, though it is not only good news or offers something.
    image : str
        Key of the image that it is about: it goes when another one is opened. Empty for what is to be read there, too.
    """

    kind: str
    text: str
    details: str = ""
    topic: str = ""
    offers: tuple[Offer, ...] = field(default=(), compare=False)
    passing: bool = False
    image: str = ""

    @property
    def passes(self) -> bool:
        """Whether it goes away by itself: nothing is lost with it."""
        return self.passing or (self.kind == "good" and not self.offers)

    @classmethod
    def of(cls, error: BaseException | JobError, topic: str = "", image: str = "") -> Message:
        """Put an error into words."""
        if isinstance(error, JobError):
            return cls("error", sentence(error.text, error.path, error.hint), error.traceback, topic, image=image)
        trace = "".join(traceback.format_exception(error))
        if isinstance(error, UserError):
            text = sentence(error.message, error.path, error.hint)
            return cls("error", text, error.details or trace, topic, image=image)
        plain = JobError.of(error)
        return cls("error", sentence(plain.text, plain.path, plain.hint), trace, topic, image=image)


def sentence(text: str, path: str | None, hint: str) -> str:
    """Join what happened, to which file, and what to do."""
    return said_of("" if path is None else Path(path).name or path, text, hint)


def said_of(name: str, text: str, hint: str) -> str:
    """Join what has that name, what happened to it, and what to do.

    Messages that begin with a small letter are said of the file: “0.png” and “is damaged or cut off.”
    """
    if name:
        text = f"“{name}” {text}" if text[:1].islower() else f"“{name}”: {text}"
    return f"{text} {hint}".strip()
