"""Compressed responses are decoded, however they are labeled, and never beyond the limit."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshkey._http.content_coding import TooLong, decode
from promises import proves


BODY = b'{"access_token": "at-1"}'
LIMIT = 1 << 20

zipped = partial(gzip.compress, mtime=0)  # without the time, which would be in the names of the tests


@proves("FAULT-39", "NET-6")
@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (zipped(BODY), "gzip"),
        (zipped(BODY), "GZIP"),
        (zipped(BODY), "x-gzip"),
        (zipped(BODY), ""),
        (zipped(BODY), "identity"),
        (zipped(BODY), "br"),
        (zlib.compress(BODY), "deflate"),
        (zlib.compress(BODY, wbits=-15), "deflate"),
        (zipped(BODY), "deflate"),
        (zipped(zipped(BODY)), "gzip, gzip"),
        (zipped(zlib.compress(BODY)), "deflate, gzip"),
        (zipped(BODY[:9]) + zipped(BODY[9:]), "gzip"),
        (zipped(BODY)[:-8], "gzip"),
        (zipped(BODY) + b"\0\0", "gzip"),
        (zipped(BODY)[:-8] + bytes(8), "gzip"),
        (zlib.compress(BODY)[:-4] + bytes(4), "deflate"),
        (BODY, ""),
        (BODY, "identity"),
        (BODY, "utf-8"),
        (BODY, "gzip"),
        (BODY, "deflate"),
        (BODY, "br"),
        (BODY, ", ,"),
    ],
)
def test_a_body_is_decoded_whatever_the_header_says(body: bytes, coding: str) -> None:
    assert decode(body, coding, LIMIT) == BODY


@pytest.mark.parametrize("coding", ["", "gzip", "deflate", "br", "zstd", "gzip, br"])
@pytest.mark.parametrize(
    "body",
    [
        *(b"\xef\xbb\xbf" + BODY, b")]}',\n" + BODY, b"\r\n \xef\xbb\xbf" + BODY, b"&&&START&&&" + BODY),
        *(b"access_token=at-1", b'{\n\t"a": "\xc3\xa9"}', b"<html>\xe9", b"{}"),
    ],
)
def test_text_that_is_not_compressed_is_kept_whatever_the_header_says(body: bytes, coding: str) -> None:
    assert decode(body, coding, LIMIT) == body


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (b"\x8b\x0b\x80brotli", "br"),
        (b"[\x0b\x80brotli", "br"),
        (b"\x28\xb5\x2f\xfdzstd", "zstd"),
        (b"\x1f\x8b\x08broken", "gzip"),
        (b"\xffbroken", "deflate"),
        (zipped(b"no object")[:-8] + bytes(8), "gzip"),
    ],
)
def test_an_unknown_or_corrupt_coding_is_not_decoded(body: bytes, coding: str) -> None:
    assert decode(body, coding, LIMIT) is None


def test_the_beginning_of_a_page_is_decoded_until_the_error() -> None:
    assert decode(zipped(b"<html>")[:-8] + bytes(8), "gzip", LIMIT) == b"<html>"


@proves("FAULT-39", "NET-6")
@pytest.mark.parametrize(("size", "fits"), [(LIMIT, True), (LIMIT + 1, False), (64 * LIMIT, False)])
def test_no_more_than_the_limit_is_unpacked(size: int, *, fits: bool) -> None:
    bomb, corrupt = zipped(bytes(size)), zipped(b"{" + bytes(size))[:-8] + bytes(8)
    tracemalloc.start()
    try:
        if fits:
            assert decode(bomb, "gzip", LIMIT) == bytes(size)
        else:
            with pytest.raises(TooLong):
                decode(bomb, "gzip", LIMIT)
            with pytest.raises(TooLong):
                decode(corrupt, "gzip", LIMIT)
        assert tracemalloc.get_traced_memory()[1] < 8 * LIMIT
    finally:
        tracemalloc.stop()


def test_many_members_are_limited_together() -> None:
    with pytest.raises(TooLong):
        decode(zipped(bytes(1000)) * 2000, "gzip", LIMIT)


@given(st.binary(max_size=200), st.sampled_from(["", "gzip", "deflate", "br", "gzip, deflate", "a, b, c, d"]))
def test_any_body_is_decoded_or_not(body: bytes, coding: str) -> None:
    assert isinstance(decode(body, coding, LIMIT), bytes | None)


def test_what_follows_the_end_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte after the end would copy all that follow: seconds for half a megabyte."""
    real, reads = zlib.decompressobj, []

    class Counting:
        def __init__(self, wrapper: int) -> None:
            self._real = real(wrapper)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

        def decompress(self, data: bytes, limit: int) -> bytes:
            reads.append(data)
            return self._real.decompress(data, limit)

    monkeypatch.setattr(zlib, "decompressobj", Counting)
    assert decode(zipped(BODY) + zipped(BODY)[:10] + bytes(1000), "gzip", LIMIT) == BODY
    assert len(reads) < len(zipped(BODY)) + 10
