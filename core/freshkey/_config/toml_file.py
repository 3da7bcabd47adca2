"""What a configuration says and where it says it: reads ``config.toml``, or takes tables from code."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from attrs import field, frozen

from freshkey._files.bounded import NotRegularError, TooLongError, read_bounded
from freshkey._files.permissions import is_anothers, others_may_replace
from freshkey._json import too_deep
from freshkey.errors import ConfigurationError


MAX_FILE: Final = 262_144
"""Bytes a configuration file may have: far more than anybody writes, and quick to read."""

MAX_DEPTH: Final = 32
"""How deep tables and lists may be nested."""

_ENDS: Final = ("]", "}", '"""', "'''")
"""One of these is in the last line of every statement that spans lines."""

MAX_WORK: Final = 1_000_000
"""Characters read at the most; a list of lists is read again for each of its lines."""


@frozen(kw_only=True)
class Document:
    """A configuration as plain data; settings of a provider may be secret.

    Attributes:
        tables: What it says, as TOML's types.
        path: The file it came from; None where it came from elsewhere.
        text: The file's text, to find the line of a key in.
        place: What messages call it where it is no file.
    """

    tables: Mapping[str, object] = field(factory=dict, repr=False)
    path: Path | None = None
    text: str = field(default="", repr=False)
    place: str = "the configuration given in code"

    def where(self, *keys: str) -> str:
        """Name the place where a key is set, as far down as the file names it."""
        if self.path is None:
            return self.place
        lines = (line_of(self.text, keys[:depth]) for depth in range(len(keys), 0, -1))
        line = next((number for number in lines if number is not None), None)
        return str(self.path) if line is None else f"{self.path}, line {line}"

    def error(
        self, message: str, *keys: str, profile: str | None = None, hint: str | None = None
    ) -> ConfigurationError:
        """Return the error that says what is wrong with the key `keys`, beginning with its place."""
        return ConfigurationError(f"{self.where(*keys)}: {message}", profile=profile, hint=hint)


def read(path: Path, *, follow: bool = True) -> Document:
    """Read a configuration file, which may be a symbolic link if `follow`; one that does not exist says nothing.

    Raises:
        ConfigurationError: It cannot be read, others may change it, or it is not TOML.
    """
    import tomllib

    text = _text(path, follow=follow)
    tables: Mapping[str, object] | None = None
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}", hint="Correct that line") from None
    except ValueError:
        raise ConfigurationError(f"{path} has a number that is too long", hint="Correct it") from None
    except RecursionError:
        pass
    if tables is None or too_deep(tables, MAX_DEPTH):
        raise ConfigurationError(f"{path} is not valid: it nests too deeply", hint="Check that it is the right file")
    return Document(tables=tables, path=path, text=text)


def _text(path: Path, *, follow: bool) -> str:
    def check(status: os.stat_result) -> None:
        _refuse_what_others_may_change(path, status)
        _refuse_what_others_may_change(path.parent, path.parent.stat())

    try:
        data = read_bounded(path, MAX_FILE, follow=follow, check=check)
    except FileNotFoundError:
        return ""
    except NotRegularError:
        raise ConfigurationError(f"{path} is not a regular file", hint="Put a file there, or nothing") from None
    except TooLongError:
        message = f"{path} is larger than {MAX_FILE} bytes"
        raise ConfigurationError(message, hint="Check that it is the right file") from None
    except OSError as error:
        if not follow and error.errno == errno.ELOOP:
            raise ConfigurationError(f"{path} is a symbolic link", hint="Put a file there, or nothing") from None
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}", hint="Check its permissions") from None
    try:
        return data.decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not UTF-8 at byte {error.start}", hint="Save it as UTF-8") from None


def _refuse_what_others_may_change(place: Path, status: os.stat_result) -> None:
    """Refuse a file that somebody else could change: it names the endpoints that tokens are sent to."""
    if is_anothers(status, root_too=False):
        raise ConfigurationError(
            f"{place} belongs to somebody else (user id {status.st_uid})",
            hint="Endpoints that tokens are sent to must not be theirs to change: use a directory of your own",
        )
    if others_may_replace(status):
        raise ConfigurationError(f"{place} can be changed by others", hint=f"Run: chmod go-w {place}")


def line_of(text: str, keys: tuple[str, ...]) -> int | None:
    """Return the number, from 1, of the line on which the statement begins that sets the key or opens the table `keys`.

    `keys` are names from the top level down. None where valid TOML has no such key, or finding it would take long.
    """
    table: tuple[str, ...] = ()
    for number, parsed, is_header in _statements(text):
        paths = list(_paths(parsed))
        if is_header:
            table = paths[-1]
        if keys in ({*paths} if is_header else {table + path for path in paths}):
            return number
    return None


def _statements(text: str) -> Iterator[tuple[int, dict[str, Any], bool]]:
    """Yield each statement: its first line, what it says by itself, and whether it is a table header.

    A statement that spans lines (an array, a multi-line string) is the only text that is not valid TOML until its
    last line has been read.
    """
    import tomllib

    lines: list[str] = []
    spent = 0
    for number, line in enumerate(text.split("\n"), start=1):
        lines.append(line)
        if len(lines) > 1 and not any(end in line for end in _ENDS):
            continue  # reading all of it again for every line would take minutes for a long list
        spent += sum(map(len, lines))
        if spent > MAX_WORK:
            return
        try:
            parsed = tomllib.loads("\n".join(lines))
        except tomllib.TOMLDecodeError:
            continue
        if parsed:
            yield number - len(lines) + 1, parsed, lines[0].lstrip().startswith("[")
        lines = []


def _paths(parsed: object, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of every key, outer ones first; an array of tables counts as its tables."""
    if isinstance(parsed, Mapping):
        for key, value in parsed.items():
            yield (*above, key)
            yield from _paths(value, (*above, key))
    elif isinstance(parsed, list):
        for value in parsed:
            yield from _paths(value, above)
