"""Reads a secret that the parent process passes in an inherited file descriptor: once, with limits, then closes it."""

from __future__ import annotations

import os
import stat
import sys
import threading
from contextlib import suppress
from typing import Final

from freshkey._secret_input.encoding import decoded
from freshkey._secret_input.shape import looks_like
from freshkey.clock import interruptible
from freshkey.errors import ConfigurationError, TransientError
from freshkey.secret import MAX_TOKEN, Secret, is_token


READ_TIMEOUT: Final = 5.0
"""Maximum seconds to wait until the other end has written the secret and closed."""

MIN_DESCRIPTOR: Final = 3
"""Lower file descriptors are standard input, output and error."""

_MAX_BYTES: Final = 2 * (MAX_TOKEN + 4)
"""Longest secret in UTF-16, a byte order mark, a line ending, and more by which one sees that it is too long."""

_HOW: Final = (
    "On Windows, shells pass no file descriptors on: use an environment variable or a helper command"
    if sys.platform == "win32"
    else "Pass only the secret, through a pipe on file descriptor 3 or higher, such as 3< <(command)"
)

_handed_over: dict[int, _Reading] = {}
"""Secrets by file descriptor. Its number may have been reused since, so it is never read again."""
_mutex = threading.Lock()


def descriptor_is_there(descriptor: int) -> bool:
    """Return whether a file descriptor was inherited, or its secret was already read; does not read it."""
    return descriptor in _handed_over or (descriptor >= MIN_DESCRIPTOR and is_inherited(descriptor))


def descriptor_secret(descriptor: int, *, timeout: float = READ_TIMEOUT) -> Secret:
    """Return the secret from an inherited file descriptor; later calls return the same one.

    The file descriptor is read to its end and closed, so that child processes do not inherit it. One newline at the end
    is removed.

    Args:
        descriptor: Its number, 3 or higher.
        timeout: Maximum seconds to wait for the other end.

    Raises:
        ConfigurationError: It was not inherited, other users could read it, or its content is not a valid secret.
        TransientError: The other end has not closed yet.
    """
    with _mutex:
        reading = _handed_over.get(descriptor)
        if reading is None:
            _check(descriptor)
            reading = _handed_over[descriptor] = _Reading(descriptor)
    return reading.secret(timeout)


def is_inherited(descriptor: int) -> bool:
    """Return whether a file descriptor is inherited: those that Python opens are not inheritable (PEP 446)."""
    try:
        return os.get_inheritable(descriptor)
    except (OSError, OverflowError):
        return False


def _check(descriptor: int) -> None:
    if descriptor < MIN_DESCRIPTOR:
        raise _unfit(descriptor, "is standard input, output, or error")
    if not is_inherited(descriptor):
        raise _unfit(descriptor, "was not inherited from the parent process")
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode):
        # Other users cannot open a file without a name, such as that of memfd_create(2), whatever its mode.
        if sys.platform != "win32" and status.st_nlink and status.st_mode & (stat.S_IRGRP | stat.S_IROTH):
            raise _unfit(descriptor, "is a file that other users can read")
    elif not (stat.S_ISFIFO(status.st_mode) or stat.S_ISSOCK(status.st_mode)):
        raise _unfit(descriptor, "is a terminal or a device")


def _unfit(descriptor: int, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"file descriptor {descriptor} {why}",
        hint=_HOW,
        code="invalid-secret-input",
    )


class _Reading:
    """A file descriptor and its content: an attribute, because tracebacks can show local variables."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._content = bytearray()
        self._whole = False
        os.set_inheritable(descriptor, False)
        self._thread = threading.Thread(target=self._read, name="freshkey descriptor", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            os.close(descriptor)

    def _read(self) -> None:
        with suppress(OSError), open(self._descriptor, "rb", buffering=0) as pipe:  # noqa: PTH123  a descriptor
            while part := pipe.read(_MAX_BYTES - len(self._content)):
                self._content += part
            self._whole = part is not None  # None: it is non-blocking, and the rest has not arrived

    def _ends(self, seconds: float) -> bool:
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def secret(self, timeout: float) -> Secret:
        if self._thread.ident is not None:
            interruptible(self._ends, timeout)
        if self._thread.is_alive():
            raise TransientError(
                f"the other end of file descriptor {self._descriptor} is still open after {timeout:g} s",
                hint="Close it in the parent process after writing the secret",
                code="secret-input-timed-out",
            )
        value = (decoded(self._content) or "").removesuffix("\n").removesuffix("\r")
        shape = looks_like(value)
        if shape is not None or not self._whole or not is_token(value):
            del value
            flaw = "is empty, too long, or contains spaces, control characters, or non-ASCII characters"
            raise _unfit(self._descriptor, flaw if shape is None else f"contains {shape}")
        return Secret(value)
