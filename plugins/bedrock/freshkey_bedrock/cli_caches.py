"""The session caches of the AWS CLI, as botocore reads them: damage in one means that the user has to sign in again.

botocore only checks that the file exists; a file that is cut short then appears as a ``KeyError`` of its own.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from freshkey.errors import LoginRequired, ProtocolError
from freshkey.plugin import NotRegularError, TooLongError, parse_json_object, read_bounded, shell_quoted
from freshkey_bedrock.ini_file import decoded
from freshkey_bedrock.paths import expanded
from freshkey_bedrock.stated_end import moment


MAX_FILE: Final = 1024 * 1024
"""Bytes; a session is a few thousand."""

_RENEWAL: Final = ("refreshToken", "clientId", "clientSecret", "registrationExpiresAt")
_LOGIN_KEYS: Final = ("accessKeyId", "secretAccessKey", "sessionToken", "accountId")

Read = Callable[[dict[str, Any]], dict[str, Any] | str]
"""Returns the session as botocore needs it, or what is wrong with it."""


class CheckedCache:
    """Replaces botocore's ``JSONFileCache``: reads with care, and writes through the cache that it replaces.

    Args:
        cache: The cache of botocore.
        read: Checks what is read.
        command: The command of the AWS CLI that writes the cache, without ``aws``.
        aws_profile: The AWS profile whose session it is.
    """

    def __init__(self, cache: Any, read: Read, *, command: str, aws_profile: str) -> None:  # noqa: ANN401  botocore has no types
        self._cache = cache
        self._read = read
        self._command = command
        self._aws_profile = aws_profile

    def __contains__(self, key: str) -> bool:
        """Return whether there is a file; one that cannot be examined counts, so that the error says why."""
        try:
            self._path(key).stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True
        return True

    def __getitem__(self, key: str) -> dict[str, Any]:
        """Return the session.

        Raises:
            LoginRequired: The file cannot be read, or contains no session.
        """
        path = self._path(key)
        found = _facts(path)
        found = self._read(found) if isinstance(found, dict) else found
        if isinstance(found, dict):
            return found
        again = f"Run: {cli_command(self._command, self._aws_profile)}"
        raise LoginRequired(
            f"the 'aws {self._command}' session of AWS profile {self._aws_profile!r} cannot be used: {path} {found}",
            hint=again,
            code="bedrock-aws-sign-in-required",
        )

    def __setitem__(self, key: str, value: dict[str, Any]) -> None:
        self._cache[key] = value

    def _path(self, key: str) -> Path:
        return Path(self._cache._convert_cache_key(key))  # noqa: SLF001


def cli_command(command: str, aws_profile: str) -> str:
    """Return a command of the AWS CLI for an AWS profile, quoted for the shell."""
    return f"aws {command}" + (f" --profile {shell_quoted(aws_profile)}" if aws_profile != "default" else "")


def sso_session(facts: dict[str, Any]) -> dict[str, Any] | str:
    """Check a session of ``aws sso login``; without usable data for a renewal it can be used until it expires."""
    token, ends = facts.get("accessToken"), moment(facts.get("expiresAt"))
    if not (isinstance(token, str) and token) or ends is None:
        return "contains no access token with an expiration time"
    session = {**facts, "expiresAt": _written(ends)}
    registered = moment(facts.get("registrationExpiresAt"))
    if registered is None or not all(isinstance(facts.get(name), str) for name in _RENEWAL):
        return {name: value for name, value in session.items() if name not in _RENEWAL}
    return {**session, "registrationExpiresAt": _written(registered)}


def login_session(facts: dict[str, Any]) -> dict[str, Any] | str:
    """Check a session of ``aws login``."""
    keys = facts.get("accessToken")
    if not isinstance(keys, dict) or not all(isinstance(keys.get(name), str) for name in _LOGIN_KEYS):
        return "contains no access key"
    if (ends := moment(keys.get("expiresAt"))) is None:
        return "does not say when its access key expires"
    if not all(isinstance(facts.get(name), str) for name in ("refreshToken", "dpopKey", "clientId")):
        return "lacks what renews it"
    return {**facts, "accessToken": {**keys, "expiresAt": _written(ends)}}


def cache_files(section: Mapping[str, str], environ: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """Return the files in which the AWS CLI keeps the session of an AWS profile."""
    home = Path(os.path.expanduser("~")) / ".aws"  # noqa: PTH111  never raises
    files = []
    if name := section.get("sso_session") or section.get("sso_start_url"):
        digest = hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()
        files.append(home / "sso" / "cache" / f"{digest}.json")
    if name := section.get("login_session"):
        named = environ.get("AWS_LOGIN_CACHE_DIRECTORY")
        folder = expanded(named) if named else home / "login" / "cache"
        files.append(folder / f"{hashlib.sha256(name.encode()).hexdigest()}.json")
    return tuple(files)


def _facts(path: Path) -> dict[str, Any] | str:
    """Return the object in a file, or what is wrong with the file."""
    try:
        return parse_json_object(decoded(read_bounded(path, MAX_FILE)).encode())
    except (ProtocolError, UnicodeError):
        return "is not valid JSON: it is empty, cut short or damaged"
    except NotRegularError:
        return "is not a regular file"
    except TooLongError:
        return f"is larger than {MAX_FILE} bytes"
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _written(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
