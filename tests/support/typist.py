"""A command on a pseudo-terminal, and a user who reads the screen and types."""

from __future__ import annotations

import os
import select
import struct
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final, Self

from waiting import PATIENCE, until


if sys.platform != "win32":
    import fcntl
    import termios


POLL_INTERVAL: Final = 0.05


class Typist:
    """Runs a command with a pseudo-terminal as its standard streams; a context manager.

    Args:
        command: The command to run.
        environ: Its environment.
        stdout: A file descriptor to use as stdout instead of the terminal.
    """

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], *, stdout: int | None = None) -> None:
        self._keyboard, terminal = os.openpty()
        self._terminal = terminal
        self.before = termios.tcgetattr(terminal)
        self.screen = ""
        # A separate session with this terminal, so that Ctrl-C reaches the command as it would for a user.
        login = "import os,sys,fcntl,termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
        self._process = subprocess.Popen(
            [command[0], "-c", login, *command],
            env=dict(environ),
            stdin=terminal,
            stdout=terminal if stdout is None else stdout,
            stderr=terminal,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._keyboard)
        os.close(self._terminal)

    def read_until(self, text: str) -> str:
        """Read the screen until it contains `text`, and return all of it."""
        end = time.monotonic() + PATIENCE
        while text not in self.screen:
            if time.monotonic() > end:
                raise TimeoutError(f"{text!r} did not appear; the screen shows:\n{self.screen}")
            self._read()
        return self.screen

    def wait_until_quiet(self) -> None:
        """Wait until the terminal does not echo input."""
        until(lambda: not self.echoes, "echo to be turned off")

    @property
    def pid(self) -> int:
        """The command's process id."""
        return self._process.pid

    def resize(self, rows: int, columns: int) -> None:
        """Change the size of the terminal, like a window manager."""
        fcntl.ioctl(self._keyboard, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    @property
    def echoes(self) -> bool:
        """Whether the terminal echoes input."""
        return bool(termios.tcgetattr(self._terminal)[3] & termios.ECHO)

    @property
    def as_before(self) -> bool:
        """Whether the terminal settings are the same as before the command."""
        return termios.tcgetattr(self._terminal) == self.before

    def type(self, text: str) -> None:
        """Type this text."""
        os.write(self._keyboard, text.encode())

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.type("\x03")

    def end(self) -> int:
        """Wait for the command, read the rest of the screen, and return the exit code."""
        end = time.monotonic() + PATIENCE
        while self._process.poll() is None:
            if time.monotonic() > end:
                raise TimeoutError(f"the command is still running; the screen shows:\n{self.screen}")
            self._read()
        while self._read():
            pass
        return self._process.returncode

    def _read(self) -> bool:
        ready, _, _ = select.select([self._keyboard], [], [], POLL_INTERVAL)
        if ready:
            self.screen += os.read(self._keyboard, 65536).decode("utf-8", "replace")
        return bool(ready)
