"""One renewal at a time: a kernel lock on a file of its own, and a lock between the threads of this process.

The kernel ends the lock with the process, so a crash leaves nothing to clean up. The file is never removed and never
holds data: removing it would let two processes lock two files of the same name (flock(2)).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from freshkey.errors import StoreBusy, StoreUnavailable
from freshkey.stores.files import NO_FOLLOW, private_dir, unavailable
from freshkey.stores.filesystems import warn_of_network


POLL_SECONDS: Final = 0.02
# Byte 0 is what Windows locks, and a locked byte cannot be read there; the holder's pid comes after it.
PID_OFFSET: Final = 1
PID_SPACE: Final = 16

_guard = threading.Lock()
_held: set[int] = set()
_threads: dict[str, threading.Lock] = {}


class ThreadLock:
    """Excludes the threads of this process; one lock per key.

    Args:
        key: Names the lock within the process.
    """

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
        self._descriptor: int | None = None
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
        self._descriptor = descriptor

        def release() -> None:
            self._descriptor = None
            # A fork's child has neither: its copy of the descriptor was closed, and unlocking would free the parent's.
            if os.getpid() == pid:
                _unlock(descriptor)
                release_threads()

        return _once(release)

    def confirm(self) -> None:
        """Find out that the lock file was removed or replaced since it was locked, so that others lock another one.

        Raises:
            StoreBusy: It was, and nothing should be begun any more.
        """
        if self._descriptor is not None and not self._is_current(self._descriptor):
            raise StoreBusy(f"{self.path} was removed or replaced while this process held it", hint="Try again")

    def _lock_file(self, deadline: float, timeout: float) -> int:
        while True:
            descriptor = self._open()
            try:
                _wait_for(descriptor, deadline, timeout)
                if self._is_current(descriptor):
                    _write_pid(descriptor)
                    return descriptor
            except BaseException:
                _close(descriptor)
                raise
            # Somebody removed or replaced the file while we waited: what we locked, nobody else will look at.
            _close(descriptor)

    def _open(self) -> int:
        warn_of_network(private_dir(self._directory, "locks"))
        try:
            with _guard:
                descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | NO_FOLLOW, 0o600)
                _held.add(descriptor)
        except OSError as error:
            raise unavailable(error, self.path) from None
        if os.fstat(descriptor).st_nlink > 1:
            _close(descriptor)
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
    actions = [action]

    def run() -> None:
        while actions:
            actions.pop()()

    return run


def _wait_for(descriptor: int, deadline: float, timeout: float) -> None:
    from filelock import lock_descriptor

    try:
        while not lock_descriptor(descriptor, blocking=False):
            left = deadline - time.monotonic()
            if left <= 0:
                raise _busy(descriptor, timeout)
            time.sleep(min(POLL_SECONDS, left))
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
        _close(descriptor)


def _close(descriptor: int) -> None:
    with _guard:
        _held.discard(descriptor)
        os.close(descriptor)


def _write_pid(descriptor: int) -> None:
    text = str(os.getpid()).ljust(PID_SPACE).encode("ascii")
    try:
        os.lseek(descriptor, PID_OFFSET, os.SEEK_SET)
        os.write(descriptor, text)
    except OSError:
        # The number is for people who wait; a full disk shows where something has to be kept.
        return


def _busy(descriptor: int, timeout: float) -> StoreBusy:
    try:
        os.lseek(descriptor, PID_OFFSET, os.SEEK_SET)
        pid = int(os.read(descriptor, PID_SPACE))
    except (OSError, ValueError):
        pid = 0
    return StoreBusy(
        f"{f'process {pid}' if pid else 'another process'} did not finish with this profile within {timeout:g} s",
        hint="Try again; if that process hangs, end it, and its lock is gone with it",
    )


def _after_fork() -> None:
    """Start the child without locks: it closes what it inherited and never unlocks, which would free the parent's."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()
    _threads.clear()
    _guard.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_guard.acquire, after_in_parent=_guard.release, after_in_child=_after_fork)
