"""Text on its way into a file."""

from __future__ import annotations


def utf8(text: str) -> bytes:
    r"""Return text as UTF-8, also where the name of a file in it is no text.

    Linux allows any bytes in a name; Python gives those that are no UTF-8 as lone surrogates. They are written as
    escapes (``\udcff``), which JSON reads back as they were.
    """
    return text.encode("utf-8", "backslashreplace")
