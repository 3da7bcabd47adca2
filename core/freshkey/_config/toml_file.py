"""A configuration as plain data, with the line of each key: read from ``config.toml``, or taken from code."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from attrs import field, frozen

from freshkey._config.toml_limits import MAX_DEPTH, is_nested_too_deeply
from freshkey._files.bounded import NotRegularError, TooLongError
from freshkey._files.owned import UnsafePathError, read_owned
from freshkey._files.permissions import chmod_command
from freshkey._json import too_deep
from freshkey.errors import ConfigurationError


MAX_FILE: Final = 262_144
"""Maximum size of a configuration file in bytes: more than anyone writes by hand, and quick to read."""

_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")
"""The byte order marks that Windows PowerShell and some editors write."""

_POSITION: Final = re.compile(r"\(at line ([0-9]+), column ([0-9]+)\)$")
_OUTSIDE: Final = re.compile(r"(?P<open>\"(?:[^\"\\]|\\.)*+\\?\Z|'[^']*+\Z)|\"(?:[^\"\\]|\\.)*+\"|'[^']*+'|#.*")
"""A string or a comment: any character may be in it. A string that is open goes on to the end, so that no other search
begins in it."""
_ESCAPE: Final = re.compile(r"hex value|Unescaped '\\'")
"""What the parser says of a backslash that stands for itself."""

_IN_USE: Final = 32
"""ERROR_SHARING_VIOLATION of Windows."""

_QUOTED_KEY: Final = re.compile(r"\A(.{0,40}?(?:declare|namespace|table key)) .*(\(at [^()]*\))\Z", re.DOTALL)
"""The keys in messages of ``tomllib``: what stands there may be a secret in the wrong place."""

_ENDS: Final = ("]", "}", '"""', "'''")
"""The last line of every multi-line statement contains one of these."""

MAX_WORK: Final = 524_288
"""Maximum characters to parse in search of a line; nested lists are parsed again for each of their lines."""


@frozen(kw_only=True)
class Document:
    """A configuration as plain data; settings of a provider may be secret.

    Attributes:
        tables: Its content, with TOML's types.
        path: The file it was read from; None if it was not read from a file.
        text: The file's text, used to find the line of a key.
        place: Its name in messages if there is no file.
    """

    tables: Mapping[str, object] = field(factory=dict, repr=False)
    path: Path | None = None
    text: str = field(default="", repr=False)
    place: str = "the configuration passed in code"

    def where(self, *keys: str) -> str:
        """Return the file and line that set a key, or the closest table that the file does contain."""
        if self.path is None:
            return self.place
        line = closest_line(self.text, keys)
        return str(self.path) if line is None else f"{self.path}, line {line}"

    def error(
        self,
        message: str,
        *keys: str,
        profile: str | None = None,
        hint: str | None = None,
        code: str | None = None,
    ) -> ConfigurationError:
        """Return the error about the key `keys`, whose message starts with its file and line."""
        message = f"{self.where(*keys)}: {message}"
        return ConfigurationError(message, profile=profile, hint=hint, code=code or "invalid-setting")


def read(path: Path, *, follow: bool = True) -> Document:
    """Read a configuration file, which may be a symbolic link if `follow`; a missing file is an empty document.

    Raises:
        ConfigurationError: It cannot be read, other users can change it, or it is not valid TOML.
    """
    import tomllib

    text = _text(path, follow=follow)
    tables: Mapping[str, object] | None = None
    try:
        tables = None if is_nested_too_deeply(text) else tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        said = _QUOTED_KEY.sub(r"\1 … \2", str(error))
        message, odd = f"{path} is not valid TOML: {said}", _odd_character(text, said)
        hint = "Fix the syntax at this position"
        if _ESCAPE.search(said):
            hint = f"{hint}: write a path of Windows in single quotes, or double its backslashes"
        if odd is not None:
            message, hint = f"{message}; the line contains {odd}", f"{hint}: type the line again in a text editor"
        raise ConfigurationError(message, hint=hint, code="invalid-toml") from None
    except ValueError:
        raise ConfigurationError(
            f"{path} contains a number with too many digits", hint="Shorten it", code="invalid-toml"
        ) from None
    except RecursionError:
        pass
    if tables is None or too_deep(tables, MAX_DEPTH):
        raise ConfigurationError(
            f"{path} is nested too deeply", hint="Check that it is the right file", code="invalid-toml"
        )
    return Document(tables=tables, path=path, text=text)


def _text(path: Path, *, follow: bool) -> str:
    try:
        data = read_owned(path, MAX_FILE, follow=follow)
    except FileNotFoundError:
        return ""
    except UnsafePathError as error:
        raise _unsafe(error, of_user=follow) from None
    except NotRegularError:
        raise ConfigurationError(
            f"{path} is not a regular file", hint="Replace it with a file", code="unreadable-configuration"
        ) from None
    except TooLongError:
        message = f"{path} is larger than {MAX_FILE} bytes"
        raise ConfigurationError(
            message, hint="Check that it is the right file", code="unreadable-configuration"
        ) from None
    except OSError as error:
        if getattr(error, "winerror", None) == _IN_USE:
            message, hint = f"another program keeps {path} open", "Close the program that has it open"
            raise ConfigurationError(message, hint=hint, code="unreadable-configuration") from None
        if not follow and error.errno == errno.ELOOP:
            raise ConfigurationError(
                f"{path} is a symbolic link", hint="Replace it with a regular file", code="unreadable-configuration"
            ) from None
        raise ConfigurationError(
            f"cannot read {path}: {error.strerror}", hint="Check its permissions", code="unreadable-configuration"
        ) from None
    if b"\0" in data and data[:2] not in _UTF_16:
        message = f"{path} contains NUL characters, as if it were UTF-16"
        raise ConfigurationError(message, hint="Save it as UTF-8", code="invalid-toml")
    try:
        # Editors on Windows put a byte order mark first; TOML 1.1 allows it, and it means nothing in UTF-8.
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        what = "UTF-16" if data[:2] in _UTF_16 else f"not valid UTF-8 at byte {error.start}"
        raise ConfigurationError(f"{path} is {what}", hint="Save it as UTF-8", code="invalid-toml") from None


def _odd_character(text: str, error: str) -> str | None:
    """Return a character in the line of an error that only looks like the one that is needed, such as a curly quote.

    What is before the error was understood, and a string may have any character but those of control. One that is not
    closed should probably end with another quotation mark in it.

    Args:
        text: The file's text.
        error: The parser's message, which ends with the position, or says that it is the end.
    """
    import unicodedata

    at = _POSITION.search(error)
    line = text.rstrip("\n").split("\n")[-1 if at is None else int(at[1]) - 1]
    column = len(line) if at is None else int(at[2]) - 1
    outside = _OUTSIDE.sub(lambda found: found["open"] or " " * len(found[0]), line)
    opening = re.search("[\"']", outside)
    for index, character in enumerate(line):
        if " " <= character <= "~":
            continue
        category = unicodedata.category(character)
        if category == "Cc" and character != "\t":
            return f"the control character U+{ord(character):04X}"
        name = unicodedata.name(character, f"U+{ord(character):04X}")
        if opening and index > opening.start():
            misleads = "QUOTATION MARK" in name and ("SINGLE" in name) == (opening[0] == "'")
        else:
            misleads = index >= column and outside[index] == character and category[0] not in "LMN"
        if misleads:
            return f"the character {name}"
    return None


def _unsafe(error: UnsafePathError, *, of_user: bool) -> ConfigurationError:
    """Return the error about a file, or a directory above it, that other users can change.

    The file sets the endpoints that tokens are sent to: write access to it is enough to steal credentials. `of_user`
    says whether it is the user's own file, or a project's.
    """
    import shlex

    elsewhere = "use a directory in your home directory (FRESHKEY_CONFIG_DIR for your own configuration)"
    hint = f"Ask whoever administers {error.place}, or {elsewhere}"
    if error.owner is None:
        message = f"other users can change {error.place}"
        hint = f"Run: {chmod_command('go-w', error.place)}" if error.is_ours else hint
    else:
        message = f"{error.place} is owned by another user (user ID {error.owner}), who could redirect your tokens"
        chown = f"sudo chown $USER {shlex.quote(str(error.place))}"
        if not of_user:
            # A project's file of another user says what she wants: made the user's own, it would count.
            hint = "Work in a directory of your own, such as a checkout that you made yourself"
        elif error.is_ours:
            hint = f"Take ownership of it ({chown}), or {elsewhere}"
    return ConfigurationError(message, hint=hint, code="unsafe-configuration")


def line_of(text: str, keys: tuple[str, ...]) -> int | None:
    """Return the number, from 1, of the first line of the statement that sets the key or opens the table `keys`.

    `keys` are names from the top level down. None if valid TOML has no such key, or finding it would take too long.
    """
    return _lines_of(text, keys).get(len(keys))


def closest_line(text: str, keys: tuple[str, ...]) -> int | None:
    """Return `line_of` for a key, or for the closest table around it that the text does contain."""
    found = _lines_of(text, keys)
    return found[max(found)] if found else None


def _lines_of(text: str, keys: tuple[str, ...]) -> dict[int, int]:
    """Return the first line of each table around a key, and of the key itself, by its number of names."""
    found: dict[int, int] = {}
    table: tuple[str, ...] = ()
    for number, parsed, is_header in _statements(text):
        paths = list(_paths(parsed))
        if is_header:
            table = paths[-1]
        for path in paths:
            whole = path if is_header else table + path
            if whole == keys[: len(whole)]:
                found.setdefault(len(whole), number)
        if len(keys) in found:
            break
    return found


def _statements(text: str) -> Iterator[tuple[int, dict[str, Any], bool]]:
    """Yield each statement: the number of its first line, its parsed content, and whether it is a table header.

    Lines are collected until they parse: a multi-line statement (an array, a string) is not valid TOML before its
    last line. ``tomllib`` itself does not report line numbers.
    """
    import tomllib

    lines: list[str] = []
    spent = 0
    for number, line in enumerate(text.split("\n"), start=1):
        lines.append(line)
        if len(lines) > 1 and not any(end in line for end in _ENDS):
            continue  # parsing all of it again for every line would take minutes for a long list
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
