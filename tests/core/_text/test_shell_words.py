"""Words of commands that the user is told to run, quoted for the shells of the system."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
        ('a" & calc & "b', '"a"" & calc & ""b"'),
        ('"', '""""'),
        ('a\\"b\\\\', r'"a\\""b\\\\"'),
    ],
)
def test_word_is_quoted_for_both_shells_of_windows(word: str, written: str) -> None:
    assert shell_quoted(word, platform="win32") == written


AWKWARD = st.text(st.sampled_from("a \"'\\&|<>^();$`@,#\u201c\u201d\u201e"))


@given(AWKWARD)
def test_no_shell_of_windows_takes_a_part_of_a_word_for_a_command(word: str) -> None:
    written = shell_quoted(word, platform="win32")
    assert not set("&|<>^();, ") & set(outside_of_quotation_marks(written))
    assert as_powershell_reads(written).replace("\\", "") == word.replace("\\", "")


@given(AWKWARD.filter(lambda word: not set(word) & set("$`\u201c\u201d\u201e")))
def test_program_reads_the_word_as_it_was(word: str) -> None:
    assert as_the_c_runtime_reads(shell_quoted(word, platform="win32")) == word


def outside_of_quotation_marks(written: str) -> str:
    """Return what cmd.exe looks at for its own characters: to it, each mark begins or ends a quotation."""
    return "".join(written.split('"')[::2])


def as_powershell_reads(written: str) -> str:
    """Return the value of a string, or of a plain word; it fails if it is not one of them as a whole."""
    if not written.startswith('"'):
        return written
    matched = re.fullmatch(r'"((?:`.|""|[^`"\u201c\u201d\u201e$])*)"', written)
    assert matched is not None, written
    return re.sub(r'`(.)|"(")', r"\1\2", matched[1])


def as_the_c_runtime_reads(written: str) -> str:
    """Return the argument, by Microsoft's "Parsing C command-line arguments"; it fails if it is more than one."""
    read, quoted, rest = "", False, written
    while rest:
        matched = re.match(r'(\\*)("?)', rest)
        assert matched is not None
        slashes, mark = matched.groups()
        rest = rest[matched.end() :]
        if not mark:
            assert quoted or not rest.startswith(" "), written
            read += slashes + rest[:1]
            rest = rest[1:]
        elif len(slashes) % 2:
            read += slashes[: len(slashes) // 2] + '"'
        elif quoted and rest.startswith('"'):
            read += slashes[: len(slashes) // 2] + '"'
            rest = rest[1:]
        else:
            read += slashes[: len(slashes) // 2]
            quoted = not quoted
    assert not quoted
    return read


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
