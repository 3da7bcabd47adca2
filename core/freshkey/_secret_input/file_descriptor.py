"""A secret that the parent process hands over through an inherited file descriptor: read once, bounded, and closed."""

from __future__ import annotations

import os
import stat
import sys
import threading
from contextlib import suppress
from typing import Final

from freshkey.errors import ConfigurationError, TransientError
from freshkey.secret import MAX_TOKEN, Secret, is_token


READ_TIMEOUT: Final = 5.0
"""Seconds to wait at the most until the other end has written the secret and closed."""

MIN_DESCRIPTOR: Final = 3
"""Descriptors below are standard input, output and error, which belong to the program."""

_handed_over: dict[int, _Reading] = {}
"""What was taken already. Its number may belong to something else by now, so it is never read again."""
_mutex = threading.Lock()


def descriptor_is_there(descriptor: int) -> bool:
    """Tell whether a descriptor holds something that was handed over, without reading it."""
    return descriptor in _handed_over or (descriptor >= MIN_DESCRIPTOR and is_inherited(descriptor))


def descriptor_secret(descriptor: int, *, timeout: float = READ_TIMEOUT) -> Secret:
    """Return the secret that waits in an inherited descriptor; asked again, return the same one.

    The descriptor is read to its end and closed, so that no child process gets it as well. One newline at the end is
    dropped.

    Args:
        descriptor: Its number, 3 or higher.
        timeout: Seconds to wait at the most for the other end.

    Raises:
        ConfigurationError: Nothing was handed over there, others could read it too, or it is no usable secret.
        TransientError: The other end has not closed yet.
    """
    with _mutex:
        reading = _handed_over.get(descriptor)
        if reading is None:
            _check(descriptor)
            reading = _handed_over[descriptor] = _Reading(descriptor)
    return reading.secret(timeout)


def is_inherited(descriptor: int) -> bool:
    """Tell whether a descriptor came from the parent: what Python opens itself is not inheritable (PEP 446)."""
    try:
        return os.get_inheritable(descriptor)
    except (OSError, OverflowError):
        return False


def _check(descriptor: int) -> None:
    if descriptor < MIN_DESCRIPTOR:
        raise _unfit(descriptor, "belongs to the program itself; use one from 3 up")
    if not is_inherited(descriptor):
        raise _unfit(descriptor, "was not handed over by the parent process")
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode):
        # A file without a name, such as one of memfd_create(2), can be opened by nobody else whatever its mode.
        if sys.platform != "win32" and status.st_nlink and status.st_mode & (stat.S_IRGRP | stat.S_IROTH):
            raise _unfit(descriptor, "is a file that others may read")
    elif not (stat.S_ISFIFO(status.st_mode) or stat.S_ISSOCK(status.st_mode)):
        raise _unfit(descriptor, "is a terminal or a device")


def _unfit(descriptor: int, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"file descriptor {descriptor} {why}", hint="Hand the secret over through a pipe, such as 3< <(command)"
    )


class _Reading:
    """One descriptor and what came out of it; kept here, as local variables show up in tracebacks."""

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
            while part := pipe.read(MAX_TOKEN + 3 - len(self._content)):
                self._content += part
            self._whole = part is not None  # None: it is set not to wait, and the rest has not come yet

    def secret(self, timeout: float) -> Secret:
        if self._thread.ident is not None:
            self._thread.join(timeout)
        if self._thread.is_alive():
            raise TransientError(
                f"file descriptor {self._descriptor} is still open at its other end after {timeout:g} s",
                hint="The parent process must close it after writing the secret",
            )
        value = self._content.decode("latin-1").removesuffix("\n").removesuffix("\r")
        if not self._whole or not is_token(value):
            del value
            raise _unfit(self._descriptor, "held no usable secret: nothing, too much, or odd characters")
        return Secret(value)
