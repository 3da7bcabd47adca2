"""Reads the shared AWS config and credentials files, and determines which AWS profile is used.

Only for quick, offline checks; botocore does the rest.
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
"""Bytes; a larger file is treated as malformed."""


def profile_name(profile: Profile, environ: Mapping[str, str] = os.environ) -> str:
    """Return the name of the AWS profile: from the settings, or else from the environment."""
    return profile.settings_as(BedrockSettings).aws_profile or ambient_profile_name(environ)


def ambient_profile_name(environ: Mapping[str, str] = os.environ) -> str:
    """Return the name of the AWS profile that the default chain uses; reads variables in botocore's order."""
    return environ.get("AWS_DEFAULT_PROFILE") or environ.get("AWS_PROFILE") or "default"


def config_file(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the path of the AWS config file."""
    return _expanded(environ.get("AWS_CONFIG_FILE") or "~/.aws/config")


def credentials_file(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the path of the AWS credentials file."""
    return _expanded(environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials")


def _expanded(path: str) -> Path:
    return Path(os.path.expanduser(os.path.expandvars(path)))  # noqa: PTH111  like botocore, and never raises


def profile_section(name: str, environ: Mapping[str, str] = os.environ) -> dict[str, str] | None:
    """Return an AWS profile from both files; the credentials file overrides. None if neither has it.

    Raises:
        ConfigurationError: A file cannot be read or is malformed. The message never quotes its contents.
    """
    known = [
        section
        for path, prefixed in ((config_file(environ), True), (credentials_file(environ), False))
        for title, section in _sections(path)
        if _profile(title, prefixed=prefixed) == name
    ]
    return {key: value for section in known for key, value in section.items()} if known else None


def _profile(title: str, *, prefixed: bool) -> str | None:
    """Return the AWS profile of a section; in the config file, all but ``default`` begin with ``profile``."""
    if not prefixed or title == "default":
        return title
    try:
        words = shlex.split(title)
    except ValueError:
        return None
    return words[1] if len(words) == 2 and words[0] == "profile" else None  # noqa: PLR2004  "profile" and a name


def _sections(path: Path) -> list[tuple[str, dict[str, str]]]:
    text = _text(path)
    parser = configparser.RawConfigParser()
    if text is not None:
        try:
            parser.read_string(text)
        except configparser.Error:
            text = None
    if text is None:
        raise ConfigurationError(
            f"cannot parse the AWS file {path}",
            hint="Fix it; each profile is a [section] with lines of key = value",
            code="bedrock-invalid-aws-config",
        )
    return [(title, dict(parser.items(title))) for title in parser.sections()]


def _text(path: Path) -> str | None:
    """Return the text of a file, empty if there is no file; None if it is too large or not UTF-8."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_SIZE + 1)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        raise ConfigurationError(
            f"cannot read the AWS file {path}: {error.strerror}",
            hint="Check its permissions",
            code="bedrock-invalid-aws-config",
        ) from None
    try:
        return content.decode("utf-8") if len(content) <= MAX_FILE_SIZE else None
    except UnicodeDecodeError:
        return None
