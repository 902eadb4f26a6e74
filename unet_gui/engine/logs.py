"""Run logs for TensorBoard: people open them elsewhere, beside those of other programs."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from unet_gui.core.palette import ClassInfo

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter


class RunLog:
    """A log, or nothing at all where it cannot be written.

    Parameters
    ----------
    folder : Path or None
        Where runs are kept; None = no log.
    name : str
        Of the model; a number is added to tell the runs apart.

    Attributes
    ----------
    path : Path or None
        The folder of this run.
    """

    def __init__(self, folder: Path | None, name: str) -> None:
        self.path: Path | None = None
        self._writer: SummaryWriter | None = None
        if folder is None:
            return
        path = folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{name}"
        number = 2
        while path.exists():
            path = folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{name}-{number}"
            number += 1
        try:
            path.mkdir(parents=True)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of the libraries behind it, at import
                from torch.utils.tensorboard.writer import SummaryWriter
            self._writer = SummaryWriter(str(path), max_queue=100, flush_secs=30)
        except (OSError, ImportError):
            return
        self.path = path

    def texts(self, entries: dict[str, str]) -> None:
        """Log texts, e.g. the settings."""
        for name, text in entries.items():
            with self._or_nothing():
                if self._writer is not None:
                    self._writer.add_text(name, text)

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Log numbers; those that are none (NaN) are left out."""
        for name, value in values.items():
            with self._or_nothing():
                if self._writer is not None and value == value:
                    self._writer.add_scalar(name, value, step)

    def picture(
        self, step: int, pixels: NDArray, said: NDArray[np.uint8], truth: NDArray[np.uint8], classes: list[ClassInfo]
    ) -> None:
        """Log image, prediction and label side by side, at most 512 pixels high.

        Parameters
        ----------
        pixels : ndarray
            ``(h, w)`` or ``(h, w, c)``.
        said, truth : ndarray
            ``(h, w)`` uint8, positions in ``classes``; 255 is shown grey.
        """
        if self._writer is None:
            return
        from unet_gui.core.images import auto_window, to_display

        shown = pixels[:512, :512]
        shown = shown if shown.ndim == 2 or shown.shape[2] == 3 else np.ascontiguousarray(shown[..., 0])
        grey = to_display(shown, *auto_window(shown))
        colour = np.repeat(grey[..., None], 3, axis=2) if grey.ndim == 2 else grey
        table = np.full((256, 3), 128, np.uint8)
        for i, info in enumerate(classes):
            table[i] = info.rgb
        row = np.concatenate([colour, table[said[:512, :512]], table[truth[:512, :512]]], axis=1)
        with self._or_nothing():
            self._writer.add_image("validation/image-prediction-label", row, step, dataformats="HWC")

    def close(self) -> None:
        """Write everything down and close."""
        with self._or_nothing():
            if self._writer is not None:
                self._writer.close()
        self._writer = None

    @contextlib.contextmanager
    def _or_nothing(self) -> Iterator[None]:
        """Log no more where the disk is full or gone: a training does not end for that."""
        try:
            yield
        except OSError:
            self._writer = None
