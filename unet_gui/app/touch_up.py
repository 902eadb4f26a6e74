"""From prediction to label: taking it over, finding doubtful places, done and next."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, QTimer, Signal, Slot

from unet_gui.app import words
from unet_gui.app.chores import Chores
from unet_gui.app.document import SMALL, Document
from unet_gui.app.doubt import Place, doubtful_places
from unet_gui.app.messages import Message, Offer
from unet_gui.app.session import Session
from unet_gui.app.whole_image import WholeImage
from unet_gui.core.geometry import Rect
from unet_gui.core.images import ImageRef
from unet_gui.core.labels import UNLABELLED, Over, count_unlabelled
from unet_gui.core.planes import Probabilities
from unet_gui.core.text import in_words, percent
from unet_gui.core.whole import Patch

STRIP = 1 << 22
"""Pixels written at once, so that a big image does not need its size again in masks."""

SOON = 500
"""Milliseconds after which it is said that something waits: of a small image nobody notices."""


def _nothing() -> None:
    """Do nothing more."""


class TouchUp(QObject):
    """Deeds on the open image that need its prediction.

    Parameters
    ----------
    next_unfinished : callable
        Returns the image to go to when this one is done, None when all are.
    predicted_images : callable
        Returns the images with a prediction that come after this one.
    whole : WholeImage, optional
        Writes large labels beside the window.

    Signals
    -------
    place_found(Rect, text)
        Look here: the which of how many.
    finished(key)
        The person has said that this image is done.
    predict_wanted()
    """

    place_found = Signal(object, str)
    finished = Signal(str)
    predict_wanted = Signal()

    def __init__(
        self,
        session: Session,
        next_unfinished: Callable[[], ImageRef | None],
        predicted_images: Callable[[], list[ImageRef]],
        whole: WholeImage | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._whole = whole
        self._session = session
        self._next_unfinished = next_unfinished
        self._predicted_images = predicted_images
        self._places: list[Place] = []
        self._found = 0  # places in this image, those visited among them
        self._places_of = ""
        self._searching = False
        self._searched: set[str] = set()
        self._continue_in = ""
        self._then: Callable[[], object] = _nothing  # as soon as the prediction of the open image has been read
        self._chores = Chores(1, self)
        self._chores.done.connect(self._on_places)
        self._chores.failed.connect(self._on_no_places)
        session.image_opening.connect(self._wait_no_longer)
        session.prediction_changed.connect(self._on_prediction)
        session.prediction_written.connect(self._on_predicted)
        session.folder_changed.connect(self._on_folder)

    def close(self) -> None:
        """End the thread."""
        self._chores.close()

    # --- taking over -----------------------------------------------------------------------------------------------

    def take_over(self, replace: bool = False, then: Callable[[], object] = _nothing) -> None:
        """Give unlabelled pixels the class that the model predicts; all pixels with ``replace``. One undo step.

        A large label is written beside the window; ``then`` is called when it is done.
        """
        prediction = self._session.prediction
        if self._session.document is None or self._waits(functools.partial(self.take_over, replace, then)):
            return
        if prediction is None:
            self._explain("There is no prediction for this image yet.")
            return
        name = "replace by prediction" if replace else "take over prediction"
        self._write(name, prediction, Over.ALL if replace else Over.UNLABELLED, then)

    def clear(self) -> None:
        """Make every pixel unlabelled. One undo step."""
        if self._session.document is not None:
            self._write("clear label", None, Over.ALL)

    def fill_unlabelled(self, class_id: int, then: Callable[[], object] = _nothing) -> None:
        """Give every unlabelled pixel one class. One undo step."""
        if self._session.document is not None:
            self._write("fill unlabelled", np.uint8(class_id), Over.UNLABELLED, then)

    def _write(
        self,
        name: str,
        ids: NDArray[np.uint8] | np.uint8 | None,
        over: Over,
        then: Callable[[], object] = _nothing,
    ) -> None:
        """Write ids (an array, one class, or None for unlabelled) over the whole image."""
        session = self._session
        labels = session.labels
        if labels is None:
            return
        if self._whole is not None and labels.ids.size > SMALL:
            self._whole.write(name, functools.partial(_patches, said=ids), over, then)
            return
        edit = session.begin_edit(name)
        if edit is None:
            return
        edit.over = over
        try:
            for patch in _patches(labels.ids, ids):
                session.changed(edit.write(*patch))
        except BaseException:  # an edit left open would keep every label from being saved
            edit.rollback()
            raise
        finally:
            session.end_edit(edit)
        then()

    def _explain(self, text: str, *more: Offer) -> None:
        offers = (Offer("Predict this image", self.predict_wanted.emit), *more)
        self._session.said.emit(Message("info", text, topic="no prediction", offers=offers, image=self._session.key))

    # --- done ------------------------------------------------------------------------------------------------------

    def done(self) -> None:
        """Mark the image as done: what is unlabelled takes the prediction. Then go to the next unfinished one."""
        document = self._session.document
        if document is None or document.labels.editing:
            return
        open_pixels = count_unlabelled(document.labels.ids)
        if not open_pixels:
            self._finish(document)
        elif self._waits(self.done):
            return
        elif document.prediction is None:
            self._ask(document, open_pixels)
        else:
            self.take_over(then=functools.partial(self._taken, document, open_pixels))

    def _taken(self, document: Document, open_pixels: int) -> None:
        """Go on when the prediction has been taken over."""
        left = count_unlabelled(document.labels.ids)
        if left:  # pixels of a class that is no more
            self._ask(document, left)
            return
        size = document.labels.ids.size
        share = _share(open_pixels / size)
        what = (
            f"{share} of it was unlabelled and took the prediction" if open_pixels < size else "it took the prediction"
        )
        undo = Offer("Go back", functools.partial(self._session.open_image, document.ref))
        text = f"“{document.key}” is done: {what}."
        self._session.said.emit(Message("info", text, topic="touch-up", offers=(undo,), passing=True))
        self._finish(document)

    def _finish(self, document: Document) -> None:
        self._session.settled.emit("doubt")
        self.finished.emit(document.key)
        self._session.save()
        self._go_on()

    def _go_on(self) -> None:
        ref = self._next_unfinished()
        if ref is not None:
            self._session.open_image(ref)
        else:
            labels = self._session.labels
            here = labels is None or not count_unlabelled(labels.ids)
            text = "Every image is done." if here else "Every other image is done."
            self._session.said.emit(Message("good", text, topic="touch-up", passing=True))

    def _ask(self, document: Document, open_pixels: int) -> None:
        share = _share(open_pixels / document.labels.ids.size)
        first = self._session.classes[0]
        why = (
            "there is no prediction to take over"
            if document.prediction is None
            else "the prediction says nothing there"
        )
        text = (
            f"{share} of this image is unlabelled and {why}, so it cannot be done yet. "
            "Unlabelled means that nobody has said; it is not background."
        )
        fill = Offer(f"Fill with {first.name}", functools.partial(self._fill_and_go_on, document, first.id))
        skip = Offer("Leave it partial, go on", self._go_on)
        self._explain(text, fill, skip)

    def _fill_and_go_on(self, document: Document, class_id: int) -> None:
        now = self._session.document
        if now is None or now.key != document.key:  # it was asked about another image
            self._session.said.emit(words.asked_about(document.key))
            return
        if all(info.id != class_id for info in self._session.classes):
            self.done()  # the label was read again without that class: ask anew
            return
        self.fill_unlabelled(class_id, self.done)

    # --- doubtful places -------------------------------------------------------------------------------------------

    def next_doubtful(self) -> None:
        """Go to the most doubtful place not visited yet, in this image, then in the next ones."""
        document = self._session.document
        if document is None or self._searching or self._waits(self.next_doubtful):
            return
        if self._places_of == document.key and self._places:
            self._go_to_place()
        elif self._places_of == document.key and document.probabilities is not None:
            self._next_image()
        else:
            self._search(document)

    def _search(self, document: Document) -> None:
        if document.probabilities is None:
            if document.prediction is None and not self._predicted_images():
                self._explain("Doubtful places come from predictions, and there are none yet.")
            else:
                self._next_image()
            return
        self._searching = True
        said, label = document.probabilities, document.labels.ids
        self._chores.give((document, said), lambda: doubtful_places(said.planes, label))

    def _go_to_place(self) -> None:
        place = self._places.pop(0)
        self._session.settled.emit("doubt")
        number = self._found - len(self._places)
        self.place_found.emit(place.rect, f"Doubtful place {number} of {self._found} in {in_words(self._places_of)}")

    def _next_image(self) -> None:
        self._searched.add(self._session.key)
        ref = next((each for each in self._predicted_images() if each.key not in self._searched), None)
        if ref is None:
            self._searched.clear()
            self._places_of = ""
            text = "No more doubtful places where nothing is labelled. What was taken over counts as labelled."
            self._session.said.emit(Message("good", text, topic="doubt", passing=True))
            return
        self._continue_in = ref.key
        self._session.open_image(ref)

    def _waits(self, act: Callable[[], object]) -> bool:
        """Whether the prediction is still being read; then this is done when it is there, unless the image goes."""
        if self._session.reads_prediction:
            self._then = act
            QTimer.singleShot(SOON, self, self._say_waiting)
        return self._session.reads_prediction

    @Slot()
    def _say_waiting(self) -> None:
        if self._then is not _nothing:
            text = "The prediction of this image is still being read. It goes on when it is there."
            cancel = Offer("Cancel", self._wait_no_longer)
            self._session.said.emit(Message("info", text, topic="reading", offers=(cancel,), image=self._session.key))

    @Slot()
    def _wait_no_longer(self) -> None:
        self._then = _nothing
        self._session.settled.emit("reading")

    @Slot(str)
    def _on_opening(self, _key: str) -> None:
        self._then = _nothing
        self._session.settled.emit("reading")

    @Slot()
    def _on_folder(self) -> None:
        """Another folder: its images may have the same names."""
        self._searched.clear()
        self._continue_in = ""

    @Slot(str)
    def _on_predicted(self, key: str) -> None:
        self._searched.discard(key)  # a new prediction has other doubtful places

    @Slot()
    def _on_prediction(self) -> None:
        """Another image, or a new prediction of this one."""
        document = self._session.document
        if document is not None and document.key != self._continue_in:
            self._continue_in = ""  # the person has gone somewhere else
        if document is not None and document.prediction is not None:
            self._session.settled.emit("no prediction")
        self._places, self._places_of = [], ""
        if document is not None and document.prediction is not None and self._continue_in == document.key:
            self._continue_in = ""
            self.next_doubtful()
        elif not self._session.reads_prediction:
            act = self._then
            self._wait_no_longer()
            act()

    @Slot(object, object)
    def _on_places(self, tag: tuple[Document, Probabilities], places: list[Place]) -> None:
        self._searching = False
        document, said = tag
        if document is not self._session.document:
            return
        if document.probabilities is not said:
            self.next_doubtful()  # it has been predicted again meanwhile
            return
        self._places, self._places_of, self._found = places, document.key, len(places)
        if places:
            self._go_to_place()
        else:
            self._next_image()

    @Slot(object, object)
    def _on_no_places(self, tag: tuple[Document, Probabilities], error: Any) -> None:
        self._searching = False
        document, _ = tag
        if document is self._session.document:
            self._session.said.emit(Message.of(error, topic="doubt", image=document.key))


def _patches(label: NDArray[np.uint8], said: NDArray[np.uint8] | np.uint8 | None) -> Iterator[Patch]:
    """Yield the image in strips, each with what to write: what the model says, one class, or that nobody has said."""
    h, w = label.shape
    step = max(1, STRIP // max(1, w))
    for y in range(0, h, step):
        rect = Rect(0, y, w, min(step, h - y))
        if isinstance(said, np.ndarray) and said.ndim == 2:
            yield Patch(rect, said[rect.slices], said[rect.slices] != UNLABELLED)
        else:
            ids = np.full((rect.h, rect.w), UNLABELLED if said is None else said, np.uint8)
            yield Patch(rect, ids, np.ones(ids.shape, bool))


def _share(part: float) -> str:
    return percent(part) if part >= 0.01 else f"less than {percent(0.01)}"
