"""A command of another tool that signs a person in there, such as that of a cloud's own command line.

It runs when credentials are seen to be expired and somebody waits for them. What it prints is passed on line by line,
because the person has to see an address or a code; it gets no input, and three minutes. It is not run again within a
minute, by whichever process: where signing in fails at once, each attempt would open another browser tab.
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

from freshkey._commands.command import Command, ensure_unchanged
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
"""Seconds that the person has to sign in."""

PAUSE: Final = 60.0
"""Seconds after the end of one run before which no other is started."""

MAX_LINE: Final = 2000
MAX_LINES: Final = 1000
"""How much of what it prints is passed on; the rest is read and dropped."""

_unwritten: dict[Path, tuple[Moment, str]] = {}
"""When the last run ended, and how, where that could not be written: then this process alone knows."""

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
    """Run a command that signs a person in at another tool, and return when it says that it did.

    Args:
        command: The command.
        profile: The profile whose credentials have expired; it is under the profile's lock.
        reporter: Hears each line that is printed.
        clock: Tells when the last run was.
        timeout: Seconds until it is killed.
        environ: The environment; the command sees it without what looks like a secret.

    Raises:
        LoginRequired: It failed or took too long, or ended less than a minute ago. The message holds its last line.
        TrustNeeded: It is a project's, and not as it was when it was trusted.
        ConfigurationError: There is no such program, or it cannot be run.
    """
    ensure_unchanged(command)
    note = StateFile(profile.state_dir, "login-commands", f"{file_name(profile.name)}.json")
    ended, said = _unwritten.get(note.path) or note.read(_read_note) or (None, "")
    if ended is not None and 0 <= seconds_since(ended, clock.now()) < PAUSE:
        raise LoginRequired(
            f"{command.name!r} {said} a moment ago, and there are still no usable credentials",
            profile=profile.name,
            hint=f"Run it yourself, or try again in {PAUSE:.0f} s",
        )
    reporter.progress(f"Running {command.name}")
    trouble = _watch(command, without_secrets(environ), reporter, timeout)
    ended, said = clock.now(), trouble or "ended well"
    try:
        note.write({**asdict(ended), "outcome": said})
        _unwritten.pop(note.path, None)
    except FreshkeyError:
        _unwritten[note.path] = ended, said
    if trouble:
        raise LoginRequired(f"{command.name!r} {trouble}", profile=profile.name, hint="Run it yourself to see why")


def _read_note(note: dict[str, Any]) -> tuple[Moment, str]:
    said = str(note.pop("outcome"))
    return moment(**note), said


def _watch(command: Command, environ: Mapping[str, str], reporter: Reporter, timeout: float) -> str:
    """Run a command and pass on what it prints until it ends; return what went wrong, or nothing."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    last = ""

    def pass_on(_passed: float) -> bool:
        """Tell what was printed; here and not on the reader's thread, which nobody expects to talk."""
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
    said = f"; it last said: {last}" if last else ""
    if status is None:
        return f"did not end within {timeout:g} s{said}"
    return f"ended with status {status}{said}" if status else ""
