"""Files that only their owner can read or replace, written atomically.

On Windows access is that of the user's profile directory, or by a list of its own elsewhere, and modes are not checked.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import stat
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from attrs import field, frozen

from freshkey._files.bounded import NotRegularError, TooLongError
from freshkey._files.owned import UnsafePathError, check_directory, read_owned
from freshkey._files.permissions import chmod_command, has_mode, is_anothers
from freshkey._files.sharing import patiently, remove, replace
from freshkey.errors import StoreUnavailable


T = TypeVar("T")

MAX_BYTES: Final = 1 << 20
STALE_SECONDS: Final = 3600.0
NO_FOLLOW: Final = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_CLOEXEC", "O_NONBLOCK", "O_BINARY"))
"""Flags for `os.open`: do not follow a symbolic link, do not block on a pipe, do not leak to child processes."""

_TEMPORARY: Final = ".freshkey-"
_NO_LINKS: Final = {
    errno.EPERM,
    errno.EACCES,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.ENOSYS,
    errno.EINVAL,
    errno.EMLINK,
}
"""Error numbers of link(2) where the file system has no hard links, or where a policy forbids them."""
_MOVE: Final = "Set FRESHKEY_STATE_DIR to a directory that you own"
_DENIED: Final = "access to {path} is denied" + (
    ", or another program keeps it open" if sys.platform == "win32" else ""
)
_MOVE_OR_CLOSE: Final = "Close the program that has it open, or s" + _MOVE[1:] if sys.platform == "win32" else _MOVE
_MAX_PATH: Final = 247
"""Longest path of a directory in characters on Windows, unless it is set up for longer ones; files may have 12 more."""
_SHORTEN: Final = "Set FRESHKEY_STATE_DIR to a shorter path, or let Windows have longer ones (LongPathsEnabled)"
_FREE_SPACE: Final = "Free some space on that disk"


@frozen
class _Cause:
    """How to report one error number; `message` is a template with `path`."""

    message: str
    hint: str
    code: str = field(kw_only=True)


_CAUSES: Final = {
    errno.ENOSPC: _Cause("no space left on the disk for {path}", _FREE_SPACE, code="disk-full"),
    errno.EDQUOT: _Cause("cannot write {path}: disk quota exceeded", _FREE_SPACE, code="disk-full"),
    errno.EROFS: _Cause("{path} is on a read-only file system", _MOVE, code="store-access-denied"),
    errno.EACCES: _Cause(_DENIED, _MOVE_OR_CLOSE, code="store-access-denied"),
    errno.EPERM: _Cause("access to {path} is denied", _MOVE, code="store-access-denied"),
    errno.ELOOP: _Cause(
        "{path} is a symbolic link",
        "Remove the link, or set FRESHKEY_STATE_DIR to the directory it points to",
        code="unsafe-store-path",
    ),
}


def unavailable(error: OSError, path: Path) -> StoreUnavailable:
    """Convert an operating system error about `path` to an error with a hint."""
    longest = max(str(path), str(error.filename or ""), key=len)
    if sys.platform == "win32" and error.errno == errno.ENOENT and len(longest) > _MAX_PATH:
        return StoreUnavailable(f"{longest} is longer than Windows allows", hint=_SHORTEN, code="store-unavailable")
    reason = os.strerror(error.errno) if error.errno else type(error).__name__
    other = _Cause(f"cannot use {{path}}: {reason}", _MOVE, code="store-unavailable")
    cause = _CAUSES.get(error.errno or 0, other)
    return StoreUnavailable(cause.message.format(path=path), hint=cause.hint, code=cause.code)


def file_name(name: str) -> str:
    """Return a recognizable file name for the key of any profile, unique on every file system."""
    profile, plus, _ = name.partition("+")
    readable = re.sub(r"[^a-z0-9_-]+", "_", profile.lower())[:40]
    # Names are the user's. Accounts are others', who may look for two with one short hash, and there are many of them.
    digits = 40 if plus else 12
    return f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:digits]}"


def private_dir(base: Path, *below: str) -> Path:
    """Return a directory that only this user can list and change; create it and its missing parents.

    Args:
        base: Where freshkey keeps its state.
        below: Names of nested directories in `base`; each of them is checked too.

    Raises:
        StoreUnavailable: Another user could list it, or replace it or a directory above it, or it cannot be created.
    """
    try:
        _prepare(base.parent)
        for depth in range(len(below) + 1):
            _make_private(base.joinpath(*below[:depth]))
    except UnsafePathError as error:
        raise _unsafe(error) from None
    except OSError as error:
        raise unavailable(error, base) from None
    return base.joinpath(*below)


def read_private(path: Path, limit: int = MAX_BYTES) -> bytes | None:
    """Read a file that `write_private` wrote; None if it does not exist.

    Raises:
        StoreUnavailable: The file is a link, belongs to another user, is readable by others, or is too large; or
            another user could replace it or a directory above it.
    """

    def check(status: os.stat_result) -> None:
        _check_owner(status, path)
        if has_mode(status, 0o077):
            raise StoreUnavailable(
                f"other users can read {path}", hint=f"Run: {chmod_command('600', path)}", code="unsafe-store-path"
            )

    try:
        return read_owned(path, limit, follow=False, check=check)
    except FileNotFoundError:
        return None
    except UnsafePathError as error:
        raise _unsafe(error) from None
    except TooLongError:
        flaw = f"{path} is larger than {limit} bytes"
    except (NotRegularError, IsADirectoryError):
        flaw = f"{path} is not a regular file"
    except OSError as error:
        raise unavailable(error, path) from None
    raise StoreUnavailable(flaw, hint="Move it elsewhere; freshkey did not write it", code="unsafe-store-path")


def write_private(path: Path, data: bytes) -> None:
    """Replace a file atomically, with mode 0600; its content is on the disk when this returns.

    Raises:
        StoreUnavailable: The file could not be written; the old content is unchanged.
    """
    _place(path, data, replace)


def create_private(path: Path, data: bytes) -> bool:
    """Create a file that must not exist yet; return whether this call created it.

    Raises:
        StoreUnavailable: The file could not be created.
    """
    return _place(path, data, _is_linked)


def _is_linked(temporary: Path, path: Path) -> bool:
    try:
        _link(temporary, path)
    except FileExistsError:
        return False
    return True


def _link(temporary: Path, path: Path) -> None:
    if sys.platform == "win32":  # a move fails if there is a file already, whatever the file system
        from freshkey._files.windows_files import move

        patiently(lambda: move(str(temporary), str(path), replace=False))
        return
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    else:
        return
    # Without hard links, as on FAT, other processes may briefly see a partial file, and a crash may leave one.
    data = temporary.read_bytes()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_FOLLOW, 0o600)
    try:
        _write(descriptor, data)
    except BaseException:
        path.unlink()
        raise


def remove_private(path: Path) -> None:
    """Remove a file, if it exists.

    Raises:
        StoreUnavailable: The file could not be removed.
    """
    try:
        check_directory(path.parent)
        remove(path)
        _sync_directory(path.parent)
    except UnsafePathError as error:
        raise _unsafe(error) from None
    except OSError as error:
        raise unavailable(error, path) from None


def _place(path: Path, data: bytes, put: Callable[[Path, Path], T]) -> T:
    """Write a temporary file next to `path`, sync it, and `put` it in place; return what that returns."""
    temporary: Path | None = None
    try:
        check_directory(path.parent)
        descriptor, temporary = _new_temporary(path.parent)
        _write(descriptor, data)
        done = put(temporary, path)
        _sync_directory(path.parent)
    except UnsafePathError as error:
        raise _unsafe(error) from None
    except OSError as error:
        raise unavailable(error, path) from None
    finally:
        if temporary is not None:
            _discard(temporary)
    _sweep_stale(path.parent)
    return done


def _new_temporary(directory: Path) -> tuple[int, Path]:
    """Create an empty file of a new name, with mode 0600 whatever the umask, and open it for writing.

    Not by `tempfile`: on Windows it takes a denied directory for a name that is taken, and until CPython 3.13.13 it
    tries two billion others (https://github.com/python/cpython/issues/66305). A name of 64 random bits is not taken.
    """
    path = directory / f"{_TEMPORARY}{secrets.token_hex(8)}"
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_FOLLOW, 0o600), path


def _discard(temporary: Path) -> None:
    if sys.platform == "win32":
        with suppress(OSError):  # what another program keeps open is removed later, as that of a killed writer
            remove(temporary)
    else:
        temporary.unlink(missing_ok=True)


def _write(descriptor: int, data: bytes) -> None:
    """Write everything to a descriptor, sync it, and close it."""
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def _sweep_stale(directory: Path) -> None:
    """Remove temporary files of writers that were killed long ago."""
    with suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            # Another writer's temporary file may disappear before it is checked; Windows removes none that is open.
            with suppress(OSError):
                old = time.time() - entry.stat(follow_symlinks=False).st_mtime > STALE_SECONDS
                if entry.name.startswith(_TEMPORARY) and old:
                    Path(entry).unlink(missing_ok=True)


def _sync_directory(directory: Path) -> None:
    # A rename survives a power failure only once its directory is synced; Windows has no such call and needs none.
    if sys.platform != "win32":
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _prepare(path: Path) -> None:
    """Create a missing directory with its parents, and refuse one in which another user could replace ours."""
    try:
        check_directory(path)
    except FileNotFoundError:
        if path.parent == path:  # on Windows: a drive or a share that is not there
            raise
        _prepare(path.parent)
        _create_directory(path)  # each by itself: parents=True would leave their modes to the umask
        check_directory(path)


def _create_directory(path: Path) -> None:
    """Create a directory for this user only; another process may do so at the same time."""
    if sys.platform == "win32":
        from freshkey._files.windows_directories import create_directory

        with suppress(FileExistsError):
            create_directory(path)
    else:
        path.mkdir(mode=0o700, exist_ok=True)


def _make_private(path: Path) -> None:
    if not os.path.lexists(path):
        _create_directory(path)
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        raise unavailable(OSError(errno.ELOOP, ""), path)
    if not stat.S_ISDIR(found.st_mode):
        raise StoreUnavailable(f"{path} is not a directory", hint=_MOVE, code="unsafe-store-path")
    _check_owner(found, path)
    if has_mode(found, 0o077):
        # It is not changed here: one that the user made can be in use for other things.
        verb = "write to" if has_mode(found, 0o022) else "look into"
        hint = f"Run: {chmod_command('700', path)} (if that has no effect, set FRESHKEY_STATE_DIR to a local disk)"
        raise StoreUnavailable(f"other users can {verb} {path}", hint=hint, code="unsafe-store-path")


def _unsafe(error: UnsafePathError) -> StoreUnavailable:
    if error.owner is not None:
        message = f"{error.place} belongs to another user (user ID {error.owner}), who could replace your files"
        return StoreUnavailable(message, hint=_MOVE, code="unsafe-store-path")
    return StoreUnavailable(
        f"other users can replace files in {error.place}",
        hint=f"{_MOVE}, or run: {chmod_command('go-w', error.place)}" if error.is_ours else _MOVE,
        code="unsafe-store-path",
    )


def _check_owner(found: os.stat_result, path: Path) -> None:
    if is_anothers(found):
        raise StoreUnavailable(f"{path} belongs to another user", hint=_MOVE, code="unsafe-store-path")
