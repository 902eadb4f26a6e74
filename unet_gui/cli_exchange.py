"""The commands ``export`` and ``import``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from unet_gui import interrupt
from unet_gui.cli_progress import talk
from unet_gui.core.errors import UserError
from unet_gui.core.text import in_words

if TYPE_CHECKING:
    from unet_gui.core.exchange import ExchangeResult, Outcome

FORMATS = {
    "masks": "label files as the folder's own, and a table of classes",
    "index": "class ids as 8-bit PNG, 255 = unlabelled",
    "binary": "one class as 255, the rest as 0",
    "palette": "class ids as PNG with the classes' colours",
    "color": "the classes' colours as PNG, and a table",
    "tiff": "class ids as 8-bit TIFF",
    "tiff16": "class ids as 16-bit TIFF",
    "instances": "objects numbered one by one, 16-bit PNG",
    "coco": "COCO: one JSON file, outlines and run lengths",
    "labelme": "labelme: a JSON file an image",
    "yolo": "YOLO segmentation: a text file an image",
    "imagej": "ImageJ and Fiji: a zip of ROIs an image or stack",
    "csv": "measurements of the blobs (export only)",
}
EXPORT_FORMATS = tuple(FORMATS)
IMPORT_FORMATS = EXPORT_FORMATS[:-1]  # measurements cannot become labels again
_CALLED = {
    **{
        name: f"--{name.replace('_', '-')}"
        for name in ("background", "segmentation", "copy_images", "overwrite", "suffix", "labels")
    },
    "foreground": "--class",
}
"""What messages call the options."""
_FARTHEST = 100
"""Pixels between objects that still touch; nobody needs more, and to look that far takes long."""
_BACKGROUND = "class of the pixels in no object: a name, a number, none or auto (default: class 0 if called background"


def _describe(sub: argparse.ArgumentParser, formats: Iterable[str], example: str) -> None:
    """List the formats and an example below the options."""
    lines = "".join(f"  {name:<10} {FORMATS[name]}\n" for name in formats)
    sub.epilog = f"formats:\n{lines}\nexample:\n  {example}"
    sub.formatter_class = argparse.RawDescriptionHelpFormatter


def add_export(sub: argparse.ArgumentParser) -> None:
    """Describe the words of ``export``."""
    sub.add_argument("folder", type=Path, metavar="FOLDER", help="folder of images")
    _describe(sub, EXPORT_FORMATS, "unet-gui export cells --format coco --out cells-coco")
    sub.add_argument("--format", choices=EXPORT_FORMATS, default="masks", metavar="FORMAT", help="default: masks")
    sub.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write to")
    sub.add_argument("--labels", type=Path, metavar="DIR", help="folder of the labels, where it cannot be guessed")
    sub.add_argument("--unlabelled", type=int, metavar="VALUE", help="label value that means unlabelled")
    sub.add_argument("--only-labels", action="store_true", help="leave predictions and images without label out")
    sub.add_argument("--background", default="auto", metavar="CLASS", help=f"{_BACKGROUND})")
    sub.add_argument(
        "--class", dest="foreground", default="", metavar="CLASS", help="binary: the class that becomes 255"
    )
    sub.add_argument(
        "--segmentation",
        choices=["auto", "polygon", "rle"],
        default="auto",
        help="coco: outlines, run lengths, or run lengths only for what has holes (default)",
    )
    sub.add_argument("--copy-images", action="store_true", help="yolo: copy the images, too")
    sub.add_argument("--overwrite", action="store_true", help="replace files that are there already")
    sub.add_argument("--json", action="store_true", help="one JSON object")


def _pixels(text: str) -> int:
    if not text.isdecimal() or int(text) > _FARTHEST:
        raise argparse.ArgumentTypeError(f"{text} is no number of pixels from 0 to {_FARTHEST}")
    return int(text)


def add_import(sub: argparse.ArgumentParser) -> None:
    """Describe the words of ``import``."""
    sub.add_argument("folder", type=Path, metavar="FOLDER", help="folder of images; labels are written for it")
    sub.add_argument("source", type=Path, metavar="SOURCE", help="file or folder to read")
    _describe(sub, IMPORT_FORMATS, "unet-gui import cells annotations.json --format coco")
    sub.add_argument("--format", choices=IMPORT_FORMATS, default="masks", metavar="FORMAT", help="default: masks")
    sub.add_argument("--labels", type=Path, metavar="DIR", help="folder of the labels, where it cannot be guessed")
    sub.add_argument("--suffix", default="", metavar="_mask", help="what names have behind the image's")
    sub.add_argument("--unlabelled", type=int, metavar="VALUE", help="pixel value that means unlabelled")
    sub.add_argument(
        "--background", default="auto", metavar="CLASS", help=f"{_BACKGROUND}; our own files say it themselves)"
    )
    sub.add_argument(
        "--class", dest="object_class", default="", metavar="NAME", help="class of objects that come without one"
    )
    sub.add_argument(
        "--touching",
        type=_pixels,
        default=1,
        metavar="N",
        help="instances: pixels at most N from another object become the class touching border; 0: none (default: 1)",
    )
    sub.add_argument("--overwrite", action="store_true", help="replace labels that are there already")
    sub.add_argument("--json", action="store_true", help="one JSON object")


def must_have_labels(folder: Path | None) -> None:
    """Refuse a folder of labels that is not there, where labels are only read: a typing error would find none."""
    if folder is not None and not folder.is_dir():
        raise UserError("There is no such folder of labels.", folder)


def run_export(arguments: argparse.Namespace) -> int:
    """Do the ``export``; return the exit code."""
    from unet_gui.core.exchange import ExchangeResult, ExportOptions, exporting
    from unet_gui.core.project import Dataset

    interrupt.at_once()
    must_have_labels(arguments.labels)
    dataset = Dataset.open(arguments.folder, labels=arguments.labels)
    if arguments.unlabelled is not None:
        dataset.set_encoding(dataset.encoding.with_unlabelled(arguments.unlabelled))
    _talk(dataset.notes)
    options = ExportOptions(
        called=_CALLED,
        background=arguments.background,
        only_labels=arguments.only_labels,
        overwrite=arguments.overwrite,
        segmentation=arguments.segmentation,
        foreground=arguments.foreground,
        copy_images=arguments.copy_images,
    )
    result = ExchangeResult()
    _follow(exporting(dataset, arguments.format, arguments.out, options, result), len(dataset.images))
    return _tell(result, "written", arguments.out, as_json=arguments.json)


def run_import(arguments: argparse.Namespace) -> int:
    """Do the ``import``; return the exit code."""
    from unet_gui.core.exchange import ExchangeResult, ImportOptions, importing
    from unet_gui.core.project import Dataset

    interrupt.at_once()
    dataset = Dataset.open(arguments.folder, labels=arguments.labels)
    _talk(dataset.notes)
    options = ImportOptions(
        called=_CALLED,
        background=arguments.background,
        overwrite=arguments.overwrite,
        suffix=arguments.suffix,
        unlabelled=arguments.unlabelled,
        object_class=arguments.object_class,
        touching=arguments.touching,
    )
    result = ExchangeResult()
    events = importing(dataset, arguments.source, arguments.format, options, result)
    _follow(events, len(dataset.images))
    return _tell(result, "imported", dataset.label_root, as_json=arguments.json)


def _talk(lines: Iterable[str]) -> None:
    for line in lines:
        talk(line)


def _follow(outcomes: Iterable[Outcome], total: int) -> None:
    """Wait for the end, with a bar on a terminal."""
    from tqdm import tqdm

    with tqdm(total=total, unit="image", dynamic_ncols=True, disable=not sys.stderr.isatty()) as bar:
        for outcome in outcomes:
            if outcome.state == "failed":
                bar.write(in_words(f"failed: {outcome.reason}"), file=sys.stderr)
            bar.update()


def _tell(result: ExchangeResult, verb: str, place: Path, *, as_json: bool) -> int:
    _talk(f"note: {note}" for note in result.notes)
    if as_json:
        failed = [list(pair) for pair in result.failed]
        facts = {verb: result.done, "skipped": result.skipped, "failed": failed, "notes": result.notes}
        print(json.dumps(facts))
    else:
        skipped = f"{result.skipped} skipped, " if result.skipped else ""
        print(f"{result.done} {verb}, {skipped}{len(result.failed)} failed: {place}")
    return 1 if result.failed else 0
