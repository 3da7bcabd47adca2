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
from promises import proves
from raises_code import raises_code


Answer = Callable[..., Response]

NOW = 1_767_225_600.0
GOOD: dict[str, Any] = {"access_token": "at-1", "token_type": "Bearer", "expires_in": 3600}
DEVICE: dict[str, Any] = {
    "device_code": "dc-1",
    "user_code": "WDJB-MJHT",
    "verification_uri": "https://id.example.com/device",
    "expires_in": 1800,
}


def test_a_complete_response(answer: Answer) -> None:
    read = read_token(answer({**GOOD, "refresh_token": "rt-1", "scope": "a b", "account": {"uuid": "u"}}), NOW)

    assert read == TokenAnswer(
        access_token=Secret("at-1"),
        refresh_token=Secret("rt-1"),
        expires_in=3600.0,
        scopes=("a", "b"),
        token_type="Bearer",
        extra={"account": {"uuid": "u"}},
    )


def test_a_minimal_response(answer: Answer) -> None:  # ROT-8, FAULT-28: the caller keeps its refresh token
    read = read_token(answer({"access_token": "at-1"}), NOW)

    assert read == TokenAnswer(access_token=Secret("at-1"))
    assert (read.refresh_token, read.expires_in, read.scopes, read.token_type) == (None, None, None, "Bearer")


@pytest.mark.parametrize("value", [None, ""])
def test_an_empty_refresh_token_is_read_as_none(answer: Answer, value: object) -> None:
    assert read_token(answer({**GOOD, "refresh_token": value}), NOW).refresh_token is None


def test_omitted_scopes_are_the_requested_ones(answer: Answer) -> None:  # RFC 6749, section 5.1
    assert read_token(answer(GOOD), NOW).granted(("a", "b")) == ("a", "b")
    assert read_token(answer({**GOOD, "scope": "a"}), NOW).granted(("a", "b")) == ("a",)
    assert read_token(answer({**GOOD, "scope": ""}), NOW).granted(("a", "b")) == ()


@pytest.mark.parametrize(
    ("written", "read"), [(["a", "b"], ("a", "b")), (["a b", ""], ("a", "b")), ([], ()), (" a  b ", ("a", "b"))]
)
def test_scopes_may_be_a_list_or_contain_extra_spaces(answer: Answer, written: object, read: tuple[str, ...]) -> None:
    assert read_token(answer({**GOOD, "scope": written}), NOW).scopes == read


@pytest.mark.parametrize("scope", [["a", 7], [["a"]], [None], ["a\nb"], 7, "a\nb", "a \x1b[31m", {"a": 1}, False])
def test_malformed_scopes_are_rejected(answer: Answer, scope: object) -> None:
    with raises_code(ProtocolError, "invalid-response") as caught:
        read_token(answer({**GOOD, "scope": scope}), NOW)
    assert "scope" in str(caught.value)


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
def test_other_token_types_are_rejected(answer: Answer, written: object) -> None:
    with raises_code(ProtocolError, "invalid-response") as caught:
        read_token(answer({**GOOD, "token_type": written}), NOW)
    assert "token_type" in str(caught.value)


# --- expires_in: NET-6, FAULT-41 ------------------------------------------------------------------------------------


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
def test_valid_lifetimes(answer: Answer, written: str, seconds: float | None) -> None:
    body = b'{"access_token": "at-1", "expires_in": %s}' % written.encode()

    assert read_token(answer(body), NOW).expires_in == seconds


@proves("FAULT-41", "NET-6")
@pytest.mark.parametrize(
    "written",
    [
        *("true", "false", "-1", "-0.5", "0.5", "3599.9", "NaN", "Infinity", "-Infinity", "1e999", "1e40"),
        *("1" + "0" * 40, "9223372036854775808", "[]", "{}", "[3600]"),
        *('"-1"', '"+1"', '" 3600"', '"3600٣"', '"٣"', '"1e3"', '""', '"soon"', '"' + "9" * 5000 + '"'),
    ],
)
def test_invalid_lifetimes_are_rejected_and_not_guessed(answer: Answer, written: str) -> None:
    body = b'{"access_token": "at-1", "expires_in": %s}' % written.encode()

    with raises_code(ProtocolError, "invalid-response"):
        read_token(answer(body), NOW)


@pytest.mark.parametrize("written", [True, -1, 0.5, "soon"])
def test_an_invalid_number_is_named(answer: Answer, written: object) -> None:
    with raises_code(ProtocolError, "invalid-response") as caught:
        read_token(answer({**GOOD, "expires_in": written}), NOW)
    assert "expires_in" in str(caught.value)


# --- access_token: FAULT-42 -----------------------------------------------------------------------------------------


@proves("FAULT-42", "NET-6")
@pytest.mark.parametrize(
    "token",
    ["", " ", "a b", "a\r\nX-Evil: 1", "a\n", "\u00e9", "\u0663", "a\x00", "\x7f", "a" * 65537, None, 1, True, [], {}],
)
@pytest.mark.parametrize("member", ["access_token", "refresh_token"])
def test_tokens_that_could_break_a_header_are_rejected(answer: Answer, member: str, token: object) -> None:
    if member == "refresh_token" and token in (None, ""):
        token = 0.5
    with raises_code(ProtocolError, "invalid-response") as caught:
        read_token(answer({**GOOD, member: token}), NOW)
    assert member in str(caught.value)


def test_a_token_may_be_64_kib_long(answer: Answer) -> None:
    assert read_token(answer({"access_token": "a" * 65536}), NOW).access_token == Secret("a" * 65536)


# --- bodies: NET-6, FAULT-40 ----------------------------------------------------------------------------------------


@proves("FAULT-40", "NET-6")
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
def test_a_malformed_success_is_a_protocol_error(answer: Answer, body: bytes) -> None:
    with raises_code(ProtocolError, "invalid-response") as caught:
        read_token(answer(body), NOW)
    assert "at-1" not in str(caught.value)


def test_an_error_may_have_status_200(answer: Answer) -> None:
    with raises_code(LoginRequired, "sign-in-ended") as caught:
        read_token(answer({"error": "invalid_grant"}), NOW)
    assert "invalid_grant" in str(caught.value)


@pytest.mark.parametrize("status", [199, 300])
@pytest.mark.parametrize("read", [read_token, read_device, read_revocation, read_device_token])
def test_only_2xx_is_a_success(answer: Answer, read: Callable[..., object], status: int) -> None:
    with raises_code(ProtocolError, "invalid-response") as caught:
        read(answer({**GOOD, **DEVICE}, status), NOW)
    assert str(status) in str(caught.value)


@pytest.mark.parametrize("read", [read_token, read_device, read_revocation, read_device_token])
def test_a_retry_after_date_is_relative_to_the_given_time(answer: Answer, read: Callable[..., object]) -> None:
    with raises_code(TransientError, "server-unavailable") as caught:
        read(answer(b"", 503, {"retry-after": "Thu, 01 Jan 2026 00:01:40 GMT"}), NOW)
    assert caught.value.retry_after == 100


# --- any input gives a value or a documented error -------------------------------------------------------------------

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
def test_any_token_response_gives_a_result_or_a_documented_error(
    status: int, body: bytes, headers: dict[str, str]
) -> None:
    read = outcome(read_token, Response(status=status, headers=headers, body=body))

    if isinstance(read, TokenAnswer):
        assert re.fullmatch("[!-~]+", read.access_token.reveal())
        assert read.expires_in is None or (math.isfinite(read.expires_in) and read.expires_in >= 0)
    else:
        assert isinstance(read, CONTRACT)
        assert read.__cause__ is None
        assert 0 <= (getattr(read, "retry_after", None) or 0) <= 3600


@given(status=STATUSES, body=BODIES)
def test_any_device_response_gives_a_result_or_a_documented_error(status: int, body: bytes) -> None:
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
def test_no_error_quotes_the_response(status: int, secret: str, place: str) -> None:  # NET-8
    facts: dict[str, Any] = {"type": {"error": {"type": secret}}}.get(place, {place: secret})
    body = secret.encode() if place == "raw" else json.dumps({"expires_in": "junk", **facts}).encode()
    response = Response(status=status, headers={"set-cookie": secret, "retry-after": secret}, body=body)

    with pytest.raises(FreshkeyError) as caught:
        read_token(response, NOW)

    shown = f"{caught.value} {caught.value!r} {caught.value.hint}"
    assert not [start for start in range(len(secret) - 7) if secret[start : start + 8] in shown]


# --- revocation: RFC 7009, NET-9 ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("body", "status"), [(b"", 200), (b"{}", 200), (b"", 204), (b"ok", 200)])
def test_any_2xx_means_revoked(answer: Answer, body: bytes, status: int) -> None:
    read_revocation(answer(body, status), NOW)


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (503, b"", TransientError, "server-unavailable"),
        (429, b"", TransientError, "server-unavailable"),
        (400, b"", ProviderRefused, "revocation-refused"),
        (400, b'{"error": "invalid_grant"}', ProviderRefused, "revocation-refused"),
        (400, b'{"error": "unsupported_token_type"}', ProviderRefused, "request-refused"),
        (401, b'{"error": "invalid_client"}', ProviderRefused, "request-refused"),
        (404, b"<html>", ProviderRefused, "request-refused"),
        (302, b"", ProtocolError, "invalid-response"),
    ],
)
def test_failed_revocations(answer: Answer, status: int, body: bytes, kind: type[FreshkeyError], code: str) -> None:
    with raises_code(kind, code):
        read_revocation(answer(body, status), NOW)


def test_a_failed_revocation_keeps_retry_after(answer: Answer) -> None:
    with raises_code(TransientError, "server-unavailable") as caught:
        read_revocation(answer(b"", 503, {"retry-after": "7"}), NOW)
    assert caught.value.retry_after == 7


# --- device: RFC 8628 -----------------------------------------------------------------------------------------------


def test_a_complete_device_response(answer: Answer) -> None:
    read = read_device(
        answer({**DEVICE, "interval": 7, "verification_uri_complete": "https://id.example.com/device?c=W"}), NOW
    )

    assert read.device_code == Secret("dc-1")
    assert (read.user_code, read.expires_in, read.interval) == ("WDJB-MJHT", 1800.0, 7.0)
    assert read.verification_uri == "https://id.example.com/device"
    assert read.verification_uri_complete == "https://id.example.com/device?c=W"
    assert "dc-1" not in repr(read)


def test_the_default_interval_is_five_seconds(answer: Answer) -> None:  # FLO-10
    assert read_device(answer(DEVICE), NOW).interval == 5


def test_the_minimum_interval_is_one_second(answer: Answer) -> None:
    assert read_device(answer({**DEVICE, "interval": 0}), NOW).interval == 1


def test_the_old_name_of_the_verification_uri(answer: Answer) -> None:
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
def test_invalid_device_responses(answer: Answer, change: dict[str, object]) -> None:
    with raises_code(ProtocolError, "invalid-response"):
        read_device(answer({**DEVICE, **change}), NOW)


@pytest.mark.parametrize("status", [200, 400, 401, 403, 428])
def test_pending_and_slow_down(answer: Answer, status: int) -> None:
    assert read_device_token(answer({"error": "authorization_pending"}, status), NOW) is Poll.PENDING
    assert read_device_token(answer({"error": "slow_down"}, status), NOW) is Poll.SLOW_DOWN


def test_a_device_token(answer: Answer) -> None:
    assert read_device_token(answer(GOOD), NOW) == TokenAnswer(access_token=Secret("at-1"), expires_in=3600.0)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("access_denied", "sign-in-not-completed"),
        ("expired_token", "device-code-expired"),
        ("invalid_grant", "sign-in-ended"),
    ],
)
def test_errors_that_end_a_device_sign_in(answer: Answer, error: str, code: str) -> None:
    with raises_code(LoginRequired, code) as caught:
        read_device_token(answer({"error": error}, 400), NOW)
    assert error in str(caught.value)
    assert caught.value.hint is not None


@pytest.mark.parametrize("status", [500, 503])
def test_5xx_is_transient_and_not_pending(answer: Answer, status: int) -> None:
    with raises_code(TransientError, "server-unavailable"):
        read_device_token(answer({"error": "authorization_pending"}, status), NOW)
