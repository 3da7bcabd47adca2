"""The command ``trust``: what may run that a project names, and what a person agreed to."""

from __future__ import annotations

import argparse
import os
import shlex
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attrs import asdict

from freshkey.admin import Answer, Entry, SourceAnswers, TrustedCommands, shown
from freshkey.errors import ConfigurationError, LoginRequired, TrustNeeded
from freshkey_cli import exits
from freshkey_cli.output import clean


if TYPE_CHECKING:
    from freshkey_cli.context import Context

LIST: Final = "Run: freshkey trust --list"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare whose commands are trusted, or what else is done."""
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("directory", nargs="?", metavar="DIR", help="in the project; default: the working directory")
    instead.add_argument("--list", action="store_true", help="show what is trusted, and what you agreed to")
    instead.add_argument("--revoke", metavar="NAME", help="no longer trust a profile, directory, or PROFILE/SOURCE")


def run(context: Context) -> int:
    """Trust a project's commands, show what is trusted, or trust something no longer."""
    if context.arguments.list:
        return _list(context)
    if context.arguments.revoke is not None:
        return _revoke(context, context.arguments.revoke)
    return _trust(context, Path(context.arguments.directory or "."))


def _trust(context: Context, directory: Path) -> int:
    from freshkey.admin import proposals

    if not os.path.isdir(directory):  # noqa: PTH112  Path's own raises where it may not be looked at
        raise ConfigurationError(f"there is no directory {directory}", hint="Name a directory of the project")
    configuration = context.configuration.in_directory(directory)
    if configuration.project is None:
        raise ConfigurationError(
            f"there is no .freshkey.toml in {_resolved(directory)}, nor above it in its repository",
            hint="Run it in the project, or name its directory",
        )
    file, entries = configuration.project.path, proposals(configuration, {})
    kept = TrustedCommands(configuration.state_dir)
    new = [entry for entry in entries if kept.find(entry.file, entry.profile) != entry]
    if new:
        _interaction(context, new)
        kept.remember(*new)
    lines = [f"Trusted: {key} of {entry.profile}" for entry in entries for key in entry.commands]
    value = {"file": str(file), "commands": [one for entry in entries for one in _commands(entry)]}
    context.out.result(value, lines or [f"{file} names no command: there is nothing to trust"])
    return exits.OK


def _resolved(path: Path) -> Path:
    """Return a path without links; as it is where the working directory was removed, or links lead in a circle."""
    with suppress(OSError, RuntimeError):
        return path.resolve()
    return path


def _interaction(context: Context, entries: list[Entry]) -> None:
    """Show what would run and ask.

    Raises:
        TrustNeeded: The person said no, or nobody is there.
    """
    context.out.instruct(clean(f"{entries[0].file} wants to run as you:"))
    for entry in entries:
        for key, command in entry.commands.items():
            # Cleaned as a whole: a line break within a word could make it look like another command.
            context.out.instruct(clean(f"  {entry.profile}, {key}: {shown(command)}"))
    context.out.instruct("What these programs load or run in their turn is not looked at.")
    try:
        agreed = context.user().confirm("Trust this as it is now?")
    except LoginRequired:
        hint = "Run freshkey trust in a terminal: a person has to look at it"
        raise TrustNeeded("nothing was trusted: there is no terminal to ask at", hint=hint) from None
    if not agreed:
        raise TrustNeeded("nothing was trusted", hint="Nothing of the project runs until you do")


def _list(context: Context) -> int:
    state_dir = context.configuration.state_dir
    entries, answers = TrustedCommands(state_dir).all(), SourceAnswers(state_dir).all()
    value = {
        "commands": [{**one, "changed": entry.changed()} for entry in entries for one in _commands(entry)],
        "answers": [_answer(answer) for answer in answers],
    }
    rows = [_row(entry, key) for entry in entries for key in entry.commands]
    rows += [["-", f"{one.profile}/{one.source}", "-", _said(one)] for one in answers]
    context.out.table(value, ("PROJECT", "PROFILE", "COMMAND", "STATE"), rows)
    if not rows:
        context.out.say("Nothing is trusted yet")
    return exits.OK


def _row(entry: Entry, key: str) -> list[str]:
    command = f"{key}: {shlex.join(entry.commands[key].argv)}"
    return [str(entry.file.parent), entry.profile, command, entry.changed() or "trusted"]


def _said(answer: Answer) -> str:
    return "used instead of the sign-in" if answer.agreed else "not used instead of the sign-in"


def _answer(answer: Answer) -> dict[str, object]:
    return {key: value for key, value in asdict(answer).items() if key != "fingerprint"}


def _commands(entry: Entry) -> list[dict[str, object]]:
    return [
        {
            "file": str(entry.file),
            "profile": entry.profile,
            "setting": key,
            "argv": list(command.argv),
            "files": [str(file) for file in command.pins],
        }
        for key, command in entry.commands.items()
    ]


def _revoke(context: Context, name: str) -> int:
    """Trust no longer what goes by a name: a profile, a project's directory or file, or ``PROFILE/SOURCE``."""
    state_dir = context.configuration.state_dir
    path = _resolved(Path(name))
    gone = TrustedCommands(state_dir).forget(
        lambda entry: name == entry.profile or path in {entry.file, entry.file.parent}
    )
    revoked = [f"{entry.profile} of {entry.file}" for entry in gone]
    profile, _, source = name.partition("/")
    if source and SourceAnswers(state_dir).forget(lambda one: (one.profile, one.source) == (profile, source)):
        revoked.append(name)
    if not revoked:
        raise ConfigurationError(f"nothing is trusted by the name {name!r}", hint=LIST)
    context.out.result({"revoked": revoked}, [f"No longer trusted: {one}" for one in revoked])
    return exits.OK
