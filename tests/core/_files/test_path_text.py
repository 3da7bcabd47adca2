"""A path that only a shell would read as it was meant is recognized; a path that is merely unusual is not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from freshkey.plugin import path_flaw


@pytest.mark.parametrize(
    ("text", "flaw"),
    [
        ('"/home/me/x"', "quotes"),
        ("'/home/me/x'", "quotes"),
        ("\u201c/home/me/x\u201d", "quotes"),
        ('/home/me/x"', "quotes"),
        ('"', "quotes"),
        ("/home/me/x ", "space"),
        ("/home/me/x\r", "line break"),
        ("~/x", "~"),
        ("~me/x", "~"),
        ("$HOME/x", "variable"),
        ("${HOME}/x", "variable"),
        ("/home/$USER/x", "variable"),
        ("${HOME:-/home/me}/x", "variable"),
        ("%APPDATA%\\x", "variable"),
        ("file:///home/me/x", "URL"),
    ],
)
def test_what_only_a_shell_would_read_is_named_and_not_quoted(text: str, flaw: str) -> None:
    found = path_flaw(text)

    assert found is not None
    assert flaw in found
    assert "me/x" not in found


@pytest.mark.parametrize(
    "text",
    ["/home/me/x", "x", "", "/home/o'brien/x", "/a b/c", "C:\\Users\\RUNNER~1\\x", "/50%/100%", "/x/$", "files/x"],
)
def test_unusual_paths_are_paths(text: str) -> None:
    assert path_flaw(text) is None


@pytest.mark.parametrize("name", ["$HOME", "%x%", "o'", 'o"', "o\u2019", "'o'", "~", "~x", " o", "o ", "file:", "'"])
def test_what_exists_has_the_name_that_was_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    if sys.platform == "win32" and name in {'o"', "o ", "file:"}:
        pytest.skip("no such names on this platform")
    monkeypatch.chdir(tmp_path)
    assert path_flaw(name) is not None

    Path(name).mkdir()
    assert path_flaw(name) is None


def test_what_no_file_can_have_in_its_name_is_named() -> None:
    assert path_flaw("'\0'") is not None
