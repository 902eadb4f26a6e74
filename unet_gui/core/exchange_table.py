"""The table beside masks: which pixel value or colour is which class. Ours, and those that other programs write."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from unet_gui.core.encoding import Encoding, Raw
from unet_gui.core.errors import LabelError
from unet_gui.core.exchange_base import understood
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.palette import ClassInfo, color_of

TABLE = "classes.csv"
COLORS = "label_colors.txt"
"""CamVid's own: red, green, blue and name in a line."""
LABELMAP = "labelmap.txt"
"""CVAT's: ``name:r,g,b::`` in a line."""
TABLES = (TABLE, "class_dict.csv", COLORS, LABELMAP)
UNLABELLED_NAME = "unlabelled"
UNLABELLED_COLOR = "#ffffff"
_UNLABELLED_NAMES = (UNLABELLED_NAME, "unlabeled", "void", "ignore", "__ignore__")


class Row(NamedTuple):
    """One line of a table.

    Attributes
    ----------
    value : int or None
        Pixel value; None where no pixel value stands for it.
    id : int
        Class id, 255 for unlabelled.
    name : str
    color : str
        ``#rrggbb``.
    """

    value: int | None
    id: int
    name: str
    color: str

    @property
    def rgb(self) -> tuple[int, int, int]:
        """Red, green, blue."""
        packed = int(self.color[1:], 16)
        return packed >> 16, packed >> 8 & 255, packed & 255


class Table(NamedTuple):
    """What a table says.

    Attributes
    ----------
    rows : list of Row
    path : Path or None
        The file, None when there is none.
    """

    rows: list[Row]
    path: Path | None

    def by_color(self) -> Encoding:
        """Return the encoding of colour-coded masks."""
        return Encoding("map", tuple((row.rgb, row.id) for row in self.rows))

    def by_value(self) -> Encoding:
        """Return the encoding of masks of numbers."""
        pairs: list[tuple[Raw, int]] = [(row.value, row.id) for row in self.rows if row.value is not None]
        return Encoding("index") if all(value == i for value, i in pairs) else Encoding("map", tuple(pairs))

    @property
    def classes(self) -> list[ClassInfo]:
        """The classes, without unlabelled."""
        return [ClassInfo(row.id, row.name, row.color) for row in self.rows if row.id != UNLABELLED]


def rows_of(encoding: Encoding, classes: Sequence[ClassInfo], unlabelled_color: str) -> list[Row]:
    """Return the table of label files in an encoding; the colours are those in the files where these are coloured."""
    raw_of = {i: raw for raw, i in encoding.pairs()}
    wanted = [*classes, ClassInfo(0, UNLABELLED_NAME, unlabelled_color)]
    rows = []
    for number, info in enumerate(wanted):
        class_id = info.id if number < len(classes) else UNLABELLED
        raw: Raw | None = class_id if encoding.kind == "index" else raw_of.get(class_id)
        if isinstance(raw, tuple):
            rows.append(Row(class_id, class_id, info.name, "#{:02x}{:02x}{:02x}".format(*raw)))
        else:
            rows.append(Row(raw, class_id, info.name, info.color))
    return rows


def to_csv(rows: Iterable[Row]) -> bytes:
    """Return a table as the text of ``classes.csv``."""
    buffer = io.StringIO()
    table = csv.writer(buffer, lineterminator="\n")
    table.writerow(Row._fields)
    for row in rows:
        table.writerow(["" if cell is None else cell for cell in row])
    return buffer.getvalue().encode("utf-8")


def read_table(source: Path) -> Table:
    """Return the table of a folder of masks, an empty one when there is none.

    Raises
    ------
    LabelError
        There is one, and it cannot be understood.
    """
    folder = source if source.is_dir() else source.parent
    # other programs put theirs beside the folder of masks, too
    for path in [*(folder / name for name in TABLES), *(folder.parent / name for name in TABLES[1:])]:
        with understood(path, "class table"):
            if path.is_file():
                return Table(_numbered(_lines_of(path)), path)
    return Table([], None)


class _Line(NamedTuple):
    name: str
    color: str
    id: int | None = None
    value: int | None = None
    told: bool = False  # the file has a column of values


def _lines_of(path: Path) -> list[_Line]:
    text = path.read_text("utf-8-sig")
    if path.name == COLORS:
        words = [line.split(maxsplit=3) for line in text.splitlines() if line.strip()]
        return [_Line(name.strip(), _hex(r, g, b)) for r, g, b, name in words]
    if path.name == LABELMAP:
        fields = [line.split(":") for line in text.splitlines() if line.strip() and not line.startswith("#")]
        return [_Line(one[0].strip(), _hex(*one[1].split(","))) for one in fields]
    return _lines_of_csv(text)


def _lines_of_csv(text: str) -> list[_Line]:
    lines = []
    rows = csv.DictReader(io.StringIO(text), skipinitialspace=True)
    told = "value" in [str(name).strip().casefold() for name in rows.fieldnames or ()]
    for raw in rows:
        row = {str(key).strip().casefold(): (text or "").strip() for key, text in raw.items()}
        color = row.get("color") or row.get("colour")
        if color is None:
            red, green, blue = (row.get(name[0]) or row[name] for name in ("red", "green", "blue"))
            color = _hex(red, green, blue)
        value, class_id = row.get("value", ""), row.get("id", "")
        lines.append(
            _Line(row["name"], color, int(class_id) if class_id else None, int(value) if value else None, told)
        )
    return lines


def _hex(r: str, g: str, b: str) -> str:
    numbers = [int(r), int(g), int(b)]
    if not all(0 <= number < 256 for number in numbers):
        raise ValueError(f"{numbers} is no colour")
    return "#{:02x}{:02x}{:02x}".format(*numbers)


def _numbered(lines: list[_Line]) -> list[Row]:
    """Give ids, in the order of the lines, to those that have none."""
    rows: list[Row] = []
    taken = {line.id for line in lines}
    free = (i for i in range(UNLABELLED) if i not in taken)
    for line in lines:
        class_id = line.id
        if class_id is None:
            class_id = UNLABELLED if line.name.casefold() in _UNLABELLED_NAMES else next(free, UNLABELLED + 1)
        if class_id > UNLABELLED:
            raise LabelError("names more than 255 classes.")
        value = line.value if line.told else class_id
        row = Row(value, class_id, line.name, line.color or color_of(class_id))
        # raises ValueError for what is none; unlabelled is no class, but has a colour
        ClassInfo(0 if class_id == UNLABELLED else class_id, row.name, row.color)
        rows.append(row)
    return rows
