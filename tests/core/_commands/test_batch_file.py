"""Batch files get their arguments as they are: cmd.exe neither expands nor obeys any (CVE-2024-24576)."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from freshkey._commands.batch_file import MAX_COMMAND, batch_command, is_batch_file, refuse_quoting, startable
from freshkey._commands.helper import run_helper
from freshkey.errors import ConfigurationError
from raises_code import raises_code
from runnable import runnable


SCRIPT = r"C:\my tools\tool.cmd"
BEGIN = r'cmd.exe /e:ON /v:OFF /d /c ""C:\my tools\tool.cmd"'


@pytest.mark.parametrize(
    ("argument", "written"),
    [
        ("plain-1.0/x:y_z@#$*+?", "plain-1.0/x:y_z@#$*+?"),
        (r"C:\folder\file", r"C:\folder\file"),
        ("", '""'),
        ("a b", '"a b"'),
        ("&calc", '"&calc"'),
        ("a^b!c|d<e>f(g),h;i=j'k`l~", '"a^b!c|d<e>f(g),h;i=j\'k`l~"'),
        ('"&calc&"', '"""&calc&"""'),
        (r"x\"&calc", r'"x\\""&calc"'),
        ("C:\\folder\\", '"C:\\folder\\\\"'),
        ("%PATH%", '"%%cd:~,%PATH%%cd:~,%"'),
        ("100%", '"100%%cd:~,%"'),
        ("é\x85", '"é\x85"'),
    ],
)
def test_argument_is_quoted_as_the_standard_library_of_rust_does(argument: str, written: str) -> None:
    assert batch_command(SCRIPT, [argument, "end"]) == f'{BEGIN} {written} end"'


def test_percent_sign_in_the_path_of_a_batch_file_is_not_expanded() -> None:
    assert batch_command(r"C:\%OS%\a.bat", []) == r'cmd.exe /e:ON /v:OFF /d /c ""C:\%%cd:~,%OS%%cd:~,%\a.bat""'


@pytest.mark.parametrize("argument", ["a\nb", "a\rb", "\n", "x" * MAX_COMMAND], ids=["lf", "cr", "only", "long"])
def test_argument_that_cmd_would_cut_off_is_refused(argument: str) -> None:
    with raises_code(ConfigurationError, "invalid-command") as caught:
        batch_command(SCRIPT, ["canary-71d0a3", argument])
    assert "the batch file 'tool.cmd' cannot be given its arguments" in caught.value.message
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("argument", ["", "a b", "&calc", "%PATH%", "a^b", 'a"b', "a;b", "é", "a\nb"])
def test_argument_that_others_would_have_to_quote_is_refused(argument: str) -> None:
    """What starts programs by a list of words quotes for programs: cmd.exe would run ``calc``."""
    refuse_quoting(SCRIPT, ["plain-1.0/x:y_z@#$*+?", "C:\\folder\\", "--for=me,you"])
    with raises_code(ConfigurationError, "invalid-command") as caught:
        refuse_quoting(SCRIPT, ["plain", "canary-71d0a3", argument])
    assert "the batch file 'tool.cmd' was not run" in caught.value.message
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("folder", ["a&calc", "%OS%", "a^b", "a;b", "a,b", "a=b", "a!b"])
def test_path_of_a_batch_file_that_cmd_would_not_take_as_it_is_is_refused(folder: str) -> None:
    for plain in (r"C:\Program Files (x86)\tool.cmd", r"\\server\share\tool.cmd", r"C:\PROGRA~1\Jörg\tool.bat"):
        refuse_quoting(plain, [])
    with raises_code(ConfigurationError, "invalid-command"):
        refuse_quoting(rf"C:\{folder}\tool.cmd", [])


def test_other_programs_are_started_by_their_words() -> None:
    assert startable(["/bin/tool", "&x"]) == (["/bin/tool", "&x"], "/bin/tool")


@pytest.mark.skipif(sys.platform != "win32", reason="other systems start them as any file")
def test_batch_file_is_started_by_the_system_s_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    system = Path(os.environ["SYSTEMROOT"], "System32", "cmd.exe")
    monkeypatch.setenv("COMSPEC", r"C:\evil.exe")
    arguments, executable = startable([SCRIPT, "&x"])
    assert (arguments, Path(executable)) == (f'{BEGIN} "&x""', system)


def test_batch_files_are_known_by_their_extension() -> None:
    assert list(map(is_batch_file, ["a.bat", "a.CMD", "a.cmd.exe", "a.exe", "bat"])) == [
        True,
        True,
        False,
        False,
        False,
    ]


HARMLESS = [
    "a",
    "b c",
    "",
    "&echo evil",
    '"&echo evil',
    'a"b',
    "a^b",
    "!OS!",
    "C:\\x\\",
    "C:\\x y\\",
    "a|b",
    "(x)",
    "é",
]
HARMLESS += ['{"a": "b"}', r"a\"b", '" & echo evil & "', "<x>", "a,b;c=d", "'x'", "*", "~", "-", "/c"]


@pytest.mark.skipif(sys.platform != "win32", reason="only Windows has batch files")
def test_batch_file_gets_what_it_was_given(tmp_path: Path) -> None:
    tool = runnable(tmp_path / "my tool", "import json; print(json.dumps(sys.argv[1:]))")
    assert json.loads(run_helper([str(tool), *HARMLESS]).reveal()) == HARMLESS


@pytest.mark.skipif(sys.platform != "win32", reason="only Windows has batch files")
def test_refused_argument_starts_nothing(tmp_path: Path) -> None:
    tool = runnable(tmp_path / "tool", "open('ran', 'w').close()")
    with raises_code(ConfigurationError, "invalid-command"):
        run_helper([str(tool), "a\nb"], directory=tmp_path)
    assert not (tmp_path / "ran").exists()
