"""Malformed shared AWS files: the error has the file, the line and the name, and never a value."""

from __future__ import annotations

import codecs
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from aws_home import AwsHome
from freshkey import Keeper
from freshkey.errors import ConfigurationError
from freshkey_bedrock.ini_file import parse
from freshkey_bedrock.shared_config import profile_section
from raises_code import raises_code


SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
PLACE = Path("/home/me/.aws/config")

KEYS = f"[default]\naws_access_key_id = AKIAHERE\naws_secret_access_key = {SECRET}\n"

FLAWS = {
    "profile twice": (
        "[default]\nregion = a\n\n[profile test]\nregion = a\n[profile test]\n",
        6,
        "profile 'test' is there twice",
    ),
    "session twice": ("[sso-session corp]\n[sso-session corp]\n", 2, "sso-session 'corp' is there twice"),
    "section twice": ("[default]\n[default]\n", 2, "section [default] is there twice"),
    "setting twice": ("[profile test]\nregion = a\nregion = b\n", 3, "'region' is there twice in profile 'test'"),
    "secret as a name twice": (f"[default]\n{SECRET}=\n{SECRET}=\n", 3, "a setting is there twice"),
    "line without =": (f"[default]\nregion = a\n{SECRET}\n", 3, "a line has no ="),
    "text before the first section": (f"\n\n{SECRET} = x\n[default]\n", 3, "there is text before the first section"),
    "unclosed first header": ("[default\nregion = a\n", 1, "no closing ]"),
    "unclosed later header": ("[default]\nregion = a\n[profile test\n", 3, "no closing ]"),
    "indented line without =": (
        f"[default]\ns3 =\n  max_queue_size = 1\n  {SECRET}\n",
        4,
        "an indented line in section [default] has no =",
    ),
}


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("name", FLAWS)
def test_flaw_has_a_line_and_a_name(name: str, ending: str) -> None:
    text, line, what = FLAWS[name]
    with raises_code(ConfigurationError, "bedrock-invalid-aws-config") as caught:
        parse(text.replace("\n", ending).encode(), PLACE)
    assert f"{PLACE}, line {line}: " in caught.value.message
    assert what in caught.value.message
    assert caught.value.hint
    assert SECRET.lower() not in str(caught.value).lower()


@pytest.mark.skipif(sys.platform != "win32", reason="only Windows has an ANSI code page")
def test_text_may_be_in_the_ansi_code_page_on_windows() -> None:
    """So botocore reads it; a comment may have been typed in an old editor."""
    text = b"[profile J\xf6rg]\nregion = a\n".decode("mbcs")
    assert parse(b"# f\xfcr J\xf6rg\n[profile J\xf6rg]\r\nregion = a\r\n", PLACE) == {text[1:13]: {"region": "a"}}


@pytest.mark.skipif(sys.platform == "win32", reason="there, such text is in the ANSI code page")
def test_text_that_is_not_utf_8_has_a_line() -> None:
    with raises_code(ConfigurationError, "bedrock-invalid-aws-config") as caught:
        parse(b"[default]\nregion = a\nname = J\xf6rg\n", PLACE)
    assert "line 3: it is not UTF-8" in caught.value.message


@pytest.mark.parametrize("content", [KEYS.encode("utf-16-le"), KEYS.encode() + bytes(9)], ids=["UTF-16", "crash"])
def test_null_bytes_are_named(content: bytes) -> None:
    with raises_code(ConfigurationError, "bedrock-invalid-aws-config") as caught:
        parse(content, PLACE)
    assert "it contains null bytes" in caught.value.message


def test_file_is_named_when_a_credential_is_asked_for(make_keeper: Callable[..., Keeper], aws_home: AwsHome) -> None:
    aws_home.credentials(KEYS)
    aws_home.config("[default]\n\n[profile test]\nregion = a\n\n[profile test]\nregion = b\n")
    with raises_code(ConfigurationError, "bedrock-invalid-aws-config") as caught:
        make_keeper(source="default-chain").get("work")
    assert f"{aws_home.config_file}, line 6: profile 'test' is there twice" in caught.value.message


@pytest.mark.parametrize(
    "encoded",
    [
        codecs.BOM_UTF8 + KEYS.encode(),
        codecs.BOM_UTF8 + KEYS.replace("\n", "\r\n").encode(),
        codecs.BOM_UTF16_LE + KEYS.encode("utf-16-le"),
        codecs.BOM_UTF16_BE + KEYS.replace("\n", "\r\n").encode("utf-16-be"),
        KEYS.replace("\n", "\r\n").encode(),
    ],
    ids=["UTF-8", "UTF-8 with CRLF", "UTF-16", "big-endian UTF-16 with CRLF", "CRLF"],
)
@pytest.mark.parametrize("place", ["config_file", "credentials_file"])
def test_byte_order_mark_is_harmless_for_freshkey_and_botocore(
    make_keeper: Callable[..., Keeper], aws_home: AwsHome, place: str, encoded: bytes
) -> None:
    getattr(aws_home, place).write_bytes(encoded)
    assert (profile_section("default") or {})["aws_access_key_id"] == "AKIAHERE"
    environment = make_keeper(source="default-chain").get("work").environment()
    assert environment["AWS_ACCESS_KEY_ID"] == "AKIAHERE"
    assert environment["AWS_SECRET_ACCESS_KEY"] == SECRET


HOPELESS = {
    "lines without =": b"[a]\n" + b"[\n" * 80_000,
    "indented lines without =": b"[a]\n" + b" b\n" * 80_000,
    "lines without a name": b"[a]\n" + b"= b\n" * 80_000,
    "a name with many blanks": b"[a]\na" + b" " * 100_000 + b"b = 1",
    "a line with many blanks": b"[a]\na" + b" " * 100_000 + b"b",
    "lines without = after a block": b"[a]\nx =\n y = 1\n" + b"[\n" * 80_000,
}


@pytest.mark.parametrize("content", HOPELESS.values(), ids=HOPELESS)
def test_a_malformed_file_is_refused_in_linear_time(content: bytes) -> None:  # NET-10
    """`configparser` appends each flaw to its message, and tries each end of a name: minutes."""
    began = time.process_time()
    with raises_code(ConfigurationError, "bedrock-invalid-aws-config"):
        parse(content, Path("config"))
    assert time.process_time() - began < 5.0


@pytest.mark.parametrize("number", [98, 99, 100, 101, 500])
def test_the_first_of_many_flaws_is_named(number: int) -> None:
    with raises_code(ConfigurationError, "bedrock-invalid-aws-config") as caught:
        parse(b"[a]\nx = 1\n" + b"y\n" * number, Path("config"))
    assert "config, line 3" in str(caught.value)


def test_a_long_indented_block_is_no_flaw() -> None:
    parsed = parse(
        b"[a]\ns3 =\n" + b"  y%d = 1\n" * 1 % 1 + b"".join(b"  z%d = 1\n" % n for n in range(300)), Path("c")
    )
    assert parsed["a"]["s3"].count("\n") == 301


def test_a_section_with_an_endless_name_is_refused() -> None:
    """NET-10: botocore reads each name as a shell's word, many times."""
    with raises_code(ConfigurationError, "bedrock-invalid-aws-config") as caught:
        parse(b"[profile dev]\n[profile " + b"d" * 2000 + b"]\n", Path("/f"))
    assert "more than 1000 characters" in caught.value.message
