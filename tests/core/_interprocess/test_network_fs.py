"""Detecting the file system of a directory, and warning about network file systems."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

from freshkey._interprocess import network_fs
from freshkey._interprocess.lock import ProfileLock
from freshkey._interprocess.network_fs import NETWORK, file_system, warn_of_network
from promises import proves


TABLE = """\
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw
30 21 0:26 / /home rw,relatime shared:2 master:1 - nfs4 server:/home rw,vers=4.2
31 30 8:2 / /home/ada/local rw - ext4 /dev/sdb rw
32 21 0:30 / /mnt/a\\040share rw - cifs //server/share rw
33 21 0:31 / /over rw - ext4 /dev/sdc rw
34 33 0:32 / /over rw - fuse.sshfs ada@server: rw
an invalid line
"""


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    table = tmp_path / "mountinfo"
    table.write_text(TABLE, "ascii")
    return table


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no mount points of this kind")
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
def test_nearest_and_latest_mount_point_is_used(directory: str, kind: str, mounts: Path) -> None:
    assert file_system(Path(directory), mounts) == kind


def test_system_without_a_mount_table_returns_none(tmp_path: Path) -> None:
    assert file_system(tmp_path, tmp_path / "none") is None


@pytest.mark.skipif(sys.platform != "linux", reason="/proc/self/mountinfo exists only on Linux")
def test_mount_table_of_this_machine_can_be_read() -> None:
    assert file_system(Path("/proc/self")) == "proc"


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph", "lustre"])
def test_network_file_systems(kind: str) -> None:
    assert NETWORK.fullmatch(kind)


@pytest.mark.parametrize("kind", ["ext4", "tmpfs", "overlay", "btrfs", "fuse.gocryptfs", "fuseblk", "nfsd"])
def test_local_file_systems(kind: str) -> None:
    assert not NETWORK.fullmatch(kind)


@proves("FAULT-21", "STO-8")
def test_lock_on_a_network_file_system_logs_one_warning_and_is_still_used(
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


def test_local_directory_logs_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    warn_of_network(tmp_path)

    assert caplog.records == []
