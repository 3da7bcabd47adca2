"""Private files: nobody else can read, replace or redirect them, and a failed write leaves the old content."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from freshkey._files.private import create_private, file_name, private_dir, read_private, remove_private, write_private
from freshkey.errors import StoreUnavailable
from matrix import row


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return private_dir(tmp_path / "state")


@pytest.fixture
def umask_000() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@row(51, "STO-7")
@pytest.mark.usefixtures("umask_000")
def test_whatever_the_umask_nobody_else_gets_in(tmp_path: Path) -> None:
    """STO-7, row 51."""
    folder = private_dir(tmp_path / "a" / "b" / "state", "store")
    write_private(folder / "x", b"1")

    assert [mode(path) for path in (tmp_path / "a", tmp_path / "a" / "b", folder.parent, folder)] == [0o700] * 4
    assert mode(folder / "x") == 0o600


def test_what_is_written_is_read_back_and_nothing_else_is_left(folder: Path) -> None:
    write_private(folder / "x", b"old")
    write_private(folder / "x", b"\0new")

    assert read_private(folder / "x") == b"\0new"
    assert names(folder) == ["x"]


def test_a_missing_file_is_no_error(folder: Path) -> None:
    assert read_private(folder / "x") is None
    remove_private(folder / "x")


def test_a_removed_file_is_gone(folder: Path) -> None:
    write_private(folder / "x", b"1")
    remove_private(folder / "x")

    assert not (folder / "x").exists()


def test_only_one_of_two_creators_makes_the_file(folder: Path) -> None:
    assert create_private(folder / "x", b"first")
    assert not create_private(folder / "x", b"second")

    assert read_private(folder / "x") == b"first"
    assert mode(folder / "x") == 0o600
    assert names(folder) == ["x"]


@pytest.fixture(params=[errno.EPERM, errno.EOPNOTSUPP])
def no_links(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without hard links."""

    def refuse(source: str, target: Path) -> NoReturn:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(os, "link", refuse)


@pytest.mark.usefixtures("no_links", "umask_000")
def test_where_there_are_no_links_only_one_creator_makes_the_file_too(folder: Path) -> None:
    assert create_private(folder / "x", b"first")
    assert not create_private(folder / "x", b"second")
    (folder / "link").symlink_to(folder / "target")
    assert not create_private(folder / "link", b"third")

    assert read_private(folder / "x") == b"first"
    assert mode(folder / "x") == 0o600
    assert names(folder) == ["link", "x"]


@row(48, "STO-7")
@pytest.mark.usefixtures("no_links")
def test_where_there_are_no_links_a_full_disk_leaves_no_half_of_a_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def full(descriptor: int) -> None:
        if (folder / "x").exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreUnavailable, match="no space left"):
        create_private(folder / "x", b"first")
    assert names(folder) == []


def test_other_errors_of_linking_are_errors(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(source: str, target: Path) -> NoReturn:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "link", fail)
    with pytest.raises(StoreUnavailable, match="Input/output error"):
        create_private(folder / "x", b"first")
    assert names(folder) == []


@row(50, "STO-7")
@pytest.mark.parametrize("bits", [0o777, 0o770, 0o702, 0o720])
def test_a_directory_that_others_can_write_to_is_refused_with_the_remedy(folder: Path, bits: int) -> None:
    """Row 50."""
    folder.chmod(bits)

    with pytest.raises(StoreUnavailable, match=rf"other users can write.*chmod 700 {folder}"):
        private_dir(folder)


def test_each_directory_below_is_checked_too(folder: Path) -> None:
    private_dir(folder, "store").chmod(0o777)

    with pytest.raises(StoreUnavailable, match=r"chmod 700 .*/store"):
        private_dir(folder, "store")


@row(50, "STO-7")
def test_a_directory_behind_a_link_is_refused(folder: Path, tmp_path: Path) -> None:
    """Row 50."""
    (tmp_path / "link").symlink_to(folder)
    (folder / "store").symlink_to(tmp_path)

    with pytest.raises(StoreUnavailable, match="link is a symbolic link"):
        private_dir(tmp_path / "link")
    with pytest.raises(StoreUnavailable, match="store is a symbolic link"):
        private_dir(folder, "store")


def test_a_file_in_the_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"")

    with pytest.raises(StoreUnavailable, match="not a directory"):
        private_dir(tmp_path / "state")


@row(50, "STO-7")
@pytest.mark.parametrize("bits", [0o777, 0o770, 0o702, 0o720])
def test_a_place_where_others_can_swap_the_directory_is_refused(
    tmp_path: Path, bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("freshkey._files.permissions._is_own_group", lambda gid: False)
    place = tmp_path / "open"
    place.mkdir()
    place.chmod(bits)

    with pytest.raises(StoreUnavailable, match=rf"other users can replace .*chmod go-w {place}"):
        private_dir(place / "state")
    assert not (place / "state").exists()
    place.chmod(0o1000 | bits)
    assert private_dir(place / "state").is_dir()


def test_a_place_where_only_the_group_of_one_person_writes_is_fine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("freshkey._files.permissions._is_own_group", lambda gid: True)
    tmp_path.chmod(0o775)
    assert private_dir(tmp_path / "state").is_dir()


@row(50, "STO-7")
def test_what_belongs_to_somebody_else_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 50."""
    write_private(folder / "x", b"1")
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)

    with pytest.raises(StoreUnavailable, match="belongs to another user"):
        private_dir(folder)
    with pytest.raises(StoreUnavailable, match="belongs to another user"):
        read_private(folder / "x")


def test_a_file_that_others_can_read_is_refused_with_the_remedy(folder: Path) -> None:
    write_private(folder / "x", b"1")
    (folder / "x").chmod(0o644)

    with pytest.raises(StoreUnavailable, match=r"other users can read .*chmod 600"):
        read_private(folder / "x")


def test_a_link_is_never_followed(folder: Path) -> None:
    (folder / "target").write_bytes(b"precious")
    (folder / "x").symlink_to(folder / "target")

    with pytest.raises(StoreUnavailable, match="is a symbolic link"):
        read_private(folder / "x")
    write_private(folder / "x", b"new")

    assert (folder / "target").read_bytes() == b"precious"
    assert not (folder / "x").is_symlink()


@pytest.mark.timeout(10)
def test_a_pipe_or_a_directory_is_no_file_and_nobody_waits_for_it(folder: Path) -> None:
    os.mkfifo(folder / "pipe", 0o600)
    (folder / "directory").mkdir()

    with pytest.raises(StoreUnavailable, match="not a regular file"):
        read_private(folder / "pipe")
    with pytest.raises(StoreUnavailable):
        read_private(folder / "directory")


def test_a_file_of_unlikely_size_is_not_read(folder: Path) -> None:
    write_private(folder / "x", b"x" * 11)

    assert read_private(folder / "x", limit=11) == b"x" * 11
    with pytest.raises(StoreUnavailable, match="more than 10 bytes"):
        read_private(folder / "x", limit=10)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.ENOSPC, "no space left.*Free some space"),
        (errno.EDQUOT, "quota.*Free some space"),
        (errno.EROFS, "read-only.*FRESHKEY_STATE_DIR"),
        (errno.EACCES, "denied.*FRESHKEY_STATE_DIR"),
        (errno.EIO, "Input/output error"),
    ],
)
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_content_and_no_temporary(
    folder: Path, monkeypatch: pytest.MonkeyPatch, code: int, message: str, step: str
) -> None:
    """Rows 48 and 49."""
    write_private(folder / "x", b"old")

    def fail(*arguments: Any) -> NoReturn:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, step, fail)
        with pytest.raises(StoreUnavailable, match=message):
            write_private(folder / "x", b"new")

    assert read_private(folder / "x") == b"old"
    assert names(folder) == ["x"]


def test_a_directory_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(StoreUnavailable, match=r"cannot be used: Not a directory\. Set FRESHKEY_STATE_DIR"):
        private_dir(tmp_path / "file" / "below" / "state")


def test_what_a_killed_writer_left_is_swept_after_an_hour(folder: Path) -> None:
    old, fresh, foreign = folder / ".freshkey-old", folder / ".freshkey-fresh", folder / "foreign"
    for path in (old, fresh, foreign):
        path.write_bytes(b"half")
    for path in (old, foreign):
        os.utime(path, (1e9, 1e9))

    write_private(folder / "x", b"1")

    assert names(folder) == [".freshkey-fresh", "foreign", "x"]


def test_names_of_any_kind_become_different_safe_file_names() -> None:
    given = ["me", "ME", "../../etc/passwd", "a" * 300, "", "mé", "m\u0065\u0301", "a/b", "a_b", "nul\0", "🔑"]

    made = [file_name(name) for name in given]

    assert len({name.lower() for name in made}) == len(given)
    assert all(len(name) <= 60 and name == Path(name).name and name.isascii() for name in made)
    assert file_name("me").startswith("me-")


@row(49, "STO-7")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system")
@pytest.mark.parametrize("options", ["size=64k", "size=64k,ro"])
def test_a_full_or_read_only_disk_is_explained_and_leaves_no_temporary(tmp_path: Path, options: str) -> None:
    """Rows 48 and 49, on a real file system."""
    disk = tmp_path / "disk"
    disk.mkdir(mode=0o700)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"{options},mode=700", "none", str(disk)], check=False)
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        with pytest.raises(StoreUnavailable, match=r"no space left|read-only"):
            write_private(disk / "x", b"x" * 200_000)
        assert names(disk) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_the_write_is_on_the_disk_before_it_is_in_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor: int) -> None:
        steps.append("fsync")
        fsync(descriptor)

    def noted_replace(source: str, target: Path) -> None:
        steps.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)

    write_private(folder / "x", b"1")

    assert steps == ["fsync", "replace", "fsync"]
