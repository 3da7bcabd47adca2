"""Reads one pasted line from a terminal without echo; the read can be canceled.

Pasted text that turns out to have several lines is returned whole: the first line alone would look like valid input.
"""

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

_QUIET_POLLS: Final = 2
"""Number of empty polls after the end of a line until the line counts as complete: a paste can arrive in pieces."""

_QUIET_POLLS_WITHOUT_BRACKETS: Final = 10
"""The same for input that the terminal did not mark as pasted: the end of a line may be in the middle of a paste."""

_ERASE_LINE, _ERASE = (0x15,), (0x08, 0x7F)
_LINE_END = (0x0A, 0x0D)
_END_OF_FILE: Final = (0x04, 0x1A) if sys.platform == "win32" else (0x04,)  # Ctrl-D, and there also Ctrl-Z
_SPACE: Final = 0x20
_PASTE_BEGIN, _PASTE_END = b"\x1b[200~", b"\x1b[201~"  # bracketed paste mode
_BRACKETS_ON, _BRACKETS_OFF = b"\x1b[?2004h", b"\x1b[?2004l"

_RESTORE_TIMEOUT: Final = 2.0

_saved: dict[int, Callable[[], None]] = {}
_saved_lock = threading.Lock()


def read_line(fd: int, prompt: str, given_up: threading.Event, say: Callable[[str], None]) -> Secret | None:
    """Read one line that is not empty, or several if they are pasted at once.

    The terminal is read in small pieces because in line mode some systems cut a line off at 1,024 bytes.

    Args:
        fd: File descriptor of a terminal.
        prompt: Shown only once echo is off, because a program may answer it immediately.
        given_up: Cancels the read soon after it is set.
        say: Receives the prompt, and the message that a line was too long and was discarded.

    Returns:
        The text without the line end; None if the read was canceled or the terminal was closed.
    """
    line = _Line()
    with _without_echo(fd):
        say(prompt)
        quiet = 0
        while not given_up.is_set():
            piece = _piece(fd)
            quiet = 0 if piece else quiet + 1
            line.take(piece or b"")
            if line.ended and (piece == b"" or quiet >= line.quiet_polls) and (text := line.finish(say)):
                return Secret(text)
            if piece == b"" or line.closed:
                return None
    return None


class _Line:
    """The bytes of a line as they arrive, with the two editing keys that work without echo.

    Attributes:
        ended: Whether a line end has arrived, outside of brackets; what follows at once belongs to the same paste.
        closed: Whether the user closed the input instead of entering anything.
        quiet_polls: After how many empty polls it is complete if it has ended.
    """

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._too_long = False
        self._pasting = False
        self.ended = False
        self.closed = False
        self.quiet_polls = _QUIET_POLLS_WITHOUT_BRACKETS

    def take(self, piece: bytes) -> None:
        """Add input."""
        for byte in piece:
            if byte in _END_OF_FILE and not self._bytes:
                self.closed = True
            if byte in _LINE_END:
                self._end_line()
            else:
                self._edit(byte)

    def _end_line(self) -> None:
        if self._bytes:
            self._bytes += b"\n"
            self.ended = self.ended or not self._pasting

    def _edit(self, byte: int) -> None:
        if byte in _ERASE:
            del self._bytes[-1:]
        elif byte in _ERASE_LINE:
            self._bytes.clear()
        elif byte not in _END_OF_FILE and (self._bytes or byte != _SPACE):
            self._bytes.append(byte)
            self._take_bracket()
            if len(self._bytes) > MAX_LENGTH:
                self._too_long = True
                del self._bytes[: -len(_PASTE_END)]  # may be a part of it, without which the paste would never end

    def _take_bracket(self) -> None:
        for bracket in (_PASTE_BEGIN, _PASTE_END):
            if self._bytes.endswith(bracket):
                del self._bytes[-len(bracket) :]
                self._pasting = bracket == _PASTE_BEGIN
                self.quiet_polls = _QUIET_POLLS
                self.ended = self.ended or (not self._pasting and self._bytes.endswith(b"\n"))

    def finish(self, say: Callable[[str], None]) -> str:
        """Return the text, empty if it was too long, and start again."""
        data = bytes(self._bytes)
        if self._too_long:
            say(f"The input was longer than {MAX_LENGTH} bytes and was discarded. Paste only the requested value")
            data = b""
        self._bytes.clear()
        self._too_long = self._pasting = self.ended = False
        return data.decode("utf-8", "replace").strip()


def restore() -> None:
    """Restore the original settings of every terminal; harmless if repeated.

    Also waits for another thread that is restoring them: this process may end as soon as this returns. But not for
    long, because a stopped terminal can make that thread wait forever.
    """
    held = _saved_lock.acquire(timeout=_RESTORE_TIMEOUT)
    try:
        while _saved:
            _, give_back = _saved.popitem()
            give_back()
    finally:
        if held:
            _saved_lock.release()


if sys.platform == "win32":
    from freshkey_cli.console_keys import Keyboard

    def _piece(fd: int) -> bytes | None:
        """Return what was typed, or None if nothing was typed within `POLL_INTERVAL` seconds."""
        return Keyboard(fd).typed(POLL_INTERVAL)

    @contextmanager
    def _without_echo(fd: int) -> Iterator[None]:
        Keyboard(fd).discard()
        try:
            yield  # what is read by key is not shown
        finally:
            Keyboard(fd).discard()  # the shell would show the rest, and run it as a command

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

    def _mark_pastes(fd: int, switch: bytes) -> None:
        """Switch bracketed paste mode, unless the terminal would show the sequence; others ignore unknown ones."""
        if os.environ.get("TERM", "dumb") != "dumb":
            with suppress(OSError):  # the terminal was closed, or is only open for reading
                os.write(fd, switch)

    def _give_back(fd: int, before: list[Any]) -> None:
        _mark_pastes(fd, _BRACKETS_OFF)
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
            _mark_pastes(fd, _BRACKETS_ON)
        try:
            yield
        finally:
            restore()
