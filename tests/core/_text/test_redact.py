"""Secrets are removed from text of others: known ones in any form, unknown ones by their shape."""

from __future__ import annotations

import base64
import json
import shlex
import time
from collections.abc import Callable
from html import escape
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freshkey._text.redact import MASK, MAX_MESSAGE, Redactor, redacted
from freshkey_testing.secret_scan import leaks
from promises import proves


SECRET = "kd83-Zx9_Qw8eRt7yUi6oPa5s/f4gHj3k+Lz2xCv1bNm0'é\"AA"
FORMS: dict[str, Callable[[str], str]] = {
    "raw": str,
    "quoted": repr,
    "shell": shlex.quote,
    "url": lambda secret: quote(secret, safe=""),
    "url, lower": lambda secret: "".join(each.lower() if "%" in each else each for each in [quote(secret, safe="")]),
    "path": quote,
    "form": quote_plus,
    "JSON": json.dumps,
    "JSON, not ASCII": lambda secret: json.dumps(secret, ensure_ascii=False),
    "HTML": escape,
    "hex": lambda secret: secret.encode().hex(),
    "HEX": lambda secret: secret.encode().hex().upper(),
    "base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "base64, second": lambda secret: base64.b64encode(b"u:" + secret.encode() + b"?").decode(),
    "base64, third": lambda secret: base64.b64encode(b"u" + secret.encode()).decode().rstrip("="),
    "base64url": lambda secret: base64.urlsafe_b64encode(b"us:" + secret.encode()).decode(),
    "backwards": lambda secret: secret[::-1],
    "in lines": lambda secret: "\n".join(secret[at : at + 7] for at in range(0, len(secret), 7)),
    "base64 of UTF-16": lambda secret: base64.b64encode(secret.encode("utf-16-le")).decode(),
    "base32": lambda secret: base64.b32encode(b"user:" + secret.encode()).decode(),
    "base32, shifted": lambda secret: base64.b32encode(b"usr:" + secret.encode() + b"!").decode().lower(),
    "base85": lambda secret: base64.b85encode(b"abc" + secret.encode()).decode(),
    "ascii85": lambda secret: base64.a85encode(secret.encode()).decode(),
    "lower case": str.lower,
    "upper case": str.upper,
    "in letters": " ".join,
    "with zero widths": "\u200b".join,
    "beginning": lambda secret: f"{secret[:12]}…",
    "a short beginning": lambda secret: f"{secret[:8]}...",
    "end": lambda secret: f"…{secret[-12:]}",
    "middle": lambda secret: secret[10:26],
}


@proves("LEK-9")
@pytest.mark.parametrize("form", FORMS)
def test_a_known_secret_is_removed_in_every_form(form: str) -> None:
    written = FORMS[form](SECRET)
    for text in (f"bad token {written}, try again", f"({written})", f"token='{written}'"):
        shown = Redactor([SECRET])(text)
        assert MASK in shown, text
        pieces = {written[at : at + 6] for at in range(len(written) - 5)} if form != "in letters" else {written}
        assert not [piece for piece in pieces if piece in shown], shown
    assert Redactor([SECRET])(f"bad token {written}, try again").startswith("bad token ")


TOKEN = "rt-NmL9k3jHg4fDs5aPo6iUy7tRe8wQ"
APART: dict[str, Callable[[str], str]] = {
    "hyphens": "-".join,
    "commas": ", ".join,
    "a list": lambda secret: repr(list(secret)),
    "hex with colons": lambda secret: secret.encode().hex(":"),
    "HEX with spaces": lambda secret: secret.encode().hex(" ").upper(),
    "numbers": lambda secret: repr(list(secret.encode())),
    "numbers of one byte each": lambda secret: "-".join(f"{byte:03d}" for byte in secret.encode()),
    "hex numbers": lambda secret: repr([hex(byte) for byte in secret.encode()]),
    "octal": lambda secret: "".join(f"\\{byte:o}" for byte in secret.encode()),
    "escapes": lambda secret: "".join(f"\\x{byte:02x}" for byte in secret.encode()),
    "JSON escapes": lambda secret: "".join(f"\\u{ord(each):04x}" for each in secret),
    "HTML": lambda secret: "".join(f"&#{ord(each)};" for each in secret),
    "HTML, hex": lambda secret: "".join(f"&#x{ord(each):x};" for each in secret),
    "URL": lambda secret: "".join(f"%{byte:02x}" for byte in secret.encode()),
    "backwards": lambda secret: ".".join(reversed(secret)),
    "half": lambda secret: "-".join(secret[: len(secret) // 2 + 3]),
    "lower, half": lambda secret: "_".join(secret[: len(secret) // 2 + 3].lower()),
}


@proves("LEK-9")
@pytest.mark.parametrize("form", APART)
@pytest.mark.parametrize("secret", [TOKEN, "kqzvwmhxplrtnbdgfsyacejo"])
def test_characters_and_bytes_may_be_apart(form: str, secret: str) -> None:
    written = APART[form](secret)
    assert written[3:15] not in (shown := Redactor([secret])(f"bad token {written} (400)"))
    assert shown.startswith("bad token ")
    assert MASK in shown


@proves("LEK-9")
@pytest.mark.parametrize(
    "secret",
    [
        "kqzvwmhxplrtnbdgfsyacejo",
        "aeiourandomlowercaseletters",
        "KQZVWMHXPLRTNBDGFSYACEJO",
        "kqzv-wmhx-plrt-nbdg-fsya",
        "rota-lime-fago-nuke-poli",
        "Kqzvwmhxplrtnbdgfsyacejo",
        "correct-horse-battery-7staple",
    ],
)
def test_a_part_of_a_secret_without_digits_is_removed(secret: str) -> None:
    for part in (secret[:16], secret[:8], secret[-8:], secret[5:18], secret[:16].title()):
        assert Redactor([secret])(f"bad token {part}…") == f"bad token {MASK}…"


@pytest.mark.parametrize(
    ("secret", "text"),
    [
        ("refresh-token-of-the-test", "the refresh token of the server is missing"),
        ("correct horse battery staple", "a horse battery is missing"),
        ("my-favorite-password", "my favorite color"),
    ],
)
def test_parts_of_words_are_in_other_texts(secret: str, text: str) -> None:
    assert Redactor([secret])(text) == text
    assert Redactor([secret])(f"bad {secret.upper()}") == f"bad {MASK}"
    assert MASK in Redactor([secret])("bad " + "-".join(secret.replace(" ", "")))


@proves("LEK-9")
@pytest.mark.parametrize(
    ("before", "written", "after"),
    [
        ("", r"""pa\s's%o"r""", ""),
        ("", r"""PA\S'S%O"R""", ""),
        ('"', r"""pa\\s's%o\"r""", '"'),
        ("'", r"""pa\s''s%o"r""", "'"),
        ('"', r"""pa\s's%o`"r""", '"'),
        ("", r"""pa\s's^%o^"r""", ""),
        ('"', r"""pa\s's%o""r""", '"'),
        ('"', r"""pa\s's%o\"r""", '"'),
        ("", r"""pa\s's%%o"r""", ""),
    ],
    ids=[
        "raw",
        "upper case",
        "JSON",
        "PowerShell",
        "PowerShell, expanding",
        "cmd",
        "cmd, quoted",
        "argv",
        "batch file",
    ],
)
def test_a_short_secret_is_removed_as_windows_writes_it(before: str, written: str, after: str) -> None:
    shown = Redactor([r"""pa\s's%o"r"""])(f"bad {before}{written}{after} (400)")
    assert shown == f"bad {before}{MASK}{after} (400)"


@settings(max_examples=300)
@given(st.text("abcXYZ0189-_", min_size=16, max_size=60), st.sampled_from(sorted(FORMS)), st.text(max_size=20))
def test_no_secret_is_found_in_what_is_left(secret: str, form: str, around: str) -> None:
    shown = Redactor([secret])(f"{around} {FORMS[form](secret)} {around}")
    assert secret in around or not leaks(shown, {secret})


@proves("LEK-9")
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("key sk-ant-api03-abcDEF123456", f"key {MASK}"),
        ("ABSKQmVkcm9ja0FQSUtleS1hYmNk", MASK),
        ("key=AKIAIOSFODNN7EXAMPLE", f"key={MASK}"),
        ("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", MASK),
        ("got ya29.a0AfH6SMBx-123456", f"got {MASK}"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln.", MASK + "."),
        ("-----BEGIN PRIVATE KEY-----\nMIIabc\n-----END PRIVATE KEY----- end", f"{MASK} end"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIabc\ncut off", MASK),
        ("Authorization: Bearer abcdef123456", f"Authorization: Bearer {MASK}"),
        ("password=hunter2, next", f"password={MASK}, next"),
        ("https://ada:hunter2@example.com/x", f"https://{MASK}@example.com/x"),
        ('{"access_token": "abc"}', f'{{"access_token": {MASK}}}'),
        ("?client_secret=x1&a=b", f"?client_secret={MASK}&a=b"),
    ],
)
def test_what_looks_like_a_secret_is_removed(text: str, shown: str) -> None:
    left = redacted(text)
    assert left == shown or (left == MASK and shown.startswith(MASK))


@pytest.mark.parametrize(
    "text",
    [
        "basic authentication failed",
        "the token: expired",
        "refresh_token must be a string",
        "da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
        "/home/ada/projects/Foo/Bar/bazqux1234567",
        r"C:\Users\ada\projects\Foo\Bar\bazqux1234567",
        r"\\?\C:\Users\ADA~1\AppData\Local\Temp\tmpabc1234XyZ\freshkey-0Abc1Def2Ghi3Jkl4Mno5Pqr6Stu7",
        r"'C:\\Users\\ada\\AppData\\Local\\Programs\\Python\\Python313\\python.exe'",
        r"\\server\share\Foo1\Bar2Baz",
        "S-1-5-21-3623811015-3361044348-30300820-1013",
        "{0A1B2C3D-4E5F-6071-8293-A4B5C6D7E8F9}",
        "/nix/store/0Abc1Def2Ghi3Jkl4Mno5Pqr6Stu7Vwx8Yz9/bin",
        "https://sso.example.com/device?user_code=ABCD-EFGH",
        "https://id.example.com/authorize?state=f1Yc0aZ&code_challenge=Zx9Qw8eRt7&token_usage=remote",
        'store = "file", source = "token"',
        "environment variable EXAMPLE_API_KEY",
        "keys begin with acme-api-key-",
        "keys begin with sk-ant-api03- and tokens with sk-ant-oat01-",
        "Run: freshkey login me --api-key",
        "set api_key_fd=3",
    ],
)
def test_what_only_resembles_a_secret_stays(text: str) -> None:
    known = [
        "sk-ant-oat01-Zx9_Qw8eRt7yUi6oPa5sDf4gHj3k",
        "refresh-token-of-a-test",
        "acme-api-key-Zx9_Qw8eRt7yUi6oPa5s",
    ]
    assert Redactor(known)(text) == text


def test_a_short_secret_is_found_as_a_word() -> None:
    assert Redactor(["rt-1"])("bad rt-1, not art-12") == f"bad {MASK}, not art-12"


@pytest.mark.parametrize(
    "part",
    [
        "token=",
        "a",
        "eyJ",
        "-----BEGIN KEY-----",
        "bearer ",
        "x://",
        '"',
        "password:",
        "\\",
        "sk-",
        "A/1",
        "\u0301",
        " ",
    ],
)
def test_hostile_text_takes_little_time(part: str) -> None:
    text = part * (50_000_000 // len(part))
    began = time.process_time()
    assert len(Redactor([SECRET])(text)) <= MAX_MESSAGE
    assert time.process_time() - began < 5.0


@pytest.mark.parametrize("part", ["a", "a1B-", "-", "É", "1,"])
def test_long_secrets_take_little_time(part: str) -> None:
    secret, text = part * (60_000 // len(part)), part * (8_000 // len(part))
    began = time.process_time()
    assert Redactor([secret, secret[:4_000], secret[:-1]])(text) == MASK
    assert time.process_time() - began < 15.0


def test_text_of_an_object_that_has_none() -> None:
    class Odd:
        def __str__(self) -> str:
            raise ValueError(SECRET)

    assert redacted(Odd()) == "a Odd without readable text"
    assert redacted("half \ud800") == "half \ufffd"
