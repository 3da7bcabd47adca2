"""Reads an API key from a hidden prompt in a terminal, or else from the first line of standard input."""

from __future__ import annotations

import os
import sys
import threading
from typing import Final

from freshkey import Secret
from freshkey.errors import ConfigurationError
from freshkey.plugin import MAX_LINE
from freshkey_cli import hidden_input
from freshkey_cli.terminal import Terminal


MAX_LENGTH: Final = MAX_LINE
"""Maximum length of a key, in bytes."""


class KeyGiver(Terminal):
    """A terminal that only prompts for a key."""

    def read_code(self, prompt: str, given_up: threading.Event) -> Secret | None:
        """Return the key; None if nothing was entered.

        Raises:
            ConfigurationError: The first line of standard input is too long to be a key.
        """
        if not sys.stdin.isatty():
            return read_key(sys.stdin.fileno())
        return hidden_input.read_line(sys.stdin.fileno(), prompt, given_up, self.notice)


def read_key(descriptor: int) -> Secret | None:
    """Return the first line read from a file descriptor; None if it is empty. The rest is ignored.

    Raises:
        ConfigurationError: The line is longer than `MAX_LENGTH`.
    """
    line = _Line(descriptor)
    line.read()
    if line.too_long:
        message = f"the first line of standard input is longer than {MAX_LENGTH} bytes"
        raise ConfigurationError(message, hint="Pass only the key on standard input", code="invalid-secret-input")
    return line.key()


class _Line:
    """Bytes up to the end of a line; an attribute instead of a local variable, which tracebacks may show."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._bytes = bytearray()

    def read(self) -> None:
        length = -1
        while b"\n" not in self._bytes and not self.too_long and length != len(self._bytes):
            length = len(self._bytes)
            self._bytes += os.read(self._descriptor, MAX_LENGTH + 2)

    @property
    def too_long(self) -> bool:
        return len(self._bytes.partition(b"\n")[0].removesuffix(b"\r")) > MAX_LENGTH

    def key(self) -> Secret | None:
        key = Secret(self._bytes.partition(b"\n")[0].removesuffix(b"\r").decode("utf-8", "replace"))
        return key or None
