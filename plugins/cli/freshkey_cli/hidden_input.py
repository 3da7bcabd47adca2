"""Reads one pasted line from a terminal without echo; the read can be canceled."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from freshkey import Secret


MAX_LENGTH: Final = 4096
"""Maximum length of a pasted line, in bytes; the redirect URL of a sign-in is far shorter."""

POLL_INTERVAL: Final = 0.1
"""Seconds between checks for cancellation."""

_ERASE_LINE, _ERASE = (0x15,), (0x08, 0x7F)
_LINE_END, _END_OF_FILE = (0x0A, 0x0D), 0x04
_SPACE: Final = 0x20
_BRACKETS: Final = (b"\x1b[200~", b"\x1b[201~")  # bracketed paste mode

_saved: dict[int, Callable[[], None]] = {}
_saved_lock = threading.Lock()


def read_line(fd: int, prompt: str, given_up: threading.Event, say: Callable[[str], None]) -> Secret | None:
    """Read one line that is not empty.

    The terminal is read in small pieces because in line mode some systems cut a line off at 1,024 bytes.

    Args:
        fd: File descriptor of a terminal.
        prompt: Shown only once echo is off, because a program may answer it immediately.
        given_up: Cancels the read soon after it is set.
        say: Receives the prompt, and the message that a line was too long and was discarded.

    Returns:
        The line; None if the read was canceled or the terminal was closed.
    """
    line = _Line()
    with _without_echo(fd):
        say(prompt)
        while not given_up.is_set():
            piece = _piece(fd)
            if piece is None:
                continue
            complete = line.take(piece)
            if not piece or line.closed:
                return None
            if complete and (text := line.finish(say)):
                return Secret(text)
    return None


class _Line:
    """The bytes of a line as they arrive, with the two editing keys that work without echo."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._too_long = False
        self.closed = False

    def take(self, piece: bytes) -> bool:
        """Add input and return whether a line is complete; anything after it is discarded."""
        for byte in piece:
            if byte in _LINE_END and self._bytes:
                return True
            if byte == _END_OF_FILE and not self._bytes:
                self.closed = True
            self._edit(byte)
        return False

    def _edit(self, byte: int) -> None:
        if byte in _ERASE:
            del self._bytes[-1:]
        elif byte in _ERASE_LINE:
            self._bytes.clear()
        elif len(self._bytes) >= MAX_LENGTH:
            self._too_long = True
        elif byte not in {*_LINE_END, _END_OF_FILE} and (self._bytes or byte != _SPACE):
            self._bytes.append(byte)

    def finish(self, say: Callable[[str], None]) -> str:
        """Return the line, empty if it was too long, and start a new one."""
        data = bytes(self._bytes)
        if self._too_long:
            say(f"The input was longer than {MAX_LENGTH} bytes and was discarded. Paste only the requested value")
            data = b""
        self._bytes.clear()
        self._too_long = False
        for bracket in _BRACKETS:
            data = data.replace(bracket, b"")
        return data.decode("utf-8", "replace").strip()


def restore() -> None:
    """Restore the original settings of every terminal; harmless if repeated."""
    with _saved_lock:
        pending = list(_saved.values())
        _saved.clear()
    for give_back in pending:
        give_back()


if sys.platform == "win32":
    import msvcrt
    import time

    def _piece(fd: int) -> bytes | None:  # noqa: ARG001  the console is the only terminal there
        """Return what was typed, or None if nothing was typed within `POLL_INTERVAL` seconds."""
        if not msvcrt.kbhit():
            time.sleep(POLL_INTERVAL)
            return None
        return msvcrt.getwch().encode("utf-8", "replace")

    @contextmanager
    def _without_echo(fd: int) -> Iterator[None]:  # noqa: ARG001  reading by key never echoes
        yield

else:
    import select
    import termios

    def _piece(fd: int) -> bytes | None:
        """Return what was typed, empty at end of file, or None if nothing arrived within `POLL_INTERVAL` seconds."""
        ready, _, _ = select.select([fd], [], [], POLL_INTERVAL)
        if not ready:
            return None
        try:
            return os.read(fd, MAX_LENGTH)
        except OSError:  # the terminal was closed
            return b""

    def _give_back(fd: int, before: list[Any]) -> None:
        with suppress(termios.error):  # the terminal was closed
            termios.tcsetattr(fd, termios.TCSAFLUSH, before)

    @contextmanager
    def _without_echo(fd: int) -> Iterator[None]:
        before = termios.tcgetattr(fd)
        quiet = termios.tcgetattr(fd)
        quiet[3] &= ~(termios.ECHO | termios.ICANON)
        # The shell restores the terminal of a suspended program; after that, pasted text would be echoed.
        quiet[6][termios.VSUSP] = b"\0"
        quiet[6][termios.VMIN], quiet[6][termios.VTIME] = 1, 0
        with _saved_lock:
            _saved[fd] = lambda: _give_back(fd, before)
        termios.tcsetattr(fd, termios.TCSAFLUSH, quiet)
        try:
            yield
        finally:
            restore()
