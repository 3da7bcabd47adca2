"""A program that is started together with a way to end it and all that it starts: a session, or a job on Windows."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol


if TYPE_CHECKING:
    import subprocess

_ROUNDS: Final = 10
"""Maximum passes over a session: a process can start another one just before it is killed."""


class Session(Protocol):
    """A program that was started, and what it started in turn."""

    @property
    def ended(self) -> bool:
        """Whether the program itself has exited."""

    def end(self, *, leave: bool = False) -> int:
        """Kill everything that still runs, and return the exit status of the program.

        Args:
            leave: Whether to let go on what the program started, where a browser would be killed with it.
        """


def start_session(
    program: str,
    arguments: Sequence[str],
    environ: Mapping[str, str],
    directory: Path,
    *,
    stdout: int,
    stderr: int,
) -> Session:
    """Start a program without input.

    Args:
        program: Its absolute path.
        arguments: Its arguments.
        environ: Its whole environment.
        directory: Its working directory. Many tools read a file from there, which may be a hostile checkout.
        stdout: A descriptor for its output.
        stderr: A descriptor for its errors, or one of the constants of `subprocess`.

    Raises:
        OSError: The operating system refuses.
        ConfigurationError: The program cannot be given these arguments.
    """
    if sys.platform == "win32":
        from freshkey._commands.windows_job import Job

        return Job(program, arguments, environ, directory, stdout=stdout, stderr=stderr)
    else:  # noqa: RET505  mypy leaves out only this for Windows
        return _Posix([program, *arguments], environ, directory, stdout, stderr)


def start_bound(words: Sequence[str], environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a program, on Windows only, that has the console and the streams of this process and ends with it.

    However this process ends, even if it is killed. What the program itself starts outlives it.

    Args:
        words: Its absolute path as from `freshkey._commands.lookup.find_users_program`, and its arguments.
        environ: Its whole environment.

    Raises:
        OSError: Windows refuses.
        ConfigurationError: It is a batch file, which cannot be given these arguments.
    """
    if sys.platform == "win32":
        from freshkey._commands import windows_job

        return windows_job.start_bound(words, environ)
    raise NotImplementedError


if sys.platform != "win32":

    class _Posix:
        """With its own session and process group, it can be killed together with its children.

        And a Ctrl-C in the terminal reaches only this process.
        """

        def __init__(
            self, argv: Sequence[str], environ: Mapping[str, str], directory: Path, stdout: int, stderr: int
        ) -> None:
            import subprocess

            self._process = subprocess.Popen(  # noqa: S603  arguments from the user's configuration, no shell
                argv,
                env=environ,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )

        @property
        def ended(self) -> bool:
            """Whether it has exited; where possible, it is not reaped yet, lest its process group ID be reused."""
            if sys.platform == "darwin":  # which has no waitid before Python 3.13
                return self._process.poll() is not None
            try:
                return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
            except ChildProcessError:  # the application ignores SIGCHLD, or reaps all children itself
                return True

        def end(self, *, leave: bool = False) -> int:  # noqa: ARG002  what starts a browser gives it its own session
            # macOS denies permission if only the exited program is left; the group may also be gone.
            with contextlib.suppress(PermissionError, ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            _kill_session(self._process.pid)
            return self._process.wait()

    def _kill_session(session: int) -> None:
        """Kill processes of a session that moved to another process group, as timeout(1) and job control do.

        Only Linux lists processes in a directory; elsewhere they keep running. The session leader must not be reaped
        yet, so that its ID is not reused.
        """
        if sys.platform != "linux":
            return
        found = {session}
        for _ in range(_ROUNDS):
            before = len(found)
            for pid in set(map(int, filter(str.isdigit, os.listdir("/proc")))) - found:  # noqa: PTH208  numbers
                with contextlib.suppress(OSError):  # it has exited, or belongs to another user
                    if os.getsid(pid) == session:
                        found.add(pid)
                        os.kill(pid, signal.SIGKILL)
            if len(found) == before:
                return
