"""Finding the line of a key, however the file is written."""

from __future__ import annotations

import tomllib
from unittest import mock

import pytest

from freshkey._config.toml_lines import line_of


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

    with mock.patch("freshkey._config.toml_lines.tomllib.loads", wraps=tomllib.loads) as loads:
        assert line_of(text, ("profiles", "me", "lead")) == 20_004
    assert loads.call_count < 10
