"""Undo of the images that are not open at the moment."""

from __future__ import annotations

from collections import OrderedDict

from unet_gui.app.document import Document
from unet_gui.core.history import History

CAP = 512 * 2**20
"""Bytes of all images together; the image longest not looked at forgets first."""

Kept = dict[str, tuple[History, int]]


class Histories:
    """Keeps the history of an image together with the checksum of the label on disk that it belongs to."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[History, int, int]] = OrderedDict()

    def put(self, document: Document) -> None:
        """Keep the history of an image that is put away."""
        self._kept[document.key] = (document.history, document.disk, document.seq)
        self._kept.move_to_end(document.key)
        while sum(history.nbytes for history, _, _ in self._kept.values()) > CAP:
            self._kept.popitem(last=False)

    def give_to(self, document: Document) -> None:
        """Give an image its history back, if nobody else has written its label meanwhile."""
        history, disk, seq = self._kept.pop(document.key, (None, 0, 0))
        if history is not None:
            document.seq = document.saved_seq = seq  # numbers in the journal only grow
            if disk == document.disk:
                document.history = history

    def all(self) -> Kept:
        """Return what is kept, to be given back by `restore`."""
        return {key: (history, disk) for key, (history, disk, _) in self._kept.items()}

    def restore(self, kept: Kept) -> None:
        """Keep again what was kept earlier: the labels are what they were then."""
        for key, (history, disk) in kept.items():
            seq = self._kept[key][2] if key in self._kept else 0
            self._kept[key] = (history, disk, seq)

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
