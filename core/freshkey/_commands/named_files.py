"""Which files the words of a command name: as a path, or within an option, an assignment, a URL or a shell's code.

A word that only looks like the name of a file costs one more question after that file changed; one that is overlooked
would let a changed file run. So every way to write a path counts that is common in arguments, and `is_literal` tells
for which words that is all: what a shell or another interpreter would first expand or compute is not understood here.
"""

from __future__ import annotations

import base64
import os
import re
import shlex
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Final
from urllib.parse import unquote


MAX_PATH: Final = 1024
"""Characters of a path; longer text is not one."""

MAX_PARTS: Final = 4000
"""Different parts of all words of a command that may be paths; nobody writes a command with more."""

MAX_DEPTH: Final = 16
"""Names in that of a module."""

MAX_OPTION: Final = 256
"""Characters at the start of an option after which its value may follow."""

_BETWEEN: Final = re.compile(r"\$\{?\w+\}?|%\w+%|[\s=:,;'\"()<>|&@`{}#!*?\[\]]+")
"""What is before, between and after the paths in a word, variables of a shell included."""

_BETWEEN_WITH_DRIVES: Final = re.compile(r"\$\{?\w+\}?|%\w+%|(?:[\s=,;'\"()<>|&@`{}#!*?\[\]]|(?<!\b[A-Za-z]):)+")
"""The same between paths of Windows: without its drive, one would lie on that of the working directory."""

_EXPANDED: Final = re.compile(r"[$`*?\[{\\'\"(]|(?<!\w)~|(?<![\w.])\.\.(?![\w.])")
"""What a shell expands, what quotes or computes in any language, and the way up from any directory."""

_EXPANDED_ON_WINDOWS: Final = re.compile(
    r"[$`*?\[{'\"(%^!]|(?<!\w)~|(?<![\w.])\.\.(?![\w.])|(?<=.)\\(?![\w.@-]|\Z)|\\\\|(?<![:/])//|////", re.DOTALL
)
"""The same with what cmd.exe expands and quotes by. A backslash separates names; two, or one before another character,
may be code for a shell that came from elsewhere, or lead through the network to this computer."""

_LOCAL: Final = re.compile(r"\\\\[?.]\\[A-Za-z]:\\")
"""How Windows also writes the path of a local drive, which ``..`` may leave again."""

_RELATIVE: Final = re.compile(r"(?<!\.)\.{1,2}/")
_LEAST_CODE: Final = 11
"""Characters of four letters."""
_BASE64: Final = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2,3}={0,2})?")
_MODULE: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")


_OPTION: Final = "-+/" if sys.platform == "win32" else "-+"
"""How options begin."""


class TooManyPartsError(Exception):
    """A command has more parts than can be looked at."""


def is_literal(word: str) -> bool:
    """Return whether `named_files` finds all that a word names, also if it is code that is made of plain words."""
    expanded = _EXPANDED_ON_WINDOWS if sys.platform == "win32" else _EXPANDED
    return not expanded.search(word) and _code_in(word) is None


def _code_in(word: str) -> str | None:
    """Return the code that PowerShell is given by ``-EncodedCommand``: Base64 of UTF-16; None for any other word."""
    if len(word) < _LEAST_CODE or not _BASE64.fullmatch(word):
        return None
    data = base64.b64decode(word + "=" * (-len(word) % 4))
    return None if any(data[1::2]) else data.decode("utf-16-le", "replace")


def parts_of(words: Sequence[str]) -> set[str]:
    """Return all parts of words that may be a path, or the name of a program.

    Raises:
        TooManyPartsError: They have too many parts.
    """
    parts: set[str] = set()
    for word in words:
        for part in _parts(word):
            parts.add(part)
            if len(parts) > MAX_PARTS:
                raise TooManyPartsError
    return parts


def named_files(words: Sequence[str], directory: Path, *, elsewhere: bool = True) -> set[Path]:
    """Return the existing files and directories that words name, with paths relative to `directory`.

    The name of a file may lack its suffix, because interpreters add one. A directory is left out if only a part of a
    word names it and it is `directory` itself or one above it: ``.`` in ``jq .`` is not a path. A link counts even if
    it is dangling: its target can appear later.

    Args:
        words: The words of a command.
        directory: What their relative paths are relative to.
        elsewhere: Whether to look also where `is_on_another_computer` is true.

    Raises:
        TooManyPartsError: They have too many parts.
    """
    whole, parts = {directory / word for word in words if word}, named_paths(words, directory)
    if not elsewhere:
        whole = {path for path in whole if not is_on_another_computer(path, directory)}
        parts = {path for path in parts if not is_on_another_computer(path, directory)}
    found = set(filter(_exists, whole))
    folders: dict[Path, dict[str, list[Path]]] = {}
    files = {file for path in parts for file in _at(path, folders)}
    return found | {file for file in files if not _holds(file, directory)}


def named_paths(words: Sequence[str], directory: Path) -> set[Path]:
    """Return all paths that words may name, whether they exist or not.

    Raises:
        TooManyPartsError: They have too many parts.
    """
    return {directory / one for part in parts_of(words) for one in _candidates(part, directory)}


def is_on_another_computer(path: PurePath, directory: PurePath) -> bool:
    """Return whether Windows would connect to another computer to look at a path, and `directory` is not there.

    The connection may send it what proves the user's password. A URL is such a path, too: ``//host/file``.
    """
    text = str(path)
    there = text.startswith("\\\\") and (not _LOCAL.match(text) or ".." in path.parts)
    return there and path.drive.casefold() != directory.drive.casefold()


def _at(path: Path, folders: dict[Path, dict[str, list[Path]]]) -> Iterator[Path]:
    """Yield a path if it exists, and the files that have the same name with a suffix; lists each directory once."""
    if _exists(path):
        yield path
    if path.parent not in folders:
        listed = folders[path.parent] = {}
        with suppress(OSError, ValueError):
            for name in os.listdir(path.parent):  # noqa: PTH208  names, not paths
                listed.setdefault(_stem(name), []).append(path.with_name(name))
    start = f"{path.name}.".casefold()
    for file in folders[path.parent].get(_stem(path.name), ()):
        if file.name.casefold().startswith(start) and not is_directory(file):
            yield file


def _stem(name: str) -> str:
    return name.partition(".")[0].casefold()


def _parts(word: str) -> Iterator[str]:
    """Yield all parts of a word that may be a path."""
    for part in _pieces(word):
        if not part or len(part) > MAX_PATH:
            continue
        yield part
        yield from (part[found.start() :] for found in _RELATIVE.finditer(part))
        if part[0] in _OPTION:  # the value of a short option can follow it, and others: -c./tool, -xvfFILE
            yield from (part[start:] for start in range(1, min(len(part), MAX_OPTION)))


def _pieces(word: str) -> Iterator[str]:
    texts = [word, unquote(word), os.path.expandvars(word), _code_in(word) or ""]
    with suppress(ValueError):  # quotes that are not closed
        texts += shlex.split(word)
    if sys.platform == "win32":
        texts += [text.replace("\\", "/") for text in texts]
    for text in dict.fromkeys(texts):
        yield text
        yield from _BETWEEN.split(text)
        if sys.platform == "win32":
            yield from _BETWEEN_WITH_DRIVES.split(text)
        ends = (found.end() for found in _BETWEEN.finditer(text))
        yield from (text[end:] for end in ends if len(text) - end <= MAX_PATH)  # paths with a space in them


def _candidates(part: str, directory: Path) -> list[str]:
    """Return the paths that a part may be."""
    text = os.path.expanduser(part)  # noqa: PTH111  never raises
    candidates = [text]
    if text.startswith("/"):
        # After a variable or a host: $PWD/tool, file:///srv/tool, file://localhost/srv/tool.
        rest = text.lstrip("/")
        candidates += [rest, f"/{rest}", f"/{rest.partition('/')[2]}"]
    if (above := f"{directory.name}/") in text:  # from a directory above: cd /srv; project/tool
        candidates.append(text.rpartition(above)[2])
    if _MODULE.fullmatch(text):
        names = text.split(".")[:MAX_DEPTH]  # the packages above a module run too
        candidates += ["/".join(names[:depth]) for depth in range(1, len(names) + 1)]
    return candidates


def _exists(path: Path) -> bool:
    # What is too long, or otherwise not a valid path, does not name a file.
    with suppress(OSError, ValueError, RuntimeError):
        path.lstat()
        return True
    return False


def is_directory(path: Path) -> bool:
    """Return whether a path leads to a directory."""
    with suppress(OSError, ValueError):
        return stat.S_ISDIR(path.stat().st_mode)
    return False


def _holds(path: Path, directory: Path) -> bool:
    with suppress(OSError, RuntimeError):
        return directory.resolve().is_relative_to(path.resolve())
    return False
