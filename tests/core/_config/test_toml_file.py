"""Reading config.toml: what is rejected, and the line of each key."""

from __future__ import annotations

import os
import sys
import tomllib
from pathlib import Path
from typing import NoReturn
from unittest import mock

import pytest

from freshkey._config import toml_file
from freshkey._config.toml_file import MAX_FILE, Document, line_of, read
from freshkey.errors import ConfigurationError
from raises_code import raises_code


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    path.chmod(0o600)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def test_missing_file_is_an_empty_document(file: Path) -> None:
    assert read(file).tables == {}


def test_where_names_the_line_of_a_key(file: Path) -> None:
    document = read(written(file, b'default = "me"\r\n\r\n[profiles.me]\r\nlead = 1\r\n'))

    assert document.tables == {"default": "me", "profiles": {"me": {"lead": 1}}}
    assert document.where("profiles", "me", "lead") == f"{file}, line 4"
    assert document.where("profiles", "me", "absent") == f"{file}, line 3"
    assert document.where("absent") == str(file)


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_byte_order_mark_is_ignored(file: Path, ending: bytes) -> None:
    document = read(written(file, b"\xef\xbb\xbf" + ending.join([b"[profiles.me]", b"lead = 1", b""])))
    assert document.tables == {"profiles": {"me": {"lead": 1}}}
    assert document.where("profiles", "me", "lead") == f"{file}, line 2"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_utf_16_is_named(file: Path, encoding: str) -> None:
    mark = b"" if encoding == "utf-16" else b"\xfe\xff"
    with raises_code(ConfigurationError, "invalid-toml") as caught:
        read(written(file, mark + "lead = 1\n".encode(encoding)))
    assert "UTF-16" in caught.value.message


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le"])
def test_utf_16_without_a_mark_is_named(file: Path, encoding: str) -> None:
    with raises_code(ConfigurationError, "invalid-toml") as caught:
        read(written(file, 'default = "me"\n'.encode(encoding)))
    assert "UTF-16" in caught.value.message
    assert "UTF-8" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("default = \u201ccanary\u201d", "LEFT DOUBLE QUOTATION MARK"),
        ('default = "canary\u201d', "RIGHT DOUBLE QUOTATION MARK"),
        ('default = "canary\u201d\n', "RIGHT DOUBLE QUOTATION MARK"),
        ("default = \u2018canary\u2019", "LEFT SINGLE QUOTATION MARK"),
        ("default = \u201ecanary\u201d", "DOUBLE LOW-9 QUOTATION MARK"),
        ("a = 1\n\u00a0[profiles.me]", "NO-BREAK SPACE"),
        ("a = 1\nlead\u00a0= 1", "NO-BREAK SPACE"),
        ("a = 1\n\u200blead = 1", "ZERO WIDTH SPACE"),
        ("lead \u2013 1", "EN DASH"),
        ("default = 'canary\u2019\n", "RIGHT SINGLE QUOTATION MARK"),
        ('default = "can\u2019ary\u201d # x', "RIGHT DOUBLE QUOTATION MARK"),
        ("lead = [1\uff0c 2]", "FULLWIDTH COMMA"),
        ('lead = "\u20ac" \u2013 1', "EN DASH"),
        ('lead = "a\x07"', "U+0007"),
        ("a = 1\rb = 1", "U+000D"),
        ("a = 1\n\x1a", "U+001A"),
    ],
)
def test_character_that_looks_like_another_is_named(file: Path, text: str, named: str) -> None:
    with raises_code(ConfigurationError, "invalid-toml") as caught:
        read(written(file, text.encode()))
    assert named in caught.value.message
    assert "(at line " in caught.value.message or "end of document" in caught.value.message
    assert "canary" not in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        *("sch\u00f6n = gut", "\tlead = ?", "# \u201ccomment\u201d\nlead = ?"),
        *('a = "\u20ac"\na = "\u20ac"', "a = '\u201c'\na = '\u201c'\n", 'lead = "\u2013" x', "lead = ? # \u2013"),
        *('["\u2013"]\n["\u2013"]', 'lead = "\\\u2013"', 'lead = "x\u2026', 'lead = "it\u2019s', '"\u20ac" ? = 1'),
        *('lead = "a\\"\u2013" x', 'lead = "\u2013" x # "'),
    ],
)
def test_only_characters_that_mislead_are_named(file: Path, text: str) -> None:
    with raises_code(ConfigurationError, "invalid-toml") as caught:
        read(written(file, text.encode()))
    assert "contains" not in caught.value.message


def test_pipe_is_rejected_without_blocking(file: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("no named pipes on this platform")
    os.mkfifo(file, 0o600)

    with raises_code(ConfigurationError, "unreadable-configuration") as caught:
        read(file)
    assert str(file) in caught.value.message


@pytest.mark.skipif(sys.platform == "win32", reason="Wine 8 makes no symbolic links")
def test_symbolic_link_is_followed_only_if_allowed(file: Path) -> None:
    written(file.with_name("real"), b"a = 1")
    file.symlink_to("real")
    assert read(file).tables == {"a": 1}
    with raises_code(ConfigurationError, "unreadable-configuration") as caught:
        read(file, follow=False)
    assert f"{file} is a symbolic link" in caught.value.message


def test_repr_hides_the_content(file: Path) -> None:  # LEK-1
    document = read(written(file, b'[profiles.me]\nclient_secret = "CANARY"\n'))

    assert "CANARY" in document.text
    assert "CANARY" not in repr(document)


def test_document_from_code_has_no_lines() -> None:
    assert Document(tables={"a": 1}).where("a") == "the configuration passed in code"


@pytest.mark.parametrize(
    ("data", "code", "fact"),
    [
        (b"default = me", "invalid-toml", "line 1"),
        (b'a = 1\nb = "sk-ant-very-secret', "invalid-toml", "end of document"),
        (b"a = '\xff'", "invalid-toml", "UTF-8 at byte 5"),
        (b"a = " + b"9" * 5000, "invalid-toml", "digits"),
        (b"#" * (MAX_FILE + 1), "unreadable-configuration", str(MAX_FILE)),
        (b"a = " + b"[" * 5000 + b"]" * 5000, "invalid-toml", "nested"),
    ],
    ids=range(6),
)
def test_damaged_file_is_rejected_with_the_reason(file: Path, data: bytes, code: str, fact: str) -> None:
    with raises_code(ConfigurationError, code) as caught:
        read(written(file, data))

    assert str(file) in caught.value.message
    assert fact in caught.value.message
    assert "very-secret" not in str(caught.value)


@pytest.mark.parametrize("path", [rb"C:\Users\me", rb"C:\qx"])
def test_backslashes_in_double_quotes_are_explained(file: Path, path: bytes) -> None:
    with raises_code(ConfigurationError, "invalid-toml") as caught:
        read(written(file, b'a = "' + path + b'"'))
    assert "single quotes" in (caught.value.hint or "")


def test_file_that_another_program_keeps_open_is_not_a_matter_of_permissions(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def held(*_: object, **__: object) -> NoReturn:
        error = PermissionError(13, "in use")
        error.winerror = 32  # type: ignore[attr-defined]
        raise error

    monkeypatch.setattr(toml_file, "read_owned", held)
    with raises_code(ConfigurationError, "unreadable-configuration") as caught:
        read(file)
    assert caught.value.hint == "Close the program that has it open"


def test_directory_instead_of_the_file_is_an_error(file: Path) -> None:
    file.mkdir()

    with raises_code(ConfigurationError, "unreadable-configuration") as caught:
        read(file)
    assert str(file) in caught.value.message


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes and owners")
@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_file_that_other_users_can_change_is_rejected(file: Path, mode: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freshkey._files.permissions._is_own_group", lambda gid: False)
    written(file, b"").chmod(mode)

    with raises_code(ConfigurationError, "unsafe-configuration") as caught:
        read(file)
    assert f"chmod go-w {file}" in str(caught.value.hint)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes and owners")
def test_private_group_of_the_user_can_write(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freshkey._files.permissions._is_own_group", lambda gid: True)
    written(file, b'default = "me"').chmod(0o664)
    file.parent.chmod(0o775)

    assert read(file).tables == {"default": "me"}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes and owners")
def test_directory_that_other_users_can_change_is_rejected_unless_sticky(file: Path) -> None:
    written(file, b"default = 'me'")
    file.parent.chmod(0o777)
    with raises_code(ConfigurationError, "unsafe-configuration") as caught:
        read(file)
    assert str(caught.value.hint).endswith(f"chmod go-w {file.parent}")

    file.parent.chmod(0o1777)
    assert read(file).tables == {"default": "me"}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes and owners")
def test_file_of_another_user_is_rejected(file: Path) -> None:
    written(file, b"")
    another_users = os.stat_result((0o100600, 1, 1, 1, 4242, 4242, 0, 0, 0, 0))

    with (
        mock.patch("os.fstat", return_value=another_users),
        raises_code(ConfigurationError, "unsafe-configuration") as caught,
    ):
        read(file)
    assert "4242" in caught.value.message
    assert str(caught.value.hint).startswith("Ask whoever administers /, or use"), (
        "the owner of / is not the user's to change"
    )


# --- the line of a key ----------------------------------------------------------------------------------------------

TEXT = '''# a comment
default = "me"
observers = [
  "audit",  # profiles.me
  "trace",
]

[profiles.me]
provider = "claude_oauth"
note = """
client_id = "not here"
[profiles.you]
"""
client_id = "app"

[profiles."dotted.name"]
lead = 5
headers = { accept = "json", "x-a" = "b" }

[[profiles.list]]
lead = 6
[stores]
keyring.backend = "x"
'''


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (("default",), 2),
        (("observers",), 3),
        (("profiles", "me"), 8),
        (("profiles", "me", "provider"), 9),
        (("profiles", "me", "note"), 10),
        (("profiles", "me", "client_id"), 14),
        (("profiles", "dotted.name"), 16),
        (("profiles", "dotted.name", "lead"), 17),
        (("profiles", "dotted.name", "headers", "x-a"), 18),
        (("profiles", "list", "lead"), 21),
        (("stores", "keyring", "backend"), 23),
    ],
)
def test_line_of_a_key_is_where_its_statement_starts(keys: tuple[str, ...], line: int) -> None:
    assert line_of(TEXT, keys) == line


@pytest.mark.parametrize("keys", [("profiles", "you"), ("client_id",), ("profiles", "me", "lead")])
def test_missing_key_has_no_line(keys: tuple[str, ...]) -> None:
    assert line_of(TEXT, keys) is None


def test_key_in_an_inline_table_has_a_line() -> None:
    assert line_of('\nprofiles = { me = { provider = "p" } }', ("profiles", "me", "provider")) == 2


def test_long_list_is_not_parsed_again_for_each_of_its_lines() -> None:
    text = "[profiles.me]\nscopes = [\n" + '"a",\n' * 20_000 + "]\nlead = 3\n"

    with mock.patch("tomllib.loads", wraps=tomllib.loads) as loads:
        assert line_of(text, ("profiles", "me", "lead")) == 20_004
    assert loads.call_count < 10
