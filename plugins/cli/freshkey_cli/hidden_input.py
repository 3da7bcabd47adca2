"""Reads one pasted line from a terminal without echo, and can be given up."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from freshkey import Secret


MAX_LENGTH: Final = 4096
"""Bytes of a pasted line; a sign-in's redirect address stays far below."""

POLL_INTERVAL: Final = 0.1
"""Seconds between two looks at whether the answer is still wanted."""

_ERASE_LINE, _ERASE = (0x15,), (0x08, 0x7F)
_LINE_END, _END_OF_FILE = (0x0A, 0x0D), 0x04
_SPACE: Final = 0x20
_BRACKETS: Final = (b"\x1b[200~", b"\x1b[201~")  # what terminals put around a paste when asked to

_saved: dict[int, Callable[[], None]] = {}
_saved_lock = threading.Lock()


def read_line(fd: int, prompt: str, given_up: threading.Event, say: Callable[[str], None]) -> Secret | None:
    """Read until the end of a line that is not empty.

    The terminal is read in small pieces, because one in its line mode cuts a line at 1,024 bytes on some systems.

    Args:
        fd: Descriptor of a terminal.
        prompt: What is asked, said once nothing that is entered shows any more: programs answer it at once.
        given_up: Ends the reading soon after it is set.
        say: Takes the prompt, and that a line is too long and was dropped.

    Returns:
        The line; None if it was given up or the terminal went away.
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
    """The bytes of a line as they come in, with the two editing keys people use blindly."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._too_long = False
        self.closed = False

    def take(self, piece: bytes) -> bool:
        """Take in more and return whether a line is complete; what follows it is dropped."""
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
            say(f"That was longer than {MAX_LENGTH} bytes and was dropped. Paste it again")
            data = b""
        self._bytes.clear()
        self._too_long = False
        for bracket in _BRACKETS:
            data = data.replace(bracket, b"")
        return data.decode("utf-8", "replace").strip()


def restore() -> None:
    """Give every terminal back as it was found; harmless where that has been done."""
    with _saved_lock:
        pending = list(_saved.values())
        _saved.clear()
    for give_back in pending:
        give_back()


if sys.platform == "win32":
    import msvcrt
    import time

    def _piece(fd: int) -> bytes | None:  # noqa: ARG001  the console is the only terminal there
        """Return what was typed, or None if nothing was within `POLL_INTERVAL` seconds."""
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
        """Return what was typed, nothing at the end, or None if nothing came within `POLL_INTERVAL` seconds."""
        ready, _, _ = select.select([fd], [], [], POLL_INTERVAL)
        if not ready:
            return None
        try:
            return os.read(fd, MAX_LENGTH)
        except OSError:  # a terminal that went away
            return b""

    def _give_back(fd: int, before: list[Any]) -> None:
        with suppress(termios.error):  # a terminal that went away has nothing to be given back
            termios.tcsetattr(fd, termios.TCSAFLUSH, before)

    @contextmanager
    def _without_echo(fd: int) -> Iterator[None]:
        before = termios.tcgetattr(fd)
        quiet = termios.tcgetattr(fd)
        quiet[3] &= ~(termios.ECHO | termios.ICANON)
        # A stopped program's terminal is set back by the shell; after that the paste would be echoed.
        quiet[6][termios.VSUSP] = b"\0"
        quiet[6][termios.VMIN], quiet[6][termios.VTIME] = 1, 0
        with _saved_lock:
            _saved[fd] = lambda: _give_back(fd, before)
        termios.tcsetattr(fd, termios.TCSAFLUSH, quiet)
        try:
            yield
        finally:
            restore()
