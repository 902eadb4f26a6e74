"""Text on its way into a file, or to a person."""

from __future__ import annotations

import json
import re
from typing import Any

_PAGE = re.compile(r"(\.(?:tiff?|btf|tf8))#(\d+)(?!\w)", re.IGNORECASE | re.ASCII)


def utf8(text: str) -> bytes:
    r"""Return text as UTF-8, also where the name of a file in it is no text.

    Linux allows any bytes in a name; Python gives those that are no UTF-8 as lone surrogates. They are written as
    escapes (``\udcff``), which JSON reads back as they were.
    """
    return text.encode("utf-8", "backslashreplace")


def percent(part: float, digits: int = 0) -> str:
    """Return a share as people read it, such as ``40 %``: no line ends before the sign."""
    return f"{part:.{digits}%}".replace("%", "\N{NO-BREAK SPACE}%")


def in_words(text: str) -> str:
    """Return a text with pages as people count them: ``s.tif, page 4`` for the key ``s.tif#3``."""
    return _PAGE.sub(lambda found: f"{found[1]}, page {int(found[2]) + 1}", text)


def json_lines(data: dict[str, Any]) -> str:
    """Return JSON with a line for each entry of its lists: a person can read it, and it is quicker than indented."""

    def text(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False)

    parts = []
    for name, value in data.items():
        lines = ",\n".join(map(text, value)) if isinstance(value, list) else ""
        parts.append(f"{text(name)}: " + (f"[\n{lines}\n]" if lines else text(value)))
    return "{\n" + ",\n".join(parts) + "\n}\n"
