"""Parsing of short-term Bedrock API keys."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest

from bedrock_keys import LONG_TERM, short_term_key
from freshkey.errors import ConfigurationError
from freshkey.secret import Secret
from freshkey_bedrock.api_key import parse
from raises_code import raises_code


def test_long_term_key_has_no_term() -> None:
    assert parse.term_of(Secret(LONG_TERM)) is None


def test_short_term_key_contains_expiration_and_region() -> None:
    term = parse.term_of(Secret(short_term_key(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), 3600)))
    assert term == parse.Term(ends=datetime(2026, 1, 2, 4, 4, 5, tzinfo=UTC), region="us-west-2")


@pytest.mark.parametrize(
    "key",
    [
        parse.PREFIX,
        parse.PREFIX + "no base64!",
        parse.PREFIX + base64.b64encode(b"\xff\xfe").decode(),
        parse.PREFIX + base64.b64encode(b"bedrock.amazonaws.com/").decode(),
        short_term_key(datetime(2026, 1, 1, tzinfo=UTC), 0),
        short_term_key(datetime(2026, 1, 1, tzinfo=UTC), 43201),
        short_term_key(datetime(2026, 1, 1, tzinfo=UTC), "soon"),
        short_term_key(datetime(2026, 1, 1, tzinfo=UTC), region="evil.example.org/"),
        short_term_key(datetime(2026, 1, 1, tzinfo=UTC), **{"X-Amz-Date": "20269901T000000Z"}),
        short_term_key(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        short_term_key(datetime(2026, 1, 1, tzinfo=UTC))[:-40],
    ],
)
def test_undecodable_key_is_refused_and_not_quoted(key: str) -> None:
    with raises_code(ConfigurationError, "bedrock-invalid-api-key") as raised:
        parse.term_of(Secret(key))
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None
    assert len(key) <= 20 or key[20:] not in str(raised.value)
