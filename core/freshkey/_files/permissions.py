"""Who owns a file and who else can change it, judged by its owner, mode and group.

On Windows these mean nothing, so every check returns False: the user's profile directory is private there.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path


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


def others_may_replace(status: os.stat_result) -> bool:
    """Return whether other users can write and the directory's sticky bit does not stop them from replacing files."""
    return others_may_write(status) and not status.st_mode & stat.S_ISVTX


def others_may_write(status: os.stat_result) -> bool:
    """Return whether users other than the owner can write to a file or directory.

    Many systems give each user a private group and use a umask of 002, so the group can write. A group without other
    members does not count.
    """
    return has_mode(status, stat.S_IWOTH) or (has_mode(status, stat.S_IWGRP) and not _is_own_group(status.st_gid))


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
    return (user.pw_gid, user.pw_name) == (gid, group.gr_name) and set(group.gr_mem) <= {user.pw_name}
