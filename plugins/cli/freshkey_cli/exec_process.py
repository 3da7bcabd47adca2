"""Replaces this process with a program that gets only the intended environment and file descriptors."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from typing import Final

from freshkey.admin import MIN_DESCRIPTOR, is_inherited
from freshkey.errors import ConfigurationError, TransientError
from freshkey.plugin import quoted, shown_name, shown_path
from freshkey_cli import process
from freshkey_cli.exits import CommandNotExecutable, CommandNotFound


RENEWALS_TIMEOUT: Final = 45.0
"""Seconds to wait for all renewals to finish; longer than one request and one failing save take."""

_MAX_DESCRIPTORS: Final = 65536
"""Upper bound where open descriptors cannot be listed; those that a parent left open have low numbers."""

_FILE_NOT_FOUND, _PATH_NOT_FOUND = 2, 3  # errors of Windows


def check_descriptors(kept: Collection[int]) -> None:
    """Refuse descriptors that were not inherited from the parent process, or were already read.

    Raises:
        ConfigurationError: There is one; the message names the first.
    """
    for descriptor in kept:
        if sys.platform == "win32":
            raise ConfigurationError(
                "file descriptors cannot be passed to a command on Windows",
                hint="Omit --keep-fd",
                code="invalid-descriptor",
            )
        if not is_inherited(descriptor):
            message = (
                f"file descriptor {descriptor} was not inherited from the parent process, or has already been read"
            )
            raise ConfigurationError(
                message, hint="Open it in the shell, for example: 3< FILE", code="invalid-descriptor"
            )


def wait_for_renewals() -> None:
    """Wait for the threads that the interpreter would wait for at exit: they guard a refresh token that was just used.

    Raises:
        TransientError: They took too long. The threads continue, and the interpreter waits for them.
    """
    end = time.monotonic() + RENEWALS_TIMEOUT
    waited_for = [thread for thread in threading.enumerate() if not thread.daemon]
    for thread in waited_for:
        if thread is not threading.current_thread():
            thread.join(max(0.0, end - time.monotonic()))
            if thread.is_alive():
                message = "the command was not run, because it would interrupt a renewal in progress"
                raise TransientError(message, hint="Try again in a few seconds", code="renewal-timed-out")


def replace(words: Sequence[str], environ: dict[str, str], kept: Collection[int]) -> int:
    """Replace this process with a program. Returns only on Windows, which cannot do that, with its exit code.

    Args:
        words: The program, looked up on the ``PATH`` of `environ`, and its arguments.
        environ: Its complete environment; emptied as soon as it has it.
        kept: Descriptors from 3 up that stay open; all others are closed.

    Raises:
        CommandNotFound: The program does not exist.
        CommandNotExecutable: The operating system refuses to run it.
    """
    check_descriptors(kept)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    try:
        return _replace(words, environ, kept)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: an empty name
        missing: CommandNotFound | CommandNotExecutable = CommandNotFound(
            f"command not found: {_shown(words[0])}", hint="Check its name and the PATH"
        )
    except OSError as error:
        missing = CommandNotExecutable(f"cannot run {_shown(words[0])}: {error.strerror}")
    raise missing


def _shown(program: str) -> str:
    """Return a program as messages name it, paths with backslashes included; what may be a secret is not shown."""
    path = shown_path(program) if shown_name(program) is None else None
    return quoted(program) if path is None else f"{path!r}"


if sys.platform == "win32":
    from freshkey_cli import windows_child

    def _replace(words: Sequence[str], environ: dict[str, str], kept: Collection[int]) -> int:  # noqa: ARG001
        try:
            return windows_child.run(words, environ)
        except ConfigurationError as error:
            reason, hint = error.message, error.hint
        except OSError as error:
            if error.winerror in {None, _FILE_NOT_FOUND, _PATH_NOT_FOUND}:
                raise
            # Python takes some, such as a command line that is too long, for a file that does not exist.
            reason, hint = error.strerror or "Windows refuses", None
            if error.winerror == windows_child.NO_PROGRAM:  # its text has a placeholder
                reason = "it is not a program for Windows"
                hint = "Name the program that opens it, and then the file"
        raise CommandNotExecutable(f"cannot run {_shown(words[0])}: {reason}", hint=hint)

else:

    def _replace(words: Sequence[str], environ: dict[str, str], kept: Collection[int]) -> int:
        for descriptor in _open_descriptors():
            if descriptor >= MIN_DESCRIPTOR:
                # The kernel closes the others, but only if the program starts.
                with suppress(OSError):
                    os.set_inheritable(descriptor, descriptor in kept)
        process.as_started()
        # A parent that stays would have to forward signals, terminal size and exit status, and each goes wrong
        # somewhere. See docs/decisions.md, "`freshkey exec` replaces itself with the program".
        os.execvpe(words[0], list(words), environ)  # noqa: S606  deliberately without a shell

    def _open_descriptors() -> Iterator[int]:
        for place in ("/proc/self/fd", "/dev/fd"):
            with suppress(OSError):
                yield from [int(name) for name in os.listdir(place)]  # noqa: PTH208  numbers, not paths
                return
        yield from range(min(os.sysconf("SC_OPEN_MAX"), _MAX_DESCRIPTORS))
