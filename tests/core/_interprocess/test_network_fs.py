"""Which file system a directory is on, and what is said of those that other machines write to."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

from freshkey._interprocess import network_fs
from freshkey._interprocess.lock import ProfileLock
from freshkey._interprocess.network_fs import NETWORK, file_system, warn_of_network
from matrix import row


TABLE = """\
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw
30 21 0:26 / /home rw,relatime shared:2 master:1 - nfs4 server:/home rw,vers=4.2
31 30 8:2 / /home/ada/local rw - ext4 /dev/sdb rw
32 21 0:30 / /mnt/a\\040share rw - cifs //server/share rw
33 21 0:31 / /over rw - ext4 /dev/sdc rw
34 33 0:32 / /over rw - fuse.sshfs ada@server: rw
a line that is none
"""


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    table = tmp_path / "mountinfo"
    table.write_text(TABLE, "ascii")
    return table


@pytest.mark.parametrize(
    ("directory", "kind"),
    [
        ("/var/lib/x", "ext4"),
        ("/home/ada/.local/state", "nfs4"),
        ("/homes", "ext4"),
        ("/home/ada/local/state", "ext4"),
        ("/mnt/a share/state", "cifs"),
        ("/over/state", "fuse.sshfs"),
    ],
)
def test_the_nearest_mount_counts_and_of_two_on_one_point_the_later(directory: str, kind: str, mounts: Path) -> None:
    assert file_system(Path(directory), mounts) == kind


def test_a_system_without_such_a_table_says_nothing(tmp_path: Path) -> None:
    assert file_system(tmp_path, tmp_path / "none") is None


@pytest.mark.skipif(sys.platform != "linux", reason="/proc/self/mountinfo is Linux's")
def test_the_table_of_this_machine_is_understood() -> None:
    assert file_system(Path("/proc/self")) == "proc"


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph", "lustre"])
def test_other_machines_write_to_these(kind: str) -> None:
    assert NETWORK.fullmatch(kind)


@pytest.mark.parametrize("kind", ["ext4", "tmpfs", "overlay", "btrfs", "fuse.gocryptfs", "fuseblk", "nfsd"])
def test_other_machines_do_not_write_to_these(kind: str) -> None:
    assert not NETWORK.fullmatch(kind)


@row(21, "STO-8")
def test_a_lock_on_a_network_file_system_is_warned_of_once_and_stays_a_kernel_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(network_fs, "file_system", lambda directory: "nfs4")

    for _ in range(3):
        ProfileLock(tmp_path / "state", "me").acquire(1)()

    (warning,) = caplog.records
    assert warning.levelno == logging.WARNING
    assert "network file system (nfs4)" in warning.getMessage()
    assert "FRESHKEY_STATE_DIR" in warning.getMessage()
    assert [path.name for path in (tmp_path / "state" / "locks").iterdir()] == ["me.lock"]


def test_a_local_directory_is_not_worth_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    warn_of_network(tmp_path)

    assert caplog.records == []
