"""One piece of work on a thread of its own, whose result or error many callers share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from freshkey.errors import FreshkeyError, TransientError, our_own


T = TypeVar("T")


class Flight(Generic[T]):
    """A result that is not there yet; threads wait for it, and event loops are called back.

    The first of `land` and `crash` counts. Work may land before it ends: its callers are then served while it
    finishes what they need not wait for.

    Args:
        late: What to say to those whose patience ends before the work does.
    """

    def __init__(self, late: str = "there is no answer yet; the renewal goes on in the background") -> None:
        self._late = late
        self._landed = threading.Event()
        self._mutex = threading.Lock()
        self._result: T | None = None
        self._error: FreshkeyError | None = None
        self._listeners: list[Callable[[], None]] = []

    @property
    def landed(self) -> bool:
        """Whether the result or the error is known."""
        return self._landed.is_set()

    def land(self, result: T) -> None:
        """Serve everybody with a result."""
        self._settle(result, None)

    def crash(self, error: FreshkeyError) -> None:
        """Serve everybody with an error."""
        self._settle(None, error)

    def result(self) -> T:
        """Return the result once it has landed.

        Raises:
            FreshkeyError: A copy of the error for this caller.
        """
        if self._error is not None:
            raise self._error.for_another_caller()
        return self._result  # type: ignore[return-value]  # landed without an error: the result is a T

    def wait(self, timeout: float) -> T:
        """Block until the result is known, for `timeout` seconds at the most, and return it.

        Raises:
            TransientError: It takes longer. The work goes on.
            FreshkeyError: The work failed.
        """
        if not self._landed.wait(timeout):
            raise TransientError(self._late, hint="Try again shortly")
        return self.result()

    def listen(self, callback: Callable[[], None]) -> None:
        """Call `callback` once the result is known: now, or later on the thread of the work."""
        with self._mutex:
            if not self._landed.is_set():
                self._listeners.append(callback)
                return
        callback()

    def _settle(self, result: T | None, error: FreshkeyError | None) -> None:
        with self._mutex:
            if self._landed.is_set():
                return
            self._result, self._error = result, error
            self._landed.set()
            listeners, self._listeners = self._listeners, []
        for callback in listeners:
            callback()


def launch(name: str, work: Callable[[Flight[T]], None]) -> Flight[T]:
    """Start `work` on a plain non-daemon thread and return its flight.

    Not an executor and not a daemon: both refuse or abandon work while the interpreter exits, when a refresh token
    may just have been spent. `work` lands or crashes the flight; what it raises crashes it too.

    Raises:
        TransientError: The interpreter is exiting, or the process may start no more threads.
    """
    return _start(name, work, Flight(), daemon=False)


def launch_expendable(name: str, work: Callable[[Flight[T]], None], *, late: str) -> Flight[T]:
    """Do the same for work that spends nothing: if it hangs, the process may end all the same.

    Args:
        name: Of the thread.
        work: Lands or crashes the flight.
        late: See `Flight`.

    Raises:
        TransientError: See `launch`.
    """
    return _start(name, work, Flight(late), daemon=True)


def _start(name: str, work: Callable[[Flight[T]], None], flight: Flight[T], *, daemon: bool) -> Flight[T]:

    def run() -> None:
        try:
            work(flight)
        except FreshkeyError as error:
            flight.crash(error)
        except BaseException as error:  # noqa: BLE001  whoever waits must be told, whatever it was
            flight.crash(our_own(error))

    try:
        threading.Thread(target=run, name=f"freshkey {name}", daemon=daemon).start()
    except RuntimeError:
        raise TransientError("no thread can be started; the process is exiting or out of threads") from None
    return flight


def process_is_exiting() -> bool:
    """Tell whether the main thread has ended, so that only non-daemon threads keep the process alive."""
    return not threading.main_thread().is_alive()
