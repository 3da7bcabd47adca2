"""The command line that runs a batch file with its arguments as they are, although cmd.exe reads them as code.

Windows runs a ``.bat`` or ``.cmd`` file by cmd.exe, which expands variables and obeys ``&`` also where the program
meant an argument; quoting as for other programs does not help (CVE-2024-24576). This is how Rust's standard library
quotes since then. See docs/decisions.md, "Batch files get their arguments unchanged, or do not run".
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import PureWindowsPath
from typing import Final

from freshkey.errors import ConfigurationError
from freshkey.secret import quoted


MAX_COMMAND: Final = 8191
"""Characters of a command line that cmd.exe reads."""

_PLAIN: Final = re.compile(r"[\w#$*+\-./:?@\\]*[\w#$*+\-./:?@]", re.ASCII)
"""What needs no quotation marks: no other character of ASCII, and no backslash before the closing one."""

_HARMLESS: Final = re.compile(r"[\w#$*+\-./:?@\\=,]+", re.ASCII)
"""An argument of which cmd.exe runs nothing: it only separates, as it does for who types it."""

_PLAIN_PATH: Final = re.compile(r"(?:\w:|\\)\\[\w #$+\-.@()~'\[\]{}\\]*")
"""A path that cmd.exe takes as it is, with or without quotation marks around it."""

_PERCENT: Final = "%%cd:~,%"
"""A percent sign, to cmd.exe: one that begins no variable, and a part without length of ``cd``."""


def is_batch_file(program: str) -> bool:
    """Return whether Windows runs a program by cmd.exe; it must be a path by `freshkey._commands.lookup.find_program`.

    That ends with an extension as it is, so nothing that Windows ignores at its end can hide it (CVE-2024-43402).
    """
    return program.lower().endswith((".bat", ".cmd"))


def batch_command(program: str, arguments: Sequence[str]) -> str:
    """Return the command line, for the system's cmd.exe, that runs a batch file.

    Args:
        program: The absolute path of the batch file.
        arguments: Its arguments.

    Raises:
        ConfigurationError: cmd.exe would cut the arguments off: they have a line break, or are too long.
    """
    words = " ".join([f'"{program.replace("%", _PERCENT)}"', *map(_quoted, arguments)])
    # With extensions, without expansion of "!" and without the commands that the registry has for each start.
    command = f'cmd.exe /e:ON /v:OFF /d /c "{words}"'
    if len(command) > MAX_COMMAND or not {"\r", "\n", "\0"}.isdisjoint(command):
        raise ConfigurationError(
            f"the batch file {quoted(PureWindowsPath(program).name)} cannot be given its arguments: they have a line "
            f"break, or more than {MAX_COMMAND} characters in total",
            hint="Name the program that it starts, or a script that has these arguments",
            code="invalid-command",
        )
    return command


def _quoted(argument: str) -> str:
    # Backslashes count only before a quotation mark, and a quotation mark is doubled.
    text = re.sub(r'(\\*)"', r'\1\1""', argument).replace("%", _PERCENT)
    if argument.isascii() and _PLAIN.fullmatch(argument):
        return text
    return '"' + re.sub(r"(\\+)\Z", r"\1\1", text) + '"'


def refuse_quoting(program: str, arguments: Sequence[str]) -> None:
    """Refuse a batch file, or arguments of one, that could not be run safely without `batch_command`.

    For who starts programs by `subprocess` with a list of words: that quotes them for programs, not for cmd.exe.

    Raises:
        ConfigurationError: cmd.exe could run a part of them.
    """
    if not all(map(_HARMLESS.fullmatch, arguments)) or not _PLAIN_PATH.fullmatch(program):
        raise ConfigurationError(
            f"the batch file {quoted(PureWindowsPath(program).name)} was not run: Windows could run a part of its path "
            "or arguments as a command",
            hint="Name the program that it starts, or a batch file in a plain path that needs no such arguments",
            code="invalid-command",
        )


def startable(words: Sequence[str]) -> tuple[Sequence[str] | str, str]:
    """Return the arguments and the executable with which `subprocess` starts a program.

    Args:
        words: The absolute path of the program, and its arguments.

    Raises:
        ConfigurationError: It is a batch file, which cannot be given these arguments.
    """
    if sys.platform == "win32" and is_batch_file(words[0]):
        from freshkey._files.windows_system import system_directory

        return batch_command(words[0], words[1:]), f"{system_directory()}\\cmd.exe"
    return words, words[0]
