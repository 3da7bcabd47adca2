"""Why an AWS profile seems to have no credentials, although the shared files have some: for messages.

botocore passes silently over a section or a setting whose name is slightly wrong.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from freshkey.errors import ConfigurationError
from freshkey.plugin import NotRegularError, TooLongError, read_bounded
from freshkey_bedrock.ini_file import Sections, decoded
from freshkey_bedrock.shared_config import MAX_FILE_SIZE, profile_of, read_files


_KEY_ID: Final = "aws_access_key_id"
_SECRET: Final = "aws_secret_access_key"  # noqa: S105  the name of a setting
_CREDENTIALS: Final = (
    *(_KEY_ID, "role_arn", "web_identity_token_file", "sso_session", "sso_start_url"),
    *("login_session", "credential_process"),
)
"""Settings that indicate credentials."""

_SIMILAR: Final = frozenset({"accesskey", "accesskeyid", "awsaccesskey", "awsaccesskeyid", "awskeyid"})
"""Names that people give to the access key ID, without what separates their words."""

_SETTING: Final = re.compile(rf"\s*({'|'.join((*_CREDENTIALS, _SECRET))})\s*[=:]")

_VARIABLES: Final = ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")


def overlooked(name: str, environ: Mapping[str, str] = os.environ) -> str:
    """Return what is overlooked in an AWS profile that exists, or an empty text; never quotes a value."""
    try:
        files = read_files(environ)
    except ConfigurationError:
        return ""
    return "; ".join(
        text
        for path, sections, prefixed in files.both
        for text in (
            *_misplaced(name, path, sections, prefixed=prefixed, with_credentials=True),
            *_flawed(name, path, sections, prefixed=prefixed),
        )
    )


def misplaced(name: str, environ: Mapping[str, str] = os.environ) -> str:
    """Return how the name of a missing AWS profile, or the title of a section, is miswritten; or an empty text."""
    if name != name.strip(" \"'"):
        return "the name has quotes or spaces around it, which are not removed here"
    try:
        files = read_files(environ)
    except ConfigurationError:
        return ""
    return "; ".join(
        text
        for path, sections, prefixed in files.both
        for text in _misplaced(name, path, sections, prefixed=prefixed, with_credentials=False)
    )


def missing_files(environ: Mapping[str, str] = os.environ) -> str:
    """Return which variables name a shared file that does not exist, or an empty text."""
    try:
        files = read_files(environ)
    except ConfigurationError:
        return ""
    paths = dict(zip(_VARIABLES, (files.config_path, files.credentials_path), strict=True))
    missing = [one for one, path in paths.items() if environ.get(one) and not path.exists()]
    return " and ".join(f"the file in {one} does not exist" for one in missing)


def _misplaced(name: str, path: Path, sections: Sections, *, prefixed: bool, with_credentials: bool) -> Iterator[str]:
    wanted = name
    if prefixed and name != "default":
        wanted = f'profile "{name}"' if " " in name else f"profile {name}"
    for title, section in sections.items():
        if _bare(title) != _bare(name) or profile_of(title, prefixed=prefixed) == name:
            continue
        if not with_credentials or _has_credentials(section):
            yield f"{path} has [{title}] instead of [{wanted}]"
    if name == "default" and name not in sections and _has_defaults(path):
        yield f"{path} has [DEFAULT] instead of [default]"


def _has_defaults(path: Path) -> bool:
    """Return whether credentials are in a section that the parser takes for defaults of all other sections."""
    try:
        text = decoded(read_bounded(path, MAX_FILE_SIZE))
    except (OSError, ValueError, NotRegularError, TooLongError):
        return False
    found = re.search(r"^\[DEFAULT\](.*?)(?=^\[|\Z)", text, re.MULTILINE | re.DOTALL)
    return bool(found and any(map(_SETTING.match, found[1].splitlines())))


def _bare(title: str) -> str:
    """Return a title without what may be wrong with it: the word profile, quotes, spaces, and the case."""
    plain = " ".join(title.split()).lower()
    return plain.removeprefix("profile ").strip(" \"'")


def _has_credentials(section: Mapping[str, str]) -> bool:
    return any(section.get(one) for one in _CREDENTIALS)


def _flawed(name: str, path: Path, sections: Sections, *, prefixed: bool) -> Iterator[str]:
    """Yield what is overlooked in the sections of an AWS profile."""
    titles = [title for title in sections if profile_of(title, prefixed=prefixed) == name]
    if any(_has_credentials(sections[title]) for title in titles[:-1]):
        both = " and ".join(f"[{title}]" for title in titles)
        yield f"{path} has {both}, which are the same AWS profile, and only the last one counts"
    for title in titles[-1:]:
        flaws = list(_flaws_of_settings(title, path, sections[title]))
        if not flaws and sections[title].get(_SECRET) and not sections[title].get(_KEY_ID):
            flaws.append(f"[{title}] in {path} has {_SECRET}, but no {_KEY_ID}")
        yield from flaws


def _flaws_of_settings(title: str, path: Path, section: Mapping[str, str]) -> Iterator[str]:
    for option, value in section.items():
        if found := next(filter(None, map(_SETTING.match, value.splitlines())), None):
            yield f"{found[1]} is indented in [{title}] of {path}, so it belongs to the setting above it"
        elif re.sub("[^a-z]", "", option) in _SIMILAR and option != _KEY_ID:
            yield f"[{title}] in {path} has {option!r} instead of {_KEY_ID}"
