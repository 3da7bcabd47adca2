"""The JSON object in a response is read in any reading that is safe, because a token was spent for it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshkey._http.messages import Response
from freshkey.oauth import read_members, read_token
from freshkey.oauth.response_body import is_cut_off, is_page
from freshkey.secret import Secret
from promises import proves


GOOD = {"access_token": "at-1", "refresh_token": "rt-1", "token_type": "Bearer", "expires_in": 3600}
PLAIN = json.dumps(GOOD).encode()
TEXT = PLAIN.decode()


def response(body: bytes, **headers: str) -> Response:
    return Response(status=200, headers={name.replace("_", "-"): value for name, value in headers.items()}, body=body)


@proves("FAULT-40", "NET-6")
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(PLAIN, id="plain"),
        pytest.param(b"\xef\xbb\xbf" + PLAIN, id="byte order mark"),
        *(pytest.param(TEXT.encode(name), id=name) for name in ("utf-16", "utf-16-le", "utf-16-be")),
        *(pytest.param(TEXT.encode(name), id=name) for name in ("utf-32", "utf-32-le", "utf-32-be")),
        pytest.param(b"\xfe\xff" + TEXT.encode("utf-16-be"), id="utf-16-be with a mark"),
        pytest.param(PLAIN[:-1] + b', "name": "\xe9"}', id="latin-1"),
        pytest.param(b" \r\n\t" + PLAIN + b"\r\n", id="spaces"),
        pytest.param(b")]}',\n" + PLAIN, id="a guard"),
        pytest.param(b"while(1);" + PLAIN, id="another guard"),
        pytest.param(b"\nNotice: Undefined index: x in /srv/a.php on line 7\n" + PLAIN, id="a notice of PHP"),
        pytest.param(
            b"<br />\n<b>Warning</b>:  x in <b>/srv/a.php</b> on line <b>7</b><br />\n" + PLAIN, id="a warning of PHP"
        ),
        pytest.param(PLAIN + b"\x00", id="a NUL after it"),
        pytest.param(PLAIN + b"\n<!-- served by 7 -->", id="a comment after it"),
        pytest.param(PLAIN + PLAIN, id="twice"),
        pytest.param(PLAIN[:-1] + b', "token_type": "Bearer"}', id="a member twice"),
        pytest.param(PLAIN[:-1] + b', "account": {"id": 1, "id": 2}}', id="an inner member twice"),
        pytest.param(PLAIN[:-1] + b', "x": [NaN, Infinity, 1e999, ' + b"9" * 500 + b"]}", id="odd numbers"),
        pytest.param(PLAIN[:-1] + b', "x": "a\nb\x00"}', id="control characters"),
        pytest.param(PLAIN[:-1] + b', "x": ' + b"[" * 40 + b"]" * 40 + b"}", id="deep"),
        pytest.param(b"access_token=at-1&refresh_token=rt-1&token_type=bearer&expires_in=3600", id="a form"),
        pytest.param(b"expires_in=3600&access_token=at-1&refresh_token=rt-1", id="a form in another order"),
    ],
)
def test_a_complete_response_is_read_in_any_wrapping(body: bytes) -> None:
    read = read_token(response(body), 0.0)

    assert (read.access_token, read.refresh_token, read.expires_in) == (Secret("at-1"), Secret("rt-1"), 3600.0)


@pytest.mark.parametrize("kind", ["text/html", "text/plain; charset=utf-16", "application/x-www-form-urlencoded", ""])
def test_the_content_type_does_not_matter(kind: str) -> None:
    assert read_members(response(PLAIN, content_type=kind)) == GOOD


def test_of_a_member_that_is_there_twice_the_last_one_counts(caplog: pytest.LogCaptureFixture) -> None:
    members = read_members(response(PLAIN[:-1] + b', "access_token": "at-2"}'))

    assert members == {**GOOD, "access_token": "at-2"}
    assert "twice" in caplog.text
    assert "at-2" not in caplog.text


def test_members_that_are_nested_too_deeply_are_left_out() -> None:
    assert read_members(response(PLAIN[:-1] + b', "x": ' + b"[" * 40 + b"]" * 40 + b"}")) == GOOD


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"null", b"[]", b'"a"', b"7", b"<html>access_token=at-1</html>", b"Signed in", b"a=b&c=d"),
        *(b"Fatal error: x in /a.php " + PLAIN, b"Notice: x " + PLAIN[:-1]),
        *(b'{"access_token": "at-1"', b'{"a":' * 100_000, b"\xff\xfe", b"\x00"),
    ],
)
def test_anything_else_is_no_object(body: bytes) -> None:
    assert read_members(response(body)) is None


@pytest.mark.parametrize(
    ("body", "page", "cut_off"),
    [
        (b"<html>", True, False),
        (b"\xef\xbb\xbf\n<!DOCTYPE html>", True, False),
        ("<html>".encode("utf-16"), True, False),
        (b"<br />\n<b>Warning</b>:  x in <b>/a.php</b> on line <b>7</b><br />\n", True, False),
        (b"", False, False),
        (b"Unauthorized", False, False),
        (PLAIN, False, False),
        (PLAIN[:-5], False, True),
        (b"{", False, True),
        (b"Notice: x\n" + PLAIN[:-5], False, True),
        (TEXT[:-5].encode("utf-16"), False, True),
        (b"[", False, False),
        (b'{ \n"', False, True),
        (b"{window.location='/login'}", False, False),
        (b"{Bad Request}", False, False),
        (b"{ error: 1", False, False),
    ],
)
def test_pages_and_parts_are_told_apart(body: bytes, *, page: bool, cut_off: bool) -> None:
    assert (is_page(response(body)), is_cut_off(response(body))) == (page, cut_off)


@given(st.binary(max_size=200) | st.binary(max_size=100).map(lambda tail: PLAIN[:-1] + tail))
def test_any_body_is_an_object_or_none(body: bytes) -> None:
    members = read_members(response(body))
    assert members is None or all(isinstance(name, str) for name in members)
    assert isinstance(is_page(response(body)), bool)
    assert not (is_cut_off(response(body)) and members)
