"""Runs a program in a session of its own, without input and for a bounded time; nothing it started outlives it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Final

from freshkey.errors import ConfigurationError, TransientError


if TYPE_CHECKING:
    import io


_POLL_INTERVAL: Final = 0.02
_READER_TIMEOUT: Final = 1.0
_ROUNDS: Final = 10
"""How often a session is looked through at the most: what is killed may have started another process just before."""


class Run:
    """One program, started, and what it prints, read on a thread of its own.

    See `freshkey._commands.helper.run_helper` for how it runs, and for `argv`, `environ` and `directory`.

    Args:
        take: Called once on the thread with the unbuffered pipe that it prints to; reads as much as it wants.
        with_errors: It complains to that pipe as well; otherwise standard error is thrown away.

    Attributes:
        name: What messages call it: the name of its program. An argument may be secret.

    Raises:
        ConfigurationError: There is no such program or directory, or it cannot be run.
    """

    def __init__(
        self,
        argv: Sequence[str],
        environ: Mapping[str, str],
        take: Callable[[io.RawIOBase], None],
        *,
        with_errors: bool = False,
        directory: Path | None = None,
    ) -> None:
        import subprocess

        program = _program(argv, environ)
        self.name = PurePath(program).name
        self._take = take
        self._reader = threading.Thread(target=self._read, name="freshkey command", daemon=True)
        reading, writing = os.pipe()
        self._pipe = open(reading, "rb", buffering=0)  # noqa: PTH123, SIM115  a descriptor, which the reader closes
        try:
            self._process = subprocess.Popen(  # noqa: S603  an argument list of the user's own configuration, no shell
                [program, *argv[1:]],
                env=dict(environ),
                cwd=directory or _home(),
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=writing if with_errors else subprocess.DEVNULL,
                start_new_session=True,
            )
        except BaseException as error:
            self._pipe.close()
            if not isinstance(error, OSError):
                raise
            reason = error.strerror or "the operating system refused"
        else:
            return
        finally:
            os.close(writing)
        raise ConfigurationError(f"the helper {self.name!r} cannot be run: {reason}")

    def wait(self, timeout: float, meanwhile: Callable[[float], bool]) -> int | None:
        """Wait until it has ended, kill what it started, and take what was printed.

        Args:
            timeout: Seconds until it is killed.
            meanwhile: Called again and again with the seconds that have passed; it is killed as soon as that is false.

        Returns:
            The status it ended with; None if it was killed before.

        Raises:
            TransientError: Its output cannot be read, because the process may start no more threads.
        """
        ended = False
        try:
            self._start_reader()
            began = time.monotonic()
            while not (ended := self._ended) and (passed := time.monotonic() - began) < timeout and meanwhile(passed):
                self._rest(min(timeout - passed, _POLL_INTERVAL))
        finally:
            status = self._end()
        return status if ended else None

    def _start_reader(self) -> None:
        try:
            self._reader.start()
        except RuntimeError:
            self._pipe.close()
            raise TransientError(f"no thread can be started to read from the helper {self.name!r}") from None

    def _read(self) -> None:
        with self._pipe:
            self._take(self._pipe)

    def _rest(self, seconds: float) -> None:
        if self._reader.is_alive():
            self._reader.join(seconds)  # what is printed often ends with the program
        else:
            time.sleep(seconds)

    @property
    def _ended(self) -> bool:
        """Whether the program itself has ended; it is not reaped, so that its process group is still its own."""
        if sys.platform == "win32":
            return self._process.poll() is not None
        try:
            return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:  # an application that ignores SIGCHLD, or reaps every child itself
            return True

    def _end(self) -> int:
        if sys.platform == "win32":
            self._process.kill()
        else:
            # On macOS where nothing but the ended program is left; or where not even that is.
            with contextlib.suppress(PermissionError, ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            _kill_session(self._process.pid)
        status = self._process.wait()
        if self._reader.ident is not None:
            # One that left the session may hold the pipe open for ever; nobody waits for that.
            self._reader.join(_READER_TIMEOUT)
        return status


def _kill_session(session: int) -> None:
    """Kill what moved to another process group of a session, as timeout(1) and shells with job control do.

    Only Linux lists processes in a directory; elsewhere these go on. The leader must not be reaped yet, so that the
    number is nobody else's.
    """
    if sys.platform != "linux":
        return
    found = {session}
    for _ in range(_ROUNDS):
        before = len(found)
        for pid in set(map(int, filter(str.isdigit, os.listdir("/proc")))) - found:  # noqa: PTH208  numbers, no paths
            with contextlib.suppress(OSError):  # it has ended meanwhile, or is another user's
                if os.getsid(pid) == session:
                    found.add(pid)
                    os.kill(pid, signal.SIGKILL)
        if len(found) == before:
            return


def is_command(argv: Sequence[str]) -> bool:
    """Tell whether words can be a program and its arguments."""
    return bool(argv) and bool(argv[0]) and not any("\0" in word for word in argv)


def is_bare(program: str) -> bool:
    """Tell whether a program is named without a path, so that it is looked up on PATH."""
    return not os.path.dirname(program) and program not in {os.curdir, os.pardir}  # noqa: PTH120  keeps a leading dot


def find_program(named: str, environ: Mapping[str, str]) -> str | None:
    """Return the absolute path of a program, or None: where it lies must not depend on the working directory."""
    found = shutil.which(named, path=environ.get("PATH", os.defpath))
    return found if found is not None and PurePath(found).is_absolute() else None


def _program(argv: Sequence[str], environ: Mapping[str, str]) -> str:
    if not is_command(argv):
        raise ConfigurationError("a helper command is a list: a program and its arguments")
    name = PurePath(argv[0]).name
    if not PurePath(argv[0]).is_absolute() and os.path.dirname(argv[0]):  # noqa: PTH120  as above
        message = f"the helper {name!r} is named by a relative path"
        raise ConfigurationError(message, hint="Write its absolute path, or a bare name that is on PATH")
    found = find_program(argv[0], environ)
    if found is None:
        message = f"the helper {name!r} is not there, or is no program"
        raise ConfigurationError(message, hint="Check its path, and that it may be executed")
    return found


def _home() -> Path:
    with contextlib.suppress(RuntimeError):  # a user without an entry, and no HOME
        home = Path.home()
        if home.is_absolute() and home.is_dir():
            return home
    return Path(os.sep)
