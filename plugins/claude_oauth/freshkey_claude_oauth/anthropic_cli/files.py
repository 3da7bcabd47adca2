"""The directory in which Anthropic's own tools keep profiles: which files, and how they are read without being fooled.

Places and names are those of Anthropic's Python SDK 2.13.0 (``_constants.py``), and so is what is refused
(``_providers.py``): a config file that others may write, a credentials file that is a link or that others may read or
write, a name that leads out of the directory. Beyond that, files of another user and files that are no files are
refused.
"""

from __future__ import annotations

import functools
import os
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from freshkey.errors import ConfigurationError, ProtocolError
from freshkey.plugin import NotRegularError, TooLongError, parse_json_object, read_bounded
from freshkey_claude_oauth.settings import checked_profile_name


DEFAULT_NAME: Final = "default"

MAX_BYTES: Final = 256 * 1024
"""Bytes that one of these files may have."""

_WRITABLE_BY_OTHERS: Final = 0o022
_OPEN_TO_OTHERS: Final = 0o077


def directory(environ: Mapping[str, str]) -> Path:
    """Return where profiles are: ``ANTHROPIC_CONFIG_DIR``, else the same place on Linux and macOS, or Windows' own."""
    chosen = environ.get("ANTHROPIC_CONFIG_DIR")
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        roaming = environ.get("APPDATA")
        return (Path(roaming) if roaming else _home() / "AppData" / "Roaming") / "Anthropic"
    return _home() / ".config" / "anthropic"


def _home() -> Path:
    """Return the home directory, or the root directory where there is none: never one below the working directory."""
    with suppress(RuntimeError):  # a user without an entry, and no HOME
        if (home := Path.home()).is_absolute():
            return home
    return Path(os.sep)


def active_name(base: Path) -> str | None:
    """Return what the file ``active_config`` says; None if it says nothing.

    Raises:
        ConfigurationError: It is no name, or cannot be trusted.
    """
    path = base / "active_config"
    data = _read(path, private=False)
    name = (data or b"").decode("utf-8", "replace").strip()
    return checked_profile_name(name, str(path)) if name else None


def config_path(base: Path, name: str) -> Path:
    """Return the path of a profile's config file.

    Raises:
        ConfigurationError: It leads out of the directory.
    """
    return _within(base, base / "configs" / f"{name}.json")


def credentials_path(base: Path, name: str) -> Path:
    """Return the path of a profile's credentials file, unless its config names another.

    Raises:
        ConfigurationError: It leads out of the directory.
    """
    return _within(base, base / "credentials" / f"{name}.json")


def read_config(path: Path) -> dict[str, Any] | None:
    """Return what a config file says; None if there is none.

    Raises:
        ConfigurationError: Others may write it, it is of another user, or it is no JSON object.
    """
    data = _read(path, private=False)
    return None if data is None else _object(data, path)


def read_credentials(path: Path) -> dict[str, Any] | None:
    """Return what a credentials file holds, in clear; None if there is none.

    Raises:
        ConfigurationError: It is a link, others may read or write it, it is of another user, or it is no JSON object.
            The message never quotes it.
    """
    data = _read(path, private=True)
    return None if data is None else _object(data, path)


def written_at(path: Path) -> float:
    """Return when a file was written, in Unix seconds; 0 if it is gone."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _within(base: Path, path: Path) -> Path:
    """Return `path` if it is below `base` wherever links lead."""
    # Not Path.resolve, which raises where links lead in a circle.
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(base)):
        raise ConfigurationError(f"{path} leads out of {base}", hint="Put the file itself there, not a link")
    return path


def _read(path: Path, *, private: bool) -> bytes | None:
    try:
        if private and path.is_symlink():
            raise ConfigurationError(f"{path} is a symbolic link", hint="Move the file itself there")
        check = functools.partial(_check, path=path, private=private)
        return read_bounded(path, MAX_BYTES, follow=not private, check=check)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except NotRegularError:
        flaw = ConfigurationError(f"{path} is not a regular file", hint="Put a file there, or nothing")
    except TooLongError:
        flaw = ConfigurationError(f"{path} has more than {MAX_BYTES} bytes", hint="It is none of Anthropic's: move it")
    except OSError as error:
        flaw = ConfigurationError(f"{path} cannot be read: {error.strerror}", hint="Check its permissions")
    raise flaw


def _check(found: os.stat_result, path: Path, *, private: bool) -> None:
    if sys.platform == "win32":  # modes and owners say nothing there; the user's profile directory is private
        return
    owners = {os.geteuid()} if private else {os.geteuid(), 0}
    if found.st_uid not in owners:
        message = f"{path} belongs to somebody else (user id {found.st_uid})"
        raise ConfigurationError(message, hint="Set ANTHROPIC_CONFIG_DIR to a directory of your own")
    mode = stat.S_IMODE(found.st_mode)
    if private and mode & _OPEN_TO_OTHERS:
        message = f"{path} can be read or changed by others (mode {mode:o})"
        raise ConfigurationError(message, hint=f"Run: chmod 600 {path}")
    if mode & _WRITABLE_BY_OTHERS:
        message = f"{path} can be changed by others (mode {mode:o})"
        raise ConfigurationError(message, hint=f"Run: chmod go-w {path}")


def _object(data: bytes, path: Path) -> dict[str, Any]:
    try:
        return parse_json_object(data)
    except ProtocolError:
        flaw = f"{path} does not hold one JSON object"
    raise ConfigurationError(flaw, hint="Mend it, or sign in again with the tool that made it")
