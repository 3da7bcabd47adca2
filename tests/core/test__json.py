"""The JSON parser is strict and never quotes what it rejects."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshkey._json import MAX_BODY, MAX_DEPTH, parse_json_object, parse_record
from freshkey.errors import ProtocolError
from raises_code import raises_code


CANARY = "canary-5f1d0c9a7e"


def test_an_object_is_parsed() -> None:
    assert parse_json_object(b'{"a": {"b": [1, 2.5, true, null, "\xc3\xa9"]}}') == {
        "a": {"b": [1, 2.5, True, None, "é"]}
    }


def test_a_huge_integer_is_parsed_as_a_float() -> None:  # FAULT-41
    value = parse_json_object(b'{"expires_in": 1' + b"0" * 40 + b"}")["expires_in"]
    assert (type(value), value) == (float, 1e40)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>canary-5f1d0c9a7e</html>",
        b'{"access_token": "canary-5f1d0c9a7e',
        b'["canary-5f1d0c9a7e"]',
        b'"canary-5f1d0c9a7e"',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": 1, "a": 2}',
        b'{"a": {"b": 1, "b": 2}}',
        b"\xff\xfe{}",
        b"\xef\xbb\xbf{}",
        b"{} {}",
        b'{"a":' * 100_000,
        b'{"a":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}",
    ],
    ids=range(16),
)
def test_an_invalid_body_is_a_protocol_error_that_does_not_quote_it(body: bytes) -> None:  # NET-6
    with raises_code(ProtocolError, "invalid-response") as caught:
        parse_json_object(body)
    assert CANARY not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_body_over_the_limit_is_too_large() -> None:
    with raises_code(ProtocolError, "response-too-large") as caught:
        parse_json_object(b" " * MAX_BODY + b"{}")
    assert str(MAX_BODY) in str(caught.value)


def test_the_maximum_nesting_depth_is_accepted() -> None:
    inside = b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1)
    assert "a" in parse_json_object(b'{"a":' + inside + b"}")


@given(st.binary())
def test_any_body_is_parsed_or_a_protocol_error(body: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        parse_json_object(body)


def test_a_record_keeps_any_number() -> None:
    assert parse_record('{"n": 123456789012345678901234567890, "f": 1.5}') == {
        "n": 123456789012345678901234567890,
        "f": 1.5,
    }
    assert parse_record("null") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "canary-5f1d0c9a7e",
        '{"a": "canary-5f1d0c9a7e',
        "[" * 100_000,
        "[" * 65 + "]" * 65,
        '{"a":1,"a":2}',
        "9" * 5000,
    ],
)
def test_an_invalid_record_is_an_error_that_does_not_quote_it(text: str) -> None:  # NET-10
    with pytest.raises(ValueError, match=r"^$") as caught:
        parse_record(text)
    assert (type(caught.value), caught.value.__context__) == (ValueError, None)
