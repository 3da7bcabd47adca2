"""Which commands of which projects a person trusted, as they were then: kept in a private file."""

from __future__ import annotations

import json
import logging
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from freshkey._commands.command import Command, changed, how_to_trust
from freshkey._config.project import Project, Trusted, Words, text_digest
from freshkey._config.toml_file import read
from freshkey._files.private import private_dir, read_private, write_private
from freshkey.errors import ConfigurationError, FreshkeyError, LoginRequired, TrustNeeded
from freshkey.model.interaction import Approve


log = logging.getLogger("freshkey")

FILE_NAME: Final = "trust.json"

WRITE_LOCK_TIMEOUT: Final = 5.0
"""Seconds to wait for another process that writes it."""


@frozen(kw_only=True)
class Entry:
    """The commands of one profile of one project's file.

    Attributes:
        file: The project's file.
        profile: Name of the profile.
        digest: SHA-256 of the file in hexadecimal.
        commands: The commands by the names of their settings: programs found, files pinned.
    """

    file: Path
    profile: str
    digest: str
    commands: Mapping[str, Command]

    def changed(self, digest: str | None = None) -> str | None:
        """Say what is not as it was when it was trusted; None if all is.

        Args:
            digest: SHA-256 of the project's file now, where it was read already.
        """
        if self.digest != (digest or _digest_now(self.file)):
            return f"{self.file} is not what it was when you trusted it"
        return next((why for command in self.commands.values() if (why := changed(command)) is not None), None)


def _digest_now(file: Path) -> str | None:
    try:
        return text_digest(read(file, follow=False))
    except ConfigurationError:
        return None


class TrustedCommands:
    """What was trusted with one state directory.

    Args:
        state_dir: The state directory.
    """

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._path = state_dir / FILE_NAME

    def all(self) -> tuple[Entry, ...]:
        """Return everything that is trusted; nothing if that cannot be read, so that the person is asked again."""
        try:
            content = read_private(self._path)
            return tuple(_entry(one) for one in json.loads(content)["trusted"]) if content else ()
        except (FreshkeyError, ValueError, TypeError, KeyError, AttributeError) as error:
            log.warning("%s cannot be read (%s): nothing counts as trusted", self._path, type(error).__name__)
            return ()

    def find(self, file: Path, profile: str) -> Entry | None:
        """Return what was trusted of a profile of a project's file, or None."""
        return next((one for one in self.all() if (one.file, one.profile) == (file, profile)), None)

    def remember(self, *entries: Entry) -> None:
        """Trust the commands of profiles from now on, instead of what was trusted of them before.

        Raises:
            StoreError: It cannot be kept.
        """
        subjects = {(one.file, one.profile) for one in entries}
        with self._alone():
            self._keep([*(one for one in self.all() if (one.file, one.profile) not in subjects), *entries])

    def forget(self, meant: Callable[[Entry], bool]) -> tuple[Entry, ...]:
        """Trust no longer what is meant, and return it.

        Raises:
            StoreError: It is still trusted.
        """
        with self._alone():
            entries = self.all()
            gone = tuple(one for one in entries if meant(one))
            if gone:
                self._keep([one for one in entries if one not in gone])
        return gone

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Exclude other writers: one that had read before could bring back what was revoked meanwhile."""
        from freshkey._interprocess.lock import ProfileLock

        release = ProfileLock(self._state_dir, "trust").acquire(WRITE_LOCK_TIMEOUT)
        try:
            yield
        finally:
            release()

    def _keep(self, entries: list[Entry]) -> None:
        private_dir(self._state_dir)
        write_private(self._path, json.dumps({"trusted": [_plain(one) for one in entries]}, indent=1).encode())


def _plain(entry: Entry) -> dict[str, object]:
    commands = {
        key: {"argv": one.argv, "pins": {str(file): digest for file, digest in one.pins.items()}}
        for key, one in entry.commands.items()
    }
    return {"file": str(entry.file), "profile": entry.profile, "digest": entry.digest, "commands": commands}


def _entry(plain: Mapping[str, Any]) -> Entry:
    file = Path(plain["file"])
    return Entry(
        file=file,
        profile=str(plain["profile"]),
        digest=str(plain["digest"]),
        commands={
            key: Command(
                argv=tuple(map(str, one["argv"])),
                directory=file.parent,
                pins={Path(pinned): str(digest) for pinned, digest in one["pins"].items()},
            )
            for key, one in plain["commands"].items()
        },
    )


def propose(project: Project, profile: str, words: Words) -> Entry:
    """Return what would be trusted: the commands of a profile as they are now.

    Raises:
        ConfigurationError: One of them cannot be run.
    """
    commands = {key: project.command(profile, key, one) for key, one in words.items()}
    return Entry(file=project.path, profile=profile, digest=project.digest, commands=commands)


def why_not(entry: Entry | None, project: Project, words: Words) -> str | None:
    """Say why the commands of a profile may not be run as they are; None if they may.

    Args:
        entry: What was trusted of the profile, or None.
        project: The project.
        words: The profile's commands, as the project's file has them.
    """
    if entry is None:
        return "you have not trusted it yet"
    if set(entry.commands) != set(words):
        return "it has other settings now that are commands"
    return entry.changed(project.digest)


def trusting(state_dir: Path, approve: Approve | None) -> Trusted:
    """Return the decision about commands of projects: what was trusted, else what a person says now.

    Args:
        state_dir: Where trust is remembered.
        approve: Asks a person a question that is answered with yes or no; None where nobody can be asked.
    """

    def trusted(project: Project, profile: str, words: Words) -> Mapping[str, Command]:
        trust = TrustedCommands(state_dir)
        entry = trust.find(project.path, profile)
        why = why_not(entry, project, words)
        if entry is not None and why is None:
            return entry.commands
        if approve is not None:
            proposed = propose(project, profile, words)
            if _agrees(approve, proposed, why):
                _remember(trust, proposed)
                return proposed.commands
        name = Path(next(iter(words.values()))[0]).name
        message = f"{project.path} names the command {name!r}, which was not run: {why}"
        raise TrustNeeded(message, profile=profile, hint=how_to_trust(project.directory))

    return trusted


def _agrees(approve: Approve, entry: Entry, why: str | None) -> bool:
    try:
        return approve(question(entry, why))
    except LoginRequired:
        return False  # nobody is there


def _remember(trust: TrustedCommands, entry: Entry) -> None:
    try:
        trust.remember(entry)
    except FreshkeyError as error:
        log.warning("that you trust %s is not remembered: %s", entry.file, error.message)


def question(entry: Entry, why: str | None = None) -> str:
    """Return what a person is asked, on one line: a line break could make a word look like another command."""
    commands = "; ".join(f"{key} = {shown(one)}" for key, one in entry.commands.items())
    asked = (
        f"{entry.file} wants to run a command as you for profile {entry.profile!r}: {commands}."
        f"{f' Mind that {why}.' if why else ''} Trust it as it is?"
    )
    return re.sub(r"[\r\n]", "\N{REPLACEMENT CHARACTER}", asked)


def shown(command: Command) -> str:
    """Return a command and the files that are compared before each run, for the person who decides about it."""
    files = ", ".join(str(file) for file in command.pins)
    return shlex.join(command.argv) + (f" (files: {files})" if files else "")
