"""Words of commands that the user is told to run, quoted for the shells of the system."""

from __future__ import annotations

import subprocess
import sys

import pytest

from freshkey._text.shell_words import install_command, shell_joined, shell_quoted


@pytest.mark.parametrize(
    ("word", "written"),
    [
        (r"C:\Users\me\.freshkey.toml", r"C:\Users\me\.freshkey.toml"),
        (r"C:\Users\Владимир\x", r"C:\Users\Владимир\x"),
        (r"\\server\share\my project", r'"\\server\share\my project"'),
        ("C:\\my project\\", r'"C:\my project\\"'),
        (r"C:\Users\O'Neil & Co (x86)", r'''"C:\Users\O'Neil & Co (x86)"'''),
        (r"C:\it's $HOME", r'''"C:\it's `$HOME"'''),
        ("~/x", '"~/x"'),
        ("", '""'),
        ("a&calc", '"a&calc"'),
        ("$(calc)`x", '"`$(calc)``x"'),
        ("a\u201d;calc;\u201c", '"a`\u201d;calc;`\u201c"'),
        ("@x", '"@x"'),
        ("a,b", '"a,b"'),
    ],
)
def test_word_is_quoted_for_both_shells_of_windows(word: str, written: str) -> None:
    assert shell_quoted(word, platform="win32") == written


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no shell of POSIX")
def test_word_is_quoted_for_a_shell_of_posix() -> None:
    assert shell_joined(["freshkey", "trust", "/a b", "it's", "$x"]) == "freshkey trust '/a b' 'it'\"'\"'s' '$x'"


def test_plain_words_stay_as_they_are() -> None:
    assert shell_joined(["freshkey", "login", "--set=a", "x-1.0"]) == "freshkey login --set=a x-1.0"


@pytest.mark.skipif(sys.platform != "win32", reason="Windows splits a command line in the program itself")
def test_programs_get_the_word_as_it_was() -> None:
    words = ["C:\\my project\\", r"C:\my project\x", 'a "b" \\', "", r"C:\x", 'x\\"y z\\\\']
    code = '"import sys; print(ascii(sys.argv[1:]))"'
    line = " ".join([f'"{sys.executable}"', "-c", code, shell_joined(words)])
    done = subprocess.run(line, capture_output=True, encoding="ascii", check=True)

    assert done.stdout.strip() == ascii(words)


def test_packages_are_installed_by_the_command_of_the_system() -> None:
    command = "py -m pip install" if sys.platform == "win32" else "python3 -m pip install"
    assert install_command("freshkey-cli", "x[y]") == f"{command} freshkey-cli {shell_quoted('x[y]')}"
