"""Runs programs for Windows in a Wine prefix of their own: with pipes, in bounded time, and none outlives the run.

A prefix has a server of its own, and everything that runs in it ends when that does.
"""

from __future__ import annotations

import fcntl
import io
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from scripts.windows_rig.interpreter import RigError, windows_path


_PASSED_ON: Final = ("CI", "PYTEST_ADDOPTS")
_PROGRAMS: Final = (Path("/usr/lib/wine/wine64"), Path("/usr/lib/wine/wine"))
"""Where Debian has Wine; its command `wine` is a script that complains about a missing 32-bit part."""

_SERVERS: Final = (Path("/usr/lib/wine/wineserver64"), Path("/usr/lib/wine/wineserver"))
_SECONDS_TO_MAKE: Final = 300.0
_SECONDS_TO_END: Final = 30.0
_TIMES_TO_MAKE: Final = 3
_SECONDS_BETWEEN_LOOKS: Final = 2.0
_MISSED_LOOKS: Final = 5
"""After how many without a server it has crashed; at first, it is not there yet."""

CUT_OFF: Final = 124
"""The exit code of a run that took too long, as of timeout(1), or whose Wine server crashed."""


class Wine:
    """A Wine prefix, the home directory that it links to, and the interpreter that runs in it.

    Args:
        rig: The folder that has all of these.
        number: Which of its prefixes; programs in different ones do not see each other.
    """

    def __init__(self, rig: Path, number: int = 0) -> None:
        self._program = _found("wine64", "wine", *_PROGRAMS)
        self._server = _found("wineserver64", "wineserver", *_SERVERS)
        self._prefix = rig / f"prefix-{number}"
        self._python = rig / "python" / "python.exe"
        home, folder = rig / "home", rig / "tmp"
        for each in (home, folder):
            each.mkdir(parents=True, exist_ok=True)
        self._environ = {
            **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
            "HOME": str(home),  # Wine links the user's folders, and makes menu entries, below it
            "LANG": "C.UTF-8",  # names of files in UTF-8; for Windows: English, with code page 1252
            "PATH": os.defpath,
            "WINEARCH": "win64",
            "WINEDEBUG": "-all",
            "WINEDLLOVERRIDES": "mscoree,mshtml,winemenubuilder.exe=",  # .NET, a browser engine, menus of the desktop
            "WINEPREFIX": str(self._prefix),
            "TMPDIR": str(
                folder
            ),  # for the sockets of Wine's server; programs for Windows do not see it, see `install`
        }

    def python(self, arguments: Sequence[str], *, seconds: float, output: BinaryIO | None = None) -> int:
        """Run the interpreter and return its exit code, or `CUT_OFF`.

        Args:
            arguments: Its command line.
            seconds: How long it may take.
            output: Where what it prints goes, instead of standard output; it then has no input.

        Raises:
            RigError: The prefix cannot be made.
        """
        try:
            self._make()
            return self._run([windows_path(self._python), *arguments], seconds, output)
        finally:
            self.end()

    def _make(self) -> None:
        """Make the prefix, if there is none: anew if it fails, as Wine's server crashes now and then."""
        printed = io.BytesIO()
        for _ in range(_TIMES_TO_MAKE):
            if (self._prefix / "system.reg").is_file():
                return
            shutil.rmtree(self._prefix, ignore_errors=True)
            self._run(["wineboot", "--init"], _SECONDS_TO_MAKE, printed)
            # The server may write the registry only when it ends, which it does some seconds after its last client.
            self._call_server("-w")
            self.end()
        if not (self._prefix / "system.reg").is_file():
            said = printed.getvalue().decode("utf-8", "replace").strip()
            raise RigError(f"Wine cannot make a prefix in {self._prefix}; it says:\n{said or 'nothing'}")

    def _run(self, words: Sequence[str], seconds: float, output: BinaryIO | None) -> int:
        # With a file or /dev/null as a standard stream, Wine 8 fails with WinError 6.
        with subprocess.Popen(  # noqa: S603
            [str(self._program), *words],
            env=self._environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            ended, cut_off = threading.Event(), threading.Event()
            watcher = threading.Thread(target=self._watch, args=[process, seconds, ended, cut_off])
            watcher.start()
            try:
                if output is None and process.stdin is not None:
                    threading.Thread(target=_copy_input, args=[process.stdin], daemon=True).start()
                for part in _printed(process):
                    (output or sys.stdout.buffer).write(part)
                    (output or sys.stdout.buffer).flush()
                code = process.wait()
                return CUT_OFF if cut_off.is_set() else code
            finally:
                ended.set()
                watcher.join()
                process.kill()

    def _watch(
        self, process: subprocess.Popen[bytes], seconds: float, ended: threading.Event, cut_off: threading.Event
    ) -> None:
        """End everything after a run, which may leave others that hold its output open, or if it takes too long.

        Also if the server crashed, which leaves its clients waiting.
        """
        deadline, missed = time.monotonic() + seconds, 0
        while not ended.wait(_SECONDS_BETWEEN_LOOKS):
            missed = 0 if any(name.startswith("wineserver") for _, name in self._members()) else missed + 1
            if process.poll() is not None:
                self.end()
                return
            if missed > _MISSED_LOOKS or time.monotonic() > deadline:
                cut_off.set()
                self.end()
                return

    def end(self) -> None:
        """End every process of the prefix: they all live in its server, and end with it; or, if it crashed, here."""
        self._call_server("-k")
        self._call_server("-w")
        for process, _ in self._members():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def _call_server(self, option: str) -> None:
        """End the prefix's server (``-k``), or wait until it has ended (``-w``)."""
        with suppress(subprocess.TimeoutExpired):
            subprocess.run([self._server, option], env=self._environ, timeout=_SECONDS_TO_END, check=False)  # noqa: S603

    def _members(self) -> Iterator[tuple[int, str]]:
        """Yield the processes of the prefix, each with its name."""
        mark = f"WINEPREFIX={self._prefix}".encode()
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has ended, or belongs to another user
                if mark in _variables(folder):
                    yield int(folder.name), (folder / "comm").read_text("utf-8", "replace")


def _printed(process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    """Yield what a process prints until it ends, although what it leaves behind may hold its output open."""
    if process.stdout is None:
        return
    while True:
        is_over = process.poll() is not None  # before the look, which then finds everything that it printed
        if select.select([process.stdout], [], [], 0 if is_over else _SECONDS_BETWEEN_LOOKS)[0]:
            part = os.read(process.stdout.fileno(), 65_536)
            if not part:
                return
            yield part
        elif is_over:
            return


def _variables(process: Path) -> list[bytes]:
    """Return the environment of a process, also if its first thread has ended, as in drivers that do not close."""
    for thread in (process, *(process / "task").iterdir()):
        with suppress(ProcessLookupError):
            return (thread / "environ").read_bytes().split(b"\0")
    return []


def _copy_input(pipe: BinaryIO) -> None:
    if sys.stdin is None or sys.stdin.isatty():
        return  # the pipe stays open, and nothing arrives
    with suppress(OSError, ValueError), pipe:
        shutil.copyfileobj(sys.stdin.buffer, pipe)


def _found(*candidates: str | Path) -> Path:
    for candidate in candidates:
        if isinstance(candidate, Path) and candidate.is_file():
            return candidate
    for candidate in candidates:
        if found := shutil.which(candidate):
            return Path(found)
    raise RigError("Wine is not installed: on Debian, apt-get install --no-install-recommends wine wine64")


@contextmanager
def alone(rig: Path) -> Iterator[None]:
    """Hold the rig for one command: ending the processes of one would end those of another.

    Raises:
        RigError: Another command has it.
    """
    rig.mkdir(parents=True, exist_ok=True)
    with (rig / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RigError(f"another command uses {rig}: wait for it, or set WINDOWS_RIG to another folder") from None
        yield
