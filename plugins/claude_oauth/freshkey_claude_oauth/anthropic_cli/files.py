"""Finds and safely reads the files in which Anthropic's own tools store profiles.

Paths and names are those of Anthropic's Python SDK 2.13.0 (``_constants.py``). Like the SDK (``_providers.py``), this
module rejects a config file that other users can write, a credentials file that is a link or that other users can read
or write, and a name that leads outside the directory. In addition, it rejects another user's files, and anything that
is not a regular file.
"""

from __future__ import annotations

import codecs
import functools
import os
import shlex
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from freshkey.errors import ConfigurationError, ProtocolError
from freshkey.plugin import NotRegularError, TooLongError, parse_json_object, path_flaw, read_bounded
from freshkey_claude_oauth.settings import checked_profile_name


DEFAULT_NAME: Final = "default"

MAX_BYTES: Final = 256 * 1024
"""Maximum size of one of these files, in bytes."""

_WRITABLE_BY_OTHERS: Final = 0o022
_OPEN_TO_OTHERS: Final = 0o077


def directory(environ: Mapping[str, str]) -> Path:
    """Return the profile directory: ``ANTHROPIC_CONFIG_DIR``, or the default one for the platform."""
    chosen = environ.get("ANTHROPIC_CONFIG_DIR")
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        roaming = environ.get("APPDATA")
        return (Path(roaming) if roaming else _home() / "AppData" / "Roaming") / "Anthropic"
    return _home() / ".config" / "anthropic"


def checked_directory(environ: Mapping[str, str]) -> Path:
    """Return the profile directory, whether or not it exists.

    Raises:
        ConfigurationError: ``ANTHROPIC_CONFIG_DIR`` is not written as a path.
    """
    flaw = path_flaw(environ.get("ANTHROPIC_CONFIG_DIR", ""))
    if flaw is not None:
        raise ConfigurationError(
            f"the path in ANTHROPIC_CONFIG_DIR {flaw}",
            hint="Set ANTHROPIC_CONFIG_DIR to an absolute path",
            code="claude-invalid-cli-profile",
        )
    return directory(environ)


def _home() -> Path:
    """Return the home directory, or the root directory if there is none: never one below the working directory."""
    with suppress(RuntimeError):  # neither HOME nor an entry for the user
        if (home := Path.home()).is_absolute():
            return home
    return Path(os.sep)


def active_name(base: Path) -> str | None:
    """Return the profile name in the file ``active_config``; None if it is missing or empty.

    Raises:
        ConfigurationError: The name is invalid, or the file is unsafe.
    """
    path = base / "active_config"
    data = _read(path, private=False)
    name = (data or b"").decode("utf-8-sig", "replace").strip()
    return checked_profile_name(name, str(path)) if name else None


def config_path(base: Path, name: str) -> Path:
    """Return the path of a profile's config file.

    Raises:
        ConfigurationError: The path leads outside the directory.
    """
    return _within(base, base / "configs" / f"{name}.json")


def credentials_path(base: Path, name: str) -> Path:
    """Return the default path of a profile's credentials file, which its config may override.

    Raises:
        ConfigurationError: The path leads outside the directory.
    """
    return _within(base, base / "credentials" / f"{name}.json")


def read_config(path: Path) -> dict[str, Any] | None:
    """Return the contents of a config file; None if it does not exist.

    Raises:
        ConfigurationError: Other users can write it, it belongs to another user, or it is not a JSON object.
    """
    data = _read(path, private=False)
    return None if data is None else _object(data, path)


def read_credentials(path: Path) -> dict[str, Any] | None:
    """Return the contents of a credentials file, secrets included; None if it does not exist.

    Raises:
        ConfigurationError: It is a link, other users can read or write it, it belongs to another user, or it is not a
            JSON object. The message never quotes it.
    """
    data = _read(path, private=True)
    return None if data is None else _object(data, path)


def written_at(path: Path) -> float:
    """Return when a file was last written, in Unix seconds; 0 if it no longer exists."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _within(base: Path, path: Path) -> Path:
    """Return `path` if it is below `base` after all links are resolved."""
    # Not Path.resolve, which raises on a loop of links.
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(base)):
        raise ConfigurationError(
            f"{path} leads outside {base}", hint="Replace the link with the file itself", code="claude-unsafe-cli-file"
        )
    return path


def _read(path: Path, *, private: bool) -> bytes | None:
    try:
        if private and path.is_symlink():
            raise ConfigurationError(
                f"{path} is a symbolic link",
                hint="Replace the link with the file itself",
                code="claude-unsafe-cli-file",
            )
        check = functools.partial(_check, path=path, private=private)
        return read_bounded(path, MAX_BYTES, follow=not private, check=check)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except NotRegularError:
        flaw = ConfigurationError(
            f"{path} is not a regular file",
            hint="Remove it, or replace it with a regular file",
            code="claude-invalid-cli-profile",
        )
    except TooLongError:
        flaw = ConfigurationError(
            f"{path} is larger than {MAX_BYTES} bytes",
            hint="Move it elsewhere; it was not written by Anthropic's tools",
            code="claude-invalid-cli-profile",
        )
    except OSError as error:
        flaw = ConfigurationError(
            f"cannot read {path}: {error.strerror}", hint="Check its permissions", code="claude-invalid-cli-profile"
        )
    raise flaw


def _check(found: os.stat_result, path: Path, *, private: bool) -> None:
    if sys.platform == "win32":  # modes and owners mean nothing here; the user's home directory is private
        return
    owners = {os.geteuid()} if private else {os.geteuid(), 0}
    if found.st_uid not in owners:
        message = f"{path} belongs to another user (user ID {found.st_uid})"
        raise ConfigurationError(
            message, hint="Set ANTHROPIC_CONFIG_DIR to a directory that you own", code="claude-unsafe-cli-file"
        )
    mode = stat.S_IMODE(found.st_mode)
    if private and mode & _OPEN_TO_OTHERS:
        message = f"other users can access {path} (mode {mode:o})"
        raise ConfigurationError(
            message, hint=f"Run: chmod 600 {shlex.quote(str(path))}", code="claude-unsafe-cli-file"
        )
    if mode & _WRITABLE_BY_OTHERS:
        message = f"other users can write to {path} (mode {mode:o})"
        raise ConfigurationError(
            message, hint=f"Run: chmod go-w {shlex.quote(str(path))}", code="claude-unsafe-cli-file"
        )


def _object(data: bytes, path: Path) -> dict[str, Any]:
    try:
        # Editors on Windows put a byte order mark first.
        return parse_json_object(data.removeprefix(codecs.BOM_UTF8))
    except ProtocolError:
        flaw = f"{path} does not contain a single JSON object"
    raise ConfigurationError(
        flaw, hint="Fix the file, or sign in again with the tool that created it", code="claude-invalid-cli-profile"
    )
