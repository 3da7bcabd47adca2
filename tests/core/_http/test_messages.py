"""Requests and responses hide their secrets, and only safe URLs and headers are accepted."""

from __future__ import annotations

import datetime as dt
import json
import string
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshkey._http.messages import form, json_body, retry_after
from freshkey._http.url import checked_url
from freshkey.errors import ConfigurationError
from freshkey.model.exchange import Request, Response
from promises import proves
from raises_code import raises_code


CANARY = "canary-5f1d0c9a7e"


def test_repr_of_requests_and_responses_hides_secrets() -> None:
    request = form("https://a.example/", {"code": CANARY}, {"Authorization": CANARY})
    response = Response(status=200, headers={"set-cookie": CANARY}, body=CANARY.encode())
    assert CANARY not in repr(request) + repr(response)


@pytest.mark.parametrize("headers", [{"X": f"{CANARY}\r\nY: 1"}, {"X": "ü"}, {"X Y": "1"}, {"X": " padded"}, {"": ""}])
def test_an_invalid_header_is_refused_without_quoting_its_value(headers: dict[str, str]) -> None:
    with raises_code(ConfigurationError, "invalid-header") as caught:
        Request(method="GET", url="https://a.example/", headers=headers)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["https://a.example", "https://a.example:8443/x?y=%20", "HTTPS://A.example/", "https://[2001:db8::1]/"]
)
def test_urls_that_secrets_may_be_sent_to(url: str) -> None:
    assert checked_url(url) == url


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "[::1]:8080", "localhost:8080", "localhost"])
def test_plain_http_to_loopback_must_be_allowed_explicitly(host: str) -> None:  # NET-5
    url = f"http://{host}/token"
    assert checked_url(url, allow_insecure_loopback=True) == url
    with raises_code(ConfigurationError, "invalid-url") as caught:
        checked_url(url)
    assert "does not use https" in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://a.example/",
        "http://127.0.0.1.a.example/",
        "http://localhost@a.example/",
        "https://user:pw@a.example/",
        "https://@a.example/",
        "https://a.example/#fragment",
        "https://a.example/ x",
        "https://a.example\\@b.example/",
        "https://a.example/\r\nX: y",
        "https://ä.example/",
        "https://a.example:port/",
        "https://a.example:99999/",
        "https://[::1/",
        "https://",
        "https:a.example",
        "//a.example/",
        "ftp://a.example/",
        "",
        "https://a.example/" + "x" * 9000,
    ],
)
def test_urls_that_secrets_must_not_be_sent_to(url: str) -> None:
    with raises_code(ConfigurationError, "invalid-url"):
        checked_url(url, allow_insecure_loopback=True)


def test_an_unsafe_url_is_not_quoted_but_its_setting_is_named() -> None:
    with raises_code(ConfigurationError, "invalid-url") as caught:
        checked_url(f"https://user:{CANARY}@a.example/", setting="token_url")
    assert CANARY not in str(caught.value)
    assert "token_url" in str(caught.value)


def test_bodies_match_their_content_type() -> None:
    encoded = form("https://a.example/", {"a b": "c&d=é"}, {"X-More": "1"})
    assert encoded.body == b"a+b=c%26d%3D%C3%A9"
    assert encoded.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert encoded.headers["X-More"] == "1"
    spelled = json_body("https://a.example/", {"a": ["é"]})
    assert json.loads(spelled.body) == {"a": ["é"]}
    assert (spelled.method, spelled.headers["Content-Type"]) == ("POST", "application/json")


NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)


@proves("FAULT-33", "NET-3")
@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        ("99999", 3600.0),
        ("9" * 5000, None),
        (format_datetime(NOON + dt.timedelta(seconds=30), usegmt=True), 30.0),
        (format_datetime(NOON - dt.timedelta(days=1), usegmt=True), 0.0),
        ("Thu, 01 Jan 2026 12:00:30 -0000", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("", None),
    ],
)
def test_retry_after_is_parsed_or_ignored(value: str, seconds: float | None) -> None:  # NET-3
    assert retry_after({"retry-after": value}, NOON.timestamp()) == seconds


def http_date(seconds: float) -> str:
    return format_datetime(NOON + dt.timedelta(seconds=seconds), usegmt=True)


@proves("FAULT-33", "NET-3")
@pytest.mark.parametrize("ahead", [-90_000, -3600, 0, 3600, 90_000])
@pytest.mark.parametrize(("wait", "seconds"), [(5, 5.0), (-5, 0.0), (7200, 3600.0)])
def test_a_date_to_retry_at_is_compared_with_the_clock_that_wrote_it(ahead: int, wait: int, seconds: float) -> None:
    headers = {"date": http_date(ahead), "retry-after": http_date(ahead + wait)}
    assert retry_after(headers, NOON.timestamp()) == seconds


@pytest.mark.parametrize("date", ["soon", "", "Thu, 01 Jan 2026 13:00:00 -0000"])
def test_an_unreadable_date_of_the_response_counts_as_missing(date: str) -> None:
    assert retry_after({"date": date, "retry-after": http_date(5)}, NOON.timestamp()) == 5.0


def test_seconds_to_wait_do_not_depend_on_the_date() -> None:
    assert retry_after({"date": http_date(3600), "retry-after": "5"}, NOON.timestamp()) == 5.0


@given(st.text(string.printable + "٣é", max_size=40))
def test_any_retry_after_is_none_or_at_most_an_hour(value: str) -> None:
    seconds = retry_after({"retry-after": value}, NOON.timestamp())
    assert seconds is None or 0 <= seconds <= 3600


def test_a_missing_retry_after_is_none() -> None:
    assert retry_after({}, 0) is None
