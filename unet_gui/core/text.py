"""Text on its way into a file, or to a person."""

from __future__ import annotations

import re

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
