"""The command line's own process: no core dumps, open standard streams, and an orderly exit on signals.

These changes are undone before ``exec`` replaces the process with another program.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, TextIO


if TYPE_CHECKING:
    from types import FrameType, TracebackType

GRACE: Final = 5.0
"""Seconds that a renewal in progress gets to finish after a signal; its refresh token may already have been used."""

_REPEAT_INTERVAL: Final = 0.1
"""Seconds until a signal that the main thread has not handled is sent to it again."""

_PR_SET_DUMPABLE: Final = 4  # prctl(2), from <linux/prctl.h>
_NO_HEAP: Final = 1  # WER_FAULT_REPORTING_FLAG_NOHEAP, from <werapi.h>: error reports without what the process stores

_core_limit: list[int] = []
"""The core dump size limit that the process was started with, once it was changed."""


def own_environment() -> None:
    """Remove what Python added to the environment, so that child processes do not inherit it.

    In the C locale Python sets LC_CTYPE (PEP 538). The original environment is visible only on Linux, and only before
    `harden`.
    """
    if sys.platform == "linux" and "LC_CTYPE" in os.environ:
        with suppress(OSError):
            entries = Path("/proc/self/environ").read_bytes().split(b"\0")
            if not any(entry.startswith(b"LC_CTYPE=") for entry in entries):
                del os.environ["LC_CTYPE"]


def harden() -> None:
    """Keep the process's memory out of core dumps and, on Linux, away from other processes of the same user."""
    if sys.platform == "win32":
        import ctypes

        ctypes.WinDLL("kernel32").WerSetFlags(_NO_HEAP)
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
    """Restore core dumps and signals for a program that replaces this process.

    execve(2) makes the process readable again by itself. The original handling of the signals that Python ignores is
    unknown; the default is what other programs start their children with.
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
    """Replace each standard stream that the parent process closed with the null device.

    Otherwise a lock file or a connection could get the descriptor number of stderr, and with it whatever a browser
    prints there; and Python would print messages meant for stderr to stdout.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # Opened in this order, each stream gets the lowest free descriptor number, which is its own. On Windows it
            # is another one: its own stays reserved.
            stream = open(os.devnull, mode, encoding="utf-8", errors="backslashreplace")  # noqa: PTH123, SIM115  stays open for the life of the process
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)


def quiet_libraries(say: Callable[[str], None]) -> None:
    """Show what freshkey logs, and not what libraries and plugins log, warn of, or fail with.

    Python would write all of it to standard error as it is, and it may quote a token that no one else knows. What the
    user should read, a plugin reports. Of a failure that nobody catches, its kind and its place are shown, and of a
    warning if Python was told to show it (``-W``, ``PYTHONWARNINGS``).
    See docs/decisions.md, "The command line shows no log of a plugin".

    Args:
        say: Prints a line.
    """
    import logging

    from freshkey import admin

    ours = os.path.dirname(os.path.abspath(admin.__file__)) + os.sep  # noqa: PTH100, PTH120  compared as text

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            # Also by its place in the code: a plugin may call its logger freshkey.acme.
            if record.name.partition(".")[0] == "freshkey" and record.pathname.startswith(ours):
                with suppress(Exception):
                    say(f"freshkey: {admin.redacted(record.getMessage())}")

    handler = Handler(logging.WARNING)
    # On the root logger, or logging.warning() would add a handler of its own; the other is for those cut off from it.
    logging.getLogger().addHandler(handler)
    logging.lastResort = handler
    logging.raiseExceptions = False
    _show_kind_and_place(lambda text: say(f"freshkey: {admin.redacted(text)}"))


def _show_kind_and_place(say: Callable[[str], None]) -> None:
    """Show where exceptions and warnings come from instead of their text, which may quote anything."""
    import warnings

    def failed(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, SystemExit):  # of a thread
            return
        frames = []
        while trace is not None:
            frames.append(f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}")
            trace = trace.tb_next
        say(f"unexpected error: {kind.__name__}")
        for place in frames:
            say(f"  at {place}")

    sys.excepthook = failed
    threading.excepthook = lambda hook: failed(hook.exc_type, hook.exc_value, hook.exc_traceback)
    sys.unraisablehook = lambda hook: failed(hook.exc_type, hook.exc_value, hook.exc_traceback)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")

    def warned(  # noqa: PLR0917
        message: Warning | str,  # noqa: ARG001  see `warnings.showwarning`
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,  # noqa: ARG001
        line: str | None = None,  # noqa: ARG001
    ) -> None:
        say(f"{category.__name__} at {filename}:{lineno}")

    warnings.showwarning = warned


class Stopped(KeyboardInterrupt):
    """SIGTERM, SIGHUP or SIGBREAK arrived.

    Code that lets Ctrl-C through also lets this through. A SystemExit that passes through a plugin would be blamed on
    the plugin.

    Args:
        code: The exit code.
    """

    def __init__(self, code: int) -> None:
        super().__init__()
        self.code = code


if sys.platform == "win32":
    _WATCHED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGBREAK)
    """The last is Ctrl-Break, and what else the console says: that it is closed, or that the session ends."""
else:
    _WATCHED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def orderly_signals(last_words: Callable[[], None]) -> Iterator[None]:
    """Exit with SystemExit after a signal other than Ctrl-C, and end the process `GRACE` seconds after the first one.

    Exiting with an exception closes the keeper, which waits for renewals in progress. The interpreter then waits
    for what would be lost, longer than a user who pressed Ctrl-C does; the deadline is the limit.

    Args:
        last_words: Called if the deadline ends the process, for example to restore the terminal.
    """
    handler = _Handler(last_words)
    # An ignored signal (nohup, a background job of a plain shell) stays ignored.
    before = {number: signal.getsignal(number) for number in _WATCHED if signal.getsignal(number) != signal.SIG_IGN}
    for number in before:
        signal.signal(number, handler)
    try:
        with _ending_console(), _interrupted_waits(before, handler):
            yield
    except Stopped as stopped:
        raise SystemExit(stopped.code) from None
    finally:
        if not handler.called:
            for number, previous in before.items():
                signal.signal(number, previous)


@contextmanager
def _interrupted_waits(numbers: Iterable[int], handler: _Handler) -> Iterator[None]:
    """Let signals interrupt whatever the main thread waits for.

    Python calls a handler when the main thread runs its next instruction, and a signal ends a wait only if the wait
    has begun and the kernel chose the main thread. Otherwise Ctrl-C would be handled when the wait ends, which for a
    sign-in is after minutes. So Python also writes each signal's number to a pipe (`signal.set_wakeup_fd`), and a
    thread sees to it that something happens.
    """
    reading, writing = os.pipe()
    if sys.platform != "win32":
        os.set_blocking(writing, False)

    def listen() -> None:
        with open(reading, "rb", buffering=0) as arrived:  # noqa: PTH123  a descriptor
            while number := arrived.read(1):
                if number[0] in numbers:
                    _insist(number[0], handler)

    threading.Thread(target=listen, name="freshkey signals", daemon=True).start()
    previous = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(previous)
        os.close(writing)  # ends the thread


if sys.platform == "win32":

    def _insist(number: int, handler: _Handler) -> None:
        """Set the deadline: on Windows, nothing interrupts a wait.

        The core waits in short pieces (`freshkey.clock.interruptible`). What a library or plugin waits for, or a user
        who is asked, is cut off.
        """
        handler.limit(number)

    @contextmanager
    def _ending_console() -> Iterator[None]:
        """Have time for an orderly exit when the console or the session ends."""
        from freshkey_cli import console_events

        def handle(event: int) -> bool:
            if event in console_events.ENDING and signal.getsignal(signal.SIGBREAK) != signal.SIG_IGN:
                signal.raise_signal(signal.SIGBREAK)
                threading.Event().wait()  # Windows ends the process when this returns, or after a few seconds
            return False

        with console_events.handled(handle):
            yield

else:

    def _insist(number: int, handler: _Handler) -> None:
        """Send a signal to the main thread again until it is handled."""
        main = threading.main_thread().ident or 0
        while not handler.called:
            time.sleep(_REPEAT_INTERVAL)
            if not handler.called:
                signal.pthread_kill(main, number)

    _ending_console = nullcontext


class _Handler:
    def __init__(self, last_words: Callable[[], None]) -> None:
        self._last_words = last_words
        self._limited = False
        self.called = False

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        if self.called:  # the deadline is already running
            return
        self.called = True
        self.limit(number)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise Stopped(128 + number)

    def limit(self, number: int) -> None:
        """Set the deadline, unless it is set; two at once would do no harm."""
        if not self._limited:
            self._limited = True
            deadline = threading.Timer(GRACE, self._end, [128 + number])
            deadline.daemon = True
            deadline.start()

    def _end(self, code: int) -> NoReturn:
        self._last_words()
        # Not `sys.exit`, which would end only this thread: the interpreter would wait for a renewal that hangs.
        os._exit(code)
