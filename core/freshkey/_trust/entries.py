"""What the user trusted of projects' files: commands and choices, each in a specific form; stored in a private file.

Trust is bound to a hash of the project's file and of the scripts it names, not to a path: anyone who can push to
the repository could otherwise replace a command that was trusted once.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import Factory, evolve, frozen

from freshkey._commands.command import Command, changed
from freshkey._config.project import text_digest
from freshkey._config.toml_file import read
from freshkey._trust.answers import Answers
from freshkey.errors import ConfigurationError


@frozen(kw_only=True)
class Entry:
    """What is trusted of a project's file for one profile.

    Attributes:
        file: The project's file.
        profile: Name of the profile.
        digest: SHA-256 of the file in hexadecimal.
        commands: The commands by setting name, with programs resolved and files hashed.
        choices: Values that pick one of the user's identities, by setting name.
        selected: Whether the profile, which may be one of the user's own, may be used without being named.
    """

    file: Path
    profile: str
    digest: str
    commands: Mapping[str, Command] = Factory(dict)
    choices: Mapping[str, str] = Factory(dict)
    selected: bool = False

    def __bool__(self) -> bool:
        return bool(self.commands or self.choices or self.selected)

    def with_all_of(self, other: Entry) -> Entry:
        """Return this entry with what another one about the same form of the file has in addition."""
        return evolve(
            self,
            commands={**other.commands, **self.commands},
            choices={**other.choices, **self.choices},
            selected=other.selected or self.selected,
        )

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
    """All that is trusted of projects' files in a state directory."""

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
        # Choices are missing in what an older version wrote: those are asked about.
        choices = {str(key): str(value) for key, value in members.get("choices", {}).items()}
        return Entry(
            file=file,
            profile=str(members["profile"]),
            digest=str(members["digest"]),
            commands=commands,
            choices=choices,
            selected=members.get("selected") is True,
        )
