"""Private files: other users cannot read, replace or redirect them, and a failed write keeps the old content."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import pytest

from freshkey._files import private
from freshkey._files.private import create_private, file_name, private_dir, read_private, remove_private, write_private
from freshkey.errors import StoreUnavailable
from promises import proves
from raises_code import raises_code


if sys.platform == "win32":
    from freshkey._files import windows_files

    REPLACE: tuple[object, str] = (windows_files, "move")
else:
    REPLACE = (os, "replace")


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


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes and owners")
@proves("FAULT-51", "STO-7")
@pytest.mark.usefixtures("umask_000")
def test_directories_and_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    """STO-7, FAULT-51."""
    folder = private_dir(tmp_path / "a" / "b" / "state", "store")
    write_private(folder / "x", b"1")

    assert [mode(path) for path in (tmp_path / "a", tmp_path / "a" / "b", folder.parent, folder)] == [0o700] * 4
    assert mode(folder / "x") == 0o600


def test_written_file_is_read_back_and_no_other_file_is_left(folder: Path) -> None:
    write_private(folder / "x", b"old")
    write_private(folder / "x", b"\0new")

    assert read_private(folder / "x") == b"\0new"
    assert names(folder) == ["x"]


def test_missing_file_is_not_an_error(folder: Path) -> None:
    assert read_private(folder / "x") is None
    remove_private(folder / "x")


def test_removed_file_is_gone(folder: Path) -> None:
    write_private(folder / "x", b"1")
    remove_private(folder / "x")

    assert not (folder / "x").exists()


def test_only_the_first_creator_creates_the_file(folder: Path) -> None:
    assert create_private(folder / "x", b"first")
    assert not create_private(folder / "x", b"second")

    assert read_private(folder / "x") == b"first"
    assert sys.platform == "win32" or mode(folder / "x") == 0o600
    assert names(folder) == ["x"]


@pytest.fixture(params=[errno.EPERM, errno.EOPNOTSUPP])
def no_links(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate a file system without hard links."""

    def refuse(source: str, target: Path) -> NoReturn:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(os, "link", refuse)


@pytest.mark.skipif(sys.platform == "win32", reason="on Windows, files are moved instead of linked")
@pytest.mark.usefixtures("no_links", "umask_000")
def test_only_the_first_creator_creates_the_file_without_hard_links(folder: Path) -> None:
    assert create_private(folder / "x", b"first")
    assert not create_private(folder / "x", b"second")
    (folder / "link").symlink_to(folder / "target")
    assert not create_private(folder / "link", b"third")

    assert read_private(folder / "x") == b"first"
    assert mode(folder / "x") == 0o600
    assert names(folder) == ["link", "x"]


@pytest.mark.skipif(sys.platform == "win32", reason="on Windows, files are moved instead of linked")
@proves("FAULT-48", "STO-7")
@pytest.mark.usefixtures("no_links")
def test_full_disk_leaves_no_partial_file_without_hard_links(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync = os.fsync

    def full(descriptor: int) -> None:
        if (folder / "x").exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with raises_code(StoreUnavailable, "disk-full"):
        create_private(folder / "x", b"first")
    assert names(folder) == []


@pytest.mark.skipif(sys.platform == "win32", reason="on Windows, files are moved instead of linked")
def test_unexpected_link_error_is_raised(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(source: str, target: Path) -> NoReturn:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "link", fail)
    with raises_code(StoreUnavailable, "store-unavailable") as caught:
        create_private(folder / "x", b"first")
    assert os.strerror(errno.EIO) in str(caught.value)
    assert names(folder) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes and owners")
@proves("FAULT-50", "STO-7", "TRU-9")
@pytest.mark.parametrize("bits", [0o777, 0o770, 0o702, 0o720, 0o755, 0o750, 0o711, 0o704, 0o710])
def test_directory_that_others_can_look_into_is_refused(folder: Path, bits: int) -> None:
    """FAULT-50."""
    folder.chmod(bits)

    with raises_code(StoreUnavailable, "unsafe-store-path") as caught:
        private_dir(folder)
    assert f"chmod 700 {folder}" in str(caught.value)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes and owners")
@pytest.mark.parametrize("bits", [0o777, 0o755])
def test_nested_directories_are_checked_too(folder: Path, bits: int) -> None:
    private_dir(folder, "store").chmod(bits)

    with raises_code(StoreUnavailable, "unsafe-store-path") as caught:
        private_dir(folder, "store")
    assert f"chmod 700 {folder / 'store'}" in str(caught.value)


@pytest.mark.skipif(sys.platform == "win32", reason="Wine 8 makes no symbolic links")
@proves("FAULT-50", "STO-7")
def test_symbolic_link_to_a_directory_is_refused(folder: Path, tmp_path: Path) -> None:
    """FAULT-50."""
    (tmp_path / "link").symlink_to(folder)
    (folder / "store").symlink_to(tmp_path)

    with raises_code(StoreUnavailable, "unsafe-store-path") as caught:
        private_dir(tmp_path / "link")
    assert f"{tmp_path / 'link'} is a symbolic link" in str(caught.value)
    with raises_code(StoreUnavailable, "unsafe-store-path") as caught:
        private_dir(folder, "store")
    assert f"{folder / 'store'} is a symbolic link" in str(caught.value)


def test_file_instead_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"")

    with raises_code(StoreUnavailable, "unsafe-store-path") as caught:
        private_dir(tmp_path / "state")
    assert f"{tmp_path / 'state'} is not a directory" in str(caught.value)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes and owners")
@proves("FAULT-50", "STO-7")
@pytest.mark.parametrize("bits", [0o777, 0o770, 0o702, 0o720])
def test_parent_where_others_can_replace_the_directory_is_refused(
    tmp_path: Path, bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("freshkey._files.permissions._is_own_group", lambda gid: False)
    place = tmp_path / "open"
    place.mkdir()
    place.chmod(bits)

    with raises_code(StoreUnavailable, "unsafe-store-path") as caught:
        private_dir(place / "state")
    assert f"chmod go-w {place}" in str(caught.value)
    assert not (place / "state").exists()
    place.chmod(0o1000 | bits)
    assert private_dir(place / "state").is_dir()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes and owners")
def test_parent_that_only_a_private_group_can_write_to_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("freshkey._files.permissions._is_own_group", lambda gid: True)
    tmp_path.chmod(0o775)
    assert private_dir(tmp_path / "state").is_dir()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes and owners")
@proves("FAULT-50", "STO-7")
def test_path_of_another_user_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FAULT-50."""
    write_private(folder / "x", b"1")
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)

    with raises_code(StoreUnavailable, "unsafe-store-path") as caught:
        private_dir(folder)
    assert "another user" in str(caught.value)
    with raises_code(StoreUnavailable, "unsafe-store-path") as caught:
        read_private(folder / "x")
    assert "belongs to another user" in str(caught.value)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes and owners")
def test_file_that_others_can_read_is_refused(folder: Path) -> None:
    write_private(folder / "x", b"1")
    (folder / "x").chmod(0o644)

    with raises_code(StoreUnavailable, "unsafe-store-path") as caught:
        read_private(folder / "x")
    assert f"chmod 600 {folder / 'x'}" in str(caught.value)


@pytest.mark.skipif(sys.platform == "win32", reason="Wine 8 makes no symbolic links")
def test_link_is_never_followed(folder: Path) -> None:
    (folder / "target").write_bytes(b"precious")
    (folder / "x").symlink_to(folder / "target")

    with raises_code(StoreUnavailable, "unsafe-store-path") as caught:
        read_private(folder / "x")
    assert "symbolic link" in str(caught.value)
    write_private(folder / "x", b"new")

    assert (folder / "target").read_bytes() == b"precious"
    assert not (folder / "x").is_symlink()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in directories")
@pytest.mark.timeout(10)
def test_pipe_or_directory_is_refused_without_blocking(folder: Path) -> None:
    os.mkfifo(folder / "pipe", 0o600)
    (folder / "directory").mkdir()

    with raises_code(StoreUnavailable, "unsafe-store-path") as caught:
        read_private(folder / "pipe")
    assert f"{folder / 'pipe'} is not a regular file" in str(caught.value)
    with pytest.raises(StoreUnavailable):
        read_private(folder / "directory")


def test_file_over_the_size_limit_is_not_read(folder: Path) -> None:
    write_private(folder / "x", b"x" * 11)

    assert read_private(folder / "x", limit=11) == b"x" * 11
    with raises_code(StoreUnavailable, "unsafe-store-path") as caught:
        read_private(folder / "x", limit=10)
    assert "10 bytes" in str(caught.value)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "disk-full"),
        (errno.EDQUOT, "disk-full"),
        (errno.EROFS, "store-access-denied"),
        (errno.EACCES, "store-access-denied"),
        (errno.EIO, "store-unavailable"),
    ],
)
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_failed_write_keeps_the_old_content_and_leaves_no_temporary_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: str, step: str
) -> None:
    """FAULT-48, FAULT-49."""
    write_private(folder / "x", b"old")

    def fail(*arguments: Any, **named: Any) -> NoReturn:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(*(REPLACE if step == "replace" else (os, step)), fail)
        with raises_code(StoreUnavailable, code) as caught:
            write_private(folder / "x", b"new")
    assert str(folder / "x") in str(caught.value)
    assert ("FRESHKEY_STATE_DIR" in str(caught.value)) == (code != "disk-full")

    assert read_private(folder / "x") == b"old"
    assert names(folder) == ["x"]


def test_directories_on_windows_get_no_mode_which_would_make_them_their_owners(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what an elevated process creates, that is the group Administrators."""
    created: list[Path] = []

    def create(path: Path) -> None:
        created.append(path)
        path.mkdir()
        raise FileExistsError(errno.EEXIST, "another process created it, too")

    windows = ModuleType("windows_directories")
    windows.create_directory = create  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "freshkey._files.windows_directories", windows)
    monkeypatch.setattr(sys, "platform", "win32")
    assert private_dir(tmp_path / "a" / "state", "store").is_dir()
    assert created == [tmp_path / "a", tmp_path / "a" / "state", tmp_path / "a" / "state" / "store"]


@pytest.mark.parametrize("write", [write_private, create_private])
@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.EACCES, "store-access-denied"), (errno.ENOSPC, "disk-full"), (errno.EEXIST, "store-unavailable")],
)
def test_file_that_cannot_be_created_is_an_error_at_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path, bytes], object], number: int, code: str
) -> None:
    """As Windows answers in a directory whose access list allows no new files, which other systems' modes allow."""
    created: list[object] = []
    open_file = os.open

    def denied(path: Any, flags: int, *arguments: Any, **named: Any) -> int:
        if flags & os.O_CREAT:
            created.append(path)
            raise OSError(number, os.strerror(number), str(path))
        return open_file(path, flags, *arguments, **named)

    monkeypatch.setattr(os, "open", denied)
    with raises_code(StoreUnavailable, code):
        write(folder / "x", b"1")
    assert len(created) == 1
    monkeypatch.undo()
    assert names(folder) == []


@pytest.mark.skipif(sys.platform != "win32", reason="other systems have modes")
def test_directory_whose_access_list_denies_new_files_is_an_error_at_once(folder: Path) -> None:
    write_private(folder / "x", b"old")
    everyone = "*S-1-1-0"
    subprocess.run(["icacls", str(folder), "/deny", f"{everyone}:(WD)"], check=True, capture_output=True)
    try:
        with suppress(PermissionError):
            (folder / "probe").touch()
            pytest.skip("access lists are not enforced, as in Wine")
        for write in (write_private, create_private):
            with raises_code(StoreUnavailable, "store-access-denied"):
                write(folder / "y", b"1")
    finally:
        subprocess.run(["icacls", str(folder), "/remove:d", everyone], check=True, capture_output=True)
    assert names(folder) == ["x"]


def test_directory_that_cannot_be_created_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with raises_code(StoreUnavailable, "store-unavailable") as caught:
        private_dir(tmp_path / "file" / "below" / "state")
    assert os.strerror(errno.ENOENT if sys.platform == "win32" else errno.ENOTDIR) in str(caught.value)
    assert "FRESHKEY_STATE_DIR" in str(caught.value)


def test_temporary_file_of_a_killed_writer_is_deleted_after_an_hour(folder: Path) -> None:
    old, fresh, foreign = folder / ".freshkey-old", folder / ".freshkey-fresh", folder / "foreign"
    for path in (old, fresh, foreign):
        path.write_bytes(b"half")
    for path in (old, foreign):
        os.utime(path, (1e9, 1e9))

    write_private(folder / "x", b"1")

    assert names(folder) == [".freshkey-fresh", "foreign", "x"]


def test_any_names_become_distinct_safe_file_names() -> None:
    given = ["me", "ME", "../../etc/passwd", "a" * 300, "", "mé", "m\u0065\u0301", "a/b", "a_b", "nul\0", "🔑"]

    made = [file_name(name) for name in given]

    assert len({name.lower() for name in made}) == len(given)
    assert all(len(name) <= 60 and name == Path(name).name and name.isascii() for name in made)
    assert file_name("me").startswith("me-")


@proves("FAULT-49", "STO-7")
@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root can mount a file system")
@pytest.mark.parametrize("options", ["size=64k", "size=64k,ro"])
def test_full_or_read_only_disk_is_reported_and_leaves_no_temporary_file(tmp_path: Path, options: str) -> None:
    """FAULT-48 and FAULT-49, on a real file system."""
    disk = tmp_path / "disk"
    disk.mkdir(mode=0o700)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"{options},mode=700", "none", str(disk)], check=False)
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        with raises_code(StoreUnavailable, "store-access-denied" if options.endswith("ro") else "disk-full"):
            write_private(disk / "x", b"x" * 200_000)
        assert names(disk) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_file_is_synced_before_it_replaces_the_old_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, getattr(*REPLACE)

    def noted_fsync(descriptor: int) -> None:
        steps.append("fsync")
        fsync(descriptor)

    def noted_replace(*arguments: Any, **named: Any) -> None:
        steps.append("replace")
        replace(*arguments, **named)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(*REPLACE, noted_replace)

    write_private(folder / "x", b"1")

    of_directory = [] if sys.platform == "win32" else ["fsync"]
    assert steps == ["fsync", "replace", *of_directory]


def test_directory_on_a_drive_that_is_not_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows, where the root itself can be missing."""

    def missing(path: Path) -> NoReturn:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))

    monkeypatch.setattr(private, "check_directory", missing)
    with raises_code(StoreUnavailable, "store-unavailable") as caught:
        private_dir(folder / "x")
    assert str(folder) in caught.value.message


@pytest.mark.skipif(sys.platform != "win32", reason="only Windows has such short paths")
def test_path_that_windows_does_not_allow_is_reported_as_such(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Windows answers: Wine allows longer paths."""
    deep = folder.joinpath(*["x" * 60] * 5)

    def refuse(path: str | Path, *arguments: Any) -> NoReturn:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path), 206)

    monkeypatch.setattr(os, "mkdir", refuse)
    with raises_code(StoreUnavailable, "store-unavailable") as caught:
        private_dir(deep)
    assert caught.value.message.endswith("is longer than Windows allows")
    assert caught.value.hint is not None
    assert "LongPathsEnabled" in caught.value.hint


@pytest.mark.skipif(sys.platform != "win32", reason="only Windows has names of devices in directories")
@pytest.mark.parametrize("name", ["CON", "nul", "aux.toml", "com1", "a.", "a ", "a:b", "LPT1.x"])
def test_name_of_a_device_or_a_stream_becomes_that_of_a_file(folder: Path, name: str) -> None:
    path = folder / f"{file_name(name)}.json"
    assert create_private(path, b"1")
    assert read_private(path) == b"1"
    assert names(folder) == [path.name]
    assert path.name == path.name.lower()
