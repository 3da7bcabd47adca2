"""The thread that calls the keychain: one call at a time, with a deadline after which the caller stops waiting.

Keychain libraries block, for example on a password prompt, and have no timeout that works on every platform, so calls
run on a worker thread that the caller can stop waiting for. A call that misses its deadline keeps running. Until it
returns, no other call starts, and `when_idle` actions wait: a late write must not overwrite a newer one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

from attrs import define, field

from freshkey.clock import interruptible
from freshkey.errors import StoreUnavailable


T = TypeVar("T")

WITHOUT_KEYCHAIN: Final = 'on a headless machine, set store = "file" for the profile in config.toml'
"""The end of a hint: how to do without a keychain."""

HINT: Final = f"Unlock the keychain if it shows a prompt, or restart it; {WITHOUT_KEYCHAIN}"


@define
class _Call:
    work: Callable[[], Any]
    done: bool = False
    abandoned: bool = False
    value: Any = None
    error: BaseException | None = None

    def run(self) -> None:
        try:
            self.value = self.work()
        except BaseException as error:  # noqa: BLE001  re-raised in the caller's thread
            self.error = error


@define
class _Deadline:
    """How long one caller waits: until its deadline, or until a later one that `longer` returns then."""

    seconds: float
    longer: Callable[[], float]
    started: float = field(init=False, factory=time.monotonic)

    @property
    def grows(self) -> bool:
        return self.longer() > 0

    def wait(self, changed: threading.Condition, condition: Callable[[], bool]) -> None:
        if not interruptible(partial(changed.wait_for, condition), self._left()):
            self.seconds = max(self.seconds, self.longer())
            interruptible(partial(changed.wait_for, condition), self._left())

    def _left(self) -> float:
        return self.started + self.seconds - time.monotonic()


class SerialWorker:
    """Runs calls one at a time on a dedicated daemon thread.

    Not an executor, because executors refuse work while the interpreter exits, when a last renewal may still have to
    be saved.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.start_over()

    def start_over(self) -> None:
        """Reset the thread and all calls, in a forked child, which has neither."""
        self._changed = threading.Condition()
        self._call: _Call | None = None
        self._thread: threading.Thread | None = None
        self._when_idle: list[Callable[[], None]] = []

    def call(self, work: Callable[[], T], timeout: float, longer: Callable[[], float] = lambda: 0.0) -> T:
        """Run `work` on the thread; return its result or raise its exception.

        Waits `timeout` seconds at most, including for earlier calls. Then `longer` returns the total number of seconds
        to wait, if that is more.

        Raises:
            StoreUnavailable: The call did not return in time, or an earlier call has not returned yet.
        """
        call = _Call(work)
        deadline = _Deadline(timeout, longer)
        with self._changed:
            self._start(call, deadline)
            try:
                deadline.wait(self._changed, lambda: call.done)
            finally:
                call.abandoned = not call.done
        if call.abandoned:
            raise StoreUnavailable(
                f"the keychain did not respond within {deadline.seconds:g} s", hint=HINT, code="keychain-timed-out"
            )
        if call.error is not None:
            raise call.error
        value: T = call.value
        return value

    def when_idle(self, action: Callable[[], None]) -> None:
        """Run `action` once no abandoned call is in progress: now, or on the thread when that call returns."""
        with self._changed:
            waits = self._call is not None and self._call.abandoned
            if waits:
                self._when_idle.append(action)
        if not waits:
            action()

    def _start(self, call: _Call, deadline: _Deadline) -> None:
        # Wait for an abandoned call only if it may return soon, because the user is typing the password.
        deadline.wait(self._changed, lambda: self._call is None or (self._call.abandoned and not deadline.grows))
        if self._call is not None:
            raise StoreUnavailable(
                "the keychain has not responded to an earlier call yet", hint=HINT, code="keychain-timed-out"
            )
        if self._thread is None:
            # A daemon, because a keychain that never answers must not keep the process alive.
            thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                # The program is exiting, or the thread limit is reached; Python says which.
                raise StoreUnavailable(
                    f"cannot call the keychain: {error}", hint="Try again", code="keychain-failed"
                ) from None
            self._thread = thread
        self._call = call
        self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._call is not None)
                call = self._call
            if call is not None:
                call.run()
                self._finish(call)
            del call  # it may contain a secret, and the next call may be hours away

    def _finish(self, call: _Call) -> None:
        with self._changed:
            call.done = True
            self._call = None
            actions, self._when_idle = self._when_idle, []
            self._changed.notify_all()
        for action in actions:
            action()
