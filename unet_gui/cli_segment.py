"""What `unet-gui segment` is asked to do: which images, and into which files."""

from __future__ import annotations

import argparse
import contextlib
import glob
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from unet_gui.cli_progress import looked_through, talk
from unet_gui.core.atomic import must_be_folder
from unet_gui.core.errors import UserError
from unet_gui.core.listing import real_path

if TYPE_CHECKING:
    from unet_gui.engine.recipe import SegmentItem

MAPS = ("_prob.tif", "_uncertainty.tif", "_disagreement.tif")
"""What names of maps have behind that of the mask."""


def segment_items(arguments: argparse.Namespace) -> list[SegmentItem]:
    """Return what to segment."""
    from unet_gui.core.images import channels_beyond
    from unet_gui.engine.recipe import SegmentItem

    if set(arguments.suffix) & set("/\\\0"):
        raise UserError(f"A suffix is the end of a name, and “{arguments.suffix}” is none.", hint="Use --suffix _mask.")
    items: list[SegmentItem] = []
    taken: dict[str, Path] = {}
    inputs = _without_results(list(_once(_inputs(arguments.images))), arguments.out)
    precious = _never_written(arguments.images, [path for path, _ in inputs])
    most, among = 1, False
    for path, relative in looked_through(inputs):
        pages, channels = _pages_and_channels(path)
        most = max(most, channels)
        # masks of a stack stay together in a stack
        suffix = ".tif" if pages > 1 else f".{arguments.format}"
        out = _free_name(arguments.out, relative, path, arguments.suffix + suffix, taken)
        wanted = arguments.probabilities, arguments.uncertainty, arguments.disagreement
        prob, doubt, apart = (
            out.with_name(out.stem + end) if wish else None for wish, end in zip(wanted, MAPS, strict=True)
        )
        for written in filter(None, (out, prob, doubt, apart)):
            _claim(written, path, taken, precious)
        beside = not arguments.suffix and real_path(out.parent) == real_path(path.parent)
        among = among or (beside and not out.exists())
        if beside and out.exists() and not arguments.overwrite:
            raise UserError(
                "There is a file of that name beside the image.",
                out,
                "Choose another folder, add --suffix _mask, or --overwrite if it is a mask.",
            )
        items += [SegmentItem(path, page, out, prob, doubt, pages, apart) for page in range(pages)]
    if not items:
        raise UserError("No images found.", hint="Name image files, or a folder that holds some.")
    must_be_folder(arguments.out)
    if among:
        talk("note: the masks go among the images, under their names. Another folder with --out keeps them apart.")
    if note := channels_beyond(most, _channels_of(arguments.model)):
        talk(f"note: {note}")
    return items


def _claim(written: Path, image: Path, taken: dict[str, Path], precious: dict[Path, str]) -> None:
    """Note that a file is written for this image; raise UserError where it is another one's, or may not be replaced."""
    if taken.setdefault(_same_file(written), image) is not image:
        raise UserError("Several results would be one file.", written, "Segment these images one by one.")
    if real_path(written) in precious:
        what = precious[real_path(written)]
        raise UserError(f"The result would overwrite {what}.", written, "Choose another folder with --out.")


def _pages_and_channels(path: Path) -> tuple[int, int]:
    """Return how many pages a file has and how many channels, which are four at most where it is no TIFF."""
    from unet_gui.core.images import image_info
    from unet_gui.core.listing import TIFF_SUFFIXES

    if path.suffix.lower() not in TIFF_SUFFIXES:
        return 1, 1
    try:
        info = image_info(path)
    except UserError:
        return 1, 1  # segment() names the file and the reason, among the others
    return info.pages, info.channels


def _channels_of(model: Path) -> int:
    """Return how many channels a model takes."""
    from unet_gui.core.model_info import looks_like_torch_file, read_model_info

    return 1 if looks_like_torch_file(model) else read_model_info(model).channels


def name_classes(model: Path, out: Path) -> None:
    """Write beside masks of class ids which id is which class, where there is something to tell.

    A table that is there already stays: somebody may have written names into it.
    """
    from unet_gui.core.atomic import atomic_write
    from unet_gui.core.encoding import INDEX
    from unet_gui.core.exchange_table import TABLE, UNLABELLED_COLOR, read_table, rows_of, to_csv
    from unet_gui.core.model_info import looks_like_torch_file, read_model_info

    classes = [] if looks_like_torch_file(model) else read_model_info(model).classes
    if [info.name for info in classes] in ([], ["background", "object"], ["class 0", "class 1"]):
        return
    path = out / TABLE
    if not path.exists():
        try:
            atomic_write(path, to_csv(rows_of(INDEX, classes, UNLABELLED_COLOR)))
        except UserError as error:
            talk(f"note: {error}")
        return
    told: set[tuple[int, str]] = set()
    with contextlib.suppress(UserError, OSError):
        told = {(info.id, info.name) for info in read_table(out).classes}
    if not told.issuperset((info.id, info.name) for info in classes):
        talk(f"note: {path} is there already, but does not name the classes of the model. Remove it to get a new one.")


def _once(inputs: Iterable[tuple[Path, Path]]) -> Iterator[tuple[Path, Path]]:
    """Leave out what comes again: a folder named twice, or one of its images beside it."""
    seen: set[Path] = set()
    for path, relative in inputs:
        place = path.absolute()
        if place not in seen:
            seen.add(place)
            yield path, relative


def _without_results(inputs: list[tuple[Path, Path]], out: Path) -> list[tuple[Path, Path]]:
    """Leave out what an earlier run has written among the images, and say so."""
    from unet_gui.core.store import maker_of

    place = real_path(out)
    inside = [path for path, _ in inputs if real_path(path).is_relative_to(place)]
    masks = {path for path in inside if maker_of(path)}
    bare = {path.with_suffix("") for path in masks}
    maps = {path for path in inside for end in MAPS if path.with_name(path.name.removesuffix(end)) in bare}
    if masks:
        count = f"{len(masks)} mask{'s' * (len(masks) != 1)}"
        talk(f"note: {count} of an earlier run among the images: left out. Another folder with --out keeps them apart.")
    return [(path, relative) for path, relative in inputs if path not in masks | maps]


def _free_name(folder: Path, relative: Path, path: Path, ending: str, taken: dict[str, Path]) -> Path:
    """Return where a mask goes, no two into one file: a.png beside a.tif, or images of one name in several folders."""
    plain, full = relative.with_name(relative.stem + ending), relative.with_name(relative.name + ending)
    parent = Path(path.absolute().parent.name)
    for name in (plain, full, parent / plain, parent / full):
        if _same_file(folder / name) in taken:
            continue
        beside = taken.get(_same_file(folder / plain))
        if name == plain or name != full or beside is None or beside.parent == path.parent:
            return folder / name
    raise UserError("Several images would have the same mask.", path, "Segment their folders one by one.")


def _same_file(path: Path) -> str:
    """Return the same text for paths that Windows or macOS take for one file."""
    from unet_gui.core.layout import same_name

    return same_name(str(path))


def _never_written(names: Iterable[str], inputs: Iterable[Path]) -> dict[Path, str]:
    """Return the files that no result may replace, and what they are: the images, and labels of folders of images."""
    from unet_gui.core.project import Dataset

    precious = {real_path(path): "an image" for path in inputs}
    for name in names:
        if Path(name).is_dir():
            dataset = Dataset.open(Path(name))
            labels = (dataset.label_path(ref) for ref in dataset.images if dataset.has_label(ref))
            precious |= {real_path(path): "a label" for path in labels}
    return precious


def _inputs(names: Iterable[str]) -> Iterator[tuple[Path, Path]]:
    """Yield (file, name below the output folder) for files, folders and patterns."""
    from unet_gui.core.project import Dataset

    for name in names:
        # Windows hands patterns on as they are
        matches = sorted(glob.glob(name)) if glob.has_magic(name) and not Path(name).exists() else [name]
        if not matches:
            raise UserError("Nothing matches this pattern.", name)
        for match in map(Path, matches):
            if match.is_dir():
                dataset = Dataset.open(match)
                for ref in dataset.images:
                    yield dataset.image_path(ref), Path(ref.rel)
            elif match.exists():
                yield match, Path(match.name)
            else:
                raise UserError("There is no such file or folder.", match)
