"""Finds the file of a program on Windows, and writes the command line that passes a batch file its arguments."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Final


BATCH: Final = (".bat", ".cmd")
MAX_BATCH_LINE: Final = 8191
"""Longest command line of ``cmd.exe``; the rest of a longer one would be lost."""

_EXTENSIONS: Final = ".COM;.EXE;.BAT;.CMD"
"""What an unset PATHEXT means to ``cmd.exe``, as far as it can be run without another program."""

_NEED_NO_QUOTES: Final = frozenset(r"#$*+-./:?@\_")

# Leaves a % and no variable: `cd` always exists, and an empty part of it is taken. Unlike ^ or a second %, it also
# works within quotes.
_PERCENT: Final = "%%cd:~,%"


class UnsafeArgumentError(ValueError):
    """An argument cannot be passed to a batch file; the message says why and quotes nothing."""


def find(named: str, environ: Mapping[str, str]) -> str | None:
    """Return the absolute path of a program's file, or None if there is none.

    Unlike CreateProcess and `shutil.which`, never looks into the working directory unless `named` is a path.

    Args:
        named: A path, or a name that is looked up on PATH; without its extension, PATHEXT has it.
        environ: The environment of the program, with upper-case names.
    """
    if os.path.dirname(named):  # noqa: PTH120  also C:tool, and an empty name must stay one
        return next(filter(os.path.exists, _candidates(os.path.abspath(named), environ, itself=True)), None)  # noqa: PTH100
    if not named:
        return None
    for entry in environ.get("PATH", "").split(os.pathsep):
        folder = entry.strip('"')
        if os.path.isabs(folder):  # noqa: PTH117
            for candidate in _candidates(os.path.join(folder, named), environ, itself=False):  # noqa: PTH118
                if os.path.isfile(candidate):  # noqa: PTH113
                    return os.path.abspath(candidate)  # noqa: PTH100  drops the dots and spaces that Windows drops
    return None


def _candidates(path: str, environ: Mapping[str, str], *, itself: bool) -> Iterator[str]:
    """Yield the files that a path can mean, in order; its exact name counts only with an extension, or if `itself`."""
    extensions = [each for each in (environ.get("PATHEXT") or _EXTENSIONS).split(";") if each.startswith(".")]
    known = path.lower().endswith(tuple(map(str.lower, extensions)))
    if known:
        yield path
    # npm, for example, puts a script for other systems beside tool.cmd, under the plain name.
    yield from (path + each.lower() for each in extensions)
    if itself and not known:
        yield path


def is_batch(path: str) -> bool:
    """Return whether ``cmd.exe`` runs this file, given its absolute path as from `find`."""
    return path.lower().endswith(BATCH)


def batch_line(path: str, arguments: Sequence[str]) -> str:
    """Return the arguments of ``cmd.exe`` with which it runs a batch file, whatever they are, and nothing else.

    ``cmd.exe`` takes apart a line that was quoted for any other program: an argument could run commands
    (CVE-2024-24576). This quotes as Rust's standard library does.

    Raises:
        UnsafeArgumentError: An argument cannot be quoted, or the line is too long.
    """
    if any(set("\r\n\0") & set(argument) for argument in arguments):
        raise UnsafeArgumentError("a batch file cannot be passed an argument that contains a line break")
    words = [_quoted_word(path, always=True), *map(_quoted_word, arguments)]
    # Extensions on, as `_PERCENT` needs; no expansion of !NAME!; no AutoRun commands from the registry.
    line = f'/e:ON /v:OFF /d /c "{" ".join(words)}"'
    if len(line) > MAX_BATCH_LINE - len("cmd.exe "):
        raise UnsafeArgumentError(f"a batch file cannot be passed more than {MAX_BATCH_LINE} characters")
    return line


def _quoted_word(word: str, *, always: bool = False) -> str:
    # With a backslash at the end, "%~1" in the batch file would escape its own quote.
    if not (always or not word or word.endswith("\\") or any(map(_needs_quotes, word))):
        return word
    # For the program that the batch file passes it to: as CommandLineToArgvW reads it, and with "" for a quote.
    parts = word.split('"')
    doubled = [part + "\\" * (len(part) - len(part.rstrip("\\"))) for part in parts]
    return '"' + '""'.join(doubled).replace("%", _PERCENT) + '"'


def _needs_quotes(character: str) -> bool:
    return "\x80" <= character <= "\x9f" or (
        character.isascii() and not character.isalnum() and character not in _NEED_NO_QUOTES
    )
