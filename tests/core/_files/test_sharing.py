"""Files that other processes have open while they are replaced, read or removed: Windows does not simply allow it."""

from __future__ import annotations

import ctypes
import errno
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from freshkey._files import sharing
from freshkey._files.private import create_private, private_dir, read_private, remove_private, write_private
from freshkey._files.sharing import DENIED_SECONDS, MEMORY_SECONDS, RETRY_SECONDS, is_busy, opened, retried
from freshkey.errors import StoreUnavailable
from raises_code import raises_code


READER = """
import sys, time
from pathlib import Path
from freshkey._files.private import read_private

file, stop = map(Path, sys.argv[1:])
print("ready", flush=True)
seen = set()
while not stop.exists():
    data = read_private(file)
    assert data is not None and len(data) == 4096 and data == data[:4] * 1024, data
    seen.add(data)
    time.sleep(0.02)
print(len(seen))
"""

OTHER_PROGRAM = """
import sys, time

with open(sys.argv[1], "rb") as file:
    print("open", flush=True)
    if seconds := float(sys.argv[2]):
        time.sleep(seconds)
    else:
        sys.stdin.read()
"""
"""It opens a file as most programs do, without FILE_SHARE_DELETE; for some seconds, or until it is told to end."""

only_windows = pytest.mark.skipif(sys.platform != "win32", reason="other systems replace and remove open files")


def started(program: str, *arguments: object) -> subprocess.Popen[str]:
    running = subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    assert running.stdout.readline().strip() in {"ready", "open"}
    return running


@contextmanager
def open_elsewhere(path: Path, seconds: float = 0) -> Iterator[None]:
    running = started(OTHER_PROGRAM, path, seconds)
    try:
        yield
    finally:
        running.communicate("")
        assert running.returncode == 0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return private_dir(tmp_path / "state")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.timeout(240)
def test_readers_see_one_of_two_hundred_versions_each_and_nobody_fails(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Wine 8 replaces no open file at all, and on a busy machine the readers rarely have it closed at the same time.
    if sys.platform == "win32" and hasattr(ctypes.WinDLL("ntdll"), "wine_get_version"):
        monkeypatch.setattr(sharing, "RETRY_SECONDS", 60.0)
    file, stop = folder / "x", tmp_path / "stop"
    write_private(file, b"0000" * 1024)
    readers = [started(READER, file, stop) for _ in range(3)]
    try:
        for number in range(200):
            write_private(file, f"{number:04}".encode() * 1024)
    finally:
        stop.touch()
    for reader in readers:
        seen, problem = reader.communicate(timeout=30)
        assert (reader.returncode, problem) == (0, "")
        assert int(seen) > 1
    assert read_private(file) == b"0199" * 1024
    assert names(folder) == ["x"]


def test_file_that_another_program_opened_for_a_moment_is_replaced(folder: Path) -> None:
    write_private(folder / "x", b"old")
    with open_elsewhere(folder / "x", 0.5):
        write_private(folder / "x", b"new")
        assert read_private(folder / "x") == b"new"
    assert names(folder) == ["x"]


def test_file_that_another_program_opened_for_a_moment_is_removed(folder: Path) -> None:
    write_private(folder / "x", b"old")
    with open_elsewhere(folder / "x", 0.5):
        remove_private(folder / "x")
        assert create_private(folder / "x", b"new")
    assert read_private(folder / "x") == b"new"


@only_windows
def test_file_that_another_program_never_closes_is_left_intact(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "RETRY_SECONDS", 0.3)
    write_private(folder / "x", b"old")
    with open_elsewhere(folder / "x"):
        with raises_code(StoreUnavailable, "store-access-denied") as caught:
            write_private(folder / "x", b"new")
        assert "another program keeps it open" in caught.value.message
        assert caught.value.hint is not None
        assert caught.value.hint.startswith("Close the program that has it open")
        with raises_code(StoreUnavailable, "store-access-denied"):
            remove_private(folder / "x")
        assert read_private(folder / "x") == b"old"
        assert names(folder) == ["x"]
    write_private(folder / "x", b"new")
    assert read_private(folder / "x") == b"new"


@only_windows
def test_file_that_is_removed_while_it_is_read_is_missing_once_it_is_closed(folder: Path) -> None:
    from freshkey._files.bounded import open_regular

    write_private(folder / "x", b"old")
    with open_regular(folder / "x") as file:
        remove_private(folder / "x")
        assert file.read() == b"old"
    assert read_private(folder / "x") is None


@only_windows
def test_directory_is_no_file_that_may_be_closed_soon(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "RETRY_SECONDS", 1e9)
    (folder / "x").mkdir()
    with raises_code(StoreUnavailable, "unsafe-store-path"):
        read_private(folder / "x")
    with raises_code(StoreUnavailable, "store-unavailable"):
        write_private(folder / "x", b"1")
    assert names(folder) == ["x"]


class WindowsError(PermissionError):
    def __init__(self, number: int | None) -> None:
        super().__init__(errno.EACCES, "")
        self.winerror = number


@pytest.fixture
def as_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "_denied", {})
    monkeypatch.setattr(sys, "platform", "win32")


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def read(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize("number", [5, 32, 33])
def test_what_is_open_elsewhere_is_tried_again_until_it_works_or_patience_ends(number: int | None) -> None:
    time, left = Time(), [WindowsError(number)] * 400

    def attempt() -> str:
        if left:
            raise left.pop()
        return "done"

    assert retried(attempt, clock=time.read, sleep=time.sleep) == "done"
    assert 0.5 < time.now < RETRY_SECONDS
    left += [WindowsError(number)] * 10_000
    with pytest.raises(PermissionError):
        retried(attempt, clock=time.read, sleep=time.sleep)
    assert time.now > 0.5 + RETRY_SECONDS
    assert len(left) > 5_000


class Opening:
    """Opens a file that Windows refuses to open for a while, and counts the attempts."""

    def __init__(self, path: Path, *, until: float, number: int) -> None:
        self.path, self.until, self.number = path, until, number
        self.time, self.attempts = Time(), 0
        self.last: OSError | None = None

    def attempt(self) -> int:
        self.attempts += 1
        if self.time.now < self.until:
            raise WindowsError(self.number)
        if self.last is not None:
            raise self.last
        return 7

    def __call__(self, timeout: float | None = None) -> int:
        return opened(self.path, self.attempt, timeout=timeout, clock=self.time.read, sleep=self.time.sleep)


@pytest.mark.usefixtures("as_windows")
def test_file_that_is_denied_is_tried_again_shortly_and_then_once_for_a_minute(tmp_path: Path) -> None:
    opening = Opening(tmp_path / "x", until=1e9, number=5)
    with pytest.raises(PermissionError):
        opening()
    assert opening.time.now == pytest.approx(DENIED_SECONDS)
    waited, attempts = opening.time.now, opening.attempts
    for _ in range(20):
        with pytest.raises(PermissionError):
            opening()
    assert (opening.time.now, opening.attempts) == (waited, attempts + 20)
    opening.time.now += MEMORY_SECONDS
    with pytest.raises(PermissionError):
        opening()
    assert opening.time.now == pytest.approx(waited + MEMORY_SECONDS + DENIED_SECONDS)


@pytest.mark.usefixtures("as_windows")
@pytest.mark.parametrize("ending", [None, FileNotFoundError(errno.ENOENT, "")], ids=["opened", "gone"])
def test_file_that_is_opened_or_gone_no_longer_counts_as_denied(tmp_path: Path, ending: OSError | None) -> None:
    opening = Opening(tmp_path / "x", until=1e9, number=5)
    with pytest.raises(PermissionError):
        opening()
    opening.until, opening.last = 0, ending
    if ending is None:
        assert opening() == 7
    else:
        with pytest.raises(FileNotFoundError):
            opening()
    opening.last, before = None, opening.time.now
    opening.until = before + DENIED_SECONDS / 2
    assert opening() == 7
    assert opening.time.now >= opening.until


@pytest.mark.usefixtures("as_windows")
def test_file_that_is_removed_while_open_may_be_opened_once_it_is_gone(tmp_path: Path) -> None:
    opening = Opening(tmp_path / "x", until=DENIED_SECONDS / 2, number=5)
    assert opening() == 7


@pytest.mark.usefixtures("as_windows")
@pytest.mark.parametrize("number", [32, 33])
def test_file_that_another_program_has_open_is_not_taken_for_denied(tmp_path: Path, number: int) -> None:
    opening = Opening(tmp_path / "x", until=RETRY_SECONDS - 1, number=number)
    assert opening() == 7
    opening.until = 1e9
    for _ in range(2):
        before = opening.time.now
        with pytest.raises(PermissionError):
            opening()
        assert opening.time.now == pytest.approx(before + RETRY_SECONDS)


@pytest.mark.usefixtures("as_windows")
@pytest.mark.parametrize("number", [5, 32])
@pytest.mark.parametrize("timeout", [-1.0, 0.0, 0.1])
def test_no_file_is_tried_again_for_longer_than_its_opener_waits(tmp_path: Path, number: int, timeout: float) -> None:
    opening = Opening(tmp_path / "x", until=1e9, number=number)
    with pytest.raises(PermissionError):
        opening(timeout)
    assert opening.time.now == pytest.approx(max(timeout, 0))


def test_other_systems_open_a_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    opening = Opening(tmp_path / "x", until=1e9, number=32)
    with pytest.raises(PermissionError):
        opening()
    assert opening.attempts == 1


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(errno.ENOENT, ""),
        WindowsError(19),
        PermissionError(errno.EACCES, ""),
        OSError(errno.ENOSPC, ""),
    ],
)
def test_other_errors_are_raised_at_once(error: OSError) -> None:
    time = Time()

    def attempt() -> None:
        raise error

    with pytest.raises(type(error)):
        retried(attempt, clock=time.read, sleep=time.sleep)
    assert time.now == 0
    assert not is_busy(error)
