"""Reading config.toml: what is refused, and what the refusal says."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from unittest import mock

import pytest

from freshkey._config.toml_file import MAX_FILE, Document, line_of, read
from freshkey.errors import ConfigurationError


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    path.chmod(0o600)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def test_missing_file_says_nothing(file: Path) -> None:
    assert read(file).tables == {}


def test_file_is_read_with_its_place(file: Path) -> None:
    document = read(written(file, b'default = "me"\r\n\r\n[profiles.me]\r\nlead = 1\r\n'))

    assert document.tables == {"default": "me", "profiles": {"me": {"lead": 1}}}
    assert document.where("profiles", "me", "lead") == f"{file}, line 4"
    assert document.where("profiles", "me", "absent") == f"{file}, line 3"
    assert document.where("absent") == str(file)


def test_pipe_in_place_of_the_file_is_refused_at_once(file: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("there are no named pipes here")
    os.mkfifo(file, 0o600)

    with pytest.raises(ConfigurationError, match="is not a regular file"):
        read(file)


def test_links_are_followed_where_they_may_be(file: Path) -> None:
    written(file.with_name("real"), b"a = 1")
    file.symlink_to("real")
    assert read(file).tables == {"a": 1}
    with pytest.raises(ConfigurationError, match=r"config\.toml is a symbolic link"):
        read(file, follow=False)


def test_repr_shows_nothing_that_was_configured(file: Path) -> None:  # LEK-1
    document = read(written(file, b'[profiles.me]\nclient_secret = "CANARY"\n'))

    assert "CANARY" in document.text
    assert "CANARY" not in repr(document)


def test_code_has_no_lines() -> None:
    assert Document(tables={"a": 1}).where("a") == "the configuration given in code"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"default = me", "not valid TOML.*line 1"),
        (b'a = 1\nb = "sk-ant-very-secret', "not valid TOML.*end of document"),
        (b"a = '\xff'", "not UTF-8 at byte 5"),
        (b"#" * (MAX_FILE + 1), "larger than"),
        (b"a = " + b"[" * 5000 + b"]" * 5000, "nests too deeply"),
    ],
)
def test_damaged_file_is_refused_with_its_reason(file: Path, data: bytes, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        read(written(file, data))

    assert str(file) in str(caught.value)
    assert "very-secret" not in str(caught.value)


def test_directory_in_place_of_the_file_is_an_error_not_a_crash(file: Path) -> None:
    file.mkdir()

    with pytest.raises(ConfigurationError, match="cannot be read"):
        read(file)


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_file_that_others_may_change_is_refused_with_the_command_that_helps(
    file: Path, mode: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("freshkey._files.permissions._is_own_group", lambda gid: False)
    written(file, b"").chmod(mode)

    with pytest.raises(ConfigurationError, match=f"chmod go-w {file}"):
        read(file)


def test_the_group_of_one_person_may_write(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freshkey._files.permissions._is_own_group", lambda gid: True)
    written(file, b'default = "me"').chmod(0o664)
    file.parent.chmod(0o775)

    assert read(file).tables == {"default": "me"}


def test_directory_that_others_may_change_is_refused_unless_it_is_sticky(file: Path) -> None:
    written(file, b"default = 'me'")
    file.parent.chmod(0o777)
    with pytest.raises(ConfigurationError, match=f"chmod go-w {file.parent}$"):
        read(file)

    file.parent.chmod(0o1777)
    assert read(file).tables == {"default": "me"}


def test_file_of_somebody_else_is_refused(file: Path) -> None:
    written(file, b"")
    somebody = os.stat_result((0o100600, 1, 1, 1, 4242, 4242, 0, 0, 0, 0))

    with mock.patch("os.fstat", return_value=somebody), pytest.raises(ConfigurationError, match="user id 4242"):
        read(file)


# --- the line of a key, however the file is written -----------------------------------------------------------------

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
def test_line_is_that_of_the_statement_that_sets_the_key(keys: tuple[str, ...], line: int) -> None:
    assert line_of(TEXT, keys) == line


@pytest.mark.parametrize("keys", [("profiles", "you"), ("client_id",), ("profiles", "me", "lead")])
def test_key_that_is_not_set_has_no_line(keys: tuple[str, ...]) -> None:
    assert line_of(TEXT, keys) is None


def test_inline_tables_are_looked_into() -> None:
    assert line_of('\nprofiles = { me = { provider = "p" } }', ("profiles", "me", "provider")) == 2


def test_long_list_is_not_read_again_for_each_of_its_lines() -> None:
    text = "[profiles.me]\nscopes = [\n" + '"a",\n' * 20_000 + "]\nlead = 3\n"

    with mock.patch("tomllib.loads", wraps=tomllib.loads) as loads:
        assert line_of(text, ("profiles", "me", "lead")) == 20_004
    assert loads.call_count < 10
