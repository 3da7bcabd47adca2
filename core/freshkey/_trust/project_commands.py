"""Which commands of which projects a person trusted, as they were then: kept in a private file."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import frozen

from freshkey._commands.command import Command, changed, how_to_trust
from freshkey._config.project import Project, Trusted, Words, text_digest
from freshkey._config.toml_file import read
from freshkey._trust.answers import Answers
from freshkey.errors import ConfigurationError, LoginRequired, TrustNeeded
from freshkey.model.interaction import Approve


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
        if digest is None:
            with suppress(ConfigurationError):
                digest = text_digest(read(self.file, follow=False))
        if self.digest != digest:
            return f"{self.file} is not what it was when you trusted it"
        return next((why for command in self.commands.values() if (why := changed(command)) is not None), None)


class TrustedCommands(Answers[Entry]):
    """What was trusted with one state directory."""

    file_name = "trust.json"
    subject = ("file", "profile")
    if_unreadable = "nothing counts as trusted"

    def build(self, members: Mapping[str, Any]) -> Entry:
        """Return an entry as it was kept."""
        file = Path(members["file"])
        commands = {
            key: Command(
                argv=tuple(map(str, one["argv"])),
                directory=file.parent,
                pins={Path(pinned): str(digest) for pinned, digest in one["pins"].items()},
            )
            for key, one in members["commands"].items()
        }
        return Entry(file=file, profile=str(members["profile"]), digest=str(members["digest"]), commands=commands)


def propose(project: Project, profile: str, words: Words) -> Entry:
    """Return what would be trusted: the commands of a profile as they are now.

    Raises:
        ConfigurationError: One of them cannot be run.
    """
    commands = {key: project.command(profile, key, one) for key, one in words.items()}
    return Entry(file=project.path, profile=profile, digest=project.digest, commands=commands)


def why_not(entry: Entry | None, project: Project, words: Words) -> str | None:
    """Say why the commands of a profile may not be run as they are; None if they may.

    `entry` is what was trusted of the profile, and `words` are its commands as the project's file has them.
    """
    if entry is None:
        return "you have not trusted it yet"
    if set(entry.commands) != set(words):
        return "it has other settings now that are commands"
    return entry.changed(project.digest)


def trusting(state_dir: Path, approve: Approve | None) -> Trusted:
    """Return the decision about commands of projects: what was trusted, else what a person says; None asks nobody."""

    def trusted(project: Project, profile: str, words: Words) -> Mapping[str, Command]:
        trust = TrustedCommands(state_dir)
        entry = trust.find(project.path, profile)
        why = why_not(entry, project, words)
        if entry is not None and why is None:
            return entry.commands
        if approve is not None:
            proposed = propose(project, profile, words)
            agreed = False
            with suppress(LoginRequired):  # nobody is there
                agreed = approve(question(proposed, why))
            if agreed:
                trust.try_to_remember(proposed, f"that you trust {proposed.file}")
                return proposed.commands
        name = Path(next(iter(words.values()))[0]).name
        message = f"{project.path} names the command {name!r}, which was not run: {why}"
        raise TrustNeeded(message, profile=profile, hint=how_to_trust(project.directory))

    return trusted


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
