"""A command on a pseudo-terminal, and somebody who reads the screen and types."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final, Self

from waiting import PATIENCE, until


POLL_INTERVAL: Final = 0.05


class Typist:
    """Runs a command whose standard streams are a pseudo-terminal; a context manager.

    Args:
        command: What to run.
        environ: Its environment.
        stdout: Where its results go instead, if not to the terminal.
    """

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], *, stdout: int | None = None) -> None:
        self._keyboard, terminal = os.openpty()
        self._terminal = terminal
        self.before = termios.tcgetattr(terminal)
        self.screen = ""
        # A session of its own with this terminal: Ctrl-C reaches the command as it would for a person.
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
        """Read the screen until `text` is on it, and return all of it."""
        end = time.monotonic() + PATIENCE
        while text not in self.screen:
            if time.monotonic() > end:
                raise TimeoutError(f"{text!r} did not appear; the screen says:\n{self.screen}")
            self._read()
        return self.screen

    def wait_until_quiet(self) -> None:
        """Wait until the terminal does not echo."""
        until(lambda: not self.echoes, "the end of the echo")

    @property
    def pid(self) -> int:
        """The command's process."""
        return self._process.pid

    def resize(self, rows: int, columns: int) -> None:
        """Give the terminal another size, as a window manager does."""
        fcntl.ioctl(self._keyboard, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    @property
    def echoes(self) -> bool:
        """Whether the terminal shows what is typed."""
        return bool(termios.tcgetattr(self._terminal)[3] & termios.ECHO)

    @property
    def as_before(self) -> bool:
        """Whether the terminal was given back as it was found."""
        return termios.tcgetattr(self._terminal) == self.before

    def type(self, text: str) -> None:
        """Type."""
        os.write(self._keyboard, text.encode())

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.type("\x03")

    def end(self) -> int:
        """Wait for the command's end and return its exit code; the rest of the screen is read."""
        end = time.monotonic() + PATIENCE
        while self._process.poll() is None:
            if time.monotonic() > end:
                raise TimeoutError(f"the command goes on; the screen says:\n{self.screen}")
            self._read()
        while self._read():
            pass
        return self._process.returncode

    def _read(self) -> bool:
        ready, _, _ = select.select([self._keyboard], [], [], POLL_INTERVAL)
        if ready:
            self.screen += os.read(self._keyboard, 65536).decode("utf-8", "replace")
        return bool(ready)
