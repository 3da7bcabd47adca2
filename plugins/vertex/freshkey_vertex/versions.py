"""What changes when a credentials file changes, or anything that it names (`Detected.version`)."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from freshkey.errors import ProtocolError
from freshkey.plugin import (
    NotRegularError,
    Secret,
    TooLongError,
    file_version,
    parse_json_object,
    read_bounded,
    without_project_path,
)
from freshkey_vertex.command_words import of_aws, of_google
from freshkey_vertex.credentials_file import EXECUTABLE_VARIABLE, MAX_BYTES, without_byte_order_mark


AWS_FILES: Final = {"AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials", "AWS_CONFIG_FILE": "~/.aws/config"}
"""AWS's shared files, by the variable that may name another path."""

_SESSIONS: Final = {"": "~/.aws/sso/cache", "AWS_LOGIN_CACHE_DIRECTORY": "~/.aws/login/cache"}
"""Where the AWS CLI keeps its sessions, by the variable that may name another path."""

_NAMING: Final = re.compile(
    rb"^[ \t]*+(?:credential_process|web_identity_token_file)[ \t]*+[=:][ \t]*+(.+)$", re.MULTILINE
)
_MAX_FILE: Final = 1 << 20
_MAX_PATH: Final = 4096
"""Characters (PATH_MAX of Linux); the time to expand a path grows with the square of its length."""


def version_of(path: Path, environ: Mapping[str, str]) -> str:
    """Return the version of a credentials file, and of the identity token, program or AWS keys that it names."""
    version = file_version(path)
    data = _read(path, MAX_BYTES)
    if b"credential_source" not in without_byte_order_mark(data):
        return version  # it names nothing
    try:
        info = parse_json_object(without_byte_order_mark(data))
    except ProtocolError:
        return version
    for one in (info, info.get("source_credentials")):
        source = one.get("credential_source") if isinstance(one, dict) else None
        if isinstance(source, dict):
            return f"{version} {_of_source(source, environ)}"
    return version


def _of_source(source: Mapping[str, Any], environ: Mapping[str, str]) -> str:
    if str(source.get("environment_id", "")).startswith("aws"):
        return _of_aws(environ)
    executable = source.get("executable")
    if isinstance(executable, dict):
        allowed = environ.get(EXECUTABLE_VARIABLE) == "1"
        return f"{allowed} {file_version(*_programs(of_google(str(executable.get('command') or ''))))}"
    file = source.get("file")
    return file_version(Path(file)) if isinstance(file, str) else ""


def _of_aws(environ: Mapping[str, str]) -> str:
    named = {name: value for name, value in sorted(environ.items()) if name.startswith("AWS_")}
    files = [_expanded(environ.get(name) or usual) for name, usual in AWS_FILES.items()]
    for content in [_read(path, _MAX_FILE) for path in files]:
        for line in _NAMING.findall(content):
            files += _programs(of_aws(line.decode("utf-8", "replace")))
    files += [Path(value) for name, value in named.items() if name.endswith("TOKEN_FILE")]
    for name, usual in _SESSIONS.items():
        files += _sessions(_expanded(environ.get(name) or usual))
    text = "\0".join(f"{name}={value}" for name, value in named.items())
    return f"{Secret(text).fingerprint()} {file_version(*files)}"


def _programs(argv: list[str]) -> Iterator[Path]:
    """Yield the files that a command line names: the program, and scripts among its arguments."""
    if argv:
        yield Path(shutil.which(argv[0], path=without_project_path(os.environ).get("PATH")) or argv[0])
    yield from (path for path in map(Path, argv[1:]) if path.is_absolute())


def _sessions(folder: Path) -> list[Path]:
    try:
        return sorted(folder.glob("*.json"))
    except OSError:
        return []


def _expanded(path: str) -> Path:
    if len(path) > _MAX_PATH:
        return Path(path)
    return Path(os.path.expanduser(os.path.expandvars(path)))  # noqa: PTH111  like botocore, never raises


def _read(path: Path, limit: int) -> bytes:
    try:
        return read_bounded(path, limit)
    except (OSError, ValueError, NotRegularError, TooLongError):
        return b""
