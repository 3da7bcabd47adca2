from __future__ import annotations

from collections.abc import Callable

import pytest

from freshkey._http.messages import Response
from freshkey.errors import FreshkeyError, LoginRequired, ProtocolError, ProviderRefused, TransientError
from freshkey.oauth import Refusal, read_refusal, refusal_error


Answer = Callable[..., Response]
NOW = 1_767_225_600.0
CODES = {
    LoginRequired: "sign-in-ended",
    ProviderRefused: "request-refused",
    TransientError: "server-unavailable",
    ProtocolError: "invalid-response",
}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        # NET-1, FAULT-30, FAULT-31, FAULT-32
        (400, {"error": "invalid_grant"}, LoginRequired),
        (400, {"error": "invalid_grant", "error_description": "Refresh token expired"}, LoginRequired),
        (401, {"error": "invalid_client"}, ProviderRefused),
        (400, {"error": "unauthorized_client"}, ProviderRefused),
        (400, {"error": "unsupported_grant_type"}, ProviderRefused),
        (400, {"error": "invalid_scope"}, ProviderRefused),
        (400, {"error": "invalid_request"}, ProviderRefused),
        (400, {"error": "oauth_request_parse_error"}, ProviderRefused),
        (400, {"error": "something_new"}, ProviderRefused),
        (408, b"", TransientError),
        (429, b"", TransientError),
        (500, b"", TransientError),
        (502, b"<html>", TransientError),
        (503, {"error": "invalid_grant"}, TransientError),
        (504, b"", TransientError),
        (529, {"error": {"type": "overloaded_error"}}, TransientError),
        (400, {"error": "temporarily_unavailable"}, TransientError),
        (400, {"error": "slow_down"}, TransientError),
        # servers whose `error` is an object
        (429, {"error": {"type": "rate_limit_error", "message": "Rate limited"}}, TransientError),
        (400, {"error": {"type": "rate_limit_error"}}, TransientError),
        (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "no"}}, ProviderRefused),
        (404, {"type": "error", "error": {"type": "not_found_error"}}, ProviderRefused),
        (401, {"type": "error", "error": {"type": "authentication_error"}}, ProviderRefused),
        (400, {"error": {"type": "invalid_grant"}}, LoginRequired),
        # a 4xx without an error code
        (400, b"", LoginRequired),
        (401, b"", LoginRequired),
        (400, b"Bad Request", LoginRequired),
        (400, {"error": None}, LoginRequired),
        (400, {"error": {"code": 7}}, LoginRequired),
        (403, b"<html>firewall</html>", ProviderRefused),
        (404, b"", ProviderRefused),
        (410, b"", ProviderRefused),
        # FAULT-37, and responses that are neither a success nor an error
        (300, {"error": "invalid_grant"}, ProtocolError),
        (301, b"", ProtocolError),
        (307, {"error": "invalid_grant"}, ProtocolError),
        (200, b"", ProtocolError),
        (204, b"", ProtocolError),
        (200, {"error": "invalid_grant"}, LoginRequired),
    ],
)
def test_class_and_code_of_the_error(answer: Answer, status: int, body: object, kind: type[FreshkeyError]) -> None:
    error = refusal_error(answer(body, status), NOW)

    assert type(error) is kind
    assert error.code == CODES[kind]


@pytest.mark.parametrize(("value", "seconds"), [("10", 10.0), ("99999999", 3600.0), ("-5", None), ("soon", None)])
def test_retry_after_is_kept(answer: Answer, value: str, seconds: float | None) -> None:  # NET-3, FAULT-33
    error = refusal_error(answer(b"", 429, {"retry-after": value}), NOW)

    assert isinstance(error, TransientError)
    assert error.retry_after == seconds
    assert "429" in str(error)


def test_a_retry_after_date_is_relative_to_the_given_time(answer: Answer) -> None:
    error = refusal_error(answer(b"", 503, {"retry-after": "Thu, 01 Jan 2026 00:01:40 GMT"}), NOW)

    assert isinstance(error, TransientError)
    assert error.retry_after == 100


def test_only_error_code_status_and_request_id_are_shown(answer: Answer) -> None:  # NET-8
    body = {"error": "invalid_grant", "error_description": "token rt-canary is spent", "error_uri": "https://canary"}

    error = refusal_error(answer(body, 400, {"request-id": "req_011CQ", "set-cookie": "canary"}), NOW)

    assert "invalid_grant (status 400, request req_011CQ)" in str(error)
    assert "canary" not in str(error)


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("invalid_grant", "invalid_grant"),
        ("InvalidGrantException", "InvalidGrantException"),
        ("invalid\r\n_grant\x1b", "invalid_grant"),
        ("rt-0123456789", "no readable error code"),
        ("sk-ant-ort01-abc", "no readable error code"),
        ("<script>", "no readable error code"),
        ("é", "no readable error code"),
        (7, "no readable error code"),
        ("", "no readable error code"),
    ],
)
def test_only_error_codes_that_look_like_words_are_shown(answer: Answer, code: object, shown: str) -> None:
    assert str(read_refusal(answer({"error": code}, 400))) == f"{shown} (status 400)"


def test_a_long_error_code_is_cut(answer: Answer) -> None:
    assert read_refusal(answer({"error": "a" * 1000}, 400)).code == "a" * 64


@pytest.mark.parametrize(
    ("headers", "request_id"),
    [
        ({"request-id": "req_1"}, "req_1"),
        ({"x-request-id": "6f1c/2-a:b.c"}, "6f1c/2-a:b.c"),
        ({"request-id": "a", "x-request-id": "b"}, "a"),
        ({"request-id": "a b"}, None),
        ({"request-id": "a" * 65}, None),
        ({"request-id": "\x1b[31m"}, None),
        ({}, None),
    ],
)
def test_request_ids(answer: Answer, headers: dict[str, str], request_id: str | None) -> None:
    assert read_refusal(answer(b"", 400, headers)) == Refusal(400, None, request_id)
