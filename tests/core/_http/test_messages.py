"""What is sent and received hides its secrets, and only safe addresses and headers can be sent."""

from __future__ import annotations

import datetime as dt
import json
import string
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshkey._http.messages import Request, Response, form, json_body, retry_after
from freshkey._http.url import checked_url
from freshkey.errors import ConfigurationError
from matrix import row


CANARY = "canary-5f1d0c9a7e"


def test_requests_and_responses_hide_what_may_be_secret() -> None:
    request = form("https://a.example/", {"code": CANARY}, {"Authorization": CANARY})
    response = Response(status=200, headers={"set-cookie": CANARY}, body=CANARY.encode())
    assert CANARY not in repr(request) + repr(response)


@pytest.mark.parametrize("headers", [{"X": f"{CANARY}\r\nY: 1"}, {"X": "ü"}, {"X Y": "1"}, {"X": " padded"}, {"": ""}])
def test_a_header_that_could_split_is_refused_without_its_value(headers: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="header") as caught:
        Request(method="GET", url="https://a.example/", headers=headers)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["https://a.example", "https://a.example:8443/x?y=%20", "HTTPS://A.example/", "https://[2001:db8::1]/"]
)
def test_urls_that_secrets_may_go_to(url: str) -> None:
    assert checked_url(url) == url


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "[::1]:8080", "localhost:8080", "localhost"])
def test_plain_http_is_for_loopback_and_only_on_request(host: str) -> None:  # NET-5
    url = f"http://{host}/token"
    assert checked_url(url, allow_insecure_loopback=True) == url
    with pytest.raises(ConfigurationError, match="https"):
        checked_url(url)


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
def test_urls_that_secrets_may_not_go_to(url: str) -> None:
    with pytest.raises(ConfigurationError, match="address"):
        checked_url(url, allow_insecure_loopback=True)


def test_a_refused_url_is_not_quoted() -> None:
    with pytest.raises(ConfigurationError) as caught:
        checked_url(f"https://user:{CANARY}@a.example/")
    assert CANARY not in str(caught.value)


def test_bodies_are_encoded_as_their_content_type_says() -> None:
    encoded = form("https://a.example/", {"a b": "c&d=é"}, {"X-More": "1"})
    assert encoded.body == b"a+b=c%26d%3D%C3%A9"
    assert encoded.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert encoded.headers["X-More"] == "1"
    spelled = json_body("https://a.example/", {"a": ["é"]})
    assert json.loads(spelled.body) == {"a": ["é"]}
    assert (spelled.method, spelled.headers["Content-Type"]) == ("POST", "application/json")


NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)


@row(33, "NET-3")
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
def test_retry_after_is_read_or_ignored(value: str, seconds: float | None) -> None:  # NET-3
    assert retry_after({"retry-after": value}, NOON.timestamp()) == seconds


@given(st.text(string.printable + "٣é", max_size=40))
def test_no_retry_after_is_ever_harmful(value: str) -> None:
    seconds = retry_after({"retry-after": value}, NOON.timestamp())
    assert seconds is None or 0 <= seconds <= 3600


def test_a_missing_retry_after_is_none() -> None:
    assert retry_after({}, 0) is None
