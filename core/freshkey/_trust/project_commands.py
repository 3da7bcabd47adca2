"""The projects' commands that the user trusted, each in a specific form; stored in a private file.

Trust is bound to a hash of the project's file and of the scripts it names, not to a path: anyone who can push to
the repository could otherwise replace a command that was trusted once.
"""

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
    """The trusted commands of one profile in a project's file.

    Attributes:
        file: The project's file.
        profile: Name of the profile.
        digest: SHA-256 of the file in hexadecimal.
        commands: The commands by setting name, with programs resolved and files hashed.
    """

    file: Path
    profile: str
    digest: str
    commands: Mapping[str, Command]

    def changed(self, digest: str | None = None) -> str | None:
        """Return what changed since it was trusted; None if nothing did.

        Args:
            digest: SHA-256 of the project's file now, if it was read already.
        """
        if digest is None:
            with suppress(ConfigurationError):
                digest = text_digest(read(self.file, follow=False))
        if self.digest != digest:
            return f"{self.file} changed after you trusted it"
        return next((why for command in self.commands.values() if (why := changed(command)) is not None), None)


class TrustedCommands(Answers[Entry]):
    """All trusted commands in a state directory."""

    file_name = "trust.json"
    subject = ("file", "profile")
    if_unreadable = "no project commands are trusted"

    def build(self, members: Mapping[str, Any]) -> Entry:
        """Return an entry from its members in the file."""
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
    """Return the entry to trust: the commands of a profile in their current form.

    Raises:
        ConfigurationError: One of them cannot be run.
    """
    commands = {key: project.command(profile, key, one) for key, one in words.items()}
    return Entry(file=project.path, profile=profile, digest=project.digest, commands=commands)


def why_not(entry: Entry | None, project: Project, words: Words) -> str | None:
    """Return why the commands of a profile are not trusted in their current form; None if they are.

    `entry` has the trusted commands of the profile, and `words` are its commands in the project's file.
    """
    if entry is None:
        return "you have not trusted it yet"
    if set(entry.commands) != set(words):
        return "its set of commands changed after you trusted it"
    return entry.changed(project.digest)


def trusting(state_dir: Path, approve: Approve | None) -> Trusted:
    """Return a function that decides about projects' commands: trusted already, or approved by the user now."""

    def trusted(project: Project, profile: str, words: Words) -> Mapping[str, Command]:
        trust = TrustedCommands(state_dir)
        entry = trust.find(project.path, profile)
        why = why_not(entry, project, words)
        if entry is not None and why is None:
            return entry.commands
        if approve is not None:
            proposed = propose(project, profile, words)
            agreed = False
            with suppress(LoginRequired):  # not interactive
                agreed = approve(question(proposed, why))
            if agreed:
                trust.try_to_remember(proposed, f"your approval of {proposed.file}")
                return proposed.commands
        name = Path(next(iter(words.values()))[0]).name
        raise TrustNeeded(
            f"{project.path} sets the command {name!r}, which was not run: {why}",
            profile=profile,
            hint=how_to_trust(project.directory),
            code="trust-required" if entry is None else "trusted-command-changed",
        )

    return trusted


def question(entry: Entry, why: str | None = None) -> str:
    """Return the question for the user, on one line: a line break could make an argument look like a command."""
    commands = "; ".join(f"{key} = {shown(one)}" for key, one in entry.commands.items())
    asked = (
        f"{entry.file} sets commands that would run as you for profile {entry.profile!r}: {commands}."
        f"{f' Note: {why}.' if why else ''} Trust this file in its current form?"
    )
    return re.sub(r"[\r\n]", "\N{REPLACEMENT CHARACTER}", asked)


def shown(command: Command) -> str:
    """Return a command and the files that are checked before each run, for the user to review."""
    files = ", ".join(str(file) for file in command.pins)
    return shlex.join(command.argv) + (f" (files: {files})" if files else "")
