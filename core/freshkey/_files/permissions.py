"""Who owns a file and who else can change it, judged by its owner, mode and group.

On Windows these mean nothing, so every check returns False: who has access is decided when a directory is created.
"""

from __future__ import annotations

import functools
import os
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, ParamSpec, TypeVar, cast


P = ParamSpec("P")
T = TypeVar("T")

_FIRST_PERSON: Final = 500
"""User IDs from here on are people's, on all systems: macOS begins at 501, others at 1000."""

MAX_AGE: Final = 60.0
"""Seconds for which what the system said about a user or group counts: with a directory service, asking is slow."""

_answers: dict[tuple[object, ...], tuple[float, object]] = {}


def _kept(ask: Callable[P, T]) -> Callable[P, T]:
    """Ask once for all directories on the way to a file, and for all files of a command."""

    @functools.wraps(ask)
    def answer(*arguments: P.args, **named: P.kwargs) -> T:
        key = ask.__name__, _user_id(), *arguments
        asked, known = _answers.get(key, (-MAX_AGE, None))
        if time.monotonic() - asked >= MAX_AGE:
            asked, known = _answers[key] = time.monotonic(), ask(*arguments, **named)
        return cast("T", known)

    return answer


def _user_id() -> int:
    if sys.platform == "win32":
        return 0
    return os.geteuid()


def is_anothers(status: os.stat_result, *, root_too: bool = True) -> bool:
    """Return whether a file or directory belongs to another user; root counts too, unless `root_too` is False."""
    if sys.platform == "win32":
        return False
    return status.st_uid != os.geteuid() and (root_too or status.st_uid != 0)


def has_mode(status: os.stat_result, bits: int) -> bool:
    """Return whether a file's mode has any of `bits`."""
    return sys.platform != "win32" and bool(status.st_mode & bits)


def chmod_command(mode: str, path: Path) -> str:
    """Return the command that changes the mode of a file or directory, for hints."""
    import shlex

    return f"chmod {mode} {shlex.quote(str(path))}"


def is_foreign(status: os.stat_result) -> bool:
    """Return whether a file or directory belongs to neither this user nor root, who could change it at any time."""
    return is_anothers(status, root_too=False) and not _stands_for_root(status.st_uid)


def others_may_replace(status: os.stat_result, descriptor: int | None = None) -> bool:
    """Return whether other users can write and the directory's sticky bit does not stop them from replacing files.

    See `others_may_write` for `descriptor`.
    """
    return not status.st_mode & stat.S_ISVTX and others_may_write(status, descriptor)


def others_may_write(status: os.stat_result, descriptor: int | None = None) -> bool:
    """Return whether users other than the owner can write to a file or directory.

    Many systems give each user a private group and use a umask of 002, so the group can write. A group without other
    members does not count, nor does one whose members can become root.

    Args:
        status: Its status.
        descriptor: A descriptor of it, to look at its access control list too.
    """
    if has_mode(status, stat.S_IWOTH):
        return True
    if not has_mode(status, stat.S_IWGRP):
        return False  # then an access control list lets nobody write either: this bit is its mask (acl(5))
    if not (_is_own_group(status.st_gid) or _is_administrators(status.st_gid)):
        return True
    return descriptor is not None and _has_acl(descriptor)


@_kept
def system_home() -> Path | None:
    """Return the home directory of the user according to the system, whatever HOME says; None if it has none."""
    if sys.platform == "win32":
        return None
    import pwd

    try:
        home = Path(pwd.getpwuid(os.geteuid()).pw_dir)
    except KeyError:  # a user ID without an entry, as in containers
        return None
    return home if home.is_absolute() else None


def _stands_for_root(uid: int) -> bool:
    """Return whether a user ID is the one that a user namespace shows for root, as some sandboxes do.

    There, everything of root appears to belong to the overflow user, and so does the root directory.
    """
    if sys.platform != "linux":
        return False
    try:
        overflow = int(Path("/proc/sys/kernel/overflowuid").read_bytes())
    except (OSError, ValueError):
        return False
    return uid == overflow == _root_directory_s_owner()


def _root_directory_s_owner() -> int:
    return Path("/").stat().st_uid


@_kept
def _is_own_group(gid: int) -> bool:
    """Return whether a group is this user's private group: primary, same name, and without other members.

    See docs/decisions.md, "The parent of the state directory must not be writable by others".
    """
    if sys.platform == "win32":
        return False
    import grp
    import pwd

    try:
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(gid)
    except KeyError:
        return False
    if (user.pw_gid, user.pw_name) != (gid, group.gr_name) or not set(group.gr_mem) <= {user.pw_name}:
        return False
    # A group does not list those whose primary group it is. Accounts of the system, such as `halt`, are not used.
    others = (one.pw_uid for one in pwd.getpwall() if one.pw_gid == gid and one.pw_uid != user.pw_uid)
    return all(uid < _FIRST_PERSON for uid in others)


@_kept
def _is_administrators(gid: int) -> bool:
    """Return whether the members of a group can become root anyway, on systems where it owns directories of programs.

    Debian's `staff` may write to /usr/local, and Homebrew's directories belong to macOS's `admin`.
    """
    if sys.platform == "win32":
        return False
    import grp

    known = {"wheel": 0, "admin": 80} if sys.platform == "darwin" else {"staff": 50}
    try:
        return known.get(grp.getgrgid(gid).gr_name) == gid
    except KeyError:
        return False


def _has_acl(descriptor: int) -> bool:
    if sys.platform != "linux":
        return False
    try:
        return "system.posix_acl_access" in os.listxattr(f"/proc/self/fd/{descriptor}")
    except OSError:
        return False
