"""Comparing a folder of predictions with a folder of labels."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from unet_gui.core import label_stack
from unet_gui.core.detect import Detected, detect_encoding
from unet_gui.core.encoding import Encoding
from unet_gui.core.errors import ImageError, LabelError, UserError
from unet_gui.core.images import IMAGE_SUFFIXES, natural_key
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.layout import STATE_FOLDER
from unet_gui.core.listing import must_be_readable
from unet_gui.core.overlap import confusion, dice, iou, mean_of, pixel_error
from unet_gui.core.project import Dataset
from unet_gui.core.project_file import ProjectFile
from unet_gui.core.regions import RegionScores, region_scores, thin_net_class
from unet_gui.core.store import read_label

_Pair = tuple[str, Path, Path]  # name, prediction, label
_NO_PREDICTION = "There is no prediction of this name."
_MANY, _SHOWN = 64, 10
"""Of more classes than that, so many are told: hundreds are hardly ever classes, and hide what is said about them."""
_LOOK = 16  # labels looked at to find the class that separates regions


@dataclass(frozen=True)
class PairScore:
    """Scores of one image.

    Attributes
    ----------
    name : str
        Relative path of the label (and its page).
    table : numpy.ndarray
        int64 (classes, classes + 1), see `confusion`.
    regions : RegionScores or None
        None where no class separates regions.
    """

    name: str
    table: np.ndarray
    regions: RegionScores | None = None


@dataclass
class Evaluation:
    """Scores of a folder.

    Attributes
    ----------
    pairs : list of PairScore
        Each image.
    failed : list of (str, str)
        Label or prediction and why it was left out.
    classes : int
        Number of classes.
    membrane : int or None
        Class that separates regions.
    notes : list of str
        What was assumed.
    apart : str
        What to say in the place of every failure where not one label has a prediction of its name.
    """

    pairs: list[PairScore] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    classes: int = 2
    membrane: int | None = None
    notes: list[str] = field(default_factory=list)
    apart: str = ""

    @property
    def table(self) -> np.ndarray:
        """Pixels of all images counted together."""
        empty = np.zeros((self.classes, self.classes + 1), np.int64)
        return sum((pair.table for pair in self.pairs), empty)

    @property
    def regions(self) -> RegionScores | None:
        """Mean over the images that have regions."""
        found = [pair.regions for pair in self.pairs if pair.regions is not None]
        found = [scores for scores in found if not math.isnan(scores.rand_f)]
        return RegionScores(*np.mean(found, axis=0).tolist()) if found else None

    def to_json(self) -> dict[str, Any]:
        """Return all figures by name; what is undefined is None."""
        table = self.table
        data: dict[str, Any] = {
            "images": len(self.pairs),
            **_pixel_figures(table),
            "membrane": self.membrane,
            **_region_figures(self.regions),
            "confusion": table.tolist(),
            "failed": [list(entry) for entry in self.failed],
            "notes": self.notes,
            "per_image": [
                {"name": pair.name, **_pixel_figures(pair.table), **_region_figures(pair.regions)}
                for pair in self.pairs
            ],
        }
        return data

    def text(self) -> str:
        """Return the figures as a table for a person."""
        if not self.pairs:
            return "\n".join(["No image could be compared.", *self.notes])
        table = self.table
        overlaps, unions = dice(table), iou(table)
        lines = [
            f"{len(self.pairs)} image{'s' * (len(self.pairs) != 1)}"
            + (f", {len(self.failed)} failed" if self.failed else "")
        ]
        lines.append("class       Dice     IoU")
        rows = [
            f"{i:<8} {_number(overlaps[i]):>7} {_number(unions[i]):>7}"
            for i in range(self.classes)
            if not math.isnan(overlaps[i])
        ]
        hidden = len(rows) - _SHOWN if len(rows) > _MANY else 0
        lines += rows[: len(rows) - hidden] + [f"… and {hidden} classes more"] * bool(hidden)
        lines.append(f"{'mean':<8} {_number(mean_of(overlaps)):>7} {_number(mean_of(unions)):>7}")
        lines.append(f"pixel error  {_number(pixel_error(table))}")
        regions = self.regions
        if regions is not None:
            lines.append(f"regions separated by class {self.membrane}, borders thinned:")
            lines.append(f"Rand F       {_number(regions.rand_f)}")
            lines.append(
                f"variation of information  {_number(regions.vi)} bits"
                f" (split {_number(regions.split)}, merge {_number(regions.merge)})"
            )
        return "\n".join(lines + self.notes)


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4f}"


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _pixel_figures(table: np.ndarray) -> dict[str, Any]:
    overlaps, unions = dice(table), iou(table)
    return {
        "dice": {str(i): _plain(v) for i, v in enumerate(overlaps)},
        "iou": {str(i): _plain(v) for i, v in enumerate(unions)},
        "mean_dice": _plain(mean_of(overlaps)),
        "mean_iou": _plain(mean_of(unions)),
        "pixel_error": _plain(pixel_error(table)),
    }


def _region_figures(regions: RegionScores | None) -> dict[str, Any]:
    if regions is None:
        return {}
    return {
        "rand_f": _plain(regions.rand_f),
        "vi": _plain(regions.vi),
        "vi_split": _plain(regions.split),
        "vi_merge": _plain(regions.merge),
    }


def evaluate_folders(
    predicted: str | os.PathLike[str],
    label: str | os.PathLike[str],
    *,
    membrane: int | str | None = "auto",
    unlabelled: int | None = None,
) -> Evaluation:
    """Compare predictions with labels.

    Files are paired by their relative path and stem. A prediction may have something behind it (``0_res.png`` belongs
    to ``0.png``), or a label (``0_mask.png`` to ``0.png``, unless there is another label of ``0``). A pair that cannot
    be compared is listed and the rest goes on; predictions without a label are left aside. The encoding of each folder
    is found by itself; labels of a folder of images are read as its project file says.

    Parameters
    ----------
    predicted, label : str or os.PathLike
        Folders (or two single files).
    membrane : int, str or None
        Class that separates regions for Rand F and variation of information; ``auto`` finds it in the labels, None
        or ``none`` leaves these scores out.
    unlabelled : int, optional
        Pixel value of the labels that means unlabelled, e.g. 11 for CamVid.

    Returns
    -------
    Evaluation
        The scores.

    Raises
    ------
    UserError
        A folder is missing, holds nothing, or holds something that is no label.
    """
    pairs, failed = _pair(Path(predicted), Path(label))
    result = Evaluation(failed=failed)
    if not pairs:
        result.apart = _apart(Path(predicted), failed)
        return result
    truth_coding, coding = _encodings(pairs, _said(Path(label)), unlabelled, result.notes)
    result.membrane = _membrane(membrane, pairs, truth_coding)
    for name, truth, guess in _load(pairs, truth_coding, coding, result.failed):
        highest = max(int(ids[ids != UNLABELLED].max(initial=0)) for ids in (truth, guess))
        result.classes = max(result.classes, highest + 1)
        regions = None if result.membrane is None else region_scores(truth, guess, result.membrane)
        result.pairs.append(PairScore(name, confusion(truth, guess, highest + 1), regions))
    net = result.membrane
    if result.pairs and net is not None and not any(pair.table[net : net + 1].any() for pair in result.pairs):
        text = f"No label has class {result.membrane}, so it separates no regions."
        raise UserError(text, hint="Name another class as the membrane, or none.")
    result.pairs = [replace(pair, table=_enlarged(pair.table, result.classes)) for pair in result.pairs]
    return result


def _enlarged(table: np.ndarray, classes: int) -> np.ndarray:
    """Return a confusion table with room for more classes."""
    large = np.zeros((classes, classes + 1), np.int64)
    n = len(table)
    large[:n, :n], large[:n, classes] = table[:, :n], table[:, n]
    return large


def _membrane(wish: int | str | None, pairs: Sequence[_Pair], encoding: Encoding) -> int | None:
    """Return the class that separates regions, found in an evenly spread few of the labels when nobody says."""
    if wish == "auto":
        step = -(-len(pairs) // _LOOK)
        seen = (_read(label, encoding, 0) for _, _, label in pairs[::step])
        return thin_net_class(ids for ids in seen if not isinstance(ids, str))
    if wish is None or wish == "none":
        return None
    try:
        chosen = int(wish)
    except ValueError as error:
        raise UserError(f"{wish} is no class id.", hint="Name a number, auto or none.") from error
    if not 0 <= chosen < UNLABELLED:
        raise UserError(f"{wish} is no class id.", hint="Name a number, auto or none.")
    return chosen


def _files(folder: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """Return the picture files of a folder by relative path without suffix, and why some cannot be used."""
    if folder.is_file():
        return {"": folder}, {}
    if not folder.is_dir():
        raise UserError("There is no such folder.", folder)
    must_be_readable(folder)
    found = (path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    inside = ((path.relative_to(folder).with_suffix("").as_posix(), path) for path in found)
    files: dict[str, Path] = {}
    twins: dict[str, str] = {}
    for stem, path in sorted(inside):
        if any(part.startswith(".") for part in stem.split("/")):
            continue
        if stem in files:
            twins[stem] = f"{files[stem].name} and {path.name} have one name: move one of them away."
        files[stem] = path
    return files, twins


def _pair(predicted: Path, label: Path) -> tuple[list[_Pair], list[tuple[str, str]]]:
    """Return (name, prediction, label) of each pair, and what has no partner."""
    (guesses, twin_guesses), (labels, twin_labels) = _files(predicted), _files(label)
    if not labels:
        raise UserError("There are no labels in the folder.", label)
    if not guesses:
        raise UserError("There are no predictions in the folder.", predicted)
    longer, longer_labels = _longer(guesses), _longer(labels)
    # of a label with something behind its name, where no other one could be meant
    shorter = {long[0]: stem for stem, long in longer_labels.items() if stem in guesses and len(long) == 1}
    pairs, failed = [], []
    for stem in sorted(labels, key=natural_key):
        others = sorted((name for name in longer.get(stem, []) if name not in labels), key=len)
        if not others and stem in shorter and shorter[stem] not in labels:
            others = [shorter[stem]]
        twins = twin_labels.get(stem) or twin_guesses.get(stem if stem in guesses else others[0] if others else "")
        if twins:
            failed.append((str(labels[stem]), twins))
        elif stem in guesses:
            pairs.append((labels[stem].name if stem == "" else stem, guesses[stem], labels[stem]))
        elif not others:
            failed.append((str(labels[stem]), _NO_PREDICTION))
        elif len(others) > 1 and len(others[0]) == len(others[1]):
            failed.append((str(labels[stem]), f"There are several predictions: {others[0]}, {others[1]}."))
        else:
            pairs.append((stem, guesses[others[0]], labels[stem]))
    return pairs, failed


def _longer(stems: Iterable[str]) -> dict[str, list[str]]:
    """Return the names that have something behind a shorter one: ``0_res`` for ``0``."""
    longer: dict[str, list[str]] = {}
    for stem in stems:
        cut = len(stem)
        while (cut := stem.rfind("_", 0, cut)) > stem.rfind("/"):
            longer.setdefault(stem[:cut], []).append(stem)
    return longer


def _apart(predicted: Path, failed: Sequence[tuple[str, str]]) -> str:
    """Say that two folders have no name in common, with one of each; "" where something else is wrong, too."""
    if any(reason != _NO_PREDICTION for _, reason in failed):
        return ""
    labels = (
        "The label has no prediction of its name"
        if len(failed) == 1
        else f"None of the {len(failed)} labels has a prediction of its name"
    )
    guesses, _ = _files(predicted)
    first = guesses[min(guesses, key=natural_key)]
    return (
        f"{labels}: there is the label {failed[0][0]}, and the prediction {first}. "
        "Both are called the same, or one has _something behind. Are both folders of the same images?"
    )


def _said(label: Path) -> Encoding | None:
    """Return how labels are read, where they are those of a folder of images and its project file says so."""
    labels = Path(os.path.abspath(label if label.is_dir() else label.parent))
    try:
        if ProjectFile.read(labels.parent / STATE_FOLDER).encoding is None:
            return None
        dataset = Dataset.open(labels.parent)
    except UserError:
        return None
    return dataset.encoding if os.path.realpath(dataset.label_root) == os.path.realpath(labels) else None


def _encodings(
    pairs: Sequence[_Pair], said: Encoding | None, unlabelled: int | None, notes: list[str]
) -> tuple[Encoding, Encoding]:
    """Return the encodings of labels and predictions."""
    truth = Detected(said, (), "") if said else _detect("labels", [label for _, _, label in pairs])
    guess = _detect("predictions", [prediction for _, prediction, _ in pairs])
    notes += [f"Labels: {truth.note}"] if truth.note else []
    coding = guess.encoding
    if truth.encoding.kind == "map" and _all_read([prediction for _, prediction, _ in pairs], truth.encoding):
        coding = truth.encoding  # one table for both, even where a class does not occur in the predictions
    elif guess.note:
        notes.append(f"Predictions: {guess.note}")
    if unlabelled is None:
        return truth.encoding, coding
    return truth.encoding.with_unlabelled(unlabelled), coding


def _detect(what: str, paths: Sequence[Path]) -> Detected:
    try:
        return detect_encoding(paths)
    except LabelError as error:
        raise LabelError(f"The {what} cannot be compared: they {error.message}", paths[0].parent, error.hint) from error


def _all_read(paths: Sequence[Path], encoding: Encoding) -> bool:
    try:
        for path in paths:
            read_label(path, encoding)
    except UserError:
        return False
    return True


def _load(
    pairs: Sequence[_Pair], truth_coding: Encoding, coding: Encoding, failed: list[tuple[str, str]]
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield (name, label, prediction) of each page of each pair; note those that cannot be compared."""
    for name, prediction, label in pairs:
        try:
            pages = label_stack.page_count(label) if label_stack.is_tiff(label) else 1
        except ImageError as error:
            failed.append((str(label), str(error)))
            continue
        for page in range(pages):
            truth = _read(label, truth_coding, page)
            guess = _read(prediction, coding, page if label_stack.is_tiff(prediction) else 0)
            problem = _problem(truth, guess)
            if isinstance(truth, str) or isinstance(guess, str) or problem:
                wrong = str(label if isinstance(truth, str) else prediction)
                failed.append((wrong if pages == 1 else f"{wrong}#{page}", problem))
            else:
                yield name if pages == 1 else f"{name}#{page}", truth, guess


def _read(path: Path, encoding: Encoding, page: int) -> np.ndarray | str:
    """Return a label, or why it cannot be read."""
    try:
        return read_label(path, encoding, page=page)
    except LabelError as error:
        return f"{error.message} {error.hint}".rstrip()


def _problem(truth: np.ndarray | str, guess: np.ndarray | str) -> str:
    if isinstance(truth, str) or isinstance(guess, str):
        return truth if isinstance(truth, str) else str(guess)
    if truth.shape != guess.shape:
        return f"is {guess.shape[1]} × {guess.shape[0]} pixels, its label is {truth.shape[1]} × {truth.shape[0]}."
    return ""
