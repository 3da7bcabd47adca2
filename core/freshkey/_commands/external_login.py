"""A command of another tool that signs a person in there, such as that of a cloud's own command line.

It runs when credentials are seen to be expired and somebody waits for them. What it prints is passed on line by line,
because the person has to see an address or a code; it gets no input, and three minutes. It is not run again within a
minute, by whichever process: where signing in fails at once, each attempt would open another browser tab.
"""

from __future__ import annotations

import json
import os
import queue
import re
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from freshkey._commands.command import Command, ensure_unchanged
from freshkey._commands.environ import without_secrets
from freshkey._commands.process import Child
from freshkey._files.private import file_name, private_dir, read_private, write_private
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

_DIRECTORY: Final = "login-commands"
_POLL_INTERVAL: Final = 0.05
_READER_TIMEOUT: Final = 1.0
_unwritten: dict[Path, tuple[Moment | None, str]] = {}
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
    note = _Note(profile)
    note.respect(command, clock.now())
    reporter.progress(f"Running {command.name}")
    run = _Run(command, without_secrets(environ))
    outcome = run.watch(reporter, timeout)
    note.write(outcome or "ended well", clock.now())
    if outcome:
        raise LoginRequired(f"{command.name!r} {outcome}", profile=profile.name, hint="Run it yourself to see why")


class _Run:
    """One run while it lasts."""

    def __init__(self, command: Command, environ: Mapping[str, str]) -> None:
        reading, writing = os.pipe()
        try:
            self._child = Child(command.argv, environ, stdout=writing, stderr=writing, directory=command.directory)
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        self._pipe = reading
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._last = ""
        self._reader = threading.Thread(target=self._read, name="freshkey login command", daemon=True)

    def watch(self, reporter: Reporter, timeout: float) -> str:
        """Pass on what is printed until it ends; return what went wrong, or nothing."""
        ends = time.monotonic() + timeout
        try:
            self._reader.start()
            while not self._child.ended and time.monotonic() < ends:
                self._pass_on(reporter, wait=_POLL_INTERVAL)
            in_time = self._child.ended
        finally:
            status = self._child.end()
        self._reader.join(_READER_TIMEOUT)
        self._pass_on(reporter, wait=0.0)
        said = f"; it last said: {self._last}" if self._last else ""
        if not in_time:
            return f"did not end within {timeout:g} s{said}"
        return f"ended with status {status}{said}" if status else ""

    def _pass_on(self, reporter: Reporter, *, wait: float) -> None:
        """Tell what was printed; here and not on the reader's thread, which nobody expects to talk."""
        try:
            line = self._lines.get(timeout=wait) if wait else self._lines.get_nowait()
            while True:
                self._last = line
                reporter.line(line)
                line = self._lines.get_nowait()
        except queue.Empty:
            return

    def _read(self) -> None:
        told = 0
        with open(self._pipe, encoding="utf-8", errors="replace", newline=None) as printed:  # noqa: PTH123  a descriptor
            while part := printed.readline(MAX_LINE):
                line = _CONTROL.sub(" ", part).rstrip()
                if line and told < MAX_LINES:
                    told += 1
                    self._lines.put(line)


class _Note:
    """When the last run for a profile ended, and how; beside the lock, for all processes."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._path: Path = profile.state_dir / _DIRECTORY / f"{file_name(profile.name)}.json"

    def respect(self, command: Command, now: Moment) -> None:
        """Refuse a run too soon after the last one.

        Raises:
            LoginRequired: It ended less than a minute ago.
        """
        ended, outcome = self._read()
        if ended is None or not 0 <= seconds_since(ended, now) < PAUSE:
            return
        raise LoginRequired(
            f"{command.name!r} {outcome} a moment ago, and there are still no usable credentials",
            profile=self._profile.name,
            hint=f"Run it yourself, or try again in {PAUSE:.0f} s",
        )

    def _read(self) -> tuple[Moment | None, str]:
        if self._path in _unwritten:
            return _unwritten[self._path]
        try:
            note = json.loads(read_private(self._path) or b"{}")
            ended = Moment(wall=float(note["wall"]), elapsed=float(note["elapsed"]), boot_id=str(note["boot_id"]))
            return ended, str(note["outcome"])
        except (FreshkeyError, ValueError, TypeError, KeyError, RecursionError):
            return None, ""

    def write(self, outcome: str, ended: Moment) -> None:
        """Note that a run has ended; where that cannot be written, this process alone knows."""
        note = {"wall": ended.wall, "elapsed": ended.elapsed, "boot_id": ended.boot_id, "outcome": outcome}
        try:
            private_dir(self._profile.state_dir, _DIRECTORY)
            write_private(self._path, json.dumps(note).encode())
            _unwritten.pop(self._path, None)
        except FreshkeyError:
            _unwritten[self._path] = ended, outcome
