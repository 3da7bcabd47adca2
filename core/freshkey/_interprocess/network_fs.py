"""Detect a directory on a network file system, where a lock may not exclude processes on other machines.

flock(2) on NFS is emulated by byte-range locks since Linux 2.6.12, and depends on the server and the mount options; on
SMB and on FUSE file systems it depends on client and server. freshkey uses such a lock anyway and logs a warning.
"""

from __future__ import annotations

import functools
import logging
import re
import sys
from pathlib import Path
from typing import Final


log = logging.getLogger(__name__)

MOUNTS: Final = Path("/proc/self/mountinfo")
NETWORK: Final = re.compile(
    r"nfs\d?|cifs|smb\w*|9p|afs|ceph|lustre|gpfs|beegfs|ocfs2|gfs2?|glusterfs|virtiofs"
    r"|fuse\.(sshfs|glusterfs|ceph\S*|rclone|s3fs|gcsfuse|davfs\S*|smbnetfs|nfs\S*)"
)
"""Kernel names of the file system types that other machines may write to.

See docs/decisions.md, "Network file systems are recognized by a list".
"""


@functools.cache
def warn_of_network(directory: Path) -> None:
    """Log one warning per process if a directory is on a network file system."""
    kind = file_system(directory)
    if kind is not None and NETWORK.fullmatch(kind):
        log.warning(
            "%s is on a network file system (%s), where locks may not work between machines: "
            "set FRESHKEY_STATE_DIR to a directory on a local disk",
            directory,
            kind,
        )


def file_system(directory: Path, mounts: Path = MOUNTS) -> str | None:
    """Return a directory's file system type (proc_pid_mountinfo(5)), or None if the system does not provide it."""
    if sys.platform == "win32":  # where servers enforce locks
        return None
    path, best, kind = directory.resolve(), -1, None
    try:
        lines = mounts.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return None
    for line in lines:
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not after:  # noqa: PLR2004  the mount point is the fifth
            continue
        point = Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[4]))
        # A later mount on the same point hides the earlier one.
        if path.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), after.split(" ")[0]
    return kind
