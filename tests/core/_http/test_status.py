"""How responses of APIs that are not OAuth are sorted."""

from __future__ import annotations

import pytest

from freshkey.errors import FreshkeyError, IntermediaryAnswer, LoginRequired, ProviderRefused, TransientError
from freshkey.model.exchange import Request, Response
from freshkey.plugin import raise_for_status
from freshkey_testing import ManualClock
from raises_code import raises_code


REQUEST = Request(method="GET", url="https://api.example.com/keys?key=canary")
PAGE = b"<!doctype html><title>canary</title>"
JSON = b'{"error": "canary"}'


def response(status: int, body: bytes = JSON, **headers: str) -> Response:
    return Response(
        status=status, headers={name.replace("_", "-"): value for name, value in headers.items()}, body=body
    )


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_success(status: int) -> None:
    raise_for_status(REQUEST, response(status))
    raise_for_status(REQUEST, response(status, b""))


SORTED: list[tuple[int, bytes, type[FreshkeyError], str]] = [
    *((status, JSON, TransientError, "temporarily-unavailable") for status in (408, 425, 429, 500, 502, 503, 599)),
    *((status, PAGE, TransientError, "temporarily-unavailable") for status in (429, 502)),
    *((status, JSON, IntermediaryAnswer, "answered-in-between") for status in (407, 511)),
    *((status, PAGE, IntermediaryAnswer, "answered-in-between") for status in (200, 401, 403, 404)),
    (401, JSON, LoginRequired, "sign-in-required"),
    *((status, JSON, ProviderRefused, "provider-refused") for status in (400, 402, 403, 404, 409, 422, 451)),
]


@pytest.mark.parametrize(("status", "body", "kind", "code"), SORTED)
def test_others(status: int, body: bytes, kind: type[FreshkeyError], code: str) -> None:
    with raises_code(kind, code) as caught:
        raise_for_status(REQUEST, response(status, body))
    assert type(caught.value) is kind
    assert "api.example.com" in str(caught.value)
    assert str(status) in str(caught.value)
    assert "canary" not in f"{caught.value} {caught.value.hint}"


def test_the_author_says_what_the_user_can_resolve() -> None:
    with pytest.raises(LoginRequired) as caught:
        raise_for_status(REQUEST, response(403), login_required=(401, 403), hint="Set EXAMPLE_KEY")
    assert caught.value.hint == "Set EXAMPLE_KEY"
    with pytest.raises(LoginRequired) as caught:
        raise_for_status(REQUEST, response(401))
    assert caught.value.hint is None, "the core names the next step"
    with pytest.raises(ProviderRefused):
        raise_for_status(REQUEST, response(401), login_required=())


def test_how_long_to_wait() -> None:
    with pytest.raises(TransientError) as caught:
        raise_for_status(REQUEST, response(429, retry_after="7"))
    assert caught.value.retry_after == 7
    with pytest.raises(TransientError) as caught:
        raise_for_status(REQUEST, response(503, retry_after="Thu, 01 Jan 2026 00:00:30 GMT"), clock=ManualClock())
    assert caught.value.retry_after == 30


@pytest.mark.parametrize(
    ("status", "wait", "message"),
    [
        (
            429,
            {"retry_after": "30"},
            "api.example.com is limiting the rate of requests (status 429), and asks to wait 30 s",
        ),
        (429, {}, "api.example.com is limiting the rate of requests (status 429)"),
        (
            503,
            {"retry_after": "600"},
            "api.example.com is temporarily unavailable (status 503), and asks to wait 10 min",
        ),
        (503, {"retry_after": "0"}, "api.example.com is temporarily unavailable (status 503)"),
    ],
)
def test_limit_is_called_that_and_how_long_it_lasts(status: int, wait: dict[str, str], message: str) -> None:
    with pytest.raises(TransientError) as caught:
        raise_for_status(REQUEST, response(status, JSON, **wait))
    assert caught.value.message == message


def test_pages() -> None:
    with pytest.raises(IntermediaryAnswer):
        raise_for_status(REQUEST, response(200, b"hello", content_type="text/html; charset=utf-8"))
    raise_for_status(REQUEST, response(200, PAGE, content_type="text/html"), pages=True)
    with pytest.raises(ProviderRefused):
        raise_for_status(REQUEST, response(404, PAGE), pages=True)
