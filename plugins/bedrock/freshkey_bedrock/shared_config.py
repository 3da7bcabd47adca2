"""Reads the shared config and credentials files of AWS's tools, and says which of their profiles is used.

This is for what is offline and quick to know; botocore does the rest.
"""

from __future__ import annotations

import configparser
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from freshkey.errors import ConfigurationError
from freshkey.plugin import Profile
from freshkey_bedrock.settings import BedrockSettings


MAX_FILE_SIZE: Final = 4 * 1024 * 1024
"""Bytes that are read of a file."""


def profile_name(profile: Profile, environ: Mapping[str, str] = os.environ) -> str:
    """Return the name of the profile of AWS's tools: the setting, else that of the environment."""
    return profile.settings_as(BedrockSettings).aws_profile or ambient_profile_name(environ)


def ambient_profile_name(environ: Mapping[str, str] = os.environ) -> str:
    """Return the name of the profile that the default chain uses, in the order in which botocore asks for it."""
    return environ.get("AWS_DEFAULT_PROFILE") or environ.get("AWS_PROFILE") or "default"


def config_file(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the path of the config file."""
    return _expanded(environ.get("AWS_CONFIG_FILE") or "~/.aws/config")


def credentials_file(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the path of the credentials file."""
    return _expanded(environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials")


def _expanded(path: str) -> Path:
    return Path(os.path.expanduser(os.path.expandvars(path)))  # noqa: PTH111  as botocore does, without raising


def profile_section(name: str, environ: Mapping[str, str] = os.environ) -> dict[str, str] | None:
    """Return what both files say of a profile, the credentials file last; None if neither knows it.

    Raises:
        ConfigurationError: A file cannot be read or is malformed. The message never quotes it.
    """
    known = [
        section
        for path, prefixed in ((config_file(environ), True), (credentials_file(environ), False))
        for title, section in _sections(path)
        if _profile(title, prefixed=prefixed) == name
    ]
    return {key: value for section in known for key, value in section.items()} if known else None


def _profile(title: str, *, prefixed: bool) -> str | None:
    """Return the profile that a section is for: in the config file all but ``default`` say so."""
    if not prefixed or title == "default":
        return title
    try:
        words = shlex.split(title)
    except ValueError:
        return None
    return words[1] if len(words) == 2 and words[0] == "profile" else None  # noqa: PLR2004  the word and a name


def _sections(path: Path) -> list[tuple[str, dict[str, str]]]:
    text = _text(path)
    parser = configparser.RawConfigParser()
    if text is not None:
        try:
            parser.read_string(text)
        except configparser.Error:
            text = None
    if text is None:
        message = f"the file {path} is malformed, so AWS's tools cannot read it"
        raise ConfigurationError(message, hint="Mend it; each profile is a [section] with lines of key = value")
    return [(title, dict(parser.items(title))) for title in parser.sections()]


def _text(path: Path) -> str | None:
    """Return the text of a file, empty where there is none; None if it cannot be text."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_SIZE + 1)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        raise ConfigurationError(f"the file {path} cannot be read: {error.strerror}") from None
    try:
        return content.decode("utf-8") if len(content) <= MAX_FILE_SIZE else None
    except UnicodeDecodeError:
        return None
