"""Single flight: one renewal at a time, whose result all callers share.

Threads and event loops of this process wait for one future; other processes wait for the profile's lock, and read the
store again once they have it (step 3 of `rotation`).
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from typing import Final, Generic, TypeVar

from attrs import define, field

from freshkey._text.tracebacks import with_note_of
from freshkey.clock import interruptible
from freshkey.errors import FreshkeyError, StoreUnavailable, TransientError, our_own
from freshkey.model.profile import Profile
from freshkey.model.storage import CredentialStore


T = TypeVar("T")

log = logging.getLogger(__name__)

LOCK_TIMEOUT: Final = 30.0
"""Seconds to wait for another process's renewal of the same profile."""

LATE: Final = "timed out waiting for the renewal, which continues in the background"
"""Default message for callers whose timeout ends before the work does."""


@define(eq=False)
class SharedFuture(Generic[T]):
    """A result that is not available yet: threads wait for it, event loops are called back.

    The first call of `set_result` or `set_error` counts. The work may make that call before it ends: callers then get
    the result while the work finishes what they need not wait for.

    Attributes:
        late: Message for callers whose timeout ends before the work does.
        patience: Longest time that a caller waits before it gets what `fallback` returns, in seconds.
        fallback: Returns what a caller gets if the work fails or takes longer than `patience`; None if nothing.
        first: The future for the same work whose result this one gives, if any; its callers count there, too.
    """

    late: str = LATE
    patience: float = math.inf
    fallback: Callable[[], T | None] = field(default=lambda: None)
    _first: SharedFuture[T] | None = None
    _waiting: int = field(init=False, default=0)
    _done: threading.Event = field(init=False, factory=threading.Event)
    _mutex: threading.Lock = field(init=False, factory=threading.Lock)
    _result: T | None = field(init=False, default=None)
    _error: FreshkeyError | None = field(init=False, default=None)
    _listeners: list[Callable[[], None]] = field(init=False, factory=list)

    @property
    def done(self) -> bool:
        """Whether the result or the error is known."""
        return self._done.is_set()

    @property
    def waiting(self) -> int:
        """How many callers wait for the result."""
        return self._waiting

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Count a caller who waits for the result within the block."""
        with self._first.joined() if self._first is not None else nullcontext():
            with self._mutex:
                self._waiting += 1
            try:
                yield
            finally:
                with self._mutex:
                    self._waiting -= 1

    def set_result(self, result: T) -> None:
        """Return this result to all waiting callers."""
        self._settle(result, None)

    def set_error(self, error: FreshkeyError) -> None:
        """Raise this error in all waiting callers."""
        self._settle(None, error)

    def result(self) -> T:
        """Return the result once it is known.

        Raises:
            FreshkeyError: The work failed; each caller gets its own copy of the error.
        """
        if self._error is not None:
            raise self._error.for_another_caller()
        return self._result  # type: ignore[return-value]  # done without an error: the result is a T

    def wait(self, timeout: float) -> T:
        """Wait up to `timeout` seconds for the result and return it.

        Raises:
            TransientError: It takes longer. The work continues.
            FreshkeyError: The work failed.
        """
        with self.joined():
            arrived = interruptible(self._done.wait, min(timeout, self.patience))
            instead = None if arrived else self.fallback()
            # What could be had instead may have ended meanwhile: then only the result counts.
            if not arrived and instead is None:
                arrived = interruptible(self._done.wait, max(0.0, timeout - self.patience))
        if arrived:
            return self.result()
        if instead is not None:
            return instead
        raise TransientError(self.late, hint="Try again in a few seconds", code="renewal-timed-out")

    def or_else(self, fallback: Callable[[], T | None], patience: float) -> SharedFuture[T]:
        """Return a future for the same work that gives its callers `fallback` if the work fails, or takes too long."""
        second: SharedFuture[T] = SharedFuture(self.late, patience, fallback, self)
        self.add_done_callback(lambda: second.follow(self))
        return second

    def follow(self, first: SharedFuture[T]) -> None:
        """Settle as `first` did; what `fallback` returns is better than an error."""
        try:
            self.set_result(first.result())
        except FreshkeyError as error:
            instead = self.fallback()
            self._settle(instead, None if instead is not None else error)

    def add_done_callback(self, callback: Callable[[], None]) -> None:
        """Call `callback` once the result is known: right away, or later on the thread of the work."""
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


def run_in_thread(name: str, work: Callable[[SharedFuture[T]], None], *, late: str = LATE) -> SharedFuture[T]:
    """Start `work` on a new thread and return the future that it resolves; an exception becomes its error.

    The thread is a daemon: work that hangs must not keep the process alive. What would be lost at exit has an
    `ExitHold`. It is not an executor's, because executors reject work while the interpreter exits.

    Raises:
        TransientError: The interpreter is exiting, or no more threads can be started.
    """
    future: SharedFuture[T] = SharedFuture(late)

    def run() -> None:
        try:
            work(future)
        except BaseException as error:  # noqa: BLE001  callers that wait must get an error, whatever it was
            future.set_error(error if isinstance(error, FreshkeyError) else with_note_of(error, our_own(error)))

    try:
        threading.Thread(target=run, name=f"freshkey {name}", daemon=True).start()
    except RuntimeError:
        raise TransientError(
            "cannot start a thread: the process is exiting or has reached its thread limit", code="out-of-threads"
        ) from None
    return future


async def arrival(future: SharedFuture[T], patience: float) -> T:
    """Wait for a shared future without blocking the event loop, for up to `patience` seconds."""
    import asyncio

    loop, arrived = asyncio.get_running_loop(), asyncio.Event()

    def done() -> None:
        # The loop may be closed by now, in which case no one is waiting.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(arrived.set)

    future.add_done_callback(done)
    with future.joined():
        for seconds in (min(patience, future.patience), max(0.0, patience - future.patience)):
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await arrived.wait()
            if future.done or future.fallback() is not None:
                break
    return future.wait(0)


def one_process(profile: Profile, store: CredentialStore | None) -> AbstractContextManager[object]:
    """Lock out every other renewal of a profile in all processes; `store` is None if another tool stores it.

    Raises:
        StoreBusy: Another process or thread is still renewing after `LOCK_TIMEOUT`.
        StoreError: The store cannot be locked.
    """
    if store is not None:
        return store.lock(LOCK_TIMEOUT)
    # Another tool's credential needs no store, but eight processes must not run that tool eight times.
    from freshkey._files.private import file_name
    from freshkey._interprocess.lock import ProfileLock

    lock = ExitStack()
    try:
        lock.callback(ProfileLock(profile.state_dir, file_name(profile.key)).acquire(LOCK_TIMEOUT))
    except StoreUnavailable as error:
        # Without a writable state directory, another tool's credential can still be used.
        log.warning("%s: continuing without a lock: %s [%s]", profile.label, error.message, error.code)
    return lock


def process_is_exiting() -> bool:
    """Return whether the main thread has ended, so that only non-daemon threads keep the process alive."""
    return not threading.main_thread().is_alive()
