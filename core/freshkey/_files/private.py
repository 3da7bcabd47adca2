"""Files that only their owner can read or replace, written whole or not at all.

On Windows the permissions are those of the person's profile directory, and no modes are checked.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from freshkey._files.bounded import NotRegularError, TooLongError, read_bounded
from freshkey._files.permissions import has_mode, is_anothers, others_may_replace
from freshkey.errors import StoreUnavailable


MAX_BYTES: Final = 1 << 20
STALE_SECONDS: Final = 3600.0
NO_FOLLOW: Final = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_CLOEXEC", "O_NONBLOCK", "O_BINARY"))
"""Open what is meant and nothing else: no symbolic link, no waiting for a pipe's other end, no inheriting."""

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
"""What link(2) answers where there are no hard links, or where a policy forbids them."""
_MOVE: Final = "Set FRESHKEY_STATE_DIR to a directory of your own"
_CAUSES: Final = {
    errno.ENOSPC: ("there is no space left for {path}", "Free some space on that disk"),
    errno.EDQUOT: ("the disk quota is used up, so {path} cannot be written", "Free some space on that disk"),
    errno.EROFS: ("{path} is on a read-only file system", _MOVE),
    errno.EACCES: ("access to {path} is denied", _MOVE),
    errno.EPERM: ("access to {path} is denied", _MOVE),
    errno.ELOOP: ("{path} is a symbolic link", "Remove the link, or set FRESHKEY_STATE_DIR to where it leads"),
}


def unavailable(error: OSError, path: Path) -> StoreUnavailable:
    """Say what an error of the system about `path` means for a person."""
    reason = os.strerror(error.errno) if error.errno else type(error).__name__
    message, hint = _CAUSES.get(error.errno or 0, (f"{{path}} cannot be used: {reason}", _MOVE))
    return StoreUnavailable(message.format(path=path), hint=hint)


def file_name(name: str) -> str:
    """Turn any name into one that every file system keeps apart from others, and that people recognize."""
    readable = re.sub(r"[^a-z0-9_-]+", "_", name.lower())[:40]
    return f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def private_dir(base: Path, *below: str) -> Path:
    """Return a directory that belongs to this person alone; make it, and what leads to it, where it is missing.

    Args:
        base: Where freshkey keeps its state.
        below: Names of directories in it; each of them is checked as well.

    Raises:
        StoreUnavailable: Somebody else could read or replace what is in it.
    """
    try:
        _make_missing(base.parent)
        _check_parent(base.parent)
        for depth in range(len(below) + 1):
            _make_private(base.joinpath(*below[:depth]))
    except OSError as error:
        raise unavailable(error, base) from None
    return base.joinpath(*below)


def read_private(path: Path, limit: int = MAX_BYTES) -> bytes | None:
    """Read a file that `write_private` wrote; None if there is none.

    Raises:
        StoreUnavailable: It is a link, belongs to somebody else, is readable by others, or is too long.
    """

    def check(status: os.stat_result) -> None:
        _check_owner(status, path)
        if has_mode(status, 0o077):
            raise StoreUnavailable(f"other users can read {path}", hint=f"Run: chmod 600 {path}")

    try:
        return read_bounded(path, limit, follow=False, check=check)
    except FileNotFoundError:
        return None
    except TooLongError:
        flaw = f"{path} has more than {limit} bytes"
    except (NotRegularError, IsADirectoryError):
        flaw = f"{path} is not a regular file"
    except OSError as error:
        raise unavailable(error, path) from None
    raise StoreUnavailable(flaw, hint="It is none of freshkey's files: move it")


def write_private(path: Path, data: bytes) -> None:
    """Replace a file as a whole, mode 0600, on the disk when this returns.

    Raises:
        StoreUnavailable: The old content is still there, untouched.
    """
    _place(path, data, os.replace)


def create_private(path: Path, data: bytes) -> bool:
    """Write a file that must not exist yet; return whether this call made it.

    Raises:
        StoreUnavailable: Nothing was written.
    """
    try:
        _place(path, data, _link)
    except FileExistsError:
        return False
    return True


def _link(temporary: str, path: Path) -> None:
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    else:
        return
    # Without links, as on FAT, others may see half a file for a moment, and a crash may leave it.
    data = Path(temporary).read_bytes()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_FOLLOW, 0o600)
    try:
        _write(descriptor, data)
    except BaseException:
        path.unlink()
        raise


def remove_private(path: Path) -> None:
    """Remove a file; it may be gone already.

    Raises:
        StoreUnavailable: It is still there.
    """
    try:
        path.unlink(missing_ok=True)
        _sync_directory(path.parent)
    except OSError as error:
        raise unavailable(error, path) from None


def _place(path: Path, data: bytes, put: Callable[[str, Path], None]) -> None:
    """Write a temporary file beside `path`, wait for the disk, and `put` it in place."""
    temporary = ""
    try:
        # mkstemp opens exclusively and gives mode 0600 whatever the umask.
        descriptor, temporary = tempfile.mkstemp(prefix=_TEMPORARY, dir=path.parent)
        _write(descriptor, data)
        put(temporary, path)
        _sync_directory(path.parent)
    except FileExistsError:
        raise
    except OSError as error:
        raise unavailable(error, path) from None
    finally:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
    _sweep_stale(path.parent)


def _write(descriptor: int, data: bytes) -> None:
    """Write all to a descriptor, wait for the disk, and close it."""
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def _sweep_stale(directory: Path) -> None:
    """Remove what a writer left that was killed long ago."""
    # Another writer's temporary file may be gone before it is looked at.
    with suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            old = time.time() - entry.stat(follow_symlinks=False).st_mtime > STALE_SECONDS
            if entry.name.startswith(_TEMPORARY) and old:
                Path(entry).unlink(missing_ok=True)


def _sync_directory(directory: Path) -> None:
    # A rename is on the disk only when its directory is; Windows has no such call and does it by itself.
    if sys.platform != "win32":
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _make_missing(path: Path) -> None:
    # Path.mkdir(parents=True) leaves the mode of the parents to the umask.
    if not path.exists():
        _make_missing(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)


def _make_private(path: Path) -> None:
    if not os.path.lexists(path):
        path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        raise unavailable(OSError(errno.ELOOP, ""), path)
    if not stat.S_ISDIR(found.st_mode):
        raise StoreUnavailable(f"{path} is not a directory", hint=_MOVE)
    _check_owner(found, path)
    if has_mode(found, 0o022):
        raise StoreUnavailable(f"other users can write to {path}", hint=f"Run: chmod 700 {path}")


def _check_parent(path: Path) -> None:
    """Refuse a place where somebody else could put another directory under our name."""
    found = path.stat()
    _check_owner(found, path, root_too=False)
    if others_may_replace(found):
        raise StoreUnavailable(f"other users can replace what is in {path}", hint=f"{_MOVE}, or run: chmod go-w {path}")


def _check_owner(found: os.stat_result, path: Path, *, root_too: bool = True) -> None:
    if is_anothers(found, root_too=root_too):
        raise StoreUnavailable(f"{path} belongs to another user", hint=_MOVE)
