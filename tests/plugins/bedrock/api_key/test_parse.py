"""What a Bedrock API key says of itself."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest

from bedrock_keys import LONG_TERM, short_term_key
from freshkey.errors import ConfigurationError
from freshkey.secret import Secret
from freshkey_bedrock.api_key import parse


def test_a_long_term_key_says_nothing() -> None:
    assert parse.term_of(Secret(LONG_TERM)) is None


def test_a_short_term_key_says_when_it_ends_and_where_it_works() -> None:
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
def test_a_key_that_cannot_be_decoded_is_refused_without_being_quoted(key: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be decoded") as raised:
        parse.term_of(Secret(key))
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None
    assert len(key) <= 20 or key[20:] not in str(raised.value)
