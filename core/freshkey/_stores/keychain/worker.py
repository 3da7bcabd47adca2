"""The one thread that calls the keychain: one call at a time, and a deadline after which the caller is let go.

A call that misses its deadline goes on. Until it has returned, nothing else is started, and whoever asks for
idleness waits: a write that nobody waits for any more must not meet a newer one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from attrs import define, field

from freshkey.errors import StoreUnavailable


T = TypeVar("T")

HINT: Final = 'Unlock it if it asks for that, or restart it; where there is no keychain, choose store = "file"'


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
        except BaseException as error:  # noqa: BLE001  it belongs to the caller, not to this thread
            self.error = error


@define
class _Deadline:
    """How long one caller waits: until its deadline, and then on if that is worth it."""

    seconds: float
    longer: Callable[[], float]
    started: float = field(init=False, factory=time.monotonic)

    @property
    def grows(self) -> bool:
        return self.longer() > 0

    def wait(self, changed: threading.Condition, condition: Callable[[], bool]) -> None:
        if not changed.wait_for(condition, self._left()):
            self.seconds = max(self.seconds, self.longer())
            changed.wait_for(condition, self._left())

    def _left(self) -> float:
        return self.started + self.seconds - time.monotonic()


class SerialWorker:
    """Runs calls one after the other on a daemon thread of its own.

    A plain thread, because executors refuse work while the interpreter exits, and that is when a last renewal may
    still have to be saved.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.start_over()

    def start_over(self) -> None:
        """Forget the thread and all calls: a forked child has neither."""
        self._changed = threading.Condition()
        self._call: _Call | None = None
        self._thread: threading.Thread | None = None
        self._when_idle: list[Callable[[], None]] = []

    def call(self, work: Callable[[], T], timeout: float, longer: Callable[[], float] = lambda: 0.0) -> T:
        """Run `work` on the thread and return what it returns or raises.

        Waits `timeout` seconds at the most, for earlier calls as well. When they are over, `longer` is asked: it gives
        the seconds to wait in all, should it be worth it by then.

        Raises:
            StoreUnavailable: No answer in time, or an earlier call has still not returned.
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
            raise StoreUnavailable(f"the keychain did not answer within {deadline.seconds:g} s", hint=HINT)
        if call.error is not None:
            raise call.error
        value: T = call.value
        return value

    def when_idle(self, action: Callable[[], None]) -> None:
        """Run `action` once no abandoned call is under way: now, or on the thread when that call returns."""
        with self._changed:
            waits = self._call is not None and self._call.abandoned
            if waits:
                self._when_idle.append(action)
        if not waits:
            action()

    def _start(self, call: _Call, deadline: _Deadline) -> None:
        # A call that was given up may return soon if a person is just typing the password; otherwise nobody knows.
        deadline.wait(self._changed, lambda: self._call is None or (self._call.abandoned and not deadline.grows))
        if self._call is not None:
            raise StoreUnavailable("the keychain has not answered an earlier call yet", hint=HINT)
        if self._thread is None:
            thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                # The program is exiting, or the system has no thread left; Python says which.
                raise StoreUnavailable(f"the keychain cannot be asked: {error}", hint="Try again") from None
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
            del call  # it may hold a secret, and the next one may be hours away

    def _finish(self, call: _Call) -> None:
        with self._changed:
            call.done = True
            self._call = None
            actions, self._when_idle = self._when_idle, []
            self._changed.notify_all()
        for action in actions:
            action()
