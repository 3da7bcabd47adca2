"""Puts a program into the place of this process, with the environment and the descriptors that it shall have."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final

from freshkey.admin import MIN_DESCRIPTOR, is_inherited
from freshkey.errors import ConfigurationError, TransientError
from freshkey_cli import process
from freshkey_cli.exits import CommandNotExecutable, CommandNotFound


RENEWALS_TIMEOUT: Final = 45.0
"""Seconds to wait until all renewals have come to their end: one request and one save that fails take less."""

_MAX_DESCRIPTORS: Final = 65536
"""Where the open ones cannot be listed; those that a parent left open have low numbers."""


def check_descriptors(kept: Collection[int]) -> None:
    """Refuse descriptors that the parent process did not hand over, or that are used up.

    Raises:
        ConfigurationError: Names the first of them.
    """
    for descriptor in kept:
        if sys.platform == "win32":
            raise ConfigurationError("file descriptors cannot be handed on here", hint="Leave out --keep-fd")
        if not is_inherited(descriptor):
            message = f"file descriptor {descriptor} was not handed over by the parent process, or was read already"
            raise ConfigurationError(message, hint="Open it in the shell, such as: 3< file")


def wait_for_renewals() -> None:
    """Wait for what the interpreter would wait for at its end: a thread that may just have spent a refresh token.

    Raises:
        TransientError: It takes too long. The threads go on, and the interpreter waits for them.
    """
    end = time.monotonic() + RENEWALS_TIMEOUT
    waited_for = [thread for thread in threading.enumerate() if not thread.daemon]
    for thread in waited_for:
        if thread is not threading.current_thread():
            thread.join(max(0.0, end - time.monotonic()))
            if thread.is_alive():
                message = "a renewal has not come to its end, and the command would cut it off; nothing was run"
                raise TransientError(message, hint="Run: freshkey status")


def replace(words: Sequence[str], environ: Mapping[str, str], kept: Collection[int]) -> int:
    """Run a program in this process's place. Returns on Windows alone, with the program's exit code.

    Args:
        words: The program, which is looked up on the ``PATH`` of `environ`, and its arguments.
        environ: Its whole environment.
        kept: Descriptors from 3 up that it gets; all others are closed.

    Raises:
        CommandNotFound: There is no such program.
        CommandNotExecutable: The operating system refuses to run it.
    """
    check_descriptors(kept)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    try:
        return _replace(words, environ, kept)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # the last one for a name that is empty
        missing: CommandNotFound | CommandNotExecutable = CommandNotFound(f"there is no command {words[0]!r}")
    except OSError as error:
        missing = CommandNotExecutable(f"the command {words[0]!r} cannot be run: {error.strerror}")
    raise missing


if sys.platform == "win32":

    def _replace(words: Sequence[str], environ: Mapping[str, str], kept: Collection[int]) -> int:  # noqa: ARG001
        """Run it as a child: there is no taking the place of a process there."""
        import subprocess

        # The console tells the child of Ctrl-C as well, and that one decides what it means.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return subprocess.call(list(words), env=dict(environ))  # noqa: S603  the command that a person asked for

else:

    def _replace(words: Sequence[str], environ: Mapping[str, str], kept: Collection[int]) -> int:
        for descriptor in _open_descriptors():
            if descriptor >= MIN_DESCRIPTOR:
                # Closed by the kernel if the program starts, and only then.
                with suppress(OSError):
                    os.set_inheritable(descriptor, descriptor in kept)
        process.as_started()
        os.execvpe(words[0], list(words), dict(environ))  # noqa: S606  no shell is what is wanted

    def _open_descriptors() -> Iterator[int]:
        for place in ("/proc/self/fd", "/dev/fd"):
            with suppress(OSError):
                yield from [int(name) for name in os.listdir(place)]  # noqa: PTH208  numbers, no paths
                return
        yield from range(min(os.sysconf("SC_OPEN_MAX"), _MAX_DESCRIPTORS))
