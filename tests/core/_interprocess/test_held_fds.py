"""Descriptors of locks: on Windows, a file that another program has open holds up nobody else, nor for too long."""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
from pathlib import Path

import pytest

from freshkey._files import sharing
from freshkey._interprocess import held_fds
from freshkey._interprocess.held_fds import close_held, open_held
from freshkey._interprocess.lock import ProfileLock
from freshkey.errors import StoreUnavailable
from in_thread import in_thread
from raises_code import raises_code


FLAGS = os.O_RDWR | os.O_CREAT


class Scanner:
    """Another program that has files open, as Windows reports it for what they are called."""

    def __init__(self) -> None:
        self.holds: set[str] = set()
        self.refused = threading.Event()
        self._open = sharing.open_once if sys.platform == "win32" else os.open

    def open_once(self, path: Path, flags: int, mode: int) -> int:
        if path.name in self.holds:
            self.refused.set()
            error = PermissionError(errno.EACCES, "", str(path))
            error.winerror = 32  # type: ignore[attr-defined,unused-ignore]
            raise error
        return self._open(path, flags, mode)


@pytest.fixture
def scanner(monkeypatch: pytest.MonkeyPatch) -> Scanner:
    found = Scanner()
    monkeypatch.setattr(sharing, "_denied", {})
    monkeypatch.setattr(held_fds, "open_once", found.open_once)
    return found


def test_file_that_another_program_has_open_holds_up_no_other_file(
    tmp_path: Path, scanner: Scanner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fork waits for the guard, and so does the release of every profile's lock."""
    mine = open_held(tmp_path / "mine", FLAGS)
    scanner.holds = {"scanned"}
    monkeypatch.setattr(sys, "platform", "win32")
    opening = in_thread(lambda: open_held(tmp_path / "scanned", FLAGS))
    assert scanner.refused.wait(30)

    begun = time.monotonic()
    close_held(mine)
    close_held(open_held(tmp_path / "other", FLAGS))
    assert time.monotonic() - begun < sharing.RETRY_SECONDS / 2
    assert not opening.done()

    scanner.holds = set()
    descriptor = opening.result(30)
    assert isinstance(descriptor, int)
    close_held(descriptor)


def test_lock_whose_file_another_program_has_open_is_not_waited_for_longer_than_asked(
    tmp_path: Path, scanner: Scanner, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = ProfileLock(tmp_path / "state", "me")
    lock.acquire(0)()
    scanner.holds = {"me.lock"}
    monkeypatch.setattr(sys, "platform", "win32")

    begun = time.monotonic()
    with raises_code(StoreUnavailable, "store-access-denied"):
        lock.acquire(0.05)
    assert time.monotonic() - begun < sharing.RETRY_SECONDS / 2

    scanner.holds = set()
    lock.acquire(0)()


@pytest.mark.skipif(sys.platform != "win32", reason="other systems remove open files")
def test_open_lock_file_is_written_read_and_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with pytest.raises(FileNotFoundError):
        open_held(path, os.O_RDWR)
    descriptor = open_held(path, FLAGS)
    again = open_held(path, FLAGS)
    try:
        assert not os.get_inheritable(descriptor)
        os.write(descriptor, b"a\nb")
        assert os.read(again, 10) == b"a\nb"
        with pytest.raises(PermissionError):
            path.unlink()
    finally:
        close_held(descriptor)
        close_held(again)
    path.unlink()
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        open_held(path, FLAGS)
