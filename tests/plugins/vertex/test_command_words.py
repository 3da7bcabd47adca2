"""Command lines in files of Google and AWS: split as the libraries that run them do, and Windows paths stay whole."""

from __future__ import annotations

import sys

import pytest
from botocore.compat import compat_shell_split

from freshkey_vertex.command_words import of_aws, of_google


windows = pytest.mark.skipif(sys.platform != "win32", reason="backslashes separate the parts of a path only there")


@pytest.mark.parametrize("command", ["a b", '"/with spaces/a" --b', "/a/b  c", '"a b"c d', ""])
def test_words_of_aws_are_those_of_botocore(command: str) -> None:
    assert of_aws(command) == compat_shell_split(command)


@windows
@pytest.mark.parametrize("command", [r"C:\tools\a.exe b", r'"C:\with spaces\a.exe" "--b c"', "C:\\a 'b c'"])
def test_windows_words_of_aws_are_those_of_botocore(command: str) -> None:
    assert of_aws(command) == compat_shell_split(command)


@pytest.mark.parametrize("command", ["'", '"unclosed'])
def test_malformed_command_has_words(command: str) -> None:
    assert of_google(command)
    assert of_aws(command)


@windows
@pytest.mark.parametrize(
    ("command", "words"),
    [
        (r"C:\tools\print.exe --jwt", [r"C:\tools\print.exe", "--jwt"]),
        (r'"C:\with spaces\print.exe" a', [r"C:\with spaces\print.exe", "a"]),
        (r"C:\\tools\\print.exe", [r"C:\\tools\\print.exe"]),
        ("C:/tools/print.exe", ["C:/tools/print.exe"]),
    ],
)
def test_words_of_google_keep_backslashes(command: str, words: list[str]) -> None:
    assert of_google(command) == words
