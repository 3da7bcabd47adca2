"""One renewal at a time: a kernel lock on a dedicated file, plus a lock between the threads of this process.

The kernel releases the lock when the process ends, so a crash leaves nothing to clean up. freshkey never deletes the
file: one process could hold a lock on the deleted file while another locks a new file of the same name (flock(2)). In
case someone else deletes it, each file records its own inode: one without that record has not been used yet, and
`DirectoryLock` shows whether a deleted predecessor may still be locked.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Final

from freshkey._files.private import NO_FOLLOW, private_dir, unavailable
from freshkey._forksafe import in_child
from freshkey._interprocess.directory_lock import POLL_INTERVAL, DirectoryLock
from freshkey._interprocess.held_fds import close_held, open_held
from freshkey._interprocess.network_fs import warn_of_network
from freshkey.clock import interruptible
from freshkey.errors import StoreBusy, StoreUnavailable


# Windows locks byte 0, and a locked byte cannot be read there, so the holder's pid and the inode come after it.
NOTE_OFFSET: Final = 1
NOTE_SPACE: Final = 48

_threads: dict[str, threading.Lock] = {}


class ThreadLock:
    """A lock between the threads of this process, one per key."""

    def __init__(self, key: str) -> None:
        self._key = key

    def acquire(self, timeout: float) -> Callable[[], None]:
        """Take the lock within `timeout` seconds and return a function that releases it, from any thread.

        Raises:
            StoreBusy: Another thread held the lock all that time.
        """
        lock = _threads.setdefault(self._key, threading.Lock())
        if not interruptible(partial(lock.acquire, True), max(timeout, 0)):
            raise StoreBusy(
                f"another thread of this process ({os.getpid()}) has been using this profile for over {timeout:g} s",
                hint="Try again",
            )
        return _once(lock.release)


class ProfileLock:
    """A lock between all threads and processes that use the same path.

    Args:
        directory: Where freshkey keeps its state.
        name: Name of the lock file, without its extension.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._held: tuple[int, DirectoryLock] | None = None
        self.path = directory / "locks" / f"{name}.lock"

    def acquire(self, timeout: float) -> Callable[[], None]:
        """Take the lock within `timeout` seconds and return a function that releases it, from any thread.

        Raises:
            StoreBusy: Another thread or process held the lock all that time; the message names the process.
            StoreUnavailable: The lock file cannot be created or locked.
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
            # A forked child closed its copy of the descriptor and must not unlock: that would release the parent's.
            if os.getpid() == pid:
                directory_lock.leave()
                _unlock(descriptor)
                release_threads()

        return _once(release)

    def confirm(self) -> None:
        """Check that the lock file is still in place: if it was deleted or replaced, others may lock a new one.

        Raises:
            StoreBusy: The lock no longer excludes other processes; do not start a renewal.
        """
        if self._held is not None and not self._is_current(self._held[0]):
            raise StoreBusy(
                f"{self.path} was removed or replaced while this process held the lock",
                hint="Try again",
                code="lock-file-replaced",
            )

    def outwait(self, has_data: Callable[[], bool], timeout: float) -> None:
        """If the lock file is new, wait for processes that may still hold a deleted predecessor.

        Args:
            has_data: Returns whether anything is stored that another process could be about to change.
            timeout: Seconds to wait at most.

        Raises:
            StoreBusy: Another process may still be at work after `timeout` seconds.
        """
        if self._held is None:
            return
        descriptor, directory_lock = self._held
        inode = os.fstat(descriptor).st_ino
        if _read_note(descriptor)[1:] == [inode]:  # not new: a recreated or copied file has another inode
            return
        # What is stored was written under a lock file; if that was deleted, a process may still hold it.
        # See docs/decisions.md, "A lock file that is removed while it is held still excludes others".
        if has_data() and not directory_lock.wait_until_alone(timeout):
            raise StoreBusy(
                f"{self.path} was removed, and another process may still hold it",
                hint="Try again; if this persists, stop all programs that use freshkey with this state directory",
                code="lock-file-replaced",
            )
        # Not earlier: if this process gives up, the next one has to wait too.
        _write_note(descriptor, os.getpid(), inode)

    def _lock_file(self, deadline: float, timeout: float) -> int:
        while True:
            descriptor = self._open(deadline)
            try:
                _wait_for(descriptor, deadline, timeout)
                if self._is_current(descriptor):
                    _write_note(descriptor, os.getpid(), *_read_note(descriptor)[1:])
                    return descriptor
            except BaseException:
                close_held(descriptor)
                raise
            # The file was deleted or replaced while we waited, so other processes would lock a different one.
            close_held(descriptor)

    def _open(self, deadline: float) -> int:
        warn_of_network(private_dir(self._directory, "locks"))
        try:
            flags = os.O_RDWR | os.O_CREAT | NO_FOLLOW
            descriptor = open_held(self.path, flags, timeout=deadline - time.monotonic())
        except OSError as error:
            raise unavailable(error, self.path) from None
        if os.fstat(descriptor).st_nlink > 1:
            close_held(descriptor)
            raise StoreUnavailable(
                f"{self.path} has more than one hard link", hint="Remove that file", code="unsafe-store-path"
            )
        return descriptor

    def _is_current(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self.path.lstat())
        except FileNotFoundError:
            return False
        except OSError as error:
            raise unavailable(error, self.path) from None


def _once(action: Callable[[], None]) -> Callable[[], None]:
    """Return a function that runs `action` only once: by a second release, another caller may hold the lock."""
    stack = ExitStack()
    stack.callback(action)
    return stack.close


def _wait_for(descriptor: int, deadline: float, timeout: float) -> None:
    # filelock locks with flock on POSIX, not with lockf, whose locks belong to the process: a second descriptor in this
    # process would not conflict, and closing any descriptor of the file would release the lock (fcntl_locking(2)).
    # See docs/decisions.md, "The kernel lock is taken on freshkey's own descriptor".
    from filelock import lock_descriptor

    try:
        while not lock_descriptor(descriptor, blocking=False):
            left = deadline - time.monotonic()
            if left <= 0:
                pid = next(iter(_read_note(descriptor)), 0)
                raise StoreBusy(
                    f"{f'process {pid}' if pid else 'another process'} has been using this profile "
                    f"for over {timeout:g} s",
                    hint="Try again; if that process hangs, end it to release its lock",
                )
            time.sleep(min(POLL_INTERVAL, left))
    except OSError as error:
        raise StoreUnavailable(
            f"this file system does not support locks ({os.strerror(error.errno or 0)})",
            hint="Set FRESHKEY_STATE_DIR to a directory on a local disk",
            code="locks-not-supported",
        ) from None


def _unlock(descriptor: int) -> None:
    # The file is never deleted: one process could hold the deleted file's lock while another locks a new file.
    from filelock import unlock_descriptor

    # Unlock before closing: a child between fork and exec still has a copy, which would keep the lock.
    try:
        unlock_descriptor(descriptor)
    finally:
        close_held(descriptor)


def _read_note(descriptor: int) -> list[int]:
    """Return the holder's pid and the inode recorded at the first use, or as many of the two as the file has."""
    with suppress(OSError, ValueError):
        os.lseek(descriptor, NOTE_OFFSET, os.SEEK_SET)
        return [int(number) for number in os.read(descriptor, NOTE_SPACE).split()]
    return []


def _write_note(descriptor: int, *numbers: int) -> None:
    text = " ".join(map(str, numbers)).ljust(NOTE_SPACE).encode("ascii")
    # Best effort: the pid is only for messages, and a file without an inode is merely treated as new again.
    with suppress(OSError):
        os.lseek(descriptor, NOTE_OFFSET, os.SEEK_SET)
        os.write(descriptor, text)


# The threads that hold these do not exist in the child.
in_child(_threads.clear)
