"""A path that only a shell would read as it was meant is recognized; a path that is merely unusual is not."""

from __future__ import annotations

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


def test_variable_in_the_name_of_what_exists_is_a_name(tmp_path: Path) -> None:
    strange = tmp_path / "$HOME"
    assert path_flaw(str(strange)) is not None

    strange.mkdir()
    assert path_flaw(str(strange)) is None
