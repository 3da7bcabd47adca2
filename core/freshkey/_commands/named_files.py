"""Which files the words of a command name: as a path, or within an option, an assignment, a URL or a shell's code.

A word that only looks like the name of a file costs one more question after that file changed; one that is overlooked
would let a changed file run. So every way to write a path counts that is common in arguments.
"""

from __future__ import annotations

import glob
import os
import re
import shlex
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import unquote


MAX_PATH: Final = 1024
"""Characters of a path; longer text is not one."""

MAX_PARTS: Final = 4000
"""Different parts of all words of a command that may be paths; nobody writes a command with more."""

MAX_PATTERNS: Final = 32
MAX_DEPTH: Final = 16
"""Patterns such as ``*.sh`` in a command, and names in that of a module."""

MAX_OPTION: Final = 256
"""Characters at the start of an option after which its value may follow."""

MAX_WILDCARDS: Final = 4

_BETWEEN: Final = re.compile(r"\$\{?\w+\}?|[\s=:,;'\"()<>|&@`{}#!]+")
"""What is before, between and after the paths in a word, variables of a shell included."""

_RELATIVE: Final = re.compile(r"(?<!\.)\.{1,2}/")
_MODULE: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_SUFFIXES: Final = (
    ".py",
    ".pyc",
    ".js",
    ".mjs",
    ".cjs",
    ".ts",
    ".rb",
    ".pl",
    ".pm",
    ".sh",
    ".so",
    ".jar",
    ".lua",
    ".php",
)
"""What interpreters add to the name of a module or script."""


class TooManyPartsError(Exception):
    """A command has more parts than can be looked at."""


def named_files(words: Sequence[str], directory: Path) -> set[Path]:
    """Return the existing files and directories that words name, with paths relative to `directory`.

    A directory is left out if only a part of a word names it and it is `directory` itself or one above it: ``.`` in
    ``jq .`` is not a path. A link counts even if it is dangling: its target can appear later.

    Raises:
        TooManyPartsError: They have too many parts.
    """
    found = {file for word in words if word and _exists(file := directory / word)}
    parts: set[str] = set()
    for word in words:
        for part in _parts(word):
            parts.add(part)
            if len(parts) > MAX_PARTS:
                raise TooManyPartsError
    if sum(map(_is_pattern, parts)) > MAX_PATTERNS:
        raise TooManyPartsError
    known = _names(directory)
    candidates = {candidate for part in parts for candidate in _candidates(part) if _may_exist(candidate, known)}
    files = {file for candidate in candidates if _exists(file := directory / candidate)}
    files.update(file for part in parts if _is_pattern(part) for file in _matches(part, directory))
    return found | {file for file in files if not _holds(file, directory)}


def _names(directory: Path) -> set[str] | None:
    """Return the names in a directory, regardless of case, to which most look-ups are then compared: it is cheaper."""
    with suppress(OSError):
        return {name.casefold() for name in os.listdir(directory)}  # noqa: PTH208  names, not paths
    return None


def _may_exist(candidate: str, known: set[str] | None) -> bool:
    first = candidate.partition("/")[0]
    # A file system may know other spellings of a name that is not ASCII.
    return known is None or first in {"", ".", ".."} or first.casefold() in known or not first.isascii()


def _parts(word: str) -> Iterator[str]:
    """Yield all parts of a word that may be a path."""
    for part in _pieces(word):
        if not part or len(part) > MAX_PATH:
            continue
        yield part
        yield from (part[found.start() :] for found in _RELATIVE.finditer(part))
        if part[0] in "-+":  # the value of a short option can follow it, and others: -c./tool, -xvfFILE
            yield from (part[start:] for start in range(1, min(len(part), MAX_OPTION)))


def _pieces(word: str) -> Iterator[str]:
    texts = [word, unquote(word), os.path.expandvars(word)]
    with suppress(ValueError):  # quotes that are not closed
        texts += shlex.split(word)
    for text in dict.fromkeys(texts):
        yield text
        yield from _BETWEEN.split(text)
        ends = (found.end() for found in _BETWEEN.finditer(text))
        yield from (text[end:] for end in ends if len(text) - end <= MAX_PATH)  # paths with a space in them


def _is_pattern(text: str) -> bool:
    return 0 < sum(map(text.count, "*?[")) <= MAX_WILDCARDS


def _candidates(part: str) -> list[str]:
    """Return the paths that a part may be."""
    text = os.path.expanduser(part)  # noqa: PTH111  never raises
    candidates = [text, *(f"{text}{suffix}" for suffix in _SUFFIXES)]
    if text.startswith("/"):
        # After a variable or a host: $PWD/tool, file:///srv/tool, file://localhost/srv/tool.
        rest = text.lstrip("/")
        candidates += [rest, f"/{rest}", f"/{rest.partition('/')[2]}"]
    if _MODULE.fullmatch(text):
        names = text.split(".")[:MAX_DEPTH]  # the packages above a module run too
        packages = ["/".join(names[:depth]) for depth in range(1, len(names) + 1)]
        candidates += [f"{package}{suffix}" for package in packages for suffix in ("", ".py")]
    return candidates


def _matches(part: str, directory: Path) -> Iterator[Path]:
    text = os.path.expanduser(part)  # noqa: PTH111  never raises
    if not text.startswith("/") or text.startswith(f"{directory}/"):
        with suppress(OSError, ValueError, re.error):
            yield from (directory / match for match in glob.iglob(text, root_dir=directory))  # noqa: PTH207


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
