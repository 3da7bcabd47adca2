"""Reads the shared AWS config and credentials files, for freshkey's own checks and for botocore.

botocore is handed what is read here: so both see the same, and a malformed file is explained once.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from freshkey.errors import ConfigurationError
from freshkey.plugin import Profile, is_implausible
from freshkey_bedrock.ini_file import Sections, malformed, nested, parse
from freshkey_bedrock.paths import shared_path
from freshkey_bedrock.settings import MAX_PROFILE_NAME, BedrockSettings
from freshkey_bedrock.stated_end import stated_end


MAX_FILE_SIZE: Final = 4 * 1024 * 1024
"""Bytes; a larger file is treated as malformed."""

_QUOTED: Final = re.compile(r"[\"'\\]|[^ -~]")
"""In any other title, words end at spaces, which is quicker to find than what a shell would make of it."""

_MAX_SOURCES: Final = 8
"""AWS profiles to follow along ``source_profile``; a circular chain ends here."""


def profile_name(profile: Profile, environ: Mapping[str, str] = os.environ) -> str:
    """Return the name of the AWS profile: from the settings, or else from the environment."""
    return profile.settings_as(BedrockSettings).aws_profile or ambient_profile_name(environ)


def ambient_profile_name(environ: Mapping[str, str] = os.environ) -> str:
    """Return the name of the AWS profile in the environment; reads variables in botocore's order.

    Raises:
        ConfigurationError: It is probably a secret. The message does not quote it.
    """
    name = environ.get("AWS_DEFAULT_PROFILE") or environ.get("AWS_PROFILE") or "default"
    if is_implausible(name, MAX_PROFILE_NAME):
        variable = "AWS_DEFAULT_PROFILE" if environ.get("AWS_DEFAULT_PROFILE") else "AWS_PROFILE"
        raise ConfigurationError(
            f"{variable} is not a plausible name of an AWS profile, and may be a secret",
            hint=f"Set {variable} to the name of an AWS profile, or unset it",
            code="bedrock-invalid-aws-config",
        )
    return name


def config_file(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the path of the AWS config file."""
    return shared_path("AWS_CONFIG_FILE", "~/.aws/config", environ)


def credentials_file(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the path of the AWS credentials file."""
    return shared_path("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials", environ)


@frozen(kw_only=True)
class KeysEnd:
    """When the keys in an AWS profile end, according to the tool that wrote them.

    Attributes:
        where: The file and the setting that say so.
        at: The end (aware UTC).
    """

    where: str
    at: datetime


@frozen(kw_only=True)
class SharedFiles:
    """Both files, as read at one time.

    Attributes:
        config_path: Path of the config file.
        config: Its sections.
        credentials_path: Path of the credentials file.
        credentials: Its sections.
    """

    config_path: Path
    config: Sections
    credentials_path: Path
    credentials: Sections

    @property
    def both(self) -> tuple[tuple[Path, Sections, bool], ...]:
        """Both files: path, sections, and whether the titles of AWS profiles begin with ``profile``."""
        return (self.config_path, self.config, True), (self.credentials_path, self.credentials, False)

    def section(self, name: str) -> dict[str, str] | None:
        """Return an AWS profile from both files; the credentials file overrides. None if neither has it."""
        known = self._sections(name)
        return {key: value for _, section in known for key, value in section.items()} if known else None

    def keys_end(self, name: str) -> KeysEnd | None:
        """Return the end that is written beside the access key of an AWS profile, if there is one.

        ``aws configure set`` writes keys into the credentials file, and their end into the config file.
        """
        sections = self._sections(name)[::-1]
        with_key = [one for one in sections if one[1].get("aws_access_key_id")]
        places = with_key[:1]
        # If both files have a key, an end in the other file may belong to the other key.
        if len(with_key) == 1 and stated_end(places[0][1]) is None:
            places = sections
        for path, section in places:
            if end := stated_end(section):
                return KeysEnd(where=f"{end.name} in {path}", at=end.at)
        return None

    def config_for_botocore(self) -> dict[str, dict[str, Any]]:
        """Return the config file in the form of botocore's ``raw_config_parse``."""
        return _for_botocore(self.config)

    def credentials_for_botocore(self) -> dict[str, dict[str, Any]]:
        """Return the credentials file in the form of botocore's ``raw_config_parse``."""
        return _for_botocore(self.credentials)

    def _sections(self, name: str) -> list[tuple[Path, dict[str, str]]]:
        """Return the sections of an AWS profile, with their files; a later one overrides."""
        # Of two titles of one AWS profile in a file, such as [profile x] and [profile "x"], botocore uses the last.
        return [
            (path, section)
            for path, sections, prefixed in self.both
            for section in [one for title, one in sections.items() if profile_of(title, prefixed=prefixed) == name][-1:]
        ]


def read_files(environ: Mapping[str, str] = os.environ) -> SharedFiles:
    """Read both files; a missing one is empty.

    Raises:
        ConfigurationError: A file cannot be read or is malformed. The message never quotes its contents.
    """
    config, credentials = config_file(environ), credentials_file(environ)
    return SharedFiles(
        config_path=config,
        config=_sections_of(config),
        credentials_path=credentials,
        credentials=_sections_of(credentials),
    )


def profile_section(name: str, environ: Mapping[str, str] = os.environ) -> dict[str, str] | None:
    """Return an AWS profile from both files; the credentials file overrides. None if neither has it.

    Raises the errors of `read_files`.
    """
    return read_files(environ).section(name)


def source_chain(name: str, files: SharedFiles) -> tuple[str, ...]:
    """Return an AWS profile and those whose credentials it uses, along ``source_profile``."""
    chain = [name]
    while len(chain) < _MAX_SOURCES:
        section = files.section(chain[-1]) or {}
        source = section.get("source_profile") if section.get("role_arn") else None
        if source is None or source in chain:
            break
        chain.append(source)
    return tuple(chain)


def signed_in_profile(name: str, files: SharedFiles) -> tuple[str, str] | None:
    """Return the AWS profile whose session signs requests, along ``source_profile``, and the AWS CLI's command for it.

    None if no session of the AWS CLI is used.
    """
    last = source_chain(name, files)[-1]
    section = files.section(last) or {}
    if section.get("sso_session") or section.get("sso_start_url"):
        return last, "sso login"
    return (last, "login") if section.get("login_session") else None


def profile_of(title: str, *, prefixed: bool) -> str | None:
    """Return the AWS profile of a section; in the config file, all but ``default`` begin with ``profile``."""
    if not prefixed or title == "default":
        return title
    try:
        words = shlex.split(title) if _QUOTED.search(title) else title.split()
    except ValueError:
        return None
    return words[1] if len(words) == 2 and words[0] == "profile" else None  # noqa: PLR2004  "profile" and a name


def _for_botocore(sections: Sections) -> dict[str, dict[str, Any]]:
    return {title: {key: nested(value) for key, value in section.items()} for title, section in sections.items()}


def _sections_of(path: Path) -> Sections:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_SIZE + 1)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise ConfigurationError(
            f"cannot read the AWS file {path}: {error.strerror}",
            hint="Check its permissions",
            code="bedrock-invalid-aws-config",
        ) from None
    if len(content) > MAX_FILE_SIZE:
        raise malformed(path, None, f"it is larger than {MAX_FILE_SIZE} bytes", "Check that it is the right file")
    return parse(content, path)
