"""Text that may be a secret: UTF-8, or UTF-16 after a byte order mark, as PowerShell writes it."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshkey._secret_input.encoding import decoded, unmarked


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        (b"key\r\n", "key\r\n"),
        (codecs.BOM_UTF8 + "ké".encode(), "ké"),
        ("key\r\n".encode("utf-16"), "key\r\n"),
        (codecs.BOM_UTF16_LE + "k😀".encode("utf-16-le"), "k😀"),
        (codecs.BOM_UTF16_BE + "ké".encode("utf-16-be"), "ké"),
        (bytearray(b"key"), "key"),
        ("key".encode("utf-16-le"), "k\0e\0y\0"),
        (b"k\xe9y", None),
        (codecs.BOM_UTF8 + b"k\xe9y", None),
        (codecs.BOM_UTF16_LE + b"k", None),
        (codecs.BOM_UTF16_LE + b"\x00\xd8", None),
    ],
)
def test_text_is_decoded_by_its_mark(data: bytes | bytearray, text: str | None) -> None:
    assert decoded(data) == text


@given(st.binary(max_size=40))
def test_any_data_is_text_or_none(data: bytes) -> None:
    assert decoded(data) is None or isinstance(decoded(data), str)


def test_the_mark_says_the_encoding() -> None:
    assert unmarked("\ufeffké".encode()) == ("ké".encode(), "utf-8")
    assert unmarked("\ufeffké".encode("utf-16-be")) == ("ké".encode("utf-16-be"), "utf-16-be")
    assert unmarked(bytearray(b"k\xe9y")) == (b"k\xe9y", "utf-8")
