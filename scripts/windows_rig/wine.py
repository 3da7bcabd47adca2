"""Runs programs for Windows in a Wine prefix of their own: with pipes, in bounded time, and none outlives the run."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
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
TIMED_OUT: Final = 124
"""The exit code of a run that took too long, as of timeout(1)."""


class Wine:
    """A Wine prefix, the home directory that it links to, and the interpreter that runs in it.

    Args:
        rig: The folder that has all of these.
    """

    def __init__(self, rig: Path) -> None:
        self._program = _found("wine64", "wine", *_PROGRAMS)
        self._server = _found("wineserver64", "wineserver", *_SERVERS)
        self._prefix = rig / "prefix"
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

    def python(self, arguments: Sequence[str], *, seconds: float, environ: Mapping[str, str] | None = None) -> int:
        """Run the interpreter and return its exit code, or `TIMED_OUT`; its output goes to standard output.

        Args:
            arguments: Its command line.
            seconds: How long it may take.
            environ: Further variables.

        Raises:
            RigError: The prefix cannot be made.
        """
        try:
            if not (self._prefix / "system.reg").is_file():
                self._run(["wineboot", "--init"], _SECONDS_TO_MAKE, {})
                if not (self._prefix / "system.reg").is_file():
                    raise RigError(f"Wine cannot make a prefix in {self._prefix}")
            return self._run([windows_path(self._python), *arguments], seconds, environ or {})
        finally:
            self._end()

    def _run(self, words: Sequence[str], seconds: float, environ: Mapping[str, str]) -> int:
        # With a file or /dev/null as a standard stream, Wine 8 fails with WinError 6.
        with subprocess.Popen(  # noqa: S603
            [str(self._program), *words],
            env={**self._environ, **environ},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process:
            timer = threading.Timer(seconds, self._end)
            timer.start()
            try:
                if process.stdin is not None:
                    threading.Thread(target=_copy_input, args=[process.stdin], daemon=True).start()
                for line in process.stdout or ():
                    sys.stdout.buffer.write(line)
                    sys.stdout.buffer.flush()
                code = process.wait()
                return code if timer.is_alive() else TIMED_OUT
            finally:
                timer.cancel()
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    def _end(self) -> None:
        """End every process of the prefix: they all live in Wine's server, and end with it."""
        for option in ("-k", "-w"):
            with suppress(subprocess.TimeoutExpired):
                subprocess.run([self._server, option], env=self._environ, timeout=_SECONDS_TO_END, check=False)  # noqa: S603


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
