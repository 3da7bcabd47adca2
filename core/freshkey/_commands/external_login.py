"""Runs the sign-in command of another tool, such as that of a cloud's own command line.

It runs when credentials have expired and a caller is waiting for them. Its output is passed on line by line, because
the user needs to see a URL or a code. It has no input, and is killed after three minutes. No process runs it again
within a minute: if signing in fails immediately, each attempt would open another browser tab.
"""

from __future__ import annotations

import codecs
import io
import os
import queue
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from attrs import asdict

from freshkey._commands.command import Command, command_environment, ensure_unchanged
from freshkey._commands.environ import secret_values, without_secrets
from freshkey._commands.process import Run
from freshkey._files.private import file_name
from freshkey._files.state_file import StateFile, moment
from freshkey._text.redact import Redactor
from freshkey._text.visible import visible
from freshkey.clock import SYSTEM, Clock, Moment
from freshkey.errors import FreshkeyError, LoginRequired
from freshkey.expiry import seconds_since
from freshkey.model.interaction import Reporter
from freshkey.model.profile import Profile
from freshkey.secret import quoted


TIMEOUT: Final = 180.0
"""Seconds that the user has to sign in."""

PAUSE: Final = 60.0
"""Minimum seconds between the end of one run and the start of the next."""

MAX_LINE: Final = 2000
MAX_LINES: Final = 1000
"""Limits of the output that is passed on; the rest is read and dropped."""

MAX_TAIL: Final = 4000
"""Characters before the end of the output in which a secret of several lines, such as a key file, is recognized."""

_unwritten: dict[Path, tuple[Moment, int | None]] = {}
"""When and with which status the last run ended, if that could not be written to a file for other processes."""

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def run_login_command(
    command: Command,
    profile: Profile,
    reporter: Reporter,
    *,
    clock: Clock = SYSTEM,
    timeout: float = TIMEOUT,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Run the sign-in command of another tool, and return when it succeeds.

    Args:
        command: The command.
        profile: The profile whose credentials have expired; the caller holds its lock.
        reporter: Receives each line of output.
        clock: Measures the time since the last run.
        timeout: Seconds until the command is killed.
        environ: The environment; variables that look like secrets are not passed to the command.

    Raises:
        LoginRequired: It failed or timed out, or already ran within the last minute. The message quotes its last line,
            without secrets.
        TrustNeeded: It is a project's command and changed since it was trusted.
        ConfigurationError: The program does not exist or cannot be run.
    """
    ensure_unchanged(command)
    note = StateFile(profile.state_dir, "login-commands", f"{file_name(profile.key)}.json")
    ended, status = _unwritten.get(note.path) or note.read(_read_note) or (None, None)
    # Where signing in fails at once, eight processes must not open eight browser tabs.
    # See docs/decisions.md, "Another tool's sign-in runs only for a waiting caller, and at most once a minute".
    if ended is not None and 0 <= seconds_since(ended, clock.now()) < PAUSE:
        raise LoginRequired(
            f"there are still no usable credentials; {quoted(command.name)} ran less than {PAUSE:.0f} s ago and "
            f"{_describe(status, timeout)}",
            profile=profile.name,
            hint=f"Run the configured {quoted(command.name)} command yourself, or try again in {PAUSE:.0f} s",
            code="sign-in-command-failed",
        )
    reporter.progress(f"Running {command.name}")
    output = _Output(reporter, Redactor(secret_values(environ)))
    status = _watch(command, command_environment(command, without_secrets(environ)), output, timeout)
    ended = clock.now()
    try:
        note.write({**asdict(ended), "status": status})  # never what it printed: that is text of others
        _unwritten.pop(note.path, None)
    except FreshkeyError:
        _unwritten[note.path] = ended, status
    if status != 0:
        said = f"; its last output was: {output.last}" if output.last else ""
        raise LoginRequired(
            f"{quoted(command.name)} {_describe(status, timeout)}{said}",
            profile=profile.name,
            hint=f"Run the configured {quoted(command.name)} command yourself to see why",
            code="sign-in-command-failed",
        )


def _read_note(note: dict[str, Any]) -> tuple[Moment, int | None]:
    status = note.pop("status")
    if status is not None and type(status) is not int:
        message = "status"
        raise TypeError(message)
    note.pop("outcome", None)
    return moment(**note), status


def _describe(status: int | None, timeout: float) -> str:
    if status is None:
        return f"timed out after {timeout:g} s"
    return f"exited with status {status}" if status else "succeeded"


class _Output:
    """Passes on the lines of a command without secrets, and knows the last one."""

    def __init__(self, reporter: Reporter, redact: Redactor) -> None:
        self.last = ""
        self._reporter = reporter
        self._redact = redact
        self._tail = ""

    def take(self, line: str) -> None:
        """Pass on one line."""
        # With the lines before it, because a key file is only recognized by its first line.
        self._tail = f"{self._tail}\n{line}"[-MAX_TAIL:]
        self.last = visible(self._redact.masked(self._tail).rpartition("\n")[2], MAX_LINE)
        self._reporter.line(self.last)


def _how_to_decode_others() -> str:
    """Return how to decode what is not UTF-8: on Windows, by the code page in which many print."""
    if sys.platform != "win32":
        return "replace"

    def by_code_page(error: UnicodeError) -> tuple[str, int]:
        assert isinstance(error, UnicodeDecodeError)  # noqa: S101  for mypy
        return error.object[error.start : error.end].decode("oem", "replace"), error.end

    codecs.register_error("freshkey-console", by_code_page)
    return "freshkey-console"


def _watch(command: Command, environ: Mapping[str, str], output: _Output, timeout: float) -> int | None:
    """Run a command and pass its output on until it exits; return its status, or None if it was killed for its time."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def pass_on(_passed: float) -> bool:
        """Report new lines on the caller's thread: reporters need not be thread-safe."""
        while not lines.empty():
            output.take(lines.get())
        return True

    def take(pipe: io.RawIOBase) -> None:
        told = 0
        with io.TextIOWrapper(io.BufferedReader(pipe), encoding="utf-8", errors=_how_to_decode_others()) as printed:
            while part := printed.readline(MAX_LINE):
                line = _CONTROL.sub(" ", part).rstrip()
                if line and told < MAX_LINES:
                    told += 1
                    lines.put(line)

    run = Run(command.argv, environ, take, with_errors=True, starts_browser=True, directory=command.directory)
    status = run.wait(timeout, pass_on)
    pass_on(timeout)
    return status
