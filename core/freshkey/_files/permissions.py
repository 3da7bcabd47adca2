"""Whose a file is and who else may change it, as far as its owner, its mode and its group tell.

On Windows none of them says anything, and every answer is no: the person's profile directory is private.
"""

from __future__ import annotations

import os
import stat
import sys


def is_anothers(status: os.stat_result, *, root_too: bool = True) -> bool:
    """Tell whether a file or directory belongs to another user; to root counts as well, unless `root_too` is False."""
    if sys.platform == "win32":
        return False
    return status.st_uid != os.geteuid() and (root_too or status.st_uid != 0)


def has_mode(status: os.stat_result, bits: int) -> bool:
    """Tell whether a file's mode has any of `bits`."""
    return sys.platform != "win32" and bool(status.st_mode & bits)


def others_may_replace(status: os.stat_result) -> bool:
    """Tell whether somebody beside the owner may write, and is not held back by the sticky bit of a directory."""
    return others_may_write(status) and not status.st_mode & stat.S_ISVTX


def others_may_write(status: os.stat_result) -> bool:
    """Tell whether somebody beside the owner may write to a file or directory.

    Many systems give each person a group of their own and let that group write, by a umask of 002; nobody else is in
    such a group.
    """
    return has_mode(status, stat.S_IWOTH) or (has_mode(status, stat.S_IWGRP) and not _is_own_group(status.st_gid))


def _is_own_group(gid: int) -> bool:
    """Tell whether a group is this user's alone: their primary one, with their name, and without other members."""
    if sys.platform == "win32":
        return False
    import grp
    import pwd

    try:
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(gid)
    except KeyError:
        return False
    return (user.pw_gid, user.pw_name) == (gid, group.gr_name) and set(group.gr_mem) <= {user.pw_name}
