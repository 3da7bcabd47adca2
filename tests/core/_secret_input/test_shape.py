"""Text that was pasted with something around it, or only in part, is recognized; secrets never are."""

from __future__ import annotations

import base64
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_keys import short_term_key
from freshkey.plugin import looks_like


KEY = "sk-ant-api03-canary-5f1d0c9a7e_AA-x"


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        (f"{KEY[:9]}\n{KEY[9:]}", "more than one line"),
        (f"{KEY[:9]}\r{KEY[9:]}", "more than one line"),
        (f"{KEY[:9]}\r\n  {KEY[9:]}", "more than one line"),
        (f'"{KEY}"', "quotation marks"),
        (f"'{KEY}'", "quotation marks"),
        (f"`{KEY}`", "quotation marks"),
        (f"\u201c{KEY}\u201d", "quotation marks"),
        (f'{KEY}"', "quotation marks"),
        (f"'{KEY}", "quotation marks"),
        (f"ANTHROPIC_API_KEY={KEY}", "assignment"),
        (f'ANTHROPIC_API_KEY="{KEY}"', "quotation marks"),
        (f"export ANTHROPIC_API_KEY={KEY}", "assignment"),
        (f"set ANTHROPIC_API_KEY={KEY}", "assignment"),
        (f"setx ANTHROPIC_API_KEY {KEY}", "assignment"),
        (f"$env:ANTHROPIC_API_KEY = {KEY}", "assignment"),
        (f"api_key = {KEY}", "assignment"),
        (f"-e KEY={KEY}", "assignment"),
        (f"Bearer {KEY}", "HTTP header"),
        (f"bearer\t{KEY}", "HTTP header"),
        (f"Authorization: Bearer {KEY}", "HTTP header"),
        (f"authorization:{KEY}", "HTTP header"),
        (f"x-api-key: {KEY}", "HTTP header"),
        (f"X-Goog-Api-Key: {KEY}", "HTTP header"),
        (f'{{"api_key":"{KEY}"}}', "JSON"),
        ("$ANTHROPIC_API_KEY", "variable"),
        ("${ANTHROPIC_API_KEY}", "variable"),
        ("%ANTHROPIC_API_KEY%", "variable"),
        ("$(pass show claude)", "variable"),
        ("{{ secrets.ANTHROPIC_API_KEY }}", "variable"),
        ("${{ secrets.ANTHROPIC_API_KEY }}", "variable"),
        ("${{secrets.ANTHROPIC_API_KEY}}", "variable"),
        (f"ANTHROPIC_API_KEY:{KEY}", "assignment"),
        (f"apiKey: {KEY}", "assignment"),
        (f"--api-key={KEY}", "assignment"),
        (f"my-key={KEY}", "assignment"),
        (f"ANTHROPIC.API.KEY={KEY}", "assignment"),
        (f'apiKey":"{KEY}', "a piece of a file"),
        (f'{KEY}",', "a piece of a file"),
        (f"{KEY},", "a piece of a file"),
        (f"{KEY};", "a piece of a file"),
        (f"{KEY}\\n", "a piece of a file"),
        (f"{KEY[:9]}'{KEY[9:]}", "a piece of a file"),
        ("op://vault/item/key", "URL"),
        ("/home/me/claude.key", "name of a file"),
        ("~/claude.key", "name of a file"),
        (r"C:\Users\me\claude.key", "name of a file"),
        ("c:/claude.key", "name of a file"),
        (r"\\server\keys\claude.key", "name of a file"),
        (r"%USERPROFILE%\claude.key", "name of a file"),
        ("$env:USERPROFILE/claude.key", "name of a file"),
        ("$HOME/claude.key", "name of a file"),
        ("YOUR_API_KEY", "placeholder"),
        ("your-api-key-here", "placeholder"),
        ("https://console.example/keys", "URL"),
        ("<your-api-key>", "placeholder"),
        ("sk-ant-...x7Qa", "abbreviated"),
        ("sk-ant-\u2026x7Qa", "abbreviated"),
        ("sk-ant-****x7Qa", "abbreviated"),
        (f"{KEY}\u200b", "invisible"),
        (f"\ufeff{KEY}", "invisible"),
        (f"{KEY[:9]}\u00ad{KEY[9:]}", "invisible"),
        (f"{KEY}\u00a0", "invisible"),
        (f"{KEY[:9]}\u2028{KEY[9:]}", "invisible"),
        (f"{KEY}%", "mark"),
        (f"{KEY}$", "mark"),
        (f"{KEY}^M$", "mark"),
        (f"{KEY}.", "mark"),
        (f"{KEY}).", "mark"),
        (f"({KEY})", "mark"),
        (f"[{KEY}]", "mark"),
        (f"{KEY}]", "mark"),
        (f"*{KEY}*", "mark"),
        (f"**{KEY}**", "mark"),
        (f"|{KEY}|", "mark"),
        (f"{KEY}:", "mark"),
        (f"{KEY}#", "mark"),
        ("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl%", "mark"),
        ("ABSKQmVkcm9ja0FQSUtleS1hYmNkLWF0LTEyMzQ1Njc4OTAxMjpzZWNyZXQ==%", "mark"),
        ("null", "missing value"),
        ("None", "missing value"),
        ("undefined", "missing value"),
        ("nil", "missing value"),
        ("(null)", "missing value"),
        ("n/a", "missing value"),
        ("false", "missing value"),
        (" NULL\n", "missing value"),
        ("Error:NotFound", "error message"),
        ("AccessDeniedException: no", "error message"),
        ("fatal:not-found", "error message"),
        ("pass:show", "assignment"),
        ("Password:hunter2", "assignment"),
        ("sk-ant-...", "abbreviated"),
        ("ya29.c.b0AX......x7Qa", "abbreviated"),
    ],
)
def test_what_it_looks_like(text: str, shape: str) -> None:
    found = looks_like(text)

    assert found is not None
    assert shape in found
    assert KEY[:9] not in found


@pytest.mark.parametrize(
    "text",
    [
        KEY,
        f"{KEY}\n",
        "ABSKQmVkcm9ja0FQSUtleS1hYmNkLWF0LTEyMzQ1Njc4OTAxMjpzZWNyZXQ==",
        "QUJDREVG=",
        "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl",
        "ya29.a0AfB_byC-1234567890",
        "ghp_0123456789abcdefghijABCDEFGHIJ012345",
        "AKIAIOSFODNN7EXAMPLE",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "user:password",
        "token_value",
        "bearer_token-1",
        "export1",
        "p@$$w0rd{}%",
        "sk-ant-api03-a-b_c-key-token-secret-D_e-AA",
        "your-api-key-1f0c9a7e",
        "/JalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLE+==",
        "1234567890:AAF-made_up",
        "me@example.com/token:made-up",
        "Nothing-but-a-password!",
        "p@$$w0rd-that-is-long-enough%",
        "hunter2%",
        "(hunter2)",
        "-_starts-with-a-dash-and-ends_~",
        "nullable",
        "none-of-your-business",
        "compass:password",
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.",
        "ya29.c.b0AT7lpjA9DDSaBgwjFjWyjZ6iXNU3Lmok9NQm" + "." * 300,
        "ya29.c.b0AT7lpjA9DDSaBgwjFjWyjZ6iXNU3Lmok9NQm..",
    ],
)
def test_a_secret_looks_like_nothing_else(text: str) -> None:
    assert looks_like(text) is None


def test_a_short_term_bedrock_key_looks_like_nothing_else() -> None:
    assert looks_like(short_term_key(datetime(2026, 11, 29, tzinfo=UTC))) is None


@given(st.binary(min_size=1, max_size=200), st.sampled_from(["", "sk-ant-api03-", "ABSK", "glpat-"]))
def test_base64_looks_like_nothing_else(data: bytes, prefix: str) -> None:
    for encode in (base64.b64encode, base64.urlsafe_b64encode, base64.b16encode, base64.b32encode):
        assert looks_like(prefix + encode(data).decode()) is None


@given(st.text(max_size=60))
def test_any_text_can_be_judged_and_is_not_quoted(text: str) -> None:
    found = looks_like(text)
    assert found is None or len(text.strip()) < 8 or text.strip() not in found


def test_a_mark_before_many_dots_is_looked_at_once() -> None:  # NET-10
    """Dots can end the value or follow it: minutes, if every way to divide them is tried."""
    began = time.process_time()
    assert looks_like("$" + "a" * 20 + "." * 60_000 + "!") == "an abbreviated value"
    assert time.process_time() - began < 5.0
    assert looks_like("$" + "a" * 20 + "....") is not None
