"""Files that decide an identity, a destination or whom to trust: refused if another user can change them.

Such files are named by settings and environment variables, and often written by other tools. Whether others can read
them is those tools' business, so only owners and write access count.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from freshkey._files.bounded import read_bounded
from freshkey._files.owned import UnsafePathError, check_file, read_owned
from freshkey._files.path_text import shown_path
from freshkey._files.permissions import chmod_command, others_may_write
from freshkey.errors import ConfigurationError


def ensure_unchangeable(named_by: str, path: Path | str) -> None:
    """Raise if another user can change a file, or replace it; what does not exist is left to its reader.

    In a directory, such as one of certificate authorities, another user must not be able to create files either.

    Args:
        named_by: The setting or variable that names it, for messages.
        path: The file or directory.

    Raises:
        ConfigurationError: Another user can change it, or a directory or link on the way to it (``unsafe-file``).
    """
    try:
        _check(Path(path))
    except UnsafePathError as error:
        if _is_nobody_here(error.owner):
            return
        unsafe = _unsafe(error, named_by)
    except (OSError, ValueError):  # ValueError: a null character in the path
        return
    else:
        return
    raise unsafe


def _is_nobody_here(owner: int | None) -> bool:
    """Return whether this is root, and a file's owner is no user of this machine.

    Such are files of the host's user that are mounted into a container (``-v ~/.NAME:/root/.NAME``), which has no other
    user than root.
    """
    if sys.platform == "win32" or owner is None or os.geteuid() != 0:
        return False
    import pwd

    try:
        pwd.getpwuid(owner)
    except KeyError:
        return True
    return False


def _check(path: Path) -> None:
    check_file(path)
    found = path.stat()
    if stat.S_ISDIR(found.st_mode) and others_may_write(found):
        raise UnsafePathError(path, None)


def read_unchangeable(named_by: str, path: Path, limit: int) -> bytes:
    """Return the content of a regular file that no other user can change, at most `limit` bytes.

    Args:
        named_by: The setting or variable that names it, for messages.
        path: The file; links are followed.
        limit: Maximum size in bytes.

    Raises:
        ConfigurationError: Another user can change it, or a directory or link on the way to it (``unsafe-file``).
        NotRegularError: It is not a regular file.
        TooLongError: It is larger than `limit`.
        OSError: It cannot be read.
        ValueError: The path contains a null character.
    """
    try:
        return read_owned(path, limit)
    except UnsafePathError as error:
        if _is_nobody_here(error.owner):
            return read_bounded(path, limit)
        unsafe: Exception = _unsafe(error, named_by)
    except OSError as error:
        # It was opened below its directory, and so has only the last part of the path.
        unsafe = type(error)(error.errno, error.strerror, str(path))
    raise unsafe


def _unsafe(error: UnsafePathError, named_by: str) -> ConfigurationError:
    place = shown_path(str(error.place)) or "a directory on the way to it"
    move = f"copy the file to a directory of your own, and name that in {named_by}"
    if error.owner is not None:
        return ConfigurationError(
            f"the file from {named_by} was not used: {place} belongs to another user (user ID {error.owner}), "
            "who could change it",
            hint=move[0].upper() + move[1:],
            code="unsafe-file",
        )
    return ConfigurationError(
        f"the file from {named_by} was not used: other users can change {place}",
        hint=f"Run: {chmod_command('go-w', error.place)}; or {move}",
        code="unsafe-file",
    )
