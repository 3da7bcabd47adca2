"""The command line's own process: no core dumps, whole streams, and signals that let a renewal in flight finish.

What is changed here for the command line is undone for a program that takes its place.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn


if TYPE_CHECKING:
    from types import FrameType

GRACE: Final = 5.0
"""Seconds that a renewal in flight is given after a signal; its refresh token may be spent already."""

_PR_SET_DUMPABLE: Final = 4  # prctl(2), from <linux/prctl.h>

_core_limit: list[int] = []
"""The size of core dumps that the process was started with, once it was changed."""


def own_environment() -> None:
    """Take away what Python added to the environment, so that no program that is started here gets it.

    In the locale C it sets LC_CTYPE (PEP 538). What it was started with shows on Linux alone, and not once the process
    has been hardened.
    """
    if sys.platform == "linux" and "LC_CTYPE" in os.environ:
        with suppress(OSError):
            entries = Path("/proc/self/environ").read_bytes().split(b"\0")
            if not any(entry.startswith(b"LC_CTYPE=") for entry in entries):
                del os.environ["LC_CTYPE"]


def harden() -> None:
    """Keep the process's memory out of core dumps and out of reach of other processes of the same user."""
    if sys.platform == "win32":
        return
    import resource

    with suppress(OSError, ValueError):
        soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
        _core_limit.append(soft)
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def as_started() -> None:
    """Give core dumps and signals back as they were, for a program that takes this process's place.

    That other processes of the user cannot read this one ends by itself then (execve(2)). Of the signals that Python
    ignores for itself nobody can say how they were; the default is what other programs start their children with.
    """
    if sys.platform == "win32":
        return
    import resource

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    if _core_limit:
        resource.setrlimit(resource.RLIMIT_CORE, (_core_limit[0], resource.getrlimit(resource.RLIMIT_CORE)[1]))


def whole_streams() -> None:
    """Open what the parent has closed of the three standard streams, on the null device.

    Otherwise a lock or a connection would get the number of standard error, and with it what a browser prints there;
    and Python prints what is meant for a missing standard error to standard output.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # In this order each gets the lowest number that is free, which is its own.
            stream = open(os.devnull, mode, encoding="utf-8", errors="backslashreplace")  # noqa: PTH123, SIM115  for as long as the process lives
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)


class Stopped(KeyboardInterrupt):
    """SIGTERM or SIGHUP arrived.

    Whatever lets Ctrl-C through lets this through. A SystemExit would be taken for the mistake of a plugin where it
    passes one.

    Args:
        code: The exit code.
    """

    def __init__(self, code: int) -> None:
        super().__init__()
        self.code = code


@contextmanager
def orderly_signals(last_words: Callable[[], None]) -> Iterator[None]:
    """Leave by SystemExit after SIGTERM and SIGHUP, and end the process `GRACE` seconds after the first signal.

    Leaving through an exception closes the keeper, which waits for renewals in flight. The interpreter would also
    wait for their threads, without a bound; the deadline is that bound.

    Args:
        last_words: Called if the deadline ends the process, such as to restore the terminal.
    """
    handler = _Handler(last_words)
    watched = [signal.SIGINT, signal.SIGTERM] + ([] if sys.platform == "win32" else [signal.SIGHUP])
    # A signal that is ignored (nohup, a background job of a plain shell) stays ignored.
    before = {number: signal.getsignal(number) for number in watched if signal.getsignal(number) != signal.SIG_IGN}
    for number in before:
        signal.signal(number, handler)
    try:
        yield
    except Stopped as stopped:
        raise SystemExit(stopped.code) from None
    finally:
        if not handler.called:
            for number, previous in before.items():
                signal.signal(number, previous)


class _Handler:
    def __init__(self, last_words: Callable[[], None]) -> None:
        self._last_words = last_words
        self.called = False

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        if self.called:  # the deadline runs already
            return
        self.called = True
        deadline = threading.Timer(GRACE, self._end, [128 + number])
        deadline.daemon = True
        deadline.start()
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise Stopped(128 + number)

    def _end(self, code: int) -> NoReturn:
        self._last_words()
        os._exit(code)
