"""Words in commands that hints tell the user to run: the shells of the platform read them as one."""

from __future__ import annotations

import subprocess
import sys

import pytest

from freshkey._text.shell_word import shell_word


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (r"C:\Users\me\.freshkey.toml", r"C:\Users\me\.freshkey.toml"),
        (r"C:\Users\Владимир\x", r"C:\Users\Владимир\x"),
        (r"\\server\share\my project", r'"\\server\share\my project"'),
        ("C:\\my project\\", r'"C:\my project\\"'),
        (r"C:\Users\O'Neil & Co (x86)", r'''"C:\Users\O'Neil & Co (x86)"'''),
        (r"C:\it's $HOME", r"'C:\it''s $HOME'"),
        ("~/x", '"~/x"'),
        ("", '""'),
    ],
)
def test_words_for_cmd_and_powershell(text: str, word: str) -> None:
    assert shell_word(text, platform="win32") == word


def test_words_for_unix_shells() -> None:
    assert shell_word("/it's", platform="linux") == """'/it'"'"'s'"""
    assert shell_word("/home/me/.freshkey.toml", platform="darwin") == "/home/me/.freshkey.toml"


@pytest.mark.skipif(sys.platform != "win32", reason="Windows splits a command line in the program itself")
def test_programs_get_the_word_as_it_was() -> None:
    words = ["C:\\my project\\", r"C:\my project\x", 'a "b" \\', "", r"C:\x", 'x\\"y z\\\\']
    line = " ".join([f'"{sys.executable}"', "-c", '"import sys; print(ascii(sys.argv[1:]))"', *map(shell_word, words)])
    done = subprocess.run(line, capture_output=True, encoding="ascii", check=True)

    assert done.stdout.strip() == ascii(words)
