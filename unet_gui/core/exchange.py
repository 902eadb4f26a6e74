"""Export of a folder's masks for other programs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unet_gui.core.errors import UserError
from unet_gui.core.images import ImageRef
from unet_gui.core.project import Dataset
from unet_gui.core.store import UNLABELLED, write_label


@dataclass
class ExportResult:
    """What an export did.

    Attributes
    ----------
    written : int
        Number of images exported.
    failed : list of (str, str)
        Image and reason of each that could not be.
    """

    written: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)


def mask_of(dataset: Dataset, ref: ImageRef) -> NDArray[np.uint8]:
    """Return the mask of an image: the label where it is labelled, the prediction elsewhere.

    Parameters
    ----------
    dataset : Dataset
    ref : ImageRef

    Returns
    -------
    ndarray of uint8, (h, w)
        Class ids; 255 where there is neither.

    Raises
    ------
    UserError
        There is neither a label nor a prediction, or they cannot be read.
    """
    label = dataset.load_label(ref)
    if label is not None and not (label == UNLABELLED).any():
        return label
    prediction = dataset.load_prediction(ref)
    if label is None and prediction is None:
        raise UserError("There is neither a label nor a prediction.", ref.key, "Label it, or segment the folder first.")
    if prediction is None:
        assert label is not None
        return label
    if label is None:
        return prediction[0]
    return np.where(label == UNLABELLED, prediction[0], label).astype(np.uint8)


def export_masks(dataset: Dataset, ref: ImageRef, out: Path) -> None:
    """Write the mask of one image, in the folder's label encoding, under the image's relative path."""
    label = dataset.label_path(ref).relative_to(dataset.label_root)
    pages = len(dataset.expand(ImageRef(ref.rel))) if ref.page is not None else None
    path = out / label
    path.parent.mkdir(parents=True, exist_ok=True)
    write_label(path, mask_of(dataset, ref), dataset.encoding, page=ref.page, pages=pages)


FORMATS: dict[str, Callable[[Dataset, ImageRef, Path], None]] = {"masks": export_masks}


def export(dataset: Dataset, kind: str, out: Path) -> ExportResult:
    """Export every image of a dataset; one that fails is listed and the rest goes on.

    Parameters
    ----------
    dataset : Dataset
    kind : str
        A key of `FORMATS`.
    out : Path
        Folder to write to; made when missing.

    Returns
    -------
    ExportResult
    """
    result = ExportResult()
    out.mkdir(parents=True, exist_ok=True)
    for file in dataset.images:
        try:
            refs = dataset.expand(file)
        except UserError as error:
            result.failed.append((file.key, str(error)))
            continue
        for ref in refs:
            try:
                FORMATS[kind](dataset, ref, out)
                result.written += 1
            except (UserError, OSError) as error:
                result.failed.append((ref.key, str(error)))
    return result
