"""The identity token of a machine is read from what its platform wrote, or refused without being quoted or sent."""

from __future__ import annotations

import base64
import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from crash_report import crash_report
from freshkey._secret_input.identity_token import MAX_LENGTH, identity_token, identity_token_file
from freshkey.errors import ConfigurationError
from freshkey.secret import Secret
from raises_code import raises_code
from system_words import NO_FILE


of_posix = pytest.mark.skipif(sys.platform == "win32", reason="modes mean nothing on Windows, links need a privilege")

CANARY = "canary-5d1e77aa02c3"
CODE = "example-invalid-identity-token"
TOKEN = f"eyJhbGciOiJSUzI1NiJ9.{CANARY}.c2ln"
LONG = f"eyJhbGciOiJSUzI1NiJ9.{'x' * (MAX_LENGTH - 26)}.c2ln"

WRONG: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "blank": (b" \r\n\t", "is empty"),
    "only a mark": (b"\xef\xbb\xbf", "is empty"),
    "too long": (LONG.encode() + b"x", str(MAX_LENGTH)),
    "long and no token": (b"x " * MAX_LENGTH, str(MAX_LENGTH)),
    "two": (f"{TOKEN} {TOKEN}".encode(), "characters"),
    "two lines": (f"{TOKEN}\n{TOKEN}".encode(), "characters"),
    "not UTF-8": (TOKEN.encode() + b"\xff", "characters"),
    "not ASCII": (f"{TOKEN}é".encode(), "characters"),
    "null": (f"{TOKEN}\0".encode(), "characters"),
    "a private key": (f"-----BEGIN PRIVATE KEY-----\n{TOKEN}".encode(), "characters"),
    "in quotes": (f'"{TOKEN}"'.encode(), "JSON Web Token"),
    "JSON": (f'{{"value":"{TOKEN}"}}'.encode(), "JSON Web Token"),
    "an API key": (f"sk-{CANARY}".encode(), "JSON Web Token"),
    "two parts": (f"eyJhbGciOiJSUzI1NiJ9.{CANARY}".encode(), "JSON Web Token"),
    "encrypted": (f"eyJhbGciOiJSUzI1NiJ9.{CANARY}.a.b.c".encode(), "JSON Web Token"),
    "not signed": (f"eyJhbGciOiJub25lIn0.{CANARY}.".encode(), "JSON Web Token"),
    "no header": (f"c2ln.{CANARY}.c2ln".encode(), "JSON Web Token"),
    "a header that is a list": (f"W10.{CANARY}.c2ln".encode(), "JSON Web Token"),
    "a deep header": (f"{base64.urlsafe_b64encode(b'[' * 9_000).decode()}.{CANARY}.c2ln".encode(), "JSON Web Token"),
}
IDS = [name.replace(" ", "-") for name in WRONG]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "identity" / "token"
    path.parent.mkdir()
    path.write_text(TOKEN + "\n")
    return path


def read(file: Path) -> Secret:
    return identity_token_file(file, named_by="TOKEN_FILE", code=CODE)


def judged(found: bytes) -> Secret:
    return identity_token(found, where="TOKEN", code=CODE)


@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf", b"\n "])
@pytest.mark.parametrize("after", [b"", b"\n", b"\r\n", b" \n\n"])
def test_white_space_and_a_byte_order_mark_around_it_do_not_count(file: Path, before: bytes, after: bytes) -> None:
    found = before + TOKEN.encode() + after
    file.write_bytes(found)
    assert judged(found) == read(file) == Secret(TOKEN)


def test_longest_token_is_read(file: Path) -> None:
    file.write_text(LONG)
    assert len(LONG) == MAX_LENGTH
    assert read(file) == judged(LONG.encode()) == Secret(LONG)


@pytest.mark.parametrize(("content", "fact"), WRONG.values(), ids=IDS)
def test_what_is_no_token_is_not_quoted_and_its_place_is_named(file: Path, content: bytes, fact: str) -> None:
    file.write_bytes(content)
    readers: dict[str, Callable[[], Secret]] = {
        "TOKEN": lambda: judged(content),
        str(file): lambda: read(file),
    }
    for place, act in readers.items():
        with raises_code(ConfigurationError, CODE) as caught:
            act()
        assert place in caught.value.message
        assert fact in caught.value.message
        assert caught.value.hint is not None
        assert_shows_nothing(caught.value)


def assert_shows_nothing(error: ConfigurationError) -> None:
    assert CANARY not in f"{error} {error.hint} {error!r} {crash_report(error)}"
    assert error.__context__ is None


# --- files ----------------------------------------------------------------------------------------------------------


def test_missing_file_is_named_with_what_the_system_says(file: Path) -> None:
    file.unlink()
    with raises_code(ConfigurationError, CODE) as caught:
        read(file)
    assert NO_FILE in caught.value.message
    assert str(file) in caught.value.message


def test_folder_in_place_of_the_file_is_named(file: Path) -> None:
    file.unlink()
    file.mkdir()
    with raises_code(ConfigurationError, CODE) as caught:
        read(file)
    if sys.platform != "win32":
        assert os.strerror(errno.EISDIR) in caught.value.message
    assert str(file) in caught.value.message


@of_posix
def test_pipe_in_place_of_the_file_is_refused_without_waiting(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)
    with raises_code(ConfigurationError, CODE) as caught:
        read(file)
    assert "regular" in caught.value.message
    assert str(file) in caught.value.message


@of_posix
def test_token_that_a_platform_replaces_by_a_link_is_read_again(file: Path) -> None:
    assert read(file) == Secret(TOKEN)
    for number in (1, 2):
        folder = file.parent / f"..data{number}"
        folder.mkdir()
        (folder / "token").write_text(f"{TOKEN}{number}")
        link = file.parent / "..new"
        link.symlink_to(folder.name)
        link.replace(file.parent / "..data")
        file.unlink(missing_ok=True)
        file.symlink_to("..data/token")  # as Kubernetes projects tokens
        assert read(file) == Secret(f"{TOKEN}{number}")


@of_posix
def test_file_may_be_read_by_all_but_changed_only_by_its_owner(file: Path) -> None:  # TRU-14
    file.chmod(0o644)
    assert read(file) == Secret(TOKEN)
    file.chmod(0o666)
    with raises_code(ConfigurationError, "unsafe-file") as caught:
        read(file)
    assert "TOKEN_FILE" in caught.value.message
    assert_shows_nothing(caught.value)


@pytest.mark.parametrize(
    ("written", "flaw"), [('"{}"', "in quotes"), ("~/token", "begins with ~"), ("$HOME/token", "a variable")]
)
def test_path_that_only_a_shell_would_read_is_named(file: Path, written: str, flaw: str) -> None:
    with raises_code(ConfigurationError, CODE) as caught:
        read(Path(written.format(file)))
    assert flaw in caught.value.message
    assert "TOKEN_FILE" in str(caught.value.hint)


@pytest.mark.parametrize("path", [TOKEN, f"/nowhere/{CANARY}\0", f"{CANARY}\n", f"/{TOKEN}/token", "x" * 5000])
def test_path_that_may_be_the_token_itself_is_not_quoted(path: str) -> None:
    with raises_code(ConfigurationError, CODE) as caught:
        read(Path(path))
    assert "TOKEN_FILE" in str(caught.value)
    assert "x" * 100 not in str(caught.value)
    assert CANARY not in f"{caught.value} {caught.value.hint}"
    assert caught.value.__context__ is None
