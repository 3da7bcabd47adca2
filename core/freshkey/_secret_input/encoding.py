"""Decodes text that may be a secret: UTF-8, or what PowerShell and editors on Windows write, with a byte order mark."""

from __future__ import annotations

import codecs
from typing import Final


_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def unmarked(data: bytes | bytearray) -> tuple[bytes, str]:
    """Return a text without its byte order mark, and the encoding that this says: UTF-8 without one."""
    mark, encoding = next(((mark, name) for mark, name in _MARKS if data.startswith(mark)), (b"", "utf-8"))
    return bytes(data[len(mark) :]), encoding


def decoded(data: bytes | bytearray) -> str | None:
    """Return the text without its byte order mark, or None if it is not valid: an exception would quote the data."""
    text, encoding = unmarked(data)
    try:
        return text.decode(encoding)
    except UnicodeDecodeError:
        return None
