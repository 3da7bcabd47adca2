"""Parses one of AWS's shared files as botocore does, and says which line is wrong, without quoting a value."""

from __future__ import annotations

import configparser
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from freshkey.errors import ConfigurationError
from freshkey.plugin import unmarked


Sections = dict[str, dict[str, str]]

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
"""What is quoted as the name of a setting: too short for a secret key that was pasted without its name."""

_MAX_TITLE: Final = 80

_MAX_SECTION: Final = 1000
"""Characters of a section's name."""

_DELIMITER: Final = re.compile("[=:]")
_MAX_NAME: Final = 200
"""Characters of a setting's name; AWS has none of more than 50."""
_MAX_FLAWS: Final = 100
"""Lines that are no settings: as many are enough to know that a file is malformed."""


def decoded(content: bytes) -> str:
    """Return the text of a file or of a program's output; a byte order mark selects the encoding and is dropped.

    Raises:
        UnicodeDecodeError: It is not in that encoding, which is UTF-8 without a mark.
    """
    text, encoding = unmarked(content)
    return text.decode(encoding)


def _of_aws(content: bytes) -> str:
    """Return the text of a shared file."""
    try:
        return decoded(content)
    except UnicodeDecodeError:
        if sys.platform != "win32":
            raise
        return content.decode("mbcs")  # where botocore opens the file in the locale's encoding


def parse(content: bytes, path: Path) -> Sections:
    """Return the sections of a file.

    Raises:
        ConfigurationError: It is malformed. The message has the line and the name, but never a value: it may be a key.
    """
    try:
        text = _of_aws(content)
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise malformed(path, line, "it is not UTF-8 text", "Save the file as UTF-8") from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    parser = configparser.RawConfigParser()
    flaw = None
    try:
        parser.read_string(_until_hopeless(text))
    except configparser.Error as error:
        flaw = _flaw(error, text.split("\n"))
    if flaw is not None and "\0" in text:
        flaw = text.count("\n", 0, text.index("\0")) + 1, "it contains null bytes", "Save the file as UTF-8"
    if flaw is None:
        sections = {title: dict(parser.items(title)) for title in parser.sections()}
        flaw = _flaw_of_nesting(sections, text.split("\n"))
        if any(len(title) > _MAX_SECTION for title in sections):  # botocore reads each as a shell's word, many times
            flaw = None, f"a section has a name of more than {_MAX_SECTION} characters", "Shorten it, or remove it"
    if flaw is not None:
        raise malformed(path, *flaw)
    return sections


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


def malformed(path: Path, line: int | None, what: str, hint: str) -> ConfigurationError:
    """Return the error for a shared file that cannot be parsed."""
    where = path if line is None else f"{path}, line {line}"
    return ConfigurationError(f"AWS file {where}: {what}", hint=hint, code="bedrock-invalid-aws-config")


def nested(value: str) -> dict[str, str] | str:
    """Return an indented block as its settings, as botocore does; any other value unchanged."""
    if not value.startswith("\n"):
        return value
    pairs = (line.partition("=") for line in value.splitlines() if line.strip())
    return {name.strip(): text.strip() for name, _, text in pairs}


def _flaw(error: configparser.Error, lines: list[str]) -> tuple[int | None, str, str]:
    """Return the line, what is wrong, and how to fix it; configparser's own messages quote the line."""
    if isinstance(error, configparser.DuplicateSectionError):
        return error.lineno, f"{_titled(error.section)} is there twice", "Merge the two sections into one"
    if isinstance(error, configparser.DuplicateOptionError):
        name = f"{error.option!r}" if _NAME.fullmatch(error.option) else "a setting"
        return error.lineno, f"{name} is there twice in {_titled(error.section)}", "Remove one of the two lines"
    if isinstance(error, configparser.MissingSectionHeaderError):
        return _flaw_of_line(error.lineno, lines[error.lineno - 1], before_sections=True)
    if isinstance(error, configparser.ParsingError) and error.errors:
        number = error.errors[0][0]
        return _flaw_of_line(number, lines[number - 1] if number <= len(lines) else "")
    return None, "it cannot be parsed", "Each profile is a [section] with lines of key = value"


def _flaw_of_line(number: int, line: str, *, before_sections: bool = False) -> tuple[int, str, str]:
    if line.lstrip().startswith("["):
        return number, "a section header has no closing ]", "Write it as [default] or [profile NAME]"
    if before_sections:
        return number, "there is text before the first section", "Put a section such as [default] above it"
    return number, "a line has no =", "Write key = value, or remove the line"


def _flaw_of_nesting(sections: Sections, lines: list[str]) -> tuple[int | None, str, str] | None:
    """Return what is wrong with an indented block: botocore refuses the whole file for one such line."""
    for title, section in sections.items():
        for option, value in section.items():
            if value.startswith("\n") and any("=" not in line for line in value.splitlines() if line.strip()):
                what = f"an indented line in {_titled(title)} has no ="
                return _line_below(title, option, lines), what, "Write key = value, or do not indent the line"
    return None


def _line_below(title: str, option: str, lines: list[str]) -> int | None:
    """Return the number of the first line without = in the indented block of a setting."""
    for number, below in _block(title, option, lines):
        if below.strip() and "=" not in below:
            return number
    return None


def _block(title: str, option: str, lines: list[str]) -> Iterator[tuple[int, str]]:
    section, inside = "", False
    for number, line in enumerate(lines, start=1):
        if line.startswith("["):
            section, inside = line[1:].partition("]")[0], False
        elif line and not line[0].isspace():
            inside = section == title and re.split("[=:]", line)[0].strip().lower() == option
        elif inside:
            yield number, line


def _titled(title: str) -> str:
    """Return a section as its reader would name it."""
    words = title.split(maxsplit=1)
    known = {"profile": "profile", "sso-session": "sso-session", "services": "services section"}
    if len(words) == 2 and words[0] in known:  # noqa: PLR2004  a kind and a name
        return f"{known[words[0]]} {words[1].strip(chr(34) + chr(39))[:_MAX_TITLE]!r}"
    return f"section [{title[:_MAX_TITLE]}]" if title.isprintable() else "a section"
