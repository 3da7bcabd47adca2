"""Words of commands that the user is told to run, quoted for the shells of the system."""

from __future__ import annotations

import sys

import pytest

from freshkey._text.shell_words import shell_joined, shell_quoted


@pytest.mark.skipif(sys.platform != "win32", reason="other systems have shells of POSIX")
@pytest.mark.parametrize(
    ("word", "written"),
    [
        (r"C:\Users\ada\x.py", r"C:\Users\ada\x.py"),
        (r"C:\Program Files\x", r'"C:\Program Files\x"'),
        ("", '""'),
        ("it's", '"it\'s"'),
        ("a&calc", '"a&calc"'),
        ("$(calc)`x", '"`$(calc)``x"'),
        ("a\u201d;calc;\u201c", '"a`\u201d;calc;`\u201c"'),
        ("@x", '"@x"'),
        ("a,b", '"a,b"'),
    ],
)
def test_word_is_quoted_for_both_shells_of_windows(word: str, written: str) -> None:
    assert shell_quoted(word) == written


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no shell of POSIX")
def test_word_is_quoted_for_a_shell_of_posix() -> None:
    assert shell_joined(["freshkey", "trust", "/a b", "it's", "$x"]) == "freshkey trust '/a b' 'it'\"'\"'s' '$x'"


def test_plain_words_stay_as_they_are() -> None:
    assert shell_joined(["freshkey", "login", "--set=a", "x-1.0"]) == "freshkey login --set=a x-1.0"
