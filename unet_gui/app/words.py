"""What the session and its helpers say, in the person's words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from unet_gui.app.cut_training import CutTraining
from unet_gui.app.messages import Message, Offer
from unet_gui.core.errors import UserError
from unet_gui.core.relabel import Touched
from unet_gui.core.text import in_words


def folder_not_opened(path: Path, error: Exception, offers: tuple[Offer, ...] = ()) -> Message:
    """Say that a folder cannot be opened, and which one where that is because of something in it."""
    said = Message.of(error, topic="folder")
    named = isinstance(error, UserError) and error.path is not None and Path(error.path).name == path.name
    text = said.text if named else f"“{path.name or path}” cannot be opened. {said.text}"
    return Message("error", text, said.details, "folder", offers)


def label_not_saved(key: str, error: Exception, again: Callable[[], object]) -> Message:
    """Say that a label is not on disk and is kept."""
    said = Message.of(error, topic="save")
    text = f"The label of “{key}” could not be saved and is kept in memory; trying again. {said.text}"
    return Message("error", text, said.details, "save", (Offer("Try again now", again),))


def left_as_before(what: str, topic: str) -> Message:
    """Say that something was not changed, as labels could not be saved first: why has been said of each."""
    text = f"{what} as before, as labels could not be saved. Once they are saved, do it again."
    return Message("error", text, topic=topic)


def label_changed(key: str, keep: Callable[[], object], take: Callable[[], object]) -> Message:
    """Ask whose label is to stay: nothing is saved before that."""
    offers = Offer("Keep mine", keep), Offer("Take theirs", take)
    text = (
        f"The label of “{key}” was changed by another program, and here too. Nothing is saved over it unasked; "
        "if you keep yours, a copy of theirs stays."
    )
    return Message("warning", text, topic=changed_topic(key), offers=offers)


def label_replaced(key: str, copy: Path | None) -> Message:
    """Say what became of a label that another program had changed, and of which there is a copy, or deleted."""
    if copy is not None:
        text = f"Your label of “{key}” was saved. The one of the other program is kept as “{copy}”."
        return Message("info", text, topic=f"replaced {key}")
    text = (
        f"The label of “{key}” had been deleted by another program; it was saved again as you see it. "
        "If it should go, clear it here."
    )
    return Message("warning", text, topic=f"replaced {key}")


def changed_topic(key: str) -> str:
    """Return the topic of `label_changed`."""
    return f"changed {key}"


def label_taken_in(key: str) -> Message:
    """Say that a label is shown as another program has written it."""
    text = f"The label of “{key}” was changed by another program, and is shown as it is now."
    return Message("info", text, topic=changed_topic(key), passing=True)


def strokes_not_noted(error: OSError) -> Message:
    """Say that the journal cannot be written."""
    text = f"Strokes cannot be noted down at the moment, so save often. {Message.of(error).text}"
    return Message("warning", text, repr(error), "journal")


def strokes_return() -> Message:
    """Say that strokes of a run that died are being given back."""
    return Message("info", "The strokes of last time are on their way back.", topic="held", passing=True)


def strokes_back(images: int) -> Message:
    """Say that changes from the last time are in their labels."""
    text = f"The strokes of {images} image{'s' * (images > 1)} are back and saved."
    return Message("good", text, topic="recovery", passing=True)


def strokes_unsaved(keys: list[str], back: Callable[[], object], forget: Callable[[], object]) -> Message:
    """Offer the strokes of a run that died."""
    count = f"{len(keys)} images" if len(keys) > 1 else f"“{keys[0]}”"
    text = f"Last time the program ended before the strokes in {count} were saved."
    return Message("warning", text, in_words("\n".join(keys)), "recovery", _recovery(back, forget))


def strokes_wait(keys: list[str], back: Callable[[], object], forget: Callable[[], object]) -> Message:
    """Say why labels cannot be changed before the strokes of a run that died are back or forgotten."""
    names = ", ".join(f"“{key}”" for key in keys[:3]) + (" …" if len(keys) > 3 else "")
    text = f"Strokes in {names} were not saved last time. Bring them back or forget them first."
    return Message("warning", text, in_words("\n".join(keys)), "recovery", _recovery(back, forget))


def _recovery(back: Callable[[], object], forget: Callable[[], object]) -> tuple[Offer, Offer]:
    return Offer("Bring them back", back), Offer("Forget them", forget)


CUT = "cut training"
"""Topic of the message about a training that was cut."""


def training_cut(cut: CutTraining, go_on: Callable[[], object], leave: Callable[[], object]) -> Message:
    """Tell of a training that was cut when the program ended the last time."""
    name = cut.out.stem
    if cut.minutes is None:
        text = f"The training of {name} was interrupted before anything of it was kept."
        return Message("warning", text, topic=CUT, offers=(Offer("Begin again", go_on), Offer("Leave it", leave)))
    count = round(cut.minutes)
    after = f"after {count} minute{'s' * (count != 1)}" if count else "in its first minute"
    text = f"The training of {name} was interrupted {after}."
    text += " The model as it was then can be used." if cut.out.exists() else ""
    return Message("warning", text, topic=CUT, offers=(Offer("Go on", go_on), Offer("Leave it", leave)))


def partly_read(key: str, error: Exception) -> Message:
    """Say that an image is damaged from somewhere on."""
    said = Message.of(error)
    why = said.text
    if isinstance(error, UserError) and error.message[:1].islower():
        why = f"it {error.message} {error.hint}".strip()
    return Message("error", f"Only a part of “{key}” can be read: {why}", said.details, "image", image=key)


def images_failed(kind: str, reasons: list[str], image: str, others: bool = True, title: str = "") -> Message:
    """Say which images a job could not do, and why.

    ``image`` is the key of the only one it was for; ``others`` whether there are some, and all of them are done.
    """
    verbs = {"masks": "saved", "exchange": "exported", "relabel": "changed", "count": "read"}
    if title == "Importing":
        verbs["exchange"] = "imported"
    which, first = f"{len(reasons)} images", f"The first: {reasons[0]}"
    if len(reasons) == 1:
        which, first = "1 image", reasons[0]
    text = f"{which} could not be {verbs.get(kind, 'segmented')}{'; the others are' * others}. {first}"
    if kind == "predict":
        text = f"The image could not be predicted. {reasons[0]}"
    return Message("error", text, "\n".join(reasons), f"{kind} images", image=image if kind == "predict" else "")


def stopped(title: str, so_far: str, topic: str) -> Message:
    """Say what is there of something that was stopped; empty when nothing is."""
    text = f"Stopped: {so_far}" if so_far else f"{title} was stopped; nothing has been written."
    return Message("info", text, topic=topic, passing=True)


def prediction_of_another_size(key: str) -> Message:
    """Say that an image was replaced since it was predicted."""
    text = f"The prediction of “{key}” has another size than the image now has, and is not shown. Predict it again (R)."
    return Message("warning", text, topic="prediction", image=key)


def read_only(what: str, reason: str, offers: tuple[Offer, ...]) -> Message:
    """Say that nothing can be changed, why, and what to do about it."""
    return Message("warning", f"{what} {reason}", topic="read-only", offers=offers)


def asked_about(key: str) -> Message:
    """Say that an answer came when another image was open."""
    text = f"That was asked about “{key}”. Go back to it first; nothing is changed here."
    return Message("info", text, topic="touch-up", passing=True)


def pixels(touched: Touched) -> str:
    """Return how many pixels in how many images, for people."""
    count = f"{touched.pixels:,}".replace(",", "\u202f")
    one, several = touched.pixels == 1, touched.images != 1
    return f"{count} pixel{'' if one else 's'} in {touched.images} image{'s' if several else ''}"
