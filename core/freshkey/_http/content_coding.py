"""Undoes content codings (RFC 9110, section 8.4) that a server or proxy applied although the request asked for none."""

from __future__ import annotations

import codecs
import re
import zlib
from contextlib import suppress
from typing import Final


MAX_CODINGS: Final = 3
"""One after the other, in one response; more are not undone."""

_GZIP: Final = b"\x1f\x8b\x08"
_ANY_WRAPPER: Final = 47
"""``wbits`` that make zlib recognize gzip and zlib headers by themselves."""
_NO_WRAPPER: Final = -15
_START: Final = re.compile(rb"\s*[{\[<](?:[\x00\t\r\n -~]|$)")
"""How JSON and pages start."""
_FIRST_BYTES: Final = 16
_PLAIN: Final = {"", "identity", "none", "utf-8"}
_INFLATED: Final = {"gzip", "x-gzip", "deflate"}


class TooLong(Exception):
    """The decoded body exceeds the limit."""


def decode(body: bytes, header: str, limit: int) -> bytes | None:
    """Return the body without its content codings; None if one of them is unknown or the body is corrupt.

    The body counts for more than the header: some proxies decompress a body and leave the header, or the reverse.

    Args:
        body: As received.
        header: The value of ``Content-Encoding``.
        limit: Maximum length of the result in bytes; no more than that is ever unpacked.

    Raises:
        TooLong: The result is longer than `limit`.
    """
    codings = [name.strip().lower() for name in header.split(",")][:MAX_CODINGS]
    for coding in reversed(codings):
        if _is_text(body):
            return body  # to inflate text can succeed, with nonsense
        unpacked = body if coding in _PLAIN else None
        if body.startswith(_GZIP) or coding in _INFLATED:
            unpacked = _inflate(body, limit)
        if unpacked is None:
            return body if _START.match(body) else None
        body = unpacked
    return body


def _inflate(body: bytes, limit: int) -> bytes | None:
    # What is called "deflate" is zlib's format by the standard, and often is the bare stream without its wrapper.
    for wrapper in (_ANY_WRAPPER, _NO_WRAPPER):
        try:
            return _unpack(body, wrapper, limit)
        except zlib.error:
            continue
    return _unpack_until_error(body, limit)


def _unpack(body: bytes, wrapper: int, limit: int) -> bytes:
    unpacked = bytearray()
    while body:
        # `max_length` bounds memory and time: a megabyte on the wire can unpack to a gigabyte.
        machine = zlib.decompressobj(wrapper)
        unpacked += machine.decompress(body, limit + 1 - len(unpacked))
        if len(unpacked) > limit:
            raise TooLong
        body = machine.unused_data if machine.unused_data.startswith(_GZIP) else b""
    return bytes(unpacked)


def _unpack_until_error(body: bytes, limit: int) -> bytes | None:
    """Return what comes before the error, such as a wrong checksum at the end, if it begins like JSON or a page."""
    machine, unpacked = zlib.decompressobj(_ANY_WRAPPER), bytearray()
    with suppress(zlib.error):
        for byte in body:  # of a longer piece, nothing before the error would come out
            if machine.eof:
                break  # each further byte would copy all that follow the end
            unpacked += machine.decompress(bytes((byte,)), limit + 1 - len(unpacked))
            if len(unpacked) > limit:
                raise TooLong
    return bytes(unpacked) if _START.match(unpacked) else None


def _is_text(body: bytes) -> bool:
    """Return whether a body begins like text, with or without byte order marks; compressed data has other bytes."""
    beginning = body.lstrip(b" \t\r\n" + codecs.BOM_UTF8)[:_FIRST_BYTES]
    return bool(beginning) and all(0x20 <= byte < 0x7F or byte in b"\t\r\n" for byte in beginning)  # noqa: PLR2004  ASCII
