"""Keeps code from the network and from files while a test watches what it tries."""

from __future__ import annotations

import errno
import functools
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final


Attempts = list[str]
_Watch = AbstractContextManager[Attempts]
Rule = Callable[[str, tuple[object, ...]], str | None]

_NETWORK: Final = {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg"}
_PROCESSES: Final = {"subprocess.Popen", "os.system", "os.posix_spawn", "os.exec", "os.fork", "webbrowser.open"}
_CHANGES: Final = {
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.truncate",
    "os.link",
    "os.symlink",
    "sqlite3.connect",
}
_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_CODE: Final = re.compile(r"\.(py|pyc|so|pyd|dll|dylib)(\.\d+)?$")
"""Files that an import reads or writes; importing is not the kind of I/O that a contract forbids."""

_this_thread = threading.local()
_installed = threading.Event()


def offline() -> _Watch:
    """Refuse connections, name look-ups and child processes, as a machine without a network does.

    The context manager gives the list of what was tried by this thread and those it starts. Each try fails with an
    `OSError`.
    """
    return _watched(lambda event, _: event if event in _NETWORK | _PROCESSES else None)


def no_io() -> _Watch:
    """Like `offline`, and also refuse to open files other than code."""
    return _watched(_any_io)


def read_only() -> _Watch:
    """Refuse to change files, of whatever kind; the network stays as it is."""
    return _watched(_any_change)


def _any_change(event: str, arguments: tuple[object, ...]) -> str | None:
    flags = arguments[2] if event == "open" and arguments[0] != os.devnull else 0
    writes = isinstance(flags, int) and flags & _WRITING and _is_data(arguments[0])
    return f"{event} {os.fsdecode(_path(arguments))}" if writes or event in _CHANGES else None


def _any_io(event: str, arguments: tuple[object, ...]) -> str | None:
    if event == "open" and _is_data(arguments[0]):
        return f"open {os.fsdecode(_path(arguments))}"
    return event if event in _NETWORK | _PROCESSES else None


def _is_data(path: object) -> bool:
    return isinstance(path, str | bytes | os.PathLike) and not _CODE.search(os.fsdecode(path))


def _path(arguments: tuple[object, ...]) -> str | bytes:
    path = arguments[0]
    return os.fspath(path) if isinstance(path, str | bytes | os.PathLike) else f"{path}"


@contextmanager
def _watched(rule: Rule) -> Iterator[Attempts]:
    if not _installed.is_set():
        _installed.set()
        sys.addaudithook(_audit)
        threading.Thread.start = _follow(threading.Thread.start)  # type: ignore[assignment,method-assign]  # lasts as the hook
    attempts: Attempts = []
    before = getattr(_this_thread, "watch", None)
    _this_thread.watch = (rule, attempts)
    try:
        yield attempts
    finally:
        _this_thread.watch = before


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    """Judge what this thread is about to do; runs for every audit event (PEP 578) and cannot be removed again."""
    watch: tuple[Rule, Attempts] | None = getattr(_this_thread, "watch", None)
    if watch is None:
        return
    rule, attempts = watch
    attempt = rule(event, arguments)
    if attempt is not None:
        attempts.append(attempt)
        raise OSError(errno.ENETUNREACH, f"the contract kit refuses this here: {attempt}")


def _follow(start: Callable[[threading.Thread], None]) -> Callable[[threading.Thread], None]:
    """Have the threads that a watched one starts watched as well: `freshkey.plugin.send` works on one of its own."""

    @functools.wraps(start)
    def watched_start(thread: threading.Thread) -> None:
        watch, run = getattr(_this_thread, "watch", None), thread.run

        def watched_run() -> None:
            _this_thread.watch = watch
            run()

        if watch is not None:
            thread.run = watched_run  # type: ignore[method-assign]  # of this one thread, before it starts
        start(thread)

    return watched_start
