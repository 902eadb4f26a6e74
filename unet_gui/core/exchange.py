"""Export of a folder's masks for other programs, and import of theirs.

Each format is a class that writes or reads one image at a time: `EXPORTERS` and `IMPORTERS`. What a format cannot
hold is said in the result's notes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unet_gui.core.atomic import must_be_folder
from unet_gui.core.errors import LabelError, UserError, WrongSize
from unet_gui.core.exchange_base import Exporter, ExportOptions, Importer, ImportOptions, rest_class
from unet_gui.core.exchange_coco import CocoExporter, CocoImporter
from unet_gui.core.exchange_imagej import ImagejExporter, ImagejImporter
from unet_gui.core.exchange_labelme import LabelmeExporter, LabelmeImporter
from unet_gui.core.exchange_raster import (
    BinaryExporter,
    BinaryImporter,
    ColorExporter,
    ColorImporter,
    IndexExporter,
    IndexImporter,
    InstancesExporter,
    InstancesImporter,
    MasksExporter,
    PaletteExporter,
    RasterImporter,
    Tiff16Exporter,
    TiffExporter,
)
from unet_gui.core.exchange_yolo import YoloExporter, YoloImporter
from unet_gui.core.headers import explained, is_turned
from unet_gui.core.images import ImageRef
from unet_gui.core.label_stack import StackWriter
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.listing import real_path
from unet_gui.core.measure import CsvExporter
from unet_gui.core.own_files import OwnFiles
from unet_gui.core.project import Dataset, Status
from unet_gui.core.store import write_label

__all__ = [
    "EXPORTERS",
    "IMPORTERS",
    "ExchangeResult",
    "ExportOptions",
    "ImportOptions",
    "NoMask",
    "export",
    "export_masks",
    "exporting",
    "import_labels",
    "importing",
    "mask_of",
    "mask_path",
    "nothing_to_write",
    "say_left_out",
    "say_unfilled",
]

EXPORTERS: dict[str, type[Exporter]] = {
    "masks": MasksExporter,
    "index": IndexExporter,
    "binary": BinaryExporter,
    "palette": PaletteExporter,
    "color": ColorExporter,
    "tiff": TiffExporter,
    "tiff16": Tiff16Exporter,
    "instances": InstancesExporter,
    "coco": CocoExporter,
    "labelme": LabelmeExporter,
    "yolo": YoloExporter,
    "imagej": ImagejExporter,
    "csv": CsvExporter,
}
"""Formats to write."""

IMPORTERS: dict[str, type[Importer]] = {
    "masks": RasterImporter,
    "index": IndexImporter,
    "binary": BinaryImporter,
    "palette": IndexImporter,
    "color": ColorImporter,
    "tiff": IndexImporter,
    "tiff16": IndexImporter,
    "instances": InstancesImporter,
    "coco": CocoImporter,
    "labelme": LabelmeImporter,
    "yolo": YoloImporter,
    "imagej": ImagejImporter,
}
"""Formats to read."""


@dataclass
class ExchangeResult:
    """What an export or import did.

    Attributes
    ----------
    done : int
        Number of images written.
    skipped : int
        Images that have nothing to write (export), or that the source has nothing for (import).
    unfilled : int
        Masks that hold only what is painted, as there is no prediction (export).
    failed : list of (str, str)
        Image and reason of each that could not be.
    turned : list of str
        Images that other programs may turn.
    notes : list of str
        What the person should know: what was assumed, what the format cannot hold.
    """

    done: int = 0
    skipped: int = 0
    unfilled: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    turned: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """How it went with one image.

    Attributes
    ----------
    key : str
        `ImageRef.key`.
    state : str
        ``done``, ``skipped`` or ``failed``.
    reason : str
        Why it failed.
    error : UserError or OSError, optional
        The same, in its parts.
    """

    key: str
    state: str
    reason: str = ""
    error: UserError | OSError | None = field(default=None, compare=False)

    @classmethod
    def of(cls, key: str, error: UserError | OSError) -> Outcome:
        """Say that an image failed."""
        return cls(key, "failed", str(error), error)


class NoMask(UserError):
    """An image that has neither a label nor a prediction."""


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
    NoMask
        There is neither a label nor a prediction.
    UserError
        They cannot be read.
    """
    label = _label_of(dataset, ref)
    if label is not None and not (label == UNLABELLED).any():
        return label
    prediction = dataset.load_prediction(ref)
    if label is None and prediction is None:
        raise NoMask("There is neither a label nor a prediction.", ref.key, "Label it, or segment the folder first.")
    if prediction is None:
        assert label is not None
        return label
    shape = label.shape if label is not None else None
    if shape is None:
        with dataset.open_image(ref) as image:
            shape = image.shape
    if prediction[0].shape != shape:
        raise LabelError("has a prediction of another size.", ref.key, "Segment it again.")
    if label is None:
        return prediction[0]
    return np.where(label == UNLABELLED, prediction[0], label).astype(np.uint8)


def _label_of(dataset: Dataset, ref: ImageRef) -> NDArray[np.uint8] | None:
    """Return the image's label, None when there is none or nothing in it is labelled."""
    label = dataset.load_label(ref)
    return None if label is None or (label == UNLABELLED).all() else label


def _lacks_prediction(dataset: Dataset, ref: ImageRef, mask: NDArray[np.uint8]) -> bool:
    """Whether a mask has empty places because there is no prediction."""
    return bool((mask == UNLABELLED).any()) and not dataset.prediction_path(ref).exists()


def say_unfilled(unfilled: int, total: int, elsewhere: str = "") -> str:
    """Return what the person should know of masks that hold nothing but some strokes.

    ``elsewhere`` is how masks in another folder are named, where that can be done.
    """
    if not unfilled:
        return ""
    one = unfilled == 1
    return (
        f"{unfilled} of {total} image{'s' * (total != 1)} {'has' if one else 'have'} no prediction; "
        f"{'its mask holds' if one else 'their masks hold'} only what is painted. "
        f"Segment the folder first to fill {'it' if one else 'them'}{_or_named(elsewhere)}."
    )


def _or_named(elsewhere: str) -> str:
    """Return the end of advice to segment a folder: who has segmented it into another folder names that."""
    return f" (in the window), or take the masks in another folder{elsewhere}" if elsewhere else ""


def say_left_out(count: int, only_labels: bool = False) -> str:
    """Return what the person should know of images that have nothing to write."""
    if not count:
        return ""
    has = "has no label" if only_labels else "has neither a label nor a prediction"
    what = f"1 image {has}" if count == 1 else f"{count} images {has.replace('has', 'have', 1)}"
    return f"{what}: left out."


def _say_turned(turned: Sequence[str]) -> list[str]:
    """Return what the person should know of images whose labels may lie elsewhere in another program."""
    if not turned:
        return []
    who, it = (f"{turned[0]} and {len(turned) - 1} more images", "them") if turned[1:] else (turned[0], "it")
    return [
        f"An EXIF entry in {who} lets some programs turn {it}; here pixels count as they are stored in the file. "
        f"Labels from or for a program that turns {it} are not at the same place: look at one of them."
    ]


def mask_path(dataset: Dataset, ref: ImageRef, out: Path) -> Path:
    """Return the file of an image's mask in a folder: the name of its label, under the image's relative path."""
    return out / dataset.label_path(ref).relative_to(dataset.label_root)


def export_masks(
    dataset: Dataset, ref: ImageRef, out: Path, stack: StackWriter | None = None, own: OwnFiles | None = None
) -> bool:
    """Write the mask of one image, in the folder's label encoding, to its `mask_path`.

    With ``stack`` that of a page is written later, together with others; ``own`` spares to look for the images and
    labels, which are not replaced, again and again. Returns whether it has empty places because there is no prediction.
    """
    pages = len(dataset.expand(ImageRef(ref.rel))) if ref.page is not None else None
    path = mask_path(dataset, ref, out)
    (own or OwnFiles(dataset)).must_not_be(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = mask_of(dataset, ref)
    write_label(path, mask, dataset.encoding, page=ref.page, pages=pages, stack=stack)
    return _lacks_prediction(dataset, ref, mask)


def export(dataset: Dataset, kind: str, out: Path, options: ExportOptions | None = None) -> ExchangeResult:
    """Export every image of a dataset; one that fails is listed and the rest goes on.

    Images that have neither a label nor a prediction are left out, and counted.

    Parameters
    ----------
    dataset : Dataset
    kind : str
        A key of `EXPORTERS`.
    out : Path
        Folder to write to; made when missing.
    options : ExportOptions, optional

    Returns
    -------
    ExchangeResult

    Raises
    ------
    UserError
        Nothing could be exported at all: a missing package, a folder that is not free, an unknown class, no image
        that has something to write.
    """
    result = ExchangeResult()
    for _ in exporting(dataset, kind, out, options or ExportOptions(), result):
        pass
    return result


def exporting(
    dataset: Dataset, kind: str, out: Path, options: ExportOptions, result: ExchangeResult
) -> Iterator[Outcome]:
    """Do what `export` does, image by image; `result` is filled on the way and complete at the end."""
    for taken in (dataset.label_root, dataset.image_root):
        if real_path(out) == real_path(taken):
            raise UserError("is where the folder's own pictures or labels are.", out, "Export to another folder.")
    exporter = EXPORTERS[kind](dataset, out, options)
    must_be_folder(out)

    def write(ref: ImageRef, stack: StackWriter) -> Outcome:
        return _export_one(dataset, exporter, ref, stack, result)

    yield from _each(dataset, write, result, exporter.end)
    if not result.done and not result.failed:
        raise nothing_to_write(dataset, options)
    exporter.finish()
    left_out = say_left_out(result.skipped, options.only_labels)
    told = left_out, say_unfilled(result.unfilled, result.done, options.using("labels"))
    result.notes += [*filter(None, told), *_say_turned(result.turned), *exporter.notes]
    if exporter.lossy:
        result.notes.append(f"{exporter.lossy} unlabelled pixels were not kept.")


def nothing_to_write(dataset: Dataset, options: ExportOptions | None = None) -> UserError:
    """Return the error for a folder in which no image has anything to write."""
    options = options or ExportOptions()
    if options.only_labels:
        hint = f"Labels are looked for in {dataset.label_root}."
        return UserError("No image of this folder has a label.", dataset.image_root, hint)
    hint = f"Label some, or segment the folder first{_or_named(options.using('labels'))}."
    return UserError("No image of this folder has a label or a prediction.", dataset.image_root, hint)


def _each(
    dataset: Dataset,
    work: Callable[[ImageRef, StackWriter], Outcome],
    result: ExchangeResult,
    end: Callable[[], None] | None = None,
) -> Iterator[Outcome]:
    """Do the work on every image and page. What it writes of a stack is written when the last page is done.

    With ``end``, which is called then, too, stacks are begun anew. Stopped, it leaves what is on disk in the result.
    """
    for file in dataset.images:
        before = result.done
        late: list[Outcome] = []  # it is told one late: the last page is written by then
        try:
            with StackWriter(anew=end is not None) as stack:
                for ref in dataset.expand(file):
                    yield from late
                    late = [_counted(result, work(ref, stack))]
            if end is not None:
                end()
            if result.done > before and is_turned(dataset.image_path(file)):
                result.turned.append(file.key)
        except UserError as error:
            result.done = before
            late.append(_counted(result, Outcome.of(file.key, error)))
        except GeneratorExit:
            result.done = before
            raise
        yield from late


def _export_one(
    dataset: Dataset, exporter: Exporter, ref: ImageRef, stack: StackWriter, result: ExchangeResult
) -> Outcome:
    try:
        if exporter.options.only_labels:
            ids = _label_of(dataset, ref)
            if ids is None:
                return Outcome(ref.key, "skipped")
        else:
            ids = mask_of(dataset, ref)
        exporter.stack = stack
        exporter.add(ref, ids)
        result.unfilled += not exporter.options.only_labels and _lacks_prediction(dataset, ref, ids)
    except NoMask:
        return Outcome(ref.key, "skipped")
    except (UserError, OSError) as error:
        return Outcome.of(ref.key, error)
    return Outcome(ref.key, "done")


def _counted(result: ExchangeResult, outcome: Outcome) -> Outcome:
    if outcome.state == "failed":
        result.failed.append((outcome.key, outcome.reason))
    elif outcome.state == "skipped":
        result.skipped += 1
    else:
        result.done += 1
    return outcome


def import_labels(dataset: Dataset, source: Path, kind: str, options: ImportOptions | None = None) -> ExchangeResult:
    """Import labels into a folder; an image that fails is listed and the rest goes on.

    Classes are matched by name, and new ones added to the folder. An image that is labelled already keeps its label,
    and is listed as failed, unless asked to overwrite.

    Parameters
    ----------
    dataset : Dataset
    source : Path
        A file or folder of the format.
    kind : str
        A key of `IMPORTERS`.
    options : ImportOptions, optional

    Returns
    -------
    ExchangeResult

    Raises
    ------
    UserError
        Nothing could be imported at all: a missing package, a source that cannot be understood or has nothing for any
        image, a folder that is read-only or open in another program.
    """
    result = ExchangeResult()
    for _ in importing(dataset, source, kind, options or ImportOptions(), result):
        pass
    return result


def importing(
    dataset: Dataset, source: Path, kind: str, options: ImportOptions, result: ExchangeResult
) -> Iterator[Outcome]:
    """Do what `import_labels` does, image by image; `result` is filled on the way and complete at the end."""
    if dataset.read_only:
        raise UserError("Nothing can be saved in this folder.", dataset.root, dataset.read_only)
    held = dataset.has_lock
    who = dataset.acquire_lock()
    if who:
        raise UserError("is open elsewhere.", dataset.root, f"Close it first: {who}")
    try:
        importer = IMPORTERS[kind](dataset, source, options)
        rest_class(dataset.classes, options.background)  # a class that is not there is said once, not for each image
        asked: set[str] = set()
        stacks: set[str] = set()

        def take(ref: ImageRef, stack: StackWriter) -> Outcome:
            asked.add(ref.key)
            if ref.page is not None:
                stacks.add(ref.rel)
                if importer.has(ref) and ref.key not in importer.names:
                    asked.add(ref.rel)  # it is in one file with the others
            return _import_one(dataset, importer, ref, stack)

        yield from _each(dataset, take, result)
        yield from (_counted(result, Outcome.of(*one)) for one in importer.broken)
        # of a stack also pages that it does not have
        importer.unmatched += [
            f"{name} (each page of a stack has one of its own)" if key in stacks else name
            for key, name in importer.names.items()
            if key not in asked
        ]
        if not result.done and not result.failed:
            raise _nothing_to_read(dataset, importer)
        if result.done:
            dataset.save()  # what values and names mean must not be guessed the next time
    finally:
        if not held:
            dataset.release_lock()
    result.notes += [*importer.notes, *_say_turned(result.turned)]
    if importer.book.added:
        result.notes.append(f"New classes: {_some(importer.book.added)}.")
    if importer.unmatched:
        result.notes.append(f"Not in this folder: {_some(importer.unmatched)}.")


def _nothing_to_read(dataset: Dataset, importer: Importer) -> UserError:
    """Return the error for a source that has nothing for any image."""
    hint = f"Files must be called like the images; say what they have behind that{importer.options.using('suffix')}."
    if importer.unmatched:
        hint += f" There is {importer.unmatched[0]}, and the image {dataset.images[0].rel}."
    else:
        hint += " Or are they of another format than the chosen one?"
    unmatched = ", ".join(importer.unmatched[:20])
    return UserError("holds nothing for the images of this folder.", importer.source, hint, unmatched)


def _some(names: Sequence[str]) -> str:
    """Return the first names and how many more there are."""
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def _import_one(dataset: Dataset, importer: Importer, ref: ImageRef, stack: StackWriter) -> Outcome:
    try:
        if not importer.has(ref):
            return Outcome(ref.key, "skipped")
        overwrite = importer.options.overwrite
        if not overwrite and dataset.status(ref) is not Status.UNTOUCHED:
            replace = f"Replace it{importer.options.using('overwrite')}."
            return Outcome.of(ref.key, UserError("has a label already.", ref.key, replace))
        with dataset.open_image(ref) as image:
            shape = image.shape
        ids = importer.read(ref, shape)
        if dataset.classes != importer.known:
            dataset.save()  # before a label that uses the new classes is on disk
            importer.known = list(dataset.classes)
        dataset.save_label(ref, ids, overwrite=overwrite, stack=stack)
    except WrongSize as error:
        return Outcome.of(ref.key, explained(error, dataset.image_path(ref)))
    except (UserError, OSError) as error:
        return Outcome.of(ref.key, error)
    return Outcome(ref.key, "done")
