"""What the interpreter waits for at exit: the answer to a single-use secret that was sent, and that it is saved.

All threads of freshkey are daemons, so nothing that hangs keeps a process from ending. While something would be lost, a
guard does: a thread that is not a daemon, and ends with the hold or its deadline. See docs/decisions.md, "What the
interpreter waits for at exit".
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Self

from freshkey.errors import TransientError


log = logging.getLogger(__name__)

ANSWER_TIMEOUT: Final = 35.0
"""Seconds from a sending until its answer no longer holds the exit; a request has 30."""

SAVE_TIMEOUT: Final = 45.0
"""Seconds that an exiting interpreter waits for a save that does not return; one that fails gives up after 10."""

_POLL_INTERVAL: Final = 0.5
"""Seconds between two looks at whether the main thread has ended, during a save."""

_no_more = threading.Event()


class ExitHold:
    """Keeps the interpreter from exiting, for a limited time, while an answer is awaited or saved.

    Nothing is held until the first call. As a context manager it ends the hold with the block.

    Args:
        name: The name of the profile, for the log.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._guard: _Guard | None = None

    def sending(self) -> None:
        """Hold the exit for up to `ANSWER_TIMEOUT` from now; to be called right before each sending.

        Raises:
            TransientError: Nothing may be sent: the interpreter would not wait for the answer.
        """
        guard = _Guard(self._name, unsaved=False)
        if not (guard.start() and _is_waited_for(guard) and not _no_more.is_set()):
            guard.end()
            message = "cannot start a thread: the process is exiting or has reached its thread limit"
            raise TransientError(message, code="out-of-threads", local=True)
        self._replace(guard)

    def saving(self) -> None:
        """Hold the exit until what has arrived is saved, for up to `SAVE_TIMEOUT` after the main thread has ended."""
        guard = _Guard(self._name, unsaved=True)
        if guard.start():  # otherwise what was held stays held, and it is saved anyway
            self._replace(guard)

    def close(self) -> None:
        """Hold nothing any more; may be called repeatedly."""
        self._replace(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _replace(self, guard: _Guard | None) -> None:
        # The new guard already runs, so there is no moment without one.
        before, self._guard = self._guard, guard
        if before is not None:
            before.end()


class _Guard:
    """One thread that the interpreter waits for."""

    def __init__(self, name: str, *, unsaved: bool) -> None:
        self._name, self._unsaved = name, unsaved
        # A lock instead of an event: a child that is forked meanwhile can always release it.
        self._held = threading.Lock()
        self._held.acquire()
        # Not inherited: the threads that start it are daemons.
        self.thread = threading.Thread(target=self._run, name="freshkey exit", daemon=False)

    def start(self) -> bool:
        """Start, and return whether that worked."""
        try:
            self.thread.start()
        except RuntimeError:
            return False
        return True

    def end(self) -> None:
        """End soon; to be called once."""
        self._held.release()

    def _run(self) -> None:
        main = threading.main_thread()
        until = time.monotonic() + (SAVE_TIMEOUT if self._unsaved else ANSWER_TIMEOUT)
        while (left := until - time.monotonic()) > 0:
            if self._held.acquire(timeout=min(left, _POLL_INTERVAL) if self._unsaved else left):
                return
            if self._unsaved and main.is_alive():
                until = time.monotonic() + SAVE_TIMEOUT
        if self._unsaved:
            log.error("%s: the process is exiting, and saving does not end: what was not saved is lost", self._name)


@contextmanager
def sending_nothing() -> Iterator[None]:
    """Let nothing new be sent within the block: this process is about to be replaced, which kills its threads.

    What is being sent has a thread that is not a daemon, and can be waited for.
    """
    _no_more.set()
    try:
        yield
    finally:
        _no_more.clear()


def _is_waited_for(guard: _Guard) -> bool:
    """Return whether the exiting interpreter will wait for a guard that has just started.

    It looks for threads that are not daemons until there is none, so it has not finished while there is another one.
    """
    return any(
        thread.is_alive() and not thread.daemon and thread is not guard.thread for thread in threading.enumerate()
    )
