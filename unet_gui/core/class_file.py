"""Lists of classes in files: one name a line, a table with id, name and colour, or JSON."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unet_gui.core.atomic import atomic_write
from unet_gui.core.errors import UserError
from unet_gui.core.palette import MAX_CLASSES, ClassInfo, color_of, folded, names_twice

_HINT = (
    "A list of classes is a text file with a name a line, a CSV file with the columns id, name and color, "
    "or a JSON file."
)
_COLOR = re.compile(r"#?([0-9a-fA-F]{6})")
_CAMVID = re.compile(r"(?P<r>\d{1,3})[\s,]+(?P<g>\d{1,3})[\s,]+(?P<b>\d{1,3})[\s,]+(?P<name>\S.*)")
_CVAT = re.compile(r"(?P<name>[^:]+):(?P<r>\d{1,3}),(?P<g>\d{1,3}),(?P<b>\d{1,3}):.*")
_NO_CLASS = ("unlabelled", "unlabeled", "void", "ignore", "__ignore__")
_NAMES = {"id": "id", "index": "id", "number": "id", "class": "name", "name": "name", "label": "name"}
_NAMES |= {"color": "color", "colour": "color", "hex": "color"}
_NAMES |= {"r": "r", "g": "g", "b": "b", "red": "r", "green": "g", "blue": "b"}

Row = dict[str, Any]


def read_class_list(path: Path) -> list[ClassInfo]:
    """Return the classes that a file lists.

    Parameters
    ----------
    path : Path
        ``.csv``, ``.json``, anything else is text. Understood are also labelme's ``labels.txt``, CamVid's
        ``label_colors.txt``, CVAT's ``labelmap.txt``, ``class_dict.csv``, the categories of a COCO file and the classes
        of a project file. What is called void, ignore or unlabelled is no class. Without numbers the first class is 0;
        without colours each gets one of its own.

    Raises
    ------
    UserError
        It cannot be read, or is no list of classes.
    """
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise UserError("cannot be read.", path, details=str(error)) from error
    except UnicodeDecodeError as error:
        raise UserError("is no text file.", path, _HINT, str(error)) from error
    try:
        suffix = path.suffix.lower()
        rows = _json(text) if suffix == ".json" else _table(text) if suffix in (".csv", ".tsv") else _lines(text)
        classes = _classes(rows)
    except (ValueError, TypeError, LookupError, OverflowError, AttributeError, RecursionError, csv.Error) as error:
        raise UserError("cannot be understood.", path, _HINT, repr(error)) from error
    if not classes:
        raise UserError("lists no class.", path, _HINT)
    twice = names_twice(classes)
    if twice:
        name = next(info.name for info in classes if folded(info.name) in twice)
        raise UserError(f"lists two classes called “{name}”.", path, "Give each a name of its own.")
    return classes


def write_class_list(path: Path, classes: Sequence[ClassInfo]) -> None:
    """Write a list that `read_class_list` reads; ``.json``, ``.txt`` (names only), else CSV.

    Raises
    ------
    UserError
        It cannot be written.
    """
    if path.suffix.lower() == ".json":
        text = json.dumps([info.to_json() for info in classes], ensure_ascii=False, indent=2) + "\n"
    elif path.suffix.lower() == ".txt":
        text = "".join(f"{info.name}\n" for info in classes)
    else:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(("id", "name", "color"))
        writer.writerows((info.id, info.name, info.color) for info in classes)
        text = out.getvalue()
    atomic_write(path, text.encode("utf-8"))


def joined(now: Sequence[ClassInfo], read: Sequence[ClassInfo]) -> list[ClassInfo]:
    """Return the classes of a folder after a list was read: the list's, then those that it does not name."""
    ids = {info.id for info in read}
    return [*read, *(info for info in now if info.id not in ids)]


def _lines(text: str) -> list[Row]:
    lines = [line.strip() for line in text.splitlines()]
    rows: list[Row] = []
    for line in lines:
        if not line or line.startswith(("#", "//")):
            continue
        with_color = _CAMVID.fullmatch(line) or _CVAT.fullmatch(line)
        if with_color:
            rows.append(with_color.groupdict())
        else:
            rows.append({"name": "background" if line == "_background_" else line})
    return rows


def _table(text: str) -> list[Row]:
    dialect = "excel-tab" if "\t" in text.partition("\n")[0] else "excel"
    if dialect == "excel" and text.partition("\n")[0].count(";") > text.partition("\n")[0].count(","):
        lines = list(csv.reader(io.StringIO(text), delimiter=";"))
    else:
        lines = list(csv.reader(io.StringIO(text), dialect))
    lines = [[cell.strip() for cell in line] for line in lines if any(cell.strip() for cell in line)]
    if not lines:
        return []
    columns = [_NAMES.get(cell.lower(), "") for cell in lines[0]]
    if "name" in columns:
        lines = lines[1:]
    else:
        columns = ["id", "name", "color"] if lines[0][0].isdigit() else ["name", "color"]
    return [{name: cell for name, cell in zip(columns, line, strict=False) if name and cell} for line in lines]


def _json(text: str) -> list[Row]:
    data = json.loads(text)
    if isinstance(data, dict):
        inner = next((data[name] for name in ("classes", "categories", "names", "labels") if name in data), None)
        data = data if inner is None else inner
    if isinstance(data, dict):
        turned = all(isinstance(value, int) for value in data.values())  # name: id, else id: name
        return [{"id": i, "name": name} for name, i in ((k, v) if turned else (v, k) for k, v in data.items())]
    rows: list[Row] = []
    for entry in data:
        if isinstance(entry, str):
            rows.append({"name": entry})
        else:
            rows.append({_NAMES[key.lower()]: value for key, value in entry.items() if key.lower() in _NAMES})
    return rows


def _classes(rows: list[Row]) -> list[ClassInfo]:
    rows = [row for row in rows if str(row["name"]).strip().casefold() not in _NO_CLASS]
    if len(rows) > MAX_CLASSES:
        raise ValueError(f"{len(rows)} classes; there can be {MAX_CLASSES}")
    classes: list[ClassInfo] = []
    for number, row in enumerate(rows):
        class_id, name = int(row.get("id", number)), str(row["name"]).strip()
        color = row.get("color") or ([int(row[part]) for part in "rgb"] if "r" in row else None)
        if isinstance(color, (list, tuple)):
            color = "#{:02X}{:02X}{:02X}".format(*color)
        found = _COLOR.fullmatch(str(color)) if color else None
        classes.append(ClassInfo(class_id, name, f"#{found[1].upper()}" if found else color_of(class_id)))
    if len({info.id for info in classes}) < len(classes):
        raise ValueError("two classes have one number")
    return classes
