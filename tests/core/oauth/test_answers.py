from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshkey._http.messages import Response
from freshkey.errors import FreshkeyError, LoginRequired, ProtocolError, ProviderRefused, TransientError
from freshkey.oauth import DeviceCode, Poll, TokenAnswer, read_device, read_device_token, read_revocation, read_token
from freshkey.secret import Secret
from matrix import row


Answer = Callable[..., Response]

NOW = 1_767_225_600.0
GOOD: dict[str, Any] = {"access_token": "at-1", "token_type": "Bearer", "expires_in": 3600}
DEVICE: dict[str, Any] = {
    "device_code": "dc-1",
    "user_code": "WDJB-MJHT",
    "verification_uri": "https://id.example.com/device",
    "expires_in": 1800,
}


def test_a_full_answer(answer: Answer) -> None:
    read = read_token(answer({**GOOD, "refresh_token": "rt-1", "scope": "a b", "account": {"uuid": "u"}}), NOW)

    assert read == TokenAnswer(
        access_token=Secret("at-1"),
        refresh_token=Secret("rt-1"),
        expires_in=3600.0,
        scopes=("a", "b"),
        token_type="Bearer",
        extra={"account": {"uuid": "u"}},
    )


def test_the_least_that_is_an_answer(answer: Answer) -> None:  # ROT-8, row 28: the caller keeps its refresh token
    read = read_token(answer({"access_token": "at-1"}), NOW)

    assert read == TokenAnswer(access_token=Secret("at-1"))
    assert (read.refresh_token, read.expires_in, read.scopes, read.token_type) == (None, None, None, "Bearer")


@pytest.mark.parametrize("value", [None, ""])
def test_an_empty_refresh_token_is_none(answer: Answer, value: object) -> None:
    assert read_token(answer({**GOOD, "refresh_token": value}), NOW).refresh_token is None


def test_scopes_that_are_left_out_are_those_that_were_asked_for(answer: Answer) -> None:  # RFC 6749, section 5.1
    assert read_token(answer(GOOD), NOW).granted(("a", "b")) == ("a", "b")
    assert read_token(answer({**GOOD, "scope": "a"}), NOW).granted(("a", "b")) == ("a",)
    assert read_token(answer({**GOOD, "scope": ""}), NOW).granted(("a", "b")) == ()


@pytest.mark.parametrize(
    ("written", "read"), [(["a", "b"], ("a", "b")), (["a b", ""], ("a", "b")), ([], ()), (" a  b ", ("a", "b"))]
)
def test_scopes_may_come_as_a_list(answer: Answer, written: object, read: tuple[str, ...]) -> None:
    assert read_token(answer({**GOOD, "scope": written}), NOW).scopes == read


@pytest.mark.parametrize("scope", [["a", 7], [["a"]], [None], ["a\nb"], 7, "a\nb", "a \x1b[31m", {"a": 1}, False])
def test_scopes_that_cannot_be_read(answer: Answer, scope: object) -> None:
    with pytest.raises(ProtocolError, match="no readable scope"):
        read_token(answer({**GOOD, "scope": scope}), NOW)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("bearer", "Bearer"),
        ("Bearer", "Bearer"),
        ("BEARER", "Bearer"),
        ("DPoP", "DPoP"),
        ("", "Bearer"),
        ("dpop", "DPoP"),
    ],
)
def test_token_types(answer: Answer, written: str, read: str) -> None:
    assert read_token(answer({**GOOD, "token_type": written}), NOW).token_type == read


@pytest.mark.parametrize("written", ["mac", "N_A", " ", "Bearer ", 0, 1, ["Bearer"], [], True, False])
def test_other_token_types_are_refused(answer: Answer, written: object) -> None:
    with pytest.raises(ProtocolError, match="no readable token_type"):
        read_token(answer({**GOOD, "token_type": written}), NOW)


# --- expires_in: NET-6, row 41 --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("3600", 3600.0),
        ("3600.0", 3600.0),
        ('"3600"', 3600.0),
        ('"0"', 0.0),
        ("0", 0.0),
        ("1", 1.0),
        ("36e2", 3600.0),
        ("null", None),
        ("2147483647", 316_224_000.0),
        ('"999999999999999999"', 316_224_000.0),
    ],
)
def test_lifetimes_that_can_be_read(answer: Answer, written: str, seconds: float | None) -> None:
    body = b'{"access_token": "at-1", "expires_in": %s}' % written.encode()

    assert read_token(answer(body), NOW).expires_in == seconds


@row(41, "NET-6")
@pytest.mark.parametrize(
    "written",
    [
        *("true", "false", "-1", "-0.5", "0.5", "3599.9", "NaN", "Infinity", "-Infinity", "1e999", "1e40"),
        *("1" + "0" * 40, "9223372036854775808", "[]", "{}", "[3600]"),
        *('"-1"', '"+1"', '" 3600"', '"3600٣"', '"٣"', '"1e3"', '""', '"soon"', '"' + "9" * 5000 + '"'),
    ],
)
def test_lifetimes_that_nobody_should_guess(answer: Answer, written: str) -> None:
    body = b'{"access_token": "at-1", "expires_in": %s}' % written.encode()

    with pytest.raises(ProtocolError):
        read_token(answer(body), NOW)


@pytest.mark.parametrize("written", [True, -1, 0.5, "soon"])
def test_which_number_cannot_be_read_is_said(answer: Answer, written: object) -> None:
    with pytest.raises(ProtocolError, match="no readable expires_in"):
        read_token(answer({**GOOD, "expires_in": written}), NOW)


# --- access_token: row 42 -------------------------------------------------------------------------------------------


@row(42, "NET-6")
@pytest.mark.parametrize(
    "token",
    ["", " ", "a b", "a\r\nX-Evil: 1", "a\n", "\u00e9", "\u0663", "a\x00", "\x7f", "a" * 65537, None, 1, True, [], {}],
)
@pytest.mark.parametrize("member", ["access_token", "refresh_token"])
def test_tokens_that_could_break_a_header_are_refused(answer: Answer, member: str, token: object) -> None:
    if member == "refresh_token" and token in (None, ""):
        token = 0.5
    with pytest.raises(ProtocolError, match=member):
        read_token(answer({**GOOD, member: token}), NOW)


def test_a_token_may_be_64_kib_long(answer: Answer) -> None:
    assert read_token(answer({"access_token": "a" * 65536}), NOW).access_token == Secret("a" * 65536)


# --- bodies: NET-6, row 40 ------------------------------------------------------------------------------------------


@row(40, "NET-6")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'["access_token"]',
        b'"access_token"',
        b"<html>signed in</html>",
        b"access_token=at-1&token_type=bearer",
        b'{"access_token": "at-1"',
        b'\xef\xbb\xbf{"access_token": "at-1"}',
        json.dumps(GOOD).encode("utf-16"),
        b'{"access_token": "\xff"}',
        b'{"access_token": "at-1", "access_token": "at-2"}',
        b'{"access_token": "at-1", "x": {"y": 1, "y": 2}}',
        b'{"access_token": "at-1", "x": ' + b"[" * 40 + b"]" * 40 + b"}",
        b'{"access_token": "at-1", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"access_token": "at-1", "x": NaN}',
    ],
)
def test_a_success_that_cannot_be_read(answer: Answer, body: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        read_token(answer(body), NOW)
    assert "at-1" not in str(caught.value)


def test_an_error_may_come_with_status_200(answer: Answer) -> None:
    with pytest.raises(LoginRequired, match="invalid_grant"):
        read_token(answer({"error": "invalid_grant"}), NOW)


@pytest.mark.parametrize("status", [199, 300])
@pytest.mark.parametrize("read", [read_token, read_device, read_revocation, read_device_token])
def test_only_a_success_brings_something(answer: Answer, read: Callable[..., object], status: int) -> None:
    with pytest.raises(ProtocolError, match=f"status {status}"):
        read(answer({**GOOD, **DEVICE}, status), NOW)


@pytest.mark.parametrize("read", [read_token, read_device, read_revocation, read_device_token])
def test_a_date_to_try_again_is_read_against_the_given_time(answer: Answer, read: Callable[..., object]) -> None:
    with pytest.raises(TransientError) as caught:
        read(answer(b"", 503, {"retry-after": "Thu, 01 Jan 2026 00:01:40 GMT"}), NOW)
    assert caught.value.retry_after == 100


# --- totality: section C -------------------------------------------------------------------------------------------

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
MEMBERS = st.sampled_from(
    [
        *("access_token", "refresh_token", "expires_in", "scope", "token_type", "error", "device_code", "user_code"),
        *("verification_uri", "verification_uri_complete", "interval"),
    ]
)
BODIES = st.binary(max_size=300) | st.builds(
    lambda facts: json.dumps(facts).encode(), st.dictionaries(MEMBERS, JUNK | st.sampled_from(["at-1", 3600, "Bearer"]))
)
STATUSES = st.sampled_from([200, 201, 204, 301, 400, 401, 403, 404, 408, 418, 429, 500, 503, 529])
HEADERS = st.fixed_dictionaries({}, optional={"retry-after": st.text(max_size=20), "request-id": st.text(max_size=80)})


CONTRACT = TransientError | LoginRequired | ProviderRefused | ProtocolError


def outcome(read: Callable[[Response, float], object], response: Response) -> object:
    try:
        return read(response, NOW)
    except FreshkeyError as error:
        return error


@given(status=STATUSES, body=BODIES, headers=HEADERS)
def test_reading_is_total_and_finite(status: int, body: bytes, headers: dict[str, str]) -> None:
    read = outcome(read_token, Response(status=status, headers=headers, body=body))

    if isinstance(read, TokenAnswer):
        assert re.fullmatch("[!-~]+", read.access_token.reveal())
        assert read.expires_in is None or (math.isfinite(read.expires_in) and read.expires_in >= 0)
    else:
        assert isinstance(read, CONTRACT)
        assert read.__cause__ is None
        assert 0 <= (getattr(read, "retry_after", None) or 0) <= 3600


@given(status=STATUSES, body=BODIES)
def test_the_device_readers_are_total(status: int, body: bytes) -> None:
    response = Response(status=status, headers={}, body=body)

    assert isinstance(outcome(read_device, response), DeviceCode | CONTRACT)
    assert isinstance(outcome(read_device_token, response), TokenAnswer | Poll | CONTRACT)
    assert isinstance(outcome(read_revocation, response), None | CONTRACT)


@given(
    status=STATUSES,
    secret=st.text("0123456789abcdefABCDEF-_.~", min_size=8, max_size=64).filter(
        lambda text: any(map(str.isdigit, text))
    ),
    place=st.sampled_from(["error", "error_description", "error_uri", "access_token", "scope", "type", "raw"]),
)
def test_no_error_quotes_what_the_server_said(status: int, secret: str, place: str) -> None:  # NET-8
    facts: dict[str, Any] = {"type": {"error": {"type": secret}}}.get(place, {place: secret})
    body = secret.encode() if place == "raw" else json.dumps({"expires_in": "junk", **facts}).encode()
    response = Response(status=status, headers={"set-cookie": secret, "retry-after": secret}, body=body)

    with pytest.raises(FreshkeyError) as caught:
        read_token(response, NOW)

    shown = f"{caught.value} {caught.value!r} {caught.value.hint}"
    assert not [start for start in range(len(secret) - 7) if secret[start : start + 8] in shown]


# --- revocation: RFC 7009, NET-9 ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("body", "status"), [(b"", 200), (b"{}", 200), (b"", 204), (b"ok", 200)])
def test_any_success_is_revoked(answer: Answer, body: bytes, status: int) -> None:
    read_revocation(answer(body, status), NOW)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (503, b"", TransientError),
        (429, b"", TransientError),
        (400, b"", ProviderRefused),
        (400, b'{"error": "invalid_grant"}', ProviderRefused),
        (400, b'{"error": "unsupported_token_type"}', ProviderRefused),
        (401, b'{"error": "invalid_client"}', ProviderRefused),
        (404, b"<html>", ProviderRefused),
        (302, b"", ProtocolError),
    ],
)
def test_what_is_not_revoked(answer: Answer, status: int, body: bytes, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        read_revocation(answer(body, status), NOW)


def test_a_server_that_is_busy_says_when_to_revoke_again(answer: Answer) -> None:
    with pytest.raises(TransientError) as caught:
        read_revocation(answer(b"", 503, {"retry-after": "7"}), NOW)
    assert caught.value.retry_after == 7


# --- device: RFC 8628 -----------------------------------------------------------------------------------------------


def test_a_device_answer(answer: Answer) -> None:
    read = read_device(
        answer({**DEVICE, "interval": 7, "verification_uri_complete": "https://id.example.com/device?c=W"}), NOW
    )

    assert read.device_code == Secret("dc-1")
    assert (read.user_code, read.expires_in, read.interval) == ("WDJB-MJHT", 1800.0, 7.0)
    assert read.verification_uri == "https://id.example.com/device"
    assert read.verification_uri_complete == "https://id.example.com/device?c=W"
    assert "dc-1" not in repr(read)


def test_a_device_answer_without_an_interval_means_five_seconds(answer: Answer) -> None:  # FLO-10
    assert read_device(answer(DEVICE), NOW).interval == 5


def test_an_interval_of_nothing_is_a_second(answer: Answer) -> None:
    assert read_device(answer({**DEVICE, "interval": 0}), NOW).interval == 1


def test_the_older_spelling_of_the_address(answer: Answer) -> None:
    facts = {**DEVICE, "verification_url": DEVICE["verification_uri"]}
    del facts["verification_uri"]

    assert read_device(answer(facts), NOW).verification_uri == "https://id.example.com/device"


@pytest.mark.parametrize(
    "change",
    [
        {"user_code": ""},
        {"user_code": "A\x1b[2J"},
        {"user_code": "\uff37\uff24"},
        {"user_code": 5},
        {"user_code": "A" * 65},
        {"user_code": None},
        {"expires_in": None},
        {"expires_in": -1},
        {"interval": "often"},
        {"interval": -5},
        {"device_code": ""},
        {"verification_uri": None},
        {"verification_uri": "https://id.example.com/\n"},
        {"verification_uri_complete": 5},
    ],
)
def test_device_answers_that_cannot_be_shown(answer: Answer, change: dict[str, object]) -> None:
    with pytest.raises(ProtocolError):
        read_device(answer({**DEVICE, **change}), NOW)


@pytest.mark.parametrize("status", [200, 400, 401, 403, 428])
def test_the_two_answers_that_mean_not_yet(answer: Answer, status: int) -> None:
    assert read_device_token(answer({"error": "authorization_pending"}, status), NOW) is Poll.PENDING
    assert read_device_token(answer({"error": "slow_down"}, status), NOW) is Poll.SLOW_DOWN


def test_a_token_at_last(answer: Answer) -> None:
    assert read_device_token(answer(GOOD), NOW) == TokenAnswer(access_token=Secret("at-1"), expires_in=3600.0)


@pytest.mark.parametrize("code", ["access_denied", "expired_token", "invalid_grant"])
def test_final_device_answers(answer: Answer, code: str) -> None:
    with pytest.raises(LoginRequired, match=code):
        read_device_token(answer({"error": code}, 400), NOW)


@pytest.mark.parametrize("status", [500, 503])
def test_a_broken_server_is_not_a_patient_one(answer: Answer, status: int) -> None:
    with pytest.raises(TransientError):
        read_device_token(answer({"error": "authorization_pending"}, status), NOW)
