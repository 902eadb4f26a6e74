"""What segmenting writes, and whether that is there already."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unet_gui.core.errors import UserError
from unet_gui.core.images import image_info
from unet_gui.core.label_stack import StackWriter
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.planes import WaitingPlanes, write_planes
from unet_gui.core.rows import RowsFile, label_rows, map_rows
from unet_gui.core.store import INDEX, Encoding, maker_of, read_label, write_label
from unet_gui.engine.model import Model
from unet_gui.engine.prediction import Prediction
from unet_gui.engine.recipe import SegmentConfig, SegmentItem


def maker_text(model: bytes, config: SegmentConfig) -> str:
    """Return what is written into a prediction, so that one of another model, or made otherwise, is made anew."""
    asked = (" tta" if config.tta else "") + (f" {config.encoding}" if config.encoding != "index" else "")
    return hashlib.sha256(model).hexdigest()[:16] + asked


def config_for(items: Sequence[SegmentItem], config: SegmentConfig) -> SegmentConfig:
    """Return the config that asks for every map that some item wants written, too."""
    return dataclasses.replace(
        config,
        probabilities=config.probabilities or any(i.out_prob for i in items),
        uncertainty=config.uncertainty or any(i.out_uncertainty for i in items),
        disagreement=config.disagreement or any(i.out_disagreement for i in items),
    )


def check_encoding(model: Model, config: SegmentConfig) -> None:
    """Raise UserError where the masks cannot be written as asked."""
    if config.encoding not in ("index", "binary"):
        raise UserError(f"There is no encoding called “{config.encoding}”.", hint="Use index or binary.")
    if config.encoding == "binary" and {c.id for c in model.info.classes} != {0, 1}:
        raise UserError(
            f"Binary masks hold two classes, but the model has {len(model.info.classes)}.",
            path=config.model,
            hint="Use --encoding index.",
        )


class Outputs(NamedTuple):
    """Where an item's files go: the maps of a stack's pages are files of their own."""

    mask: Path
    prob: Path | None
    uncertainty: Path | None
    disagreement: Path | None


def outputs_of(item: SegmentItem) -> Outputs:
    """Return where mask and maps go."""

    def own(path: Path | None) -> Path | None:
        if path is None or item.pages <= 1:
            return path
        return path.with_name(f"{path.stem}_{item.page:04d}{path.suffix}")

    return Outputs(item.out, own(item.out_prob), own(item.out_uncertainty), own(item.out_disagreement))


def is_fresh(item: SegmentItem, model: Path) -> bool:
    """Whether every output is there and not older than the image and the model."""
    return all(_is_newer(path, item.path, model) for path in outputs_of(item) if path is not None)


def _is_newer(out: Path, image: Path, model: Path) -> bool:
    try:
        newest_input = max(image.stat().st_mtime_ns, model.stat().st_mtime_ns)
        return out.stat().st_size > 0 and out.stat().st_mtime_ns >= newest_input
    except OSError:
        return False


def is_up_to_date(item: SegmentItem, config: SegmentConfig, maker: str = "") -> bool:
    """Whether the item need not be segmented again; of a stack, whether its page was written.

    A file that does not say who made it (one of an older version) counts by its time alone.
    """
    if not is_fresh(item, config.model) or not _maps_are_as_asked(item, config):
        return False
    said = maker_of(item.out, item.page if item.pages > 1 else 0) if maker else ""
    if said or item.pages <= 1:
        return said in ("", maker)
    try:
        pixels = read_label(item.out, INDEX, page=item.page)
    except UserError:
        return False
    return not (pixels == UNLABELLED).all()


def _maps_are_as_asked(item: SegmentItem, config: SegmentConfig) -> bool:
    """Whether the maps are floats or bytes as they are wanted now."""
    wanted = "float32" if config.float_maps else "uint8"
    try:
        return all(image_info(path).dtype == wanted for path in outputs_of(item)[1:] if path is not None)
    except UserError:
        return False


def is_stale_stack(item: SegmentItem, config: SegmentConfig) -> bool:
    """Whether the file that a page goes into is of an older model or image, and has to be begun anew."""
    if item.pages <= 1 or not item.out.exists():
        return False
    return config.overwrite or not _is_newer(item.out, item.path, config.model)


def write_item(
    item: SegmentItem,
    prediction: Prediction,
    encoding: Encoding,
    classes: Sequence[int],
    maker: str,
    stack: StackWriter | None = None,
) -> None:
    """Write what the item asks for, the maps first: the mask is what says that the image is done.

    ``classes`` are the model's, in its order; ``maker`` is from `maker_text`. With ``stack``, the page of a stack is
    written when that is.
    """
    outputs = outputs_of(item)
    for path, values in zip(outputs[1:], maps_of(prediction), strict=True):
        if path is not None and values is not None:
            named = classes if path == outputs.prob else ()
            write_planes(path, values if values.ndim == 3 else values[None], named)
    page, pages = (item.page, item.pages) if item.pages > 1 else (None, None)
    ids = np.ascontiguousarray(prediction.ids)
    write_label(item.out, ids, encoding, page=page, pages=pages, maker=maker, stack=stack)


def maps_of(prediction: Prediction) -> tuple[NDArray[Any] | None, ...]:
    """Return the maps in the order of `Outputs`."""
    return prediction.prob, prediction.uncertainty, prediction.disagreement


class StacksBehind:
    """Writes pages of stacks in a thread; those that come meanwhile are written together: each writing copies the file.

    Parameters
    ----------
    write : callable
        Hands a page to the stack.
    begin : callable
        Is told of a file before pages are written to it.
    """

    def __init__(
        self, write: Callable[[SegmentItem, Prediction, StackWriter], None], begin: Callable[[Path], None]
    ) -> None:
        self._write, self._begin = write, begin
        self._waiting: deque[tuple[SegmentItem, Prediction, Future[None]]] = deque()
        self._thread = ThreadPoolExecutor(1, "write-stacks")

    def submit(self, item: SegmentItem, prediction: Prediction) -> Future[None]:
        """Have a page written. The future is done when it is on the disk."""
        done: Future[None] = Future()
        self._waiting.append((item, prediction, done))
        self._thread.submit(self._write_waiting)
        return done

    def close(self) -> None:
        """Wait until all is written."""
        self._thread.shutdown(wait=True)

    def _write_waiting(self) -> None:
        pages = [self._waiting.popleft() for _ in range(len(self._waiting))]
        for out, group in itertools.groupby(pages, key=lambda page: page[0].out):
            self._write_one(out, list(group))

    def _write_one(self, out: Path, pages: Sequence[tuple[SegmentItem, Prediction, Future[None]]]) -> None:
        put: list[Future[None]] = []
        try:
            self._begin(out)
            with StackWriter() as stack:
                for item, prediction, done in pages:
                    try:
                        self._write(item, prediction, stack)
                        put.append(done)
                    except Exception as error:  # noqa: BLE001 - told of this page alone
                        done.set_exception(error)
        except BaseException as error:  # noqa: BLE001 - told of each page, or somebody would wait for it for ever
            for _, _, done in pages:
                if not done.done():
                    done.set_exception(error)
        else:
            for done in put:
                done.set_result(None)


class Files:
    """The files of a very large image, written while it is computed."""

    def __init__(self, item: SegmentItem, config: SegmentConfig, classes: Sequence[int], maker: str) -> None:
        self.outputs, self.encoding, self.classes = outputs_of(item), Encoding(config.encoding), classes
        self.maker = maker
        self.kind = np.dtype(np.float32 if config.float_maps else np.uint8)
        self.files: dict[int, RowsFile | WaitingPlanes] = {}

    def start(self, shape: tuple[int, int], classes: int) -> None:
        """Begin the files, or begin them anew."""
        self.abort()
        for i, path in enumerate(self.outputs):
            if i == 0:
                self.files[i] = label_rows(self.outputs.mask, shape, self.encoding, self.maker)
            elif path is not None and i == 1 and classes > 2:
                self.files[i] = WaitingPlanes(path, (classes, *shape), self.kind, self.classes)
            elif path is not None:
                self.files[i] = map_rows(path, shape, self.kind, self.classes if i == 1 else ())

    def put(self, rows: Prediction) -> None:
        """Write the next rows."""
        for i, values in enumerate((rows.ids, *maps_of(rows))):
            if i in self.files and values is not None:
                self.files[i].put(values)

    def finish(self) -> None:
        """Wait until all is on the disk, the mask last."""
        try:
            for i in sorted(self.files, reverse=True):
                self.files[i].close()
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        """Leave nothing of them behind."""
        for file in self.files.values():
            file.abort()
        self.files = {}
