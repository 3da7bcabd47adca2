"""Reads an API key from a hidden prompt in a terminal, or else from standard input.

It is one line, with nothing but empty lines before and after it. The first of several could be half of a key that was
wrapped, so it is refused, not used.
"""

from __future__ import annotations

import codecs
import os
import re
import sys
import threading
from collections.abc import Callable
from typing import Final

from freshkey import Secret
from freshkey.errors import ConfigurationError
from freshkey.plugin import MAX_LINE, unmarked
from freshkey_cli.streams import is_mintty, is_terminal
from freshkey_cli.terminal import Terminal, unusable_secret


MAX_LENGTH: Final = MAX_LINE
"""Maximum length of a key, in bytes."""

_MORE_TIMEOUT: Final = 10.0
"""Seconds without input after a line, after which it is the key although the writer keeps the pipe open."""

_SILENT_SECONDS: Final = 1.0
"""How many of them pass before the user is told what is waited for."""

_POLL_INTERVAL: Final = 0.05
"""Seconds between two looks at a pipe on Windows, where nothing waits for one."""

_EMPTY_LINES: Final = re.compile(rb"(?:[ \t\r]*\n)*")

_END_KEYS: Final = "Ctrl-Z and Enter" if sys.platform == "win32" else "Ctrl-D"

_WAITING: Final = f"Waiting up to {_MORE_TIMEOUT:g} s for the end of the input; if you typed it, press {_END_KEYS}"


class KeyGiver(Terminal):
    """A terminal that only prompts for a key, which can also come from standard input."""

    def require_attended(self) -> None:
        """Raise `LoginRequired` in a terminal that would show the key: otherwise standard input answers."""
        if is_mintty(sys.stdin):
            self._refuse("this terminal (mintty) would show what is typed")

    def read_secret(self, prompt: str) -> Secret:
        """Return the key, empty if nothing was entered.

        Raises:
            ConfigurationError: The input has more than one line, or is too long to be a key.
            LoginRequired: The terminal is one that would show the key.
        """
        return self.read_code(prompt, threading.Event()) or Secret("")

    def read_code(self, prompt: str, given_up: threading.Event) -> Secret | None:
        """Return the same; None if nothing was entered."""
        self.require_attended()
        if not is_terminal(sys.stdin):
            return read_key(sys.stdin.fileno(), self.progress)
        return self._read_hidden(prompt, given_up) or None


def read_key(descriptor: int, say: Callable[[str], None]) -> Secret | None:
    """Return the only line read from a file descriptor that is not empty; None if there is none.

    Args:
        descriptor: Where to read.
        say: Receives the message that the end of the input is waited for.

    Raises:
        ConfigurationError: There is another line, or the line is longer than `MAX_LENGTH`. The first line alone could
            be half of a key that was wrapped.
    """
    line = _Line(descriptor, say)
    line.read()
    if line.too_long:
        flaw = f"the first line of standard input is longer than {MAX_LENGTH} bytes"
        raise unusable_secret(flaw, "Pass only the key on standard input")
    key = line.key()
    if key and line.has_more:
        hint = "Join the key if it was wrapped; or, if other lines follow it, pass only the first one"
        raise ConfigurationError("standard input has more than one line", hint=hint, code="invalid-secret-input")
    return key


class _Line:
    """The bytes of a line and what follows; an attribute instead of a local variable, which tracebacks may show."""

    def __init__(self, descriptor: int, say: Callable[[str], None]) -> None:
        self._descriptor = descriptor
        self._say = say
        self._bytes = bytearray()
        self._ended = False

    def read(self) -> None:
        length = -1
        # There may be empty lines, but not without end.
        while not (self.too_long or self.has_more) and length != len(self._bytes) <= 2 * MAX_LENGTH:
            length = len(self._bytes)
            if not self._parts[1] or self._more_arrives():
                self._bytes += os.read(self._descriptor, MAX_LENGTH + 2)
        self._ended = length == len(self._bytes)

    @property
    def has_more(self) -> bool:
        return bool(self._parts[2].strip())

    @property
    def too_long(self) -> bool:
        return len(self._parts[0].removesuffix(b"\r")) > MAX_LENGTH

    def key(self) -> Secret | None:
        return Secret(self._parts[0].removesuffix(b"\r").decode("utf-8", "replace")) or None

    @property
    def _parts(self) -> tuple[bytes, bytes, bytes]:
        """The first line that is not empty, its end, and what follows."""
        text, encoding = unmarked(self._bytes)
        if encoding != "utf-8":  # of UTF-16, as PowerShell writes it, half a character may have arrived
            text = codecs.getincrementaldecoder(encoding)("replace").decode(text, self._ended).encode()
        return _EMPTY_LINES.sub(b"", text, count=1).partition(b"\n")

    def _more_arrives(self) -> bool:
        """Return whether there is more to read, or the end, within `_MORE_TIMEOUT`."""
        if _is_readable(self._descriptor, _SILENT_SECONDS):
            return True
        self._say(_WAITING)
        return _is_readable(self._descriptor, max(0.0, _MORE_TIMEOUT - _SILENT_SECONDS))


if sys.platform == "win32":
    import time

    def _is_readable(descriptor: int, seconds: float) -> bool:
        """Return whether reading would not wait, as soon as that is so, or after some seconds."""
        import ctypes
        import msvcrt
        from ctypes import wintypes

        pipe, waiting = wintypes.HANDLE(msvcrt.get_osfhandle(descriptor)), wintypes.DWORD()
        deadline = time.monotonic() + seconds
        # Of a file, and of a pipe whose writer is gone, nothing can be told: reading them does not wait.
        while ctypes.windll.kernel32.PeekNamedPipe(pipe, None, 0, None, ctypes.byref(waiting), None):
            if waiting.value:
                return True
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_INTERVAL)
        return True

else:
    import select

    def _is_readable(descriptor: int, seconds: float) -> bool:
        return bool(select.select([descriptor], [], [], seconds)[0])
