"""Blocks access to the network and to files, and records what the code under test tried."""

from __future__ import annotations

import errno
import functools
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final, cast

from attrs import field, frozen


Attempts = list[str]
_Watch = AbstractContextManager[Attempts]
Rule = Callable[[str, tuple[object, ...]], str | None]

_NETWORK: Final = {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg"}
_PROCESSES: Final = {
    *("subprocess.Popen", "os.system", "os.posix_spawn", "os.exec", "os.fork", "webbrowser.open"),
    *("os.spawn", "os.startfile", "os.startfile/2", "_winapi.CreateProcess"),  # on Windows
}
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
_VARIABLES: Final = {"os.putenv", "os.unsetenv"}
_THREAD: Final = "threading.Thread.start"
"""Told to rules like an audit event, which Python has only since 3.12, and without the object."""

_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_CODE: Final = re.compile(r"\.(py|pyc|so|pyd|dll|dylib)(\.\d+)?$")
"""Files that an import reads or writes; the contract does not forbid imports."""

_this_thread = threading.local()
_installed = threading.Event()


def offline() -> _Watch:
    """Refuse connections, name lookups and child processes, like a machine without a network.

    The context manager yields a list of the attempts made by this thread and those it starts. Each attempt fails with
    an `OSError`.
    """
    return _watched(lambda event, _: event if event in _NETWORK | _PROCESSES else None)


def no_io() -> _Watch:
    """Like `offline`, but also refuse to open files other than code."""
    return _watched(_any_io)


def read_only() -> _Watch:
    """Refuse to change files of any kind; network access is not restricted."""
    return _watched(_any_change)


@contextmanager
def written_files() -> Iterator[list[Path]]:
    """Refuse nothing, and yield a list of the files that this thread and those it starts open for writing."""
    written: list[Path] = []

    def note(event: str, arguments: tuple[object, ...]) -> None:
        flags = arguments[2] if event == "open" and arguments[0] != os.devnull else 0
        if isinstance(flags, int) and flags & _WRITING and _is_data(arguments[0]):
            written.append(Path(os.fsdecode(_path(arguments))).resolve())

    with _watched(note):
        yield written


@frozen
class Effects:
    """What code changed in its process, and what it started.

    Attributes:
        variables: Names of environment variables that were set or removed, even if only for a while.
        threads: Threads that were started.
        programs: Child processes that were started with `subprocess`.
    """

    variables: set[str] = field(init=False, factory=set)
    threads: list[threading.Thread] = field(init=False, factory=list)
    programs: list[subprocess.Popen[bytes]] = field(init=False, factory=list)


@contextmanager
def effects() -> Iterator[Effects]:
    """Refuse nothing, and note what this thread, and those it starts, change in the process and start."""
    noted = Effects()

    def note(event: str, arguments: tuple[object, ...]) -> None:
        if event in _VARIABLES:
            noted.variables.add(os.fsdecode(cast("str | bytes", arguments[0])))
        elif event == _THREAD:
            noted.threads.append(cast("threading.Thread", arguments[0]))

    start: Callable[..., None] = subprocess.Popen.__init__

    @functools.wraps(start)
    def noting_start(program: subprocess.Popen[bytes], *arguments: object, **options: object) -> None:
        start(program, *arguments, **options)
        if (getattr(_this_thread, "watch", None) or (None,))[0] is note:
            noted.programs.append(program)

    subprocess.Popen.__init__ = noting_start  # type: ignore[method-assign,assignment]  # no audit event has the object
    try:
        with _watched(note):
            yield noted
    finally:
        subprocess.Popen.__init__ = start  # type: ignore[method-assign]


@contextmanager
def unwatched() -> Iterator[None]:
    """Neither watch nor refuse what this thread does, nor the threads that it starts: they play another program."""
    before = getattr(_this_thread, "watch", None)
    _this_thread.watch = None
    try:
        yield
    finally:
        _this_thread.watch = before


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
        threading.Thread.start = _follow(threading.Thread.start)  # type: ignore[assignment,method-assign]  # as permanent as the hook
    attempts: Attempts = []
    before = getattr(_this_thread, "watch", None)
    _this_thread.watch = (rule, attempts)
    try:
        yield attempts
    finally:
        _this_thread.watch = before


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    """Check what this thread is about to do; runs for every audit event (PEP 578) and cannot be removed."""
    watch: tuple[Rule, Attempts] | None = getattr(_this_thread, "watch", None)
    if watch is None:
        return
    rule, attempts = watch
    attempt = rule(event, arguments)
    if attempt is not None:
        attempts.append(attempt)
        raise OSError(errno.ENETUNREACH, f"blocked by the contract kit: {attempt}")


def _follow(start: Callable[[threading.Thread], None]) -> Callable[[threading.Thread], None]:
    """Also watch the threads that a watched thread starts: `Profile.send` runs on its own thread."""

    @functools.wraps(start)
    def watched_start(thread: threading.Thread) -> None:
        watch, run = getattr(_this_thread, "watch", None), thread.run

        def watched_run() -> None:
            _this_thread.watch = watch
            run()

        if watch is not None:
            thread.run = watched_run  # type: ignore[method-assign]  # only of this thread, before it starts
            watch[0](_THREAD, (thread,))
        start(thread)

    return watched_start
