from __future__ import annotations

from collections.abc import Callable

import pytest

from freshkey.errors import (
    FreshkeyError,
    IntermediaryAnswer,
    LoginRequired,
    ProtocolError,
    ProviderRefused,
    TransientError,
)
from freshkey.model.exchange import Response
from freshkey.oauth import Refusal, read_refusal, refusal_error, retryable
from freshkey.oauth.error_response import read_words
from promises import proves


Answer = Callable[..., Response]
NOW = 1_767_225_600.0
CODES = {
    LoginRequired: {"sign-in-ended"},
    ProviderRefused: {"request-refused"},
    TransientError: {"server-unavailable", "request-blocked"},
    ProtocolError: {"invalid-response"},
    IntermediaryAnswer: {"answered-in-between"},
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
        (401, {"type": "error", "error": {"type": "authentication_error"}}, ProviderRefused),
        (400, {"error": {"type": "invalid_grant"}}, LoginRequired),
        (400, {"error": {"code": 7}}, ProviderRefused),
        (400, {"error": {"message": "no"}}, ProviderRefused),
        (400, {"error": ["no"]}, ProviderRefused),
        (400, {"error": True}, ProviderRefused),
        (403, {"error": "access_denied"}, LoginRequired),
        (401, {"error": "Unauthorized", "message": "Invalid refresh token"}, LoginRequired),
        (400, {"error": "Bad Request", "status": 400, "message": "Invalid refresh token"}, LoginRequired),
        (400, {"error": "Bad Request", "code": "invalid_client"}, ProviderRefused),
        (400, {"error": "Too Many Requests"}, TransientError),
        (403, {"error": "unauthorized_client"}, ProviderRefused),
        (404, {"error": "invalid_client"}, ProviderRefused),
        (422, {"error": {"code": "invalid_request"}}, ProviderRefused),
        (403, {"error": "invalid_grant"}, LoginRequired),
        (403, {"error": "REFRESH_TOKEN_EXPIRED"}, LoginRequired),
        (409, {"error": "temporarily_unavailable"}, TransientError),
        (200, {"error": "incorrect_client_credentials"}, ProviderRefused),
        (200, {"ok": False, "error": "ratelimited"}, TransientError),
        (400, {"error": {"status": "UNAVAILABLE", "code": 400}}, TransientError),
        (401, {"errorCode": "invalid_client"}, ProviderRefused),
        # its own words, with a status that filters use, too
        (
            403,
            {"error": {"type": "permission_error", "message": "OAuth authentication is currently not allowed"}},
            ProviderRefused,
        ),
        (404, {"Error": {"Type": "no_such_workspace", "Message": "no"}}, ProviderRefused),
        (402, {"error": "payment_required_for_org"}, ProviderRefused),
        (422, {"error": "validation_error"}, ProviderRefused),
        (422, {"error": "unsupported_grant"}, ProviderRefused),
        # FAULT-37, and whatever else did not get through to the token endpoint
        (300, {"error": "invalid_grant"}, TransientError),
        (301, b"", TransientError),
        (307, {"error": "invalid_grant"}, TransientError),
        (403, b"<html>firewall</html>", TransientError),
        (403, {"message": "Forbidden"}, TransientError),
        (403, {"error": "Forbidden", "message": "blocked by policy"}, TransientError),
        (404, {"timestamp": "2026", "status": 404, "error": "Not Found", "path": "/token"}, TransientError),
        (403, {"error": {"code": 403, "message": "blocked"}}, TransientError),
        (404, {"type": "error", "error": {"type": "not_found_error"}}, TransientError),
        (403, {"error": {"type": "permission_error"}}, TransientError),
        (404, {"error": "not_found"}, TransientError),
        (403, {"error": "forbidden"}, TransientError),
        (403, {"error": "url_blocked", "category": "developer tools"}, TransientError),
        (403, {"error": True, "message": "Blocked by policy"}, TransientError),
        (403, {"code": "policy_denied", "message": "Blocked by policy"}, TransientError),
        (403, {"error": "account_suspended"}, TransientError),
        (403, {"error": "org_disabled", "message": "Your organization is disabled"}, TransientError),
        (403, {"error": {"type": "forbidden", "message": "blocked"}}, TransientError),
        (403, {"error": {"message": "blocked"}}, TransientError),
        (404, {"error": {"type": "not_found_error", "message": "no such path"}}, TransientError),
        (451, {"error": "blocked"}, TransientError),
        (402, {"error": "Payment Required"}, TransientError),
        (407, {"error": {"type": "proxy_error", "message": "no"}}, TransientError),
        (418, {"error": "teapot"}, TransientError),
        (404, b"", TransientError),
        (405, b"", TransientError),
        (407, b"<html>", TransientError),
        (407, {"error": "invalid_token"}, TransientError),
        (511, {"error": "login_required"}, TransientError),
        (511, {"error": "invalid_grant"}, TransientError),
        (410, b"", TransientError),
        (451, b"<html>", TransientError),
        (511, b"<html>", TransientError),
        # what something in between may have answered
        (200, b"", IntermediaryAnswer),
        (200, b"<html>", IntermediaryAnswer),
        (200, {"status": "ok"}, IntermediaryAnswer),
        (204, b"", IntermediaryAnswer),
        (400, b"", IntermediaryAnswer),
        (401, b"", IntermediaryAnswer),
        (400, b"<html>", IntermediaryAnswer),
        (400, b"Bad Request", IntermediaryAnswer),
        (400, {"error": None}, IntermediaryAnswer),
        (401, {"code": "UNAUTHORIZED", "message": "no"}, IntermediaryAnswer),
        (401, {"error": "unauthorized"}, IntermediaryAnswer),
        (401, {"error": "UNAUTHORIZED"}, IntermediaryAnswer),
        (400, {"error": "bad_request"}, IntermediaryAnswer),
        (401, {"error": "bad request"}, IntermediaryAnswer),
        (401, {"statusCode": 401, "error": "Unauthorized", "message": "Session expired"}, IntermediaryAnswer),
        (413, {"error": "Payload Too Large"}, TransientError),
        (413, {"error": "Content Too Large"}, TransientError),
        (422, {"error": "Unprocessable Entity"}, TransientError),
        (422, {"error": "Unprocessable Content"}, TransientError),
        (401, {"status": 401, "error": "Forbidden", "message": "Token expired"}, IntermediaryAnswer),
        (400, {"error": "Bad Request"}, IntermediaryAnswer),
        (401, {"error": 401, "message": "Session expired"}, IntermediaryAnswer),
        (400, {"type": "about:blank", "title": "Bad Request", "status": 400}, IntermediaryAnswer),
        # a part of a response
        (200, b'{"error": "inv', ProtocolError),
        (400, b'{"error": "inv', ProtocolError),
        (200, {"error": "invalid_grant"}, LoginRequired),
    ],
)
def test_class_and_code_of_the_error(answer: Answer, status: int, body: object, kind: type[FreshkeyError]) -> None:
    error = refusal_error(answer(body, status), NOW)

    assert type(error) is kind
    assert error.code in CODES[kind]


@proves("FAULT-40", "NET-1")
@pytest.mark.parametrize(
    ("status", "body", "doubtful"),
    [
        (403, {"error": "access_denied", "message": "Request blocked by the web filter"}, True),
        (200, {"error": "login_required", "redirect": "https://portal.example/"}, True),
        (401, {"error": {"code": "AccessDenied"}}, True),
        (400, {"error": "access_denied", "error_description": "The refresh token has been revoked"}, False),
        (401, {"error": "Your session has expired", "redirect": "/login"}, True),
        (400, {"error": "interaction_required"}, False),
        (400, {"error": "invalid_grant"}, False),
    ],
)
def test_words_that_no_token_endpoint_uses_leave_a_doubt(
    answer: Answer, status: int, body: object, *, doubtful: bool
) -> None:
    error = refusal_error(answer(body, status), NOW)

    assert isinstance(error, LoginRequired)
    assert error.doubtful is doubtful
    assert error.final is not doubtful


@proves("FAULT-40", "NET-1")
@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, b"<html>", False),
        (200, b"", False),
        (400, b"<!DOCTYPE html>", False),
        (401, b"\n <?xml version='1.0'?>", False),
        (400, b"\xef\xbb\xbf<html>", False),
        (400, b"", True),
        (401, b"", True),
        (401, b"Unauthorized", True),
        (400, {"message": "no"}, True),
        (400, [], True),
    ],
)
def test_an_answer_without_a_word_may_be_a_refusal(
    answer: Answer, status: int, body: object, *, expected: bool
) -> None:
    error = refusal_error(answer(body, status), NOW)

    assert isinstance(error, IntermediaryAnswer)
    assert error.may_be_refusal is expected
    assert error.hint is not None
    assert "HTTPS_PROXY" in error.hint


@proves("NET-1")
@pytest.mark.parametrize(
    ("status", "local"),
    [(301, True), (403, True), (404, True), (407, True), (511, True), (408, False), (429, False), (500, False)],
)
def test_only_what_did_not_get_through_is_local(answer: Answer, status: int, *, local: bool) -> None:
    error = refusal_error(answer(b"<html>", status), NOW)

    assert isinstance(error, TransientError)
    assert error.local is local


@proves("NET-1")
@pytest.mark.parametrize("body", [{"error": "url_blocked"}, {"error": {"type": "forbidden"}}, {"errors": ["blocked"]}])
def test_the_error_of_a_filter_is_local(answer: Answer, body: object) -> None:
    error = refusal_error(answer(body, 403), NOW)

    assert isinstance(error, TransientError)
    assert (error.code, error.local) == ("request-blocked", True)


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (403, {"error": "account_suspended"}, True),
        (451, {"error": "url_blocked"}, True),
        (403, {"error": "Forbidden"}, False),
        (403, b"<html>", False),
        (407, {"error": "proxy_denied"}, False),
        (302, {"error": "moved_away"}, False),
    ],
)
def test_an_error_of_unknown_origin_is_not_said_to_be_a_filters(
    answer: Answer, status: int, body: object, *, told: bool
) -> None:
    error = refusal_error(answer(body, status), NOW)

    assert error.code == "request-blocked"
    assert ("did not get through" in error.message) is not told
    assert ("or something on the way to it, refused the request" in error.message) is told
    assert ("the provider refuses this account" in str(error.hint)) is told


@pytest.mark.parametrize(("value", "seconds"), [("10", 10.0), ("99999999", 3600.0), ("-5", None), ("soon", None)])
def test_retry_after_is_kept(answer: Answer, value: str, seconds: float | None) -> None:  # NET-3, FAULT-33
    error = refusal_error(answer(b"", 429, {"retry-after": value}), NOW)

    assert isinstance(error, TransientError)
    assert error.retry_after == seconds
    asks = {10.0: ", and asks to wait 10 s", 3600.0: ", and asks to wait 60 min"}.get(seconds or 0.0, "")
    assert error.message == f"the authorization server is limiting the rate of requests: status 429{asks}"


@pytest.mark.parametrize(
    ("status", "code", "limited"),
    [(400, "rate_limit_exceeded", True), (503, "slow_down", True), (500, "server_error", False)],
)
def test_limit_is_called_that_whatever_the_status(answer: Answer, status: int, code: str, limited: bool) -> None:
    error = refusal_error(answer({"error": code}, status), NOW)
    assert ("limiting the rate of requests" in str(error), error.code) == (limited, "server-unavailable")


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
    ],
)
def test_only_error_codes_that_look_like_words_are_shown(answer: Answer, code: object, shown: str) -> None:
    assert str(read_refusal(answer({"error": code}, 400))) == f"{shown} (status 400)"


@pytest.mark.parametrize("body", [b"", b"<html>", {"error": ""}, {"error": None}])
def test_without_an_error_only_the_status_and_request_id_are_shown(answer: Answer, body: object) -> None:
    assert str(read_refusal(answer(body, 400, {"request-id": "req-1"}))) == "status 400, request req-1"


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


def test_where_nothing_is_spent_an_answer_in_between_is_transient() -> None:
    error = retryable(IntermediaryAnswer("a page", hint="Check the network"))

    assert (error.message, error.hint, error.code, error.local) == (
        "a page",
        "Check the network",
        "answered-in-between",
        True,
    )
    assert retryable(error) is error


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"error": {"code": 40310}}, "40310"),
        ({"error": {"code": 0, "type": "some_error"}}, "some_error"),
        ({"error": {"code": {"a": 1}}}, "?"),
        ({"error": {"code": "123", "type": "some_error"}}, "some_error"),
        ({"error": {"code": "zzz", "type": "temporarily_unavailable"}}, "temporarily_unavailable"),
        ({"error": {"code": "temporarily_unavailable", "type": "invalid_refresh_token"}}, "invalid_refresh_token"),
        ({"error": {"code": "Access-Denied", "type": "zzz"}}, "Access-Denied"),
        ({"type": "rate_limit_error"}, "rate_limit_error"),
        ({"ErrorCode": "temporarily_unavailable"}, "temporarily_unavailable"),
        ({"ERRCODE": "temporarily_unavailable"}, "temporarily_unavailable"),
        ({"status": "Bad Gateway", "message": "no upstream"}, None),
    ],
)
def test_the_code_that_says_most_is_read(answer: Answer, body: object, code: str | None) -> None:
    assert read_refusal(answer(status=400, body=body)).code == code


def test_every_error_of_a_list_is_read(answer: Answer) -> None:
    errors = [{"errorType": "other"}, {"errorType": "request", "message": "The refresh token is invalid"}]
    assert read_refusal(answer(status=400, body={"errors": errors})).ended


@pytest.mark.parametrize("status", [200, 403, 511])
def test_hint_of_what_did_not_come_from_the_server_is_about_the_network(answer: Answer, status: int) -> None:
    assert str(refusal_error(answer(status=status, body=b"<html>"), NOW).hint).startswith("Check whether the network")


@pytest.mark.parametrize("more", [{}, {"code": "url_blocked"}])
@pytest.mark.parametrize("words", ["forbidden", "Forbidden", "403"])
def test_an_object_that_only_repeats_the_status_is_not_the_servers_error(
    answer: Answer, words: str, more: dict[str, str]
) -> None:
    error = refusal_error(answer({"error": {"type": words, "message": "No", **more}}, 403), NOW)
    assert (type(error), error.code) == (TransientError, "request-blocked")


@pytest.mark.parametrize("words", [("something", "token_inactive"), ("token_inactive", "something")])
def test_of_several_codes_the_one_for_a_dead_token_is_named(answer: Answer, words: tuple[str, str]) -> None:
    refusal = read_refusal(answer({"error": {"code": words[0], "type": words[1]}}, 400))
    assert (refusal.code, refusal.ended) == ("token_inactive", True)


@pytest.mark.parametrize(
    ("body", "codes", "texts"),
    [
        ({"error": "slow_down", "error_description": "wait"}, ["slow_down"], {"wait", "slow_down", ""}),
        ({"error": {"code": "x", "message": "wait"}}, ["x"], {"wait", ""}),
        ({"error": [{"x": 1}]}, [], {""}),
        (b"slow down", [], {"slow down"}),
    ],
)
def test_codes_and_texts_are_read_in_any_shape(answer: Answer, body: object, codes: list[str], texts: set[str]) -> None:
    assert (read_words(answer(body, 400))[0], set(read_words(answer(body, 400))[1])) == (codes, texts)


@pytest.mark.parametrize(
    ("code", "about"),
    [
        ("invalid_scope", "offline_access"),
        ("invalid_target", "the resource and the audience"),
        ("invalid_request", "the client ID, the scopes and the endpoints"),
    ],
)
def test_hint_is_about_what_the_server_did_not_take(answer: Answer, code: str, about: str) -> None:
    error = refusal_error(answer({"error": code}, 400), NOW)

    assert isinstance(error, ProviderRefused)
    assert about in (error.hint or "")
