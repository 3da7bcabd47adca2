from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshkey.errors import (
    FreshkeyError,
    IntermediaryAnswer,
    LoginRequired,
    ProtocolError,
    ProviderRefused,
    TransientError,
)
from freshkey.model.exchange import Response
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


@pytest.mark.parametrize("value", [None, "", False, 0, [], {}])
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


@pytest.mark.parametrize(
    ("scope", "read"),
    [
        (["a", 7], ("a",)),
        ([["a"]], None),
        ([None], None),
        (["a\nb"], ("a", "b")),
        (7, None),
        ("a \x1b[31m", ("a",)),
        ({"a": 1}, None),
        (False, None),
    ],
)
def test_unreadable_scopes_are_left_out(
    answer: Answer, caplog: pytest.LogCaptureFixture, scope: object, read: tuple[str, ...] | None
) -> None:
    assert read_token(answer({**GOOD, "scope": scope}), NOW).scopes == read
    assert ("scope" in caplog.text) is (scope != ["a\nb"])


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("bearer", "Bearer"),
        ("Bearer", "Bearer"),
        ("BEARER", "Bearer"),
        ("DPoP", "DPoP"),
        ("", "Bearer"),
        ("dpop", "DPoP"),
        (" ", "Bearer"),
        ("Bearer ", "Bearer"),
        (None, "Bearer"),
        ("BearerToken", "Bearer"),
        ("bot", "Bearer"),
        ("mac", "mac"),
        ("N_A", "N_A"),
        ("sk-ant-ort01-abc", "unknown"),
        (1, "unknown"),
        (["Bearer"], "unknown"),
        (True, "unknown"),
    ],
)
def test_token_types(answer: Answer, written: object, read: str) -> None:
    assert read_token(answer({**GOOD, "token_type": written}), NOW).token_type == read


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"token_type": "mac"}, "unsupported-token-type"),
        ({"token_type": "DPoP"}, "unsupported-token-type"),
        ({"access_token": "a\r\nX-Evil: 1"}, "unusable-access-token"),
        ({}, None),
    ],
)
def test_an_answer_says_why_its_access_token_cannot_be_used(
    answer: Answer, change: dict[str, object], code: str | None
) -> None:
    read = read_token(answer({**GOOD, "refresh_token": "rt-1", **change}), NOW)
    flaw = read.unusable()
    assert read.refresh_token == Secret("rt-1")
    assert (flaw and flaw.code) == code


def test_answer_to_an_exchange_without_an_access_token_says_what_to_request(answer: Answer) -> None:
    flaw = read_token(answer({**GOOD, "token_type": "N_A"}), NOW).unusable()
    assert flaw is not None
    assert "requested_token_type = urn:ietf:params:oauth:token-type:access_token" in (flaw.hint or "")


# --- tokens: FAULT-42 ------------------------------------------------------------------------------------------------


@proves("FAULT-42", "NET-6")
@pytest.mark.parametrize("token", [" ", "a b", "a\r\nX-Evil: 1", "\u00e9", "\u0663", "a\x00", "\x7f", "a" * 65537])
def test_an_access_token_that_could_break_a_header_is_dropped(answer: Answer, token: object) -> None:
    read = read_token(answer({**GOOD, "access_token": token}), NOW)
    assert read.access_token == Secret("")


@pytest.mark.parametrize("token", ["at-1\n", " at-1\r\n", "\tat-1"])
def test_white_space_around_an_access_token_is_not_part_of_it(answer: Answer, token: str) -> None:
    assert read_token(answer({**GOOD, "access_token": token}), NOW).access_token == Secret("at-1")


@pytest.mark.parametrize("token", ["", None, 1, True, [], {}])
def test_without_a_token_it_is_another_answer(answer: Answer, token: object) -> None:
    with raises_code(IntermediaryAnswer, "answered-in-between"):
        read_token(answer({**GOOD, "access_token": token}), NOW)
    read = read_token(answer({**GOOD, "access_token": token, "refresh_token": "rt-1"}), NOW)
    assert (read.access_token, read.refresh_token) == (Secret(""), Secret("rt-1"))


@pytest.mark.parametrize("token", [" ", "a b", "a\r\nX-Evil: 1", "\u00e9", "a\x00"])
def test_a_refresh_token_may_be_any_text_because_it_is_sent_in_a_body(answer: Answer, token: str) -> None:
    assert read_token(answer({**GOOD, "refresh_token": token}), NOW).refresh_token == Secret(token)


@proves("FAULT-42", "NET-6")
@pytest.mark.parametrize("token", [0.5, 1e20, -0.5, True, ["a"], {"a": 1}, "a" * 65537, "\ud800"])
def test_a_refresh_token_that_cannot_be_sent_is_rejected(answer: Answer, token: object) -> None:
    with raises_code(ProtocolError, "invalid-response") as caught:
        read_token(answer({**GOOD, "refresh_token": token}), NOW)
    assert "refresh_token" in str(caught.value)


@proves("FAULT-42", "NET-6")
@pytest.mark.parametrize(("token", "sent"), [(12345, "12345"), (10**17, "1" + "0" * 17), (10**40, "1" + "0" * 40)])
def test_a_refresh_token_that_is_a_number_is_sent_as_its_digits(answer: Answer, token: int, sent: str) -> None:
    assert read_token(answer({**GOOD, "refresh_token": token}), NOW).refresh_token == Secret(sent)


def test_a_token_may_be_64_kib_long(answer: Answer) -> None:
    assert read_token(answer({"access_token": "a" * 65536}), NOW).access_token == Secret("a" * 65536)


# --- bodies: NET-6, FAULT-40; what can be read is in test_response_body.py ------------------------------------------


@proves("FAULT-40", "NET-1")
@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"null", b"[]", b'["access_token"]', b'"access_token"', b"<html>signed in</html>", b"signed in"),
        *(b'{"status": "ok"}', b'{"error": null}', b'{"error": ""}', b'{"error": false}', b"\xef\xbb\xbf<html>"),
        b"<html>at-1</html>",
    ],
)
def test_a_success_without_tokens_is_not_the_servers(answer: Answer, body: bytes) -> None:
    with raises_code(IntermediaryAnswer, "answered-in-between") as caught:
        read_token(answer(body), NOW)
    assert not caught.value.may_be_refusal
    assert "at-1" not in str(caught.value)


@proves("FAULT-35", "NET-1")
@pytest.mark.parametrize("body", [b'{"access_token": "at-1"', b"{", b'{"access_token": "at-1", "x": ' + b"[" * 100_000])
def test_the_beginning_of_an_object_is_a_lost_response(answer: Answer, body: bytes) -> None:
    with raises_code(ProtocolError, "invalid-response") as caught:
        read_token(answer(body), NOW)
    assert type(caught.value) is ProtocolError
    assert "at-1" not in str(caught.value)


@pytest.mark.parametrize("error", ["insufficient_scope", 0, None, ""])
def test_tokens_count_whatever_else_there_is(answer: Answer, error: object) -> None:
    assert read_token(answer({**GOOD, "error": error, "code": 0}), NOW).access_token == Secret("at-1")


def test_an_error_may_have_status_200(answer: Answer) -> None:
    with raises_code(LoginRequired, "sign-in-ended") as caught:
        read_token(answer({"error": "invalid_grant"}), NOW)
    assert "invalid_grant" in str(caught.value)


@pytest.mark.parametrize(
    ("status", "kind", "code"), [(199, ProtocolError, "invalid-response"), (300, TransientError, "request-blocked")]
)
@pytest.mark.parametrize("read", [read_token, read_device, read_revocation, read_device_token])
def test_only_2xx_is_a_success(
    answer: Answer, read: Callable[..., object], *, status: int, kind: type[FreshkeyError], code: str
) -> None:
    with raises_code(kind, code) as caught:
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
        assert re.fullmatch("[!-~]*", read.access_token.reveal())
        assert read.access_token or read.refresh_token or read.unusable()
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
    body = secret.encode() if place == "raw" else json.dumps({"refresh_token": [secret], **facts}).encode()
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
        (400, b"", IntermediaryAnswer, "answered-in-between"),
        (200, b"<html>log in</html>", IntermediaryAnswer, "answered-in-between"),
        (400, b'{"error": "invalid_grant"}', ProviderRefused, "revocation-refused"),
        (400, b'{"error": "unsupported_token_type"}', ProviderRefused, "request-refused"),
        (401, b'{"error": "invalid_client"}', ProviderRefused, "request-refused"),
        (404, b"<html>", TransientError, "request-blocked"),
        (302, b"", TransientError, "request-blocked"),
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
        {"user_code": "A" * 33},
        {"user_code": "call 555 and read the number"},
        {"user_code": "call-555-and-read-the-number"},
        {"user_code": "CALL 5551 23"},
        {"user_code": "example.com"},
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


@pytest.mark.parametrize("code", ["AUTHORIZATION_PENDING", "AuthorizationPendingException", "authorization-pending"])
def test_codes_of_polls_are_read_in_any_style(answer: Answer, code: str) -> None:
    assert read_device_token(answer({"error": code}, 400), NOW) is Poll.PENDING


def test_a_device_token(answer: Answer) -> None:
    assert read_device_token(answer(GOOD), NOW) == TokenAnswer(access_token=Secret("at-1"), expires_in=3600.0)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("access_denied", "sign-in-not-completed"),
        ("AccessDeniedException", "sign-in-not-completed"),
        ("authorization_declined", "sign-in-not-completed"),
        ("expired_token", "device-code-expired"),
        ("ExpiredTokenException", "device-code-expired"),
        ("user_denied", "sign-in-not-completed"),
        ("consent_declined", "sign-in-not-completed"),
        ("authorization_cancelled", "sign-in-not-completed"),
        ("user_cancel", "sign-in-not-completed"),
        ("code_expired", "device-code-expired"),
        ("device-code-expired", "device-code-expired"),
        ("invalid_grant", "sign-in-ended"),
    ],
)
def test_errors_that_end_a_device_sign_in(answer: Answer, error: str, code: str) -> None:
    with raises_code(LoginRequired, code) as caught:
        read_device_token(answer({"error": error}, 400), NOW)
    assert error in str(caught.value)
    assert caught.value.hint is not None


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (418, b"", "sign-in-not-completed"),  # Trakt, like the next one
        (410, b"", "device-code-expired"),
        (400, {"status": 400, "message": "invalid device code"}, "device-code-expired"),  # Twitch
        (400, {"error": {"message": "User declined", "type": "OAuthException"}}, "sign-in-not-completed"),  # Facebook
        (400, {"error": "invalid_request", "error_description": "Unknown device_code"}, "device-code-expired"),
        (400, {"error": "invalid_request", "message": "The device code was canceled"}, "device-code-expired"),
        (400, {"error": "invalid_grant", "error_description": "The device code has expired."}, "device-code-expired"),
        (403, {"error": "user_denied"}, "sign-in-not-completed"),
        (400, [{"error": "authorization_declined"}], "sign-in-not-completed"),
        (400, {"error": "incorrect_device_code"}, "device-code-expired"),  # GitHub
    ],
)
def test_vendors_words_that_end_a_device_sign_in(answer: Answer, status: int, body: object, code: str) -> None:
    with raises_code(LoginRequired, code):
        read_device_token(answer(body, status), NOW)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (410, b"<html>gone</html>"),
        (410, {"message": "This page is gone"}),
        (418, b"<html>denied</html>"),
        (403, {"message": "Access denied by policy"}),
        (403, {"error": "permission_denied"}),
        (404, b""),
        (407, {"error": "access_denied"}),
        (429, {"error": "access_denied"}),
        (400, {"message": "Your session has expired"}),
        (400, {"message": "Device code not found in the request body"}),
    ],
)
def test_what_may_be_said_in_between_does_not_end_a_device_sign_in(answer: Answer, status: int, body: object) -> None:
    with pytest.raises((TransientError, IntermediaryAnswer)):
        read_device_token(answer(body, status), NOW)


@pytest.mark.parametrize(
    "body",
    [
        {"error": "invalid_client", "error_description": "The device code has expired for this client"},
        {"error": "client_secret_expired"},
        {"error": "unauthorized_client", "error_description": "Device code flow is disabled"},
        {"error": "invalid_request", "error_description": "grant_type device_code is invalid"},
        {"error": "invalid_request", "error_description": "Access denied"},
    ],
)
def test_what_a_new_device_code_does_not_change_is_a_refusal(answer: Answer, body: object) -> None:
    with raises_code(ProviderRefused, "request-refused"):
        read_device_token(answer(body, 400), NOW)


def test_a_poll_may_be_answered_in_a_description(answer: Answer) -> None:  # Twitch
    assert read_device_token(answer({"status": 400, "message": "authorization_pending"}, 400), NOW) is Poll.PENDING


@pytest.mark.parametrize(
    ("status", "body", "poll"),
    [
        (400, {"error": "Bad Request", "message": "authorization_pending"}, Poll.PENDING),
        (400, {"error": True, "message": "slow_down"}, Poll.SLOW_DOWN),
        (400, {"error": "invalid_request", "error_description": "authorization_pending"}, Poll.PENDING),
        (200, {"error": "authorization_pending", "access_token": ""}, Poll.PENDING),
    ],
)
def test_a_code_that_says_nothing_does_not_hide_the_poll(answer: Answer, status: int, body: object, poll: Poll) -> None:
    assert read_device_token(answer(body, status), NOW) is poll


@pytest.mark.parametrize("member", ["message", "error_description", "error"])
@pytest.mark.parametrize("word", ["authorization_pending", "slow down"])
def test_granted_tokens_are_never_a_poll(answer: Answer, member: str, word: str) -> None:
    answered = read_device_token(answer({"access_token": "a", member: word}), NOW)

    assert isinstance(answered, TokenAnswer)
    assert answered.access_token == Secret("a")


@pytest.mark.parametrize(
    ("error", "kind"),
    [("expired_token", LoginRequired), ("access_denied", LoginRequired), ("invalid_client", ProviderRefused)],
)
def test_a_description_is_no_poll_beside_an_error_code(answer: Answer, error: str, kind: type[FreshkeyError]) -> None:
    with pytest.raises(kind):
        read_device_token(answer({"error": error, "message": "slow down"}, 400), NOW)


@pytest.mark.parametrize("status", [500, 503])
def test_5xx_is_transient_and_not_pending(answer: Answer, status: int) -> None:
    with raises_code(TransientError, "server-unavailable"):
        read_device_token(answer({"error": "authorization_pending"}, status), NOW)
