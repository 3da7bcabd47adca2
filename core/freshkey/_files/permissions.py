"""Who else may change a file, as far as its mode and its group tell."""

from __future__ import annotations

import os
import stat
import sys


def others_may_write(status: os.stat_result) -> bool:
    """Tell whether somebody beside the owner may write to a file or directory.

    Many systems give each person a group of their own and let that group write, by a umask of 002; nobody else is in
    such a group. On Windows modes say nothing, and the answer is no: the person's profile directory is private.
    """
    if sys.platform == "win32":
        return False
    if status.st_mode & stat.S_IWOTH:
        return True
    return bool(status.st_mode & stat.S_IWGRP) and not _is_own_group(status.st_gid)


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
