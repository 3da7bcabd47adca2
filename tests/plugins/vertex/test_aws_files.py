"""AWS's files for google-auth: malformed ones are refused in a time that is linear in their length."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from freshkey.errors import ConfigurationError
from freshkey_vertex.aws_files import _doubled, _sections
from raises_code import raises_code


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
    with raises_code(ConfigurationError, "vertex-no-identity-token"):
        _sections(content.decode(), Path("config"))
    assert time.process_time() - began < 5.0


def test_a_profile_under_two_spellings_is_found_with_its_line() -> None:
    text = "[profile a]\nx = 1\n\n[profile b]\n" + '[profile "a"]\n' + "[profile  b]\n"
    assert _doubled(text) == {"a": 5, "b": 6}
