"""AWS's shared files, parsed as botocore does, but with byte order marks; says which line is wrong, without a value."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from freshkey.errors import ConfigurationError
from freshkey.plugin import NotRegularError, TooLongError, read_bounded
from freshkey_vertex.aws_ends import End, of_section
from freshkey_vertex.aws_errors import unusable
from freshkey_vertex.credentials_file import without_byte_order_mark
from freshkey_vertex.identity import shown_text


if TYPE_CHECKING:
    from botocore.session import Session

_MAX_FILE: Final = 1 << 20
_MAX_SOURCES: Final = 8

_NAME: Final = re.compile("[a-z][a-z0-9_]{0,31}")
"""What is quoted as the name of a setting: too short for a secret key that was pasted without its name."""

_HEADER: Final = re.compile(r"^\[(.+)\]", re.MULTILINE)
_QUOTED: Final = re.compile(r"[\"'\\]|[^ -~]")  # otherwise, splitting as a shell does is splitting at spaces
_DELIMITER: Final = re.compile("[=:]")
_MAX_NAME: Final = 200
"""Characters of a setting's name; AWS has none of more than 50."""
_MAX_FLAWS: Final = 100
"""Lines that are no settings: as many are enough to know that a file is malformed."""


@frozen(kw_only=True)
class SharedFiles:
    """Both files, as read at one time.

    Attributes:
        config: The config file, in the form of botocore's ``build_profile_map``.
        credentials: The sections of the credentials file.
        config_path: Path of the config file, for messages.
        doubled: Profiles that the config file has under two spellings, and the line of the second.
    """

    config: Mapping[str, Any] = field(repr=False)
    credentials: Mapping[str, Any] = field(repr=False)
    config_path: Path
    doubled: Mapping[str, int]

    def merged(self) -> dict[str, Any]:
        """Return both as botocore's ``Session.full_config`` would; the credentials file overrides."""
        names = {*self.config["profiles"], *self.credentials}
        return {**self.config, "profiles": {name: self.section(name) for name in names}}

    def section(self, name: str) -> dict[str, Any]:
        """Return a profile from both files."""
        return {**self.config["profiles"].get(name, {}), **self.credentials.get(name, {})}

    def end_of(self, name: str) -> End | None:
        """Return the end that is written beside the keys of a profile, if there is one.

        ``aws configure set`` writes keys into the credentials file, and their end into the config file. If both files
        have keys, an end in the other file may belong to the other keys.
        """
        sections = [self.credentials.get(name, {}), self.config["profiles"].get(name, {})]
        with_keys = [one for one in sections if one.get("aws_access_key_id")]
        places = with_keys[:1] if len(with_keys) > 1 else [*with_keys, *sections]
        return next((end for one in places if (end := of_section(one))), None)

    def doubling(self, name: str) -> ConfigurationError | None:
        """Return the error if a profile, or one whose keys it uses, is there under two spellings.

        botocore drops the settings of the first, which may be what is missing.
        """
        for one in self.sources(name):
            if line := self.doubled.get(one):
                what = f"the AWS file {self.config_path}, line {line}: profile {one!r} is there twice; the last counts"
                return unusable(what, "Merge the two sections into one")
        return None

    def sources(self, name: str) -> Iterator[str]:
        """Yield a profile and those whose keys it uses, along ``source_profile``."""
        for _ in range(_MAX_SOURCES):
            yield name
            section = self.section(name)
            following = section.get("source_profile") if section.get("role_arn") else None
            if not isinstance(following, str) or following == name:
                return
            name = following


def read_files(session: Session) -> SharedFiles:
    """Read both files; a missing one is empty.

    Raises:
        ConfigurationError: One is malformed.
    """
    from botocore.configloader import build_profile_map

    config, credentials = (_path(session.get_config_variable(f"{name}_file")) for name in ("config", "credentials"))
    text = _text(config)
    return SharedFiles(
        config=build_profile_map(_sections(text, config)),
        credentials=_sections(_text(credentials), credentials),
        config_path=config,
        doubled=_doubled(text),
    )


def _path(written: object) -> Path:
    return Path(os.path.expanduser(os.path.expandvars(str(written))))  # noqa: PTH111  like botocore, never raises


def _text(path: Path) -> str:
    try:
        data = without_byte_order_mark(read_bounded(path, _MAX_FILE))
        return _decoded(data).replace("\r\n", "\n").replace("\r", "\n")
    except (OSError, NotRegularError):
        return ""  # for botocore too
    except TooLongError:
        what = f"it is larger than {_MAX_FILE} bytes"
    except UnicodeDecodeError:
        what = "it is not UTF-8 text"
    raise _malformed(path, None, what)


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        if sys.platform != "win32":
            raise
        return data.decode("mbcs")  # where botocore opens the file in the locale's encoding


def _sections(text: str, path: Path) -> dict[str, dict[str, Any]]:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(_until_hopeless(text))
        return {title: {name: _nested(value) for name, value in parser.items(title)} for title in parser.sections()}
    except (configparser.Error, ValueError) as error:
        line, what = _flaw(error)
    raise _malformed(path, line, what)


def _until_hopeless(text: str) -> str:
    """Return the text up to the hundredth line that belongs to nothing.

    `configparser` takes time that grows with the square of their number, and with that of a name's length.
    """
    lines = text.split("\n")
    flaws, level, in_option = 0, 0, False
    for number, line in enumerate(lines):
        bare = line.strip()
        indent = len(line) - len(line.lstrip())
        if not bare or bare[0] in "#;" or (in_option and indent > level):
            continue
        level = indent
        if bare[0] == "[" and "]" in bare[2:]:
            in_option = False
        elif 0 < len(_DELIMITER.split(bare, 1)[0]) < min(len(bare), _MAX_NAME):
            in_option = True
        else:
            flaws += 1
            lines[number] = line[:indent] + (_DELIMITER.split(bare[:_MAX_NAME], 1)[0] or "x")
            if flaws == _MAX_FLAWS:
                return "\n".join(lines[: number + 1])
    return "\n".join(lines)


def _malformed(path: Path, line: int | None, what: str) -> Exception:
    where = path if line is None else f"{path}, line {line}"
    return unusable(f"the AWS file {where}: {what}", "Each profile is one [section] with lines of key = value")


def _nested(value: str) -> dict[str, str] | str:
    """Return an indented block as its settings, as botocore does; any other value unchanged.

    Raises:
        ValueError: A line has no =.
    """
    if not value.startswith("\n"):
        return value
    pairs = (line.split("=", 1) for line in value.splitlines() if line.strip())
    return {name.strip(): text.strip() for name, text in pairs}


def _doubled(text: str) -> dict[str, int]:
    found: dict[str, int] = {}
    seen: set[str] = set()
    line, counted = 1, 0
    for header in _HEADER.finditer(text):
        line, counted = line + text.count("\n", counted, header.start()), header.start()
        try:
            words = shlex.split(header[1]) if _QUOTED.search(header[1]) else header[1].split()
        except ValueError:
            continue
        if len(words) == 2 and words[0] == "profile":  # noqa: PLR2004  "profile" and a name
            if words[1] in seen:
                found[words[1]] = line
            seen.add(words[1])
    return found


def _flaw(error: Exception) -> tuple[int | None, str]:
    """Return the line, and what is wrong there without quoting a value."""
    section = shown_text(getattr(error, "section", None)) or "…"
    if isinstance(error, configparser.DuplicateSectionError):
        return error.lineno, f"the section [{section}] is there twice"
    if isinstance(error, configparser.DuplicateOptionError):
        name = error.option if _NAME.fullmatch(error.option) else "a setting"
        return error.lineno, f"{name} is there twice in [{section}]"
    if isinstance(error, configparser.MissingSectionHeaderError):
        return error.lineno, "it belongs to no section, or is a section header without ]"
    if isinstance(error, configparser.ParsingError) and error.errors:
        return error.errors[0][0], "it has no ="
    return None, "an indented line has no =" if isinstance(error, ValueError) else "it cannot be parsed"
