"""Files that only this user and root can change: each directory and link on the way is checked."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from freshkey._config.toml_file import read
from freshkey._files import permissions
from freshkey._files.bounded import NotRegularError, TooLongError
from freshkey._files.owned import UnsafePathError, check_directory, check_file, open_owned, read_owned, search_flags
from freshkey._files.private import create_private, private_dir, read_private, remove_private, write_private
from freshkey.errors import ConfigurationError, StoreUnavailable
from promises import proves
from second_user import SecondUser


of_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes, owners and searched directories")

SWAP = """
import select
shared, planted = map(pathlib.Path, sys.argv[1:])
home, saved = shared / "home", shared / "saved"
print("ready", flush=True)
deadline = time.monotonic() + 60
while True:
    try:
        home.rename(saved)
        home.symlink_to(planted)
        time.sleep(0.0005)
        home.unlink()
        saved.rename(home)
    except OSError as error:
        print("cannot", error.errno, flush=True)
        break
    if time.monotonic() > deadline or select.select([0], [], [], 0)[0]:
        break
"""
"""Another user swaps a directory of ours for a link, again and again."""


@pytest.fixture
def shared(open_tmp_path: Path) -> Path:
    """Return a folder that everyone can write to, with a directory `home` of ours."""
    shared = open_tmp_path / "shared"
    (shared / "home" / "config").mkdir(parents=True)
    shared.chmod(0o777)
    return shared


@pytest.fixture
def planted(open_tmp_path: Path) -> Path:
    """Return a directory of ours whose content another user wrote, such as a checkout."""
    planted = open_tmp_path / "checkout"
    (planted / "config").mkdir(parents=True, mode=0o700)
    return planted


def while_swapped(user: SecondUser, shared: Path, planted: Path, action: Callable[[], None]) -> str:
    """Run an action again and again while the other user swaps `home`; return what she says."""
    with user.start(SWAP, shared, planted) as attack:
        assert attack.stdin is not None
        assert attack.stdout is not None
        assert attack.stderr is not None
        assert attack.stdout.readline() == "ready\n"
        for _ in range(150):
            action()
        with suppress(BrokenPipeError):  # where she can swap nothing, she has left already
            attack.stdin.write("x")
            attack.stdin.close()
        said = attack.stdout.read()  # not by communicate(): what came with the first line is in the buffer
        trouble = attack.stderr.read()
    assert trouble == ""
    return said


@of_posix
@proves("TRU-9")
def test_configuration_below_a_folder_of_everyone_is_never_replaced(
    second_user: SecondUser, shared: Path, planted: Path
) -> None:
    for place, text in ((shared / "home", "default = 'mine'"), (planted, "default = 'hers'")):
        (place / "config" / "config.toml").write_text(text)
        (place / "config" / "config.toml").chmod(0o600)
    seen: list[object] = []

    def look() -> None:
        try:
            seen.append(read(shared / "home" / "config" / "config.toml").tables)
        except ConfigurationError as error:
            seen.append(error.code)

    while_swapped(second_user, shared, planted, look)

    assert "unsafe-configuration" in seen
    # Between her two renames there is no file, which is the same as no configuration.
    assert all(one in ("unsafe-configuration", {}, "unreadable-configuration") for one in seen), seen


@of_posix
@proves("TRU-9")
def test_sticky_folder_protects_what_is_ours(second_user: SecondUser, shared: Path, planted: Path) -> None:
    shared.chmod(0o1777)
    (shared / "home" / "config" / "config.toml").write_text("default = 'mine'")
    seen: list[object] = []

    def look() -> None:
        seen.append(read(shared / "home" / "config" / "config.toml").tables)

    assert "cannot" in while_swapped(second_user, shared, planted, look)
    assert seen == [{"default": "mine"}] * len(seen)


@of_posix
@proves("TRU-9", "STO-7")
def test_private_files_below_a_folder_of_everyone_are_neither_read_nor_written(
    second_user: SecondUser, shared: Path, planted: Path
) -> None:
    planted.joinpath("config").chmod(0o700)
    for place in (shared / "home", planted):
        (place / "config").chmod(0o700)
        (place / "config" / "trust.json").write_bytes(b"hers" if place == planted else b"mine")
        (place / "config" / "trust.json").chmod(0o600)
    path = shared / "home" / "config" / "trust.json"
    seen: list[object] = []

    def attempt(action: Callable[[], object]) -> None:
        try:
            seen.append(action())
        except StoreUnavailable as error:
            seen.append(error.code)

    def use() -> None:
        attempt(lambda: read_private(path))
        attempt(lambda: write_private(path, b"written"))
        attempt(lambda: create_private(path.with_name("key"), b"written"))
        attempt(lambda: private_dir(path.parent / "state"))
        attempt(lambda: remove_private(path))

    while_swapped(second_user, shared, planted, use)

    assert "unsafe-store-path" in seen
    assert not {b"hers", b"mine", True} & set(seen)
    assert set(seen) <= {None, "unsafe-store-path", "store-unavailable"}
    assert [file.name for file in (planted / "config").iterdir()] == ["trust.json"]
    assert (planted / "config" / "trust.json").read_bytes() == b"hers"


@of_posix
@proves("TRU-9")
def test_link_of_another_user_is_not_followed(second_user: SecondUser, open_tmp_path: Path) -> None:
    open_tmp_path.chmod(0o1777)
    (open_tmp_path / "mine").mkdir()
    (open_tmp_path / "mine" / "file").write_text("x")
    second_user.run("os.symlink(sys.argv[1], sys.argv[2])", open_tmp_path / "mine", open_tmp_path / "hers")

    with pytest.raises(UnsafePathError) as caught:
        read_owned(open_tmp_path / "hers" / "file", 10)
    assert (caught.value.place, caught.value.owner) == (open_tmp_path / "hers", second_user.uid)


@of_posix
@proves("TRU-9")
@pytest.mark.parametrize("level", ["above", "folder", "file"])
def test_owner_of_each_level_counts(second_user: SecondUser, tmp_path: Path, level: str) -> None:
    file = tmp_path / "above" / "folder" / "file"
    file.parent.mkdir(parents=True)
    file.write_text("x")
    place = next(path for path in (file, *file.parents) if path.name == level)
    os.chown(place, second_user.uid, second_user.gid)

    for check in (check_file, lambda path: read_owned(path, 10)):
        with pytest.raises(UnsafePathError) as caught:
            check(file)
        assert (caught.value.place, caught.value.owner) == (place, second_user.uid)
    if level != "file":
        with pytest.raises(UnsafePathError):
            check_directory(file.parent)


@of_posix
def test_links_of_ours_are_followed(tmp_path: Path) -> None:
    (tmp_path / "data" / "home").mkdir(parents=True)
    (tmp_path / "data" / "home" / "file").write_text("x")
    (tmp_path / "absolute").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "relative").symlink_to("../absolute/home/../home")
    (tmp_path / "data" / "last").symlink_to("relative/file")

    assert read_owned(tmp_path / "absolute" / "relative" / "file", 10) == b"x"
    assert read_owned(tmp_path / "data" / "last", 10) == b"x"
    with pytest.raises(OSError, match="symbolic links"), open_owned(tmp_path / "data" / "last", follow=False):
        pass
    check_directory(tmp_path / "absolute" / "relative")
    check_directory(Path("/"))


@of_posix
def test_folder_behind_a_link_is_checked(tmp_path: Path) -> None:
    (tmp_path / "open" / "inner").mkdir(parents=True)
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "link").symlink_to("open/inner")
    with pytest.raises(UnsafePathError) as caught:
        check_directory(tmp_path / "link")
    assert caught.value.place == tmp_path / "open"


@of_posix
def test_loop_of_links_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    for path in (tmp_path / "a", tmp_path / "a" / "file"):
        with pytest.raises(OSError, match="symbolic links"):
            read_owned(path, 10)


def test_what_is_missing_is_missing_wherever(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    for path in (tmp_path / "missing", tmp_path / "missing" / "file"):
        with pytest.raises(FileNotFoundError):
            read_owned(path, 10)


def test_only_regular_files_up_to_the_limit_are_read(tmp_path: Path) -> None:
    if sys.platform != "win32":
        os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotRegularError):
        read_owned(Path(os.devnull) if sys.platform == "win32" else tmp_path / "pipe", 10)
    with pytest.raises(IsADirectoryError):
        read_owned(tmp_path, 10)
    (tmp_path / "file").write_text("x" * 11)
    with pytest.raises(TooLongError):
        read_owned(tmp_path / "file", 10)
    check_file(Path(os.devnull))


@of_posix
def test_directory_that_cannot_be_listed_can_be_passed(second_user: SecondUser, open_tmp_path: Path) -> None:
    """Home directories of mode 0711 are common."""
    (open_tmp_path / "home" / "of").mkdir(parents=True)
    (open_tmp_path / "home" / "of").chmod(0o755)
    (open_tmp_path / "home" / "of" / "file").write_text("x")
    (open_tmp_path / "home" / "of" / "file").chmod(0o644)
    (open_tmp_path / "home").chmod(0o711)
    source = Path(permissions.__file__).parents[2]
    code = f"""
sys.path[:0] = {[str(source), *sys.path]!r}
from freshkey._files.owned import read_owned
os.seteuid({second_user.uid})
print(read_owned(__import__("pathlib").Path(sys.argv[1]), 10))
"""
    done = subprocess.run(
        [sys.executable, "-c", f"import os, sys\n{code}", open_tmp_path / "home" / "of" / "file"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "b'x'\n"


@of_posix
@proves("TRU-9")
def test_access_control_list_counts_though_the_group_is_private(
    second_user: SecondUser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(permissions, "_is_own_group", lambda gid: True)
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o700)
    folder.chmod(0o770)
    check_directory(folder)
    # Version 2; user::rwx, user:HER:rwx, group::---, mask::rwx, other::--- (linux/posix_acl_xattr.h).
    entries = [(1, 7, -1), (2, 7, second_user.uid), (4, 0, -1), (16, 7, -1), (32, 0, -1)]
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
    try:
        os.setxattr(folder, "system.posix_acl_access", acl)
    except OSError as error:
        pytest.skip(f"this file system has no access control lists: {error}")

    with pytest.raises(UnsafePathError):
        check_directory(folder)


@of_posix
def test_overflow_user_stands_for_root_only_where_the_root_directory_is_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overflow = int(Path("/proc/sys/kernel/overflowuid").read_bytes())
    os.chown(tmp_path, overflow, -1)
    with pytest.raises(UnsafePathError):
        check_directory(tmp_path)

    monkeypatch.setattr(permissions, "_root_directory_s_owner", lambda: overflow)
    check_directory(tmp_path)


HOMES = """
sys.path[:0] = {path!r}
import pwd
from freshkey._files.owned import UnsafePathError, check_directory, check_file, read_owned
home, uid = sys.argv[1], int(sys.argv[2])
pwd.getpwuid = lambda _: pwd.struct_passwd(("me", "x", uid, uid, "", home, "/bin/sh"))
os.setegid(uid)
os.seteuid(uid)
for name in sys.argv[3:]:
    try:
        read_owned(pathlib.Path(name), 10)
        print("read")
    except UnsafePathError as error:
        print(error.place, error.owner, error.is_ours)
"""
MINE, LAB = 61_234, 61_235
"""User IDs: of the user, and of whoever owns the directory above their home directory."""


def looks(home: Path, *files: Path) -> list[str]:
    """Return what the user finds who has this home directory."""
    source = Path(permissions.__file__).parents[2]
    code = "import os, pathlib, sys\n" + HOMES.format(path=[str(source), *sys.path])
    words = [sys.executable, "-c", code, home, MINE, *files]
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.fixture
def homes(open_tmp_path: Path) -> Path:
    """Return a directory of another user with the home directory `me`, and `other` beside it, both of the user."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to give directories to users")
    homes = open_tmp_path / "homes"
    for folder in (homes / "me" / ".config", homes / "other"):
        folder.mkdir(parents=True)
        folder.joinpath("file").write_text("x")
    for place in (homes, *homes.rglob("*")):
        place.chmod(0o755 if place.is_dir() else 0o644)
        os.chown(place, MINE, MINE)
    os.chown(homes, LAB, LAB)
    return homes


@of_posix
@proves("TRU-9")
@pytest.mark.parametrize("mode", [0o755, 0o777])
def test_what_is_above_the_home_directory_counts_only_outside_of_it(homes: Path, mode: int) -> None:
    """Whoever owns the directory of all home directories can replace each, with everything in it."""
    homes.chmod(mode)
    mine, other = homes / "me" / ".config" / "file", homes / "other" / "file"
    assert looks(homes / "me", mine, other, homes / "me" / "." / ".config" / ".." / ".config" / "file") == [
        "read",
        f"{homes} {LAB} False",
        "read",
    ]
    assert looks(homes / "nobody", mine) == [f"{homes} {LAB} False"]
    assert looks(Path("/"), mine) == [f"{homes} {LAB} False"]


@of_posix
@proves("TRU-9")
def test_home_directory_itself_and_what_is_in_it_counts(homes: Path) -> None:
    mine = homes / "me" / ".config" / "file"
    (homes / "me" / ".config").chmod(0o777)
    assert looks(homes / "me", mine) == [f"{homes / 'me' / '.config'} None True"]
    (homes / "me").chmod(0o777)
    assert looks(homes / "me", mine) == [f"{homes / 'me'} None True"]
    os.chown(homes / "me", LAB, LAB)
    assert looks(homes / "me", mine) == [f"{homes / 'me'} {LAB} True"]


@of_posix
@proves("TRU-9")
def test_link_out_of_the_home_directory_makes_everything_count(homes: Path) -> None:
    other = homes / "other" / "file"
    (homes / "me" / "out").symlink_to("../other")
    (homes / "other" / "in").symlink_to(homes / "me")
    for link in (homes / "me" / "out", homes / "other" / "in"):
        os.lchown(link, MINE, MINE)
    found = looks(
        homes / "me",
        homes / "me" / "out" / "file",
        homes / "me" / ".." / "other" / "file",
        homes / "other" / "in" / ".config" / "file",
        other,
    )
    assert found == [f"{homes} {LAB} False"] * 4


@of_posix
def test_home_directory_may_be_a_link_of_whoever_owns_the_one_above(homes: Path, open_tmp_path: Path) -> None:
    (homes / "me").rename(open_tmp_path / "disk")
    (homes / "me").symlink_to(open_tmp_path / "disk")
    os.lchown(homes / "me", LAB, LAB)
    assert looks(homes / "me", homes / "me" / ".config" / "file", open_tmp_path / "disk" / ".config" / "file") == [
        "read",
        "read",
    ]
    (homes / "also").symlink_to(open_tmp_path / "disk")
    os.lchown(homes / "also", LAB, LAB)
    assert looks(homes / "me", homes / "also" / ".config" / "file") == [f"{homes} {LAB} False"]


@of_posix
def test_directory_is_opened_for_search_where_nothing_else_can_pass_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without that, /home of mode 0711 would hide everything below it on macOS and FreeBSD."""
    rest = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    assert search_flags("linux") == os.O_PATH | rest
    monkeypatch.delattr(os, "O_PATH")
    assert search_flags("darwin") == 0x4010_0000 | rest
    assert search_flags("freebsd13") == 0x0004_0000 | rest
    assert search_flags("openbsd7") == os.O_RDONLY | rest


@pytest.mark.skipif(sys.platform != "win32", reason="elsewhere, owners and modes count")
def test_on_windows_no_owner_or_mode_leads_to_advice_to_change_it(tmp_path: Path) -> None:
    """There, ``st_mode`` says what the read-only flag is, and there is no chmod to run."""
    anything = os.stat_result((0o100777, 1, 1, 1, 4242, 4242, 0, 0, 0, 0))
    checks = (permissions.is_anothers, permissions.is_foreign, permissions.others_may_write)
    assert not any(check(anything) for check in (*checks, permissions.others_may_replace))
    assert not permissions.has_mode(anything, 0o777)
    tmp_path.chmod(0o777)
    check_directory(tmp_path)
    assert private_dir(tmp_path, "state") == tmp_path / "state"
    write_private(tmp_path / "state" / "file", b"x")
    (tmp_path / "state" / "file").chmod(0o666)
    assert read_private(tmp_path / "state" / "file") == b"x"
