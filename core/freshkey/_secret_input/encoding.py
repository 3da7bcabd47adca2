"""Decodes text that may be a secret: UTF-8, or what PowerShell and editors on Windows write, with a byte order mark."""

from __future__ import annotations

import codecs
from typing import Final


_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def decoded(data: bytes | bytearray) -> str | None:
    """Return the text without its byte order mark, or None if it is not valid: an exception would quote the data."""
    mark, encoding = next(((mark, name) for mark, name in _MARKS if data.startswith(mark)), (b"", "utf-8"))
    try:
        return data[len(mark) :].decode(encoding)
    except UnicodeDecodeError:
        return None
