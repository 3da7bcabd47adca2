"""Any response of a server gives a valid value, or a freshkey error that quotes nothing."""

from __future__ import annotations

import json
import math
import time
import tracemalloc
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from freshkey._http.messages import retry_after
from freshkey._json import MAX_BODY, parse_json_object
from freshkey.errors import FreshkeyError, LoginRequired, ProtocolError, ProviderRefused, TransientError
from freshkey.model.exchange import Response
from freshkey.oauth import Poll, TokenAnswer, read_device, read_device_token, read_revocation, read_token
from freshkey.oauth.error_response import read_refusal, refusal_error
from promises import proves
from quoting import CANARIES, everything_said, outcome, quotes


NOW = 1_767_225_600.0
CONTRACT = (TransientError, LoginRequired, ProviderRefused, ProtocolError)
FIXED = settings(derandomize=True, database=None, max_examples=150)

Reader = Callable[[Response, float], object]
READERS: dict[str, Reader] = {
    "token": read_token,
    "device": read_device,
    "device token": read_device_token,
    "revocation": read_revocation,
    "refusal": refusal_error,
}
MEMBERS = [
    *("access_token", "refresh_token", "expires_in", "scope", "token_type", "error", "error_description", "error_uri"),
    *("device_code", "user_code", "verification_uri", "verification_url", "verification_uri_complete", "interval"),
    *("id_token", "account", "type", "message", "code", "status", "errors", "expires_at", "refresh_expires_in"),
]
STATUSES = st.sampled_from([200, 201, 204, 302, 400, 401, 403, 404, 408, 418, 429, 500, 503, 599])
HOLE = "\ufffc"
"""Placeholder for a canary."""

LEAVES = st.sampled_from(
    [HOLE, "Bearer", "invalid_grant", "slow_down", "", " ", None, True, 0, 1, -1, 3600, 1.5, 1e300, 2**63, 10**40]
)
SHAPES = st.dictionaries(
    st.sampled_from(MEMBERS) | st.just(HOLE),
    st.recursive(
        LEAVES,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*MEMBERS, HOLE]), inner, max_size=3)
        ),
        max_leaves=5,
    ),
    max_size=6,
)
WRAPPINGS = st.sampled_from(["{}", "{}{}", "[{}]", "{{{}", "\ufeff{}", "{}\x00", "<html>{}</html>", "access_token={}"])


def written(shape: object, wrapping: str, canary: str) -> bytes:
    text = json.dumps(shape, ensure_ascii=False).replace(HOLE, canary)
    return wrapping.replace("{}", text).encode()


# --- responses of a token endpoint ---------------------------------------------------------------------------------


@proves("FAULT-40", "NET-8", "LEK-1")
@FIXED
@given(
    reader=st.sampled_from(sorted(READERS)),
    status=STATUSES,
    body=st.tuples(SHAPES, st.just("{}") | WRAPPINGS),
    canary=CANARIES,
    headers=st.lists(st.sampled_from(["set-cookie", "retry-after", "www-authenticate", "date", "location"])),
)
def test_no_error_quotes_the_response(
    reader: str, status: int, body: tuple[object, str], canary: str, headers: list[str]
) -> None:
    response = Response(status=status, headers=dict.fromkeys(headers, canary), body=written(*body, canary))

    read = outcome(lambda: READERS[reader](response, NOW))

    if isinstance(read, FreshkeyError):
        assert isinstance(read, CONTRACT)
        assert not quotes(everything_said(read), canary)
        assert (read.__context__, read.__cause__) == (None, None)


@FIXED
@given(shape=SHAPES, canary=CANARIES)
def test_token_is_returned_unchanged_with_finite_values(shape: dict[str, Any], canary: str) -> None:
    facts = {**shape, "access_token": HOLE}
    response = Response(status=200, headers={}, body=written(facts, "{}", canary))

    read = outcome(lambda: read_token(response, NOW))

    assume(isinstance(read, TokenAnswer))
    assert isinstance(read, TokenAnswer)
    assert read.access_token.reveal() == canary
    assert read.refresh_expires_in is None or 0 < read.refresh_expires_in < math.inf
    assert read.expires_in is None or 0 <= read.expires_in < math.inf
    assert read.token_type.isascii()
    assert len(read.token_type) <= 64
    assert (read.unusable() is None) is (read.token_type == "Bearer")
    assert all(scope and scope.isascii() and " " not in scope for scope in read.scopes or ())


@FIXED
@given(status=STATUSES, body=st.binary(max_size=64) | SHAPES.map(json.dumps).map(str.encode))
def test_same_response_gives_the_same_error_each_time(status: int, body: bytes) -> None:
    response = Response(status=status, headers={"retry-after": "7", "request-id": "req-1"}, body=body)
    one, other = refusal_error(response, NOW), refusal_error(response, NOW)
    assert (type(one), str(one), vars(one)) == (type(other), str(other), vars(other))
    code = read_refusal(response).code
    assert code is None or (0 < len(code) <= 64 and code.isascii() and code.isprintable() and " " not in code)
    again = Response(status=status, headers={}, body=json.dumps({"error": code}).encode())
    assert read_refusal(again).code == code


@FIXED
@given(st.sampled_from([read_device_token, read_token]), st.sampled_from(list(Poll)), STATUSES)
def test_only_a_device_sign_in_can_be_told_to_wait(reader: Reader, poll: Poll, status: int) -> None:
    response = Response(status=status, headers={}, body=json.dumps({"error": poll.value}).encode())
    read = outcome(lambda: reader(response, NOW))
    assert (read is poll) is (reader is read_device_token and status < 500)


HUGE: dict[str, bytes] = {
    "brackets": b"[" * MAX_BODY,
    "nested objects": b'{"a":' * (MAX_BODY // 5),
    "empty lists": b'{"a":[' + b"[]," * (MAX_BODY // 3 - 10) + b"[]]}",
    "empty objects": b'{"error":[' + b"{}," * (MAX_BODY // 3 - 10) + b"{}]}",
    "members": b"{" + b",".join(b'"%d":0' % number for number in range(90_000)) + b"}",
    "a long number": b'{"expires_in":' + b"9" * (MAX_BODY - 20) + b"}",
    "a long fraction": b'{"expires_in":0.' + b"1" * (MAX_BODY - 20) + b"}",
    "a long exponent": b'{"expires_in":1e' + b"9" * (MAX_BODY - 20) + b"}",
    "a long error": b'{"error":"' + b"a" * (MAX_BODY - 20) + b'"}',
    "a long non-ASCII error": b'{"error":"' + b"\xc3\xa9" * (MAX_BODY // 2 - 20) + b'"}',
    "a long scope": b'{"access_token":"a","scope":"' + b"a " * (MAX_BODY // 2 - 20) + b'"}',
    "scopes": b'{"access_token":"a","scope":[' + b'"a",' * (MAX_BODY // 4 - 20) + b'"a"]}',
    "escapes": b'{"a":"' + b"\\u00e9" * (MAX_BODY // 6 - 10) + b'"}',
    "backslashes": b'{"a":"' + b"\\" * (MAX_BODY - 10) + b'"}',
    "blanks": b" " * MAX_BODY,
    "one byte too much": b" " * (MAX_BODY + 1),
}


@proves("FAULT-39", "NET-6")
@pytest.mark.parametrize("body", HUGE)
def test_no_response_takes_long_to_parse(body: str) -> None:
    """A mebibyte takes up to 0.3 s, but minutes if parsing is not linear; the limit between them suits any machine."""
    response = Response(status=200, headers={}, body=HUGE[body])
    began = time.process_time()
    read = outcome(lambda: read_token(response, NOW))
    assert time.process_time() - began < 20.0
    assert isinstance(read, (TokenAnswer, *CONTRACT))


@proves("FAULT-39", "NET-6")
@pytest.mark.parametrize("body", ["brackets", "empty objects", "members", "a long number"])
def test_no_response_takes_much_memory_to_parse(body: str) -> None:
    tracemalloc.start()
    try:
        outcome(lambda: parse_json_object(HUGE[body]))
        assert tracemalloc.get_traced_memory()[1] < 96 * MAX_BODY
    finally:
        tracemalloc.stop()


# --- Retry-After ---------------------------------------------------------------------------------------------------

DATES = st.from_regex(
    r"([A-Z][a-z]{2}, )?\d{1,3}[ -][A-Z][a-z]{2}[ -]\d{1,9} \d+:\d+:\d+ ([+-]\d{1,9}|GMT|[A-Z]{3})", fullmatch=True
)


@proves("FAULT-33", "NET-3")
@FIXED
@given(value=st.text(max_size=60) | DATES | st.integers().map(str) | st.floats().map(str), now=st.floats(0, 1e11))
@example(value="Fri, 31 Dec 9999 23:59:59 GMT", now=0.0)
@example(value="Mon, 01 Jan 0001 00:00:00 +2359", now=0.0)
@example(value="01 Jan 1 00:00:00 -9999999999", now=0.0)
@example(value="9" * 11, now=0.0)
@example(value="\u0663\u0660", now=0.0)
@example(value="1e3", now=0.0)
@example(value=" 7\t", now=0.0)
def test_retry_after_is_limited_and_idempotent(value: str, now: float) -> None:
    seconds = retry_after({"retry-after": value}, now)
    assert seconds is None or 0 <= seconds <= 3600
    assert retry_after({"retry-after": value}, now) == seconds
    if seconds is not None and seconds == int(seconds):
        assert retry_after({"retry-after": f"{seconds:.0f}"}, now) == seconds


@proves("FAULT-33", "NET-3")
@FIXED
@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_retry_after_preserves_order(one: int, other: int) -> None:
    def read(seconds: int) -> float:
        return retry_after({"retry-after": str(seconds)}, NOW) or 0.0

    assert (read(one) <= read(other)) or one > other
    assert read(one) == min(one, 3600)


def _named(headers: Mapping[str, str]) -> float | None:
    return retry_after(headers, NOW)


@FIXED
@given(st.dictionaries(st.text(), st.text()).filter(lambda headers: "retry-after" not in headers))
def test_no_other_header_causes_a_wait(headers: dict[str, str]) -> None:
    assert _named(headers) is None
