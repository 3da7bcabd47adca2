"""The JSON object in a response is read in any reading that is safe, because a token was spent for it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshkey.model.exchange import Response
from freshkey.oauth import read_members, read_token
from freshkey.oauth.response_body import is_cut_off, is_page, plain_text
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
        pytest.param(b"\xef\xbb\xbf" * 2 + PLAIN, id="two byte order marks"),
        pytest.param(b"\r\n\xef\xbb\xbf \n\xef\xbb\xbf" + PLAIN, id="byte order marks between lines"),
        pytest.param(b"\n\xef\xbb\xbf" + PLAIN[:-1] + b', "name": "\xe9"}', id="a line, a mark and latin-1"),
        pytest.param("\ufeff".encode("utf-16") + TEXT.encode("utf-16-le"), id="utf-16 with two marks"),
        pytest.param(b"&&&START&&&" + PLAIN, id="a third guard"),
        pytest.param(b"PHP Warning:  x in {closure}() in /srv/a.php \n" + PLAIN, id="a warning of PHP in text"),
        pytest.param(b"[29-Nov-2026 12:00:00 UTC] PHP Warning:  x\n" + PLAIN, id="a line of PHP's log"),
        pytest.param(b"Notice: x in /a.php\n\nWarning: [y] in /b.php\n" + PLAIN, id="two messages of PHP"),
        pytest.param(b"Fatal error: x in /a.php " + PLAIN, id="a fatal error of PHP"),
        pytest.param(
            b"<br />\n<b>Fatal error</b>:  x in <b>/a.php</b><br />\n" + PLAIN, id="a fatal error of PHP with tags"
        ),
        pytest.param(
            b"<br />\n<b>Warning</b>:  " + b"x" * 5000 + b"<br />\n" + PLAIN, id="a long warning of PHP with tags"
        ),
        pytest.param(b"<!-- 3 ms -->\n<!-- a -->" + PLAIN, id="comments before it"),
        pytest.param(b"<!-- " + b"a" * 5000 + b" -->" + PLAIN, id="a long comment before it"),
        pytest.param(b"3 ms\n" + PLAIN, id="a number before it"),
        pytest.param(b"null" + PLAIN, id="null before it"),
        pytest.param(b"/* 3 ms */ " + PLAIN, id="a comment of a script before it"),
        pytest.param(b"callback(" + PLAIN + b");", id="a call"),
        pytest.param(b"/**/ typeof call.back === 'function' && call.back(" + PLAIN + b");", id="a guarded call"),
        pytest.param(b"throw 1; <don't be evil>" + PLAIN, id="an unknown guard"),
        pytest.param(json.dumps(TEXT).encode(), id="in a string"),
        pytest.param(PLAIN[:-1] + b', "name": "O\\\'Neil"}', id="an escaped apostrophe"),
        pytest.param(PLAIN[:-1] + rb', "path": "C:\users\x41\\", "a": "\u00e9"}', id="invalid escapes"),
        pytest.param(PLAIN.replace(b"3600", b"03600"), id="a leading zero"),
        pytest.param(PLAIN.replace(b"3600", b"+3600"), id="a plus"),
        pytest.param(
            PLAIN[:-1] + b', "a": undefined, "b": [None, True,False], "c": .5}', id="words of other languages"
        ),
        pytest.param(PLAIN[:-1] + b', "a": [-007.50, 1, {"b": 2,},], }', id="commas too many"),
        pytest.param(b"Warning: x\n" + PLAIN[:-1] + rb', "path": "\d",}', id="several things"),
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
        pytest.param(b"scope=a b&access_token=at-1&refresh_token=rt-1&expires_in=3600", id="a form with a space"),
        pytest.param(
            b"\r\n\xef\xbb\xbf access_token=at-1&scope=a b&refresh_token=rt-1&expires_in=3600\n", id="a form in lines"
        ),
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
        *(b"Notice: x " + PLAIN[:-1], b"Fatal error: x " + PLAIN[:-1], b'Saved: {"a": 1} ' + PLAIN),
        *(
            b"<!-- x --><html>" + PLAIN,
            b"<p>" + PLAIN,
            b"<!-- x " + PLAIN,
            b"<br><HTML>" + PLAIN,
            b"{x = " + PLAIN,
            b'x = {"a": ' + PLAIN,
        ),
        *(b"[" + PLAIN, b"[" + PLAIN + b"]", b'["x", ' + PLAIN, b"a < b=&c=" + b"<&access_token=at-1"),
        *(b'{"access_token": "at-1"', b'{"a":' * 100_000, b"\xff\xfe", b"\x00"),
    ],
)
def test_anything_else_is_no_object(body: bytes) -> None:
    assert read_members(response(body)) is None


@pytest.mark.parametrize("body", [b"x05", b"Bad \\token, ]", b'"05"', b"'a'"])
def test_text_is_not_mended(body: bytes) -> None:
    assert plain_text(Response(status=400, headers={}, body=body)) == body.decode().strip('"')


def test_what_is_mended_keeps_what_it_says() -> None:
    body = rb'{"a": "O\'Neil", "b": "C:\users", "c": "\u00e9\\\"\n,] 07", "d": 007, "e": 0.5, "f": -1e-05, "g": None, '
    assert read_members(response(body + rb'"h": "None, +1", "i": True,}')) == {
        "a": "O'Neil",
        "b": r"C:\users",
        "c": 'é\\"\n,] 07',
        "d": "007",
        "e": 0.5,
        "f": -1e-05,
        "g": None,
        "h": "None, +1",
        "i": True,
    }


@pytest.mark.parametrize("before", [b"&&&START&&&", b"call(", b"PHP Warning:  x\n", b"<!-- x -->"])
def test_an_error_is_read_after_what_is_known(before: bytes) -> None:
    assert read_members(response(before + b'{"error": "invalid_grant"}')) == {"error": "invalid_grant"}


@pytest.mark.parametrize("before", [b"Blocked: ", b"3 ms ", b"a\n"])
def test_an_error_is_not_read_after_other_text(before: bytes) -> None:
    assert read_members(response(before + b'{"error": "invalid_grant"}')) is None


@pytest.mark.parametrize(
    "body",
    [
        *(b'{"' + rb"\"" * length for length in (30_000, 400_000)),
        *(b'{"a"' + b" 00" * length for length in (20_000, 300_000)),
        *(
            b'{"a": "' + b"\\" * 60_001,
            b'{"a": ' + b"9" * 60_000 + b"x",
            b'{"a": ' + b"," * 60_000,
            b"{" + b" " * 60_000,
        ),
        *(
            b'{"a": ' + b"1e" * 30_000,
            b"Warning: " + b"{ " * 400_000,
            b"<!--" * 200_000,
            b"<br>" * 200_000,
            b"<!---->" * 140_000,
            b"a{" * 400_000,
        ),
    ],
    ids=lambda body: repr(body[:12]) + str(len(body)),
)
def test_a_long_body_that_cannot_be_mended_is_no_object(body: bytes) -> None:
    assert read_members(response(body)) is None


@pytest.mark.parametrize(
    ("body", "page", "cut_off"),
    [
        (b"<html>", True, False),
        (b"\xef\xbb\xbf\n<!DOCTYPE html>", True, False),
        ("<html>".encode("utf-16"), True, False),
        (b"<br />\n<b>Warning</b>:  x in <b>/a.php</b> on line <b>7</b><br />\n", True, True),
        (b"<b>Fatal error</b>: x", True, True),
        (b"<!-- debug: ", True, True),
        (b"<br />\n<b>Warning</b>: x<br />\n<!DOCTYPE html><p>", True, False),
        (b"<body>", True, False),
        (b"<p>Sign in</p>", True, False),
        (b"<!-- " + b"x" * 5000 + b" --><html>", True, False),
        (b"<br />\n<b>Warning</b>: x<br />\n" + PLAIN, False, False),
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
        (b"call(" + PLAIN[:-5], False, True),
        (json.dumps(TEXT).encode()[:-9], False, True),
        (b"<!-- x --><html>", True, False),
        (b"<!-- x -->" + PLAIN, False, False),
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
