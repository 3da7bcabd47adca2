"""A program that runs in a session of its own, without input, and that nothing it started there outlives."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Final

from freshkey.errors import ConfigurationError


_ROUNDS: Final = 10
"""How often a session is looked through at the most: what is killed may have started another process just before."""


class Child:
    """One program, started.

    There is no shell, nothing to read on its standard input, and the directory that this process works in means nothing
    to it.

    Args:
        argv: The program and its arguments. The program is an absolute path, or a name that is looked up on the
            ``PATH`` of `environ`.
        environ: Its whole environment.
        stdout: The descriptor that it prints to.
        stderr: The descriptor that it complains to; None throws that away.
        directory: The directory it works in; the home directory by default, or the root where there is none.

    Attributes:
        name: What messages call it: the name of its program. An argument may be secret.

    Raises:
        ConfigurationError: There is no such program or directory, or it cannot be run.
    """

    def __init__(
        self,
        argv: Sequence[str],
        environ: Mapping[str, str],
        *,
        stdout: int,
        stderr: int | None = None,
        directory: Path | None = None,
    ) -> None:
        import subprocess

        program = _program(argv, environ)
        self.name = PurePath(program).name
        try:
            self._process = subprocess.Popen(  # noqa: S603  an argument list of the user's own configuration, no shell
                [program, *argv[1:]],
                env=dict(environ),
                cwd=directory or _home(),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=subprocess.DEVNULL if stderr is None else stderr,
                start_new_session=True,
            )
        except OSError as error:
            reason = error.strerror or "the operating system refused"
        else:
            return
        raise ConfigurationError(f"the helper {self.name!r} cannot be run: {reason}")

    @property
    def ended(self) -> bool:
        """Whether the program itself has ended; it is not reaped, so that its process group is still its own."""
        if sys.platform == "win32":
            return self._process.poll() is not None
        try:
            return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:  # an application that ignores SIGCHLD, or reaps every child itself
            return True

    def end(self) -> int:
        """Kill it and what it started, and return the status it ended with."""
        if sys.platform == "win32":
            self._process.kill()
        else:
            # On macOS where nothing but the ended program is left; or where not even that is.
            with contextlib.suppress(PermissionError, ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            _kill_session(self._process.pid)
        return self._process.wait()


def _kill_session(session: int) -> None:
    """Kill what moved to another process group of a session, as timeout(1) and shells with job control do.

    Only Linux lists processes in a directory; elsewhere these go on. The leader must not be reaped yet, so that the
    number is nobody else's.
    """
    if sys.platform != "linux":
        return
    killed = {session}
    for _ in range(_ROUNDS):
        left = set(_members(session)) - killed
        for pid in left:
            with contextlib.suppress(PermissionError, ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not left:
            return
        killed |= left


def _members(session: int) -> Iterator[int]:
    if sys.platform != "linux":
        return
    for name in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208  numbers, no paths
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if os.getsid(int(name)) == session:
                yield int(name)


def _program(argv: Sequence[str], environ: Mapping[str, str]) -> str:
    """Return the absolute path of what is to be run: where it lies must not depend on the working directory."""
    if not argv or not argv[0] or any("\0" in word for word in argv):
        raise ConfigurationError("a helper command is a list: a program and its arguments")
    named = PurePath(argv[0])
    if not named.is_absolute() and os.path.dirname(argv[0]):  # noqa: PTH120  a path object drops a leading dot
        message = f"the helper {named.name!r} is named by a relative path"
        raise ConfigurationError(message, hint="Write its absolute path, or a bare name that is on PATH")
    found = shutil.which(argv[0], path=environ.get("PATH", os.defpath))
    if found is None or not Path(found).is_absolute():
        message = f"the helper {named.name!r} is not there, or is no program"
        raise ConfigurationError(message, hint="Check its path, and that it may be executed")
    return found


def _home() -> Path:
    with contextlib.suppress(RuntimeError):  # a user without an entry, and no HOME
        home = Path.home()
        if home.is_absolute() and home.is_dir():
            return home
    return Path(os.sep)
