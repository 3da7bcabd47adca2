"""Single flight: one renewal at a time, whose result all share.

Threads and event loops of this process wait for one future; other processes wait for the profile's lock, and read the
store again when they have it (step 3 of `rotation`).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Final, Generic, TypeVar

from attrs import define, field

from freshkey.errors import FreshkeyError, StoreUnavailable, TransientError, our_own
from freshkey.model.profile import Profile
from freshkey.model.storage import CredentialStore


T = TypeVar("T")

log = logging.getLogger("freshkey")

LOCK_TIMEOUT: Final = 30.0
"""Seconds to wait for another process's renewal of the same profile."""

LATE: Final = "there is no answer yet; the renewal goes on in the background"
"""What those are told whose patience ends before the work does, unless the caller says otherwise."""


@define(eq=False)
class SharedFuture(Generic[T]):
    """A result that is not there yet; threads wait for it, and event loops are called back.

    The first of `set_result` and `set_error` counts. Work may call it before it ends: callers are then served while it
    finishes what they need not wait for.

    Attributes:
        late: What to say to those whose patience ends before the work does.
    """

    late: str = LATE
    _done: threading.Event = field(init=False, factory=threading.Event)
    _mutex: threading.Lock = field(init=False, factory=threading.Lock)
    _result: T | None = field(init=False, default=None)
    _error: FreshkeyError | None = field(init=False, default=None)
    _listeners: list[Callable[[], None]] = field(init=False, factory=list)

    @property
    def done(self) -> bool:
        """Whether the result or the error is known."""
        return self._done.is_set()

    def set_result(self, result: T) -> None:
        """Serve everybody with a result."""
        self._settle(result, None)

    def set_error(self, error: FreshkeyError) -> None:
        """Serve everybody with an error."""
        self._settle(None, error)

    def result(self) -> T:
        """Return the result once it is known.

        Raises:
            FreshkeyError: A copy of the error for this caller.
        """
        if self._error is not None:
            raise self._error.for_another_caller()
        return self._result  # type: ignore[return-value]  # done without an error: the result is a T

    def wait(self, timeout: float) -> T:
        """Block until the result is known, for `timeout` seconds at the most, and return it.

        Raises:
            TransientError: It takes longer. The work goes on.
            FreshkeyError: The work failed.
        """
        if not self._done.wait(timeout):
            raise TransientError(self.late, hint="Try again shortly")
        return self.result()

    def add_done_callback(self, callback: Callable[[], None]) -> None:
        """Call `callback` once the result is known: now, or later on the thread of the work."""
        with self._mutex:
            if not self._done.is_set():
                self._listeners.append(callback)
                return
        callback()

    def _settle(self, result: T | None, error: FreshkeyError | None) -> None:
        with self._mutex:
            if self._done.is_set():
                return
            self._result, self._error = result, error
            self._done.set()
            listeners, self._listeners = self._listeners, []
        for callback in listeners:
            callback()


def run_in_thread(
    name: str, work: Callable[[SharedFuture[T]], None], *, daemon: bool = False, late: str = LATE
) -> SharedFuture[T]:
    """Start `work` on a plain thread and return the future that it resolves.

    Not an executor: that refuses or abandons work while the interpreter exits, when a refresh token may just have
    been spent. For the same reason the thread is no daemon, unless the work spends nothing: then the process may end
    even if it hangs. What `work` raises is the error of the future too.

    Raises:
        TransientError: The interpreter is exiting, or the process may start no more threads.
    """
    future: SharedFuture[T] = SharedFuture(late)

    def run() -> None:
        try:
            work(future)
        except BaseException as error:  # noqa: BLE001  whoever waits must be told, whatever it was
            future.set_error(error if isinstance(error, FreshkeyError) else our_own(error))

    try:
        threading.Thread(target=run, name=f"freshkey {name}", daemon=daemon).start()
    except RuntimeError:
        raise TransientError("no thread can be started; the process is exiting or out of threads") from None
    return future


def one_process(profile: Profile, store: CredentialStore | None) -> AbstractContextManager[object]:
    """Exclude every other renewal of a profile, of all processes; `store` is None if another tool keeps its credential.

    Raises:
        StoreBusy: Another process, or another thread, still renews after `LOCK_TIMEOUT`.
        StoreError: The store cannot be locked.
    """
    if store is not None:
        return store.lock(LOCK_TIMEOUT)
    # Another tool's credential needs no store, but eight processes must not start that tool eight times.
    from freshkey._files.private import file_name
    from freshkey._interprocess.lock import ProfileLock

    lock = ExitStack()
    try:
        lock.callback(ProfileLock(profile.state_dir, file_name(profile.name)).acquire(LOCK_TIMEOUT))
    except StoreUnavailable as error:
        # A machine without a place for locks can still use what another tool keeps.
        log.warning("%s: going on without a lock: %s", profile.name, error.message)
    return lock


def process_is_exiting() -> bool:
    """Tell whether the main thread has ended, so that only non-daemon threads keep the process alive."""
    return not threading.main_thread().is_alive()
