"""Runs the sign-in command of another tool, such as that of a cloud's own command line.

It runs when credentials have expired and a caller is waiting for them. Its output is passed on line by line, because
the user needs to see a URL or a code. It has no input, and is killed after three minutes. No process runs it again
within a minute: if signing in fails immediately, each attempt would open another browser tab.
"""

from __future__ import annotations

import io
import os
import queue
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from attrs import asdict

from freshkey._commands.command import Command, command_environment, ensure_unchanged
from freshkey._commands.environ import without_secrets
from freshkey._commands.process import Run
from freshkey._files.private import file_name
from freshkey._files.state_file import StateFile, moment
from freshkey.clock import SYSTEM, Clock, Moment
from freshkey.errors import FreshkeyError, LoginRequired
from freshkey.expiry import seconds_since
from freshkey.model.interaction import Reporter
from freshkey.model.profile import Profile


TIMEOUT: Final = 180.0
"""Seconds that the user has to sign in."""

PAUSE: Final = 60.0
"""Minimum seconds between the end of one run and the start of the next."""

MAX_LINE: Final = 2000
MAX_LINES: Final = 1000
"""Limits of the output that is passed on; the rest is read and dropped."""

_unwritten: dict[Path, tuple[Moment, str]] = {}
"""When and how the last run ended, if that could not be written to a file for other processes."""

_CONTROL: Final = re.compile(r"[^\x20-\x7e\xa0-\U0010ffff]+")


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
        LoginRequired: It failed or timed out, or already ran within the last minute. The message quotes its last line.
        TrustNeeded: It is a project's command and changed since it was trusted.
        ConfigurationError: The program does not exist or cannot be run.
    """
    ensure_unchanged(command)
    note = StateFile(profile.state_dir, "login-commands", f"{file_name(profile.key)}.json")
    ended, said = _unwritten.get(note.path) or note.read(_read_note) or (None, "")
    # Where signing in fails at once, eight processes must not open eight browser tabs.
    # See docs/decisions.md, "Another tool's sign-in runs only for a waiting caller, and at most once a minute".
    if ended is not None and 0 <= seconds_since(ended, clock.now()) < PAUSE:
        raise LoginRequired(
            f"there are still no usable credentials; {command.name!r} ran less than {PAUSE:.0f} s ago and {said}",
            profile=profile.name,
            hint=f"Run the configured {command.name!r} command yourself, or try again in {PAUSE:.0f} s",
            code="sign-in-command-failed",
        )
    reporter.progress(f"Running {command.name}")
    passed_on = command_environment(command, without_secrets(environ))
    trouble = _watch(command, passed_on, reporter, timeout)
    ended, said = clock.now(), trouble or "succeeded"
    try:
        note.write({**asdict(ended), "outcome": said})
        _unwritten.pop(note.path, None)
    except FreshkeyError:
        _unwritten[note.path] = ended, said
    if trouble:
        raise LoginRequired(
            f"{command.name!r} {trouble}",
            profile=profile.name,
            hint=f"Run the configured {command.name!r} command yourself to see why",
            code="sign-in-command-failed",
        )


def _read_note(note: dict[str, Any]) -> tuple[Moment, str]:
    said = str(note.pop("outcome"))
    return moment(**note), said


def _watch(command: Command, environ: Mapping[str, str], reporter: Reporter, timeout: float) -> str:
    """Run a command and pass its output on until it exits; return what went wrong, or an empty string."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    last = ""

    def pass_on(_passed: float) -> bool:
        """Report new lines on the caller's thread: reporters need not be thread-safe."""
        nonlocal last
        while not lines.empty():
            last = lines.get()
            reporter.line(last)
        return True

    def take(pipe: io.RawIOBase) -> None:
        told = 0
        with io.TextIOWrapper(io.BufferedReader(pipe), encoding="utf-8", errors="replace") as printed:
            while part := printed.readline(MAX_LINE):
                line = _CONTROL.sub(" ", part).rstrip()
                if line and told < MAX_LINES:
                    told += 1
                    lines.put(line)

    run = Run(command.argv, environ, take, with_errors=True, directory=command.directory)
    status = run.wait(timeout, pass_on)
    pass_on(timeout)
    said = f"; its last output was: {last}" if last else ""
    if status is None:
        return f"timed out after {timeout:g} s{said}"
    return f"exited with status {status}{said}" if status else ""
