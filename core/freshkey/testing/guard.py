"""Keeps code from the network and from files while a test watches what it tries."""

from __future__ import annotations

import errno
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager


Attempts = list[str]
_Watch = AbstractContextManager[Attempts]
Rule = Callable[[str, tuple[object, ...]], str | None]

_NETWORK = {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg"}
_PROCESSES = {"subprocess.Popen", "os.system", "os.posix_spawn", "os.exec", "os.fork", "webbrowser.open"}
_CODE = re.compile(r"\.(py|pyc|so|pyd|dll|dylib)(\.\d+)?$")
"""Files that an import reads or writes; importing is not the kind of I/O that a contract forbids."""

_this_thread = threading.local()
_installed = threading.Event()


def offline() -> _Watch:
    """Refuse connections, name look-ups and child processes of this thread, as a machine without a network does.

    The context manager gives the list of what was tried. Each try fails with an `OSError`.
    """
    return _watched(lambda event, _: event if event in _NETWORK | _PROCESSES else None)


def no_io() -> _Watch:
    """Like `offline`, and also refuse to open files other than code."""
    return _watched(_any_io)


def _any_io(event: str, arguments: tuple[object, ...]) -> str | None:
    path = arguments[0] if event == "open" else None
    if isinstance(path, str | bytes | os.PathLike) and not _CODE.search(os.fsdecode(path)):
        return f"open {os.fsdecode(path)}"
    return event if event in _NETWORK | _PROCESSES else None


@contextmanager
def _watched(rule: Rule) -> Iterator[Attempts]:
    if not _installed.is_set():
        _installed.set()
        sys.addaudithook(_audit)
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
