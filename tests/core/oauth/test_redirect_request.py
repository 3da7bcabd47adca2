from __future__ import annotations

from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshkey.oauth import pages
from freshkey.oauth.redirect_request import Wanted, ended, judge


WANTED = Wanted("/callback", "127.0.0.1:49152")
HOST = "Host: 127.0.0.1:49152"
LINE = "GET /callback?code=c&state=s HTTP/1.1"


def request(line: str = LINE, *headers: str) -> bytes:
    return "\r\n".join([line, *(headers or (HOST,)), "", ""]).encode("latin-1")


@pytest.mark.parametrize(
    ("line", "headers"),
    [
        (LINE, [HOST]),
        (LINE.replace("1.1", "1.0"), ["host:127.0.0.1:49152"]),
        (LINE, ["HOST: \t127.0.0.1:49152 ", "Accept: */*", "User-Agent: M\xe9"]),
        (LINE, [HOST, "Sec-Fetch-Dest: document", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Site: cross-site"]),
        (LINE, [HOST, "Purpose: navigation", "X-Empty:"]),
    ],
)
def test_a_navigation_to_the_redirect_uri(line: str, headers: list[str]) -> None:
    assert judge(request(line, *headers), WANTED) == "code=c&state=s"


def test_a_navigation_without_a_query() -> None:
    assert judge(request("GET /callback HTTP/1.1"), WANTED) == ""


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("HEAD /callback?code=c HTTP/1.1", 405),
        ("POST /callback?code=c HTTP/1.1", 405),
        ("OPTIONS /callback HTTP/1.1", 405),
        ("get /callback HTTP/1.1", 405),
        ("GET /favicon.ico HTTP/1.1", 404),
        ("GET / HTTP/1.1", 404),
        ("GET /callback/ HTTP/1.1", 404),
        ("GET //callback HTTP/1.1", 404),
        ("GET /callback/../callback HTTP/1.1", 404),
        ("GET /%63allback HTTP/1.1", 404),
        ("GET /CALLBACK HTTP/1.1", 404),
        ("GET /callback;a=1?code=c HTTP/1.1", 404),
        ("GET http://127.0.0.1:49152/callback?code=c HTTP/1.1", 400),
        ("GET callback HTTP/1.1", 400),
        ("GET * HTTP/1.1", 400),
        ("GET  /callback HTTP/1.1", 400),
        ("GET /callback?a b HTTP/1.1", 400),
        ("GET /callback?\xe9 HTTP/1.1", 400),
        ("GET /callback", 400),
        ("", 400),
        ("GET /callback?code=c HTTP/2.0", 505),
        ("GET /callback?code=c HTTP/1.12", 505),
        ("GET /callback?code=c http/1.1", 505),
        ("GET /" + "a" * 100_000 + " HTTP/1.1", 414),
        ("PRI * HTTP/2.0", 400),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    ],
)
def test_other_request_lines_are_rejected(line: str, status: int) -> None:  # FLO-5, FAULT-53
    assert judge(request(line), WANTED) is HTTPStatus(status)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (["Accept: */*"], 400),
        ([HOST, HOST], 400),
        ([HOST, "Host: evil.example"], 400),
        (["Host: evil.example"], 421),
        (["Host: localhost:49152"], 421),
        (["Host: 127.0.0.1"], 421),
        (["Host: 127.0.0.1:49153"], 421),
        (["Host: 127.0.0.1:49152.evil.example"], 421),
        (["Host: 127.0.0.1:49152, evil.example"], 421),
        (["Host:"], 421),
        ([HOST, "Sec-Purpose: prefetch"], 403),
        ([HOST, "Sec-Purpose: prefetch;prerender"], 403),
        ([HOST, "Purpose: prefetch"], 403),
        ([HOST, "X-Moz: Prefetch"], 403),
        ([HOST, "Sec-Fetch-Dest: image"], 403),
        ([HOST, "Sec-Fetch-Dest: iframe"], 403),
        ([HOST, "sec-fetch-dest: empty"], 403),
        ([HOST, "Sec-Fetch-Dest: document", "Sec-Fetch-Dest: script"], 403),
        ([HOST, " folded: yes"], 400),
        ([HOST, "no colon"], 400),
        ([HOST, "na me: x"], 400),
        ([HOST, "Name : x"], 400),
        ([HOST, "Bare: carriage\rreturn"], 400),
        ([HOST, "Bare: line\nfeed"], 400),
        ([HOST, "Nul: \x00"], 400),
        ([HOST, "A: " + "a" * 40_000], 431),
        ([HOST, *("A: " + "a" * 1000 for _ in range(40))], 431),
    ],
)
def test_other_headers_are_rejected(headers: list[str], status: int) -> None:  # FLO-5, FAULT-53
    assert judge(request(LINE, *headers), WANTED) is HTTPStatus(status)


def test_the_limits_are_8_and_32_kib() -> None:
    line = "GET /callback?" + "a" * (8192 - 23) + " HTTP/1.1"
    filler = "A: " + "a" * (32768 - len(HOST) - 5)

    assert judge(request(line), WANTED) == "a" * (8192 - 23)
    assert judge(request(line.replace("?", "?a")), WANTED) is HTTPStatus.REQUEST_URI_TOO_LONG
    assert judge(request(LINE, HOST, filler), WANTED) == "code=c&state=s"
    assert judge(request(LINE, HOST, filler + "a"), WANTED) is HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE


@pytest.mark.parametrize(
    ("received", "expected"),
    [
        (b"", False),
        (b"GET /callback HTTP/1.1\r\n", False),
        (request()[:-1], False),
        (request(), True),
        (request() + b"body", True),
        (b"A" * 8192, False),
        (b"A" * 8193, True),
        (b"A\r\n" + b"B" * 32769, True),
    ],
)
def test_reading_stops_at_the_end_of_the_headers_or_at_the_limits(received: bytes, expected: bool) -> None:
    assert ended(received) is expected


def test_an_incomplete_request_is_rejected() -> None:
    assert judge(request()[:-1], WANTED) is HTTPStatus.BAD_REQUEST


@given(
    received=st.binary(max_size=300)
    | st.lists(
        st.sampled_from(
            [b"GET", b" ", b"/callback", b"?code=c", b"HTTP/1.1", b"\r\n", b"\n", HOST.encode(), b": ", b"\x00"]
        )
    ).map(b"".join)
)
def test_any_request_gives_a_query_or_an_existing_page(received: bytes) -> None:
    verdict = judge(received, WANTED)

    if isinstance(verdict, HTTPStatus):
        assert pages.REJECTED[verdict].startswith(f"HTTP/1.1 {verdict.value} ".encode())
    else:
        assert received.startswith(b"GET /callback")
        assert HOST.encode() in received


def test_many_spaces_do_not_cause_backtracking() -> None:  # a backtracking pattern would take minutes here
    assert judge(request(LINE, HOST, "A:" + " " * 32_000 + "\x00"), WANTED) is HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize("page", [pages.RECEIVED, pages.DECLINED, *pages.REJECTED.values(), *pages.UNPROVEN.values()])
def test_every_page_has_safe_headers_and_no_script(page: bytes) -> None:  # FLO-6
    head, _, body = page.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode("ascii").split("\r\n")[1:])

    assert headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert headers["Content-Security-Policy"].endswith("; frame-ancestors 'none'")
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Connection"] == "close"
    assert headers["Content-Length"] == str(len(body))
    assert b"<script" not in body
    assert b"http" not in body


def test_only_405_has_an_allow_header() -> None:
    assert b"\r\nAllow: GET\r\n" in pages.REJECTED[HTTPStatus.METHOD_NOT_ALLOWED]
    assert b"Allow" not in pages.REJECTED[HTTPStatus.NOT_FOUND]
