"""The contents of a project's files that a command names: hashed when it is trusted, and again before each run."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from attrs import define, field

from freshkey._commands.named_files import TooManyPartsError, is_directory, is_literal, named_files
from freshkey._commands.process import refuse_unsafe_program, too_long, unsafe_program
from freshkey._files.bounded import NotRegularError
from freshkey._files.owned import UnsafePathError, check_directory, listed_directory, open_owned
from freshkey.errors import ConfigurationError


MAX_PROGRAM: Final = 268_435_456
"""Maximum total size in bytes of the project files that one command names."""

MAX_FILES: Final = 10_000
"""Maximum number of files in the directories that one command names."""

MAX_DEPTH: Final = 100
"""Maximum number of directories inside each other, each of which is open while it is read."""

_LEFT_OUT: Final = frozenset({".git"})
"""Changes with every commit, and no commit can contain it."""

_FIRST_LINE: Final = re.compile(rb"#!([^\n]{1,250})")


def pinned(argv: Sequence[str], directory: Path) -> dict[Path, str]:
    """Return the digests of the files and directories that a command names, for `Command.pins`.

    These are all inside the project, and all that are named by a path relative to it, wherever that leads; also the
    interpreters that a script among them names in its first line. See `named_files` for how a word can name a file. A
    directory's digest is that of all that is in it. If a word is not literal, it could name any file of the project,
    so that is compared as a whole. What these programs load is not known, and not checked.

    Args:
        argv: The program and its arguments.
        directory: Its working directory, the project.

    Raises:
        ConfigurationError: Another user can change the program, a file or the project; a file cannot be read or is not
            a regular file; or they are more than `MAX_FILES`, or larger than `MAX_PROGRAM` in total.
    """
    try:
        check_directory(directory)
    except UnsafePathError as error:
        raise unsafe_program(Path(argv[0]).name, error) from None
    except OSError as error:
        raise ConfigurationError(f"cannot enter {directory}: {error.strerror}", code="unreadable-program") from None
    refuse_unsafe_program(argv[0], os.environ, directory)
    pins: dict[Path, str] = {}
    left = _Left(MAX_PROGRAM, MAX_FILES)
    words = [*argv]
    whole = not all(map(is_literal, argv))
    while new := _new(words, directory, pins):
        words = []
        for file in new:
            pins[file], first_line = (_tree_digest(file, left), "") if is_directory(file) else _digest(file, left)
            words += first_line.split()
        whole = whole or not all(map(is_literal, words))
    return {**pins, directory: _whole_digest(directory)} if whole else pins


def _whole_digest(directory: Path) -> str:
    try:
        return _tree_digest(directory, _Left(MAX_PROGRAM, MAX_FILES))
    except ConfigurationError as error:
        raise ConfigurationError(
            f"{error.message}; all files of the project are compared, because the command has code in which a shell "
            "or program can compute names",
            hint="Move the code to a script in the project, and name only the script and plain words in the command",
            code=str(error.code),
        ) from None


def _new(words: Sequence[str], directory: Path, pins: Collection[Path]) -> list[Path]:
    try:
        named = named_files(words, directory, elsewhere=False)
    except TooManyPartsError:
        raise too_long() from None
    return sorted(file for file in named - set(pins) if _counts(file, directory))


def _counts(file: Path, directory: Path) -> bool:
    """Return whether a file is one of the project's; it may be named by a path outside that leads into it."""
    with suppress(OSError, RuntimeError):
        return file.is_relative_to(directory) or file.resolve().is_relative_to(directory.resolve())
    return True


@define
class _Left:
    """What may still be read."""

    size: int
    files: int

    def take(self, file: Path, size: int = 0) -> None:
        self.size -= size
        if self.size < 0:
            raise ConfigurationError(
                f"{file} is too large: a project's command can name files of at most {MAX_PROGRAM} bytes in total",
                code="unreadable-program",
            )
        if self.files < 0:
            raise ConfigurationError(
                f"{file} is one of more than {MAX_FILES} files in directories that the command names",
                hint="Name the script that it runs instead of a directory",
                code="unreadable-program",
            )


def _digest(file: Path, left: _Left, within: int | None = None) -> tuple[str, str]:
    """Return a file's digest, and the words of its first line if that names an interpreter.

    `within` is a descriptor of its directory, by `listed_directory`.
    """
    digest, first = hashlib.sha256(), b""
    try:
        with open_owned(file, within=within) as opened:
            while chunk := opened.read(1_048_576):
                first = first or chunk
                left.take(file, len(chunk))
                digest.update(chunk)
    except NotRegularError:
        raise ConfigurationError(f"{file} is not a regular file", code="unreadable-program") from None
    except UnsafePathError as error:
        raise unsafe_program(file.name, error) from None
    except OSError as error:
        raise ConfigurationError(f"cannot read {file}: {error.strerror}", code="unreadable-program") from None
    interpreter = _FIRST_LINE.match(first)
    return digest.hexdigest(), "" if interpreter is None else os.fsdecode(interpreter[1])


def file_digest(file: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal.

    Raises:
        ConfigurationError: It cannot be read, is not a regular file, is too large, or other users can change it.
    """
    return _digest(file, _Left(MAX_PROGRAM, MAX_FILES))[0]


def interpreter_words(file: Path) -> list[str]:
    """Return the words of a script's first line that name its interpreter.

    Raises:
        ConfigurationError: The file cannot be read, is not a regular file, is too large, or others can change it.
    """
    return _digest(file, _Left(MAX_PROGRAM, MAX_FILES))[1].split()


def _tree_digest(top: Path, left: _Left) -> str:
    """Return a digest of all names, links and contents below a directory."""
    tree = _Tree(left)
    tree.add(top)
    return str(tree.digest.hexdigest())


@define
class _Tree:
    """What is below a directory, which is opened from there: only links are followed from the root directory."""

    _left: _Left
    digest: Any = field(factory=hashlib.sha256, init=False)
    _seen: set[tuple[int, int]] = field(factory=set, init=False)

    def add(self, directory: Path, relative: str = "", within: int | None = None) -> None:
        if relative.count("/") > MAX_DEPTH:
            raise ConfigurationError(
                f"{directory} is nested too deeply", hint="Name a script instead", code="unreadable-program"
            )
        try:
            with listed_directory(directory, within) as here:
                status = directory.stat() if here is None else os.fstat(here)
                if (status.st_dev, status.st_ino) in self._seen:  # a link back up
                    return
                self._seen.add((status.st_dev, status.st_ino))
                for entry in sorted(os.scandir(directory if here is None else here), key=lambda entry: entry.name):
                    if entry.name not in _LEFT_OUT:
                        self._add_entry(entry, directory / entry.name, f"{relative}/{entry.name}", here)
        except UnsafePathError as error:
            raise unsafe_program(directory.name, error) from None
        except OSError as error:
            raise ConfigurationError(f"cannot read {directory}: {error.strerror}", code="unreadable-program") from None

    def _add_entry(self, entry: os.DirEntry[str], path: Path, relative: str, here: int | None) -> None:
        self._left.files -= 1
        self._left.take(path)
        kind, content, within = "special", "", here
        if entry.is_symlink():
            kind, content, within = "link", os.readlink(path if here is None else entry.name, dir_fd=here), None
        is_file, is_folder = (
            (path.is_file(), is_directory(path)) if kind == "link" else (entry.is_file(), entry.is_dir())
        )
        if is_file:
            content += f" {_digest(path, self._left, within)[0]}"
        elif is_folder:
            kind += " directory"
        self.digest.update(repr((relative, kind, content)).encode("utf-8", "surrogateescape"))
        if is_folder:
            self.add(path, relative, within)
