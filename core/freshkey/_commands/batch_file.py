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

_PERCENT: Final = "%%cd:~,%"
"""A percent sign, to cmd.exe: one that begins no variable, and a part without length of ``cd``."""

_MAX_PATH: Final = 260


def is_batch_file(program: str) -> bool:
    """Return whether Windows runs a program by cmd.exe; it must be a path by `freshkey._commands.lookup.find_program`.

    That ends with an extension as it is, so nothing that Windows ignores at its end can hide it (CVE-2024-43402).
    """
    return program.lower().endswith((".bat", ".cmd"))


def batch_command(program: str, arguments: Sequence[str]) -> str:
    """Return the command line, for `command_interpreter`, that runs a batch file.

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


if sys.platform == "win32":

    def command_interpreter() -> str:
        """Return the absolute path of cmd.exe; variables do not count, because a project may set them."""
        import ctypes

        folder = ctypes.create_unicode_buffer(_MAX_PATH)
        if not ctypes.windll.kernel32.GetSystemDirectoryW(folder, _MAX_PATH):
            raise ctypes.WinError()
        return f"{folder.value}\\cmd.exe"
