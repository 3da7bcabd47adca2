"""One renewal at a time: a kernel lock on a file of its own, and a lock between the threads of this process.

The kernel ends the lock with the process, so a crash leaves nothing to clean up. The file is never removed and never
holds data: removing it would let two processes lock two files of the same name (flock(2)). If somebody else removes it,
a file that does not name its own inode is one that nobody has used yet, and `DirectoryLock` tells whether an older one
is still held.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from freshkey._files.private import NO_FOLLOW, private_dir, unavailable
from freshkey._forksafe import in_child
from freshkey._interprocess.directory_lock import POLL_INTERVAL, DirectoryLock
from freshkey._interprocess.held_fds import close_held, open_held
from freshkey._interprocess.network_fs import warn_of_network
from freshkey.errors import StoreBusy, StoreUnavailable


# Byte 0 is what Windows locks, and a locked byte cannot be read there; the holder's pid and the inode come after it.
NOTE_OFFSET: Final = 1
NOTE_SPACE: Final = 48

_threads: dict[str, threading.Lock] = {}


class ThreadLock:
    """Excludes the threads of this process; one lock per key."""

    def __init__(self, key: str) -> None:
        self._key = key

    def acquire(self, timeout: float) -> Callable[[], None]:
        """Take the lock within `timeout` seconds and return what releases it, from any thread.

        Raises:
            StoreBusy: Another thread holds it.
        """
        lock = _threads.setdefault(self._key, threading.Lock())
        if not lock.acquire(timeout=max(timeout, 0)):
            raise StoreBusy(
                f"another thread of this process ({os.getpid()}) did not finish with this profile within {timeout:g} s",
                hint="Try again",
            )
        return _once(lock.release)


class ProfileLock:
    """Excludes every other thread and process that uses the same path.

    Args:
        directory: Where freshkey keeps its state.
        name: What to call the lock file, without its ending.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._held: tuple[int, DirectoryLock] | None = None
        self.path = directory / "locks" / f"{name}.lock"

    def acquire(self, timeout: float) -> Callable[[], None]:
        """Take the lock within `timeout` seconds and return what releases it, from any thread.

        Raises:
            StoreBusy: Somebody else holds it; the message names the process.
            StoreUnavailable: There can be no lock file here.
        """
        deadline = time.monotonic() + timeout
        release_threads = ThreadLock(str(self.path)).acquire(timeout)
        try:
            descriptor = self._lock_file(deadline, timeout)
        except BaseException:
            release_threads()
            raise
        pid = os.getpid()
        directory_lock = DirectoryLock(self._directory)
        self._held = descriptor, directory_lock

        def release() -> None:
            self._held = None
            # A fork's child has neither: its copy of the descriptor was closed, and unlocking would free the parent's.
            if os.getpid() == pid:
                directory_lock.leave()
                _unlock(descriptor)
                release_threads()

        return _once(release)

    def confirm(self) -> None:
        """Find out that the lock file was removed or replaced since it was locked, so that others lock another one.

        Raises:
            StoreBusy: It was, and nothing should be begun any more.
        """
        if self._held is not None and not self._is_current(self._held[0]):
            raise StoreBusy(f"{self.path} was removed or replaced while this process held it", hint="Try again")

    def outwait(self, at_work: Callable[[], bool], timeout: float) -> None:
        """Wait for those who may hold a lock file that was here before this one; at once if this is not a new one.

        Args:
            at_work: Tells whether what is stored looks as if somebody were at work.
            timeout: Seconds to wait at the most.

        Raises:
            StoreBusy: They have not left.
        """
        if self._held is None:
            return
        descriptor, directory_lock = self._held
        inode = os.fstat(descriptor).st_ino
        if _read_note(descriptor)[1:] == [inode]:  # one that was removed, or a copy of it, is another inode
            return
        if at_work() and not directory_lock.wait_until_alone(timeout):
            raise StoreBusy(
                f"{self.path} was removed while a process may have held it, and that one may still be at work",
                hint="Try again; if it hangs, end whatever uses freshkey with this state directory",
            )
        # Only now: whoever comes after one that gave up has to wait as well.
        _write_note(descriptor, os.getpid(), inode)

    def _lock_file(self, deadline: float, timeout: float) -> int:
        while True:
            descriptor = self._open()
            try:
                _wait_for(descriptor, deadline, timeout)
                if self._is_current(descriptor):
                    _write_note(descriptor, os.getpid(), *_read_note(descriptor)[1:])
                    return descriptor
            except BaseException:
                close_held(descriptor)
                raise
            # Somebody removed or replaced the file while we waited: what we locked, nobody else will look at.
            close_held(descriptor)

    def _open(self) -> int:
        warn_of_network(private_dir(self._directory, "locks"))
        try:
            descriptor = open_held(self.path, os.O_RDWR | os.O_CREAT | NO_FOLLOW)
        except OSError as error:
            raise unavailable(error, self.path) from None
        if os.fstat(descriptor).st_nlink > 1:
            close_held(descriptor)
            raise StoreUnavailable(f"{self.path} has a second name", hint="Remove that file")
        return descriptor

    def _is_current(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self.path.lstat())
        except FileNotFoundError:
            return False
        except OSError as error:
            raise unavailable(error, self.path) from None


def _once(action: Callable[[], None]) -> Callable[[], None]:
    """Make a second release harmless: by then somebody else may hold the lock."""
    stack = ExitStack()
    stack.callback(action)
    return stack.close


def _wait_for(descriptor: int, deadline: float, timeout: float) -> None:
    from filelock import lock_descriptor

    try:
        while not lock_descriptor(descriptor, blocking=False):
            left = deadline - time.monotonic()
            if left <= 0:
                pid = next(iter(_read_note(descriptor)), 0)
                raise StoreBusy(
                    f"{f'process {pid}' if pid else 'another process'} did not finish with this profile "
                    f"within {timeout:g} s",
                    hint="Try again; if that process hangs, end it, and its lock is gone with it",
                )
            time.sleep(min(POLL_INTERVAL, left))
    except OSError as error:
        raise StoreUnavailable(
            f"this file system has no locks ({os.strerror(error.errno or 0)})",
            hint="Set FRESHKEY_STATE_DIR to a directory on a local disk",
        ) from None


def _unlock(descriptor: int) -> None:
    from filelock import unlock_descriptor

    # Closing alone would leave the lock to a child process that is just being started.
    try:
        unlock_descriptor(descriptor)
    finally:
        close_held(descriptor)


def _read_note(descriptor: int) -> list[int]:
    """Return the holder's pid and the inode that the file was when it was used first, as far as they are there."""
    with suppress(OSError, ValueError):
        os.lseek(descriptor, NOTE_OFFSET, os.SEEK_SET)
        return [int(number) for number in os.read(descriptor, NOTE_SPACE).split()]
    return []


def _write_note(descriptor: int, *numbers: int) -> None:
    text = " ".join(map(str, numbers)).ljust(NOTE_SPACE).encode("ascii")
    # The pid is for people who wait, and without an inode the file counts as a new one, which costs one more reading.
    with suppress(OSError):
        os.lseek(descriptor, NOTE_OFFSET, os.SEEK_SET)
        os.write(descriptor, text)


# The threads that hold these do not exist in the child.
in_child(_threads.clear)
